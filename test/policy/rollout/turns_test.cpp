// Goal: components roll in the right order, one pod at a time, each step only when the one before is proven well; what
// does not become well stops there, and the way back is open from everywhere.

#include "policy/rollout/turns.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "policy/record/preparation_codec.hpp"
#include "test/policy/rollout/turns_world.hpp"

using namespace gate;
using namespace gate::test;
using std::chrono::seconds;

TEST_CASE("turns go in the order of the direction") {
  struct Row {
    const char* name;
    std::vector<ImageChange> changes;
    std::vector<std::string> turns;
  };
  for (const Row& row :
       {Row{"upgrade",
            {{Component::Frontend, "fe:3.3.0", "fe:3.3.1"},
             {Component::Backend, "be:3.3.0", "be:3.3.1"},
             {Component::ComputeNode, "cn:3.3.0", "cn:3.3.1"}},
            {"be", "cn", "fe"}},
        Row{"downgrade",
            {{Component::Frontend, "fe:3.3.1", "fe:3.3.0"},
             {Component::Backend, "be:3.3.1", "be:3.3.0"},
             {Component::ComputeNode, "cn:3.3.1", "cn:3.3.0"}},
            {"fe", "cn", "be"}},
        Row{"one of them goes down",
            {{Component::Frontend, "fe:3.3.0", "fe:3.3.1"}, {Component::Backend, "be:3.3.1", "be:3.3.0"}},
            {"fe", "be"}},
        Row{"unknown versions",
            {{Component::Frontend, "fe:a", "fe:b"}, {Component::Backend, "be:a", "be:b"}},
            {"be", "fe"}},
        Row{"one", {{Component::Warehouse, "cn:1", "cn:2"}}, {"warehouse"}}}) {
    CAPTURE(row.name);
    CHECK(names(plan_turns(record_of(row.changes).spec)) == row.turns);
    World world(record_of(row.changes));
    world.look();
    CHECK(names(world.record.status.rollout.turns) == row.turns);
  }
}

TEST_CASE("stepwise: backends pod by pod, an image on every FE, then frontends pod by pod") {
  World world(upgrade());
  world.run(60);
  CHECK(world.done());
  CHECK(world.restarts == std::vector<std::string>{"be-2", "be-1", "be-0", "create-image", "fe-2", "fe-1", "fe-0"});
}

TEST_CASE("ordered: whole components in turn") {
  World world(record_of(upgrade().spec.changes, RolloutMode::Ordered));
  world.run(1);
  CHECK(world.restarts == std::vector<std::string>{"be-2", "be-1", "be-0"});
  world.run(20);
  CHECK(world.done());
  CHECK(world.turn(1).of == 1);
}

TEST_CASE(
    "a turn has the time of its first step's beginning and of its last step's end, and loses them on the way back") {
  World world(upgrade());
  world.look();
  CHECK(world.turn(0).began == world.now);
  CHECK_FALSE(world.turn(0).ended);
  CHECK_FALSE(world.turn(1).began);
  const auto began = world.turn(0).began;
  world.pass();
  while (world.turn(0).phase != TurnPhase::Done) world.run(1);
  CHECK(world.turn(0).began == began);  // not that of its last step
  CHECK(world.turn(0).since > began);
  CHECK(world.turn(0).ended == world.now);
  const auto ended = world.turn(0).ended;
  for (int i = 0; i < 200 && !world.done(); ++i) world.run(1);
  REQUIRE(world.done());
  CHECK(world.turn(0).ended == ended);
  CHECK(world.turn(1).began >= ended);
  CHECK(world.turn(1).ended == world.now);

  world.back = true;
  world.look();
  CHECK(world.turn(0).began == world.now);
  CHECK_FALSE(world.turn(0).ended);
  CHECK_FALSE(world.turn(1).began);
}

TEST_CASE("a step needs as many good readings in a row as were asked for") {
  World world(upgrade());
  world.run(1);  // be-2 restarts
  world.look();
  CHECK(world.turn(0).readings == 1);
  world.unwell = "be sr-be-1: not alive";
  world.look();
  CHECK(world.turn(0).readings == 0);
  CHECK(world.turn(0).waiting_for == world.unwell);
  world.unwell.clear();
  world.look();
  CHECK(world.turn(0).step == 1);
  world.look();
  CHECK(world.turn(0).step == 2);
  CHECK(world.turn(0).partition == 1);
  world.pass();  // be-1 restarts
  world.look();
  CHECK(world.turn(0).step == 2);  // those of the step before do not count
  CHECK(world.turn(0).readings == 1);
}

TEST_CASE("what is missing is named, and nothing is taken for granted") {
  struct Row {
    const char* name;
    void (*change)(RolloutObservation&);
    const char* waiting_for;
  };
  for (const Row& row :
       {Row{"no StatefulSet", [](RolloutObservation& seen) { seen.sets.clear(); }, "does not exist"},
        Row{"the operator has not passed", [](RolloutObservation& seen) { seen.sets[1].image = "be:3.3.0"; },
            "has not written"},
        Row{"not observed", [](RolloutObservation& seen) { seen.sets[1].observed = false; }, "not observed"},
        Row{"not updated", [](RolloutObservation& seen) { seen.sets[1].updated = 0; }, "0 of 1 pods updated"},
        Row{"not ready", [](RolloutObservation& seen) { seen.sets[1].ready = 2; }, "2 of 3 pods ready"},
        Row{"surplus", [](RolloutObservation& seen) { seen.sets[1].existing = 4; }, "1 surplus"},
        Row{"another partition",
            [](RolloutObservation& seen) {
              seen.sets[1].updated = 0;
              seen.sets[1].partition = 3;
            },
            "partition 3"},
        Row{"FE silent", [](RolloutObservation& seen) { seen.renewed.reset(); }, "FE could not be asked"},
        Row{"not back in the database", [](RolloutObservation& seen) { (*seen.renewed)[Component::Backend] = 0; },
            "0 of 1 nodes"}}) {
    CAPTURE(row.name);
    World world(upgrade());
    world.run(1);
    auto seen = world.seen();
    REQUIRE(seen.sets[1].component == Component::Backend);
    row.change(seen);
    const auto move = next_move(world.record, seen);
    CHECK(move.progress.turns[0].waiting_for.find(row.waiting_for) != std::string::npos);
    CHECK(move.progress.turns[0].readings == 0);
  }
}

TEST_CASE("a canary that never becomes healthy is paused at its step, and one pod is affected") {
  World world(upgrade());
  world.broken = true;
  world.run(200);
  CHECK(world.turn(0).phase == TurnPhase::Paused);
  CHECK(world.turn(0).step == 1);
  CHECK(world.restarts == std::vector<std::string>{"be-2"});
  CHECK(std::count_if(world.events.begin(), world.events.end(), [](const TurnEvent& e) { return e.warning; }) == 1);
  SUBCASE("resumed once it works") {
    world.broken = false;
    world.sets[Component::Backend].ready = 3;
    world.run(50);
    CHECK(world.turn(0).phase == TurnPhase::Paused);  // never by itself
    world.resume = "1";
    world.run(60);
    CHECK(world.done());
    CHECK(world.restarts.back() == "fe-0");
  }
  SUBCASE("a resume that is still there from before resumes nothing twice") {
    world.resume = "1";
    world.run(200);
    CHECK(world.turn(0).phase == TurnPhase::Paused);
    CHECK(world.restarts.size() == 1);
  }
  SUBCASE("the way back") {
    world.back = true;
    world.run(10);
    CHECK(world.done());
    CHECK(world.restarts == std::vector<std::string>{"be-2", "back be-2"});
  }
}

TEST_CASE("OnDelete waits for people and is not paused") {
  World world(upgrade());
  world.run(1);
  world.sets[Component::Backend].on_delete = true;
  world.sets[Component::Backend].updated = 0;
  for (int i = 0; i < 200; ++i) world.look();
  CHECK(world.turn(0).phase == TurnPhase::Rolling);
  CHECK(world.turn(0).waiting_for.find("OnDelete") != std::string::npos);
}

TEST_CASE("the way back: held parts at once, rolled parts in reverse, without the database") {
  World world(upgrade());
  while (world.restarts.size() < 5) world.run(1);  // backends and one frontend
  world.back = true;
  world.unwell = "the FE does not answer";
  const auto before = world.restarts.size();
  world.run(10);
  CHECK(world.done());
  const std::vector<std::string> back(world.restarts.begin() + static_cast<long>(before), world.restarts.end());
  CHECK(back == std::vector<std::string>{"back fe-2", "back be-0", "back be-1", "back be-2"});
  SUBCASE("and forward again") {
    world.back = false;
    world.unwell.clear();
    world.restarts.clear();
    world.run(60);
    CHECK(world.done());
    CHECK(world.restarts.front() == "be-2");
    CHECK(world.restarts.back() == "fe-0");
  }
}

TEST_CASE("what goes back is what has moved, or was let go, in whichever turn") {
  World world(upgrade());
  SUBCASE("a turn that is held for the second time, and whose pods moved in the first") {
    while (world.restarts.size() < 5) world.run(1);  // backends and one frontend
    world.back = true;
    world.look();
    world.back = false;
    world.look();
    CHECK(world.turn(1).phase == TurnPhase::Held);
    world.restarts.clear();
    world.back = true;
    world.run(10);
    CHECK(world.done());
    CHECK(world.restarts == std::vector<std::string>{"back fe-2", "back be-0", "back be-1", "back be-2"});
  }
  SUBCASE("a component whole, and at the first look that finds it back") {
    while (world.restarts.size() < 5) world.run(1);
    world.back = true;
    world.run(1);
    CHECK(world.turn(0).of == 1);
    CHECK(world.turn(0).phase == TurnPhase::Rolling);
    world.look();
    CHECK(world.turn(0).phase == TurnPhase::Done);
  }
  SUBCASE("a turn that was let go, and that the operator may be writing now") {
    world.look();
    world.back = true;
    world.look();
    CHECK(names(world.record.status.rollout.turns) == std::vector<std::string>{"fe", "be"});
    CHECK(world.turn(0).phase == TurnPhase::Done);
    CHECK(world.turn(1).phase == TurnPhase::Rolling);
  }
  SUBCASE("after all was let go") {
    world.record.status.rollout.back = true;
    world.sets[Component::Backend].image = "be:3.3.1";
    world.back = true;
    world.look();
    CHECK(names(world.record.status.rollout.turns) == std::vector<std::string>{"fe", "be"});
    CHECK(world.turn(0).phase == TurnPhase::Done);
    CHECK(world.turn(1).phase == TurnPhase::Rolling);
  }
  SUBCASE("also behind others of the same database that are ahead") {
    while (world.restarts.size() < 5) world.run(1);
    world.back = true;
    auto seen = world.seen();
    seen.ahead = "warehouse of wh rolls first";
    CHECK(next_move(world.record, seen).progress.turns[0].phase == TurnPhase::Rolling);
  }
}

TEST_CASE("in the middle of another rollout FEs go where what they have says, forward and back") {
  struct Row {
    const char* name;
    const char* from;
    const char* to;
    const char* frontends;  ///< Have this when it begins.
    std::vector<std::string> turns;
  };
  for (const Row& row : {Row{"down, FEs never went up", "3.3.2", "3.3.1", "3.3.0", {"be", "fe"}},
                         Row{"down, FEs went up", "3.3.2", "3.3.1", "3.3.2", {"fe", "be"}},
                         Row{"up, FEs are above", "3.3.0", "3.3.1", "3.3.2", {"fe", "be"}},
                         Row{"no version is told", "3.3.2", "3.3.1", "main", {"fe", "be"}}}) {
    CAPTURE(row.name);
    auto record = upgrade();
    for (auto& change : record.spec.changes) {
      const std::string component(to_string(change.component));
      change.from = component + ":" + row.from;
      change.to = component + ":" + row.to;
      record.spec.origins.push_back({change.component, component + ":3.3.0"});
    }
    World world(record);
    world.sets[Component::Frontend].image = std::string("fe:") + row.frontends;
    const auto turns = [&] { return names(world.record.status.rollout.turns); };
    world.look();
    CHECK(turns() == row.turns);
    // Back to 3.3.0 the FEs go first, from wherever they are above it.
    auto back = world;
    back.sets[Component::Frontend].image = "fe:3.3.1";
    back.back = true;
    back.look();
    CHECK(turns() == row.turns);
    CHECK(names(back.record.status.rollout.turns) == std::vector<std::string>{"fe", "be"});
    // And forward again as at first.
    world.back = true;
    world.look();
    world.back = false;
    world.look();
    CHECK(turns() == row.turns);
  }
}

TEST_CASE("an image of the metadata is asked for where FEs restart behind others, going forward") {
  const auto images = [](const World& world) {
    return std::count(world.restarts.begin(), world.restarts.end(), "create-image");
  };
  World alone(record_of({{Component::Frontend, "fe:3.3.0", "fe:3.3.1"}}));
  alone.run(30);
  CHECK(alone.done());
  CHECK(images(alone) == 0);
  World down(record_of({{Component::Frontend, "fe:3.3.1", "fe:3.3.0"}, {Component::Backend, "be:3.3.1", "be:3.3.0"}}));
  down.run(60);
  CHECK(down.done());
  CHECK(images(down) == 0);
  down.back = true;  // backends first, FEs behind them
  down.run(20);
  CHECK(down.done());
  CHECK(down.restarts.back() == "back fe-2");
  CHECK(images(down) == 0);
}

TEST_CASE("a pause: its end is a new value, and each step has its own time") {
  World world(upgrade());
  world.resume = "before";
  world.run(1);
  world.unwell = "not yet";
  const auto timeout = world.record.spec.rollout.step_timeout;
  world.now = world.turn(0).since.value() + timeout - seconds(10);
  world.look();
  CHECK(world.turn(0).phase == TurnPhase::Rolling);  // to the very end of its time
  world.look();
  CHECK(world.turn(0).phase == TurnPhase::Paused);
  SUBCASE("the annotation is taken away: that is no new value") {
    world.resume.clear();
    world.look();
    CHECK(world.turn(0).phase == TurnPhase::Paused);
  }
  SUBCASE("resumed, it has all its time again, and so has the next step") {
    world.resume = "again";
    world.look();
    CHECK(world.turn(0).phase == TurnPhase::Rolling);
    world.look();
    CHECK(world.turn(0).phase == TurnPhase::Rolling);
    world.now += timeout - seconds(60);
    world.unwell.clear();
    for (int i = 0; i < 5 && world.turn(0).step == 1; ++i) world.look();
    REQUIRE(world.turn(0).step == 2);
    world.unwell = "not yet";
    world.now += seconds(120);
    world.look();
    CHECK(world.turn(0).phase == TurnPhase::Rolling);
  }
  SUBCASE("the way back needs none") {
    world.back = true;
    world.look();
    world.look();
    CHECK(world.turn(1).phase != TurnPhase::Paused);
  }
}

TEST_CASE("a rollback that is slow does not keep back the others") {
  World world(upgrade());
  while (world.restarts.size() < 5) world.run(1);
  world.back = true;
  world.look();  // noticed
  world.look();  // the frontends may go
  world.sets[Component::Frontend].observed = false;
  for (int i = 0; i < 200; ++i) world.look();
  CHECK(world.turn(0).phase == TurnPhase::Done);
  CHECK(std::any_of(world.events.begin(), world.events.end(),
                    [](const TurnEvent& event) { return event.reason == "UpgradeRollbackSlow"; }));
}

TEST_CASE("an FE that leads and is not the last to restart is told of, once, and while it has not restarted") {
  struct Row {
    const char* name;
    const char* leads;
    int events;
    bool at_first, at_second;  ///< Shown in the FEs' first step, and in the second.
  };
  for (const Row& row : {Row{"the last", "sr-fe-0.sr-fe-search.db_9010_1", 0, false, false},
                         Row{"in the middle", "sr-fe-1.sr-fe-search.db_9010_1", 1, true, true},
                         Row{"the first", "sr-fe-2.sr-fe-search.db_9010_1", 1, true, false},
                         Row{"no pod of this cluster", "other-fe-2.sr-fe-search.db_9010_1", 0, false, false},
                         Row{"by address", "10.0.0.7_9010_1", 0, false, false},
                         Row{"scaled in", "sr-fe-7.sr-fe-search.db_9010_1", 0, false, false},
                         Row{"nobody leads", "", 0, false, false}}) {
    CAPTURE(row.name);
    World world(record_of({{Component::Frontend, "fe:3.3.0", "fe:3.3.1"}}));
    world.leads = row.leads;
    world.look();
    world.pass();
    world.unwell = "not yet";
    world.look();
    const auto noted = [&] {
      return world.turn(0).waiting_for.find("which restarts before sr-fe-0") != std::string::npos;
    };
    CHECK(world.turn(0).step == 1);
    CHECK(noted() == row.at_first);
    world.unwell.clear();
    while (world.turn(0).step == 1) world.run(1);
    world.unwell = "not yet";
    world.look();
    CHECK(world.turn(0).step == 2);
    CHECK(noted() == row.at_second);
    CHECK(std::count_if(world.events.begin(), world.events.end(), [](const TurnEvent& event) {
            return event.warning && event.reason == "UpgradeLeaderNotLast";
          }) == row.events);
  }
}

TEST_CASE("a rollout that took longer than it may leaves pods held where a turn was left") {
  auto record = upgrade();
  CHECK(leaves_held(record));  // not even planned
  record.status.rollout.turns = plan_turns(record.spec);
  CHECK(leaves_held(record));
  auto let_go = record;
  let_go.status.rollout.turns.clear();
  let_go.status.rollout.back = true;
  CHECK_FALSE(leaves_held(let_go));
  for (auto& turn : record.status.rollout.turns) turn.phase = TurnPhase::Done;
  CHECK_FALSE(leaves_held(record));
  record.status.rollout.turns.clear();
  record.spec.rollout.mode = RolloutMode::Operator;
  CHECK_FALSE(leaves_held(record));
}

TEST_CASE("a cluster and its warehouses roll in one order, whichever record a component belongs to") {
  auto cluster = upgrade();
  cluster.status.rollout.turns = plan_turns(cluster.spec);
  auto frontends = cluster;
  frontends.status.rollout.turns[0].phase = TurnPhase::Done;
  auto warehouse = record_of({{Component::Warehouse, "cn:3.3.0", "cn:3.3.1"}});
  warehouse.name = "wh-1";
  warehouse.spec.object = {"StarRocksWarehouse", "wh", "uid-wh"};
  auto rolls = warehouse;
  rolls.status.rollout.turns = plan_turns(rolls.spec);
  rolls.status.rollout.turns[0].phase = TurnPhase::Rolling;
  auto rolled = rolls;
  rolled.status.rollout.turns[0].phase = TurnPhase::Done;
  auto refused = warehouse;
  refused.status.stage = Stage::Prepared;
  auto held = refused;
  held.spec.rollout.admission = AdmissionMode::Hold;
  auto closed = rolls;
  closed.status.stage = Stage::Closed;
  auto failed = held;
  failed.status.phase = Phase::Failed;
  failed.status.outcome = Outcome::Failed;
  failed.status.stage = Stage::Closed;
  auto restoring = failed;
  restoring.status.stage = Stage::Restoring;
  auto failed_refused = failed;
  failed_refused.spec.rollout.admission = AdmissionMode::Refuse;
  auto taken_back = failed;
  taken_back.status.outcome = Outcome::Reverted;
  auto back = rolls;
  back.status.rollout.back = true;
  auto unled = rolls;
  unled.spec.rollout.mode = RolloutMode::Operator;
  auto bypassed = warehouse;
  bypassed.spec.bypass = Bypass{};
  auto expired = rolls;
  expired.spec.rollout.admission = AdmissionMode::Hold;
  expired.status.rollout.turns[0].phase = TurnPhase::Held;
  expired.status.outcome = Outcome::Expired;
  expired.status.stage = Stage::Restoring;
  auto frontends_roll = frontends;
  frontends_roll.status.rollout.turns[1].phase = TurnPhase::Rolling;
  auto down = record_of({{Component::Warehouse, "cn:3.3.1", "cn:3.3.0"}});
  down.spec.object = warehouse.spec.object;
  auto cluster_down =
      record_of({{Component::Frontend, "fe:3.3.1", "fe:3.3.0"}, {Component::Backend, "be:3.3.1", "be:3.3.0"}});
  struct Row {
    const char* name;
    Preparation mine;
    Preparation other;
    bool waits;
  };
  for (const Row& row : {Row{"BEs wait for nobody", cluster, rolls, false},
                         Row{"FEs wait for a warehouse that rolls", frontends, rolls, true},
                         Row{"not planned yet", frontends, warehouse, true},
                         Row{"not for one that is done", frontends, rolled, false},
                         Row{"not for one that is still refused", frontends, refused, false},
                         Row{"for one that is held", frontends, held, true},
                         Row{"not for one that gave up", frontends, closed, false},
                         Row{"for one that failed and is tried again", frontends, failed, true},
                         Row{"and restores meanwhile", frontends, restoring, true},
                         Row{"not for one that failed and was refused", frontends, failed_refused, false},
                         Row{"not for one that failed and was taken back", frontends, taken_back, false},
                         Row{"BEs do not wait for one that is tried again", cluster, failed, false},
                         Row{"not for one that goes back", frontends, back, false},
                         Row{"not for one that the operator rolls", frontends, unled, false},
                         Row{"not for one that goes the other way", frontends, down, false},
                         Row{"not for one that was let through unprepared", frontends, bypassed, false},
                         Row{"not for one that gave up and restores", frontends, expired, false},
                         Row{"FEs that roll go on", frontends_roll, rolls, false},
                         Row{"a warehouse waits for BEs", warehouse, cluster, true},
                         Row{"a warehouse waits for no FEs", warehouse, frontends, false},
                         Row{"down: a warehouse waits for FEs", down, cluster_down, true},
                         Row{"down: FEs wait for nobody", cluster_down, down, false},
                         Row{"a newer target of the same object is another story", frontends, cluster, false}}) {
    CAPTURE(row.name);
    CHECK(rolls_before(row.mine, {row.other}).empty() == !row.waits);
  }
  // Of several, whichever is not done.
  auto second = rolls;
  second.name = "wi-1";
  second.spec.object = {"StarRocksWarehouse", "wi", "uid-wi"};
  CHECK(rolls_before(frontends, {rolled, second}) == "warehouse of wi rolls first (wi-1)");
  CHECK(rolls_before(frontends, {second, rolled}) == "warehouse of wi rolls first (wi-1)");
  CHECK(rolls_before(frontends, {rolled, rolled}).empty());
  CHECK(rolls_before(warehouse, {second}).empty());  // one of the other warehouses

  World world(frontends);
  world.record.status.rollout.image_pushed = true;
  auto seen = world.seen();
  seen.ahead = rolls_before(frontends, {rolls});
  const auto move = next_move(world.record, seen);
  CHECK(move.progress.turns[1].phase == TurnPhase::Held);
  CHECK(move.progress.turns[1].waiting_for == "warehouse of wh rolls first (wh-1)");
}

TEST_CASE("nodes that came back are counted by start time and version") {
  auto record = upgrade();
  record.status.nodes_before = {{Component::Backend, "be-0", "t0", "3.3.0-a"},
                                {Component::Backend, "be-1", "t0", "3.3.0-a"}};
  const auto node = [](const char* name, const char* started, const char* version, bool alive = true) {
    return DatabaseNode{Component::Backend, name, alive, started, version, ""};
  };
  CHECK(nodes_renewed(record, Component::Backend, {node("be-0", "t0", "3.3.0-a"), node("be-1", "t0", "3.3.0-a")}) == 0);
  CHECK(nodes_renewed(record, Component::Backend, {node("be-0", "t1", "3.3.1-b"), node("be-1", "t0", "3.3.0-a")}) == 1);
  CHECK(nodes_renewed(record, Component::Backend, {node("be-0", "t1", "3.3.0-a")}) == 0);  // came back old
  CHECK(nodes_renewed(record, Component::Backend, {node("be-0", "t1", "3.3.1-b", false)}) == 0);
  CHECK(nodes_renewed(record, Component::ComputeNode, {node("be-0", "t1", "3.3.1-b")}) == 0);
  CHECK(nodes_renewed(record, Component::Backend, {node("be-0", "t0", "3.3.1-b")}) == 0);   // the old process
  record.status.nodes_before[0].version = record.status.nodes_before[1].version = "2.9.9";  // its tags say nothing
  CHECK(nodes_renewed(record, Component::Backend, {node("be-0", "t1", "2.9.10")}) == 1);
}

TEST_CASE("any story: no pod moves out of turn, and back or forward it ends") {
  for (unsigned story = 0; story < 600; ++story) {
    CAPTURE(story);  // the seed
    std::mt19937 random(story);
    const auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
    World world(upgrade(), 1 + static_cast<int>(random() % 3));
    for (int step = 0; step < 60; ++step) {
      if (chance(25)) world.back = !world.back;
      world.unwell = chance(6) ? "not well" : "";
      if (chance(12)) world.resume = std::to_string(step);
      if (chance(2)) world.look();
      if (chance(2)) world.pass();
      if (chance(5)) {  // killed: all that is left is the record as stored
        const auto read = preparation_from_json(to_json(world.record));
        REQUIRE_MESSAGE(read.ok(), read.error().message);
        CHECK(read->status.rollout == world.record.status.rollout);
        world.record.status.rollout = read->status.rollout;
      }
      // An FE is new only where every BE is.
      const auto& fe = world.old_pods[Component::Frontend];
      if (fe < world.sets[Component::Frontend].replicas) CHECK(world.old_pods[Component::Backend] == 0);
    }
    world.unwell.clear();
    world.run(1);  // the last change of direction is seen
    for (int step = 0; step < 80 && !world.done(); ++step) {
      world.resume = "end " + std::to_string(step);
      world.run(1);
    }
    world.run(2);
    const auto at_end = status_to_json(world.record).dump();
    CAPTURE(at_end);
    CHECK(world.done());
    for (const auto& [component, old] : world.old_pods) CHECK(old == (world.back ? world.sets[component].replicas : 0));
  }
}
