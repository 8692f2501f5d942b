// Stories of one record, and of the next that takes over before anything was admitted (kill_matrix.hpp).

#include "test/chaos/kill_matrix.hpp"

namespace gate {
namespace {

using namespace test;

void becomes_new(ChaosWorld& chaos) { chaos.object_becomes(object_of("be:2")); }
void becomes_old(ChaosWorld& chaos) { chaos.object_becomes(object_of("be:1")); }
void rolls_out(ChaosWorld& chaos) { chaos.rolls_out(); }

const std::vector<Story>& stories() {
  static const std::vector<Story> all = {
      {"rolled out",
       [] {
         return in_turn({{"r", Stage::Prepared, becomes_new}, {"r", Stage::RollingOut, rolls_out}});
       },
       Outcome::Succeeded},
      {"an FE restarts while it rolls",
       [] {
         const auto restarts = [](ChaosWorld& chaos) { chaos.world.simulator.restart(1); };
         auto ends = [](ChaosWorld& chaos) {
           if (chaos.world.get("r").status.stage != Stage::RollingOut) return;
           if (chaos.world.config(1) == "0" && chaos.world.config(1, kBalancing) == "0") rolls_out(chaos);
         };
         return [first = in_turn({{"r", Stage::Prepared, becomes_new}, {"r", Stage::RollingOut, restarts}}), ends](
                    ChaosWorld& chaos, MortalGate& gate) mutable {
           first(chaos, gate);
           ends(chaos);
         };
       },
       Outcome::Succeeded, 2},
      {"reverted while it rolls",
       [] {
         return in_turn({{"r", Stage::Prepared, becomes_new}, {"r", Stage::RollingOut, becomes_old}});
       },
       Outcome::Reverted},
      {"a critical hook fails", [] { return in_turn({}); }, Outcome::Failed, 0, 24h,
       [](ChaosWorld& chaos) {
         chaos.world.simulator.fail("CREATE IMAGE", {1064, "42000", "no"});
       }},
      {"nobody comes back", [] { return in_turn({}); }, Outcome::Expired, 0, 2s},
      {"superseded by a newer target",
       [] {
         const auto newer = [](ChaosWorld& chaos) {
           auto record = backend_record("s", hooks(), "be:3");
           record.spec.supersedes = "r";
           chaos.world.create(record);
         };
         const auto becomes_newer = [](ChaosWorld& chaos) { chaos.object_becomes(object_of("be:3")); };
         return in_turn({{"r", Stage::Prepared, newer},
                         {"s", Stage::Prepared, becomes_newer},
                         {"s", Stage::RollingOut, rolls_out}});
       },
       Outcome::Succeeded},
  };
  return all;
}

TEST_CASE("killed at every step boundary, another replica takes over: nothing is lost, nothing done twice") {
  for (const auto& story : stories()) enumerate(story, "gate-1");
}

TEST_CASE("a gate that dies again and again gets on, however few steps each life has beyond one hook's") {
  for (std::size_t steps = 70; steps >= 35; steps -= 5) {
    const auto life = live(stories().front(), {.after_boundaries = steps}, "another", true);
    CHECK(life.kills >= 1);
  }
}

TEST_CASE("killed at every step boundary and started again under its name") { enumerate(stories().front(), "gate-0"); }

}  // namespace
}  // namespace gate
