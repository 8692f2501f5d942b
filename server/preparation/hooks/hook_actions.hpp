#pragma once
// The actions of hooks. Each takes one look: it does or asks what can be done now and says how that came out. None
// waits for a better answer, so none holds its thread for longer than one exchange takes.

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "policy/record/external_preparation.hpp"
#include "server/preparation/hooks/hook_context.hpp"

namespace gate {

struct Look {
  enum class State { Done, Skipped, NotYet };
  State state = State::Done;
  std::string text;                   ///< What was observed, or why it was skipped; may be empty.
  std::chrono::milliseconds again{};  ///< Of NotYet: how long until the next look.
};

/// One look at hook `index` of the record, which says already that it runs. What is to be undone whatever becomes of it
/// is in the record before anything has an effect. SQL that is not allowed is not sent: InvalidInput. An Error is the
/// failure of this look.
[[nodiscard]] Result<Look> look_at_hook(HookContext& context, std::size_t index, Deadline deadline);

// By action; one file each.
[[nodiscard]] Result<Look> look_at_setting(HookContext& context, std::size_t index, Deadline deadline);
[[nodiscard]] Result<Look> look_at_statement(HookContext& context, const SqlAction& action, Deadline deadline);
[[nodiscard]] Result<Look> look_at_probe(HookContext& context, const Hook& hook, const ProbeAction& action,
                                         Deadline deadline);
[[nodiscard]] Result<Look> look_at_query(HookContext& context, const QueryAction& action, Deadline deadline);
[[nodiscard]] Result<Look> look_at_http(HookContext& context, const Hook& hook, const HttpAction& action,
                                        Deadline deadline);
[[nodiscard]] Result<Look> look_at_script(HookContext& context, std::size_t index, Deadline deadline);

/// Removes what hook `index` left behind and nobody needs once its end is in the record. Best effort.
void clean_up_hook(HookContext& context, std::size_t index);
/// A script failed and may be tried again: its Job is removed, and the next one's number written.
[[nodiscard]] Status begin_next_script(HookContext& context, std::size_t index);
/// Ends the scripts that run although the record prepares no more, and says so in it. Error: some may still run, try
/// again; what may not be deleted is left to its own time limit.
[[nodiscard]] Status stop_scripts(HookContext& context);

/// Does one pending undo and takes it out of the record. NotYet: its script runs.
[[nodiscard]] Result<Look> undo(HookContext& context, const PendingUndo& pending, Deadline deadline);
/// The same by a script's Job; `settle` takes it out of the record.
[[nodiscard]] Result<Look> undo_by_script(HookContext& context, const PendingUndo& pending,
                                          const std::function<Status()>& settle, Deadline deadline);

/// Verify mode: what somebody else who prepares this cluster says about the record's target.
[[nodiscard]] Result<ExternalPreparation> external_preparation_of(ClusterAccess& clusters, const Preparation& record,
                                                                  Deadline deadline);
/// Whether they have completed it, where there is somebody.
[[nodiscard]] Result<Look> look_at_external(HookContext& context, Deadline deadline);

}  // namespace gate
