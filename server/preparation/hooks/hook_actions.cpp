#include "server/preparation/hooks/hook_actions.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "policy/hooks/sent_sql.hpp"

namespace gate {
namespace {

/// What is to be undone whatever becomes of the hook. A setting is not among it: it is captured when its old value is
/// known.
std::optional<PendingUndo> undo_of(const Hook& hook) {
  if (setting_of(hook) != nullptr || hook.restore == RestoreMode::None) return std::nullopt;
  if (hook.restore == RestoreMode::Statement) return PendingUndo{hook.name, hook.restore_sql, {}, hook.timeout};
  const auto* script = std::get_if<ScriptAction>(&hook.action);
  if (script == nullptr || !script->post_upgrade) return std::nullopt;
  return PendingUndo{hook.name, {}, script->script, hook.timeout};
}

Result<Look> hidden(const HookContext& context, Result<Look> looked) {
  if (!looked) return context.hide(looked.error());
  looked->text = context.hide(std::move(looked->text));
  return looked;
}

Result<Look> look_at(HookContext& context, const Hook& hook, std::size_t index, Deadline deadline) {
  if (!hook.run_mode.empty()) {
    const auto mode = context.run_mode(deadline);
    if (!mode) return mode.error();
    if (*mode != hook.run_mode) {
      return Look{Look::State::Skipped, "for " + hook.run_mode + " clusters; this one is " + *mode, {}};
    }
  }
  if (auto judged = judge_sent_sql(hook, context.further_sql); !judged) return judged.error();
  if (const auto undo = undo_of(hook); undo && !context.verifies_only()) {
    if (auto pending = context.record_undo(*undo); !pending) return pending.error();
  }
  struct Visitor {
    HookContext& context;
    const Hook& hook;
    std::size_t index;
    Deadline deadline;
    Result<Look> operator()(const SqlAction& action) const {
      return action.setting ? look_at_setting(context, index, deadline) : look_at_statement(context, action, deadline);
    }
    Result<Look> operator()(const ProbeAction& action) const { return look_at_probe(context, hook, action, deadline); }
    Result<Look> operator()(const QueryAction& action) const { return look_at_query(context, action, deadline); }
    Result<Look> operator()(const HttpAction& action) const { return look_at_http(context, hook, action, deadline); }
    Result<Look> operator()(const ScriptAction&) const { return look_at_script(context, index, deadline); }
  };
  return std::visit(Visitor{context, hook, index, deadline}, hook.action);
}

Result<Look> undo_now(HookContext& context, const PendingUndo& pending, Deadline deadline) {
  const auto settle = [&] {
    return context.record.update(
        [&](PreparationStatus& status) {
          const auto found = std::find(status.undo.begin(), status.undo.end(), pending);
          if (found != status.undo.end()) status.undo.erase(found);
        },
        context.store_deadline());
  };
  if (pending.script.empty()) {
    if (auto judged = judge_sent_sql(pending.sql, context.further_sql); !judged) return judged.error();
    const auto frontends = context.fleet(deadline);
    if (!frontends) return frontends.error();
    const auto done = (*frontends)->execute_unbounded(pending.sql, deadline);
    if (!done) return done.error();
    if (auto settled = settle(); !settled) return settled.error();
    return Look{};
  }
  return undo_by_script(context, pending, settle, deadline);
}

}  // namespace

Result<Look> look_at_hook(HookContext& context, std::size_t index, Deadline deadline) {
  const auto record = context.record.snapshot();
  return hidden(context, look_at(context, record.spec.hooks[index], index, deadline));
}

Result<Look> undo(HookContext& context, const PendingUndo& pending, Deadline deadline) {
  return hidden(context, undo_now(context, pending, deadline));
}

Result<ExternalPreparation> external_preparation_of(ClusterAccess& clusters, const Preparation& record,
                                                    Deadline deadline) {
  const auto cluster =
      clusters.get_object(record.name_space, {std::string(kClusterKind), record.spec.cluster, {}}, deadline);
  if (cluster) return external_preparation(*cluster, record.spec);
  // Without an object nobody can have written into it.
  if (cluster.error().code == ErrorCode::NotFound) return ExternalPreparation{};
  return cluster.error();
}

Result<Look> look_at_external(HookContext& context, Deadline deadline) {
  const auto found = external_preparation_of(context.clusters, context.record.snapshot(),
                                             std::min(deadline, context.store_deadline()));
  if (!found) return found.error();
  switch (found->state) {
    case ExternalPreparation::State::NotKept:
    case ExternalPreparation::State::Completed:
      return Look{Look::State::Done, found->detail, {}};
    case ExternalPreparation::State::Waiting:
      return Look{Look::State::NotYet, found->detail, kHookPollDefault};
    case ExternalPreparation::State::Failed:
      break;
  }
  return Error{ErrorCode::Rejected, found->detail};
}

}  // namespace gate
