#include "server/preparation/notices/turn_notices.hpp"

#include <set>
#include <utility>

#include "policy/text/text.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

/// For people, and many of them in a row: an API server that needs longer is left alone.
constexpr std::chrono::seconds kStoreTimeout{2};
/// Three names of records, each as long as a name may be.
constexpr std::size_t kTurnNoticeMax = 1000;

std::string notice(const WorkQueue::Waiting& waiting, const std::string& name_space) {
  std::string text = std::string(kTurnNotice) + ", number " + std::to_string(waiting.place) + " in the queue: ";
  if (!waiting.by_share) {
    return text + std::to_string(waiting.workers) + " records are worked on, as many as --workers allows";
  }
  text += "namespace " + name_space + " has " + std::to_string(waiting.workers) + " worked on, its share of --workers";
  for (std::size_t i = 0; i < waiting.at_work.size(); ++i) text += (i == 0 ? ": " : ", ") + waiting.at_work[i];
  return text;
}

/// Others say themselves what they wait for.
bool has_no_worker(const Preparation& record) {
  const bool unprepared = record.status.phase == Phase::Pending || record.status.phase == Phase::Running;
  return unprepared && record.status.stage == Stage::Preparing && record.status.runner.identity.empty();
}

}  // namespace

bool is_turn_notice(std::string_view message) { return message.substr(0, kTurnNotice.size()) == kTurnNotice; }

void TurnNotices::tell(const std::stop_token& stop, const std::function<bool(const std::string& key)>& may_wait) {
  const auto now = clock_.steady_now();
  const auto waiting = queue_.waiting_since(now - kAfter);
  std::set<std::string_view> keys;
  for (const auto& one : waiting) keys.insert(one.key);
  std::erase_if(told_, [&](const auto& entry) { return !keys.contains(entry.first); });
  std::size_t written = 0;
  for (const auto& one : waiting) {
    if (written == kPerCall || stop.stop_requested()) return;
    if (!is_due(one, now) || !may_wait(one.key)) continue;
    tell_one(one);
    ++written;
  }
}

bool TurnNotices::is_due(const WorkQueue::Waiting& waiting, SteadyTime now) const {
  const auto found = told_.find(waiting.key);
  if (found == told_.end()) return true;
  const auto& told = found->second;
  if (now - told.at < kAgainAfter) return false;
  return waiting.place * 2 <= told.place || waiting.by_share != told.by_share;
}

void TurnNotices::tell_one(const WorkQueue::Waiting& waiting) {
  const auto [name_space, name] = split_key(waiting.key);
  const auto deadline = clock_.steady_now() + kStoreTimeout;
  auto& told = told_[waiting.key];
  told = {waiting.place, waiting.by_share, clock_.steady_now(), std::move(told.text)};
  auto record = store_.get(name_space, name, deadline);
  if (!record || !has_no_worker(*record)) return;
  // Every replica has each record in its queue. Whoever told of it last goes on; the others leave it alone meanwhile.
  const bool by_another = is_turn_notice(record->status.message) && record->status.message != told.text;
  told.text = record->status.message;
  if (by_another) return;
  record->status.message = clean_text(notice(waiting, name_space), kTurnNoticeMax);
  // Conflict: somebody has just begun it.
  if (auto stored = store_.update_status(*record, deadline)) told.text = stored->status.message;
}

}  // namespace gate
