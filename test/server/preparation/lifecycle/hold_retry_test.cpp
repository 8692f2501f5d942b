// Goal: what failed under a hold is tried again by itself, once per back-off, as long as somebody wants it.

#include "server/preparation/lifecycle/hold_retry.hpp"

#include <doctest/doctest.h>

#include "test/server/preparation/world.hpp"

using namespace gate;
using namespace gate::test;

namespace {

struct Held {
  World world;
  std::vector<std::string> created;
  HoldRetry retry{world.store, world.clusters, world.clock, world.log,
                  HoldRetryOptions{{}, [this](const Preparation& record) { created.push_back(record.name); }}};

  void fails(AdmissionMode admission = AdmissionMode::Hold, const std::string& supersedes = {}) {
    auto record = record_of("sr-key-1", {});
    record.spec.supersedes = supersedes;
    record.spec.rollout.admission = admission;
    world.create(record);
    world.write("sr-key-1", [&](PreparationStatus& status) {
      status.phase = Phase::Failed;
      status.stage = Stage::Closed;
      status.outcome = Outcome::Failed;
      status.completion_time = world.clock.wall_now();
    });
    world.clusters.set_object(object_with("fe:2"));
  }
};

}  // namespace

TEST_CASE("a held upgrade that failed is tried again after the back-off, once") {
  Held held;
  held.fails();
  held.retry.look();
  CHECK(held.created.empty());
  held.world.clock.move(FailureBackoff{}.base + std::chrono::seconds(1));
  held.retry.look();
  REQUIRE(held.created.size() == 1);
  const auto next = held.world.get(held.created[0]);
  CHECK(next.spec.attempt == 2);
  CHECK(next.spec.changes == held.world.get("sr-key-1").spec.changes);
  CHECK(next.spec.rollout.admission == AdmissionMode::Hold);
  held.retry.look();  // the newest is under way
  CHECK(held.created.size() == 1);
}

TEST_CASE("a target that took another's place within the same second is tried again, whatever the names") {
  Held held;
  auto taken = record_of("sr-zzz-1", {});
  taken.spec.changes[0].to = "fe:1.1";
  held.world.create(taken);
  held.world.write("sr-zzz-1", [&](PreparationStatus& status) {
    status.phase = Phase::Failed;
    status.stage = Stage::Closed;
    status.outcome = Outcome::Superseded;
  });
  held.fails(AdmissionMode::Hold, "sr-zzz-1");
  held.world.clock.move(std::chrono::hours(1));
  held.retry.look();
  REQUIRE(held.created.size() == 1);
  CHECK(held.world.get(held.created[0]).spec.changes == held.world.get("sr-key-1").spec.changes);
}

TEST_CASE("of what was left under a hold, that is tried again whose images the object has, not the newest") {
  Held held;
  held.fails();
  auto newer = record_of("sr-zzz-1", {});
  newer.spec.changes[0].to = "fe:3";
  newer.spec.supersedes = "sr-key-1";  // of one second
  newer.spec.rollout.admission = AdmissionMode::Hold;
  held.world.create(newer);
  const auto ends = [&](Outcome outcome) {
    held.world.write("sr-zzz-1", [&](PreparationStatus& status) {
      status.phase = outcome == Outcome::Failed ? Phase::Failed : Phase::Completed;
      status.stage = Stage::Closed;
      status.outcome = outcome;
      status.completion_time = held.world.clock.wall_now();
    });
    held.world.clock.move(std::chrono::hours(1));
  };
  bool again = true;
  SUBCASE("the newer one failed, too") { ends(Outcome::Failed); }
  SUBCASE("the newer one was called off") { ends(Outcome::Reverted); }
  SUBCASE("the newer one rolled out: what was before it is history") {
    ends(Outcome::Succeeded);
    again = false;
  }
  held.retry.look();
  REQUIRE(held.created.size() == (again ? 1 : 0));
  if (again) CHECK(held.world.get(held.created[0]).spec.changes == held.world.get("sr-key-1").spec.changes);
}

TEST_CASE("a target that was superseded, and that the object has all the same, is begun anew at the second look") {
  Held held;
  held.fails();
  held.world.write("sr-key-1", [&](PreparationStatus& status) {
    status.phase = Phase::Pending;
    status.outcome = Outcome::Superseded;
  });
  held.retry.look();
  CHECK(held.created.empty());
  SUBCASE("still so") {
    held.retry.look();
    CHECK(held.created.size() == 1);
  }
  SUBCASE("the object has what took its place by now") {
    held.world.clusters.set_object(object_with("fe:3"));
    held.retry.look();
    CHECK(held.created.empty());
    held.world.clusters.set_object(object_with("fe:2"));
    held.retry.look();
    CHECK(held.created.empty());
  }
}

TEST_CASE("what nobody wants any more, or a client repeats, is not tried again") {
  Held held;
  SUBCASE("refused, not held") { held.fails(AdmissionMode::Refuse); }
  SUBCASE("the object went back") {
    held.fails();
    held.world.clusters.set_object(object_with("fe:1"));
  }
  SUBCASE("another object has the name") {
    held.fails();
    held.world.clusters.set_object(object_with("fe:2", "uid-other"));
  }
  SUBCASE("the object is gone") {
    held.fails();
    held.world.clusters.set_object(nullptr);
  }
  held.world.clock.move(std::chrono::hours(1));
  held.retry.look();
  CHECK(held.created.empty());
}
