#pragma once
// A record as the API server stores it. Each field is listed once, for both directions.

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/text/result.hpp"

namespace gate {

/// The whole object: apiVersion, kind, metadata (ownerReferences to spec.object), spec, status with what follows from
/// the rest: the fields of printer columns (progress "2/4", blocking, from, to) and conditions. Never fails.
[[nodiscard]] nlohmann::json to_json(const Preparation& record);
[[nodiscard]] nlohmann::json status_to_json(const Preparation& record);
/// As spec.rollout has it.
[[nodiscard]] nlohmann::json to_json(const LedRollout& rollout);

/// Tolerates unknown fields and an absent status; InvalidInput names the field that is missing or of a wrong type.
[[nodiscard]] Result<Preparation> preparation_from_json(const nlohmann::json& object);

/// What makes a target: preparation_key() is its digest. The same values give the same members, whatever the gate
/// learns.
[[nodiscard]] nlohmann::json identity_to_json(std::string_view object_uid, const std::vector<ImageChange>& changes,
                                              const std::vector<Hook>& hooks, PreparationMode mode);

}  // namespace gate
