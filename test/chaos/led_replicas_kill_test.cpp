// Goal: of two replicas that lead a stepwise upgrade the one at work dies at each of its step boundaries, one life for
// each, and the other goes on once the claim is stale: every pod in its turn, and nothing left to restore.
// Method: whole controllers in the world of led_fleet.hpp, with time moved by hand. Whoever passes the n-th boundary of
// a life is killed there; each n with GATE_LONG_STORIES set, which takes minutes, else a sample.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "test/chaos/led_fleet.hpp"
#include "test/chaos/mortal_gate.hpp"
#include "test/chaos/sanitized.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

const std::vector<std::string> kInTurn{"be-2", "be-1", "be-0", "fe-2", "fe-1", "fe-0"};
/// Of the world's time. An upgrade takes one, and a claim that becomes stale a third of one more.
constexpr int kSecondsMax = 1200;

struct LedWorld {
  ApiCalls calls;
  HandMovedTime time;
  const MachineClock clock{time, 0ms};
  spdlog::logger log{"test"};
  MemoryPreparationStore store{clock};
  LedFleet fleet{calls};
  ScriptedHttp http;
  ScriptedJobs scripts;
  std::atomic<bool> rolled_out{false};
};

ControllerOptions of_replica(const std::string& identity) {
  ControllerOptions options;  // as shipped, but for one worker, so that steps come in one order
  options.identity = identity;
  options.workers = 1;
  return options;
}

struct Replica {
  Lifeline line;
  MortalStore store;
  MortalClusters clusters;
  MortalConnector connector;
  PreparationController controller;

  Replica(LedWorld& world, const std::string& identity, const Kill& kill)
      : line(world.calls.activity, kill),
        store(world.store, line),
        clusters(world.fleet, world.rolled_out, line),
        connector(world.fleet, line, world.clock),
        controller(store, {clusters, connector, world.http, world.scripts}, world.clock, world.log,
                   of_replica(identity)) {}
};

/// Whether somebody was killed.
bool live(std::size_t after_boundaries) {
  LedWorld world;
  std::atomic<std::size_t> left{after_boundaries};
  Replica first(world, "gate-0", {.left = &left});
  Replica second(world, "gate-1", {.left = &left});
  world.store.observe([&](const Preparation& record, bool removed) {
    first.controller.record_changed(record, removed);
    second.controller.record_changed(record, removed);
  });
  auto record = stepwise(0);
  record.spec.rollout.readings = 1;
  first.controller.start();
  REQUIRE(world.store.create(record, ample()).ok());
  const auto quiet = [&] { wait_until_quiet(world.calls); };
  quiet();
  second.controller.start();
  const auto now = [&] { return world.store.cached().at(0).status; };
  int seconds = 0;
  for (; seconds < kSecondsMax && now().stage != Stage::Closed; ++seconds) {
    world.time.move(1s);
    for (auto* replica : {&first, &second}) replica->controller.record_changed(record_of("nobody", {}), false);
    quiet();
    world.fleet.pass(world.store.cached());
    world.rolled_out = world.fleet.all_new(cluster_name(0));
  }
  std::string killed;
  for (const auto* line : {&first.line, &second.line}) {
    if (line->is_cut()) killed += line->passed().back();
  }
  first.controller.stop();
  second.controller.stop();

  CAPTURE(after_boundaries);
  CAPTURE(killed);
  CHECK(now().stage == Stage::Closed);
  CHECK(now().outcome == Outcome::Succeeded);
  CHECK_FALSE(now().restore_pending);
  CHECK_FALSE(world.fleet.is_set(cluster_name(0)));
  CHECK(world.store.cached().size() == 1);
  CHECK(world.fleet.restarts(cluster_name(0)) == kInTurn);
  const auto images = world.fleet.images(cluster_name(0));
  CHECK(images.size() >= 1);
  CHECK(images.size() <= 2);  // again by the one that goes on
  CHECK(std::all_of(images.begin(), images.end(), [](std::size_t restarts) { return restarts == 3; }));
  return !killed.empty();
}

}  // namespace

TEST_CASE("one of two replicas is killed at each step boundary of a stepwise upgrade, and the other leads it on") {
  const bool all = std::getenv("GATE_LONG_STORIES") != nullptr;
  const std::size_t distance = all ? 1 : kSanitized ? 60 : 9;
  std::size_t boundary = 0;
  while (live(boundary)) boundary += distance;
  MESSAGE("killed at boundaries up to " << boundary << ", each " << distance << "th");
  // Six steps, each of which reads StatefulSets and database, and writes.
  CHECK(boundary >= 60);
}

}  // namespace gate
