// What a record says while it waits for a worker.

#include "server/preparation/notices/turn_notices.hpp"

#include <doctest/doctest.h>

#include "test/fakes/hand_clock.hpp"
#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

/// A queue whose records nobody works on, but for those that the test takes.
struct Queued {
  World world;
  HandClock clock{std::chrono::steady_clock::now() + 24h};  // no deadline of the store is over
  WorkQueue queue{clock, 1};
  TurnNotices notices{world.store, clock, queue};
  std::stop_source stop;

  void add(const std::string& name) {
    world.create(record_of(name, {no_scheduling()}));
    queue.add("db/" + name, clock.steady_now());
  }
  std::string take() { return queue.take(stop.get_token()).value_or(""); }
  std::string message(const std::string& name) { return world.get(name).status.message; }
  std::string tell(const std::string& name, std::chrono::milliseconds after = 300ms) {
    clock.advance(after);
    notices.tell(stop.get_token(), [](const std::string&) { return true; });
    return message(name);
  }
  std::string version(const std::string& name) { return world.get(name).resource_version; }
};

TEST_CASE(
    "a record that waits for a worker says so, with its place and what is worked on; one that is begun does not") {
  Queued queued;
  queued.add("a");
  REQUIRE(queued.take() == "db/a");
  queued.add("b");
  queued.add("c");
  CHECK(queued.tell("b", 0ms).empty());  // perhaps it is begun at once
  CHECK(queued.tell("b") ==
        "waits for its turn, number 1 in the queue: namespace db has 1 worked on, its share of --workers: a");
  CHECK(queued.message("c") ==
        "waits for its turn, number 2 in the queue: namespace db has 1 worked on, its share of --workers: a");
  CHECK(queued.message("a").empty());
  CHECK(queued.world.get("b").status.phase == Phase::Pending);
  queued.clock.advance(1h);
  queued.queue.add("other/d", queued.clock.steady_now());
  REQUIRE(queued.take() == "other/d");
  queued.queue.done("db/a");
  CHECK(queued.tell("c") ==
        "waits for its turn, number 2 in the queue: 1 records are worked on, as many as --workers allows");
}

TEST_CASE("a place is told again once it has halved, and not at each step") {
  Queued queued;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    queued.add(name);
    queued.clock.advance(1ms);
  }
  REQUIRE(queued.take() == "db/a");
  CHECK(queued.tell("e").find("number 4 ") != std::string::npos);
  const auto first = queued.version("e");
  queued.tell("e", 1h);
  CHECK(queued.version("e") == first);
  queued.queue.done("db/a");
  REQUIRE(queued.take() == "db/b");
  queued.tell("e", 1h);
  CHECK(queued.version("e") == first);
  queued.queue.done("db/b");
  REQUIRE(queued.take() == "db/c");
  CHECK(queued.tell("e", 1h).find("number 2 ") != std::string::npos);
  queued.queue.done("db/c");
  REQUIRE(queued.take() == "db/d");
  queued.tell("e", TurnNotices::kAgainAfter - 1s);  // too soon
  CHECK(queued.message("e").find("number 2 ") != std::string::npos);
  CHECK(queued.tell("e", 2s).find("number 1 ") != std::string::npos);
}

TEST_CASE("of two replicas one tells; the other goes on where that one fell silent") {
  Queued queued;
  queued.add("a");
  REQUIRE(queued.take() == "db/a");
  queued.add("b");
  queued.add("c");
  WorkQueue others(queued.clock, 1);
  TurnNotices other(queued.world.store, queued.clock, others);
  others.add("x/1", queued.clock.steady_now() - 1h);
  REQUIRE(others.take(queued.stop.get_token()) == "x/1");
  for (const char* key : {"db/b", "db/c"}) others.add(key, queued.clock.steady_now());
  queued.tell("c");
  const auto first = queued.version("c");
  other.tell(queued.stop.get_token(), [](const std::string&) { return true; });
  CHECK(queued.version("c") == first);
  // The first one is gone, and the second has begun what was before it.
  others.done("x/1");
  REQUIRE(others.take(queued.stop.get_token()) == "db/b");
  queued.clock.advance(TurnNotices::kAgainAfter);
  other.tell(queued.stop.get_token(), [](const std::string&) { return true; });
  CHECK(queued.message("c").find("number 1 ") != std::string::npos);
}

TEST_CASE("what somebody works on, what is prepared and what is over gets no notice") {
  struct Row {
    const char* name;
    std::function<void(PreparationStatus&)> is;
    bool told;
  };
  for (const Row& row : {
           Row{"nobody began it", [](PreparationStatus&) {}, true},
           Row{"handed over half-way", [](PreparationStatus& status) { status.phase = Phase::Running; }, true},
           Row{"another replica works on it",
               [](PreparationStatus& status) {
                 status.runner = {"gate-1", {}};
               },
               false},
           Row{"prepared",
               [](PreparationStatus& status) {
                 status.phase = Phase::Completed;
                 status.stage = Stage::Prepared;
               },
               false},
           Row{"failed", [](PreparationStatus& status) { status.phase = Phase::Failed; }, false},
           Row{"closed", [](PreparationStatus& status) { status.stage = Stage::Closed; }, false},
       }) {
    INFO(row.name);
    Queued queued;
    queued.add("a");
    REQUIRE(queued.take() == "db/a");
    queued.add("b");
    queued.world.write("b", row.is);
    CHECK(is_turn_notice(queued.tell("b")) == row.told);
  }
}

TEST_CASE("behind one that hangs a record waits, says so, and no longer says so once it is prepared") {
  World world;
  world.simulator.hang("ADMIN SHOW");
  auto options = quick_options("gate-0");
  options.workers = 1;
  const Replica replica(world, options);
  auto hook = no_scheduling();
  hook.timeout = kHookTimeoutMax;
  world.create(record_of("first", {hook}));
  REQUIRE(world.simulator.wait_for_statement("ADMIN SHOW", ample()));
  world.create(record_of("second", {no_scheduling()}));
  REQUIRE(world.signal.eventually([&] { return is_turn_notice(world.get("second").status.message); }));
  CHECK(world.get("second").status.phase == Phase::Pending);
  world.simulator.clear_faults();
  REQUIRE(world.reaches("second", Stage::Prepared));
  CHECK_FALSE(is_turn_notice(world.get("second").status.message));
}

}  // namespace
}  // namespace gate
