#pragma once
// What becomes of one record from its hooks to its closing. Level-triggered: each look reads the record and the
// world anew and takes it one step on.

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "server/base/log.hpp"
#include "server/preparation/hooks/hook_runner.hpp"
#include "server/preparation/lifecycle/hand_over.hpp"
#include "server/preparation/lifecycle/rollout_leader.hpp"
#include "server/preparation/notices/status_mirror.hpp"

namespace gate {

struct LifecycleOptions {
  std::chrono::seconds reassert_interval{30};  ///< Between two read-backs while the settings must hold.
  std::chrono::seconds admit_within{3600};     ///< A preparation that nobody uses is undone after this.
  std::chrono::seconds max_hold{6 * 3600};     ///< A rollout that does not end keeps the settings no longer.
  std::vector<std::string> default_hooks{};    ///< The gate's own: with them every object asks for hooks.
  LedRollout rollout_defaults{};               ///< As in HookSources.
  HookRunnerOptions hooks;
};

/// Those that a closed record may have.
inline constexpr std::array kClosingOutcomes = {Outcome::Succeeded,  Outcome::Failed,  Outcome::Reverted,
                                                Outcome::Superseded, Outcome::Expired, Outcome::Bypassed};

struct LifecycleCounts {
  /// Records that were closed, by outcome.
  std::array<std::atomic<std::uint64_t>, kClosingOutcomes.size()> closed{};
  std::atomic<std::uint64_t> prepared{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> restored{0};
  std::atomic<std::uint64_t> abandoned{0};
  std::atomic<std::uint64_t> reasserted{0};
  std::atomic<std::uint64_t> bypassed{0};
};

/// What is kept of a record between two looks.
struct RecordSession {
  bool shared = false;                 ///< Other open records of its cluster are known.
  int restore_failures = 0;            ///< In a row.
  int unconfirmed = 0;                 ///< Rounds in a row in which some FE did not answer.
  std::shared_ptr<HookRunner> runner;  ///< Between two passes over its hooks; refers to the claim.
  /// Of one look alone: its object as this look, or the admission that created the record, has read it, where that is
  /// the cluster itself; and its version.
  std::shared_ptr<const nlohmann::json> object;
  SteadyTime object_counts_until{};
  std::string object_version;
  bool start_untold = false;    ///< The event of its start; one that is through at once needs none.
  bool outcome_untold = false;  ///< Of one look: the event of its outcome, which may also say that it is closed.
};

/// What a lifecycle works with. All outlive it.
struct LifecyclePeers {
  PreparationStore& store;
  const HookPeers& hooks;
  StatusMirror& mirror;
  const Clock& clock;
  Logger& log;
};

/// Thread safe, as long as each record is with one thread at a time.
class RecordLifecycle {
 public:
  /// When to look again; nullopt: the record is done with.
  using Again = std::optional<std::chrono::milliseconds>;

  RecordLifecycle(const LifecyclePeers& peers, LifecycleOptions options);

  /// One look at the claimed record. `passes` stops a runner that is kept between looks, `stop` this look. Blocks as
  /// HookRunner does.
  [[nodiscard]] Again advance(const std::shared_ptr<ClaimedRecord>& claim, RecordSession& session,
                              const std::stop_token& passes, const std::stop_token& stop);

  /// Whether nothing is to be done between the claim of `record` and its being Running, so that one write does for
  /// both.
  [[nodiscard]] static bool begins_with_claim(const Preparation& record);
  static void set_running(PreparationStatus& status, WallTime now);

  [[nodiscard]] const LifecycleCounts& counts() const { return counts_; }
  /// Records closed with `outcome` here.
  [[nodiscard]] std::uint64_t closed(Outcome outcome) const;

 private:
  /// What one look while following found.
  struct Look;

  [[nodiscard]] Again step(ClaimedRecord& claim, RecordSession& session, const std::stop_token& passes,
                           const std::stop_token& stop);
  /// One pass over the hooks; see HookRunner::prepare().
  [[nodiscard]] Again prepare(ClaimedRecord& claim, RecordSession& session, const std::stop_token& passes);
  /// Up to the first hook; success with the stage moved on where there is nothing to prepare for any more.
  [[nodiscard]] Status begin(ClaimedRecord& claim, RecordSession& session);
  [[nodiscard]] Again follow(ClaimedRecord& claim, RecordSession& session, const std::stop_token& stop);
  [[nodiscard]] Again restore(ClaimedRecord& claim, RecordSession& session, const std::stop_token& stop);
  [[nodiscard]] Again close_bypass(ClaimedRecord& claim);

  /// Compares the object with a record that nobody was seen to use yet. A value: the look ends with it.
  [[nodiscard]] std::optional<Again> watch_admission(ClaimedRecord& claim, Look& look, HookRunner& runner);
  [[nodiscard]] std::optional<Again> watch_rollout(ClaimedRecord& claim, Look& look, HookRunner& runner);
  /// `seen`: what is waited for goes with the same write.
  [[nodiscard]] Status follow_from_now(ClaimedRecord& claim, bool admitted,
                                       const std::optional<Result<RolloutState>>& seen);
  /// Name of a newer record of the same object whose images are there now; empty: none.
  [[nodiscard]] std::string used_on_top(const Preparation& record, const std::vector<ComponentImage>& present);
  /// What the rollout to the look's goal waits for, empty when it is over. Error: it cannot be known now.
  [[nodiscard]] Result<std::string> rollout_waits_for(ClaimedRecord& claim, const RolloutGoal& goal,
                                                      const RolloutState& rollout, HookRunner& runner);
  /// Takes a led rollout a step on, and says what it waits for; returns when to look again.
  [[nodiscard]] std::chrono::milliseconds lead(ClaimedRecord& claim, Look& look);
  [[nodiscard]] Status learn_from_neighbours(ClaimedRecord& claim);
  /// The record's one message between two looks, written when it changed: in verify mode a drift, which nobody fixes
  /// (an event, too, when it begins); otherwise what the rollout waits for, if that is known.
  void report(ClaimedRecord& claim, const Status& held, const Look& look);
  [[nodiscard]] bool hooks_removed(const Preparation& record, const nlohmann::json& object) const;
  /// The nodes that the rollout is to restart; nullopt: the record has them, or they cannot be known now.
  [[nodiscard]] std::optional<std::vector<NodeBefore>> nodes_before(ClaimedRecord& claim, HookRunner& runner);
  /// Stores the nodes that the rollout is to restart, where it has not begun once they are known. Best effort: without
  /// them their versions alone are judged.
  void remember_nodes(ClaimedRecord& claim, HookRunner& runner);
  /// `stand_at`: what every pod and node was found to run; nullptr where that is not known.
  [[nodiscard]] Again restore_as(ClaimedRecord& claim, Outcome outcome, const std::string& why,
                                 const std::vector<ComponentImage>* stand_at = nullptr);
  /// Whether nothing is left of the FE that a record's settings are on: its object, its cluster and its StatefulSet are
  /// gone; or there is nobody who could know, and it has not answered for long.
  [[nodiscard]] Result<bool> frontend_is_gone(const Preparation& record, const RecordSession& session,
                                              HookRunner& runner);
  /// As it is now: read, or as `session` has it from who created the record.
  [[nodiscard]] Result<nlohmann::json> object_of(const Preparation& record, const RecordSession& session);
  void tell_start(const Preparation& record, RecordSession& session);
  /// False: there is nothing to tell, or it was told.
  bool tell_outcome(const Preparation& record, RecordSession& session, const std::string& also);
  /// What was read of the record's cluster goes to the mirror and to the rest of this look.
  void has_read(const Preparation& record, const nlohmann::json& object, RecordSession& session);
  [[nodiscard]] Again abandon(ClaimedRecord& claim);
  [[nodiscard]] Status close(ClaimedRecord& claim, const std::string& abandoned_because);
  void prune(const Preparation& closed);
  [[nodiscard]] Deadline store_deadline() const;

  PreparationStore& store_;
  const HookPeers peers_;
  ClusterAccess& clusters_;  // of peers_
  StatusMirror& mirror_;
  const Clock& clock_;
  Logger& log_;
  const LifecycleOptions options_;
  HandOver hand_over_;
  RolloutLeader leader_;
  void count_closed(Outcome outcome);

  LifecycleCounts counts_;
};

}  // namespace gate
