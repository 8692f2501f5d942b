#pragma once
// The frontends of one cluster, as one thing: run statements on one connection, read settings back from every one.
// Settings live in each FE's memory and die with it, so only what each alive FE answers itself counts. An FE that
// restarts is called alive for up to half a minute and refuses connections meanwhile: one that does not answer is
// named, and keeps nobody from learning what the others have.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/text/result.hpp"
#include "server/ports/frontend.hpp"

namespace gate {

/// FEs of one cluster, dead ones included. What SHOW FRONTENDS says is a tenant's input, and each one costs a login.
inline constexpr std::size_t kFrontendsMax = 64;

struct SettingOnFrontend {
  FrontendAddress address;
  std::string frontend;  ///< The address as "host:port", for messages.
  bool leader = false;
  std::string value;
};

/// One setting on the FEs that answered and know it.
struct SettingReading {
  std::string canonical_key;                 ///< As the FE calls it; the asked key may have been an alias.
  std::string type;                          ///< As its column Type says: see same_setting().
  std::vector<SettingOnFrontend> frontends;  ///< The leader first. Empty: none of them knows the item.

  /// Of the leader; nullptr where it did not answer or does not know the item.
  [[nodiscard]] const std::string* leader_value() const;
  /// The first FE whose value is not `wanted`; nullptr when all have it.
  [[nodiscard]] const SettingOnFrontend* differing(std::string_view wanted) const;
  [[nodiscard]] bool has(const SettingOnFrontend& frontend, std::string_view value) const;
};

/// What the alive FEs have, at one look.
struct FleetReading {
  std::vector<SettingReading> settings;  ///< One per asked key, in their order.
  std::vector<Error> silent;             ///< One per FE that counts as alive and did not answer; the message names it.
  std::string leader;                    ///< Its name and start time; empty: none leads.
};

/// Whether SHOW FRONTENDS calls this FE the leader.
[[nodiscard]] bool is_leader_role(std::string_view role);

/// Whether a fleet asks for its nodes each time that they are wanted, or once until forget_nodes(): for the questions
/// of one step, which see one state of the cluster then.
enum class NodesAsked { EachTime, Once };

/// Not thread safe: one worker at a time. Every call returns by its deadline. Errors as in FrontendSession, with the
/// FE's address in the message; a broken connection is replaced by the next call.
class FrontendFleet {
 public:
  /// Both references outlive this.
  FrontendFleet(FrontendConnector& connector, FrontendAccess access, const Clock& clock,
                NodesAsked asked = NodesAsked::EachTime)
      : connector_(connector), access_(std::move(access)), clock_(clock), asked_(asked) {}

  /// On the one connection of this hook sequence.
  [[nodiscard]] Result<QueryResult> execute(std::string_view sql, Deadline deadline);

  /// The same for a statement that may take its time: not on a connection that execute_set() has bounded.
  [[nodiscard]] Result<QueryResult> execute_unbounded(std::string_view sql, Deadline deadline);

  /// The same for ADMIN SET: its broadcast to the other FEs ends within some seconds even where one of them hangs. The
  /// FE shows no settings until then.
  [[nodiscard]] Result<QueryResult> execute_set(std::string_view sql, Deadline deadline);

  /// execute_unbounded(), answered by the leader whichever FE the connection led to: what only the leader knows
  /// (replica and job statistics) is wrong elsewhere.
  [[nodiscard]] Result<QueryResult> execute_on_leader(std::string_view sql, Deadline deadline);

  /// execute_set() on a connection of its own to one FE.
  [[nodiscard]] Result<QueryResult> execute_set_at(const FrontendAddress& frontend, std::string_view sql,
                                                   Deadline deadline);

  /// `keys` as every alive FE has them, asked at each FE's own address. An FE that does not answer costs some seconds
  /// at most and is among the silent. Error: nobody told which FEs there are.
  [[nodiscard]] Result<FleetReading> read(const std::vector<std::string>& keys, Deadline deadline);

  /// Every row of SHOW FRONTENDS, SHOW BACKENDS and SHOW COMPUTE NODES.
  [[nodiscard]] Result<std::vector<DatabaseNode>> nodes(Deadline deadline);
  /// The same, without what the FE refuses or does not tell.
  [[nodiscard]] std::vector<DatabaseNode> known_nodes(Deadline deadline);
  /// Of NodesAsked::Once: another step begins.
  void forget_nodes() { shown_.clear(); }

 private:
  struct Node {
    FrontendAddress address;
    std::string identity;  ///< Name and start time.
    bool leader = false;
  };
  /// `deadline`, or what one FE may cost from now on.
  [[nodiscard]] Deadline soon(Deadline deadline) const;
  [[nodiscard]] Result<std::vector<Node>> alive_frontends(Deadline deadline);
  /// execute() for each, in one exchange.
  [[nodiscard]] std::vector<Result<QueryResult>> execute_all(const std::vector<std::string>& statements,
                                                             Deadline deadline);
  /// What SHOW tells of each of kDatabaseComponents, in one exchange.
  [[nodiscard]] std::vector<Result<QueryResult>> show_nodes(Deadline deadline);
  [[nodiscard]] Result<QueryResult> show_frontends(Deadline deadline);
  [[nodiscard]] Result<std::unique_ptr<FrontendSession>> connect_to(const FrontendAddress& frontend, Deadline deadline);
  /// Asks one FE for all `keys`, through `ask`, which takes the statements.
  template <class Ask>
  [[nodiscard]] static Status read_from(const Node& node, const std::vector<std::string>& keys, FleetReading& out,
                                        const Ask& ask);

  FrontendConnector& connector_;
  FrontendAccess access_;
  const Clock& clock_;
  const NodesAsked asked_;
  std::vector<Result<QueryResult>> shown_;  // of NodesAsked::Once, by component: empty, or as show_nodes() returns it
  std::unique_ptr<FrontendSession> session_;
  bool forwarding_ = false;  // of session_: it was told to ask the leader
  bool bounded_ = false;     // of session_: its statements end after some seconds
};

}  // namespace gate
