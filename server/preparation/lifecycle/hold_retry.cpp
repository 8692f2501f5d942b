#include "server/preparation/lifecycle/hold_retry.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "policy/record/record_order.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"
#include "server/base/log.hpp"
#include "server/preparation/lifecycle/hand_over.hpp"

namespace gate {
namespace {

/// The back-off after a failure is half a minute at least: a look this often is soon enough.
constexpr std::chrono::seconds kLookInterval{10};
constexpr std::chrono::seconds kStoreTimeout{5};

}  // namespace

HoldRetry::HoldRetry(PreparationStore& store, ClusterAccess& clusters, const Clock& clock, Logger& log,
                     HoldRetryOptions options)
    : store_(store), clusters_(clusters), clock_(clock), log_(log), options_(std::move(options)) {}

HoldRetry::~HoldRetry() { stop(); }

void HoldRetry::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (pause_for(kLookInterval, stop)) attempt(log_, "held preparations not checked", [this] { look(); });
  });
}

void HoldRetry::stop() { thread_ = {}; }

void HoldRetry::look() {
  auto records = store_.cached();
  sort_newest_first(records);
  std::map<std::string, bool> seen;  // by the object's UID
  const auto now = clock_.wall_now();
  for (const auto& record : records) {
    if (record.spec.bypass || !seen.emplace(record.spec.object.uid, true).second) continue;
    const bool failed = record.status.phase == Phase::Failed && !is_open(record) && !record.deleting;
    if (!failed || record.spec.rollout.admission != AdmissionMode::Hold) continue;
    if (now >= next_attempt_time(record, options_.backoff)) retry(record);
  }
}

void HoldRetry::retry(const Preparation& failed) {
  const auto deadline = clock_.steady_now() + kStoreTimeout;
  const auto object = clusters_.get_object(failed.name_space, failed.spec.object, deadline);
  if (!object || !still_wanted(failed, *object)) return;
  // Live and whole: what the watch keeps need not be all of it.
  const auto whole = store_.get(failed.name_space, failed.name, deadline);
  if (!whole) return;
  Preparation next;
  next.name_space = whole->name_space;
  next.spec = whole->spec;
  next.spec.attempt = whole->spec.attempt + 1;
  next.spec.supersedes.clear();
  next.name = preparation_name(next.spec.object.name, preparation_key(next.spec), next.spec.attempt);
  const auto made = store_.create(next, deadline);
  if (!made) {
    if (made.error().code != ErrorCode::AlreadyExists) {
      log_warning(log_, "held upgrade not retried",
                  {{"object", next.name_space + "/" + next.name}, {"error", made.error().message}});
    }
    return;
  }
  log_info(log_, "held upgrade retried", {{"object", next.name_space + "/" + next.name}});
  clusters_.emit_event(*made, false, "UpgradePreparationRetried",
                       "attempt " + std::to_string(next.spec.attempt) + "; the StatefulSets stay held");
  options_.created(*made);
}

}  // namespace gate
