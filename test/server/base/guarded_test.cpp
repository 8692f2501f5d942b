#include "server/base/guarded.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <stop_token>
#include <thread>
#include <vector>

using namespace gate;

TEST_CASE("a guarded value is changed by one thread at a time") {
  Guarded<int> count;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&count] {
        for (int step = 0; step < 10'000; ++step) ++*count.lock();
      });
    }
  }
  CHECK(*std::as_const(count).lock() == 40'000);
}

TEST_CASE("waiting for a guarded value lets others change it") {
  Guarded<bool> done;
  std::condition_variable changed;
  std::jthread other([&] {
    *done.lock() = true;
    changed.notify_all();
  });
  auto locked = done.lock();
  locked.wait(changed, [](bool is_done) { return is_done; });
  CHECK(*locked);
  CHECK(!locked.wait_until(changed, std::chrono::steady_clock::now(), [](bool is_done) { return !is_done; }));
}

TEST_CASE("what is done meanwhile lets others change it, and an exception there locks it again") {
  Guarded<int> value;
  auto locked = value.lock();
  locked.release_for([&] { *value.lock() = 1; });  // would wait for ever
  CHECK(*locked == 1);
  CHECK_THROWS_AS(locked.release_for([] { throw 1; }), int);
  *locked = 2;
  std::jthread other([&] { ++*value.lock(); });  // only once this is released: by the next line, and not before
  locked.release_for([&] { other.join(); });
  CHECK(*locked == 3);
}

TEST_CASE("waiting ends with a stop") {
  Guarded<bool> done;
  std::condition_variable_any changed;
  std::stop_source stop;
  const auto is_done = [](bool now) { return now; };
  {
    const std::jthread other([&] { stop.request_stop(); });
    CHECK(!done.lock().wait(changed, stop.get_token(), is_done));
  }
  CHECK(!done.lock().wait_until(changed, stop.get_token(), std::chrono::steady_clock::time_point::max(), is_done));
  *done.lock() = true;
  CHECK(done.lock().wait(changed, stop.get_token(), is_done));
}
