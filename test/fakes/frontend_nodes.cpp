// SHOW FRONTENDS, SHOW BACKENDS and SHOW COMPUTE NODES of the simulated FEs.

#include <algorithm>
#include <array>
#include <cstdio>

#include "test/fakes/frontend_statements.hpp"

namespace gate::fake_frontend {
namespace {

/// `seconds` behind the hour that the simulated FEs began in.
std::string time_text(long long seconds) {
  constexpr long long kBegin = 3 * 3600 + 4 * 60 + 5;
  constexpr long long kDay = 86'400;
  const long long at = kBegin + seconds;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "2026-01-%02d %02d:%02d:%02d", static_cast<int>(2 + at / kDay) % 100,
                static_cast<int>(at % kDay / 3600), static_cast<int>(at % 3600 / 60), static_cast<int>(at % 60));
  return text.data();
}

/// Each further start is a minute later.
std::string start_time(int starts) {
  constexpr int kStartsShown = 50;
  return time_text(60LL * (starts % kStartsShown));
}

/// The columns that SHOW BACKENDS and SHOW COMPUTE NODES have in common.
std::map<std::string, std::string> node_values(const SimulatedNode& node, const std::string& cluster_version) {
  return {{"IP", node.host},
          {"HeartbeatPort", "9050"},
          {"BePort", "9060"},
          {"HttpPort", "8040"},
          {"BrpcPort", "8060"},
          {"LastStartTime", start_time(node.starts)},
          {"LastHeartbeat", node.last_heartbeat},
          {"Alive", node.alive ? "true" : "false"},
          {"SystemDecommissioned", "false"},
          {"ClusterDecommissioned", "false"},
          {"TabletNum", "30"},
          {"ErrMsg", node.alive ? "" : "Internal error"},
          {"Version", (node.version.empty() ? cluster_version : node.version) + "-1f1aa9c"},
          {"CpuCores", "8"},
          {"MemLimit", "13.5GB"},
          {"NumRunningQueries", "0"},
          {"MemUsedPct", "1.00 %"},
          {"CpuUsedPct", "0.5 %"},
          {"DataCacheMetrics", "N/A"},
          {"StatusCode", node.alive ? "OK" : "DISCONNECTED"},
          {"StarletPort", "9070"},
          {"WorkerId", "1"},
          {"WarehouseName", node.warehouse.empty() ? "default_warehouse" : node.warehouse}};
}

void add_columns(SimulatedResult& out, std::initializer_list<const char*> names) {
  out.columns.insert(out.columns.end(), names.begin(), names.end());
}

void add_row(SimulatedResult& out, const std::map<std::string, std::string>& values) {
  std::vector<std::optional<std::string>> row;
  for (const auto& column : out.columns) row.emplace_back(values.at(column));
  out.rows.push_back(std::move(row));
}

/// StarRocks names an FE by its host, its journal's port and when it was added.
std::string frontend_name(const std::string& host, std::size_t index) {
  constexpr std::size_t kAdded = 1'700'000'000'000;
  return host + "_9010_" + std::to_string(kAdded + index);
}

}  // namespace

std::string Cluster::heartbeat_text(std::size_t frontend) const {
  constexpr std::chrono::seconds kHeartbeat{5};
  const auto& fe = frontends[frontend];
  const auto heard = fe.alive && !fe.hung ? now_ : fe.heard;
  return time_text(heard / kHeartbeat * kHeartbeat.count());
}

Answer Cluster::show_frontends(Request& request) {
  SimulatedResult out;
  if (version_.at_least(3, 4)) add_columns(out, {"Id"});
  add_columns(out, {"Name", "IP", "EditLogPort", "HttpPort", "QueryPort", "RpcPort", "Role", "ClusterId", "Join",
                    "Alive", "ReplayedJournalId", "LastHeartbeat", "IsHelper", "ErrMsg", "StartTime", "Version"});
  std::map<std::string, std::string> values{{"EditLogPort", "9010"}, {"HttpPort", "8030"}, {"ClusterId", "1234567"}};
  // In the order of a hash: 2, 1, 3.
  std::vector<std::size_t> order(frontends.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (order.size() > 1) std::swap(order[0], order[1]);
  for (const std::size_t i : order) {
    const FrontendState& fe = frontends[i];
    const bool alive = listed_alive(i) || i == request.at;
    const int starts = now_ < fe.heard_after ? fe.starts - 1 : fe.starts;
    values["Id"] = std::to_string(i + 1);
    values["Name"] = frontend_name(address_, i);
    values["IP"] = address_;
    values["QueryPort"] = std::to_string(fe.port);
    values["RpcPort"] = "9020";
    values["Role"] = leader == i ? "LEADER" : "FOLLOWER";
    values["Join"] = "true";
    values["Alive"] = alive ? "true" : "false";
    values["ReplayedJournalId"] = std::to_string(fe.replayed_journal_id);
    values["LastHeartbeat"] = heartbeat_text(i);
    values["IsHelper"] = "true";
    values["ErrMsg"] = alive ? "" : fe.hung ? "Read timed out" : "Connection refused";
    values["StartTime"] = alive ? start_time(starts) : "NULL";
    values["Version"] = fe.version + "-1f1aa9c";
    add_row(out, values);
  }
  for (std::size_t i = 0; i < never_started; ++i) {
    const std::string host = "127.0.1." + std::to_string(i + 1);
    values["Id"] = std::to_string(frontends.size() + i + 1);
    values["Name"] = frontend_name(host, frontends.size() + i);
    values["IP"] = host;
    values["QueryPort"] = values["RpcPort"] = values["ReplayedJournalId"] = "0";
    values["Role"] = "FOLLOWER";
    values["Join"] = values["Alive"] = "false";
    values["LastHeartbeat"] = values["StartTime"] = values["Version"] = "NULL";
    values["ErrMsg"] = "Connection refused";
    add_row(out, values);
  }
  return out;
}

bool Cluster::shared_data() const {
  // Warehouses are a matter of shared_data: who has one runs in it.
  const auto named = [](const SimulatedNode& node) { return !node.warehouse.empty(); };
  return run_mode_ == "shared_data" || std::any_of(compute_nodes.begin(), compute_nodes.end(), named);
}

Answer Cluster::show_backends(Request&) {
  SimulatedResult out;
  add_columns(out, {"BackendId",
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
                    "TabletNum",
                    "DataUsedCapacity",
                    "AvailCapacity",
                    "TotalCapacity",
                    "UsedPct",
                    "MaxDiskUsedPct",
                    "ErrMsg",
                    "Version",
                    "Status",
                    "DataTotalCapacity",
                    "DataUsedPct",
                    "CpuCores"});
  if (version_.at_least(3, 3)) add_columns(out, {"MemLimit"});
  add_columns(out, {"NumRunningQueries", "MemUsedPct", "CpuUsedPct"});
  if (version_.at_least(3, 3)) add_columns(out, {"DataCacheMetrics", "Location"});
  if (version_.at_least(3, 5)) add_columns(out, {"StatusCode"});
  if (shared_data() && version_.at_least(3, 1)) add_columns(out, {"StarletPort", "WorkerId"});
  if (shared_data() && version_.at_least(3, 3)) add_columns(out, {"WarehouseName"});
  constexpr std::size_t kFirstId = 10001;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    auto values = node_values(backends[i], version_text_);
    values.merge(std::map<std::string, std::string>{
        {"BackendId", std::to_string(kFirstId + i)},
        {"DataUsedCapacity", "1.000 GB"},
        {"AvailCapacity", "90.000 GB"},
        {"TotalCapacity", "100.000 GB"},
        {"UsedPct", "10.00 %"},
        {"MaxDiskUsedPct", "10.00 %"},
        {"Status", "{\"lastSuccessReportTabletsTime\":\"" + backends[i].last_heartbeat + "\"}"},
        {"DataTotalCapacity", "91.000 GB"},
        {"DataUsedPct", "1.10 %"},
        {"Location", ""}});
    add_row(out, values);
  }
  return out;
}

Answer Cluster::show_compute_nodes(Request&) {
  SimulatedResult out;
  add_columns(out, {"ComputeNodeId", "IP", "HeartbeatPort", "BePort", "HttpPort", "BrpcPort", "LastStartTime",
                    "LastHeartbeat", "Alive", "SystemDecommissioned", "ClusterDecommissioned", "ErrMsg", "Version"});
  if (version_.at_least(3, 1)) add_columns(out, {"CpuCores"});
  if (version_.at_least(3, 3)) add_columns(out, {"MemLimit"});
  if (version_.at_least(3, 1)) add_columns(out, {"NumRunningQueries", "MemUsedPct", "CpuUsedPct"});
  if (version_.at_least(3, 3)) add_columns(out, {"DataCacheMetrics"});
  if (version_.at_least(3, 1)) add_columns(out, {"HasStoragePath"});
  if (version_.at_least(3, 5)) add_columns(out, {"StatusCode"});
  if (shared_data() && version_.at_least(3, 3))
    add_columns(out, {"StarletPort", "WorkerId", "WarehouseName", "TabletNum"});
  constexpr std::size_t kFirstId = 20001;
  for (std::size_t i = 0; i < compute_nodes.size(); ++i) {
    auto values = node_values(compute_nodes[i], version_text_);
    values.merge(std::map<std::string, std::string>{{"ComputeNodeId", std::to_string(kFirstId + i)},
                                                    {"HasStoragePath", "true"}});
    add_row(out, values);
  }
  return out;
}

std::optional<SqlError> Cluster::no_backend() const {
  std::string asked;
  for (const auto* nodes : {&backends, &compute_nodes}) {
    for (const auto& node : *nodes) {
      if (node.alive && !node.blacklisted) return std::nullopt;
      asked += " [" + node.host + " alive: " + (node.alive ? "true" : "false") +
               " inBlacklist: " + (node.blacklisted ? "true" : "false") + "]";
    }
  }
  return SqlError{1064, "HY000", "Backend node not found. Check if any backend node is down.backend: " + asked};
}

}  // namespace gate::fake_frontend
