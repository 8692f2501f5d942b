#include "server/preparation/lifecycle/work_queue.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace gate {
namespace {

std::string_view namespace_of(std::string_view key) { return key.substr(0, key.find('/')); }

}  // namespace

void WorkQueue::add(const std::string& key, SteadyTime due) {
  {
    const std::lock_guard lock(mutex_);
    const auto [entry, added] = due_.try_emplace(key, due);
    if (!added) entry->second = std::min(entry->second, due);
    ++changes_;
  }
  changed_.notify_all();
}

void WorkQueue::set_urgent(const std::string& key, bool urgent) {
  const std::lock_guard lock(mutex_);
  if (urgent) {
    urgent_.insert(key);
  } else {
    urgent_.erase(key);
  }
}

void WorkQueue::hold_until(SteadyTime until) {
  {
    const std::lock_guard lock(mutex_);
    held_until_ = until;
    ++changes_;
  }
  changed_.notify_all();
}

bool WorkQueue::comes_before(const Due::value_type& one, const Due::value_type& other) const {
  const auto rank = [&](const Due::value_type& entry) {
    const auto turn = turn_.find(std::string(namespace_of(entry.first)));
    return std::tuple(!urgent_.contains(entry.first), turn == turn_.end() ? 0 : turn->second, entry.second);
  };
  return rank(one) < rank(other);
}

WorkQueue::Due::iterator WorkQueue::next(SteadyTime now, SteadyTime& look_again) {
  look_again = SteadyTime::max();
  if (held_until_ > now) {
    if (!due_.empty()) look_again = held_until_;
    return due_.end();
  }
  std::size_t quick = 0;
  SteadyTime slow_at = SteadyTime::max();  // the first of them is no longer quick
  std::map<std::string_view, std::size_t> share;
  for (const auto& [key, since] : active_) {
    ++share[namespace_of(key)];
    if (since + kSlowAfter <= now) continue;
    ++quick;
    slow_at = std::min(slow_at, since + kSlowAfter);
  }
  auto best = due_.end();
  for (auto entry = due_.begin(); entry != due_.end(); ++entry) {
    if (active_.contains(entry->first)) continue;
    if (entry->second > now) {
      look_again = std::min(look_again, entry->second);
      continue;
    }
    const auto taken = share.find(namespace_of(entry->first));
    if (taken != share.end() && taken->second >= namespace_share(workers_)) continue;
    if (best == due_.end() || comes_before(*entry, *best)) best = entry;
  }
  if (best == due_.end() || quick < workers_) return best;
  look_again = std::min(look_again, slow_at);
  return due_.end();
}

std::optional<std::string> WorkQueue::take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto now = clock_.steady_now();
    SteadyTime look_again{};
    const auto found = next(now, look_again);
    if (found != due_.end()) {
      std::string key = found->first;
      due_.erase(found);
      active_[key] = now;
      turn_[std::string(namespace_of(key))] = ++turns_;
      return key;
    }
    const auto moved = [this, seen = changes_] { return changes_ != seen; };
    if (look_again == SteadyTime::max()) {
      changed_.wait(lock, stop, moved);
    } else {
      changed_.wait_for(lock, stop, look_again - now, moved);
    }
  }
  return std::nullopt;
}

void WorkQueue::done(const std::string& key) {
  {
    const std::lock_guard lock(mutex_);
    active_.erase(key);
    // Turns of namespaces with nothing to do are not kept for ever.
    if (turn_.size() > due_.size() + active_.size() + 1) turn_.clear();
    ++changes_;
  }
  changed_.notify_all();
}

std::size_t WorkQueue::size() const {
  const std::lock_guard lock(mutex_);
  return due_.size() + active_.size();
}

std::size_t WorkQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.steady_now();
  return static_cast<std::size_t>(std::count_if(due_.begin(), due_.end(), [&](const auto& entry) {
    return entry.second <= now && !active_.contains(entry.first);
  }));
}

std::vector<WorkQueue::Waiting> WorkQueue::waiting_since(SteadyTime due) const {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.steady_now();
  if (held_until_ > now) return {};
  std::map<std::string_view, std::vector<std::string>> at_work;
  for (const auto& [key, since] : active_) at_work[namespace_of(key)].push_back(key.substr(key.find('/') + 1));
  std::map<std::string_view, std::vector<const Due::value_type*>> of_namespace;
  for (const auto& entry : due_) {
    if (entry.second <= now && !active_.contains(entry.first))
      of_namespace[namespace_of(entry.first)].push_back(&entry);
  }
  // Namespaces take turns: first the first of each, then the second of each.
  using Rank = std::tuple<bool, std::size_t, std::uint64_t, SteadyTime>;
  std::vector<std::pair<Rank, const Due::value_type*>> order;
  for (auto& [name_space, entries] : of_namespace) {
    std::sort(entries.begin(), entries.end(), [&](const auto* one, const auto* other) {
      return std::pair(!urgent_.contains(one->first), one->second) <
             std::pair(!urgent_.contains(other->first), other->second);
    });
    const auto found = turn_.find(std::string(name_space));
    const auto turn = found == turn_.end() ? 0 : found->second;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      order.emplace_back(Rank{!urgent_.contains(entries[i]->first), i, turn, entries[i]->second}, entries[i]);
    }
  }
  std::sort(order.begin(), order.end(), [](const auto& one, const auto& other) { return one.first < other.first; });
  std::vector<Waiting> out;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto& [key, since] = *order[i].second;
    if (since > due) continue;
    const auto& others = at_work[namespace_of(key)];
    const bool by_share = others.size() >= namespace_share(workers_);
    out.push_back({key, i + 1, by_share, by_share ? others.size() : active_.size(), {}});
    if (by_share)
      out.back().at_work.assign(others.begin(),
                                others.begin() + static_cast<std::ptrdiff_t>(std::min(others.size(), kAtWorkMax)));
  }
  return out;
}

}  // namespace gate
