#pragma once
// Clusters whose upgrades are led, behind a whole PreparationController: StatefulSets, operator and FEs are stand-ins
// in this process, and all that is asked of the API server is counted.

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "policy/rollout/turns.hpp"
#include "test/chaos/counted_api.hpp"
#include "test/fakes/unused_cluster_access.hpp"

namespace gate::test {

inline constexpr int kFleetPods = 3;
inline constexpr std::array kFleetComponents{Component::Frontend, Component::Backend};

/// One cluster's pods: those with an ordinal below old[component] are not new yet.
struct Pods {
  std::map<Component, int> old{{Component::Frontend, kFleetPods}, {Component::Backend, kFleetPods}};
  std::map<Component, std::string> image{{Component::Frontend, "sr:3.5.7"}, {Component::Backend, "sr:3.5.7"}};
  std::vector<std::string> restarts;
  std::vector<std::size_t> images;  ///< For each image of the metadata that was asked for: how many restarts before it.
};

/// Clusters "sr-<n>" behind the gate's answers, and their databases; all that is asked is counted.
class LedFleet final : public UnusedClusterAccess, public FrontendConnector {
 public:
  explicit LedFleet(ApiCalls& calls) : calls_(calls) {}

  /// One pass of operator and StatefulSet controller over every cluster: of each StatefulSet at most one pod restarts.
  void pass(const std::vector<Preparation>& records) {
    const std::lock_guard lock(mutex_);
    for (const auto& record : records) {
      auto& pods = pods_[record.spec.cluster];
      for (const auto component : kFleetComponents) {
        const StatefulSetWrite write{component, record.spec.object, "sr", pods.image[component], "sr:3.5.8", true};
        const auto order = order_of(write, {record}, true);
        if (order.verdict == SetVerdict::Hold) continue;
        pods.image[component] = "sr:3.5.8";
        if (pods.old[component] <= (order.verdict == SetVerdict::Steer ? order.partition : 0)) continue;
        pods.restarts.push_back(std::string(to_string(component)) + "-" + std::to_string(--pods.old[component]));
      }
    }
  }
  /// Whether each pod of the cluster is new.
  [[nodiscard]] bool all_new(const std::string& cluster) {
    const std::lock_guard lock(mutex_);
    const auto& old = pods_[cluster].old;
    return std::all_of(old.begin(), old.end(), [](const auto& entry) { return entry.second == 0; });
  }
  [[nodiscard]] std::vector<std::size_t> images(const std::string& cluster) {
    const std::lock_guard lock(mutex_);
    return pods_[cluster].images;
  }
  /// Whether the cluster's setting is what a hook made of it.
  [[nodiscard]] bool is_set(const std::string& cluster) {
    const std::lock_guard lock(mutex_);
    return set_[cluster];
  }
  [[nodiscard]] std::vector<std::string> restarts(const std::string& cluster) {
    const std::lock_guard lock(mutex_);
    return pods_[cluster].restarts;
  }

  Result<nlohmann::json> get_object(const std::string&, const ObjectRef& object, Deadline) override {
    ++calls_.reads;
    return nlohmann::json{
        {"metadata",
         {{"name", object.name},
          {"uid", object.uid},
          {"annotations", {{"starrocks.com/prepare-upgrade", "true"}, {"starrocks.com/upgrade-rollout", "stepwise"}}}}},
        {"spec", {{"starRocksFeSpec", {{"image", "sr:3.5.8"}}}, {"starRocksBeSpec", {{"image", "sr:3.5.8"}}}}}};
  }
  Result<FrontendAccess> frontend_access(const std::string&, const std::string& cluster, Deadline) override {
    calls_.reads += 2;  // Service and Secret
    FrontendAccess access;
    access.address = {cluster, 9030};
    return access;
  }
  Result<std::vector<StatefulSetState>> stateful_sets(const Preparation& record, Deadline) override {
    std::vector<StatefulSetState> out;
    const std::lock_guard lock(mutex_);
    auto& pods = pods_[record.spec.cluster];
    for (const auto& change : record.spec.changes) {
      ++calls_.reads;
      StatefulSetState set;
      set.component = change.component;
      set.name = stateful_set_name(record.spec, change.component);
      set.exists = set.observed = true;
      set.image = pods.image[change.component];
      set.replicas = set.existing = set.ready = kFleetPods;
      set.updated = kFleetPods - pods.old[change.component];
      out.push_back(set);
    }
    return out;
  }
  Result<RolloutState> rollout_state(const Preparation& record, const RolloutGoal&, Deadline) override {
    calls_.reads += record.spec.changes.size();
    const std::lock_guard lock(mutex_);
    const auto& old = pods_[record.spec.cluster].old;
    const bool done = std::all_of(old.begin(), old.end(), [](const auto& entry) { return entry.second == 0; });
    return RolloutState{done, done ? "" : "StatefulSet", true, done, {}};
  }
  Result<FrontendLife> frontend_life(const std::string&, const std::string&, Deadline) override {
    return FrontendLife::MayLive;
  }
  Status mirror_status(const Preparation&, Deadline) override {
    ++calls_.writes;
    return Ok{};
  }
  void emit_event(const Preparation&, bool warning, const std::string&, const std::string&) override {
    calls_.writes += warning ? 2 : 1;  // on the cluster; warnings on the record, too
  }

  Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access, Deadline) override {
    return Result<std::unique_ptr<FrontendSession>>(std::make_unique<Session>(*this, access.address.host));
  }
  void interrupt() override {}

 private:
  /// FEs of one address each would be more sessions, not more requests: one stands for all.
  class Session final : public FrontendSession {
   public:
    Session(LedFleet& fleet, std::string cluster) : fleet_(fleet), cluster_(std::move(cluster)) {}
    Result<QueryResult> execute(std::string_view sql, Deadline) override {
      const ApiCalls::UnderWay under_way(fleet_.calls_);
      const std::lock_guard lock(fleet_.mutex_);
      QueryResult out;
      if (sql == "SHOW FRONTENDS") {
        out.columns = {"Name", "IP", "QueryPort", "Alive", "Role", "StartTime", "Version"};
        add_rows(out, Component::Frontend);
      } else if (sql == "SHOW BACKENDS") {
        out.columns = {"IP", "HeartbeatPort", "Alive", "LastStartTime", "Version"};
        add_rows(out, Component::Backend);
      } else if (sql == "SHOW COMPUTE NODES") {
        out.columns = {"IP", "HeartbeatPort", "Alive", "LastStartTime", "Version"};
      } else if (sql == "ALTER SYSTEM CREATE IMAGE") {
        auto& pods = fleet_.pods_[cluster_];
        pods.images.push_back(pods.restarts.size());
      } else if (sql.starts_with("ADMIN SHOW")) {
        out.columns = {"Key", "Value"};
        out.rows = {{kScheduling, fleet_.set_[cluster_] ? "0" : kSchedulingDefault}};
      } else if (sql.starts_with("ADMIN SET")) {
        fleet_.set_[cluster_] = sql == set_config_sql(kScheduling, "0");
      }
      return out;
    }

   private:
    void add_rows(QueryResult& out, Component component) {
      const auto& pods = fleet_.pods_[cluster_];
      for (int i = 0; i < kFleetPods; ++i) {
        const bool old = i < pods.old.at(component);
        const std::string pod =
            cluster_ + "-" + std::string(to_string(component)) + "-" + std::to_string(i) + ".search";
        const std::string started = old ? "2026-01-01 00:00:00" : "2026-01-02 00:00:00";
        const std::string version = old ? "3.5.7" : "3.5.8";
        if (component == Component::Frontend) {
          // The first alone has a session: the others' configuration is the same.
          out.rows.push_back(
              {pod + "_9010_1", cluster_, "9030", "true", i == 0 ? "LEADER" : "FOLLOWER", started, version});
        } else {
          out.rows.push_back({pod, "9050", "true", started, version});
        }
      }
    }
    LedFleet& fleet_;
    const std::string cluster_;
  };

  ApiCalls& calls_;
  std::mutex mutex_;
  std::map<std::string, Pods> pods_;  // by cluster, guarded by mutex_
  std::map<std::string, bool> set_;   // by cluster, guarded by mutex_
};

/// A stepwise upgrade of FEs and BEs of the cluster with that number, held until it is prepared.
inline Preparation stepwise(std::size_t number) {
  auto record = record_of(cluster_name(number) + "-1", {no_scheduling()});
  record.spec.cluster = record.spec.object.name = cluster_name(number);
  record.spec.object.uid = "uid-" + cluster_name(number);
  record.spec.changes = {{Component::Frontend, "sr:3.5.7", "sr:3.5.8"}, {Component::Backend, "sr:3.5.7", "sr:3.5.8"}};
  record.spec.rollout.mode = RolloutMode::Stepwise;
  record.spec.rollout.admission = AdmissionMode::Hold;
  return record;
}

}  // namespace gate::test
