#include "server/kubernetes/kube_cluster_access.hpp"

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/review/object_projection.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/rollout/cluster_conditions.hpp"
#include "policy/rollout/stateful_set.hpp"
#include "policy/text/base64.hpp"
#include "policy/text/text.hpp"
#include "server/base/attempt.hpp"
#include "server/kubernetes/event_body.hpp"
#include "server/kubernetes/frontend_credentials.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// core/v1: Event.message is cut for us at 1024 by some readers.
constexpr std::size_t kEventMessageMax = 1000;
constexpr std::chrono::seconds kEventWriteTimeout{5};
constexpr std::chrono::seconds kShutdownDrain{2};
constexpr int kUnprocessable = 422;
constexpr int kForbidden = 403;

const Projection& of_object() {
  static const Projection kObject = stored_object_projection();
  return kObject;
}

const Projection& of_config_map() {
  static const Projection kConfigMap = config_map_projection();
  return kConfigMap;
}

const Projection& of_service() {
  static const Projection kService = keep_members(
      "", {keep_members("spec", {keep_all("type"),
                                 keep_elements("ports", keep_members("", {keep_all("name"), keep_all("port")}))})});
  return kService;
}

const Projection& of_stateful_set() {
  static const Projection kContainers =
      keep_elements("containers", keep_members("", {keep_all("name"), keep_all("image")}));
  static const Projection kStatefulSet = keep_members(
      "",
      {keep_members("metadata", {keep_all("generation")}),
       keep_members("spec", {keep_all("replicas"), keep_all("updateStrategy"),
                             keep_members("template", {keep_members("spec", {kContainers})})}),
       keep_members("status", {keep_all("observedGeneration"), keep_all("replicas"), keep_all("updatedReplicas"),
                               keep_all("readyReplicas"), keep_all("currentRevision"), keep_all("updateRevision")})});
  return kStatefulSet;
}

const Projection& of_frontend_environment() {
  static const Projection kContainers =
      keep_elements("containers", keep_members("", {keep_all("name"), keep_all("env")}));
  static const Projection kStatefulSet =
      keep_members("", {keep_members("spec", {keep_members("template", {keep_members("spec", {kContainers})})})});
  return kStatefulSet;
}

/// These entries of a Secret or of a ConfigMap, and no others.
Projection entries(const std::vector<std::string>& keys) {
  std::vector<Projection> members;
  for (const std::string& key : keys) members.push_back(keep_all(key));
  return keep_members("", {keep_members("data", std::move(members))});
}

/// A key of a Secret's data, decoded; nullopt when it is absent or damaged.
std::optional<std::string> secret_text(const json& secret, const std::string& key) {
  const json& value = member_at(secret, {"data", key.c_str()});
  return value.is_string() ? decode_base64(value.get_ref<const std::string&>()) : std::nullopt;
}

/// No login has a line break; tools that write Secrets add one, and the FE would only say "Access denied".
Status check_line_ends(const std::string& what, const std::string& value) {
  if (value.find_first_of("\r\n") == std::string::npos) return Ok{};
  return Error{ErrorCode::Misconfigured,
               what + " has a line break: store it without one (printf '%s' PASSWORD, not echo PASSWORD)"};
}

/// A Secret or ConfigMap that a login or a token is kept in is not there, or may not be read: whoever asks for the
/// login did nothing wrong.
Error not_read(const std::string& what, const Error& error) {
  const bool lasting = error.code == ErrorCode::NotFound || error.code == ErrorCode::InvalidInput ||
                       error.code == ErrorCode::PermissionDenied;
  return {lasting ? ErrorCode::Misconfigured : error.code, what + ": " + error.message, error.peer_code};
}

/// The main container of a component's pods, as the operator names it.
std::string_view container_of(Component component) {
  switch (component) {
    case Component::Frontend:
      return "fe";
    case Component::Backend:
      return "be";
    case Component::ComputeNode:
    case Component::Warehouse:
      break;
  }
  return "cn";
}

/// The image of `container` in the pod template, of the first container where none has that name.
std::string template_image(const json& stateful_set, std::string_view container) {
  const json& containers = member_at(stateful_set, {"spec", "template", "spec", "containers"});
  if (!containers.is_array() || containers.empty()) return {};
  for (const json& candidate : containers) {
    if (text_of(member_at(candidate, {"name"})) == container) return text_of(member_at(candidate, {"image"}));
  }
  return text_of(member_at(containers.front(), {"image"}));
}

/// Why pods stay old until somebody acts: a rollout that is held back is not a finished one.
std::string held_back(const json& stateful_set) {
  const json& strategy = member_at(stateful_set, {"spec", "updateStrategy"});
  if (text_of(member_at(strategy, {"type"})) == "OnDelete") return " (updateStrategy OnDelete: delete the other pods)";
  const auto partition = number_of(member_at(strategy, {"rollingUpdate", "partition"}), 0);
  return partition > 0 ? " (updateStrategy partition " + std::to_string(partition) + ")" : "";
}

/// What one StatefulSet still lacks; both empty when every pod runs `image` and is ready.
struct Missing {
  std::string replaced;  ///< A pod has still to be replaced.
  std::string ready;
};

Missing missing_of(const json& stateful_set, std::string_view container, const std::string& image) {
  if (template_image(stateful_set, container) != image) return {"does not have the new image yet", {}};
  const auto generation = number_of(member_at(stateful_set, {"metadata", "generation"}), 0);
  if (number_of(member_at(stateful_set, {"status", "observedGeneration"}), -1) < generation) {
    return {"change not observed yet", {}};
  }
  const auto replicas = number_of(member_at(stateful_set, {"spec", "replicas"}), 1);
  const auto existing = number_of(member_at(stateful_set, {"status", "replicas"}), 0);
  // Counts no pod that is being deleted; "ready" does, so it proves something only together with the others.
  const auto updated = number_of(member_at(stateful_set, {"status", "updatedReplicas"}), 0);
  const auto ready = number_of(member_at(stateful_set, {"status", "readyReplicas"}), 0);
  const std::string of = " of " + std::to_string(replicas);
  if (updated < replicas) return {std::to_string(updated) + of + " updated" + held_back(stateful_set), {}};
  if (ready < replicas) return {{}, std::to_string(ready) + of + " ready"};
  if (existing > replicas) return {std::to_string(existing - replicas) + " surplus pods", {}};
  const auto current = text_of(member_at(stateful_set, {"status", "currentRevision"}));
  const auto update = text_of(member_at(stateful_set, {"status", "updateRevision"}));
  // With OnDelete the controller never moves the current revision.
  const bool on_delete = text_of(member_at(stateful_set, {"spec", "updateStrategy", "type"})) == "OnDelete";
  if (!on_delete && current != update) return {"revision " + current + " is still in use", {}};
  return {};
}

/// The name that all repeats of one event share.
std::string event_name(const Preparation& record, std::string_view about, std::string_view reason,
                       std::string_view message) {
  // FNV-1a: not std::hash, since replicas and versions must agree on the name.
  std::uint64_t hash = 14695981039346656037ull;
  for (const std::string_view part : {std::string_view(record.uid), about, reason, message}) {
    for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    hash = (hash ^ 0xff) * 1099511628211ull;
  }
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(hash));
  return record.name.substr(0, 230) + "." + digits.data();
}

}  // namespace

KubeClusterAccess::KubeClusterAccess(KubeClient& client, const Clock& clock, Logger& log,
                                     KubeClusterAccessOptions options)
    : client_(client),
      pods_(std::make_shared<FrontendPods>(client, clock)),
      clock_(clock),
      log_(log),
      options_(std::move(options)),
      writer_([this](const std::stop_token& stop) { drain_events(stop); }) {}

KubeClusterAccess::~KubeClusterAccess() = default;

Result<FrontendAccess> KubeClusterAccess::frontend_access(const std::string& name_space, const std::string& cluster,
                                                          Deadline deadline) {
  auto object = client_.get(kube::kClusters, name_space, cluster, deadline, of_object());
  if (!object && object.error().code == ErrorCode::NotFound) {
    // Deleted with --cascade=orphan: its FE lives on, and its settings are still to be restored.
    auto orphan = orphaned_frontend(name_space, cluster, deadline);
    if (orphan || orphan.error().code != ErrorCode::NotFound) object = std::move(orphan);
  }
  if (!object) return object.error();
  return frontend_access_of(*object, name_space, cluster, deadline);
}

Result<FrontendAccess> KubeClusterAccess::frontend_access_of(const json& object, const std::string& name_space,
                                                             const std::string& cluster, Deadline deadline) {
  FrontendAccess access;
  access.tls = options_.frontend_tls;
  access.ca_pem = options_.frontend_ca_pem;
  auto address = frontend_address(name_space, cluster, deadline);
  if (!address) return address.error();
  access.address = std::move(*address);
  if (!options_.frontend_address_override) {
    access.judge_named = [pods = pods_, name_space, cluster](const std::vector<std::string>& addresses,
                                                             Deadline until) {
      return pods->judge(name_space, cluster, addresses, until);
    };
  }
  if (auto read = read_credentials(name_space, object, access, deadline); !read) return read.error();
  return access;
}

Result<json> KubeClusterAccess::orphaned_frontend(const std::string& name_space, const std::string& cluster,
                                                  Deadline deadline) {
  const auto stateful_set =
      client_.get(kube::kStatefulSets, name_space, cluster + "-fe", deadline, of_frontend_environment());
  if (!stateful_set) return stateful_set.error();
  json variables = json::array();
  const json& containers = member_at(*stateful_set, {"spec", "template", "spec", "containers"});
  for (std::size_t i = 0; containers.is_array() && i < containers.size(); ++i) {
    const json& environment = member_at(containers[i], {"env"});
    if (text_of(member_at(containers[i], {"name"})) == "fe" && environment.is_array()) variables = environment;
  }
  return json{{"spec", {{"starRocksFeSpec", {{"feEnvVars", std::move(variables)}}}}}};
}

Result<FrontendAddress> KubeClusterAccess::frontend_address(const std::string& name_space, const std::string& cluster,
                                                            Deadline deadline) {
  if (options_.frontend_address_override) return *options_.frontend_address_override;
  const std::string name = cluster + "-fe-service";
  const auto service = client_.get(kube::kServices, name_space, name, deadline, of_service());
  if (!service) {
    // The operator makes it: its absence passes, unlike that of the cluster.
    if (service.error().code == ErrorCode::NotFound) {
      return Error{ErrorCode::Unavailable, "Service " + name + " does not exist (yet)"};
    }
    return service.error();
  }
  // It is no more than a name for somebody else's server, and the operator never makes one.
  if (text_of(member_at(*service, {"spec", "type"})) == "ExternalName") {
    return Error{ErrorCode::Misconfigured,
                 "Service " + name + ": invalid type ExternalName: want one that selects pods"};
  }
  FrontendAddress address;
  address.host =
      name + "." + name_space + ".svc" + (options_.cluster_domain.empty() ? "" : "." + options_.cluster_domain);
  const json& ports = member_at(*service, {"spec", "ports"});
  for (std::size_t i = 0; ports.is_array() && i < ports.size(); ++i) {
    const auto port = number_of(member_at(ports[i], {"port"}), 0);
    if (text_of(member_at(ports[i], {"name"})) == "query" && port > 0 && port <= 65535) {
      address.port = static_cast<std::uint16_t>(port);
      return address;
    }
  }
  return Error{ErrorCode::Unavailable, "Service " + name + " has no port named \"query\""};
}

Status KubeClusterAccess::read_credentials(const std::string& name_space, const json& object, FrontendAccess& access,
                                           Deadline deadline) {
  const auto credentials = frontend_credentials(object);
  if (!credentials) return credentials.error();
  switch (credentials->source) {
    case FrontendCredentials::Source::None:
      return Ok{};  // root without a password, as StarRocks is born
    case FrontendCredentials::Source::Variable:
      return read_password(name_space, *credentials, access, deadline);
    case FrontendCredentials::Source::LoginSecret:
      break;
  }
  const std::string what = "Secret " + clean_text(credentials->login_secret) + " (annotation " +
                           std::string(annotation::kCredentialsSecret) + ")";
  const auto secret = client_.get(kube::kSecrets, name_space, credentials->login_secret, deadline,
                                  entries({"username", "password", "ca.crt"}));
  if (!secret) return not_read(what, secret.error());
  const auto username = secret_text(*secret, "username");
  const auto password = secret_text(*secret, "password");
  if (!username || username->empty() || !password) {
    return Error{ErrorCode::Misconfigured, what + ": want the keys username and password"};
  }
  if (auto damaged = check_line_ends(what + ": username", *username); !damaged) return damaged;
  if (auto damaged = check_line_ends(what + ": password", *password); !damaged) return damaged;
  access.username = *username;
  access.password = *password;
  if (auto ca = secret_text(*secret, "ca.crt")) access.ca_pem = std::move(*ca);
  return Ok{};
}

Status KubeClusterAccess::read_password(const std::string& name_space, const FrontendCredentials& credentials,
                                        FrontendAccess& access, Deadline deadline) {
  const std::string where = " (" + std::string(kPasswordVariable) + " in spec.starRocksFeSpec.feEnvVars)";
  for (const KeyReference& reference : credentials.references) {
    const bool in_secret = reference.kind == KeyReference::Kind::Secret;
    const std::string what = (in_secret ? "Secret " : "ConfigMap ") + clean_text(reference.name);
    const auto object = client_.get(in_secret ? kube::kSecrets : kube::kConfigMaps, name_space, reference.name,
                                    deadline, entries({reference.key}));
    if (!object && object.error().code == ErrorCode::NotFound && reference.optional) continue;
    if (!object) {
      auto error = not_read(what, object.error());
      error.message += where;
      return error;
    }
    const json& value = member_at(*object, {"data", reference.key.c_str()});
    if (value.is_null() && reference.optional) continue;
    auto password = in_secret ? secret_text(*object, reference.key)
                              : (value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt);
    if (!password) return Error{ErrorCode::Misconfigured, what + ": want the key " + clean_text(reference.key) + where};
    const std::string key = what + ": key " + clean_text(reference.key) + where;
    if (auto damaged = check_line_ends(key, *password); !damaged) return damaged;
    access.password = std::move(*password);
    return Ok{};
  }
  if (auto damaged = check_line_ends("the value of " + where.substr(2, where.size() - 3), credentials.literal_password);
      !damaged) {
    return damaged;
  }
  access.password = credentials.literal_password;
  return Ok{};
}

Result<std::string> KubeClusterAccess::secret_value(const std::string& name_space, const std::string& secret_name,
                                                    const std::string& key, Deadline deadline) {
  const std::string what = "Secret " + clean_text(secret_name);
  const auto secret = client_.get(kube::kSecrets, name_space, secret_name, deadline, entries({key}));
  if (!secret) return not_read(what, secret.error());
  auto value = secret_text(*secret, key);
  if (!value) return Error{ErrorCode::Misconfigured, what + ": want the key " + clean_text(key)};
  return *value;
}

Result<std::map<std::string, std::string>> KubeClusterAccess::config_map(const std::string& name_space,
                                                                         const std::string& name, Deadline deadline) {
  const auto object = client_.get(kube::kConfigMaps, name_space, name, deadline, of_config_map());
  if (!object) {
    return Error{object.error().code, "ConfigMap " + clean_text(name) + ": " + object.error().message,
                 object.error().peer_code};
  }
  std::map<std::string, std::string> entries;
  for (const auto& [key, value] : member_at(*object, {"data"}).items()) entries[key] = text_of(value);
  return entries;
}

Result<json> KubeClusterAccess::get_object(const std::string& name_space, const ObjectRef& object, Deadline deadline) {
  return client_.get(object.kind == kWarehouseKind ? kube::kWarehouses : kube::kClusters, name_space, object.name,
                     deadline, of_object());
}

Result<RolloutState> KubeClusterAccess::rollout_state(const Preparation& record, const RolloutGoal& goal,
                                                      Deadline deadline) {
  RolloutState state{true, {}, false, true, {}};
  for (const auto& [component, image] : goal.images) {
    const auto name = stateful_set_name(record.spec, component);
    const auto stateful_set = client_.get(kube::kStatefulSets, record.name_space, name, deadline, of_stateful_set());
    if (!stateful_set && stateful_set.error().code != ErrorCode::NotFound) return stateful_set.error();
    Missing missing;
    if (stateful_set) {
      const auto container = container_of(component);
      missing = missing_of(*stateful_set, container, image);
      state.begun = state.begun || template_image(*stateful_set, container) == image;
      state.sizes.push_back({name, number_of(member_at(*stateful_set, {"spec", "replicas"}), 1)});
    } else if (goal.forward) {
      missing.replaced = "does not exist";
    }
    state.settled = state.settled && missing.replaced.empty();
    const auto& first = missing.replaced.empty() ? missing.ready : missing.replaced;
    if (state.finished && !first.empty()) {
      state.finished = false;
      state.waiting_for = "StatefulSet " + name + ": " + first;
    }
  }
  return state;
}

Result<FrontendLife> KubeClusterAccess::frontend_life(const std::string& name_space, const std::string& cluster,
                                                      Deadline deadline) {
  const auto stateful_set = client_.get(kube::kStatefulSets, name_space, cluster + "-fe", deadline);
  if (stateful_set) return FrontendLife::MayLive;
  if (stateful_set.error().code == ErrorCode::NotFound) return FrontendLife::Gone;
  return stateful_set.error();
}

Result<bool> KubeClusterAccess::may(const UserInfo& user, std::string_view verb, const std::string& name_space,
                                    Deadline deadline) {
  json spec{{"user", user.username},
            {"groups", user.groups},
            {"resourceAttributes",
             {{"namespace", name_space},
              {"verb", verb},
              {"group", kube::kPreparations.group},
              {"resource", kube::kPreparations.plural}}}};
  if (!user.uid.empty()) spec["uid"] = user.uid;
  if (!user.extra.empty()) spec["extra"] = user.extra;
  const json review{
      {"apiVersion", "authorization.k8s.io/v1"}, {"kind", "SubjectAccessReview"}, {"spec", std::move(spec)}};
  const auto answer = client_.create_object(kube::kAccessReviews, {}, review, deadline);
  if (!answer) return answer.error();
  const json& allowed = member_at(*answer, {"status", "allowed"});
  return allowed.is_boolean() && allowed.get<bool>();
}

Status KubeClusterAccess::mirror_status(const Preparation& record, Deadline deadline) {
  const auto written = write_cluster_status(record.name_space, record.spec.cluster, {},
                                            {{std::string(kMirrorField), mirror_of(record)}}, deadline);
  if (written) return Ok{};
  // status.phase is required by the operator's CRD: until the operator has written its first status there is nothing
  // to write into, and inventing a phase for it would be a lie.
  const bool can_wait = written.error().code == ErrorCode::NotFound || written.error().peer_code == kUnprocessable;
  return can_wait ? Status(Ok{}) : Status(written.error());
}

Status KubeClusterAccess::mirror_on_warehouse(const Preparation& record, Deadline deadline) {
  const json patch{{"status", {{std::string(kMirrorField), mirror_of(record)}}}};
  const auto answer =
      client_.merge_patch(kube::kWarehouses, record.name_space, record.spec.object.name, "status", patch, deadline);
  if (answer) return Ok{};
  // The rights may be of an older installation: the operator then goes on at its resync, as it did.
  const auto code = answer.error().peer_code;
  const bool can_wait = answer.error().code == ErrorCode::NotFound || code == kUnprocessable || code == kForbidden;
  return can_wait ? Status(Ok{}) : Status(answer.error());
}

Result<std::string> KubeClusterAccess::write_cluster_status(const std::string& name_space, const std::string& cluster,
                                                            const std::string& resource_version, const json& fields,
                                                            Deadline deadline) {
  json patch{{"status", fields}};
  if (!resource_version.empty()) patch["metadata"] = {{"resourceVersion", resource_version}};
  const auto answer = client_.merge_patch(kube::kClusters, name_space, cluster, "status", patch, deadline);
  if (!answer) return answer.error();
  return text_member(member(*answer, "metadata"), "resourceVersion");
}

void KubeClusterAccess::emit_event(const Preparation& record, bool warning, const std::string& reason,
                                   const std::string& message) {
  const auto now = clock_.wall_now();
  const std::string shown = clean_text(message, kEventMessageMax);
  const auto reference = [&](std::string_view api_version, std::string_view kind, const std::string& name,
                             const std::string& uid) {
    return json{
        {"apiVersion", api_version}, {"kind", kind}, {"namespace", record.name_space}, {"name", name}, {"uid", uid}};
  };
  const auto& object = record.spec.object;
  const json on_object = reference("starrocks.com/v1", object.kind, object.name, object.uid);
  const json on_record = reference(kPreparationApiVersion, kPreparationKind, record.name, record.uid);
  const auto add = [&](const json& about, const json& related) {
    PendingEvent event{record.name_space, event_name(record, text_of(about.at("kind")), reason, shown), {}};
    event.body =
        to_json(EventBody{event.name, event.name_space, about, related, warning, reason, shown, now, options_.identity})
            .dump(-1, ' ', false, json::error_handler_t::replace);
    const auto events = events_.lock();
    if (events->waiting.size() >= kEventQueueMax) {
      ++events->dropped;
    } else {
      events->waiting.push_back(std::move(event));
    }
  };
  add(on_object, on_record);
  // What went as it should is in the record's status: one for each step would be most of what a wave of upgrades
  // writes.
  if (warning) add(on_record, on_object);
  wake_.notify_one();
}

void KubeClusterAccess::drain_events(const std::stop_token& stop) {
  std::optional<SteadyTime> give_up;
  auto events = events_.lock();
  for (;;) {
    events.wait(wake_, stop, [](const EventQueue& now) { return !now.waiting.empty(); });
    if (stop.stop_requested() && !give_up) give_up = std::chrono::steady_clock::now() + kShutdownDrain;
    if (events->waiting.empty() || (give_up && std::chrono::steady_clock::now() >= *give_up)) return;
    const PendingEvent event = std::move(events->waiting.front());
    events->waiting.pop_front();
    const auto dropped = std::exchange(events->dropped, 0);
    events.release_for([&] {
      if (dropped > 0) log_warning(log_, "events dropped", {{"count", dropped}});
      attempt(log_, "event not written",
              [&] { write_event(event, give_up.value_or(std::chrono::steady_clock::now() + kEventWriteTimeout)); });
    });
  }
}

void KubeClusterAccess::write_event(const PendingEvent& event, Deadline deadline) {
  const json body = json::parse(event.body);
  const auto created = client_.create_object(kube::kEvents, event.name_space, body, deadline);
  if (created) return;
  auto failure = created.error();
  if (failure.code == ErrorCode::AlreadyExists) {
    const auto known = client_.get(kube::kEvents, event.name_space, event.name, deadline);
    if (known) {
      const json patch{{"count", number_of(member_at(*known, {"count"}), 1) + 1},
                       {"lastTimestamp", body.at("lastTimestamp")}};
      const auto patched = client_.merge_patch(kube::kEvents, event.name_space, event.name, {}, patch, deadline);
      if (patched) return;
      failure = patched.error();
    } else {
      failure = known.error();
    }
  }
  log_debug(log_, "event not written", {{"object", event.name_space + "/" + event.name}, {"error", failure.message}});
}

}  // namespace gate
