// Goal: a closed record becomes the same trace whoever tells it, complete, and without what is nobody's business.

#include "policy/record/preparation_spans.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "policy/trace/otlp.hpp"

namespace gate {
namespace {

const WallTime kTime{std::chrono::seconds(1'800'000'000)};
const std::string kReview = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

WallTime after(int seconds) { return kTime + std::chrono::seconds(seconds); }

/// Prepared by three hooks, led in two turns, restored.
Preparation closed_record() {
  Preparation record;
  record.name = "sr-0123456789-1";
  record.name_space = "prod";
  record.uid = "11111111-2222-3333-4444-555555555555";
  record.creation_time = kTime;
  record.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  record.spec.cluster = "sr";
  record.spec.changes = {{Component::Backend, "be:1", "be:2"}, {Component::Frontend, "fe:1", "fe:2"}};
  record.spec.hooks = {
      {"disable-balancer", SqlAction{"ADMIN SET FRONTEND CONFIG (\"swordfish\"=\"1\")", std::nullopt}, true},
      {"ask-the-owner", HttpAction{"https://swordfish.example/", "", "swordfish", "key", std::chrono::seconds(9)}},
      {"never-begun", ProbeAction{Probe::BackendsAlive}}};
  record.spec.rollout.mode = RolloutMode::Stepwise;
  record.spec.requested_by = {"alice-swordfish", {"swordfish"}, "r", kReview};
  record.spec.retry_token = "swordfish";
  auto& status = record.status;
  status.phase = Phase::Completed;
  status.stage = Stage::Closed;
  status.outcome = Outcome::Succeeded;
  status.reason = "HooksCompleted";
  status.message = "swordfish";
  status.hooks = {{"disable-balancer", HookPhase::Completed, 1, after(1), after(3), "swordfish"},
                  {"ask-the-owner", HookPhase::Failed, 2, after(3), after(9), "swordfish"},
                  {"never-begun", HookPhase::Skipped, 0, {}, {}, "swordfish"}};
  status.captured = {{"swordfish", "swordfish", "swordfish"}};
  status.undo = {{"x", "swordfish", "", std::chrono::seconds(1)}};
  status.start_time = after(1);
  status.completion_time = after(10);
  status.admitted_time = after(20);
  status.rolled_out_time = after(80);
  status.restoring_time = after(81);
  status.restored_time = after(84);
  status.rollout.turns = {
      {{Component::Backend}, TurnPhase::Done, 3, 3, 0, "swordfish", after(45), 0, after(21), after(50)},
      {{Component::Frontend}, TurnPhase::Done, 1, 1, 0, "", after(51), 0, after(51), after(79)}};
  status.runner = {"pod-1", after(90)};
  return record;
}

const Span& named(const std::vector<Span>& spans, std::string_view name, std::size_t which = 0) {
  for (const auto& span : spans) {
    if (span.name == name && which-- == 0) return span;
  }
  FAIL("no span " << std::string(name));
  return spans.front();
}

const SpanAttribute* attribute(const Span& span, const std::string& key) {
  const auto found = std::find_if(span.attributes.begin(), span.attributes.end(),
                                  [&](const SpanAttribute& one) { return one.key == key; });
  return found == span.attributes.end() ? nullptr : &*found;
}

std::string text(const Span& span, const std::string& key) {
  const auto* found = attribute(span, key);
  REQUIRE(found != nullptr);
  return std::get<std::string>(found->value);
}

void check_times(const Span& span, WallTime start, WallTime end) {
  CAPTURE(span.name);
  CHECK(span.start == SpanTime(start));
  // A span of no length is to Jaeger one of a negative length.
  CHECK(span.end == SpanTime(end) + std::chrono::nanoseconds(1));
}

}  // namespace

TEST_CASE("a record is one trace: the preparation, its hooks, the rollout with its turns, the restore") {
  const auto spans = preparation_spans(closed_record());
  REQUIRE(spans.size() == 7);
  const auto& root = spans.front();
  CHECK(root.name == "preparation");
  CHECK_FALSE(root.parent.has_value());
  check_times(root, kTime, after(84));
  CHECK(text(root, "upgrade_gate.outcome") == "Succeeded");
  CHECK(text(root, "upgrade_gate.preparation.name") == "sr-0123456789-1");
  CHECK(text(root, "k8s.namespace.name") == "prod");
  CHECK(std::get<std::vector<std::string>>(attribute(root, "upgrade_gate.images")->value) ==
        std::vector<std::string>{"be: be:1 -> be:2", "fe: fe:1 -> fe:2"});
  CHECK(root.status == SpanStatus::Unset);
  REQUIRE(root.links.size() == 1);
  CHECK(format_traceparent(root.links.front()) == kReview);
  REQUIRE(root.events.size() == 2);
  CHECK(root.events[0].name == "prepared");
  CHECK(root.events[1].time == SpanTime(after(20)));

  const auto& set = named(spans, "hook disable-balancer");
  check_times(set, after(1), after(3));
  CHECK(set.parent == root.context.span);
  CHECK(text(set, "upgrade_gate.hook.kind") == "sql");
  // What a tenant named is an attribute alone.
  const auto& ask = named(spans, "hook");
  check_times(ask, after(3), after(9));
  CHECK(text(ask, "upgrade_gate.hook.name") == "ask-the-owner");
  CHECK(text(ask, "upgrade_gate.hook.kind") == "http");
  CHECK(ask.status == SpanStatus::Error);

  const auto& rollout = named(spans, "rollout");
  check_times(rollout, after(20), after(80));
  check_times(named(spans, "turn"), after(21), after(50));
  check_times(named(spans, "turn", 1), after(51), after(79));
  CHECK(named(spans, "turn").parent == rollout.context.span);
  check_times(named(spans, "restore"), after(81), after(84));

  std::set<std::string> ids;
  for (const auto& span : spans) {
    CHECK(span.context.trace == preparation_trace_id(closed_record().uid));
    CHECK(span.context.sampled);
    ids.insert(hex(span.context.span));
  }
  CHECK(ids.size() == spans.size());
}

TEST_CASE("no message, statement, setting, token or user is told") {
  CHECK(otlp_trace_request({}, "", preparation_spans(closed_record())).find("swordfish") == std::string::npos);
}

TEST_CASE("whoever tells it, and whenever, tells the same") {
  auto record = closed_record();
  const auto first = otlp_trace_request({}, "", preparation_spans(record));
  // What other replicas, later looks and the API server change in a record that is closed.
  record.resource_version = "77";
  record.status.runner = {"pod-2", after(1000)};
  record.held = true;
  record.deleting = true;
  CHECK(otlp_trace_request({}, "", preparation_spans(record)) == first);

  record.uid = "11111111-2222-3333-4444-555555555556";
  const auto other = preparation_spans(record);
  CHECK(other.front().context.trace != preparation_trace_id(closed_record().uid));
}

TEST_CASE("what did not happen has no span, and what did not end ends with the record") {
  struct Row {
    std::string name;
    std::function<void(Preparation&)> change;
    std::map<std::string, int> spans;
  };
  const std::vector<Row> rows{
      {"refused to the end",
       [](Preparation& record) {
         auto& status = record.status;
         status.admitted_time = status.rolled_out_time = {};
         status.rollout = {};
       },
       {{"preparation", 1}, {"hook", 1}, {"hook disable-balancer", 1}, {"restore", 1}}},
      {"superseded before anything began",
       [](Preparation& record) {
         record.status = {};
         record.status.outcome = Outcome::Superseded;
       },
       {{"preparation", 1}}},
      {"its settings are its successor's",
       [](Preparation& record) {
         record.status.outcome = Outcome::Superseded;
         record.status.restored_time = {};
         record.status.restoring_time = {};
       },
       {{"preparation", 1}, {"hook", 1}, {"hook disable-balancer", 1}, {"rollout", 1}, {"turn", 2}}},
      {"nothing was captured",
       [](Preparation& record) {
         record.status.captured.clear();
         record.status.restored_time = {};
       },
       {{"preparation", 1}, {"hook", 1}, {"hook disable-balancer", 1}, {"rollout", 1}, {"turn", 2}}},
      {"a turn that never began",
       [](Preparation& record) {
         Turn held;
         held.components = {Component::Frontend};
         record.status.rollout.turns[1] = held;
       },
       {{"preparation", 1}, {"hook", 1}, {"hook disable-balancer", 1}, {"rollout", 1}, {"turn", 1}, {"restore", 1}}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    auto record = closed_record();
    row.change(record);
    std::map<std::string, int> seen;
    for (const auto& span : preparation_spans(record)) ++seen[span.name];
    CHECK(seen == row.spans);
  }

  auto record = closed_record();
  record.status.hooks[0].completion_time = {};
  check_times(named(preparation_spans(record), "hook disable-balancer"), after(1), after(84));
  record.status.hooks[0].completion_time = kTime;  // by another replica's clock
  check_times(named(preparation_spans(record), "hook disable-balancer"), after(1), after(1));

  record = closed_record();
  record.status.restored_time = {};
  CHECK(named(preparation_spans(record), "restore").status == SpanStatus::Error);

  record.status.outcome = Outcome::Failed;
  record.status.reason = "CriticalHookFailed";
  const auto failed = preparation_spans(record);
  CHECK(failed.front().status == SpanStatus::Error);
  CHECK(failed.front().status_message == "CriticalHookFailed");

  CHECK(preparation_spans({}).empty());
  record = {};
  record.creation_time = kTime;
  CHECK(preparation_spans(record).empty());  // no UID
}

TEST_CASE("foreign names are bounded and cleaned, and a traceparent that somebody wrote is judged again") {
  auto record = closed_record();
  record.status.hooks[1].name = std::string(5000, 'x') + "\n";
  record.spec.cluster = std::string(100'000, 'y');
  record.spec.requested_by.traceparent = "00-" + std::string(32, '0') + "-b7ad6b7169203331-01";
  const auto spans = preparation_spans(record);
  CHECK(spans.front().links.empty());
  CHECK(otlp_trace_request({}, "", spans).size() < 20'000);
}

}  // namespace gate
