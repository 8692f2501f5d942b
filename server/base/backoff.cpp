#include "server/base/backoff.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

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

bool pause_for(std::chrono::nanoseconds duration, const std::stop_token& stop) {
  const auto now = std::chrono::steady_clock::now();
  const bool endless = duration > std::chrono::steady_clock::time_point::max() - now;
  return pause_until(endless ? std::chrono::steady_clock::time_point::max() : now + duration, stop);
}

bool pause_until(std::chrono::steady_clock::time_point time, const std::stop_token& stop) {
  std::mutex unshared;
  std::condition_variable_any stopped;
  std::unique_lock lock(unshared);
  return !stopped.wait_until(lock, stop, time, [&stop] { return stop.stop_requested(); });
}

}  // namespace gate
