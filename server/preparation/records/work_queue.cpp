#include "server/preparation/records/work_queue.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace gate {
namespace {

std::string_view namespace_of(std::string_view key) { return key.substr(0, key.find('/')); }

}  // namespace

void WorkQueue::add(const std::string& key, SteadyTime due) {
  {
    const auto state = state_.lock();
    const auto [entry, added] = state->due.try_emplace(key, due);
    if (!added) entry->second = std::min(entry->second, due);
    ++state->changes;
  }
  changed_.notify_one();  // the watcher
}

void WorkQueue::set_urgent(const std::string& key, bool urgent) {
  const auto state = state_.lock();
  if (urgent) {
    state->urgent.insert(key);
  } else {
    state->urgent.erase(key);
  }
}

void WorkQueue::hold_until(SteadyTime until) {
  {
    const auto state = state_.lock();
    state->held_until = until;
    ++state->changes;
  }
  changed_.notify_one();  // the watcher
}

bool WorkQueue::State::comes_before(const Due::value_type& one, const Due::value_type& other) const {
  const auto rank = [&](const Due::value_type& entry) {
    const auto served = turn.find(std::string(namespace_of(entry.first)));
    return std::tuple(!urgent.contains(entry.first), served == turn.end() ? 0 : served->second, entry.second);
  };
  return rank(one) < rank(other);
}

WorkQueue::Due::iterator WorkQueue::next(State& state, SteadyTime now, SteadyTime& look_again) const {
  look_again = SteadyTime::max();
  if (state.held_until > now) {
    if (!state.due.empty()) look_again = state.held_until;
    return state.due.end();
  }
  std::size_t quick = 0;
  SteadyTime slow_at = SteadyTime::max();  // the first of them is no longer quick
  std::map<std::string_view, std::size_t> share;
  for (const auto& [key, since] : state.active) {
    ++share[namespace_of(key)];
    if (since + kSlowAfter <= now) continue;
    ++quick;
    slow_at = std::min(slow_at, since + kSlowAfter);
  }
  auto best = state.due.end();
  for (auto entry = state.due.begin(); entry != state.due.end(); ++entry) {
    if (state.active.contains(entry->first)) continue;
    if (entry->second > now) {
      look_again = std::min(look_again, entry->second);
      continue;
    }
    const auto taken = share.find(namespace_of(entry->first));
    if (taken != share.end() && taken->second >= namespace_share(workers_)) continue;
    if (best == state.due.end() || state.comes_before(*entry, *best)) best = entry;
  }
  if (best == state.due.end() || quick < workers_) return best;
  look_again = std::min(look_again, slow_at);
  return state.due.end();
}

std::string WorkQueue::give_out(State& state, Due::iterator found, SteadyTime now) {
  // What takes memory comes first.
  std::string key = found->first;
  auto& turn = state.turn[std::string(namespace_of(key))];
  turn = ++state.turns;
  auto entry = state.due.extract(found);
  entry.mapped() = now;
  state.active.insert(std::move(entry));
  return key;
}

void WorkQueue::watch(Locked<State>& state, const std::stop_token& stop, SteadyTime now, SteadyTime look_again) {
  struct Watching {
    explicit Watching(Locked<State>& locked) : held(locked) { held->watched = true; }
    ~Watching() { held->watched = false; }
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;
    Locked<State>& held;
  };
  const Watching watching(state);
  const auto moved = [seen = state->changes](const State& present) { return present.changes != seen; };
  if (look_again == SteadyTime::max()) {
    state.wait(changed_, stop, moved);
  } else {
    state.wait_until(changed_, stop, std::chrono::steady_clock::now() + (look_again - now), moved);
  }
}

std::optional<std::string> WorkQueue::take(const std::stop_token& stop) {
  auto state = state_.lock();
  // Whoever leaves, and be it for want of memory, makes another one look, and no more than one: a change wakes not all.
  struct Leaving {
    Leaving(Locked<State>& locked, std::condition_variable_any& others) : held(locked), unwatched(others) {}
    ~Leaving() {
      if (!held->watched) unwatched.notify_one();
    }
    Leaving(const Leaving&) = delete;
    Leaving& operator=(const Leaving&) = delete;
    Locked<State>& held;
    std::condition_variable_any& unwatched;
  };
  const Leaving leaving(state, unwatched_);
  while (!stop.stop_requested()) {
    const auto now = clock_.steady_now();
    SteadyTime look_again{};
    const auto found = next(*state, now, look_again);
    if (found != state->due.end()) return give_out(*state, found, now);
    if (state->watched) {
      state.wait(unwatched_, stop, [](const State& present) { return !present.watched; });
    } else {
      watch(state, stop, now, look_again);
    }
  }
  return std::nullopt;
}

void WorkQueue::done(const std::string& key, std::optional<SteadyTime> again) {
  {
    const auto state = state_.lock();
    auto entry = state->active.extract(key);
    if (again && !entry.empty()) {
      entry.mapped() = *again;
      const auto added = state->due.insert(std::move(entry));
      if (!added.inserted) added.position->second = std::min(added.position->second, *again);
    }
    // Turns of namespaces with nothing to do are not kept for ever.
    if (state->turn.size() > state->due.size() + state->active.size() + 1) state->turn.clear();
    ++state->changes;
  }
  changed_.notify_one();  // the watcher
}

std::size_t WorkQueue::size() const {
  const auto state = state_.lock();
  return state->due.size() + state->active.size();
}

std::size_t WorkQueue::waiting() const {
  const auto state = state_.lock();
  const auto now = clock_.steady_now();
  return static_cast<std::size_t>(std::count_if(state->due.begin(), state->due.end(), [&](const auto& entry) {
    return entry.second <= now && !state->active.contains(entry.first);
  }));
}

std::vector<WorkQueue::Waiting> WorkQueue::waiting_since(SteadyTime due) const {
  const auto state = state_.lock();
  const auto now = clock_.steady_now();
  if (state->held_until > now) return {};
  std::map<std::string_view, std::vector<std::string>> at_work;
  for (const auto& [key, since] : state->active) at_work[namespace_of(key)].push_back(key.substr(key.find('/') + 1));
  std::map<std::string_view, std::vector<const Due::value_type*>> of_namespace;
  for (const auto& entry : state->due) {
    if (entry.second <= now && !state->active.contains(entry.first))
      of_namespace[namespace_of(entry.first)].push_back(&entry);
  }
  // Namespaces take turns: first the first of each, then the second of each.
  using Rank = std::tuple<bool, std::size_t, std::uint64_t, SteadyTime>;
  std::vector<std::pair<Rank, const Due::value_type*>> order;
  for (auto& [name_space, entries] : of_namespace) {
    std::sort(entries.begin(), entries.end(), [&](const auto* one, const auto* other) {
      return std::pair(!state->urgent.contains(one->first), one->second) <
             std::pair(!state->urgent.contains(other->first), other->second);
    });
    const auto found = state->turn.find(std::string(name_space));
    const auto turn = found == state->turn.end() ? 0 : found->second;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      order.emplace_back(Rank{!state->urgent.contains(entries[i]->first), i, turn, entries[i]->second}, entries[i]);
    }
  }
  std::sort(order.begin(), order.end(), [](const auto& one, const auto& other) { return one.first < other.first; });
  std::vector<Waiting> out;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto& [key, since] = *order[i].second;
    if (since > due) continue;
    const auto& others = at_work[namespace_of(key)];
    const bool by_share = others.size() >= namespace_share(workers_);
    out.push_back({key, i + 1, by_share, by_share ? others.size() : state->active.size(), {}});
    if (by_share)
      out.back().at_work.assign(others.begin(),
                                others.begin() + static_cast<std::ptrdiff_t>(std::min(others.size(), kAtWorkMax)));
  }
  return out;
}

}  // namespace gate
