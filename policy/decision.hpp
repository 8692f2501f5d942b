#pragma once
// The verdict on one image change: a pure function of gathered facts (design 2.5).

#include <optional>
#include <string>
#include <vector>

#include "policy/admission_review.hpp"
#include "policy/hook_configuration.hpp"
#include "policy/image_change.hpp"
#include "policy/preparation.hpp"
#include "policy/time.hpp"
#include "policy/upgrade_path.hpp"

namespace gate {

/// What was found when the settings of a Completed record were read back from every alive FE.
enum class ReadBack { NotDone, Holds, Drifted, Unreachable };

struct AdmissionFacts {
  bool dry_run = false;
  std::string kind;  ///< StarRocksCluster or StarRocksWarehouse
  std::string name_space;
  std::string name;
  std::string object_uid;
  std::string cluster;  ///< The StarRocksCluster whose FE is prepared.
  std::vector<ImageChange> changes;
  int other_changed_fields = 0;           ///< Top-level spec fields that change besides images: dropped with a denial.
  std::vector<ComponentImage> unchanged;  ///< The object's other components: they matter to the order.
  VersionPolicy version_policy = VersionPolicy::Off;
  std::vector<RunningNode> running;  ///< Empty until read, and where the FE did not answer.
  bool running_read = false;         ///< `running` is final.
  HookConfiguration configuration;
  std::vector<Preparation> records;  ///< Of `cluster`, newest first.
  bool store_reachable = true;
  std::string store_error;
  ReadBack read_back = ReadBack::NotDone;
  bool read_back_possible = true;  ///< False once the time for it is used up.
  bool waited = false;             ///< The bounded wait is over (or not wanted).
  WallTime now{};
  FailureBackoff backoff;
};

/// What the caller must do before the answer is final. At most one per round; each changes a fact, so rounds end.
enum class Effect {
  None,          ///< `answer` is final.
  Start,         ///< Create the record `start`, then gather again.
  Reopen,        ///< The Completed record `subject` is no longer true: set it back to Pending, then gather again.
  ReadVersions,  ///< Read the versions of the cluster's alive nodes into `running`, then decide again.
  ReadBack,      ///< Read the settings of `subject` back from the FEs, then decide again.
  Wait,          ///< Wait for `subject` to finish or the admission wait to pass, then gather again.
};

struct Decision {
  Effect effect = Effect::None;
  AdmissionAnswer answer;
  std::string subject;                   ///< Name of the record the decision is about; may be empty.
  std::optional<PreparationSpec> start;  ///< For Effect::Start; requested_by is left to the caller.
  std::string start_name;
};

[[nodiscard]] Decision decide(const AdmissionFacts& facts);

/// What the rules of StarRocks' versions say to the change, by what is known so far. Empty with VersionPolicy::Off.
[[nodiscard]] std::vector<PathFinding> path_findings(const AdmissionFacts& facts);

/// The refusal of a faulty configuration, also when it is written and no image changes.
[[nodiscard]] AdmissionAnswer hooks_invalid(const AdmissionFacts& facts);

/// Reasons of denials, as clients see them: `Error from server (UpgradePreparationRunning): ...`.
namespace reason {
inline constexpr std::string_view kHooksInvalid = "UpgradeHooksInvalid";
inline constexpr std::string_view kPathForbidden = "UpgradePathForbidden";
inline constexpr std::string_view kRunning = "UpgradePreparationRunning";
inline constexpr std::string_view kFailed = "UpgradePreparationFailed";
inline constexpr std::string_view kUnavailable = "UpgradeGateUnavailable";
}  // namespace reason

/// Never 409, 422, 429 or 5xx: those make clients delete and recreate the object, or wait silently.
inline constexpr int kDenialCode = 403;

}  // namespace gate
