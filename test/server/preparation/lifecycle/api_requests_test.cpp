// What an upgrade asks of the API server, by kind, from its record to the closed one: two replicas, four settings. Each
// kind has its bound and its reason; what is asked more often than that is to be noticed here, not in a bench.

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/preparation/lifecycle/controller.hpp"
#include "test/fakes/forwarding_store.hpp"
#include "test/fakes/unused_cluster_access.hpp"
#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

/// Requests by "replica kind".
class Counts {
 public:
  void add(const std::string& replica, const std::string& kind) {
    const std::lock_guard lock(mutex_);
    ++counts_[replica + " " + kind];
  }
  [[nodiscard]] std::map<std::string, int> all() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int> counts_;  // guarded by mutex_
};

/// As KubePreparationStore asks: what the watch told of is known, and so is that no other record is open.
class CountedRecords final : public ForwardingStore {
 public:
  CountedRecords(PreparationStore& store, Counts& counts, std::string replica)
      : ForwardingStore(store), counts_(counts), replica_(std::move(replica)) {}
  Result<std::vector<Preparation>> known_of_cluster(const std::string& name_space, const std::string& cluster,
                                                    Deadline deadline) override {
    return store_.list_of_cluster(name_space, cluster, deadline);
  }
  Result<std::vector<Preparation>> list_of_cluster_since(const std::string& name_space, const std::string& cluster,
                                                         const std::string& written, Deadline deadline) override {
    auto records = store_.list_of_cluster(name_space, cluster, deadline);
    const bool alone = records && std::all_of(records->begin(), records->end(), [&](const Preparation& record) {
                         return record.resource_version == written || !is_open(record);
                       });
    return alone ? records : list_of_cluster(name_space, cluster, deadline);
  }

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    static const std::map<StoreCall::Kind, std::string> kNames = {
        {StoreCall::Kind::Create, "create record"}, {StoreCall::Kind::Get, "get record"},
        {StoreCall::Kind::List, "list records"},    {StoreCall::Kind::Write, "write record"},
        {StoreCall::Kind::LetGo, "let go record"},  {StoreCall::Kind::Remove, "remove record"}};
    counts_.add(replica_, kNames.at(call.kind));
    return ForwardingStore::around(call, make);
  }

  Counts& counts_;
  const std::string replica_;
};

/// The one cluster, as stored, with its versions; each write is told as a watch does.
class StoredCluster {
 public:
  explicit StoredCluster(json object) : object_(std::move(object)) {}

  [[nodiscard]] json get() const {
    const std::lock_guard lock(mutex_);
    return object_;
  }
  Result<std::string> write(const std::function<void(json&)>& change, const std::string& expected = {}) {
    std::string version;
    {
      const std::lock_guard lock(mutex_);
      if (!expected.empty() && object_["metadata"]["resourceVersion"] != expected) {
        return Error{ErrorCode::Conflict, "stale"};
      }
      change(object_);
      version = std::to_string(++version_);
      object_["metadata"]["resourceVersion"] = version;
    }
    tell(version);
    return version;
  }
  std::function<void(const std::string& version)> tell = [](const std::string&) {};

 private:
  mutable std::mutex mutex_;
  int version_ = 1;  // guarded by mutex_
  json object_;      // guarded by mutex_
};

class CountedClusters final : public UnusedClusterAccess {
 public:
  CountedClusters(StoredCluster& cluster, FrontendAccess access, Counts& counts, std::string replica)
      : cluster_(cluster), access_(std::move(access)), counts_(counts), replica_(std::move(replica)) {}
  Result<json> get_object(const std::string&, const ObjectRef&, Deadline) override {
    counts_.add(replica_, "get cluster");
    return cluster_.get();
  }
  Result<FrontendAccess> frontend_access(const std::string&, const std::string&, Deadline) override {
    counts_.add(replica_, "get cluster for its login");
    return access_;
  }
  Result<FrontendAccess> frontend_access_of(const json&, const std::string&, const std::string&, Deadline) override {
    return access_;
  }
  Result<RolloutState> rollout_state(const Preparation&, const RolloutGoal&, Deadline) override {
    counts_.add(replica_, "get statefulset");
    return RolloutState{false, "StatefulSet sr-be", false, false, {}};
  }
  Status mirror_status(const Preparation&, Deadline) override {
    counts_.add(replica_, "mirror without a version");
    return Ok{};
  }
  Result<std::string> write_cluster_status(const std::string&, const std::string&, const std::string& version,
                                           const json& fields, Deadline) override {
    counts_.add(replica_, "write cluster status");
    return cluster_.write([&](json& object) { object["status"].merge_patch(fields); }, version);
  }
  void emit_event(const Preparation&, bool, const std::string& reason, const std::string&) override {
    counts_.add(replica_, "event " + reason);
  }

 private:
  StoredCluster& cluster_;
  const FrontendAccess access_;
  Counts& counts_;
  const std::string replica_;
};

/// A replica with conditions, whose time does not come by itself.
struct CountedReplica {
  CountedReplica(World& world, StoredCluster& cluster, Counts& counts, const std::string& name)
      : store(world.store, counts, name),
        clusters(cluster, world.access(), counts, name),
        controller(store, {clusters, connector, world.http, world.scripts}, world.clock, world.log, options_of(name)) {
    controller.start();
  }
  ~CountedReplica() { controller.stop(); }
  CountedReplica(const CountedReplica&) = delete;
  CountedReplica& operator=(const CountedReplica&) = delete;

  static ControllerOptions options_of(const std::string& name) {
    auto options = quick_options(name);
    options.conditions = true;
    options.default_hooks = {};
    options.reassert_interval = 1h;
    options.claim_renewal = 1h;
    options.progress_stored_after = 1h;
    options.claim_stale_after = 10h;
    return options;
  }

  CountedRecords store;
  CountedClusters clusters;
  MysqlFrontendConnector connector;
  PreparationController controller;
};

/// Replicas that tell one another: none may work on while another one goes.
struct Together {
  const std::vector<CountedReplica*> all;

  explicit Together(std::vector<CountedReplica*> replicas) : all(std::move(replicas)) {}
  ~Together() {
    for (auto* replica : all) replica->controller.stop();
  }
  Together(const Together&) = delete;
  Together& operator=(const Together&) = delete;
};

json asking_cluster() {
  auto object = object_with("fe:1");
  object["metadata"]["resourceVersion"] = "1";
  object["metadata"]["generation"] = 1;
  object["metadata"]["annotations"] = {{"starrocks.com/prepare-upgrade", "true"},
                                       {"starrocks.com/upgrade-hooks", "disable-tablet-clone"}};
  object["spec"]["starRocksBeSpec"]["image"] = "be:1";
  object["status"]["phase"] = "running";
  return object;
}

Preparation four_settings() {
  auto record = record_of("r", {no_scheduling(), setting_hook("balancing", "tablet_sched_max_balancing_tablets", "0"),
                                setting_hook("colocate", "tablet_sched_disable_colocate_balance", "true"),
                                setting_hook("balancer", "tablet_sched_disable_balance", "true")});
  record.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  record.spec.asked_before = true;
  return record;
}

}  // namespace

TEST_CASE("what an upgrade with four settings asks of the API server is bounded by kind") {
  World world({.frontends = 2});
  Counts counts;
  StoredCluster cluster(asking_cluster());
  CountedReplica first(world, cluster, counts, "works");
  CountedReplica second(world, cluster, counts, "watches");
  const Together replicas({&first, &second});
  world.store.observe([&](const Preparation& record, bool removed) {
    for (auto* replica : replicas.all) replica->controller.record_changed(record, removed);
    world.signal.notify();
  });
  cluster.tell = [&](const std::string& version) {
    for (auto* replica : replicas.all) replica->controller.object_changed("db", "StarRocksCluster", "sr", version);
    world.signal.notify();
  };
  cluster.tell("1");
  const auto mirrored = [&](const std::string& stage) {
    return world.signal.eventually([&] {
      const auto object = cluster.get();
      return object["status"].value("upgradePreparationStatus", json::object()).value("stage", "") == stage;
    });
  };

  // As an admission hands it over, which has read the object.
  const auto began = std::chrono::steady_clock::now();
  first.controller.created_here(world.create(four_settings()),
                                {std::make_shared<const json>(cluster.get()), SteadyTime::max()});
  REQUIRE(world.reaches("r", Stage::Prepared));
  CHECK(world.get("r").status.captured.size() == 4);
  REQUIRE(mirrored("Prepared"));
  REQUIRE(cluster.write([](json& object) { object["spec"]["starRocksBeSpec"]["image"] = "be:2"; }));
  REQUIRE(world.reaches("r", Stage::RollingOut));
  REQUIRE(mirrored("RollingOut"));
  REQUIRE(cluster.write([](json& object) { object["metadata"].erase("annotations"); }));
  REQUIRE(world.reaches("r", Stage::Closed));
  REQUIRE(world.signal.eventually([&] { return !world.get("r").held; }));
  REQUIRE(mirrored("Closed"));
  // Where a machine is slow, people see what lies between, too: once a beat of the controller's.
  constexpr auto kBeat = 500ms;
  const auto shown_between = static_cast<int>((std::chrono::steady_clock::now() - began) / kBeat);

  // "works ...": the replica that has claimed it. The other one asks nothing while the claim is renewed.
  const std::map<std::string, int> bounds = {
      // Claimed; all four captured, before the first is set; Completed; admitted, with what is waited for; to be
      // restored; restored.
      {"works write record", 6},
      {"works let go record", 1},
      // At the admission and at the end: what people may have changed is read. Once more for conditions, where one of
      // them comes later than a look at the cluster counts.
      {"works get cluster", 3},
      // Prepared, RollingOut, Closed, each with its conditions; Running where it is not done within a beat.
      {"works write cluster status", 4 + shown_between},
      {"works get statefulset", 1},
      {"works event UpgradePreparationCompleted", 1},
      {"works event UpgradeAdmitted", 1},
      {"works event UpgradeReverted", 1},
  };
  int all = 0;
  for (const auto& entry : counts.all()) {
    const auto bound = bounds.find(entry.first);
    CHECK_MESSAGE((bound != bounds.end() && entry.second <= bound->second), entry.first << ": " << entry.second);
    all += entry.second;
  }
  CHECK(all <= 17 + shown_between);
}

TEST_CASE("what an admission has read counts only while nobody has written the cluster, and for its time") {
  struct Row {
    const char* name;
    std::function<void(json&)> write;  // empty: nobody writes
    SteadyTime counts_until;
    bool cancelled;
  };
  const auto replaced = [](json& object) { object["metadata"]["uid"] = "another"; };
  for (const Row& row :
       {Row{"nobody", {}, SteadyTime::max(), false},
        Row{"its status", [](json& object) { object["status"]["phase"] = "reconciling"; }, SteadyTime::max(), false},
        Row{"deleted and created anew", replaced, SteadyTime::max(), true},
        Row{"nobody, too long ago", {}, SteadyTime::min(), false}}) {
    INFO(row.name);
    World world;
    Counts counts;
    StoredCluster cluster(asking_cluster());
    CountedReplica replica(world, cluster, counts, "works");
    const Together replicas({&replica});
    world.store.observe([&](const Preparation& record, bool removed) {
      replica.controller.record_changed(record, removed);
      world.signal.notify();
    });
    cluster.tell = [&](const std::string& version) {
      replica.controller.object_changed("db", "StarRocksCluster", "sr", version);
    };
    cluster.tell("1");
    const auto read = std::make_shared<const json>(cluster.get());
    if (row.write) REQUIRE(cluster.write(row.write));
    replica.controller.created_here(world.create(four_settings()), {read, row.counts_until});
    REQUIRE(world.reaches("r", row.cancelled ? Stage::Closed : Stage::Prepared));
    CHECK(world.get("r").status.captured.empty() == row.cancelled);
    const bool must_read = row.write || row.counts_until != SteadyTime::max();
    if (must_read) CHECK(counts.all()["works get cluster"] > 0);
  }
}

}  // namespace gate
