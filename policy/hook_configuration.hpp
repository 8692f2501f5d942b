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
#include "policy/preparation.hpp"

namespace gate {

namespace annotation {
inline constexpr std::string_view kPrepareUpgrade = "starrocks.com/prepare-upgrade";
inline constexpr std::string_view kUpgradeHooks = "starrocks.com/upgrade-hooks";
inline constexpr std::string_view kHooksConfigMap = "starrocks.com/upgrade-hooks-configmap";
inline constexpr std::string_view kTimeoutSeconds = "starrocks.com/upgrade-timeout-seconds";
inline constexpr std::string_view kCredentialsSecret = "starrocks.com/upgrade-credentials-secret";
}  // namespace annotation

/// A predefined hook (design 2.3): a frontend setting.
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
  bool configured = false;  ///< Some source asks for preparation.
  PreparationMode mode = PreparationMode::Run;
  std::vector<Hook> hooks;  ///< Valid hooks, in order, names unique.
  std::vector<std::string> warnings;
  std::vector<ConfigurationFault> faults;
};

/// Resolves the sources of design 2.2 in order for `object` (a StarRocksCluster; for a warehouse, its own annotations).
/// `default_hooks` are the gate's own (`--default-hooks`), already split; their faults are reported as field
/// "--default-hooks". Objects may be null or of any shape: a wrong type is a fault, never an exception.
/// `changes` restricts spec.<component>Spec.upgradeHooks to the components that change; empty means all of them.
///
/// - Switched on without naming a hook anywhere in the object (prepare-upgrade "true", or
///   spec.upgradePreparation.enabled true): the recommended hooks.
/// - Switched off (prepare-upgrade "false", enabled false): that source alone is off, and is not judged.
/// - A timeout holds for the hooks of its source; that of the annotations also for `default_hooks`.
/// - A hook of spec.upgradePreparation: `command` is a predefined name or one SQL statement; `critical` defaults to
/// true
///   for SQL and to the catalogue's word for a predefined hook; `name` defaults to the predefined name, or "hook-<n>",
///   n counting the list from 1. A bundle's hooks keep their own names.
/// - The same name twice: the first counts, with a warning; with other SQL it is a fault.
/// - An enable-* hook beside the disable-* hook that it reverses is left out with a warning: the gate itself restores
///   what it captured. Any other two values for one setting are a fault.
[[nodiscard]] HookConfiguration resolve_hooks(const nlohmann::json& object,
                                              const std::vector<std::string>& default_hooks,
                                              const std::vector<ImageChange>& changes = {});

/// "field: value "x": accepted y" per fault, joined with "; "; a long list is cut and the rest counted.
[[nodiscard]] std::string describe(const std::vector<ConfigurationFault>& faults);

}  // namespace gate
