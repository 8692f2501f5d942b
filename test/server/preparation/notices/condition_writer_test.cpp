// Goal: a cluster's conditions follow the object and its records wherever they move, are written once, and no fight
// over them with whoever drops them is at a pace that matters.

#include "server/preparation/notices/condition_writer.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "server/memory/memory_preparation_store.hpp"
#include "server/preparation/notices/status_mirror.hpp"
#include "test/fakes/forwarding_store.hpp"
#include "test/fakes/unused_cluster_access.hpp"
#include "test/server/preparation/world.hpp"

using namespace gate;
using namespace gate::test;
using nlohmann::json;

namespace {

/// An API server with one cluster.
class OneCluster final : public UnusedClusterAccess {
 public:
  json object{{"kind", "StarRocksCluster"},
              {"metadata",
               {{"name", "sr"},
                {"uid", "uid-1"},
                {"generation", 1},
                {"resourceVersion", "1"},
                {"annotations", {{"starrocks.com/prepare-upgrade", "true"}}}}},
              {"spec", {{"starRocksBeSpec", {{"image", "be:1"}}}}},
              {"status", {{"phase", "running"}}}};
  bool there = true;
  bool prunes = false;  ///< The CRD has no such fields.
  std::string refused;  ///< The CRD does not take this field.
  std::optional<Error> fault;
  int reads = 0;
  int writes = 0;
  std::function<void()> before_write;

  void move() {
    object["metadata"]["resourceVersion"] =
        std::to_string(std::stoi(object["metadata"]["resourceVersion"].get<std::string>()) + 1);
  }
  Result<json> get_object(const std::string&, const ObjectRef&, Deadline) override {
    ++reads;
    if (fault) return *fault;
    if (!there) return Error{ErrorCode::NotFound, "no such cluster"};
    return object;
  }
  Status mirror_status(const Preparation& record, Deadline) override {
    ++writes;
    object["status"]["upgradePreparationStatus"]["preparation"] = record.name;
    move();
    return Ok{};
  }
  [[nodiscard]] std::string mirrored() const {
    const auto mirror = object["status"].value("upgradePreparationStatus", json::object());
    return mirror.value("preparation", "") + " " + mirror.value("phase", "");
  }
  void erase_mirror() {
    object["status"].erase("upgradePreparationStatus");
    move();
  }
  Result<std::string> write_cluster_status(const std::string&, const std::string&, const std::string& version,
                                           const json& fields, Deadline) override {
    if (before_write) std::exchange(before_write, {})();
    ++writes;
    if (object["metadata"]["resourceVersion"] != json(version)) return Error{ErrorCode::Conflict, "stale"};
    if (prunes) return version;
    const bool has_phase = object["status"].contains("phase");
    if (!has_phase || (!refused.empty() && fields.contains(refused))) {
      return Error{ErrorCode::Rejected, "status is invalid", 422};
    }
    object["status"].merge_patch(fields);
    move();
    return object["metadata"]["resourceVersion"].get<std::string>();
  }
  [[nodiscard]] std::string condition(const std::string& type) const {
    for (const auto& one : object["status"].value("conditions", json::array())) {
      if (one["type"] == type) return one["status"].get<std::string>() + " " + one["reason"].get<std::string>();
    }
    return {};
  }
};

/// A replica's view of the store, whose watch lags behind as far as the test wants.
class LaggingStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  Result<std::vector<Preparation>> known_of_cluster(const std::string&, const std::string&, Deadline) override {
    return known;
  }
  [[nodiscard]] std::vector<Preparation> cached() const override { return known; }

  std::vector<Preparation> known;
};

struct Fixture {
  MovableClock clock;
  MemoryPreparationStore store{clock};
  OneCluster clusters;
  ConditionWriter writer{store, clusters, clock, {}};
  std::string busy;

  void look() {
    writer.changed("db", "sr");
    flush();
  }
  void flush() {
    writer.flush([&](const std::string& key) { return key == busy; });
  }
  Preparation create(AdmissionMode admission) {
    Preparation record;
    record.name = "sr-1";
    record.name_space = "db";
    record.spec.object = {"StarRocksCluster", "sr", "uid-1"};
    record.spec.cluster = "sr";
    record.spec.changes = {{Component::Backend, "be:1", "be:2"}};
    record.spec.rollout.admission = admission;
    return store.create(record, ample()).value();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "in peace they are written once, and again for each generation") {
  look();
  CHECK(clusters.condition("Ready") == "True Running");
  CHECK(clusters.object["status"]["observedGeneration"] == 1);
  CHECK(clusters.writes == 1);
  look();
  CHECK(clusters.writes == 1);
  clusters.object["metadata"]["generation"] = 2;
  look();
  CHECK(clusters.object["status"]["observedGeneration"] == 2);
  clusters.object["metadata"]["annotations"] = json::object();
  look();
  CHECK_FALSE(clusters.object["status"].contains("observedGeneration"));
  CHECK_FALSE(clusters.object["status"].contains("conditions"));
  CHECK(clusters.object["status"]["phase"] == "running");
}

TEST_CASE_FIXTURE(Fixture, "a cluster that does not ask is not written to") {
  clusters.object["metadata"]["annotations"] = json::object();
  look();
  CHECK(clusters.reads == 1);
  CHECK(clusters.writes == 0);
}

TEST_CASE_FIXTURE(Fixture, "the mirror and the conditions go in one write, by the news of the record") {
  auto record = create(AdmissionMode::Hold);
  clusters.object["spec"]["starRocksBeSpec"]["image"] = "be:2";
  StatusMirror mirror(clusters, clock, &writer);
  record.status.phase = Phase::Running;  // not stored yet
  mirror.want(record);
  CHECK(clusters.writes == 1);
  CHECK(clusters.condition("Reconciling") == "True Preparing");
  CHECK(clusters.condition("UpgradeHeld") == "True Preparing");
  CHECK(clusters.object["status"]["upgradePreparationStatus"]["phase"] == "Running");
  // What changes in the mirror alone is the mirror's.
  record.status.phase = Phase::Failed;
  record.status.stage = Stage::Closed;
  record.status.outcome = Outcome::Failed;
  clusters.before_write = [&] { clusters.move(); };  // somebody was quicker
  mirror.want(record);
  CHECK(clusters.object["status"]["upgradePreparationStatus"]["preparation"] == "sr-1");
  CHECK(clusters.condition("Reconciling") == "True Preparing");
  record.resource_version = store.get("db", "sr-1", ample()).value().resource_version;
  REQUIRE(store.update_status(record, ample()));
  flush();
  CHECK(clusters.condition("Reconciling") == "True HookFailed");
}

TEST_CASE_FIXTURE(Fixture,
                  "a write that came too late is repeated, and a cluster that is being admitted is left alone") {
  clusters.before_write = [&] {
    clusters.object["metadata"]["generation"] = 5;
    clusters.move();
  };
  look();
  CHECK_FALSE(clusters.object["status"].contains("conditions"));
  busy = "db/sr";
  flush();
  CHECK_FALSE(clusters.object["status"].contains("conditions"));
  busy.clear();
  flush();
  CHECK(clusters.object["status"]["observedGeneration"] == 5);
}

TEST_CASE_FIXTURE(Fixture, "what is dropped again and again is written at growing distances") {
  bool by_crd = false;
  SUBCASE("by a CRD without the fields") { by_crd = clusters.prunes = true; }
  SUBCASE("by a status PUT that nobody corrects") {}
  std::vector<int> written;
  for (int minute = 0; minute < 60; ++minute) {
    look();
    if (!by_crd) {
      clusters.object["status"] = {{"phase", "running"}};
      clusters.move();
    }
    if (written.empty() || written.back() != clusters.writes) written.push_back(clusters.writes);
    clock.pass(std::chrono::minutes(1));
  }
  CHECK(clusters.writes >= 5);
  CHECK(clusters.writes <= 12);
  // Another word is not held back.
  const auto before = clusters.writes;
  clusters.object["metadata"]["generation"] = 9;
  look();
  CHECK(clusters.writes == before + 1);
}

TEST_CASE_FIXTURE(Fixture, "an API server that fails is asked once a flush, and again later") {
  clusters.fault = Error{ErrorCode::Unavailable, "connection refused"};
  for (int i = 0; i < 5; ++i) writer.changed("db", "sr-" + std::to_string(i));
  flush();
  CHECK(clusters.reads == 1);
  flush();
  CHECK(clusters.reads == 1);
  clusters.fault.reset();
  clock.pass(std::chrono::seconds(11));
  flush();
  CHECK(clusters.reads == 6);
  clusters.there = false;
  clock.pass(std::chrono::seconds(11));
  look();
  clock.pass(std::chrono::seconds(11));
  flush();
  CHECK(clusters.reads == 7);
}

namespace {

void close(MemoryPreparationStore& store, const std::string& name, Phase phase, Outcome outcome) {
  auto record = store.get("db", name, ample()).value();
  record.status.phase = phase;
  record.status.stage = Stage::Closed;
  record.status.outcome = outcome;
  REQUIRE(store.update_status(record, ample()));
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "the mirror of a closed record that was erased while no gate ran is written again, once") {
  create(AdmissionMode::Refuse);
  close(store, "sr-1", Phase::Failed, Outcome::Failed);
  look();
  CHECK(clusters.mirrored() == " ");  // whoever closed it may be about to write it
  clock.pass(std::chrono::seconds(16));
  flush();
  CHECK(clusters.mirrored() == "sr-1 Failed");
  const auto once = clusters.writes;
  CHECK(once == 2);
  for (int i = 0; i < 3; ++i) {
    clock.pass(std::chrono::hours(1));
    look();
  }
  CHECK(clusters.writes == once);
  // Whoever erases it again and again is met at growing distances.
  for (int minute = 0; minute < 60; ++minute) {
    clusters.erase_mirror();
    look();
    clock.pass(std::chrono::minutes(1));
  }
  CHECK(clusters.writes - once >= 4);
  CHECK(clusters.writes - once <= 12);
  // Where nothing is asked for any more, or somebody else prepares, it is left alone.
  clusters.erase_mirror();
  const json annotations = clusters.object["metadata"]["annotations"];
  for (const json& others : {json::object(), json{{"starrocks.com/prepare-upgrade", "true"},
                                                  {"starrocks.com/upgrade-hooks-mode", "verify"}}}) {
    clusters.object["metadata"]["annotations"] = others;
    for (int i = 0; i < 3; ++i) {
      clock.pass(std::chrono::hours(1));
      look();
    }
    CHECK(clusters.mirrored() == " ");
  }
  clusters.object["metadata"]["annotations"] = annotations;
  look();
  clock.pass(std::chrono::hours(1));
  look();
  CHECK(clusters.mirrored() == "sr-1 Failed");
}

TEST_CASE_FIXTURE(Fixture, "a mirror that is newer than what the watch has told is not overwritten") {
  create(AdmissionMode::Refuse);
  close(store, "sr-1", Phase::Failed, Outcome::Failed);
  LaggingStore lagging(store);
  lagging.known = {store.get("db", "sr-1", ample()).value()};
  ConditionWriter behind(lagging, clusters, clock, {});
  const auto behind_looks = [&] {
    for (int i = 0; i < 3; ++i) {
      behind.changed("db", "sr");
      behind.flush([](const std::string&) { return false; });
      clock.pass(std::chrono::seconds(16));
    }
  };
  Preparation newer;
  newer.name = "sr-2";
  newer.name_space = "db";
  newer.spec = store.get("db", "sr-1", ample()).value().spec;
  REQUIRE(store.create(newer, ample()));
  clusters.object["status"]["upgradePreparationStatus"] = {{"preparation", "sr-2"}, {"phase", "Pending"}};
  behind_looks();
  CHECK(clusters.mirrored() == "sr-2 Pending");
  // And one that is written between the reading and the writing is not, either.
  clusters.erase_mirror();
  REQUIRE(store.let_go("db", "sr-2", ample()));
  REQUIRE(store.remove("db", "sr-2", ample()));
  clusters.before_write = [&] {
    REQUIRE(store.create(newer, ample()));
    clusters.object["status"]["upgradePreparationStatus"] = {{"preparation", "sr-2"}, {"phase", "Pending"}};
    clusters.move();
  };
  behind_looks();
  CHECK_FALSE(clusters.before_write);
  CHECK(clusters.mirrored() == "sr-2 Pending");
}

TEST_CASE_FIXTURE(Fixture, "a new cluster has its conditions as soon as its operator has reported") {
  // One that is held says the same before and after.
  bool held = false;
  SUBCASE("in peace") {}
  SUBCASE("held") {
    held = true;
    create(AdmissionMode::Hold);
    clusters.object["spec"]["starRocksBeSpec"]["image"] = "be:2";
  }
  clusters.object["status"] = json::object();
  look();
  look();  // somebody labels it, say
  CHECK_FALSE(clusters.object["status"].contains("conditions"));
  clusters.object["status"] = {{"phase", "reconciling"}};
  clusters.move();
  look();
  CHECK(clusters.condition("Ready") == (held ? "False Preparing" : "False OperatorReconciling"));
}

TEST_CASE_FIXTURE(Fixture, "a CRD that does not take the conditions costs the mirror nothing, and is asked rarely") {
  clusters.refused = "conditions";
  auto record = create(AdmissionMode::Refuse);
  StatusMirror mirror(clusters, clock, &writer);
  record.status.phase = Phase::Running;
  mirror.want(record);
  CHECK(clusters.mirrored() == "sr-1 ");
  const auto before = clusters.writes;
  for (int minute = 0; minute < 60; ++minute) {
    look();
    clock.pass(std::chrono::minutes(1));
  }
  CHECK(clusters.writes - before >= 4);
  CHECK(clusters.writes - before <= 12);
}
