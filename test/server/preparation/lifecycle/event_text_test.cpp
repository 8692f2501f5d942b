// Events are read by people who see nothing else of a record.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>

#include "test/server/preparation/world.hpp"

namespace gate {
namespace {

using namespace test;

std::ptrdiff_t told(const World& world, const std::string& reason) {
  const auto reasons = world.clusters.events();
  return std::count(reasons.begin(), reasons.end(), reason);
}

TEST_CASE("events count the hooks, and say what may be done once they are over; settings begin and end as one") {
  struct Row {
    const char* name;
    std::vector<Hook> hooks;
    AdmissionMode admission;
    std::string begun;
    std::string over;
  };
  const std::string repeat = "; a request that still waits is admitted, one that was refused must be repeated";
  for (const Row& row :
       {Row{"one", {no_scheduling()}, AdmissionMode::Refuse, "", "the pre-upgrade hook completed" + repeat},
        Row{"two",
            {no_scheduling(), setting_hook("other", "disable_balance", "true")},
            AdmissionMode::Refuse,
            "",
            "2 pre-upgrade hooks completed" + repeat},
        Row{"none, held",
            {},
            AdmissionMode::Hold,
            "",
            "nothing to do before the upgrade; pods that were held may roll"},
        Row{"one that may take its time",
            {statement_hook("image", "ALTER SYSTEM CREATE IMAGE")},
            AdmissionMode::Refuse,
            "running 1 pre-upgrade hook",
            "the pre-upgrade hook completed" + repeat}}) {
    INFO(row.name);
    World world;
    const Replica replica(world);
    auto record = record_of("r", row.hooks);
    record.spec.rollout.admission = row.admission;
    world.create(record);
    const auto says = [&](const std::string& text) {
      const auto texts = world.clusters.event_texts();
      return std::count(texts.begin(), texts.end(), text) == 1;
    };
    CHECK(world.signal.eventually([&] { return says("UpgradePreparationCompleted: " + row.over); }));
    CHECK(says("UpgradePreparationStarted: " + row.begun) == !row.begun.empty());
  }
}

TEST_CASE("settings that are not through at once are told when they are waited for, and once") {
  World world;
  world.simulator.stop(0);
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.signal.eventually([&] { return told(world, "UpgradePreparationStarted") == 1; }));
  world.simulator.start(0);
  REQUIRE(world.reaches("r", Stage::Prepared));
  CHECK(told(world, "UpgradePreparationStarted") == 1);
  CHECK(world.signal.eventually([&] { return told(world, "UpgradePreparationCompleted") == 1; }));
}

TEST_CASE("an outcome whose settings are restored at once is one event; one that takes longer is two") {
  for (const bool at_once : {true, false}) {
    CAPTURE(at_once);
    World world;
    auto asks = object_with("fe:1");
    asks["metadata"]["annotations"] = {{"starrocks.com/prepare-upgrade", "true"}};
    world.object_becomes(asks);
    auto options = quick_options("replica-a");
    options.default_hooks = {};
    const Replica replica(world, options);
    auto record = record_of("r", {no_scheduling()});
    record.spec.asked_before = true;
    world.create(record);
    REQUIRE(world.reaches("r", Stage::Prepared));
    if (!at_once) world.simulator.stop(0);
    world.object_becomes(object_with("fe:1"));
    if (!at_once) {
      REQUIRE(world.signal.eventually([&] { return told(world, "UpgradeRestoreOwed") == 1; }));
      world.simulator.start(0);
      world.simulator.frontend(0).set_config(kScheduling, "0");
    }
    REQUIRE(world.reaches("r", Stage::Closed));
    const auto says = [&](const std::string& text) {
      const auto texts = world.clusters.event_texts();
      return std::count(texts.begin(), texts.end(), text) == 1;
    };
    const std::string back = "; captured settings are back";
    const std::string closed = "UpgradePreparationClosed: outcome Reverted" + back;
    const std::string reverted = "UpgradeReverted: the object no longer asks for upgrade hooks";
    CHECK(world.signal.eventually([&] { return says(at_once ? reverted + back : closed); }));
    CHECK(says(reverted) == !at_once);
    CHECK(says(closed) == !at_once);
    CHECK(told(world, "UpgradeRestoreOwed") == (at_once ? 0 : 1));
  }
}

TEST_CASE("an outcome that is a warning is told before anything is restored") {
  World world;
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  world.clusters.set_frontend_life(FrontendLife::MayLive);
  world.simulator.stop(0);
  world.object_becomes(nullptr);
  CHECK(world.signal.eventually([&] { return told(world, "UpgradePreparationExpired") == 1; }));
  CHECK(world.get("r").status.restore_pending);
  world.simulator.start(0);
  world.simulator.frontend(0).set_config(kScheduling, "0");
  REQUIRE(world.reaches("r", Stage::Closed));
  CHECK(world.signal.eventually([&] { return told(world, "UpgradePreparationClosed") == 1; }));
  CHECK(told(world, "UpgradePreparationExpired") == 1);
}

}  // namespace
}  // namespace gate
