// What an admission replaces is noted before it is answered.

#include "test/server/admission/admission_gate.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

TEST_CASE(
    "a change that is taken back before anybody noted its admission is noted, whatever its runner writes meanwhile") {
  struct Row {
    const char* name;
    int conflicts;
  };
  for (const Row& row : {Row{"nobody else writes", 0}, Row{"its runner writes once", 1}, Row{"and again", 2}}) {
    INFO(row.name);
    Gate gate;
    auto record = record_of("r", {no_scheduling()});
    // Another replica's, which is slow to look: it has the claim.
    record.status.runner = {"elsewhere", gate.world.clock.wall_now()};
    const auto status = record.status;
    auto stored = gate.world.create(record);
    stored.status = status;
    stored.status.phase = Phase::Completed;
    stored.status.stage = Stage::Prepared;
    stored.status.completion_time = gate.world.clock.wall_now();
    REQUIRE(gate.world.store.update_status(stored, ample()).ok());
    int left = row.conflicts;
    gate.store.before_update = [&] {
      if (left-- > 0) gate.world.write("r", [](PreparationStatus& one) { one.message = "still at work"; });
    };
    const auto object = [](const char* image) {
      auto out = object_with(image);
      out["metadata"]["annotations"] = {{"starrocks.com/upgrade-hooks", "disable-tablet-clone"}};
      return out;
    };
    const auto answer = gate.review(review_of(object("fe:2"), object("fe:1")));
    CHECK(answer.at("allowed") == true);
    const auto noted = gate.world.get("r").status;
    CHECK(noted.stage == Stage::RollingOut);
    CHECK(noted.admitted_time.has_value());
  }
}

}  // namespace
}  // namespace gate
