#include "server/preparation/lifecycle/held_notice.hpp"

#include <set>

#include "policy/record/history.hpp"
#include "policy/record/record_order.hpp"
#include "policy/rollout/turns.hpp"

namespace gate {
namespace {

bool keeps_pods_back(const Preparation& record) {
  const auto& rollout = record.spec.rollout;
  if (record.spec.bypass || !rollout.leads()) return false;
  if (!is_open(record)) return tried_again(record);
  const auto& turns = record.status.rollout.turns;
  if (record.status.phase != Phase::Completed || turns.empty()) return !record.status.rollout.back;
  const Turn* turn = present_turn(turns);
  return turn != nullptr && (turn != &turns.back() || turn->phase != TurnPhase::Rolling || turn->partition > 0);
}

}  // namespace

void tell_held(PreparationStore& store, ClusterAccess& clusters, const std::string& fault) {
  auto records = store.cached();
  sort_newest_first(records);
  std::set<std::string> seen;  // UIDs of objects
  for (const auto& record : records) {
    if (!seen.insert(record.spec.object.uid).second || !keeps_pods_back(record)) continue;
    if (fault.empty()) {
      clusters.emit_event(record, false, "UpgradeHoldKept", "the webhook is there again; what has not rolled is held");
    } else {
      clusters.emit_event(record, true, "UpgradeHoldLost", fault);
    }
  }
}

}  // namespace gate
