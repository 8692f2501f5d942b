#include "server/console/check.hpp"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "policy/text/json_member.hpp"
#include "policy/text/text.hpp"
#include "server/console/process.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds kCallTimeout{60};
constexpr std::string_view kRecordCrd = "upgradepreparations.gate.starrocks.com";
constexpr std::string_view kClusterCrd = "starrocksclusters.starrocks.com";
/// A certificate that ends sooner than this should have been renewed.
constexpr std::chrono::hours kCertificateMargin{72};

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Store = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>>;

std::string decoded(const std::string& base64) {
  std::string out(base64.size() / 4 * 3 + 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(base64.data()), static_cast<int>(base64.size()));
  if (size < 0) return {};
  std::size_t padding = 0;
  while (padding < 2 && padding < base64.size() && base64[base64.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

std::vector<Certificate> certificates_of(const std::string& pem) {
  std::vector<Certificate> out;
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  for (;;) {
    Certificate one(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!one) return out;
    out.push_back(std::move(one));
  }
}

/// Why `leaf_pem` is not signed by a CA of `ca_pem`; empty when it is.
std::string distrust(const std::string& leaf_pem, const std::string& ca_pem, WallTime now) {
  const auto chain = certificates_of(leaf_pem);
  const auto roots = certificates_of(ca_pem);
  if (chain.empty()) return "tls.crt holds no certificate";
  if (roots.empty()) return "caBundle holds no certificate";
  const Store store(X509_STORE_new());
  for (const auto& root : roots) X509_STORE_add_cert(store.get(), root.get());
  const StoreContext context(X509_STORE_CTX_new());
  STACK_OF(X509)* between = sk_X509_new_null();
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(between, chain[i].get());
  X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), between);
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), now.time_since_epoch().count());
  // A bundle of intermediates, or of the self-signed leaf itself, is what the API server accepts as well.
  X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context.get()), X509_V_FLAG_PARTIAL_CHAIN);
  std::string why;
  if (X509_verify_cert(context.get()) != 1) {
    why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  }
  sk_X509_free(between);
  return why;
}

std::optional<WallTime> not_after(const std::string& pem) {
  const auto chain = certificates_of(pem);
  if (chain.empty()) return std::nullopt;
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(chain.front().get()), &parts) != 1) return std::nullopt;
  return WallTime(seconds(timegm(&parts)));
}

bool has_path(const json& schema, std::initializer_list<const char*> path) {
  const json* at = &schema;
  for (const char* key : path) {
    at = &member(member(*at, "properties"), key);
    if (at->is_null()) return false;
  }
  return true;
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

class Judge {
 public:
  explicit Judge(const Installation& installation) : in_(installation) {}
  std::vector<CheckLine> lines;

  void record_crd() {
    const std::string subject = "CustomResourceDefinition " + std::string(kRecordCrd);
    if (in_.record_crd.is_null()) return fail(subject, "not found; apply manifests/crd before the gate starts");
    const json& schema = schema_of(in_.record_crd);
    for (const auto& path : {std::initializer_list<const char*>{"status", "captured"},
                             {"status", "conditions"},
                             {"status", "restoreOwed"},
                             {"spec", "supersedes"}}) {
      if (!has_path(schema, path)) {
        return fail(subject, "older than this program: field " + std::string(*path.begin()) + "." +
                                 std::string(*(path.end() - 1)) + " is not there; apply manifests/crd again");
      }
    }
    good(subject, "present");
  }

  void cluster_crd() {
    const std::string subject = "CustomResourceDefinition " + std::string(kClusterCrd);
    if (in_.cluster_crd.is_null()) return fail(subject, "not found; install the StarRocks operator's CRDs");
    const json& schema = schema_of(in_.cluster_crd);
    const bool status = has_path(schema, {"status", "upgradePreparationStatus"});
    const bool spec = has_path(schema, {"spec", "upgradePreparation"});
    if (status && spec) return good(subject, "present, with the gate's extension");
    warn(
        subject,
        "without the gate's extension (manifests/crd-extension): spec.upgradePreparation and spec.*.upgradeHooks are "
        "dropped by the API server and clusters that ask only there are not gated; annotations work. An upgrade of the "
        "operator's CRD removes the extension: apply it again afterwards");
  }

  void webhooks(const char* kind, const json& configuration) {
    const std::string subject = std::string(kind) + " upgrade-gate";
    if (configuration.is_null()) return fail(subject, "not found: nothing is gated; apply the gate's manifests again");
    const json& entries = list_member(configuration, "webhooks");
    if (entries.empty()) return fail(subject, "has no webhooks: nothing is gated");
    const auto served = decoded(text_member(member(in_.certificate_secret, "data"), "tls.crt"));
    for (const json& entry : entries) {
      const auto name = text_member(entry, "name");
      const json& client = member(entry, "clientConfig");
      const json& service = member(client, "service");
      if (!service.is_null() && text_member(service, "namespace") != in_.gate_namespace) {
        return fail(subject, "webhook " + name + " calls namespace " + text_member(service, "namespace") + ", not " +
                                 in_.gate_namespace);
      }
      const auto ca = decoded(text_member(client, "caBundle"));
      if (ca.empty()) {
        return fail(
            subject,
            "webhook " + name + " has no caBundle: calls fail with x509 errors; is cert-manager's cainjector running?");
      }
      if (served.empty()) continue;
      if (const auto why = distrust(served, ca, in_.now); !why.empty()) {
        return fail(subject, "webhook " + name + ": its caBundle does not match the served certificate: " + why);
      }
    }
    good(subject,
         std::to_string(entries.size()) + " webhooks" +
             (served.empty() ? "; their CA was not compared with the certificate" : ", CA matches the certificate"));
  }

  void certificate() {
    const std::string subject = "Secret " + in_.gate_namespace + "/upgrade-gate-tls";
    if (in_.certificate_secret.is_null()) return skip(subject, "not found, or you may not read it");
    const auto until = not_after(decoded(text_member(member(in_.certificate_secret, "data"), "tls.crt")));
    if (!until) return fail(subject, "tls.crt holds no certificate");
    if (*until <= in_.now) return fail(subject, "the certificate expired at " + format_time(*until));
    if (*until - in_.now < kCertificateMargin)
      return warn(subject, "the certificate expires at " + format_time(*until));
    good(subject, "valid until " + format_time(*until));
  }

  void deployment() {
    const std::string subject = "Deployment " + in_.gate_namespace + "/upgrade-gate";
    if (in_.deployment.is_null()) return fail(subject, "not found; is --gate-namespace right?");
    const auto number = [&](const char* part, const char* key) {
      const json& value = member(member(in_.deployment, part), key);
      return value.is_number_integer() ? value.get<int>() : 0;
    };
    const int wanted = number("spec", "replicas");
    const int available = number("status", "availableReplicas");
    const int updated = number("status", "updatedReplicas");
    const std::string text = std::to_string(available) + " of " + std::to_string(wanted) + " replicas available";
    if (available == 0) return fail(subject, text + ": image changes of configured clusters are refused");
    if (available < wanted) return warn(subject, text);
    if (updated < wanted)
      return warn(subject, text + ", " + std::to_string(updated) + " of them of the present version");
    if (wanted < 2) return warn(subject, text + ": with one replica image changes are refused while it restarts");
    good(subject, text);
  }

  void clusters() {
    int configured = 0;
    for (const json& cluster : list_member(in_.clusters, "items")) {
      const json& metadata = member(cluster, "metadata");
      const json& annotations = member(metadata, "annotations");
      const bool asks = !text_member(annotations, "starrocks.com/prepare-upgrade").empty() ||
                        !text_member(annotations, "starrocks.com/upgrade-hooks").empty() ||
                        !text_member(annotations, "starrocks.com/upgrade-hooks-configmap").empty() ||
                        !member(member(cluster, "spec"), "upgradePreparation").is_null();
      const std::string subject =
          "StarRocksCluster " + text_member(metadata, "namespace") + "/" + text_member(metadata, "name");
      if (!text_member(annotations, "starrocks.com/upgrade-gate-bypass").empty()) {
        warn(subject, "carries a bypass annotation: remove starrocks.com/upgrade-gate-bypass once it has been used");
      }
      if (asks) ++configured;
    }
    if (in_.clusters.is_null()) return skip("StarRocksClusters", "you may not list them");
    good("StarRocksClusters", std::to_string(list_member(in_.clusters, "items").size()) + " found, " +
                                  std::to_string(configured) + " ask for hooks");
  }

 private:
  void add(CheckResult result, const std::string& subject, const std::string& message) {
    lines.push_back({result, printable_text(subject), printable_text(message)});
  }
  void good(const std::string& subject, const std::string& message) { add(CheckResult::Good, subject, message); }
  void warn(const std::string& subject, const std::string& message) { add(CheckResult::Warning, subject, message); }
  void fail(const std::string& subject, const std::string& message) { add(CheckResult::Failure, subject, message); }
  void skip(const std::string& subject, const std::string& message) { add(CheckResult::NotChecked, subject, message); }

  const Installation& in_;
};

struct Right {
  const char* verb;
  const char* resource;
};
/// What the serving pods cannot do without.
constexpr std::array kRights{Right{"watch", "starrocksclusters.starrocks.com"},
                             Right{"create", "upgradepreparations.gate.starrocks.com"},
                             Right{"update", "upgradepreparations.gate.starrocks.com/status"},
                             Right{"get", "statefulsets.apps"},
                             Right{"get", "services"},
                             Right{"get", "configmaps"},
                             Right{"create", "events"}};

class Gatherer {
 public:
  Gatherer(const ConsoleOptions& options, const Clock& clock) : options_(options), clock_(clock) {}

  [[nodiscard]] Result<std::string> kubectl(std::vector<std::string> words) const {
    words.insert(words.begin(), options_.kubectl);
    const auto add = [&](const char* flag, const std::string& value) {
      if (!value.empty()) words.push_back(std::string(flag) + "=" + value);
    };
    add("--context", options_.context);
    add("--kubeconfig", options_.kubeconfig);
    return run_program(words, clock_.steady_now() + kCallTimeout);
  }
  /// Null when it is not there or may not be read.
  [[nodiscard]] json get(std::vector<std::string> words) const {
    words.insert(words.begin(), "get");
    words.emplace_back("--output=json");
    const auto text = kubectl(words);
    if (!text) return nullptr;
    auto parsed = json::parse(*text, nullptr, false);
    return parsed.is_discarded() ? json(nullptr) : parsed;
  }
  /// Whether the gate's service account has each right; needs the caller's right to impersonate.
  void rights(std::vector<CheckLine>& lines) const {
    const std::string account = "system:serviceaccount:" + options_.gate_namespace + ":upgrade-gate";
    std::string missing;
    for (const auto& right : kRights) {
      const auto may = kubectl({"auth", "can-i", right.verb, right.resource, "--all-namespaces", "--as=" + account});
      if (may) continue;
      if (may.error().message.find("impersonate") != std::string::npos) {
        lines.push_back({CheckResult::NotChecked, "RBAC", "you may not impersonate " + account});
        return;
      }
      missing += std::string(missing.empty() ? "" : ", ") + right.verb + " " + right.resource;
    }
    if (missing.empty()) {
      lines.push_back({CheckResult::Good, "RBAC", account + " has the rights that it needs"});
    } else {
      lines.push_back({CheckResult::Failure, "RBAC", account + " may not: " + missing});
    }
  }

 private:
  const ConsoleOptions& options_;
  const Clock& clock_;
};

const char* word_of(CheckResult result) {
  switch (result) {
    case CheckResult::Good:
      return "ok";
    case CheckResult::Warning:
      return "warning";
    case CheckResult::Failure:
      return "FAILURE";
    case CheckResult::NotChecked:
      return "skipped";
  }
  return "";
}

}  // namespace

std::vector<CheckLine> judge_installation(const Installation& installation) {
  Judge judge(installation);
  judge.record_crd();
  judge.cluster_crd();
  judge.webhooks("ValidatingWebhookConfiguration", installation.validating);
  judge.webhooks("MutatingWebhookConfiguration", installation.mutating);
  judge.certificate();
  judge.deployment();
  judge.clusters();
  return std::move(judge.lines);
}

int check_installation(const ConsoleOptions& options, const Clock& clock, const ConsoleStreams& streams) {
  const Gatherer gatherer(options, clock);
  if (const auto version = gatherer.kubectl({"version", "--output=json"}); !version) {
    streams.err << "upgrade-gate check: " << printable_text(version.error().message) << "\n";
    return console_exit::kUnusable;
  }
  const std::string ns = "--namespace=" + options.gate_namespace;
  const json record_crd = gatherer.get({"crd", std::string(kRecordCrd)});
  const json cluster_crd = gatherer.get({"crd", std::string(kClusterCrd)});
  const json validating = gatherer.get({"validatingwebhookconfiguration", "upgrade-gate"});
  const json mutating = gatherer.get({"mutatingwebhookconfiguration", "upgrade-gate"});
  const json deployment = gatherer.get({"deployment", "upgrade-gate", ns});
  const json secret = gatherer.get({"secret", "upgrade-gate-tls", ns});
  const json clusters = gatherer.get({std::string(kClusterCrd), "--all-namespaces"});
  auto lines = judge_installation({record_crd, cluster_crd, validating, mutating, deployment, secret, clusters,
                                   options.gate_namespace, clock.wall_now()});
  gatherer.rights(lines);
  json out = json::array();
  bool failed = false;
  for (const auto& line : lines) {
    failed = failed || line.result == CheckResult::Failure;
    if (options.json) {
      out.push_back({{"result", word_of(line.result)}, {"subject", line.subject}, {"message", line.message}});
    } else {
      streams.out << word_of(line.result) << std::string(9 - std::string(word_of(line.result)).size(), ' ')
                  << line.subject << ": " << line.message << "\n";
    }
  }
  if (options.json) streams.out << out.dump(2) << "\n";
  return failed ? console_exit::kFailed : console_exit::kGood;
}

}  // namespace gate
