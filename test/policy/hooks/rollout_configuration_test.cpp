// Goal: what a cluster asks for is understood from each of its sources, or refused with all its faults.

#include "policy/hooks/rollout_configuration.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"

using namespace gate;
using nlohmann::json;

namespace {
json annotated(const json& annotations, const json& preparation = nullptr) {
  return {{"metadata", {{"annotations", annotations}}}, {"spec", {{"upgradePreparation", preparation}}}};
}
}  // namespace

TEST_CASE("annotations come before the spec, and that before the defaults") {
  LedRollout defaults;
  defaults.mode = RolloutMode::Ordered;
  CHECK(resolve_rollout(json(), defaults).rollout == defaults);
  CHECK(resolve_rollout(json("x"), defaults).rollout == defaults);
  const json spec{{"admission", "hold"},
                  {"rollout", "stepwise"},
                  {"health", {"check-backends-alive", "check-tablets-healthy"}},
                  {"healthReadings", 5},
                  {"stepTimeoutSeconds", 60}};
  auto read = resolve_rollout(annotated(json::object(), spec), defaults);
  CHECK(read.faults.empty());
  CHECK(read.rollout.admission == AdmissionMode::Hold);
  CHECK(read.rollout.mode == RolloutMode::Stepwise);
  CHECK(read.rollout.health == std::vector{Probe::BackendsAlive, Probe::TabletsHealthy});
  CHECK(read.rollout.readings == 5);
  CHECK(read.rollout.step_timeout == std::chrono::seconds(60));
  read = resolve_rollout(annotated({{"starrocks.com/upgrade-rollout", "operator"},
                                    {"starrocks.com/upgrade-health", "check-frontends-alive, check-frontends-alive"},
                                    {"starrocks.com/upgrade-health-readings", "1"}},
                                   spec),
                         defaults);
  CHECK(read.faults.empty());
  CHECK(read.rollout.mode == RolloutMode::Operator);
  CHECK(read.rollout.admission == AdmissionMode::Hold);
  CHECK(read.rollout.health == std::vector{Probe::FrontendsAlive});
  CHECK(read.rollout.readings == 1);
}

TEST_CASE("faults name the field, the value and what would be accepted, all at once") {
  const auto read = resolve_rollout(annotated({{"starrocks.com/upgrade-rollout", "fast"},
                                               {"starrocks.com/upgrade-admission", "3"},
                                               {"starrocks.com/upgrade-health", "check-tablets,create-image"},
                                               {"starrocks.com/upgrade-health-readings", "0"},
                                               {"starrocks.com/upgrade-step-timeout-seconds", "5m"}}),
                                    {});
  CHECK(read.rollout == LedRollout{});
  REQUIRE(read.faults.size() == 6);
  const auto text = describe(read.faults);
  for (const char* part : {"starrocks.com/upgrade-rollout", "fast", "operator, ordered, stepwise", "refuse, hold",
                           "check-tablets-healthy", "a whole number from 1 to 100", "5m", "from 10 to 86400"}) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("the gate's own defaults lead whoever asks for preparation, and nobody else") {
  LedRollout defaults;
  defaults.mode = RolloutMode::Stepwise;
  defaults.admission = AdmissionMode::Hold;
  const json hooks_of_frontend{{"spec", {{"starRocksFeSpec", {{"upgradeHooks", {{"predefined", {"recommended"}}}}}}}}};
  struct Row {
    const char* name;
    json object;
    std::vector<std::string> default_hooks;
    bool configured;
    RolloutMode mode;
    bool by_default;
    bool only_led;
  };
  const std::vector<Row> rows{
      {"says nothing", annotated(json::object()), {}, false, RolloutMode::Operator, false, false},
      {"says nothing, and every cluster is prepared",
       annotated(json::object()),
       {"recommended"},
       true,
       RolloutMode::Stepwise,
       true,
       false},
      {"asks for preparation",
       annotated({{"starrocks.com/prepare-upgrade", "true"}}),
       {},
       true,
       RolloutMode::Stepwise,
       true,
       false},
      {"asks for preparation, and for no leading",
       annotated({{"starrocks.com/prepare-upgrade", "true"},
                  {"starrocks.com/upgrade-rollout", "operator"},
                  {"starrocks.com/upgrade-admission", "refuse"}}),
       {},
       true,
       RolloutMode::Operator,
       false,
       false},
      {"asks to be led",
       annotated({{"starrocks.com/upgrade-rollout", "ordered"}}),
       {},
       true,
       RolloutMode::Ordered,
       false,
       true},
      {"has hooks for another component", hooks_of_frontend, {}, true, RolloutMode::Stepwise, true, true},
      {"switched off",
       annotated({{"starrocks.com/prepare-upgrade", "false"}}),
       {},
       false,
       RolloutMode::Operator,
       false,
       false},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    HookSources sources{row.object, row.default_hooks, {{Component::Backend, "be:1", "be:2"}}};
    sources.rollout_defaults = defaults;
    const auto read = resolve_hooks(sources);
    CHECK(read.faults.empty());
    CHECK(read.configured == row.configured);
    CHECK(read.rollout.mode == row.mode);
    CHECK(read.led_by_default == row.by_default);
    CHECK(read.only_led == row.only_led);
  }
}
