// Goal: against an FE that speaks the real protocol, a stepwise rollout restarts backends one at a time, then asks for
// an image, then restarts frontends; whoever leads may die between any two looks (within one: test/chaos).

#include "server/preparation/lifecycle/rollout_leader.hpp"

#include "test/server/preparation/lifecycle/led_world.hpp"

using namespace gate;
using namespace gate::test;

namespace {

struct Story : LedStory {
  /// One look by a leader that was born for it and dies after it.
  LeadLook look(const nlohmann::json& object = object_at("sr:3.5.8")) {
    auto stored = store.get("db", "sr-1", ample());
    REQUIRE(stored);
    stored->status.runner = {"gate-0", clock.wall_now()};
    auto claimed = store.update_status(*stored, ample());
    REQUIRE(claimed);
    ClaimedRecord claim(store, clock, "gate-0", *claimed);
    RolloutLeader leader(clusters, connector, clock, log);
    const auto seen = leader.look(claim, object, {}, ample());
    REQUIRE(seen);
    return *seen;
  }
};

}  // namespace

TEST_CASE("a stepwise rollout, each look by another process") {
  Story story;
  LeadLook seen;
  for (int i = 0; i < 60 && !seen.finished; ++i) {
    seen = story.look();
    story.clusters.pass(story.record);
  }
  CHECK(seen.finished);
  CHECK(story.clusters.restarts == std::vector<std::string>{"be-2", "be-1", "be-0", "fe-2", "fe-1", "fe-0"});
  int images = 0;
  for (const auto& statement : story.simulator.statements()) {
    if (statement.sql.find("CREATE IMAGE") != std::string::npos) ++images;
  }
  CHECK(images == 1);
}

TEST_CASE("a backend that does not come back stops the rollout at its step") {
  Story story;
  story.look();
  story.clusters.pass(story.record);
  story.simulator.move_backend("be-2", NodeMove::Down);
  for (int i = 0; i < 5; ++i) {
    story.look();
    story.clusters.pass(story.record);
  }
  CHECK(story.clusters.restarts == std::vector<std::string>{"be-2"});
  story.clock.move(kStepTimeoutDefault + std::chrono::seconds(1));
  CHECK(story.look().waiting_for == "be: paused at step 1 of 3");
  CHECK(story.clusters.events.back() == "UpgradeRolloutPaused");
  auto resumed = object_at("sr:3.5.8");
  resumed["metadata"]["annotations"]["starrocks.com/upgrade-resume"] = "1";
  story.simulator.move_backend("be-2", NodeMove::Up, "3.5.8");
  CHECK(story.look(resumed).waiting_for == "be: step 1 of 3");
}

TEST_CASE("an object with somebody else's images is not led, nor is a record that does not lead") {
  Story story;
  CHECK_FALSE(story.look(object_at("sr:9")).led);
  CHECK(story.store.get("db", "sr-1", ample()).value().status.rollout.turns.empty());
}
