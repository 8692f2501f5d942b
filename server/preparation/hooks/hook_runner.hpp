#pragma once
// What is done for one claimed record: run its hooks in order, set again what was lost, restore.
// Every step is written to the record before it is taken and is safe to repeat, so a crash costs a repetition at most.
//
// No call waits for the world to change: prepare() is one pass that takes every step that can be taken now, and says
// when the next is worth while, so that hooks that poll or back off hold no worker meanwhile.

#include <chrono>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "server/base/backoff.hpp"
#include "server/preparation/hooks/hook_actions.hpp"

namespace gate {

struct RetryPolicy {
  std::chrono::milliseconds base{200};
  std::chrono::milliseconds max{5000};
};

struct HookRunnerOptions {
  RetryPolicy retry;
  /// Of a whole preparation, from its start: hooks that each take their time must not hold an upgrade for ever.
  std::chrono::seconds preparation_timeout{3600};
  /// No pause between two looks is longer, whatever a hook says; tests shorten it.
  std::chrono::milliseconds poll_max{kHookTimeoutMax};
  /// Kinds of statements that the gate's owner allows beyond the usual ones (--allow-sql): see judge_sent_sql().
  std::vector<SqlKind> further_sql{};
};

/// How a pass ended.
enum class RunEnd {
  Finished,     ///< All steps are done; the record says with what result.
  ComeAgain,    ///< Something is waited for; see Pass::again.
  RetryLater,   ///< The store is unreachable; nothing is lost.
  Interrupted,  ///< Stop was asked for, or the claim is lost: somebody continues from the record.
};

struct Pass {
  RunEnd end = RunEnd::Finished;
  std::chrono::milliseconds again{};  ///< Of ComeAgain: from now.
};

enum class Restored {
  Proven,      ///< Every FE has its captured values, and every other undo is done.
  ScriptRuns,  ///< A script's post_upgrade() is not through yet: look again.
};

/// Not thread safe. What it remembers between two passes (sessions, how often a hook was refused) makes it cheaper to
/// keep than to make anew; the record alone suffices to go on.
class HookRunner {
 public:
  /// `record` and the peers outlive this. `stop` prevents new steps.
  HookRunner(ClaimedRecord& record, const HookPeers& peers, const Clock& clock, const HookRunnerOptions& options,
             const std::stop_token& stop);
  ~HookRunner();
  HookRunner(const HookRunner&) = delete;
  HookRunner& operator=(const HookRunner&) = delete;

  /// See HookContext. Before the first of the following.
  void knows_cluster(nlohmann::json object) { context_.knows_cluster(std::move(object)); }

  /// Goes through the hooks that are not settled, in order, until one is waited for, a critical one fails or the
  /// preparation's time is over. Neighbours of one group run at the same time, each on a connection of its own and to
  /// its own end: the others of a group are not cut off when one fails, for a statement that was cut off may or may not
  /// have been executed. In verify mode nothing is changed on the FE. Finished leaves phase Completed or Failed.
  /// Blocks for as long as the exchanges take that are due: some seconds where an FE hangs; a statement of the hooks'
  /// own up to its hook's timeout.
  [[nodiscard]] Pass prepare();

  /// Reads every setting back and sets again what some FE does not have. Error: not proven to hold now; is_transient():
  /// it is worth another try soon. `detail` says what had to be set again, empty for nothing. In verify mode nothing is
  /// set: a drift is an Error. What is in `yielded`, canonical keys, is kept by another record.
  [[nodiscard]] Status reassert(std::chrono::seconds budget, std::string& detail,
                                const std::vector<std::string>& yielded = {});

  /// See hook_actions. Before restore(): post_upgrade() is not to meet pre_upgrade().
  [[nodiscard]] Status stop_scripts() { return gate::stop_scripts(context_); }

  /// Restores every captured value where the FE still has what the gate set, and does every other pending undo,
  /// the last first. What fails keeps nothing else from being done. `left`: what of the captured values is this
  /// record's to restore; nullopt: all.
  [[nodiscard]] Result<Restored> restore(std::chrono::seconds budget,
                                         const std::optional<std::vector<CapturedSetting>>& left = std::nullopt);

  /// Whether every setting of the record's hooks holds on every alive FE (and, in verify mode, whether who prepares
  /// this cluster still says Completed). Never writes.
  [[nodiscard]] Result<bool> holds(Deadline deadline, std::string& drifted);

  /// See FrontendFleet.
  [[nodiscard]] Result<std::vector<DatabaseNode>> nodes(Deadline deadline);

 private:
  /// Of one hook that runs, or of what is waited for once the hooks are through.
  struct Progress;

  /// Of one record, hooks [first, last).
  [[nodiscard]] Pass run_group(std::size_t first, std::size_t last, Deadline preparation_deadline);
  /// Thread safe as long as each thread has its own hook and context.
  [[nodiscard]] Pass run_hook(HookContext& context, Progress& progress, std::size_t index,
                              Deadline preparation_deadline);
  [[nodiscard]] Status begin_hook(Progress& progress, const PreparationSpec& spec, std::size_t index,
                                  Deadline preparation_deadline);
  /// What a look came to: nothing while the hook goes on (`pass` says when), else its end.
  [[nodiscard]] std::optional<Result<Look>> judge(HookContext& context, Progress& progress, const Hook& hook,
                                                  std::size_t index, Result<Look> looked, Pass& pass);
  [[nodiscard]] Pass end_hook(HookContext& context, Progress& progress, const Hook& hook, std::size_t index,
                              const Result<Look>& end);
  [[nodiscard]] Pass confirm(const PreparationSpec& spec, Deadline preparation_deadline);
  [[nodiscard]] Pass await_external(const PreparationSpec& spec, Deadline preparation_deadline);
  /// Writes how the preparation ended; `last` is what was still to be proven once the hooks were through.
  [[nodiscard]] Pass finish(const PreparationSpec& spec, const Status& last, const char* reason_of_last);
  [[nodiscard]] Pass end_of(const Status& written) const;
  void show(Progress& progress, const std::string& hook, const std::string& observed);
  [[nodiscard]] Progress& progress_of(std::size_t index);
  [[nodiscard]] Deadline preparation_deadline() const;

  ClaimedRecord& record_;
  const HookPeers peers_;
  const Clock& clock_;
  const HookRunnerOptions options_;
  const std::stop_token stop_;
  HookContext context_;
  std::map<std::size_t, std::unique_ptr<Progress>> progress_;
};

/// Nothing of the record could drift, so nobody has to be asked.
[[nodiscard]] bool has_no_effect(const Preparation& record);
/// What HookRunner::holds() finds for a record that nobody has to have claimed.
[[nodiscard]] Result<bool> settings_hold(const Preparation& record, FrontendFleet& fleet, ClusterAccess& clusters,
                                         Deadline deadline, std::string& drifted);

}  // namespace gate
