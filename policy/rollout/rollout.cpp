#include "policy/rollout/rollout.hpp"

#include <algorithm>

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

/// The change that restarts `node`, nullptr when it is none of the changed components'.
const ImageChange* change_of(const PreparationSpec& spec, const DatabaseNode& node) {
  for (const auto& change : spec.changes) {
    if (change.component == Component::Warehouse) {
      if (node.component == Component::ComputeNode && node.warehouse == warehouse_name(spec)) return &change;
    } else if (change.component == node.component) {
      const bool elsewhere = !node.warehouse.empty() && node.warehouse != kDefaultWarehouse;
      if (!elsewhere) return &change;
    }
  }
  return nullptr;
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

}  // namespace

std::vector<NodeBefore> nodes_to_restart(const PreparationSpec& spec, const std::vector<DatabaseNode>& nodes) {
  std::vector<NodeBefore> out;
  for (const auto& node : nodes) {
    if (change_of(spec, node) == nullptr) continue;
    if (out.size() == kNodesBeforeMax) return {};
    out.push_back({node.component, node.name, node.started, node.version});
  }
  return out;
}

std::string unfinished_in_database(const Preparation& record, const std::vector<DatabaseNode>& nodes) {
  const auto& before = record.status.nodes_before;
  for (const auto& node : nodes) {
    if (!node.alive) return label(node) + "not alive";
    const ImageChange* change = change_of(record.spec, node);
    if (change == nullptr) continue;
    const bool old_process = std::any_of(before.begin(), before.end(), [&](const NodeBefore& known) {
      return known.component == node.component && known.name == node.name && !node.started.empty() &&
             known.started == node.started;
    });
    if (old_process) return label(node) + "not restarted yet";
    const auto wanted = release(version_of_image(change->to));
    const auto actual = release(parse_version(node.version));
    // Unordered (a tag such as "3.5-latest" leaves the patch open) is no contradiction.
    if (!wanted || !actual || !tags_name_versions(record, *change)) continue;
    const auto order = *actual <=> *wanted;
    if (order == std::partial_ordering::less || order == std::partial_ordering::greater) {
      return label(node) + "has version " + to_string(*actual) + ", not " + to_string(*wanted);
    }
  }
  return {};
}

}  // namespace gate
