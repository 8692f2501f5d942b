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
  for (const Row& row : {
           Row{"3.5.7", set("no_such_key", "1"), 1064,
               "(HY000): Config 'no_such_key' does not exist or is not mutable"},
           Row{"3.5.7", set("query_port", "1"), 1064, "Config 'query_port' does not exist or is not mutable"},
           Row{"2.5.22", set("no_such_key", "1"), 1064, "Unexpected exception: Config"},
           Row{"3.5.7", set("max_balancing_tablets", "abc"), 1064, "err: For input string: \"abc\""},
           Row{"3.5.7", set("max_balancing_tablets", "99999999999"), 1064, "err: For input string: \"99999999999\""},
           Row{"3.5.7", set("Disable_Balance", "true"), 1064, "does not exist or is not mutable"},
           Row{"3.5.7", set("lake_background_tables", "[1, 2]"), 1064, "err: For input string"},
           Row{"3.5.7", "ADMIN SET ALL FRONTENDS CONFIG (\"a\" = \"b\")", 1064, "Getting syntax error at line 1"},
           Row{"3.5.7", set("disable_balance", "true") + " WITH PERSISTENT", 1064, "running mode is not persisted"},
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
    CHECK(rows->text(rows->rows.size() - 1, "DbName") == "Total");
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

TEST_CASE(
    "jobs are known to the leader alone, transactions are asked of it, and routine loads are listed from 3.1 on") {
  FrontendSimulator simulator({.frontends = 2});
  simulator.set_databases({{.name = "shop", .schema_changes = 2, .queued_loads = 1, .running_transactions = 3}});
  CHECK(run(simulator, "SHOW PROC '/jobs'")->text(0, "DbId") == "10005");
  const auto running = [&](const std::string& path, const char* kind, const char* column, std::size_t frontend) {
    const auto rows = run(simulator, "SHOW PROC '" + path + "'", frontend);
    REQUIRE(rows.ok());
    for (std::size_t row = 0; row < rows->rows.size(); ++row)
      if (rows->rows[row][0] == kind) return rows->text(row, column);
    return std::string("?");
  };
  CHECK(running("/jobs/10005", "schema_change", "Running", 0) == "2");
  CHECK(running("/jobs/10005", "schema_change", "Running", 1) == "0");
  CHECK(running("/transactions/10005", "running", "Number", 1) == "3");
  CHECK(run(simulator, "SHOW PROC '/jobs/99'").error().message.find("does not exist") != std::string::npos);

  const std::string routine =
      "SELECT COUNT(*) AS jobs FROM information_schema.routine_load_jobs WHERE STATE IN ('RUNNING')";
  simulator.set_routine_loads(2);
  CHECK(run(simulator, routine)->text(0, "jobs") == "2");
  FrontendSimulator old({.version = "2.5.22"});
  CHECK(run(old, routine).error().message.find("Unknown table") != std::string::npos);
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

TEST_CASE("SHOW FRONTENDS tells leader, liveness and real ports") {
  FrontendSimulator simulator({.frontends = 3});
  simulator.set_leader(1);
  simulator.stop(2);
  const auto rows = run(simulator, "SHOW FRONTENDS");
  REQUIRE(rows->rows.size() == 3);
  CHECK(rows->text(0, "Role") == "FOLLOWER");
  CHECK(rows->text(1, "Role") == "LEADER");
  CHECK(rows->text(2, "Alive") == "false");
  CHECK(rows->text(1, "QueryPort") == std::to_string(simulator.frontend(1).port()));
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
  CHECK(run(simulator, "SELECT 1; SET x = 'a;b' -- c;d\n", 1).ok());
  CHECK_FALSE(run(simulator, "SELECT 2", 0).ok());
  const auto log = simulator.statements();
  REQUIRE(log.size() == 3);
  CHECK(log[0].sql == "SELECT 1");
  CHECK(log[0].frontend == "fe-1");
  CHECK(log[0].acknowledged);
  CHECK(log[1].sql == "SET x = 'a;b' -- c;d");
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
  const auto id = victim->execute("SELECT CONNECTION_ID()", in(kAmple))->text(0, "connection_id()");
  CHECK(run(simulator, "KILL " + id).ok());
  CHECK(victim->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
}

}  // namespace
}  // namespace gate

namespace gate {
namespace {

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
  FrontendSimulator simulator({.frontends = 3, .liveness_lag = std::chrono::hours(1)});
  const auto alive = [&](std::size_t row) { return run(simulator, "SHOW FRONTENDS", 1)->text(row, "Alive"); };
  simulator.stop(2);
  CHECK(alive(2) == "true");
  simulator.notice_deaths();
  CHECK(alive(2) == "false");
  const auto session = connect(simulator, 1);
  simulator.stop(0);
  const auto refused = session->execute("SHOW FRONTENDS", in(kAmple));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("java.net.ConnectException: Connection refused") != std::string::npos);
}

}  // namespace
}  // namespace gate
