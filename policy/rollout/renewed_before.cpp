#include "policy/rollout/renewed_before.hpp"

#include <algorithm>
#include <compare>
#include <optional>
#include <utility>

#include "policy/versions/version.hpp"

namespace gate {
namespace {

/// Pods with this ordinal and higher ones have the new template.
int renewed_from(const StatefulSetState& set) {
  if (set.on_delete) return set.updated >= set.replicas ? 0 : set.replicas;
  return std::max(0, set.replicas - set.updated);
}

/// What the nodes of a component say once they run `change.to`, where that tells them from those that run `change.from`
/// and from those of another build of the version.
std::optional<Version> telling_version(const ImageChange& change) {
  auto to = version_of_image(change.to);
  const auto from = version_of_image(change.from);
  if (!to || !from || !to->prerelease.empty()) return std::nullopt;
  const auto order = *to <=> Version{from->major, from->minor, from->patch, {}};
  const bool apart = order == std::partial_ordering::less || order == std::partial_ordering::greater;
  return apart ? to : std::nullopt;
}

/// All its nodes are of one StatefulSet, whatever they are called; compute nodes may be those of warehouses.
bool has_one_set(Component component) { return component == Component::Frontend || component == Component::Backend; }

bool runs(const NodeBefore& node, const Version& wanted) {
  auto actual = parse_version(node.version);
  if (!actual) return false;
  actual->prerelease.clear();  // the build
  return (*actual <=> wanted) == std::partial_ordering::equivalent;
}

}  // namespace

bool may_be_renewed_before(const PreparationSpec& spec) {
  return spec.rollout.leads() || spec.attempt > 1 || !spec.origins.empty();
}

std::vector<NodeBefore> forget_starts_of_renewed(const PreparationSpec& spec, std::vector<NodeBefore> nodes,
                                                 const std::vector<StatefulSetState>& sets) {
  for (const auto& change : spec.changes) {
    const auto wanted = telling_version(change);
    for (const auto& set : sets) {
      if (set.component != change.component || !set.exists) continue;
      const bool renews = set.observed && set.image == change.to;
      const int from = renews ? renewed_from(set) : set.replicas;
      for (auto& node : nodes) {
        const auto ordinal = ordinal_in(set, node.name);
        const bool of_set = ordinal || (node.component == change.component && has_one_set(change.component));
        if ((renews && ordinal && *ordinal >= from) || (of_set && wanted && runs(node, *wanted))) node.started.clear();
      }
    }
  }
  return nodes;
}

}  // namespace gate
