// Goal: what a collector is told of a whole upgrade is one trace, and true, though a replica is killed in the middle;
// and a collector that never answers is nobody's trouble. Method: as in world_test.cpp; the collector is the test's.

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "test/e2e/world.hpp"
#include "test/fakes/dead_port.hpp"
#include "test/fakes/trace_collector.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

const std::string kHooks = "check-backends-alive,disable-tablet-clone,disable-balancer";

StoryOptions traced(json annotations) {
  annotations["starrocks.com/upgrade-timeout-seconds"] = "3";
  annotations["starrocks.com/upgrade-health-readings"] = "1";
  StoryOptions options;
  options.annotations = with_hooks(kHooks, annotations);
  options.gate_flags = {"--admission-wait", "1s", "--claim-stale-after", "5s"};
  options.may_be_led = true;
  return options;
}

bool is_let_go(Story& story) {
  const auto records = story.records();
  return !records.empty() && std::all_of(records.begin(), records.end(), [](const json& record) {
    return record["status"].value("stage", "") == "Closed" && !record["metadata"].contains("finalizers");
  });
}

std::uint64_t nanoseconds(const json& span, const char* field) {
  return std::stoull(span.at(field).get<std::string>());
}

std::vector<json> named(const std::vector<json>& spans, const std::string& name) {
  std::vector<json> out;
  std::copy_if(spans.begin(), spans.end(), std::back_inserter(out),
               [&](const json& span) { return span.at("name") == name; });
  return out;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("an upgrade that two replicas worked on, one of which was killed, is one trace") {
  const StrictCollector collector;
  const Environment environment({{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()}, {"OTEL_BSP_SCHEDULE_DELAY", "100"}});
  Story story("traced", traced({{"starrocks.com/upgrade-rollout", "ordered"}}));
  story.patch_until_admitted({{"fe", "3.3.1"}, {"be", "3.3.1"}});
  story.until("the rollout is followed", [&] { return story.newest().value("stage", "") == "RollingOut"; });
  const auto runner = story.newest().value("runner", json::object()).value("identity", "");
  story.kill_gate(runner.ends_with("1") ? 1 : 0);
  story.until(
      "all has rolled", [&] { return story.rolled("sr-be", "3.3.1") && story.rolled("sr-fe", "3.3.1"); }, 120s);
  story.until(
      "the record is closed, and has no finalizer", [&] { return is_let_go(story); }, 120s);
  REQUIRE(collector.gets("preparation"));
  for (const auto& fault : collector.faults()) FAIL_CHECK(fault);

  const auto roots = collector.named("preparation");
  const std::string trace = roots.front().at("traceId");
  const auto spans = collector.of_trace(trace);
  const auto& root = roots.front();
  const auto name = story.records().back()["metadata"]["name"].get<std::string>();
  CHECK(attribute_of(root, "upgrade_gate.preparation.name") == name);
  CHECK(attribute_of(root, "upgrade_gate.outcome") == "Succeeded");
  CHECK(named(spans, "hook check-backends-alive").size() == 1);
  CHECK(named(spans, "hook disable-tablet-clone").size() == 1);
  CHECK(named(spans, "hook disable-balancer").size() == 1);
  CHECK(named(spans, "rollout").size() == 1);
  CHECK(named(spans, "turn").size() == 2);
  REQUIRE(named(spans, "restore").size() == 1);
  CHECK_FALSE(named(spans, "restore").front().contains("status"));
  CHECK(story.everywhere("disable_balance", "false"));
  // One tree, in which nothing is outside of its root.
  std::set<std::string> ids;
  for (const auto& span : spans) CHECK(ids.insert(span.at("spanId")).second);
  for (const auto& span : spans) {
    INFO(span.dump());
    CHECK(span.contains("parentSpanId") == (span.at("name") != "preparation"));
    if (span.contains("parentSpanId")) CHECK(ids.contains(span.at("parentSpanId").get<std::string>()));
    CHECK(nanoseconds(span, "startTimeUnixNano") >= nanoseconds(root, "startTimeUnixNano"));
    CHECK(nanoseconds(span, "endTimeUnixNano") <= nanoseconds(root, "endTimeUnixNano"));
  }
  // Whatever it is told by is in the docs.
  const std::string docs = text_of(kSource + "/docs/tracing.md");
  for (const auto& span : spans) {
    for (const auto& attribute : span.value("attributes", json::array())) {
      const std::string key = attribute.at("key");
      CAPTURE(key);
      const auto last = "`." + key.substr(key.rfind('.') + 1) + "`";
      CHECK((contains(docs, "`" + key + "`") || contains(docs, last)));
    }
  }
  // It leads to the review that began it.
  const std::string begun_by = root.at("links").at(0).at("spanId");
  const auto reviews = collector.named("review");
  CHECK(std::any_of(reviews.begin(), reviews.end(), [&](const json& span) { return span.at("spanId") == begun_by; }));
}

TEST_CASE("a collector that never answers keeps neither a record nor its namespace nor the gate") {
  const DeadPort collector(true);
  const Environment environment({{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()},
                                 {"OTEL_EXPORTER_OTLP_TIMEOUT", "86400000"},
                                 {"OTEL_BSP_EXPORT_TIMEOUT", "86400000"},
                                 {"OTEL_BSP_SCHEDULE_DELAY", "1"}});
  Story story("untold", traced({}));
  story.patch_until_admitted({{"be", "3.3.1"}});
  story.until(
      "all has rolled", [&] { return story.rolled("sr-be", "3.3.1"); }, 120s);
  story.until("the record is closed, and has no finalizer", [&] { return is_let_go(story); });
  CHECK(story.everywhere("disable_balance", "false"));
  CHECK(story.gate(0).terminate(60s) == 0);
}
