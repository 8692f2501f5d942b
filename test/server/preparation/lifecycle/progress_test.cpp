// What people see of hooks that are under way.

#include <doctest/doctest.h>

#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {

using namespace test;

TEST_CASE("people see which hook it is that takes long, and how many are through") {
  World world;
  world.simulator.hang("\"disable_balance\" =");
  auto options = quick_options("gate-0");
  options.claim_renewal = 1h;  // which would store it, too
  options.claim_stale_after = 4h;
  const Replica replica(world, options);
  world.create(record_of("r", {no_scheduling(), setting_hook("disable-balancer", "disable_balance", "true")}));
  CHECK(world.signal.eventually([&] {
    const auto hooks = world.get("r").status.hooks;
    return hooks.size() == 2 && hooks[0].phase == HookPhase::Completed && hooks[1].phase == HookPhase::Running;
  }));
}

}  // namespace gate
