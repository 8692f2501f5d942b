#pragma once
// Where UpgradePreparation records live: the Kubernetes API server, or memory for trying the gate out.

#include <functional>
#include <string>
#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/text/result.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// Thread safe. Every call that may block takes a deadline and returns Unavailable or DeadlineExceeded when it passes.
/// One contract suite (test/server/preparation_store_contract.hpp) runs on every implementation.
class PreparationStore {
 public:
  virtual ~PreparationStore() = default;

  /// Stores `record` (name, namespace and spec; the status of a new record is the default one).
  /// AlreadyExists when the name is taken: the caller then reads it. Success returns the stored record.
  [[nodiscard]] virtual Result<Preparation> create(const Preparation& record, Deadline deadline) = 0;

  /// Live read, never from the cache. NotFound when there is none.
  [[nodiscard]] virtual Result<Preparation> get(const std::string& name_space, const std::string& name,
                                                Deadline deadline) = 0;

  /// Live list of one namespace's records whose spec.cluster is `cluster`, newest first (sort_newest_first). One that
  /// cannot be read is passed over.
  [[nodiscard]] virtual Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space,
                                                                         const std::string& cluster,
                                                                         Deadline deadline) = 0;

  /// The same as list_of_cluster() found it at `written` or later: a resource_version that this replica's own write of
  /// a record returned. Whoever wrote before that write is seen; of what was written after it something may be missing.
  /// Cheaper for the server, which answers from its memory instead of reading all the namespace's records anew.
  [[nodiscard]] virtual Result<std::vector<Preparation>> list_of_cluster_since(const std::string& name_space,
                                                                               const std::string& cluster,
                                                                               const std::string& /*written*/,
                                                                               Deadline deadline) {
    return list_of_cluster(name_space, cluster, deadline);
  }

  /// What is known of the same records without asking: own writes are in it, those of others may be missing for a
  /// moment, and the bodies of hooks are (without_bodies). Asks where nothing is known yet. What rests on it is
  /// confirmed by get() or list_of_cluster() before it has an effect.
  [[nodiscard]] virtual Result<std::vector<Preparation>> known_of_cluster(const std::string& name_space,
                                                                          const std::string& cluster,
                                                                          Deadline deadline) {
    return list_of_cluster(name_space, cluster, deadline);
  }

  /// Compare-and-set of the status: Conflict when `record.resource_version` is not the stored one, and nothing is
  /// written. Success returns the record with its new resource_version. The spec of `record` is ignored.
  [[nodiscard]] virtual Result<Preparation> update_status(const Preparation& record, Deadline deadline) = 0;

  /// Takes the finalizer off that create() put on: from now on the record goes when somebody deletes it, at once where
  /// somebody has. For a closed record with nothing pending. NotFound is success.
  [[nodiscard]] virtual Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) = 0;

  /// Of a record that was not let go, remove() only has it marked as deleting. NotFound is success: the aim is that it
  /// is gone.
  [[nodiscard]] virtual Status remove(const std::string& name_space, const std::string& name, Deadline deadline) = 0;

  /// What the watch has seen so far, all namespaces, perhaps without_bodies(); does not block on the network. May lag
  /// behind.
  [[nodiscard]] virtual std::vector<Preparation> cached() const = 0;

  /// The same records, without a copy of them. `visit` must neither block nor call the store, and keep no reference.
  virtual void visit_cached(const std::function<void(const Preparation&)>& visit) const {
    for (const auto& record : cached()) visit(record);
  }

  /// True once the first list is complete and while the watch is not known to be broken.
  [[nodiscard]] virtual bool synced() const = 0;

  /// `observer` is called after each change of a record (created, status, removed), from any thread, without locks
  /// held; it must not block. Register before start; there is no removal: the observer outlives the store's threads.
  using Observer = std::function<void(const Preparation&, bool removed)>;
  virtual void observe(Observer observer) = 0;
};

}  // namespace gate
