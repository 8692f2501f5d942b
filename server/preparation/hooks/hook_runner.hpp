#pragma once
// What one worker does for one claimed record: run the hooks, set again what was lost, put back.
// Every step is written to the record before it is taken and is safe to repeat, so a crash costs a repetition at most.

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "server/preparation/hooks/hook_executor.hpp"

namespace gate {

/// How a sequence of steps ended, apart from success.
enum class RunEnd {
  Finished,     ///< All steps are done; the record says with what result.
  Interrupted,  ///< Stop was asked for, or the claim is lost: somebody continues from the record.
  RetryLater,   ///< The store or the FE is out of reach; nothing is lost.
};

/// Not thread safe; made for one run. Blocks up to the hooks' timeouts; `stop` ends waits and prevents new steps.
class HookRunner {
 public:
  HookRunner(ClaimedRecord& record, const HookPeers& peers, const Clock& clock, const HookRunnerOptions& options,
             const std::stop_token& stop);

  /// Runs every hook that is not settled, in order, until one critical hook fails or the preparation's time is over.
  /// Neighbours of one group run at the same time, each on a connection of its own and to its own end: the others of a
  /// group are not cut off when one fails, for a statement that was cut off may or may not have been executed.
  /// In verify mode nothing is changed on the FE. Leaves phase Completed or Failed.
  [[nodiscard]] RunEnd prepare();

  /// Reads every setting back and sets again what some FE does not have. Error: not proven to hold now.
  /// `detail` says what had to be set again, empty for nothing. In verify mode nothing is set: a drift is an Error.
  [[nodiscard]] Status reassert(std::chrono::seconds budget, std::string& detail);

  /// See HookExecutor. Before restore(): post_upgrade() is not to meet pre_upgrade().
  [[nodiscard]] Status stop_scripts() { return executor_.stop_scripts(); }

  /// Puts back every captured value where the FE still has what the gate set, and does every other undo that is owed,
  /// the last first. Ok: proven, nothing is owed any more. May take a script's own timeout longer than `budget`.
  [[nodiscard]] Status restore(std::chrono::seconds budget);

  /// Whether every setting of the record's hooks holds on every alive FE (and, in verify mode, whether who prepares
  /// this cluster still says Completed). Never writes.
  [[nodiscard]] Result<bool> holds(Deadline deadline, std::string& drifted);

  /// See FrontendFleet.
  [[nodiscard]] Result<std::vector<DatabaseNode>> nodes(Deadline deadline);

 private:
  /// Of one record, hooks [first, last).
  [[nodiscard]] RunEnd run_group(std::size_t first, std::size_t last, Deadline preparation_deadline);
  /// Thread safe as long as each thread has its own executor.
  [[nodiscard]] RunEnd run_hook(HookExecutor& executor, std::size_t index, Deadline preparation_deadline);
  [[nodiscard]] Status begin_hook(const PreparationSpec& spec, std::size_t index);
  /// Writes how the preparation ended; `last` is what was still to be proven once the hooks were through.
  [[nodiscard]] RunEnd finish(const PreparationSpec& spec, const Status& last, const char* reason_of_last);
  [[nodiscard]] RunEnd end_of(const Status& written) const;
  /// Calls `visit` with what the FEs have of each setting that is to hold, until it says false.
  [[nodiscard]] Status for_each_setting(
      Deadline deadline, const std::function<Result<bool>(const Hook& hook, const SettingReading& reading)>& visit);
  [[nodiscard]] Status put_back(const CapturedSetting& captured, Deadline deadline);
  [[nodiscard]] Deadline store_deadline() const;
  [[nodiscard]] Deadline preparation_deadline() const;

  ClaimedRecord& record_;
  const HookPeers peers_;
  const Clock& clock_;
  const HookRunnerOptions options_;
  const std::stop_token stop_;
  HookExecutor executor_;
};

}  // namespace gate
