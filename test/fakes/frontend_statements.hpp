#pragma once
// What the simulated FEs know and how they answer a statement; no sockets here.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "test/fakes/frontend_simulator.hpp"

namespace gate::fake_frontend {

/// "3.5.7", "4.0.2-rc01"; missing parts are 0.
struct Version {
  int major_part = 0;
  int minor_part = 0;
  [[nodiscard]] bool at_least(int major_wanted, int minor_wanted) const {
    return major_part != major_wanted ? major_part > major_wanted : minor_part >= minor_wanted;
  }
};
[[nodiscard]] Version parse_version(std::string_view text);

/// Cuts a COM_QUERY at ';' outside of quotes and comments; empty statements are dropped.
[[nodiscard]] std::vector<std::string> split_statements(std::string_view sql);

struct Acknowledgement {};
/// Nobody can answer yet: there is no leader, or an FE is hung. Executed again when something has changed.
struct Stalled {};
using Answer = std::variant<Acknowledgement, SimulatedResult, SqlError, Stalled>;

struct ConnectionState {
  std::uint32_t id = 0;
  bool forward_to_leader = false;
  std::optional<std::size_t> broadcast_next;  ///< Where a stalled ADMIN SET goes on; what it has reached stays.
  std::string broadcast_failures;             ///< So far.
  std::chrono::seconds query_timeout{300};    ///< Bounds what waits for another FE.
  bool timed_out = false;                     ///< The wait for another FE is over; it counts as a failure.
};

struct FrontendState {
  std::string name;
  std::uint16_t port = 0;
  bool alive = true;  ///< Listening.
  /// Until then the leader's heartbeat still calls a dead one alive: it forgives some misses.
  std::chrono::steady_clock::time_point listed_until{};
  std::optional<std::uint32_t> config_lock;  ///< The connection whose ADMIN SET is under way here.
  bool broadcast_broken = false;
  bool hung = false;
  long long replayed_journal_id = 4711;
  int starts = 0;  ///< Moves StartTime.
  std::string version;
  std::map<std::string, std::string> config;  ///< By canonical name.
};

/// Not thread safe: the simulator's lock guards it.
class Cluster {
 public:
  explicit Cluster(const FrontendSimulatorOptions& options);

  [[nodiscard]] Answer execute(std::size_t frontend, ConnectionState& connection, const std::string& sql);

  void reset_config(std::size_t frontend);  ///< As a restart does.
  void died(std::size_t frontend);
  [[nodiscard]] std::optional<std::string> config(std::size_t frontend, const std::string& key) const;
  void set_config(std::size_t frontend, const std::string& key, const std::string& value);

  std::vector<FrontendState> frontends;
  std::optional<std::size_t> leader = 0;
  std::vector<SimulatedNode> backends;
  std::vector<SimulatedNode> compute_nodes;
  std::vector<SimulatedBalance> balance = {{}};
  SimulatedStatistic statistic;
  std::vector<SimulatedDatabase> databases = {{"_statistics_"}, {"shop"}};
  int routine_loads = 0;
  int stopped_routine_loads = 0;
  std::set<std::string> dropped_items;          ///< Canonical names of configuration items that no FE has any more.
  std::optional<std::uint32_t> kill_requested;  ///< Connection id that a KILL named; the simulator cuts it.

 private:
  [[nodiscard]] Answer set_frontend_config(std::size_t frontend, ConnectionState& connection, const std::string& key,
                                           const std::string& value);
  [[nodiscard]] Answer show_frontend_config(std::size_t frontend, const ConnectionState& connection,
                                            const std::optional<std::string>& like) const;
  /// From another FE, or from the client.
  [[nodiscard]] bool listed_alive(std::size_t frontend) const;
  /// Why `frontend` cannot have the leader answer now; nullopt when it can.
  [[nodiscard]] std::optional<Answer> no_leader(std::size_t frontend, ConnectionState& connection) const;
  [[nodiscard]] Answer show_routine_loads(const std::string& path) const;
  [[nodiscard]] SimulatedResult show_frontends(std::size_t asked) const;
  [[nodiscard]] SimulatedResult show_backends() const;
  [[nodiscard]] SimulatedResult show_compute_nodes() const;
  [[nodiscard]] Answer show_proc(std::size_t frontend, ConnectionState& connection, const std::string& path);
  [[nodiscard]] SimulatedResult cluster_balance();
  [[nodiscard]] Answer show_jobs(const std::string& path, bool runs_on_leader) const;
  [[nodiscard]] Answer show_transactions(const std::string& path) const;
  [[nodiscard]] bool has_item(std::string_view canonical_name) const;

  Version version_;
  std::string version_text_;
  bool operate_privilege_;
  std::chrono::milliseconds liveness_lag_;
  std::map<std::string, std::string> fe_conf_;
  std::map<std::string, std::string> global_variables_;
};

}  // namespace gate::fake_frontend
