// Goal: a record survives its way through JSON, and its identity changes with everything that it stands for.

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "policy/record/preparation_codec.hpp"

using namespace gate;

namespace {

const WallTime kTime{std::chrono::seconds(1'800'000'000)};

Preparation full_record() {
  Preparation record;
  record.name = "sr-0123456789-2";
  record.name_space = "prod";
  record.uid = "u";
  record.resource_version = "42";
  record.creation_time = kTime;
  record.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  record.spec.cluster = "sr";
  record.spec.attempt = 2;
  record.spec.changes = {{Component::Frontend, "fe:1.0.0", "fe:1.0.1"}, {Component::ComputeNode, "cn:1", "cn:2"}};
  const std::chrono::seconds half_minute{30};
  Hook set{"disable-balancer", SqlAction{"ADMIN SET ...", ConfigSetting{"disable_balance", "true"}}, true, half_minute};
  Hook plain{"image", SqlAction{"ALTER SYSTEM CREATE IMAGE", std::nullopt}, false};
  Hook alive{"alive", ProbeAction{Probe::BackendsAlive}};
  Hook lag{"lag", QueryAction{"SHOW PROC '/x'", "Lag", Comparison::LessOrEqual, "10", std::chrono::seconds(7)}};
  lag.retries = 2;
  lag.group = "looks";
  lag.run_mode = "shared_nothing";
  Hook ask{"ask", HttpAction{"https://a.example/ok", "PEM", "token", "key", std::chrono::seconds(9)}};
  ask.restore = RestoreMode::Statement;
  ask.restore_sql = "ADMIN SHOW FRONTEND CONFIG";
  Hook shell{"shell", ScriptAction{"pre_upgrade() { :; }", true}};
  shell.restore = RestoreMode::None;
  record.spec.hooks = {set, plain, alive, lag, ask, shell};
  record.spec.mode = PreparationMode::Verify;
  record.spec.requested_by = {
      "alice", {"dev", "ops"}, "request-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
  record.spec.supersedes = "sr-older-1";
  record.spec.retry_token = "monday";
  record.spec.asked_before = true;
  record.spec.bypass = Bypass{"*", "disk full", kTime};
  record.status.phase = Phase::Failed;
  record.status.reason = "CriticalHookFailed";
  record.status.message = "because";
  record.status.stage = Stage::Restoring;
  record.status.outcome = Outcome::Failed;
  record.status.hooks = {{"disable-balancer", HookPhase::Failed, 3, kTime, kTime, "why"},
                         {"image", HookPhase::Pending, 0, {}, {}, ""}};
  record.status.captured = {{"tablet_sched_disable_balance", "false", "true"}};
  record.status.undo = {{"shell", "", "post_upgrade() { :; }", half_minute},
                        {"ask", "SHOW FRONTENDS", "", half_minute}};
  record.status.restore_pending = true;
  record.status.taken_over = true;
  record.status.start_time = record.status.completion_time = record.status.admitted_time = kTime;
  record.status.rolled_out_time = record.status.restored_time = kTime;
  record.status.restoring_time = record.status.reopened_time = kTime;
  record.status.nodes_before = {{Component::Frontend, "fe-0", "2026-01-02 03:04:05", "3.3.1-1f1aa9c"}};
  record.status.rollout.turns = {
      {{Component::Backend}, TurnPhase::Done, 2, 2, 0, "", kTime, 1, kTime, kTime + half_minute}};
  record.status.runner = {"pod-1", kTime};
  return record;
}

}  // namespace

TEST_CASE("a record is the same after its way through JSON") {
  const auto record = full_record();
  const auto back = preparation_from_json(nlohmann::json::parse(to_json(record).dump()));
  REQUIRE(back.ok());
  CHECK(back->name == record.name);
  CHECK(back->name_space == record.name_space);
  CHECK(back->uid == record.uid);
  CHECK(back->resource_version == record.resource_version);
  CHECK(back->creation_time == record.creation_time);
  CHECK(back->spec == record.spec);
  CHECK(back->status == record.status);
}

TEST_CASE("a fresh object without a status is a pending one") {
  auto object = to_json(full_record());
  object.erase("status");
  object["futureField"] = 1;
  const auto back = preparation_from_json(object);
  REQUIRE(back.ok());
  CHECK(back->status == PreparationStatus{});
}

TEST_CASE("a damaged object is refused by the name of the field, never by an exception") {
  struct Row {
    const char* name;
    const char* pointer;
    nlohmann::json value;
    const char* expected;
  };
  for (const Row& row :
       {Row{"spec is text", "/spec", "x", "UpgradePreparation.spec: expected an object"},
        Row{"attempt is text", "/spec/attempt", "x", "spec.attempt: expected an integer"},
        Row{"unknown component", "/spec/changes/0/component", "xx", "changes[0].component"},
        Row{"hooks is an object", "/spec/hooks", nlohmann::json::object(), "spec.hooks: expected an array"},
        Row{"unknown phase", "/status/phase", "Odd", "status.phase: expected a known value, not \"Odd\""},
        Row{"bad time", "/status/startTime", "yesterday", "status.startTime: expected an RFC 3339 time"},
        Row{"no name", "/metadata/name", 7, "metadata.name: expected a string"}}) {
    INFO(row.name);
    auto object = to_json(full_record());
    object[nlohmann::json::json_pointer(row.pointer)] = row.value;
    const auto back = preparation_from_json(object);
    REQUIRE_FALSE(back.ok());
    CHECK(back.error().message.find(row.expected) != std::string::npos);
  }
  CHECK_FALSE(preparation_from_json(nlohmann::json::array()).ok());
  CHECK_FALSE(preparation_from_json(nullptr).ok());
}

TEST_CASE("the key stands for object, changes and hooks, and for nothing else") {
  const auto spec = full_record().spec;
  const auto key = preparation_key(spec);
  CHECK(key.size() == 10);
  auto other = spec;
  other.attempt = 9;
  other.requested_by.username = "bob";
  other.supersedes.clear();
  CHECK(preparation_key(other) == key);
  SUBCASE("object") { other.object.uid = "uid-2"; }
  SUBCASE("from") { other.changes[0].from = "x"; }
  SUBCASE("to") { other.changes[0].to = "x"; }
  SUBCASE("component") { other.changes[0].component = Component::Backend; }
  SUBCASE("hook order") { std::swap(other.hooks[0], other.hooks[1]); }
  SUBCASE("hook SQL") { std::get<SqlAction>(other.hooks[0].action).sql += " "; }
  SUBCASE("hook timeout") { other.hooks[0].timeout += std::chrono::seconds(1); }
  SUBCASE("criticality") { other.hooks[0].critical = false; }
  CHECK(preparation_key(other) != key);
}

TEST_CASE("a record's name is a valid object name however long the cluster's is") {
  CHECK(preparation_name("sr", "0123456789", 1) == "sr-0123456789-1");
  const auto name = preparation_name(std::string(240, 'a') + "." + std::string(12, 'b'), "0123456789", 12);
  CHECK(name.size() <= 253);
  CHECK(name.find(".-") == std::string::npos);
  CHECK(name.substr(name.size() - 14) == "-0123456789-12");
}

TEST_CASE("the back-off after a failure doubles and is capped") {
  auto record = full_record();
  const FailureBackoff backoff{std::chrono::seconds(30), std::chrono::seconds(100)};
  for (const auto& [attempt, delay] : {std::pair{1, 30}, std::pair{2, 60}, std::pair{3, 100}, std::pair{50, 100}}) {
    record.spec.attempt = attempt;
    CHECK(next_attempt_time(record, backoff) == kTime + std::chrono::seconds(delay));
  }
}

TEST_CASE("the printer columns tell progress, the blocking hook and the versions") {
  const auto status = status_to_json(full_record());
  CHECK(status["progress"] == "0/6");
  auto skipping = full_record();
  skipping.status.hooks[1].phase = HookPhase::Skipped;
  CHECK(status_to_json(skipping)["progress"] == "1/6");  // nothing is left to do for it
  CHECK(status["blocking"] == "disable-balancer");
  CHECK(status["from"] == "fe 1.0.0, cn 1");
  CHECK(status["to"] == "fe 1.0.1, cn 2");
  CHECK(status["failedHooks"] == nlohmann::json::array({"disable-balancer"}));
}

TEST_CASE("conditions say what holds, why, and since when; the time moves only with the status") {
  const auto created = kTime;
  const auto later = kTime + std::chrono::seconds(100);
  struct Row {
    const char* name;
    std::function<void(Preparation&)> change;
    const char* type;
    const char* status;
    const char* reason;
    WallTime since;
  };
  for (const Row& row : {
           Row{"new", [](auto&) {}, "Prepared", "False", "Pending", created},
           Row{"started",
               [&](auto& r) {
                 r.status.phase = Phase::Running;
                 r.status.start_time = later;
               },
               "Prepared", "False", "Running", created},
           Row{"completed",
               [&](auto& r) {
                 r.status.phase = Phase::Completed;
                 r.status.completion_time = later;
               },
               "Prepared", "True", "Completed", later},
           Row{"no longer true",
               [&](auto& r) {
                 r.status.phase = Phase::Pending;
                 r.status.reopened_time = later;
               },
               "Prepared", "False", "Pending", later},
           Row{"pending while it is needed",
               [&](auto& r) {
                 r.status.restore_pending = true;
                 r.status.stage = Stage::RollingOut;
                 r.status.start_time = later;
               },
               "RestoreOwed", "True", "HeldForRollout", later},
           Row{"pending and due",
               [&](auto& r) {
                 r.status.restore_pending = true;
                 r.status.stage = Stage::Restoring;
                 r.status.start_time = r.status.restoring_time = later;
               },
               "RestoreOwed", "True", "Due", later},
           Row{"restored",
               [&](auto& r) {
                 r.status.stage = Stage::Closed;
                 r.status.restored_time = later;
               },
               "RestoreOwed", "False", "NothingToRestore", later},
           Row{"restored", [&](auto& r) { r.status.restored_time = later; }, "Restored", "True", "Restored", later},
           Row{"bypassed",
               [&](auto& r) {
                 r.spec.bypass = Bypass{"*", "x", later};
               },
               "Bypassed", "True", "Bypassed", created},
       }) {
    INFO(row.name);
    Preparation record;
    record.creation_time = created;
    row.change(record);
    bool found = false;
    const auto status = status_to_json(record);
    for (const auto& condition : status.at("conditions")) {
      CHECK(condition.at("observedGeneration") == 1);
      CHECK_FALSE(condition.at("reason").get<std::string>().empty());
      if (condition.at("type") != row.type) continue;
      found = true;
      CHECK(condition.at("status") == row.status);
      CHECK(condition.at("reason") == row.reason);
      CHECK(condition.at("lastTransitionTime") == format_time(row.since));
    }
    CHECK(found);
  }
}

TEST_CASE("a restore is due from the end of the rollout, or of the preparation that failed") {
  Preparation record;
  record.status.restore_pending = true;
  record.status.completion_time = kTime;
  record.status.stage = Stage::RollingOut;
  CHECK_FALSE(restore_due_since(record));
  record.status.stage = Stage::Restoring;
  CHECK(restore_due_since(record) == kTime);
  record.status.restoring_time = kTime + std::chrono::seconds(5);
  CHECK(restore_due_since(record) == record.status.restoring_time);
  record.status.restore_pending = false;
  CHECK_FALSE(restore_due_since(record));
}
