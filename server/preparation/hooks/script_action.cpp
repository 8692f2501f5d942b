#include <algorithm>

#include "server/preparation/hooks/hook_actions.hpp"
#include "server/preparation/hooks/left_scripts.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;

/// Between two looks at a script's Job.
constexpr milliseconds kJobPoll{2000};

Result<Look> look_at_job(HookContext& context, const ScriptJob& job, Deadline deadline) {
  if (auto why = context.scripts.unavailable_because(); !why.empty()) return Error{ErrorCode::PermissionDenied, why};
  const auto state = context.scripts.run(context.record.snapshot(), job, std::min(deadline, context.store_deadline()));
  if (!state) return state.error();
  switch (state->phase) {
    case ScriptJobState::Phase::Running:
      return Look{Look::State::NotYet, state->detail.empty() ? job.function + "() is running" : state->detail,
                  kJobPoll};
    case ScriptJobState::Phase::Succeeded:
      return Look{Look::State::Done, state->detail, {}};
    case ScriptJobState::Phase::Failed:
      break;
  }
  return Error{ErrorCode::Rejected, job.function + "(): " + state->detail};
}

}  // namespace

Result<Look> look_at_script(HookContext& context, std::size_t index, Deadline deadline) {
  if (context.verifies_only()) return Look{Look::State::Skipped, "verify mode runs no scripts", {}};
  return look_at_job(context, pre_upgrade_job(context.record.snapshot(), index), deadline);
}

Status begin_next_script(HookContext& context, std::size_t index) {
  clean_up_hook(context, index);
  // Written first: who takes over re-attaches to the Job that this number names.
  return context.record.update([&](PreparationStatus& status) { status.hooks[index].attempts += 1; },
                               context.store_deadline());
}

void clean_up_hook(HookContext& context, std::size_t index) {
  const auto record = context.record.snapshot();
  const Hook& hook = record.spec.hooks[index];
  if (!std::holds_alternative<ScriptAction>(hook.action) || context.verifies_only()) return;
  // What cannot be removed now goes with the record, which owns it.
  (void)context.scripts.remove(record, pre_upgrade_job(record, index), context.store_deadline());
}

Status stop_scripts(HookContext& context) {
  const auto record = context.record.snapshot();
  if (scripts_left_running(record).empty()) return Ok{};
  const auto removed = remove_left_scripts(context.scripts, record, context.store_deadline());
  if (!removed && is_transient(removed.error())) return removed;
  return context.record.update(
      [&](PreparationStatus& status) { settle_left_scripts(record, removed, context.clock.wall_now(), status); },
      context.store_deadline());
}

Result<Look> undo_by_script(HookContext& context, const PendingUndo& pending, const std::function<Status()>& settle,
                            Deadline deadline) {
  const ScriptJob job = post_upgrade_job(pending);
  auto looked = look_at_job(context, job, deadline);
  if (looked && looked->state == Look::State::NotYet) return looked;
  if (!looked && looked.error().code != ErrorCode::Rejected) return looked;
  if (looked) {
    if (auto settled = settle(); !settled) return settled.error();
  }
  // One that failed is removed, too: the next try is to be a new Job, under the same name.
  (void)context.scripts.remove(context.record.snapshot(), job, context.store_deadline());
  return looked;
}

}  // namespace gate
