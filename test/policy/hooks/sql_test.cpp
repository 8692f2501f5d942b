#include "policy/hooks/sql.hpp"

#include <doctest/doctest.h>

#include "policy/hooks/frontend_setting.hpp"

using namespace gate;

namespace {

struct Accepted {
  const char* name;
  std::string sql;
  SqlKind kind;
  std::string text;  // "" = as given
};

struct Refused {
  const char* name;
  std::string sql;
  const char* because;  // Part of the message.
};

struct Set {
  const char* name;
  const char* sql;
  const char* key;
  const char* value;
};

}  // namespace

TEST_CASE("accepted statements") {
  using enum SqlKind;
  const Accepted rows[] = {
      {"documented: scheduling", R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "0");)",
       AdminSetConfig, R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "0"))"},
      {"documented: balancing", R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_balancing_tablets" = "0"))",
       AdminSetConfig, ""},
      {"documented: balance", R"(ADMIN SET FRONTEND CONFIG ("disable_balance"="true"))", AdminSetConfig, ""},
      {"documented: colocate", R"(ADMIN SET FRONTEND CONFIG ("disable_colocate_balance"="true"))", AdminSetConfig, ""},
      {"lower case", R"(admin set frontend config ("disable_balance"="true"))", AdminSetConfig, ""},
      {"mixed case", R"(Admin sEt FrontEnd cOnfig ("disable_balance"="true"))", AdminSetConfig, ""},
      {"single quotes", "ADMIN SET FRONTEND CONFIG ('disable_balance'='true')", AdminSetConfig, ""},
      {"mixed quotes", "ADMIN SET FRONTEND CONFIG ('disable_balance'=\"true\")", AdminSetConfig, ""},
      {"no blanks", "ADMIN SET FRONTEND CONFIG(\"a\"=\"b\")", AdminSetConfig, ""},
      {"line breaks and tabs", "ADMIN\nSET\tFRONTEND\r\nCONFIG\n(\n\"a\"\n=\n\"b\"\n)", AdminSetConfig, ""},
      {"surrounded by space", "  \n SHOW FRONTENDS \t\n", Show, "SHOW FRONTENDS"},
      {"space around the semicolon", "SHOW FRONTENDS ; \n", Show, "SHOW FRONTENDS"},
      {"empty value", R"(ADMIN SET FRONTEND CONFIG ("a"=""))", AdminSetConfig, ""},
      {"quoted semicolon", R"(ADMIN SET FRONTEND CONFIG ("a"="b;c"))", AdminSetConfig, ""},
      {"quoted semicolon and a trailing one", "SELECT 'a;b';", Select, "SELECT 'a;b'"},
      {"semicolon in backticks", "SELECT `a;b` FROM t", Select, ""},
      {"quoted comment marks", "SELECT '-- /* */'", Select, ""},
      {"other scripts in quotes", "SELECT '\xE9\x9B\x86\xE7\xBE\xA4'", Select, ""},
      {"line break in quotes", "SELECT 'a\nb'", Select, ""},
      {"line comment before", "-- why\nSHOW FRONTENDS", Show, ""},
      {"line comment without a blank", "--why\nSHOW FRONTENDS", Show, ""},
      {"line comment ended by CR", "--why\rSHOW FRONTENDS", Show, ""},
      {"line comment behind", "SHOW FRONTENDS -- why", Show, ""},
      {"line comment behind the semicolon", "SHOW FRONTENDS; -- a; b", Show, "SHOW FRONTENDS"},
      {"block comment within", "SHOW /* all */ FRONTENDS", Show, ""},
      {"block comment of several lines", "/*\n * why\n */ SHOW FRONTENDS", Show, ""},
      {"block comment with an apostrophe", "SHOW /* don't */ FRONTENDS", Show, ""},
      {"block comment with dashes", "SHOW /* -- */ FRONTENDS", Show, ""},
      {"block comment with a slash first", "SHOW /*/ x */ FRONTENDS", Show, ""},
      {"block comments do not nest", "SHOW /* /* */ FRONTENDS", Show, ""},
      {"empty block comment", "SHOW/**/FRONTENDS", Show, ""},
      {"hint", "SELECT /*+ SET_VAR(query_timeout=5) */ 1", Select, ""},
      {"backslash without a semicolon", R"(SELECT 'it\'s')", Select, ""},
      {"doubled quote", "SELECT 'it''s'", Select, ""},
      {"doubled double quote", R"(SELECT "say ""x""")", Select, ""},
      {"doubled backtick", "SELECT `a``b`", Select, ""},
      {"admin show config", "ADMIN SHOW FRONTEND CONFIG", AdminShow, ""},
      {"admin show config like", "ADMIN SHOW FRONTEND CONFIG LIKE '%balance%'", AdminShow, ""},
      {"admin show replica status", "ADMIN SHOW REPLICA STATUS FROM db.t WHERE STATUS != 'OK'", AdminShow, ""},
      {"admin show replica distribution", "ADMIN SHOW REPLICA DISTRIBUTION FROM db.t PARTITION(p1, p2)", AdminShow, ""},
      {"show frontends", "SHOW FRONTENDS", Show, ""},
      {"show backends", "SHOW BACKENDS", Show, ""},
      {"show compute nodes", "SHOW COMPUTE NODES", Show, ""},
      {"show proc", "SHOW PROC '/cluster_balance'", Show, ""},
      {"show proc statistic", "SHOW PROC '/statistic'", Show, ""},
      {"show full processlist", "SHOW FULL PROCESSLIST", Show, ""},
      {"show variables like", "SHOW GLOBAL VARIABLES LIKE 'query_timeout'", Show, ""},
      {"show routine load", "SHOW ALL ROUTINE LOAD FROM db", Show, ""},
      {"select 1", "SELECT 1", Select, ""},
      {"select version", "SELECT current_version()", Select, ""},
      {"select variable", "SELECT @@version_comment", Select, ""},
      {"select with everything",
       "SELECT a.b, -1.5 + .5 * c % 2 FROM `db`.t AS a WHERE a.x >= 1 AND NOT (y <> 'z') || d[1] LIMIT 1", Select, ""},
      {"select where a column is called into", "SELECT `into` FROM t", Select, ""},
      {"select with into in a string", "SELECT 'into outfile'", Select, ""},
      {"select schema change", "SELECT COUNT(*) FROM information_schema.loads WHERE STATE = 'LOADING'", Select, ""},
      {"parenthesised operand", "SELECT (1)", Select, ""},
      {"create image", "ALTER SYSTEM CREATE IMAGE", CreateImage, ""},
      {"create image with a semicolon", "alter system create image;", CreateImage, "alter system create image"},
      {"set global number", "SET GLOBAL batch_size = 4096", SetGlobal, ""},
      {"set global fraction", "SET GLOBAL x = 0.5", SetGlobal, ""},
      {"set global negative", "SET GLOBAL x = -1", SetGlobal, ""},
      {"set global word", "SET GLOBAL cbo_enable_low_cardinality_optimize=false", SetGlobal, ""},
      {"set global string", "SET GLOBAL time_zone = 'Europe/Berlin'", SetGlobal, ""},
      {"admin repair", "ADMIN REPAIR TABLE t", AdminRepair, ""},
      {"admin repair partition", "ADMIN REPAIR TABLE db.t PARTITION (p1, p2)", AdminRepair, ""},
      {"admin cancel repair", "ADMIN CANCEL REPAIR TABLE t PARTITION(p1)", AdminRepair, ""},
      {"common table expression", "WITH x AS (SELECT 1) SELECT * FROM x", Select, ""},
      {"two of them, one with columns", "WITH x (a, b) AS (SELECT 1, 2), `y` AS (SELECT (1)) SELECT * FROM x, y",
       Select, ""},
      {"recursive", "with recursive x as (select 1 union all select 2) select * from x", Select, ""},
      {"well-known whole number", R"(ADMIN SET FRONTEND CONFIG ("max_balancing_tablets" = " 500 "))", AdminSetConfig,
       ""},
      {"well-known negative number", R"(ADMIN SET FRONTEND CONFIG ("storage_cooldown_second" = "-1"))", AdminSetConfig,
       ""},
      {"well-known number with a plus", R"(ADMIN SET FRONTEND CONFIG ("max_balancing_tablets" = "+5"))", AdminSetConfig,
       ""},
      {"well-known long number",
       R"(ADMIN SET FRONTEND CONFIG ("storage_usage_soft_limit_reserve_bytes" = "214748364800"))", AdminSetConfig, ""},
      {"well-known fraction", R"(ADMIN SET FRONTEND CONFIG ("balance_load_score_threshold" = "0.2"))", AdminSetConfig,
       ""},
      {"well-known boolean in capitals", R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "TRUE"))", AdminSetConfig,
       ""},
      {"boolean of the downgrade procedure", R"(ADMIN SET FRONTEND CONFIG ("history_job_keep_max_second"="0"))",
       AdminSetConfig, ""},
      {"unknown key, any value", R"(ADMIN SET FRONTEND CONFIG ("item_of_the_next_version" = "many"))", AdminSetConfig,
       ""},
      {"as long as allowed", "SELECT '" + std::string(kSqlBytesMax - 9, 'x') + "'", Select, ""},
  };
  for (const Accepted& row : rows) {
    INFO(row.name);
    const Result<SqlStatement> statement = validate_sql(row.sql);
    if (!statement) FAIL_CHECK(statement.error().message);
    if (!statement) continue;
    CHECK(to_string(statement->kind) == to_string(row.kind));
    CHECK(statement->text == (row.text.empty() ? row.sql : row.text));
    CHECK(statement->setting.has_value() == (row.kind == AdminSetConfig));
  }
}

TEST_CASE("refused statements") {
  const std::string nul("SELECT 1\0; DROP TABLE t", 23);
  const Refused rows[] = {
      {"nothing", "", "no statement"},
      {"space only", " \n\t", "no statement"},
      {"comment only", "-- SHOW FRONTENDS", "no statement"},
      {"semicolon only", ";", "no statement"},
      {"two statements", "SHOW FRONTENDS; SHOW BACKENDS", "at offset 16: more than one statement"},
      {"two statements without a blank", "SELECT 1;DROP TABLE t", "more than one statement"},
      {"two semicolons", "SELECT 1;;", "more than one statement"},
      {"semicolon first", "; SELECT 1", "more than one statement"},
      {"second statement behind a comment", "SELECT 1; /* x */ DROP TABLE t", "more than one statement"},
      {"second statement behind a line comment", "SELECT 1; -- x\nDROP TABLE t", "more than one statement"},
      {"second statement behind CR", "SELECT 1 -- x\r; DROP TABLE t", "more than one statement"},
      {"statement behind a comment that seems to nest", "SELECT 1 /* /* */; DROP TABLE t -- */",
       "more than one statement"},
      {"statement behind an empty comment", "SELECT 1 /**/; DROP TABLE t /**/", "more than one statement"},
      {"string that seems to end", "SELECT '\\'; DROP TABLE t; --'", "together with a backslash"},
      {"string that ends after a double backslash", "SELECT '\\\\'; DROP TABLE t; --'", "more than one statement"},
      {"semicolon in a string, backslash elsewhere", "SELECT 'a;b', 'c\\n'", "together with a backslash"},
      {"semicolon in a line comment", "SELECT 1 -- a;b\n + 1", "together with a backslash or a comment"},
      {"semicolon in a block comment", "SELECT /* a;b */ 1", "together with a backslash or a comment"},
      {"semicolon in a hint", "SELECT /*+ a;b */ 1", "together with a backslash or a comment"},
      {"semicolon in a string behind an empty comment", "SELECT /**/ 'x */; DROP TABLE t --'",
       "together with a backslash or a comment"},
      {"version comment of MySQL", "SELECT 1 /*!50000 ; DROP TABLE t */", "together with a backslash or a comment"},
      {"backslash in backticks", "SELECT `a\\`; DROP TABLE t", "more than one statement"},
      {"hash is no comment", "SHOW FRONTENDS # why", "'#' does not begin a comment"},
      {"hash hides nothing", "# x\nDROP TABLE t", "'#' does not begin a comment"},
      {"unterminated single quote", "SELECT 'abc", "at offset 7: unterminated string"},
      {"unterminated double quote", "SELECT \"abc", "unterminated string"},
      {"unterminated by a backslash", "SELECT 'abc\\'", "unterminated string"},
      {"ends with a backslash", "SELECT 'abc\\", "unterminated string"},
      {"unterminated by doubling", "SELECT 'abc''", "unterminated string"},
      {"unterminated backtick", "SELECT `abc", "unterminated quoted identifier"},
      {"unterminated comment", "SELECT 1 /* x", "unterminated comment"},
      {"comment that closes itself", "SELECT 1 /*/", "unterminated comment"},
      {"unterminated hint", "SELECT /*+ x", "unterminated comment"},
      {"NUL byte", nul, "NUL byte"},
      {"control character", "SELECT \x01 1", "control character"},
      {"control character in quotes", "SELECT '\x1b[31m'", "control character"},
      {"vertical tab", "SELECT\v1", "control character"},
      {"form feed", "SELECT\f1", "control character"},
      {"DEL", "SELECT '\x7f'", "control character"},
      {"invalid UTF-8", "SELECT '\xff'", "invalid UTF-8"},
      {"half a character before a quote", "SELECT '\xE9'", "invalid UTF-8"},
      {"half a character in a comment", "SELECT 1 -- \xE9", "invalid UTF-8"},
      {"ideographic space",
       "SELECT\xE3\x80\x80"
       "1",
       "character not allowed"},
      {"no-break space",
       "SELECT\xC2\xA0"
       "1",
       "character not allowed"},
      {"full-width semicolon outside quotes", "SELECT 1\xEF\xBC\x9B DROP TABLE t", "character not allowed"},
      {"typographic quotes", "SELECT \xE2\x80\x98x\xE2\x80\x99", "character not allowed"},
      {"identifier of another script", "SELECT \xC3\xA4", "character not allowed"},
      {"backslash outside quotes", "SELECT \\", "character not allowed"},
      {"too long", "SELECT '" + std::string(kSqlBytesMax - 8, 'x') + "'", "longer than 4096 bytes"},
      {"two keys", R"(ADMIN SET FRONTEND CONFIG ("a"="1","b"="2"))", "one key per statement"},
      {"with persistent", R"(ADMIN SET FRONTEND CONFIG ("a"="1") WITH PERSISTENT)", "WITH PERSISTENT"},
      {"with persistent, lower case", R"(ADMIN SET FRONTEND CONFIG ("a"="1") with persistent)", "WITH PERSISTENT"},
      {"something behind", R"(ADMIN SET FRONTEND CONFIG ("a"="1") x)", "nothing may follow"},
      {"second pair of parentheses", R"(ADMIN SET FRONTEND CONFIG ("a"="1")("b"="2"))", "nothing may follow"},
      {"no parentheses", R"(ADMIN SET FRONTEND CONFIG "a"="1")", "expected '('"},
      {"empty parentheses", "ADMIN SET FRONTEND CONFIG ()", "expected the key"},
      {"not closed", R"(ADMIN SET FRONTEND CONFIG ("a"="1")", "expected ')'"},
      {"nothing behind CONFIG", "ADMIN SET FRONTEND CONFIG", "at offset 25: expected '('"},
      {"no equals sign", R"(ADMIN SET FRONTEND CONFIG ("a" "1"))", "expected '='"},
      {"no value", R"(ADMIN SET FRONTEND CONFIG ("a"=))", "expected the value"},
      {"two values", R"(ADMIN SET FRONTEND CONFIG ("a"="1" "2"))", "expected ')'"},
      {"key without quotes", R"(ADMIN SET FRONTEND CONFIG (a="1"))", "expected the key"},
      {"key in backticks", R"(ADMIN SET FRONTEND CONFIG (`a`="1"))", "expected the key"},
      {"value without quotes", R"(ADMIN SET FRONTEND CONFIG ("a"=1))", "expected the value"},
      {"empty key", R"(ADMIN SET FRONTEND CONFIG (""="1"))", "a config key is made of"},
      {"key with a blank", R"(ADMIN SET FRONTEND CONFIG ("a b"="1"))", "a config key is made of"},
      {"key with a wildcard", R"(ADMIN SET FRONTEND CONFIG ("a%"="1"))", "a config key is made of"},
      {"all frontends, a statement of Doris", R"(ADMIN SET ALL FRONTENDS CONFIG ("a"="1"))", "statement not allowed"},
      {"replica status", R"(ADMIN SET REPLICA STATUS PROPERTIES ("tablet_id"="1"))",
       "--allow-sql=admin-set-replica-status"},
      {"partition version", R"(ADMIN SET TABLE t PARTITION (p) VERSION TO 1)", "statement not allowed"},
      {"admin alone", "ADMIN", "statement not allowed"},
      {"admin show alone", "ADMIN SHOW", "statement not allowed"},
      {"admin repair alone", "ADMIN REPAIR", "statement not allowed"},
      {"admin cancel repair alone", "ADMIN CANCEL REPAIR", "statement not allowed"},
      {"admin check tablet", "ADMIN CHECK TABLET (1) PROPERTIES ('type'='CONSISTENCY')",
       "--allow-sql=admin-check-tablet"},
      {"admin execute", "ADMIN EXECUTE ON 1 'x'", "statement not allowed"},
      {"show alone", "SHOW", "statement not allowed"},
      {"select alone", "SELECT", "statement not allowed"},
      {"select into outfile", "SELECT * FROM t INTO OUTFILE 's3://x/y'", "SELECT ... INTO"},
      {"select into outfile, lower case", "select 1 into outfile 'x'", "SELECT ... INTO"},
      {"select into behind a comment", "SELECT 1 INTO/**/OUTFILE 'x'", "SELECT ... INTO"},
      {"with alone", "WITH", "statement not allowed"},
      {"with delete", "WITH x AS (SELECT 1) DELETE FROM t USING x", "expected SELECT behind the WITH clause"},
      {"with update", "WITH x AS (SELECT 1) UPDATE t SET a = 1", "expected SELECT behind the WITH clause"},
      {"with insert", "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "expected SELECT behind the WITH clause"},
      {"with two, then delete", "WITH x AS (SELECT 1), y AS (SELECT 2) DELETE FROM t",
       "expected SELECT behind the WITH clause"},
      {"with parenthesised select", "WITH x AS (SELECT 1) (SELECT 2)", "expected SELECT behind the WITH clause"},
      {"with nothing behind", "WITH x AS (SELECT 1)", "expected SELECT behind the WITH clause"},
      {"with a comma too many", "WITH x AS (SELECT 1), SELECT 1", "expected AS"},
      {"with no name", "WITH (SELECT 1) SELECT 1", "expected the name of a common table expression"},
      {"with no AS", "WITH x (SELECT 1) SELECT 1", "expected AS"},
      {"with no parentheses", "WITH x AS SELECT 1", "expected a query in parentheses"},
      {"with parentheses not closed", "WITH x AS ((SELECT 1) SELECT 1", "expected a query in parentheses"},
      {"with columns not closed", "WITH x (a AS (SELECT 1) SELECT 1", "expected ')'"},
      {"with into", "WITH x AS (SELECT 1) SELECT * FROM x INTO OUTFILE 's3://x'", "SELECT ... INTO"},
      {"whole number, letters", R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "abc"))",
       "at offset 67: the value of tablet_sched_max_scheduling_tablets must be a whole number"},
      {"whole number, by its alias", R"(ADMIN SET FRONTEND CONFIG ("max_scheduling_tablets" = "10k"))",
       "must be a whole number of 32 bits"},
      {"whole number, empty", R"(ADMIN SET FRONTEND CONFIG ("max_scheduling_tablets" = ""))", "must be a whole number"},
      {"whole number, fraction", R"(ADMIN SET FRONTEND CONFIG ("max_scheduling_tablets" = "1.5"))",
       "must be a whole number"},
      {"whole number, sign alone", R"(ADMIN SET FRONTEND CONFIG ("max_scheduling_tablets" = "+"))",
       "must be a whole number"},
      {"whole number, two signs", R"(ADMIN SET FRONTEND CONFIG ("max_scheduling_tablets" = "+-1"))",
       "must be a whole number"},
      {"whole number, over 32 bits", R"(ADMIN SET FRONTEND CONFIG ("max_scheduling_tablets" = "4294967296"))",
       "must be a whole number of 32 bits"},
      {"long number, over 64 bits",
       R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_be_down_tolerate_time_s" = "99999999999999999999"))",
       "must be a whole number"},
      {"fraction, letters", R"(ADMIN SET FRONTEND CONFIG ("balance_load_score_threshold" = "ten"))",
       "must be a number"},
      {"boolean, on", R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "on"))",
       R"(must be "true" or "false" (the FE treats anything else as false))"},
      {"boolean, 1", R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_disable_balance" = "1"))", "must be \"true\""},
      {"boolean, misspelt", R"(ADMIN SET FRONTEND CONFIG ("disable_colocate_balance" = "ture"))", "must be \"true\""},
      {"boolean, empty", R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = ""))", "must be \"true\""},
      {"parenthesised select", "(SELECT 1)", "statement not allowed"},
      {"explain", "EXPLAIN SELECT 1", "statement not allowed"},
      {"describe", "DESC t", "statement not allowed"},
      {"insert", "INSERT INTO t VALUES (1)", "statement not allowed"},
      {"insert overwrite", "INSERT OVERWRITE t SELECT 1", "statement not allowed"},
      {"update", "UPDATE t SET a=1", "statement not allowed"},
      {"delete", "DELETE FROM t", "statement not allowed"},
      {"truncate", "TRUNCATE TABLE t", "statement not allowed"},
      {"drop table", "DROP TABLE t", "statement not allowed"},
      {"drop database", "DROP DATABASE d FORCE", "statement not allowed"},
      {"create user", "CREATE USER u IDENTIFIED BY 'x'", "statement not allowed"},
      {"grant", "GRANT ALL ON *.* TO u", "statement not allowed"},
      {"set password", "SET PASSWORD = PASSWORD('x')", "statement not allowed"},
      {"set role", "SET ROLE root", "statement not allowed"},
      {"set session variable", "SET query_timeout = 1", "statement not allowed"},
      {"set session with @@", "SET @@GLOBAL.query_timeout = 1", "statement not allowed"},
      {"set global alone", "SET GLOBAL", "expected the name"},
      {"set global without a value", "SET GLOBAL x =", "expected a string, a number or a word"},
      {"set global minus", "SET GLOBAL x = -", "expected a string, a number or a word"},
      {"set global negative string", "SET GLOBAL x = -'1'", "expected a string, a number or a word"},
      {"set global without equals", "SET GLOBAL x 1", "expected '='"},
      {"set global two variables", "SET GLOBAL x = 1, y = 2", "nothing may follow"},
      {"set global then password", "SET GLOBAL x = 1, PASSWORD = PASSWORD('y')", "nothing may follow"},
      {"set global expression", "SET GLOBAL x = 1 + 1", "nothing may follow"},
      {"set global subquery", "SET GLOBAL x = (SELECT 1)", "expected a string, a number or a word"},
      {"set global isolation level", "SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE", "expected '='"},
      {"set global quoted name", "SET GLOBAL `x` = 1", "expected the name"},
      {"set global function", "SET GLOBAL x = f(1)", "nothing may follow"},
      {"drop backend", "ALTER SYSTEM DROP BACKEND 'be:9050'", "--allow-sql=alter-system"},
      {"decommission", "ALTER SYSTEM DECOMMISSION BACKEND 'be:9050'", "--allow-sql=alter-system"},
      {"create image and more", "ALTER SYSTEM CREATE IMAGE x", "statement not allowed"},
      {"alter table", "ALTER TABLE t ADD COLUMN c INT", "statement not allowed"},
      {"kill", "KILL 1", "statement not allowed"},
      {"use", "USE d", "statement not allowed"},
      {"submit task", "SUBMIT TASK AS INSERT INTO t SELECT 1", "statement not allowed"},
      {"cancel load", "CANCEL LOAD FROM db WHERE LABEL = 'x'", "--allow-sql=cancel"},
      {"pause routine load", "PAUSE ROUTINE LOAD FOR j", "--allow-sql=routine-load"},
      {"keyword in backticks", "`SHOW` FRONTENDS", "statement not allowed"},
      {"keyword in quotes", "'SHOW' FRONTENDS", "statement not allowed"},
      {"keyword with something attached", "SHOWX FRONTENDS", "statement not allowed"},
      {"keyword split by a comment", "SH/**/OW FRONTENDS", "statement not allowed"},
      {"a predefined hook, misspelt", "disable-balancr", "statement not allowed"},
      {"shell", "mysql -e 'SHOW FRONTENDS'", "statement not allowed"},
  };
  for (const Refused& row : rows) {
    INFO(row.name);
    const Result<SqlStatement> statement = validate_sql(row.sql);
    CHECK_FALSE(statement.ok());
    if (statement.ok()) continue;
    CHECK(statement.error().code == ErrorCode::InvalidInput);
    CHECK(statement.error().message.starts_with("at offset "));
    const bool found = statement.error().message.find(row.because) != std::string::npos;
    if (!found) FAIL_CHECK(statement.error().message);
  }
}

TEST_CASE("a further kind is accepted where the gate's owner names it, and only there") {
  using enum SqlKind;
  const Accepted rows[] = {
      {"add", "ALTER SYSTEM ADD BACKEND 'be:9050'", AlterSystem, ""},
      {"drop", "ALTER SYSTEM DROP BACKEND 'be:9050'", AlterSystem, ""},
      {"decommission", "ALTER SYSTEM DECOMMISSION BACKEND 'be:9050'", AlterSystem, ""},
      {"modify", "ALTER SYSTEM MODIFY FRONTEND HOST 'a' TO 'b'", AlterSystem, ""},
      {"cancel decommission", "CANCEL DECOMMISSION BACKEND 'be:9050';", AlterSystem,
       "CANCEL DECOMMISSION BACKEND 'be:9050'"},
      {"replica status", R"(ADMIN SET REPLICA STATUS PROPERTIES ("tablet_id"="1"))", AdminSetReplica, ""},
      {"check tablet", "ADMIN CHECK TABLET (1) PROPERTIES ('type'='CONSISTENCY')", AdminCheckTablet, ""},
      {"refresh", "REFRESH MATERIALIZED VIEW db.v WITH SYNC MODE", RefreshMaterializedView, ""},
      {"cancel refresh", "cancel refresh materialized view db.v", RefreshMaterializedView, ""},
      {"pause", "PAUSE ROUTINE LOAD FOR db.j", RoutineLoad, ""},
      {"resume", "RESUME ROUTINE LOAD FOR db.j", RoutineLoad, ""},
      {"cancel load", "CANCEL LOAD FROM db WHERE LABEL = 'x'", CancelJob, ""},
      {"cancel export", "CANCEL EXPORT FROM db WHERE QUERYID = 'x'", CancelJob, ""},
      {"cancel backup", "CANCEL BACKUP FROM db", CancelJob, ""},
      {"cancel restore", "CANCEL RESTORE FROM db", CancelJob, ""},
      {"cancel schema change", "CANCEL ALTER TABLE COLUMN FROM db.t", CancelJob, ""},
      {"backup", "BACKUP SNAPSHOT db.s TO `repo` ON (t)", Backup, ""},
  };
  for (const Accepted& row : rows) {
    INFO(row.name);
    const Result<SqlStatement> allowed = validate_sql(row.sql, {row.kind});
    if (!allowed) FAIL_CHECK(allowed.error().message);
    if (!allowed) continue;
    CHECK(to_string(allowed->kind) == to_string(row.kind));
    CHECK(allowed->text == (row.text.empty() ? row.sql : row.text));
    std::vector<SqlKind> others;
    for (const FurtherSql& further : further_sql()) {
      if (further.kind != row.kind) others.push_back(further.kind);
    }
    CHECK(others.size() + 1 == further_sql().size());
    const Result<SqlStatement> refused = validate_sql(row.sql, others);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message.find("only where the gate runs with --allow-sql=") != std::string::npos);
    // The kind is allowed, a second statement behind it is not.
    CHECK_FALSE(validate_sql(row.sql + (row.text.empty() ? ";" : "") + " DROP TABLE t", {row.kind}).ok());
  }
}

TEST_CASE("what no flag allows stays refused") {
  std::vector<SqlKind> all;
  for (const FurtherSql& further : further_sql()) all.push_back(further.kind);
  for (const std::string sql :
       {"DROP TABLE t", "ALTER SYSTEM", "ALTER SYSTEM ADD", "ALTER TABLE t DROP COLUMN c", "CANCEL", "CANCEL LOAD",
        "STOP ROUTINE LOAD FOR j", "BACKUP", "RESTORE SNAPSHOT db.s FROM r", "ADMIN SET", "ADMIN SET REPLICA STATUS",
        "ADMIN SET PARTITION VERSION", "INSERT INTO t VALUES (1)", "SET PASSWORD = 'x'", "KILL 1"}) {
    INFO(sql);
    CHECK_FALSE(validate_sql(sql, all).ok());
  }
}

TEST_CASE("a text is split where StarRocks would split it") {
  struct Row {
    const char* name;
    std::string text;
    const char* pieces;  ///< "line:text|" each.
  };
  const Row rows[] = {
      {"nothing", "", ""},
      {"comments alone", "-- a;\n/* b; */\n", ""},
      {"one", "SHOW FRONTENDS", "1:SHOW FRONTENDS|"},
      {"empty ones are left out", ";;SHOW FRONTENDS;;\n;", "1:SHOW FRONTENDS|"},
      {"several, with comments around",
       "-- first; the balancer\nADMIN SET FRONTEND CONFIG ('disable_balance'='true'); -- off\n\n/* then;\n */ SELECT 1 "
       "-- "
       "x\n;\nSHOW BACKENDS\n",
       "2:ADMIN SET FRONTEND CONFIG ('disable_balance'='true')|5:SELECT 1|7:SHOW BACKENDS|"},
      {"quoted semicolons", "SELECT 'a;b', \"c;d\", `e;f`; SELECT 'it''s;', '\\';'",
       "1:SELECT 'a;b', \"c;d\", `e;f`|1:SELECT 'it''s;', '\\';'|"},
      {"a comment within stays", "SELECT /*+ SET_VAR(query_timeout=5) */ 1;",
       "1:SELECT /*+ SET_VAR(query_timeout=5) */ 1|"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const auto split = split_sql(row.text);
    REQUIRE(split.ok());
    std::string shown;
    for (const SqlPiece& piece : *split) {
      shown += std::to_string(piece.line) + ":" + std::string(piece.text) + "|";
    }
    CHECK(shown == row.pieces);
  }
  const auto broken = split_sql("SELECT 1; SELECT 'x");
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().message == "line 1, at offset 17: unterminated string: its closing quote is missing");
  const auto later = split_sql("SELECT 1;\nSELECT 2;\n# three\n");
  REQUIRE_FALSE(later.ok());
  CHECK(later.error().message.starts_with("line 3, at offset 20: '#'"));
}

TEST_CASE("the setting of a statement is what StarRocks reads") {
  const Set rows[] = {
      {"double quotes", R"(ADMIN SET FRONTEND CONFIG ("k" = "v"))", "k", "v"},
      {"single quotes", "ADMIN SET FRONTEND CONFIG ('k' = 'v')", "k", "v"},
      {"blanks inside stay", "ADMIN SET FRONTEND CONFIG ('k' = ' v ')", "k", " v "},
      {"doubled quote", "ADMIN SET FRONTEND CONFIG ('k' = 'a''b')", "k", "a'b"},
      {"the other quote", "ADMIN SET FRONTEND CONFIG ('k' = 'a\"b')", "k", "a\"b"},
      {"escaped quote", R"(ADMIN SET FRONTEND CONFIG ("k" = "a\"b"))", "k", "a\"b"},
      {"escaped backslash", R"(ADMIN SET FRONTEND CONFIG ("k" = "a\\b"))", "k", "a\\b"},
      {"escaped line break", R"(ADMIN SET FRONTEND CONFIG ("k" = "a\nb"))", "k", "a\nb"},
      {"escaped letter", R"(ADMIN SET FRONTEND CONFIG ("k" = "\a"))", "k", "a"},
      {"LIKE escapes stay", R"(ADMIN SET FRONTEND CONFIG ("k" = "a\_b\%"))", "k", "a\\_b\\%"},
  };
  for (const Set& row : rows) {
    INFO(row.name);
    const Result<SqlStatement> statement = validate_sql(row.sql);
    REQUIRE(statement.ok());
    CHECK(statement->setting == ConfigSetting{row.key, row.value});
  }
}

TEST_CASE("tokens carry kind, text and offset") {
  const Result<std::vector<SqlToken>> tokens = tokenize_sql("SELECT `a``b`, 'x' -- c\n 1.5 1x 2.x;");
  REQUIRE(tokens.ok());
  std::string shown;
  for (const SqlToken& token : *tokens) {
    shown += std::to_string(token.offset) + "/" + std::to_string(static_cast<int>(token.kind)) + "/" + token.text + " ";
  }
  CHECK(shown == "0/0/SELECT 7/2/a`b 13/4/, 15/1/x 25/3/1.5 29/0/1x 32/3/2 33/4/. 34/0/x 35/4/; ");
}

TEST_CASE("a formatted setting is read back as it was") {
  for (const std::string value : {"0", "true", "", "a b", "say \"x\"", "back\\slash", "ends with \\", "it's", "a\nb"}) {
    INFO(value);
    const Result<SqlStatement> statement = validate_sql(set_config_sql("some_item", value));
    REQUIRE(statement.ok());
    CHECK(statement->setting == ConfigSetting{"some_item", value});
  }
  CHECK(set_config_sql("disable_balance", "true") == R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "true"))");
}

TEST_CASE("wildcards in a key are escaped for LIKE") {
  CHECK(show_config_sql("disable_balance") == R"(ADMIN SHOW FRONTEND CONFIG LIKE "disable\_balance")");
  CHECK(show_config_sql("a%\"b") == R"(ADMIN SHOW FRONTEND CONFIG LIKE "a\%\"b")");
  CHECK(validate_sql(show_config_sql("disable_balance")).ok());
}

TEST_CASE("what StarRocks reads as one token between two $$ is refused, wherever it stands") {
  for (const char* sql : {"SELECT $$'$$; DROP TABLE t; SELECT $$'$$", "SELECT $$", "SELECT a$$b", "SELECT 1 $$x$$",
                          "SHOW $$", "$$;$$", "SELECT 1$$2"}) {
    INFO(sql);
    const auto judged = validate_sql(sql);
    REQUIRE_FALSE(judged.ok());
    CHECK(judged.error().message.find("'$$' is not accepted") != std::string::npos);
    CHECK_FALSE(split_sql(sql).ok());
  }
  CHECK(validate_sql("SELECT '$$', a$b FROM t").ok());
}

TEST_CASE("lines of a text are counted once, however many statements it has") {
  std::string text;
  constexpr std::size_t kStatements = 1u << 18;  // a quadratic count took half a minute
  for (std::size_t i = 0; i < kStatements; ++i) text += "a;\n";
  const auto pieces = split_sql(text);
  REQUIRE(pieces.ok());
  REQUIRE(pieces.value().size() == kStatements);
  CHECK(pieces.value().front().line == 1);
  CHECK(pieces.value().back().line == kStatements);
  CHECK(pieces.value()[1000].line == 1001);
}

TEST_CASE("settings that decide who may log in, and secrets, are not for hooks") {
  struct Row {
    const char* key;
    bool refused;
  };
  for (const Row& row :
       {Row{"authentication_ldap_simple_server_host", true}, Row{"authentication_chain", true},
        Row{"enable_starrocks_external_table_auth_check", true}, Row{"authentication_ldap_simple_bind_root_pwd", true},
        Row{"Ssl_Keystore_Password", true}, Row{"oauth2_client_secret", true}, Row{"aws_s3_access_key", true},
        Row{"azure_blob_shared_key", true}, Row{"my_token", true}, Row{"AUTHENTICATION_CHAIN", true},
        Row{"disable_balance", false}, Row{"tablet_sched_max_scheduling_tablets", false},
        Row{"primary_key_disk_schedule", false}, Row{"enable_unique_key_index", false}, Row{"monkey_count", false}}) {
    INFO(row.key);
    CHECK(is_login_setting(row.key) == row.refused);
    CHECK(validate_sql("ADMIN SET FRONTEND CONFIG (\"" + std::string(row.key) + "\" = \"true\")").ok() ==
          (!row.refused && std::string(row.key) != "tablet_sched_max_scheduling_tablets"));
    CHECK(validate_sql("SET GLOBAL " + std::string(row.key) + " = 1").ok() == !row.refused);
  }
}
