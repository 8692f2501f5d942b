#include "server/base/backoff.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <thread>

using namespace gate;
using std::chrono::milliseconds;

TEST_CASE("pauses double up to the largest, each between half and whole, and begin again after a success") {
  for (std::uint32_t seed = 1; seed < 100; ++seed) {
    Backoff backoff(milliseconds(100), milliseconds(1000), seed);
    for (const int bound : {100, 200, 400, 800, 1000, 1000}) {
      const auto pause = backoff.next();
      CHECK(pause >= milliseconds(bound / 2));
      CHECK(pause <= milliseconds(bound));
    }
    backoff.reset();
    CHECK(backoff.next() <= milliseconds(100));
  }
}

TEST_CASE("the odd pair of bounds") {
  Backoff equal(milliseconds(10), milliseconds(10), 1);
  for (int i = 0; i < 5; ++i) CHECK(equal.next() <= milliseconds(10));
  Backoff reversed(milliseconds(10), milliseconds(1), 1);
  for (int i = 0; i < 5; ++i) CHECK(reversed.next() <= milliseconds(10));
  Backoff none(milliseconds(0), milliseconds(0), 1);
  CHECK(none.next() == milliseconds(0));
  Backoff huge(milliseconds(1), milliseconds::max(), 1);
  for (int i = 0; i < 200; ++i) CHECK(huge.next() >= milliseconds(0));
}

TEST_CASE("a pause ends by itself, or at once when it is stopped, before or during it") {
  // On the heap: GCC 12 takes one on the stack for uninitialized.
  const auto source = std::make_unique<std::stop_source>();
  const auto token = source->get_token();
  CHECK(pause_for(milliseconds(0), token));
  std::jthread stopper([&source] { source->request_stop(); });
  CHECK(!pause_for(std::chrono::nanoseconds::max(), token));
  CHECK(!pause_for(std::chrono::hours(24), token));
}
