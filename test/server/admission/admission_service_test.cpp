// Reviews from bytes to bytes: records in memory, a controller at work, FEs on sockets.

#include "server/admission/admission_service.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "test/server/admission/admission_gate.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

TEST_CASE("hooks that are quick are run within one review") {
  Gate gate;
  const auto response = gate.review(upgrade());
  REQUIRE_MESSAGE(response.at("allowed") == true, response.dump());
  CHECK(gate.world.config() == "0");
  REQUIRE(gate.records().size() == 1);
  const auto record = gate.records().front();
  CHECK(record.status.phase == Phase::Completed);
  CHECK(record.spec.requested_by == RequestedBy{"alice", {"developers"}, "uid-of-review"});
  CHECK(record.spec.object == ObjectRef{"StarRocksCluster", "sr", "uid-sr"});
  CHECK(gate.decisions == std::vector<std::string>{"allowed-prepared"});
}

TEST_CASE("hooks that take longer deny as running; the repeated request is allowed, on one record") {
  Gate gate(200ms);
  gate.world.simulator.hang("ADMIN SET");
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("code") == 403);
  CHECK(denied.at("status").at("reason") == "UpgradePreparationRunning");
  CHECK(message_of(denied).find("fe") != std::string::npos);
  gate.world.simulator.clear_faults();
  REQUIRE(gate.world.signal.eventually([&] { return gate.records().front().status.stage == Stage::Prepared; }));
  const auto allowed = gate.review(upgrade());
  CHECK_MESSAGE(allowed.at("allowed") == true, allowed.dump());
  CHECK(gate.records().size() == 1);
}

TEST_CASE("a failed critical hook denies with its cause") {
  Gate gate;
  gate.world.simulator.fail("ADMIN SET", {1064, "42000", "the FE says no"});
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("reason") == "UpgradePreparationFailed");
  CHECK(message_of(denied).find("the FE says no") != std::string::npos);
}

TEST_CASE("a prepared record whose setting was lost is prepared again before it admits") {
  Gate gate;
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  gate.world.simulator.frontend(0).set_config(kScheduling, "10");
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  CHECK(gate.world.config() == "0");
  CHECK(gate.records().size() == 1);
  CHECK(gate.records().front().status.captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
}

FrontendSimulatorOptions running(const std::string& version) {
  FrontendSimulatorOptions options;
  options.version = version;
  return options;
}

bool asked(Gate& gate, const std::string& sql) {
  const auto statements = gate.world.simulator.statements();
  return std::any_of(statements.begin(), statements.end(), [&](const auto& seen) { return seen.sql == sql; });
}

TEST_CASE("what an admission has read of its cluster is not read again for the questions to its FE") {
  Gate gate(kAmple, running("3.4.2"), VersionPolicy::Enforce);
  REQUIRE(gate.review(review_of(configured("fe:latest"), configured("fe:3.5.3"))).at("allowed") == false);
  CHECK(gate.records().empty());  // so that nobody else has asked
  CHECK(gate.world.clusters.handed_over() == gate.world.clusters.object());
}

TEST_CASE("a login that is limited to one session is the hooks' while the review waits for them") {
  auto options = running("3.4.2");
  options.max_user_connections = 1;
  Gate gate(kAmple, options, VersionPolicy::Enforce);  // asks the FE before the hooks do
  CHECK(gate.review(review_of(configured("fe:latest"), configured("fe:3.4.3"))).at("allowed") == true);
  CHECK(gate.world.config() == "0");
}

TEST_CASE("a way between versions is judged by what the FE says, though the tag says latest") {
  Gate gate(kAmple, running("3.4.2"));
  const auto response = gate.review(review_of(configured("fe:latest"), configured("fe:3.5.3")));
  REQUIRE_MESSAGE(response.at("allowed") == true, response.dump());
  const auto warnings = response.at("warnings").dump();
  CHECK(warnings.find("fe runs 3.4.2, its image says latest; judged by what runs") != std::string::npos);
  CHECK(warnings.find("from 3.4.10, or SET GLOBAL cbo_enable_low_cardinality_optimize=false") != std::string::npos);
  CHECK(warnings.find("be 3.4.2 would be older than fe 3.5.3") != std::string::npos);
  for (const char* sql : {"SHOW FRONTENDS", "SHOW BACKENDS", "SHOW COMPUTE NODES"}) CHECK(asked(gate, sql));
}

TEST_CASE("policy enforce: a forbidden way is denied before anything is written or set") {
  Gate gate(kAmple, running("3.4.2"), VersionPolicy::Enforce);
  const auto denied = gate.review(review_of(configured("fe:latest"), configured("fe:4.0.1")));
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("code") == 403);
  CHECK(denied.at("status").at("reason") == "UpgradePathForbidden");
  CHECK(message_of(denied).find("fe 3.4.2 -> 4.0.1 skips minor versions; accepted: 3.5 next") != std::string::npos);
  CHECK(gate.records().empty());
  CHECK(gate.world.config() == kSchedulingDefault);
}

TEST_CASE("policy enforce: without an FE the tags count") {
  Gate gate(kAmple, running("3.4.2"), VersionPolicy::Enforce);
  gate.world.simulator.stop(0);
  const auto denied = gate.review(review_of(configured("fe:3.2.9"), configured("fe:3.4.12")));
  CHECK(denied.at("status").at("reason") == "UpgradePathForbidden");
  CHECK(message_of(denied).find("fe 3.2.9 -> 3.4.12 skips minor versions; accepted: 3.3 next") != std::string::npos);
}

TEST_CASE("policy enforce: what was begun may go back whatever the versions") {
  Gate gate(kAmple, running("3.4.12"), VersionPolicy::Enforce);
  gate.world.simulator.set_backends({{"be-0", true, "3.5.3"}});
  REQUIRE(gate.review(review_of(configured("fe:3.4.12"), configured("fe:3.5.3"))).at("allowed") == true);
  gate.world.simulator.set_frontend_version(0, "3.5.3");
  const auto back = gate.review(review_of(configured("fe:3.5.3"), configured("fe:3.4.12")));
  CHECK(back.at("allowed") == true);
  CHECK(gate.decisions.back() == "allowed-revert");
}

TEST_CASE("policy off: no version is judged") {
  Gate gate(kAmple, running("3.4.2"), VersionPolicy::Off);
  const auto response = gate.review(review_of(configured("fe:3.2.9"), configured("fe:3.5.3")));
  CHECK(response.at("allowed") == true);
  CHECK_FALSE(response.contains("warnings"));
}

TEST_CASE("a dry run writes nothing and asks no FE") {
  Gate gate;
  const auto response = gate.review(upgrade(true));
  CHECK(response.at("allowed") == true);
  CHECK_FALSE(response.at("warnings").empty());
  CHECK(gate.records().empty());
  CHECK(gate.world.simulator.logins().empty());
}

TEST_CASE("no image change is answered without a look at the store") {
  Gate gate;
  auto changed = configured("fe:1");
  changed["spec"]["starRocksFeSpec"]["replicas"] = 3;
  CHECK(gate.review(review_of(configured("fe:1"), changed)).at("allowed") == true);
  CHECK(gate.review(review_of(object_with("fe:1"), object_with("fe:2"))).at("allowed") == true);
  CHECK(gate.store.calls == 0);
  CHECK(gate.decisions == std::vector<std::string>{"allowed-no-image-change", "allowed-not-configured"});
}

TEST_CASE("a body that is no review: plain HTTP without a UID, a denial with one") {
  Gate gate;
  for (const std::string body : {"", "{", "[]", R"({"kind":"AdmissionReview"})"}) {
    INFO(body);
    const auto reply = gate.service.review(AdmissionService::kGatePath, body);
    CHECK(reply.status == 400);
    CHECK(reply.content_type.starts_with("text/plain"));
    CHECK(reply.body.size() > 1);
  }
  const auto reply = gate.service.review(
      AdmissionService::kGatePath,
      R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"UPDATE"}})");
  CHECK(reply.status == 200);
  const auto response = json::parse(reply.body).at("response");
  CHECK(response.at("uid") == "u-1");
  CHECK(response.at("allowed") == false);
  CHECK(response.at("status").at("code") == 400);
  CHECK(gate.decisions == std::vector<std::string>(5, "malformed"));
}

TEST_CASE("an exception is a denial that carries the UID, and leaves nothing behind") {
  Gate gate;
  gate.store.throws = true;
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("code") == 403);
  CHECK(message_of(denied).find("uid-of-review") != std::string::npos);
  CHECK(message_of(denied).find("a bug") == std::string::npos);
  CHECK_THROWS(gate.waiters.wait("db", "r", ample()));
  CHECK(gate.waiters.waiting() == 0);
  gate.store.throws = false;
  CHECK(gate.review(upgrade()).at("allowed") == true);
  CHECK(gate.decisions == std::vector<std::string>{"error", "allowed-prepared"});
}

TEST_CASE(
    "a dry run of a bundle whose ConfigMap is not stored yet is allowed with a warning, the real request refused") {
  Gate gate;
  const auto bundled = [](const std::string& image) {
    auto object = object_with(image);
    object["metadata"]["annotations"] = {{"starrocks.com/upgrade-hooks-configmap", "not-there-yet"}};
    return object;
  };
  const auto dry = gate.review(review_of(bundled("fe:1"), bundled("fe:2"), true));
  CHECK(dry.at("allowed") == true);
  CHECK(dry.dump().find("ConfigMap not-there-yet") != std::string::npos);
  const auto real = gate.review(review_of(bundled("fe:1"), bundled("fe:2")));
  CHECK(real.at("allowed") == false);
  CHECK(real.at("status").at("reason") == "UpgradeHooksInvalid");
  CHECK(gate.records().empty());
}

TEST_CASE("a store that cannot be reached denies a real request and allows a dry run") {
  Gate gate;
  gate.store.unreachable = true;
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("reason") == "UpgradeGateUnavailable");
  CHECK(denied.at("status").at("code") == 403);
  CHECK(gate.review(upgrade(true)).at("allowed") == true);
}

TEST_CASE("a status that drops the preparation is patched, unless the gate itself writes it") {
  Gate gate;
  gate.service.set_own_username("system:serviceaccount:gate:gate");
  auto before = object_with("fe:1");
  before["status"] = {{"phase", "running"}, {"upgradePreparationStatus", {{"phase", "Running"}}}};
  auto after = object_with("fe:1");
  after["status"] = {{"phase", "running"}};
  auto body = review_of(before, after);
  body["request"]["subResource"] = "status";
  auto response = gate.review(body, AdmissionService::kStatusPath);
  CHECK(response.at("allowed") == true);
  CHECK(response.at("patchType") == "JSONPatch");
  CHECK_FALSE(response.at("patch").get<std::string>().empty());
  body["request"]["userInfo"]["username"] = "system:serviceaccount:gate:gate";
  response = gate.review(body, AdmissionService::kStatusPath);
  CHECK(response.at("allowed") == true);
  CHECK_FALSE(response.contains("patch"));
}

TEST_CASE("a status update is never refused: not for a mirror that is too large, and not for one that cannot be read") {
  const auto with_status = [](const json& status) {
    auto object = object_with("fe:1");
    object["status"] = status;
    return object;
  };
  json wide = json::array();
  for (int i = 0; i < 20'000; ++i) wide.push_back(i);
  json deep = 1;
  for (int i = 0; i < 100; ++i) deep = json{{"deeper", deep}};
  const auto update = [](const json& before, const json& after) {
    auto body = review_of(before, after);
    body["request"]["subResource"] = "status";
    return body;
  };
  const json plain{{"phase", "running"}};
  const json small{{"upgradePreparationStatus", {{"phase", "Running"}}}};
  auto strange = update(with_status(small), with_status(plain));
  strange["request"]["userInfo"] = {{"username", 5}};
  struct Row {
    const char* name;
    std::string body;
    bool kept;  ///< The mirror is.
  };
  for (
      const Row& row : {
          Row{"a mirror of many values",
              update(with_status({{"upgradePreparationStatus", wide}}), with_status(plain)).dump(), false},
          Row{"written so", update(with_status(plain), with_status({{"upgradePreparationStatus", wide}})).dump(),
              false},
          Row{"a mirror that is deep",
              update(with_status({{"upgradePreparationStatus", deep}}), with_status(plain)).dump(), false},
          Row{"a mirror that is a text",
              update(with_status({{"upgradePreparationStatus", "x"}}), with_status(plain)).dump(), true},
          Row{"a status that is a list", update(with_status(wide), with_status(plain)).dump(), false},
          Row{"a large status of others beside a mirror",
              [&] {
                auto before = small;
                before["starRocksBeStatus"] = wide;
                return update(with_status(before), with_status(plain)).dump();
              }(),
              true},
          Row{"many conditions of others beside a mirror",
              [&] {
                auto before = small;
                before["conditions"] = wide;
                return update(with_status(before), with_status(plain)).dump();
              }(),
              true},
          Row{"a member of the review of another type", strange.dump(), false},
          Row{"a review that is not whole",
              R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"uid-of-review","object":{)",
              false},
      }) {
    INFO(std::string(row.name));
    Gate gate;
    const auto reply = gate.service.review(AdmissionService::kStatusPath, row.body);
    REQUIRE(reply.status == 200);
    const auto response = json::parse(reply.body).at("response");
    CHECK(response.at("allowed") == true);
    CHECK(response.at("uid") == "uid-of-review");
    CHECK(response.contains("patch") == row.kept);
  }
}

TEST_CASE("a configuration is judged when it is written; one that was faulty before does not bar other changes") {
  Gate gate;
  const auto good = configured("fe:1");
  const auto bad = configured("fe:1", "no-such-hook");
  const auto other_bad = configured("fe:1", "another-unknown");
  auto bad_with_more = bad;
  bad_with_more["spec"]["starRocksFeSpec"]["replicas"] = 3;
  struct Row {
    const char* name;
    json old_object;
    json object;
    const char* operation;
    bool allowed;
    bool warned;
  };
  for (const Row& row :
       {Row{"created well", nullptr, good, "CREATE", true, false},
        Row{"created badly", nullptr, bad, "CREATE", false, false}, Row{"made bad", good, bad, "UPDATE", false, false},
        Row{"bad in another way", bad, other_bad, "UPDATE", false, false},
        Row{"bad as before", bad, bad_with_more, "UPDATE", true, true},
        Row{"repaired", bad, good, "UPDATE", true, false}, Row{"deleted", bad, nullptr, "DELETE", true, false}}) {
    INFO(row.name);
    const auto response =
        gate.review(review_of(row.old_object, row.object, false, row.operation), AdmissionService::kConfigurationPath);
    CHECK(response.at("allowed") == row.allowed);
    CHECK(response.contains("warnings") == row.warned);
    if (!row.allowed) {
      CHECK(response.at("status").at("reason") == "UpgradeHooksInvalid");
      CHECK(message_of(response).find(row.object.at("metadata").at("annotations").begin()->get<std::string>()) !=
            std::string::npos);
    }
  }
  CHECK(gate.store.calls == 0);
}

TEST_CASE("a led rollout that the namespace has no label for is refused when it is written") {
  Gate gate;
  gate.world.clusters.cannot_lead(
      "namespace db lacks a label: kubectl label namespace db gate.starrocks.com/rollouts=enabled");
  const auto with = [](const char* annotation, const char* value) {
    json object = object_with("fe:1");
    object["metadata"]["annotations"] = {{annotation, value}};
    return object;
  };
  struct Row {
    const char* name;
    json old_object;
    json object;
    bool dry_run;
    bool allowed;
  };
  const auto silent = object_with("fe:1");
  for (const Row& row : {Row{"hold", silent, with("starrocks.com/upgrade-admission", "hold"), false, false},
                         Row{"ordered", silent, with("starrocks.com/upgrade-rollout", "ordered"), false, false},
                         Row{"stepwise", silent, with("starrocks.com/upgrade-rollout", "stepwise"), false, false},
                         Row{"operator", silent, with("starrocks.com/upgrade-rollout", "operator"), false, true},
                         Row{"refuse", silent, with("starrocks.com/upgrade-admission", "refuse"), false, true},
                         Row{"in a dry run", silent, with("starrocks.com/upgrade-rollout", "ordered"), true, true},
                         Row{"asked for before", with("starrocks.com/upgrade-rollout", "ordered"),
                             with("starrocks.com/upgrade-rollout", "ordered"), false, true}}) {
    INFO(row.name);
    const auto response =
        gate.review(review_of(row.old_object, row.object, row.dry_run, "UPDATE"), AdmissionService::kConfigurationPath);
    CHECK(response.at("allowed") == row.allowed);
    if (row.allowed) continue;
    CHECK(response.at("status").at("reason") == "UpgradeHooksInvalid");
    CHECK(message_of(response).find(
              "lacks a label: kubectl label namespace db gate.starrocks.com/rollouts=enabled. Nothing of") !=
          std::string::npos);
  }
}

TEST_CASE("hooks of a ConfigMap run as the record has them, and a changed ConfigMap is another preparation") {
  Gate gate(200ms);
  gate.world.clusters.set_config_map("hooks", {{"freeze.sql", scheduling("7")}});
  const auto judged = gate.review(review_of(object_with("fe:1"), with_config_map("fe:1", "hooks")),
                                  AdmissionService::kConfigurationPath);
  CHECK(judged.at("allowed") == true);
  // Between configuration and use.
  gate.world.clusters.set_config_map("hooks", {{"freeze.sql", scheduling("5")}});
  gate.world.simulator.hang("ADMIN SET");
  const auto body = review_of(with_config_map("fe:1", "hooks"), with_config_map("fe:2", "hooks"));
  CHECK(gate.review(body).at("status").at("reason") == "UpgradePreparationRunning");
  // While the preparation runs.
  gate.world.clusters.set_config_map("hooks", {{"freeze.sql", scheduling("3")}});
  gate.world.simulator.clear_faults();
  REQUIRE(gate.world.signal.eventually([&] { return gate.records().front().status.stage == Stage::Prepared; }));
  const auto first = gate.records().front();
  CHECK(setting_of(first.spec.hooks.front())->value == "5");
  CHECK(gate.world.config() == "5");
  // What was prepared is not what is asked for now: it admits nothing.
  json answer;
  REQUIRE(gate.world.signal.eventually([&] {
    answer = gate.review(body);
    return answer.at("allowed") == true;
  }));
  REQUIRE(gate.records().size() == 2);
  const auto second = gate.records().front();
  CHECK(second.name != first.name);
  CHECK(preparation_key(second.spec) != preparation_key(first.spec));
  CHECK(second.spec.supersedes == first.name);
  CHECK(setting_of(second.spec.hooks.front())->value == "3");
  CHECK(gate.world.config() == "3");
}

TEST_CASE("a ConfigMap that is missing, or lacks the key, is refused when it is written and when it is used") {
  Gate gate;
  gate.world.clusters.set_config_map("hooks", {{"freeze.sql", scheduling("0")}});
  struct Row {
    std::string name;
    std::string config_map;
    bool allowed;
  };
  for (const Row& row : {Row{"there", "hooks", true}, Row{"key there", "hooks/freeze.sql", true},
                         Row{"missing", "nothing", false}, Row{"key missing", "hooks/thaw.sql", false}}) {
    INFO(row.name);
    const auto written = gate.review(review_of(nullptr, with_config_map("fe:1", row.config_map), false, "CREATE"),
                                     AdmissionService::kConfigurationPath);
    CHECK(written.at("allowed") == row.allowed);
    if (row.allowed) continue;
    CHECK(written.at("status").at("reason") == "UpgradeHooksInvalid");
    CHECK(message_of(written).find(row.config_map) != std::string::npos);
    const auto used =
        gate.review(review_of(with_config_map("fe:1", row.config_map), with_config_map("fe:2", row.config_map)));
    CHECK(used.at("status").at("reason") == "UpgradeHooksInvalid");
  }
  CHECK(gate.records().empty());
}

TEST_CASE("a ConfigMap that cannot be read is a warning when it is named, and holds the change when it is used") {
  Gate gate;
  gate.world.clusters.fail_config_maps("connection refused");
  const auto before = with_config_map("fe:1", "hooks");
  const auto after = with_config_map("fe:2", "hooks");
  const auto written = gate.review(review_of(nullptr, before, false, "CREATE"), AdmissionService::kConfigurationPath);
  CHECK(written.at("allowed") == true);
  REQUIRE(written.at("warnings").size() == 1);
  CHECK(written.at("warnings").front() == "not judged: ConfigMap hooks could not be read: connection refused");
  const auto used = gate.review(review_of(before, after));
  CHECK(used.at("status").at("reason") == "UpgradeGateUnavailable");
  CHECK(message_of(used).find("ConfigMap hooks could not be read: connection refused") != std::string::npos);
  CHECK(gate.review(review_of(before, after, true)).at("allowed") == true);
  CHECK(gate.records().empty());
  // The way back asks for no hooks: it must not depend on them.
  gate.world.clusters.fail_config_maps("");
  gate.world.clusters.set_config_map("hooks", {{"freeze.sql", scheduling("0")}});
  REQUIRE(gate.review(review_of(before, after)).at("allowed") == true);
  gate.world.clusters.fail_config_maps("connection refused");
  CHECK(gate.review(review_of(after, before)).at("allowed") == true);
  CHECK(gate.decisions.back() == "allowed-revert");
}

TEST_CASE("a ConfigMap of hooks is judged when it is written") {
  Gate gate;
  const auto map = [](const json& data) {
    return json{{"metadata", {{"name", "hooks"}, {"labels", {{"starrocks.com/upgrade-hooks", "true"}}}}},
                {"data", data}};
  };
  const json good = map({{"a.yaml", "hooks:\n- {name: a, command: disable-balancer}\n"}, {"notes", "anything"}});
  const json bad = map({{"a.sql", "DROP TABLE t"}});
  const json script = map({{"a.sh", "pre_upgrade() { :; }"}});
  const json nothing{{"metadata", {{"name", "hooks"}}}};
  struct Row {
    std::string name;
    json old_object;
    json object;
    const char* operation;
    bool allowed;
    bool warned;
    const char* says;
  };
  for (const Row& row : {
           Row{"created well", nullptr, good, "CREATE", true, false, ""},
           Row{"created badly", nullptr, bad, "CREATE", false, false, "data[a.sql] line 1"},
           Row{"made bad", good, bad, "UPDATE", false, false, "statement not allowed"},
           Row{"bad as before", bad, bad, "UPDATE", true, true, ""},
           Row{"a script that the owner does not allow", nullptr, script, "CREATE", false, false,
               "--script-hook-image"},
           Row{"no data", nullptr, nothing, "CREATE", false, false, "at least one key"},
           Row{"deleted", bad, nullptr, "DELETE", true, false, ""},
       }) {
    INFO(row.name);
    auto body = review_of(row.old_object, row.object, false, row.operation);
    body["request"]["kind"] = {{"group", ""}, {"version", "v1"}, {"kind", "ConfigMap"}};
    body["request"]["resource"] = {{"group", ""}, {"version", "v1"}, {"resource", "configmaps"}};
    body["request"]["name"] = "hooks";
    const auto response = gate.review(body, AdmissionService::kConfigurationPath);
    CHECK(response.at("allowed") == row.allowed);
    CHECK(response.contains("warnings") == row.warned);
    if (row.allowed) continue;
    CHECK(response.at("status").at("reason") == "UpgradeHooksInvalid");
    CHECK_MESSAGE(message_of(response).find(row.says) != std::string::npos, message_of(response));
    CHECK(message_of(response).find("ConfigMap db/hooks") != std::string::npos);
  }
}

TEST_CASE("hooks whose conditions do not cover the change hold nothing up") {
  Gate gate;
  gate.world.clusters.set_config_map(
      "hooks", {{"a.yaml", "hooks:\n- {name: a, sql: SHOW FRONTENDS, when: {versionChange: [major, minor]}}\n"}});
  const auto patch = gate.review(review_of(with_config_map("fe:3.3.1", "hooks"), with_config_map("fe:3.3.2", "hooks")));
  CHECK(patch.at("allowed") == true);
  CHECK(patch.at("warnings").front() == "no configured hook applies to this image change");
  CHECK(gate.records().empty());
  const auto minor = gate.review(review_of(with_config_map("fe:3.3.1", "hooks"), with_config_map("fe:3.4.0", "hooks")));
  CHECK(minor.at("allowed") == true);
  CHECK(gate.records().size() == 1);
}

TEST_CASE("going back to the image that is running is allowed while a preparation is open") {
  Gate gate;
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  const auto back = gate.review(review_of(configured("fe:2"), configured("fe:1")));
  CHECK(back.at("allowed") == true);
  CHECK(gate.decisions.back() == "allowed-revert");
  CHECK(gate.records().size() == 1);
}

TEST_CASE("a change that replaces what a record prepared tells that record that it was admitted") {
  Gate gate;
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  gate.world.clusters.set_object(configured("fe:2"));
  CHECK(gate.review(review_of(configured("fe:2"), configured("fe:1"))).at("allowed") == true);
  CHECK(gate.records().at(0).status.admitted_time);
}

TEST_CASE("a bypass by somebody who may: allowed, recorded as the user's, audited, the FE untouched") {
  Gate gate;
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.world.simulator.hang("SHOW");
  const auto response = gate.review(bypassing());
  REQUIRE_MESSAGE(response.at("allowed") == true, response.dump());
  CHECK(response.at("warnings").dump().find("disk full") != std::string::npos);
  CHECK(response.at("auditAnnotations").at("bypass").get<std::string>().find("reason=disk full") != std::string::npos);
  CHECK(gate.decisions == std::vector<std::string>{"allowed-bypass"});
  REQUIRE(gate.records().size() == 1);
  const auto name = gate.records().front().name;
  CHECK(response.at("auditAnnotations").at("preparation") == name);
  REQUIRE(gate.world.reaches(name, Stage::Closed));
  const auto record = gate.world.get(name);
  CHECK(record.status.outcome == Outcome::Bypassed);
  CHECK(record.spec.requested_by.username == "alice");
  CHECK_FALSE(record.status.restore_pending);
  CHECK(gate.world.simulator.logins().empty());
  CHECK(gate.world.clusters.permission_questions() == 1);
}

TEST_CASE("a bypass by somebody who may not, or whom nobody knows, is the ordinary verdict with the reason") {
  struct Row {
    const char* name;
    bool known;
    const char* warning;
  };
  for (const Row& row :
       {Row{"may not", true, "user alice may not bypass"}, Row{"not known", false, "permission check failed"}}) {
    INFO(row.name);
    Gate gate(0ms);
    set_date(gate.world);
    gate.world.clusters.set_permissions_known(row.known);
    gate.world.simulator.hang("ADMIN SET");
    const auto denied = gate.review(bypassing());
    CHECK(denied.at("allowed") == false);
    CHECK(denied.at("status").at("reason") == "UpgradePreparationRunning");
    CHECK(denied.at("warnings").dump().find(row.warning) != std::string::npos);
    CHECK_FALSE(gate.records().front().spec.bypass);
  }
}

TEST_CASE("the key that a denial prints is the one that a bypass must name, and opens no other target") {
  Gate gate(0ms);
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.world.simulator.hang("ADMIN SET");
  const auto message = message_of(gate.review(upgrade()));
  const auto bypass = message.substr(message.size() - 10) + "; reason=disk full; until=2027-01-01T00:00:00Z";
  auto other = annotated("starrocks.com/upgrade-gate-bypass", bypass);
  other["request"]["object"]["spec"]["starRocksFeSpec"]["image"] = "fe:3";
  const auto denied = gate.review(other);
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("warnings").dump().find("it is for target") != std::string::npos);
  CHECK(gate.world.clusters.permission_questions() == 0);
  CHECK(gate.review(annotated("starrocks.com/upgrade-gate-bypass", bypass)).at("allowed") == true);
}

TEST_CASE("a dry run of a bypass is allowed with a warning and writes nothing") {
  Gate gate;
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  const auto response = gate.review(bypassing(true));
  CHECK(response.at("allowed") == true);
  CHECK(response.at("warnings").dump().find("would be let through") != std::string::npos);
  CHECK(gate.records().empty());
}

TEST_CASE("a bypass opens although the records cannot be read, and says that it is not recorded") {
  Gate gate;
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.store.unreachable = true;
  const auto response = gate.review(bypassing());
  CHECK(response.at("allowed") == true);
  CHECK(response.at("warnings").dump().find("could not be recorded") != std::string::npos);
  CHECK_FALSE(response.at("auditAnnotations").contains("preparation"));
}

TEST_CASE("a failed preparation is tried again at once when the retry annotation is new, wherever it was written") {
  for (const bool before : {false, true}) {
    INFO(before);
    Gate gate;
    gate.world.simulator.fail("ADMIN SET", {1064, "42000", "the FE says no"});
    const auto retry = [&](const std::string& value) {
      return gate.review(annotated("starrocks.com/retry-upgrade-preparation", value, false, before));
    };
    REQUIRE(gate.review(upgrade()).at("status").at("reason") == "UpgradePreparationFailed");
    REQUIRE(retry("1").at("allowed") == false);
    CHECK(gate.records().size() == 2);
    // The same value asks for nothing more.
    REQUIRE(retry("1").at("allowed") == false);
    CHECK(gate.records().size() == 2);
    gate.world.simulator.clear_faults();
    CHECK(retry("2").at("allowed") == true);
    CHECK(gate.records().size() == 3);
    CHECK(gate.records().front().spec.attempt == 3);
    CHECK(gate.records().front().spec.retry_token == "2");
  }
}

TEST_CASE("a record remembers whether the object asked for hooks before the request") {
  Gate gate;
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  CHECK(gate.records().front().spec.asked_before);
  Gate other;
  REQUIRE(other.review(review_of(object_with("fe:1"), configured("fe:2"))).at("allowed") == true);
  CHECK_FALSE(other.records().front().spec.asked_before);
}

}  // namespace
}  // namespace gate
