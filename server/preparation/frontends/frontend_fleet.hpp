#pragma once
// The frontends of one cluster, as one thing: run statements on one connection, read a setting back from every one.
// Settings live in each FE's memory and die with it, so only what each alive FE answers itself counts.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/text/result.hpp"
#include "server/ports/frontend.hpp"

namespace gate {

struct SettingOnFrontend {
  FrontendAddress address;
  std::string frontend;  ///< The address as "host:port", for messages.
  bool leader = false;
  std::string value;
};

struct SettingReading {
  std::string canonical_key;                 ///< As the FE calls it; the asked key may have been an alias.
  std::vector<SettingOnFrontend> frontends;  ///< Never empty.

  /// Of the leader, or of the first FE where none says it leads.
  [[nodiscard]] const std::string& leader_value() const;
  /// The first FE whose value is not `wanted`; nullopt when all have it.
  [[nodiscard]] std::optional<SettingOnFrontend> differing(std::string_view wanted) const;
  /// True when some FE has `value`.
  [[nodiscard]] bool somewhere(std::string_view value) const;
};

/// Whether SHOW FRONTENDS calls this FE the leader.
[[nodiscard]] bool is_leader_role(std::string_view role);

/// Equal as the FE understands configuration values: surrounding blanks and the case of true/false do not matter.
[[nodiscard]] bool same_config_value(std::string_view left, std::string_view right);

/// Not thread safe: one worker at a time. Every call returns by its deadline. Errors as in FrontendSession, with the
/// FE's address in the message; a broken connection is replaced by the next call.
class FrontendFleet {
 public:
  FrontendFleet(FrontendConnector& connector, FrontendAccess access)
      : connector_(connector), access_(std::move(access)) {}

  /// On the one connection of this hook sequence.
  [[nodiscard]] Result<QueryResult> execute(std::string_view sql, Deadline deadline);

  /// The same, answered by the leader whichever FE the connection led to: what only the leader knows (replica and job
  /// statistics) is wrong elsewhere.
  [[nodiscard]] Result<QueryResult> execute_on_leader(std::string_view sql, Deadline deadline);

  /// On a connection of its own to one FE.
  [[nodiscard]] Result<QueryResult> execute_at(const FrontendAddress& frontend, std::string_view sql,
                                               Deadline deadline);

  /// `key` as every alive FE that knows it has it, asked at each FE's own address: while versions are mixed some may
  /// not. NotFound: no FE knows such a configuration item. Unavailable: an FE that counts as alive did not answer.
  [[nodiscard]] Result<SettingReading> read(std::string_view key, Deadline deadline);

  /// Every row of SHOW FRONTENDS, SHOW BACKENDS or SHOW COMPUTE NODES: `component` is one of kDatabaseComponents.
  [[nodiscard]] Result<std::vector<DatabaseNode>> nodes_of(Component component, Deadline deadline);
  /// Of all three.
  [[nodiscard]] Result<std::vector<DatabaseNode>> nodes(Deadline deadline);

 private:
  struct Node {
    FrontendAddress address;
    bool leader = false;
  };
  [[nodiscard]] Result<std::vector<Node>> alive_frontends(Deadline deadline);

  FrontendConnector& connector_;
  FrontendAccess access_;
  std::unique_ptr<FrontendSession> session_;
  bool forwarding_ = false;  // of session_: it was told to ask the leader
};

}  // namespace gate
