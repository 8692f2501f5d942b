// 100 clusters that are upgraded stepwise at once: what that costs of the API server and of memory, and that no pod of
// any of them restarts out of turn. Figures are printed. StatefulSets, operator and FEs are stand-ins in this process;
// the controller, its workers and its records are the gate's own. Time is moved by hand.

#include <doctest/doctest.h>
#include <malloc.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "policy/rollout/turns.hpp"
#include "test/chaos/counted_api.hpp"
#include "test/chaos/mortal_gate.hpp"
#include "test/chaos/sanitized.hpp"
#include "test/fakes/unused_cluster_access.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

constexpr int kPods = 3;
constexpr std::array kComponents{Component::Frontend, Component::Backend};

/// One cluster's pods: those with an ordinal below old[component] are not new yet.
struct Pods {
  std::map<Component, int> old{{Component::Frontend, kPods}, {Component::Backend, kPods}};
  std::map<Component, std::string> image{{Component::Frontend, "sr:3.5.7"}, {Component::Backend, "sr:3.5.7"}};
  std::vector<std::string> restarts;
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
      for (const auto component : kComponents) {
        const StatefulSetWrite write{component, record.spec.object, "sr", pods.image[component], "sr:3.5.8", true};
        const auto order = order_of(write, {record}, true);
        if (order.verdict == SetVerdict::Hold) continue;
        pods.image[component] = "sr:3.5.8";
        if (pods.old[component] <= (order.verdict == SetVerdict::Steer ? order.partition : 0)) continue;
        pods.restarts.push_back(std::string(to_string(component)) + "-" + std::to_string(--pods.old[component]));
      }
    }
  }
  [[nodiscard]] std::vector<std::string> restarts(const std::string& cluster) {
    const std::lock_guard lock(mutex_);
    return pods_[cluster].restarts;
  }

  Result<json> get_object(const std::string&, const ObjectRef& object, Deadline) override {
    ++calls_.reads;
    return json{
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
      set.replicas = set.existing = set.ready = kPods;
      set.updated = kPods - pods.old[change.component];
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
  void emit_event(const Preparation&, bool, const std::string&, const std::string&) override { calls_.writes += 2; }

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
      for (int i = 0; i < kPods; ++i) {
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

Preparation stepwise(std::size_t number) {
  auto record = record_of(cluster_name(number) + "-1", {no_scheduling()});
  record.spec.cluster = record.spec.object.name = cluster_name(number);
  record.spec.object.uid = "uid-" + cluster_name(number);
  record.spec.changes = {{Component::Frontend, "sr:3.5.7", "sr:3.5.8"}, {Component::Backend, "sr:3.5.7", "sr:3.5.8"}};
  record.spec.rollout.mode = RolloutMode::Stepwise;
  record.spec.rollout.admission = AdmissionMode::Hold;
  return record;
}

}  // namespace

TEST_CASE("100 clusters are upgraded stepwise at once: every pod in turn, and bounded in requests and memory") {
  constexpr std::size_t kClusters = kSanitized ? 20 : 100;
  constexpr std::size_t kSteps = 2 * kPods;
  ApiCalls calls;
  HandMovedTime time;
  const MachineClock clock(time, 0ms);
  spdlog::logger log("load");
  MemoryPreparationStore memory(clock);
  CountedStore store(memory, calls);
  LedFleet fleet(calls);
  ScriptedHttp http;
  ScriptedJobs scripts;
  ControllerOptions options;  // as shipped
  options.identity = "gate-0";
  const auto used = [] { return static_cast<double>(mallinfo2().uordblks) / (1 << 20); };
  const auto before = used();
  PreparationController controller(store, {fleet, fleet, http, scripts}, clock, log, options);
  store.observe([&](const Preparation& record, bool removed) { controller.record_changed(record, removed); });
  for (std::size_t i = 0; i < kClusters; ++i) REQUIRE(memory.create(stepwise(i), ample()).ok());
  const auto count = [&](const std::function<bool(const PreparationStatus&)>& holds) {
    const auto all = memory.cached();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Preparation& record) { return holds(record.status); }));
  };
  const auto quiet = [&] {
    const auto give_up = ample();
    while (!calls.activity.quiet()) REQUIRE(std::chrono::steady_clock::now() < give_up);
  };
  controller.start();
  std::uint64_t prepared = 0;
  double most = 0;
  int seconds = 0;
  // Three good readings, 5 s apart, for each of six steps, and the beginning: two minutes. Twenty is not an end.
  for (; seconds < 1200 && count([](const auto& status) { return status.stage == Stage::Closed; }) < kClusters;
       ++seconds) {
    time.move(1s);
    controller.record_changed(record_of("nobody", {}), false);  // makes waiting workers look at the clock
    quiet();
    fleet.pass(memory.cached());
    most = std::max(most, used() - before);
    if (prepared == 0 && count([](const auto& status) { return status.phase == Phase::Completed; }) == kClusters) {
      prepared = calls.all();
    }
  }
  controller.stop();
  const std::vector<std::string> in_turn{"be-2", "be-1", "be-0", "fe-2", "fe-1", "fe-0"};
  for (std::size_t i = 0; i < kClusters; ++i) CHECK(fleet.restarts(cluster_name(i)) == in_turn);
  CHECK(count([](const auto& status) { return status.outcome == Outcome::Succeeded; }) == kClusters);
  const double each = static_cast<double>(calls.all() - prepared) / static_cast<double>(kClusters * kSteps);
  MESSAGE(kClusters << " clusters, " << kSteps << " steps each, by 8 workers of one replica: done after " << seconds
                    << " s of the fleet's time; per cluster: " << static_cast<double>(prepared) / kClusters
                    << " API requests until prepared, " << each << " per step (" << calls.reads.load() << " reads and "
                    << calls.writes.load() << " writes in all); at most " << most << " MiB");
  // A look every 5 s, three for each step: each reads the object, two StatefulSets, Service and Secret, and writes.
  CHECK(each <= 100);
  CHECK(most < 64);
}

}  // namespace gate
