// Goal: against an FE that speaks the real protocol, a stepwise rollout restarts backends one at a time, then asks for
// an image, then restarts frontends; whoever leads may die between any two looks.

#include "server/preparation/lifecycle/rollout_leader.hpp"

#include <doctest/doctest.h>
#include <spdlog/logger.h>

#include <nlohmann/json.hpp>

#include "server/memory/memory_preparation_store.hpp"
#include "server/starrocks/frontend_client.hpp"
#include "test/fakes/frontend_simulator.hpp"
#include "test/server/preparation/world.hpp"

using namespace gate;
using namespace gate::test;

namespace {

constexpr int kPods = 3;

/// StatefulSets behind the webhook: a pass of operator and StatefulSet controller restarts what the record lets go.
class LedClusters final : public ClusterAccess {
 public:
  LedClusters(FrontendSimulator& simulator, PreparationStore& store) : simulator_(simulator), store_(store) {
    for (const auto component : {Component::Backend, Component::Frontend}) {
      StatefulSetState set;
      set.component = component;
      set.name = "sr-" + std::string(to_string(component));
      set.exists = set.observed = true;
      set.image = "sr:3.5.7";
      set.replicas = set.existing = set.ready = set.updated = kPods;
      sets_.push_back(set);
    }
  }

  std::vector<std::string> restarts;
  std::vector<std::string> events;

  void pass(const Preparation& record) {
    const auto now = store_.get(record.name_space, record.name, ample());
    REQUIRE(now);
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      auto& set = sets_[i];
      const StatefulSetWrite write{set.component, record.spec.object, set.name, set.image, "sr:3.5.8", true};
      const auto order = order_of(write, {*now}, true);
      if (order.verdict == SetVerdict::Hold) continue;
      set.image = "sr:3.5.8";
      set.partition = order.verdict == SetVerdict::Steer ? order.partition : 0;
      for (; old_[i] > set.partition; --old_[i]) restart(set.component, old_[i] - 1);
      set.updated = kPods - old_[i];
    }
  }

  Result<std::vector<StatefulSetState>> stateful_sets(const Preparation&, Deadline) override { return sets_; }
  Result<FrontendAccess> frontend_access(const std::string&, const std::string&, Deadline) override {
    FrontendAccess out;
    out.address = {"127.0.0.1", simulator_.frontend(0).port()};
    return out;
  }
  void emit_event(const Preparation&, bool, const std::string& reason, const std::string&) override {
    events.push_back(reason);
  }
  Result<nlohmann::json> get_object(const std::string&, const ObjectRef&, Deadline) override { return unused(); }
  Result<std::map<std::string, std::string>> config_map(const std::string&, const std::string&, Deadline) override {
    return unused();
  }
  Result<std::string> secret_value(const std::string&, const std::string&, const std::string&, Deadline) override {
    return unused();
  }
  Result<bool> may(const UserInfo&, std::string_view, const std::string&, Deadline) override { return unused(); }
  Result<RolloutState> rollout_state(const Preparation&, const RolloutGoal&, Deadline) override { return unused(); }
  Result<FrontendLife> frontend_life(const std::string&, const std::string&, Deadline) override { return unused(); }
  Status mirror_status(const Preparation&, Deadline) override { return Ok{}; }

 private:
  static Error unused() { return {ErrorCode::Internal, "not asked for here"}; }

  void restart(Component component, int ordinal) {
    const auto number = std::to_string(ordinal);
    restarts.push_back(std::string(to_string(component)) + "-" + number);
    if (component == Component::Backend) {
      simulator_.move_backend("be-" + number, NodeMove::Up, "3.5.8");
    } else {
      simulator_.restart(static_cast<std::size_t>(ordinal));
      simulator_.set_frontend_version(static_cast<std::size_t>(ordinal), "3.5.8");
    }
  }

  FrontendSimulator& simulator_;
  PreparationStore& store_;
  std::vector<StatefulSetState> sets_;
  std::array<int, 2> old_{kPods, kPods};
};

nlohmann::json object_at(const char* image) {
  return {{"spec", {{"starRocksFeSpec", {{"image", image}}}, {"starRocksBeSpec", {{"image", image}}}}}};
}

FrontendSimulatorOptions three_frontends() {
  FrontendSimulatorOptions options;
  options.frontends = kPods;
  return options;
}

struct Story {
  MovableClock clock;
  MemoryPreparationStore store{clock};
  FrontendSimulator simulator{three_frontends()};
  LedClusters clusters{simulator, store};
  MysqlFrontendConnector connector;
  spdlog::logger log{"test"};
  Preparation record;

  Story() {
    Preparation wanted;
    wanted.name = "sr-1";
    wanted.name_space = "db";
    wanted.spec.object = {"StarRocksCluster", "sr", "uid"};
    wanted.spec.cluster = "sr";
    wanted.spec.changes = {{Component::Frontend, "sr:3.5.7", "sr:3.5.8"}, {Component::Backend, "sr:3.5.7", "sr:3.5.8"}};
    wanted.spec.rollout.mode = RolloutMode::Stepwise;
    wanted.spec.rollout.readings = 2;
    auto made = store.create(wanted, ample());
    REQUIRE(made);
    made->status.phase = Phase::Completed;
    made->status.stage = Stage::RollingOut;
    FrontendFleet fleet(connector, clusters.frontend_access("db", "sr", ample()).value(), clock);
    const auto nodes = fleet.nodes(ample());
    REQUIRE(nodes);
    made->status.nodes_before = nodes_to_restart(wanted.spec, *nodes);
    auto stored = store.update_status(*made, ample());
    REQUIRE(stored);
    record = *stored;
  }

  /// One look by a leader that was born for it and dies after it.
  LeadLook look(const nlohmann::json& object = object_at("sr:3.5.8")) {
    auto stored = store.get("db", "sr-1", ample());
    REQUIRE(stored);
    stored->status.runner = {"gate-0", clock.wall_now()};
    auto claimed = store.update_status(*stored, ample());
    REQUIRE(claimed);
    ClaimedRecord claim(store, clock, "gate-0", *claimed);
    RolloutLeader leader(clusters, connector, clock, log);
    const auto seen = leader.look(claim, object, ample());
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
