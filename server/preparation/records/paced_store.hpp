#pragma once
// The store as all workers of a replica see it together. When the API server fails, they all wait, with exponential
// back-off, instead of each open record asking again by itself: a thousand records must not be a thousand questions a
// second to a server in trouble. Retry-After has been waited for below this (KubeClient).

#include <atomic>
#include <string>
#include <vector>

#include "server/base/backoff.hpp"
#include "server/base/guarded.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/preparation/records/work_queue.hpp"

namespace gate {

/// Thread safe. Calls go through at any time: it is `queue` that gives nothing out while the back-off lasts, so work
/// under way ends as it can. The first success ends the back-off; where a write failed, the first write, since a server
/// whose disk is full still answers reads. Admission has the store itself and is not delayed.
class PacedStore final : public PreparationStore {
 public:
  /// All must outlive this.
  PacedStore(PreparationStore& store, const Clock& clock, WorkQueue& queue);

  [[nodiscard]] Result<Preparation> create(const Preparation& record, Deadline deadline) override;
  [[nodiscard]] Result<Preparation> get(const std::string& name_space, const std::string& name,
                                        Deadline deadline) override;
  [[nodiscard]] Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space,
                                                                 const std::string& cluster,
                                                                 Deadline deadline) override;
  [[nodiscard]] Result<std::vector<Preparation>> list_of_cluster_since(const std::string& name_space,
                                                                       const std::string& cluster,
                                                                       const std::string& written,
                                                                       Deadline deadline) override;
  [[nodiscard]] Result<std::vector<Preparation>> known_of_cluster(const std::string& name_space,
                                                                  const std::string& cluster,
                                                                  Deadline deadline) override {
    return store_.known_of_cluster(name_space, cluster, deadline);
  }
  [[nodiscard]] Result<Preparation> update_status(const Preparation& record, Deadline deadline) override;
  [[nodiscard]] Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) override;
  [[nodiscard]] Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override;
  [[nodiscard]] std::vector<Preparation> cached() const override { return store_.cached(); }
  [[nodiscard]] bool synced() const override { return store_.synced(); }
  void observe(Observer observer) override { store_.observe(std::move(observer)); }

  /// Whether the back-off lasts: what can wait should.
  [[nodiscard]] bool backing_off() const;

 private:
  enum class Kind { Read, Write };
  struct Trouble {
    bool write_failed = false;  ///< Among the failures in a row.
    SteadyTime until = SteadyTime::min();
    Backoff backoff;
  };
  template <class Out, class Call>
  Out watch(Kind kind, const Call& call);
  void failed(Kind kind, SteadyTime began);
  void succeeded(Kind kind);

  PreparationStore& store_;
  const Clock& clock_;
  WorkQueue& queue_;
  std::atomic<int> failures_{0};  ///< In a row; written while the trouble is locked.
  Guarded<Trouble> trouble_;
};

}  // namespace gate
