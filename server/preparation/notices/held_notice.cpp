#include "server/preparation/notices/held_notice.hpp"

#include <chrono>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "policy/record/history.hpp"
#include "policy/record/record_order.hpp"
#include "policy/rollout/turns.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

/// An operator looks again by itself after minutes: who took a label away by mistake has time to set it again.
constexpr std::chrono::seconds kLookInterval{20};
constexpr std::chrono::seconds kReadTimeout{10};

bool keeps_pods_back(const Preparation& record) {
  const auto& rollout = record.spec.rollout;
  if (record.spec.bypass || !rollout.leads()) return false;
  if (!is_open(record)) return tried_again(record);
  const auto& turns = record.status.rollout.turns;
  if (record.status.phase != Phase::Completed || turns.empty()) return !record.status.rollout.back;
  const Turn* turn = present_turn(turns);
  return turn != nullptr && (turn != &turns.back() || turn->phase != TurnPhase::Rolling || turn->partition > 0);
}

/// The newest record of each object, where it keeps pods back.
std::vector<Preparation> holding(const PreparationStore& store) {
  auto records = store.cached();
  sort_newest_first(records);
  std::set<std::string> seen;  // UIDs of objects
  std::erase_if(records, [&](const Preparation& record) {
    return !seen.insert(record.spec.object.uid).second || !keeps_pods_back(record);
  });
  return records;
}

}  // namespace

HeldNotice::HeldNotice(PreparationStore& store, ClusterAccess& clusters, const Clock& clock, Logger& log)
    : store_(store), clusters_(clusters), clock_(clock), log_(log) {}

HeldNotice::~HeldNotice() { stop(); }

void HeldNotice::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (pause_for(kLookInterval, stop)) attempt(log_, "holds not checked", [this] { look(); });
  });
}

void HeldNotice::stop() { thread_ = {}; }

void HeldNotice::webhook_found(const std::string& fault) {
  state_.lock()->webhook_fault = fault;
  look();
}

void HeldNotice::look() {
  const auto records = holding(store_);
  const std::string webhook_fault = state_.lock()->webhook_fault;
  std::map<std::string, std::optional<std::string>> by_namespace;  // nullopt: it cannot be known now
  for (const auto& record : records) {
    if (by_namespace.contains(record.name_space)) continue;
    auto& fault = by_namespace[record.name_space];
    if (!webhook_fault.empty()) {
      fault = webhook_fault;
      continue;
    }
    auto obstacle = clusters_.obstacle_to_leading(record.name_space, clock_.steady_now() + kReadTimeout);
    if (!obstacle) {
      log_limited(failures_, clock_.steady_now(), log_, LogLevel::Warning, "not known whether pods are held",
                  {{"namespace", record.name_space}, {"error", obstacle.error().message}});
      continue;
    }
    fault = std::move(obstacle).value();
    if (!fault->empty()) *fault += "; pods that a led rollout keeps back roll at the operator's next pass, FE first";
  }
  std::vector<std::pair<const Preparation*, std::string>> to_tell;
  {
    const auto state = state_.lock();
    const auto before = std::exchange(state->told, {});
    std::size_t lost = 0;
    for (const auto& record : records) {
      const auto known = before.find(record.spec.object.uid);
      const std::string was = known == before.end() ? std::string{} : known->second;
      const auto now = by_namespace[record.name_space].value_or(was);
      if (was.empty() != now.empty()) to_tell.emplace_back(&record, now);
      if (!now.empty()) ++lost;
      state->told[record.spec.object.uid] = now;
    }
    lost_ = lost;
  }
  for (const auto& [record, fault] : to_tell) tell(*record, fault);
}

void HeldNotice::tell(const Preparation& record, const std::string& fault) {
  const std::string key = key_of(record);
  if (fault.empty()) {
    log_info(log_, "pods are held again", {{"preparation", key}});
    clusters_.emit_event(record, false, "UpgradeHoldKept", "what has not rolled is held again");
  } else {
    log_warning(log_, "pods are no longer held", {{"preparation", key}, {"cause", fault}});
    clusters_.emit_event(record, true, "UpgradeHoldLost", fault);
  }
}

}  // namespace gate
