// Records are known from memory, which may lag: what is stored counts before anything follows from them.

#include <doctest/doctest.h>

#include "test/server/admission/admission_gate.hpp"

namespace gate {
namespace {

using namespace test;
using namespace std::chrono_literals;

TEST_CASE("a Completed that is remembered admits nothing once the record is gone or failed") {
  struct Row {
    const char* name;
    std::function<void(Gate&, Preparation)> change;
  };
  const Row rows[] = {
      {"gone",
       [](Gate& gate, const Preparation& record) {
         REQUIRE(gate.world.store.remove(record.name_space, record.name, ample()).ok());
       }},
      {"failed",
       [](Gate& gate, Preparation record) {
         record.status.phase = Phase::Failed;
         record.status.stage = Stage::Closed;
         REQUIRE(gate.world.store.update_status(record, ample()).ok());
       }},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    Gate gate(50ms);
    // A busy machine prepares it in more than one request's wait.
    REQUIRE(gate.world.signal.eventually([&] { return gate.review(upgrade()).at("allowed") == true; }));
    gate.store.stale = gate.records();
    gate.world.simulator.hang("ADMIN SET");
    gate.replica.controller.stop();
    row.change(gate, gate.records().front());
    const auto answer = gate.review(upgrade());
    CHECK_MESSAGE(answer.at("allowed") == false, answer.dump());
  }
}

TEST_CASE("an attempt that another replica began a moment ago is joined, not doubled") {
  Gate gate;
  gate.store.stale.emplace();
  const auto first = gate.review(upgrade());
  gate.store.stale.reset();
  CHECK(gate.records().size() == 1);
  const auto second = gate.review(upgrade());
  CHECK_MESSAGE(second.at("allowed") == true, second.dump());
  CHECK(gate.records().size() == 1);
}

}  // namespace
}  // namespace gate
