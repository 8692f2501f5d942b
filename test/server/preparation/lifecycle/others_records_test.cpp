// What a replica asks about records that another one works on.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "server/preparation/lifecycle/controller.hpp"
#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

/// Counts the live reads of one record, and its writes.
class CountedReads final : public PreparationStore {
 public:
  CountedReads(PreparationStore& store, std::string name) : store_(store), name_(std::move(name)) {}
  Result<Preparation> create(const Preparation& record, Deadline deadline) override {
    return store_.create(record, deadline);
  }
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override {
    if (name == name_) ++reads;
    if (name == name_) ++asked;
    return store_.get(name_space, name, deadline);
  }
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override {
    return store_.list_of_cluster(name_space, cluster, deadline);
  }
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override {
    if (record.name == name_) ++asked;
    return store_.update_status(record, deadline);
  }
  Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) override {
    return store_.let_go(name_space, name, deadline);
  }
  Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override {
    return store_.remove(name_space, name, deadline);
  }
  std::vector<Preparation> cached() const override { return store_.cached(); }
  bool synced() const override { return store_.synced(); }
  void observe(Observer observer) override { store_.observe(std::move(observer)); }
  std::atomic<int> reads{0};
  std::atomic<int> asked{0};  ///< And the writes, which tell as well whether it is another by now.

 private:
  PreparationStore& store_;
  const std::string name_;
};

std::ptrdiff_t count_of(World& world, const std::string& part) {
  const auto all = world.simulator.statements();
  return std::count_if(all.begin(), all.end(),
                       [&](const ReceivedStatement& one) { return one.sql.find(part) != std::string::npos; });
}

TEST_CASE("what another replica changes is not read for as long as the watch tells that its claim is renewed") {
  World world;
  world.create(record_of("theirs", {no_scheduling()}));
  const auto renew = [&] {
    world.write("theirs", [&](PreparationStatus& status) {
      status.phase = Phase::Running;
      status.runner = {"gate-1", world.clock.wall_now()};
    });
  };
  renew();
  CountedReads store(world.store, "theirs");
  MysqlFrontendConnector connector;
  auto options = quick_options("gate-0");
  options.claim_stale_after = 1h;
  PreparationController controller(store, {world.clusters, connector, world.http, world.scripts}, world.clock,
                                   world.log, options);
  world.store.observe([&](const Preparation& record, bool removed) { controller.record_changed(record, removed); });
  controller.start();
  for (int i = 0; i < 20; ++i) {
    renew();
    controller.object_changed("db", "StarRocksCluster", "sr");
  }
  // What is due after those changes is through.
  world.create(record_of("own", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")}));
  REQUIRE(world.reaches("own", Stage::Prepared));
  CHECK(store.reads == 0);
  world.clock.pass(50min);
  renew();
  // Patience counts from the last renewal, not from the first.
  world.clock.pass(50min);
  controller.object_changed("db", "StarRocksCluster", "sr");
  world.create(record_of("later", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")}));
  REQUIRE(world.reaches("later", Stage::Prepared));
  CHECK(store.reads == 0);
  CHECK(world.get("theirs").status.runner.identity == "gate-1");
  world.clock.pass(11min);
  controller.object_changed("db", "StarRocksCluster", "sr");
  CHECK(world.signal.eventually([&] { return world.get("theirs").status.runner.identity == "gate-0"; }));
  CHECK(store.reads > 0);
  CHECK(controller.stats().claims_taken_over == 1);
  controller.stop();
}

TEST_CASE("what was created here and moved on since is worked on as it is, not as it was created") {
  World world;
  const auto created = world.create(record_of("r", {no_scheduling()}));
  const auto is = [&](Stage stage, const std::string& runner) {
    const auto record = world.get("r");
    return record.status.stage == stage && record.status.runner.identity == runner;
  };
  CountedReads store(world.store, "r");
  MysqlFrontendConnector connector;
  auto options = quick_options("gate-0");
  options.claim_stale_after = 1h;
  PreparationController controller(store, {world.clusters, connector, world.http, world.scripts}, world.clock,
                                   world.log, options);
  const auto begin = [&] {
    controller.created_here(created);
    controller.start();
  };
  SUBCASE("not at all where another one has claimed it") {
    world.write("r", [&](PreparationStatus& status) {
      status.phase = Phase::Running;
      status.runner = {"gate-1", world.clock.wall_now()};
    });
    begin();
    world.create(record_of("own", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")}));
    controller.created_here(world.get("own"));
    REQUIRE(world.reaches("own", Stage::Prepared));
    CHECK(is(Stage::Preparing, "gate-1"));
    CHECK(world.config() == kSchedulingDefault);
  }
  SUBCASE("only closed where it was ended meanwhile") {
    world.write("r", [&](PreparationStatus& status) {
      status.stage = Stage::Restoring;
      status.outcome = Outcome::Reverted;
    });
    begin();
    REQUIRE(world.reaches("r", Stage::Closed));
    CHECK(count_of(world, kScheduling) == 0);
  }
  SUBCASE("not at all where it is gone") {
    REQUIRE(world.store.remove("db", "r", ample()).ok());
    begin();
    world.create(record_of("own", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")}));
    controller.created_here(world.get("own"));
    REQUIRE(world.reaches("own", Stage::Prepared));
    CHECK(count_of(world, kScheduling) == 0);
  }
  controller.stop();
}

TEST_CASE("a look that is due asks the API server for the record, whatever the watch does not tell") {
  World world;
  CountedReads store(world.store, "r");
  MysqlFrontendConnector connector;
  PreparationController controller(store, {world.clusters, connector, world.http, world.scripts}, world.clock,
                                   world.log, quick_options("gate-0"));
  std::atomic<bool> silent{false};
  world.store.observe([&](const Preparation& record, bool removed) {
    if (!silent) controller.record_changed(record, removed);
  });
  controller.start();
  world.create(record_of("r", {no_scheduling()}));
  REQUIRE(world.reaches("r", Stage::Prepared));
  // Looks that find it as the last one left it, and all events are through.
  const int prepared = store.asked;
  const int read = store.reads;
  REQUIRE(world.signal.eventually([&] { return store.asked > prepared + 2; }));
  // The claim that is written tells as much as a read would.
  CHECK(store.reads == read);
  silent = true;
  // Another one takes it over: from now on what the FE has is its own affair.
  world.write("r", [&](PreparationStatus& status) { status.runner = {"gate-1", world.clock.wall_now()}; });
  const int before = store.reads;
  REQUIRE(world.signal.eventually([&] { return store.reads > before; }));
  world.simulator.frontend(0).set_config(kScheduling, "7");
  const int after = store.reads;
  for (int i = 0; i < 20; ++i) controller.object_changed("db", "StarRocksCluster", "sr");
  REQUIRE(world.signal.eventually([&] { return store.reads > after; }));
  controller.stop();
  CHECK(world.config() == "7");
  CHECK(world.get("r").status.runner.identity == "gate-1");
}

}  // namespace
}  // namespace gate
