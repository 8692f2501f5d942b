#pragma once
// Admissions that wait, for a bounded time, for a record to finish. Each wakes when its own record changes.

#include <condition_variable>
#include <map>
#include <string>

#include "server/base/guarded.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

/// Waiting admissions hold a server thread each; beyond this many an admission is answered at once ("on hold").
inline constexpr std::size_t kWaitingAdmissionsMax = 128;

/// Thread safe.
class OutcomeWaiters {
 public:
  explicit OutcomeWaiters(PreparationStore& store, std::size_t waiting_max = kWaitingAdmissionsMax)
      : store_(store), waiting_max_(waiting_max) {}

  /// Tells what the watch saw; called by the store's observer.
  void notify(const Preparation& record, bool removed);

  /// Blocks until the record is Completed or Failed, is removed, or `deadline` passes; at once when too many wait. A
  /// namespace takes at most half of what others leave: there is always room for one more.
  /// `created_for`: the caller has just created it here, for that cluster, so that what is known of it here suffices;
  /// empty: it is read.
  void wait(const std::string& name_space, const std::string& name, Deadline deadline,
            const std::string& created_for = {});

  /// Ends all waits, now and from now on.
  void stop();

  [[nodiscard]] std::size_t waiting() const;

 private:
  struct State {
    std::multimap<std::string, bool*> waiting;  ///< Key "namespace/name", value: over.
    bool stopped = false;

    [[nodiscard]] std::size_t of_namespace(const std::string& name_space) const;
  };

  [[nodiscard]] bool is_to_come(const std::string& name_space, const std::string& name, Deadline deadline,
                                const std::string& created_for);

  PreparationStore& store_;
  const std::size_t waiting_max_;
  Guarded<State> state_;
  std::condition_variable changed_;
};

}  // namespace gate
