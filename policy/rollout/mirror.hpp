#pragma once
// Which of an object's records `.status.upgradePreparationStatus` is a copy of (ADR 107, ADR 135), and whether it is.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/text/time.hpp"

namespace gate {

/// False: a superseded record is no longer the cluster's news, a bypass must not hide what is open, and in verify mode
/// the field belongs to who prepares.
[[nodiscard]] bool has_a_say(const Preparation& record);

/// By what the newest of several open records is told.
struct Speaker {
  WallTime created;
  std::string name;
  std::string candidate_of;
  std::string supersedes;
  bool rolls = false;  ///< Its pods move.
};
[[nodiscard]] Speaker speaker_of(const Preparation& record);
/// The same for every replica: by creation time, then by which was made on top of which, then by name.
[[nodiscard]] bool is_newer(const Speaker& one, const Speaker& other);
/// On a warehouse, where nothing but the mirror tells the operator of a step: one whose pods move speaks before a newer
/// one that is only prepared.
[[nodiscard]] bool speaks_first_on_warehouse(const Speaker& one, const Speaker& other);

/// The record whose mirror the status of `cluster` (as stored, of any shape) should have and has not, because somebody
/// erased it or its writer ended before; nullptr: it needs nothing. `records`: those of the cluster, in any order.
/// - The newest open one, once its hooks are over: before, its mirror is its runner's, who leaves the object alone
/// while a request is being answered.
/// - Where none is open: the last one to close. One that is closed and mirrored as it is stays, whichever it is.
/// - Never one of an earlier object of the same name, nor over what another controller that prepares has written.
[[nodiscard]] const Preparation* missing_mirror(const nlohmann::json& cluster, const std::vector<Preparation>& records);

}  // namespace gate
