#include "policy/record/preparation_spans.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <utility>

#include "policy/hooks/hook_catalogue.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using MaybeTime = std::optional<WallTime>;

/// By the alternatives of HookAction.
std::string_view kind_of(const HookAction& action) {
  constexpr std::array<std::string_view, std::variant_size_v<HookAction>> kKinds{"sql", "probe", "query", "http",
                                                                                 "script"};
  return kKinds.at(action.index());
}

MaybeTime first_of(std::initializer_list<MaybeTime> times) {
  for (const auto& time : times) {
    if (time) return time;
  }
  return std::nullopt;
}

/// All that say when something happened; renewals of claims say nothing of the preparation.
std::vector<WallTime> times_of(const Preparation& record) {
  const auto& status = record.status;
  std::vector<WallTime> out;
  const auto add = [&](const MaybeTime& time) {
    if (time) out.push_back(*time);
  };
  for (const auto& time :
       {record.creation_time, status.start_time, status.completion_time, status.admitted_time, status.rolled_out_time,
        status.rolled_back_time, status.restoring_time, status.restored_time, status.reopened_time}) {
    add(time);
  }
  for (const auto& hook : status.hooks) {
    add(hook.start_time);
    add(hook.completion_time);
  }
  for (const auto& turn : status.rollout.turns) {
    add(turn.began);
    add(turn.ended);
  }
  return out;
}

/// Of a record, all of whose times are whole seconds, many a span begins and ends at the same moment. Jaeger takes
/// those for spans of a negative length, and shows a warning at each. Every span is longer by it: none ends behind its
/// parent.
constexpr std::chrono::nanoseconds kShortest{1};

class Story {
 public:
  Story(const Preparation& record, WallTime begin, WallTime end)
      : record_(record), begin_(begin), end_(end), trace_(preparation_trace_id(record.uid)) {}

  std::vector<Span> spans() && {
    add_preparation();
    add_hooks();
    add_rollout();
    add_restore();
    return std::move(spans_);
  }

 private:
  [[nodiscard]] SpanId id_of(std::string_view part, std::size_t index = 0) const {
    return derived_span_id({record_.uid, part, std::to_string(index)});
  }

  /// What began and did not end, ended with the record. Clocks of replicas differ: nothing ends before it began.
  Span& add(std::string name, SpanId id, SpanId parent, WallTime start, const MaybeTime& end) {
    Span span;
    span.context = {trace_, id, true};
    span.parent = parent;
    span.name = std::move(name);
    span.start = start;
    span.end = std::max(start, end.value_or(end_)) + kShortest;
    return spans_.emplace_back(std::move(span));
  }

  void add_preparation() {
    const auto& spec = record_.spec;
    const auto& status = record_.status;
    Span& span = add("preparation", id_of(kRoot), {}, begin_, end_);
    span.parent.reset();
    std::vector<std::string> images;
    for (const auto& change : spec.changes) {
      images.push_back(std::string(to_string(change.component)) + ": " + clean_text(change.from) + " -> " +
                       clean_text(change.to));
    }
    span.attributes = {{"k8s.namespace.name", record_.name_space},
                       {"upgrade_gate.preparation.name", record_.name},
                       {"upgrade_gate.preparation.uid", record_.uid},
                       {"upgrade_gate.preparation.attempt", std::int64_t{spec.attempt}},
                       {"upgrade_gate.cluster", clean_text(spec.cluster)},
                       {"upgrade_gate.object.kind", clean_text(spec.object.kind)},
                       {"upgrade_gate.object.name", clean_text(spec.object.name)},
                       {"upgrade_gate.images", std::move(images)},
                       {"upgrade_gate.outcome", std::string(to_string(status.outcome))}};
    if (!status.reason.empty()) span.attributes.push_back({"upgrade_gate.reason", clean_text(status.reason)});
    for (const auto& [name, time] : {std::pair<const char*, MaybeTime>{"reopened", status.reopened_time},
                                     {"prepared", prepared_time()},
                                     {"admitted", status.admitted_time}}) {
      if (time) span.events.push_back({name, *time});
    }
    if (const auto review = parse_traceparent(spec.requested_by.traceparent)) span.links.push_back(*review);
    if (status.outcome == Outcome::Failed) {
      span.status = SpanStatus::Error;
      span.status_message = clean_text(status.reason);
    }
  }

  [[nodiscard]] MaybeTime prepared_time() const {
    return record_.status.phase == Phase::Completed ? record_.status.completion_time : std::nullopt;
  }

  void add_hooks() {
    const auto& hooks = record_.status.hooks;
    for (std::size_t i = 0; i < hooks.size(); ++i) {
      const auto& hook = hooks[i];
      if (!hook.start_time) continue;
      const auto name = clean_text(hook.name, kNameMax);
      // Backends count by a span's name: one that a tenant chose is an attribute alone.
      Span& span = add(find_predefined(hook.name) != nullptr ? "hook " + name : "hook", id_of("hook", i), id_of(kRoot),
                       *hook.start_time, hook.completion_time);
      span.attributes = {{"upgrade_gate.hook.name", name},
                         {"upgrade_gate.hook.phase", std::string(to_string(hook.phase))},
                         {"upgrade_gate.hook.attempts", std::int64_t{hook.attempts}}};
      const auto& specs = record_.spec.hooks;
      const auto spec =
          std::find_if(specs.begin(), specs.end(), [&](const Hook& candidate) { return candidate.name == hook.name; });
      if (spec != specs.end()) {
        span.attributes.push_back({"upgrade_gate.hook.kind", std::string(kind_of(spec->action))});
        span.attributes.push_back({"upgrade_gate.hook.critical", spec->critical});
      }
      if (hook.phase == HookPhase::Failed) span.status = SpanStatus::Error;
    }
  }

  void add_rollout() {
    const auto& status = record_.status;
    if (!status.admitted_time) return;
    const auto end = first_of({status.rolled_back_time, status.rolled_out_time, status.restoring_time});
    Span& rollout = add("rollout", id_of(kRollout), id_of(kRoot), *status.admitted_time, end);
    rollout.attributes = {{"upgrade_gate.rollout.mode", std::string(to_string(record_.spec.rollout.mode))},
                          {"upgrade_gate.rollout.rolled_back", status.rolled_back_time.has_value()}};
    const auto& turns = status.rollout.turns;
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const auto& turn = turns[i];
      if (!turn.began) continue;
      Span& span = add("turn", id_of("turn", i), id_of(kRollout), *turn.began, turn.ended);
      span.attributes = {{"upgrade_gate.turn.components", names_of(turn)},
                         {"upgrade_gate.turn.phase", std::string(to_string(turn.phase))},
                         {"upgrade_gate.turn.steps", std::int64_t{turn.of}},
                         {"upgrade_gate.turn.back", status.rollout.back}};
    }
  }

  void add_restore() {
    const auto& status = record_.status;
    const auto begun = first_of({status.restoring_time, status.completion_time, status.restored_time});
    // What a successor took over it restores.
    const bool given_up = !status.restored_time && !status.captured.empty() && status.outcome != Outcome::Superseded;
    if (!begun || (!status.restored_time && !given_up)) return;
    Span& span = add("restore", id_of("restore"), id_of(kRoot), *begun, status.restored_time);
    span.attributes = {{"upgrade_gate.restore.settings", static_cast<std::int64_t>(status.captured.size())}};
    if (given_up) {
      span.status = SpanStatus::Error;
      span.status_message = "not restored";
    }
  }

  static constexpr std::size_t kNameMax = 59;
  static constexpr std::string_view kRoot = "preparation";
  static constexpr std::string_view kRollout = "rollout";

  const Preparation& record_;
  const WallTime begin_;
  const WallTime end_;
  const TraceId trace_;
  std::vector<Span> spans_;
};

}  // namespace

TraceId preparation_trace_id(std::string_view uid) { return derived_trace_id({"preparation", uid}); }

std::vector<Span> preparation_spans(const Preparation& record) {
  const auto times = times_of(record);
  if (record.uid.empty() || times.empty()) return {};
  const auto [first, last] = std::minmax_element(times.begin(), times.end());
  return Story(record, *first, *last).spans();
}

}  // namespace gate
