#include "server/console/check.hpp"

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "test/fakes/certificates.hpp"

using namespace gate;
using nlohmann::json;

namespace {

std::string base64(const std::string& text) {
  std::string out(text.size() * 2 + 4, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

json crd(const std::vector<std::string>& paths) {
  json schema;
  for (const auto& path : paths) {
    const auto dot = path.find('.');
    schema["properties"][path.substr(0, dot)]["properties"][path.substr(dot + 1)] = {{"type", "string"}};
  }
  return {{"spec", {{"versions", {{{"storage", true}, {"schema", {{"openAPIV3Schema", schema}}}}}}}}};
}

/// An installation as it should be; each case breaks one thing.
struct Parts {
  TestCertificate authority = make_test_authority("ca");
  TestCertificate served = make_test_certificate(authority, {"upgrade-gate.starrocks-upgrade-gate.svc"});
  json record_crd = crd(
      {"status.captured", "status.conditions", "status.restoreOwed", "spec.supersedes", "status.observedGeneration"});
  json cluster_crd = crd(
      {"status.upgradePreparationStatus", "status.conditions", "status.observedGeneration", "spec.upgradePreparation"});
  json warehouse_crd = crd({"spec.template"});
  json validating{{"webhooks", {webhook("clusters", "/validate/t0ken"), webhook("warehouses", "/validate/t0ken")}}};
  json mutating{{"webhooks", {webhook("status", "/mutate/t0ken")}}};
  json deployment{
      {"spec",
       {{"replicas", 2},
        {"template",
         {{"spec",
           {{"containers",
             {{{"name", "upgrade-gate"},
               {"args", {"serve", "--callers=secret-path", "--caller-secret=starrocks-upgrade-gate/c"}}}}}}}}}}},
      {"status", {{"availableReplicas", 2}, {"updatedReplicas", 2}}}};
  json caller_secret{{"data", {{"key", "a2V5"}}}};
  json namespaces{{"items", {{{"metadata", {{"name", "db"}, {"labels", {{"team", "a"}}}}}}}}};
  json secret{{"data", {{"tls.crt", base64(served.certificate_pem)}}}};
  json clusters{{"items", json::array()}};
  WallTime now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());

  [[nodiscard]] json webhook(const std::string& name, const std::string& path) const {
    return {{"name", name + ".gate.starrocks.com"},
            {"failurePolicy", "Fail"},
            {"clientConfig",
             {{"service", {{"name", "upgrade-gate"}, {"namespace", "starrocks-upgrade-gate"}, {"path", path}}},
              {"caBundle", base64(authority.certificate_pem)}}}};
  }
  /// A cluster in namespace db.
  static json cluster(const json& annotations, const json& spec = json::object()) {
    return {{"metadata", {{"name", "sr"}, {"namespace", "db"}, {"annotations", annotations}}}, {"spec", spec}};
  }
  /// The lines that are not good, as "result subject: message".
  [[nodiscard]] std::vector<std::string> complaints() const {
    std::vector<std::string> out;
    for (const auto& line :
         judge_installation({record_crd, cluster_crd, warehouse_crd, validating, mutating, deployment, secret, clusters,
                             caller_secret, namespaces, "starrocks-upgrade-gate", "upgrade-gate", now})) {
      if (line.result == CheckResult::Good) continue;
      out.push_back(std::to_string(static_cast<int>(line.result)) + " " + line.subject + ": " + line.message);
    }
    return out;
  }
};

bool one_says(const std::vector<std::string>& lines, const std::string& text) {
  return lines.size() == 1 && lines.front().find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("an installation as it should be has no complaint but the young certificate") {
  Parts parts;
  // The test's certificates live for a day.
  CHECK(one_says(parts.complaints(), "the certificate expires at"));
  parts.secret = nullptr;
  CHECK(one_says(parts.complaints(), "you may not read it"));
}

TEST_CASE("what may not be read is skipped with kubectl's reason, never taken for absent") {
  const struct {
    const char* name;
    json Parts::*part;
    const char* subject;
  } rows[] = {
      {"the record's CRD", &Parts::record_crd, "CustomResourceDefinition upgradepreparations"},
      {"the operator's CRD", &Parts::cluster_crd, "CustomResourceDefinition starrocksclusters"},
      {"the warehouses' CRD", &Parts::warehouse_crd, "CustomResourceDefinition starrockswarehouses"},
      {"the validating webhooks", &Parts::validating, "ValidatingWebhookConfiguration upgrade-gate"},
      {"the mutating webhooks", &Parts::mutating, "MutatingWebhookConfiguration upgrade-gate"},
      {"the Deployment", &Parts::deployment, "Deployment starrocks-upgrade-gate/upgrade-gate"},
      {"the clusters", &Parts::clusters, "StarRocksClusters"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    Parts parts;
    parts.*row.part = "Error from server (Forbidden): User \"alice\" cannot get it";
    const auto lines = parts.complaints();
    const auto skipped = std::to_string(static_cast<int>(CheckResult::NotChecked)) + " " + row.subject;
    CHECK(std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.starts_with(skipped) && line.ends_with(
                                              "could not be read: Error from server (Forbidden): User \"alice\" "
                                              "cannot get it");
    }));
    const auto failure = std::to_string(static_cast<int>(CheckResult::Failure)) + " ";
    for (const auto& line : lines) {
      CAPTURE(line);
      CHECK_FALSE(line.starts_with(failure));
    }
  }
}

TEST_CASE("the certificate is that of the Secret which the Deployment mounts") {
  Parts parts;
  CHECK(one_says(parts.complaints(), "Secret starrocks-upgrade-gate/upgrade-gate-tls: "));
  parts.deployment["spec"]["template"]["spec"]["volumes"] = {
      {{"name", "other"}, {"secret", {{"secretName", "theirs"}}}},
      {{"name", "certs"}, {"secret", {{"secretName", "mine"}}}}};
  CHECK(one_says(parts.complaints(), "Secret starrocks-upgrade-gate/mine: "));
}

TEST_CASE("without webhooks no cluster is seen by them") {
  Parts parts;
  parts.validating = nullptr;
  parts.clusters["items"] = json::array({Parts::cluster({{"starrocks.com/prepare-upgrade", "true"}})});
  const auto lines = parts.complaints();
  CHECK(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("Namespaces: there is no webhook that says") != std::string::npos;
  }));
}

TEST_CASE("each thing that is wrong is named, with what to do") {
  const struct {
    const char* name;
    void (*breaks)(Parts&);
    const char* says;
  } rows[] = {
      {"no record CRD", [](Parts& p) { p.record_crd = nullptr; }, "apply manifests/crd"},
      {"an old record CRD", [](Parts& p) { p.record_crd = crd({"status.captured"}); }, "older than this program"},
      {"no operator", [](Parts& p) { p.cluster_crd = nullptr; }, "install the StarRocks operator's CRDs"},
      {"an extension that keeps no conditions",
       [](Parts& p) {
         p.cluster_crd =
             crd({"status.upgradePreparationStatus", "status.observedGeneration", "spec.upgradePreparation"});
       },
       "status.conditions is dropped"},
      {"an extension that keeps no generation",
       [](Parts& p) {
         p.cluster_crd = crd({"status.upgradePreparationStatus", "status.conditions", "spec.upgradePreparation"});
       },
       "status.observedGeneration is dropped"},
      {"the extension is gone", [](Parts& p) { p.cluster_crd = crd({"spec.image"}); }, "apply it again"},
      {"rollouts are led, and a warehouse's steps wait",
       [](Parts& p) { p.mutating["webhooks"].push_back(p.webhook("statefulsets", "/mutate-statefulsets/t0ken")); },
       "starrockswarehouses.starrocks.com: without the gate's extension"},
      {"no webhooks", [](Parts& p) { p.validating = nullptr; }, "nothing is gated"},
      {"no CA", [](Parts& p) { p.validating["webhooks"][0]["clientConfig"].erase("caBundle"); }, "cainjector"},
      {"the wrong CA",
       [](Parts& p) {
         p.validating["webhooks"][0]["clientConfig"]["caBundle"] = base64(make_test_authority("b").certificate_pem);
       },
       "does not match the served certificate"},
      {"another namespace",
       [](Parts& p) { p.mutating["webhooks"][0]["clientConfig"]["service"]["namespace"] = "elsewhere"; },
       "calls namespace elsewhere"},
      {"no Deployment", [](Parts& p) { p.deployment = nullptr; }, "--gate-namespace"},
      {"nothing available", [](Parts& p) { p.deployment["status"] = json::object(); }, "0 of 2 replicas"},
      {"one is missing", [](Parts& p) { p.deployment["status"]["availableReplicas"] = 1; }, "1 of 2 replicas"},
      {"a forgotten bypass",
       [](Parts& p) {
         p.clusters["items"] = {Parts::cluster({{"starrocks.com/upgrade-gate-bypass", "*"}})};
       },
       "carries a bypass annotation"},
      {"a webhook is missing", [](Parts& p) { p.validating["webhooks"].erase(1); },
       "warehouses.gate.starrocks.com is missing"},
      {"the gate may be passed by", [](Parts& p) { p.validating["webhooks"][0]["failurePolicy"] = "Ignore"; },
       "has failurePolicy Ignore"},
      {"types of conditions are closed",
       [](Parts& p) {
         p.record_crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
                     ["conditions"] = {
             {"items", {{"properties", {{"type", {{"type", "string"}, {"enum", {"Prepared"}}}}}}}}};
       },
       "refuses new types of status.conditions"},
      {"anybody may ask",
       [](Parts& p) {
         p.deployment["spec"]["template"]["spec"]["containers"][0]["args"] = {"serve", "--callers", "any"};
       },
       "anyone who reaches the port"},
      {"nothing is said of callers",
       [](Parts& p) { p.deployment["spec"]["template"]["spec"]["containers"][0]["args"] = {"serve"}; },
       "anyone who reaches the port"},
      {"the gate has not written its paths",
       [](Parts& p) { p.mutating["webhooks"][0]["clientConfig"]["service"].erase("path"); }, "has no secret path"},
      {"a path without the secret",
       [](Parts& p) { p.validating["webhooks"][1]["clientConfig"]["service"]["path"] = "/validate"; },
       "webhook warehouses.gate.starrocks.com has no secret path"},
      {"certificates, and no path",
       [](Parts& p) {
         p.deployment["spec"]["template"]["spec"]["containers"][0]["args"] = {"--tls-client-ca-file=/ca"};
         p.validating["webhooks"][0]["clientConfig"]["service"].erase("path");
       },
       "has no path: put the gate's"},
      {"no key", [](Parts& p) { p.caller_secret = json::object(); }, "has no key"},
      {"the namespace is left out by its label",
       [](Parts& p) {
         p.validating["webhooks"][0]["namespaceSelector"] = {{"matchLabels", {{"gated", "yes"}}}};
         p.clusters["items"] = {Parts::cluster({{"starrocks.com/prepare-upgrade", "true"}})};
       },
       "leaves its namespace out"},
      {"the namespace is left out by an expression",
       [](Parts& p) {
         p.validating["webhooks"][0]["namespaceSelector"] = {
             {"matchExpressions", {{{"key", "team"}, {"operator", "NotIn"}, {"values", {"a"}}}}}};
         p.clusters["items"] = {Parts::cluster({}, {{"starRocksBeSpec", {{"upgradeHooks", {{"timeoutSeconds", 5}}}}}})};
       },
       "leaves its namespace out"},
      {"the gate is to lead, and cannot",
       [](Parts& p) {
         p.clusters["items"] = {Parts::cluster({{"starrocks.com/upgrade-rollout", "stepwise"}})};
       },
       "apply manifests/rollouts"},
      {"the gate is to lead where it sees nothing",
       [](Parts& p) {
         auto leads = p.webhook("statefulsets", "/mutate-statefulsets/t0ken");
         leads["namespaceSelector"] = {{"matchLabels", {{"gate.starrocks.com/rollouts", "enabled"}}}};
         p.mutating["webhooks"].push_back(leads);
         p.clusters["items"] = {Parts::cluster({}, {{"upgradePreparation", {{"admission", "hold"}}}})};
       },
       "kubectl label namespace db gate.starrocks.com/rollouts=enabled"},
      {"an expired certificate", [](Parts& p) { p.now += std::chrono::hours(48); }, "expired"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    Parts parts;
    row.breaks(parts);
    const auto complaints = parts.complaints();
    CHECK(std::any_of(complaints.begin(), complaints.end(),
                      [&](const std::string& line) { return line.find(row.says) != std::string::npos; }));
  }
}

TEST_CASE("a CRD of warehouses that has the extension, or is not installed, is no complaint where rollouts are led") {
  for (const json& warehouses : {crd({"status.upgradePreparationStatus"}), json()}) {
    Parts parts;
    parts.mutating["webhooks"].push_back(parts.webhook("statefulsets", "/mutate-statefulsets/t0ken"));
    parts.warehouse_crd = warehouses;
    CHECK(one_says(parts.complaints(), "the certificate expires at"));
  }
}

TEST_CASE("clusters that do not ask, or are in sight, are no complaint") {
  const struct {
    const char* name;
    json cluster;
    json selector;
  } rows[] = {
      {"does not ask", Parts::cluster({}), {{"matchLabels", {{"gated", "yes"}}}}},
      {"says no", Parts::cluster({{"starrocks.com/prepare-upgrade", "false"}}), {{"matchLabels", {{"gated", "yes"}}}}},
      {"no selector", Parts::cluster({{"starrocks.com/prepare-upgrade", "true"}}), json()},
      {"an empty one", Parts::cluster({{"starrocks.com/prepare-upgrade", "true"}}), json::object()},
      {"its label", Parts::cluster({{"starrocks.com/prepare-upgrade", "true"}}), {{"matchLabels", {{"team", "a"}}}}},
      {"an expression",
       Parts::cluster({{"starrocks.com/prepare-upgrade", "true"}}),
       {{"matchExpressions",
         {{{"key", "team"}, {"operator", "In"}, {"values", {"b", "a"}}},
          {{"key", "team"}, {"operator", "Exists"}},
          {{"key", "other"}, {"operator", "DoesNotExist"}},
          {{"key", "other"}, {"operator", "NotIn"}, {"values", {"a"}}}}}}},
      {"the operator leads", Parts::cluster({{"starrocks.com/upgrade-rollout", "operator"}}), json()},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    Parts parts;
    parts.clusters["items"] = json::array({row.cluster});
    if (!row.selector.is_null()) parts.validating["webhooks"][0]["namespaceSelector"] = row.selector;
    CHECK(one_says(parts.complaints(), "the certificate expires at"));
  }
}

TEST_CASE("two dry runs tell whether the API server asks the gate") {
  const std::string denial =
      "admission webhook \"configmaps.gate.starrocks.com\" denied the request: UpgradeHooksInvalid";
  const struct {
    const char* name;
    Verdict valid;
    Verdict invalid;
    CheckResult result;
    const char* says;
  } rows[] = {
      {"as it should be", {true, false, "", {}}, {false, false, denial, {}}, CheckResult::Good, "follows its verdicts"},
      {"nobody is asked",
       {true, false, "", {}},
       {true, false, "", {}},
       CheckResult::Failure,
       "does not reach the gate"},
      {"another one refuses",
       {true, false, "", {}},
       {false, false, "quota exceeded", {}},
       CheckResult::Failure,
       "quota"},
      {"no such namespace",
       {false, false, "Error from server (NotFound): namespaces \"gates\" not found", {}},
       {false, false, "Error from server (NotFound): namespaces \"gates\" not found", {}},
       CheckResult::NotChecked,
       "could not be asked: Error from server (NotFound): namespaces \"gates\" not found"},
      {"everything is refused",
       {false, false, denial, {}},
       {false, false, denial, {}},
       CheckResult::Failure,
       "a valid"},
      {"no right", {false, true, "", {}}, {false, true, "", {}}, CheckResult::NotChecked, "you may not create"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto line = judge_verdicts(row.valid, row.invalid);
    CHECK(line.result == row.result);
    CHECK(line.message.find(row.says) != std::string::npos);
  }
}

TEST_CASE("clocks that are apart are told, whichever is ahead") {
  const WallTime now{std::chrono::seconds(1'700'000'000)};
  for (const int ahead : {-31, 31}) {
    const auto line = judge_clock(now, now + std::chrono::seconds(ahead), "the gate's");
    CHECK(line.result == CheckResult::Warning);
    CHECK(line.message.find("31 s apart") != std::string::npos);
  }
  CHECK(judge_clock(now, now + std::chrono::seconds(30), "your").result == CheckResult::Good);
}
