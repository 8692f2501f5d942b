#pragma once
// Under upgrade-admission "hold" the image is on the object already and no client repeats anything: after a preparation
// that failed, the next attempt is begun here.

#include <functional>
#include <thread>

#include "server/base/log.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

struct HoldRetryOptions {
  FailureBackoff backoff;
  /// Told of each record that was created here, from the thread that created it.
  std::function<void(const Preparation&)> created{};
};

/// Thread safe. Owns one thread between start() and stop(); the destructor stops it.
class HoldRetry {
 public:
  /// The peers outlive this.
  HoldRetry(PreparationStore& store, ClusterAccess& clusters, const Clock& clock, Logger& log,
            HoldRetryOptions options);
  ~HoldRetry();
  HoldRetry(const HoldRetry&) = delete;
  HoldRetry& operator=(const HoldRetry&) = delete;

  void start();
  void stop();

  /// One look at all records: for each object whose newest record failed under a hold, is closed, and whose back-off is
  /// over, the next attempt is created if the object still has the images. Its name is derived, so that several
  /// replicas create one record. Blocks for a few seconds per due object at most.
  void look();

 private:
  void retry(const Preparation& failed);

  PreparationStore& store_;
  ClusterAccess& clusters_;
  const Clock& clock_;
  Logger& log_;
  const HoldRetryOptions options_;
  std::jthread thread_;
};

}  // namespace gate
