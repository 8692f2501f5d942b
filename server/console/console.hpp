#pragma once
// The commands for people: `kubectl upgrade-gate status|watch|report|retry|resume|bypass|check`. They start kubectl, so
// every login that kubectl knows works and credentials never enter this process; RBAC decides what they may.

#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

#include "server/console/views.hpp"
#include "server/ports/clock.hpp"

namespace gate {

enum class ConsoleCommand { Show, Watch, Report, Retry, Resume, Bypass, Check };

struct ConsoleOptions {
  ConsoleCommand command = ConsoleCommand::Show;
  std::string cluster;     ///< Name of a StarRocksCluster; for Show and Check it may be empty.
  std::string name_space;  ///< Empty: the one of the current context.
  bool all_namespaces = false;
  std::string context;  ///< These three are handed to kubectl.
  std::string kubeconfig;
  std::string as;
  std::string kubectl = "kubectl";
  std::string record;  ///< Report: this record instead of the newest.
  bool json = false;
  std::chrono::seconds timeout{3600};  ///< Watch gives up after this.
  std::string reason;                  ///< Bypass.
  std::string target = "*";            ///< Bypass: the key of a refusal's last line, or any.
  std::chrono::seconds valid_for{3600};
  bool yes = false;                                       ///< Bypass: write it, do not only show it.
  std::string gate_namespace = "starrocks-upgrade-gate";  ///< Check.
  std::string gate_name = "upgrade-gate";                 ///< Check: another one where the manifests had a prefix.
};

/// What scripts go by.
namespace console_exit {
inline constexpr int kGood = 0;
inline constexpr int kFailed = 1;    ///< The upgrade failed, or what was asked for was refused.
inline constexpr int kUnusable = 2;  ///< The call made no sense, or kubectl could not be used.
inline constexpr int kPaused = 3;    ///< The rollout waits for a person.
inline constexpr int kTimeout = 4;
inline constexpr int kEnded = 5;  ///< Reverted, superseded or expired.
}  // namespace console_exit

struct ConsoleStreams {
  std::ostream& out;
  std::ostream& err;
  Screen screen;
  bool terminal = false;  ///< Watch may redraw in place.
};

/// Blocks until the command is done. Returns the exit code; never throws for what kubectl answers.
[[nodiscard]] int run_console(const ConsoleOptions& options, const Clock& clock, const ConsoleStreams& streams);

}  // namespace gate
