#include "server/admission/outcome_waiters.hpp"

namespace gate {
namespace {

bool finished(const Preparation& record) {
  return record.status.phase == Phase::Completed || record.status.phase == Phase::Failed;
}

}  // namespace

void OutcomeWaiters::notify(const Preparation& record, bool removed) {
  if (!removed && !finished(record)) return;
  bool woken = false;
  {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = waiting_.equal_range(record.name_space + "/" + record.name);
    for (auto entry = first; entry != last; ++entry) {
      *entry->second = true;
      woken = true;
    }
  }
  if (woken) changed_.notify_all();
}

void OutcomeWaiters::wait(const std::string& name_space, const std::string& name, Deadline deadline) {
  bool over = false;
  std::unique_lock lock(mutex_);
  if (stopped_ || waiting_.size() >= kWaitingAdmissionsMax) return;
  // Gone when this ends, by an exception of the store's too: what it points to is on this stack.
  struct Registration {
    ~Registration() {
      if (!held.owns_lock()) held.lock();
      entries.erase(entry);
    }
    std::unique_lock<std::mutex>& held;
    std::multimap<std::string, bool*>& entries;
    const std::multimap<std::string, bool*>::iterator entry;
  };
  const Registration registered{lock, waiting_, waiting_.emplace(name_space + "/" + name, &over)};
  lock.unlock();
  // Registered first, then read: what finishes in between is seen by one or the other.
  const auto current = store_.get(name_space, name, deadline);
  lock.lock();
  if (current ? !finished(*current) : current.error().code != ErrorCode::NotFound) {
    changed_.wait_until(lock, deadline, [&] { return over || stopped_; });
  }
}

void OutcomeWaiters::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

std::size_t OutcomeWaiters::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace gate
