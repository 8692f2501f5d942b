#include "server/kubernetes/kube_script_jobs.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/text/hex.hpp"
#include "policy/text/text.hpp"
#include "server/kubernetes/frontend_credentials.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// The container's; in no image's /etc/passwd, so it owns nothing there.
constexpr int kUser = 65532;
/// A finished Job that nobody deleted goes after this; long enough for people to read its log.
constexpr int kSecondsAfterFinished = 3600;
/// After SIGTERM: a script that was told to stop has had its time.
constexpr int kTerminationGraceSeconds = 10;
/// What a name of a pod, and the value of its label, may have at most (DNS-1123 label).
constexpr std::size_t kNameMax = 63;
constexpr std::size_t kNameDigits = 12;
/// ScriptJobState::detail: what happened, and the log's end.
constexpr std::size_t kReasonBytesMax = 400;
constexpr std::size_t kLogBytesMax = 600;
/// Asked for; of them, the last kLogBytesMax bytes are shown.
constexpr int kLogLines = 8;
constexpr std::size_t kLogBytesRead = 16u << 10;

/// Loads the script with no positional parameters of its own, then calls the function. Neither is part of the program
/// text, so no quoting can go wrong. A script that does not parse to its end is not begun: the shell would otherwise
/// run what stands before the error.
constexpr const char* kProgram =
    R"(gate_load() { gate_script=$1; shift; eval "$gate_script"; }; printf '%s\n' "$1" | /bin/sh -n || exit 2; )"
    R"(gate_load "$1"; "$2")";

/// The kubelet replaces $(NAME) in arguments and values, and $$ by $: doubled, every dollar arrives as it was.
std::string without_expansion(const std::string& value) {
  std::string out;
  for (const char c : value) out.append(c == '$' ? 2 : 1, c);
  return out;
}

std::string hex_of_sha256(const std::string& text, std::size_t digits) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return hex_of(digest).substr(0, digits);
}

/// Lower case letters, digits and single hyphens.
std::string as_label(const std::string& words, std::size_t most) {
  std::string out;
  for (char c : words) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain) out += c;
    if (!plain && !out.empty() && out.back() != '-') out += '-';
  }
  out.resize(std::min(out.size(), most));
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

/// As many characters as fit into `bytes`.
std::string at_most(const std::string& foreign, std::size_t bytes) {
  std::string out = clean_text(foreign, bytes);
  for (std::size_t characters = bytes; out.size() > bytes; characters /= 2) out = clean_text(foreign, characters);
  return out;
}

std::string_view variable_suffix(Component component) {
  switch (component) {
    case Component::Frontend:
      return "FE";
    case Component::Backend:
      return "BE";
    case Component::ComputeNode:
      return "CN";
    case Component::Warehouse:
      return "WAREHOUSE";
  }
  return {};
}

json variable(const std::string& name, const std::string& value) {
  return {{"name", name}, {"value", without_expansion(value)}};
}

json environment(const Preparation& record, const ScriptJob& job, const FrontendAccess& access,
                 const FrontendCredentials& credentials) {
  json out =
      json::array({variable("SR_FE_HOST", access.address.host),
                   variable("SR_FE_PORT", std::to_string(access.address.port)), variable("SR_FE_USER", access.username),
                   variable("SR_CLUSTER", record.spec.cluster), variable("SR_NAMESPACE", record.name_space),
                   variable("SR_UPGRADE_PREPARATION", record.name), variable("SR_UPGRADE_FUNCTION", job.function)});
  for (const ImageChange& change : record.spec.changes) {
    const std::string suffix(variable_suffix(change.component));
    out.push_back(variable("SR_UPGRADE_FROM_" + suffix, change.from));
    out.push_back(variable("SR_UPGRADE_TO_" + suffix, change.to));
  }
  // The last entry of a name wins, and an optional one that does not exist leaves what stands before it.
  std::vector<KeyReference> references = credentials.references;
  if (!credentials.login_secret.empty()) {
    references.push_back({KeyReference::Kind::Secret, credentials.login_secret, "password", false});
  }
  for (auto reference = references.rbegin(); reference != references.rend(); ++reference) {
    const char* member = reference->kind == KeyReference::Kind::Secret ? "secretKeyRef" : "configMapKeyRef";
    json target{{"name", reference->name}, {"key", reference->key}};
    if (reference->optional) target["optional"] = true;
    const json source{{member, std::move(target)}};
    for (const char* name : {"SR_FE_PASSWORD", "MYSQL_PWD"}) out.push_back({{"name", name}, {"valueFrom", source}});
  }
  return out;
}

json container(const ScriptJob& job, const std::string& image, json variables) {
  return {{"name", "script"},
          {"image", image},
          {"command", {"/bin/sh", "-c", kProgram, "script-hook"}},
          {"args", {without_expansion(job.script), without_expansion(job.function)}},
          {"env", std::move(variables)},
          {"resources",
           {{"requests", {{"cpu", "50m"}, {"memory", "64Mi"}, {"ephemeral-storage", "64Mi"}}},
            {"limits", {{"cpu", "1"}, {"memory", "256Mi"}, {"ephemeral-storage", "128Mi"}}}}},
          {"securityContext",
           {{"allowPrivilegeEscalation", false},
            {"readOnlyRootFilesystem", true},
            {"privileged", false},
            {"capabilities", {{"drop", {"ALL"}}}}}},
          {"volumeMounts", {{{"name", "tmp"}, {"mountPath", "/tmp"}}}}};
}

json pod_spec(const ScriptJob& job, const std::string& image, json variables) {
  return {{"restartPolicy", "Never"},
          {"automountServiceAccountToken", false},
          {"enableServiceLinks", false},  // no addresses of other services in the environment
          {"terminationGracePeriodSeconds", kTerminationGraceSeconds},
          {"securityContext",
           {{"runAsNonRoot", true},
            {"runAsUser", kUser},
            {"runAsGroup", kUser},
            {"fsGroup", kUser},
            {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
          {"containers", json::array({container(job, image, std::move(variables))})},
          {"volumes", {{{"name", "tmp"}, {"emptyDir", {{"sizeLimit", "64Mi"}}}}}}};
}

json job_object(const Preparation& record, const ScriptJob& job, const std::string& name, json spec_of_pod) {
  // Not "upgrade-gate": by that name the gate's own Service and Deployment select their pods.
  const json labels{{"app.kubernetes.io/name", "upgrade-gate-script"},
                    {"app.kubernetes.io/managed-by", "upgrade-gate"},
                    {"starrocks.com/cluster", as_label(record.spec.cluster, kNameMax)}};
  return {{"apiVersion", "batch/v1"},
          {"kind", "Job"},
          {"metadata",
           {{"name", name},
            {"namespace", record.name_space},
            {"labels", labels},
            {"annotations",
             {{"gate.starrocks.com/preparation", record.name},
              {"gate.starrocks.com/hook", job.hook},
              {"gate.starrocks.com/function", job.function}}},
            // Without blockOwnerDeletion, which some clusters let only those set who may change the owner's finalizers.
            {"ownerReferences", json::array({{{"apiVersion", kPreparationApiVersion},
                                              {"kind", kPreparationKind},
                                              {"name", record.name},
                                              {"uid", record.uid},
                                              {"controller", true}}})}}},
          {"spec",
           {{"backoffLimit", 0},  // retries are the hook's business
            {"completions", 1},
            {"parallelism", 1},
            {"activeDeadlineSeconds", job.timeout.count()},
            {"ttlSecondsAfterFinished", kSecondsAfterFinished},
            {"template", {{"metadata", {{"labels", labels}}}, {"spec", std::move(spec_of_pod)}}}}}};
}

const json kNothing;

bool is_owned_by(const json& object, const std::string& uid) {
  const json& owners = member_at(object, {"metadata", "ownerReferences"});
  return !uid.empty() && owners.is_array() && std::any_of(owners.begin(), owners.end(), [&](const json& owner) {
    return text_of(member_at(owner, {"uid"})) == uid;
  });
}

/// The condition of `type` when it is True, or null.
const json& true_condition(const json& object, const std::string& type) {
  const json& conditions = member_at(object, {"status", "conditions"});
  for (std::size_t i = 0; conditions.is_array() && i < conditions.size(); ++i) {
    if (text_of(member_at(conditions[i], {"type"})) == type &&
        text_of(member_at(conditions[i], {"status"})) == "True") {
      return conditions[i];
    }
  }
  return kNothing;
}

std::string reason_and_message(const json& holder) {
  const std::string reason = text_of(member_at(holder, {"reason"}));
  const std::string message = text_of(member_at(holder, {"message"}));
  return message.empty() || reason.empty() ? reason + message : reason + ": " + message;
}

/// What a pod that does not run waits for, or how its container ended; "" while it runs.
std::string state_of_pod(const json& pod) {
  const json& containers = member_at(pod, {"status", "containerStatuses"});
  const json& state = containers.is_array() && !containers.empty() ? member_at(containers[0], {"state"}) : kNothing;
  if (const json& ended = member_at(state, {"terminated"}); ended.is_object()) {
    return "the script ended with exit code " + std::to_string(number_of(member_at(ended, {"exitCode"}), -1)) +
           (text_of(member_at(ended, {"reason"})) == "OOMKilled" ? " (out of memory)" : "");
  }
  if (const json& waiting = member_at(state, {"waiting"}); waiting.is_object()) {
    return "its container waits: " + reason_and_message(waiting);
  }
  const json& conditions = member_at(pod, {"status", "conditions"});
  for (std::size_t i = 0; conditions.is_array() && i < conditions.size(); ++i) {
    if (text_of(member_at(conditions[i], {"type"})) == "PodScheduled" &&
        text_of(member_at(conditions[i], {"status"})) == "False") {
      return "its pod waits for a node: " + reason_and_message(conditions[i]);
    }
  }
  if (text_of(member_at(pod, {"status", "phase"})) == "Failed")
    return "its pod failed: " + reason_and_message(member_at(pod, {"status"}));
  return text_of(member_at(pod, {"status", "phase"})) == "Running" ? "" : "its pod is not started yet";
}

/// The cause is in an Event that outlives the Job; the gate may not list Events.
std::string why_no_pod(const std::string& name_space, const std::string& job) {
  return "a quota, a limit range or a policy of the namespace refuses it: kubectl get events -n " + name_space +
         " --field-selector involvedObject.name=" + job;
}

}  // namespace

KubeScriptJobs::KubeScriptJobs(KubeClient& client, ClusterAccess& clusters, KubeScriptJobsOptions options)
    : client_(client), clusters_(clusters), options_(std::move(options)) {}

std::string KubeScriptJobs::unavailable_because() const {
  return options_.image.empty() ? "script hooks are run only by a gate that was started with --script-hook-image" : "";
}

std::string KubeScriptJobs::job_name(const Preparation& record, const ScriptJob& job) {
  const std::string identity =
      json{record.name_space, record.uid, record.name, job.hook, job.function, job.attempt}.dump(
          -1, ' ', false, json::error_handler_t::replace);
  const std::string words = as_label(record.spec.cluster + "-" + job.hook, kNameMax - kNameDigits - 1);
  return (words.empty() ? "script" : words) + "-" + hex_of_sha256(identity, kNameDigits);
}

Result<ScriptJobState> KubeScriptJobs::run(const Preparation& record, const ScriptJob& job, Deadline deadline) {
  if (auto why = unavailable_because(); !why.empty()) return Error{ErrorCode::InvalidInput, why};
  const std::string name = job_name(record, job);
  auto object = client_.get(kube::kJobs, record.name_space, name, deadline);
  if (!object && object.error().code == ErrorCode::PermissionDenied) {
    return Error{ErrorCode::PermissionDenied,
                 object.error().message + " (script hooks need the rights in manifests/components/script-hooks)"};
  }
  if (!object && object.error().code == ErrorCode::NotFound) {
    object = create(record, job, deadline);
    if (!object && object.error().code == ErrorCode::AlreadyExists) {
      object = client_.get(kube::kJobs, record.name_space, name, deadline);  // another replica was quicker
    }
  }
  if (!object) return object.error();
  if (!is_owned_by(*object, record.uid)) {
    return Error{ErrorCode::Rejected, "Job " + name + " exists and does not belong to " + record.name + ": delete it"};
  }
  if (member_at(*object, {"metadata", "deletionTimestamp"}).is_string()) {
    // An earlier one of that name, whose outcome was taken already: the next look finds none and makes it anew.
    return ScriptJobState{ScriptJobState::Phase::Running, "Job " + name + " of an earlier try is being deleted"};
  }
  return state_of(record, *object, deadline);
}

Result<json> KubeScriptJobs::create(const Preparation& record, const ScriptJob& job, Deadline deadline) {
  if (job.script.size() > kScriptBytesMax) {
    return Error{ErrorCode::InvalidInput, "the script of hook " + clean_text(job.hook) + " has " +
                                              std::to_string(job.script.size()) + " bytes; accepted: up to " +
                                              std::to_string(kScriptBytesMax)};
  }
  const auto access = clusters_.frontend_access(record.name_space, record.spec.cluster, deadline);
  if (!access) return access.error();
  const auto cluster =
      clusters_.get_object(record.name_space, {std::string(kClusterKind), record.spec.cluster, {}}, deadline);
  if (!cluster) return cluster.error();
  const auto credentials = frontend_credentials(*cluster);
  if (!credentials) return credentials.error();
  json variables = environment(record, job, *access, *credentials);
  return client_.create_object(
      kube::kJobs, record.name_space,
      job_object(record, job, job_name(record, job), pod_spec(job, options_.image, std::move(variables))), deadline);
}

ScriptJobState KubeScriptJobs::state_of(const Preparation& record, const json& job, Deadline deadline) {
  const std::string name = text_of(member_at(job, {"metadata", "name"}));
  ScriptJobState state;
  std::string reason;
  if (const json& failed = true_condition(job, "Failed"); failed.is_object()) {
    state.phase = ScriptJobState::Phase::Failed;
    reason = "Job " + name + " failed: " + reason_and_message(failed);
  } else if (true_condition(job, "Complete").is_object()) {
    state.phase = ScriptJobState::Phase::Succeeded;
  } else {
    reason = "Job " + name + " runs";
  }

  // The pod explains, it does not decide: whatever goes wrong here changes nothing above.
  const auto pods = client_.list(kube::kPods, record.name_space, deadline, "job-name=" + name);
  const std::string uid = text_of(member_at(job, {"metadata", "uid"}));
  const json* pod = nullptr;
  if (pods) {
    for (const json& candidate : pods->items) {
      if (is_owned_by(candidate, uid)) pod = &candidate;
    }
  }
  const bool ended = state.phase != ScriptJobState::Phase::Running;
  std::string more;
  if (!pods) {
    more = "its pod cannot be read: " + pods.error().message;
  } else if (pod != nullptr) {
    more = state_of_pod(*pod);
  } else if (!ended) {
    more = "it has no pod yet; if this lasts, " + why_no_pod(record.name_space, name);
  }
  if (state.phase == ScriptJobState::Phase::Failed && pods && pod == nullptr) {
    more = "no pod of it is there: " + why_no_pod(record.name_space, name);
  }
  if (state.phase == ScriptJobState::Phase::Succeeded) more.clear();
  if (!more.empty()) reason += (reason.empty() ? "" : "; ") + more;
  state.detail = at_most(reason, kReasonBytesMax);
  if (pod == nullptr) return state;
  const auto lines = last_lines(record, text_of(member_at(*pod, {"metadata", "name"})), deadline);
  if (lines.empty()) return state;
  // How a script ended stands at the end, which is what is kept of a long text.
  state.detail = ended ? "last output: " + lines + (state.detail.empty() ? "" : "; " + state.detail)
                       : state.detail + "; last output: " + lines;
  return state;
}

std::string KubeScriptJobs::last_lines(const Preparation& record, const std::string& pod, Deadline deadline) {
  const auto log = client_.pod_log(record.name_space, pod, kLogLines, kLogBytesRead, deadline);
  if (!log || log->empty()) return {};
  // A script that prints its environment must not print the password into a record.
  const auto access = clusters_.frontend_access(record.name_space, record.spec.cluster, deadline);
  if (!access) return {};
  std::string shown = *log;
  const std::string& secret = access->password;
  for (std::size_t hit = 0; !secret.empty() && (hit = shown.find(secret, hit)) != std::string::npos; hit += 3) {
    shown.replace(hit, secret.size(), "***");
  }
  while (!shown.empty() && (shown.back() == '\n' || shown.back() == '\r')) shown.pop_back();
  for (std::size_t end = 0; (end = shown.find('\n', end)) != std::string::npos; end += 3) shown.replace(end, 1, " | ");
  // The end says more than the beginning.
  std::size_t kept = std::min(shown.size(), kLogBytesMax);
  std::string lines = clean_text(std::string_view(shown).substr(shown.size() - kept), kLogBytesMax);
  for (; lines.size() > kLogBytesMax; kept /= 2) {
    lines = clean_text(std::string_view(shown).substr(shown.size() - kept), kLogBytesMax);
  }
  return lines;
}

Status KubeScriptJobs::remove(const Preparation& record, const ScriptJob& job, Deadline deadline) {
  const std::string name = job_name(record, job);
  const auto object = client_.get(kube::kJobs, record.name_space, name, deadline);
  if (!object && object.error().code != ErrorCode::NotFound) return object.error();
  if (!object || !is_owned_by(*object, record.uid)) return Ok{};  // nothing of this record is there
  auto removed = client_.remove(kube::kJobs, record.name_space, name, deadline, "Background");
  if (!removed && removed.error().code == ErrorCode::NotFound) return Ok{};
  return removed;
}

}  // namespace gate
