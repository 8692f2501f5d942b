// The life of records, from the first look to the last, with FEs on sockets.

#include "server/preparation/lifecycle/controller.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

std::size_t count(const std::vector<std::string>& all, const std::string& wanted) {
  return static_cast<std::size_t>(std::count(all.begin(), all.end(), wanted));
}

std::uint64_t closed_as(const ControllerStats& stats, Outcome outcome) {
  const auto at = std::find(kClosingOutcomes.begin(), kClosingOutcomes.end(), outcome) - kClosingOutcomes.begin();
  return stats.closed.at(static_cast<std::size_t>(at));
}

std::uint64_t closed_in_all(const ControllerStats& stats) {
  return std::accumulate(stats.closed.begin(), stats.closed.end(), std::uint64_t{0});
}

/// A record of another time: prepared, its setting on the FE, nobody working on it.
Preparation prepared_before(World& world, const std::string& name = "r") {
  world.simulator.frontend(0).set_config(kScheduling, "0");
  world.create(record_of(name, {no_scheduling()}));
  world.write(name, [&](PreparationStatus& status) {
    status.phase = Phase::Completed;
    status.stage = Stage::Prepared;
    status.completion_time = world.clock.wall_now();
    status.captured = {{kScheduling, kSchedulingDefault, "0"}};
    status.restore_pending = true;
  });
  return world.get(name);
}

TEST_CASE("prepared, admitted, rolled out, restored, closed") {
  World world({.frontends = 2});
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  CHECK(world.get("r").status.phase == Phase::Completed);
  CHECK(world.config(1) == "0");
  world.object_becomes(object_with("fe:2"));
  REQUIRE(world.reaches("r", Stage::RollingOut));
  CHECK(world.get("r").status.admitted_time);
  CHECK(world.config(1) == "0");
  world.clusters.set_rolled_out();
  REQUIRE(world.reaches("r", Stage::Closed));
  const auto status = world.get("r").status;
  CHECK(status.outcome == Outcome::Succeeded);
  CHECK_FALSE(status.restore_pending);
  CHECK(status.rolled_out_time);
  CHECK(status.restored_time);
  for (const std::size_t fe : {0, 1}) CHECK(world.config(fe) == kSchedulingDefault);
  CHECK(world.signal.eventually([&] { return count(world.clusters.events(), "UpgradeRolledOut") == 1; }));
  const auto stats = replica.controller.stats();
  CHECK(stats.prepared == 1);
  CHECK(stats.restored == 1);
  CHECK(closed_as(stats, Outcome::Succeeded) == 1);
  CHECK(closed_in_all(stats) == 1);
  CHECK(stats.restores_pending == 0);
}

TEST_CASE("a rollout is not finished while a node is dead") {
  World world({.frontends = 2});
  const Replica replica(world);
  world.clusters.set_pods_rolled_out();
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  world.object_becomes(object_with("fe:2"));
  world.simulator.restart(0);
  world.simulator.stop(1);
  world.simulator.notice_deaths();
  CHECK(world.signal.eventually([&] { return world.get("r").status.message.find("not alive") != std::string::npos; }));
  CHECK(world.get("r").status.stage == Stage::RollingOut);
  world.simulator.start(1);
  world.simulator.restart(1);
  CHECK(world.reaches("r", Stage::Closed));
}

TEST_CASE("pods that are ready do not end a rollout while the database still has a node's old start") {
  World world({.frontends = 2});
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  CHECK(world.get("r").status.nodes_before.size() == 2);
  world.object_becomes(object_with("fe:2"));
  REQUIRE(world.reaches("r", Stage::RollingOut));
  world.clusters.set_pods_rolled_out();
  world.simulator.restart(0);
  const auto waits = [&] { return world.get("r").status.message.find("not restarted yet") != std::string::npos; };
  REQUIRE(world.signal.eventually(waits));
  CHECK(world.get("r").status.stage == Stage::RollingOut);
  // What the first FE lost by its restart is held again meanwhile.
  REQUIRE(world.signal.eventually([&] { return world.config(0) == "0"; }));
  world.simulator.restart(1);
  REQUIRE(world.reaches("r", Stage::Closed));
  CHECK(world.get("r").status.outcome == Outcome::Succeeded);
}

TEST_CASE("a restart between the preparation and its admission does not count as the rollout's") {
  World world;
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  const auto first = world.get("r").status.nodes_before;
  world.simulator.restart(0);
  REQUIRE(world.signal.eventually([&] { return world.get("r").status.nodes_before != first; }));
  world.clusters.set_pods_rolled_out();
  world.object_becomes(object_with("fe:2"));
  CHECK(world.signal.eventually(
      [&] { return world.get("r").status.message.find("not restarted yet") != std::string::npos; }));
  world.simulator.restart(0);
  CHECK(world.reaches("r", Stage::Closed));
}

TEST_CASE("what ends a prepared record early, and with what outcome") {
  struct Row {
    std::string name;
    bool admitted;
    std::function<void(World&)> then;
    Outcome outcome;
    const char* left;
  };
  for (const Row& row : {
           Row{"reverted", true, [](World& world) { world.object_becomes(object_with("fe:1")); }, Outcome::Reverted,
               kSchedulingDefault},
           Row{"another image although not admitted", false,
               [](World& world) { world.object_becomes(object_with("fe:3")); }, Outcome::Reverted, kSchedulingDefault},
           Row{"another image", true, [](World& world) { world.object_becomes(object_with("fe:3")); },
               Outcome::Reverted, kSchedulingDefault},
           Row{"not used in time", false, [](World& world) { world.clock.move(2h); }, Outcome::Expired,
               kSchedulingDefault},
           Row{"rollout too long", true, [](World& world) { world.clock.move(7h); }, Outcome::Expired,
               kSchedulingDefault},
           Row{"deleted, the FE lives on", false,
               [](World& world) {
                 world.clusters.set_frontend_life(FrontendLife::MayLive);
                 world.object_becomes({});
               },
               Outcome::Expired, kSchedulingDefault},
           Row{"deleted in the middle of the rollout, the FE lives on", true,
               [](World& world) {
                 world.clusters.set_frontend_life(FrontendLife::MayLive);
                 world.object_becomes({});
               },
               Outcome::Expired, kSchedulingDefault},
           Row{"another object of the name", false,
               [](World& world) { world.object_becomes(object_with("fe:1", "uid-new")); }, Outcome::Expired,
               kSchedulingDefault},
           Row{"another object of the name in the middle of the rollout", true,
               [](World& world) { world.object_becomes(object_with("fe:2", "uid-new")); }, Outcome::Expired,
               kSchedulingDefault},
           Row{"the record is deleted before it is used", false,
               [](World& world) { (void)world.store.remove("db", "r", ample()); }, Outcome::Expired,
               kSchedulingDefault},
       }) {
    INFO(row.name);
    World world;
    const Replica replica(world);
    world.create(record_of("r", {no_scheduling()}));
    REQUIRE(world.reaches("r", Stage::Prepared));
    if (row.admitted) {
      world.object_becomes(object_with("fe:2"));
      REQUIRE(world.reaches("r", Stage::RollingOut));
    }
    row.then(world);
    REQUIRE(world.signal.eventually([&] { return world.last("r").status.stage == Stage::Closed; }));
    REQUIRE(world.signal.eventually([&] { return !world.last("r").status.restore_pending; }));
    CHECK(world.last("r").status.outcome == row.outcome);
    CHECK_FALSE(world.last("r").status.restore_pending);
    CHECK(world.config() == row.left);
  }
}

TEST_CASE("an object that is gone with its FE has nothing to restore") {
  World world;
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  world.simulator.stop(0);
  world.object_becomes({});
  REQUIRE(world.reaches("r", Stage::Closed));
  CHECK_FALSE(world.get("r").status.restore_pending);
  CHECK_FALSE(world.get("r").status.restored_time);
  CHECK(world.get("r").status.message.find("1 settings are not restored") != std::string::npos);
  CHECK(world.signal.eventually([&] {  // not silently
    const auto events = world.clusters.events();
    return std::find(events.begin(), events.end(), "UpgradeRestoreAbandoned") != events.end();
  }));
}

TEST_CASE("a failed critical hook is undone at once") {
  World world;
  world.simulator.fail("CREATE IMAGE", {1064, "42000", "no"});
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling(), statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")}));
  REQUIRE(world.reaches("r", Stage::Closed));
  const auto status = world.get("r").status;
  CHECK(status.phase == Phase::Failed);
  CHECK(status.outcome == Outcome::Failed);
  CHECK(status.hooks.front().phase == HookPhase::Completed);
  CHECK(world.config() == kSchedulingDefault);
  CHECK(world.signal.eventually([&] { return count(world.clusters.events(), "UpgradePreparationFailed") == 1; }));
}

TEST_CASE("a successor takes captured values and pending restores over, once") {
  World world;
  prepared_before(world, "old");
  const Replica replica(world);
  auto successor = record_of("new", {no_scheduling()});
  successor.spec.changes = {{Component::Frontend, "fe:1", "fe:3"}};
  successor.spec.supersedes = "old";
  world.create(successor);
  REQUIRE(world.reaches("new", Stage::Prepared));
  const auto taken = world.get("new").status;
  CHECK(taken.captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
  CHECK(taken.restore_pending);
  CHECK(taken.taken_over);
  const auto old = world.get("old").status;
  CHECK(old.outcome == Outcome::Superseded);
  CHECK(old.stage == Stage::Closed);
  CHECK_FALSE(old.restore_pending);
  CHECK(world.config() == "0");
  world.object_becomes(object_with("fe:3"));
  world.clusters.set_rolled_out();
  REQUIRE(world.reaches("new", Stage::Closed));
  CHECK(world.config() == kSchedulingDefault);
  CHECK(world.signal.eventually([&] { return closed_in_all(replica.controller.stats()) == 2; }));
  CHECK(closed_as(replica.controller.stats(), Outcome::Superseded) == 1);
  CHECK(closed_as(replica.controller.stats(), Outcome::Succeeded) == 1);
}

TEST_CASE("a successor with another value for the key puts the first value back") {
  World world;
  prepared_before(world, "old");
  const Replica replica(world);
  auto successor = record_of("new", {setting_hook("few", kScheduling, "5")});
  successor.spec.supersedes = "old";
  world.create(successor);
  REQUIRE(world.reaches("new", Stage::Prepared));
  // A re-assertion of the old record that was already under way may land once more; the next round sets it right.
  CHECK(world.signal.eventually([&] { return world.config() == "5"; }));
  world.clock.move(2h);
  REQUIRE(world.reaches("new", Stage::Closed));
  CHECK(world.config() == kSchedulingDefault);
}

TEST_CASE("a predecessor that hangs on its FE is superseded all the same") {
  World world;
  world.simulator.hang("CREATE IMAGE");
  const Replica replica(world);
  world.create(record_of("old", {no_scheduling(), statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")}));
  REQUIRE(world.simulator.wait_for_statement("CREATE IMAGE", ample()));
  auto successor = record_of("new", {no_scheduling()});
  successor.spec.supersedes = "old";
  world.create(successor);
  REQUIRE(world.reaches("new", Stage::Prepared));
  CHECK(world.get("new").status.captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
  world.simulator.clear_faults();
  world.clock.move(2h);
  REQUIRE(world.reaches("new", Stage::Closed));
  CHECK(world.config() == kSchedulingDefault);
  CHECK(world.get("old").status.outcome == Outcome::Superseded);
  CHECK_FALSE(world.get("old").status.restore_pending);
  CHECK(world.get("old").status.phase == Phase::Running);  // what its runner had to say came too late
}

TEST_CASE("a superseded record whose successor is gone restores by itself") {
  World world;
  prepared_before(world, "old");
  world.write("old", [](PreparationStatus& status) {
    status.outcome = Outcome::Superseded;
    status.stage = Stage::Closed;
  });
  const Replica replica(world);
  CHECK(world.signal.eventually([&] { return !world.get("old").status.restore_pending; }));
  CHECK(world.config() == kSchedulingDefault);
  // It was counted when it was closed.
  REQUIRE(world.signal.eventually([&] { return replica.controller.stats().queued == 0; }));
  CHECK(replica.controller.stats().restored == 1);
  CHECK(closed_in_all(replica.controller.stats()) == 0);
}

Hook left_script(const std::string& name, bool post_upgrade = false) {
  return hook_of(name, ScriptAction{"pre_upgrade() { :; }", post_upgrade});
}

Preparation successor_of_old(std::vector<Hook> hooks) {
  auto successor = record_of("new", std::move(hooks));
  successor.spec.changes = {{Component::Frontend, "fe:1", "fe:3"}};
  successor.spec.supersedes = "old";
  return successor;
}

TEST_CASE("a superseded record's script is stopped before its successor begins, however long that cannot be done") {
  World world;
  const Replica replica(world);
  world.create(record_of("old", {left_script("warm")}));
  REQUIRE(world.signal.eventually([&] { return world.scripts.existing().contains("warm/pre_upgrade/1"); }));
  world.scripts.fail_removal(Error{ErrorCode::Unavailable, "503"});
  world.create(successor_of_old({no_scheduling()}));
  REQUIRE(world.signal.eventually([&] { return world.scripts.removals() >= 2; }));
  CHECK(world.get("new").status.phase == Phase::Pending);
  CHECK(is_open(world.get("old")));
  world.scripts.fail_removal({});
  REQUIRE(world.reaches("new", Stage::Prepared));
  CHECK(world.scripts.existing().empty());
  const auto old = world.get("old");
  CHECK(old.status.outcome == Outcome::Superseded);
  CHECK(old.status.hooks.at(0).phase == HookPhase::Failed);
  CHECK(old.status.hooks.at(0).message == "stopped: the preparation ended before the script did");
  CHECK_FALSE(is_open(old));
}

TEST_CASE("a script that the gate may not delete is left to its time limit, and the successor goes on") {
  World world;
  const Replica replica(world);
  world.create(record_of("old", {left_script("warm")}));
  REQUIRE(world.signal.eventually([&] { return world.scripts.existing().contains("warm/pre_upgrade/1"); }));
  world.scripts.fail_removal(Error{ErrorCode::PermissionDenied, "jobs is forbidden"});
  world.create(successor_of_old({no_scheduling()}));
  REQUIRE(world.reaches("new", Stage::Prepared));
  CHECK(world.get("old").status.hooks.at(0).message == "left to its time limit: jobs is forbidden");
}

TEST_CASE("an undo script that runs when its record is superseded is stopped, and is its successor's to run again") {
  World world;
  world.scripts.set_state("pre_upgrade", {ScriptJobState::Phase::Succeeded, ""});
  const Replica replica(world);
  world.create(record_of("old", {left_script("warm", true)}));
  REQUIRE(world.reaches("old", Stage::Prepared));
  world.object_becomes(object_with("fe:7"));  // neither from nor to
  REQUIRE(world.signal.eventually([&] { return world.scripts.existing().contains("warm/post_upgrade/1"); }));
  const auto removals = world.scripts.removals();
  world.create(successor_of_old({}));
  REQUIRE(world.signal.eventually([&] { return world.get("new").status.taken_over; }));
  CHECK(world.get("new").status.undo.size() == 1);
  CHECK(world.signal.eventually([&] { return world.scripts.removals() > removals; }));
  world.scripts.set_state("post_upgrade", {ScriptJobState::Phase::Succeeded, ""});
  REQUIRE(world.reaches("new", Stage::Closed));
  CHECK(world.scripts.existing().empty());
  CHECK_FALSE(is_open(world.get("old")));
}

TEST_CASE("whoever comes later stops the scripts that a record left running, before what undoes them") {
  struct Row {
    const char* name;
    Stage stage;
    Outcome outcome;
    bool pending;
  };
  for (const Row& row : {Row{"cancelled, its replica killed", Stage::Restoring, Outcome::Expired, true},
                         Row{"failed, its replica killed", Stage::Restoring, Outcome::Failed, false},
                         Row{"superseded, its successor gone", Stage::Closed, Outcome::Superseded, false}}) {
    INFO(row.name);
    World world;
    auto record = world.create(record_of("old", {left_script("warm", true)}));
    const ScriptJob left{"warm", "pre_upgrade() { :; }", "pre_upgrade", 3, kAmple};
    REQUIRE(world.scripts.run(record, left, ample()).ok());
    std::set<std::string> beside_undo;
    world.scripts.on_question = [&] { beside_undo = world.scripts.existing(); };
    world.scripts.set_state("post_upgrade", {ScriptJobState::Phase::Succeeded, ""});
    world.write("old", [&](PreparationStatus& status) {
      HookStatus entry;
      entry.name = "warm";
      entry.phase = HookPhase::Running;
      entry.attempts = 3;
      status.hooks = {entry};
      status.phase = Phase::Failed;
      status.stage = row.stage;
      status.outcome = row.outcome;
      status.restore_pending = row.pending;
      if (row.pending) status.undo = {{"warm", "", "pre_upgrade() { :; }", kAmple}};
    });
    {
      const Replica replica(world);
      REQUIRE(world.signal.eventually([&] { return !is_open(world.get("old")); }));
    }
    CHECK(world.scripts.existing().empty());
    CHECK_FALSE(beside_undo.contains("warm/pre_upgrade/3"));
    CHECK(world.get("old").status.hooks.at(0).phase == HookPhase::Failed);
    CHECK(world.get("old").status.outcome == row.outcome);
    CHECK(world.scripts.created().size() == (row.pending ? 2 : 1));
  }
}

TEST_CASE("what a superseded record does to restore by itself does not look like another's doing") {
  World world;
  prepared_before(world, "old");
  world.write("old", [](PreparationStatus& status) {
    status.outcome = Outcome::Superseded;
    status.stage = Stage::Closed;
  });
  // Longer than several renewals, each of which comes back as an event.
  world.simulator.delay("ADMIN SET", 2s);
  const Replica replica(world);
  CHECK(world.signal.eventually([&] { return !world.get("old").status.restore_pending; }));
  const auto all = world.simulator.statements();
  CHECK(std::count_if(all.begin(), all.end(), [](const ReceivedStatement& one) {
          return one.sql.find("ADMIN SET") != std::string::npos;
        }) == 1);
}

TEST_CASE("a worker whose record is seen superseded sets nothing more, before its claim is renewed") {
  World world;
  prepared_before(world, "old");
  world.simulator.frontend(0).set_config(kScheduling, kSchedulingDefault);  // lost: to be set again
  world.simulator.delay("ADMIN SHOW", 500ms);
  auto options = quick_options("gate-0");
  options.claim_renewal = 1h;
  options.claim_stale_after = 4h;
  const Replica replica(world, options);
  REQUIRE(world.simulator.wait_for_statement("ADMIN SHOW", ample()));
  world.write("old", [](PreparationStatus& status) {
    status.outcome = Outcome::Superseded;
    status.stage = Stage::Closed;
    status.restore_pending = false;
  });
  REQUIRE(world.signal.eventually([&] { return replica.controller.stats().queued == 0; }));
  CHECK(world.config() == kSchedulingDefault);
  const auto all = world.simulator.statements();
  CHECK(std::none_of(all.begin(), all.end(),
                     [](const ReceivedStatement& one) { return one.sql.find("ADMIN SET") != std::string::npos; }));
}

TEST_CASE("another replica's claim is respected while it is renewed, and taken over when it is silent") {
  World world;
  world.create(record_of("r", {no_scheduling()}));
  world.write("r", [&](PreparationStatus& status) {
    status.phase = Phase::Running;
    status.runner = {"gate-1", world.clock.wall_now()};
  });
  const auto began = std::chrono::steady_clock::now();
  const Replica replica(world);  // patience: 2 s
  auto renewed = began;
  REQUIRE(world.signal.eventually([&] {
    if (std::chrono::steady_clock::now() - renewed > 500ms) {
      world.write("r", [&](PreparationStatus& status) { status.runner.renew_time = world.clock.wall_now(); });
      renewed = std::chrono::steady_clock::now();
    }
    CHECK(world.get("r").status.runner.identity == "gate-1");
    return renewed - began > 3s;
  }));
  CHECK(world.simulator.statements().empty());
  REQUIRE(world.reaches("r", Stage::Prepared));
  CHECK(std::chrono::steady_clock::now() - renewed >= 2s);
  CHECK(world.get("r").status.runner.identity == "gate-0");
}

TEST_CASE("two replicas prepare a record once") {
  World world;
  const Replica first(world, quick_options("gate-0"));
  const Replica second(world, quick_options("gate-1"));
  for (int i = 0; i < 8; ++i) {
    const auto name = "r" + std::to_string(i);
    auto record = record_of(name, {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")});
    world.create(record);
    REQUIRE(world.reaches(name, Stage::Prepared));
    CHECK(world.get(name).status.hooks.front().attempts == 1);
  }
  const auto prepared = [&] { return first.controller.stats().prepared + second.controller.stats().prepared; };
  CHECK(world.signal.eventually([&] { return prepared() >= 8; }));
  CHECK(prepared() == 8);
}

TEST_CASE("a restore stays pending, and is tried again, until the FE is back") {
  World world;
  prepared_before(world);
  world.simulator.stop(0);
  world.write("r", [](PreparationStatus& status) {
    status.stage = Stage::Restoring;
    status.outcome = Outcome::Expired;
  });
  const Replica replica(world);
  REQUIRE(world.signal.eventually([&] { return count(world.clusters.events(), "UpgradeRestoreOwed") == 1; }));
  CHECK(world.get("r").status.restore_pending);
  CHECK(world.get("r").status.stage == Stage::Restoring);
  CHECK(replica.controller.stats().restores_pending == 1);
  world.simulator.start(0);
  world.simulator.frontend(0).set_config(kScheduling, "0");
  REQUIRE(world.reaches("r", Stage::Closed));
  CHECK_FALSE(world.get("r").status.restore_pending);
  CHECK(world.config() == kSchedulingDefault);
}

TEST_CASE("what an FE loses by a restart is set again") {
  World world({.frontends = 2});
  const Replica replica(world);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  world.simulator.restart(1);
  CHECK(world.config(1) == kSchedulingDefault);
  REQUIRE(world.signal.eventually([&] { return world.config(1) == "0"; }));
  CHECK(world.signal.eventually([&] { return replica.controller.stats().reasserted >= 1; }));
}

TEST_CASE("ten closed records of a cluster are kept, and whatever is open") {
  World world;
  for (int i = 0; i < 12; ++i) {
    const auto name = "closed-" + std::to_string(i);
    auto record = record_of(name, {});
    record.spec.attempt = i + 1;
    world.create(record);
    world.write(name, [](PreparationStatus& status) { status.stage = Stage::Closed; });
  }
  auto other = record_of("of-another-cluster", {});
  other.spec.cluster = "sr2";
  world.create(other);
  world.write("of-another-cluster", [](PreparationStatus& status) { status.stage = Stage::Closed; });
  const Replica replica(world);
  auto last = record_of("last", {});
  last.spec.attempt = 13;
  world.create(last);
  REQUIRE(world.reaches("last", Stage::Prepared));
  CHECK(world.store.list_of_cluster("db", "sr", ample()).value().size() == 13);
  world.clock.move(2h);
  REQUIRE(world.signal.eventually([&] { return world.store.list_of_cluster("db", "sr", ample())->size() == 10; }));
  CHECK(world.get("last").name == "last");
  CHECK(world.get("closed-3").name == "closed-3");
  CHECK(world.get("closed-2").name.empty());
  CHECK(world.get("of-another-cluster").name == "of-another-cluster");
}

TEST_CASE("a cluster is not written while an admission of it is answered, and told the last state afterwards") {
  World world;
  const Replica replica(world);
  auto& controller = const_cast<PreparationController&>(replica.controller);
  {
    const StatusMirror::AnsweringScope answering(controller.status_mirror(), "db/sr");
    world.create(record_of("r", {no_scheduling()}));
    REQUIRE(world.reaches("r", Stage::Prepared));
    // The follow-up looks come each second; two of them pass with every chance to write.
    world.simulator.forget_statements();
    REQUIRE(world.simulator.wait_for_statement("ADMIN SHOW", ample()));
    CHECK(world.clusters.mirrors().empty());
  }
  REQUIRE(world.signal.eventually([&] { return !world.clusters.mirrors().empty(); }));
  CHECK(world.clusters.mirrors().back().status.phase == Phase::Completed);
}

TEST_CASE("a read-back tells what holds, what drifted and what cannot be asked, and writes nothing") {
  World world({.frontends = 2});
  ControllerOptions options = quick_options("gate-0");
  options.reassert_interval = 1h;
  Replica replica(world, options);
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  REQUIRE(world.signal.eventually([&] { return replica.controller.stats().prepared == 1; }));
  const auto record = world.get("r");
  CHECK(replica.controller.read_back(record, ample()) == ReadBack::Holds);
  world.simulator.restart(1);
  CHECK(replica.controller.read_back(record, ample()) == ReadBack::Drifted);
  world.simulator.fail("SHOW FRONTENDS", {1064, "42000", "no"});
  CHECK(replica.controller.read_back(record, ample()) == ReadBack::Unreachable);
  world.simulator.hang("SHOW FRONTENDS");
  CHECK(replica.controller.read_back(record, std::chrono::steady_clock::now() + 100ms) != ReadBack::Holds);
  CHECK(world.config(1) == kSchedulingDefault);
  CHECK(world.get("r").resource_version == record.resource_version);
}

TEST_CASE("the versions that run are those of the alive nodes, each of its own component") {
  FrontendSimulatorOptions options{.frontends = 2};
  options.version = "3.5.7";
  options.backends = {{"be-0"}, {"be-1", true, "3.4.12"}, {"be-2", false, "3.3.9"}};
  options.compute_nodes = {{"cn-0", true, "3.5.8"}};
  World world(std::move(options));
  world.simulator.set_frontend_version(1, "4.0.2-rc01");
  Replica replica(world);
  const RunningNode leader{Component::Frontend, "", {3, 5, 7, ""}};
  const RunningNode follower{Component::Frontend, "", {4, 0, 2, "rc01"}};
  const RunningNode node{Component::ComputeNode, "", {3, 5, 8, ""}};
  const std::vector<RunningNode> backends{{Component::Backend, "", {3, 5, 7, ""}},
                                          {Component::Backend, "", {3, 4, 12, ""}}};
  CHECK(replica.controller.running_nodes("db", "sr", ample()) ==
        std::vector<RunningNode>{follower, leader, backends[0], backends[1], node});
  SUBCASE("a statement that is refused tells nothing of its component") {
    world.simulator.fail("SHOW BACKENDS", {5203, "42000", "Access denied"});
    CHECK(replica.controller.running_nodes("db", "sr", ample()) == std::vector<RunningNode>{follower, leader, node});
  }
  SUBCASE("an FE that hangs is not waited for beyond the deadline") {
    world.simulator.hang("SHOW COMPUTE NODES");
    const auto began = std::chrono::steady_clock::now();
    (void)replica.controller.running_nodes("db", "sr", began + 200ms);
    CHECK(std::chrono::steady_clock::now() - began < 2s);
  }
  SUBCASE("an FE that is gone tells nothing") {
    world.simulator.stop(0);
    CHECK(replica.controller.running_nodes("db", "sr", ample()).empty());
  }
}

TEST_CASE("stop does not wait for an FE that hangs, and hands the claim over") {
  World world;
  world.simulator.hang("ADMIN SHOW");
  auto hook = no_scheduling();
  hook.timeout = kHookTimeoutMax;
  auto first = std::make_unique<Replica>(world, quick_options("gate-0"));
  world.create(record_of("r", {hook}));
  REQUIRE(world.simulator.wait_for_statement("ADMIN SHOW", ample()));
  CHECK(world.get("r").status.runner.identity == "gate-0");
  const auto began = std::chrono::steady_clock::now();
  first.reset();
  CHECK(std::chrono::steady_clock::now() - began < 4s);  // below the 5 s of one read
  CHECK(world.get("r").status.runner.identity.empty());
  CHECK(world.get("r").status.stage == Stage::Preparing);
  world.simulator.clear_faults();
  const Replica second(world, quick_options("gate-1"));
  CHECK(world.reaches("r", Stage::Prepared));
}

TEST_CASE("hooks taken off the object are undone, before admission only where the object had them") {
  struct Row {
    const char* name;
    bool asked_before;
    bool admitted;
    bool undone;
  };
  for (const Row& row :
       {Row{"prepared, asked before", true, false, true},
        Row{"prepared, asked for by the request itself", false, false, false}, Row{"rolling out", false, true, true}}) {
    INFO(row.name);
    World world;
    auto options = quick_options("gate-0");
    options.default_hooks.clear();
    const Replica replica(world, options);
    auto asking = object_with("fe:1");
    asking["metadata"]["annotations"] = {{"starrocks.com/prepare-upgrade", "true"}};
    world.clusters.set_object(asking);
    auto record = record_of("r", {no_scheduling()});
    record.spec.asked_before = row.asked_before;
    world.create(record);
    REQUIRE(world.reaches("r", Stage::Prepared));
    if (row.admitted) {
      asking["spec"]["starRocksFeSpec"]["image"] = "fe:2";
      world.object_becomes(asking);
      REQUIRE(world.reaches("r", Stage::RollingOut));
    }
    world.simulator.forget_statements();
    world.object_becomes(object_with(row.admitted ? "fe:2" : "fe:1"));
    if (!row.undone) {
      REQUIRE(world.simulator.wait_for_statement("ADMIN SHOW", ample()));  // held on
      CHECK(world.get("r").status.stage == Stage::Prepared);
      continue;
    }
    REQUIRE(world.reaches("r", Stage::Closed));
    CHECK(world.get("r").status.outcome == Outcome::Reverted);
    CHECK(world.config() == kSchedulingDefault);
    CHECK(world.signal.eventually([&] { return count(world.clusters.events(), "UpgradeReverted") == 1; }));
  }
}

TEST_CASE("a bypass is closed at once, told, and touches neither the FE nor what is open") {
  World world;
  prepared_before(world, "open");
  const Replica replica(world);
  auto record = record_of("bypass", {no_scheduling()});
  record.spec.changes = {{Component::Frontend, "fe:1", "fe:3"}};
  record.spec.bypass = Bypass{"*", "disk full", world.clock.wall_now() + 1h};
  world.create(record);
  REQUIRE(world.reaches("bypass", Stage::Closed));
  const auto status = world.get("bypass").status;
  CHECK(status.outcome == Outcome::Bypassed);
  CHECK_FALSE(status.restore_pending);
  CHECK(status.message.find("disk full") != std::string::npos);
  CHECK(status.hooks.empty());
  CHECK(world.signal.eventually([&] { return count(world.clusters.events(), "UpgradeGateBypassed") == 1; }));
  CHECK(replica.controller.stats().bypassed == 1);
  CHECK(closed_as(replica.controller.stats(), Outcome::Bypassed) == 1);
  CHECK(world.get("open").status.restore_pending);
  CHECK(world.get("open").status.stage == Stage::Prepared);
  // Its images on the object end the open record, which restores by itself.
  world.object_becomes(object_with("fe:3"));
  REQUIRE(world.reaches("open", Stage::Closed));
  CHECK(world.get("open").status.outcome == Outcome::Reverted);
  CHECK(world.config() == kSchedulingDefault);
}

TEST_CASE("a replica that only restores prepares and holds nothing, and restores what is due") {
  World world;
  prepared_before(world, "held");
  world.create(record_of("new", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")}));
  prepared_before(world, "due");
  world.write("due", [](PreparationStatus& status) {
    status.stage = Stage::Restoring;
    status.outcome = Outcome::Expired;
  });
  auto options = quick_options("release");
  options.restore_only = true;
  const Replica replica(world, options);
  REQUIRE(world.reaches("due", Stage::Closed));
  CHECK(world.config() == "0");  // the other record keeps it
  CHECK(world.get("held").status.runner.identity.empty());
  CHECK(world.get("new").status.phase == Phase::Pending);
  // It comes to be due.
  world.write("held", [](PreparationStatus& status) {
    status.stage = Stage::Restoring;
    status.outcome = Outcome::Expired;
  });
  CHECK(world.reaches("held", Stage::Closed));
  CHECK(world.config() == kSchedulingDefault);
}

TEST_CASE("one that was ended before it took over its predecessor's restores does those, too") {
  World world;
  prepared_before(world, "old");
  auto successor = record_of("new", {no_scheduling()});
  successor.spec.supersedes = "old";
  world.create(successor);
  world.write("old", [](PreparationStatus& status) {
    status.outcome = Outcome::Superseded;
    status.stage = Stage::Closed;
  });
  world.write("new", [](PreparationStatus& status) {
    status.outcome = Outcome::Expired;
    status.stage = Stage::Restoring;
  });
  const Replica replica(world);
  REQUIRE(world.reaches("new", Stage::Closed));
  CHECK(world.config() == kSchedulingDefault);
  CHECK_FALSE(world.get("old").status.restore_pending);
  CHECK(world.get("new").status.captured.size() == 1);
}

TEST_CASE("what is pending, how old it is and how long it is overdue can be read") {
  World world;
  prepared_before(world);
  world.simulator.stop(0);
  world.write("r", [&](PreparationStatus& status) {
    status.start_time = world.clock.wall_now() - 100s;
    status.restoring_time = world.clock.wall_now() - 40s;
    status.stage = Stage::Restoring;
    status.outcome = Outcome::Expired;
  });
  const Replica replica(world);
  world.clock.move(10s);
  const auto stats = replica.controller.stats();
  CHECK(stats.restores_pending == 1);
  CHECK(stats.oldest_unrestored >= 110s);
  CHECK(stats.oldest_unrestored < 200s);
  CHECK(stats.longest_overdue >= 50s);
  CHECK(stats.longest_overdue < 100s);
  world.simulator.start(0);
  REQUIRE(world.reaches("r", Stage::Closed));
  CHECK(world.signal.eventually([&] { return replica.controller.stats().oldest_unrestored == 0s; }));
  CHECK(replica.controller.stats().longest_overdue == 0s);
}

TEST_CASE("a storm of failed attempts leaves ten records") {
  World world;
  world.simulator.fail("CREATE IMAGE", {1064, "42000", "no"});
  const Replica replica(world);
  for (int attempt = 1; attempt <= 25; ++attempt) {
    auto record = record_of("r" + std::to_string(attempt),
                            {no_scheduling(), statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")});
    record.spec.attempt = attempt;
    if (attempt > 1) record.spec.supersedes = "r" + std::to_string(attempt - 1);
    world.create(record);
  }
  REQUIRE(world.signal.eventually([&] {
    const auto all = world.store.list_of_cluster("db", "sr", ample()).value();
    return all.size() <= 10 && std::none_of(all.begin(), all.end(), is_open);
  }));
  CHECK(world.get("r25").status.stage == Stage::Closed);
  CHECK(world.config() == kSchedulingDefault);
}

TEST_CASE("many records at once are spread over the replicas, and none is prepared twice") {
  World world;
  world.simulator.delay("CREATE IMAGE", 50ms);
  const Replica first(world, quick_options("gate-0"));
  const Replica second(world, quick_options("gate-1"));
  constexpr int kRecords = 40;
  for (int i = 0; i < kRecords; ++i) {
    auto record = record_of("r" + std::to_string(i), {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")});
    record.spec.cluster = "sr" + std::to_string(i);
    world.create(record);
  }
  const auto done = [&] { return first.controller.stats().prepared + second.controller.stats().prepared; };
  REQUIRE(world.signal.eventually([&] { return done() >= kRecords; }));
  CHECK(done() == kRecords);
  for (const auto* replica : {&first, &second}) CHECK(replica->controller.stats().prepared >= kRecords / 5);
  for (int i = 0; i < kRecords; ++i) CHECK(world.get("r" + std::to_string(i)).status.hooks.front().attempts == 1);
}

}  // namespace
}  // namespace gate
