// The cluster's status tells one story, whichever records are open and whoever works on them.

#include "server/preparation/notices/status_mirror.hpp"

#include <doctest/doctest.h>

#include "test/server/preparation/world.hpp"

namespace gate {
namespace {

using namespace test;

Preparation record(const std::string& name, int created, Stage stage) {
  auto out = record_of(name, {});
  out.creation_time = WallTime{} + std::chrono::seconds(created);
  out.status.stage = stage;
  return out;
}

/// One replica's mirror, and the names of the records that it wrote.
struct Mirrored {
  Signal signal;
  MovableClock clock;
  ScriptedClusters clusters{signal, {}};
  StatusMirror mirror{clusters, clock};

  /// One of this replica's own.
  void works_on(const Preparation& record) {
    mirror.saw(record, false);
    mirror.want(record);
  }
  [[nodiscard]] std::string written() const { return names(clusters.mirrors()); }
  /// The same, on warehouses.
  [[nodiscard]] std::string on_warehouses() const { return names(clusters.warehouse_mirrors()); }

 private:
  static std::string names(const std::vector<Preparation>& records) {
    std::string out;
    for (const auto& one : records) out += one.name + " ";
    return out;
  }
};

/// A record of warehouse "wh" of the cluster.
Preparation of_warehouse(Preparation record) {
  record.spec.object = {std::string(kWarehouseKind), "wh", "uid-wh"};
  return record;
}

TEST_CASE("of two records of a cluster one speaks") {
  struct Row {
    const char* name;
    Preparation mine;
    Preparation other;
    bool speaks;
  };
  const auto with = [](Preparation out, const std::function<void(Preparation&)>& change) {
    change(out);
    return out;
  };
  const auto rolling = record("r", 1, Stage::RollingOut);
  const auto newer = record("s", 2, Stage::Preparing);
  const std::vector<Row> rows = {
      {"the newer one", newer, rolling, true},
      {"not the older one", rolling, newer, false},
      {"a superseded one says nothing", rolling,
       with(newer, [](Preparation& one) { one.status.outcome = Outcome::Superseded; }), true},
      {"nor does a closed one", rolling, record("s", 2, Stage::Closed), true},
      {"a closed one beside an open older one", record("s", 2, Stage::Closed), rolling, false},
      {"the last one to close", record("r", 1, Stage::Closed), record("s", 2, Stage::Closed), true},
      {"one with a restore pending is open", rolling,
       with(record("s", 2, Stage::Closed),
            [](Preparation& one) {
              one.status.restore_pending = true;
              one.status.outcome = Outcome::Failed;
            }),
       false},
      {"made in the same second, on top of the other", record("a", 1, Stage::Preparing),
       with(record("b", 1, Stage::Preparing), [](Preparation& one) { one.spec.candidate_of = "a"; }), false},
      {"made in the same second, below the other",
       with(record("a", 1, Stage::Preparing), [](Preparation& one) { one.spec.supersedes = "b"; }),
       record("b", 1, Stage::Preparing), true},
      {"made in the same second, of its warehouse: the same one for every replica", record("a", 1, Stage::Preparing),
       record("b", 1, Stage::Preparing), false},
      {"verified from outside", rolling, with(newer, [](Preparation& one) { one.spec.mode = PreparationMode::Verify; }),
       true},
      {"of another cluster", rolling, with(newer, [](Preparation& one) { one.spec.cluster = "other"; }), true},
      {"of another namespace", rolling, with(newer, [](Preparation& one) { one.name_space = "other"; }), true},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    Mirrored replica;
    replica.mirror.saw(row.other, false);
    replica.works_on(row.mine);
    CHECK(replica.written() == (row.speaks ? row.mine.name + " " : ""));
  }
}

TEST_CASE("the one that is left says its own again, although nothing of it changed") {
  for (const bool own : {true, false}) {  // else the other is another replica's, and comes and goes between two looks
    for (const bool removed : {true, false}) {
      INFO((own ? "worked on here" : "worked on elsewhere") << (removed ? ", deleted" : ", closed"));
      Mirrored replica;
      const auto rolling = record("r", 1, Stage::RollingOut);
      auto newer = record("s", 2, Stage::Preparing);
      replica.works_on(rolling);
      replica.works_on(rolling);
      CHECK(replica.written() == "r ");
      replica.mirror.saw(newer, false);
      if (own) replica.mirror.want(newer);
      const auto before = replica.written();
      const auto stale = newer;
      newer.status.stage = Stage::Closed;
      replica.mirror.saw(newer, removed);
      replica.works_on(rolling);
      CHECK(replica.written() == before + "r ");
      if (!own) continue;
      replica.mirror.want(stale);  // as its worker knew it a moment ago: it does not silence the other for ever
      replica.works_on(record("r", 1, Stage::Restoring));
      CHECK(replica.written().ends_with("r "));
    }
  }
}

TEST_CASE("each step of a warehouse is written to it, whoever speaks on its cluster") {
  const auto stepping = [](int step) {
    auto out = of_warehouse(record("w", 1, Stage::RollingOut));
    out.status.message = "warehouse: step " + std::to_string(step);
    return out;
  };
  Mirrored replica;
  replica.works_on(stepping(1));
  CHECK(replica.written() == "w ");
  CHECK(replica.on_warehouses() == "w ");
  replica.works_on(stepping(1));
  CHECK(replica.on_warehouses() == "w ");

  replica.works_on(record("newer", 2, Stage::Preparing));  // of the cluster
  replica.works_on(stepping(2));
  CHECK(replica.written() == "w newer ");
  CHECK(replica.on_warehouses() == "w w ");

  // A newer target of the warehouse that is prepared meanwhile is silent there until pods move for it.
  replica.works_on(of_warehouse(record("x", 3, Stage::Preparing)));
  replica.works_on(stepping(3));
  CHECK(replica.on_warehouses() == "w w w ");
  replica.works_on(of_warehouse(record("x", 3, Stage::RollingOut)));
  replica.works_on(stepping(4));
  CHECK(replica.on_warehouses() == "w w w x ");

  // Another warehouse has its own.
  auto other = of_warehouse(record("a", 0, Stage::RollingOut));
  other.spec.object.name = "other";
  replica.works_on(other);
  CHECK(replica.on_warehouses() == "w w w x a ");
}

TEST_CASE("while an admission of a cluster or of its warehouse is answered neither is written") {
  Mirrored replica;
  {
    const StatusMirror::AnsweringScope answering(replica.mirror, "db/sr");
    replica.works_on(of_warehouse(record("w", 1, Stage::RollingOut)));
    CHECK(replica.written() + replica.on_warehouses() == "");
  }
  replica.mirror.flush();
  CHECK(replica.written() == "w ");
  CHECK(replica.on_warehouses() == "w ");
}

TEST_CASE("after an admission the look at what follows has more to say, and is waited for, but not for long") {
  for (const bool looked_at : {true, false}) {
    CAPTURE(looked_at);
    Mirrored replica;
    {
      StatusMirror::AnsweringScope answering(replica.mirror, "db/sr");
      answering.admitted();
    }
    replica.works_on(record("r", 1, Stage::Prepared));
    CHECK(replica.written() == "");
    CHECK(replica.mirror.answering("db/sr"));
    if (looked_at) {
      replica.mirror.has_read("db", "sr", nullptr);
    } else {
      replica.clock.pass(std::chrono::seconds(2));
    }
    replica.mirror.flush();
    CHECK(replica.written() == "r ");
    CHECK_FALSE(replica.mirror.answering("db/sr"));
  }
}

TEST_CASE("a record that is gone is written nowhere any more") {
  Mirrored replica;
  const auto record_of_warehouse = of_warehouse(record("w", 1, Stage::RollingOut));
  {
    const StatusMirror::AnsweringScope answering(replica.mirror, "db/sr");
    replica.works_on(record_of_warehouse);
    replica.mirror.saw(record_of_warehouse, true);
    replica.mirror.forget(record_of_warehouse, true);
  }
  replica.mirror.flush();
  CHECK(replica.written() + replica.on_warehouses() == "");
}

TEST_CASE("what waits to be written is dropped when somebody newer comes") {
  Mirrored replica;
  {
    const StatusMirror::AnsweringScope answering(replica.mirror, "db/sr");
    replica.works_on(record("r", 1, Stage::RollingOut));
    replica.mirror.saw(record("s", 2, Stage::Preparing), false);
  }
  replica.mirror.flush();
  CHECK(replica.written().empty());
}

TEST_CASE("two open records side by side, on two replicas: the newest is mirrored, and when it is over the other") {
  World world({.frontends = 2});
  const Replica first(world, quick_options("gate-0"));
  const Replica second(world, quick_options("gate-1"));
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  world.object_becomes(object_with("fe:2"));
  REQUIRE(world.reaches("r", Stage::RollingOut));
  const auto newest = [&] {
    const auto all = world.clusters.mirrors();
    return all.empty() ? std::string() : all.back().name;
  };
  REQUIRE(world.signal.eventually([&] { return newest() == "r"; }));

  world.clock.pass(std::chrono::seconds(2));
  world.simulator.hang("CREATE IMAGE");
  auto candidate = record_of("s", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")});
  candidate.spec.changes = {{Component::Frontend, "fe:2", "fe:3"}};
  candidate.spec.supersedes = candidate.spec.candidate_of = "r";
  world.create(candidate);
  REQUIRE(world.signal.eventually([&] { return newest() == "s"; }));
  const auto since = world.clusters.mirrors().size();
  world.clusters.set_pods_moved({false, "pods moved", true, false, {}});
  REQUIRE(world.signal.eventually(
      [&] { return world.get("r").status.message.find("1 of 3 updated") != std::string::npos; }));
  // The look that found it is over when the next one asks the FEs.
  for (int look = 0; look < 2; ++look) {
    world.simulator.forget_statements();
    REQUIRE(world.simulator.wait_for_statement("ADMIN SHOW", ample()));
  }
  const auto all = world.clusters.mirrors();
  for (std::size_t i = since; i < all.size(); ++i) CHECK(all[i].name == "s");

  world.write("s", [](PreparationStatus& status) {
    status.phase = Phase::Failed;
    status.stage = Stage::Closed;
    status.outcome = Outcome::Failed;
  });
  REQUIRE(world.signal.eventually([&] { return newest() == "r"; }));
  CHECK(world.clusters.mirrors().back().status.stage == Stage::RollingOut);
}

ControllerOptions with_conditions() {
  auto options = quick_options("gate-0");
  options.conditions = true;
  return options;
}

TEST_CASE("a gate that starts writes the outcome that was erased while none ran") {
  World world;
  auto object = object_with("fe:1");
  object["status"] = {{"phase", "running"}};
  world.clusters.set_object(object);
  world.create(record_of("r", {}));
  world.write("r", [](PreparationStatus& status) {
    status.phase = Phase::Failed;
    status.stage = Stage::Closed;
    status.outcome = Outcome::Failed;
  });
  const Replica replica(world, with_conditions());
  CHECK(world.signal.eventually([&] {
    world.clock.pass(std::chrono::seconds(1));
    const auto status = world.clusters.object()["status"];
    return status.contains("upgradePreparationStatus") && status["upgradePreparationStatus"]["outcome"] == "Failed";
  }));
}

TEST_CASE("a step of a led rollout moves the cluster's status while a newer target has the mirror") {
  World world;
  auto object = object_with("fe:2");
  object["status"] = {{"phase", "running"}};
  world.clusters.set_object(object);
  auto rolling = record_of("r", {});
  rolling.spec.rollout.mode = RolloutMode::Stepwise;
  world.create(rolling);
  world.write("r", [](PreparationStatus& status) {
    status.phase = Phase::Completed;
    status.stage = Stage::RollingOut;
    status.runner.identity = "gate-1";
  });
  world.clock.pass(std::chrono::seconds(2));
  auto newer = record_of("s", {});
  newer.spec.changes = {{Component::Frontend, "fe:2", "fe:3"}};
  newer.spec.candidate_of = newer.spec.supersedes = "r";
  world.create(newer);
  world.write("s", [](PreparationStatus& status) {
    status.phase = Phase::Running;
    status.runner.identity = "gate-1";
  });
  auto options = with_conditions();
  options.claim_stale_after = std::chrono::hours(1);  // another replica works on both
  const Replica replica(world, options);
  world.clock.pass(std::chrono::seconds(5));
  const auto shows = [&](const std::string& text) {
    return world.signal.eventually(
        [&] { return world.clusters.object()["status"].dump().find(text) != std::string::npos; });
  };
  REQUIRE(shows("\"reason\":\"RollingOut\""));
  for (const std::string step : {"fe: step 2 of 3", "fe: step 3 of 3"}) {
    world.write("r", [&](PreparationStatus& status) { status.message = "waiting for the rollout: " + step; });
    CHECK(shows(step));
  }
}

}  // namespace
}  // namespace gate
