// Goal: uninstalling the gate leaves nothing pending, with the serving replicas there and without them.

#include "server/preparation/lifecycle/release.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

ControllerOptions paying(const std::string& identity) {
  auto options = quick_options(identity);
  options.restore_only = true;
  return options;
}

struct Release {
  std::vector<std::string> lines;
  Result<std::vector<std::string>> run(World& world, Deadline deadline, SteadyTime not_before = {}) {
    return release_records(world.store, world.clusters, world.clock, {deadline, not_before},
                           [&](const std::string& line) { lines.push_back(line); });
  }
  [[nodiscard]] bool said(const std::string& part) const {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
};

TEST_CASE("every stage of a record ends with nothing pending, whoever holds it") {
  struct Row {
    const char* name;
    bool serving;
    Stage stage;
  };
  for (const Row& row :
       {Row{"preparing, served", true, Stage::Preparing}, Row{"prepared, served", true, Stage::Prepared},
        Row{"rolling out, served", true, Stage::RollingOut}, Row{"preparing, replica gone", false, Stage::Preparing},
        Row{"prepared, replica gone", false, Stage::Prepared},
        Row{"rolling out, replica gone", false, Stage::RollingOut}}) {
    INFO(row.name);
    World world;
    auto hooks = std::vector<Hook>{no_scheduling()};
    if (row.stage == Stage::Preparing) {
      world.simulator.hang("CREATE IMAGE");
      hooks.push_back(statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE"));
    }
    auto serving = std::make_unique<Replica>(world, quick_options("gate-0"));
    world.create(record_of("r", hooks));
    if (row.stage == Stage::Preparing) {
      REQUIRE(world.simulator.wait_for_statement("CREATE IMAGE", ample()));
    } else {
      REQUIRE(world.reaches("r", Stage::Prepared));
      if (row.stage == Stage::RollingOut) world.object_becomes(object_with("fe:2"));
      REQUIRE(world.reaches("r", row.stage));
    }
    REQUIRE(world.config() == "0");
    if (!row.serving) {
      serving.reset();
      // It died without a word.
      world.write("r", [&](PreparationStatus& status) { status.runner = {"gate-0", world.clock.wall_now()}; });
    }
    const Replica payer(world, paying("release"));
    Release release;
    const auto open = release.run(world, ample());
    REQUIRE(open.ok());
    CHECK(open->empty());
    CHECK(world.config() == kSchedulingDefault);
    const auto status = world.get("r").status;
    CHECK(status.stage == Stage::Closed);
    CHECK(status.outcome == Outcome::Expired);
    CHECK_FALSE(status.restore_pending);
    CHECK(release.said("db/r: cancelled"));
    CHECK(release.said("db/r: closed, nothing to restore, Expired"));
  }
}

TEST_CASE("what cannot be restored in time is named, and stays pending") {
  World world;
  world.create(record_of("r", {no_scheduling()}));
  world.write("r", [](PreparationStatus& status) {
    status.phase = Phase::Completed;
    status.stage = Stage::Prepared;
    status.captured = {{kScheduling, kSchedulingDefault, "0"}};
    status.restore_pending = true;
  });
  world.simulator.stop(0);
  const Replica payer(world, paying("release"));
  Release release;
  const auto open = release.run(world, std::chrono::steady_clock::now() + 1s);
  REQUIRE(open.ok());
  CHECK(*open == std::vector<std::string>{"db/r: Restoring"});
  CHECK(world.get("r").status.restore_pending);
}

TEST_CASE("it does not end before the requests that were under way have") {
  World world;
  Release release;
  const auto not_before = std::chrono::steady_clock::now() + 300ms;
  const auto open = release.run(world, ample(), not_before);
  REQUIRE(open.ok());
  CHECK(open->empty());
  CHECK(std::chrono::steady_clock::now() >= not_before);
}

TEST_CASE("what keeps pods from their images is waited for, and named, never cancelled") {
  struct Row {
    const char* name;
    RolloutMode mode;
    AdmissionMode admission;
    Phase phase;
    Stage stage;
    Outcome outcome;
    const char* image;  ///< Of the object.
    bool waits;
  };
  constexpr auto kHold = AdmissionMode::Hold;
  constexpr auto kRefuse = AdmissionMode::Refuse;
  constexpr auto kOperator = RolloutMode::Operator;
  constexpr auto kOrdered = RolloutMode::Ordered;
  for (const Row& row : {
           Row{"held, hooks run", kOperator, kHold, Phase::Running, Stage::Preparing, Outcome::None, "fe:2", true},
           Row{"held, taken back", kOperator, kHold, Phase::Running, Stage::Preparing, Outcome::None, "fe:1", false},
           Row{"held, failed, tried again", kOperator, kHold, Phase::Failed, Stage::Closed, Outcome::Failed, "fe:2",
               true},
           Row{"failed, taken back", kOperator, kHold, Phase::Failed, Stage::Closed, Outcome::Failed, "fe:1", false},
           Row{"let go", kOperator, kHold, Phase::Completed, Stage::RollingOut, Outcome::None, "fe:2", false},
           Row{"in its turns", kOrdered, kRefuse, Phase::Completed, Stage::RollingOut, Outcome::None, "fe:2", true},
           Row{"prepared, not on the object", kOrdered, kRefuse, Phase::Completed, Stage::Prepared, Outcome::None,
               "fe:1", false},
           Row{"rolled out", kOrdered, kHold, Phase::Completed, Stage::Closed, Outcome::Succeeded, "fe:2", false},
           Row{"not led", kOperator, kRefuse, Phase::Running, Stage::Preparing, Outcome::None, "fe:1", false},
       }) {
    INFO(row.name);
    World world;
    world.object_becomes(object_with(row.image));
    auto record = record_of("r", {});
    record.spec.rollout.mode = row.mode;
    record.spec.rollout.admission = row.admission;
    world.create(record);
    world.write("r", [&](PreparationStatus& status) {
      status.phase = row.phase;
      status.stage = row.stage;
      status.outcome = row.outcome;
    });
    const auto before = world.get("r").status;
    const Replica payer(world, paying("release"));
    Release release;
    const auto open = release.run(world, row.waits ? std::chrono::steady_clock::now() + 1ms : ample());
    REQUIRE(open.ok());
    if (row.waits) {
      REQUIRE(open->size() == 1);
      CHECK(open->front() ==
            "db/r: holds pods of StarRocksCluster sr; let its rollout end, or apply the previous images");
      CHECK(world.get("r").status.stage == before.stage);
    } else {
      CHECK(open->empty());
    }
  }
}

TEST_CASE("it ends once no closed record has its finalizer, whoever closed it and did not remove it") {
  for (const bool traced : {false, true}) {
    CAPTURE(traced);
    World world;
    world.create(record_of("r", {}));
    world.write("r", [&](PreparationStatus& status) {
      status.stage = Stage::Closed;
      status.runner = {"gate-9", world.clock.wall_now()};  // which is gone
    });
    auto options = paying("release");
    options.claim_stale_after = 1h;
    if (traced) options.on_closed = [](const Preparation&) {};
    const Replica payer(world, options);
    Release release;
    const auto open = release.run(world, ample());
    REQUIRE(open.ok());
    CHECK(open->empty());
    CHECK_FALSE(world.get("r").held);
  }
}

TEST_CASE("a finalizer that cannot be removed in time is named") {
  World world;
  world.create(record_of("r", {}));
  world.write("r", [](PreparationStatus& status) { status.stage = Stage::Closed; });
  Release release;  // and no controller
  const auto open = release.run(world, std::chrono::steady_clock::now() + 1ms);
  REQUIRE(open.ok());
  CHECK(*open == std::vector<std::string>{"db/r: closed, its finalizer is to be removed"});
}

TEST_CASE("a bypass that nobody has closed yet is closed as what it is, and holds no namespace afterwards") {
  struct Row {
    const char* name;
    bool claimed;  ///< By a replica that is gone.
  };
  for (const Row& row : {Row{"nobody saw it", false}, Row{"whoever had claimed it is gone", true}}) {
    INFO(row.name);
    World world;
    auto bypass = record_of("bypass", {no_scheduling()});
    bypass.spec.bypass = Bypass{"*", "disk full", world.clock.wall_now() + 1h};
    world.create(bypass);
    if (row.claimed) {
      world.write("bypass", [&](PreparationStatus& status) { status.runner = {"gate-0", world.clock.wall_now()}; });
    }
    REQUIRE(world.get("bypass").held);
    const Replica payer(world, paying("release"));
    Release release;
    const auto open = release.run(world, ample());
    REQUIRE(open.ok());
    CHECK(open->empty());
    const auto record = world.get("bypass");
    CHECK_FALSE(record.held);
    CHECK(record.status.stage == Stage::Closed);
    CHECK(record.status.outcome == Outcome::Bypassed);
    CHECK(record.status.captured.empty());
    CHECK(world.config() == kSchedulingDefault);
    const auto events = world.clusters.events();
    CHECK(std::count(events.begin(), events.end(), "UpgradeGateBypassed") == 1);
    CHECK(release.said("db/bypass: closing the record of a bypass"));
    CHECK(release.said("db/bypass: closed, nothing to restore, Bypassed"));
  }
}

TEST_CASE("a bypass that nobody closes is named, and not called off") {
  World world;
  auto bypass = record_of("bypass", {});
  bypass.spec.bypass = Bypass{"*", "x", world.clock.wall_now()};
  world.create(bypass);
  Release release;  // and no controller
  const auto open = release.run(world, std::chrono::steady_clock::now() + 1ms);
  REQUIRE(open.ok());
  CHECK(*open == std::vector<std::string>{"db/bypass: Preparing"});
  CHECK(world.get("bypass").status == PreparationStatus{});
}

TEST_CASE("closed records are left alone") {
  World world;
  world.create(record_of("closed", {}));
  world.write("closed", [](PreparationStatus& status) { status.stage = Stage::Closed; });
  REQUIRE(world.store.let_go("db", "closed", ample()));
  const auto before = world.get("closed").resource_version;
  Release release;
  REQUIRE(release.run(world, ample()).ok());
  CHECK(release.lines.empty());
  CHECK(world.get("closed").resource_version == before);
}

}  // namespace
}  // namespace gate
