#include "server/preparation/frontends/running_nodes.hpp"

#include <utility>

#include "policy/rollout/rollout.hpp"

namespace gate {

std::vector<RunningNode> running_nodes(FrontendFleet& fleet, Deadline deadline) {
  std::vector<RunningNode> nodes;
  for (const auto& node : fleet.known_nodes(deadline)) {
    auto version = parse_version(node.version);
    if (version && node.alive) nodes.push_back({node.component, node.warehouse, *std::move(version)});
  }
  return nodes;
}

}  // namespace gate
