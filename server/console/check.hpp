#pragma once
// `upgrade-gate check`: is this installation right? Reads through kubectl, changes nothing.

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <optional>
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

/// What the parts of an installation say for themselves; null where a part is not there, and where it could not be read
/// a string that says why. Pure.
struct Installation {
  const nlohmann::json& record_crd;
  const nlohmann::json& cluster_crd;
  const nlohmann::json& warehouse_crd;
  const nlohmann::json& validating;
  const nlohmann::json& mutating;
  const nlohmann::json& deployment;
  const nlohmann::json& certificate_secret;
  const nlohmann::json& clusters;
  const nlohmann::json& caller_secret;
  const nlohmann::json& namespaces;  ///< A list.
  std::string gate_namespace;
  std::string gate_name;  ///< Of its Deployment, ServiceAccount and webhook configurations.
  WallTime now;
};
[[nodiscard]] std::vector<CheckLine> judge_installation(const Installation& installation);

/// What became of an object that was sent for a dry run.
struct Verdict {
  bool accepted = false;
  bool forbidden = false;           ///< The caller may not create such objects: nothing was asked.
  std::string text;                 ///< Of the refusal.
  std::optional<WallTime> created;  ///< By the API server's clock.
};
/// Two ConfigMaps of hooks as JSON, one that the gate accepts and one that it refuses: asked for a dry run, they tell
/// whether the API server calls the gate and acts on its answers.
[[nodiscard]] nlohmann::json probe_config_map(bool valid);
[[nodiscard]] CheckLine judge_verdicts(const Verdict& valid, const Verdict& invalid);
/// `whose` is "the gate's" or "your".
[[nodiscard]] CheckLine judge_clock(WallTime api_server, WallTime now, const std::string& whose);

/// "ok", "warning", "FAILURE", "skipped".
[[nodiscard]] const char* word_of(CheckResult result);
/// Text, a line for each, or a JSON list; returns whether none failed.
bool print_lines(const std::vector<CheckLine>& lines, bool as_json, std::ostream& out);

/// Gathers by kubectl, judges, prints. Exit code 0 without a failure, 1 with one, 2 where kubectl cannot be used.
[[nodiscard]] int check_installation(const ConsoleOptions& options, const Clock& clock, const ConsoleStreams& streams);

}  // namespace gate
