#pragma once
// The loop behind admission: claims open records, prepares, follows the rollout, puts back (design 2.8 and 2.9).
// Level-triggered: every look reads the record and the world anew, so events only make it look sooner.

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/preparation/frontends/frontend_questions.hpp"
#include "server/preparation/hooks/hook_runner.hpp"
#include "server/preparation/lifecycle/claimed_record.hpp"
#include "server/preparation/lifecycle/paced_store.hpp"
#include "server/preparation/lifecycle/rollout_leader.hpp"
#include "server/preparation/lifecycle/status_mirror.hpp"
#include "server/preparation/lifecycle/work_queue.hpp"

namespace spdlog {
class logger;
}

namespace gate {

struct ControllerOptions {
  std::string
      identity;  ///< Of this replica; the pod's name. The same name after a restart takes its claims back at once.
  std::size_t workers = 8;  ///< Records worked on at once; what an FE holds up is not among them: see WorkQueue.
  std::chrono::seconds reassert_interval{30};     ///< Between two read-backs while the settings must hold.
  std::chrono::seconds admit_within{3600};        ///< A preparation that nobody uses is undone after this.
  std::chrono::seconds max_hold{6 * 3600};        ///< A rollout that does not end keeps the settings no longer.
  std::chrono::milliseconds claim_renewal{5000};  ///< While a record is worked on.
  /// Renewals not seen for this long: the replica is gone. One that cannot renew stops after three quarters of it.
  std::chrono::seconds claim_stale_after{20};
  std::vector<std::string> default_hooks{};  ///< The gate's own: with them every object asks for hooks.
  bool pays_only = false;                    ///< Nothing but putting back what is due.
  HookRunnerOptions hooks;
};

struct ControllerStats {
  std::size_t queued = 0;
  std::size_t restores_owed = 0;
  std::chrono::seconds oldest_debt{};      ///< Age of the oldest captured value that is not back.
  std::chrono::seconds longest_overdue{};  ///< Since when putting back is due but has not been proven, at most.
  std::uint64_t prepared = 0;
  std::uint64_t failed = 0;
  std::uint64_t restored = 0;
  std::uint64_t reasserted = 0;
  std::uint64_t bypassed = 0;
  std::uint64_t claims_taken_over = 0;
};

/// Thread safe. Owns its threads; the destructor stops them.
class PreparationController {
 public:
  /// The peers outlive the controller.
  PreparationController(PreparationStore& store, const HookPeers& peers, const Clock& clock, spdlog::logger& log,
                        ControllerOptions options);
  ~PreparationController();
  PreparationController(const PreparationController&) = delete;
  PreparationController& operator=(const PreparationController&) = delete;

  /// Starts the threads. Registers nothing: the app passes the store's events to record_changed().
  void start();
  /// Interrupts the connector and joins; claims are released so that another replica continues at once.
  void stop();

  void record_changed(const Preparation& record, bool removed);
  /// This replica has just created `record`: it is worked on here, unless all workers are busy and another is faster.
  void created_here(const Preparation& record);
  /// The object of open records was written: look at them now.
  void object_changed(const std::string& name_space, const std::string& kind, const std::string& name);

  /// See FrontendQuestions; answered between start() and stop().
  [[nodiscard]] ReadBack read_back(const Preparation& record, Deadline deadline) {
    return questions_.read_back(record, deadline);
  }
  [[nodiscard]] std::vector<RunningNode> running_nodes(const std::string& name_space, const std::string& cluster,
                                                       Deadline deadline) {
    return questions_.running_nodes(name_space, cluster, deadline);
  }

  /// For StatusMirror::AnsweringScope.
  [[nodiscard]] StatusMirror& status_mirror() { return mirror_; }

  [[nodiscard]] ControllerStats stats() const;

 private:
  /// What this replica remembers of a record between two looks.
  struct Tracked {
    std::shared_ptr<ClaimedRecord> claim;  ///< Set while it is worked on, and between two passes over its hooks.
    std::shared_ptr<HookRunner> runner;    ///< Of these passes; refers to `claim`.
    int unconfirmed = 0;                   ///< Rounds in a row in which some FE did not answer.
    SteadyTime next_look{};
    bool hurried = false;          ///< The object changed since the last look began.
    std::string looked_at;         ///< State of the record after the last look; a look at the same is not hurried.
    std::string others_claim;      ///< Last renewal seen of another replica's claim.
    SteadyTime others_claim_seen;  ///< When it was first seen.
    int restore_failures = 0;
  };
  /// A claim and what was taken up again with it.
  struct Kept {
    std::shared_ptr<ClaimedRecord> claim;
    std::chrono::milliseconds wait{};  ///< Not yet: come again then.
  };
  /// What the watch tells of every record, kept small: there may be ten thousand.
  struct Known {
    std::string object;      ///< "namespace/kind/name"
    std::string supersedes;  ///< Key of the predecessor; empty: none.
    bool open = false;
    bool owed = false;
    std::string state;  ///< See state_text.
    std::optional<WallTime> began;
    std::optional<WallTime> due;
  };

  void work(const std::stop_token& stop);
  void beat(const std::stop_token& stop);

  /// One look; returns when to look again, nullopt for never.
  [[nodiscard]] std::optional<std::chrono::milliseconds> reconcile(const std::string& key, const std::stop_token& stop);
  /// One look with the claim held; lets it go unless hooks are under way.
  [[nodiscard]] std::optional<std::chrono::milliseconds> look(const std::shared_ptr<ClaimedRecord>& claim,
                                                              const std::string& key, const std::stop_token& stop);
  [[nodiscard]] std::optional<std::chrono::milliseconds> advance(const std::shared_ptr<ClaimedRecord>& claim,
                                                                 const std::string& key, const std::stop_token& stop);
  /// The claim that is kept between two passes over the hooks of `key`, where nobody else has moved the record on.
  [[nodiscard]] std::optional<Kept> kept_claim(const std::string& key);
  /// One pass over the hooks; see HookRunner::prepare().
  [[nodiscard]] std::optional<std::chrono::milliseconds> prepare(const std::shared_ptr<ClaimedRecord>& claim,
                                                                 const std::string& key);
  [[nodiscard]] std::optional<std::chrono::milliseconds> follow(ClaimedRecord& claim, const std::stop_token& stop);
  [[nodiscard]] std::optional<std::chrono::milliseconds> restore(ClaimedRecord& claim, const std::string& key,
                                                                 const std::stop_token& stop);

  [[nodiscard]] std::optional<std::chrono::milliseconds> close_bypass(ClaimedRecord& claim);

  [[nodiscard]] Result<std::shared_ptr<ClaimedRecord>> claim(const std::string& key, const Preparation& record,
                                                             std::chrono::milliseconds& look_again);
  [[nodiscard]] Status take_over_debt(ClaimedRecord& claim);
  /// Takes a led rollout a step on, and says what it waits for; returns when to look again.
  [[nodiscard]] std::chrono::milliseconds lead(ClaimedRecord& claim, const nlohmann::json& object,
                                               std::optional<std::string>& waiting_for);
  /// The record's one message between two looks, written when it changed: in verify mode a drift, which nobody mends
  /// (an event, too, when it begins); otherwise what the rollout waits for, if that is known.
  void report(ClaimedRecord& claim, const Status& held, const std::optional<std::string>& waiting_for);
  [[nodiscard]] bool has_successor(const std::string& key) const;
  [[nodiscard]] bool asks_no_more(const Preparation& record, const nlohmann::json& object) const;
  /// Stores the nodes that the rollout is to restart. Best effort: without them their versions alone are judged.
  void remember_nodes(ClaimedRecord& claim, HookRunner& runner);
  /// What the rollout waits for, empty when it is over. Error: it cannot be known now.
  [[nodiscard]] Result<std::string> rollout_waits_for(const Preparation& record, HookRunner& runner);
  [[nodiscard]] Status begin_restore(ClaimedRecord& claim, Outcome outcome, const std::string& why);
  [[nodiscard]] Status close(ClaimedRecord& claim, bool object_gone);
  void prune(const Preparation& closed);
  void forget(const std::string& key);
  void drop_if_idle(const std::string& key);  // requires mutex_
  void renew_claims();
  [[nodiscard]] std::chrono::milliseconds lease() const { return options_.claim_stale_after * 3 / 4; }
  [[nodiscard]] Deadline store_deadline() const;

  const Clock& clock_;
  const ControllerOptions options_;
  WorkQueue queue_{clock_, options_.workers};
  PacedStore store_;
  const HookPeers peers_;
  ClusterAccess& clusters_;  // of peers_
  spdlog::logger& log_;
  std::stop_source passes_;  // stops runners that are kept

  StatusMirror mirror_{clusters_, clock_};
  RolloutLeader leader_{clusters_, peers_.connector, clock_, log_};
  FrontendQuestions questions_{peers_, clock_, log_};
  std::atomic<std::uint64_t> prepared_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> restored_{0};
  std::atomic<std::uint64_t> reasserted_{0};
  std::atomic<std::uint64_t> bypassed_{0};
  std::atomic<std::uint64_t> claims_taken_over_{0};

  mutable std::mutex mutex_;
  std::map<std::string, Tracked> tracked_;  // guarded by mutex_
  std::map<std::string, Known> known_;      // guarded by mutex_

  std::vector<std::jthread> threads_;  // last: joined before what they use is gone
};

}  // namespace gate
