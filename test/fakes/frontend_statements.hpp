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

#include "test/fakes/frontend_privileges.hpp"
#include "test/fakes/frontend_simulator.hpp"
#include "test/fakes/frontend_sql.hpp"

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

struct Acknowledgement {};
/// Nobody can answer yet: an FE is hung. Executed again when something has changed.
struct Stalled {};
using Answer = std::variant<Acknowledgement, SimulatedResult, SqlError, Stalled>;

struct ConnectionState {
  std::uint32_t id = 0;
  std::vector<std::string> roles;                ///< That were default ones at the login.
  std::map<std::string, std::string> variables;  ///< That the session has set.
  std::optional<std::size_t> broadcast_next;     ///< Where a stalled ADMIN SET goes on; what it has reached stays.
  std::string broadcast_failures;                ///< So far.
  std::chrono::seconds query_timeout{300};       ///< Bounds what waits for another FE, with the grace of the RPC.
  bool waits_to_connect = false;                 ///< What it waits for is bounded by that grace alone.
  bool timed_out = false;                        ///< The wait for another FE is over; it counts as a failure.

  [[nodiscard]] bool forward_to_leader() const;
};

struct FrontendState {
  std::string name;
  std::uint16_t port = 0;
  bool alive = true;  ///< Listening.
  /// On the manual clock: until then the leader's heartbeat still calls one alive that is dead or hung.
  std::optional<std::chrono::milliseconds> listed_until;
  std::chrono::milliseconds heard{0};        ///< The last heartbeat of one that is dead or hung.
  std::chrono::milliseconds heard_after{0};  ///< The heartbeat that tells of the last start.
  std::optional<std::uint32_t> config_lock;  ///< The connection whose ADMIN SET is under way here.
  bool broadcast_broken = false;
  bool broadcast_cut = false;
  bool hung = false;
  bool led_when_frozen = false;
  long long replayed_journal_id = 4711;
  int starts = 0;  ///< Moves StartTime.
  std::string version;
  std::map<std::string, std::string> config;  ///< By canonical name.
  std::map<std::string, std::string> file;    ///< fe.conf: what a start begins with.
};

/// Not thread safe: the simulator's lock guards it.
class Cluster {
 public:
  explicit Cluster(const FrontendSimulatorOptions& options);

  [[nodiscard]] Answer execute(std::size_t frontend, ConnectionState& connection, const std::string& sql);
  /// What makes the whole chain that it is in be refused; nullopt for none.
  [[nodiscard]] static std::optional<SqlError> syntax_error_in(const std::string& sql);

  void reset_config(std::size_t frontend);  ///< As a restart does.
  void started(std::size_t frontend, bool heard);
  void died(std::size_t frontend);
  void froze(std::size_t frontend);
  void notice_deaths();
  void time_passes(std::chrono::milliseconds now);  ///< Since the start; elections are held.
  [[nodiscard]] std::optional<std::string> config(std::size_t frontend, const std::string& key) const;
  void set_config(std::size_t frontend, const std::string& key, const std::string& value);

  std::vector<FrontendState> frontends;
  std::optional<std::size_t> leader = 0;
  std::vector<SimulatedNode> backends;
  std::vector<SimulatedNode> compute_nodes;
  std::vector<SimulatedBalance> balance = {{}};
  std::optional<SimulatedScheduler> scheduler;
  SimulatedStatistic statistic;
  std::vector<SimulatedDatabase> databases = {{"_statistics_"}, {"shop"}};
  int routine_loads = 0;
  int stopped_routine_loads = 0;
  std::size_t never_started = 0;  ///< FEs beyond `frontends`.
  SimulatedGrants grants;
  std::set<std::string> dropped_items;          ///< Canonical names of configuration items that no FE has any more.
  std::optional<std::uint32_t> kill_requested;  ///< Connection id that a KILL named; the simulator cuts it.

 private:
  /// A statement that is being executed.
  struct Request {
    std::size_t asked;  ///< The FE that the client is connected to.
    std::size_t at;     ///< The FE that answers.
    ConnectionState& connection;
    std::vector<std::string> taken;
    std::string sql;
  };
  struct Form;
  static const std::vector<Form>& forms();
  static std::vector<std::string_view> patterns();

  [[nodiscard]] Answer dispatch(const Form& form, Request& request);
  /// Has the leader answer for `request.asked`, from now on.
  [[nodiscard]] std::optional<Answer> forward(Request& request) const;

  [[nodiscard]] Answer set_persistently(Request& request);
  [[nodiscard]] Answer set_frontend_config(Request& request);
  [[nodiscard]] bool broadcast(std::size_t from, std::size_t to, ConnectionState& connection, const std::string& item,
                               const std::string& value);
  [[nodiscard]] Answer show_frontend_config(Request& request);
  [[nodiscard]] Answer show_frontends(Request& request);
  [[nodiscard]] Answer show_backends(Request& request);
  [[nodiscard]] Answer show_compute_nodes(Request& request);
  [[nodiscard]] Answer show_proc(Request& request);
  [[nodiscard]] Answer show_variable(Request& request);
  [[nodiscard]] Answer set_variable(Request& request);
  [[nodiscard]] Answer set_global_variable(Request& request);
  [[nodiscard]] Answer select_value(Request& request);
  [[nodiscard]] Answer select_routine_loads(Request& request);
  [[nodiscard]] Answer select_version(Request& request);
  [[nodiscard]] Answer grant(Request& request);
  [[nodiscard]] Answer acknowledge(Request& request);
  [[nodiscard]] Answer kill(Request& request);
  [[nodiscard]] Answer connection_id(Request& request);

  [[nodiscard]] bool listed_alive(std::size_t frontend) const;
  [[nodiscard]] std::string heartbeat_text(std::size_t frontend) const;
  [[nodiscard]] bool shared_data() const;
  /// StarRocks' complaint when no BE or CN can run a query.
  [[nodiscard]] std::optional<SqlError> no_backend() const;

  // SHOW PROC; in frontend_proc.cpp.
  [[nodiscard]] Answer show_routine_loads(const std::string& path) const;
  [[nodiscard]] Answer show_jobs(const std::string& path) const;
  [[nodiscard]] Answer show_transactions(const std::string& path) const;
  [[nodiscard]] SimulatedResult show_statistic(bool on_leader) const;
  [[nodiscard]] SimulatedResult cluster_balance();
  void schedule();
  [[nodiscard]] bool has_item(std::string_view canonical_name) const;

  std::string address_;
  Version version_;
  std::string version_text_;
  std::string mysql_version_;
  std::chrono::milliseconds liveness_lag_;
  bool in_docker_;
  std::string run_mode_;
  std::chrono::milliseconds now_{0};
  std::size_t looks_ = 0;   ///< At the scheduler.
  std::size_t pauses_ = 0;  ///< Those at which nothing ran.
  std::map<std::string, std::string> global_variables_;
};

}  // namespace gate::fake_frontend
