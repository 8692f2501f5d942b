#include "server/base/guarded.hpp"

#include <doctest/doctest.h>

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
