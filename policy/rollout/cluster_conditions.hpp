#pragma once
// What the top of a StarRocksCluster's status says to tools that know nothing of the gate: `observedGeneration` and
// `conditions` in the terms of kstatus (Flux, helm --wait, kubectl wait), and in ours. Written together with the mirror
// of the record (`upgradePreparationStatus`); nothing of the gate reads them.
//
// A cluster without conditions counts as current at once, so that they are there in peace too: a spec that nobody has
// looked at yet then has another generation than the observed one.

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/review/status_fields.hpp"

namespace gate {

/// The fields of `.status` ("conditions", "observedGeneration") with which a merge patch makes the status of `cluster`
/// (as stored, of any shape) say what is so; null where it says so already. `records`: those of the cluster, newest
/// first, perhaps without bodies. `asks`: the cluster asks for preparation or for a led rollout; one that does not
/// loses both fields, or nobody would keep its generation up.
/// - Only images that the object has count: a record of a change that is still refused says nothing here.
/// - Conditions of other types are left as they are. Where they leave no room (kConditionsMax) nothing is said. A
/// condition keeps its lastTransitionTime while its status stays.
[[nodiscard]] nlohmann::json condition_fields(const nlohmann::json& cluster, const std::vector<Preparation>& records,
                                              bool asks, WallTime now);

/// `.status.upgradePreparationStatus` for a record. Members that are null remove what an earlier record left.
[[nodiscard]] nlohmann::json mirror_of(const Preparation& record);

}  // namespace gate
