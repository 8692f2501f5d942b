#pragma once
// Waiting between tries, and waiting that can be stopped.

#include <chrono>
#include <cstdint>
#include <random>
#include <stop_token>

namespace gate {

/// Doubles from `first` to `max`; each pause is between half of that and all of it, so that those who failed together
/// do not come back together. Belongs to one thread.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds max);
  /// The same pauses for the same seed.
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds max, std::uint32_t seed);

  /// How long to wait before the next try.
  [[nodiscard]] std::chrono::milliseconds next();
  /// After a success that is worth the name: what fails again at once is no success.
  void reset() { bound_ = first_; }

 private:
  const std::chrono::milliseconds first_;
  const std::chrono::milliseconds max_;
  std::chrono::milliseconds bound_;
  std::minstd_rand random_;
};

/// Blocks until the time is over: true; or until a stop is requested: false, at once. Takes no memory.
bool pause_for(std::chrono::nanoseconds duration, const std::stop_token& stop) noexcept;
bool pause_until(std::chrono::steady_clock::time_point time, const std::stop_token& stop) noexcept;

}  // namespace gate
