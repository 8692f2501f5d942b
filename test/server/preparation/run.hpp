#pragma once
// One claimed record of a world, and what runs it.

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/preparation/hooks/hook_runner.hpp"
#include "test/server/preparation/world.hpp"

namespace gate::test {

/// Passes until one does not ask for another.
inline RunEnd all_passes(HookRunner& runner, const std::stop_token& stop = {}) {
  for (;;) {
    const auto pass = runner.prepare();
    if (pass.end != RunEnd::ComeAgain) return pass.end;
    pause_for(pass.again, stop);
  }
}

struct Run {
  World& world;
  MysqlFrontendConnector connector;
  std::unique_ptr<ClaimedRecord> claim;
  std::stop_source stop;
  HookRunnerOptions options = quick_hooks();
  std::unique_ptr<HookRunner> runner;

  Run(World& in, std::vector<Hook> hooks, const std::function<void(Preparation&)>& before = {}) : world(in) {
    auto record = record_of("r", std::move(hooks));
    record.status.runner = {"me", world.clock.wall_now()};
    record.status.phase = Phase::Running;
    record.status.start_time = world.clock.wall_now();
    if (before) before(record);
    const auto status = record.status;
    record = world.create(record);
    record.status = status;
    auto stored = world.store.update_status(record, ample());
    REQUIRE(stored.ok());
    claim = std::make_unique<ClaimedRecord>(world.store, world.clock, "me", *stored);
    again();
  }
  /// As another worker would, with the record as it is.
  void again() {
    const HookPeers peers{world.clusters, connector, world.http, world.scripts};
    runner = std::make_unique<HookRunner>(*claim, peers, world.clock, options, stop.get_token());
  }
  /// All passes, as the controller takes them.
  RunEnd prepare() { return all_passes(*runner, stop.get_token()); }
  PreparationStatus status() { return world.get("r").status; }
  HookStatus hook(std::size_t index) { return status().hooks.at(index); }
};

inline std::size_t count(const FrontendSimulator& simulator, const std::string& part) {
  const auto all = simulator.statements();
  return static_cast<std::size_t>(std::count_if(
      all.begin(), all.end(), [&](const ReceivedStatement& one) { return one.sql.find(part) != std::string::npos; }));
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace gate::test
