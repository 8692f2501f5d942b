#pragma once
// The fields that a plan reads of a manifest, as the API server has them: what is of another type, or written with a
// typing error, is not what it was meant to be, and would be taken as absent.

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "policy/json/member_reader.hpp"

namespace gate {

/// A ConfigMap with this label says of itself that it holds hooks; its value is then "true".
inline constexpr std::string_view kHooksLabel = "starrocks.com/upgrade-hooks";

/// Of a StarRocksCluster, a StarRocksWarehouse or a ConfigMap: name and namespace, the fields with images and sizes,
/// labels of ours. What asks for hooks is judged where it is read (hook_configuration.hpp). Pure.
[[nodiscard]] std::vector<ConfigurationFault> shape_faults(std::string_view kind, const nlohmann::json& object);

/// Of a ConfigMap that hooks are read from: its data.
[[nodiscard]] std::vector<ConfigurationFault> data_faults(const nlohmann::json& config_map);

/// Of a list: "items" with a typing error.
[[nodiscard]] std::vector<ConfigurationFault> list_faults(const nlohmann::json& list);

}  // namespace gate
