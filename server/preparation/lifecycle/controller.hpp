#pragma once
// The loop behind admission: claims open records, prepares, follows the rollout, restores.
// Level-triggered: every look reads the record and the world anew, so events only make it look sooner.

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/preparation/hooks/frontend_reader.hpp"
#include "server/preparation/hooks/hook_runner.hpp"
#include "server/preparation/lifecycle/record_lifecycle.hpp"
#include "server/preparation/notices/status_mirror.hpp"
#include "server/preparation/notices/turn_notices.hpp"
#include "server/preparation/records/claimed_record.hpp"
#include "server/preparation/records/paced_store.hpp"
#include "server/preparation/records/work_queue.hpp"

namespace gate {

struct ControllerOptions : LifecycleOptions {
  std::string
      identity;  ///< Of this replica; the pod's name. The same name after a restart takes its claims back at once.
  std::size_t workers = 8;  ///< Records worked on at once; what an FE holds up is not among them: see WorkQueue.
  /// Between two looks at a record because its object was written.
  std::chrono::milliseconds look_distance{1000};
  std::chrono::milliseconds claim_renewal{5000};  ///< While a record is worked on.
  /// How far hooks are that take longer than this is stored, for people who look.
  std::chrono::milliseconds progress_stored_after{500};
  /// Renewals not seen for this long: the replica is gone. One that cannot renew stops after three quarters of it.
  std::chrono::seconds claim_stale_after{20};
  bool restore_only = false;  ///< Restores what is due and closes bypasses, nothing else.
  bool conditions = false;    ///< Of clusters are written: see ConditionWriter.
  /// May be empty. Called with each record that is closed, before its finalizer goes: so the record tells that nobody
  /// was told yet, and a replica that ends in between leaves it to another one. That of several replicas which closed
  /// it comes first. Twice for one record only where a process ended, or two were too quick. Must not block.
  std::function<void(const Preparation&)> on_closed{};
};

struct ControllerStats {
  std::size_t queued = 0;
  std::size_t restores_pending = 0;
  std::chrono::seconds oldest_unrestored{};  ///< Age of the oldest captured value that is not back.
  std::chrono::seconds longest_overdue{};    ///< Since when a restore is due but has not been proven, at most.
  /// Records closed by this replica, by outcome in the order of kClosingOutcomes.
  std::array<std::uint64_t, kClosingOutcomes.size()> closed{};
  std::uint64_t prepared = 0;
  std::uint64_t failed = 0;
  std::uint64_t restored = 0;
  std::uint64_t abandoned = 0;  ///< Closed without restoring: the FE is gone.
  std::uint64_t reasserted = 0;
  std::uint64_t bypassed = 0;
  std::uint64_t claims_taken_over = 0;
};

/// The cluster that a record is of, as it was read a moment ago.
struct ObjectRead {
  std::shared_ptr<const nlohmann::json> object;  ///< Null: not read.
  SteadyTime counts_until{};
};

/// Thread safe. Owns its threads; the destructor stops them.
class PreparationController {
 public:
  /// The peers outlive the controller.
  PreparationController(PreparationStore& store, const HookPeers& peers, const Clock& clock, Logger& log,
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
  /// `object`: what it is of, as the admission has just read it; nothing: it is read.
  void created_here(const Preparation& record, const ObjectRead& object = {});
  /// The object of open records was written: look at them now. `version`: its resourceVersion; empty: gone, or not
  /// known.
  void object_changed(const std::string& name_space, const std::string& kind, const std::string& name,
                      const std::string& version = {});

  /// See FrontendReader; answered between start() and stop().
  [[nodiscard]] ReadBack read_back(const Preparation& record, Deadline deadline,
                                   std::shared_ptr<FrontendInquiry> inquiry = nullptr) {
    return questions_.read_back(record, deadline, std::move(inquiry));
  }
  [[nodiscard]] std::vector<RunningNode> running_nodes(const std::string& name_space, const std::string& cluster,
                                                       Deadline deadline,
                                                       std::shared_ptr<FrontendInquiry> inquiry = nullptr) {
    return questions_.running_nodes(name_space, cluster, deadline, std::move(inquiry));
  }

  /// For StatusMirror::AnsweringScope.
  [[nodiscard]] StatusMirror& status_mirror() { return mirror_; }

  [[nodiscard]] ControllerStats stats() const;

 private:
  struct Read {
    Preparation record;
    bool remembered = false;  ///< Not read: as this replica wrote it last. The claim is compare-and-set.
    ObjectRead object{};      ///< What it is of, where that was read, too.
  };
  /// What this replica remembers of a record between two looks.
  struct Tracked {
    std::shared_ptr<ClaimedRecord> claim;  ///< Set while it is worked on, and between two passes over its hooks.
    std::optional<Read> created;           ///< As it was created here, until the first look.
    std::optional<Preparation> left;       ///< As the last look here left it stored.
    RecordSession session;                 ///< Its runner, of these passes, refers to `claim`.
    SteadyTime next_look{};
    std::optional<SteadyTime> last_look;  ///< When the last one began.
    bool changed_meanwhile = false;       ///< The object changed since the last look began.
    std::string
        last_seen_state;  ///< State of the record after the last look; a look at the same is not changed_meanwhile.
    std::string others_claim;        ///< Last renewal seen of another replica's claim.
    SteadyTime others_claim_seen{};  ///< When it was first seen.
    std::string object_version;      ///< Of the object as the last look here saw it.

    /// How long a look at a record of `state` is to wait, the next being `distance` from the last at least; nullopt: it
    /// is due.
    [[nodiscard]] std::optional<std::chrono::milliseconds> early(const std::string& state, SteadyTime now,
                                                                 std::chrono::milliseconds distance) const;
  };
  /// A claim and what was taken up again with it.
  struct Kept {
    std::shared_ptr<ClaimedRecord> claim;
    std::chrono::milliseconds wait{};  ///< Not yet: come again then.
  };
  /// What the watch tells of every record, kept small: there may be ten thousand.
  struct Known {
    std::string object;       ///< "namespace/kind/name"
    std::string cluster;      ///< The same, of the cluster whose FE is prepared.
    std::string cluster_key;  ///< "namespace/name" of that.
    std::string supersedes;   ///< Key of the predecessor; empty: none.
    bool open = false;
    bool pending = false;
    bool others = false;     ///< Another replica has claimed it.
    bool unclaimed = false;  ///< Nobody has, and its hooks have not begun.
    bool held = false;
    std::string claim;                ///< See renewal_text.
    SteadyTime claim_seen{};          ///< When this renewal was told of first.
    std::chrono::seconds patience{};  ///< See patience_with.
    std::string version;
    std::string state;  ///< See state_text.
    std::string step;   ///< See step_text.
    std::optional<WallTime> began;
    std::optional<WallTime> due;
    std::optional<SteadyTime> let_go_at{};  ///< Of one that another replica closed: when to take its finalizer off.
  };

  /// Each by its key.
  struct Records {
    std::map<std::string, Tracked> tracked;
    std::map<std::string, Known> known;
    std::set<std::string> told;       ///< UIDs of records that on_closed had and that are held.
    std::set<std::string> let_go_of;  ///< UIDs of those that were let go here, until the watch tells so.

    [[nodiscard]] bool has_neighbours(const std::string& key, const Preparation& record) const;
    /// An event that tells nothing that the last look has not seen, and the next is not due.
    [[nodiscard]] bool is_echo(const std::string& key, const Preparation& record, SteadyTime now) const;
    void drop_if_idle(const std::string& key);
    /// Where this replica's own writes of status alone made the object of `key` count as changed, it does no more.
    void forgive_own_writes(const std::string& key, const ConditionWriter& conditions);
  };

  /// When to look at what has changed.
  [[nodiscard]] SteadyTime look_at(bool others) const;
  void work(const std::stop_token& stop);
  /// Calls `beat` again and again, a fraction of a claim's renewal apart.
  void repeat(const std::stop_token& stop, const std::function<void()>& beat);

  /// One look; returns when to look again, nullopt for never.
  [[nodiscard]] std::optional<std::chrono::milliseconds> reconcile(const std::string& key, const std::stop_token& stop);
  /// One look with the claim held; lets it go unless hooks are under way.
  [[nodiscard]] std::optional<std::chrono::milliseconds> look(const std::shared_ptr<ClaimedRecord>& claim,
                                                              const std::string& key, const std::stop_token& stop);
  /// The claim that is kept between two passes over the hooks of `key`, where nobody else has moved the record on.
  [[nodiscard]] std::optional<Kept> kept_claim(const std::string& key);
  [[nodiscard]] Result<std::shared_ptr<ClaimedRecord>> claim(const std::string& key, const Read& found,
                                                             std::chrono::milliseconds& look_again);
  /// How long a claim of `stage` is left alone after its last renewal.
  [[nodiscard]] std::chrono::seconds patience_with(Stage stage) const;
  /// What the watch tells of a record of another replica suffices until then; nullopt: it is to be read.
  [[nodiscard]] std::optional<std::chrono::milliseconds> left_to_others(const std::string& key) const;
  [[nodiscard]] bool has_successor(const std::string& key) const;
  [[nodiscard]] bool is_let_go_here(const Preparation& record) const;
  /// How long the replica that closed `record` still has to let it go; nullopt: nobody does but this one.
  [[nodiscard]] std::optional<std::chrono::milliseconds> left_to_its_closer(const std::string& key,
                                                                            const Preparation& record) const;
  /// Of a closed record. False: try again later.
  [[nodiscard]] bool let_go(const Preparation& record);
  /// Live, but for one that was written here last, as far as the watch tells.
  [[nodiscard]] Result<Read> read(const std::string& key);
  void forget(const std::string& key);
  void renew_claims();
  void flush_mirrors();
  /// Keys of clusters with one open record, which another replica works on, or none, where another one has closed the
  /// last a moment ago.
  [[nodiscard]] std::set<std::string> clusters_of_others() const;
  void tell_turns(const std::stop_token& stop);
  [[nodiscard]] std::chrono::milliseconds lease() const { return options_.claim_stale_after * 3 / 4; }
  [[nodiscard]] Deadline store_deadline() const;

  const Clock& clock_;
  const ControllerOptions options_;
  WorkQueue queue_{clock_, options_.workers};
  PacedStore store_;
  const HookPeers peers_;
  ClusterAccess& clusters_;  // of peers_
  Logger& log_;
  std::stop_source passes_;  // stops runners that are kept

  ConditionWriter conditions_;
  StatusMirror mirror_;
  RecordLifecycle lifecycle_;
  FrontendReader questions_{peers_, clock_, log_};
  TurnNotices turns_{store_, clock_, queue_};  // of one thread
  std::atomic<std::uint64_t> claims_taken_over_{0};

  Guarded<Records> records_;

  std::vector<std::jthread> threads_;  // last: joined before what they use is gone
};

}  // namespace gate
