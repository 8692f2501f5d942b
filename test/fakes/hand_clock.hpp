#pragma once
// A steady clock that stands still until a test moves it. Of one thread, or under the test's own order.

#include "server/ports/clock.hpp"

namespace gate::test {

class HandClock final : public Clock {
 public:
  explicit HandClock(SteadyTime now) : now_(now) {}
  [[nodiscard]] SteadyTime steady_now() const override { return now_; }
  [[nodiscard]] WallTime wall_now() const override { return {}; }
  void advance(std::chrono::milliseconds by) { now_ += by; }

 private:
  SteadyTime now_;
};

}  // namespace gate::test
