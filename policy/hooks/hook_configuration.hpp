#pragma once
// The hooks that a cluster's owner asked for: resolved from the object and its ConfigMaps, or refused with every fault
// at once (docs/reference.md, Configuration).

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/hooks/hook_definition.hpp"
#include "policy/hooks/led_rollout.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {

namespace annotation {
inline constexpr std::string_view kPrepareUpgrade = "starrocks.com/prepare-upgrade";
inline constexpr std::string_view kUpgradeHooks = "starrocks.com/upgrade-hooks";
inline constexpr std::string_view kHooksConfigMap = "starrocks.com/upgrade-hooks-configmap";
inline constexpr std::string_view kHooksMode = "starrocks.com/upgrade-hooks-mode";
inline constexpr std::string_view kTimeoutSeconds = "starrocks.com/upgrade-timeout-seconds";
inline constexpr std::string_view kCredentialsSecret = "starrocks.com/upgrade-credentials-secret";
}  // namespace annotation

/// A ConfigMap that hooks were looked for in.
struct ConfigMapText {
  std::map<std::string, std::string> data;
  std::string error;   ///< Why it could not be read; empty: it was.
  bool lasts = false;  ///< Reading again alone does not help.
};

/// All that the hooks of one object depend on.
struct HookSources {
  const nlohmann::json& object;              ///< A StarRocksCluster; for a warehouse, its own annotations. Any shape.
  std::vector<std::string> default_hooks{};  ///< The gate's own (`--default-hooks`), already split.
  /// The change that is asked for: what `when` and the components' upgradeHooks are judged by. Empty: the configuration
  /// is judged as such, and everything in it counts.
  std::vector<ImageChange> changes{};
  std::map<std::string, ConfigMapText> config_maps{};  ///< Of the object's namespace, by name; absent: there is none.
  HookRules rules{};
  LedRollout rollout_defaults{};  ///< What the gate's owner wants of objects that say nothing about their rollouts.
  /// Nothing is stored: ConfigMaps and keys that are not there, and what is wrong with those that are, may be put right
  /// by the same bundle, and are warnings.
  bool dry_run = false;
};

struct HookConfiguration {
  bool configured = false;  ///< Some source asks for preparation, and for this change.
  PreparationMode mode = PreparationMode::Run;
  std::vector<Hook> hooks;  ///< Valid hooks, in order, names unique; none is needed for a rollout that is led.
  LedRollout rollout;
  /// Only the gate's owner wants the rollout led, by the defaults: where it cannot be led, it is not, and that is no
  /// fault.
  bool led_by_default = false;
  bool only_led = false;  ///< Nothing else asks for preparation for this change.
  std::vector<std::string> warnings;
  std::vector<ConfigurationFault> faults;
  /// ConfigMaps that could not be read, with the reason: the hooks are then not all known. No fault of the object.
  std::vector<std::string> unread;
  bool unread_lasts = false;  ///< The API server refused one of them for good: reading again alone does not help.
};

/// The ConfigMaps that `resolve_hooks` would look into, without repeats.
[[nodiscard]] std::vector<std::string> referenced_config_maps(const nlohmann::json& object,
                                                              const std::vector<ImageChange>& changes);

/// Resolves the sources in the order of docs/reference.md.
///
/// - Switched on without naming a hook anywhere in the object (prepare-upgrade "true", or
///   spec.upgradePreparation.enabled true): the recommended hooks.
/// - Switched off (prepare-upgrade "false", enabled false): that source alone is off, and is not judged.
/// - A timeout holds for the hooks of its source unless they have their own; that of the annotations also for
///   `default_hooks`. Faults of these are reported as field "--default-hooks".
/// - A hook of spec.upgradePreparation: `command` is a predefined name or one SQL statement, and may be left out when
///   `name` is a predefined name; `critical` defaults to true for SQL and to the catalogue's word for a predefined
///   hook; `name` defaults to the predefined name, or "hook-<n>", n counting the list from 1. A bundle's hooks keep
///   their own names.
/// - A ConfigMap "name/key": that entry; "name" alone: all entries with a known ending, in the order of their keys.
///   Hooks without a name are called "<key without ending>-<n>", a script "<key without ending>".
/// - A hook whose `when` does not cover any of the changes is left out. When that leaves none, nothing is configured.
/// - The same name twice: the first counts, with a warning; doing something else it is a fault.
/// - Asking for a led rollout is asking for preparation, with whatever hooks there are (rollout_configuration.hpp).
/// - `rollout_defaults` alone ask for nothing: they count for objects that ask for preparation (of any component: the
///   change alone does not decide it, or the webhook on StatefulSets would have to know which change a write is part
///   of) or to be led.
/// - An enable-* hook beside the disable-* hook that it reverses is left out with a warning: the gate itself restores
///   what it captured. Any other two values for one setting are a fault.
[[nodiscard]] HookConfiguration resolve_hooks(const HookSources& sources);

/// The entries of a ConfigMap of hooks, each for itself: which of them are used together is up to the cluster.
[[nodiscard]] HookConfiguration validate_config_map(const std::map<std::string, std::string>& data,
                                                    const HookRules& rules);

/// "field: invalid value "x": want y" per fault, without the value where there is none, joined with "; "; a long list
/// is cut and the rest counted.
[[nodiscard]] std::string describe(const std::vector<ConfigurationFault>& faults);

}  // namespace gate
