#pragma once
// Under upgrade-admission "hold" the image is on the object already and no client repeats anything: after a preparation
// that failed, or that another target took the place of which nobody wants any more, the next attempt is begun here.

#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

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

  /// One look at all records. Of each object, the newest one that leads to the images that the object has decides.
  /// Where it was under a hold, is closed and failed, its next attempt is created once its back-off is over; where it
  /// was superseded, once two looks have found it so, since what took its place may not have been heard of yet. Names
  /// are derived, so that several replicas create one record. Blocks for a few seconds per due object at most. Of one
  /// thread.
  void look();

 private:
  /// `records` of one object, newest first.
  void look_at(const std::vector<const Preparation*>& records, std::set<std::string>& stranded);
  void retry(const Preparation& left);

  PreparationStore& store_;
  ClusterAccess& clusters_;
  const Clock& clock_;
  Logger& log_;
  const HoldRetryOptions options_;
  std::set<std::string> stranded_;  // keys of superseded records that were wanted when they were last looked at
  std::jthread thread_;
};

}  // namespace gate
