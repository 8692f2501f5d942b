#pragma once
// One record that this replica works on. Worker and heartbeat write it through here, so that a renewal never makes the
// worker's compare-and-set fail, and a claim that was lost stops the worker at its next step.

#include <functional>
#include <mutex>
#include <string>

#include "server/ports/preparation_store.hpp"

namespace gate {

/// Thread safe.
class ClaimedRecord {
 public:
  /// `record` is as stored and already carries `identity` as its runner.
  ClaimedRecord(PreparationStore& store, const Clock& clock, std::string identity, Preparation record)
      : store_(store), clock_(clock), identity_(std::move(identity)), record_(std::move(record)) {}

  [[nodiscard]] Preparation snapshot() const;

  /// Applies `change` to the status and stores it with a fresh renewal. A Conflict is read again and retried while the
  /// claim is still ours. Errors: Conflict = the claim is lost (now and for ever), Unavailable = try again later,
  /// NotFound = the record is gone.
  Status update(const std::function<void(PreparationStatus&)>& change, Deadline deadline);

  /// update() with no other change than the renewal.
  Status renew(Deadline deadline);

  [[nodiscard]] bool lost() const;

 private:
  Status lose(const std::string& why);  // requires mutex_

  PreparationStore& store_;
  const Clock& clock_;
  const std::string identity_;
  mutable std::mutex mutex_;
  Preparation record_;  // guarded by mutex_
  bool lost_ = false;   // guarded by mutex_
};

}  // namespace gate
