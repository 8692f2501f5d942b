#pragma once
// How a cluster's owner wants its rollouts led: annotations, spec.upgradePreparation, the gate's own defaults.

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "policy/hooks/led_rollout.hpp"
#include "policy/json/member_reader.hpp"

namespace gate {

namespace annotation {
inline constexpr std::string_view kUpgradeAdmission = "starrocks.com/upgrade-admission";
inline constexpr std::string_view kUpgradeRollout = "starrocks.com/upgrade-rollout";
inline constexpr std::string_view kUpgradeHealth = "starrocks.com/upgrade-health";
inline constexpr std::string_view kHealthReadings = "starrocks.com/upgrade-health-readings";
inline constexpr std::string_view kStepTimeout = "starrocks.com/upgrade-step-timeout-seconds";
inline constexpr std::string_view kUpgradeResume = "starrocks.com/upgrade-resume";
}  // namespace annotation

/// On a namespace: the webhook on StatefulSets sees no other one.
inline constexpr std::string_view kRolloutsLabel = "gate.starrocks.com/rollouts";
inline constexpr std::string_view kRolloutsEnabled = "enabled";

struct RolloutConfiguration {
  LedRollout rollout;
  std::vector<ConfigurationFault> faults;  ///< What is faulty has its default in `rollout`.
};

/// What `object` (a StarRocksCluster or StarRocksWarehouse of any shape) asks for. An annotation counts before the same
/// field of spec.upgradePreparation (admission, rollout, health[], healthReadings, stepTimeoutSeconds), and that before
/// `defaults`. All faults are named, with what would be accepted.
[[nodiscard]] RolloutConfiguration resolve_rollout(const nlohmann::json& object, const LedRollout& defaults);

}  // namespace gate
