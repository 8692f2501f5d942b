#include "policy/record/conditions.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "policy/record/preparation_codec.hpp"

using namespace gate;

namespace {

const WallTime kCreated{std::chrono::seconds(1'700'000'000)};

WallTime at(int seconds) { return kCreated + std::chrono::seconds(seconds); }

Preparation new_record() {
  Preparation record;
  record.creation_time = kCreated;
  return record;
}

/// What Flux, Helm and `kubectl wait` make of an object (cli-utils' generic rules).
std::string kstatus_of(const nlohmann::json& status) {
  if (status.contains("observedGeneration") && status["observedGeneration"] != 1) return "InProgress";
  if (!status.contains("conditions")) return "Current";
  for (const auto& condition : status["conditions"]) {
    if (condition["type"] == "Reconciling" && condition["status"] == "True") return "InProgress";
    if (condition["type"] == "Stalled" && condition["status"] == "True") return "Failed";
  }
  for (const auto& condition : status["conditions"]) {
    if (condition["type"] == "Ready") return condition["status"] == "True" ? "Current" : "InProgress";
  }
  return "Current";
}

struct Stand {
  const char* name;
  std::function<void(Preparation&)> change;
  const char* kstatus;
  const char* reason;
  const char* message;  ///< Of Ready.
  int since;            ///< Of the one that holds, in seconds from the creation.
  int ready_since;
};

void complete(Preparation& record, int when) {
  record.status.phase = Phase::Completed;
  record.status.stage = Stage::Prepared;
  record.status.completion_time = at(when);
}

void admit(Preparation& record, int when) {
  record.status.stage = Stage::RollingOut;
  record.status.admitted_time = at(when);
}

void fail(Preparation& record, int when) {
  record.status.phase = Phase::Failed;
  record.status.outcome = Outcome::Failed;
  record.status.reason = "HookFailed";
  record.status.message = "hook look failed";
  record.status.completion_time = at(when);
}

void close(Preparation& record, Outcome outcome, int when) {
  record.status.outcome = outcome;
  record.status.stage = Stage::Closed;
  record.status.restore_pending = false;
  record.status.restored_time = at(when);
}

void pause(Preparation& record, int when) {
  Turn turn;
  turn.components = {Component::Backend};
  turn.phase = TurnPhase::Paused;
  turn.waiting_for = "be-1 is not alive";
  turn.since = at(when);
  record.status.rollout.turns = {turn};
}

const Stand kStands[] = {
    {"new", [](auto&) {}, "InProgress", "Preparing", "", 0, 0},
    {"its hooks run",
     [](auto& r) {
       r.status.phase = Phase::Running;
       r.status.start_time = at(1);
       r.status.message = "look runs";
     },
     "InProgress", "Preparing", "look runs", 0, 0},
    {"prepared, and nobody asks again", [](auto& r) { complete(r, 5); }, "Current", "Prepared", "", 5, 5},
    {"no longer true",
     [](auto& r) {
       complete(r, 5);
       r.status.phase = Phase::Pending;
       r.status.stage = Stage::Preparing;
       r.status.reopened_time = at(7);
     },
     "InProgress", "Preparing", "", 7, 7},
    {"admitted once it was prepared",
     [](auto& r) {
       complete(r, 5);
       admit(r, 9);
     },
     "InProgress", "RollingOut", "", 9, 9},
    {"held: admitted before, and never at rest",
     [](auto& r) {
       complete(r, 5);
       admit(r, 2);
     },
     "InProgress", "RollingOut", "", 0, 0},
    {"a paused rollout",
     [](auto& r) {
       complete(r, 5);
       admit(r, 9);
       pause(r, 12);
     },
     "Failed", "RolloutPaused", "be-1 is not alive", 12, 9},
    {"a turn that was paused when the rollout was given up",
     [](auto& r) {
       complete(r, 5);
       admit(r, 9);
       pause(r, 12);
       r.status.stage = Stage::Restoring;
       r.status.restoring_time = at(20);
     },
     "InProgress", "Restoring", "", 9, 9},
    {"restoring after the rollout",
     [](auto& r) {
       complete(r, 5);
       admit(r, 9);
       r.status.stage = Stage::Restoring;
       r.status.restore_pending = true;
       r.status.restoring_time = at(30);
     },
     "InProgress", "Restoring", "", 9, 9},
    {"let go unused",
     [](auto& r) {
       complete(r, 5);
       r.status.outcome = Outcome::Expired;
       r.status.stage = Stage::Restoring;
       r.status.restore_pending = true;
       r.status.restoring_time = at(30);
     },
     "InProgress", "Restoring", "", 30, 30},
    {"succeeded",
     [](auto& r) {
       complete(r, 5);
       admit(r, 9);
       r.status.rolled_out_time = at(30);
       close(r, Outcome::Succeeded, 31);
     },
     "Current", "Succeeded", "", 31, 31},
    {"closed, and a restore is left",
     [](auto& r) {
       complete(r, 5);
       admit(r, 9);
       close(r, Outcome::Succeeded, 31);
       r.status.restore_pending = true;
     },
     "InProgress", "Restoring", "", 9, 9},
    {"failed, restoring",
     [](auto& r) {
       fail(r, 4);
       r.status.stage = Stage::Restoring;
       r.status.restore_pending = true;
     },
     "Failed", "HookFailed", "hook look failed", 4, 0},
    {"failed and closed",
     [](auto& r) {
       fail(r, 4);
       close(r, Outcome::Failed, 6);
     },
     "Failed", "HookFailed", "hook look failed", 4, 0},
    {"failed, before its outcome was written",
     [](auto& r) {
       fail(r, 4);
       r.status.outcome = Outcome::None;
       r.status.reason.clear();
     },
     "Failed", "PreparationFailed", "hook look failed", 4, 0},
    {"cancelled",
     [](auto& r) {
       cancel(r.status, at(8), "the image is the old one again");
       close(r, Outcome::Reverted, 9);
     },
     "Current", "Reverted", "the image is the old one again", 9, 9},
    {"handed over to its successor",
     [](auto& r) {
       complete(r, 5);
       r.status.outcome = Outcome::Superseded;
       r.status.stage = Stage::Closed;
       r.status.restore_pending = true;
     },
     "Current", "Superseded", "", 5, 5},
    {"bypassed",
     [](auto& r) {
       r.spec.bypass = Bypass{"*", "the FE is down", std::nullopt};
       close(r, Outcome::Bypassed, 3);
     },
     "Current", "Bypassed", "the FE is down", 0, 0},
};

}  // namespace

TEST_CASE("where a record stands, as kstatus reads it") {
  for (const Stand& stand : kStands) {
    INFO(stand.name);
    auto record = new_record();
    stand.change(record);
    const auto status = status_to_json(record);
    CHECK(kstatus_of(status) == stand.kstatus);
    const auto list = conditions_of(record);
    std::map<std::string, Condition> by_type;
    for (const auto& condition : list) CHECK(by_type.emplace(condition.type, condition).second);  // each type once
    REQUIRE(by_type.contains("Ready"));
    CHECK(by_type.at("Ready").reason == stand.reason);
    CHECK(by_type.at("Ready").message == stand.message);
    CHECK(by_type.at("Ready").since == at(stand.ready_since));
    int holding = 0;
    for (const char* type : {"Ready", "Reconciling", "Stalled"}) {
      INFO(type);
      const auto& condition = by_type.at(type);
      if (!condition.holds) continue;
      ++holding;
      CHECK(condition.since == at(stand.since));
      CHECK(condition.message == stand.message);
    }
    CHECK(holding == 1);
  }
}

TEST_CASE("what the API server wants of conditions: a time and a reason on each, and who observed what") {
  auto record = new_record();
  record.creation_time.reset();
  CHECK(conditions_of(record).empty());  // nothing has happened to it yet
  CHECK(status_to_json(record)["observedGeneration"] == 1);
  for (const Stand& stand : kStands) {
    INFO(stand.name);
    auto stored = new_record();
    stand.change(stored);
    const auto status = status_to_json(stored);
    for (const auto& condition : status.at("conditions")) {
      CHECK(condition["observedGeneration"] == 1);
      CHECK_FALSE(condition["reason"].get<std::string>().empty());
      CHECK(parse_time(condition["lastTransitionTime"].get<std::string>()));
    }
  }
}

TEST_CASE("a record from before there were these conditions, and one that the API server has just made, are read") {
  auto record = new_record();
  record.name = "sr-0123456789-1";
  record.name_space = "db";
  record.spec.cluster = record.spec.object.name = "sr";
  record.spec.object.kind = "StarRocksCluster";
  record.spec.object.uid = "u";
  complete(record, 5);
  auto old = to_json(record);
  old["status"].erase("observedGeneration");
  old["status"].erase("conditions");
  const auto read = preparation_from_json(old);
  REQUIRE_MESSAGE(read, read.error().message);
  CHECK(read->status == record.status);
  old["status"] = {{"observedGeneration", -1}};  // the CRD's default
  const auto created = preparation_from_json(old);
  REQUIRE_MESSAGE(created, created.error().message);
  CHECK(created->status == PreparationStatus{});
  CHECK(kstatus_of(old["status"]) == "InProgress");
}
