#pragma once
// Verify mode: somebody else may prepare the cluster and keep `.status.upgradePreparationStatus` of the
// StarRocksCluster (ADR 47). What their word means for one record.
//
// They write `phase` and the target it is for: `targetImages` (component to image, {"be": "starrocks/be-ubuntu:3.5.7"})
// or `key` (the gate's own key of the target). They leave `preparation` out: that field names an UpgradePreparation, so
// a status that has it was written by a gate.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "policy/record/preparation.hpp"

namespace gate {

struct ExternalPreparation {
  enum class State {
    NotKept,    ///< Nobody but a gate has written the field: there is nothing to wait for.
    Waiting,    ///< Not completed yet, or not for this target.
    Completed,  ///< For this target.
    Failed,     ///< For this target.
  };
  State state = State::NotKept;
  std::string detail;  ///< What the field says, for people; cleaned.
};

/// `cluster` is the StarRocksCluster as read; any JSON.
[[nodiscard]] ExternalPreparation external_preparation(const nlohmann::json& cluster, const PreparationSpec& spec);

}  // namespace gate
