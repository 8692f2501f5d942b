#include "server/admission/outcome_waiters.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "test/server/preparation/world.hpp"

namespace gate {
namespace {

using namespace test;

TEST_CASE("an admission waits until its own record finishes, not another one") {
  World world;
  OutcomeWaiters waiters(world.store);
  world.store.observe([&](const Preparation& record, bool removed) { waiters.notify(record, removed); });
  world.create(record_of("mine", {}));
  world.create(record_of("other", {}));
  std::atomic<bool> over{false};
  std::jthread waiter([&] {
    waiters.wait("db", "mine", ample() + kAmple);
    over = true;
  });
  REQUIRE(world.signal.eventually([&] { return waiters.waiting() == 1; }));
  world.write("other", [](PreparationStatus& status) { status.phase = Phase::Completed; });
  world.write("mine", [](PreparationStatus& status) { status.phase = Phase::Running; });
  CHECK_FALSE(over);
  world.write("mine", [](PreparationStatus& status) { status.phase = Phase::Failed; });
  CHECK(world.signal.eventually([&] { return over.load(); }));
  CHECK(waiters.waiting() == 0);
}

TEST_CASE("nothing is waited for that is finished, gone, late or stopped") {
  World world;
  OutcomeWaiters waiters(world.store);
  world.create(record_of("done", {}));
  world.create(record_of("open", {}));
  world.write("done", [](PreparationStatus& status) { status.phase = Phase::Completed; });
  const auto began = std::chrono::steady_clock::now();
  waiters.wait("db", "done", ample() + kAmple);
  waiters.wait("db", "no-such", ample() + kAmple);
  waiters.wait("db", "open", began);
  std::jthread waiter([&] { waiters.wait("db", "open", ample() + kAmple); });
  REQUIRE(world.signal.eventually([&] { return waiters.waiting() == 1; }));
  waiters.stop();
  waiter.join();
  waiters.wait("db", "open", ample() + kAmple);
  CHECK(std::chrono::steady_clock::now() - began < kAmple);
}

}  // namespace
}  // namespace gate
