#include "policy/record/conditions.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace gate {
namespace {

using nlohmann::json;

enum class Standing { Working, AtRest, Stuck };

/// Why a record stands where it stands.
struct Position {
  Standing standing = Standing::Working;
  std::string reason;
  std::string message;
  std::optional<WallTime> since;  ///< Of this standing.
};

bool failed(const PreparationStatus& status) {
  // One that was cancelled has the phase Failed as well, and an outcome of its own.
  const bool own = status.outcome == Outcome::None || status.outcome == Outcome::Failed;
  return status.phase == Phase::Failed && own;
}

const Turn* paused_turn(const PreparationStatus& status) {
  const auto& turns = status.rollout.turns;
  const auto found =
      std::find_if(turns.begin(), turns.end(), [](const Turn& turn) { return turn.phase == TurnPhase::Paused; });
  return found == turns.end() ? nullptr : &*found;
}

/// When the gate last began to have something to do. A rollout that was paused and goes on counts as one piece.
std::optional<WallTime> working_since(const Preparation& record) {
  const auto& status = record.status;
  const bool was_at_rest = status.phase == Phase::Completed && status.completion_time;
  if (was_at_rest && status.admitted_time > status.completion_time) return status.admitted_time;
  if (was_at_rest && !status.admitted_time && status.restoring_time) return status.restoring_time;
  return status.reopened_time ? status.reopened_time : record.creation_time;
}

std::optional<WallTime> last_of(std::initializer_list<std::optional<WallTime>> times) {
  return std::max(times);  // nothing is less than any time
}

Position position_of(const Preparation& record) {
  const auto& status = record.status;
  if (record.spec.bypass) {
    return {Standing::AtRest, "Bypassed", record.spec.bypass->reason, record.creation_time};
  }
  if (failed(status)) {
    const auto since = status.completion_time ? status.completion_time : record.creation_time;
    return {Standing::Stuck, status.reason.empty() ? "PreparationFailed" : status.reason, status.message, since};
  }
  if (!is_open(record) || is_handed_over(record)) {
    const auto since = last_of({record.creation_time, status.completion_time, status.rolled_out_time,
                                status.rolled_back_time, status.restoring_time, status.restored_time});
    return {Standing::AtRest, status.outcome == Outcome::None ? "Closed" : std::string(to_string(status.outcome)),
            status.message, since};
  }
  if (const Turn* turn = paused_turn(status); turn != nullptr && status.stage == Stage::RollingOut) {
    const auto since = turn->since ? turn->since : working_since(record);
    return {Standing::Stuck, "RolloutPaused", turn->waiting_for.empty() ? status.message : turn->waiting_for, since};
  }
  if (status.stage == Stage::Prepared && status.phase == Phase::Completed) {
    const auto since = status.completion_time ? status.completion_time : record.creation_time;
    return {Standing::AtRest, "Prepared", status.message, since};
  }
  const std::string reason(status.stage == Stage::Closed ? "Restoring" : to_string(status.stage));
  return {Standing::Working, reason, status.message, working_since(record)};
}

/// Collects what has a time.
class Conditions {
 public:
  std::vector<Condition> list;

  void add(const char* type, bool holds, const std::optional<WallTime>& since, std::string reason,
           std::string message = "") {
    if (since) list.push_back({type, holds, std::move(reason), std::move(message), *since});
  }
};

void add_story(const Preparation& record, Conditions& out) {
  const auto& status = record.status;
  // What never came about is so since the record exists.
  const auto since = [&](const std::optional<WallTime>& time) { return time ? time : record.creation_time; };
  const bool prepared = status.phase == Phase::Completed;
  const bool due = restore_due_since(record).has_value();
  const bool restored = !status.restore_pending && status.restored_time.has_value();
  out.add("Prepared", prepared, since(prepared ? status.completion_time : status.reopened_time),
          prepared ? "Completed" : std::string(to_string(status.phase)), status.message);
  out.add("Admitted", status.admitted_time.has_value(), since(status.admitted_time),
          status.admitted_time ? "Admitted" : "NotYet");
  out.add("RolledOut", status.rolled_out_time.has_value(), since(status.rolled_out_time),
          status.rolled_out_time ? "RolledOut" : "NotYet", status.stage == Stage::RollingOut ? status.message : "");
  out.add("Restored", restored, since(status.restored_time),
          restored ? "Restored" : (status.restore_pending ? "Pending" : "NothingToRestore"));
  // Captured in the first moments of the hooks' run: their start is near enough.
  out.add("RestoreOwed", status.restore_pending,
          since(status.restore_pending ? status.start_time : status.restored_time),
          status.restore_pending ? (due ? "Due" : "HeldForRollout") : "NothingToRestore");
  if (record.spec.bypass) out.add("Bypassed", true, record.creation_time, "Bypassed", record.spec.bypass->reason);
}

void add_kstatus(const Preparation& record, Conditions& out) {
  const auto at = position_of(record);
  const bool ready = at.standing == Standing::AtRest;
  const bool working = at.standing == Standing::Working;
  const bool stuck = at.standing == Standing::Stuck;
  out.add("Ready", ready, ready ? at.since : working_since(record), at.reason, at.message);
  out.add("Reconciling", working, at.since, at.reason, working ? at.message : "");
  out.add("Stalled", stuck, stuck ? at.since : record.creation_time, at.reason, stuck ? at.message : "");
}

}  // namespace

std::vector<Condition> conditions_of(const Preparation& record) {
  Conditions out;
  add_story(record, out);
  add_kstatus(record, out);
  return std::move(out.list);
}

json to_json(const std::vector<Condition>& conditions) {
  json out = json::array();
  for (const auto& condition : conditions) {
    out.push_back({{"type", condition.type},
                   {"status", condition.holds ? "True" : "False"},
                   {"reason", condition.reason},
                   {"message", condition.message},
                   {"observedGeneration", kObservedGeneration},
                   {"lastTransitionTime", format_time(condition.since)}});
  }
  return out;
}

}  // namespace gate
