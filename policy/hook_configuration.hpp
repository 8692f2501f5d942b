#pragma once
// The hooks that a cluster's owner asked for: resolved from the object, or refused with every fault at once
// (design 2.2 and 2.3).

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hook.hpp"
#include "policy/image_change.hpp"

namespace gate {

namespace annotation {
inline constexpr std::string_view kPrepareUpgrade = "starrocks.com/prepare-upgrade";
inline constexpr std::string_view kUpgradeHooks = "starrocks.com/upgrade-hooks";
inline constexpr std::string_view kHooksConfigMap = "starrocks.com/upgrade-hooks-configmap";
inline constexpr std::string_view kTimeoutSeconds = "starrocks.com/upgrade-timeout-seconds";
inline constexpr std::string_view kCredentialsSecret = "starrocks.com/upgrade-credentials-secret";
}  // namespace annotation

/// A predefined hook (design 2.3). `bundle` names other hooks instead of SQL.
struct PredefinedHook {
  std::string_view name;
  std::string_view config_key;
  std::string_view config_value;
  bool critical = true;
  std::string_view reverses;  ///< For enable-*: the disable-* hook whose effect it takes back.
};
[[nodiscard]] const std::vector<PredefinedHook>& hook_catalogue();
/// Names that `recommended` stands for.
[[nodiscard]] const std::vector<std::string_view>& recommended_hooks();

/// One thing wrong with a configuration.
struct ConfigurationFault {
  std::string field;     ///< "spec.upgradePreparation.hooks[1].command" or "metadata.annotations[...]".
  std::string value;     ///< As written, cleaned and cut.
  std::string accepted;  ///< What would be accepted.
};

struct HookConfiguration {
  bool configured = false;   ///< Some source asks for preparation.
  std::vector<Hook> hooks;   ///< Valid hooks, in order, names unique.
  std::vector<std::string> warnings;
  std::vector<ConfigurationFault> faults;
};

/// Resolves the sources of design 2.2 in order for `object` (a StarRocksCluster; for a warehouse, its own annotations).
/// `default_hooks` are the gate's own (`--default-hooks`), already split; their faults are reported as field
/// "--default-hooks". Objects may be null or of any shape: a wrong type is a fault, never an exception.
[[nodiscard]] HookConfiguration resolve_hooks(const nlohmann::json& object,
                                              const std::vector<std::string>& default_hooks);

/// "field: value "x": accepted y" per fault, joined with "; ".
[[nodiscard]] std::string describe(const std::vector<ConfigurationFault>& faults);

}  // namespace gate
