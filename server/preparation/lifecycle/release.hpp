#pragma once
// Uninstalling: every open record is ended, and every pending restore done, before the gate is removed.

#include <functional>
#include <string>
#include <vector>

#include "server/ports/preparation_store.hpp"

namespace gate {

struct ReleaseTimes {
  Deadline deadline;
  SteadyTime not_before{};  ///< Requests that are under way may start something new until then.
};

/// Calls off every open record of `store` that is not being restored yet, and waits until none is open. Restoring is
/// done by whoever claims the records: the serving replicas, or a controller beside this call (ControllerOptions::
/// restore_only). `say` gets a line for each step of a record. Blocks until `deadline` at most.
/// Success: what is still open then, as "namespace/name: stage"; empty: nothing is pending. Unavailable: the records
/// could not be read.
[[nodiscard]] Result<std::vector<std::string>> release_records(PreparationStore& store, const Clock& clock,
                                                               const ReleaseTimes& times,
                                                               const std::function<void(const std::string&)>& say);

}  // namespace gate
