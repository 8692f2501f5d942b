#include "server/preparation/lifecycle/work_queue.hpp"

#include <doctest/doctest.h>

#include <thread>

using namespace std::chrono_literals;

namespace gate {
namespace {

const SystemClock kClock;

SteadyTime now() { return std::chrono::steady_clock::now(); }

TEST_CASE("the earliest due comes first, and a later wish does not postpone an earlier one") {
  WorkQueue queue(kClock);
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
  WorkQueue queue(kClock);
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

TEST_CASE("while it is held nothing is given out, and then what is due at once") {
  WorkQueue queue(kClock);
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
  WorkQueue queue(kClock);
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

TEST_CASE("stop ends the wait, with something due as with nothing") {
  for (const bool due : {false, true}) {
    WorkQueue queue(kClock);
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
