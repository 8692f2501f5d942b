#include "server/preparation/records/work_queue.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "test/fakes/hand_clock.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

const SystemClock kClock;

SteadyTime now() { return std::chrono::steady_clock::now(); }

TEST_CASE("the earliest due comes first, and a later wish does not postpone an earlier one") {
  WorkQueue queue(kClock, 100);
  const std::stop_source stop;
  queue.add("second", now() - 1s);
  queue.add("first", now() - 2s);
  queue.add("third", now() + 1h);
  queue.add("third", now() - 500ms);
  queue.add("first", now() + 1h);
  CHECK(queue.take(stop.get_token()) == "first");
  CHECK(queue.take(stop.get_token()) == "second");
  CHECK(queue.take(stop.get_token()) == "third");
}

TEST_CASE("a key is with one worker at a time and comes back when it was asked for meanwhile") {
  WorkQueue queue(kClock, 100);
  const std::stop_source stop;
  queue.add("a", now() - 2s);
  REQUIRE(queue.take(stop.get_token()) == "a");
  queue.add("a", now() - 2s);
  queue.add("b", now() - 1s);
  CHECK(queue.take(stop.get_token()) == "b");  // "a" is due earlier, but with the first worker
  queue.done("b");
  queue.done("a");
  CHECK(queue.take(stop.get_token()) == "a");
  queue.done("a");
  CHECK(queue.size() == 0);
}

TEST_CASE("work that ends with a time to come back has it, unless an earlier one was asked for meanwhile") {
  WorkQueue queue(kClock, 100);
  const std::stop_source stop;
  queue.add("a", now() - 2s);
  REQUIRE(queue.take(stop.get_token()) == "a");
  queue.done("a", now() - 1s);
  CHECK(queue.take(stop.get_token()) == "a");
  queue.add("a", now() - 1s);
  queue.done("a", now() + 1h);
  CHECK(queue.take(stop.get_token()) == "a");
  queue.add("a", now() + 1h);
  queue.done("a", now() - 1s);
  CHECK(queue.take(stop.get_token()) == "a");
  queue.done("a");
  CHECK(queue.size() == 0);
}

TEST_CASE("while it is held nothing is given out, and then what is due at once") {
  WorkQueue queue(kClock, 100);
  const std::stop_source stop;
  queue.add("due", now() - 1s);
  SUBCASE("until the time is over") {
    const auto until = now() + 100ms;
    queue.hold_until(until);
    CHECK(queue.take(stop.get_token()) == "due");
    CHECK(now() >= until);
  }
  SUBCASE("or somebody ends it") {
    queue.hold_until(now() + 1h);
    std::optional<std::string> taken;
    std::jthread worker([&] { taken = queue.take(stop.get_token()); });
    queue.hold_until(SteadyTime::min());
    worker.join();
    CHECK(taken == "due");
  }
}

TEST_CASE("a worker that waits gets what is added, and what falls due") {
  WorkQueue queue(kClock, 100);
  const std::stop_source stop;
  queue.add("later", now() + 50ms);
  CHECK(queue.take(stop.get_token()) == "later");
  std::optional<std::string> taken;
  {
    std::jthread worker([&] { taken = queue.take(stop.get_token()); });
    queue.add("new", now());
  }
  CHECK(taken == "new");
}

/// Counts how often somebody looks what is due.
class CountingClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady_now() const override {
    ++looks;
    return now();
  }
  [[nodiscard]] WallTime wall_now() const override { return kClock.wall_now(); }
  mutable std::atomic<int> looks{0};
};

TEST_CASE("a change makes one of those that wait look, not all of them") {
  constexpr int kWorkers = 16;
  constexpr int kChanges = 50;
  const CountingClock clock;
  WorkQueue queue(clock, 100);
  const auto all_wait = [&](int looked) {
    while (clock.looks < looked) std::this_thread::yield();
  };
  std::vector<std::jthread> workers;
  for (int i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&](const std::stop_token& stop) { CHECK_FALSE(queue.take(stop)); });
  }
  all_wait(kWorkers);
  for (int i = 0; i < kChanges; ++i) {
    const int before = clock.looks;
    queue.add("far/" + std::to_string(i), now() + 1h);
    all_wait(before + 1);
  }
  for (auto& worker : workers) worker.request_stop();
  workers.clear();
  // Each looks at the beginning, and once more where the one that looked for it has left.
  CHECK(clock.looks <= 2 * kWorkers + kChanges);
}

TEST_CASE("all that wait get what is added, also after the one that looked for them was stopped") {
  constexpr std::size_t kWorkers = 8;
  WorkQueue queue(kClock, 100);
  std::atomic<std::size_t> taken{0};
  std::vector<std::jthread> workers;
  for (std::size_t i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&](const std::stop_token& stop) {
      if (queue.take(stop)) ++taken;
    });
  }
  SUBCASE("nobody is stopped") {}
  SUBCASE("half of them are stopped one after the other") {
    for (std::size_t i = 0; i < kWorkers / 2; ++i) workers.erase(workers.begin());
  }
  const auto left = workers.size();
  for (std::size_t i = 0; i < left; ++i) queue.add("a" + std::to_string(i) + "/b", now());
  for (auto& worker : workers) worker.join();
  CHECK(taken == left);
}

/// There is no memory for the next look.
class FailingClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady_now() const override {
    ++looks;
    if (fails.exchange(false)) throw std::bad_alloc();
    return now();
  }
  [[nodiscard]] WallTime wall_now() const override { return kClock.wall_now(); }
  mutable std::atomic<bool> fails{false};
  mutable std::atomic<int> looks{0};
};

TEST_CASE("where the one that looks for all has no memory another one looks") {
  constexpr int kWorkers = 3;
  const FailingClock clock;
  WorkQueue queue(clock, 100);
  std::atomic<int> thrown{0};
  std::atomic<int> taken{0};
  std::vector<std::jthread> workers;
  for (int i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&](const std::stop_token& stop) {
      try {
        if (queue.take(stop)) ++taken;
      } catch (const std::bad_alloc&) {
        ++thrown;
      }
    });
  }
  while (clock.looks < kWorkers) std::this_thread::yield();
  clock.fails = true;
  queue.add("a/b", now());
  while (taken == 0) std::this_thread::yield();
  CHECK(thrown == 1);
}

TEST_CASE("stop ends the wait, with something due as with nothing") {
  for (const bool due : {false, true}) {
    WorkQueue queue(kClock, 100);
    std::stop_source stop;
    if (due) queue.add("far", now() + 1h);
    std::optional<std::string> taken = "unset";
    {
      std::jthread worker([&] { taken = queue.take(stop.get_token()); });
      stop.request_stop();
    }
    CHECK_FALSE(taken);
  }
}

}  // namespace
}  // namespace gate

namespace gate {
namespace {

/// What can be taken at once.
std::optional<std::string> take_now(WorkQueue& queue) {
  if (queue.waiting() == 0) return std::nullopt;
  std::stop_source stop;
  std::jthread timer([&](const std::stop_token& over) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, over, 100ms, [] { return false; });
    stop.request_stop();
  });
  return queue.take(stop.get_token());
}

TEST_CASE("namespaces take turns, and none has more than its share, whatever is due earlier") {
  test::HandClock clock(SteadyTime{} + 1h);
  WorkQueue queue(clock, 4);
  for (const char* key : {"big/1", "big/2", "big/3", "big/4", "big/5"}) queue.add(key, clock.steady_now() - 10s);
  queue.add("small/1", clock.steady_now() - 1s);
  CHECK(take_now(queue) == "big/1");
  CHECK(take_now(queue) == "small/1");
  CHECK(take_now(queue) == "big/2");
  CHECK(take_now(queue) == "big/3");
  clock.advance(kSlowAfter);  // all four are held up; the share stays
  CHECK(take_now(queue) == std::nullopt);
  queue.add("late/1", clock.steady_now());
  CHECK(take_now(queue) == "late/1");
  queue.done("big/1");
  CHECK(take_now(queue) == "big/4");
}

TEST_CASE("what waits is told in the order in which it is given out, with what it waits for") {
  test::HandClock clock(SteadyTime{} + 1h);
  WorkQueue queue(clock, 4);
  const auto told = [&](std::chrono::milliseconds since) {
    std::string all;
    for (const auto& one : queue.waiting_since(clock.steady_now() - since)) {
      all += std::to_string(one.place) + " " + one.key + (one.by_share ? " share " : " all ") +
             std::to_string(one.workers);
      for (const auto& name : one.at_work) all += " " + name;
      all += "; ";
    }
    return all;
  };
  CHECK(told(0ms).empty());
  for (const char* key : {"big/1", "big/2", "big/3", "big/4", "big/5"}) queue.add(key, clock.steady_now() - 10s);
  CHECK(take_now(queue) == "big/1");
  CHECK(take_now(queue) == "big/2");
  CHECK(take_now(queue) == "big/3");
  queue.add("big/1", clock.steady_now());  // with its worker: it waits for nothing else
  queue.add("big/6", clock.steady_now() + 1h);
  CHECK(told(0ms) == "1 big/4 share 3 1 2 3; 2 big/5 share 3 1 2 3; ");
  queue.add("small/1", clock.steady_now() - 2s);
  CHECK(take_now(queue) == "small/1");
  queue.add("other/1", clock.steady_now() - 1s);
  queue.add("other/2", clock.steady_now());
  queue.add("small/2", clock.steady_now());
  queue.add("late/restore", clock.steady_now());
  queue.set_urgent("late/restore", true);
  CHECK(told(0ms) ==
        "1 late/restore all 4; 2 other/1 all 4; 3 big/4 share 3 1 2 3; 4 small/2 all 4; 5 other/2 all 4; "
        "6 big/5 share 3 1 2 3; ");
  CHECK(told(500ms) == "2 other/1 all 4; 3 big/4 share 3 1 2 3; 6 big/5 share 3 1 2 3; ");
  // And so they are given out.
  std::string given;
  for (const char* ends : {"small/1", "big/1", "big/2", "big/3"}) {
    queue.done(ends);
    given += take_now(queue).value_or("nothing") + " ";
  }
  CHECK(given == "late/restore other/1 big/4 small/2 ");
  queue.hold_until(clock.steady_now() + 1s);
  CHECK_MESSAGE(told(0ms).empty(), "held: nobody waits for a worker");
}

TEST_CASE("a worker that is held up is replaced, and restores go before all else") {
  test::HandClock clock(SteadyTime{} + 1h);
  WorkQueue queue(clock, 1);
  queue.add("a/1", clock.steady_now() - 3s);
  queue.add("b/1", clock.steady_now() - 2s);
  queue.add("c/restore", clock.steady_now());
  queue.set_urgent("c/restore", true);
  CHECK(take_now(queue) == "c/restore");
  CHECK(take_now(queue) == std::nullopt);
  clock.advance(kSlowAfter);
  CHECK(take_now(queue) == "a/1");
  CHECK(take_now(queue) == std::nullopt);
}

}  // namespace
}  // namespace gate
