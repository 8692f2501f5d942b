#pragma once
// The FE settings of one record, from their capture to their restore: what was there is written to the record, the
// wanted value is set and proven on every alive FE, set again where an FE lost it, and in the end restored.
//
// Each call is one try: it does what can be done where an FE answers, the leader first, and says what is left. An FE
// that does not answer is never the reason to leave the others alone.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/sql.hpp"
#include "policy/record/preparation.hpp"
#include "server/preparation/frontends/frontend_fleet.hpp"
#include "server/preparation/records/claimed_record.hpp"

namespace gate {

/// The record's hooks whose settings are to hold: those that failed and were allowed to, or were skipped, set nothing.
[[nodiscard]] std::vector<const Hook*> settings_to_hold(const Preparation& record);

/// The first setting that some FE does not have, as text; empty when all have all. Errors: unreachable (some FE did
/// not answer, and those that did have all), or the FE's refusal. An item that the version does not know holds.
[[nodiscard]] Result<std::string> find_drift(FrontendFleet& fleet, const std::vector<const Hook*>& hooks,
                                             Deadline deadline);

/// Not thread safe; any number may share a record. Nothing waits: calls end by their deadline.
class Settings {
 public:
  /// All outlive this. `further_sql`: kinds of statements that an undo of a setting may have beyond the usual ones.
  /// `unset`: canonical keys that were captured ahead and are not set yet; see capture_with().
  Settings(ClaimedRecord& record, FrontendFleet& fleet, const Clock& clock, const std::vector<SqlKind>& further_sql,
           std::set<std::string>& unset)
      : record_(record), fleet_(fleet), clock_(clock), further_sql_(further_sql), unset_(unset) {}

  /// The hooks that come right after those of apply(): where apply() captures something, what they will overwrite is
  /// captured in the same write. Whoever ends the preparation forgets what of it was never set (forget_unset).
  void capture_with(std::vector<const Hook*> next) { next_ = std::move(next); }

  /// Brings the settings of `hooks` to every alive FE: captured first, proven by a read-back. `detail` gets what some
  /// FE did not have. Errors: unreachable (try again: an FE does not answer, or has not taken it yet), Rejected (the
  /// FE's own refusal), InvalidInput, NotFound (`strict` only: no FE knows the item). What is in `yielded`, canonical
  /// keys, is kept by another record and left alone.
  [[nodiscard]] Status apply(const std::vector<const Hook*>& hooks, bool strict, Deadline deadline, std::string& detail,
                             const std::vector<std::string>& yielded = {});

  /// Restores the values of `settings` where an FE has what the gate set. `first` turns the order: a setting whose
  /// broadcast hangs must not be the one that each try begins with. Ok: proven, on every alive FE.
  [[nodiscard]] Status restore(const std::vector<CapturedSetting>& settings, std::size_t first, Deadline deadline);

 private:
  /// One hook's SET, as it ended.
  struct Attempt {
    std::size_t hook;
    std::string before;  ///< On the leader; empty where it did not tell.
    Result<QueryResult> done;
  };
  /// Reads back, tells the FEs that were missed, and adds to `all` what is not so in the end.
  [[nodiscard]] Result<FleetReading> prove(const std::vector<const Hook*>& hooks, const std::vector<Attempt>& attempts,
                                           Deadline deadline, Status& all);
  /// Of the hook at `index`, and of the next ones.
  [[nodiscard]] Status capture(const FleetReading& reading, std::size_t index, const Hook& hook);
  /// What of the next hooks can be captured with another one's write.
  [[nodiscard]] std::vector<CapturedSetting> capture_ahead(const FleetReading& reading,
                                                           const PreparationStatus& status) const;
  [[nodiscard]] Status take_as_shown(const SettingReading& reading, const std::string& before,
                                     const ConfigSetting& wanted);
  void remember_leader(const std::string& leader);
  [[nodiscard]] Status forget(const std::string& key);
  [[nodiscard]] Deadline set_deadline(Deadline deadline) const;
  [[nodiscard]] Deadline store_deadline() const;

  ClaimedRecord& record_;
  FrontendFleet& fleet_;
  const Clock& clock_;
  const std::vector<SqlKind>& further_sql_;
  std::set<std::string>& unset_;
  std::vector<const Hook*> next_;
};

/// Takes out of `status` what was captured ahead and is not set: it is nobody's to restore.
void forget_unset(PreparationStatus& status, const std::set<std::string>& unset);

}  // namespace gate
