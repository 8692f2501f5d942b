#include "policy/review/installation.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <vector>

#include "policy/json/json_member.hpp"

namespace gate {
namespace {

using nlohmann::json;

struct Expected {
  WebhookKind kind;
  const char* name;
  const char* failure_policy;  ///< Null: either.
};
/// Without these nothing is gated, or the operator's writes erase what the gate shows. The others are conveniences.
constexpr std::array kExpected{Expected{WebhookKind::Validating, "clusters.gate.starrocks.com", "Fail"},
                               Expected{WebhookKind::Validating, "warehouses.gate.starrocks.com", "Fail"},
                               Expected{WebhookKind::Mutating, "status.gate.starrocks.com", nullptr}};

constexpr std::string_view kRolloutWebhook = "statefulsets.gate.starrocks.com";
constexpr std::string_view kNothingHeld =
    "; pods that a led rollout keeps back roll at the operator's next pass, FE first: apply manifests/rollouts again";

using Path = std::initializer_list<const char*>;

/// The schema of a field; null where there is none. "[]" stands for the elements of a list.
const json& field_of(const json& schema, Path path) {
  const json* at = &schema;
  for (const std::string_view key : path) {
    at = key == "[]" ? &member(*at, "items") : &member(member(*at, "properties"), key);
    if (at->is_null()) return *at;
  }
  return *at;
}

/// The schema of the version that is stored.
const json& schema_of(const json& crd) {
  static const json kNone;
  for (const json& version : list_member(member(crd, "spec"), "versions")) {
    const json& storage = member(version, "storage");
    if (storage.is_boolean() && storage.get<bool>()) return member(member(version, "schema"), "openAPIV3Schema");
  }
  return kNone;
}

std::string written(Path path) {
  std::string out;
  for (const char* key : path) out += (out.empty() ? "" : ".") + std::string(key);
  return out;
}

std::string fault_of_webhook(const json& webhook, std::string_view gate_namespace) {
  const json& client = member(webhook, "clientConfig");
  const json& service = member(client, "service");
  const auto name_space = text_member(service, "namespace");
  if (!service.is_null() && !gate_namespace.empty() && name_space != gate_namespace) {
    return "calls namespace " + name_space + ", not " + std::string(gate_namespace);
  }
  if (text_member(client, "caBundle").empty()) {
    return "has no caBundle: calls fail with x509 errors; is cert-manager's cainjector running?";
  }
  return {};
}

Projection properties(std::vector<Projection> fields) { return keep_members("properties", std::move(fields)); }
/// Present, whatever it is.
Projection field(const char* name) { return keep_members(name, {}); }

}  // namespace

std::string fault_of_webhooks(const json& configuration, WebhookKind kind, std::string_view gate_namespace) {
  if (configuration.is_null()) return "not found: nothing is gated; apply the gate's manifests again";
  const json& webhooks = list_member(configuration, "webhooks");
  if (webhooks.empty()) return "has no webhooks: nothing is gated; apply the gate's manifests again";
  for (const auto& expected : kExpected) {
    if (expected.kind != kind) continue;
    const auto found = std::find_if(webhooks.begin(), webhooks.end(),
                                    [&](const json& webhook) { return text_member(webhook, "name") == expected.name; });
    if (found == webhooks.end()) {
      return "webhook " + std::string(expected.name) + " is missing; apply the gate's manifests again";
    }
    if (expected.failure_policy != nullptr && text_member(*found, "failurePolicy") != expected.failure_policy) {
      return "webhook " + std::string(expected.name) + " has failurePolicy " + text_member(*found, "failurePolicy") +
             ": images change unprepared while the gate does not answer; want " + expected.failure_policy;
    }
  }
  for (const json& webhook : webhooks) {
    if (const auto fault = fault_of_webhook(webhook, gate_namespace); !fault.empty()) {
      return "webhook " + text_member(webhook, "name") + " " + fault;
    }
  }
  return {};
}

std::string fault_of_rollout_webhook(const json& configuration, std::string_view gate_namespace) {
  const json& webhooks = list_member(configuration, "webhooks");
  const auto found = std::find_if(webhooks.begin(), webhooks.end(),
                                  [](const json& webhook) { return text_member(webhook, "name") == kRolloutWebhook; });
  const auto told = [](const std::string& what) { return what + std::string(kNothingHeld); };
  if (configuration.is_null()) return told("not found");
  const std::string subject = "webhook " + std::string(kRolloutWebhook) + " ";
  if (found == webhooks.end()) return told(subject + "is missing");
  if (const auto policy = text_member(*found, "failurePolicy"); policy != "Fail") {
    return told(subject + "has failurePolicy " + policy + ", not Fail: while the gate does not answer");
  }
  if (const auto fault = fault_of_webhook(*found, gate_namespace); !fault.empty()) return told(subject + fault);
  return {};
}

std::string fault_of_record_crd(const json& crd) {
  if (crd.is_null()) return "not found; apply manifests/crd before the gate starts";
  const json& schema = schema_of(crd);
  for (const Path path : {Path{"status", "captured"}, Path{"status", "conditions"}, Path{"status", "restoreOwed"},
                          Path{"spec", "supersedes"}, Path{"status", "observedGeneration"}}) {
    if (!field_of(schema, path).is_null()) continue;
    return "older than this program: field " + written(path) + " is missing; apply manifests/crd again";
  }
  if (!member(field_of(schema, {"status", "conditions", "[]", "type"}), "enum").is_null()) {
    return "older than this program: it refuses new types of status.conditions; apply manifests/crd again";
  }
  return {};
}

std::string fault_of_cluster_crd(const json& crd) {
  if (crd.is_null()) return "not found; install the StarRocks operator's CRDs";
  const json& schema = schema_of(crd);
  const bool mirror = !field_of(schema, {"status", "upgradePreparationStatus"}).is_null();
  const bool spec = !field_of(schema, {"spec", "upgradePreparation"}).is_null();
  if (mirror && spec) {
    for (const Path path : {Path{"status", "conditions"}, Path{"status", "observedGeneration"}}) {
      if (!field_of(schema, path).is_null()) continue;
      return "with an extension older than this program: " + written(path) +
             " is dropped by the API server, and Flux, helm --wait and kubectl wait take a cluster whose upgrade is "
             "held for ready; apply manifests/crd-extension again";
    }
    return {};
  }
  return "without the gate's extension (manifests/crd-extension): spec.upgradePreparation and spec.*.upgradeHooks are "
         "dropped by the API server and clusters that ask only there are not gated; annotations work. An upgrade of "
         "the operator's CRD removes the extension: apply it again afterwards";
}

std::string fault_of_warehouse_crd(const json& crd) {
  if (!field_of(schema_of(crd), {"status", "upgradePreparationStatus"}).is_null()) return {};
  return "without the gate's extension (manifests/crd-extension): each step of a warehouse whose rollout the gate "
         "leads "
         "waits for the operator's resync, minutes. An upgrade of the operator's CRD removes the extension: apply it "
         "again afterwards";
}

const Projection& webhooks_for_judging() {
  static const Projection kKept = keep_members(
      "", {keep_members("metadata", {keep_all("uid"), keep_all("resourceVersion")}),
           keep_elements("webhooks",
                         keep_members("", {keep_all("name"), keep_all("failurePolicy"), keep_all("clientConfig")}))});
  return kKept;
}

const Projection& crd_for_judging() {
  static const Projection kKept = [] {
    auto condition = keep_members("items", {properties({keep_members("type", {keep_all("enum")})})});
    auto status = keep_members("status", {properties({field("captured"), field("restoreOwed"),
                                                      field("observedGeneration"), field("upgradePreparationStatus"),
                                                      keep_members("conditions", {std::move(condition)})})});
    auto spec = keep_members("spec", {properties({field("supersedes"), field("upgradePreparation")})});
    auto schema =
        keep_members("schema", {keep_members("openAPIV3Schema", {properties({std::move(spec), std::move(status)})})});
    return keep_members(
        "", {keep_members("metadata", {keep_all("uid"), keep_all("resourceVersion")}),
             keep_members("spec", {keep_elements("versions", keep_members("", {keep_all("name"), keep_all("storage"),
                                                                               std::move(schema)}))})});
  }();
  return kKept;
}

}  // namespace gate
