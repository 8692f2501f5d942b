// The predefined checks against FEs on sockets: what holds, and what is said when it does not.

#include "server/preparation/frontends/frontend_probes.hpp"

#include <doctest/doctest.h>

#include "test/server/preparation/run.hpp"

namespace gate {
namespace {

using namespace test;

/// One look, from the FE with this index.
Result<Observation> look(FrontendSimulator& simulator, Probe probe, std::size_t from = 0) {
  MysqlFrontendConnector connector;
  FrontendAccess access;
  access.address = {"127.0.0.1", simulator.frontend(from).port()};
  const SystemClock clock;
  FrontendFleet fleet(connector, access, clock);
  return observe(fleet, probe, ample());
}

constexpr Probe kAllProbes[] = {Probe::FrontendsAlive,  Probe::BackendsAlive,  Probe::ComputeNodesAlive,
                                Probe::TabletsHealthy,  Probe::NoSchemaChange, Probe::NoRunningLoads,
                                Probe::SchedulerDrained};

TEST_CASE("every check holds on a quiet cluster of every version, asked through any FE") {
  for (const char* version : {"2.5.22", "3.3.9", "3.5.7", "4.0.2"}) {
    FrontendSimulator simulator({.frontends = 2, .version = version, .compute_nodes = {{"cn-0"}}});
    for (const auto probe : kAllProbes) {
      for (const std::size_t from : {0U, 1U}) {
        INFO(version << " " << to_string(probe) << " from " << from);
        const auto seen = look(simulator, probe, from);
        REQUIRE_MESSAGE(seen.ok(), seen.error().message);
        CHECK_MESSAGE(seen->holds, seen->text);
        CHECK_FALSE(seen->text.empty());
      }
    }
  }
}

TEST_CASE("a check that does not hold says what was observed against what is wanted") {
  struct Row {
    const char* name;
    Probe probe;
    std::function<void(FrontendSimulator&)> trouble;
    std::vector<std::string> said;
  };
  const std::vector<Row> rows = {
      {"a frontend is down",
       Probe::FrontendsAlive,
       [](auto& fes) {
         fes.stop(2);
         fes.notice_deaths();
       },
       {"2 of 3 frontends alive, wanted all: 127.0.0.1_9010_1700000000002 (127.0.0.1) down since 2026-01-02 03:04:05: "
        "Connection refused"}},
      {"a frontend was added and has never started",
       Probe::FrontendsAlive,
       [](auto& fes) { fes.add_frontend(); },
       {"3 of 4 frontends alive, wanted all: 127.0.1.1_9010_1700000000003 (127.0.1.1) down: Connection refused"}},
      {"a frontend does not follow",
       Probe::FrontendsAlive,
       [](auto& fes) {
         for (std::size_t fe : {0U, 1U}) fes.set_replayed_journal_id(fe, 50'000);
         fes.set_replayed_journal_id(2, 39'999);
       },
       {"127.0.0.1_9010_1700000000002 is 10001 journal entries behind", "wanted at most 10000"}},
      {"a backend is down",
       Probe::BackendsAlive,
       [](auto& fes) {
         fes.set_backends({{"be-0"}, {"be-1"}, {"be-2"}, {.host = "be-3", .alive = false}});
       },
       {"3 of 4 backends alive, wanted all: 10004 (be-3) down since 2026-01-02 03:04:05: Internal error"}},
      {"many are down: some are named, all are counted",
       Probe::BackendsAlive,
       [](auto& fes) { fes.set_backends(std::vector<SimulatedNode>(9, {.host = "be", .alive = false})); },
       {"0 of 9 backends alive", "10001", "10003", "and 6 more"}},
      {"a compute node is down",
       Probe::ComputeNodesAlive,
       [](auto& fes) { fes.set_compute_nodes({{.host = "cn-0", .alive = false}}); },
       {"0 of 1 compute nodes alive", "20001 (cn-0)"}},
      {"unhealthy tablets",
       Probe::TabletsHealthy,
       [](auto& fes) { fes.set_statistic({.tablets = 9, .unhealthy = 2}); },
       {"2 unhealthy and 0 inconsistent of 9 tablets, wanted none"}},
      {"inconsistent tablets",
       Probe::TabletsHealthy,
       [](auto& fes) { fes.set_statistic({.inconsistent = 1}); },
       {"0 unhealthy and 1 inconsistent"}},
      {"a schema change runs",
       Probe::NoSchemaChange,
       [](auto& fes) {
         fes.set_databases({{.name = "quiet"}, {.name = "shop", .schema_changes = 2}});
       },
       {"wanted none: 2 in shop"}},
      {"a rollup waits",
       Probe::NoSchemaChange,
       [](auto& fes) { fes.set_databases({{.name = "shop", .pending_rollups = 1}}); },
       {"1 in shop"}},
      {"a load is queued",
       Probe::NoRunningLoads,
       [](auto& fes) { fes.set_databases({{.name = "shop", .queued_loads = 4}}); },
       {"load jobs: 4 in shop"}},
      {"a transaction is open",
       Probe::NoRunningLoads,
       [](auto& fes) { fes.set_databases({{.name = "shop", .running_transactions = 1}}); },
       {"transactions: 1 in shop"}},
      {"a routine load runs",
       Probe::NoRunningLoads,
       [](auto& fes) { fes.set_routine_loads(2); },
       {"2 routine load jobs"}},
      {"a queue between two rounds of the scheduler",
       Probe::SchedulerDrained,
       [](auto& fes) {
         fes.set_cluster_balance({{2, 0}});
       },
       {"tablets being moved or repaired: 0, 2 pending"}},
      {"tablets are on their way",
       Probe::SchedulerDrained,
       [](auto& fes) {
         fes.set_cluster_balance({{7, 3}});
       },
       {"tablets being moved or repaired: 3, 7 pending"}},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    FrontendSimulator simulator({.frontends = 3});
    row.trouble(simulator);
    // Asked through a follower: what the leader alone knows counts.
    const auto seen = look(simulator, row.probe, 1);
    REQUIRE_MESSAGE(seen.ok(), seen.error().message);
    CHECK_FALSE(seen->holds);
    for (const auto& part : row.said) CHECK_MESSAGE(has(seen->text, part), seen->text);
  }
}

TEST_CASE("what does not disturb an upgrade does not fail a check") {
  struct Row {
    const char* name;
    Probe probe;
    std::function<void(FrontendSimulator&)> harmless;
  };
  const std::vector<Row> rows = {
      {"a frontend a little behind", Probe::FrontendsAlive,
       [](auto& fes) {
         fes.set_replayed_journal_id(0, 20'000);
         fes.set_replayed_journal_id(1, 10'000);
       }},
      {"no compute nodes", Probe::ComputeNodesAlive, [](auto&) {}},
      {"StarRocks' own statistics are being written", Probe::NoRunningLoads,
       [](auto& fes) { fes.set_databases({{.name = "_statistics_", .queued_loads = 1, .running_transactions = 1}}); }},
      {"the one tablet that a limit of 0 lets in", Probe::SchedulerDrained,
       [](auto& fes) {
         fes.set_cluster_balance({{1, 0}});
       }},
      {"a routine load that was stopped long ago", Probe::NoRunningLoads,
       [](auto& fes) { fes.set_routine_loads(0, 2); }},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    FrontendSimulator simulator({.frontends = 2});
    row.harmless(simulator);
    const auto seen = look(simulator, row.probe);
    REQUIRE_MESSAGE(seen.ok(), seen.error().message);
    CHECK_MESSAGE(seen->holds, seen->text);
  }
}

TEST_CASE("columns that a version does not have are unknown: they fail a check that needs them, and no other") {
  struct Row {
    const char* name;
    Probe probe;
    const char* statement;
    SimulatedResult answer;
    bool holds;
    const char* said;
  };
  const std::vector<Row> rows = {
      {"no Alive",
       Probe::BackendsAlive,
       "SHOW BACKENDS",
       {{"BackendId", "IP"}, {{"10001", "be-0"}}},
       false,
       "SHOW BACKENDS of this version does not tell Alive"},
      {"no Role", Probe::FrontendsAlive, "SHOW FRONTENDS", {{"Name", "Alive"}, {{"fe-0", "true"}}}, false, "Role"},
      {"no journal position",
       Probe::FrontendsAlive,
       "SHOW FRONTENDS",
       {{"Name", "Role", "Alive"}, {{"fe-0", "LEADER", "true"}, {"fe-1", "FOLLOWER", "true"}}},
       true,
       "leader fe-0"},
      {"two leaders",
       Probe::FrontendsAlive,
       "SHOW FRONTENDS",
       {{"Name", "Role", "Alive"}, {{"fe-0", "LEADER", "true"}, {"fe-1", "LEADER", "true"}}},
       false,
       "2 frontends lead, wanted one"},
      {"no leader",
       Probe::FrontendsAlive,
       "SHOW FRONTENDS",
       {{"Name", "Role", "Alive"}, {{"fe-0", "FOLLOWER", "true"}}},
       false,
       "no frontend leads"},
      {"a leader of 2.3",
       Probe::FrontendsAlive,
       "SHOW FRONTENDS",
       {{"Name", "Role", "Alive"}, {{"fe-0", "MASTER", "true"}}},
       true,
       ""},
      {"no inconsistent count",
       Probe::TabletsHealthy,
       "/statistic",
       {{"DbId", "TabletNum", "UnhealthyTabletNum"}, {{"Total", "9", "0"}}},
       true,
       "an unknown number of inconsistent"},
      {"no unhealthy count", Probe::TabletsHealthy, "/statistic", {{"DbId"}, {{"Total"}}}, false, "UnhealthyTabletNum"},
      {"no total",
       Probe::TabletsHealthy,
       "/statistic",
       {{"DbId", "UnhealthyTabletNum"}, {{"1", "0"}}},
       false,
       "a total"},
      {"no running_tablets",
       Probe::SchedulerDrained,
       "/cluster_balance",
       {{"Item", "Number"}, {{"pending_tablets", "0"}}},
       false,
       "running_tablets"},
      {"a number that is none",
       Probe::SchedulerDrained,
       "/cluster_balance",
       {{"Item", "Number"}, {{"running_tablets", "few"}}},
       false,
       "running_tablets"},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    FrontendSimulator simulator;
    simulator.answer(row.statement, row.answer);
    const auto seen = look(simulator, row.probe);
    REQUIRE_MESSAGE(seen.ok(), seen.error().message);
    CHECK(seen->holds == row.holds);
    CHECK_MESSAGE(has(seen->text, row.said), seen->text);
  }
}

TEST_CASE("a check that is refused is an error, not a pass; a database that was dropped meanwhile is none") {
  FrontendSimulator simulator;
  simulator.set_databases({{.name = "shop", .schema_changes = 1}});
  simulator.fail("'/jobs/10005'", {1064, "HY000", "Database[10005] does not exist."});
  const auto gone = look(simulator, Probe::NoSchemaChange);
  REQUIRE(gone.ok());
  CHECK(gone->holds);
  simulator.fail("'/jobs/10005'", {5203, "42000", "Access denied"});
  const auto refused = look(simulator, Probe::NoSchemaChange);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().peer_code == 5203);
  simulator.fail("routine_loads", {5203, "42000", "Access denied"});
  CHECK_FALSE(look(simulator, Probe::NoRunningLoads).ok());
}

TEST_CASE("more databases than a check may ask about are an error that says so") {
  FrontendSimulator simulator;
  simulator.set_databases(std::vector<SimulatedDatabase>(1001, {.name = "db"}));
  const auto seen = look(simulator, Probe::NoSchemaChange);
  REQUIRE_FALSE(seen.ok());
  CHECK(has(seen.error().message, "1000 databases at most"));
  CHECK(count(simulator, "SHOW PROC '/jobs/") == 0);
}

}  // namespace
}  // namespace gate
