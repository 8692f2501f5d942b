// A record says what is sent to the FE; not everybody who can write one may say it.

#include "test/server/preparation/run.hpp"

namespace gate {
namespace {

using namespace test;

constexpr const char* kNotSent = "the record's SQL is not sent: ";

Hook with_undo(Hook hook, const std::string& sql) {
  hook.restore = RestoreMode::Statement;
  hook.restore_sql = sql;
  return hook;
}

/// A setting whose statement does something else.
Hook disguised(const std::string& sql) {
  return hook_of("x", SqlAction{sql, ConfigSetting{"tablet_sched_disable_balance", "true"}});
}

TEST_CASE("the SQL of a record's hooks is judged again before it is sent, whoever wrote the record") {
  struct Row {
    const char* name;
    Hook hook;
    const char* part;  ///< Of what no FE may get.
  };
  for (const Row& row :
       {Row{"another kind", statement_hook("x", "DROP DATABASE production FORCE"), "DROP DATABASE"},
        Row{"a kind that the owner did not allow", statement_hook("x", "ALTER SYSTEM DROP FOLLOWER 'a:1'"), "FOLLOWER"},
        Row{"two statements", statement_hook("x", "SHOW FRONTENDS; DROP TABLE t"), "DROP TABLE"},
        Row{"a check that writes", hook_of("x", QueryAction{"DELETE FROM t", "a", Comparison::Equal, "1"}), "DELETE"},
        Row{"a setting of the login", setting_hook("x", "authentication_chain", "mine"), "SET FRONTEND"},
        Row{"a secret", setting_hook("x", "cloud_secret", "mine"), "SET FRONTEND"},
        Row{"a statement disguised as a setting", disguised("DROP TABLE t"), "DROP TABLE"},
        Row{"a setting that nobody would restore", statement_hook("x", set_config_sql("disable_balance", "true")),
            "SET FRONTEND"},
        Row{"an undo of another kind", with_undo(statement_hook("x", "ADMIN REPAIR TABLE a"), "DROP TABLE t"),
            "TABLE"}}) {
    INFO(row.name);
    World world;
    Run run(world, {row.hook});
    REQUIRE(run.prepare() == RunEnd::Finished);
    const auto status = run.status();
    CHECK(status.phase == Phase::Failed);
    CHECK_MESSAGE(has(status.message, kNotSent), status.message);
    CHECK(has(run.hook(0).message, kNotSent));
    CHECK(status.undo.empty());
    CHECK(status.captured.empty());
    CHECK(count(world.simulator, row.part) == 0);
  }
}

TEST_CASE("what the gate's owner allows is sent") {
  const std::string sql = "ALTER SYSTEM DROP FOLLOWER 'a:1'";
  World world;
  world.simulator.answer(sql, {{"done"}, {{"yes"}}});
  Run run(world, {statement_hook("x", sql)});
  run.options.further_sql = {SqlKind::AlterSystem};
  run.again();
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK_MESSAGE(run.status().phase == Phase::Completed, run.status().message);
  CHECK(count(world.simulator, sql) == 1);
}

TEST_CASE("a setting whose undo the gate's owner allows is set, and set again") {
  World world;
  Run run(world, {with_undo(no_scheduling(), "ALTER SYSTEM DROP FOLLOWER 'a:1'")});
  run.options.further_sql = {SqlKind::AlterSystem};
  run.again();
  REQUIRE(run.prepare() == RunEnd::Finished);
  REQUIRE_MESSAGE(run.status().phase == Phase::Completed, run.status().message);
  CHECK(world.config() == "0");
  world.simulator.frontend(0).set_config("tablet_sched_max_scheduling_tablets", kSchedulingDefault);
  std::string detail;
  const auto held = run.runner->reassert(kAmple, detail);
  CHECK_MESSAGE(held.ok(), held.error().message);
  CHECK(world.config() == "0");
}

TEST_CASE("a hook that is refused may be one that is allowed to fail") {
  World world;
  auto hook = statement_hook("x", "DROP TABLE t", false);
  Run run(world, {hook, no_scheduling()});
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Completed);
  CHECK(has(run.hook(0).message, kNotSent));
  CHECK(world.config() == "0");
  CHECK(count(world.simulator, "DROP TABLE") == 0);
}

TEST_CASE("an undo statement that is not allowed stays pending and is told; settings are restored beside it") {
  World world;
  Run run(world, {no_scheduling()});
  REQUIRE(run.prepare() == RunEnd::Finished);
  REQUIRE(world.config() == "0");
  REQUIRE(run.claim
              ->update(
                  [](PreparationStatus& status) {
                    status.undo.push_back({"x", "DROP DATABASE production FORCE", {}, kAmple});
                    status.undo.push_back({"y", "ADMIN CANCEL REPAIR TABLE a", {}, kAmple});
                  },
                  ample())
              .ok());
  const auto restored = run.runner->restore(kAmple);
  REQUIRE_FALSE(restored.ok());
  CHECK_MESSAGE(has(restored.error().message, kNotSent), restored.error().message);
  CHECK(has(restored.error().message, "undo of hook \"x\""));
  CHECK(count(world.simulator, "DROP DATABASE") == 0);
  CHECK(count(world.simulator, "CANCEL REPAIR") == 1);
  CHECK(world.config() == kSchedulingDefault);
  REQUIRE(run.status().undo.size() == 1);
  CHECK(run.status().undo.front().hook == "x");
}

TEST_CASE("what is set again for a record that calls itself completed is judged, too; its other settings hold") {
  World world;
  Run run(world, {disguised("DROP TABLE t"), no_scheduling()}, [](Preparation& record) {
    record.status.phase = Phase::Completed;
    record.status.stage = Stage::Prepared;
    for (const auto& hook : record.spec.hooks) {
      HookStatus entry;
      entry.name = hook.name;
      entry.phase = HookPhase::Completed;
      record.status.hooks.push_back(entry);
    }
  });
  std::string detail;
  const auto held = run.runner->reassert(kAmple, detail);
  REQUIRE_FALSE(held.ok());
  CHECK_MESSAGE(has(held.error().message, kNotSent), held.error().message);
  CHECK(count(world.simulator, "DROP TABLE") == 0);
  CHECK(world.config() == "0");
}

TEST_CASE("what an older gate captured of a setting that is refused now is restored") {
  World world;
  world.simulator.frontend(0).set_config("statistic_auto_analyze_start_time", "mine");
  Run run(world, {setting_hook("x", "authentication_chain", "mine")}, [](Preparation& record) {
    record.status.phase = Phase::Failed;
    record.status.captured.push_back({"statistic_auto_analyze_start_time", "theirs", "mine"});
    record.status.restore_pending = true;
  });
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config(0, "statistic_auto_analyze_start_time") == "theirs");
}

TEST_CASE("the statement that is not sent is not repeated in what is told of it") {
  World world;
  Run run(world, {statement_hook("x", "CREATE USER u IDENTIFIED BY 'hunter22'")});
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(has(run.status().message, kNotSent));
  CHECK_FALSE(has(run.status().message, "hunter22"));
}

TEST_CASE("a replica's controller sends nothing of such a record and says why") {
  World world;
  const Replica replica(world);
  world.create(record_of("r", {statement_hook("x", "DROP DATABASE production FORCE")}));
  REQUIRE(world.signal.eventually([&] { return world.get("r").status.phase == Phase::Failed; }));
  CHECK(has(world.get("r").status.message, kNotSent));
  CHECK(count(world.simulator, "DROP DATABASE") == 0);
}

}  // namespace
}  // namespace gate
