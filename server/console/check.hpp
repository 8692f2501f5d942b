#pragma once
// `upgrade-gate check`: is this installation right? Reads through kubectl, changes nothing.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "server/console/console.hpp"

namespace gate {

enum class CheckResult {
  Good,
  Warning,     ///< It works, but not as people may expect.
  Failure,     ///< Upgrades are refused, not prepared, or not watched.
  NotChecked,  ///< The caller may not look, or there is nothing to look at.
};

struct CheckLine {
  CheckResult result = CheckResult::Good;
  std::string subject;  ///< "CustomResourceDefinition upgradepreparations"
  std::string message;  ///< What was found, and for a failure what to do.
};

/// What the parts of an installation say for themselves; null where a part could not be read. Pure.
struct Installation {
  const nlohmann::json& record_crd;
  const nlohmann::json& cluster_crd;
  const nlohmann::json& validating;
  const nlohmann::json& mutating;
  const nlohmann::json& deployment;
  const nlohmann::json& certificate_secret;
  const nlohmann::json& clusters;
  std::string gate_namespace;
  WallTime now;
};
[[nodiscard]] std::vector<CheckLine> judge_installation(const Installation& installation);

/// Gathers by kubectl, judges, prints. Exit code 0 without a failure, 1 with one, 2 where kubectl cannot be used.
[[nodiscard]] int check_installation(const ConsoleOptions& options, const Clock& clock, const ConsoleStreams& streams);

}  // namespace gate
