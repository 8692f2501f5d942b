// SHOW PROC of the simulated FEs: what each path tells, and what StarRocks says to others.

#include <algorithm>
#include <cstdlib>

#include "test/fakes/frontend_statements.hpp"

namespace gate::fake_frontend {
namespace {

constexpr std::size_t kFirstDatabaseId = 10005;

/// StarRocks' own, which hold no data of anybody.
struct OwnDatabase {
  const char* id;
  const char* name;
};
constexpr OwnDatabase kInformationSchema{"1", "information_schema"};
constexpr OwnDatabase kSys{"100", "sys"};

std::string id_in(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// The database that `path` ends with, by its id; nullptr for none.
const SimulatedDatabase* database_in(const std::vector<SimulatedDatabase>& databases, const std::string& path) {
  const auto id = static_cast<std::size_t>(std::strtoul(id_in(path).c_str(), nullptr, 10));
  const bool known = id >= kFirstDatabaseId && id - kFirstDatabaseId < databases.size();
  return known ? &databases[id - kFirstDatabaseId] : nullptr;
}

bool is_own(const std::string& id) { return id == kInformationSchema.id || id == kSys.id; }

SqlError unknown_path(const std::string& path, const std::string& why) {
  return {1064, "HY000", "Getting analyzing error. Detail message: Unknown proc node path: " + path + ". msg: " + why};
}

}  // namespace

Answer Cluster::show_proc(Request& request) {
  const std::string path = request.taken[0];
  // Some go to the leader by themselves, the others when the session asks for it.
  const bool leads =
      path == "/cluster_balance" || path.starts_with("/transactions") || path.starts_with("/routine_loads");
  if (leads || request.connection.forward_to_leader()) {
    if (auto none = forward(request)) return *none;
  }
  if (path == "/cluster_balance") return cluster_balance();
  if (path.starts_with("/transactions")) return show_transactions(path);
  if (path.starts_with("/routine_loads")) return show_routine_loads(path);
  if (path.starts_with("/jobs")) return show_jobs(path);
  if (path == "/statistic") return show_statistic(leader == request.at);
  return unknown_path(path, "Cannot find path: " + path.substr(0, path.find('/', 1)) + ".");
}

SimulatedResult Cluster::show_statistic(bool on_leader) const {
  SimulatedResult out{{"DbId", "DbName", "TableNum", "PartitionNum", "IndexNum", "TabletNum", "ReplicaNum",
                       "UnhealthyTabletNum", "InconsistentTabletNum", "CloningTabletNum", "ErrorStateTabletNum"},
                      {}};
  const auto row = [&](const std::string& id, const std::string& name, const SimulatedStatistic& counted) {
    const auto number = [](int value) { return std::optional(std::to_string(value)); };
    out.rows.push_back({id, name, "3", "3", "3", number(counted.tablets), number(3 * counted.tablets),
                        number(counted.unhealthy), number(counted.inconsistent),
                        number(on_leader ? counted.cloning : 0), "0"});
  };
  row(kInformationSchema.id, kInformationSchema.name, {.tablets = 0});
  row(kSys.id, kSys.name, {.tablets = 0});
  // All that is counted lies in the last one.
  for (std::size_t i = 0; i < databases.size(); ++i) {
    row(std::to_string(kFirstDatabaseId + i), databases[i].name,
        i + 1 == databases.size() ? statistic : SimulatedStatistic{.tablets = 0});
  }
  row("Total", std::to_string(out.rows.size()), statistic);
  return out;
}

Answer Cluster::show_routine_loads(const std::string& path) const {
  constexpr std::string_view kList = "/routine_loads";
  // Jobs that ended stay in the list, which does not tell their state.
  const auto state = [&](int i) { return i < routine_loads ? "RUNNING" : "STOPPED"; };
  if (path == kList) {
    SimulatedResult out{{"Name", "Id", "DbName", "Statistic", "TaskStatistic"}, {}};
    for (int i = 0; i < routine_loads + stopped_routine_loads; ++i)
      out.rows.push_back({"load_" + std::to_string(i), std::to_string(30001 + i), "shop", "{}", "{}"});
    return out;
  }
  SimulatedResult out{{"Id", "Name", "DbName", "TableName", "State"}, {}};
  for (int i = 0; i < routine_loads + stopped_routine_loads; ++i) {
    const auto name = "load_" + std::to_string(i);
    if (path.substr(kList.size() + 1) == name)
      out.rows.push_back({std::to_string(30001 + i), name, "shop", "orders", state(i)});
  }
  return out;
}

Answer Cluster::show_jobs(const std::string& path) const {
  if (path == "/jobs") {
    SimulatedResult out{{"DbId", "DbName"}, {}};
    for (const auto& own : {kInformationSchema, kSys}) out.rows.push_back({own.id, own.name});
    for (std::size_t i = 0; i < databases.size(); ++i)
      out.rows.push_back({std::to_string(kFirstDatabaseId + i), databases[i].name});
    return out;
  }
  const SimulatedDatabase* database = database_in(databases, path);
  if (database == nullptr && !is_own(id_in(path)))
    return unknown_path(path, "Database[" + id_in(path) + "] does not exist..");
  const SimulatedDatabase idle;
  if (database == nullptr) database = &idle;
  SimulatedResult out{{"JobType", "Pending", "Running", "Finished", "Cancelled", "Total"}, {}};
  const auto row = [&](const char* type, int pending, int running) {
    out.rows.push_back(
        {type, std::to_string(pending), std::to_string(running), "12", "1", std::to_string(pending + running + 13)});
  };
  row("load", database->queued_loads, database->running_loads);
  row("rollup", database->pending_rollups, 0);
  row("schema_change", 0, database->schema_changes);
  row("export", 0, 0);
  return out;
}

Answer Cluster::show_transactions(const std::string& path) const {
  const auto has_manager = [](const SimulatedDatabase& database) {
    return database.running_transactions + database.finished_transactions > 0;
  };
  if (path == "/transactions") {
    SimulatedResult out{{"DbId", "DbName"}, {}};
    for (std::size_t i = 0; i < databases.size(); ++i) {
      if (has_manager(databases[i])) out.rows.push_back({std::to_string(kFirstDatabaseId + i), databases[i].name});
    }
    return out;
  }
  SimulatedResult out{{"State", "Number"}, {}};
  if (const auto* database = database_in(databases, path); database != nullptr && has_manager(*database)) {
    out.rows.push_back({"running", std::to_string(database->running_transactions)});
    out.rows.push_back({"finished", std::to_string(database->finished_transactions)});
  }
  return out;
}

void Cluster::schedule() {
  SimulatedScheduler& queue = *scheduler;
  SimulatedBalance& now = balance.front();
  const int limit = leader ? std::atoi(frontends[*leader].config.at("tablet_sched_max_scheduling_tablets").c_str()) : 0;
  // What ran has ended; in this very moment nothing runs, whatever is pending.
  if (now.running_tablets > 0) {
    if (!queue.heals) queue.unhealthy += now.running_tablets;
    now.running_tablets = 0;
    while (queue.unhealthy > 0 && now.pending_tablets <= limit) {
      --queue.unhealthy;
      ++now.pending_tablets;
    }
    return;
  }
  while (queue.unhealthy > 0 && now.pending_tablets <= limit && now.running_tablets <= limit) {
    --queue.unhealthy;
    ++now.pending_tablets;
  }
  now.running_tablets = std::min(queue.slots, now.pending_tablets);
  now.pending_tablets -= now.running_tablets;
}

SimulatedResult Cluster::cluster_balance() {
  constexpr std::size_t kLooksEach = 2;  // a round takes a second, and looks may come faster
  if (scheduler && looks_++ % kLooksEach == 0) schedule();
  SimulatedBalance now = balance.front();
  if (balance.size() > 1) balance.erase(balance.begin());
  // While priorities are adjusted, no more than a moment, what is pending reads too low.
  constexpr std::size_t kAdjusted = 5;
  if (scheduler && now.running_tablets == 0 && ++pauses_ % kAdjusted == 0) now.pending_tablets = 0;
  SimulatedResult out{{"Item", "Number"}, {}};
  const auto row = [&](const char* item, int number) { out.rows.push_back({item, std::to_string(number)}); };
  if (version_.at_least(3, 5)) row("balance_stat", 1);
  row("cluster_load_stat", 1);
  row("working_slots", static_cast<int>(backends.size()));
  row("sched_stat", 1);
  row("priority_repair", 0);
  row("pending_tablets", now.pending_tablets);
  row("running_tablets", now.running_tablets);
  row("history_tablets", 1000);
  row("all_tablets", now.pending_tablets + now.running_tablets);
  return out;
}

}  // namespace gate::fake_frontend
