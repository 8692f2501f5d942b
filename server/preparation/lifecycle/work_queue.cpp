#include "server/preparation/lifecycle/work_queue.hpp"

#include <algorithm>

namespace gate {

void WorkQueue::add(const std::string& key, SteadyTime due) {
  {
    const std::lock_guard lock(mutex_);
    const auto [entry, added] = due_.try_emplace(key, due);
    if (!added) entry->second = std::min(entry->second, due);
    ++changes_;
  }
  changed_.notify_all();
}

void WorkQueue::hold_until(SteadyTime until) {
  {
    const std::lock_guard lock(mutex_);
    held_until_ = until;
    ++changes_;
  }
  changed_.notify_all();
}

std::optional<std::string> WorkQueue::take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    auto next = due_.end();
    for (auto entry = due_.begin(); entry != due_.end(); ++entry) {
      if (active_.contains(entry->first)) continue;
      if (next == due_.end() || entry->second < next->second) next = entry;
    }
    const auto moved = [this, seen = changes_] { return changes_ != seen; };
    if (next == due_.end()) {
      changed_.wait(lock, stop, moved);
    } else if (const auto left = std::max(next->second, held_until_) - clock_.steady_now(); left > left.zero()) {
      changed_.wait_for(lock, stop, left, moved);
    } else {
      std::string key = next->first;
      due_.erase(next);
      active_.insert(key);
      return key;
    }
  }
  return std::nullopt;
}

void WorkQueue::done(const std::string& key) {
  {
    const std::lock_guard lock(mutex_);
    active_.erase(key);
    ++changes_;
  }
  changed_.notify_all();
}

std::size_t WorkQueue::size() const {
  const std::lock_guard lock(mutex_);
  return due_.size() + active_.size();
}

}  // namespace gate
