#pragma once
// One record that this replica works on. Worker and heartbeat write it through here, so that a renewal never makes the
// worker's compare-and-set fail, and a claim that was lost stops the worker at its next step.

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/base/guarded.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

/// Thread safe.
class ClaimedRecord {
 public:
  /// For a claim that nobody can take over: one that is only read through.
  static constexpr std::chrono::milliseconds kNoLease = std::chrono::milliseconds::max();

  /// `record` is as stored and already carries `identity` as its runner, written at `claimed_at` or later. Without a
  /// successful write for `lease`, by the steady clock and counted from before each write, the claim is lost: shorter
  /// than the silence after which another replica takes over.
  ClaimedRecord(PreparationStore& store, const Clock& clock, std::string identity, Preparation record,
                std::chrono::milliseconds lease = kNoLease, SteadyTime claimed_at = {});

  [[nodiscard]] Preparation snapshot() const;

  /// Applies `change` to the status and stores it with a fresh renewal. A Conflict is read again and retried while the
  /// claim is still ours, and nobody else has ended the record. Errors: Conflict = the claim is lost (now and for
  /// ever), Unavailable = try again later, NotFound = the record is gone.
  Status update(const std::function<void(PreparationStatus&)>& change, Deadline deadline);

  /// Applies `change` at once to what snapshot() tells, and stores it with the next update(), whoever makes it; lost
  /// with a process that dies before. For what people look at and nothing rests on: how far hooks are that are safe to
  /// repeat. Nothing that another replica or the admission decides by: neither phase, stage nor outcome, and nothing
  /// that is to be restored.
  void update_later(const std::function<void(PreparationStatus&)>& change);

  /// update() with no other change than the renewal.
  Status renew(Deadline deadline);

  /// The record is as an earlier claim of this replica left it, and whether somebody has taken it over since is not
  /// known: the first write tells, and nothing has an effect before it. Before the first use.
  void resume() { unconfirmed_ = true; }
  /// renew(), where nothing was written since resume().
  Status confirm(Deadline deadline);
  /// Nothing was written since resume(), or the first write found that somebody else had.
  [[nodiscard]] bool unconfirmed() const { return unconfirmed_; }

  /// For how long something of it has waited to be stored with the next update().
  [[nodiscard]] std::chrono::nanoseconds unsaved_for() const;

  /// As it is stored; nullopt: lost, or some of it is not stored yet.
  [[nodiscard]] std::optional<Preparation> stored() const;

  /// Once true, always: whoever works on the record must stop before its next step.
  [[nodiscard]] bool lost() const;

  /// The record was seen superseded: its settings are its successor's from now on. Nothing where the record was so
  /// when it was claimed: then there is no successor, and it restores its settings itself.
  void superseded();

  /// Until when nobody else works on the record, unless the claim is renewed meanwhile.
  [[nodiscard]] SteadyTime held_until() const;

 private:
  Status lose(const std::string& why);
  void held_since(SteadyTime written);

  struct Held {
    Preparation record;                                          ///< With what `later` has changed.
    std::vector<std::function<void(PreparationStatus&)>> later;  ///< Not stored yet.
  };

  PreparationStore& store_;
  const Clock& clock_;
  const std::string identity_;
  const std::chrono::milliseconds lease_;
  const bool claimed_superseded_;
  // Apart from the record, which is locked for as long as the store takes.
  std::atomic<SteadyTime> held_until_;
  mutable std::atomic<bool> lost_{false};
  std::atomic<bool> unconfirmed_{false};
  std::atomic<SteadyTime> unsaved_since_{SteadyTime::max()};
  Guarded<Held> record_;
};

}  // namespace gate
