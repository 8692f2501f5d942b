#pragma once
// How much memory the bodies of all requests may take together.

#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "server/ports/clock.hpp"

namespace gate::http {

/// Thread safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Waits for room until the deadline; false if there is none by then.
  [[nodiscard]] bool take(std::size_t bytes, Deadline deadline) {
    std::unique_lock lock(mutex_);
    const auto fits = [&] { return bytes <= bytes_max_ && taken_ <= bytes_max_ - bytes; };
    if (!fits() && !given_.wait_until(lock, deadline, fits)) return false;
    taken_ += bytes;
    return true;
  }
  void give(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      taken_ -= bytes;
    }
    given_.notify_all();
  }
  [[nodiscard]] std::size_t taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
  }

 private:
  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable given_;
  std::size_t taken_ = 0;
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
