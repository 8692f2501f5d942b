#pragma once
// Which versions a cluster's nodes run, as its FE tells.

#include <vector>

#include "policy/versions/upgrade_path.hpp"
#include "server/preparation/frontends/frontend_fleet.hpp"

namespace gate {

/// The alive nodes whose version can be read. A node that is not alive says what it ran long ago, perhaps before it was
/// scaled in. A statement that fails tells nothing of its component; after an error that ends the connection nothing
/// more is asked. Blocks until `deadline` at the latest.
[[nodiscard]] std::vector<RunningNode> running_nodes(FrontendFleet& fleet, Deadline deadline);

}  // namespace gate
