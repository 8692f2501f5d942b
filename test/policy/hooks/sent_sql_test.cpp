#include "policy/hooks/sent_sql.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace gate {
namespace {

Hook hook_of(HookAction action) {
  Hook hook;
  hook.name = "x";
  hook.action = std::move(action);
  return hook;
}

Hook undone_by(const std::string& sql) {
  Hook hook = hook_of(ProbeAction{});
  hook.restore = RestoreMode::Statement;
  hook.restore_sql = sql;
  return hook;
}

QueryAction check_of(const std::string& sql) { return {sql, "a", Comparison::Equal, "1"}; }

TEST_CASE("what a hook would send is judged whole: its statement, its setting, its check, its undo") {
  const auto setting = set_config_sql("disable_balance", "true");
  struct Row {
    const char* name;
    Hook hook;
    const char* why;  ///< "" is sent.
  };
  for (const Row& row : {
           Row{"an allowed statement", hook_of(SqlAction{"ALTER SYSTEM CREATE IMAGE", {}}), ""},
           Row{"a setting", hook_of(SqlAction{setting, ConfigSetting{"disable_balance", "true"}}), ""},
           Row{"a check", hook_of(check_of("SELECT 1")), ""},
           Row{"an allowed undo", undone_by("ADMIN CANCEL REPAIR TABLE a"), ""},
           Row{"no SQL at all", hook_of(ScriptAction{"pre_upgrade() { DROP TABLE t; }", false}), ""},
           Row{"undo statement that is not used",
               [] {
                 auto hook = undone_by("DROP TABLE t");
                 hook.restore = RestoreMode::None;
                 return hook;
               }(),
               ""},
           Row{"another kind", hook_of(SqlAction{"DROP DATABASE d", {}}), "not allowed"},
           Row{"empty", hook_of(SqlAction{"", {}}), "is not sent"},
           Row{"two statements", hook_of(SqlAction{"SHOW FRONTENDS; DROP TABLE t", {}}), "is not sent"},
           Row{"a further kind", hook_of(SqlAction{"ALTER SYSTEM DROP FOLLOWER 'a:1'", {}}),
               "--allow-sql=alter-system"},
           Row{"a setting beside another statement",
               hook_of(SqlAction{"ALTER SYSTEM CREATE IMAGE", ConfigSetting{"disable_balance", "true"}}),
               "not the one of its statement"},
           Row{"another value than its statement's",
               hook_of(SqlAction{setting, ConfigSetting{"disable_balance", "false"}}), "not the one of its statement"},
           Row{"a setting that would not be captured", hook_of(SqlAction{setting, {}}), "not the one of its statement"},
           Row{"a setting of the login",
               hook_of(
                   SqlAction{set_config_sql("authentication_chain", "x"), ConfigSetting{"authentication_chain", "x"}}),
               "login settings"},
           Row{"a check that writes", hook_of(check_of("DELETE FROM t")), "not allowed"},
           Row{"a check that sets", hook_of(check_of(setting)), "a check is one SELECT, SHOW or ADMIN SHOW"},
           Row{"an undo of another kind", undone_by("DROP TABLE t"), "not allowed"},
           Row{"an undo of the login", undone_by(set_config_sql("authentication_chain", "x")), "login settings"},
       }) {
    INFO(row.name);
    const auto judged = judge_sent_sql(row.hook, {});
    REQUIRE(judged.ok() == std::string(row.why).empty());
    if (judged) continue;
    CHECK(judged.error().code == ErrorCode::InvalidInput);
    CHECK_MESSAGE(judged.error().message.find(row.why) != std::string::npos, judged.error().message);
    CHECK(judged.error().message.find("the record's SQL is not sent: ") == 0);
  }
}

TEST_CASE("what the gate's owner allows is sent, as a statement and as an undo") {
  const std::vector<SqlKind> further{SqlKind::AlterSystem};
  CHECK(judge_sent_sql("ALTER SYSTEM DROP FOLLOWER 'a:1'", further).ok());
  CHECK(judge_sent_sql(hook_of(SqlAction{"ALTER SYSTEM DROP FOLLOWER 'a:1'", {}}), further).ok());
  CHECK(judge_sent_sql(undone_by("ALTER SYSTEM DROP FOLLOWER 'a:1'"), further).ok());
  // A check reads, whatever else is allowed.
  CHECK_FALSE(judge_sent_sql(hook_of(check_of("ALTER SYSTEM DROP FOLLOWER 'a:1'")), further).ok());
}

TEST_CASE("a refused statement's quoted text is not repeated") {
  const auto judged = judge_sent_sql("CREATE USER u IDENTIFIED BY 'hunter22'", {});
  REQUIRE_FALSE(judged.ok());
  CHECK(judged.error().message.find("hunter22") == std::string::npos);
}

TEST_CASE("statements and cells that name a secret are known") {
  for (const char* sql : {"ADMIN SHOW FRONTEND CONFIG LIKE '%pwd%'", "SELECT `password` FROM t",
                          "SELECT value AS x FROM information_schema.be_configs WHERE name = \"s3_secret_key\"",
                          "SELECT 'unterminated"}) {
    CHECK_MESSAGE(asks_for_secret(sql), sql);
  }
  for (const char* sql : {"SHOW FRONTENDS", "SELECT count(*) FROM t WHERE a = 1", "SHOW PROC '/statistic'"}) {
    CHECK_FALSE_MESSAGE(asks_for_secret(sql), sql);
  }
  CHECK(is_name_of_secret("ldap_bind_root_pwd"));
  CHECK_FALSE(is_name_of_secret("the token of the job is too old"));
  CHECK_FALSE(is_name_of_secret("FINISHED"));
  CHECK_FALSE(is_name_of_secret(""));
}

}  // namespace
}  // namespace gate
