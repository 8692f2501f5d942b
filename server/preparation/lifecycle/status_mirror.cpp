#include "server/preparation/lifecycle/status_mirror.hpp"

#include <utility>
#include <vector>

namespace gate {
namespace {

/// One exchange with the API server.
constexpr std::chrono::seconds kWriteTimeout{10};
/// After one that failed: the record is the truth, the mirror may lag.
constexpr std::chrono::seconds kRetry{10};

std::string key_of(const Preparation& record) { return record.name_space + "/" + record.name; }

/// What people see of it: a state that looks the same is not written again.
std::string visible_state(const Preparation& record) {
  const auto& status = record.status;
  return std::string(to_string(status.phase)) + "|" + status.reason + "|" + status.message + "|" +
         std::string(to_string(status.stage)) + "|" + std::string(to_string(status.outcome)) + "|" +
         std::to_string(hooks_in(status, HookPhase::Completed).size()) + "|" +
         std::to_string(hooks_in(status, HookPhase::Failed).size());
}

}  // namespace

StatusMirror::AnsweringScope::AnsweringScope(StatusMirror& mirror, std::string cluster)
    : mirror_(mirror), cluster_(std::move(cluster)) {
  const std::lock_guard lock(mirror_.mutex_);
  mirror_.answering_.insert(cluster_);
}

StatusMirror::AnsweringScope::~AnsweringScope() {
  const std::lock_guard lock(mirror_.mutex_);
  mirror_.answering_.erase(mirror_.answering_.find(cluster_));
}

bool StatusMirror::answering(const std::string& cluster) {
  const std::lock_guard lock(mutex_);
  return answering_.contains(cluster);
}

void StatusMirror::want(const Preparation& record) {
  // A superseded record is no longer the cluster's news, a bypass must not hide what is open, and in verify mode the
  // field belongs to who prepares.
  const bool somebody_elses = record.spec.bypass || record.spec.mode == PreparationMode::Verify;
  if (record.status.outcome == Outcome::Superseded || somebody_elses) return;
  {
    const std::lock_guard lock(mutex_);
    auto& state = states_[key_of(record)];
    state.closed = !is_open(record);
    if (state.written != visible_state(record)) state.to_write = std::make_shared<const Preparation>(record);
  }
  flush();
}

void StatusMirror::flush() {
  std::vector<std::pair<std::string, std::shared_ptr<const Preparation>>> due;
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    for (auto& [key, state] : states_) {
      if (!state.to_write || state.writing || state.not_before > now) continue;
      if (answering_.contains(state.to_write->name_space + "/" + state.to_write->spec.cluster)) continue;
      due.emplace_back(key, std::exchange(state.to_write, nullptr));
      state.writing = true;
    }
  }
  for (auto& [key, record] : due) {
    const auto deadline = clock_.steady_now() + kWriteTimeout;
    const auto written = conditions_ == nullptr ? clusters_.mirror_status(*record, deadline)
                                                : conditions_->write_with(*record, deadline);
    const std::lock_guard lock(mutex_);
    const auto entry = states_.find(key);  // there: only an entry that is not being written goes
    auto& state = entry->second;
    state.writing = false;
    if (written) {
      state.written = visible_state(*record);
    } else if (is_open(*record) || written.error().code == ErrorCode::Unavailable) {
      state.not_before = clock_.steady_now() + kRetry;
      if (!state.to_write && !state.removed) state.to_write = std::move(record);
    }
    drop_if_done(entry);
  }
}

void StatusMirror::forget(const Preparation& record, bool removed) {
  const std::lock_guard lock(mutex_);
  const auto entry = states_.find(key_of(record));
  if (entry == states_.end()) return;
  entry->second.closed = true;
  entry->second.removed = removed;
  if (removed) entry->second.to_write.reset();
  drop_if_done(entry);
}

void StatusMirror::drop_if_done(std::map<std::string, State>::iterator entry) {
  const auto& state = entry->second;
  if (state.closed && !state.writing && !state.to_write) states_.erase(entry);
}

}  // namespace gate
