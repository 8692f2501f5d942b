#pragma once
// UpgradePreparation (gate.starrocks.com/v1alpha1): the durable record of one preparation, and its transitions.
// Pure values; the stores keep them, the runner moves them on, decide() reads them.

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/hooks/led_rollout.hpp"
#include "policy/text/result.hpp"
#include "policy/text/time.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {

inline constexpr std::string_view kPreparationApiVersion = "gate.starrocks.com/v1alpha1";
inline constexpr std::string_view kPreparationKind = "UpgradePreparation";

/// On a record from its creation until it is closed and nothing is pending: whoever deletes it, or its owner, does not
/// take what is captured in it along.
inline constexpr std::string_view kRestoreFinalizer = "gate.starrocks.com/restore";

enum class Phase { Pending, Running, Completed, Failed };
enum class Stage { Preparing, Prepared, RollingOut, Restoring, Closed };
enum class Outcome { None, Succeeded, Failed, Reverted, Superseded, Expired, Bypassed };
enum class HookPhase { Pending, Running, Completed, Failed, Skipped };

[[nodiscard]] std::string_view to_string(Phase phase);
[[nodiscard]] std::string_view to_string(Stage stage);
[[nodiscard]] std::string_view to_string(Outcome outcome);  // "" for None
[[nodiscard]] std::string_view to_string(HookPhase phase);
/// Inverses of to_string; nothing for any other text.
[[nodiscard]] std::optional<Phase> phase_from(std::string_view text);
[[nodiscard]] std::optional<Stage> stage_from(std::string_view text);
[[nodiscard]] std::optional<Outcome> outcome_from(std::string_view text);
[[nodiscard]] std::optional<HookPhase> hook_phase_from(std::string_view text);

/// The object whose images change.
struct ObjectRef {
  std::string kind;  ///< StarRocksCluster or StarRocksWarehouse.
  std::string name;
  std::string uid;
  friend bool operator==(const ObjectRef&, const ObjectRef&) = default;
};

struct RequestedBy {
  std::string username;
  std::vector<std::string> groups;
  std::string request_uid;
  std::string traceparent{};  ///< Of the span of the review (policy/trace/trace.hpp); empty where it has none.
  friend bool operator==(const RequestedBy&, const RequestedBy&) = default;
};

/// A change that was let through unprepared, by somebody who may (policy/bypass.hpp).
struct Bypass {
  std::string target;  ///< The key that was named, or "*".
  std::string reason;
  std::optional<WallTime> until;
  friend bool operator==(const Bypass&, const Bypass&) = default;
};

/// Immutable once created; the API server enforces it with a CEL rule.
struct PreparationSpec {
  ObjectRef object;
  std::string cluster;  ///< The StarRocksCluster whose FE is prepared, in the record's namespace.
  int attempt = 1;      ///< 1, 2, ... for one key.
  std::vector<ImageChange> changes;
  std::vector<Hook> hooks;  ///< In the order they run.
  PreparationMode mode = PreparationMode::Run;
  RequestedBy requested_by;
  std::string supersedes;  ///< Name of the record whose values and pending restores this one takes over; may be empty.
  std::string candidate_of;  ///< Name of the record whose rollout was under way when this one began; may be empty.
  /// Of components whose story had not ended when this record began: what their pods last ran completely
  /// (policy/record/history.hpp).
  std::vector<ComponentImage> origins;
  /// Components whose image was in the middle of a rollout, and is replaced by another than their origin: what is wrong
  /// with their nodes is what the change is to cure.
  std::vector<Component> cures;
  std::string retry_token;    ///< The retry annotation when this attempt began: the same value starts no other one.
  bool asked_before = false;  ///< The object asked for hooks before the request, too: if it ceases to, they are undone.
  LedRollout rollout;         ///< How its rollout is led, if it is.
  std::optional<Bypass> bypass;  ///< Set: nothing is run and nothing is pending; the record is there to be seen.
  friend bool operator==(const PreparationSpec&, const PreparationSpec&) = default;
};

struct HookStatus {
  std::string name;
  HookPhase phase = HookPhase::Pending;
  int attempts = 0;
  std::optional<WallTime> start_time;
  std::optional<WallTime> completion_time;
  std::string message;
  friend bool operator==(const HookStatus&, const HookStatus&) = default;
};

/// A frontend setting that a hook overwrites: written to the record before the first SET.
struct CapturedSetting {
  std::string key;     ///< Canonical name, as ADMIN SHOW FRONTEND CONFIG reports it.
  std::string value;   ///< Before the hook.
  std::string set_to;  ///< What the hook sets; restore happens only where the FE still has it. One entry per value.
  friend bool operator==(const CapturedSetting&, const CapturedSetting&) = default;
};

/// An undo other than a captured setting: written to the record before its hook runs, taken out once it was done.
struct PendingUndo {
  std::string hook;
  std::string sql;     ///< One statement, or
  std::string script;  ///< a script whose post_upgrade() is to run.
  std::chrono::seconds timeout = kHookTimeoutDefault;
  friend bool operator==(const PendingUndo&, const PendingUndo&) = default;
};

/// A node that the rollout is to restart, as the database knew it before.
struct NodeBefore {
  Component component = Component::Frontend;
  std::string name;
  std::string started;  ///< As printed by the FE, in its own time zone: compared, never read.
  std::string version;  ///< "3.3.1-1f1aa9c"
  bool alive = true;
  friend bool operator==(const NodeBefore&, const NodeBefore&) = default;
};

/// Who works on the record. Stale when `renew_time` has not been seen to change for a while.
struct RunnerClaim {
  std::string identity;
  std::optional<WallTime> renew_time;
  friend bool operator==(const RunnerClaim&, const RunnerClaim&) = default;
};

struct PreparationStatus {
  Phase phase = Phase::Pending;
  std::string reason;   ///< CamelCase, for machines.
  std::string message;  ///< For people; cleaned of control characters.
  Stage stage = Stage::Preparing;
  Outcome outcome = Outcome::None;
  std::vector<HookStatus> hooks;  ///< Same order as spec.hooks; may be shorter before the first write.
  std::vector<CapturedSetting> captured;
  /// Name and start of the FE that led when settings were set last: one that started again since has its file's values.
  std::string settings_leader;
  std::vector<PendingUndo> undo;
  bool restore_pending = false;
  bool taken_over = false;  ///< Captured values of spec.supersedes were copied into this record.
  std::optional<WallTime> start_time;
  std::optional<WallTime> completion_time;
  std::optional<WallTime> admitted_time;
  /// When every pod and node was found to run what the record prepared: the story of its components ended there.
  std::optional<WallTime> rolled_out_time;
  /// The same for another image: after a rollback, or where the object went on to an image of somebody else's.
  std::optional<WallTime> rolled_back_time;
  std::vector<ComponentImage> rolled_back_to;  ///< That image, of each component of the record.
  bool pods_moved = false;                     ///< The new images were seen on a StatefulSet.
  std::optional<WallTime> restoring_time;      ///< When the restore began; that of a failure is its completion_time.
  std::optional<WallTime> restored_time;
  std::optional<WallTime> reopened_time;  ///< When a Completed was last found to be no longer true.
  std::vector<NodeBefore> nodes_before;   ///< Of the changed components; empty when the FE could not be asked.
  RolloutProgress rollout;                ///< Where spec.rollout leads.
  RunnerClaim runner;
  friend bool operator==(const PreparationStatus&, const PreparationStatus&) = default;
};

struct Preparation {
  std::string name;
  std::string name_space;
  std::string uid;               ///< Assigned by the store.
  std::string resource_version;  ///< Assigned by the store; compare-and-set token.
  std::optional<WallTime> creation_time;
  bool deleting = false;  ///< Has a deletionTimestamp.
  std::string key{};      ///< Of without_bodies(): the spec does not tell it any more. Else empty.
  bool held = false;      ///< Has kRestoreFinalizer; read only.
  PreparationSpec spec;
  PreparationStatus status;
};

/// First 10 hex digits of SHA-256 over (object UID, changes, hooks) in canonical JSON: the identity of a target.
[[nodiscard]] std::string preparation_key(std::string_view object_uid, const std::vector<ImageChange>& changes,
                                          const std::vector<Hook>& hooks, PreparationMode mode = PreparationMode::Run);
/// The key of an existing record: the one in its name, else that of its spec. A projection need not have its hooks.
[[nodiscard]] std::string preparation_key(const PreparationSpec& spec);
[[nodiscard]] std::string preparation_key(const Preparation& record);

/// The label of each record with the name of its cluster; a name that is too long for a label is cut, with a hash.
inline constexpr std::string_view kClusterLabel = "gate.starrocks.com/cluster";
[[nodiscard]] std::string cluster_label(std::string_view cluster);

/// What decisions about other records need of this one, small however large its hooks are: hooks keep their names and
/// kinds (those of a closed record are left out), and what was captured, what is to be undone and the nodes are left
/// out. Not for working on the record.
[[nodiscard]] Preparation without_bodies(Preparation record);

/// `<object>-<key>-<attempt>`; the object's name is cut so that the whole is a valid DNS-1123 name of at most 253.
[[nodiscard]] std::string preparation_name(std::string_view object_name, std::string_view key, int attempt);

/// Since when the restore is due; nothing while it is not, or when it is done.
[[nodiscard]] std::optional<WallTime> restore_due_since(const Preparation& record);

/// Indexes of the script hooks whose Jobs may still run although the record prepares no more.
[[nodiscard]] std::vector<std::size_t> scripts_left_running(const Preparation& record);

/// Not Closed, or with a restore or the end of a script still pending.
[[nodiscard]] bool is_open(const Preparation& record);

/// Its successor has frozen it, and takes over what it has still to restore. (One that ends as Superseded on its own,
/// since a newer rollout has taken its pods along, restores for itself.)
[[nodiscard]] bool is_handed_over(const Preparation& record);

/// Ends an open record from outside of its runner: what it captured is to be restored, and nothing else.
void cancel(PreparationStatus& status, WallTime now, const std::string& why);

/// Names of hooks in `phase`, in order.
[[nodiscard]] std::vector<std::string> hooks_in(const PreparationStatus& status, HookPhase phase);

/// Exponential back-off after a failed attempt: base doubled per attempt, capped. Same for all replicas.
struct FailureBackoff {
  std::chrono::seconds base{30};
  std::chrono::seconds max{600};
};
[[nodiscard]] WallTime next_attempt_time(const Preparation& failed, const FailureBackoff& backoff);

}  // namespace gate
