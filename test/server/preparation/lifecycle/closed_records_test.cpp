// Goal: each closed record is told once, by whichever replica is left, and before its finalizer goes.

#include <doctest/doctest.h>

#include <map>
#include <mutex>

#include "server/preparation/lifecycle/controller.hpp"
#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

/// What on_closed was told, by all replicas together.
struct Told {
  [[nodiscard]] ControllerOptions options(const std::string& identity, World& world) {
    auto options = quick_options(identity);
    options.on_closed = [this, &world, identity](const Preparation& record) {
      const std::lock_guard lock(mutex);
      by[record.name].push_back(identity);
      held_then = held_then && world.get(record.name).held;
      last = record;
    };
    return options;
  }
  [[nodiscard]] std::vector<std::string> of(const std::string& name) {
    const std::lock_guard lock(mutex);
    return by[name];
  }

  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> by;  // guarded by mutex
  bool held_then = true;                               // guarded by mutex
  Preparation last;                                    // guarded by mutex
};

using Names = std::vector<std::string>;

/// Closed by `identity`, which did no more than that.
void close_as(World& world, const std::string& name, const std::string& identity) {
  world.create(record_of(name, {no_scheduling()}));
  world.write(name, [&](PreparationStatus& status) {
    status.phase = Phase::Completed;
    status.stage = Stage::Closed;
    status.outcome = Outcome::Succeeded;
    status.completion_time = world.clock.wall_now();
    status.runner = {identity, world.clock.wall_now()};
  });
}

}  // namespace

TEST_CASE("a closed record is told once, whole, while it has its finalizer") {
  World world;
  Told told;
  const Replica first(world, told.options("gate-0", world));
  const Replica second(world, told.options("gate-1", world));
  for (int i = 0; i < 5; ++i) {
    const auto name = "r" + std::to_string(i);
    world.create(record_of(name, {no_scheduling()}));
    REQUIRE(world.reaches(name, Stage::Prepared));
    world.object_becomes(object_with("fe:3"));  // another image: it is over
    REQUIRE(world.reaches(name, Stage::Closed));
    REQUIRE(world.signal.eventually([&] { return !world.get(name).held; }));
    world.object_becomes(object_with("fe:1"));
    CHECK(told.of(name).size() == 1);
    CHECK(told.of(name).front() == world.get(name).status.runner.identity);
  }
  CHECK(told.held_then);
  CHECK(told.last.spec.hooks.size() == 1);
  CHECK(told.last.status.outcome == Outcome::Reverted);
}

TEST_CASE("what a replica closed and did not tell is told when it is back, or by another one later") {
  World world;
  Told told;
  SUBCASE("back under its name") {
    close_as(world, "r", "gate-0");
    const Replica replica(world, told.options("gate-0", world));
    REQUIRE(world.signal.eventually([&] { return !world.get("r").held; }));
    CHECK(told.of("r") == Names{"gate-0"});
  }
  SUBCASE("another one") {
    close_as(world, "r", "gate-9");
    close_as(world, "mine", "gate-0");
    auto options = told.options("gate-0", world);
    options.claim_stale_after = 1h;
    const Replica replica(world, options);
    // Its own at once; that of the other when that one had its time.
    REQUIRE(world.signal.eventually([&] { return !world.get("mine").held; }));
    CHECK(told.of("mine") == Names{"gate-0"});
    CHECK(world.get("r").held);
    world.clock.pass(2h);
    close_as(world, "waker", "gate-0");
    REQUIRE(world.signal.eventually([&] { return !world.get("r").held; }));
    CHECK(told.of("r") == Names{"gate-0"});
  }
  SUBCASE("nobody, where it was told and let go before") {
    close_as(world, "r", "gate-0");
    REQUIRE(world.store.let_go("db", "r", ample()));
    close_as(world, "later", "gate-0");
    const Replica replica(world, told.options("gate-0", world));
    REQUIRE(world.signal.eventually([&] { return !world.get("later").held; }));
    CHECK(told.of("r").empty());
  }
  SUBCASE("a bypass") {
    auto record = record_of("r", {});
    record.spec.bypass = Bypass{"*", "disk full", {}};
    const Replica replica(world, told.options("gate-0", world));
    world.create(record);
    REQUIRE(world.signal.eventually([&] { return world.get("r").uid != "" && !world.get("r").held; }));
    CHECK(told.of("r") == Names{"gate-0"});
  }
}

}  // namespace gate
