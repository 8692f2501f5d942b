#pragma once
// Carries out single hooks on one connection: the five actions, the patience that each needs, and what must be in the
// record before anything is changed.

#include <chrono>
#include <functional>
#include <optional>
#include <random>
#include <stop_token>
#include <string>

#include "policy/record/external_preparation.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/http_caller.hpp"
#include "server/ports/script_jobs.hpp"
#include "server/preparation/frontends/frontend_fleet.hpp"
#include "server/preparation/frontends/frontend_probes.hpp"
#include "server/preparation/hooks/fenced_peers.hpp"
#include "server/preparation/lifecycle/claimed_record.hpp"

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

/// A step that timed out or met a broken connection says nothing about its hook: it is repeated.
[[nodiscard]] bool out_of_reach(const Error& error);

/// How a hook ended well.
struct HookDone {
  HookPhase phase = HookPhase::Completed;  ///< Or Skipped.
  std::string message;                     ///< What was observed, or why it was skipped; may be empty.
};

/// Not thread safe: one per thread; any number may share a record. Blocks up to the deadlines it is given; `stop` ends
/// waits and prevents new steps.
class HookExecutor {
 public:
  HookExecutor(ClaimedRecord& record, const HookPeers& peers, const Clock& clock, const HookRunnerOptions& options,
               std::stop_token stop);

  /// Carries out hook `index` of the record, which says already that it runs. While it waits, the record's messages say
  /// for what. An Error is the failure of the hook.
  [[nodiscard]] Result<HookDone> run(std::size_t index, Deadline deadline);

  /// Removes what hook `index` left behind and nobody needs once its end is in the record. Best effort.
  void clean_up(std::size_t index);

  /// Ends the scripts that run although the record prepares no more, and says so in it. Error: some may still run, try
  /// again; what may not be deleted is left to its own time limit.
  [[nodiscard]] Status stop_scripts();

  /// Sets `hook`'s setting on every alive FE, captured first, proven by a read-back.
  [[nodiscard]] Status apply_setting(const Hook& hook, Deadline deadline);

  /// Does one owed undo and takes it out of the record. A script may take its own timeout, whatever `deadline`.
  [[nodiscard]] Status undo(const OwedUndo& owed, Deadline deadline);

  /// Verify mode: what somebody else who prepares this cluster says about the record's target.
  [[nodiscard]] Result<ExternalPreparation> external(Deadline deadline);
  /// Waits until they have completed it, where there is somebody.
  [[nodiscard]] Status await_external_preparation(Deadline deadline);

  /// Of the record's cluster; connected at the first use.
  [[nodiscard]] Result<FrontendFleet*> fleet(Deadline deadline);
  [[nodiscard]] bool pause(std::chrono::milliseconds duration);  ///< False when stopped.

 private:
  [[nodiscard]] Result<HookDone> run_sql(const Hook& hook, const SqlAction& action, Deadline deadline);
  [[nodiscard]] Result<HookDone> run_query(const Hook& hook, const QueryAction& action, Deadline deadline);
  [[nodiscard]] Result<HookDone> run_probe(const Hook& hook, const ProbeAction& action, Deadline deadline);
  [[nodiscard]] Result<HookDone> run_http(const Hook& hook, const HttpAction& action, Deadline deadline);
  [[nodiscard]] Result<HookDone> run_script(const Hook& hook, std::size_t index, Deadline deadline);
  [[nodiscard]] Result<HookDone> verify_setting(const Hook& hook, Deadline deadline);
  [[nodiscard]] Result<Observation> ask_http(const Hook& hook, const HttpAction& action, Deadline deadline);
  [[nodiscard]] Result<Observation> look_at_job(const ScriptJob& job, Deadline deadline);
  [[nodiscard]] Result<std::string> run_mode(Deadline deadline);
  [[nodiscard]] Status capture(const SettingReading& reading, const Hook& hook);
  [[nodiscard]] Status owe(const OwedUndo& undo);
  [[nodiscard]] Status settle(const OwedUndo& owed);

  /// Repeats `step` with back-off until `deadline` or stop: while the peer is out of reach, and `retries` times when it
  /// refused.
  [[nodiscard]] Status retry(Deadline deadline, int retries, const std::function<Status()>& step);
  /// Repeats `look` every `interval` until what it observes holds. The error at the deadline says what was observed.
  [[nodiscard]] Result<HookDone> poll(const std::string& hook, int retries, std::chrono::milliseconds interval,
                                      Deadline deadline, const std::function<Result<Observation>()>& look);
  void show(const std::string& hook, const std::string& observed);
  [[nodiscard]] Deadline store_deadline() const;

  ClaimedRecord& record_;
  ClusterAccess& clusters_;  // only read: what has an effect goes through the fenced peers
  FencedConnector connector_;
  FencedHttpCaller http_;
  FencedScriptJobs scripts_;
  const Clock& clock_;
  const HookRunnerOptions options_;
  const std::stop_token stop_;
  const PreparationMode mode_;
  std::optional<FrontendFleet> fleet_;
  std::minstd_rand random_;
  std::string shown_;
  SteadyTime shown_at_{};
};

}  // namespace gate
