// Hooks against FEs on sockets: what is in the record when a statement arrives, and what is left behind.

#include "test/server/preparation/run.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

const SqlError kRefused{1064, "42000", "no such thing"};

TEST_CASE("the old value is in the record before the SET reaches the FE") {
  std::function<void(const ReceivedStatement&)> look = [](const auto&) {};
  World world({.on_statement = [&](const ReceivedStatement& statement) { look(statement); }});
  std::vector<CapturedSetting> seen;
  bool pending = false;
  look = [&](const ReceivedStatement& statement) {
    if (statement.sql.find("ADMIN SET") == std::string::npos) return;
    seen = world.get("r").status.captured;
    pending = world.get("r").status.restore_pending;
  };
  // Named by its alias, as old instructions do.
  Run run(world, {setting_hook("disable-balancer", "disable_balance", "true")});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(seen == std::vector<CapturedSetting>{{"tablet_sched_disable_balance", "false", "true"}});
  CHECK(pending);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.status().stage == Stage::Prepared);
  CHECK(world.config(0, "disable_balance") == "true");
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config(0, "disable_balance") == "false");
}

TEST_CASE("settings one after the other cost one write before the first is set, and one at the end") {
  std::function<void(const ReceivedStatement&)> look = [](const auto&) {};
  World world({.on_statement = [&](const ReceivedStatement& statement) { look(statement); }});
  const std::vector<Hook> hooks{no_scheduling(), setting_hook("disable-balancer", "disable_balance", "true"),
                                setting_hook("no-colocate", "tablet_sched_disable_colocate_balance", "true")};
  std::size_t not_written_ahead = 0;
  std::size_t sets = 0;
  look = [&](const ReceivedStatement& statement) {
    if (statement.sql.find("ADMIN SET") == std::string::npos) return;
    // What is about to be set is in the record as stored, and what follows it.
    ++sets;
    if (world.get("r").status.captured.size() != hooks.size()) ++not_written_ahead;
  };
  Run run(world, hooks);
  const auto before = std::stoi(world.get("r").resource_version);
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(sets == hooks.size());
  CHECK(not_written_ahead == 0);
  CHECK(std::stoi(world.get("r").resource_version) - before == 2);
  const auto status = run.status();
  CHECK(status.phase == Phase::Completed);
  for (const auto& hook : status.hooks) {
    INFO(hook.name);
    CHECK(hook.phase == HookPhase::Completed);
    CHECK(hook.attempts == 1);
    CHECK(hook.start_time.has_value());
    CHECK(hook.completion_time.has_value());
  }
}

TEST_CASE("a value that is as wanted already is not set, not captured and never restored") {
  World world({.fe_conf = {{kScheduling, "0"}}});
  Run run(world, {no_scheduling()});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.status().captured.empty());
  CHECK_FALSE(run.status().restore_pending);
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(count(world.simulator, "ADMIN SET") == 0);
}

TEST_CASE("every FE is asked at its own address, and one that differs is found") {
  World world({.frontends = 3});
  Run run(world, {no_scheduling()});
  REQUIRE(run.prepare() == RunEnd::Finished);
  std::string drifted;
  auto holds = run.runner->holds(ample(), drifted);
  REQUIRE(holds.ok());
  CHECK(*holds);
  world.simulator.frontend(2).set_config(kScheduling, "77");
  holds = run.runner->holds(ample(), drifted);
  REQUIRE(holds.ok());
  CHECK_FALSE(*holds);
  CHECK(drifted.find(std::to_string(world.simulator.frontend(2).port())) != std::string::npos);
  CHECK(drifted.find("\"77\"") != std::string::npos);
  std::string detail;
  CHECK(run.runner->reassert(kAmple, detail).ok());
  CHECK(detail.find("disable-tablet-clone") != std::string::npos);
  for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == "0");
}

TEST_CASE("an FE that cannot be told fails the hook in its time, and what the others took is restored") {
  World world({.frontends = 2});
  world.simulator.break_broadcast_to(1);
  auto hook = no_scheduling();
  hook.timeout = 2s;
  Run run(world, {hook});
  CHECK(run.prepare() == RunEnd::Finished);
  const auto status = run.status();
  CHECK(status.phase == Phase::Failed);
  CHECK(status.stage == Stage::Restoring);
  CHECK(status.outcome == Outcome::Failed);
  CHECK(has(status.message, "critical hook \"disable-tablet-clone\" failed"));
  CHECK(has(status.message, "127.0.0.1:" + std::to_string(world.simulator.frontend(1).port()) + " still has"));
  CHECK(status.restore_pending);
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config(0) == kSchedulingDefault);
  CHECK(world.config(1) == kSchedulingDefault);
}

TEST_CASE("an FE that the broadcast missed is told at its own address, where the version allows it") {
  World world({.frontends = 2, .version = "3.3.9"});
  world.simulator.break_broadcast_to(1);
  Run run(world, {no_scheduling()});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  for (std::size_t fe = 0; fe < 2; ++fe) CHECK(world.config(fe) == "0");
}

TEST_CASE("restoring is a compare-and-set") {
  struct Row {
    const char* name;
    const char* now;
    const char* afterwards;
  };
  for (const Row& row : {Row{"still ours", "0", kSchedulingDefault}, Row{"somebody's later value", "123", "123"},
                         Row{"back already", kSchedulingDefault, kSchedulingDefault}}) {
    INFO(row.name);
    World world;
    Run run(world, {no_scheduling()});
    REQUIRE(run.prepare() == RunEnd::Finished);
    world.simulator.frontend(0).set_config(kScheduling, row.now);
    CHECK(run.runner->restore(kAmple).ok());
    CHECK(world.config() == row.afterwards);
  }
}

TEST_CASE("a connection that breaks in the middle of an answer is replaced and the statement repeated") {
  World world;
  world.simulator.drop("ADMIN SHOW", {}, 1);
  world.simulator.drop("ADMIN SET", {}, 1);
  Run run(world, {no_scheduling()});
  CHECK(run.prepare() == RunEnd::Finished);
  const auto status = run.status();
  CHECK(status.phase == Phase::Completed);
  // The SET that was cut had been executed: what it overwrote is captured once, and is not its own value.
  CHECK(status.captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config() == kSchedulingDefault);
}

TEST_CASE("a read that times out is repeated within the hook's time") {
  World world;
  world.simulator.hang("ADMIN SHOW");
  Run run(world, {no_scheduling()});
  std::optional<RunEnd> end;
  std::jthread worker([&] { end = run.prepare(); });
  // The second question means that the first was given up.
  CHECK(world.signal.eventually([&] { return count(world.simulator, "ADMIN SHOW") >= 2; }));
  world.simulator.clear_faults();
  worker.join();
  CHECK(end == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
}

TEST_CASE("an SQL error is not repeated; a critical hook ends the preparation, another does not") {
  struct Row {
    const char* name;
    bool critical;
    Phase phase;
    std::size_t sets;
  };
  for (const Row& row : {Row{"critical", true, Phase::Failed, 0}, Row{"not critical", false, Phase::Completed, 1}}) {
    INFO(row.name);
    World world;
    world.simulator.fail("CREATE IMAGE", kRefused);
    Run run(world, {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE", row.critical), no_scheduling()});
    CHECK(run.prepare() == RunEnd::Finished);
    const auto status = run.status();
    CHECK(status.phase == row.phase);
    CHECK(status.hooks.front().phase == HookPhase::Failed);
    CHECK(status.hooks.front().message.find("no such thing") != std::string::npos);
    CHECK(count(world.simulator, "CREATE IMAGE") == 1);
    CHECK(count(world.simulator, "ADMIN SET") == row.sets);
  }
}

TEST_CASE("a hook that was allowed to fail is neither expected to hold nor in the way of others") {
  World world;
  Run run(world, {setting_hook("unknown", "no_such_item", "1", false), no_scheduling()});
  REQUIRE(run.prepare() == RunEnd::Finished);
  REQUIRE(run.status().phase == Phase::Completed);
  world.simulator.restart(0);
  run.again();
  std::string drifted;
  const auto holds = run.runner->holds(ample(), drifted);
  REQUIRE(holds.ok());
  CHECK_FALSE(*holds);
  std::string detail;
  CHECK(run.runner->reassert(kAmple, detail).ok());
  CHECK(world.config() == "0");
}

TEST_CASE("after a crash only what is not completed runs, and nothing is captured twice") {
  World world;
  world.simulator.frontend(0).set_config(kScheduling, "0");
  Run run(world, {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE"), no_scheduling()},
          [](Preparation& record) {
            auto& status = record.status;
            status.hooks.resize(2);
            status.hooks[0].name = "create-image";
            status.hooks[0].phase = HookPhase::Completed;
            status.hooks[1].name = "disable-tablet-clone";
            status.hooks[1].phase = HookPhase::Running;
            status.hooks[1].attempts = 1;
            status.captured = {{kScheduling, "500", "0"}};
            status.restore_pending = true;
          });
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(count(world.simulator, "CREATE IMAGE") == 0);
  CHECK(run.status().hooks.back().attempts == 2);
  CHECK(run.status().captured == std::vector<CapturedSetting>{{kScheduling, "500", "0"}});
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config() == "500");
}

TEST_CASE("a captured key that is set to another value is known as ours before and after the SET") {
  std::function<void(const ReceivedStatement&)> look = [](const auto&) {};
  World world({.on_statement = [&](const ReceivedStatement& statement) { look(statement); }});
  world.simulator.frontend(0).set_config(kScheduling, "0");
  Run run(world, {setting_hook("few", kScheduling, "5")}, [](Preparation& record) {
    auto& status = record.status;
    status.captured = {{kScheduling, kSchedulingDefault, "0"}};
    status.restore_pending = true;
  });
  const std::vector<CapturedSetting> both{{kScheduling, kSchedulingDefault, "0"},
                                          {kScheduling, kSchedulingDefault, "5"}};
  std::vector<CapturedSetting> seen;
  look = [&](const ReceivedStatement& statement) {
    if (statement.sql.find("\"5\"") != std::string::npos) seen = world.get("r").status.captured;
  };
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(seen == both);
  for (const char* left : {"5", "0"}) {  // after the SET; before it, had we died there
    INFO(left);
    world.simulator.frontend(0).set_config(kScheduling, left);
    CHECK(run.runner->restore(kAmple).ok());
    CHECK(world.config() == kSchedulingDefault);
  }
}

TEST_CASE("one setting that an FE refuses does not keep the others from being restored") {
  World world;
  Run run(world, {setting_hook("disable-balancer", "disable_balance", "true"), no_scheduling()});
  REQUIRE(run.prepare() == RunEnd::Finished);
  world.simulator.fail("tablet_sched_disable_balance\" = ", kRefused);
  world.simulator.fail("tablet_sched_disable_balance\"=", kRefused);
  CHECK_FALSE(run.runner->restore(1s).ok());
  CHECK(world.config() == kSchedulingDefault);
  CHECK(world.config(0, "disable_balance") == "true");
}

TEST_CASE("who lost the claim while the FE was away sets nothing afterwards") {
  World world;
  world.simulator.hang("ADMIN SHOW");
  Run run(world, {no_scheduling()}, [](Preparation& record) {
    record.status.captured = {{kScheduling, kSchedulingDefault, "0"}};
    record.status.restore_pending = true;
  });
  std::optional<RunEnd> end;
  std::jthread worker([&] { end = run.prepare(); });
  REQUIRE(world.simulator.wait_for_statement("ADMIN SHOW", ample()));
  world.write("r", [](PreparationStatus& status) { status.runner.identity = "other"; });
  CHECK_FALSE(run.claim->renew(ample()).ok());  // as the heartbeat does
  world.simulator.clear_faults();
  worker.join();
  CHECK(end == RunEnd::Interrupted);
  CHECK(count(world.simulator, "ADMIN SET") == 0);
}

TEST_CASE("nodes of every kind are told with their life, start and version") {
  World world({.frontends = 2, .backends = {{"be-0"}, {"be-1", false, "3.4.1", 3}}, .compute_nodes = {{"cn-0"}}});
  Run run(world, {});
  world.simulator.restart(1);
  const auto nodes = run.runner->nodes(ample());
  REQUIRE(nodes.ok());
  REQUIRE(nodes->size() == 5);
  const auto& all = *nodes;
  CHECK(all[0].name != all[1].name);
  CHECK(all[0].started != all[1].started);
  CHECK(all[3].component == Component::Backend);
  CHECK(all[3].name == "be-1:9050");
  CHECK_FALSE(all[3].alive);
  CHECK(all[3].version == "3.4.1-1f1aa9c");
  CHECK(all[3].started != all[2].started);
  CHECK(all[4].component == Component::ComputeNode);
  CHECK(all[4].alive);
}

TEST_CASE("without its claim a runner sends the FE nothing more, and what waits for an answer is given up") {
  World world;
  auto stored = world.create(record_of("fenced", {no_scheduling()}));
  stored.status.runner = {"me", world.clock.wall_now()};
  stored = world.store.update_status(stored, ample()).value();
  const auto lease = std::chrono::milliseconds(300);
  MysqlFrontendConnector connector;
  const HookPeers peers{world.clusters, connector, world.http, world.scripts};
  SUBCASE("before it begins") {
    ClaimedRecord claim(world.store, world.clock, "me", stored, lease, world.clock.steady_now() - lease);
    HookRunner runner(claim, peers, world.clock, quick_hooks(), {});
    CHECK(all_passes(runner) == RunEnd::Interrupted);
    CHECK(world.simulator.logins().empty());
  }
  SUBCASE("while a statement hangs") {
    world.simulator.hang("ADMIN SET");
    ClaimedRecord claim(world.store, world.clock, "me", stored, lease, world.clock.steady_now());
    HookRunner runner(claim, peers, world.clock, quick_hooks(), {});
    // The hook has 30 s; the claim, last renewed by the capture, ends long before.
    const auto began = std::chrono::steady_clock::now();
    CHECK(all_passes(runner) == RunEnd::Interrupted);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
    CHECK(count(world.simulator, "ADMIN SET") == 1);
    CHECK(world.get("fenced").status.phase == Phase::Pending);
  }
}

TEST_CASE("a statement that takes longer than the lease is not cut while the claim is renewed") {
  World world;
  auto stored = world.create(record_of("renewed", {no_scheduling()}));
  stored.status.runner = {"me", world.clock.wall_now()};
  stored = world.store.update_status(stored, ample()).value();
  world.simulator.delay("ADMIN SET", std::chrono::milliseconds(1500));
  MysqlFrontendConnector connector;
  const HookPeers peers{world.clusters, connector, world.http, world.scripts};
  ClaimedRecord claim(world.store, world.clock, "me", stored, std::chrono::milliseconds(700), world.clock.steady_now());
  std::atomic<bool> over{false};
  std::jthread heartbeat([&] {
    Signal beat;
    CHECK(beat.eventually([&] {
      CHECK(claim.renew(ample()).ok());
      return over.load();
    }));
  });
  HookRunner runner(claim, peers, world.clock, quick_hooks(), {});
  CHECK(all_passes(runner) == RunEnd::Finished);
  over = true;
  CHECK(count(world.simulator, "ADMIN SET") == 1);
  CHECK(world.get("renewed").status.phase == Phase::Completed);
}

TEST_CASE("the cluster that was just read tells where its FE is, and one that was read long ago does not") {
  World world;
  Run run(world, {no_scheduling()});
  const HookPeers peers{world.clusters, run.connector, world.http, world.scripts};
  HookContext context(*run.claim, peers, world.clock);
  const auto object = object_with("fe:1");
  context.knows_cluster(object);
  SUBCASE("at once") {
    CHECK(context.fleet(ample()).ok());
    CHECK(world.clusters.handed_over() == object);
  }
  SUBCASE("after another hook that took its time") {
    world.clock.pass(1min);
    CHECK(context.fleet(world.clock.steady_now() + 1min).ok());
    CHECK(world.clusters.handed_over().is_null());
  }
}

}  // namespace
}  // namespace gate
