// Goal: what a write of a StatefulSet may go to follows from the records of its owner, whichever of them it concerns.

#include <doctest/doctest.h>

#include "policy/rollout/turns.hpp"
#include "test/policy/rollout/turns_world.hpp"

using namespace gate;
using namespace gate::test;

TEST_CASE("orders: what a StatefulSet may go to") {
  const auto write = [](const char* from, const char* to, Component component = Component::Backend) {
    return StatefulSetWrite{component, {"StarRocksCluster", "sr", "uid-1"}, "sr-be", from, to, false};
  };
  auto running = upgrade();
  running.status.phase = Phase::Running;
  auto failed = upgrade();
  failed.status.phase = Phase::Failed;
  auto steered = upgrade();
  steered.status.rollout.turns = plan_turns(steered.spec);
  steered.status.rollout.turns[0].phase = TurnPhase::Rolling;
  steered.status.rollout.turns[0].partition = 2;
  auto paused = steered;
  paused.status.rollout.turns[0].phase = TurnPhase::Paused;
  auto alone = steered;
  alone.spec.changes.erase(alone.spec.changes.begin());
  auto unled = upgrade();
  unled.spec.rollout = {};
  auto closed = steered;
  closed.status.stage = Stage::Closed;
  closed.status.outcome = Outcome::Succeeded;
  auto expired = closed;
  expired.status.outcome = Outcome::Expired;
  auto bypass = upgrade();
  bypass.spec.bypass = Bypass{};
  bypass.status.stage = Stage::Closed;
  bypass.status.outcome = Outcome::Bypassed;
  auto other = steered;
  other.spec.object.uid = "uid-2";
  struct Row {
    const char* name;
    std::vector<Preparation> records;
    StatefulSetWrite write;
    SetOrder order;
  };
  auto let_go = steered;
  let_go.status.rollout = {};
  let_go.status.rollout.back = true;
  // A newer target, while the one before it was held, or had begun.
  auto superseded = failed;
  superseded.status.stage = Stage::Closed;
  superseded.status.outcome = Outcome::Superseded;
  auto newer = running;
  newer.spec.rollout.admission = AdmissionMode::Hold;
  for (auto& change : newer.spec.changes) {
    newer.spec.origins.push_back({change.component, change.from});
    change.from = change.to;
    change.to = std::string(to_string(change.component)) + ":3.3.2";
  }
  auto candidate = newer;  // refused so far
  candidate.spec.rollout.admission = AdmissionMode::Refuse;
  candidate.status.stage = Stage::Preparing;
  auto newer_rolls = newer;
  newer_rolls.status.phase = Phase::Completed;
  newer_rolls.status.rollout.turns = steered.status.rollout.turns;
  auto newer_reverted = newer;
  newer_reverted.status.stage = Stage::Closed;
  newer_reverted.status.outcome = Outcome::Reverted;
  auto newer_back = newer_rolls;
  newer_back.status.rollout.back = true;
  auto turns_back = steered;
  turns_back.status.rollout.back = true;
  auto last_but_one = steered;
  last_but_one.status.rollout.turns[0].partition = 1;
  auto last = steered;
  last.status.rollout.turns[0].partition = 0;
  auto prepared_anew = steered;
  prepared_anew.status.phase = Phase::Running;
  auto third = newer;  // its pods ran its old image completely
  third.spec.origins.clear();
  auto third_done = third;
  third_done.status.phase = Phase::Completed;
  third_done.status.stage = Stage::Closed;
  third_done.status.outcome = Outcome::Succeeded;
  third_done.spec.origins = newer.spec.origins;
  const auto forward = write("be:3.3.0", "be:3.3.1");
  const SetOrder hold{SetVerdict::Hold, 0};
  const SetOrder pass{};
  for (const Row& row :
       {Row{"no record", {}, forward, hold},
        Row{"no image change", {}, write("be:1", "be:1"), pass},
        Row{"hooks running", {running}, forward, hold},
        Row{"failed keeps holding", {failed}, forward, hold},
        Row{"completed, no turns yet", {upgrade()}, forward, hold},
        Row{"steered", {steered}, forward, {SetVerdict::Steer, 2}},
        Row{"steered, the template is there", {steered}, write("be:3.3.1", "be:3.3.1"), {SetVerdict::Steer, 2}},
        Row{"steered, the last but one", {last_but_one}, forward, {SetVerdict::Steer, 1}},
        Row{"steered, the last", {last}, forward, pass},
        Row{"paused stays steered", {paused}, forward, {SetVerdict::Steer, 2}},
        Row{"another turn", {steered}, write("fe:3.3.0", "fe:3.3.1", Component::Frontend), hold},
        Row{"the record does not lead", {unled}, forward, pass},
        Row{"rolled out", {closed}, forward, pass},
        Row{"rolled out, back is a new change", {closed}, write("be:3.3.1", "be:3.3.0"), hold},
        Row{"given up, forward", {expired}, forward, hold},
        Row{"given up, back", {expired}, write("be:3.3.1", "be:3.3.0"), pass},
        Row{"bypassed", {bypass}, forward, pass},
        Row{"another target", {steered}, write("be:3.3.1", "be:3.3.2"), hold},
        Row{"back, before the leader has seen it", {steered}, write("be:3.3.1", "be:3.3.0"), hold},
        Row{"back, what never moved, before the leader has seen it", {steered}, write("be:3.3.0", "be:3.3.0"), hold},
        Row{"back, alone", {alone}, write("be:3.3.1", "be:3.3.0"), pass},
        Row{"let go, forward", {let_go}, forward, pass},
        Row{"let go, back", {let_go}, write("be:3.3.1", "be:3.3.0"), pass},
        Row{"a target that another took the place of", {newer, superseded}, forward, hold},
        Row{"the same, before its record says so", {newer, running}, forward, hold},
        Row{"the same, in the middle of its steps",
            {newer, steered},
            write("be:3.3.1", "be:3.3.1"),
            {SetVerdict::Steer, 2}},
        Row{"the same, let go for the newer one", {newer, let_go}, write("be:3.3.1", "be:3.3.1"), hold},
        Row{"the same, a part that never moved",
            {newer, let_go},
            write("fe:3.3.0", "fe:3.3.1", Component::Frontend),
            hold},
        Row{"let go, beside a candidate that is not admitted",
            {candidate, let_go},
            write("be:3.3.1", "be:3.3.1"),
            pass},
        Row{"the newer target", {newer_rolls, let_go}, write("be:3.3.1", "be:3.3.2"), {SetVerdict::Steer, 2}},
        Row{"from the newer target to where the pods came from",
            {newer_rolls, let_go},
            write("be:3.3.2", "be:3.3.0"),
            hold},
        Row{"from a newer target that moved nothing to where the pods came from: as what moved goes back",
            {newer, steered},
            write("be:3.3.1", "be:3.3.0"),
            hold},
        Row{"the same, in its turn", {newer, turns_back}, write("be:3.3.1", "be:3.3.0"), pass},
        Row{"the same, where the newer one leads back, too",
            {newer_back, steered},
            write("be:3.3.1", "be:3.3.0"),
            hold},
        Row{"the same, once the newer one is closed", {newer_reverted, steered}, write("be:3.3.1", "be:3.3.0"), hold},
        Row{"the same, where nothing else moved them", {newer}, write("be:3.3.1", "be:3.3.0"), pass},
        Row{"from both targets to where the pods came from, held so far",
            {newer, superseded},
            write("be:3.3.0", "be:3.3.0"),
            pass},
        Row{"forward, while the object goes back", {turns_back}, forward, hold},
        Row{"prepared anew in the middle of its steps", {prepared_anew}, forward, hold},
        Row{"to what an older record leads to, from one that moved nothing: no way forward",
            {third, steered},
            write("be:3.3.2", "be:3.3.1"),
            pass},
        Row{"to what an older record leads to, from one that rolled out: history",
            {third_done, steered},
            write("be:3.3.2", "be:3.3.1"),
            hold},
        Row{"another object's record", {other}, forward, hold}}) {
    CAPTURE(row.name);
    CHECK(order_of(row.write, row.records, true) == row.order);
  }
  CHECK(order_of(forward, {}, false) == pass);
  // Whoever asks for it no more gets what failed, too: the way out.
  CHECK(order_of(forward, {failed}, false) == pass);
  CHECK(order_of(forward, {expired}, false) == pass);
  // By what the owner has.
  const std::vector<ComponentImage> at_new{{Component::Frontend, "fe:3.3.1"}, {Component::Backend, "be:3.3.1"}};
  const std::vector<ComponentImage> at_old{{Component::Frontend, "fe:3.3.0"}, {Component::Backend, "be:3.3.0"}};
  const std::vector<ComponentImage> at_part{{Component::Frontend, "fe:3.3.0"}, {Component::Backend, "be:3.3.1"}};
  const auto stored = write("be:3.3.0", "be:3.3.0");
  for (const auto& record : {running, failed, superseded}) {
    CHECK(order_of(stored, {record}, true, at_new) == hold);
    CHECK(order_of(stored, {record}, true, at_old) == pass);
  }
  CHECK(order_of(forward, {let_go}, true, at_new) == hold);
  CHECK(order_of(forward, {let_go}, true, at_part) == pass);
}
