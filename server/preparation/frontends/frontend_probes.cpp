#include "server/preparation/frontends/frontend_probes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "policy/hooks/frontend_setting.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

/// An FE's journal position is as of its last heartbeat, 5 s old at most. A busy leader writes some hundred entries a
/// second; one that is further behind than this is not following.
constexpr std::int64_t kJournalLagMax = 10'000;
/// The databases that one look asks about, two statements each: a second or two of an FE's time.
constexpr std::size_t kDatabasesMax = 1000;
/// The names of routine loads that one look asks about, a statement each.
constexpr std::size_t kRoutineLoadsMax = 1000;
/// Of the culprits; the rest is counted.
constexpr std::size_t kNamedMax = 3;
/// StarRocks' own databases: its statistics jobs load into them at any time and are repeated after an upgrade.
constexpr std::array<std::string_view, 3> kOwnDatabases = {"_statistics_", "information_schema", "sys"};

/// What the scheduler lets in under a limit of 0.
constexpr std::int64_t kPendingMax = 1;

std::optional<std::int64_t> number_in(const QueryResult& rows, std::size_t row, std::string_view column) {
  const std::string text = rows.text(row, column);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string listed(const std::vector<std::string>& items) {
  std::string out;
  for (std::size_t i = 0; i < std::min(items.size(), kNamedMax); ++i) out += (i == 0 ? "" : "; ") + items[i];
  if (items.size() > kNamedMax) out += "; and " + std::to_string(items.size() - kNamedMax) + " more";
  return out;
}

Observation observed(bool holds, const std::string& text) { return {holds, clean_text(text)}; }

Observation not_told(std::string_view statement, std::string_view column) {
  return observed(false, std::string(statement) + " of this version does not tell " + std::string(column));
}

/// "10004 (be-1) down since 2026-01-02 03:04:05: connection refused".
std::string down(const QueryResult& rows, std::size_t row, std::string_view name_column) {
  std::string out = rows.text(row, name_column) + " (" + rows.text(row, "IP") + ") down";
  const std::string since = rows.text(row, "LastHeartbeat");
  if (!since.empty() && since != "NULL") out += " since " + since;
  const std::string error = rows.text(row, "ErrMsg");
  return error.empty() ? out : out + ": " + error;
}

struct Census {
  std::size_t alive = 0;
  std::vector<std::string> dead;
};

Census census(const QueryResult& rows, std::string_view name_column) {
  Census out;
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    if (same_setting("boolean", rows.text(row, "Alive"), "true")) {
      ++out.alive;
    } else {
      out.dead.push_back(down(rows, row, name_column));
    }
  }
  return out;
}

std::string headcount(const Census& counted, const char* what) {
  std::string out = std::to_string(counted.alive) + " of " + std::to_string(counted.alive + counted.dead.size()) + " " +
                    what + " alive";
  return counted.dead.empty() ? out : out + ", wanted all: " + listed(counted.dead);
}

Result<Observation> nodes_alive(FrontendFleet& frontends, std::string_view statement, std::string_view id_column,
                                const char* what, Deadline deadline) {
  const auto rows = frontends.execute_on_leader(statement, deadline);
  if (!rows) return rows.error();
  if (!rows->column("Alive")) return not_told(statement, "Alive");
  const auto counted = census(*rows, id_column);
  return observed(counted.dead.empty(), headcount(counted, what));
}

Result<Observation> frontends_alive(FrontendFleet& frontends, Deadline deadline) {
  constexpr std::string_view kStatement = "SHOW FRONTENDS";
  const auto rows = frontends.execute_on_leader(kStatement, deadline);
  if (!rows) return rows.error();
  if (!rows->column("Alive")) return not_told(kStatement, "Alive");
  if (!rows->column("Role")) return not_told(kStatement, "Role");
  const auto counted = census(*rows, "Name");
  if (!counted.dead.empty()) return observed(false, headcount(counted, "frontends"));

  std::vector<std::string> leaders;
  std::optional<std::int64_t> position;
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    if (!is_leader_role(rows->text(row, "Role"))) continue;
    leaders.push_back(rows->text(row, "Name"));
    position = number_in(*rows, row, "ReplayedJournalId");
  }
  if (leaders.size() != 1) {
    return observed(false, leaders.empty()
                               ? "no frontend leads, wanted one"
                               : std::to_string(leaders.size()) + " frontends lead, wanted one: " + listed(leaders));
  }
  std::vector<std::string> behind;
  for (std::size_t row = 0; position && row < rows->rows.size(); ++row) {
    const auto replayed = number_in(*rows, row, "ReplayedJournalId");
    if (!replayed || *position - *replayed <= kJournalLagMax) continue;
    behind.push_back(rows->text(row, "Name") + " is " + std::to_string(*position - *replayed) +
                     " journal entries behind");
  }
  if (!behind.empty()) {
    return observed(false, listed(behind) + ", wanted at most " + std::to_string(kJournalLagMax));
  }
  return observed(true, headcount(counted, "frontends") + ", leader " + leaders.front());
}

Result<Observation> tablets_healthy(FrontendFleet& frontends, Deadline deadline) {
  constexpr std::string_view kStatement = "SHOW PROC '/statistic'";
  const auto rows = frontends.execute_on_leader(kStatement, deadline);
  if (!rows) return rows.error();
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    if (rows->text(row, "DbId") != "Total") continue;
    const auto unhealthy = number_in(*rows, row, "UnhealthyTabletNum");
    const auto inconsistent = number_in(*rows, row, "InconsistentTabletNum");
    if (!unhealthy) return not_told(kStatement, "UnhealthyTabletNum");
    const bool holds = *unhealthy == 0 && inconsistent.value_or(0) == 0;
    return observed(holds, std::to_string(*unhealthy) + " unhealthy and " +
                               (inconsistent ? std::to_string(*inconsistent) : "an unknown number of") +
                               " inconsistent of " + rows->text(row, "TabletNum") + " tablets" +
                               (holds ? "" : ", wanted none"));
  }
  return not_told(kStatement, "a total");
}

Result<Observation> scheduler_drained(FrontendFleet& frontends, Deadline deadline) {
  constexpr std::string_view kStatement = "SHOW PROC '/cluster_balance'";
  const auto rows = frontends.execute_on_leader(kStatement, deadline);
  if (!rows) return rows.error();
  std::optional<std::int64_t> pending;
  std::optional<std::int64_t> running;
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    const std::string item = rows->text(row, "Item");
    if (item == "pending_tablets") pending = number_in(*rows, row, "Number");
    if (item == "running_tablets") running = number_in(*rows, row, "Number");
  }
  if (!running) return not_told(kStatement, "running_tablets");
  // Whatever the limit, the scheduler works off all that is pending; under a limit of 0 it then lets one tablet in at a
  // time, for as long as any is unhealthy. So nothing running with many pending is a pause between two of its rounds.
  const std::string waiting = pending ? ", " + std::to_string(*pending) + " pending" : "";
  if (*running == 0 && pending.value_or(0) <= kPendingMax) {
    return observed(true, "no tablet is being moved or repaired" + waiting);
  }
  return observed(false, "tablets being moved or repaired: " + std::to_string(*running) + waiting +
                             "; wanted none running and at most " + std::to_string(kPendingMax) + " pending");
}

struct Database {
  std::string id;
  std::string name;
};

/// Of SHOW PROC `path`; an error says so where there are more than a check may ask about.
Result<std::vector<Database>> databases_of(FrontendFleet& frontends, const std::string& path, Deadline deadline) {
  const auto rows = frontends.execute_on_leader("SHOW PROC '" + path + "'", deadline);
  if (!rows) return rows.error();
  std::vector<Database> out;
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    Database database{rows->text(row, "DbId"), rows->text(row, "DbName")};
    const bool own = std::find(kOwnDatabases.begin(), kOwnDatabases.end(), database.name) != kOwnDatabases.end();
    if (!own && number_in(*rows, row, "DbId")) out.push_back(std::move(database));
  }
  if (out.size() > kDatabasesMax) {
    return Error{ErrorCode::InvalidInput, "this check asks about " + std::to_string(kDatabasesMax) +
                                              " databases at most, and there are " + std::to_string(out.size())};
  }
  return out;
}

/// StarRocks sends most refusals as 1064: only their text tells them apart.
bool says(const Error& error, std::initializer_list<std::string_view> texts) {
  return error.code == ErrorCode::Rejected && std::any_of(texts.begin(), texts.end(), [&](std::string_view text) {
           return error.message.find(text) != std::string::npos;
         });
}

/// Adds "3 in shop" per database where the columns `counted` of the rows whose `column` is one of `wanted` are not 0.
Status count_busy(FrontendFleet& frontends, const std::string& path, std::string_view column,
                  const std::vector<std::string_view>& wanted, const std::vector<std::string_view>& counted,
                  Deadline deadline, std::vector<std::string>& busy) {
  const auto databases = databases_of(frontends, path, deadline);
  if (!databases) return databases.error();
  for (const auto& database : *databases) {
    const auto rows = frontends.execute_on_leader("SHOW PROC '" + path + "/" + database.id + "'", deadline);
    if (!rows) {
      if (says(rows.error(), {"does not exist", "Unknown database"})) continue;  // dropped since it was listed
      return rows.error();
    }
    std::int64_t sum = 0;
    for (std::size_t row = 0; row < rows->rows.size(); ++row) {
      if (std::find(wanted.begin(), wanted.end(), rows->text(row, column)) == wanted.end()) continue;
      for (const auto name : counted) sum += number_in(*rows, row, name).value_or(0);
    }
    if (sum > 0) busy.push_back(std::to_string(sum) + " in " + database.name);
  }
  return Ok{};
}

Result<Observation> no_schema_change(FrontendFleet& frontends, Deadline deadline) {
  std::vector<std::string> busy;
  if (auto asked = count_busy(frontends, "/jobs", "JobType", {"schema_change", "rollup"}, {"Pending", "Running"},
                              deadline, busy);
      !asked) {
    return asked.error();
  }
  if (busy.empty()) return observed(true, "no schema change is pending or running");
  return observed(false, "schema changes or rollups pending or running, wanted none: " + listed(busy));
}

/// A name that can be part of a path, and of a text in quotes; StarRocks allows no other for a routine load.
bool is_plain_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// Jobs that load for ever, as the FE itself knows them: a table of information_schema would need a living backend.
/// The list has those that ended long ago, too, and only a job's own page tells its state.
Result<std::int64_t> routine_loads(FrontendFleet& frontends, Deadline deadline) {
  const std::string path = "/routine_loads";
  const auto list = frontends.execute_on_leader("SHOW PROC '" + path + "'", deadline);
  if (!list) {
    // A version without the list: the jobs' transactions are seen all the same.
    if (says(list.error(), {"doesn't exist", "does not exist", "Cannot find path"})) return std::int64_t{0};
    return list.error();
  }
  std::set<std::string> names;
  for (std::size_t row = 0; row < list->rows.size(); ++row) names.insert(list->text(row, "Name"));
  if (names.size() > kRoutineLoadsMax) {
    return Error{ErrorCode::InvalidInput, "this check asks about " + std::to_string(kRoutineLoadsMax) +
                                              " routine loads at most, and there are " + std::to_string(names.size())};
  }
  std::int64_t running = 0;
  for (const auto& name : names) {
    if (!is_plain_name(name)) continue;
    const auto jobs = frontends.execute_on_leader("SHOW PROC '" + path + "/" + name + "'", deadline);
    if (!jobs) return jobs.error();
    for (std::size_t row = 0; row < jobs->rows.size(); ++row) {
      const auto state = jobs->text(row, "State");
      if (state == "RUNNING" || state == "NEED_SCHEDULE") ++running;
    }
  }
  return running;
}

Result<Observation> no_running_loads(FrontendFleet& frontends, Deadline deadline) {
  // Queued loads have no transaction yet; every other kind (stream load, INSERT) is a transaction and nothing else.
  std::vector<std::string> queued;
  if (auto asked = count_busy(frontends, "/jobs", "JobType", {"load"}, {"Pending", "Running"}, deadline, queued);
      !asked)
    return asked.error();
  std::vector<std::string> running;
  if (auto asked = count_busy(frontends, "/transactions", "State", {"running"}, {"Number"}, deadline, running); !asked)
    return asked.error();
  const auto routine = routine_loads(frontends, deadline);
  if (!routine) return routine.error();
  std::vector<std::string> found;
  if (!queued.empty()) found.push_back("load jobs: " + listed(queued));
  if (!running.empty()) found.push_back("transactions: " + listed(running));
  if (*routine > 0) found.push_back(std::to_string(*routine) + " routine load jobs, which run until they are paused");
  if (found.empty()) return observed(true, "no load is queued or running");
  return observed(false, "wanted no load, found " + listed(found));
}

}  // namespace

Result<Observation> observe(FrontendFleet& frontends, Probe probe, Deadline deadline) {
  switch (probe) {
    case Probe::FrontendsAlive:
      return frontends_alive(frontends, deadline);
    case Probe::BackendsAlive:
      return nodes_alive(frontends, "SHOW BACKENDS", "BackendId", "backends", deadline);
    case Probe::ComputeNodesAlive:
      return nodes_alive(frontends, "SHOW COMPUTE NODES", "ComputeNodeId", "compute nodes", deadline);
    case Probe::TabletsHealthy:
      return tablets_healthy(frontends, deadline);
    case Probe::NoSchemaChange:
      return no_schema_change(frontends, deadline);
    case Probe::NoRunningLoads:
      return no_running_loads(frontends, deadline);
    case Probe::SchedulerDrained:
      return scheduler_drained(frontends, deadline);
  }
  return Error{ErrorCode::Internal, "no such check"};
}

}  // namespace gate
