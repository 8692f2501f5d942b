// Stories in which something replaces what is under way, through the gate's own admission: the next target, the way
// back, a deletion that leaves the pods (kill_matrix.hpp).

#include "test/chaos/kill_matrix.hpp"
#include "test/server/admission/review_of.hpp"

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

const RolloutState kMoving{false, "StatefulSet sr-be: 1 of 3 updated", true, false, {}};
const RolloutState kStanding{true, "", true, true, {}};

/// Whether the change was admitted, and its client was told: a gate that is killed in between answers nobody.
bool admits(MortalGate& gate, const std::string& from, const std::string& to) {
  const auto reply = gate.service.review(AdmissionService::kGatePath, review_of(object_of(from), object_of(to)).dump());
  return !gate.line.is_cut() && json::parse(reply.body).at("response").at("allowed").get<bool>();
}

void begin_to_move(ChaosWorld& chaos, const std::string& image) {
  chaos.world.clusters.set_way_back(kMoving);
  chaos.pods_moving = true;
  chaos.object_becomes(object_of(image));
}

void stand(ChaosWorld& chaos) {
  chaos.world.clusters.set_way_back(kStanding);
  chaos.pods_moving = false;
  chaos.rolls_out();
  chaos.world.signal.notify();
}

/// The newest record that is not the first one.
Preparation next_of(ChaosWorld& chaos) {
  const auto records = chaos.world.store.list_of_cluster("db", "sr", ample()).value();
  for (const auto& record : records) {
    if (record.name != "r") return record;
  }
  return {};
}

/// be:1 to be:2 rolls; be:3 is asked for, prepared on top of it and admitted; its pods come to stand.
Steering next_target() {
  return [admitted = false, done = false](ChaosWorld& chaos, MortalGate& gate) mutable {
    const auto first = chaos.world.get("r");
    const auto next = next_of(chaos);
    if (first.status.stage == Stage::Prepared && !chaos.pods_moving && !admitted) begin_to_move(chaos, "be:2");
    const bool rolls = first.status.stage == Stage::RollingOut;
    const bool ask = rolls && !admitted && (next.name.empty() || next.status.stage == Stage::Prepared);
    if (ask && admits(gate, "be:2", "be:3")) {
      admitted = true;
      chaos.object_becomes(object_of("be:3"));
    }
    if (admitted && !done && next.status.stage == Stage::RollingOut) {
      done = true;
      stand(chaos);
    }
  };
}

/// be:1 to be:2 was admitted, and taken back before anybody had looked: its pods have to come back, and the settings
/// stay until they are there.
Steering taken_back() {
  return [admitted = false, back = false, done = false](ChaosWorld& chaos, MortalGate& gate) mutable {
    if (chaos.world.get("r").status.stage == Stage::Prepared && !admitted) {
      admitted = true;
      chaos.world.clusters.set_way_back(kMoving);
      chaos.pods_moving = true;
      chaos.world.clusters.set_object(object_of("be:2"));  // nobody is told
    }
    if (admitted && !back && admits(gate, "be:2", "be:1")) {
      back = true;
      CHECK(chaos.world.get("r").status.stage == Stage::RollingOut);
      chaos.object_becomes(object_of("be:1"));
    }
    if (back && !done && chaos.world.get("r").status.reason == "RollingBack") {
      done = true;
      stand(chaos);
    }
  };
}

/// The object is deleted and its pods are left: their FE has its settings restored.
Steering orphaned() {
  return [deleted = false](ChaosWorld& chaos, MortalGate&) mutable {
    const auto stage = chaos.world.get("r").status.stage;
    if (stage == Stage::Prepared && !deleted) chaos.object_becomes(object_of("be:2"));
    if (stage != Stage::RollingOut || deleted) return;
    deleted = true;
    chaos.world.clusters.set_frontend_life(FrontendLife::MayLive);
    chaos.object_becomes(nullptr);
  };
}

TEST_CASE("killed at every step boundary while the next target takes over a rollout") {
  enumerate({"the next target", next_target, Outcome::Succeeded, 0, 24h, [](ChaosWorld&) {},
             [](ChaosWorld& chaos) {
               const auto next = next_of(chaos);
               CHECK(next.status.outcome == Outcome::Succeeded);
               CHECK(next.status.admitted_time.has_value());
               const auto first = chaos.world.get("r").status.outcome;
               CHECK((first == Outcome::Superseded || first == Outcome::Reverted));
             }},
            "gate-1");
}

TEST_CASE("killed at every step boundary of a change that is taken back before anybody noted its admission") {
  for (const char* identity : {"gate-1", "gate-0"}) {
    enumerate({"taken back", taken_back, Outcome::Reverted, 0, 24h, [](ChaosWorld&) {},
               [](ChaosWorld& chaos) {
                 const auto status = chaos.world.get("r").status;
                 CHECK(status.outcome == Outcome::Reverted);
                 CHECK(status.rolled_back_to == std::vector<ComponentImage>{{Component::Backend, "be:1"}});
               },
               // A look may note the admission before the way back does.
               "UpgradeAdmitted"},
              identity);
  }
}

TEST_CASE("killed at every step boundary when the object is deleted and its pods are left") {
  enumerate({"orphaned", orphaned, Outcome::Expired, 0, 24h, [](ChaosWorld&) {},
             [](ChaosWorld& chaos) { CHECK(chaos.world.get("r").status.outcome == Outcome::Expired); }},
            "gate-1");
}

}  // namespace
}  // namespace gate
