#include "server/admission/callers.hpp"

#include <utility>

#include "policy/review/caller_token.hpp"

namespace gate {

void Callers::set_key(std::string key) {
  auto state = state_.lock();
  if (state->key == key) return;
  state->key = std::move(key);
  state->admitted.clear();
}

bool Callers::has_key() const { return !state_.lock()->key.empty(); }

void Callers::announced(WallTime issued) {
  auto state = state_.lock();
  if (issued <= state->newest) return;
  state->newest = issued;
  state->newest_since = clock_.steady_now();
}

bool Callers::is_current(const State& state, WallTime issued) const {
  const auto now = clock_.wall_now();
  if (issued > now + kCallerTokenGrace || issued + kCallerTokenLife + kCallerTokenGrace < now) return false;
  return issued >= state.newest || clock_.steady_now() < state.newest_since + kCallerTokenOverlap;
}

bool Callers::admits(std::string_view token) {
  auto state = state_.lock();
  if (!state->admitted.empty() && equal_secrets(state->admitted, token)) {
    return is_current(*state, state->admitted_issued);
  }
  const auto issued = caller_token_issued(state->key, token);
  if (!issued || !is_current(*state, *issued)) return false;
  state->admitted = std::string(token);
  state->admitted_issued = *issued;
  return true;
}

}  // namespace gate
