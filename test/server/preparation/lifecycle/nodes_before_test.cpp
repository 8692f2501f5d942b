// Goal: what a rollout has restarted is told from what ran before it, whenever the nodes were asked.

#include <doctest/doctest.h>

#include <atomic>
#include <string>

#include "server/preparation/lifecycle/controller.hpp"
#include "test/server/preparation/world.hpp"

namespace gate {
namespace {

using namespace test;

nlohmann::json with_backends(const std::string& image) {
  auto object = object_with("fe:1");
  object["spec"]["starRocksBeSpec"]["image"] = image;
  return object;
}

TEST_CASE("nodes that start for the change while they are asked are not those from before it") {
  std::atomic<World*> moves{nullptr};
  FrontendSimulatorOptions options;
  options.on_statement = [&](const ReceivedStatement& statement) {
    if (statement.sql != "SHOW BACKENDS") return;
    auto* world = moves.exchange(nullptr);
    if (world == nullptr) return;
    // All of it between this look's read of the object and the answer to its question.
    world->clusters.set_object(with_backends("be:2"));
    world->clusters.set_pods_rolled_out();
    world->simulator.set_backends({{"be-0", true, "", 7}});
  };
  World world(options);
  world.clusters.set_object(with_backends("be:1"));
  world.simulator.set_backends({{"be-0", true, "", 1}});
  auto record = record_of("r", {no_scheduling()});
  record.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  const Replica replica(world);
  world.create(record);
  REQUIRE(world.reaches("r", Stage::Prepared));
  const auto before = world.get("r").status.nodes_before;
  REQUIRE_FALSE(before.empty());
  moves = &world;
  REQUIRE(world.reaches("r", Stage::Closed));
  CHECK(world.get("r").status.outcome == Outcome::Succeeded);
  CHECK(world.get("r").status.nodes_before == before);
  CHECK(world.config() == kSchedulingDefault);
}

}  // namespace
}  // namespace gate
