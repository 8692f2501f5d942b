// What an upgrade of a real cluster meets, each from the first statement to the value that is left behind.

#include <future>

#include "test/server/preparation/run.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

Hook no_balance() { return setting_hook("disable-balancer", "disable_balance", "true"); }

TEST_CASE("three FEs, one restarted between SET and admission: noticed, and set again") {
  World world({.frontends = 3});
  Replica replica(world);
  world.create(record_of("r", {no_scheduling(), no_balance()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == "0");
  CHECK(replica.controller.read_back(world.get("r"), ample()) == ReadBack::Holds);

  world.simulator.hang("ADMIN SET");  // nobody can set it again before it was looked at
  world.simulator.restart(1);
  CHECK(world.config(1) == kSchedulingDefault);
  CHECK(replica.controller.read_back(world.get("r"), ample()) == ReadBack::Drifted);
  world.simulator.clear_faults();
  CHECK(
      world.signal.eventually([&] { return world.config(1) == "0" && world.config(1, "disable_balance") == "true"; }));
  CHECK(replica.controller.read_back(world.get("r"), ample()) == ReadBack::Holds);
  // What it lost is not taken for what it had before.
  CHECK(world.get("r").status.captured ==
        std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"},
                                     {"tablet_sched_disable_balance", "false", "true"}});
}

/// FE 1 hangs from the moment the first ADMIN SET reaches the database.
struct HangsAtSet {
  FrontendSimulator* cluster = nullptr;
  std::atomic<bool> hung{false};
  void operator()(const ReceivedStatement& statement) {
    if (statement.sql.starts_with("ADMIN SET") && !hung.exchange(true)) cluster->hang_frontend(1);
  }
};

TEST_CASE("one FE hung during the broadcast: the hook fails in its time, and nothing is proven until that FE answers") {
  for (const char* version : {"3.3.9", "3.5.7"}) {
    INFO(std::string(version));
    HangsAtSet hangs;
    World world({.frontends = 3, .version = version, .on_statement = [&](const auto& one) { hangs(one); }});
    hangs.cluster = &world.simulator;
    auto hook = no_scheduling();
    hook.timeout = 2s;
    Run run(world, {hook});
    CHECK(run.prepare() == RunEnd::Finished);
    const auto status = run.status();
    CHECK(status.phase == Phase::Failed);
    INFO(status.message);
    CHECK(has(status.message, "critical hook \"disable-tablet-clone\" failed"));
    CHECK(has(status.message, "127.0.0.1:" + std::to_string(world.simulator.frontend(1).port())));
    CHECK(world.config(0) == "0");
    CHECK(status.restore_pending);
    CHECK_FALSE(run.runner->restore(1s).ok());
    world.simulator.hang_frontend(1, false);
    CHECK(world.signal.eventually([&] { return world.config(1) == "0"; }));  // the stalled broadcast arrives late
    CHECK(run.runner->restore(kAmple).ok());
    for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == kSchedulingDefault);
  }
}

TEST_CASE("one FE hung during the broadcast that comes back in time: the hook completes on every FE") {
  HangsAtSet hangs;
  World world({.frontends = 3, .on_statement = [&](const auto& one) { hangs(one); }});
  hangs.cluster = &world.simulator;
  Run run(world, {no_scheduling()});
  std::jthread worker([&] { (void)run.prepare(); });
  REQUIRE(world.signal.eventually([&] { return hangs.hung.load() && world.config(0) == "0"; }));
  CHECK(world.config(1) == kSchedulingDefault);
  world.simulator.hang_frontend(1, false);
  worker.join();
  CHECK(run.status().phase == Phase::Completed);
  for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == "0");
}

TEST_CASE("leader change in the middle: the SET goes through the new leader, and the old value is the old leader's") {
  std::atomic<bool> changed{false};
  FrontendSimulator* cluster = nullptr;
  World world({.frontends = 3, .on_statement = [&](const ReceivedStatement& statement) {
                 if (!statement.sql.starts_with("ADMIN SET") || changed.exchange(true)) return;
                 cluster->set_leader(std::nullopt);
               }});
  cluster = &world.simulator;
  Run run(world, {no_scheduling()});
  std::jthread worker([&] { (void)run.prepare(); });
  REQUIRE(world.signal.eventually([&] { return changed.load(); }));
  world.simulator.restart(0);  // the old leader's process is gone, and the connection through it
  world.simulator.set_leader(2);
  worker.join();
  CHECK(run.status().phase == Phase::Completed);
  for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == "0");
  CHECK(run.status().captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
  CHECK(run.runner->restore(kAmple).ok());
  for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == kSchedulingDefault);
}

TEST_CASE("a user who had disable_balance=true before keeps it") {
  World world({.frontends = 2, .fe_conf = {{"tablet_sched_disable_balance", "true"}}});
  Run run(world, {no_scheduling(), no_balance()});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.status().captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
  CHECK(run.runner->restore(kAmple).ok());
  for (std::size_t fe = 0; fe < 2; ++fe) {
    CHECK(world.config(fe, "disable_balance") == "true");
    CHECK(world.config(fe) == kSchedulingDefault);
  }
}

TEST_CASE("max_scheduling_tablets set through its alias is captured and restored under its own name") {
  World world({.frontends = 2, .fe_conf = {{kScheduling, "77"}}});
  Run run(world, {setting_hook("by-alias", "max_scheduling_tablets", "0")});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().captured == std::vector<CapturedSetting>{{kScheduling, "77", "0"}});
  CHECK(world.config(1) == "0");
  CHECK(run.runner->restore(kAmple).ok());
  for (std::size_t fe = 0; fe < 2; ++fe) CHECK(world.config(fe) == "77");
}

TEST_CASE("FE versions 2.5, 3.3, 3.5 and 4.0: the recommended procedure from the checks to the values restored") {
  for (const char* version : {"2.5.22", "3.3.9", "3.5.7", "4.0.2"}) {
    INFO(std::string(version));
    World world({.frontends = 3, .version = version, .compute_nodes = {{"cn-0"}}});
    Run run(world, {hook_of("check-frontends-alive", ProbeAction{Probe::FrontendsAlive}),
                    hook_of("check-backends-alive", ProbeAction{Probe::BackendsAlive}),
                    hook_of("check-compute-nodes-alive", ProbeAction{Probe::ComputeNodesAlive}), no_scheduling(),
                    setting_hook("disable-tablet-balancing", "tablet_sched_max_balancing_tablets", "0"), no_balance(),
                    setting_hook("disable-colocate-balance", "disable_colocate_balance", "true"),
                    hook_of("drain-tablet-scheduler", ProbeAction{Probe::SchedulerDrained}, false)});
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK_MESSAGE(run.status().phase == Phase::Completed, run.status().message);
    CHECK(run.status().captured.size() == 4);
    CHECK(run.runner->restore(kAmple).ok());
    for (std::size_t fe = 0; fe < 3; ++fe) {
      CHECK(world.config(fe) == kSchedulingDefault);
      CHECK(world.config(fe, "tablet_sched_max_balancing_tablets") == "500");
      CHECK(world.config(fe, "disable_balance") == "false");
      CHECK(world.config(fe, "disable_colocate_balance") == "false");
    }
  }
}

TEST_CASE(
    "FE versions and their error codes: an unknown item fails the hook, and so does an FE that cannot be told at all") {
  struct Row {
    const char* version;
    const char* unreached;
  };
  // Before 3.5 an FE that a broadcast misses is told at its own address; from then on its leader would have to tell it.
  for (const Row& row : {Row{"2.5.22", ""}, Row{"3.3.9", ""}, Row{"3.5.7", "ERROR 5101"}, Row{"4.0.2", "ERROR 5101"}}) {
    INFO(std::string(row.version));
    World world({.frontends = 2, .version = row.version});
    world.simulator.break_broadcast_to(1);
    auto hook = no_scheduling();
    hook.timeout = 2s;
    Run unreached(world, {hook});
    CHECK(unreached.prepare() == RunEnd::Finished);
    CHECK((unreached.status().phase == Phase::Failed) == !std::string(row.unreached).empty());
    CHECK_MESSAGE(has(unreached.status().message, row.unreached), unreached.status().message);
    World another({.version = row.version});
    Run unknown(another, {setting_hook("typo", "disable_ballance", "true")});
    CHECK(unknown.prepare() == RunEnd::Finished);
    CHECK_MESSAGE(has(unknown.status().message, "no configuration item \"disable_ballance\""),
                  unknown.status().message);
    CHECK(count(another.simulator, "ADMIN SET") == 0);
  }
}

TEST_CASE("the drain check settles at the second look in a row with nothing running and no queue") {
  World world;
  // A queue between two rounds, and a number that is too low for a moment, are no end.
  world.simulator.set_cluster_balance({{97, 0}, {0, 0}, {97, 3}, {1, 0}, {1, 1}, {1, 0}, {0, 0}, {5, 5}});
  Run run(world, {hook_of("drain-tablet-scheduler", ProbeAction{Probe::SchedulerDrained}, false)});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.hook(0).phase == HookPhase::Completed);
  CHECK(run.hook(0).message == "no tablet is being moved or repaired, 0 pending");
  CHECK(count(world.simulator, "/cluster_balance") == 7);
}

TEST_CASE(
    "the drain hook ends when all that was pending is worked off, and one tablet that cannot be is no reason to wait") {
  struct Row {
    const char* name;
    SimulatedScheduler scheduler;
  };
  for (const Row& row : {Row{"a long queue", {.unhealthy = 3, .pending = 88}},
                         Row{"one that stays pending", {.unhealthy = 31, .slots = 0}}}) {
    INFO(row.name);
    World world;
    world.simulator.set_scheduler(row.scheduler);
    Run run(world, {no_scheduling(), hook_of("drain-tablet-scheduler", ProbeAction{Probe::SchedulerDrained}, false)});
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK(run.hook(1).phase == HookPhase::Completed);
    const auto left = world.simulator.scheduler();
    CHECK(left.running_tablets == 0);
    CHECK(left.pending_tablets <= 1);
  }
}

TEST_CASE("one connection per user and FE is enough: for the hooks, the read-back of every FE, and the restore") {
  World world({.frontends = 3, .max_user_connections = 1});
  Run run(world, {no_scheduling(), no_balance()});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK_MESSAGE(run.status().phase == Phase::Completed, run.status().message);
  // An FE counts a connection that was closed until it sees so: a look that comes sooner is repeated.
  const auto soon = [](const auto& look) {
    const auto give_up = std::chrono::steady_clock::now() + kAmple;
    bool done = false;
    while (!done && std::chrono::steady_clock::now() < give_up) done = look().ok();
    return done;
  };
  std::string detail;
  CHECK(soon([&] { return run.runner->reassert(kAmple, detail); }));
  CHECK(soon([&] { return run.runner->restore(kAmple); }));
  for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == kSchedulingDefault);
}

TEST_CASE("the drain check that never settles says why, and does not hold the upgrade up") {
  World world;
  world.simulator.set_cluster_balance({{3, 1}});
  auto drain = hook_of("drain-tablet-scheduler", ProbeAction{Probe::SchedulerDrained}, false);
  drain.timeout = 2s;
  Run run(world, {drain, no_scheduling()});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.hook(0).phase == HookPhase::Failed);
  INFO(run.hook(0).message);
  CHECK(has(run.hook(0).message, "tablets being moved or repaired: 1, 3 pending"));
}

TEST_CASE("a check whose FE stops answering says what was seen before, and why it is not seen any more") {
  World world;
  world.simulator.set_cluster_balance({{3, 1}});
  auto drain = hook_of("drain-tablet-scheduler", ProbeAction{Probe::SchedulerDrained}, false);
  drain.timeout = 4s;
  Run run(world, {drain});
  auto ended = std::async(std::launch::async, [&] { return run.prepare(); });
  // The second question shows that the first was answered.
  REQUIRE(world.signal.eventually([&] { return count(world.simulator, "/cluster_balance") >= 2; }));
  world.simulator.hang("/cluster_balance");
  CHECK(ended.get() == RunEnd::Finished);
  INFO(run.hook(0).message);
  CHECK(run.hook(0).phase == HookPhase::Failed);
  CHECK(has(run.hook(0).message,
            "tablets being moved or repaired: 1, 3 pending; wanted none running and at most 1 pending; then: "));
}

TEST_CASE("a ConfigMap changed between configuration and use: the record's hooks run, and the change is another key") {
  World world;
  world.clusters.set_config_map("hooks", {{"hooks.sql", "ADMIN REPAIR TABLE a"}});
  const auto record = record_of("r", {statement_hook("hooks.sql-1", "ADMIN REPAIR TABLE a")});
  const auto changed = record_of("r", {statement_hook("hooks.sql-1", "ADMIN REPAIR TABLE b")});
  CHECK(preparation_key(record.spec) != preparation_key(changed.spec));
  world.create(record);
  world.clusters.set_config_map("hooks", {{"hooks.sql", "ADMIN REPAIR TABLE b"}});
  Replica replica(world);
  REQUIRE(world.reaches("r", Stage::Prepared));
  CHECK(count(world.simulator, "ADMIN REPAIR TABLE a") == 1);
  CHECK(count(world.simulator, "ADMIN REPAIR TABLE b") == 0);
}

TEST_CASE("two groups in parallel with a failure in one: its others run to their end, the next group only if it may") {
  for (const bool critical : {true, false}) {
    INFO(critical);
    World world;
    const auto in_group = [&](const char* name, const char* group, bool is_critical) {
      auto hook = statement_hook(name, std::string("ADMIN REPAIR TABLE ") + name, is_critical);
      hook.group = group;
      return hook;
    };
    world.simulator.fail("TABLE a2", {1064, "HY000", "no such table"});
    world.simulator.hang("TABLE a1");
    world.simulator.hang("TABLE a3");
    Run run(world, {in_group("a1", "a", true), in_group("a2", "a", critical), in_group("a3", "a", true),
                    in_group("b1", "b", true), in_group("b2", "b", true)});
    std::jthread worker([&] { (void)run.prepare(); });
    // All three are under way at once, and the failure of one does not end the others.
    REQUIRE(world.simulator.wait_for([](const auto& all) { return all.size() == 3; }, ample()));
    REQUIRE(world.signal.eventually([&] { return run.status().hooks.at(1).phase == HookPhase::Failed; }));
    CHECK(run.hook(0).phase == HookPhase::Running);
    CHECK(run.hook(2).phase == HookPhase::Running);
    world.simulator.clear_faults();
    worker.join();
    const auto status = run.status();
    CHECK(status.hooks[0].phase == HookPhase::Completed);
    CHECK(status.hooks[1].phase == HookPhase::Failed);
    CHECK(status.hooks[2].phase == HookPhase::Completed);
    CHECK(status.phase == (critical ? Phase::Failed : Phase::Completed));
    CHECK(status.hooks[3].phase == (critical ? HookPhase::Pending : HookPhase::Completed));
    CHECK(count(world.simulator, "TABLE b") == (critical ? 0 : 2));
    if (critical) CHECK(has(status.message, "critical hook \"a2\" failed"));
  }
}

TEST_CASE("settings of one group are captured side by side, each before its SET") {
  World world({.frontends = 2});
  auto first = no_scheduling();
  auto second = no_balance();
  first.group = second.group = "settings";
  Run run(world, {first, second});
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(run.status().captured.size() == 2);
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config(1) == kSchedulingDefault);
  CHECK(world.config(1, "disable_balance") == "false");
}

TEST_CASE("an HTTP hook that says not-yet three times: asked four times, the same question") {
  World world;
  const HttpCallReply wait{200, R"({"verdict":"wait","message":"1 of 2 approvals"})"};
  world.http.answer({wait, wait, wait, HttpCallReply{200, R"({"verdict":"allow","message":"CHG-7"})"}});
  Run run(world, {hook_of("change-board", HttpAction{"https://board/ask", "", "", "", 1s})});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.hook(0).message == "CHG-7");
  const auto requests = world.http.requests();
  REQUIRE(requests.size() == 4);
  for (const auto& request : requests) CHECK(request.body == requests[0].body);
  const auto body = nlohmann::json::parse(requests[0].body);
  CHECK(body["preparation"] == "r");
  CHECK(body["key"] == preparation_key(world.get("r").spec));
  CHECK(body["changes"] == nlohmann::json::array({{{"component", "fe"}, {"from", "fe:1"}, {"to", "fe:2"}}}));
}

TEST_CASE("a script hook's outcome is honoured from pre_upgrade() to post_upgrade() after the rollout") {
  for (const auto outcome : {ScriptJobState::Phase::Succeeded, ScriptJobState::Phase::Failed}) {
    INFO(static_cast<int>(outcome));
    World world;
    world.scripts.set_state("pre_upgrade", {outcome, "exit 1"});
    world.scripts.set_state("post_upgrade", {ScriptJobState::Phase::Succeeded, ""});
    Replica replica(world);
    world.create(
        record_of("r", {hook_of("backup", ScriptAction{"pre_upgrade() { :; }\npost_upgrade() { :; }", true})}));
    if (outcome == ScriptJobState::Phase::Succeeded) {
      REQUIRE(world.reaches("r", Stage::Prepared));
      CHECK(world.scripts.created() == std::vector<std::string>{"backup/pre_upgrade/1"});
      world.clusters.set_rolled_out();
      world.object_becomes(object_with("fe:2"));
    }
    REQUIRE(world.reaches("r", Stage::Closed));
    const auto status = world.get("r").status;
    CHECK(status.phase == (outcome == ScriptJobState::Phase::Succeeded ? Phase::Completed : Phase::Failed));
    CHECK(world.scripts.created() == std::vector<std::string>{"backup/pre_upgrade/1", "backup/post_upgrade/1"});
    CHECK(status.undo.empty());
    CHECK_FALSE(status.restore_pending);
  }
}

TEST_CASE("a newer target takes over what is pending besides settings, in the same step") {
  World world;
  world.scripts.set_state("pre_upgrade", {ScriptJobState::Phase::Succeeded, ""});
  Replica replica(world);
  const auto backup = hook_of("backup", ScriptAction{"post_upgrade() { :; }", true});
  world.create(record_of("old", {no_scheduling(), backup}));
  REQUIRE(world.reaches("old", Stage::Prepared));
  auto newer = record_of("new", {no_balance()});
  newer.spec.supersedes = "old";
  newer.spec.changes = {{Component::Frontend, "fe:1", "fe:3"}};
  world.create(newer);
  REQUIRE(world.reaches("new", Stage::Prepared));
  CHECK_FALSE(world.get("old").status.restore_pending);
  CHECK(world.get("new").status.undo == std::vector<PendingUndo>{{"backup", "", "post_upgrade() { :; }", kAmple}});
  CHECK(world.get("new").status.captured.size() == 2);
}

TEST_CASE("in verify mode the gate leaves the cluster's status to who prepares, and reports a drift") {
  World world({.fe_conf = {{kScheduling, "0"}}});
  Replica replica(world);
  auto record = record_of("r", {no_scheduling()});
  record.spec.mode = PreparationMode::Verify;
  world.create(record);
  REQUIRE(world.reaches("r", Stage::Prepared));
  world.simulator.frontend(0).set_config(kScheduling, "10");
  CHECK(world.signal.eventually([&] { return has(world.get("r").status.message, "is \"10\" on FE"); }));
  CHECK(replica.controller.read_back(world.get("r"), ample()) == ReadBack::Drifted);
  world.simulator.frontend(0).set_config(kScheduling, "0");
  CHECK(world.signal.eventually([&] { return world.get("r").status.message.empty(); }));
  const auto events = world.clusters.events();
  CHECK(std::count(events.begin(), events.end(), "UpgradeSettingsDrifted") == 1);
  world.clusters.set_rolled_out();
  world.object_becomes(object_with("fe:2"));
  REQUIRE(world.reaches("r", Stage::Closed));
  CHECK(world.clusters.mirrors().empty());
  CHECK(count(world.simulator, "ADMIN SET") == 0);
}

TEST_CASE(
    "in verify mode the message is the drift's before the rollout's, and a look without news writes its claim only") {
  World world({.fe_conf = {{kScheduling, "0"}}});
  auto record = record_of("r", {no_scheduling()});
  record.spec.mode = PreparationMode::Verify;
  auto options = quick_options("gate-0");
  options.claim_renewal = kAmple;
  Replica replica(world, options);
  world.create(record);
  REQUIRE(world.reaches("r", Stage::Prepared));
  world.object_becomes(object_with("fe:2"));
  const auto version = [&] { return std::stoul(world.get("r").resource_version); };
  const auto rests_with = [&](const std::string& message) {
    REQUIRE(world.signal.eventually([&] { return has(world.get("r").status.message, message); }));
    world.simulator.forget_statements();
    const auto before = version();
    REQUIRE(world.signal.eventually([&] { return count(world.simulator, "ADMIN SHOW") >= 3; }));
    const auto writes = version() - before;
    // The claim comes before the statement: one look may have only the former by now.
    CHECK(writes <= count(world.simulator, "ADMIN SHOW") + 1);
  };
  rests_with("waiting for the rollout: StatefulSet sr-fe");
  world.simulator.frontend(0).set_config(kScheduling, "10");
  rests_with("is \"10\" on FE");
  CHECK(world.get("r").status.reason == "SettingsDrifted");
  world.simulator.frontend(0).set_config(kScheduling, "0");
  rests_with("waiting for the rollout: StatefulSet sr-fe");
  CHECK(world.get("r").status.reason == "HooksCompleted");
  const auto events = world.clusters.events();
  CHECK(std::count(events.begin(), events.end(), "UpgradeSettingsDrifted") == 1);
}

}  // namespace
}  // namespace gate
