#include "server/preparation/records/claimed_record.hpp"

#include <doctest/doctest.h>

#include "test/server/preparation/world.hpp"

namespace gate {
namespace {

using namespace test;

struct Held {
  MovableClock clock;
  MemoryPreparationStore store{clock};
  std::unique_ptr<ClaimedRecord> claim;

  Held() {
    auto made = store.create(record_of("r", {no_scheduling()}), ample());
    REQUIRE(made.ok());
    made->status.runner = {"me", clock.wall_now()};
    auto stored = store.update_status(*made, ample());
    REQUIRE(stored.ok());
    claim = std::make_unique<ClaimedRecord>(store, clock, "me", *stored);
  }
  Preparation stored() { return store.get("db", "r", ample()).value(); }
  void somebody_writes(const std::function<void(PreparationStatus&)>& change) {
    auto record = stored();
    change(record.status);
    REQUIRE(store.update_status(record, ample()).ok());
  }
};

TEST_CASE("a conflict is retried on the newer record while the claim is ours") {
  Held held;
  held.somebody_writes([](PreparationStatus& status) { status.message = "by another"; });
  REQUIRE(held.claim->update([](PreparationStatus& status) { status.reason = "Mine"; }, ample()).ok());
  CHECK(held.stored().status.message == "by another");
  CHECK(held.stored().status.reason == "Mine");
  CHECK(held.claim->snapshot().resource_version == held.stored().resource_version);
  CHECK_FALSE(held.claim->lost());
}

TEST_CASE("what is told later is seen here at once, goes with the next write, and outlives a conflict") {
  Held held;
  const auto before = held.stored().resource_version;
  held.claim->update_later([](PreparationStatus& status) { status.message = "one"; });
  held.claim->update_later([](PreparationStatus& status) { status.message += " two"; });
  CHECK(held.claim->snapshot().status.message == "one two");
  CHECK(held.stored().resource_version == before);
  held.clock.pass(std::chrono::hours(1));
  CHECK(held.claim->unsaved_for() >= std::chrono::hours(1));
  held.somebody_writes([](PreparationStatus& status) { status.message = "by another"; });
  SUBCASE("with an update") {
    REQUIRE(held.claim->update([](PreparationStatus& status) { status.reason = "Mine"; }, ample()).ok());
    CHECK(held.stored().status.reason == "Mine");
  }
  SUBCASE("with a renewal") { REQUIRE(held.claim->renew(ample()).ok()); }
  CHECK(held.stored().status.message == "one two");
  CHECK(held.claim->unsaved_for() == std::chrono::nanoseconds{});
  // Once: what others write afterwards stays.
  held.somebody_writes([](PreparationStatus& status) { status.message = "by another"; });
  REQUIRE(held.claim->renew(ample()).ok());
  CHECK(held.stored().status.message == "by another");
}

TEST_CASE("a claim is lost for ever once another replica has it, or the record is superseded") {
  struct Row {
    const char* name;
    std::function<void(PreparationStatus&)> change;
  };
  for (const Row& row : {Row{"taken over", [](PreparationStatus& status) { status.runner.identity = "other"; }},
                         Row{"released", [](PreparationStatus& status) { status.runner = {}; }},
                         Row{"superseded", [](PreparationStatus& status) { status.outcome = Outcome::Superseded; }},
                         Row{"cancelled", [](PreparationStatus& status) { status.outcome = Outcome::Expired; }}}) {
    INFO(row.name);
    Held held;
    held.somebody_writes(row.change);
    const auto before = held.stored();
    const auto refused = held.claim->update([](PreparationStatus& status) { status.reason = "Mine"; }, ample());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::Conflict);
    CHECK(held.claim->lost());
    CHECK(held.stored().resource_version == before.resource_version);
    // Also when it would fit again.
    held.somebody_writes([](PreparationStatus& status) {
      status = {};
      status.runner.identity = "me";
    });
    CHECK_FALSE(held.claim->renew(ample()).ok());
  }
}

TEST_CASE("a claim is held for its lease from before the last write that got through, and then lost for ever") {
  Held held;
  const std::chrono::milliseconds lease(200);
  const auto record = held.stored();
  const auto before = held.clock.steady_now();
  ClaimedRecord claim(held.store, held.clock, "me", record, lease, before);
  CHECK(claim.held_until() == before + lease);
  CHECK_FALSE(claim.lost());
  REQUIRE(claim.renew(ample()).ok());
  const auto until = claim.held_until();
  CHECK(until > before + lease);
  CHECK(until <= held.clock.steady_now() + lease);
  Signal nothing;
  REQUIRE(nothing.eventually([&] { return held.clock.steady_now() >= until; }));
  CHECK(claim.lost());
  const auto stored = held.stored();
  const auto refused = claim.renew(ample());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::Conflict);
  CHECK(held.stored().resource_version == stored.resource_version);
}

TEST_CASE("a claim without a lease is not lost by waiting, but when it is seen superseded") {
  Held held;
  held.clock.move(std::chrono::hours(24));
  CHECK_FALSE(held.claim->lost());
  held.claim->superseded();
  CHECK(held.claim->lost());
  CHECK_FALSE(held.claim->renew(ample()).ok());
}

TEST_CASE("a renewal moves the time and nothing else") {
  Held held;
  const auto before = held.stored();
  held.clock.move(std::chrono::seconds(100));
  REQUIRE(held.claim->renew(ample()).ok());
  auto after = held.stored();
  REQUIRE(after.status.runner.renew_time);
  CHECK(*after.status.runner.renew_time >= *before.status.runner.renew_time + std::chrono::seconds(100));
  after.status.runner = before.status.runner;
  CHECK(after.status == before.status);
}

TEST_CASE("a record that is gone is NotFound, not a lost claim") {
  Held held;
  REQUIRE(held.store.let_go("db", "r", ample()).ok());
  REQUIRE(held.store.remove("db", "r", ample()).ok());
  const auto renewed = held.claim->renew(ample());
  REQUIRE_FALSE(renewed.ok());
  CHECK(renewed.error().code == ErrorCode::NotFound);
  CHECK_FALSE(held.claim->lost());
}

}  // namespace
}  // namespace gate
