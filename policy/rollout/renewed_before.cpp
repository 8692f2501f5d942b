#include "policy/rollout/renewed_before.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace gate {
namespace {

/// N of a node at "<StatefulSet>-N.<anything>" or "<StatefulSet>-N:port".
std::optional<int> ordinal_of(const StatefulSetState& set, std::string_view node) {
  const auto pod = node.substr(0, node.find_first_of(".:"));
  if (!pod.starts_with(set.name + "-")) return std::nullopt;
  const auto digits = pod.substr(set.name.size() + 1);
  int ordinal = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || ordinal < 0) {
    return std::nullopt;
  }
  return ordinal;
}

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
        const auto ordinal = ordinal_of(set, node.name);
        if (ordinal && *ordinal >= from) node.started.clear();
      }
    }
  }
  return nodes;
}

}  // namespace gate
