#include "server/preparation/frontends/running_nodes.hpp"

#include <utility>

#include "policy/rollout/rollout.hpp"

namespace gate {

std::vector<RunningNode> running_nodes(FrontendFleet& fleet, Deadline deadline) {
  std::vector<RunningNode> nodes;
  for (const auto component : kDatabaseComponents) {
    const auto found = fleet.nodes_of(component, deadline);
    if (!found && found.error().code != ErrorCode::Rejected) break;
    if (!found) continue;
    for (const auto& node : *found) {
      auto version = parse_version(node.version);
      if (version && node.alive) nodes.push_back({component, node.warehouse, *std::move(version)});
    }
  }
  return nodes;
}

}  // namespace gate
