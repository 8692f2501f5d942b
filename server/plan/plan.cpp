#include "server/plan/plan.hpp"

#include <algorithm>
#include <array>
#include <istream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "policy/decision/decision.hpp"
#include "policy/hooks/hook_configuration.hpp"
#include "policy/hooks/rollout_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/record/preparation_codec.hpp"
#include "policy/rollout/turns.hpp"
#include "policy/text/characters.hpp"
#include "policy/text/object_name.hpp"
#include "policy/text/text.hpp"
#include "policy/text/url.hpp"
#include "policy/text/yaml.hpp"
#include "server/plan/deployed_elsewhere.hpp"
#include "server/plan/manifest_files.hpp"
#include "server/plan/manifest_shape.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr std::string_view kConfigMapKind = "ConfigMap";
constexpr std::string_view kListEnding = "List";
constexpr std::string_view kGroup = "starrocks.com/";

enum class Side { Old, Both, New };

/// Why the call makes no sense: ends the plan with exit code 2.
Error misuse(std::string text) { return {ErrorCode::InvalidInput, std::move(text)}; }

struct ObjectKey {
  std::string kind;
  std::string name_space;
  std::string name;
  friend bool operator<(const ObjectKey& left, const ObjectKey& right) {
    return std::tie(left.kind, left.name_space, left.name) < std::tie(right.kind, right.name_space, right.name);
  }
};

std::string to_text(const ObjectKey& key) { return printable_text(key.kind + " " + key.name_space + "/" + key.name); }

// --- Reading -----------------------------------------------------------------------------------------------------

/// All versions of everything that matters.
class Manifests {
 public:
  struct Versions {
    std::vector<json> old_side;
    std::vector<json> both_sides;
    std::vector<json> new_side;
  };
  std::map<ObjectKey, Versions> objects;  ///< Clusters and warehouses.
  struct ConfigMap {
    json object;
    std::vector<std::string> faults;  ///< Of the document: they count only where the ConfigMap is used.
  };
  std::map<ObjectKey, ConfigMap> config_maps;  ///< The newest version.
  std::map<std::string, int> passed_over;      ///< Objects of other kinds, by kind.
  std::vector<std::string> not_judged;         ///< Of those: what a cluster comes of.

  /// In the order old, both, new.
  static Result<Manifests> read(const PlanOptions& options, std::istream& standard_input) {
    Manifests manifests;
    std::size_t from_input = 0;
    for (const auto* files : {&options.old_files, &options.files, &options.new_files}) {
      from_input += static_cast<std::size_t>(std::count(files->begin(), files->end(), "-"));
    }
    // The second one would find nothing, and everything would be taken as deleted.
    if (from_input > 1) return misuse("- is named twice: standard input can be read once");
    for (const auto& [side, files] : {std::pair(Side::Old, &options.old_files), std::pair(Side::Both, &options.files),
                                      std::pair(Side::New, &options.new_files)}) {
      for (const auto& path : *files) {
        const auto named = manifest_files(path, options.recursive);
        if (!named) return misuse(path + ": " + named.error().message);
        for (const auto& file : *named) {
          if (const auto read = manifests.read_file(file, side, options, standard_input); !read) {
            return misuse(file + ": " + read.error().message);
          }
        }
      }
    }
    return manifests;
  }

  /// "2 Service, 1 Deployment": what the files hold besides; "" for nothing.
  [[nodiscard]] std::string others() const {
    constexpr std::size_t kKindsShown = 10;
    std::string text;
    std::size_t shown = 0;
    for (const auto& [kind, count] : passed_over) {
      if (++shown > kKindsShown) return text + ", ...";
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + clean_text(kind, 63);
    }
    return text;
  }

 private:
  Status read_file(const std::string& file, Side side, const PlanOptions& options, std::istream& standard_input) {
    const auto documents = read_manifests(file, standard_input);
    if (!documents) return documents.error();
    for (const auto& document : *documents) {
      if (auto taken = take({side, document, options.name_space}, document.value); !taken) return taken;
    }
    return Ok{};
  }

  /// Where an object comes from.
  struct Origin {
    Side side;
    const ManifestDocument& document;
    const std::string& name_space;  ///< Of objects that name none.
    /// Of the items of a typed list, which may leave them out.
    std::string api_version{};
    std::string kind{};
  };

  Status take(const Origin& origin, const json& object) {
    if (!object.is_object()) return misuse(line_of(origin) + "a document that is not an object");
    const auto kind_of = [&](std::string_view key, const std::string& fallback) {
      return member(object, key).is_null() ? fallback : text_member(object, key);
    };
    const std::string api_version = kind_of("apiVersion", origin.api_version);
    const std::string kind = kind_of("kind", origin.kind);
    if (api_version.empty() || kind.empty()) return misuse(line_of(origin) + without_kind(object));
    // As kubectl has it, what has items is a list.
    if (const auto& items = member(object, "items"); kind.ends_with(kListEnding)) {
      if (!items.is_array() && !items.is_null())
        return misuse(line_of(origin) + "the items of a " + kind + " are no list");
      if (const auto faults = list_faults(object); !faults.empty()) return misuse(line_of(origin) + describe(faults));
      Origin inside = origin;
      inside.kind = kind.substr(0, kind.size() - kListEnding.size());
      inside.api_version = inside.kind.empty() ? "" : api_version;
      for (const auto& item : items) {
        if (auto taken = take(inside, item); !taken) return taken;
      }
      return Ok{};
    }
    if (member(object, "items").is_array()) {
      return misuse(line_of(origin) + "kind \"" + printable_text(kind) + "\"" + note_of(kind) +
                    " has items: want List, or a kind that ends in List");
    }
    if (auto named = check_kind(origin, api_version, kind); !named) return named;
    return keep(origin, object, kind, api_version);
  }

  static std::string line_of(const Origin& origin) { return "line " + std::to_string(origin.document.line) + ": "; }

  /// What a document without apiVersion or kind has instead.
  static std::string without_kind(const json& object) {
    const auto lacks = [&](const char* key) { return text_member(object, key).empty(); };
    std::string text = std::string("a document without ") + (lacks("apiVersion") ? "apiVersion" : "") +
                       (lacks("apiVersion") && lacks("kind") ? " and " : "") + (lacks("kind") ? "kind" : "");
    for (const auto& [key, value] : object.items()) {
      if ((key == "apiVersion" || key == "kind") && !value.is_string() && !value.is_null()) {
        return text + ": " + key + " is not a string";
      }
      if (const auto odd = first_odd_character(key)) {
        return text + ": its field \"" + printable_text(key) + "\" has " + odd->name;
      }
    }
    constexpr std::size_t kFieldsShown = 4;
    std::string fields;
    std::size_t count = 0;
    for (const auto& [key, value] : object.items()) {
      if (++count <= kFieldsShown) fields += (fields.empty() ? "" : ", ") + clean_text(key, 40);
    }
    return text +
           (fields.empty() ? " or any other field" : "; it has " + fields + (count > kFieldsShown ? ", ..." : ""));
  }

  /// A kind that only its spelling keeps from being judged.
  static Status check_kind(const Origin& origin, const std::string& api_version, const std::string& kind) {
    struct Known {
      std::string_view kind;
      std::string_view group;  ///< With the slash; the core group has none.
      std::string_view api_version;
    };
    constexpr std::array kKnown{Known{kClusterKind, kGroup, "starrocks.com/v1"},
                                Known{kWarehouseKind, kGroup, "starrocks.com/v1"}, Known{kConfigMapKind, "", "v1"}};
    for (const Known& known : kKnown) {
      // Another API may have a kind of our kind's plain name, not one that is nearly ours.
      const bool same_group = known.group.empty() ? api_version == known.api_version
                                                  : letters_of(api_version).starts_with(letters_of(known.group));
      const bool ours = same_group || known.kind != kConfigMapKind;
      if (ours && kind != known.kind && nearly(kind, known.kind, same_group && !known.group.empty())) {
        return misuse(line_of(origin) + "kind \"" + printable_text(kind) + "\"" + note_of(kind) + ": want " +
                      std::string(known.kind));
      }
      const bool right = known.group.empty() || api_version == known.api_version;
      if (kind == known.kind && !right) {
        return misuse(line_of(origin) + "apiVersion \"" + printable_text(api_version) + "\" of a " + kind +
                      note_of(api_version) + ": want " + std::string(known.api_version));
      }
    }
    return Ok{};
  }

  /// The same letters; in our own group, which has no other kinds, typing errors too.
  static bool nearly(const std::string& kind, std::string_view known, bool own_group) {
    constexpr std::size_t kTypingErrors = 2;
    constexpr std::size_t kKindMax = 63;
    if (letters_of(kind) == letters_of(known)) return true;
    return own_group && kind.size() <= kKindMax && edit_distance(look_of(kind), look_of(known)) <= kTypingErrors;
  }

  static std::string note_of(const std::string& text) {
    const auto odd = first_odd_character(text);
    return odd ? ", which has " + odd->name : "";
  }

  /// Lower case letters and digits alone: what tells two names apart at a glance.
  static std::string letters_of(std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c >= 'A' && c <= 'Z') out += static_cast<char>(c - 'A' + 'a');
      if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
    }
    return out;
  }

  Status keep(const Origin& origin, const json& object, const std::string& kind, const std::string& api_version) {
    const bool config_map = kind == kConfigMapKind && api_version == "v1";
    const bool gated = kind == kClusterKind || kind == kWarehouseKind;
    if (kind == "Kustomization" && api_version.starts_with("kustomize.config.k8s.io/")) {
      return misuse(line_of(origin) +
                    "a Kustomization: want it rendered, kubectl kustomize FOLDER | upgrade-gate plan -");
    }
    if (!config_map && !gated) {
      ++passed_over[kind];
      if (auto why = not_judged_of(object); !why.empty()) not_judged.push_back(std::move(why));
      return Ok{};
    }
    if (const auto faults = shape_faults(kind, object); !faults.empty()) {
      const auto name = clean_text(text_member(member(object, "metadata"), "name"), 63);
      return misuse(line_of(origin) + kind + (name.empty() ? "" : " " + name) + ": " + describe(faults));
    }
    const auto& metadata = member(object, "metadata");
    ObjectKey key{kind, text_member(metadata, "namespace"), text_member(metadata, "name")};
    if (key.name_space.empty()) key.name_space = origin.name_space;
    if (key.name.empty()) return misuse(line_of(origin) + "a " + kind + " has no metadata.name");
    if (config_map) {
      // Hooks are read when they are used, so the new version counts, the old one only where there is no other.
      if (origin.side == Side::Old && config_maps.contains(key)) return Ok{};
      auto faults = origin.document.faults;
      if (const auto in_data = data_faults(object); !in_data.empty())
        faults.push_back(line_of(origin) + describe(in_data));
      config_maps[key] = {object, std::move(faults)};
      return Ok{};
    }
    if (!origin.document.faults.empty()) return misuse(origin.document.faults.front() + " (in " + to_text(key) + ")");
    auto& versions = objects[key];
    (origin.side == Side::Old   ? versions.old_side
     : origin.side == Side::New ? versions.new_side
                                : versions.both_sides)
        .push_back(object);
    return Ok{};
  }
};

/// One object before and after; null where it is not there.
struct Change {
  json before;
  json after;
};

Result<Change> change_of(const ObjectKey& key, const Manifests::Versions& versions) {
  const auto& [before, both, after] = versions;
  if (before.empty() && after.empty() && both.size() == 2) return Change{both[0], both[1]};
  // Given once, it is both sides, or the one that is missing.
  if (both.size() > 1 || before.size() > 1 || after.size() > 1 || before.size() + both.size() + after.size() > 2) {
    return misuse(to_text(key) + " is given more than twice, or twice on one side; want an old and a new version");
  }
  Change change;
  if (!both.empty()) change = {both[0], both[0]};
  if (!before.empty()) change.before = before[0];
  if (!after.empty()) change.after = after[0];
  return change;
}

struct WantedImage {
  Component component = Component::Frontend;
  std::string image;
  bool used = false;
};

Result<std::vector<WantedImage>> wanted_images(const std::vector<std::string>& texts) {
  std::vector<WantedImage> wanted;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    const auto component = component_from(text.substr(0, equals));
    if (equals == std::string::npos || equals + 1 == text.size() || !component) {
      return misuse("--set-image: \"" + text +
                    "\" is not understood; want COMPONENT=IMAGE with fe, be, cn or warehouse");
    }
    const auto same = [&](const WantedImage& other) { return other.component == *component; };
    if (std::any_of(wanted.begin(), wanted.end(), same)) {
      return misuse("--set-image: " + std::string(to_string(*component)) + " is given two images");
    }
    wanted.push_back({*component, text.substr(equals + 1), false});
  }
  return wanted;
}

void set_images(const std::string& kind, json& object, std::vector<WantedImage>& wanted) {
  for (auto& [component, image, used] : wanted) {
    if ((component == Component::Warehouse) != (kind == kWarehouseKind)) continue;
    if (component_image(object, component).empty()) continue;
    object["spec"][std::string(spec_field(component))]["image"] = image;
    used = true;
  }
}

// --- Judging -----------------------------------------------------------------------------------------------------

enum class Verdict { Allowed, Held, Denied };

struct ObjectPlan {
  ObjectKey key;
  AdmissionFacts facts;
  std::vector<std::string> left_out;   ///< Hooks that are not for this change.
  std::vector<std::string> not_given;  ///< ConfigMaps.
  std::vector<PathFinding> findings;
  Verdict verdict = Verdict::Allowed;
  std::string note;     ///< That it is on one side alone; empty: it is not.
  std::string reason;   ///< Of a denial: as clients see it.
  std::string message;  ///< Why.
  struct TurnPlan {
    Component component = Component::Frontend;
    std::string stateful_set;
    int pods = 0;  ///< 0: the manifest does not say.
    bool after_image = false;
  };
  std::vector<TurnPlan> turns;  ///< Of a led rollout.
};

/// A ConfigMap that says of itself that it holds hooks.
struct ConfigMapPlan {
  ObjectKey key;
  HookConfiguration configuration;
};

struct Plan {
  std::vector<ObjectPlan> objects;
  std::vector<ConfigMapPlan> config_maps;
  std::string passed_over;  ///< "2 Service, 1 Deployment"
  std::vector<std::string> not_judged;
  bool strict = false;
  int exit_code = 0;
};

HookRules rules_of(const PlanOptions& options) {
  return {options.http_hook_prefixes, !options.script_hook_image.empty(), options.allowed_sql};
}

Status resolve(ObjectPlan& out, const json& object, const Manifests& manifests, const PlanOptions& options) {
  HookSources sources{object, options.default_hooks, out.facts.changes, {}, rules_of(options)};
  sources.rollout_defaults = options.rollout_defaults;
  for (const auto& name : referenced_config_maps(object, out.facts.changes)) {
    const auto found = manifests.config_maps.find({std::string(kConfigMapKind), out.key.name_space, name});
    if (found == manifests.config_maps.end()) {
      out.not_given.push_back(name);
      sources.config_maps[name].error = "not given";
    } else if (const auto& [config_map, faults] = found->second; !faults.empty()) {
      return misuse(faults.front() + " (in " + to_text(found->first) + ")");
    } else {
      sources.config_maps[name].data = text_members(member(config_map, "data"));
    }
  }
  out.facts.configuration = resolve_hooks(sources);
  // Said as `not_given`; the verdict is for when they hold nothing that is at fault.
  out.facts.configuration.unread.clear();
  if (out.facts.changes.empty()) return Ok{};
  sources.changes.clear();
  std::set<std::string> used;
  for (const auto& hook : out.facts.configuration.hooks) used.insert(hook.name);
  for (const auto& hook : resolve_hooks(sources).hooks) {
    if (!used.contains(hook.name)) out.left_out.push_back(hook.name);
  }
  return Ok{};
}

/// The turns in which a change would be led, with the sizes that the manifest asks for.
std::vector<ObjectPlan::TurnPlan> turns_of(const AdmissionFacts& facts, const json& after) {
  std::vector<ObjectPlan::TurnPlan> out;
  if (facts.configuration.rollout.mode == RolloutMode::Operator || !facts.configuration.faults.empty()) return out;
  PreparationSpec spec;
  spec.object = {facts.kind, facts.name, {}};
  spec.cluster = facts.cluster;
  spec.changes = facts.changes;
  for (const auto& turn : plan_turns(spec)) {
    for (const auto component : turn.components) {
      const auto& replicas = member(member(member(after, "spec"), std::string(spec_field(component))), "replicas");
      const auto pods = replicas.is_number_integer() ? replicas.get<std::int64_t>() : 0;
      out.push_back({component, stateful_set_name(spec, component),
                     static_cast<int>(std::clamp<std::int64_t>(pods, 0, INT32_MAX)),
                     component == Component::Frontend && !out.empty()});
    }
  }
  return out;
}

void judge(ObjectPlan& out, const json& before, const json& after) {
  auto& facts = out.facts;
  if (facts.changes.empty() && !facts.configuration.faults.empty()) {  // refused when it is written
    const auto denial = hooks_invalid(facts);
    out.verdict = Verdict::Denied;
    out.reason = denial.reason;
    out.message = denial.message;
    return;
  }
  EffectsLeft left;
  left.read_versions = false;  // the tags are all there is
  const auto decision = decide(facts, left);
  if (decision.effect != Effect::None && facts.configuration.rollout.admission == AdmissionMode::Hold) {
    out.message = "at once; its pods stay as they are until these hooks have completed";
  } else if (decision.effect != Effect::None) {
    out.verdict = Verdict::Held;
    out.message = facts.configuration.mode == PreparationMode::Verify
                      ? "until everything that these hooks would set is in force"
                      : "until these hooks have completed; a request that comes before is denied as " +
                            std::string(reason::kRunning) + " and succeeds when it is repeated";
  } else if (!decision.answer.allowed) {
    out.verdict = Verdict::Denied;
    out.reason = decision.answer.reason;
    out.message = decision.answer.message;
  } else if (before.is_null()) {
    out.message = "a new object is never held";
  } else if (after.is_null()) {
    out.message = "a deletion is never held";
  } else {
    out.message = facts.changes.empty() ? "no image changes" : "no hooks are configured";
  }
}

/// An object that is on one side alone may have been meant to be on both.
std::string one_sided(const Change& change) {
  constexpr std::string_view kElse = "; if it is not, compare its kind, namespace and name on both sides";
  if (change.before.is_null()) return "only in the new manifests: treated as new" + std::string(kElse);
  if (change.after.is_null()) return "only in the old manifests: treated as deleted" + std::string(kElse);
  return "";
}

/// Images that are taken away: to the operator that is a change, too, but to none that could be prepared.
std::string taken_away(const Change& change) {
  std::string text;
  if (change.before.is_null() || change.after.is_null()) return text;
  for (const auto component : {Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse}) {
    if (component_image(change.before, component).empty() || !component_image(change.after, component).empty())
      continue;
    text += (text.empty() ? "" : ", ") + std::string(to_string(component));
  }
  return text.empty() ? text : "the image of " + text + " is taken away, which is never held";
}

Result<ObjectPlan> plan_object(const ObjectKey& key, const Change& change, const Manifests& manifests,
                               const PlanOptions& options) {
  ObjectPlan out;
  out.note = one_sided(change) + taken_away(change);
  out.key = key;
  auto& facts = out.facts;
  facts.kind = key.kind;
  facts.name_space = key.name_space;
  facts.name = key.name;
  facts.cluster = key.kind == kWarehouseKind ? text_member(member(change.after, "spec"), "starRocksCluster") : key.name;
  facts.changes = image_changes(key.kind, change.before, change.after);
  facts.unchanged = unchanged_images(key.kind, change.after, facts.changes);
  facts.version_policy = options.version_policy;
  if (!change.after.is_null()) {
    if (const auto resolved = resolve(out, change.after, manifests, options); !resolved) return resolved.error();
  }
  if (!facts.changes.empty() && facts.configuration.configured) out.findings = path_findings(facts, false);
  if (!facts.changes.empty() && facts.configuration.configured) out.turns = turns_of(facts, change.after);
  judge(out, change.before, change.after);
  return out;
}

Result<Plan> make_plan(const PlanOptions& options, std::istream& standard_input) {
  if (!is_object_name(options.name_space) || options.name_space.find('.') != std::string::npos) {
    return misuse("--namespace: invalid value \"" + printable_text(options.name_space) +
                  "\": want lower case letters, digits and '-'");
  }
  auto wanted = wanted_images(options.set_images);
  if (!wanted) return wanted.error();
  const auto manifests = Manifests::read(options, standard_input);
  if (!manifests) return manifests.error();
  Plan plan;
  plan.strict = options.strict;
  plan.passed_over = manifests->others();
  plan.not_judged = manifests->not_judged;
  if (options.strict && !plan.not_judged.empty()) plan.exit_code = 1;
  for (const auto& [key, versions] : manifests->objects) {
    auto change = change_of(key, versions);
    if (!change) return change.error();
    set_images(key.kind, change->after, *wanted);
    auto made = plan_object(key, *change, *manifests, options);
    if (!made) return made.error();
    plan.objects.push_back(std::move(made).value());
    const auto& object = plan.objects.back();
    const bool at_fault = !object.facts.configuration.faults.empty() || (options.strict && !object.not_given.empty());
    if (at_fault || object.verdict == Verdict::Denied) plan.exit_code = 1;
  }
  for (const auto& [key, given] : manifests->config_maps) {
    const auto& [config_map, faults] = given;
    if (text_member(member(member(config_map, "metadata"), "labels"), kHooksLabel) != "true") continue;
    if (!faults.empty()) return misuse(faults.front() + " (in " + to_text(key) + ")");
    plan.config_maps.push_back({key, validate_config_map(text_members(member(config_map, "data")), rules_of(options))});
    if (!plan.config_maps.back().configuration.faults.empty()) plan.exit_code = 1;
  }
  if (plan.objects.empty() && plan.config_maps.empty()) {
    return misuse("the files hold no StarRocksCluster, no StarRocksWarehouse and no ConfigMap with the label " +
                  std::string(kHooksLabel) + ": \"true\"" +
                  (plan.passed_over.empty() ? "" : "; they hold " + plan.passed_over) +
                  (plan.not_judged.empty() ? "" : "; not judged: " + plan.not_judged.front()));
  }
  for (const auto& [component, image, used] : *wanted) {
    if (!used) return misuse("--set-image: no object has an image of " + std::string(to_string(component)));
  }
  return plan;
}

// --- Printing ----------------------------------------------------------------------------------------------------

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::Allowed:
      return "allowed";
    case Verdict::Held:
      return "held";
    case Verdict::Denied:
      return "denied";
  }
  return "";
}

std::string_view meaning(Probe probe) {
  switch (probe) {
    case Probe::FrontendsAlive:
      return "every FE is alive, one leads, and none is far behind";
    case Probe::BackendsAlive:
      return "every BE is alive";
    case Probe::ComputeNodesAlive:
      return "every CN is alive";
    case Probe::TabletsHealthy:
      return "no tablet is unhealthy or inconsistent";
    case Probe::NoSchemaChange:
      return "no schema change is pending or running";
    case Probe::NoRunningLoads:
      return "no load is queued or running";
    case Probe::SchedulerDrained:
      return "no tablet is being moved or repaired";
  }
  return "";
}

std::string seconds(std::chrono::seconds time) { return std::to_string(time.count()) + " s"; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// What a hook does, in lines.
struct ActionPrinter {
  std::vector<std::string> operator()(const SqlAction& action) const { return lines_of(action.sql); }
  std::vector<std::string> operator()(const ProbeAction& action) const {
    return {"wait until " + std::string(meaning(action.probe))};
  }
  std::vector<std::string> operator()(const QueryAction& action) const {
    auto lines = lines_of(action.sql);
    const std::string subject = action.column.empty() ? "its one value" : "every " + action.column;
    lines.push_back("wait until " + subject + " " + std::string(gate::to_string(action.comparison)) + " " +
                    action.value + ", every " + seconds(action.poll));
    return lines;
  }
  std::vector<std::string> operator()(const HttpAction& action) const {
    // Its query may hold a secret, and plans end up in the logs of pipelines.
    const auto url = parse_http_url(action.url);
    std::vector<std::string> lines{"POST " + (url ? url->shown() : "") + " until it allows or denies, every " +
                                   seconds(action.poll)};
    if (!action.token_secret.empty()) {
      lines.push_back("bearer token: key " + action.token_key + " of Secret " + action.token_secret);
    }
    return lines;
  }
  std::vector<std::string> operator()(const ScriptAction& action) const {
    std::vector<std::string> lines{"a Kubernetes Job runs pre_upgrade() of"};
    for (const auto& line : lines_of(action.script)) lines.push_back("  " + line);
    return lines;
  }
};

std::string undo_of(const Hook& hook) {
  switch (hook.restore) {
    case RestoreMode::Captured: {
      if (setting_of(hook) != nullptr) return "the previous value";
      const auto* script = std::get_if<ScriptAction>(&hook.action);
      return script != nullptr && script->post_upgrade ? "post_upgrade() of the script" : "";
    }
    case RestoreMode::None:
      return setting_of(hook) != nullptr ? "nothing, its effect stays" : "";
    case RestoreMode::Statement:
      return hook.restore_sql;
  }
  return "";
}

class TextPrinter {
 public:
  std::string print(const Plan& plan) {
    for (const auto& object : plan.objects) print(object, plan.strict);
    for (const auto& config_map : plan.config_maps) {
      out_ << to_text(config_map.key) << '\n';
      print_judgement(config_map.configuration);
      const bool valid = config_map.configuration.faults.empty();
      line("verdict",
           valid ? "valid: " + std::to_string(config_map.configuration.hooks.size()) + " hooks" : "not valid");
    }
    if (!plan.passed_over.empty()) out_ << "skipped: " << plan.passed_over << '\n';
    for (const auto& what : plan.not_judged) out_ << "not judged: " << what << '\n';
    return out_.str();
  }

 private:
  /// Control characters of foreign text never reach a terminal.
  void line(std::string_view label, std::string_view text) {
    constexpr std::size_t kLabelWidth = 11;
    std::string left(label);
    left.resize(std::max(kLabelWidth, left.size() + 1), ' ');
    out_ << "  " << left << printable_text(text) << '\n';
  }

  void print(const ObjectPlan& object, bool strict) {
    out_ << to_text(object.key) << '\n';
    for (const auto& change : object.facts.changes) {
      line("change", std::string(gate::to_string(change.component)) + " " + change.from + " -> " + change.to + " (" +
                         std::string(gate::to_string(version_change(change.from, change.to))) + ")");
    }
    const auto& configuration = object.facts.configuration;
    if (configuration.mode == PreparationMode::Verify) line("mode", "verify: the gate runs nothing, it only looks");
    int number = 0;
    for (const auto& hook : configuration.hooks) print(hook, configuration.mode, ++number);
    for (const auto& name : object.left_out) line("left out", name + ": not for this change");
    for (const auto& name : object.not_given) {
      line(strict ? "fault" : "warning", "ConfigMap " + name + " not found in the input: its hooks were not validated");
    }
    print_turns(object);
    print_judgement(configuration);
    for (const auto& finding : object.findings) {
      line("path", std::string(gate::to_string(finding.severity)) + ": " + finding.text +
                       (finding.source.empty() ? "" : " (StarRocks " + std::string(finding.source) + ")"));
    }
    if (!object.note.empty()) line("note", object.note);
    const auto message = lines_of(object.message);
    std::string verdict(to_string(object.verdict));
    if (!object.reason.empty()) verdict += " as " + object.reason;
    line("verdict", verdict + ": " + (message.empty() ? "" : message.front()));
  }

  void print_turns(const ObjectPlan& object) {
    if (object.turns.empty()) return;
    const auto& rollout = object.facts.configuration.rollout;
    line("rollout", std::string(gate::to_string(rollout.mode)) + ", where the namespace has the label " +
                        std::string(kRolloutsLabel) + "=" + std::string(kRolloutsEnabled));
    int number = 0;
    for (const auto& turn : object.turns) {
      std::string text = std::string(gate::to_string(turn.component)) + ": StatefulSet " + turn.stateful_set;
      if (turn.pods > 0) text += ", " + std::to_string(turn.pods) + (turn.pods == 1 ? " pod" : " pods");
      if (rollout.mode == RolloutMode::Stepwise && turn.pods > 1) {
        text += ", one a step: " + turn.stateful_set + "-" + std::to_string(turn.pods - 1) + " first, " +
                turn.stateful_set + "-0 last";
      } else if (rollout.mode == RolloutMode::Stepwise && turn.pods == 0) {
        text += ", one pod a step";
      }
      if (turn.after_image) text += "; after ALTER SYSTEM CREATE IMAGE";
      line("turn " + std::to_string(++number), text);
    }
    std::string health;
    for (const auto probe : rollout.health) health += (health.empty() ? "" : "; ") + std::string(meaning(probe));
    line("step over", "when its pods and nodes are back and new, and " + std::to_string(rollout.readings) +
                          " times in a row: " + health);
    line("", "paused after " + seconds(rollout.step_timeout));
  }

  void print_judgement(const HookConfiguration& configuration) {
    for (const auto& warning : configuration.warnings) line("warning", warning);
    for (const auto& fault : configuration.faults) line("fault", describe({fault}));
  }

  void print(const Hook& hook, PreparationMode mode, int number) {
    std::string conduct = hook.critical ? "critical" : "may fail";
    conduct += ", " + seconds(hook.timeout);
    if (hook.retries != 0) conduct += ", " + std::to_string(hook.retries) + " retries";
    if (!hook.group.empty()) conduct += ", at once with its neighbours of group " + hook.group;
    if (!hook.run_mode.empty()) conduct += ", only where the cluster is " + hook.run_mode;
    line("hook " + std::to_string(number), hook.name + ": " + conduct);
    for (const auto& text : std::visit(ActionPrinter{}, hook.action)) line("", "  " + text);
    if (mode == PreparationMode::Verify) return;  // what was not done is not undone
    if (const auto undo = undo_of(hook); !undo.empty()) line("", "  undone by: " + undo);
  }

  std::ostringstream out_;
};

json to_json(const std::vector<ConfigurationFault>& faults) {
  auto out = json::array();
  for (const auto& fault : faults) {
    out.push_back({{"field", fault.field}, {"value", fault.value}, {"accepted", fault.accepted}});
  }
  return out;
}

json to_json(const ObjectPlan& object) {
  // The hooks as the record would have them.
  Preparation record;
  record.spec.changes = object.facts.changes;
  record.spec.hooks = object.facts.configuration.hooks;
  const auto spec = gate::to_json(record).at("spec");
  auto findings = json::array();
  for (const auto& finding : object.findings) {
    findings.push_back({{"rule", finding.rule},
                        {"severity", gate::to_string(finding.severity)},
                        {"text", finding.text},
                        {"source", finding.source}});
  }
  json verdict{{"answer", to_string(object.verdict)}, {"message", object.message}};
  if (!object.reason.empty()) verdict["reason"] = object.reason;
  json out{{"kind", object.key.kind},
           {"namespace", object.key.name_space},
           {"name", object.key.name},
           {"changes", spec.at("changes")},
           {"mode", gate::to_string(object.facts.configuration.mode)},
           {"hooks", spec.at("hooks")},
           {"leftOut", object.left_out},
           {"configMapsNotGiven", object.not_given},
           {"path", std::move(findings)},
           {"warnings", object.facts.configuration.warnings},
           {"faults", to_json(object.facts.configuration.faults)},
           {"verdict", std::move(verdict)}};
  if (!object.note.empty()) out["note"] = object.note;
  if (object.facts.configuration.rollout.leads()) {
    out["rollout"] = gate::to_json(object.facts.configuration.rollout);
    for (const auto& turn : object.turns) {
      json told{{"component", gate::to_string(turn.component)}, {"statefulSet", turn.stateful_set}};
      if (turn.pods > 0) told["pods"] = turn.pods;
      if (turn.after_image) told["afterImage"] = true;
      out["rollout"]["turns"].push_back(std::move(told));
    }
  }
  return out;
}

std::string print_json(const Plan& plan) {
  json out{{"objects", json::array()}, {"configMaps", json::array()}, {"ok", plan.exit_code == 0}};
  if (!plan.passed_over.empty()) out["passedOver"] = plan.passed_over;
  if (!plan.not_judged.empty()) out["notJudged"] = plan.not_judged;
  for (const auto& object : plan.objects) out["objects"].push_back(to_json(object));
  for (const auto& [key, configuration] : plan.config_maps) {
    out["configMaps"].push_back({{"namespace", key.name_space},
                                 {"name", key.name},
                                 {"warnings", configuration.warnings},
                                 {"faults", to_json(configuration.faults)}});
  }
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

PlanResult plan(const PlanOptions& options, std::istream& standard_input) {
  const auto made = make_plan(options, standard_input);
  if (!made) return {2, "", made.error().message + "\n"};
  return {made->exit_code, options.json ? print_json(*made) : TextPrinter().print(*made), ""};
}

}  // namespace gate
