#include "server/base/backoff.hpp"

#include <algorithm>
#include <condition_variable>

#include "server/base/guarded.hpp"

namespace gate {

Backoff::Backoff(std::chrono::milliseconds first, std::chrono::milliseconds max)
    : Backoff(first, max, std::random_device()()) {}

Backoff::Backoff(std::chrono::milliseconds first, std::chrono::milliseconds max, std::uint32_t seed)
    : first_(first), max_(std::max(first, max)), bound_(first), random_(seed) {}

std::chrono::milliseconds Backoff::next() {
  const auto bound = bound_;
  bound_ = bound > max_ / 2 ? max_ : bound * 2;
  const auto half = bound.count() / 2;
  return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(half, bound.count())(random_));
}

bool pause_for(std::chrono::nanoseconds duration, const std::stop_token& stop) noexcept {
  const auto now = std::chrono::steady_clock::now();
  const bool endless = duration > std::chrono::steady_clock::time_point::max() - now;
  return pause_until(endless ? std::chrono::steady_clock::time_point::max() : now + duration, stop);
}

bool pause_until(std::chrono::steady_clock::time_point time, const std::stop_token& stop) noexcept {
  // A std::condition_variable_any would know the token, but asks for memory: threads pause outside of all that catches.
  Guarded<bool> stopped;
  std::condition_variable changed;
  const std::stop_callback wake(stop, [&] {
    *stopped.lock() = true;
    changed.notify_all();
  });
  return !stopped.lock().wait_until(changed, time, [](const bool& is_stopped) { return is_stopped; });
}

}  // namespace gate
