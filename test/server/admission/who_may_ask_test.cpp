// What a review may bring about: compared with what is stored, with the configuration as it was, within bounds.

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "test/server/admission/admission_gate.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

// --- What is stored counts
// ---------------------------------------------------------------------------------------------

TEST_CASE("a review of an object that is not stored so starts nothing, whatever it says") {
  struct Row {
    const char* name;
    std::function<void(json& request)> lie;
    const char* difference;
  };
  for (const Row& row : {
           Row{"an invented UID",
               [](json& request) {
                 request["object"]["metadata"]["uid"] = request["oldObject"]["metadata"]["uid"] = "uid-invented";
               },
               "it has another UID"},
           Row{"an invented image before",
               [](json& request) { request["oldObject"]["spec"]["starRocksFeSpec"]["image"] = "fe:0"; },
               "it has another fe image"},
           Row{"an invented component",
               [](json& request) {
                 request["oldObject"]["spec"]["starRocksBeSpec"]["image"] = "be:1";
                 request["object"]["spec"]["starRocksBeSpec"]["image"] = "be:2";
               },
               "it has another be image"},
           Row{"a configuration that is not there",
               [](json& request) {
                 request["oldObject"]["metadata"]["annotations"]["starrocks.com/upgrade-hooks"] = "create-image";
               },
               "it has other annotations"},
           Row{"an invented bypass of somebody who may",
               [](json& request) {
                 request["oldObject"]["metadata"]["uid"] = "uid-invented";
                 request["object"]["metadata"]["annotations"]["starrocks.com/upgrade-gate-bypass"] =
                     "*; reason=forged; until=2027-01-01T00:00:00Z";
               },
               "it has another UID"},
       }) {
    INFO(row.name);
    Gate gate;
    gate.world.clusters.set_bypasser("alice");
    gate.world.clusters.set_object(configured("fe:1"));
    auto body = upgrade();
    row.lie(body["request"]);
    const auto denied = gate.forged(body);
    CHECK(denied.at("allowed") == false);
    CHECK(denied.at("status").at("reason") == "UpgradeObjectChanged");
    CHECK(denied.at("status").at("code") == 403);
    CHECK(message_of(denied).find(row.difference) != std::string::npos);
    CHECK(gate.records().empty());
    CHECK(gate.world.simulator.logins().empty());
  }
}

TEST_CASE("an object that is gone starts nothing; one that cannot be read is an outage") {
  Gate gate;
  gate.world.clusters.set_object(nullptr);
  const auto denied = gate.forged(upgrade());
  CHECK(denied.at("status").at("reason") == "UpgradeObjectChanged");
  CHECK(message_of(denied).find("there is no such object") != std::string::npos);
  CHECK(gate.records().empty());
}

TEST_CASE("the status of the object may be written between the request and the look at it") {
  Gate gate;
  auto stored = configured("fe:1");
  stored["status"] = {{"phase", "reconciling"}};
  stored["metadata"]["resourceVersion"] = "2";
  gate.world.clusters.set_object(stored);
  CHECK(gate.forged(upgrade()).at("allowed") == true);
}

// --- Configuration counts as it was or as it will be
// ---------------------------------------------------------------------

TEST_CASE("the request that changes the image cannot take its hooks away") {
  const FrontendSimulatorOptions frontends;
  struct Row {
    const char* name;
    std::function<void(json& annotations)> evade;
    std::size_t hooks;
  };
  const std::string both = "disable-tablet-clone,disable-balancer";
  for (const Row& row : {
           Row{"as it was", [](json&) {}, 2},
           Row{"annotations taken away", [](json& annotations) { annotations = json::object(); }, 2},
           Row{"switched off", [](json& annotations) { annotations["starrocks.com/prepare-upgrade"] = "false"; }, 2},
           Row{"fewer hooks",
               [](json& annotations) { annotations["starrocks.com/upgrade-hooks"] = "disable-balancer"; }, 2},
           Row{"other hooks",
               [](json& annotations) { annotations["starrocks.com/upgrade-hooks"] = "check-frontends-alive"; }, 3},
       }) {
    INFO(row.name);
    Gate gate(kAmple, frontends);
    auto after = configured("fe:2", both);
    row.evade(after["metadata"]["annotations"]);
    const auto body = review_of(configured("fe:1", both), after);
    CHECK(gate.review(body).at("allowed") == true);
    CHECK(gate.decisions == std::vector<std::string>{"allowed-prepared"});
    REQUIRE(gate.records().size() == 1);
    CHECK(gate.records().front().spec.hooks.size() == row.hooks);
    CHECK(gate.world.config() == "0");
  }
  // Without an image change it is nobody's business.
  Gate gate;
  CHECK(gate.review(review_of(configured("fe:1"), object_with("fe:1"))).at("allowed") == true);
  CHECK(gate.records().empty());
}

TEST_CASE("hooks of a ConfigMap that the request no longer names still count") {
  Gate gate;
  gate.world.clusters.set_config_map("strict", {{"a.sql", scheduling("7")}});
  gate.world.clusters.set_config_map("lax", {{"b.sql", "SHOW FRONTENDS"}});
  const auto response = gate.review(review_of(with_config_map("fe:1", "strict"), with_config_map("fe:2", "lax")));
  CHECK(response.at("allowed") == true);
  CHECK(gate.world.config() == "7");
  CHECK(gate.records().front().spec.hooks.size() == 2);
}

// --- Records
// -------------------------------------------------------------------------------------------------------------

TEST_CASE("who asked is a decoration: what the record cannot hold of it is cut") {
  Gate gate;
  auto body = upgrade();
  auto& user = body["request"]["userInfo"];
  user["username"] = std::string(5000, 'u');
  user["groups"] = json::array();
  for (int i = 0; i < 300; ++i) user["groups"].push_back("team-" + std::to_string(i) + std::string(2000, 'g'));
  REQUIRE(gate.review(body).at("allowed") == true);
  const auto by = gate.records().front().spec.requested_by;
  CHECK(by.username.size() <= 1024);
  CHECK(by.groups.size() == 256);
  CHECK(std::all_of(by.groups.begin(), by.groups.end(), [](const auto& group) { return group.size() <= 1024; }));
}

TEST_CASE("a record that the API server refuses for good is told in its words, not as an outage") {
  for (const auto& [code, told] : {std::pair{ErrorCode::Rejected, true}, std::pair{ErrorCode::PermissionDenied, true},
                                   std::pair{ErrorCode::Unavailable, false}}) {
    Gate gate;
    gate.store.create_fault = Error{code, "POST upgradepreparations: 403 Forbidden: namespace db is being terminated"};
    const auto denied = gate.review(upgrade());
    CHECK(denied.at("allowed") == false);
    CHECK(denied.at("status").at("reason") == (told ? "UpgradePreparationRefused" : "UpgradeGateUnavailable"));
    CHECK(message_of(denied).find("being terminated") != std::string::npos);
  }
}

TEST_CASE("what the API server refuses the gate for good is told as that, whatever was asked for") {
  struct Row {
    const char* name;
    std::function<void(Gate& gate)> given;
    json asked;
    std::string_view path = AdmissionService::kGatePath;
  };
  const std::string why = "GET x: 403 Forbidden: not for this service account";
  const auto bypassed = [] {
    auto object = configured("fe:1");
    object["metadata"]["annotations"]["starrocks.com/upgrade-gate-bypass"] = "a";
    return object;
  }();
  auto led = configured("fe:1");
  led["metadata"]["annotations"]["starrocks.com/upgrade-rollout"] = "ordered";
  auto led_next = led;
  led_next["spec"]["starRocksFeSpec"]["image"] = "fe:2";
  const Row rows[] = {
      {"the records",
       [&](Gate& gate) {
         gate.store.refused = Error{ErrorCode::PermissionDenied, why, 403};
       },
       upgrade()},
      {"the records, as not valid",
       [&](Gate& gate) {
         gate.store.refused = Error{ErrorCode::Rejected, why, 422};
       },
       upgrade()},
      {"the ConfigMap of hooks", [&](Gate& gate) { gate.world.clusters.fail_config_maps(why); },
       review_of(with_config_map("fe:1", "hooks"), with_config_map("fe:2", "hooks"))},
      {"whether rollouts may be led", [&](Gate& gate) { gate.world.clusters.cannot_ask_whether_to_lead(why); },
       review_of(led, led_next)},
      {"the right to bypass", [&](Gate& gate) { gate.world.clusters.set_permissions_known(false); },
       review_of(configured("fe:1"), bypassed), AdmissionService::kConfigurationPath},
  };
  for (const Row& row : rows) {
    for (const bool lasts : {true, false}) {
      INFO(row.name);
      INFO(lasts);
      Gate gate;
      row.given(gate);
      gate.world.clusters.faults_are(lasts ? ErrorCode::PermissionDenied : ErrorCode::Unavailable);
      if (!lasts && gate.store.refused) gate.store.refused->code = ErrorCode::Unavailable;
      const auto denied = gate.review(row.asked, row.path);
      CHECK(denied.at("allowed") == false);
      CHECK(denied.at("status").at("reason") == (lasts ? "UpgradePreparationRefused" : "UpgradeGateUnavailable"));
      const auto message = message_of(denied);
      CHECK_MESSAGE((message.find("Fix that first") != std::string::npos) == lasts, message);
      CHECK_MESSAGE((message.find("retry automatically") != std::string::npos) ==
                        (!lasts && row.path == AdmissionService::kGatePath),
                    message);
    }
  }
}

TEST_CASE("an annotation that only looks like ours gets to who judges it") {
  for (const char* key :
       {"starrocks.com/Prepare-Upgrade", "Starrocks.com/prepare-upgrade", "starrocks.io/upgrade-hooks", "upgrade-hooks",
        "prepare-upgrade", "retry-upgrade-preparation", "upgrade-gate-bypass"}) {
    INFO(key);
    Gate gate;
    auto object = object_with("fe:1");
    object["metadata"]["annotations"] = {{key, "true"}, {"team", "data"}};
    const auto denied = gate.review(review_of(nullptr, object, false, "CREATE"), AdmissionService::kConfigurationPath);
    CHECK(denied.at("allowed") == false);
    CHECK(denied.at("status").at("reason") == "UpgradeHooksInvalid");
    CHECK(message_of(denied).find("want starrocks.com/") != std::string::npos);
  }
}

TEST_CASE("hooks that nobody knows are not lost where the same request names others") {
  Gate gate;
  gate.world.clusters.fail_config_maps("connection refused");
  const auto denied = gate.review(review_of(with_config_map("fe:1", "strict"), configured("fe:2")));
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("reason") == "UpgradeGateUnavailable");
  CHECK(message_of(denied).find("ConfigMap strict could not be read") != std::string::npos);
  CHECK(gate.records().empty());
}

TEST_CASE("new records of a cluster are bounded in a minute, and the refusal says when the next is accepted") {
  Gate gate(0ms);
  gate.world.simulator.hang("SHOW");
  std::size_t started = 0;
  json denied;
  for (int i = 2; i < 20; ++i) {
    denied = gate.review(review_of(configured("fe:1"), configured("fe:" + std::to_string(i))));
    REQUIRE(denied.at("allowed") == false);
    if (denied.at("status").at("reason") != "UpgradePreparationsTooMany") ++started;
  }
  CHECK(started <= kNewRecordsMax);
  CHECK(denied.at("status").at("reason") == "UpgradePreparationsTooMany");
  CHECK(message_of(denied).find("Re-apply ") != std::string::npos);
}

TEST_CASE("a warehouse that names no possible cluster has a faulty configuration") {
  for (const char* name : {"", "No", "a b", "../sr", "-sr"}) {
    INFO(name);
    const auto warehouse = [&](const char* image) {
      return json{{"kind", "StarRocksWarehouse"},
                  {"metadata",
                   {{"name", "wh"},
                    {"namespace", "db"},
                    {"uid", "uid-wh"},
                    {"annotations", {{"starrocks.com/prepare-upgrade", "true"}}}}},
                  {"spec", {{"starRocksCluster", name}, {"template", {{"image", image}}}}}};
    };
    Gate gate;
    auto body = review_of(warehouse("cn:1"), warehouse("cn:2"));
    body["request"]["kind"]["kind"] = "StarRocksWarehouse";
    const auto denied = gate.review(body);
    CHECK(denied.at("status").at("reason") == "UpgradeHooksInvalid");
    CHECK(message_of(denied).find("spec.starRocksCluster") != std::string::npos);
    CHECK(gate.records().empty());
  }
}

// --- Bypass
// --------------------------------------------------------------------------------------------------------------

TEST_CASE("writing the bypass annotation needs the right to bypass") {
  struct Row {
    const char* name;
    json before, after;
    bool may, known, allowed;
  };
  const auto with = [](const char* value) {
    auto object = configured("fe:1");
    object["metadata"]["annotations"]["starrocks.com/upgrade-gate-bypass"] = value;
    return object;
  };
  const auto without = configured("fe:1");
  auto labelled = with("a");
  labelled["metadata"]["labels"]["team"] = "data";
  for (const Row& row : {
           Row{"added by one who may", without, with("a"), true, true, true},
           Row{"added by one who may not", without, with("a"), false, true, false},
           Row{"changed", with("a"), with("b"), false, true, false},
           Row{"created with it", nullptr, with("a"), false, true, false},
           Row{"created with it by one who may", nullptr, with("a"), true, true, true},
           Row{"as it was", with("a"), labelled, false, true, true},
           Row{"taken away", with("a"), without, false, true, true},
           Row{"nobody knows", without, with("a"), true, false, false},
       }) {
    INFO(row.name);
    Gate gate;
    if (row.may) gate.world.clusters.set_bypasser("alice");
    gate.world.clusters.set_permissions_known(row.known);
    const auto response =
        gate.review(review_of(row.before, row.after, false, row.before.is_null() ? "CREATE" : "UPDATE"),
                    AdmissionService::kConfigurationPath);
    CHECK(response.at("allowed") == row.allowed);
    if (row.allowed) continue;
    CHECK(response.at("status").at("code") == 403);
    CHECK(response.at("status").at("reason") == (row.known ? "UpgradeBypassForbidden" : "UpgradeGateUnavailable"));
    CHECK(message_of(response).find("starrocks.com/upgrade-gate-bypass") != std::string::npos);
  }
}

TEST_CASE("a bypass is used up by one change: the same again passes, another does not") {
  Gate gate(0ms);
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.world.simulator.hang("SHOW");
  REQUIRE(gate.review(bypassing()).at("allowed") == true);
  CHECK(gate.review(bypassing()).at("allowed") == true);
  auto other = bypassing();
  other["request"]["object"]["spec"]["starRocksFeSpec"]["image"] = "fe:3";
  const auto denied = gate.review(other);
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("warnings").dump().find("it was used by") != std::string::npos);
  // A new one is for one more.
  other["request"]["object"]["metadata"]["annotations"]["starrocks.com/upgrade-gate-bypass"] =
      "*; reason=another; until=2027-01-01T00:00:00Z";
  CHECK(gate.review(other).at("allowed") == true);
}

TEST_CASE("a bypass that the request takes away says why it does not count") {
  Gate gate(0ms);
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.world.simulator.hang("SHOW");
  auto body = bypassing();
  std::swap(body["request"]["object"]["metadata"]["annotations"],
            body["request"]["oldObject"]["metadata"]["annotations"]);
  const auto denied = gate.review(body);
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("warnings").dump().find("removes the annotation") != std::string::npos);
}

TEST_CASE("a retry that is stored counts, where the request drops it") {
  Gate gate;
  gate.world.simulator.fail("ADMIN SET", {1064, "42000", "the FE says no"});
  REQUIRE(gate.review(upgrade()).at("status").at("reason") == "UpgradePreparationFailed");
  gate.world.simulator.clear_faults();
  auto body = upgrade();
  body["request"]["oldObject"]["metadata"]["annotations"]["starrocks.com/retry-upgrade-preparation"] = "1";
  CHECK(gate.review(body).at("allowed") == true);
  CHECK(gate.records().size() == 2);
}

TEST_CASE("a denial counts the fields that it drops, not the lines of a diff") {
  Gate gate(0ms);
  gate.world.simulator.hang("SHOW");
  auto before = configured("fe:1");
  auto after = configured("fe:2");
  for (int i = 0; i < 20; ++i) {
    before["spec"]["starRocksFeSpec"]["feEnvVars"].push_back({{"name", "V" + std::to_string(i)}});
  }
  after["spec"]["starRocksFeSpec"]["feEnvVars"] = before["spec"]["starRocksFeSpec"]["feEnvVars"];
  after["spec"]["starRocksFeSpec"]["feEnvVars"].insert(after["spec"]["starRocksFeSpec"]["feEnvVars"].begin(),
                                                       json{{"name", "FIRST"}});
  after["spec"]["starRocksFeSpec"]["replicas"] = 5;
  after["spec"]["serviceAccount"] = "other";
  CHECK(message_of(gate.review(review_of(before, after))).find("nor its 3 other changed spec fields") !=
        std::string::npos);
}

TEST_CASE("how long the API server waits is in the query of its request") {
  struct Row {
    const char* query;
    std::chrono::milliseconds timeout;
  };
  for (const Row& row : {Row{"timeout=10s", 10s}, Row{"timeout=2s", 2s}, Row{"timeout=30s", 30s}, Row{"", 10s},
                         Row{"a=b&timeout=5s&c=d", 5s}, Row{"timeout=31s", 10s}, Row{"timeout=0s", 10s},
                         Row{"timeout=-1s", 10s}, Row{"timeout=1h", 10s}, Row{"timeout=", 10s}, Row{"timeout", 10s},
                         Row{"timeout=99999999999999s", 10s}, Row{"mytimeout=3s", 10s}, Row{"&&&", 10s}}) {
    INFO(row.query);
    CHECK(review_timeout(row.query) == row.timeout);
  }
}

TEST_CASE("the wait for hooks ends with the review's own deadline") {
  Gate gate(24h);
  gate.world.simulator.hang("ADMIN SET");
  const auto reply = gate.service.review(
      AdmissionService::kGatePath,
      [&] {
        gate.world.clusters.set_object(configured("fe:1"));
        return upgrade().dump();
      }(),
      2s);
  const auto denied = json::parse(reply.body).at("response");
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("reason") == "UpgradePreparationRunning");
}

}  // namespace
}  // namespace gate
