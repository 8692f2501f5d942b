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
  json record_crd = crd({"status.captured", "status.conditions", "status.restoreOwed", "spec.supersedes"});
  json cluster_crd = crd({"status.upgradePreparationStatus", "spec.upgradePreparation"});
  json validating{{"webhooks",
                   {{{"name", "clusters.gate.starrocks.com"},
                     {"clientConfig",
                      {{"service", {{"name", "upgrade-gate"}, {"namespace", "starrocks-upgrade-gate"}}},
                       {"caBundle", base64(authority.certificate_pem)}}}}}}};
  json mutating = validating;
  json deployment{{"spec", {{"replicas", 2}}}, {"status", {{"availableReplicas", 2}, {"updatedReplicas", 2}}}};
  json secret{{"data", {{"tls.crt", base64(served.certificate_pem)}}}};
  json clusters{{"items", json::array()}};
  WallTime now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());

  /// The lines that are not good, as "result subject: message".
  [[nodiscard]] std::vector<std::string> complaints() const {
    std::vector<std::string> out;
    for (const auto& line : judge_installation({record_crd, cluster_crd, validating, mutating, deployment, secret,
                                                clusters, "starrocks-upgrade-gate", now})) {
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

TEST_CASE("each thing that is wrong is named, with what to do") {
  const struct {
    const char* name;
    void (*breaks)(Parts&);
    const char* says;
  } rows[] = {
      {"no record CRD", [](Parts& p) { p.record_crd = nullptr; }, "apply manifests/crd"},
      {"an old record CRD", [](Parts& p) { p.record_crd = crd({"status.captured"}); }, "older than this program"},
      {"no operator", [](Parts& p) { p.cluster_crd = nullptr; }, "install the StarRocks operator's CRDs"},
      {"the extension is gone", [](Parts& p) { p.cluster_crd = crd({"spec.image"}); }, "apply it again"},
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
         p.clusters["items"] = {
             {{"metadata",
               {{"name", "sr"}, {"namespace", "db"}, {"annotations", {{"starrocks.com/upgrade-gate-bypass", "*"}}}}}}};
       },
       "carries a bypass annotation"},
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
