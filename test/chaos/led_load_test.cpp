// 100 clusters that are upgraded stepwise at once: what that costs of the API server and of memory, and that no pod of
// any of them restarts out of turn. Figures are printed. StatefulSets, operator and FEs are stand-ins in this process;
// the controller, its workers and its records are the gate's own. Time is moved by hand.

#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>

#include "server/base/memory_trimmer.hpp"
#include "test/chaos/led_fleet.hpp"
#include "test/chaos/mortal_gate.hpp"
#include "test/chaos/sanitized.hpp"

using namespace std::chrono_literals;

namespace gate {
using namespace test;

TEST_CASE("100 clusters are upgraded stepwise at once: every pod in turn, and bounded in requests and memory") {
  constexpr std::size_t kClusters = kSanitized ? 20 : 100;
  constexpr std::size_t kSteps = std::size_t{2} * kFleetPods;
  ApiCalls calls;
  HandMovedTime time;
  const MachineClock clock(time, 0ms);
  spdlog::logger log("load");
  MemoryPreparationStore memory(clock);
  CountedStore store(memory, calls);
  LedFleet fleet(calls);
  ScriptedHttp http;
  ScriptedJobs scripts;
  ControllerOptions options;  // as shipped
  options.identity = "gate-0";
  const auto used = [] { return static_cast<double>(mallinfo2().uordblks) / (1 << 20); };
  const auto resident = [] { return static_cast<double>(resident_bytes()) / (1 << 20); };
  const auto before = used();
  const auto resident_before = resident();
  PreparationController controller(store, {fleet, fleet, http, scripts}, clock, log, options);
  store.observe([&](const Preparation& record, bool removed) { controller.record_changed(record, removed); });
  for (std::size_t i = 0; i < kClusters; ++i) REQUIRE(memory.create(stepwise(i), ample()).ok());
  const auto count = [&](const std::function<bool(const PreparationStatus&)>& holds) {
    const auto all = memory.cached();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Preparation& record) { return holds(record.status); }));
  };
  const auto quiet = [&] { wait_until_quiet(calls); };
  controller.start();
  std::uint64_t prepared = 0;
  double most = 0;
  double most_resident = 0;
  int seconds = 0;
  // Three good readings, 5 s apart, for each of six steps, and the beginning: two minutes. Twenty is not an end.
  for (; seconds < 1200 && count([](const auto& status) { return status.stage == Stage::Closed; }) < kClusters;
       ++seconds) {
    time.move(1s);
    controller.record_changed(record_of("nobody", {}), false);  // makes waiting workers look at the clock
    quiet();
    fleet.pass(memory.cached());
    most = std::max(most, used() - before);
    most_resident = std::max(most_resident, resident() - resident_before);
    if (prepared == 0 && count([](const auto& status) { return status.phase == Phase::Completed; }) == kClusters) {
      prepared = calls.all();
    }
  }
  controller.stop();
  const std::vector<std::string> in_turn{"be-2", "be-1", "be-0", "fe-2", "fe-1", "fe-0"};
  for (std::size_t i = 0; i < kClusters; ++i) CHECK(fleet.restarts(cluster_name(i)) == in_turn);
  CHECK(count([](const auto& status) { return status.outcome == Outcome::Succeeded; }) == kClusters);
  const double each = static_cast<double>(calls.all() - prepared) / static_cast<double>(kClusters * kSteps);
  MESSAGE(kClusters << " clusters, " << kSteps << " steps each, by 8 workers of one replica: done after " << seconds
                    << " s of the fleet's time; per cluster: " << static_cast<double>(prepared) / kClusters
                    << " API requests until prepared, " << each << " per step (" << calls.reads.load() << " reads and "
                    << calls.writes.load() << " writes in all); at most " << most << " MiB allocated, " << most_resident
                    << " MiB resident more than before");
  // A look every 5 s, three for each step: each reads the object, two StatefulSets, Service and Secret, and writes.
  CHECK(each <= 100);
  CHECK(most < 64);
}

}  // namespace gate
