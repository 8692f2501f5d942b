// What a record that another replica works on costs this one.

#include <doctest/doctest.h>

#include <atomic>

#include "server/preparation/lifecycle/controller.hpp"
#include "test/server/preparation/world.hpp"

namespace gate {
namespace {

using namespace test;

/// Counts what is asked about one record.
class CountingStore final : public PreparationStore {
 public:
  CountingStore(PreparationStore& store, std::string counted) : store_(store), counted_(std::move(counted)) {}

  Result<Preparation> create(const Preparation& record, Deadline deadline) override {
    return store_.create(record, deadline);
  }
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override {
    if (name == counted_) ++asked;
    return store_.get(name_space, name, deadline);
  }
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override {
    return store_.list_of_cluster(name_space, cluster, deadline);
  }
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override {
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

  std::atomic<int> asked{0};

 private:
  PreparationStore& store_;
  const std::string counted_;
};

TEST_CASE("what another replica writes about its record, and changes of the object, cost this one no question") {
  World world;
  world.create(record_of("theirs", {no_scheduling()}));
  const auto renew = [&] {
    world.write("theirs", [&](PreparationStatus& status) {
      status.phase = Phase::Running;
      status.runner = {"gate-1", world.clock.wall_now()};
    });
  };
  renew();
  CountingStore store(world.store, "theirs");
  MysqlFrontendConnector connector;
  auto options = quick_options("gate-0");
  options.workers = 1;
  options.claim_stale_after = std::chrono::hours(1);
  PreparationController controller(store, {world.clusters, connector, world.http, world.scripts}, world.clock,
                                   world.log, options);
  controller.start();
  for (int i = 0; i < 20; ++i) {
    renew();
    controller.record_changed(world.get("theirs"), false);
    controller.object_changed("db", std::string(kClusterKind), "sr");
  }
  // Of two that are due a worker takes the one that was due first: once this is through, the other was not due.
  auto mine = record_of("mine", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")});
  world.create(mine);
  controller.record_changed(world.get("mine"), false);
  REQUIRE(world.reaches("mine", Stage::Prepared));
  CHECK(store.asked == 0);
  // Let go, it is anybody's at once.
  world.write("theirs", [](PreparationStatus& status) { status.runner = {}; });
  controller.record_changed(world.get("theirs"), false);
  CHECK(world.reaches("theirs", Stage::Prepared));
  controller.stop();
}

}  // namespace
}  // namespace gate
