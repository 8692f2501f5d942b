#pragma once
// The Jobs of script hooks as a record names them, and what becomes of those that run when the record gives up on them:
// superseded, cancelled, failed. The record says that they run before they are made (HookPhase::Running, a pending
// undo), so no crash forgets one; it stays open until they are gone.

#include <string>

#include "policy/record/preparation.hpp"
#include "policy/text/result.hpp"
#include "server/ports/script_jobs.hpp"

namespace gate {

/// Of hook `index`, which is a script; the record's status has an entry for it.
[[nodiscard]] ScriptJob pre_upgrade_job(const Preparation& record, std::size_t index);
[[nodiscard]] ScriptJob post_upgrade_job(const PendingUndo& pending);

/// Deletes the Jobs of scripts_left_running(record). Safe to repeat. Unavailable or DeadlineExceeded: some may run, try
/// again. Any other error: the gate may not delete them; they end by their activeDeadlineSeconds.
[[nodiscard]] Status remove_left_scripts(ScriptJobs& scripts, const Preparation& record, Deadline deadline);

/// Deletes the Jobs of post_upgrade() that a record runs whose undos are another's from now on. Errors as above.
[[nodiscard]] Status remove_undo_scripts(ScriptJobs& scripts, const Preparation& record, Deadline deadline);

/// Notes in the status of `record` that its scripts run no more, `removed` being what came of removing them.
void settle_left_scripts(const Preparation& record, const Status& removed, WallTime now, PreparationStatus& status);

}  // namespace gate
