// Questions of admissions to FEs that hang: who waits gets its answer, or none, and is never forgotten.

#include "server/preparation/hooks/frontend_reader.hpp"

#include <doctest/doctest.h>

#include "test/server/preparation/run.hpp"

namespace gate {
namespace {

using namespace test;

TEST_CASE("stop answers who is being served, who waits for a thread, and who comes later, with nothing") {
  constexpr std::size_t kAskers = 6;  // one is asked at a time, of one cluster
  World world;
  world.simulator.hang("ADMIN SHOW");
  const auto record = world.create(record_of("r", {no_scheduling()}));
  MysqlFrontendConnector connector;
  FrontendReader questions({world.clusters, connector, world.http, world.scripts}, world.clock, world.log);
  questions.start();
  std::atomic<std::size_t> answered{0};
  std::atomic<std::size_t> held{0};
  {
    std::vector<std::jthread> askers;
    for (std::size_t i = 0; i < kAskers; ++i) {
      askers.emplace_back([&] {
        if (questions.read_back(record, ample()) == ReadBack::Holds) ++held;
        ++answered;
      });
    }
    REQUIRE(world.signal.eventually([&] { return count(world.simulator, "ADMIN SHOW") >= 1; }));
    CHECK(answered == 0);
    questions.request_stop();
    connector.interrupt();
    questions.stop();
  }
  CHECK(answered == kAskers);
  CHECK(held == 0);
  const auto an_hour = std::chrono::steady_clock::now() + std::chrono::hours(1);
  CHECK(questions.read_back(record, an_hour) == ReadBack::NotDone);
  CHECK(questions.running_nodes("db", "sr", an_hour).empty());
}

}  // namespace
}  // namespace gate
