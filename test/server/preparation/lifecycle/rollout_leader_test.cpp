// Goal: against an FE that speaks the real protocol, a stepwise rollout restarts backends one at a time, then asks for
// an image, then restarts frontends; whoever leads may die between any two looks (within one: test/chaos).

#include "server/preparation/lifecycle/rollout_leader.hpp"

#include <memory>
#include <optional>

#include "server/preparation/lifecycle/record_lifecycle.hpp"
#include "test/fakes/forwarding_store.hpp"
#include "test/server/preparation/lifecycle/led_world.hpp"

using namespace gate;
using namespace gate::test;

namespace {

struct Story : LedStory {
  using LedStory::LedStory;

  /// One look by a leader that was born for it and dies after it.
  LeadLook look(const nlohmann::json& object = object_at("sr:3.5.8"), const std::vector<Preparation>& others = {},
                const std::string& unset = {}) {
    auto stored = store.get("db", "sr-1", ample());
    REQUIRE(stored);
    stored->status.runner = {"gate-0", clock.wall_now()};
    auto claimed = store.update_status(*stored, ample());
    REQUIRE(claimed);
    ClaimedRecord claim(store, clock, "gate-0", *claimed);
    RolloutLeader leader(clusters, connector, clock, log);
    const auto seen = leader.look(claim, object, others, ample(), unset);
    REQUIRE(seen);
    return *seen;
  }
  [[nodiscard]] RolloutProgress progress() { return store.get("db", "sr-1", ample()).value().status.rollout; }
  /// Until all backends are new.
  void until_frontends() {
    for (int i = 0; i < 40 && clusters.restarts.size() < 3; ++i) {
      look();
      clusters.pass(record);
    }
    REQUIRE(clusters.restarts.size() == 3);
  }
};

/// Lists no records when it is told so; everything else goes through.
class UnlistedStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  bool lists = true;

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    if (call.kind == StoreCall::Kind::List && !lists) return Error{ErrorCode::Unavailable, "connection refused"};
    return ForwardingStore::around(call, make);
  }
};

/// A warehouse of the same database, admitted as `record` is, that rolls before its FEs.
Preparation warehouse_before(const Preparation& record) {
  auto out = record;
  out.name = "wh-1";
  out.spec.object = {"StarRocksWarehouse", "wh", "uid-wh"};
  out.spec.changes = {{Component::Warehouse, "sr:3.5.7", "sr:3.5.8"}};
  return out;
}

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

TEST_CASE("no step ends while the settings are not confirmed, but those of the way back") {
  Story story;
  story.look();
  story.clusters.pass(story.record);
  for (int i = 0; i < 5; ++i) story.look(object_at("sr:3.5.8"), {}, "fe-1 refuses");
  CHECK(story.progress().turns[0].step == 1);
  CHECK(story.progress().turns[0].readings == 0);
  CHECK(story.progress().turns[0].waiting_for == "settings are not confirmed: fe-1 refuses");
  story.look();
  story.look();
  CHECK(story.progress().turns[0].step == 2);
  story.look(object_at("sr:3.5.7"), {}, "fe-1 refuses");
  CHECK(story.progress().back);
  for (const auto& turn : story.progress().turns) CHECK(turn.waiting_for.find("settings") == std::string::npos);
}

TEST_CASE("each check of the health list holds a step, whatever the ones before it say") {
  auto rollout = stepwise();
  rollout.health = {Probe::FrontendsAlive, Probe::TabletsHealthy};
  Story story(rollout);
  story.look();
  story.clusters.pass(story.record);
  story.simulator.fail("/statistic", {1064, "42000", "not now"});  // unknown is not well
  for (int i = 0; i < 3; ++i) story.look();
  CHECK(story.progress().turns[0].step == 1);
  CHECK_FALSE(story.progress().turns[0].waiting_for.empty());
  story.simulator.clear_faults();
  story.look();
  story.look();
  CHECK(story.progress().turns[0].step == 2);
}

TEST_CASE("a turn that others of the same database come before waits for them") {
  Story story;
  const auto other = warehouse_before(story.record);
  story.until_frontends();
  for (int i = 0; i < 5; ++i) {
    story.look(object_at("sr:3.5.8"), {other});
    story.clusters.pass(story.record);
  }
  CHECK(story.clusters.restarts.size() == 3);
  CHECK(story.progress().turns[1].waiting_for == "warehouse of wh rolls first (wh-1)");
  story.look();
  story.look();
  story.clusters.pass(story.record);
  CHECK(story.clusters.restarts.back() == "fe-2");
}

TEST_CASE("no turn begins while the records that may come before it cannot be read") {
  Story story;
  story.until_frontends();
  const auto other = warehouse_before(story.record);
  auto admitted = story.store.create(other, ample());
  REQUIRE(admitted);
  admitted->status = other.status;
  REQUIRE(story.store.update_status(*admitted, ample()));

  UnlistedStore store(story.store);
  ScriptedHttp http;
  ScriptedJobs scripts;
  StatusMirror mirror(story.clusters, story.clock);
  const HookPeers peers{story.clusters, story.connector, http, scripts};
  RecordLifecycle lifecycle({store, peers, mirror, story.clock, story.log}, {});
  const auto claim =
      std::make_shared<ClaimedRecord>(store, story.clock, "gate-0", story.store.get("db", "sr-1", ample()).value());
  const auto looks = [&] {
    for (int i = 0; i < 5; ++i) {
      RecordSession session;
      REQUIRE(lifecycle.advance(claim, session, {}, {}));
      story.clusters.pass(story.record);
    }
    return story.clusters.restarts.size();
  };
  store.lists = false;
  CHECK(looks() == 3);
  CHECK(story.progress().turns[1].phase == TurnPhase::Held);
  store.lists = true;
  CHECK(looks() == 3);
  CHECK(story.progress().turns[1].waiting_for == "warehouse of wh rolls first (wh-1)");
  admitted = story.store.get("db", "wh-1", ample());
  REQUIRE(admitted);
  admitted->status.stage = Stage::Closed;
  admitted->status.outcome = Outcome::Succeeded;
  REQUIRE(story.store.update_status(*admitted, ample()));
  REQUIRE(looks() > 3);
  CHECK(story.clusters.restarts[3] == "fe-2");
}

TEST_CASE("no FE restarts before the leader, whichever FE it is, has taken the order for an image") {
  for (const std::size_t leader : {0, 2}) {
    CAPTURE(leader);
    Story story;
    story.simulator.set_leader(leader);
    story.until_frontends();
    story.simulator.fail("CREATE IMAGE", {1064, "42000", "not now"});
    for (int i = 0; i < 6; ++i) {
      story.look();
      story.clusters.pass(story.record);
    }
    CHECK(story.clusters.restarts.size() == 3);
    CHECK_FALSE(story.progress().image_pushed);
    story.simulator.clear_faults();
    story.look();
    CHECK(story.progress().image_pushed);
    // Each look has a session of its own, with whichever FE: it sends on to the leader what it was told to.
    std::string before;
    for (const auto& statement : story.simulator.statements()) {
      if (statement.sql.find("CREATE IMAGE") != std::string::npos) CHECK(before == "SET forward_to_leader = true");
      before = statement.sql;
    }
  }
}

TEST_CASE("where a part of the change is taken back all is let go") {
  Story story;
  story.look();
  story.clusters.pass(story.record);
  auto part = object_at("sr:3.5.8");
  part["spec"]["starRocksFeSpec"]["image"] = "sr:3.5.7";
  CHECK_FALSE(story.look(part).led);
  CHECK(story.progress().turns.empty());
  CHECK(story.clusters.events.back() == "UpgradeRolloutLetGo");
}

TEST_CASE("an object with somebody else's images is not led, nor is a record that does not lead") {
  Story story;
  CHECK_FALSE(story.look(object_at("sr:9")).led);
  CHECK(story.progress().turns.empty());
  Story unled(LedRollout{});
  CHECK_FALSE(unled.look().led);
  CHECK(unled.progress().turns.empty());
}
