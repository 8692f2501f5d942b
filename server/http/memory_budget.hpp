#pragma once
// How much memory the bodies of all requests may take together.

#include <condition_variable>
#include <cstddef>

#include "server/base/guarded.hpp"
#include "server/ports/clock.hpp"

namespace gate::http {

/// Thread safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Waits for room until the deadline; false if there is none by then.
  [[nodiscard]] bool take(std::size_t bytes, Deadline deadline) {
    auto taken = taken_.lock();
    const auto fits = [&](std::size_t of_others) { return bytes <= bytes_max_ && of_others <= bytes_max_ - bytes; };
    if (!fits(*taken) && !taken.wait_until(given_, deadline, fits)) return false;
    *taken += bytes;
    return true;
  }
  void give(std::size_t bytes) {
    *taken_.lock() -= bytes;
    given_.notify_all();
  }
  [[nodiscard]] std::size_t taken() const { return *taken_.lock(); }

 private:
  const std::size_t bytes_max_;
  Guarded<std::size_t> taken_;
  std::condition_variable given_;
};

/// What one request has taken of it; gives it back at its end.
class MemoryReservation {
 public:
  explicit MemoryReservation(MemoryBudget& room) : room_(room) {}
  ~MemoryReservation() {
    if (bytes_ > 0) room_.give(bytes_);
  }
  MemoryReservation(const MemoryReservation&) = delete;
  MemoryReservation& operator=(const MemoryReservation&) = delete;

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// Takes what is missing; waits for it as MemoryBudget::take does.
  [[nodiscard]] bool grow_to(std::size_t bytes, Deadline deadline) {
    if (bytes <= bytes_) return true;
    if (!room_.take(bytes - bytes_, deadline)) return false;
    bytes_ = bytes;
    return true;
  }

 private:
  MemoryBudget& room_;
  std::size_t bytes_ = 0;
};

}  // namespace gate::http
