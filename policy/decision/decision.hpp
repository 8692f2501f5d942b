#pragma once
// The verdict on one image change: a pure function of gathered facts (README.md, What is decided).

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/record/preparation.hpp"
#include "policy/review/admission_review.hpp"
#include "policy/text/time.hpp"
#include "policy/versions/image_change.hpp"
#include "policy/versions/upgrade_path.hpp"

namespace gate {

/// What was found when the settings of a Completed record were read back from every alive FE.
enum class ReadBack { NotDone, Holds, Drifted, Unreachable };

/// What the API server says to the right to bypass (SubjectAccessReview).
enum class Permission { NotAsked, Granted, Refused, Unknown };

struct AdmissionFacts {
  bool dry_run = false;
  std::string kind;  ///< StarRocksCluster or StarRocksWarehouse
  std::string name_space;
  std::string name;
  std::string object_uid;
  std::string cluster;  ///< The StarRocksCluster whose FE is prepared.
  std::vector<ImageChange> changes;
  /// Fields of the spec, or of a component that changes its image, that change besides images: dropped with a denial.
  int other_changed_fields = 0;
  std::vector<ComponentImage> unchanged;  ///< The object's other components: they matter to the order.
  VersionPolicy version_policy = VersionPolicy::Off;
  std::vector<RunningNode> running;  ///< Empty until read, and where the FE did not answer.
  HookConfiguration configuration;
  std::vector<Preparation> records;  ///< Of `cluster`, newest first.
  bool store_reachable = true;
  std::string store_error;
  bool store_refused = false;  ///< And would be again, until somebody gives the gate the right that is named there.
  ReadBack read_back = ReadBack::NotDone;
  WallTime now{};
  FailureBackoff backoff;
  std::string username;  ///< Who asks; for texts.
  std::string bypass;    ///< The annotation as written; empty: not asked for.
  Permission may_bypass = Permission::NotAsked;
  bool asked_before = false;  ///< The old object asks for hooks, too.
  std::string retry_token;    ///< The retry annotation; empty: none.
  /// How the object that is stored differs from the one that was sent (difference_from_stored()); empty: it does not,
  /// or there is nothing to compare with.
  std::string stored_difference;
  /// The API server refused the record for good, in its words: nothing was started.
  std::string record_refusal;
  bool bypass_taken_away = false;  ///< The stored object has a bypass annotation, the new one has none.
};

/// What the caller must do before the answer is final. At most one per round; each changes a fact, so rounds end.
enum class Effect {
  None,           ///< `answer` is final.
  Start,          ///< Create the record `start`, then gather again.
  Reopen,         ///< The Completed record `subject` is no longer true: set it back to Pending, then gather again.
  ReadVersions,   ///< Read the versions of the cluster's alive nodes into `running`, then decide again.
  ReadBack,       ///< Read the settings of `subject` back from the FEs, then decide again.
  Wait,           ///< Wait for `subject` to finish or the admission wait to pass, then gather again.
  AskPermission,  ///< Ask whether the user may bypass, then decide again.
  RecordBypass,   ///< Create the record `start`, best effort; `answer` is final.
};

struct Decision {
  Effect effect = Effect::None;
  AdmissionAnswer answer;
  std::string subject;                   ///< Name of the record the decision is about; may be empty.
  std::optional<PreparationSpec> start;  ///< For Start and RecordBypass; requested_by is left to the caller.
  std::string start_name;
};

/// What a review may still do: each of these once.
struct EffectsLeft {
  bool read_versions = true;
  bool read_back = true;
  bool wait = true;
  [[nodiscard]] static EffectsLeft none() { return {false, false, false}; }
};

[[nodiscard]] Decision decide(const AdmissionFacts& facts, EffectsLeft left = {});

/// What the rules of StarRocks' versions say to the change, by what is known so far. Empty with VersionPolicy::Off.
/// `asked`: the database was, for `running`; it need not have answered.
[[nodiscard]] std::vector<PathFinding> path_findings(const AdmissionFacts& facts, bool asked);
/// The key of the change that is asked for: what a bypass is bound to, and part of the record's name.
[[nodiscard]] std::string target_key(const AdmissionFacts& facts);

/// Records of one cluster that hold something or have a restore pending, at most: each newer target takes over from the
/// one before, so more than a few are a loop that somebody has built.
inline constexpr std::size_t kOpenRecordsMax = 10;
/// New records of one cluster within kNewRecordsWindow: as many as are kept of a cluster, so that none is pruned before
/// it has been counted. A person who retries by hand makes one in half a minute.
inline constexpr std::size_t kNewRecordsMax = 10;
inline constexpr std::chrono::seconds kNewRecordsWindow{60};

/// The refusal of a bypass annotation, when it is written, to somebody who may not bypass.
[[nodiscard]] AdmissionAnswer bypass_forbidden(std::string_view username, const std::string& name_space);

/// The refusal of a faulty configuration, also when it is written and no image changes.
[[nodiscard]] AdmissionAnswer hooks_invalid(const AdmissionFacts& facts);

/// Reasons of denials, as clients see them: `Error from server (UpgradePreparationRunning): ...`.
namespace reason {
inline constexpr std::string_view kHooksInvalid = "UpgradeHooksInvalid";
inline constexpr std::string_view kPathForbidden = "UpgradePathForbidden";
inline constexpr std::string_view kRunning = "UpgradePreparationRunning";
inline constexpr std::string_view kFailed = "UpgradePreparationFailed";
inline constexpr std::string_view kUnavailable = "UpgradeGateUnavailable";
inline constexpr std::string_view kObjectChanged = "UpgradeObjectChanged";
inline constexpr std::string_view kRecordRefused = "UpgradePreparationRefused";
inline constexpr std::string_view kTooMany = "UpgradePreparationsTooMany";
inline constexpr std::string_view kBypassForbidden = "UpgradeBypassForbidden";
}  // namespace reason

/// Never 409, 422, 429 or 5xx: those make clients delete and recreate the object, or wait silently.
inline constexpr int kDenialCode = 403;

}  // namespace gate
