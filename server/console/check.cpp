#include "server/console/check.hpp"

#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "policy/hooks/rollout_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/review/installation.hpp"
#include "policy/text/base64.hpp"
#include "policy/text/text.hpp"
#include "server/console/can_i.hpp"
#include "server/console/process.hpp"
#include "server/net/openssl_handles.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds kCallTimeout{60};
constexpr std::string_view kRecordCrd = "upgradepreparations.gate.starrocks.com";
constexpr std::string_view kClusterCrd = "starrocksclusters.starrocks.com";
constexpr std::string_view kWarehouseCrd = "starrockswarehouses.starrocks.com";
/// A certificate that ends sooner than this should have been renewed.
constexpr std::chrono::hours kCertificateMargin{72};
/// Tokens of callers from further ahead than a minute count as nobody's.
constexpr seconds kClockMargin{30};
/// A line for each cluster.
constexpr std::size_t kProbeOutputMax = 4u << 20;

/// Why `leaf_pem` is not signed by a CA of `ca_pem`; empty when it is.
std::string distrust(const std::string& leaf_pem, const std::string& ca_pem, WallTime now) {
  const auto chain = openssl::certificates_of(leaf_pem);
  const auto store = openssl::roots_of(ca_pem);
  if (chain.empty()) return "tls.crt holds no certificate";
  if (!store) return "caBundle holds no certificate";
  const openssl::StoreContextPtr context(X509_STORE_CTX_new());
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
  const auto chain = openssl::certificates_of(pem);
  if (chain.empty()) return std::nullopt;
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(chain.front().get()), &parts) != 1) return std::nullopt;
  return WallTime(seconds(timegm(&parts)));
}

/// The value of a flag of the gate's container; "" without it.
std::string argument(const json& deployment, const std::string& flag) {
  const json& pod = member(member(member(deployment, "spec"), "template"), "spec");
  const json& containers = list_member(pod, "containers");
  const auto found = std::find_if(containers.begin(), containers.end(), [](const json& container) {
    return text_member(container, "name") == "upgrade-gate";
  });
  if (found == containers.end()) return {};
  const json& words = list_member(*found, "args");
  std::string value;  // of one that is given twice the last counts
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!words[i].is_string()) continue;
    const auto& word = words[i].get_ref<const std::string&>();
    if (word.starts_with(flag + "=")) value = word.substr(flag.size() + 1);
    if (word == flag && i + 1 < words.size() && words[i + 1].is_string()) value = words[i + 1].get<std::string>();
  }
  return value;
}

/// The Secret with the served certificate: what the manifests mount, or one that somebody keeps (chart:
/// certificates.secretName).
std::string certificate_secret_name(const json& deployment) {
  const json& pod = member(member(member(deployment, "spec"), "template"), "spec");
  for (const json& volume : list_member(pod, "volumes")) {
    const auto name = text_member(member(volume, "secret"), "secretName");
    if (text_member(volume, "name") == "certs" && !name.empty()) return name;
  }
  return "upgrade-gate-tls";
}

/// Whether a labelSelector (absent or empty: yes) takes these labels; an operator that is not known takes none.
bool selects(const json& selector, const json& labels) {
  const json& wanted = member(selector, "matchLabels");
  for (const auto& item : wanted.items()) {
    if (!item.value().is_string() || member(labels, item.key()) != item.value()) return false;
  }
  for (const json& expression : list_member(selector, "matchExpressions")) {
    const auto key = text_member(expression, "key");
    const bool there = labels.is_object() && labels.contains(key);
    const json& values = list_member(expression, "values");
    const bool among =
        there && std::any_of(values.begin(), values.end(), [&](const json& value) { return value == labels[key]; });
    const auto how = text_member(expression, "operator");
    const bool holds = (how == "In" && among) || (how == "NotIn" && !among) || (how == "Exists" && there) ||
                       (how == "DoesNotExist" && !there);
    if (!holds) return false;
  }
  return true;
}

const json* webhook_named(const json& configuration, std::string_view name) {
  for (const json& webhook : list_member(configuration, "webhooks")) {
    if (text_member(webhook, "name") == name) return &webhook;
  }
  return nullptr;
}

bool asks(const json& cluster) {
  const json& annotations = member(member(cluster, "metadata"), "annotations");
  const json& spec = member(cluster, "spec");
  const auto component = [&](const char* field) { return !member(member(spec, field), "upgradeHooks").is_null(); };
  const auto annotated = [&](const char* name) { return !text_member(annotations, name).empty(); };
  return (annotated("starrocks.com/prepare-upgrade") &&
          text_member(annotations, "starrocks.com/prepare-upgrade") != "false") ||
         annotated("starrocks.com/upgrade-hooks") || annotated("starrocks.com/upgrade-hooks-configmap") ||
         !member(spec, "upgradePreparation").is_null() || component("starRocksFeSpec") ||
         component("starRocksBeSpec") || component("starRocksCnSpec");
}

class Judge {
 public:
  explicit Judge(const Installation& installation) : in_(installation) {}
  std::vector<CheckLine> lines;

  void record_crd() {
    const std::string subject = "CustomResourceDefinition " + std::string(kRecordCrd);
    if (unread(in_.record_crd, subject)) return;
    const auto fault = fault_of_record_crd(in_.record_crd);
    add(fault.empty() ? CheckResult::Good : CheckResult::Failure, subject, fault.empty() ? "present" : fault);
  }

  void cluster_crd() {
    if (unread(in_.cluster_crd, "CustomResourceDefinition " + std::string(kClusterCrd))) return;
    const auto fault = fault_of_cluster_crd(in_.cluster_crd);
    auto result = fault.empty() ? CheckResult::Good : CheckResult::Warning;
    if (in_.cluster_crd.is_null()) result = CheckResult::Failure;
    add(result, "CustomResourceDefinition " + std::string(kClusterCrd),
        fault.empty() ? "present, with the gate's extension" : fault);
  }

  /// Optional, like the warehouses; what the extension does there counts where rollouts are led.
  void warehouse_crd() {
    if (in_.warehouse_crd.is_null()) return;
    if (unread(in_.warehouse_crd, "CustomResourceDefinition " + std::string(kWarehouseCrd))) return;
    const bool leads = webhook_named(in_.mutating, "statefulsets.gate.starrocks.com") != nullptr;
    const auto fault = leads ? fault_of_warehouse_crd(in_.warehouse_crd) : std::string{};
    add(fault.empty() ? CheckResult::Good : CheckResult::Warning,
        "CustomResourceDefinition " + std::string(kWarehouseCrd),
        !fault.empty() ? fault
        : leads        ? "present, with the gate's extension"
                       : "present");
  }

  void webhooks(WebhookKind which, const json& configuration) {
    const std::string subject = std::string(which == WebhookKind::Mutating ? "Mutating" : "Validating") +
                                "WebhookConfiguration " + in_.gate_name;
    if (unread(configuration, subject)) return;
    if (const auto fault = fault_of_webhooks(configuration, which, in_.gate_namespace); !fault.empty()) {
      return fail(subject, fault);
    }
    const json& entries = list_member(configuration, "webhooks");
    const auto served = decode_base64(text_member(member(in_.certificate_secret, "data"), "tls.crt")).value_or("");
    for (const json& entry : entries) {
      if (served.empty()) break;
      const auto ca = decode_base64(text_member(member(entry, "clientConfig"), "caBundle")).value_or("");
      if (const auto why = distrust(served, ca, in_.now); !why.empty()) {
        return fail(subject, "webhook " + text_member(entry, "name") +
                                 ": its caBundle does not match the served certificate: " + why);
      }
    }
    good(subject,
         std::to_string(entries.size()) + " webhooks" +
             (served.empty() ? "; their CA was not compared with the certificate" : ", CA matches the certificate"));
  }

  void callers() {
    const std::string subject = "Caller authentication";
    if (!in_.deployment.is_object()) return skip(subject, "the Deployment was not found, or you may not read it");
    auto policy = argument(in_.deployment, "--callers");
    if (policy.empty()) policy = argument(in_.deployment, "--tls-client-ca-file").empty() ? "any" : "certificate";
    if (policy == "any") {
      return warn(
          subject,
          "reviews from anyone who reaches the port are acted on: set --callers=secret-path, as the manifests do");
    }
    for (const json* configuration : {&in_.validating, &in_.mutating}) {
      for (const json& webhook : list_member(*configuration, "webhooks")) {
        const json& service = member(member(webhook, "clientConfig"), "service");
        if (service.is_null()) continue;
        // "/validate" is the gate's own, "/validate/TOKEN" what it keeps. The token itself is shown to nobody.
        const auto path = text_member(service, "path");
        const bool has_token = std::count(path.begin(), path.end(), '/') >= 2;
        if (path.empty() || (policy == "secret-path" && !has_token)) {
          return fail(subject, "webhook " + text_member(webhook, "name") + " has no " +
                                   (policy == "secret-path"
                                        ? "secret path, so its calls are refused: the gate writes it within seconds "
                                          "where a replica runs and ClusterRole upgrade-gate-webhook-paths is bound"
                                        : "path: put the gate's into clientConfig (docs/who-may-ask.md)"));
        }
      }
    }
    if (policy != "secret-path") return good(subject, policy);
    if (!in_.caller_secret.is_object())
      return good(subject, policy + "; its Secret was not found, or you may not read it");
    if (text_member(member(in_.caller_secret, "data"), "key").empty()) {
      return fail(subject,
                  "the Secret of the secret paths has no key: no replica becomes ready; is Role "
                  "upgrade-gate-caller bound?");
    }
    good(subject, policy);
  }

  /// Whether the clusters that ask are in namespaces whose objects the API server shows to the gate.
  void namespaces() {
    const std::string subject = "Namespaces";
    if (!in_.namespaces.is_object() || !in_.clusters.is_object()) return skip(subject, "you may not list them");
    const json* gates = webhook_named(in_.validating, "clusters.gate.starrocks.com");
    if (gates == nullptr) return skip(subject, "there is no webhook that says which of them it is for");
    const json* leads = webhook_named(in_.mutating, "statefulsets.gate.starrocks.com");
    const std::size_t before = lines.size();
    for (const json& cluster : list_member(in_.clusters, "items")) {
      const auto name_space = text_member(member(cluster, "metadata"), "namespace");
      const std::string name =
          "StarRocksCluster " + name_space + "/" + text_member(member(cluster, "metadata"), "name");
      const json labels = labels_of(name_space);
      if (asks(cluster) && !selects(member(*gates, "namespaceSelector"), labels)) {
        fail(name, "asks for hooks, and the webhook's namespaceSelector leaves its namespace out: it is not gated");
      }
      if (!resolve_rollout(cluster, {}).rollout.leads()) continue;
      if (leads == nullptr) {
        fail(name, "asks for a rollout that the gate leads; apply manifests/rollouts");
      } else if (!selects(member(*leads, "namespaceSelector"), labels)) {
        fail(name,
             "asks for a rollout that the gate leads, and its namespace lacks the label for it: kubectl label "
             "namespace " +
                 name_space + " " + wanted_labels(*leads));
      }
    }
    if (lines.size() == before) good(subject, "every cluster that asks is seen by the webhooks");
  }

  void certificate() {
    const std::string subject = "Secret " + in_.gate_namespace + "/" + certificate_secret_name(in_.deployment);
    if (!in_.certificate_secret.is_object()) return skip(subject, "not found, or you may not read it");
    const auto until =
        not_after(decode_base64(text_member(member(in_.certificate_secret, "data"), "tls.crt")).value_or(""));
    if (!until) return fail(subject, "tls.crt holds no certificate");
    if (*until <= in_.now) return fail(subject, "the certificate expired at " + format_time(*until));
    if (*until - in_.now < kCertificateMargin)
      return warn(subject, "the certificate expires at " + format_time(*until));
    good(subject, "valid until " + format_time(*until));
  }

  void deployment() {
    const std::string subject = "Deployment " + in_.gate_namespace + "/" + in_.gate_name;
    if (unread(in_.deployment, subject)) return;
    if (in_.deployment.is_null()) return fail(subject, "not found; are --gate-namespace and --gate-name right?");
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
      const std::string subject =
          "StarRocksCluster " + text_member(metadata, "namespace") + "/" + text_member(metadata, "name");
      if (!text_member(member(metadata, "annotations"), "starrocks.com/upgrade-gate-bypass").empty()) {
        warn(subject, "carries a bypass annotation: remove starrocks.com/upgrade-gate-bypass once it has been used");
      }
      if (asks(cluster)) ++configured;
    }
    if (unread(in_.clusters, "StarRocksClusters")) return;
    if (in_.clusters.is_null()) return skip("StarRocksClusters", "not found");
    good("StarRocksClusters", std::to_string(list_member(in_.clusters, "items").size()) + " found, " +
                                  std::to_string(configured) + " ask for hooks");
  }

 private:
  /// What one may not look at is not taken for absent.
  bool unread(const json& part, const std::string& subject) {
    if (!part.is_string()) return false;
    skip(subject, "could not be read: " + printable_text(part.get_ref<const std::string&>()));
    return true;
  }
  [[nodiscard]] json labels_of(const std::string& name_space) const {
    for (const json& one : list_member(in_.namespaces, "items")) {
      if (text_member(member(one, "metadata"), "name") == name_space) return member(member(one, "metadata"), "labels");
    }
    return json::object();
  }
  static std::string wanted_labels(const json& webhook) {
    std::string out;
    for (const auto& item : member(member(webhook, "namespaceSelector"), "matchLabels").items()) {
      out += (out.empty() ? "" : " ") + item.key() + "=" +
             (item.value().is_string() ? item.value().get<std::string>() : "");
    }
    return out;
  }
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
  const char* resource;  ///< With a slash at its end: of the one object that the gate keeps its paths in, or their key.
  enum class In { AllNamespaces, GateNamespace } in = In::AllNamespaces;
  const char* flag = "";  ///< Only where the gate is given this one.
};
/// What the serving pods cannot do without.
constexpr std::array kRights{
    Right{"watch", "starrocksclusters.starrocks.com"},
    Right{"watch", "starrockswarehouses.starrocks.com"},
    Right{"patch", "starrocksclusters.starrocks.com/status"},
    Right{"patch", "starrockswarehouses.starrocks.com/status"},
    Right{"create", "upgradepreparations.gate.starrocks.com"},
    Right{"watch", "upgradepreparations.gate.starrocks.com"},
    Right{"patch", "upgradepreparations.gate.starrocks.com"},
    Right{"update", "upgradepreparations.gate.starrocks.com/status"},
    Right{"get", "statefulsets.apps"},
    Right{"get", "services"},
    Right{"get", "configmaps"},
    Right{"get", "secrets"},
    Right{"create", "subjectaccessreviews.authorization.k8s.io"},
    Right{"create", "events"},
    Right{"get", "customresourcedefinitions.apiextensions.k8s.io/starrocksclusters.starrocks.com"},
    Right{"update", "validatingwebhookconfigurations.admissionregistration.k8s.io/", Right::In::AllNamespaces,
          "--caller-secret"},
    Right{"update", "mutatingwebhookconfigurations.admissionregistration.k8s.io/", Right::In::AllNamespaces,
          "--caller-secret"},
    Right{"update", "secrets/", Right::In::GateNamespace, "--caller-secret"},
    Right{"create", "jobs.batch", Right::In::AllNamespaces, "--script-hook-image"},
    Right{"list", "pods", Right::In::AllNamespaces, "--script-hook-image"}};
/// Of the gate's own container, without which another process would not reach the FEs as it does.
constexpr std::array kFrontendFlags{"--cluster-domain", "--frontend-address", "--frontend-tls", "--frontend-ca-file"};

CheckResult result_of(const std::string& word) {
  for (const auto result : {CheckResult::Good, CheckResult::Warning, CheckResult::Failure}) {
    if (word == word_of(result)) return result;
  }
  return CheckResult::NotChecked;
}

class Gatherer {
 public:
  Gatherer(const ConsoleOptions& options, const Clock& clock) : options_(options), clock_(clock) {}

  [[nodiscard]] Result<std::string> kubectl(std::vector<std::string> words, const std::string& input = {}) const {
    return run_program(command(std::move(words)), clock_.steady_now() + kCallTimeout, input);
  }
  /// Null when it does not exist; a string that says why when it cannot be read.
  [[nodiscard]] json get(std::vector<std::string> words) const {
    words.insert(words.begin(), "get");
    words.emplace_back("--output=json");
    const auto text = kubectl(std::move(words));
    if (!text && text.error().message.find("(NotFound)") != std::string::npos) return nullptr;
    if (!text) return text.error().message;
    auto parsed = json::parse(*text, nullptr, false);
    return parsed.is_discarded() ? json("kubectl answered something that is not JSON") : parsed;
  }
  /// Whether the gate's service account has each right; needs the caller's right to impersonate.
  void rights(const json& deployment, std::vector<CheckLine>& lines) const {
    const std::string account = "system:serviceaccount:" + options_.gate_namespace + ":" + options_.gate_name;
    const std::string secret = argument(deployment, "--caller-secret");
    std::string missing;
    for (const auto& right : kRights) {
      if (*right.flag != '\0' && argument(deployment, right.flag).empty()) continue;
      const std::string scope =
          right.in == Right::In::GateNamespace ? "--namespace=" + options_.gate_namespace : "--all-namespaces";
      std::string resource = right.resource;
      if (resource == "secrets/") {
        resource += secret.substr(secret.find('/') + 1);
      } else if (resource.back() == '/') {
        resource += options_.gate_name;
      }
      std::vector<std::string> words{"auth", "can-i", right.verb, resource, scope, "--as=" + account};
      // kubectl would take what is behind the slash for an object's name.
      constexpr std::string_view kStatus = "/status";
      if (resource.ends_with(kStatus)) {
        words[3].resize(resource.size() - kStatus.size());
        words.emplace_back("--subresource=status");
      }
      const auto may = run_can_i(command(std::move(words)), clock_.steady_now() + kCallTimeout);
      if (may && *may) continue;
      if (!may) {
        const bool foreign = may.error().message.find("impersonate") != std::string::npos;
        lines.push_back({CheckResult::NotChecked, "RBAC",
                         foreign ? "you may not impersonate " + account : printable_text(may.error().message)});
        return;
      }
      missing += std::string(missing.empty() ? "" : ", ") + right.verb + " " + resource;
    }
    if (missing.empty()) {
      lines.push_back({CheckResult::Good, "RBAC", account + " has the rights that it needs"});
    } else {
      lines.push_back({CheckResult::Failure, "RBAC", account + " may not: " + missing});
    }
  }
  /// Asks the API server for two dry runs that the gate judges.
  void verdicts(std::vector<CheckLine>& lines) const {
    const auto valid = ask(true);
    lines.push_back(judge_verdicts(valid, ask(false)));
    if (valid.created) lines.push_back(judge_clock(*valid.created, clock_.wall_now(), "your"));
  }
  /// The gate's own program, started beside a replica, logs in to every FE: what it prints is taken over.
  void frontends(const json& deployment, std::vector<CheckLine>& lines) const {
    if (!deployment.is_object()) return;
    std::vector<std::string> words{"exec",
                                   "deployment/" + options_.gate_name,
                                   "--namespace=" + options_.gate_namespace,
                                   "--container=upgrade-gate",
                                   "--",
                                   "/usr/bin/upgrade-gate",
                                   "probe",
                                   "--frontends",
                                   "--output=json"};
    for (const char* flag : kFrontendFlags) {
      if (const auto value = argument(deployment, flag); !value.empty()) {
        words.push_back(std::string(flag) + "=" + value);
      }
    }
    std::string output;
    const auto ran =
        stream_program(command(std::move(words)), clock_.steady_now() + kCallTimeout, [&](std::string_view chunk) {
          output += chunk;
          return output.size() <= kProbeOutputMax;
        });
    const auto told = json::parse(output, nullptr, false);
    if (!told.is_array()) {
      const std::string why = ran ? "it printed something else than a list" : ran.error().message;
      lines.push_back(
          {CheckResult::NotChecked, "Frontends", "not asked from a pod of the gate: " + printable_text(why)});
      return;
    }
    for (const json& line : told) {
      lines.push_back({result_of(text_member(line, "result")), printable_text(text_member(line, "subject")),
                       printable_text(text_member(line, "message"))});
    }
  }

 private:
  [[nodiscard]] std::vector<std::string> command(std::vector<std::string> words) const {
    const auto end = std::find(words.begin(), words.end(), "--");
    std::vector<std::string> flags;
    const auto add = [&](const char* flag, const std::string& value) {
      if (!value.empty()) flags.push_back(std::string(flag) + "=" + value);
    };
    add("--context", options_.context);
    add("--kubeconfig", options_.kubeconfig);
    const auto as = [](const std::string& word) { return word.starts_with("--as="); };
    if (std::none_of(words.begin(), words.end(), as)) add("--as", options_.as);
    words.insert(end, flags.begin(), flags.end());
    words.insert(words.begin(), options_.kubectl);
    return words;
  }
  [[nodiscard]] Verdict ask(bool valid) const {
    const auto answer = kubectl(
        {"create", "--dry-run=server", "--namespace=" + options_.gate_namespace, "--output=json", "--filename=-"},
        probe_config_map(valid).dump());
    Verdict verdict;
    verdict.accepted = answer.ok();
    if (!answer) {
      verdict.text = answer.error().message;
      verdict.forbidden = verdict.text.find("cannot create resource") != std::string::npos;
      return verdict;
    }
    const auto created = json::parse(*answer, nullptr, false);
    verdict.created = parse_time(text_member(member(created, "metadata"), "creationTimestamp"));
    return verdict;
  }
  const ConsoleOptions& options_;
  const Clock& clock_;
};

}  // namespace

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

bool print_lines(const std::vector<CheckLine>& lines, bool as_json, std::ostream& out) {
  json list = json::array();
  bool failed = false;
  for (const auto& line : lines) {
    const std::string word = word_of(line.result);
    failed = failed || line.result == CheckResult::Failure;
    list.push_back({{"result", word}, {"subject", line.subject}, {"message", line.message}});
    if (!as_json) out << word << std::string(9 - word.size(), ' ') << line.subject << ": " << line.message << "\n";
  }
  if (as_json) out << list.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  return !failed;
}

json probe_config_map(bool valid) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", "upgrade-gate-probe"}, {"labels", {{"starrocks.com/upgrade-hooks", "true"}}}}},
          {"data", {{"probe.sql", valid ? "SHOW FRONTENDS" : "DROP TABLE of_nobody"}}}};
}

CheckLine judge_verdicts(const Verdict& valid, const Verdict& invalid) {
  const std::string subject = "Verdict through the API server";
  if (valid.forbidden || invalid.forbidden) {
    return {CheckResult::NotChecked, subject, "you may not create ConfigMaps in the gate's namespace"};
  }
  const auto from_gate = [](const Verdict& verdict) {
    return verdict.text.find("admission webhook \"configmaps.gate.starrocks.com\" denied") != std::string::npos;
  };
  if (invalid.accepted) {
    return {
        CheckResult::Failure, subject,
        "a ConfigMap of hooks that the gate refuses was accepted (a dry run): the API server does not reach the gate "
        "or does not call it in this namespace"};
  }
  if (invalid.text.find("(NotFound)") != std::string::npos) {
    return {CheckResult::NotChecked, subject, "could not be asked: " + printable_text(invalid.text)};
  }
  if (!from_gate(invalid)) {
    return {CheckResult::Failure, subject,
            "another one than the gate refused a dry run: " + printable_text(invalid.text)};
  }
  if (!valid.accepted) {
    return {CheckResult::Failure, subject, "a valid ConfigMap of hooks was refused: " + printable_text(valid.text)};
  }
  return {CheckResult::Good, subject, "the API server calls the gate and follows its verdicts"};
}

CheckLine judge_clock(WallTime api_server, WallTime now, const std::string& whose) {
  const auto apart = std::chrono::abs(now - api_server);
  const std::string text = whose + " clock and the API server's are " + std::to_string(apart.count()) + " s apart";
  // Certificates, secret paths and back-offs go by it; a request alone may take seconds.
  if (apart <= kClockMargin) return {CheckResult::Good, "Clock", text};
  return {CheckResult::Warning, "Clock", text + ": set both by NTP"};
}

std::vector<CheckLine> judge_installation(const Installation& installation) {
  Judge judge(installation);
  judge.record_crd();
  judge.cluster_crd();
  judge.warehouse_crd();
  judge.webhooks(WebhookKind::Validating, installation.validating);
  judge.webhooks(WebhookKind::Mutating, installation.mutating);
  judge.certificate();
  judge.callers();
  judge.deployment();
  judge.clusters();
  judge.namespaces();
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
  const json warehouse_crd = gatherer.get({"crd", std::string(kWarehouseCrd)});
  const json validating = gatherer.get({"validatingwebhookconfiguration", options.gate_name});
  const json mutating = gatherer.get({"mutatingwebhookconfiguration", options.gate_name});
  const json deployment = gatherer.get({"deployment", options.gate_name, ns});
  const json secret = gatherer.get({"secret", certificate_secret_name(deployment), ns});
  const json clusters = gatherer.get({std::string(kClusterCrd), "--all-namespaces"});
  const json namespaces = gatherer.get({"namespaces"});
  json caller_secret;
  if (const auto name = argument(deployment, "--caller-secret"); !name.empty()) {
    const auto slash = name.find('/');
    const bool named = slash != std::string::npos;
    caller_secret = gatherer.get({"secret", named ? name.substr(slash + 1) : name,
                                  "--namespace=" + (named ? name.substr(0, slash) : options.gate_namespace)});
  }
  auto lines =
      judge_installation({record_crd, cluster_crd, warehouse_crd, validating, mutating, deployment, secret, clusters,
                          caller_secret, namespaces, options.gate_namespace, options.gate_name, clock.wall_now()});
  gatherer.rights(deployment, lines);
  gatherer.verdicts(lines);
  gatherer.frontends(deployment, lines);
  return print_lines(lines, options.json, streams.out) ? console_exit::kGood : console_exit::kFailed;
}

}  // namespace gate
