#pragma once
// Uninstalling: every open record is ended, and every pending restore done, before the gate is removed.

#include <functional>
#include <string>
#include <vector>

#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

struct ReleaseTimes {
  Deadline deadline;
  SteadyTime not_before{};  ///< Requests that are under way may start something new until then.
};

/// Calls off every open record of `store` that is not being restored yet, and waits until none is open. Restoring is
/// done by whoever claims the records: the serving replicas, or a controller beside this call (ControllerOptions::
/// restore_only). `say` gets a line for each step of a record. Blocks until `deadline` at most.
/// A record that keeps pods from the images that its object has (a hold, a led rollout) is not cancelled, since with
/// the gate all of them would roll at once: it is waited for, until the serving replicas have led it to its end or the
/// object is taken back.
/// Nor does it end while any record has its finalizer, a bypass that nobody has closed yet included: afterwards nobody
/// would remove it, and the namespace could not be deleted.
/// Success: what is still open then, as "namespace/name: stage", with what to do where pods are held; empty: nothing is
/// pending. Unavailable: the records could not be read.
[[nodiscard]] Result<std::vector<std::string>> release_records(PreparationStore& store, ClusterAccess& clusters,
                                                               const Clock& clock, const ReleaseTimes& times,
                                                               const std::function<void(const std::string&)>& say);

}  // namespace gate
