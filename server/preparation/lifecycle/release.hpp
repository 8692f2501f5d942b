#pragma once
// Leaving: every open record is ended, and what is owed is paid, before the gate is taken away.

#include <functional>
#include <string>
#include <vector>

#include "server/ports/preparation_store.hpp"

namespace gate {

struct ReleaseTimes {
  Deadline deadline;
  SteadyTime not_before{};  ///< Requests that are under way may start something new until then.
};

/// Calls off every open record of `store` that is not being put back yet, and waits until none is open. Putting back is
/// done by whoever claims the records: the serving replicas, or a controller beside this call (ControllerOptions::
/// pays_only). `say` gets a line for each step of a record. Blocks until `deadline` at most.
/// Success: what is still open then, as "namespace/name: stage"; empty: nothing is owed. Unavailable: the records could
/// not be read.
[[nodiscard]] Result<std::vector<std::string>> release_records(PreparationStore& store, const Clock& clock,
                                                               const ReleaseTimes& times,
                                                               const std::function<void(const std::string&)>& say);

}  // namespace gate
