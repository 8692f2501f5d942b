// Goal: tools that read nothing but a cluster's status never take an upgrade that is held, under way or stuck for done,
// and a cluster that asks for nothing has nothing of ours in its status.

#include "policy/rollout/cluster_conditions.hpp"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

using namespace gate;
using nlohmann::json;

namespace {

const WallTime kNow = *parse_time("2026-01-02T03:04:05Z");

json cluster(const std::string& image, const json& status = {{"phase", "running"}}) {
  return {{"kind", "StarRocksCluster"},
          {"metadata", {{"name", "sr"}, {"uid", "uid-1"}, {"generation", 7}}},
          {"spec", {{"starRocksBeSpec", {{"image", image}}}}},
          {"status", status}};
}

Preparation record(Phase phase, Stage stage, Outcome outcome = Outcome::None) {
  Preparation out;
  out.name = "sr-1";
  out.name_space = "db";
  out.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  out.spec.cluster = "sr";
  out.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  out.status.phase = phase;
  out.status.stage = stage;
  out.status.outcome = outcome;
  out.status.message = "what the record says";
  return out;
}

Preparation on_hold(Preparation out) {
  out.spec.rollout.admission = AdmissionMode::Hold;
  return out;
}

Preparation led(TurnPhase phase, int partition = 1, bool back = false) {
  auto out = record(Phase::Completed, Stage::RollingOut);
  out.spec.rollout.mode = RolloutMode::Stepwise;
  out.status.rollout.back = back;
  out.status.rollout.turns = {Turn{{Component::Backend}, phase, 2, 3, partition, "1 of 3 pods ready", {}, 0}};
  return out;
}

Preparation expired_while_held() {
  auto out = led(TurnPhase::Paused);
  out.status.stage = Stage::Closed;
  out.status.outcome = Outcome::Expired;
  return out;
}

Preparation of(Preparation out, const std::string& kind, const std::string& uid) {
  out.spec.object.kind = kind;
  out.spec.object.uid = uid;
  return out;
}

Preparation admitted(Preparation out) {
  out.status.admitted_time = kNow;
  return out;
}

Preparation bypassed(Preparation out) {
  out.spec.bypass.emplace();
  return out;
}

/// By type: "True Reason".
std::map<std::string, std::string> said(const json& fields) {
  std::map<std::string, std::string> out;
  for (const auto& condition : fields.at("conditions")) {
    out[condition.at("type")] = condition.at("status").get<std::string>() + " " + condition.value("reason", "");
  }
  return out;
}

using Said = std::map<std::string, std::string>;

Said goes_on(const std::string& reason, bool held) {
  Said out{{"Ready", "False " + reason}, {"Reconciling", "True " + reason}};
  if (held) out["UpgradeHeld"] = "True " + reason;
  return out;
}

Said stuck(const std::string& reason) {
  return {{"Ready", "False " + reason}, {"Stalled", "True " + reason}, {"UpgradeHeld", "True " + reason}};
}

const Said kReady{{"Ready", "True Running"}};

}  // namespace

TEST_CASE("what the conditions say of each state") {
  struct Row {
    const char* name;
    json object;
    std::vector<Preparation> records;
    Said conditions;
  };
  const auto old_image = cluster("be:1");
  const auto new_image = cluster("be:2");
  const std::vector<Row> rows{
      {"peace", old_image, {}, kReady},
      {"no word of the operator yet", cluster("be:1", json::object()), {}, {{"Ready", "False NotReported"}}},
      {"no status at all", cluster("be:1", nullptr), {}, {{"Ready", "False NotReported"}}},
      {"the operator works", cluster("be:1", {{"phase", "reconciling"}}), {}, {{"Ready", "False OperatorReconciling"}}},
      {"the operator failed", cluster("be:1", {{"phase", "failed"}}), {}, {{"Ready", "False OperatorFailed"}}},
      {"refused, hooks run", old_image, {record(Phase::Running, Stage::Preparing)}, kReady},
      {"refused, prepared", old_image, {record(Phase::Completed, Stage::Prepared)}, kReady},
      {"refused, failed", old_image, {record(Phase::Failed, Stage::Restoring, Outcome::Failed)}, kReady},
      {"admitted, not noted yet", new_image, {record(Phase::Completed, Stage::Prepared)}, goes_on("RollingOut", false)},
      {"rolling", new_image, {record(Phase::Completed, Stage::RollingOut)}, goes_on("RollingOut", false)},
      {"rolled out, settings not restored",
       new_image,
       {admitted(record(Phase::Completed, Stage::Restoring, Outcome::Succeeded))},
       goes_on("RestoringSettings", false)},
      {"rolled out", new_image, {record(Phase::Completed, Stage::Closed, Outcome::Succeeded)}, kReady},
      {"rolling back",
       old_image,
       {admitted(record(Phase::Completed, Stage::RollingOut))},
       goes_on("RollingBack", false)},
      {"rolled back, settings not restored",
       old_image,
       {admitted(record(Phase::Completed, Stage::Restoring, Outcome::Reverted))},
       goes_on("RestoringSettings", false)},
      {"rolled back", old_image, {record(Phase::Completed, Stage::Closed, Outcome::Reverted)}, kReady},
      {"held, queued", new_image, {on_hold(record(Phase::Pending, Stage::Preparing))}, goes_on("Preparing", true)},
      {"held, hooks run", new_image, {on_hold(record(Phase::Running, Stage::Preparing))}, goes_on("Preparing", true)},
      {"held, a hook failed",
       new_image,
       {on_hold(record(Phase::Failed, Stage::Restoring, Outcome::Failed))},
       goes_on("HookFailed", true)},
      {"held, failed, before the next attempt",
       new_image,
       {on_hold(record(Phase::Failed, Stage::Closed, Outcome::Failed))},
       goes_on("HookFailed", true)},
      {"held, an earlier attempt failed and the next runs",
       new_image,
       {on_hold(record(Phase::Running, Stage::Preparing)),
        on_hold(record(Phase::Failed, Stage::Closed, Outcome::Failed))},
       goes_on("Preparing", true)},
      {"held, an earlier attempt failed and the next has rolled out",
       new_image,
       {on_hold(record(Phase::Completed, Stage::Closed, Outcome::Succeeded)),
        on_hold(record(Phase::Failed, Stage::Closed, Outcome::Failed))},
       kReady},
      {"hold taken back", old_image, {on_hold(record(Phase::Failed, Stage::Closed, Outcome::Failed))}, kReady},
      {"its turn has not come", new_image, {led(TurnPhase::Held)}, goes_on("RolloutLed", true)},
      {"a step of several", new_image, {led(TurnPhase::Rolling)}, goes_on("RolloutLed", true)},
      {"the last step of the last turn", new_image, {led(TurnPhase::Rolling, 0)}, goes_on("RolloutLed", false)},
      {"paused", new_image, {led(TurnPhase::Paused)}, stuck("RolloutPaused")},
      {"paused, and taken back", old_image, {led(TurnPhase::Held, 0, true)}, goes_on("RollingBack", false)},
      {"left held by a rollout that took too long", new_image, {expired_while_held()}, stuck("RolloutExpired")},
      {"the same, taken back", old_image, {expired_while_held()}, kReady},
      {"paused beside a candidate",
       new_image,
       {record(Phase::Running, Stage::Preparing), led(TurnPhase::Paused)},
       stuck("RolloutPaused")},
      {"somebody else's object", new_image, {of(led(TurnPhase::Paused), "StarRocksCluster", "uid-2")}, kReady},
      {"a warehouse of the cluster", new_image, {of(led(TurnPhase::Paused), "StarRocksWarehouse", "uid-1")}, kReady},
      {"bypassed", new_image, {bypassed(record(Phase::Pending, Stage::Preparing))}, kReady},
      {"superseded", new_image, {record(Phase::Completed, Stage::Restoring, Outcome::Superseded)}, kReady},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    const auto fields = condition_fields(row.object, row.records, true, kNow);
    REQUIRE(fields.is_object());
    CHECK(said(fields) == row.conditions);
    CHECK(fields.at("observedGeneration") == 7);
    for (const auto& condition : fields.at("conditions")) {
      CHECK(condition.at("observedGeneration") == 7);
      CHECK(condition.at("lastTransitionTime") == format_time(kNow));
      CHECK_FALSE(condition.at("message").get<std::string>().empty());
    }
    // Written once, they are true, also a moment later.
    auto after = row.object;
    after["status"].merge_patch(fields);
    CHECK(condition_fields(after, row.records, true, kNow + std::chrono::seconds(5)).is_null());
  }
}

TEST_CASE("what was left held says what to do, and doing it lets go whatever asked for the rollout") {
  const auto record = expired_while_held();
  const auto fields = condition_fields(cluster("be:2"), {record}, true, kNow);
  const auto message = fields.at("conditions").at(0).at("message").get<std::string>();
  for (const char* part :
       {"apply the old images", "starrocks.com/upgrade-rollout=operator", "starrocks.com/upgrade-admission=refuse"}) {
    CHECK_MESSAGE(message.find(part) != std::string::npos, message);
  }
  auto unplanned = record;
  unplanned.status.rollout.turns.clear();
  CHECK_FALSE(condition_fields(cluster("be:2"), {unplanned}, true, kNow).at("conditions").at(0).at("reason") ==
              "Running");
}

TEST_CASE("a time of transition stays until the status changes, and foreign conditions stay altogether") {
  auto object = cluster("be:2");
  object["status"]["conditions"] = {
      {{"type", "BackedUp"}, {"status", "True"}, {"of", "somebody"}},
      {{"type", "Ready"}, {"status", "False"}, {"lastTransitionTime", "2026-01-01T00:00:00Z"}},
      {{"type", "Stalled"}, {"status", "True"}, {"lastTransitionTime", "2026-01-01T00:00:00Z"}}};
  const auto fields = condition_fields(object, {led(TurnPhase::Rolling)}, true, kNow);
  REQUIRE(fields.at("conditions").size() == 4);
  CHECK(fields["conditions"][0] == object["status"]["conditions"][0]);
  CHECK(fields["conditions"][1].at("type") == "Ready");
  CHECK(fields["conditions"][1].at("lastTransitionTime") == "2026-01-01T00:00:00Z");
  CHECK(fields["conditions"][2].at("type") == "Reconciling");
  CHECK(fields["conditions"][2].at("lastTransitionTime") == format_time(kNow));
}

TEST_CASE("another generation alone is told; it is what tools wait for") {
  auto object = cluster("be:1");
  object["status"].merge_patch(condition_fields(object, {}, true, kNow));
  object["metadata"]["generation"] = 8;
  const auto fields = condition_fields(object, {}, true, kNow);
  REQUIRE(fields.is_object());
  CHECK(fields.at("observedGeneration") == 8);
  CHECK(fields.at("conditions").at(0).at("observedGeneration") == 8);
}

TEST_CASE("a cluster that does not ask has nothing of ours, and what is not ours is left") {
  auto object = cluster("be:1");
  CHECK(condition_fields(object, {}, false, kNow).is_null());
  object["status"].merge_patch(condition_fields(object, {}, true, kNow));
  auto fields = condition_fields(object, {}, false, kNow);
  CHECK(fields == json{{"conditions", nullptr}, {"observedGeneration", nullptr}});
  object["status"]["conditions"].push_back({{"type", "BackedUp"}, {"status", "True"}});
  fields = condition_fields(object, {}, false, kNow);
  REQUIRE(fields.at("conditions").size() == 1);
  object["status"].merge_patch(fields);
  object["status"]["observedGeneration"] = 3;
  CHECK(condition_fields(object, {}, false, kNow).is_null());
}

TEST_CASE("no list becomes longer than the CRD takes, and others' conditions are never cut for ours") {
  const auto with_foreign = [](std::size_t count) {
    auto object = cluster("be:2");
    for (std::size_t i = 0; i < count; ++i) {
      object["status"]["conditions"].push_back({{"type", "Of" + std::to_string(i)}, {"status", "True"}});
    }
    return object;
  };
  const auto last_of = [&](std::size_t foreign) {
    auto object = with_foreign(foreign);
    const auto fields = condition_fields(object, {led(TurnPhase::Rolling)}, true, kNow);
    REQUIRE(fields.at("conditions").size() <= kConditionsMax);
    for (std::size_t i = 0; i < foreign; ++i) CHECK(fields["conditions"][i] == object["status"]["conditions"][i]);
    object["status"].merge_patch(fields);
    CHECK(condition_fields(object, {led(TurnPhase::Rolling)}, true, kNow).is_null());
    return fields["conditions"].back().at("type");
  };
  CHECK(last_of(kConditionsMax - 3) == "UpgradeHeld");
  CHECK(last_of(kConditionsMax - 2) == "Reconciling");
  CHECK(last_of(kConditionsMax - 1) == "Ready");
  for (const std::size_t foreign : {kConditionsMax, kConditionsMax + 1}) {
    for (const bool asks : {true, false}) {
      CHECK(condition_fields(with_foreign(foreign), {led(TurnPhase::Rolling)}, asks, kNow).is_null());
    }
  }
}

TEST_CASE("objects of any shape") {
  for (const json& odd : {json(), json("x"), json::array(), json{{"metadata", 1}, {"status", 2}},
                          json{{"status", {{"conditions", "x"}, {"observedGeneration", {}}}}},
                          json{{"status", {{"conditions", {1, "x", nullptr, json::object()}}}}}}) {
    CAPTURE(odd.dump());
    CHECK(condition_fields(odd, {led(TurnPhase::Paused)}, true, kNow).is_object());
    CHECK(condition_fields(odd, {led(TurnPhase::Paused)}, false, kNow).is_null());
  }
}
