#pragma once
// Objects that `plan` passes over although a cluster comes of them.

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace gate {

/// Why a StarRocksCluster that `object` brings was not judged, and what to do: it is inside of it (a ManifestWork, a
/// Template), or what it deploys is not in the files (a HelmRelease, an Argo CD Application). "" for any other object.
[[nodiscard]] std::string not_judged_of(const nlohmann::json& object);

}  // namespace gate
