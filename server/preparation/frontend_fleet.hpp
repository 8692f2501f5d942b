#pragma once
// The frontends of one cluster, as one thing: run statements on one connection, read a setting back from every one.
// Settings live in each FE's memory and die with it, so only what each alive FE answers itself counts.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/hook.hpp"
#include "policy/result.hpp"
#include "policy/rollout.hpp"
#include "server/ports/frontend.hpp"

namespace gate {

struct SettingOnFrontend {
  std::string frontend;  ///< "host:port", for messages.
  bool leader = false;
  std::string value;
};

struct SettingReading {
  std::string canonical_key;  ///< As the FE calls it; the asked key may have been an alias.
  std::vector<SettingOnFrontend> frontends;

  /// Of the leader, or of the first FE where none says it leads.
  [[nodiscard]] const std::string& leader_value() const;
  /// The first FE whose value is not `wanted`; nullopt when all have it.
  [[nodiscard]] std::optional<SettingOnFrontend> differing(std::string_view wanted) const;
  /// True when some FE has `value`.
  [[nodiscard]] bool somewhere(std::string_view value) const;
};

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

  /// `key` as every alive FE has it, asked at each FE's own address.
  /// Rejected: the FE knows no such configuration item. Unavailable: an FE that counts as alive did not answer.
  [[nodiscard]] Result<SettingReading> read(std::string_view key, Deadline deadline);

  /// Every row of SHOW FRONTENDS, SHOW BACKENDS and SHOW COMPUTE NODES.
  [[nodiscard]] Result<std::vector<DatabaseNode>> nodes(Deadline deadline);

 private:
  struct Node {
    FrontendAddress address;
    bool leader = false;
  };
  [[nodiscard]] Result<std::vector<Node>> alive_frontends(Deadline deadline);
  [[nodiscard]] Result<QueryResult> execute_at(const Node& node, std::string_view sql, Deadline deadline);

  FrontendConnector& connector_;
  FrontendAccess access_;
  std::unique_ptr<FrontendSession> session_;
};

}  // namespace gate
