// Goal: each closed record is told once, by whichever replica is left, and before its finalizer goes.

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <stdexcept>

#include "server/preparation/lifecycle/controller.hpp"
#include "test/fakes/forwarding_store.hpp"
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

/// Whose first removal of a finalizer fails, or is `done` without an answer.
class StubbornStore final : public ForwardingStore {
 public:
  StubbornStore(PreparationStore& store, bool done) : ForwardingStore(store), done_(done) {}
  Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) override {
    const bool first = asked_.fetch_add(1) == 0;
    if (first && !done_) return Error{ErrorCode::Unavailable, "not now"};
    auto gone = ForwardingStore::let_go(name_space, name, deadline);
    return first ? Status(Error{ErrorCode::DeadlineExceeded, "no answer"}) : gone;
  }
  [[nodiscard]] int asked() const { return asked_; }

 private:
  const bool done_;
  std::atomic<int> asked_{0};
};

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

TEST_CASE("a fault of who is told keeps no finalizer, and the record is told once") {
  World world;
  std::atomic<int> calls{0};
  auto options = quick_options("gate-0");
  options.on_closed = [&](const Preparation&) {
    ++calls;
    throw std::runtime_error("a fault");
  };
  const Replica replica(world, options);
  SUBCASE("closed by this replica") {
    world.create(record_of("r", {no_scheduling()}));
    REQUIRE(world.reaches("r", Stage::Prepared));
    world.object_becomes(object_with("fe:3"));
  }
  SUBCASE("closed before it was there") { close_as(world, "r", "gate-0"); }
  REQUIRE(world.signal.eventually([&] { return !world.get("r").uid.empty() && !world.get("r").held; }));
  CHECK(world.get("r").status.stage == Stage::Closed);
  CHECK(calls == 1);
}

TEST_CASE("a finalizer that the API server does not take off is tried again, and the record told once") {
  for (const bool done : {false, true}) {
    CAPTURE(done);
    World world;
    Told told;
    StubbornStore store(world.store, done);
    MysqlFrontendConnector connector;
    PreparationController controller(store, {world.clusters, connector, world.http, world.scripts}, world.clock,
                                     world.log, told.options("gate-0", world));
    world.store.observe([&](const Preparation& record, bool removed) { controller.record_changed(record, removed); });
    controller.start();
    world.create(record_of("r", {no_scheduling()}));
    REQUIRE(world.reaches("r", Stage::Prepared));
    world.clusters.set_object(object_with("fe:3"));
    controller.object_changed("db", "StarRocksCluster", "sr");
    REQUIRE(world.reaches("r", Stage::Closed));
    REQUIRE(world.signal.eventually([&] { return store.asked() >= (done ? 1 : 2) && !world.get("r").held; }));
    controller.stop();
    CHECK(told.of("r") == Names{"gate-0"});
    CHECK(world.config() == kSchedulingDefault);
  }
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
  SUBCASE("another one, however often it is heard of meanwhile") {
    close_as(world, "r", "gate-9");
    auto options = told.options("gate-0", world);
    options.claim_stale_after = 1h;
    const Replica replica(world, options);
    for (int i = 0; i < 4; ++i) {
      close_as(world, "heard" + std::to_string(i), "gate-0");
      REQUIRE(world.signal.eventually([&] { return !world.get("heard" + std::to_string(i)).held; }));
      world.clock.pass(30min);
      world.write("r", [](PreparationStatus&) {});
    }
    close_as(world, "waker", "gate-0");
    REQUIRE(world.signal.eventually([&] { return !world.get("r").held; }));
    CHECK(told.of("r") == Names{"gate-0"});
  }
  SUBCASE("at once by who restores what is left: nobody comes later") {
    close_as(world, "r", "gate-9");
    auto options = told.options("release", world);
    options.claim_stale_after = 1h;
    options.restore_only = true;
    const Replica replica(world, options);
    REQUIRE(world.signal.eventually([&] { return !world.get("r").held; }));
    CHECK(told.of("r") == Names{"release"});
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
    REQUIRE(world.signal.eventually([&] { return !world.get("r").uid.empty() && !world.get("r").held; }));
    CHECK(told.of("r") == Names{"gate-0"});
  }
}

}  // namespace gate
