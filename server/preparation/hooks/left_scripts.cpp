#include "server/preparation/hooks/left_scripts.hpp"

#include "policy/text/text.hpp"

namespace gate {

ScriptJob pre_upgrade_job(const Preparation& record, std::size_t index) {
  const Hook& hook = record.spec.hooks[index];
  return {hook.name, std::get<ScriptAction>(hook.action).script, "pre_upgrade", record.status.hooks[index].attempts,
          hook.timeout};
}

ScriptJob post_upgrade_job(const PendingUndo& pending) {
  return {pending.hook, pending.script, "post_upgrade", 1, pending.timeout};
}

Status remove_left_scripts(ScriptJobs& scripts, const Preparation& record, Deadline deadline) {
  for (const auto index : scripts_left_running(record)) {
    if (auto removed = scripts.remove(record, pre_upgrade_job(record, index), deadline); !removed) return removed;
  }
  return Ok{};
}

Status remove_undo_scripts(ScriptJobs& scripts, const Preparation& record, Deadline deadline) {
  for (const auto& pending : record.status.undo) {
    if (pending.script.empty()) continue;
    if (auto removed = scripts.remove(record, post_upgrade_job(pending), deadline); !removed) return removed;
  }
  return Ok{};
}

void settle_left_scripts(const Preparation& record, const Status& removed, WallTime now, PreparationStatus& status) {
  for (const auto index : scripts_left_running(record)) {
    auto& entry = status.hooks[index];
    entry.phase = HookPhase::Failed;
    entry.completion_time = now;
    entry.message = removed ? "stopped: the preparation ended before the script did"
                            : clean_text("left to its time limit: " + removed.error().message);
  }
}

}  // namespace gate
