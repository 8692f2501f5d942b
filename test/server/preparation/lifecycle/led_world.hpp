#pragma once
// A led rollout of three backends and three frontends: StatefulSets as the webhook lets them go, FEs on sockets.

#include <doctest/doctest.h>
#include <spdlog/logger.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/memory/memory_preparation_store.hpp"
#include "server/preparation/lifecycle/rollout_leader.hpp"
#include "server/starrocks/frontend_client.hpp"
#include "test/fakes/frontend_simulator.hpp"
#include "test/fakes/unused_cluster_access.hpp"
#include "test/server/preparation/world.hpp"

namespace gate::test {

inline constexpr int kPods = 3;

inline nlohmann::json object_at(const char* image) {
  return {{"spec", {{"starRocksFeSpec", {{"image", image}}}, {"starRocksBeSpec", {{"image", image}}}}}};
}

/// StatefulSets behind the webhook: a pass of operator and StatefulSet controller restarts what the record lets go.
class LedClusters final : public test::UnusedClusterAccess {
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
  std::vector<std::string> too_early;  ///< Restarted while a pod ahead of it was not back.

  /// How often an image was asked for, when the first FE restarted; so far where none has.
  [[nodiscard]] int images_before_first_frontend() const { return images_ >= 0 ? images_ : images_so_far(); }
  std::vector<std::string> events;

  /// The pods that were restarted by the last pass are back from now on.
  void pass(const Preparation& record) {
    back_ = true;
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

  /// At its target.
  Result<nlohmann::json> get_object(const std::string&, const ObjectRef& object, Deadline) override {
    auto out = object_at("sr:3.5.8");
    out["metadata"] = {{"uid", object.uid}, {"annotations", {{"starrocks.com/upgrade-rollout", "stepwise"}}}};
    return out;
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

 private:
  [[nodiscard]] int images_so_far() const {
    const auto all = simulator_.statements();
    return static_cast<int>(std::count_if(all.begin(), all.end(), [](const ReceivedStatement& one) {
      return one.sql.find("CREATE IMAGE") != std::string::npos;
    }));
  }

  void restart(Component component, int ordinal) {
    const auto number = std::to_string(ordinal);
    if (component == Component::Frontend && images_ < 0) images_ = images_so_far();
    if (!back_) too_early.push_back(std::string(to_string(component)) + "-" + number);
    back_ = false;
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
  int images_ = -1;   ///< When the first FE restarted.
  bool back_ = true;  ///< No pod of this pass was restarted yet.
};

inline FrontendSimulatorOptions three_frontends() {
  FrontendSimulatorOptions options;
  options.frontends = kPods;
  return options;
}

inline LedRollout stepwise() {
  LedRollout rollout;
  rollout.mode = RolloutMode::Stepwise;
  rollout.readings = 2;
  return rollout;
}

struct LedStory {
  MovableClock clock;
  MemoryPreparationStore store{clock};
  FrontendSimulator simulator{three_frontends()};
  LedClusters clusters{simulator, store};
  MysqlFrontendConnector connector;
  spdlog::logger log{"test"};
  Preparation record;

  explicit LedStory(LedRollout rollout = stepwise()) {
    Preparation wanted;
    wanted.name = "sr-1";
    wanted.name_space = "db";
    wanted.spec.object = {"StarRocksCluster", "sr", "uid"};
    wanted.spec.cluster = "sr";
    wanted.spec.changes = {{Component::Frontend, "sr:3.5.7", "sr:3.5.8"}, {Component::Backend, "sr:3.5.7", "sr:3.5.8"}};
    wanted.spec.rollout = std::move(rollout);
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
};

}  // namespace gate::test
