#include "server/preparation/running_nodes.hpp"

#include <utility>

namespace gate {

std::vector<RunningNode> running_nodes(FrontendFleet& fleet, Deadline deadline) {
  std::vector<RunningNode> nodes;
  for (const auto& [sql, component] :
       {std::pair{"SHOW FRONTENDS", Component::Frontend}, std::pair{"SHOW BACKENDS", Component::Backend},
        std::pair{"SHOW COMPUTE NODES", Component::ComputeNode}}) {
    const auto rows = fleet.execute(sql, deadline);
    if (!rows && rows.error().code != ErrorCode::Rejected) break;
    if (!rows) continue;
    for (std::size_t row = 0; row < rows->rows.size(); ++row) {
      auto version = parse_version(rows->text(row, "Version"));
      if (!version || !same_config_value(rows->text(row, "Alive"), "true")) continue;
      nodes.push_back({component, rows->text(row, "WarehouseName"), *std::move(version)});
    }
  }
  return nodes;
}

}  // namespace gate
