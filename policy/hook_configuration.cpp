#include "policy/hook_configuration.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "policy/sql.hpp"
#include "policy/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr std::string_view kBundleName = "recommended";
/// One list of hooks; the documented procedure has four.
constexpr std::size_t kHooksMax = 64;
/// DNS label length: hook names become parts of messages, events and metric labels.
constexpr std::size_t kHookNameMax = 63;
constexpr std::size_t kFaultValueMax = 80;
/// A message must stay readable; every fault beyond these is counted.
constexpr std::size_t kFaultsDescribedMax = 20;

const PredefinedHook* find_predefined(std::string_view name) {
  const auto& catalogue = hook_catalogue();
  const auto found =
      std::find_if(catalogue.begin(), catalogue.end(), [&](const auto& hook) { return hook.name == name; });
  return found == catalogue.end() ? nullptr : &*found;
}

bool is_predefined_name(std::string_view name) { return name == kBundleName || find_predefined(name) != nullptr; }

std::string predefined_names() {
  std::string names(kBundleName);
  for (const PredefinedHook& hook : hook_catalogue()) names.append(", ").append(hook.name);
  return names;
}

bool is_hook_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  return !name.empty() && name.size() <= kHookNameMax && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

/// The frontend knows each of these settings by its full name and by an alias without the prefix.
std::string_view without_prefix(std::string_view config_key) {
  constexpr std::string_view kPrefix = "tablet_sched_";
  if (config_key.starts_with(kPrefix)) config_key.remove_prefix(kPrefix.size());
  return config_key;
}

bool sets(const Hook& hook, const PredefinedHook& predefined) {
  const ConfigSetting* setting = setting_of(hook);
  return setting != nullptr && without_prefix(setting->key) == without_prefix(predefined.config_key) &&
         setting->value == predefined.config_value;
}

/// Value of `object[key]`; nullptr when absent or null, or when `object` has no members.
const json* member(const json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string shown(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<std::string> split_names(std::string_view list) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::vector<std::string> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view name = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    name.remove_prefix(std::min(name.find_first_not_of(kSpace), name.size()));
    name = name.substr(0, name.find_last_not_of(kSpace) + 1);
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
}

std::string annotation_field(std::string_view key) { return "metadata.annotations[" + std::string(key) + "]"; }

class Resolver {
 public:
  Resolver(const json& object, const std::vector<ImageChange>& changes) : object_(object), changes_(changes) {}

  HookConfiguration run(const std::vector<std::string>& default_hooks) {
    if (const json* spec = object_member(object_, "spec", "spec")) {
      component_hooks(*spec);
      spec_hooks(*spec);
    }
    const std::chrono::seconds annotated_timeout = annotation_hooks();
    if (asked_ && !named_) add_predefined("", kBundleName, asked_timeout_, std::nullopt);
    for (const std::string& name : default_hooks)
      add_predefined("--default-hooks", name, annotated_timeout, std::nullopt);
    drop_reversals();
    refuse_contradictions();

    for (Entry& entry : entries_) out_.hooks.push_back(std::move(entry.hook));
    out_.configured = asked_ || named_ || !default_hooks.empty() || !out_.faults.empty();
    return std::move(out_);
  }

 private:
  struct Entry {
    Hook hook;
    std::string field;
  };

  void fault(std::string field, std::string_view value, std::string accepted) {
    out_.faults.push_back({std::move(field), clean_text(value, kFaultValueMax), std::move(accepted)});
  }

  /// `parent[key]` when it is an object; another type is a fault.
  const json* object_member(const json& parent, std::string_view key, const std::string& field) {
    const json* value = member(parent, key);
    if (value == nullptr || value->is_object()) return value;
    fault(field, shown(*value), "an object");
    return nullptr;
  }

  /// `parent[key]` when it is an array of acceptable length; another type is a fault.
  const json* list_member(const json& parent, std::string_view key, const std::string& field) {
    const json* value = member(parent, key);
    if (value == nullptr) return nullptr;
    if (!value->is_array()) {
      fault(field, shown(*value), "a list");
      return nullptr;
    }
    return within_limit(field, value->size()) ? value : nullptr;
  }

  bool within_limit(const std::string& field, std::size_t count) {
    if (count <= kHooksMax) return true;
    fault(field, std::to_string(count) + " hooks", "at most " + std::to_string(kHooksMax) + " hooks");
    return false;
  }

  std::optional<bool> boolean_member(const json& parent, std::string_view key, const std::string& field) {
    const json* value = member(parent, key);
    if (value == nullptr) return std::nullopt;
    if (value->is_boolean()) return value->get<bool>();
    fault(field, shown(*value), "true or false");
    return std::nullopt;
  }

  void timeout_fault(std::string field, std::string_view value) {
    fault(std::move(field), value,
          "a whole number of seconds from " + std::to_string(kHookTimeoutMin.count()) + " to " +
              std::to_string(kHookTimeoutMax.count()));
  }

  std::chrono::seconds timeout_member(const json& parent, const std::string& field) {
    const json* value = member(parent, "timeoutSeconds");
    if (value == nullptr) return kHookTimeoutDefault;
    if (value->is_number_integer()) {
      const std::chrono::seconds timeout{value->get<std::int64_t>()};
      if (timeout >= kHookTimeoutMin && timeout <= kHookTimeoutMax) return timeout;
    }
    timeout_fault(field, shown(*value));
    return kHookTimeoutDefault;
  }

  // --- Adding hooks ------------------------------------------------------------------------------------------------

  void add(Hook hook, std::string field) {
    const auto same_name = std::find_if(entries_.begin(), entries_.end(),
                                        [&](const Entry& entry) { return entry.hook.name == hook.name; });
    if (same_name == entries_.end()) {
      entries_.push_back({std::move(hook), std::move(field)});
    } else if (same_name->hook.action == hook.action) {
      out_.warnings.push_back("upgrade hook \"" + hook.name + "\" is configured twice: the first one counts");
    } else {
      fault(std::move(field), hook.name, "a name that no other hook has");
    }
  }

  /// A predefined hook or bundle by name; anything else is a fault.
  void add_predefined(const std::string& field, std::string_view name, std::chrono::seconds timeout,
                      std::optional<bool> critical, std::string_view given_name = {}) {
    if (name == kBundleName) {
      for (const std::string_view part : recommended_hooks()) add_predefined(field, part, timeout, critical);
      return;
    }
    const PredefinedHook* predefined = find_predefined(name);
    if (predefined == nullptr) {
      fault(field, name, "one of " + predefined_names());
      return;
    }
    Hook hook;
    hook.name = given_name.empty() ? name : given_name;
    hook.action = SqlAction{set_config_sql(predefined->config_key, predefined->config_value),
                            ConfigSetting{std::string(predefined->config_key), std::string(predefined->config_value)}};
    hook.critical = critical.value_or(predefined->critical);
    hook.timeout = timeout;
    add(std::move(hook), field);
  }

  // --- Source 1: spec.<component>Spec.upgradeHooks -----------------------------------------------------------------

  void component_hooks(const json& spec) {
    for (const Component component :
         {Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse}) {
      const bool concerned =
          changes_.empty() || std::any_of(changes_.begin(), changes_.end(),
                                          [&](const ImageChange& change) { return change.component == component; });
      const json* component_spec = member(spec, spec_field(component));
      if (!concerned || component_spec == nullptr) continue;
      const std::string field = "spec." + std::string(spec_field(component)) + ".upgradeHooks";
      if (const json* hooks = object_member(*component_spec, "upgradeHooks", field)) component_hooks(*hooks, field);
    }
  }

  void component_hooks(const json& hooks, const std::string& field) {
    const std::chrono::seconds timeout = timeout_member(hooks, field + ".timeoutSeconds");
    if (const json* custom = member(hooks, "custom")) unsupported_config_map(field + ".custom", shown(*custom));
    const json* names = list_member(hooks, "predefined", field + ".predefined");
    if (names == nullptr) return;
    for (std::size_t i = 0; i < names->size(); ++i) {
      named_ = true;
      const std::string item = field + ".predefined[" + std::to_string(i) + "]";
      if ((*names)[i].is_string()) {
        add_predefined(item, (*names)[i].get_ref<const std::string&>(), timeout, std::nullopt);
      } else {
        fault(item, shown((*names)[i]), "one of " + predefined_names());
      }
    }
  }

  void unsupported_config_map(const std::string& field, std::string_view value) {
    fault(field, value,
          "predefined hooks, or SQL in spec.upgradePreparation.hooks[].command: custom hooks from a ConfigMap are not "
          "supported by this version");
  }

  // --- Source 2: spec.upgradePreparation ---------------------------------------------------------------------------

  void spec_hooks(const json& spec) {
    const std::string field = "spec.upgradePreparation";
    const json* preparation = object_member(spec, "upgradePreparation", field);
    if (preparation == nullptr) return;
    const std::optional<bool> enabled = boolean_member(*preparation, "enabled", field + ".enabled");
    if (enabled == false) return;
    const std::chrono::seconds timeout = timeout_member(*preparation, field + ".timeoutSeconds");
    if (enabled == true) ask(timeout);
    const json* hooks = list_member(*preparation, "hooks", field + ".hooks");
    if (hooks == nullptr) return;
    for (std::size_t i = 0; i < hooks->size(); ++i) {
      named_ = true;
      spec_hook((*hooks)[i], i, field + ".hooks[" + std::to_string(i) + "]", timeout);
    }
  }

  void spec_hook(const json& hook, std::size_t index, const std::string& field, std::chrono::seconds timeout) {
    if (!hook.is_object()) {
      fault(field, shown(hook), "an object with a command");
      return;
    }
    const std::optional<bool> critical = boolean_member(hook, "critical", field + ".critical");
    std::string name;
    if (const json* given = member(hook, "name")) {
      if (!given->is_string() || !is_hook_name(given->get_ref<const std::string&>())) {
        fault(field + ".name", shown(*given), "1 to 63 letters, digits, '-', '_' or '.'");
      } else {
        name = given->get<std::string>();
      }
    }
    const json* command = member(hook, "command");
    if (command == nullptr || !command->is_string()) {
      fault(field + ".command", command == nullptr ? "" : shown(*command), "a predefined hook or one SQL statement");
      return;
    }
    const std::string& text = command->get_ref<const std::string&>();
    if (is_predefined_name(name) && name != text) {
      fault(field + ".name", name, "a name other than that of a predefined hook");
      return;
    }
    if (is_predefined_name(text)) {
      add_predefined(field, text, timeout, critical, name);
      return;
    }
    Result<SqlStatement> statement = validate_sql(text);
    if (!statement) {
      // A refused statement may hold a password: nothing that is quoted is repeated.
      const std::string_view harmless = std::string_view(text).substr(0, text.find_first_of("'\"`"));
      fault(field + ".command", std::string(harmless) + (harmless.size() < text.size() ? "..." : ""),
            "a predefined hook (" + predefined_names() + ") or one SQL statement (" + statement.error().message + ")");
      return;
    }
    if (name.empty()) name = "hook-" + std::to_string(index + 1);
    Hook resolved;
    resolved.name = std::move(name);
    resolved.action = SqlAction{std::move(statement->text), std::move(statement->setting)};
    resolved.critical = critical.value_or(true);
    resolved.timeout = timeout;
    add(std::move(resolved), field);
  }

  // --- Source 3: annotations ---------------------------------------------------------------------------------------

  /// Returns the timeout that the annotations ask for.
  std::chrono::seconds annotation_hooks() {
    const json* metadata = object_member(object_, "metadata", "metadata");
    const json* annotations =
        metadata == nullptr ? nullptr : object_member(*metadata, "annotations", "metadata.annotations");
    if (annotations == nullptr) return kHookTimeoutDefault;

    const std::chrono::seconds timeout = annotated_timeout(*annotations);
    const std::optional<std::string> prepare = annotation_text(*annotations, annotation::kPrepareUpgrade);
    const std::optional<std::string> list = annotation_text(*annotations, annotation::kUpgradeHooks);
    const std::optional<std::string> config_map = annotation_text(*annotations, annotation::kHooksConfigMap);
    if (prepare == "false") {
      if (list || config_map)
        out_.warnings.push_back("prepare-upgrade is \"false\": the annotations' upgrade hooks are off");
      return timeout;
    }
    if (prepare == "true") {
      ask(timeout);
    } else if (prepare) {
      fault(annotation_field(annotation::kPrepareUpgrade), *prepare, "\"true\" or \"false\"");
    }
    if (config_map) unsupported_config_map(annotation_field(annotation::kHooksConfigMap), *config_map);
    const std::string field = annotation_field(annotation::kUpgradeHooks);
    const std::vector<std::string> names = split_names(list.value_or(""));
    named_ = named_ || !names.empty();
    if (!within_limit(field, names.size())) return timeout;
    for (const std::string& name : names) add_predefined(field, name, timeout, std::nullopt);
    return timeout;
  }

  std::optional<std::string> annotation_text(const json& annotations, std::string_view key) {
    const json* value = member(annotations, key);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return value->get<std::string>();
    fault(annotation_field(key), shown(*value), "a string");
    return std::nullopt;
  }

  std::chrono::seconds annotated_timeout(const json& annotations) {
    const std::optional<std::string> text = annotation_text(annotations, annotation::kTimeoutSeconds);
    if (!text) return kHookTimeoutDefault;
    // At most as many digits as the maximum has, so that nothing can overflow.
    const bool digits = !text->empty() && text->size() <= std::to_string(kHookTimeoutMax.count()).size() &&
                        text->find_first_not_of("0123456789") == std::string::npos;
    const std::chrono::seconds timeout{digits ? std::stoi(*text) : 0};
    if (timeout >= kHookTimeoutMin && timeout <= kHookTimeoutMax) return timeout;
    timeout_fault(annotation_field(annotation::kTimeoutSeconds), *text);
    return kHookTimeoutDefault;
  }

  void ask(std::chrono::seconds timeout) {
    if (!asked_) asked_timeout_ = timeout;
    asked_ = true;
  }

  // --- The whole list ----------------------------------------------------------------------------------------------

  /// Captured values are put back after the rollout by the gate itself. Run during the preparation, an enable-* hook
  /// would only take back what its disable-* counterpart has just done.
  void drop_reversals() {
    for (const PredefinedHook& enable : hook_catalogue()) {
      const PredefinedHook* disable = find_predefined(enable.reverses);
      const bool reversed =
          disable != nullptr &&
          std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return sets(entry.hook, *disable); });
      if (!reversed) continue;
      std::erase_if(entries_, [&](const Entry& entry) {
        if (!sets(entry.hook, enable)) return false;
        out_.warnings.push_back("upgrade hook \"" + entry.hook.name +
                                "\" is left out: the gate itself restores the setting after the rollout");
        return true;
      });
    }
  }

  /// Two values for one setting: the second would undo the first, and the read-back could never be satisfied.
  void refuse_contradictions() {
    for (std::size_t i = 1; i < entries_.size(); ++i) {
      const ConfigSetting* setting = setting_of(entries_[i].hook);
      if (setting == nullptr) continue;
      const auto contradicts = [&](const Entry& other) {
        const ConfigSetting* others = setting_of(other.hook);
        return others != nullptr && without_prefix(others->key) == without_prefix(setting->key) &&
               others->value != setting->value;
      };
      const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(i);
      const auto other = std::find_if(entries_.begin(), end, contradicts);
      if (other == end) continue;
      fault(entries_[i].field, setting->key + " = " + setting->value,
            "the same value as in hook \"" + other->hook.name + "\", or only one of the two");
    }
  }

  const json& object_;
  const std::vector<ImageChange>& changes_;
  HookConfiguration out_;
  std::vector<Entry> entries_;
  bool asked_ = false;  ///< Preparation is switched on, with or without naming hooks.
  bool named_ = false;  ///< The object names at least one hook, be it a wrong one.
  std::chrono::seconds asked_timeout_ = kHookTimeoutDefault;
};

}  // namespace

const std::vector<PredefinedHook>& hook_catalogue() {
  constexpr std::string_view kScheduling = "tablet_sched_max_scheduling_tablets";
  static const std::vector<PredefinedHook> catalogue{
      {"disable-tablet-clone", kScheduling, "0", true, ""},
      {"disable-tablet-balancing", "tablet_sched_max_balancing_tablets", "0", true, ""},
      {"disable-balancer", "disable_balance", "true", true, ""},
      {"disable-colocate-balance", "disable_colocate_balance", "true", true, ""},
      {"enable-tablet-clone", kScheduling, "2000", false, "disable-tablet-clone"},
      {"enable-balancer", "disable_balance", "false", false, "disable-balancer"},
  };
  return catalogue;
}

const std::vector<std::string_view>& recommended_hooks() {
  static const std::vector<std::string_view> names{"disable-tablet-clone", "disable-tablet-balancing",
                                                   "disable-balancer", "disable-colocate-balance"};
  return names;
}

HookConfiguration resolve_hooks(const json& object, const std::vector<std::string>& default_hooks,
                                const std::vector<ImageChange>& changes) {
  return Resolver(object, changes).run(default_hooks);
}

std::string describe(const std::vector<ConfigurationFault>& faults) {
  std::string text;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    if (i > 0) text += "; ";
    if (i == kFaultsDescribedMax) return text + "and " + std::to_string(faults.size() - i) + " more";
    text += faults[i].field + ": value \"" + faults[i].value + "\": accepted " + faults[i].accepted;
  }
  return text;
}

}  // namespace gate
