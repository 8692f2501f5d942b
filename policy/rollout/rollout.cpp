#include "policy/rollout/rollout.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "policy/rollout/stateful_set.hpp"
#include "policy/versions/version.hpp"

namespace gate {
namespace {

/// Where StarRocks puts compute nodes that belong to no other warehouse.
constexpr std::string_view kDefaultWarehouse = "default_warehouse";

/// The FE's name of a warehouse: that of the object, as the operator writes it.
std::string warehouse_name(const PreparationSpec& spec) {
  std::string name = spec.object.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// A pod of a StatefulSet, as the host name "<StatefulSet>-<ordinal>.<service>..." tells.
struct PodName {
  std::string_view stateful_set;
  std::int64_t ordinal = 0;
};

std::optional<PodName> pod_of(std::string_view host) {
  const auto label = host.substr(0, host.find('.'));
  const auto dash = label.rfind('-');
  if (label.size() == host.size() || dash == std::string_view::npos || dash == 0) return std::nullopt;
  PodName pod{label.substr(0, dash), 0};
  const auto digits = label.substr(dash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), pod.ordinal);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || pod.ordinal < 0) {
    return std::nullopt;
  }
  return pod;
}

Component database_component(Component component) {
  return component == Component::Warehouse ? Component::ComputeNode : component;
}

/// Which nodes are those of one changed component.
class Membership {
 public:
  Membership(const PreparationSpec& spec, Component component, const std::vector<DatabaseNode>& nodes)
      : component_(component), stateful_set_(stateful_set_name(spec, component)), warehouse_(warehouse_name(spec)) {
    by_name_ = std::any_of(nodes.begin(), nodes.end(), [&](const DatabaseNode& node) {
      return node.component == database_component(component_) && named(node.name);
    });
  }

  [[nodiscard]] bool has(const DatabaseNode& node) const {
    if (node.component != database_component(component_)) return false;
    if (by_name_) return named(node.name);
    if (component_ == Component::Warehouse) return node.warehouse == warehouse_;
    return node.warehouse.empty() || node.warehouse == kDefaultWarehouse;
  }
  [[nodiscard]] const std::string& stateful_set() const { return stateful_set_; }

 private:
  [[nodiscard]] bool named(std::string_view host) const {
    const auto pod = pod_of(host);
    return pod && pod->stateful_set == stateful_set_;
  }

  const Component component_;
  const std::string stateful_set_;
  const std::string warehouse_;
  bool by_name_ = false;
};

const NodeBefore* known_before(const Preparation& record, const DatabaseNode& node) {
  const auto& before = record.status.nodes_before;
  const auto found = std::find_if(before.begin(), before.end(), [&](const NodeBefore& known) {
    return known.component == node.component && known.name == node.name;
  });
  return found == before.end() ? nullptr : &*found;
}

/// No pod of the rollout: nothing will bring it back.
bool left_behind(const NodeBefore* before, const DatabaseNode& node, const Membership& members,
                 const std::vector<StatefulSetSize>& sizes) {
  const auto pod = pod_of(node.name);
  if (!pod || pod->stateful_set != members.stateful_set()) return before != nullptr && !before->alive;
  return std::any_of(sizes.begin(), sizes.end(), [&](const StatefulSetSize& size) {
    return size.name == pod->stateful_set && pod->ordinal >= size.replicas;
  });
}

/// Without the pre-release: tags and nodes spell it differently, and a restart shows that the build is another.
std::optional<Version> release(std::optional<Version> version) {
  if (version) version->prerelease.clear();
  return version;
}

bool same_version(const std::optional<Version>& left, const std::optional<Version>& right) {
  return left && right && (*release(left) <=> *release(right)) == std::partial_ordering::equivalent;
}

bool tags_name_versions(const Preparation& record, const ImageChange& change) {
  const auto& before = record.status.nodes_before;
  if (before.empty()) return true;  // nothing to judge by
  return std::any_of(before.begin(), before.end(), [&](const NodeBefore& node) {
    return same_version(parse_version(node.version), version_of_image(change.from));
  });
}

std::string label(const DatabaseNode& node) { return std::string(to_string(node.component)) + " " + node.name + ": "; }

/// What one node lacks, "" for nothing.
std::string lacks(const Preparation& record, const ImageChange& change, bool forward, const NodeBefore* before,
                  const DatabaseNode& node) {
  if (!node.alive) return label(node) + "not alive";
  const bool old_process = before != nullptr && !node.started.empty() && before->started == node.started;
  if (forward && old_process) return label(node) + "not restarted yet";
  const auto wanted = release(version_of_image(change.to));
  const auto actual = release(parse_version(node.version));
  // Unordered (a tag such as "3.5-latest" leaves the patch open) is no contradiction.
  if (!wanted || !actual || !tags_name_versions(record, change)) return {};
  const auto order = *actual <=> *wanted;
  if (order == std::partial_ordering::less || order == std::partial_ordering::greater) {
    return label(node) + "has version " + to_string(*actual) + ", not " + to_string(*wanted);
  }
  return {};
}

}  // namespace

RolloutGoal rollout_goal(const PreparationSpec& spec, std::vector<ComponentImage> present) {
  RolloutGoal goal{std::move(present), true};
  for (const auto& change : spec.changes) {
    const ComponentImage prepared{change.component, change.to};
    const bool has = std::find(goal.images.begin(), goal.images.end(), prepared) != goal.images.end();
    goal.forward = goal.forward && has;
  }
  return goal;
}

std::vector<NodeBefore> nodes_to_restart(const PreparationSpec& spec, const std::vector<DatabaseNode>& nodes) {
  std::vector<NodeBefore> out;
  for (const auto& change : spec.changes) {
    const Membership members(spec, change.component, nodes);
    for (const auto& node : nodes) {
      if (!members.has(node)) continue;
      if (out.size() == kNodesBeforeMax) return {};
      out.push_back({node.component, node.name, node.started, node.version, node.alive});
    }
  }
  return out;
}

std::string unfinished_in_database(const Preparation& record, const RolloutGoal& goal,
                                   const std::vector<StatefulSetSize>& sizes, const std::vector<DatabaseNode>& nodes) {
  for (const auto& change : record.spec.changes) {
    const auto image = std::find_if(goal.images.begin(), goal.images.end(),
                                    [&](const ComponentImage& one) { return one.component == change.component; });
    if (image == goal.images.end()) continue;
    const Membership members(record.spec, change.component, nodes);
    for (const auto& node : nodes) {
      if (!members.has(node)) continue;
      const auto* before = known_before(record, node);
      if (!node.alive && left_behind(before, node, members, sizes)) continue;
      const auto missing = lacks(record, {change.component, change.from, image->image}, goal.forward, before, node);
      if (!missing.empty()) return missing;
    }
  }
  return {};
}

}  // namespace gate
