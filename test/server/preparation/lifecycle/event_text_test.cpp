// Events are read by people who see nothing else of a record.

#include <doctest/doctest.h>

#include <algorithm>

#include "test/server/preparation/world.hpp"

namespace gate {
namespace {

using namespace test;

TEST_CASE("events count the hooks, and say what may be done once they are over") {
  struct Row {
    const char* name;
    std::vector<Hook> hooks;
    AdmissionMode admission;
    std::string begun;
    std::string over;
  };
  const std::string repeat = "; a request that still waits is admitted, one that was refused must be repeated";
  for (const Row& row : {Row{"one",
                             {no_scheduling()},
                             AdmissionMode::Refuse,
                             "running 1 pre-upgrade hook",
                             "the pre-upgrade hook completed" + repeat},
                         Row{"two",
                             {no_scheduling(), setting_hook("other", "disable_balance", "true")},
                             AdmissionMode::Refuse,
                             "running 2 pre-upgrade hooks",
                             "2 pre-upgrade hooks completed" + repeat},
                         Row{"none, held",
                             {},
                             AdmissionMode::Hold,
                             "no pre-upgrade hook is to run",
                             "nothing to do before the upgrade; pods that were held may roll"}}) {
    INFO(row.name);
    World world;
    const Replica replica(world);
    auto record = record_of("r", row.hooks);
    record.spec.rollout.admission = row.admission;
    world.create(record);
    const auto told = [&](const std::string& text) {
      const auto texts = world.clusters.event_texts();
      return std::count(texts.begin(), texts.end(), text) == 1;
    };
    CHECK(world.signal.eventually([&] { return told("UpgradePreparationCompleted: " + row.over); }));
    CHECK(told("UpgradePreparationStarted: " + row.begun));
  }
}

}  // namespace
}  // namespace gate
