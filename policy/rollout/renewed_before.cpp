#include "policy/rollout/renewed_before.hpp"

#include <algorithm>
#include <utility>

namespace gate {
namespace {

/// Pods with this ordinal and higher ones have the new template.
int renewed_from(const StatefulSetState& set) {
  if (set.on_delete) return set.updated >= set.replicas ? 0 : set.replicas;
  return std::max(0, set.replicas - set.updated);
}

}  // namespace

bool may_be_renewed_before(const PreparationSpec& spec) {
  return spec.rollout.leads() || spec.attempt > 1 || !spec.origins.empty();
}

std::vector<NodeBefore> forget_starts_of_renewed(const PreparationSpec& spec, std::vector<NodeBefore> nodes,
                                                 const std::vector<StatefulSetState>& sets) {
  for (const auto& change : spec.changes) {
    for (const auto& set : sets) {
      if (set.component != change.component || !set.exists || !set.observed || set.image != change.to) continue;
      const int from = renewed_from(set);
      for (auto& node : nodes) {
        const auto ordinal = ordinal_in(set, node.name);
        if (ordinal && *ordinal >= from) node.started.clear();
      }
    }
  }
  return nodes;
}

}  // namespace gate
