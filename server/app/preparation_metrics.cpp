#include "server/app/preparation_metrics.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

namespace gate {
namespace {

std::string key_of(const std::string& name_space, const std::string& name) { return name_space + "/" + name; }

/// A record whose captured settings may have gone over to another one.
struct Link {
  std::string supersedes;
  std::optional<WallTime> start_time;
};
using Links = std::unordered_map<std::string, Link>;

OpenPreparation open_preparation(const Preparation& record) {
  const auto& status = record.status;
  OpenPreparation out;
  out.name_space = record.name_space;
  out.cluster = record.spec.cluster;
  out.name = record.name;
  out.phase = status.phase;
  out.stage = status.stage;
  if (const Turn* turn = present_turn(status.rollout.turns)) out.turn = turn->phase;
  out.hooks = record.spec.hooks.size();
  out.hooks_completed =
      static_cast<std::size_t>(std::count_if(status.hooks.begin(), status.hooks.end(), [](const HookStatus& hook) {
        return hook.phase == HookPhase::Completed || hook.phase == HookPhase::Skipped;
      }));
  // Captured in the first moments of the hooks' run: their start is near enough.
  if (status.restore_pending) out.settings_held_since = status.start_time ? status.start_time : record.creation_time;
  out.restore_due_since = restore_due_since(record);
  return out;
}

/// The settings were set by the first of those that gave them on.
void look_back(OpenPreparation& record, std::string before, const Links& superseded) {
  for (int step = 0; step < kSupersededStepsMax && !before.empty(); ++step) {
    const auto found = superseded.find(key_of(record.name_space, before));
    if (found == superseded.end()) return;
    const auto& since = found->second.start_time;
    if (since && since < record.settings_held_since) record.settings_held_since = since;
    before = found->second.supersedes;
  }
}

int urgency(const OpenPreparation& record) {
  if (record.restore_due_since) return 0;
  if (record.turn == TurnPhase::Paused) return 1;
  return record.settings_held_since ? 2 : 3;
}

/// The most urgent `max`, each namespace in its turn: one of many records does not displace the others'.
void keep_most_urgent(std::vector<OpenPreparation>& open, std::size_t max) {
  const auto since = [](const OpenPreparation& record) {
    return record.restore_due_since.value_or(record.settings_held_since.value_or(WallTime::max()));
  };
  std::sort(open.begin(), open.end(), [&](const OpenPreparation& a, const OpenPreparation& b) {
    return std::tuple(urgency(a), since(a), std::tie(a.name_space, a.name)) <
           std::tuple(urgency(b), since(b), std::tie(b.name_space, b.name));
  });
  if (open.size() <= max) return;
  std::map<std::pair<int, std::string>, std::size_t> seen;
  std::vector<std::tuple<int, std::size_t, std::size_t>> order;  // urgency, turn of its namespace, place in `open`
  for (std::size_t i = 0; i < open.size(); ++i) {
    const int rank = urgency(open[i]);
    order.emplace_back(rank, seen[{rank, open[i].name_space}]++, i);
  }
  std::sort(order.begin(), order.end());
  std::vector<OpenPreparation> kept;
  kept.reserve(max);
  for (std::size_t i = 0; i < max; ++i) kept.push_back(std::move(open[std::get<2>(order[i])]));
  open = std::move(kept);
}

double seconds_since(WallTime then, WallTime now) {
  // Clocks of replicas differ, and a record's times are another's.
  return std::max(0.0, std::chrono::duration<double>(now - then).count());
}

}  // namespace

std::vector<OpenPreparation> open_preparations(const PreparationStore& store) {
  std::vector<OpenPreparation> open;
  std::vector<std::pair<std::size_t, std::string>> heirs;  // place in `open`, name of the record before
  Links superseded;
  store.visit_cached([&](const Preparation& record) {
    const auto& status = record.status;
    if (status.outcome == Outcome::Superseded) {
      superseded[key_of(record.name_space, record.name)] = {record.spec.supersedes, status.start_time};
    }
    if (!is_open(record)) return;
    open.push_back(open_preparation(record));
    const bool inherits = status.restore_pending && status.taken_over && !record.spec.supersedes.empty();
    if (inherits) heirs.emplace_back(open.size() - 1, record.spec.supersedes);
  });
  for (auto& [place, before] : heirs) look_back(open[place], std::move(before), superseded);
  return open;
}

MetricFamilies preparation_families(std::vector<OpenPreparation> open, WallTime now, std::size_t max) {
  using prometheus::MetricType;
  auto total = metric_family("upgrade_gate_open_preparations", "Open records", MetricType::Gauge);
  auto unlisted = metric_family("upgrade_gate_unlisted_preparations",
                                "Open records beyond the bound, without series of their own", MetricType::Gauge);
  auto info = metric_family("upgrade_gate_preparation_info",
                            "1 for each open record; turn is that of a led rollout, else empty", MetricType::Gauge);
  auto hooks = metric_family("upgrade_gate_preparation_hooks", "Hooks of an open record", MetricType::Gauge);
  auto completed = metric_family("upgrade_gate_preparation_hooks_completed",
                                 "Hooks of an open record that completed or had nothing to do", MetricType::Gauge);
  auto held = metric_family("upgrade_gate_preparation_settings_held_seconds",
                            "For how long settings of the FE have been changed for the upgrade", MetricType::Gauge);
  auto overdue = metric_family("upgrade_gate_preparation_restore_overdue_seconds",
                               "For how long a restore has been due without success", MetricType::Gauge);
  add_value(total, static_cast<double>(open.size()));
  add_value(unlisted, static_cast<double>(open.size() - std::min(open.size(), max)));
  keep_most_urgent(open, max);
  for (const auto& record : open) {
    const MetricLabels labels{
        {"namespace", record.name_space}, {"cluster", record.cluster}, {"preparation", record.name}};
    auto state = labels;
    state.push_back({"phase", std::string(to_string(record.phase))});
    state.push_back({"stage", std::string(to_string(record.stage))});
    state.push_back({"turn", record.turn ? std::string(to_string(*record.turn)) : std::string()});
    add_value(info, 1, std::move(state));
    add_value(hooks, static_cast<double>(record.hooks), labels);
    add_value(completed, static_cast<double>(record.hooks_completed), labels);
    if (record.settings_held_since) add_value(held, seconds_since(*record.settings_held_since, now), labels);
    if (record.restore_due_since) add_value(overdue, seconds_since(*record.restore_due_since, now), labels);
  }
  MetricFamilies families;
  for (auto* family : {&total, &unlisted, &info, &hooks, &completed, &held, &overdue}) {
    families.push_back(std::move(*family));
  }
  return families;
}

}  // namespace gate
