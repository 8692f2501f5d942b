// The simulator keeps the rules of StarRocks that the gate relies on; each test names one.

#include "test/fakes/frontend_simulator.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <thread>

#include "server/starrocks/frontend_client.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

Deadline in(std::chrono::milliseconds duration) { return std::chrono::steady_clock::now() + duration; }
constexpr auto kAmple = 20s;

std::unique_ptr<FrontendSession> connect(FrontendSimulator& simulator, std::size_t index = 0) {
  static MysqlFrontendConnector connector;
  FrontendAccess access;
  access.address = {"127.0.0.1", simulator.frontend(index).port()};
  auto session = connector.connect(access, in(kAmple));
  REQUIRE_MESSAGE(session.ok(), session.error().message);
  return std::move(session).value();
}

Result<QueryResult> run(FrontendSimulator& simulator, const std::string& sql, std::size_t index = 0) {
  return connect(simulator, index)->execute(sql, in(kAmple));
}

/// Of the row that has `value` in `column`.
std::string of(const QueryResult& rows, std::string_view column, const std::string& value, std::string_view wanted) {
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    if (rows.text(row, column) == value) return rows.text(row, wanted);
  }
  return "(no " + value + ")";
}

std::string set(const std::string& key, const std::string& value) {
  return "ADMIN SET FRONTEND CONFIG (\"" + key + "\" = \"" + value + "\")";
}

TEST_CASE("ADMIN SET takes names and aliases, and keeps Java's reading of values") {
  struct Row {
    const char* name;
    const char* key;
    const char* value;
    const char* canonical;
    const char* stored;
  };
  FrontendSimulator simulator;
  for (const Row& row : {
           Row{"alias", "max_scheduling_tablets", "0", "tablet_sched_max_scheduling_tablets", "0"},
           Row{"canonical", "tablet_sched_max_balancing_tablets", "7", "tablet_sched_max_balancing_tablets", "7"},
           Row{"blanks", "max_balancing_tablets", " 8 ", "tablet_sched_max_balancing_tablets", "8"},
           Row{"any case of true", "disable_balance", "TRUE", "tablet_sched_disable_balance", "true"},
           Row{"anything else is false", "disable_balance", "yes", "tablet_sched_disable_balance", "false"},
           Row{"a sign", "max_balancing_tablets", "+7", "tablet_sched_max_balancing_tablets", "7"},
           Row{"zeros in front", "max_balancing_tablets", "0100", "tablet_sched_max_balancing_tablets", "100"},
           Row{"double", "balance_load_score_threshold", "0.30", "tablet_sched_balance_load_score_threshold", "0.3"},
           Row{"whole double", "balance_load_score_threshold", "1", "tablet_sched_balance_load_score_threshold", "1.0"},
           Row{"exponent", "balance_load_score_threshold", "1e-1", "tablet_sched_balance_load_score_threshold", "0.1"},
           Row{"small", "balance_load_score_threshold", "0.00001", "tablet_sched_balance_load_score_threshold",
               "1.0E-5"},
           Row{"big", "balance_load_score_threshold", "12345678", "tablet_sched_balance_load_score_threshold",
               "1.2345678E7"},
           Row{"seven digits", "balance_load_score_threshold", "1234567", "tablet_sched_balance_load_score_threshold",
               "1234567.0"},
           Row{"long beyond int", "max_clone_task_timeout_sec", "99999999999",
               "tablet_sched_max_clone_task_timeout_sec", "99999999999"},
           Row{"nothing is false", "disable_balance", "", "tablet_sched_disable_balance", "false"},
           Row{"empty array", "lake_background_tables", "", "lake_background_tables", "[]"},
           Row{"array", "lake_background_tables", "11001,11002", "lake_background_tables", "[11001, 11002]"},
       }) {
    INFO(row.name);
    CHECK(run(simulator, set(row.key, row.value)).ok());
    CHECK(simulator.frontend(0).config(row.canonical) == row.stored);
    CHECK(simulator.frontend(0).config(row.key) == row.stored);
  }
}

TEST_CASE("statements that StarRocks refuses, with its numbers and texts") {
  struct Row {
    const char* version;
    std::string sql;
    int code;
    const char* text;
  };
  for (
      const Row& row : {
          Row{"3.5.7", set("no_such_key", "1"), 1064, "(HY000): Config 'no_such_key' does not exist or is not mutable"},
          Row{"3.5.7", set("query_port", "1"), 1064, "Config 'query_port' does not exist or is not mutable"},
          Row{"2.5.22", set("no_such_key", "1"), 1064, "Unexpected exception: Config"},
          Row{"3.5.7", set("max_balancing_tablets", "abc"), 1064, "err: For input string: \"abc\""},
          Row{"3.5.7", set("max_balancing_tablets", "99999999999"), 1064, "err: For input string: \"99999999999\""},
          Row{"3.5.7", set("max_balancing_tablets", "1.5"), 1064, "err: For input string: \"1.5\""},
          Row{"3.5.7", set("max_balancing_tablets", ""), 1064, "err: For input string: \"\""},
          Row{"3.5.7", set("balance_load_score_threshold", "inf"), 1064, "err: For input string: \"inf\""},
          Row{"3.5.7", set("Disable_Balance", "true"), 1064, "does not exist or is not mutable"},
          Row{"3.5.7", "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\", \"a\" = \"b\")", 1064,
              "Getting syntax error at line 1, column 53. Detail message: Unexpected input ',', the most similar input "
              "is {')'}."},
          Row{"3.5.7", "FLY ME", 1064,
              "Unexpected input 'FLY', the most similar input is {'INSERT', 'SELECT', 'SET', 'USE', 'TRANSLATE', '(', "
              "';'}."},
          Row{"3.5.7", "-- nothing", 1064, "Unexpected input '<EOF>'"},
          Row{"3.5.7", "ADMIN SET\n  EVERYTHING", 1064,
              "line 2, column 2. Detail message: Unexpected input 'EVERYTHING'"},
          Row{"3.5.7", "SET foo = 1", 1193,
              "(HY000): Unknown system variable 'foo', the most similar variables are {'"},
          Row{"3.5.7", "SET GLOBAL query_timeuot = 1", 1193, "most similar variables are {'query_timeout', '"},
          Row{"3.5.7", "SELECT @@foo", 1193,
              "Getting analyzing error. Detail message: Unknown system variable 'foo', the most similar"},
          Row{"3.5.7", "SET forward_to_leader = maybe", 1231,
              "(42000): Variable 'forward_to_leader' can't be set to the value of 'maybe'"},
          Row{"3.5.7", "GRANT NODE ON SYSTEM TO USER gate", 1064,
              "Operation not permitted, 'NODE' cannot be granted to user or role directly, use built-in role instead."},
          Row{"3.5.7", "SHOW PROC '/jobs/99999'", 1064,
              "Getting analyzing error. Detail message: Unknown proc node path: /jobs/99999. msg: Database[99999] does "
              "not exist.."},
          Row{"3.5.7", "SHOW PROC '/nope'", 1064, "Unknown proc node path: /nope. msg: Cannot find path: /nope."},
          Row{"3.5.7", set("lake_background_tables", "[1, 2]"), 1064, "err: For input string"},
          Row{"3.5.7", "ADMIN SET ALL FRONTENDS CONFIG (\"a\" = \"b\")", 1064, "Getting syntax error at line 1"},
          Row{"3.5.7", "SHOW PROC '/nowhere'", 1064, "Cannot find path: /nowhere"},
          Row{"3.5.7", "KILL 4711", 1094, "Unknown thread id"},
      }) {
    INFO(row.sql);
    FrontendSimulator simulator({.version = row.version});
    const auto result = run(simulator, row.sql);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().peer_code == row.code);
    CHECK(result.error().message.find(row.text) != std::string::npos);
  }
}

TEST_CASE("a setting reaches every FE; who must be alive depends on the version") {
  for (const char* version : {"3.3.9", "3.5.7"}) {
    INFO(version);
    const bool through_leader = version == std::string("3.5.7");
    FrontendSimulator simulator({.frontends = 3, .version = version});
    CHECK(run(simulator, set("disable_balance", "true"), 1).ok());
    for (std::size_t i = 0; i < 3; ++i) CHECK(simulator.frontend(i).config("disable_balance") == "true");

    simulator.break_broadcast_to(2);
    const auto partial = run(simulator, set("disable_balance", "false"), 1);
    REQUIRE_FALSE(partial.ok());
    CHECK(partial.error().peer_code == (through_leader ? 5101 : 5076));
    CHECK(partial.error().message.find(through_leader ? "set config for fe[127.0.0.1] failed: java.net.ConnectException"
                                                      : "set config for fe[fe-2] failed") != std::string::npos);
    CHECK(simulator.frontend(0).config("disable_balance") == "false");
    CHECK(simulator.frontend(2).config("disable_balance") == "true");
    simulator.break_broadcast_to(2, false);

    simulator.stop(2);
    simulator.notice_deaths();
    CHECK(run(simulator, set("disable_balance", "true"), 1).ok() == through_leader);
    simulator.start(2);
    CHECK(simulator.frontend(2).config("disable_balance") == "false");  // what a start does
  }
}

TEST_CASE("a restart forgets, but for fe.conf, on that FE alone") {
  FrontendSimulator simulator({.frontends = 2, .fe_conf = {{"tablet_sched_max_balancing_tablets", "42"}}});
  CHECK(simulator.frontend(0).config("max_balancing_tablets") == "42");
  CHECK(run(simulator, set("max_balancing_tablets", "0")).ok());
  simulator.restart(1);
  CHECK(simulator.frontend(0).config("max_balancing_tablets") == "0");
  CHECK(simulator.frontend(1).config("max_balancing_tablets") == "42");
}

TEST_CASE("ADMIN SHOW answers for the connected FE, by name or alias, with LIKE's wildcards") {
  FrontendSimulator simulator({.frontends = 2});
  simulator.frontend(1).set_config("disable_balance", "true");
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'disable_balance'", 0)->text(0, "Value") == "false");
  const auto other = run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'disable_balance'", 1);
  CHECK(other->columns == std::vector<std::string>{"Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"});
  CHECK(other->text(0, "Key") == "tablet_sched_disable_balance");
  CHECK(other->text(0, "AliasNames") == "[disable_balance]");
  CHECK(other->text(0, "Value") == "true");
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE '%disable%balance'")->rows.size() == 3);
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'disable?balance'")->rows.empty());
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE \"disable\\_balance\"")->rows.size() == 1);
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'disable\\\\_balance'")->rows.size() == 1);
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'no_such'")->rows.empty());
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'DISABLE_balance'")->rows.empty());  // the case counts
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'history_job_keep_max_second'")->text(0, "Value") == "604800");
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'qe_max_connection'")->text(0, "IsMutable") == "false");
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG")->rows.size() > 8);
}

TEST_CASE("columns grow with the version") {
  struct Row {
    const char* version;
    bool frontend_id, memory_limit, status_code;
  };
  for (const Row& row : {Row{"2.5.22", false, false, false}, Row{"3.3.9", false, true, false},
                         Row{"3.5.7", true, true, true}, Row{"4.0.2", true, true, true}}) {
    INFO(row.version);
    FrontendSimulator simulator({.version = row.version, .compute_nodes = {{"cn-0"}}});
    CHECK(run(simulator, "SHOW FRONTENDS")->column("Id").has_value() == row.frontend_id);
    for (const char* sql : {"SHOW BACKENDS", "SHOW COMPUTE NODES"}) {
      const auto nodes = run(simulator, sql);
      REQUIRE(nodes.ok());
      CHECK(nodes->column("MemLimit").has_value() == row.memory_limit);
      CHECK(nodes->column("StatusCode").has_value() == row.status_code);
      CHECK(nodes->text(0, "Alive") == "true");
    }
  }
}

TEST_CASE("nodes, balance and statistic are what the test says") {
  FrontendSimulator simulator({.frontends = 2});
  simulator.set_backends({{"be-0", true, "3.5.7"}, {"be-1", false, "3.5.6"}});
  const auto backends = run(simulator, "SHOW BACKENDS", 1);
  CHECK(backends->text(1, "Alive") == "false");
  CHECK(backends->text(1, "Version").starts_with("3.5.6-"));

  simulator.set_cluster_balance({{3, 2}, {0, 0}});
  for (const char* running : {"2", "0", "0"}) {
    const auto balance = run(simulator, "SHOW PROC '/cluster_balance'", 1);
    bool seen = false;
    for (std::size_t i = 0; i < balance->rows.size(); ++i)
      if (balance->text(i, "Item") == "running_tablets") {
        seen = true;
        CHECK(balance->text(i, "Number") == running);
      }
    CHECK(seen);
  }

  simulator.set_statistic({.tablets = 9, .unhealthy = 2, .inconsistent = 1, .cloning = 4});
  const auto session = connect(simulator, 1);
  const auto total = [&] {
    const auto rows = session->execute("SHOW PROC '/statistic'", in(kAmple));
    REQUIRE(rows.ok());
    CHECK(rows->text(rows->rows.size() - 1, "DbId") == "Total");
    CHECK(rows->text(rows->rows.size() - 1, "DbName") == std::to_string(rows->rows.size() - 1));
    CHECK(of(*rows, "DbName", "information_schema", "DbId") == "1");
    CHECK(of(*rows, "DbName", "sys", "DbId") == "100");
    CHECK(rows->text(rows->rows.size() - 1, "UnhealthyTabletNum") == "2");
    return rows->text(rows->rows.size() - 1, "CloningTabletNum");
  };
  CHECK(total() == "0");  // a follower does not know
  REQUIRE(session->execute("SET forward_to_leader = true", in(kAmple)).ok());
  CHECK(total() == "4");
}

TEST_CASE("each version greets as it does") {
  struct Row {
    const char* version;
    const char* greeting;
  };
  for (const Row& row :
       {Row{"2.5.22", "5.1.0"}, Row{"3.3.9", "5.1.0"}, Row{"3.5.7", "8.0.33"}, Row{"4.0.2", "8.0.33"}}) {
    INFO(row.version);
    FrontendSimulator simulator({.version = row.version});
    const int raw = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(simulator.frontend(0).port());
    REQUIRE(::connect(raw, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    std::array<char, 64> bytes{};
    const auto got = ::recv(raw, bytes.data(), bytes.size() - 1, 0);
    ::close(raw);
    REQUIRE(got > 5);
    CHECK(std::string(bytes.data() + 5) == row.greeting);  // behind the packet header and the protocol number
  }
}

TEST_CASE("jobs are told by every FE, transactions are asked of the leader, and routine loads are listed from 3.1 on") {
  FrontendSimulator simulator({.frontends = 2});
  simulator.set_databases(
      {{.name = "shop", .schema_changes = 2, .queued_loads = 1, .running_loads = 4, .running_transactions = 3},
       {.name = "new", .finished_transactions = 0}});
  const auto names = [&](const std::string& path) {
    const auto rows = run(simulator, "SHOW PROC '" + path + "'");
    std::string out;
    for (std::size_t row = 0; row < rows->rows.size(); ++row)
      out += rows->text(row, "DbId") + " " + rows->text(row, "DbName") + ", ";
    return out;
  };
  CHECK(names("/jobs") == "1 information_schema, 100 sys, 10005 shop, 10006 new, ");
  CHECK(names("/transactions") == "10005 shop, ");  // those that ever had one
  const auto told = [&](const std::string& path, const char* kind, const char* column, std::size_t frontend) {
    const auto rows = run(simulator, "SHOW PROC '" + path + "'", frontend);
    REQUIRE(rows.ok());
    return of(*rows, rows->columns.front(), kind, column);
  };
  for (const std::size_t frontend : {0U, 1U}) CHECK(told("/jobs/10005", "schema_change", "Running", frontend) == "2");
  CHECK(told("/jobs/10005", "load", "Pending", 1) == "1");
  CHECK(told("/jobs/10005", "load", "Running", 1) == "4");
  CHECK(run(simulator, "SHOW PROC '/jobs/1'").ok());
  CHECK(told("/transactions/10005", "running", "Number", 1) == "3");
  CHECK(run(simulator, "SHOW PROC '/transactions/99999'")->rows.empty());

  const std::string routine =
      "SELECT COUNT(*) AS jobs FROM information_schema.routine_load_jobs WHERE STATE IN ('RUNNING')";
  simulator.set_routine_loads(2);
  CHECK(run(simulator, routine)->text(0, "jobs") == "2");
  CHECK(run(simulator, "SHOW PROC '/routine_loads'", 1)->columns ==
        std::vector<std::string>{"Name", "Id", "DbName", "Statistic", "TaskStatistic"});
  FrontendSimulator old({.version = "2.5.22"});
  CHECK(run(old, routine).error().message.find("Unknown table") != std::string::npos);
}

TEST_CASE("a query needs a backend that is alive and not blacklisted, what the FE knows by itself does not") {
  FrontendSimulator simulator;
  const std::string routine =
      "SELECT COUNT(*) AS jobs FROM information_schema.routine_load_jobs WHERE STATE = 'RUNNING'";
  struct Row {
    const char* name;
    std::vector<SimulatedNode> backends;
    const char* told;  ///< nullptr: it is answered.
  };
  for (const Row& row :
       {Row{"none", {}, "Check if any backend node is down.backend: "},
        Row{"dead", {{.host = "be-0", .alive = false}}, " [be-0 alive: false inBlacklist: false]"},
        Row{"blacklisted", {{.host = "be-0", .blacklisted = true}}, " [be-0 alive: true inBlacklist: true]"},
        Row{"one of two", {{.host = "be-0", .blacklisted = true}, {.host = "be-1"}}, nullptr}}) {
    INFO(row.name);
    simulator.set_backends(row.backends);
    for (const std::string& sql : {routine, std::string("SELECT current_version()")}) {
      const auto answer = run(simulator, sql);
      CHECK(answer.ok() == (row.told == nullptr));
      if (row.told != nullptr) CHECK_MESSAGE(answer.error().message.find(row.told) != std::string::npos, sql);
    }
    CHECK(run(simulator, "SHOW PROC '/routine_loads'").ok());
  }
}

TEST_CASE("a broadcast stalls at a hung FE and goes on where it was; what it had reached stays") {
  FrontendSimulator simulator({.frontends = 3});
  simulator.hang_frontend(1);
  auto stalled = std::async(std::launch::async, [&] { return run(simulator, set("disable_balance", "true")); });
  for (const auto deadline = in(kAmple); simulator.frontend(0).config("disable_balance") != "true";) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::yield();
  }
  CHECK(simulator.frontend(1).config("disable_balance") == "false");
  CHECK(simulator.frontend(2).config("disable_balance") == "false");
  simulator.frontend(0).set_config("disable_balance", "false");  // somebody's later decision, on the first FE
  simulator.hang_frontend(1, false);
  CHECK(stalled.get().ok());
  CHECK(simulator.frontend(0).config("disable_balance") == "false");
  CHECK(simulator.frontend(1).config("disable_balance") == "true");
  CHECK(simulator.frontend(2).config("disable_balance") == "true");
}

TEST_CASE("SHOW FRONTENDS: rows in no order, names of host, port and moment, the dead as they were last known") {
  FrontendSimulator simulator({.frontends = 3});
  simulator.add_frontend();
  simulator.set_leader(1);
  simulator.pass_time(61s);
  simulator.stop(2);
  simulator.pass_time(1h);
  const auto rows = run(simulator, "SHOW FRONTENDS");
  REQUIRE(rows->rows.size() == 4);
  const auto told = [&](const char* id, const char* column) { return of(*rows, "Id", id, column); };
  CHECK(rows->text(0, "Id") == "2");
  CHECK(rows->text(1, "Id") == "1");
  CHECK(told("1", "Name") == "127.0.0.1_9010_1700000000000");
  CHECK(told("1", "IP") == "127.0.0.1");
  CHECK(told("1", "Role") == "FOLLOWER");
  CHECK(told("2", "Role") == "LEADER");
  CHECK(told("2", "QueryPort") == std::to_string(simulator.frontend(1).port()));
  CHECK(told("2", "LastHeartbeat") == "2026-01-02 04:05:05");

  CHECK(told("3", "Alive") == "false");
  CHECK(told("3", "StartTime") == "NULL");
  CHECK(told("3", "ErrMsg") == "Connection refused");
  CHECK(told("3", "LastHeartbeat") == "2026-01-02 03:05:05");
  CHECK(told("3", "Version").starts_with("3.5.7-"));
  CHECK(told("3", "QueryPort") == std::to_string(simulator.frontend(2).port()));

  for (const char* column : {"QueryPort", "RpcPort"}) CHECK(told("4", column) == "0");
  for (const char* column : {"LastHeartbeat", "StartTime", "Version"}) CHECK(told("4", column) == "NULL");
  for (const char* column : {"Join", "Alive"}) CHECK(told("4", column) == "false");
}

TEST_CASE("an FE that froze is called dead after 25 s, and one that restarts quickly never; its StartTime moves late") {
  FrontendSimulator simulator({.frontends = 3});
  const auto told = [&](const char* id, const char* column) {
    return of(*run(simulator, "SHOW FRONTENDS"), "Id", id, column);
  };
  const auto began = told("3", "StartTime");
  simulator.hang_frontend(1);
  simulator.restart_unheard(2);
  CHECK(told("3", "Alive") == "true");
  CHECK(told("3", "StartTime") == began);
  simulator.pass_time(24s);
  CHECK(told("2", "Alive") == "true");
  CHECK(told("3", "StartTime") > began);
  simulator.pass_time(1s);
  CHECK(told("2", "Alive") == "false");
  CHECK(told("2", "ErrMsg") == "Read timed out");
  simulator.hang_frontend(1, false);
  CHECK(told("2", "Alive") == "true");
}

TEST_CASE("a leader that died is followed by another within 2 s, one that froze within 60 s, and never by a minority") {
  struct Row {
    const char* name;
    std::size_t frontends;
    bool dies;
    std::chrono::seconds wait;
    bool elected;
  };
  for (const Row& row : {Row{"too early", 3, true, 1s, false}, Row{"dead", 3, true, 2s, true},
                         Row{"frozen, too early", 3, false, 59s, false}, Row{"frozen", 3, false, 60s, true},
                         Row{"one of two is no majority", 2, true, 1h, false}}) {
    INFO(row.name);
    FrontendSimulator simulator({.frontends = row.frontends});
    row.dies ? simulator.stop(0) : simulator.hang_frontend(0);
    simulator.pass_time(row.wait);
    const auto last = row.frontends - 1;
    if (row.elected || row.dies) CHECK(run(simulator, "SHOW FRONTENDS", last).ok() == row.elected);
    if (!row.elected) continue;
    const auto rows = run(simulator, "SHOW FRONTENDS", last);
    CHECK(of(*rows, "Id", "2", "Role") == "LEADER");
    CHECK(of(*rows, "Id", "1", "Role") == "FOLLOWER");
    CHECK(of(*rows, "Id", "1", "Alive") == (row.dies ? "true" : "false"));
    if (row.dies) continue;
    simulator.hang_frontend(0, false);  // it wakes up, and ends itself
    MysqlFrontendConnector connector;
    FrontendAccess access;
    access.address = {"127.0.0.1", simulator.frontend(0).port()};
    CHECK_FALSE(connector.connect(access, in(kAmple)).ok());
  }
}

TEST_CASE("a stopped FE refuses, cuts, keeps its port and comes back") {
  FrontendSimulator simulator;
  const auto session = connect(simulator);
  const auto port = simulator.frontend(0).port();
  MysqlFrontendConnector connector;
  FrontendAccess access;
  access.address = {"127.0.0.1", port};
  for (int round = 0; round < 3; ++round) {
    simulator.stop(0);
    const auto refused = connector.connect(access, in(kAmple));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::Unavailable);
    simulator.start(0);
    CHECK(simulator.frontend(0).port() == port);
    CHECK(connector.connect(access, in(kAmple)).ok());
  }
  CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
}

TEST_CASE("the log has every statement in order, by FE, with its acknowledgement") {
  FrontendSimulator simulator({.frontends = 2});
  simulator.drop("SELECT 2");
  CHECK(run(simulator, "SELECT 1; SET @x = 'a;b' -- c;d\n", 1).ok());
  CHECK_FALSE(run(simulator, "SELECT 2", 0).ok());
  const auto log = simulator.statements();
  REQUIRE(log.size() == 3);
  CHECK(log[0].sql == "SELECT 1");
  CHECK(log[0].frontend == "fe-1");
  CHECK(log[0].acknowledged);
  CHECK(log[1].sql == "SET @x = 'a;b' -- c;d");
  CHECK(log[2].frontend == "fe-0");
  CHECK_FALSE(log[2].acknowledged);
  CHECK(log[2].order == 2);
  CHECK_FALSE(simulator.wait_for_statement("SELECT 3", in(20ms)));
}

TEST_CASE("faults fit by text, FE and count; the newest wins; clearing releases what waits") {
  FrontendSimulator simulator({.frontends = 2});
  simulator.fail("SELECT", {1000, "HY000", "once"}, 1, 1);
  CHECK(run(simulator, "SELECT 1", 0).ok());
  CHECK(run(simulator, "SELECT 1", 1).error().peer_code == 1000);
  CHECK(run(simulator, "SELECT 1", 1).ok());
  simulator.fail("SELECT", {1000, "HY000", "older"});
  simulator.fail("SELECT 1", {1001, "HY000", "newer"});
  CHECK(run(simulator, "SELECT 1").error().peer_code == 1001);
  simulator.clear_faults();
  CHECK(run(simulator, "SELECT 1").ok());

  for (const bool hang : {true, false}) {
    if (hang) {
      simulator.hang("disable_balance");
    } else {
      simulator.delay("disable_balance", 1h);
    }
    simulator.forget_statements();
    auto waiting = std::async(std::launch::async, [&] { return run(simulator, set("disable_balance", "true")); });
    CHECK(simulator.wait_for_statement("disable_balance", in(kAmple)));
    CHECK_FALSE(simulator.statements().back().acknowledged);
    simulator.clear_faults();
    CHECK(waiting.get().ok());
    CHECK(simulator.statements().back().acknowledged);
  }
}

TEST_CASE("a delay delays") {
  FrontendSimulator simulator;
  simulator.delay("disable_balance", 150ms);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(run(simulator, set("disable_balance", "true")).ok());
  CHECK(std::chrono::steady_clock::now() - begin >= 150ms);
}

TEST_CASE("the destructor ends statements that hang") {
  std::future<Result<QueryResult>> waiting;
  {
    FrontendSimulator simulator({.frontends = 2});
    simulator.hang("hang", 0);
    std::shared_ptr<FrontendSession> session = connect(simulator);
    waiting = std::async(std::launch::async, [session] { return session->execute("SELECT 'hang'", in(kAmple)); });
    CHECK(simulator.wait_for_statement("hang", in(kAmple)));
  }
  CHECK(waiting.get().error().code == ErrorCode::Unavailable);
}

TEST_CASE("KILL cuts the connection with that id") {
  FrontendSimulator simulator;
  const auto victim = connect(simulator);
  const auto id = victim->execute("SELECT CONNECTION_ID()", in(kAmple))->text(0, "CONNECTION_ID()");  // as typed
  CHECK(std::stoul(id) > 0x1000000U);                                                                 // the FE's own
  CHECK(run(simulator, "KILL " + id).ok());
  CHECK(victim->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
}

TEST_CASE(
    "a broadcast that hangs holds the FE's settings until the session's bound, and then names the one it missed") {
  FrontendSimulator simulator({.frontends = 3, .rpc_grace = 0ms});
  simulator.hang_frontend(1);
  const auto session = connect(simulator);
  REQUIRE(session->execute("SET query_timeout = 1", in(kAmple)).ok());
  auto stalled =
      std::async(std::launch::async, [&] { return session->execute(set("disable_balance", "true"), in(kAmple)); });
  while (simulator.frontend(0).config("disable_balance") != "true") std::this_thread::yield();
  // Behind the lock: asked while the broadcast hangs, answered when it is over.
  CHECK(run(simulator, "ADMIN SHOW FRONTEND CONFIG LIKE 'disable_balance'").ok());
  const auto ended = stalled.get();
  REQUIRE_FALSE(ended.ok());
  CHECK(ended.error().peer_code == 5101);
  CHECK(ended.error().message.find("java.net.SocketTimeoutException: Read timed out") != std::string::npos);
  CHECK(simulator.frontend(2).config("disable_balance") == "true");
}

TEST_CASE("an FE that died is called alive until its deaths are noticed; without a leader others say so in Java") {
  FrontendSimulator simulator({.frontends = 3});
  const auto alive = [&] { return of(*run(simulator, "SHOW FRONTENDS", 1), "Id", "3", "Alive"); };
  simulator.stop(2);
  CHECK(alive() == "true");
  simulator.pass_time(19s);
  CHECK(alive() == "true");
  simulator.pass_time(1s);
  CHECK(alive() == "false");
  simulator.start(2);
  simulator.stop(2);
  CHECK(alive() == "true");
  simulator.notice_deaths();
  CHECK(alive() == "false");
  simulator.stop(0);
  for (const char* sql : {"SHOW FRONTENDS", "SHOW BACKENDS", "SHOW COMPUTE NODES", "ALTER SYSTEM CREATE IMAGE",
                          "SHOW PROC '/cluster_balance'", "SHOW PROC '/routine_loads'"}) {
    const auto refused = run(simulator, sql, 1);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message.find("java.net.ConnectException: Connection refused") != std::string::npos);
  }
  for (const char* sql : {"SELECT 1", "SHOW PROC '/statistic'", "ADMIN SHOW FRONTEND CONFIG LIKE 'disable_balance'",
                          "SET forward_to_leader = true"})
    CHECK(run(simulator, sql, 1).ok());
  CHECK_FALSE(run(simulator, "SET forward_to_leader = true; SHOW PROC '/statistic'", 1).ok());
}

TEST_CASE("an RPC port that is cut off costs 10 s; a follower waits no longer for its leader than the leader waits") {
  FrontendSimulator simulator({.frontends = 3});
  simulator.cut_broadcast_to(1);
  auto cut = std::async(std::launch::async, [&] { return run(simulator, set("disable_balance", "true")); });
  while (simulator.frontend(0).config("disable_balance") != "true") std::this_thread::yield();
  simulator.pass_time(10s);
  CHECK(cut.get().error().message.find("java.net.SocketTimeoutException: Connect timed out") != std::string::npos);
  CHECK(simulator.frontend(2).config("disable_balance") == "true");

  simulator.cut_broadcast_to(1, false);
  simulator.hang_frontend(1);
  auto hangs = std::async(std::launch::async, [&] { return run(simulator, set("disable_balance", "false"), 2); });
  while (simulator.frontend(0).config("disable_balance") != "false") std::this_thread::yield();
  simulator.pass_time(310s);
  const auto refused = hangs.get();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.ends_with("(HY000): java.net.SocketTimeoutException: Read timed out"));
}

TEST_CASE("WITH PERSISTENT writes every fe.conf, on the FE that leads before it is judged; in Docker it is refused") {
  FrontendSimulator docker({.in_docker = true});
  CHECK(run(docker, set("no_such_key", "true") + " WITH PERSISTENT")
            .error()
            .message.ends_with("set persisted config failed, because current running mode is not persisted"));

  FrontendSimulator simulator({.frontends = 2});
  CHECK(run(simulator, set("disable_balance", "true") + " WITH PERSISTENT").ok());
  CHECK_FALSE(run(simulator, set("max_balancing_tablets", "seven") + " WITH PERSISTENT").ok());
  for (const std::size_t i : {0U, 1U}) {
    simulator.restart(i);
    CHECK(simulator.frontend(i).config("disable_balance") == "true");
  }
  CHECK(simulator.frontend(0).config("max_balancing_tablets") == "seven");
  CHECK(simulator.frontend(1).config("max_balancing_tablets") == "500");
}

TEST_CASE("columns of nodes by the run mode") {
  const std::vector<std::string> common = {"ComputeNodeId",
                                           "IP",
                                           "HeartbeatPort",
                                           "BePort",
                                           "HttpPort",
                                           "BrpcPort",
                                           "LastStartTime",
                                           "LastHeartbeat",
                                           "Alive",
                                           "SystemDecommissioned",
                                           "ClusterDecommissioned",
                                           "ErrMsg",
                                           "Version",
                                           "CpuCores",
                                           "MemLimit",
                                           "NumRunningQueries",
                                           "MemUsedPct",
                                           "CpuUsedPct",
                                           "DataCacheMetrics",
                                           "HasStoragePath",
                                           "StatusCode"};
  auto cloud = common;
  for (const char* column : {"StarletPort", "WorkerId", "WarehouseName", "TabletNum"}) cloud.emplace_back(column);
  FrontendSimulator own({.compute_nodes = {{"cn-0"}}});
  CHECK(run(own, "SHOW COMPUTE NODES")->columns == common);
  CHECK(run(own, "SHOW BACKENDS")->columns.back() == "StatusCode");
  FrontendSimulator shared({.run_mode = "shared_data", .compute_nodes = {{"cn-0"}}});
  CHECK(run(shared, "SHOW COMPUTE NODES")->columns == cloud);
  CHECK(run(shared, "SHOW COMPUTE NODES")->text(0, "WarehouseName") == "default_warehouse");
  CHECK(run(shared, "SHOW BACKENDS")->columns.back() == "WarehouseName");
  CHECK(run(shared, "ADMIN SHOW FRONTEND CONFIG LIKE 'run_mode'")->text(0, "Value") == "shared_data");

  own.set_backends({{.host = "be-0", .alive = false}});
  const auto dead = run(own, "SHOW BACKENDS");
  CHECK(dead->text(0, "ErrMsg") == "Internal error");
  CHECK(dead->text(0, "Status").find("lastSuccessReportTabletsTime") != std::string::npos);
}

TEST_CASE(
    "the scheduler works off what is pending under any limit, then lets in one at a time under 0 and none under -1") {
  struct Row {
    const char* limit;
    bool one_more;  ///< Is always in.
  };
  for (const Row& row : {Row{"0", true}, Row{"-1", false}}) {
    INFO(row.limit);
    FrontendSimulator simulator;
    CHECK(run(simulator, set("max_scheduling_tablets", row.limit)).ok());
    simulator.set_scheduler({.unhealthy = 31, .pending = 97, .heals = false});
    bool pauses = false;
    bool reads_low = false;
    int pending = 0;
    int running = 0;
    const auto look = [&] {
      const auto rows = run(simulator, "SHOW PROC '/cluster_balance'");
      CHECK(rows->text(0, "Item") == "balance_stat");
      CHECK(rows->text(0, "Number") == "1");
      running = std::stoi(of(*rows, "Item", "running_tablets", "Number"));
      pending = std::stoi(of(*rows, "Item", "pending_tablets", "Number"));
    };
    for (int i = 0; i < 120; ++i) {
      look();
      pauses = pauses || (running == 0 && pending > 1);
      reads_low = reads_low || (running == 0 && pending == 0 && i < 20);
    }
    CHECK(pauses);
    CHECK(reads_low);
    for (int i = 0; i < 8; ++i) {
      look();
      CHECK(running + pending <= (row.one_more ? 1 : 0));
    }
  }
}

TEST_CASE("a syntax error anywhere in a chain refuses all of it; a semicolon alone is a statement that does nothing") {
  FrontendSimulator simulator;
  CHECK_FALSE(run(simulator, set("disable_balance", "true") + "; FLY ME").ok());
  CHECK(simulator.frontend(0).config("disable_balance") == "false");
  CHECK_FALSE(run(simulator, set("disable_balance", "true") + "; SET foo = 1").ok());  // no syntax error
  CHECK(simulator.frontend(0).config("disable_balance") == "true");
  CHECK(run(simulator, ";").ok());
  CHECK(run(simulator, "SELECT @@version")->text(0, "@@version") == "8.0.33");
}

TEST_CASE("privileges: which is named, which roles count, and from when on") {
  const SimulatedGrants nothing{.operate = false, .roles = {}, .default_roles = {}};
  const SimulatedGrants operate{.operate = true, .roles = {}, .default_roles = {}};
  const SimulatedGrants inactive{.operate = false, .roles = {"cluster_admin"}, .default_roles = {}};
  const SimulatedGrants admin{.operate = false, .roles = {"cluster_admin"}, .default_roles = {"cluster_admin"}};
  struct Row {
    const char* name;
    const SimulatedGrants* grants;
    std::string sql;
    const char* said;  ///< nullptr: it may.
  };
  const std::string none =
      " privilege(s) on SYSTEM for this operation. Please ask the admin to grant permission(s) or try "
      "activating existing roles using <set [default] role>. Current role(s): NONE. ";
  for (const Row& row : {
           Row{"nothing", &nothing, set("disable_balance", "true"), "Inactivated role(s): NONE."},
           Row{"nothing", &nothing, "ADMIN SHOW FRONTEND CONFIG", "the OPERATE privilege(s)"},
           Row{"nothing", &nothing, "SHOW PROC '/jobs'", "the OPERATE privilege(s)"},
           Row{"nothing", &nothing, "SET GLOBAL query_timeout = 5", "the OPERATE privilege(s)"},
           Row{"nothing", &nothing, "ADMIN REPAIR TABLE t", "the OPERATE privilege(s)"},
           Row{"nothing", &nothing, "SHOW FRONTENDS", "the OPERATE OR NODE privilege(s)"},
           Row{"nothing", &nothing, "SHOW BACKENDS", "the OPERATE OR NODE privilege(s)"},
           Row{"nothing", &nothing, "SET query_timeout = 5", nullptr},
           Row{"nothing", &nothing, "SELECT 1", nullptr},
           Row{"OPERATE", &operate, "SHOW COMPUTE NODES", nullptr},
           Row{"OPERATE", &operate, set("disable_balance", "true"), nullptr},
           Row{"OPERATE", &operate, "ALTER SYSTEM CREATE IMAGE", "the NODE privilege(s)"},
           Row{"a role that is no default", &inactive, "ALTER SYSTEM CREATE IMAGE",
               "Inactivated role(s): [cluster_admin]."},
           Row{"cluster_admin", &admin, "ALTER SYSTEM CREATE IMAGE", nullptr},
           Row{"cluster_admin", &admin, "SHOW FRONTENDS", nullptr},
           Row{"cluster_admin", &admin, set("disable_balance", "true"),
               "Current role(s): [cluster_admin]. Inactivated role(s): NONE."},
       }) {
    INFO(row.name << ": " << row.sql);
    FrontendSimulator simulator({.grants = *row.grants});
    const auto answer = run(simulator, row.sql);
    CHECK(answer.ok() == (row.said == nullptr));
    if (answer.ok() || row.said == nullptr) continue;
    CHECK(answer.error().peer_code == 5203);
    CHECK_MESSAGE(answer.error().message.find(row.said) != std::string::npos, answer.error().message);
    if (row.grants == &nothing) CHECK(answer.error().message.find(none) != std::string::npos);
  }
  FrontendSimulator simulator({.grants = inactive});
  const auto before = connect(simulator);
  simulator.set_grants(admin);
  CHECK_FALSE(before->execute("ALTER SYSTEM CREATE IMAGE", in(kAmple)).ok());
  CHECK(run(simulator, "ALTER SYSTEM CREATE IMAGE").ok());
}

}  // namespace
}  // namespace gate
