// Goal: the texts that are composed while a review is answered, as somebody reads them at 80 columns: what happened,
// why, what to do. Method: reviews in, texts out, compared with texts.expected as a whole. A text that changed on
// purpose is replaced by texts.actual, which a run that fails leaves in the build folder of this test.

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/admission/stateful_set_handler.hpp"
#include "test/policy/golden.hpp"
#include "test/server/admission/admission_gate.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

using Texts = std::vector<std::pair<std::string, std::string>>;

/// As the API server, and kubectl for it, tells what is in the response.
std::string told(const json& response) {
  std::string out;
  const auto status = response.value("status", json::object());
  if (!status.empty()) out += status.value("reason", "") + ": " + status.value("message", "") + "\n";
  const auto warnings = response.value("warnings", json::array());
  for (const auto& warning : warnings) out += "Warning: " + warning.get<std::string>() + "\n";
  return out;
}

/// The texts of kube_rollouts.cpp, which its own test compares.
constexpr const char* kNoLabel =
    "namespace db lacks a label: kubectl label namespace db gate.starrocks.com/rollouts=enabled";

json asking_for(const std::string& image, const char* annotation, const char* value) {
  auto object = configured(image);
  object["metadata"]["annotations"][annotation] = value;
  return object;
}

struct Row {
  const char* name;
  std::function<void(Gate& gate)> given;
  std::function<json(Gate& gate)> asked;
};

std::vector<Row> reviews() {
  const auto nothing = [](Gate&) {};
  const auto no_label = [](Gate& gate) { gate.world.clusters.cannot_lead(kNoLabel); };
  const auto written = [](const json& before, const json& after, bool dry_run = false) {
    return [=](Gate& gate) {
      return gate.review(review_of(before, after, dry_run, before.is_null() ? "CREATE" : "UPDATE"),
                         AdmissionService::kConfigurationPath);
    };
  };
  const auto changed = [](const json& body) { return [=](Gate& gate) { return gate.review(body); }; };
  const auto ordered = [](const char* image) { return asking_for(image, "starrocks.com/upgrade-rollout", "ordered"); };
  const auto with_bypass = asking_for("fe:1", "starrocks.com/upgrade-gate-bypass", "*; reason=disk full; until=...");
  return {
      {"a led rollout is asked for where there can be none", no_label, written(configured("fe:1"), ordered("fe:1"))},
      {"the same in a dry run", no_label, written(configured("fe:1"), ordered("fe:1"), true)},
      {"pods held by name of the admission", no_label,
       written(configured("fe:1"), asking_for("fe:1", "starrocks.com/upgrade-admission", "hold"))},
      {"it was asked for before, and something else changes", no_label, written(ordered("fe:1"), ordered("fe:1"))},
      {"an image change of a cluster that asks for it", no_label, changed(review_of(ordered("fe:1"), ordered("fe:2")))},
      {"whether it can be led is not known",
       [](Gate& gate) {
         gate.world.clusters.cannot_ask_whether_to_lead("GET /api/v1/namespaces/db: connection refused");
       },
       written(configured("fe:1"), ordered("fe:1"))},
      {"a ConfigMap that cannot be read",
       [](Gate& gate) { gate.world.clusters.fail_config_maps("GET /api/v1/namespaces/db/configmaps/hooks: timeout"); },
       written(nullptr, with_config_map("fe:1", "hooks"))},
      {"a ConfigMap that is not there", nothing, written(nullptr, with_config_map("fe:1", "hooks"))},
      {"a ConfigMap without the key",
       [](Gate& gate) {
         gate.world.clusters.set_config_map("hooks", {{"freeze.sql", scheduling("0")}});
       },
       written(nullptr, with_config_map("fe:1", "hooks/thaw.sql"))},
      {"the annotation of a bypass, by somebody who may not", nothing, written(configured("fe:1"), with_bypass)},
      {"the annotation of a bypass, and nobody knows who may",
       [](Gate& gate) { gate.world.clusters.set_permissions_known(false); }, written(configured("fe:1"), with_bypass)},
      {"a bypass that cannot be recorded",
       [](Gate& gate) {
         set_date(gate.world);
         gate.world.clusters.set_bypasser("alice");
         gate.store.create_fault = Error{ErrorCode::Unavailable, "connection refused"};
       },
       changed(bypassing())},
      {"the object is gone", [](Gate& gate) { gate.world.clusters.set_object(nullptr); },
       [](Gate& gate) { return gate.forged(upgrade()); }},
      {"the records are out of reach", [](Gate& gate) { gate.store.unreachable = true; }, changed(upgrade())},
      {"the records may not be read",
       [](Gate& gate) {
         gate.store.refused =
             Error{ErrorCode::PermissionDenied,
                   "GET /apis/gate.starrocks.com/v1alpha1/namespaces/db/upgradepreparations: 403 Forbidden: "
                   "upgradepreparations.gate.starrocks.com is forbidden: User "
                   "\"system:serviceaccount:starrocks-upgrade-gate:upgrade-gate\" cannot list resource "
                   "\"upgradepreparations\" in API group \"gate.starrocks.com\" in the namespace \"db\""};
       },
       changed(upgrade())},
      {"the ConfigMap of hooks may not be read",
       [](Gate& gate) {
         gate.world.clusters.fail_config_maps(
             "GET /api/v1/namespaces/db/configmaps/hooks: 403 Forbidden: configmaps \"hooks\" is forbidden: User "
             "\"system:serviceaccount:starrocks-upgrade-gate:upgrade-gate\" cannot get resource \"configmaps\" in API "
             "group \"\" in the namespace \"db\"");
         gate.world.clusters.faults_are(ErrorCode::PermissionDenied);
       },
       changed(review_of(with_config_map("fe:1", "hooks"), with_config_map("fe:2", "hooks")))},
      {"the record is refused for good",
       [](Gate& gate) {
         gate.store.create_fault = Error{ErrorCode::PermissionDenied,
                                         "POST upgradepreparations: 403 Forbidden: namespace db is being terminated"};
       },
       changed(upgrade())},
      {"an internal error", [](Gate& gate) { gate.store.throws = true; }, changed(upgrade())},
      {"a warehouse of no cluster", nothing,
       [](Gate& gate) {
         auto body = review_of(configured("cn:1"), configured("cn:2"));
         for (const char* version : {"oldObject", "object"}) {
           auto& object = body["request"][version];
           const std::string image = object["spec"]["starRocksFeSpec"]["image"];
           object["kind"] = "StarRocksWarehouse";
           object["spec"] = {{"starRocksCluster", "../sr"}, {"template", {{"image", image}}}};
         }
         body["request"]["kind"]["kind"] = "StarRocksWarehouse";
         body["request"]["resource"]["resource"] = "starrockswarehouses";
         return gate.review(body);
       }},
  };
}

Texts texts() {
  Texts out;
  for (const Row& row : reviews()) {
    Gate gate;
    gate.world.clusters.set_object(configured("fe:1"));
    row.given(gate);
    out.emplace_back(row.name, told(row.asked(gate)));
  }
  Gate gate;
  const auto malformed = gate.service.review(
      AdmissionService::kGatePath,
      R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"UPDATE"}})");
  out.emplace_back("no review", told(json::parse(malformed.body).at("response")));
  out.emplace_back("no review, without a UID", gate.service.review(AdmissionService::kGatePath, "{").body);
  HookConfiguration by_default;
  by_default.configured = by_default.led_by_default = true;
  by_default.rollout.mode = RolloutMode::Ordered;
  gate.world.clusters.cannot_lead(kNoLabel);
  require_leading(by_default, gate.world.clusters, "db", false, ample());
  REQUIRE(by_default.warnings.size() == 1);
  out.emplace_back("the gate leads by default, and cannot here", "Warning: " + by_default.warnings.front());
  return out;
}

TEST_CASE("every text that is composed while a review is answered, at 80 columns") {
  const auto all = texts();
  for (const auto& row : all) {
    const auto& name = row.first;
    const auto& text = row.second;
    INFO(name);
    CHECK_FALSE(text.empty());
  }
  check_texts(all, GATE_TEXTS_EXPECTED, GATE_TEXTS_ACTUAL);
}

}  // namespace
}  // namespace gate
