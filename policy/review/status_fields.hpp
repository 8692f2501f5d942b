#pragma once
// Names of what the gate writes into the status of a StarRocksCluster besides its mirror.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace gate {

namespace condition {
/// True: the images of the spec run, nothing of an upgrade is under way, and the operator says "running".
inline constexpr std::string_view kReady = "Ready";
/// True while an upgrade goes on by itself, tries again after failures included. Else absent.
inline constexpr std::string_view kReconciling = "Reconciling";
/// True where an upgrade goes on only when a person does something. Else absent.
inline constexpr std::string_view kStalled = "Stalled";
/// Ours. True while the spec has images to which some pods may not go yet. Else absent.
inline constexpr std::string_view kHeld = "UpgradeHeld";
}  // namespace condition

inline constexpr std::array kConditionTypes{condition::kReady, condition::kReconciling, condition::kStalled,
                                            condition::kHeld};
[[nodiscard]] constexpr bool is_condition_of_ours(std::string_view type) {
  return std::find(kConditionTypes.begin(), kConditionTypes.end(), type) != kConditionTypes.end();
}
inline constexpr std::string_view kConditionsField = "conditions";
/// What the CRD takes (manifests/crd-extension); a longer list would have the whole write of a status refused.
inline constexpr std::size_t kConditionsMax = 64;
inline constexpr std::string_view kObservedGenerationField = "observedGeneration";

}  // namespace gate
