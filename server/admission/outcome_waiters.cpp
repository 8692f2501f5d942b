#include "server/admission/outcome_waiters.hpp"

#include <algorithm>
#include <iterator>

namespace gate {
namespace {

bool finished(const Preparation& record) {
  return record.status.phase == Phase::Completed || record.status.phase == Phase::Failed;
}

}  // namespace

std::size_t OutcomeWaiters::State::of_namespace(const std::string& name_space) const {
  const auto first = waiting.lower_bound(name_space + "/");
  const auto last = waiting.lower_bound(name_space + "0");  // what follows '/'
  return static_cast<std::size_t>(std::distance(first, last));
}

void OutcomeWaiters::notify(const Preparation& record, bool removed) {
  if (!removed && !finished(record)) return;
  bool woken = false;
  {
    const auto state = state_.lock();
    const auto [first, last] = state->waiting.equal_range(record.name_space + "/" + record.name);
    for (auto entry = first; entry != last; ++entry) {
      *entry->second = true;
      woken = true;
    }
  }
  if (woken) changed_.notify_all();
}

bool OutcomeWaiters::is_to_come(const std::string& name_space, const std::string& name, Deadline deadline,
                                const std::string& created_for) {
  if (created_for.empty()) {
    const auto current = store_.get(name_space, name, deadline);
    return current ? !finished(*current) : current.error().code != ErrorCode::NotFound;
  }
  const auto known = store_.known_of_cluster(name_space, created_for, deadline);
  if (!known) return true;
  return std::any_of(known->begin(), known->end(),
                     [&](const Preparation& record) { return record.name == name && !finished(record); });
}

void OutcomeWaiters::wait(const std::string& name_space, const std::string& name, Deadline deadline,
                          const std::string& created_for) {
  bool over = false;
  auto state = state_.lock();
  const auto own = state->of_namespace(name_space);
  const auto left_by_others = waiting_max_ - (state->waiting.size() - own);
  if (state->stopped || own >= (left_by_others + 1) / 2) return;
  // Gone when this ends, by an exception of the store's too: what it points to is on this stack.
  struct Registration {
    ~Registration() { held->waiting.erase(entry); }
    Locked<State>& held;
    const std::multimap<std::string, bool*>::iterator entry;
  };
  const Registration registered{state, state->waiting.emplace(name_space + "/" + name, &over)};
  // Registered first, then read: what finishes in between is seen by one or the other.
  bool to_come = false;
  state.release_for([&] { to_come = is_to_come(name_space, name, deadline, created_for); });
  if (to_come) state.wait_until(changed_, deadline, [&](const State& now) { return over || now.stopped; });
}

void OutcomeWaiters::stop() {
  state_.lock()->stopped = true;
  changed_.notify_all();
}

std::size_t OutcomeWaiters::waiting() const { return state_.lock()->waiting.size(); }

}  // namespace gate
