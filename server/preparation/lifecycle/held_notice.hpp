#pragma once
// Whoever has pods held is told when nothing keeps them back any more.

#include <string>

#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

/// Writes an Event for each object whose newest record keeps pods back, or is to do so again at its next attempt: a
/// Warning `UpgradeHoldLost` with `fault`, or, where that is empty, a Normal `UpgradeHoldKept`. Goes by the records of
/// the watch. Blocks as long as the Events take. Thread safe.
void tell_held(PreparationStore& store, ClusterAccess& clusters, const std::string& fault);

}  // namespace gate
