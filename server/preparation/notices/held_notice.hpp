#pragma once
// Whoever has pods held is told when nothing keeps them back any more: the webhook on StatefulSets is gone, or the
// namespace has lost the label by which it selects.

#include <atomic>
#include <cstddef>
#include <map>
#include <string>
#include <thread>

#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/ports/clock.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

/// Thread safe. Owns one thread between start() and stop(); the destructor stops it.
class HeldNotice {
 public:
  /// The peers outlive this.
  HeldNotice(PreparationStore& store, ClusterAccess& clusters, const Clock& clock, Logger& log);
  ~HeldNotice();
  HeldNotice(const HeldNotice&) = delete;
  HeldNotice& operator=(const HeldNotice&) = delete;

  void start();
  void stop();

  /// What is wrong with the webhook on StatefulSets, "" when nothing is; looks at once, as look().
  void webhook_found(const std::string& fault);

  /// For each object whose newest record keeps pods back, or is to do so again at its next attempt, asks whether
  /// anything keeps them in its namespace (two reads for each namespace), and writes an Event where that changed: a
  /// Warning `UpgradeHoldLost` with what is wrong, a Normal `UpgradeHoldKept` when it is right again. Goes by the
  /// records of the watch. Where it cannot be known, what was known stays. Blocks as long as reads and Events take.
  void look();

  /// Objects whose pods nothing kept back at the last look.
  [[nodiscard]] std::size_t lost() const { return lost_; }

 private:
  struct State {
    std::string webhook_fault;
    std::map<std::string, std::string> told;  ///< Of objects with held pods, by UID: the fault, "" when there is none.
  };

  void tell(const Preparation& record, const std::string& fault);

  PreparationStore& store_;
  ClusterAccess& clusters_;
  const Clock& clock_;
  Logger& log_;
  LogLimiter failures_;
  Guarded<State> state_;
  std::atomic<std::size_t> lost_{0};
  std::jthread thread_;  // last
};

}  // namespace gate
