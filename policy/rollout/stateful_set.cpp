#include "policy/rollout/stateful_set.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "policy/json/json_member.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

struct ComponentScheme {
  std::string_view label;       ///< Value of the component label.
  std::string_view owner_kind;  ///< Of the controller.
  Component component;
  std::string_view container;  ///< The one whose image is the component's.
  std::string_view suffix;     ///< Of the StatefulSet's name, behind that of its owner.
};

/// How an operator of this family marks and writes its StatefulSets. All of StarRocks' own is here: another operator
/// that compares a hash annotation is another table (without a last-applied annotation where it writes merge patches).
struct OperatorScheme {
  std::string_view owner_group;
  std::string_view component_label;
  std::string_view hash_annotation;
  std::string_view last_applied_annotation;
  std::array<ComponentScheme, 4> components;
};

constexpr OperatorScheme kStarRocks{
    "starrocks.com/",
    "app.kubernetes.io/component",
    "app.starrocks.components/hash",
    "starrocks.kubernetes.operator/last-applied-configuration",
    {ComponentScheme{"fe", kClusterKind, Component::Frontend, "fe", "-fe"},
     ComponentScheme{"be", kClusterKind, Component::Backend, "be", "-be"},
     ComponentScheme{"cn", kClusterKind, Component::ComputeNode, "cn", "-cn"},
     ComponentScheme{"cn", kWarehouseKind, Component::Warehouse, "cn", "-warehouse-cn"}}};

/// The last-applied annotation is as large as the object, and the API server keeps all annotations below this.
constexpr std::size_t kLastAppliedBytesMax = 256u << 10;

const json& spec_of(const json& object) { return member(object, "spec"); }

std::string annotation_of(const json& object, std::string_view key) {
  return text_member(member(member(object, "metadata"), "annotations"), key);
}

const ComponentScheme* scheme_of(const json& object, const json& owner) {
  const auto label = text_member(member(member(object, "metadata"), "labels"), kStarRocks.component_label);
  const auto kind = text_member(owner, "kind");
  const auto* found =
      std::find_if(kStarRocks.components.begin(), kStarRocks.components.end(),
                   [&](const ComponentScheme& row) { return row.label == label && row.owner_kind == kind; });
  return found == kStarRocks.components.end() ? nullptr : found;
}

/// The controller among the owners; null where there is none of the operator's kinds.
const json& owner_of(const json& object) {
  static const json kNone;
  const json& owners = member(member(object, "metadata"), "ownerReferences");
  if (!owners.is_array()) return kNone;
  for (const json& owner : owners) {
    const json& controller = member(owner, "controller");
    const bool controls = controller.is_boolean() && controller.get<bool>();
    if (controls && text_member(owner, "apiVersion").starts_with(kStarRocks.owner_group)) return owner;
  }
  return kNone;
}

std::string main_image(const json& object, std::string_view container) {
  const json& containers = member(member(member(spec_of(object), "template"), "spec"), "containers");
  if (!containers.is_array() || containers.empty()) return {};
  for (const json& candidate : containers) {
    if (text_member(candidate, "name") == container) return text_member(candidate, "image");
  }
  return text_member(containers.front(), "image");
}

bool on_delete(const json& object) {
  return text_member(member(spec_of(object), "updateStrategy"), "type") == "OnDelete";
}

int partition_of(const json& object) {
  const json& partition = member(member(member(spec_of(object), "updateStrategy"), "rollingUpdate"), "partition");
  if (!partition.is_number_integer()) return 0;
  return static_cast<int>(std::clamp<std::int64_t>(partition.get<std::int64_t>(), 0, INT32_MAX));
}

/// A JSON pointer's token.
std::string escaped(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

/// The object as it will be stored, and the patch that leads there from what was sent.
class Rewrite {
 public:
  explicit Rewrite(const json& sent) : result_(sent) {}

  [[nodiscard]] const json& result() const { return result_; }
  [[nodiscard]] json patch() && { return std::move(patch_); }

  /// A field of the spec; null: it is not to be there.
  void spec_field(const std::string& key, const json& value) { edit(result_["spec"], "/spec/", key, value); }

  void annotation(std::string_view key, const json& value) {
    json& metadata = result_["metadata"];
    if (!metadata.contains("annotations") || !metadata["annotations"].is_object()) {
      if (value.is_null()) return;
      metadata["annotations"] = json::object();
      patch_.push_back({{"op", "add"}, {"path", "/metadata/annotations"}, {"value", json::object()}});
    }
    edit(metadata["annotations"], "/metadata/annotations/", key, value);
  }

 private:
  void edit(json& parent, const std::string& path, std::string_view key, const json& value) {
    const auto found = parent.find(key);
    if (found == parent.end() ? value.is_null() : *found == value) return;
    if (value.is_null()) {
      patch_.push_back({{"op", "remove"}, {"path", path + escaped(key)}});
      parent.erase(std::string(key));
    } else {
      patch_.push_back(
          {{"op", found == parent.end() ? "add" : "replace"}, {"path", path + escaped(key)}, {"value", value}});
      parent[std::string(key)] = value;
    }
  }

  json result_;
  json patch_ = json::array();
};

json annotation_or_null(const json& object, std::string_view key) {
  const json& annotations = member(member(object, "metadata"), "annotations");
  return member(annotations, key);
}

json claim_of(const json& object) {
  const auto text = annotation_of(object, kStarRocks.last_applied_annotation);
  return text.size() > kLastAppliedBytesMax ? json() : json::parse(text, nullptr, false);
}

/// Values of the mark.
constexpr std::string_view kMarkHold = "hold";
constexpr std::string_view kMarkPartition = "partition";

/// Whether the last-applied annotation that was sent may not replace the stored one: nothing of it was applied, it
/// claims an image that the object does not get, or nothing but another resourceVersion, which would be a write at each
/// of the operator's passes.
bool claim_stays(const json& old_object, const json& result, std::string_view container) {
  if (annotation_of(old_object, kHeldAnnotation) == kMarkHold) return true;
  const json claim = claim_of(result);
  if (!claim.is_object()) return false;
  if (main_image(claim, container) != main_image(result, container)) return true;
  return spec_of(claim) == spec_of(claim_of(old_object));
}

/// A hash that the operator never computes (its own are numbers): whatever the custom resource asks for next, also what
/// it asked for before, is written. With the old hash a way back would be "nothing to do" while pods are ahead of it,
/// or replicas that passed meanwhile.
constexpr std::string_view kNoHash = "held-by-upgrade-gate";

void keep_annotation(Rewrite& rewrite, const json& old_object, std::string_view key) {
  rewrite.annotation(key, annotation_or_null(old_object, key));
}

void hold(Rewrite& rewrite, const json& old_object) {
  rewrite.spec_field("template", member(spec_of(old_object), "template"));
  // Pods that a partition keeps back would otherwise go to the template that is there, unsupervised.
  rewrite.spec_field("updateStrategy", member(spec_of(old_object), "updateStrategy"));
  rewrite.annotation(kStarRocks.hash_annotation, kNoHash);
}

/// The partition that whoever writes asks for.
int wanted_partition(const json& old_object, const json& object) {
  const int sent = partition_of(object);
  return annotation_of(old_object, kPartitionAnnotation) == std::to_string(sent) ? 0 : sent;
}

void put_partition(Rewrite& rewrite, const json& object, int partition) {
  json strategy = member(spec_of(object), "updateStrategy");
  if (!strategy.is_object()) strategy = json::object();
  strategy["type"] = "RollingUpdate";
  if (!strategy["rollingUpdate"].is_object()) strategy["rollingUpdate"] = json::object();
  strategy["rollingUpdate"]["partition"] = partition;
  rewrite.spec_field("updateStrategy", strategy);
}

void let_go(Rewrite& rewrite, const json& old_object, const json& object) {
  const int wanted = wanted_partition(old_object, object);
  if (wanted != partition_of(object) && !on_delete(object)) {
    put_partition(rewrite, object, wanted);
    // Once more: an operator that names this very partition since it was put there writes it then.
    rewrite.annotation(kStarRocks.hash_annotation, kNoHash);
  }
  rewrite.annotation(kPartitionAnnotation, json());
}

void steer(Rewrite& rewrite, const json& old_object, const json& object, int partition) {
  if (partition <= wanted_partition(old_object, object)) {  // the user's own keeps more back
    rewrite.annotation(kPartitionAnnotation, json());
    return;
  }
  put_partition(rewrite, object, partition);
  rewrite.annotation(kPartitionAnnotation, std::to_string(partition));
  rewrite.annotation(kStarRocks.hash_annotation, kNoHash);
}

const ComponentScheme& scheme_of(Component component) {
  return *std::find_if(kStarRocks.components.begin(), kStarRocks.components.end(),
                       [&](const ComponentScheme& row) { return row.component == component; });
}

int number(const json& object, std::string_view key, int fallback) {
  const json& value = member(object, key);
  if (!value.is_number_integer()) return fallback;
  return static_cast<int>(std::clamp<std::int64_t>(value.get<std::int64_t>(), 0, INT32_MAX));
}

void warn(AdmissionAnswer& answer, const StatefulSetWrite& write, std::string_view what) {
  constexpr std::size_t kNameShownMax = 30;
  answer.warnings.push_back("upgrade gate: " + clean_text(write.name, kNameShownMax) + ": " + std::string(what));
}

}  // namespace

std::optional<int> ordinal_in(const StatefulSetState& set, std::string_view node) {
  const auto pod = node.substr(0, node.find_first_of(".:"));
  if (pod.size() == node.size() || !pod.starts_with(set.name + "-")) return std::nullopt;
  const auto digits = pod.substr(set.name.size() + 1);
  int ordinal = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  const bool whole = !digits.empty() && error == std::errc{} && end == digits.data() + digits.size();
  return whole && ordinal >= 0 ? std::optional(ordinal) : std::nullopt;
}

std::string stateful_set_name(const PreparationSpec& spec, Component component) {
  const auto& owner = component == Component::Warehouse ? spec.object.name : spec.cluster;
  return owner + std::string(scheme_of(component).suffix);
}

StatefulSetState stateful_set_state(const PreparationSpec& spec, Component component, const json& object) {
  StatefulSetState out;
  out.component = component;
  out.name = stateful_set_name(spec, component);
  if (!object.is_object()) return out;
  const json& status = member(object, "status");
  out.exists = true;
  out.observed = number(status, "observedGeneration", -1) >= number(member(object, "metadata"), "generation", 0);
  out.image = main_image(object, scheme_of(component).container);
  out.on_delete = on_delete(object);
  out.partition = partition_of(object);
  out.replicas = number(spec_of(object), "replicas", 1);
  out.updated = number(status, "updatedReplicas", 0);
  out.ready = number(status, "readyReplicas", 0);
  out.existing = number(status, "replicas", 0);
  return out;
}

std::optional<StatefulSetWrite> stateful_set_write(const json& old_object, const json& object) {
  // As stored: a write cannot take itself out of what it is.
  const json& owner = owner_of(old_object);
  const auto* scheme = scheme_of(old_object, owner);
  if (scheme == nullptr || !spec_of(object).is_object() || !member(object, "metadata").is_object()) return std::nullopt;
  StatefulSetWrite out;
  out.component = scheme->component;
  out.owner = {text_member(owner, "kind"), text_member(owner, "name"), text_member(owner, "uid")};
  out.name = text_member(member(old_object, "metadata"), "name");
  out.old_image = main_image(old_object, scheme->container);
  out.new_image = main_image(object, scheme->container);
  out.marked = !annotation_or_null(old_object, kHeldAnnotation).is_null();
  return out;
}

AdmissionAnswer answer_write(const json& old_object, const json& object, const SetOrder& order) {
  auto answer = allow();
  const auto write = stateful_set_write(old_object, object);
  if (!write) return answer;
  const auto* scheme = scheme_of(old_object, owner_of(old_object));
  const bool changes_image = write->old_image != write->new_image;
  const bool operators_own =
      annotation_of(object, kStarRocks.hash_annotation) != annotation_of(old_object, kStarRocks.hash_annotation);
  Rewrite rewrite(object);
  json mark;  // null: goes
  switch (order.verdict) {
    case SetVerdict::Pass:
      let_go(rewrite, old_object, object);
      break;
    case SetVerdict::Hold:
      if (changes_image || operators_own) {
        hold(rewrite, old_object);
        mark = kMarkHold;
        if (!operators_own)
          warn(answer, *write, "the new image is held until its turn comes, see kubectl upgrade-gate status");
      } else {
        mark = annotation_or_null(object, kHeldAnnotation);  // nothing that was held is being written
      }
      keep_annotation(rewrite, old_object, kPartitionAnnotation);
      break;
    case SetVerdict::Steer:
      if (on_delete(object)) {
        warn(answer, *write, "pods are not led with updateStrategy OnDelete, delete them one by one");
        rewrite.annotation(kPartitionAnnotation, json());
        break;
      }
      steer(rewrite, old_object, object, order.partition);
      mark = kMarkPartition;
      break;
  }
  if (write->marked || !mark.is_null()) {
    if (claim_stays(old_object, rewrite.result(), scheme->container)) {
      keep_annotation(rewrite, old_object, kStarRocks.last_applied_annotation);
    }
    rewrite.annotation(kHeldAnnotation, mark);
  }
  answer.json_patch = std::move(rewrite).patch();
  return answer;
}

}  // namespace gate
