// Two replicas, one of them cut off from the API server and not from the FEs: the worst kind of partition, since it can
// go on working on the database while the other, which hears nothing of it, takes its record over.

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "policy/record/preparation_codec.hpp"
#include "test/chaos/mortal_gate.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

/// Long enough to see that a step comes in between two ticks; real, since a step is retried in real time.
constexpr RetryPolicy kVisibleRetry{20ms, 40ms};

std::string runner_of(ChaosWorld& chaos) { return chaos.world.get("r").status.runner.identity; }

/// For a story that does not end.
std::string state_of(ChaosWorld& chaos) {
  return to_json(chaos.world.get("r")).dump() + " after " + std::to_string(chaos.time.ahead().count()) + " ms";
}

TEST_CASE("a replica that is cut off from the API server leaves the FE alone before another takes over") {
  ChaosWorld chaos({.frontends = 1});
  chaos.world.simulator.stop(0);  // the hook is tried again and again, without a word to the record
  auto options = chaos_options("gate-0");
  options.claim_stale_after = 20s;
  options.hooks.retry = kVisibleRetry;
  MortalGate first(chaos, options);
  chaos.world.create(backend_record("r", {patient(no_scheduling())}));
  REQUIRE(chaos.until([&] { return first.connector.touches() >= 2; }, 0ms));
  first.line.set_apart(true);
  options.identity = "gate-1";
  MortalGate second(chaos, options, {}, -7h);
  REQUIRE(chaos.until([&] { return runner_of(chaos) == "gate-1"; }, 500ms));
  const auto touched = first.connector.touches();
  const auto taken_over = chaos.time.ahead();
  CHECK(taken_over >= 20s);

  chaos.world.simulator.start(0);
  REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Prepared; }, 500ms));
  // A retry comes every few ticks; a minute of them would show one.
  REQUIRE(chaos.until([&] { return chaos.time.ahead() > taken_over + 60s; }, 500ms));
  CHECK(first.connector.touches() == touched);

  // Back again, it finds that the record is another's, and leaves it so.
  first.line.set_apart(false);
  chaos.object_becomes(object_of("be:2"));
  chaos.rolls_out();
  REQUIRE_MESSAGE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Closed; }), state_of(chaos));
  CHECK(chaos.world.get("r").status.outcome == Outcome::Succeeded);
  CHECK(chaos.world.config() == kSchedulingDefault);
  CHECK(chaos.received(set_config_sql(kScheduling, "0")) == 1);
  CHECK(chaos.received(set_config_sql(kScheduling, kSchedulingDefault)) == 1);
  CHECK(chaos.broken_rules() == "");
}

TEST_CASE("cut off while the settings hold: the other replica keeps them, and the story ends as it should") {
  ChaosWorld chaos;
  auto options = chaos_options("gate-0");
  MortalGate first(chaos, options);
  chaos.world.create(backend_record("r", {patient(no_scheduling())}));
  REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Prepared; }));
  first.line.set_apart(true);
  REQUIRE(chaos.until([&] { return chaos.activity.quiet(); }, 0ms));
  const auto touched = first.connector.touches();
  chaos.world.simulator.restart(1);
  chaos.object_becomes(object_of("be:2"));
  options.identity = "gate-1";
  MortalGate second(chaos, options, {}, 11h);
  REQUIRE(chaos.until([&] { return chaos.world.config(1) == "0" && runner_of(chaos) == "gate-1"; }));
  chaos.rolls_out();
  REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Closed; }));
  CHECK(first.connector.touches() == touched);
  CHECK(chaos.world.get("r").status.outcome == Outcome::Succeeded);
  for (const std::size_t fe : {0, 1}) CHECK(chaos.world.config(fe) == kSchedulingDefault);
  CHECK(chaos.broken_rules() == "");
}

TEST_CASE("a replica whose clock is an hour ahead, or behind, takes over a healthy rollout and ends nothing early") {
  struct Row {
    const char* name;
    bool admission_seen;  // by the first replica, before it is cut off
    std::chrono::hours error;
  };
  for (const Row& row :
       {Row{"ahead, rolling", true, 1h}, Row{"ahead, just admitted", false, 1h}, Row{"behind, rolling", true, -1h}}) {
    INFO(row.name);
    ChaosWorld chaos;
    auto options = chaos_options("gate-0");
    options.admit_within = 1h;  // as shipped
    options.max_hold = 6h;
    options.claim_stale_after = 20s;
    MortalGate first(chaos, options);
    chaos.world.create(backend_record("r", {patient(no_scheduling())}));
    REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Prepared; }));
    if (row.admission_seen) {
      chaos.object_becomes(object_of("be:2"));
      REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::RollingOut; }));
    }
    first.line.set_apart(true);
    if (!row.admission_seen) chaos.object_becomes(object_of("be:2"));
    options.identity = "gate-1";
    MortalGate second(chaos, options, {}, row.error);
    REQUIRE(chaos.until([&] {
      const auto status = chaos.world.get("r").status;
      return status.runner.identity == "gate-1" && status.stage != Stage::Prepared;
    }));
    const auto taken_over = chaos.time.ahead();
    REQUIRE(chaos.until([&] { return chaos.time.ahead() > taken_over + 10min; }, 5s));
    CHECK(chaos.world.get("r").status.stage == Stage::RollingOut);
    CHECK(chaos.world.config() == "0");
    CHECK(chaos.received(set_config_sql(kScheduling, kSchedulingDefault)) == 0);
    chaos.rolls_out();
    REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Closed; }));
    CHECK(chaos.world.get("r").status.outcome == Outcome::Succeeded);
    CHECK(chaos.world.config() == kSchedulingDefault);
    CHECK(chaos.broken_rules() == "");
  }
}

TEST_CASE("clocks that are hours apart change nothing: a claim that is renewed is not taken over") {
  ChaosWorld chaos({.frontends = 1});
  chaos.world.simulator.hang("ADMIN SHOW");
  auto options = chaos_options("gate-0");
  options.claim_renewal = 200ms;
  options.claim_stale_after = 3s;
  MortalGate late(chaos, options, {}, -9h);
  auto hook = patient(no_scheduling());
  chaos.world.create(backend_record("r", {hook}));
  REQUIRE(chaos.world.signal.eventually([&] { return runner_of(chaos) == "gate-0"; }));
  options.identity = "gate-1";
  MortalGate early(chaos, options, {}, 9h);
  // In real time, which renewals come by: twice as long as a silent claim is respected for.
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(chaos.world.signal.eventually([&] {
    REQUIRE(runner_of(chaos) == "gate-0");
    return std::chrono::steady_clock::now() - began > 2 * options.claim_stale_after;
  }));
  CHECK(early.connector.touches() == 0);
  chaos.world.simulator.clear_faults();
  CHECK(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Prepared; }, 500ms));
}

}  // namespace
}  // namespace gate
