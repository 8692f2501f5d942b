// Settings from capture to restore over FEs that die, hang, restart and keep values in a form of their own.

#include "server/preparation/hooks/settings.hpp"

#include <atomic>

#include "test/server/preparation/run.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

TEST_CASE("an FE that is called alive and refuses connections keeps nobody else from being set again or restored") {
  World world({.frontends = 3});
  Run run(world, {no_scheduling()});
  REQUIRE(run.prepare() == RunEnd::Finished);
  REQUIRE(run.status().phase == Phase::Completed);
  world.simulator.stop(2);
  world.simulator.frontend(1).set_config(kScheduling, "500");  // as a restart does
  std::string detail;
  auto held = run.runner->reassert(kAmple, detail);
  REQUIRE_FALSE(held.ok());
  CHECK(is_transient(held.error()));
  CHECK(world.config(1) == "0");
  CHECK(has(detail, std::to_string(world.simulator.frontend(1).port())));
  std::string drifted;
  CHECK_FALSE(run.runner->holds(ample(), drifted).ok());

  world.simulator.start(2);
  CHECK(run.runner->reassert(kAmple, detail).ok());
  CHECK(world.config(2) == "0");

  world.simulator.stop(2);
  const auto restored = run.runner->restore(kAmple);
  REQUIRE_FALSE(restored.ok());
  CHECK(is_transient(restored.error()));
  CHECK(world.config(0) == kSchedulingDefault);
  CHECK(world.config(1) == kSchedulingDefault);
  world.simulator.start(2);
  CHECK(run.runner->restore(kAmple).ok());
}

constexpr const char* kBalance = "tablet_sched_disable_balance";
constexpr const char* kBalancing = "tablet_sched_max_balancing_tablets";

std::vector<std::string> captured_keys(const PreparationStatus& status) {
  std::vector<std::string> keys;
  for (const auto& captured : status.captured) keys.push_back(captured.key);
  return keys;
}

TEST_CASE("settings that are set one after the other are captured in one write, before the first is set") {
  World world({.frontends = 2});
  Run run(world, {no_scheduling(), setting_hook("balancing", kBalancing, "0"),
                  setting_hook("balance", kBalance, "true"), statement_hook("image", "ALTER SYSTEM CREATE IMAGE"),
                  setting_hook("slots", "tablet_sched_slot_num_per_path", "4")});
  std::vector<std::size_t> captured;  // by write
  world.store.observe([&](const Preparation& record, bool) { captured.push_back(record.status.captured.size()); });
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(captured.front() == 3);
  // What comes after a hook that takes its time is captured when its turn comes.
  CHECK(captured.back() == 4);
  CHECK(std::count_if(captured.begin(), captured.end(), [](std::size_t size) { return size == 1 || size == 2; }) == 0);
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config(1, kBalancing) == "500");
  CHECK(world.config(1, kBalance) == "false");
}

TEST_CASE("what was captured ahead of a hook that then does not set it is forgotten when the preparation ends") {
  World world({.frontends = 2});
  SUBCASE("an earlier hook failed") {
    world.simulator.fail("tablet_sched_max_balancing_tablets\" = \"0", {1064, "42000", "no"});
    Run run(world,
            {no_scheduling(), setting_hook("balancing", kBalancing, "0"), setting_hook("balance", kBalance, "true")});
    REQUIRE(run.prepare() == RunEnd::Finished);
    CHECK(run.status().phase == Phase::Failed);
    CHECK(captured_keys(run.status()) == std::vector<std::string>{kScheduling, kBalancing});
    // A person wants what the hook would have set: it stays.
    for (std::size_t fe = 0; fe < 2; ++fe) world.simulator.frontend(fe).set_config(kBalance, "true");
    run.again();
    CHECK(run.runner->restore(kAmple).ok());
    CHECK(world.config(0) == kSchedulingDefault);
    CHECK(world.config(0, kBalance) == "true");
  }
  SUBCASE("a person set it before its turn came") {
    Run run(world, {no_scheduling(), setting_hook("balance", kBalance, "true")});
    bool done = false;
    world.store.observe([&](const Preparation& record, bool) {
      if (std::exchange(done, true) || record.status.captured.empty()) return;
      for (std::size_t fe = 0; fe < 2; ++fe) world.simulator.frontend(fe).set_config(kBalance, "true");
    });
    REQUIRE(run.prepare() == RunEnd::Finished);
    CHECK(run.status().phase == Phase::Completed);
    CHECK(captured_keys(run.status()) == std::vector<std::string>{kScheduling});
    CHECK(run.runner->restore(kAmple).ok());
    CHECK(world.config(0, kBalance) == "true");
  }
}

TEST_CASE("what a person changes after it was captured ahead is captured as it is when its turn comes") {
  World world({.frontends = 2});
  Run run(world, {no_scheduling(), setting_hook("balancing", kBalancing, "0")});
  bool done = false;
  world.store.observe([&](const Preparation& record, bool) {
    if (record.status.captured.empty() || std::exchange(done, true)) return;
    for (std::size_t fe = 0; fe < 2; ++fe) world.simulator.frontend(fe).set_config(kBalancing, "77");
  });
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(world.config(1, kBalancing) == "0");
  CHECK(run.runner->restore(kAmple).ok());
  for (std::size_t fe = 0; fe < 2; ++fe) CHECK(world.config(fe, kBalancing) == "77");
}

TEST_CASE("whoever goes on after a process that captured ahead and died restores what it had captured") {
  World world({.frontends = 2});
  Run run(world, {no_scheduling(), setting_hook("balancing", kBalancing, "0")}, [](Preparation& record) {
    record.status.captured = {{kScheduling, kSchedulingDefault, "0"}, {kBalancing, "500", "0"}};
    record.status.restore_pending = true;
  });
  // Whether it was set is not known: it was, on one FE.
  world.simulator.frontend(1).set_config(kBalancing, "0");
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.status().captured.size() == 2);
  CHECK(run.runner->restore(kAmple).ok());
  for (std::size_t fe = 0; fe < 2; ++fe) CHECK(world.config(fe, kBalancing) == "500");
}

TEST_CASE("while an FE hangs, a hook that is set on the others is not set again and again, and ends when it is dead") {
  World world({.frontends = 3});
  world.simulator.stop(1);
  Run run(world, {no_scheduling()});
  std::jthread worker([&] { CHECK(run.prepare() == RunEnd::Finished); });
  REQUIRE(world.signal.eventually([&] { return world.config(0) == "0" && world.config(2) == "0"; }));
  const auto looks = count(world.simulator, "ADMIN SHOW");
  REQUIRE(world.signal.eventually([&] { return count(world.simulator, "ADMIN SHOW") > looks + 6; }));
  CHECK(count(world.simulator, "ADMIN SET") == 1);
  world.simulator.notice_deaths();
  worker.join();
  CHECK(run.status().phase == Phase::Completed);
}

TEST_CASE("a broadcast that hangs at one FE ends by itself, and those behind it are told") {
  FrontendSimulator* cluster = nullptr;
  std::atomic<bool> hung{false};
  World world({.frontends = 3, .rpc_grace = 0ms, .on_statement = [&](const ReceivedStatement& statement) {
                 if (statement.sql.starts_with("ADMIN SET") && !hung.exchange(true)) cluster->hang_frontend(1);
               }});
  cluster = &world.simulator;
  Run run(world, {no_scheduling()});
  std::jthread worker([&] { CHECK(run.prepare() == RunEnd::Finished); });
  CHECK(world.signal.eventually([&] { return world.config(2) == "0"; }));
  CHECK(world.config(1) == kSchedulingDefault);
  world.simulator.hang_frontend(1, false);
  worker.join();
  CHECK(run.status().phase == Phase::Completed);
  CHECK(world.config(1) == "0");
}

TEST_CASE(
    "a leader with a third value: a restart's is nobody's decision, a person's stays, and ours is left on no FE") {
  struct Row {
    const char* name;
    bool restarts;
    const char* afterwards;
  };
  for (const Row& row : {Row{"it started again", true, "1234"}, Row{"it was changed alone", false, "77"}}) {
    INFO(row.name);
    World world({.frontends = 3});
    for (std::size_t fe = 0; fe < 3; ++fe) world.simulator.frontend(fe).set_config(kScheduling, "1234");
    Run run(world, {no_scheduling()});
    REQUIRE(run.prepare() == RunEnd::Finished);
    if (row.restarts) {
      world.simulator.restart(0);
      REQUIRE(world.config(0) == kSchedulingDefault);
    } else {
      world.simulator.frontend(0).set_config(kScheduling, "77");
    }
    CHECK(run.runner->restore(kAmple).ok());
    for (std::size_t fe = 0; fe < 3; ++fe) CHECK(world.config(fe) == row.afterwards);
  }
}

TEST_CASE("values are compared as the FE keeps them, and what it shows can be set again") {
  struct Row {
    const char* name;
    const char* key;
    const char* before;
    const char* wanted;
    const char* kept;
  };
  for (const Row& row : {Row{"a sign", "tablet_sched_slot_num_per_path", "8", "+7", "7"},
                         Row{"zeros in front", "tablet_sched_slot_num_per_path", "8", "0100", "100"},
                         Row{"a double", "tablet_sched_balance_load_score_threshold", "0.1", "0.30", "0.3"},
                         Row{"a whole double", "tablet_sched_balance_load_score_threshold", "0.1", "1", "1.0"},
                         Row{"an array", "lake_background_tables", "[11001, 11002]", "5,6", "[5, 6]"},
                         Row{"an array that was empty", "lake_background_tables", "[]", "5", "[5]"},
                         Row{"a boolean in capitals", "tablet_sched_disable_balance", "false", " TRUE ", "true"}}) {
    INFO(row.name);
    World world({.frontends = 2, .fe_conf = {{row.key, row.before}}});
    REQUIRE(world.config(1, row.key) == row.before);
    auto hook = setting_hook("hook", row.key, row.wanted);
    hook.timeout = 5s;
    Run run(world, {hook});
    REQUIRE(run.prepare() == RunEnd::Finished);
    CHECK_MESSAGE(run.status().phase == Phase::Completed, run.status().message);
    CHECK(world.config(1, row.key) == row.kept);
    std::string text;
    CHECK(run.runner->reassert(kAmple, text).ok());
    CHECK(text.empty());
    CHECK(run.runner->restore(kAmple).ok());
    for (std::size_t fe = 0; fe < 2; ++fe) CHECK(world.config(fe, row.key) == row.before);
  }
}

TEST_CASE("a leader that starts again before its value is read back does not make the value of its file ours") {
  std::atomic<World*> restarts{nullptr};
  std::atomic<bool> set{false};
  World world({.frontends = 2, .on_statement = [&](const ReceivedStatement& statement) {
                 if (statement.sql.starts_with("ADMIN SET")) set = true;
                 if (!set || !statement.sql.starts_with("ADMIN SHOW")) return;
                 // As a restart does, faster than the frontends hear of it.
                 if (auto* now = restarts.exchange(nullptr)) {
                   now->simulator.frontend(0).set_config(kScheduling, kSchedulingDefault);
                 }
               }});
  for (const std::size_t fe : {0, 1}) world.simulator.frontend(fe).set_config(kScheduling, "77");  // by hand
  restarts = &world;
  Run run(world, {no_scheduling()});
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(restarts == nullptr);
  CHECK_MESSAGE(run.status().phase == Phase::Completed, run.status().message);
  const auto captured = run.status().captured;
  REQUIRE(captured.size() == 1);
  CHECK(captured.front().value == "77");
  CHECK(captured.front().set_to == "0");
  CHECK(world.config(0) == "0");
  CHECK(run.runner->restore(kAmple).ok());
  for (const std::size_t fe : {0, 1}) CHECK(world.config(fe) == "77");
}

TEST_CASE("a value that the FE hides is not captured, and its setting not touched") {
  World world;
  const std::string key = "statistic_auto_analyze_start_time";
  world.simulator.frontend(0).set_config(key, "******");
  Run run(world, {setting_hook("masked", key, "01:00:00")});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Failed);
  INFO(run.status().message);
  CHECK(has(run.status().message, "cannot be captured; want restore: none or a statement"));
  CHECK(world.config(0, key) == "******");
  CHECK(count(world.simulator, "ADMIN SET") == 0);
}

TEST_CASE("a leader that is gone for a moment fails no hook") {
  World world({.frontends = 3});
  world.simulator.set_leader(1);
  world.simulator.stop(1);
  Run run(world, {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE", false),
                  hook_of("drain-tablet-scheduler", ProbeAction{Probe::SchedulerDrained}, false), no_scheduling()});
  std::jthread worker([&] { CHECK(run.prepare() == RunEnd::Finished); });
  REQUIRE(world.signal.eventually([&] { return count(world.simulator, "CREATE IMAGE") >= 3; }));
  CHECK(run.hook(0).phase == HookPhase::Running);
  world.simulator.set_leader(0);
  world.simulator.notice_deaths();
  worker.join();
  CHECK(hooks_in(run.status(), HookPhase::Completed).size() == 3);
}

TEST_CASE("a check of the gate's own goes on after an SQL error; a privilege that is missing ends it") {
  World world;
  world.simulator.fail("SHOW BACKENDS", {1064, "HY000", "Backend node not found."}, {}, 3);
  Run run(world, {hook_of("check-backends-alive", ProbeAction{Probe::BackendsAlive})});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(count(world.simulator, "SHOW BACKENDS") == 4);

  World refused;
  refused.simulator.fail("SHOW BACKENDS", {5203, "42000", "Access denied"});
  Run denied(refused, {hook_of("check-backends-alive", ProbeAction{Probe::BackendsAlive})});
  CHECK(denied.prepare() == RunEnd::Finished);
  CHECK(denied.status().phase == Phase::Failed);
  CHECK(count(refused.simulator, "SHOW BACKENDS") == 1);
}

TEST_CASE("a pass never waits: what is waited for comes again at its time, which begins anew with whoever takes it") {
  World world({.backends = {{.host = "be-0", .alive = false}}});
  Run run(world, {hook_of("check-backends-alive", ProbeAction{Probe::BackendsAlive})});
  CHECK(run.runner->prepare().end == RunEnd::ComeAgain);
  const auto looks = count(world.simulator, "SHOW BACKENDS");
  CHECK(run.hook(0).attempts == 1);
  const auto began = run.hook(0).start_time;
  world.clock.move(2s);
  run.again();  // another process
  const auto pass = run.runner->prepare();
  CHECK(pass.end == RunEnd::ComeAgain);
  CHECK(pass.again > 0ms);
  CHECK(run.hook(0).start_time > began);
  CHECK(count(world.simulator, "SHOW BACKENDS") == looks + 1);
  // Past the hook's time one look is due, and it decides.
  world.clock.pass(kHookTimeoutMax);
  CHECK(run.runner->prepare().end == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Failed);
  CHECK(count(world.simulator, "SHOW BACKENDS") == looks + 2);
}

TEST_CASE("settled hooks whose runner died are read back before Completed is written, however late") {
  World world;
  Run run(world, {no_scheduling()}, [&](Preparation& record) {
    record.status.start_time = world.clock.wall_now() - 2h;
    HookStatus entry;
    entry.name = "disable-tablet-clone";
    entry.phase = HookPhase::Completed;
    record.status.hooks = {entry};
  });
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(world.config() == "0");
}

TEST_CASE("records whose hooks wait leave their worker to others") {
  World world({.backends = {{.host = "be-0", .alive = false}}});
  auto options = quick_options("gate-0");
  options.workers = 1;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    world.create(record_of(name, {hook_of("check-backends-alive", ProbeAction{Probe::BackendsAlive})}));
  }
  Replica replica(world, options);
  REQUIRE(world.signal.eventually([&] { return has(world.get("f").status.message, "0 of 1 backends alive"); }));
  replica.controller.created_here(world.create(record_of("r", {no_scheduling()})));
  CHECK(world.reaches("r", Stage::Prepared));
  world.simulator.set_backends({{"be-0"}});
  for (const char* name : {"a", "f"}) CHECK(world.reaches(name, Stage::Prepared));
}

}  // namespace
}  // namespace gate
