#pragma once
// Time as a parameter: production uses SystemClock, tests move a manual one.

#include <chrono>

#include "policy/text/time.hpp"

namespace gate {

using SteadyTime = std::chrono::steady_clock::time_point;

/// One point by which an operation must be over; passed down, never restarted.
using Deadline = SteadyTime;

/// Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual SteadyTime steady_now() const = 0;  ///< For deadlines and waiting.
  [[nodiscard]] virtual WallTime wall_now() const = 0;      ///< For records and messages only.
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall_now() const override {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  }
};

}  // namespace gate
