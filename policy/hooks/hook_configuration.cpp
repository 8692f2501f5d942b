#include "policy/hooks/hook_configuration.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "policy/hooks/frontend_setting.hpp"
#include "policy/hooks/hook_catalogue.hpp"
#include "policy/hooks/rollout_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/text/object_name.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// Of one record (manifests/crd).
constexpr std::size_t kHooksTogetherMax = 128;
/// Hooks that are compared with each other, those that are named twice or not called for included: every component may
/// name kHooksMax. A ConfigMap has room for tens of thousands.
constexpr std::size_t kDefinitionsMax = 1024;
/// Nobody corrects more at once: what comes behind them is not read.
constexpr std::size_t kFaultsReadMax = 100;
constexpr std::size_t kWarningsMax = 20;
/// Texts of all hooks of one record, which may hold a script twice: an object of the API server has 1.5 MB at most.
constexpr std::size_t kHookTextsMax = 384u << 10;
/// A message must stay readable; every fault beyond these is counted.
constexpr std::size_t kFaultsDescribedMax = 20;
constexpr std::size_t kNameShownMax = 63;

/// Every annotation that means something to the gate, those of other rooms too.
const std::vector<std::string_view> kAnnotations{annotation::kPrepareUpgrade,
                                                 annotation::kUpgradeHooks,
                                                 annotation::kHooksConfigMap,
                                                 annotation::kHooksMode,
                                                 annotation::kTimeoutSeconds,
                                                 annotation::kCredentialsSecret,
                                                 annotation::kUpgradeAdmission,
                                                 annotation::kUpgradeRollout,
                                                 annotation::kUpgradeHealth,
                                                 annotation::kHealthReadings,
                                                 annotation::kStepTimeout,
                                                 annotation::kUpgradeResume,
                                                 "starrocks.com/retry-upgrade-preparation",
                                                 "starrocks.com/upgrade-gate-bypass"};

std::string shown(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void bound_warnings(std::vector<std::string>& warnings) {
  if (warnings.size() <= kWarningsMax) return;
  const auto more = warnings.size() - kWarningsMax;
  warnings.resize(kWarningsMax);
  warnings.push_back("and " + std::to_string(more) + " more warnings");
}

std::string annotation_field(std::string_view key) { return "metadata.annotations[" + std::string(key) + "]"; }

/// A key that is passed over, and looks as if it was not meant to be.
void warn_of_ending(std::string_view key, const std::string& field, std::vector<std::string>& warnings) {
  const auto meant = ending_meant(key);
  if (meant.empty()) return;
  warnings.push_back(clean_text(
      field + "[" + clean_text(key, kNameShownMax) + "] holds no hooks: its key does not end in " + std::string(meant),
      kWarningMax));
}

const ConfigSetting* setting_of(const HookAction& action) {
  const auto* sql = std::get_if<SqlAction>(&action);
  return sql != nullptr && sql->setting ? &*sql->setting : nullptr;
}

bool one_key(const ConfigSetting& left, const ConfigSetting& right) {
  return canonical_setting(left.key) == canonical_setting(right.key);
}

bool sets(const Hook& hook, const PredefinedHook& predefined) {
  const ConfigSetting* setting = setting_of(hook.action);
  const ConfigSetting* wanted = setting_of(predefined.action);
  return setting != nullptr && wanted != nullptr && one_key(*setting, *wanted) && setting->value == wanted->value;
}

std::size_t text_size(const Hook& hook) {
  struct Size {
    std::size_t operator()(const SqlAction& action) const { return action.sql.size(); }
    std::size_t operator()(const ProbeAction&) const { return 0; }
    std::size_t operator()(const QueryAction& action) const { return action.sql.size() + action.value.size(); }
    std::size_t operator()(const HttpAction& action) const { return action.url.size() + action.ca_pem.size(); }
    std::size_t operator()(const ScriptAction& action) const {
      return action.post_upgrade ? 2 * action.script.size() : action.script.size();
    }
  };
  return std::visit(Size{}, hook.action) + 2 * hook.restore_sql.size();
}

/// Combines what was read from all sources, in order.
class Combination {
 public:
  explicit Combination(HookReader reader) : reader_(std::move(reader)) {}

  /// `skipped`: whether some hook was left out because the changes do not call for it.
  HookConfiguration run(const std::vector<ImageChange>& changes, bool& skipped) {
    skipped = false;
    if (reader_.hooks.size() > kDefinitionsMax) {
      reader_.fault("hooks of all sources", "more than " + std::to_string(kDefinitionsMax),
                    "at most " + std::to_string(kHooksTogetherMax));
      reader_.hooks.erase(reader_.hooks.begin() + kDefinitionsMax, reader_.hooks.end());
    }
    for (HookDefinition& definition : reader_.hooks) {
      if (!changes.empty()) {
        const bool wanted = std::any_of(changes.begin(), changes.end(),
                                        [&](const ImageChange& change) { return applies_to(definition.when, change); });
        if (!wanted) {
          skipped = true;
          continue;
        }
        // It is called for: from here on it meets every other one that is.
        definition.when = {};
      }
      add(std::move(definition));
    }
    drop_reversals();
    refuse_contradictions();
    bound();
    HookConfiguration out;
    for (HookDefinition& entry : entries_) out.hooks.push_back(std::move(entry.hook));
    out.warnings = std::move(reader_.warnings);
    out.faults = std::move(reader_.faults);
    return out;
  }

 private:
  void add(HookDefinition definition) {
    const auto same_name = std::find_if(entries_.begin(), entries_.end(), [&](const HookDefinition& entry) {
      return entry.hook.name == definition.hook.name && can_meet(entry, definition);
    });
    if (same_name == entries_.end()) {
      entries_.push_back(std::move(definition));
    } else if (same_name->hook.action == definition.hook.action) {
      warn("upgrade hook \"" + definition.hook.name + "\" is configured twice: the first one counts");
    } else {
      reader_.fault(definition.field, definition.hook.name, "a name that no other hook has");
    }
  }

  void warn(const std::string& text) { reader_.warnings.push_back(clean_text(text, kWarningMax)); }

  /// Captured values are restored after the rollout by the gate itself. Run during the preparation, an enable-* hook
  /// would only take back what its disable-* counterpart has just done.
  void drop_reversals() {
    for (const PredefinedHook& enable : hook_catalogue()) {
      const PredefinedHook* disable = find_predefined(enable.reverses);
      if (disable == nullptr) continue;
      const auto reverses = [&](const HookDefinition& entry) { return sets(entry.hook, enable); };
      if (std::none_of(entries_.begin(), entries_.end(), reverses)) continue;
      std::vector<HookDefinition> kept;
      for (const HookDefinition& entry : entries_) {
        const bool reversed =
            reverses(entry) && std::any_of(entries_.begin(), entries_.end(), [&](const HookDefinition& other) {
              return sets(other.hook, *disable) && can_meet(entry, other);
            });
        if (reversed) {
          warn("upgrade hook \"" + entry.hook.name +
               "\" is left out: the gate itself restores the setting after the rollout");
        } else {
          kept.push_back(entry);
        }
      }
      entries_ = std::move(kept);
    }
  }

  /// Two values for one setting: the second would undo the first, and the read-back could never be satisfied.
  void refuse_contradictions() {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      const ConfigSetting* setting = setting_of(entry->hook.action);
      if (setting == nullptr) continue;
      const auto other = std::find_if(entries_.begin(), entry, [&](const HookDefinition& earlier) {
        const ConfigSetting* others = setting_of(earlier.hook.action);
        return others != nullptr && one_key(*others, *setting) && others->value != setting->value &&
               can_meet(earlier, *entry);
      });
      if (other == entry) continue;
      reader_.fault(entry->field, setting->key + " = " + setting->value,
                    "the same value as in hook \"" + other->hook.name + "\", or only one of the two");
    }
  }

  void bound() {
    if (entries_.size() > kHooksTogetherMax) {
      reader_.fault("hooks of all sources", std::to_string(entries_.size()),
                    "at most " + std::to_string(kHooksTogetherMax));
    }
    std::size_t size = 0;
    for (const HookDefinition& entry : entries_) size += text_size(entry.hook);
    if (size > kHookTextsMax) {
      reader_.fault("hooks of all sources", std::to_string(size) + " bytes",
                    "at most " + std::to_string(kHookTextsMax) + " bytes of SQL, scripts and certificates together");
    }
  }

  HookReader reader_;
  std::vector<HookDefinition> entries_;
};

class Resolver {
 public:
  explicit Resolver(const HookSources& sources) : sources_(sources), reader_(sources.rules) {}

  HookConfiguration run() {
    if (const json* spec = reader_.object_member(sources_.object, "spec", "spec")) {
      refuse_misspelt(*spec);
      component_hooks(*spec);
      spec_hooks(*spec);
    }
    const std::chrono::seconds annotated_timeout = annotation_hooks();
    if (asked_ && !named_) reader_.read_predefined("", kRecommendedBundle, asked_timeout_);
    for (const std::string& name : sources_.default_hooks) {
      reader_.read_predefined("--default-hooks", name, annotated_timeout);
    }
    if (asks() && credentials_ && !is_object_name(*credentials_)) {
      reader_.fault(annotation_field(annotation::kCredentialsSecret), *credentials_, "the name of a Secret");
    }
    bool skipped = false;
    HookConfiguration out = Combination(std::move(reader_)).run(sources_.changes, skipped);
    out.mode = mode_;
    out.unread = std::move(unread_);
    out.unread_lasts = unread_lasts_;
    const bool nothing_left = skipped && out.hooks.empty() && out.unread.empty();
    if (nothing_left && out.faults.empty()) out.warnings.push_back("no configured hook applies to this image change");
    out.configured = ((asked_ || named_ || !sources_.default_hooks.empty()) && !nothing_left) || !out.faults.empty();
    return out;
  }

  /// After run(): preparation of some change is asked for.
  [[nodiscard]] bool asks() const { return asked_ || named_ || named_elsewhere_ || !sources_.default_hooks.empty(); }
  /// After run().
  [[nodiscard]] std::vector<std::string> referenced() && { return std::move(referenced_); }

 private:
  /// A field of ours with a typing error is pruned by the API server, and would be taken as absent by everybody.
  void refuse_misspelt(const json& spec) {
    reader_.refuse_near_members(spec, "spec", {"upgradePreparation"});
    for (const Component component :
         {Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse}) {
      const auto component_spec = spec.find(spec_field(component));
      if (component_spec == spec.end()) continue;
      reader_.refuse_near_members(*component_spec, "spec." + std::string(spec_field(component)), {"upgradeHooks"});
    }
  }

  // --- Source 1: spec.<component>Spec.upgradeHooks -----------------------------------------------------------------

  void component_hooks(const json& spec) {
    const auto& changes = sources_.changes;
    for (const Component component :
         {Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse}) {
      const bool concerned =
          changes.empty() || std::any_of(changes.begin(), changes.end(),
                                         [&](const ImageChange& change) { return change.component == component; });
      const auto component_spec = spec.find(spec_field(component));
      if (component_spec == spec.end()) continue;
      if (!concerned) {
        named_elsewhere_ = named_elsewhere_ || !member(*component_spec, "upgradeHooks").is_null();
        continue;
      }
      const std::string field = "spec." + std::string(spec_field(component)) + ".upgradeHooks";
      if (const json* hooks = reader_.object_member(*component_spec, "upgradeHooks", field)) {
        component_hooks(*hooks, field);
      }
    }
  }

  void component_hooks(const json& hooks, const std::string& field) {
    reader_.refuse_unknown_members(hooks, field, {"predefined", "custom", "timeoutSeconds"});
    const std::chrono::seconds timeout = reader_.timeout_member(hooks, field + ".timeoutSeconds", kHookTimeoutDefault);
    if (const json* names = reader_.list_member(hooks, "predefined", field + ".predefined")) {
      for (std::size_t i = 0; i < names->size(); ++i) {
        named_ = true;
        reader_.read_predefined(field + ".predefined[" + std::to_string(i) + "]", shown((*names)[i]), timeout);
      }
    }
    const json* custom = reader_.object_member(hooks, "custom", field + ".custom");
    const auto& names = member(hooks, "predefined");
    if (member(hooks, "custom").is_null() && (names.is_null() || (names.is_array() && names.empty()))) {
      asks_for_nothing(field);
    }
    if (custom == nullptr) return;
    named_ = true;
    reader_.refuse_unknown_members(*custom, field + ".custom", {"configMapName", "scriptKey"});
    const auto name = reader_.text_member(*custom, "configMapName", field + ".custom.configMapName");
    const auto key = reader_.text_member(*custom, "scriptKey", field + ".custom.scriptKey");
    config_map(field + ".custom.configMapName", name.value_or(""), key, timeout);
  }

  // --- Source 2: spec.upgradePreparation ---------------------------------------------------------------------------

  void spec_hooks(const json& spec) {
    const std::string field = "spec.upgradePreparation";
    const json* preparation = reader_.object_member(spec, "upgradePreparation", field);
    if (preparation == nullptr) return;
    const std::optional<bool> enabled = reader_.boolean_member(*preparation, "enabled", field + ".enabled");
    if (enabled == false) return;
    reader_.refuse_unknown_members(*preparation, field,
                                   {"enabled", "hooks", "timeoutSeconds", "admission", "rollout", "health",
                                    "healthReadings", "stepTimeoutSeconds"});  // the last five: rollout_configuration
    const std::chrono::seconds timeout =
        reader_.timeout_member(*preparation, field + ".timeoutSeconds", kHookTimeoutDefault);
    if (enabled == true) ask(timeout);
    const json* hooks = reader_.list_member(*preparation, "hooks", field + ".hooks");
    const auto& given = *preparation;
    const bool led = given.contains("rollout") || given.contains("admission");
    if (enabled != true && !led && (hooks == nullptr ? member(given, "hooks").is_null() : hooks->empty())) {
      asks_for_nothing(field);
    }
    if (hooks == nullptr) return;
    for (std::size_t i = 0; i < hooks->size(); ++i) {
      named_ = true;
      reader_.read_spec_hook((*hooks)[i], i + 1, field + ".hooks[" + std::to_string(i) + "]", timeout);
    }
  }

  // --- Source 3: annotations ---------------------------------------------------------------------------------------

  /// Returns the timeout that the annotations ask for.
  std::chrono::seconds annotation_hooks() {
    const json* metadata = reader_.object_member(sources_.object, "metadata", "metadata");
    const json* annotations =
        metadata == nullptr ? nullptr : reader_.object_member(*metadata, "annotations", "metadata.annotations");
    if (annotations == nullptr) return kHookTimeoutDefault;
    reader_.refuse_near_members(*annotations, "metadata.annotations", kAnnotations);
    refuse_without_prefix(*annotations);

    const std::chrono::seconds timeout = annotated_timeout(*annotations);
    const auto mode = annotation_text(*annotations, annotation::kHooksMode);
    if (mode == to_string(PreparationMode::Verify)) {
      mode_ = PreparationMode::Verify;
    } else if (mode && mode != to_string(PreparationMode::Run)) {
      reader_.fault(annotation_field(annotation::kHooksMode), *mode, "run or verify");
    }
    credentials_ = annotation_text(*annotations, annotation::kCredentialsSecret);
    const auto prepare = annotation_text(*annotations, annotation::kPrepareUpgrade);
    const auto list = annotation_text(*annotations, annotation::kUpgradeHooks);
    const auto config_map_name = annotation_text(*annotations, annotation::kHooksConfigMap);
    if (prepare == "false") {
      if (list || config_map_name)
        reader_.warnings.push_back("prepare-upgrade is \"false\": the annotations' upgrade hooks are off");
      return timeout;
    }
    if (prepare == "true") {
      ask(timeout);
    } else if (prepare) {
      reader_.fault(annotation_field(annotation::kPrepareUpgrade), *prepare, "\"true\" or \"false\"");
    }
    const std::string field = annotation_field(annotation::kUpgradeHooks);
    const std::vector<std::string> names = split_names(list.value_or(""));
    named_ = named_ || !names.empty() || config_map_name.has_value();
    if (list && names.empty()) asks_for_nothing(field);
    if (reader_.within_limit(field, names.size())) {
      for (const std::string& name : names) reader_.read_predefined(field, name, timeout);
    }
    if (config_map_name) annotated_config_map(*config_map_name, timeout);
    return timeout;
  }

  void refuse_without_prefix(const json& annotations) {
    for (const std::string_view name : kAnnotations) {
      const std::string bare(name.substr(name.find('/') + 1));
      if (annotations.contains(bare)) reader_.fault("metadata.annotations", bare, std::string(name));
    }
  }

  /// Somebody wrote it, and nobody would tell that it has no effect.
  void asks_for_nothing(const std::string& field) {
    reader_.warnings.push_back(clean_text(field + " names no hook, and has no effect", kWarningMax));
  }

  void annotated_config_map(const std::string& text, std::chrono::seconds timeout) {
    const std::size_t slash = text.find('/');
    const auto key = slash == std::string::npos ? std::nullopt : std::optional(text.substr(slash + 1));
    config_map(annotation_field(annotation::kHooksConfigMap), text.substr(0, slash), key, timeout);
  }

  std::optional<std::string> annotation_text(const json& annotations, std::string_view key) {
    return reader_.text_member(annotations, key, annotation_field(key));
  }

  std::chrono::seconds annotated_timeout(const json& annotations) {
    const std::optional<std::string> text = annotation_text(annotations, annotation::kTimeoutSeconds);
    if (!text) return kHookTimeoutDefault;
    // At most as many digits as the maximum has, so that nothing can overflow.
    const bool digits = !text->empty() && text->size() <= std::to_string(kHookTimeoutMax.count()).size() &&
                        text->find_first_not_of("0123456789") == std::string::npos;
    const std::chrono::seconds timeout{digits ? std::stoi(*text) : 0};
    if (timeout >= kHookTimeoutMin && timeout <= kHookTimeoutMax) return timeout;
    reader_.timeout_fault(annotation_field(annotation::kTimeoutSeconds), *text);
    return kHookTimeoutDefault;
  }

  void ask(std::chrono::seconds timeout) {
    if (!asked_) asked_timeout_ = timeout;
    asked_ = true;
  }

  // --- ConfigMaps --------------------------------------------------------------------------------------------------

  void config_map(const std::string& field, const std::string& name, const std::optional<std::string>& key,
                  std::chrono::seconds timeout) {
    if (!is_object_name(name)) {
      reader_.fault(field, name, "the name of a ConfigMap");
      return;
    }
    if (std::find(referenced_.begin(), referenced_.end(), name) == referenced_.end()) referenced_.push_back(name);
    const auto found = sources_.config_maps.find(name);
    if (found == sources_.config_maps.end()) {
      missing(field, name, "the name of a ConfigMap that exists in the same namespace", "ConfigMap " + name);
      return;
    }
    if (!found->second.error.empty()) {
      const std::string text = "ConfigMap " + name + " could not be read: " + found->second.error;
      unread_lasts_ = unread_lasts_ || found->second.lasts;
      if (std::find(unread_.begin(), unread_.end(), text) == unread_.end()) unread_.push_back(text);
      return;
    }
    const auto& data = found->second.data;
    if (key && data.count(*key) == 0) {
      missing(field, name + "/" + *key, "a key of that ConfigMap" + keys_of(data),
              "key " + *key + " of ConfigMap " + name);
      return;
    }
    bool any = false;
    const std::size_t faults_before = reader_.faults.size();
    for (const auto& [entry, text] : data) {
      if (key ? entry != *key : !has_hook_ending(entry)) {
        if (!key) warn_of_ending(entry, "ConfigMap " + name + " data", reader_.warnings);
        continue;
      }
      any = true;
      if (reader_.faults.size() >= kFaultsReadMax || reader_.hooks.size() > kDefinitionsMax) break;
      // Components that name the same entry mean the same hooks.
      if (!read_.insert({name, entry}).second) continue;
      reader_.read_entry(entry, text, "ConfigMap " + name + " data[" + clean_text(entry, kNameShownMax) + "]", timeout);
    }
    if (sources_.dry_run) forgive(faults_before);
    if (!any) {
      missing(field, name, "a ConfigMap with a key that ends in " + std::string(kHookEndings) + keys_of(data),
              "a key with hooks in ConfigMap " + name);
    }
  }

  /// What the same bundle may bring: a dry run does not store the ConfigMap that it contains.
  void missing(const std::string& field, const std::string& value, std::string accepted, const std::string& what) {
    if (sources_.dry_run) {
      reader_.warnings.push_back(
          clean_text("dry run: does not exist yet, and the real request needs it: " + what, kWarningMax));
    } else {
      reader_.fault(field, value, std::move(accepted));
    }
  }

  /// Faults of a ConfigMap as it is stored, which the same bundle may correct.
  void forgive(std::size_t faults_before) {
    for (std::size_t i = faults_before; i < reader_.faults.size(); ++i) {
      reader_.warnings.push_back(
          clean_text("dry run: not valid as stored: " + describe({reader_.faults[i]}), kWarningMax));
    }
    reader_.faults.resize(faults_before);
  }

  static std::string keys_of(const std::map<std::string, std::string>& data) {
    constexpr std::size_t kKeysShown = 5;
    std::string text;
    std::size_t count = 0;
    for (const auto& [key, value] : data) {
      if (++count > kKeysShown) break;
      text += (text.empty() ? "" : ", ") + clean_text(key, kNameShownMax);
    }
    if (data.size() > kKeysShown) text += ", ...";
    return text.empty() ? " (it has none)" : " (it has " + text + ")";
  }

  const HookSources& sources_;
  HookReader reader_;
  PreparationMode mode_ = PreparationMode::Run;
  std::vector<std::string> unread_;
  bool unread_lasts_ = false;
  std::optional<std::string> credentials_;  ///< The Secret with the FE's login, as annotated.
  std::vector<std::string> referenced_;
  std::set<std::pair<std::string, std::string>> read_;  ///< Entries of ConfigMaps.
  bool asked_ = false;                                  ///< Preparation is switched on, with or without naming hooks.
  bool named_ = false;                                  ///< The object names at least one hook, be it a wrong one.
  bool named_elsewhere_ = false;                        ///< For a component that does not change.
  std::chrono::seconds asked_timeout_ = kHookTimeoutDefault;
};

/// Replicas that miss a load while their BE restarts are repaired by cloning alone, which stays off until the end.
bool health_waits_for_cloning(const HookConfiguration& configuration) {
  const auto& rollout = configuration.rollout;
  constexpr std::string_view kCloning = "tablet_sched_max_scheduling_tablets";
  return rollout.mode != RolloutMode::Operator &&
         std::find(rollout.health.begin(), rollout.health.end(), Probe::TabletsHealthy) != rollout.health.end() &&
         std::any_of(configuration.hooks.begin(), configuration.hooks.end(), [&](const Hook& hook) {
           const auto* setting = setting_of(hook);
           return setting != nullptr && canonical_setting(setting->key) == kCloning;
         });
}

/// Whether it stands where one is named; most objects name none.
bool may_name_config_map(const json& object) {
  const json& annotations = member(member(object, "metadata"), "annotations");
  if (!member(annotations, annotation::kHooksConfigMap).is_null()) return true;
  const json& spec = member(object, "spec");
  constexpr std::array kComponents{Component::Frontend, Component::Backend, Component::ComputeNode,
                                   Component::Warehouse};
  return std::any_of(kComponents.begin(), kComponents.end(), [&](Component component) {
    return !member(member(member(spec, spec_field(component)), "upgradeHooks"), "custom").is_null();
  });
}

}  // namespace

HookConfiguration resolve_hooks(const HookSources& sources) {
  Resolver resolver(sources);
  auto out = resolver.run();
  auto own = resolve_rollout(sources.object, {});
  const bool asks_to_be_led = own.rollout.leads();
  if (asks_to_be_led || resolver.asks()) {
    out.rollout = resolve_rollout(sources.object, sources.rollout_defaults).rollout;
    out.led_by_default = out.rollout.leads() && !asks_to_be_led;
  } else {
    out.rollout = std::move(own.rollout);
  }
  if (health_waits_for_cloning(out)) {
    out.warnings.emplace_back(
        "check-tablets-healthy in upgrade-health and disable-tablet-clone: a step may pause, see docs/rollouts.md");
  }
  out.faults.insert(out.faults.end(), own.faults.begin(), own.faults.end());
  // One that is held or led without hooks needs a record, too: it says what may roll.
  out.only_led = !out.configured && own.faults.empty() && out.rollout.leads();
  out.configured = out.configured || out.rollout.leads() || !own.faults.empty();
  bound_warnings(out.warnings);
  return out;
}

std::vector<std::string> referenced_config_maps(const json& object, const std::vector<ImageChange>& changes) {
  if (!may_name_config_map(object)) return {};
  const HookSources sources{.object = object, .changes = changes};
  Resolver resolver(sources);
  static_cast<void>(resolver.run());
  return std::move(resolver).referenced();
}

HookConfiguration validate_config_map(const std::map<std::string, std::string>& data, const HookRules& rules) {
  HookConfiguration out;
  bool any = false;
  for (const auto& [key, text] : data) {
    if (out.faults.size() >= kFaultsReadMax) break;
    if (!has_hook_ending(key)) {
      warn_of_ending(key, "data", out.warnings);
      continue;
    }
    any = true;
    HookReader reader(rules);
    reader.read_entry(key, text, "data[" + clean_text(key, kNameShownMax) + "]", kHookTimeoutDefault);
    bool skipped = false;
    HookConfiguration entry = Combination(std::move(reader)).run({}, skipped);
    out.hooks.insert(out.hooks.end(), entry.hooks.begin(), entry.hooks.end());
    out.warnings.insert(out.warnings.end(), entry.warnings.begin(), entry.warnings.end());
    out.faults.insert(out.faults.end(), entry.faults.begin(), entry.faults.end());
  }
  if (!any) out.faults.push_back({"data", "", "at least one key that ends in " + std::string(kHookEndings)});
  out.configured = true;
  bound_warnings(out.warnings);
  return out;
}

std::string describe(const std::vector<ConfigurationFault>& faults) {
  std::string text;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    if (i > 0) text += "; ";
    if (i == kFaultsDescribedMax) return text + "and " + std::to_string(faults.size() - i) + " more";
    text += faults[i].field + ": ";
    if (!faults[i].value.empty()) text += "invalid value \"" + faults[i].value + "\": ";
    text += "want " + faults[i].accepted;
  }
  return text;
}

}  // namespace gate
