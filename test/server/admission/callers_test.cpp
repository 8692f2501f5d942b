#include "server/admission/callers.hpp"

#include <doctest/doctest.h>

#include <string>

#include "policy/review/caller_token.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

const std::string kKey(kCallerKeyBytes, 'a');

/// Moves when it is told to.
class HandMovedClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady_now() const override { return SteadyTime{} + 1h + ahead; }
  [[nodiscard]] WallTime wall_now() const override { return WallTime{1'800'000'000s} + ahead; }
  std::chrono::seconds ahead{0};
};

TEST_CASE("only who has the key's token is admitted, and nobody while there is no key") {
  HandMovedClock clock;
  Callers callers(clock);
  const auto token = make_caller_token(kKey, clock.wall_now());
  CHECK_FALSE(callers.has_key());
  CHECK_FALSE(callers.admits(token));
  CHECK_FALSE(callers.admits(""));
  callers.set_key(kKey);
  CHECK(callers.has_key());
  for (int i = 0; i < 2; ++i) {
    CHECK(callers.admits(token));
    CHECK_FALSE(callers.admits(""));
    CHECK_FALSE(callers.admits(token + "0"));
    CHECK_FALSE(callers.admits(make_caller_token(std::string(kCallerKeyBytes, 'b'), clock.wall_now())));
  }
  callers.set_key(std::string(kCallerKeyBytes, 'b'));
  CHECK_FALSE(callers.admits(token));
}

TEST_CASE("a token that was replaced ends after the overlap, one that was not after its life") {
  HandMovedClock clock;
  Callers callers(clock);
  callers.set_key(kKey);
  const auto first = make_caller_token(kKey, clock.wall_now());
  callers.announced(clock.wall_now());
  CHECK(callers.admits(first));
  clock.ahead += 60s;
  const auto second = make_caller_token(kKey, clock.wall_now());
  CHECK(callers.admits(second));  // another replica's, before this one has seen it announced
  CHECK(callers.admits(first));
  callers.announced(clock.wall_now());
  callers.announced(clock.wall_now() - 60s);  // an old sight of the configuration takes nothing back
  clock.ahead += kCallerTokenOverlap - 1s;
  CHECK(callers.admits(first));
  clock.ahead += 1s;
  CHECK_FALSE(callers.admits(first));
  CHECK(callers.admits(second));
  clock.ahead += kCallerTokenLife + kCallerTokenGrace;
  CHECK_FALSE(callers.admits(second));
}

TEST_CASE("a token from a clock far ahead is none") {
  HandMovedClock clock;
  Callers callers(clock);
  callers.set_key(kKey);
  CHECK(callers.admits(make_caller_token(kKey, clock.wall_now() + kCallerTokenGrace)));
  CHECK_FALSE(callers.admits(make_caller_token(kKey, clock.wall_now() + kCallerTokenGrace + 1s)));
}

}  // namespace
}  // namespace gate
