#pragma once
// What one worker does for one claimed record on the FE: run the hooks, set again what was lost, put back.
// Every step is written to the record before it is taken and is safe to repeat, so a crash costs a repetition at most.

#include <chrono>
#include <functional>
#include <optional>
#include <random>
#include <stop_token>
#include <string>

#include "server/ports/cluster_access.hpp"
#include "server/ports/http_caller.hpp"
#include "server/ports/script_jobs.hpp"
#include "server/preparation/claimed_record.hpp"
#include "server/preparation/fenced_connector.hpp"
#include "server/preparation/frontend_fleet.hpp"

namespace gate {

/// Exponential, with full jitter: replicas and clusters that lost the same FE do not come back in step.
struct RetryPolicy {
  std::chrono::milliseconds base{200};
  std::chrono::milliseconds max{5000};
};

/// Whom hooks talk to. They outlive every runner.
struct HookPeers {
  ClusterAccess& clusters;
  FrontendConnector& connector;
  HttpCaller& http;
  ScriptJobs& scripts;
};

struct HookRunnerOptions {
  RetryPolicy retry;
  /// Of a whole preparation, from its start: hooks that each take their time must not hold an upgrade for ever.
  std::chrono::seconds preparation_timeout{3600};
  /// No pause between two looks is longer, whatever a hook says; tests shorten it.
  std::chrono::milliseconds poll_max{kHookTimeoutMax};
};

/// How a sequence of steps ended, apart from success.
enum class RunEnd {
  Finished,     ///< All steps are done; the record says with what result.
  Interrupted,  ///< Stop was asked for, or the claim is lost: somebody continues from the record.
  RetryLater,   ///< The store or the FE is out of reach; nothing is lost.
};

/// Not thread safe; made for one run. Blocks up to the hooks' timeouts; `stop` ends waits and prevents new steps.
class HookRunner {
 public:
  HookRunner(ClaimedRecord& record, const HookPeers& peers, const Clock& clock, HookRunnerOptions options,
             std::stop_token stop);

  /// Runs every hook that is not completed, in order, until one critical hook fails. Leaves phase Completed or Failed.
  [[nodiscard]] RunEnd prepare();

  /// Reads every setting back and sets again what some FE does not have. Error: not proven to hold now.
  /// `detail` says what had to be set again, empty for nothing.
  [[nodiscard]] Status reassert(std::chrono::seconds budget, std::string& detail);

  /// Puts back every captured value where the FE still has what the gate set. Ok: proven, nothing is owed any more.
  [[nodiscard]] Status restore(std::chrono::seconds budget);

  /// Whether every setting of the record's hooks holds on every alive FE. Never writes.
  [[nodiscard]] Result<bool> holds(Deadline deadline, std::string& drifted);

  /// See FrontendFleet.
  [[nodiscard]] Result<std::vector<DatabaseNode>> nodes(Deadline deadline);

 private:
  /// What an early hook set may be gone by the end of a late one: an FE restarted, or the process that ran the early one
  /// did. Reads all settings back, once all hooks are through, and sets again what is missing.
  [[nodiscard]] Status confirm();
  [[nodiscard]] RunEnd run_hook(std::size_t index);
  [[nodiscard]] Status run_statement(const Hook& hook, Deadline deadline);
  [[nodiscard]] Status run_setting(const Hook& hook, Deadline deadline);
  [[nodiscard]] Status capture(const SettingReading& reading, const Hook& hook);
  [[nodiscard]] Status put_back(const CapturedSetting& captured, Deadline deadline);
  [[nodiscard]] Result<FrontendFleet*> fleet(Deadline deadline);
  /// Repeats `step` while it is Unavailable, with back-off, until `deadline` or stop.
  [[nodiscard]] Status retry(Deadline deadline, const std::function<Status()>& step);
  [[nodiscard]] bool pause(std::chrono::milliseconds duration);  // false when stopped
  [[nodiscard]] Deadline store_deadline() const;

  ClaimedRecord& record_;
  FencedConnector connector_;
  const HookPeers peers_;  // with connector_ in place of the one that was given
  const Clock& clock_;
  const HookRunnerOptions options_;
  const std::stop_token stop_;
  std::optional<FrontendFleet> fleet_;
  std::minstd_rand random_;
};

}  // namespace gate
