#include "server/admission/outcome_waiters.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test/fakes/forwarding_store.hpp"
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

/// Counts what is read by name.
class CountedReads final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::atomic<int> reads{0};

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    if (call.kind == StoreCall::Kind::Get) ++reads;
    return ForwardingStore::around(call, make);
  }
};

TEST_CASE("who has created a record here waits for it by what is known here") {
  World world;
  CountedReads store(world.store);
  OutcomeWaiters waiters(store);
  world.store.observe([&](const Preparation& record, bool removed) { waiters.notify(record, removed); });
  world.create(record_of("own", {}));
  {
    std::jthread waiter([&] { waiters.wait("db", "own", ample() + kAmple, "sr"); });
    REQUIRE(world.signal.eventually([&] { return waiters.waiting() == 1; }));
    world.write("own", [](PreparationStatus& status) { status.phase = Phase::Completed; });
  }
  waiters.wait("db", "own", ample() + kAmple, "sr");  // what finished before it was registered
  CHECK(store.reads == 0);
}

TEST_CASE("no namespace keeps another one from waiting") {
  World world;
  OutcomeWaiters waiters(world.store, 8);
  for (const char* name_space : {"crowd", "crowd-2", "db"}) {
    auto record = record_of("open", {});
    record.name_space = name_space;
    REQUIRE(world.store.create(record, ample()).ok());
  }
  std::vector<std::jthread> threads;
  std::atomic<std::size_t> ended{0};
  const auto wait = [&](const char* name_space, int count) {
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&waiters, &ended, name_space] {
        waiters.wait(name_space, "open", ample() + kAmple);
        ++ended;
      });
    }
  };
  // Half of what there is, half of what is left of that, and so on: the others are answered at once.
  wait("crowd", 12);
  REQUIRE(world.signal.eventually([&] { return ended == 8 && waiters.waiting() == 4; }));
  wait("crowd-2", 12);
  REQUIRE(world.signal.eventually([&] { return ended == 18 && waiters.waiting() == 6; }));
  wait("db", 1);
  CHECK(world.signal.eventually([&] { return waiters.waiting() == 7; }));
  waiters.stop();
}

}  // namespace
}  // namespace gate
