#include "server/preparation/lifecycle/hold_retry.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/record/record_order.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"
#include "server/base/log.hpp"
#include "server/preparation/lifecycle/hand_over.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

/// The back-off after a failure is half a minute at least: a look this often is soon enough.
constexpr std::chrono::seconds kLookInterval{10};
constexpr std::chrono::seconds kStoreTimeout{5};

/// Closed without having led anywhere, and no client repeats it.
bool left_held(const Preparation& record) {
  const auto& status = record.status;
  const bool left = status.phase == Phase::Failed || status.outcome == Outcome::Superseded;
  return left && !is_open(record) && !record.deleting && record.spec.rollout.admission == AdmissionMode::Hold;
}

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
  std::map<std::string, std::vector<const Preparation*>> by_object;  // by UID
  for (const auto& record : records) {
    if (!record.spec.bypass) by_object[record.spec.object.uid].push_back(&record);
  }
  std::set<std::string> stranded;
  for (const auto& [uid, all] : by_object) look_at(all, stranded);
  stranded_ = std::move(stranded);
}

void HoldRetry::look_at(const std::vector<const Preparation*>& records, std::set<std::string>& stranded) {
  const auto now = clock_.wall_now();
  // What is older is history. An open one that rolls to its images is what the object wants.
  const auto end = std::find_if(records.begin(), records.end(), [](const Preparation* record) {
    const auto& status = record->status;
    const bool rolls = is_open(*record) && status.stage == Stage::RollingOut && !status.rollout.back;
    return rolls || status.outcome == Outcome::Succeeded;
  });
  const auto due = [&](const Preparation* record) {
    if (!left_held(*record)) return false;
    return record->status.outcome == Outcome::Superseded || now >= next_attempt_time(*record, options_.backoff);
  };
  if (std::none_of(records.begin(), end, due)) return;
  const auto& any = *records.front();
  const auto object = clusters_.get_object(any.name_space, any.spec.object, clock_.steady_now() + kStoreTimeout);
  if (!object) return;
  const auto wanted =
      std::find_if(records.begin(), end, [&](const Preparation* record) { return still_wanted(*record, *object); });
  if (wanted == end || !due(*wanted)) return;
  const auto key = key_of(**wanted);
  if ((*wanted)->status.outcome == Outcome::Superseded && !stranded_.contains(key)) {
    stranded.insert(key);
  } else {
    retry(**wanted);
  }
}

void HoldRetry::retry(const Preparation& left) {
  const auto deadline = clock_.steady_now() + kStoreTimeout;
  // Live and whole: what the watch keeps need not be all of it.
  const auto whole = store_.get(left.name_space, left.name, deadline);
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
