#pragma once
// The fields of Kubernetes objects that the gate reads. What is not named here is never held in memory: a field that
// new code wants to read is added here first.

#include <string_view>

#include "policy/json/json_projection.hpp"

namespace gate {

/// Of one object: a hook configuration of the largest legal size is far below.
inline constexpr ProjectionLimits kObjectLimits{};

/// Of the object and oldObject of a review. `spec` and its components have digests (JsonProjector::digests).
[[nodiscard]] Projection review_projection(std::string_view kind, std::string_view subresource);

/// Of a stored StarRocksCluster or StarRocksWarehouse: as in a review, with its status and the FE's MYSQL_PWD.
[[nodiscard]] Projection stored_object_projection();

/// The texts of a ConfigMap.
[[nodiscard]] Projection config_map_projection();

}  // namespace gate
