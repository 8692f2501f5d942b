#pragma once
// A StarRocks cluster's frontends as a MySQL client sees them: real sockets, real packets, the FE's own statements,
// error codes and texts. Several FEs share one leader and one set of nodes; each has its own configuration in memory,
// as in StarRocks. Faults are switched while it runs, and every statement received is logged, so that tests assert on
// what reached the database rather than on calls.
//
// What is left out: data, queries, SQL beyond the administration statements listed in frontend_statements.cpp, HTTP.
// All FEs share one address and are told apart by their ports; real ones have a host each.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gate {

/// What the server puts into an ERR packet.
struct SqlError {
  int code = 1064;
  std::string state = "HY000";
  std::string text = {};
};

/// A backend or compute node as SHOW BACKENDS / SHOW COMPUTE NODES prints it.
struct SimulatedNode {
  std::string host;
  bool alive = true;
  std::string version = {};  ///< Empty: the cluster's.
  int starts = 0;            ///< Moves LastStartTime.
  std::string last_heartbeat = "2026-01-02 03:04:05";
  std::string warehouse = {};  ///< Of a compute node; empty: the default one. Others exist in shared_data only.
  bool blacklisted = false;    ///< SHOW BACKEND BLACKLIST: gets no queries.
};

/// What becomes of a backend or compute node.
enum class NodeMove {
  Up,    ///< It joins, or starts again.
  Down,  ///< It dies, and stays listed.
  Gone,  ///< It is dropped from the cluster.
};

/// What goes on in a database: SHOW PROC '/jobs/<id>' and '/transactions/<id>'.
struct SimulatedDatabase {
  std::string name;
  int schema_changes = 0;  ///< Running.
  int pending_rollups = 0;
  int queued_loads = 0;   ///< PENDING
  int running_loads = 0;  ///< LOADING; in later states a load counts nowhere.
  int running_transactions = 0;
  int finished_transactions = 120;  ///< '/transactions' lists databases that ever had one.
};

/// Tablets that the scheduler has to repair. Every other look at '/cluster_balance' is a round of it.
struct SimulatedScheduler {
  int unhealthy = 0;  ///< Not let in yet: one is while neither pending nor running is above the leader's limit.
  int pending = 0;    ///< Let in: they are worked off whatever the limit.
  int slots = 8;      ///< Run at a time; 0: what is pending stays so.
  bool heals = true;  ///< false: what ran comes back as unhealthy, as while a BE is away.
};

/// One answer of SHOW PROC '/cluster_balance'.
struct SimulatedBalance {
  int pending_tablets = 0;
  int running_tablets = 0;
};

/// The row "Total" of SHOW PROC '/statistic'.
struct SimulatedStatistic {
  int tablets = 30;
  int unhealthy = 0;
  int inconsistent = 0;
  int cloning = 0;  ///< Known to the leader only, as in StarRocks.
};

struct SimulatedResult {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::uint8_t number_type = 0;  ///< MySQL's number of the columns' type; 0: text.
  bool forwarded = false;        ///< Answered by the leader for another FE, which shows in the columns' width.
};

/// What the account may do. Roles that are granted count once they are default ones, from the next login on.
struct SimulatedGrants {
  bool operate = true;  ///< OPERATE ON SYSTEM, granted to the user itself.
  std::vector<std::string> roles = {"root"};
  std::vector<std::string> default_roles = {"root"};  ///< "root" may do all; "cluster_admin" has NODE, not OPERATE.
};

struct ReceivedStatement {
  std::size_t order = 0;      ///< 0, 1, 2... over all FEs.
  std::string frontend;       ///< "fe-0": the FE that the client was connected to.
  std::string sql;            ///< One statement; a chain is logged statement by statement as each starts.
  bool acknowledged = false;  ///< Its whole answer (OK, rows or error) was written to the client.
};

/// A login packet that arrived; a client that refuses the server first never gets here.
struct ReceivedLogin {
  std::string frontend;
  std::string username;
  std::string auth_response;  ///< As sent: scramble or clear text.
};

struct FrontendSimulatorOptions {
  std::string address = "127.0.0.1";  ///< Of all FEs, IPv4 or IPv6: where they listen, and what SHOW FRONTENDS says.
  std::size_t frontends = 1;
  std::string version = "3.5.7";      ///< Decides columns, capabilities and how ADMIN SET travels.
  std::string greeting_version = {};  ///< Empty: "8.0.33" from 3.4 on, "5.1.0" before.
  std::string username = "root";
  std::string password = {};                             ///< Empty: login without a password.
  std::string account_plugin = "mysql_native_password";  ///< Or "mysql_clear_password", as for LDAP users.
  SimulatedGrants grants = {};
  std::size_t max_user_connections = 0;  ///< To one FE; 0: no limit.
  bool ldap_out_of_reach = false;        ///< With mysql_clear_password.
  std::string certificate_pem = {};      ///< With private_key_pem: the greeting offers TLS.
  std::string private_key_pem = {};
  bool force_tls = false;                 ///< ssl_force_secure_transport; here 127.0.0.1 is not exempt, as others.
  bool fake_plugin_auth_missing = false;  ///< A greeting without PLUGIN_AUTH, as a man in the middle would send.
  bool infile_attack = false;             ///< Every query is answered by a request for the client's /etc/hostname.
  std::vector<std::uint16_t> ports = {};  ///< Empty: chosen by the system.
  std::map<std::string, std::string> fe_conf = {};  ///< Values (canonical names) every FE starts, and restarts, with.
  bool in_docker = false;                           ///< There is a /.dockerenv, so that WITH PERSISTENT is refused.
  std::string run_mode = "shared_nothing";
  /// The leader's heartbeats, elections and journals go by a clock that pass_time() moves. true: it runs by itself,
  /// too.
  bool time_runs = false;
  /// An FE that died is called alive for so long, as three missed heartbeats are forgiven, or until notice_deaths().
  std::chrono::milliseconds liveness_lag{20'000};
  /// What an FE that waits for another adds to the session's query_timeout.
  std::chrono::milliseconds rpc_grace{10'000};
  std::vector<SimulatedNode> backends = {{"be-0"}, {"be-1"}, {"be-2"}};
  std::vector<SimulatedNode> compute_nodes = {};
  /// Called as each statement arrives, from any thread, without locks held.
  std::function<void(const ReceivedStatement&)> on_statement = {};
};

/// Thread safe. The constructor listens before it returns and throws std::runtime_error when it cannot.
/// The destructor cuts every connection, ends every delay and joins every thread.
class FrontendSimulator {
 public:
  explicit FrontendSimulator(FrontendSimulatorOptions options = {});
  ~FrontendSimulator();
  FrontendSimulator(const FrontendSimulator&) = delete;
  FrontendSimulator& operator=(const FrontendSimulator&) = delete;

  /// A view of one FE; valid as long as the simulator.
  class Frontend {
   public:
    [[nodiscard]] std::string name() const;  ///< "fe-0"
    [[nodiscard]] std::uint16_t port() const;
    /// The value in this FE's memory, by canonical name or alias; nullopt for an unknown key.
    [[nodiscard]] std::optional<std::string> config(const std::string& key) const;
    /// As if set on this FE alone, without a statement.
    void set_config(const std::string& key, const std::string& value);
    [[nodiscard]] std::size_t connections() const;  ///< Open ones, logged in or not.

   private:
    friend class FrontendSimulator;
    Frontend(FrontendSimulator& simulator, std::size_t index) : simulator_(&simulator), index_(index) {}
    FrontendSimulator* simulator_;
    std::size_t index_;
  };
  [[nodiscard]] Frontend frontend(std::size_t index);
  [[nodiscard]] std::size_t size() const;

  // Faults. They apply to statements that contain `substring`, on any FE or on one only; the newest that fits wins.
  /// Answers with this error `times` times (default: until cleared); nothing is executed.
  void fail(const std::string& substring, SqlError error, std::optional<std::size_t> frontend = {},
            std::size_t times = SIZE_MAX);
  /// Executes and answers only after `duration`, or once the faults are cleared.
  void delay(const std::string& substring, std::chrono::milliseconds duration,
             std::optional<std::size_t> frontend = {});
  /// Neither executes nor answers until the faults are cleared.
  void hang(const std::string& substring, std::optional<std::size_t> frontend = {});
  /// Executes, sends half of the answer and cuts the connection.
  void drop(const std::string& substring, std::optional<std::size_t> frontend = {}, std::size_t times = SIZE_MAX);
  /// A canned result for statements that the simulator does not know.
  void answer(const std::string& substring, SimulatedResult result);
  /// Logins get this error in place of the OK, e.g. a connection limit.
  void fail_login(SqlError error, std::optional<std::size_t> frontend = {});
  /// Logins stop after the client's first packet (its request for TLS, or its login) until the faults are cleared.
  void hang_login(std::optional<std::size_t> frontend = {});
  /// Ends all of the above and releases the statements that wait.
  void clear_faults();

  /// Closed: new connections are refused, open ones are cut, other FEs see it dead. Its port stays reserved.
  void stop(std::size_t frontend);
  void start(std::size_t frontend);    ///< Listens again, with the configuration of fe.conf.
  void restart(std::size_t frontend);  ///< Configuration lost, connections cut, listening all the time.
  /// A rollout as it is when it is over: every FE, BE and CN has started again; `version` empty: the same one.
  void roll_out(const std::string& version = {});
  /// It has started again, faster than the leader's heartbeat comes: SHOW FRONTENDS has its old StartTime for 5 s.
  void restart_unheard(std::size_t frontend);
  /// One that was added to the cluster and has never started: a row of SHOW FRONTENDS.
  void add_frontend();
  /// ADMIN SET reaches this FE no more although it is alive: 5101 (from 3.5 on) or 5076.
  void break_broadcast_to(std::size_t frontend, bool broken = true);
  /// The same with its RPC port cut off: that is noticed after rpc_grace only.
  void cut_broadcast_to(std::size_t frontend, bool cut = true);
  /// The leader's heartbeat has missed those that died or froze: they are called dead from now on.
  void notice_deaths();
  /// Heartbeats, elections (2 s after the leader's death, 60 s after it froze; a majority must be up) and the waits of
  /// FEs for each other go on by so much.
  void pass_time(std::chrono::milliseconds by);
  /// nullopt: no leader; whatever must go to it is refused with a Java text.
  void set_leader(std::optional<std::size_t> frontend);

  /// Hung: it answers nothing, and a broadcast of ADMIN SET stalls when it comes to it. After 25 s the leader calls it
  /// dead. A leader that wakes up to find another one ends itself.
  void hang_frontend(std::size_t frontend, bool hung = true);

  void set_backends(std::vector<SimulatedNode> nodes);
  void set_compute_nodes(std::vector<SimulatedNode> nodes);
  /// One node by its host; `version` and `warehouse` count with Up only, an empty version is the node's last one.
  void move_backend(const std::string& host, NodeMove move, const std::string& version = {});
  void move_compute_node(const std::string& host, NodeMove move, const std::string& version = {},
                         const std::string& warehouse = {});
  void set_frontend_version(std::size_t frontend, const std::string& version);
  void set_replayed_journal_id(std::size_t frontend, long long id);
  /// From now on no FE has this configuration item, as after an upgrade that dropped it.
  void drop_config_item(const std::string& key);
  void set_databases(std::vector<SimulatedDatabase> databases);
  /// Routine load jobs in state RUNNING (information_schema.routine_load_jobs, from 3.1 on).
  /// And `stopped` ones, which stay in SHOW PROC '/routine_loads'.
  void set_routine_loads(int running, int stopped = 0);
  /// The next answers in turn; the last one stays. Real ones read too low for moments: {97, 0}, {0, 0}, {97, 0}.
  void set_cluster_balance(std::vector<SimulatedBalance> answers);
  /// Answers as this scheduler would, under the leader's limit.
  void set_scheduler(SimulatedScheduler scheduler);
  [[nodiscard]] SimulatedBalance scheduler() const;  ///< What it has to do now, whatever was read.
  /// For logins from now on.
  void set_grants(SimulatedGrants grants);
  void set_statistic(SimulatedStatistic statistic);

  [[nodiscard]] std::vector<ReceivedStatement> statements() const;
  [[nodiscard]] std::vector<ReceivedLogin> logins() const;
  void forget_statements();
  /// Waits until `predicate` holds for the statements so far; false at the deadline.
  [[nodiscard]] bool wait_for(const std::function<bool(const std::vector<ReceivedStatement>&)>& predicate,
                              std::chrono::steady_clock::time_point deadline) const;
  /// Waits until some statement contains `substring`.
  [[nodiscard]] bool wait_for_statement(const std::string& substring,
                                        std::chrono::steady_clock::time_point deadline) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gate
