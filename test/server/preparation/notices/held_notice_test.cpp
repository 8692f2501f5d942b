// Goal: who has pods held, and nobody else, is told that nothing keeps them back any more.

#include "server/preparation/notices/held_notice.hpp"

#include <doctest/doctest.h>

#include "policy/rollout/turns.hpp"
#include "test/server/preparation/world.hpp"

using namespace gate;
using namespace gate::test;

namespace {

const Turn kRolling{{Component::Frontend}, TurnPhase::Rolling, 1, 1, 0, {}, {}, 0};
const Turn kHeld{{Component::Frontend}, TurnPhase::Held, 0, 0, 0, {}, {}, 0};

}  // namespace

TEST_CASE("each object with held pods gets one Event when the hold is lost, and one when it is kept again") {
  struct Row {
    const char* name;
    RolloutMode mode;
    AdmissionMode admission;
    Phase phase;
    Stage stage;
    std::vector<Turn> turns;
    bool told;
  };
  const Row rows[] = {
      {"hooks run", RolloutMode::Ordered, AdmissionMode::Hold, Phase::Running, Stage::Preparing, {}, true},
      {"a turn is held",
       RolloutMode::Ordered,
       AdmissionMode::Refuse,
       Phase::Completed,
       Stage::RollingOut,
       {kHeld},
       true},
      {"the last turn rolls whole",
       RolloutMode::Ordered,
       AdmissionMode::Hold,
       Phase::Completed,
       Stage::RollingOut,
       {kRolling},
       false},
      {"a pod of the last turn is kept back",
       RolloutMode::Stepwise,
       AdmissionMode::Hold,
       Phase::Completed,
       Stage::RollingOut,
       {Turn{{Component::Frontend}, TurnPhase::Rolling, 1, 2, 1, {}, {}, 0}},
       true},
      {"Paused",
       RolloutMode::Ordered,
       AdmissionMode::Hold,
       Phase::Completed,
       Stage::RollingOut,
       {Turn{{Component::Frontend}, TurnPhase::Paused, 1, 1, 0, {}, {}, 0}},
       true},
      {"failed, and tried again", RolloutMode::Ordered, AdmissionMode::Hold, Phase::Failed, Stage::Closed, {}, true},
      {"failed, and refused", RolloutMode::Ordered, AdmissionMode::Refuse, Phase::Failed, Stage::Closed, {}, false},
      {"over", RolloutMode::Ordered, AdmissionMode::Hold, Phase::Completed, Stage::Closed, {}, false},
      {"the operator leads", RolloutMode::Operator, AdmissionMode::Refuse, Phase::Running, Stage::Preparing, {}, false},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    World world;
    auto record = record_of("sr-key-1", {});
    record.spec.rollout.mode = row.mode;
    record.spec.rollout.admission = row.admission;
    world.create(record);
    world.write("sr-key-1", [&](PreparationStatus& status) {
      status.phase = row.phase;
      status.stage = row.stage;
      if (row.phase == Phase::Failed) status.outcome = Outcome::Failed;
      status.rollout.turns = row.turns;
    });
    HeldNotice notice(world.store, world.clusters, world.clock, world.log);
    notice.look();
    CHECK(world.clusters.events().empty());
    notice.webhook_found("webhook statefulsets.gate.starrocks.com is missing");
    notice.look();
    CHECK(notice.lost() == (row.told ? 1 : 0));
    notice.webhook_found("");
    notice.look();
    CHECK(notice.lost() == 0);
    const std::vector<std::string> both{"UpgradeHoldLost", "UpgradeHoldKept"};
    CHECK(world.clusters.events() == (row.told ? both : std::vector<std::string>{}));
  }
}

TEST_CASE("a namespace that loses its label during a hold is noticed as a webhook that is lost") {
  World world;
  auto record = record_of("sr-key-1", {});
  record.spec.rollout.mode = RolloutMode::Ordered;
  record.spec.rollout.admission = AdmissionMode::Hold;
  world.create(record);
  HeldNotice notice(world.store, world.clusters, world.clock, world.log);
  const std::vector<std::string> lost{"UpgradeHoldLost"};
  const std::vector<std::string> both{"UpgradeHoldLost", "UpgradeHoldKept"};

  world.clusters.cannot_lead("namespace db lacks a label");
  SUBCASE("and given back") {
    notice.look();
    notice.look();
    CHECK(world.clusters.events() == lost);
    CHECK(notice.lost() == 1);
    world.clusters.cannot_lead("");
    notice.look();
    CHECK(world.clusters.events() == both);
    CHECK(notice.lost() == 0);
  }
  SUBCASE("and then the webhook goes, too: once") {
    notice.look();
    notice.webhook_found("webhook is missing");
    world.clusters.cannot_lead("");
    notice.look();
    CHECK(world.clusters.events() == lost);
    notice.webhook_found("");
    CHECK(world.clusters.events() == both);
  }
  SUBCASE("and then the hold ends: nothing is lost any more, and nobody is told of it") {
    notice.look();
    world.write("sr-key-1", [](PreparationStatus& status) {
      status.stage = Stage::Closed;
      status.outcome = Outcome::Reverted;
    });
    notice.look();
    CHECK(world.clusters.events() == lost);
    CHECK(notice.lost() == 0);
  }
  SUBCASE("and the API server does not say for a while: what was known stays") {
    notice.look();
    world.clusters.cannot_ask_whether_to_lead("connection refused");
    notice.look();
    CHECK(world.clusters.events() == lost);
    CHECK(notice.lost() == 1);
  }
}

TEST_CASE("a led rollout that takes too long says what to do with the pods that it leaves held") {
  for (const auto mode : {RolloutMode::Ordered, RolloutMode::Operator}) {
    World world;
    const Replica replica(world);
    auto record = record_of("r", {no_scheduling()});
    record.spec.rollout.mode = mode;
    world.create(record);
    REQUIRE(world.reaches("r", Stage::Prepared));
    world.object_becomes(object_with("fe:2"));
    REQUIRE(world.reaches("r", Stage::RollingOut));
    world.clock.move(std::chrono::hours(7));
    REQUIRE(world.signal.eventually([&] { return world.last("r").status.stage == Stage::Closed; }));
    const bool told = world.last("r").status.message.find(kHowToLetGo) != std::string::npos;
    CHECK(told == (mode == RolloutMode::Ordered));
  }
}
