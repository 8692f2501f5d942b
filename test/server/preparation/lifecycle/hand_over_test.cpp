// Goal: what rolls before a turn is known, also where it failed under a hold and has no open record until it is tried
// again.

#include "server/preparation/lifecycle/hand_over.hpp"

#include <doctest/doctest.h>

#include "test/fakes/unused_cluster_access.hpp"
#include "test/server/preparation/world.hpp"

using namespace gate;
using namespace gate::test;

namespace {

/// A cluster's record, and one of a warehouse of that cluster.
struct Neighbours {
  World world;
  HandOver hand_over{world.store, world.clusters, world.scripts, world.clock, world.log};
  Preparation mine = world.create(record_of("mine", {}));
  Preparation warehouse = record_of("wh", {});

  Neighbours() {
    warehouse.spec.object = {"StarRocksWarehouse", "wh", "uid-wh"};
    warehouse.spec.changes = {{Component::Warehouse, "cn:1", "cn:2"}};
    warehouse.spec.rollout.mode = RolloutMode::Stepwise;
    warehouse.spec.rollout.admission = AdmissionMode::Hold;
    shows("cn:2");
  }
  void shows(const std::string& image, const std::string& uid = "uid-wh") {
    world.clusters.set_object({{"kind", "StarRocksWarehouse"},
                               {"metadata", {{"namespace", "db"}, {"name", "wh"}, {"uid", uid}}},
                               {"spec", {{"template", {{"image", image}}}}}});
  }
  void failed(Stage stage = Stage::Closed) {
    world.create(warehouse);
    world.write(warehouse.name, [&](PreparationStatus& status) {
      status.phase = Phase::Failed;
      status.stage = stage;
      status.outcome = Outcome::Failed;
      status.restore_pending = stage == Stage::Restoring;
    });
  }
  /// Names.
  std::string rolling() {
    std::string out;
    const auto found = hand_over.rolling_neighbours(mine, ample());
    if (!found) return found.error().message;
    for (const auto& record : *found) out += record.name + " ";
    return out;
  }
};

}  // namespace

TEST_CASE("what failed under a hold is a neighbour that rolls, while its object has the images") {
  Neighbours all;
  SUBCASE("between its attempts") {
    all.failed();
    CHECK(all.rolling() == "wh ");
    CHECK(all.hand_over.open_neighbours(all.mine, ample())->empty());
  }
  SUBCASE("while it restores") {
    all.failed(Stage::Restoring);
    CHECK(all.rolling() == "wh ");
  }
  SUBCASE("once, where a later attempt failed, too") {
    all.failed();
    all.warehouse.name = "wi";
    all.warehouse.spec.attempt = 2;
    all.failed();
    CHECK(all.rolling() == "wi ");
  }
  SUBCASE("while the next attempt is open, that one") {
    all.failed();
    all.warehouse.name = "wi";
    all.warehouse.spec.attempt = 2;
    all.world.create(all.warehouse);
    CHECK(all.rolling() == "wi ");
  }
  SUBCASE("no more when the old image is back") {
    all.failed();
    all.shows("cn:1");
    CHECK(all.rolling().empty());
  }
  SUBCASE("no more when the object is another one") {
    all.failed();
    all.shows("cn:2", "uid-other");
    CHECK(all.rolling().empty());
  }
  SUBCASE("no more when it is gone") {
    all.failed();
    all.world.clusters.set_object(nullptr);
    CHECK(all.rolling().empty());
  }
  SUBCASE("not known where its object cannot be read: whoever asks has to wait") {
    all.failed();
    UnusedClusterAccess unreadable;
    HandOver blind(all.world.store, unreadable, all.world.scripts, all.world.clock, all.world.log);
    CHECK_FALSE(blind.rolling_neighbours(all.mine, ample()).ok());
  }
  SUBCASE("of two warehouses each for itself") {
    all.failed();
    all.warehouse.name = "wi";
    all.warehouse.spec.object = {"StarRocksWarehouse", "wi", "uid-wi"};
    all.world.create(all.warehouse);
    CHECK(all.rolling() == "wi wh ");
  }
  SUBCASE("not another attempt of its own") {
    all.warehouse.spec.object = all.mine.spec.object;
    all.failed();
    all.shows("cn:2", all.mine.spec.object.uid);
    CHECK(all.rolling().empty());
  }
  SUBCASE("not where it was refused: it is on no object") {
    all.warehouse.spec.rollout.admission = AdmissionMode::Refuse;
    all.failed();
    CHECK(all.rolling().empty());
  }
}
