#include "server/kubernetes/installation_watch.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/review/installation.hpp"
#include "policy/text/text.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"
#include "server/kubernetes/event_body.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// For one read, or for one Event.
constexpr std::chrono::seconds kCallTimeout{10};
constexpr std::size_t kEventMessageMax = 1000;
/// Replicas look within one another's interval.
constexpr std::chrono::minutes kEventWindow{10};
constexpr const char* kRecordCrd = "upgradepreparations.gate.starrocks.com";
constexpr const char* kClusterCrd = "starrocksclusters.starrocks.com";
// In kInstallationParts.
constexpr std::size_t kExtension = 3;
constexpr std::size_t kRolloutWebhook = 4;

const char* kind_of(const KubeResource& resource) {
  if (resource.plural == kube::kCrds.plural) return "CustomResourceDefinition";
  return resource.plural == kube::kMutatingWebhooks.plural ? "MutatingWebhookConfiguration"
                                                           : "ValidatingWebhookConfiguration";
}

}  // namespace

InstallationWatch::InstallationWatch(KubeClient& client, const Clock& clock, Logger& log,
                                     InstallationWatchOptions options, Observer observer)
    : client_(client), clock_(clock), log_(log), options_(std::move(options)), observer_(std::move(observer)) {
  const auto parts = parts_.lock();
  for (const char* part : kInstallationParts) parts->push_back({part, std::nullopt, {}});
  for (auto& told : told_) told = std::string{};
  for (const auto choice : {kExtension, kRolloutWebhook}) told_.at(choice).reset();
}

InstallationWatch::~InstallationWatch() { stop(); }

void InstallationWatch::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void InstallationWatch::stop() { thread_ = {}; }

std::vector<InstallationPart> InstallationWatch::parts() const { return *parts_.lock(); }

void InstallationWatch::run(const std::stop_token& stop) {
  do attempt(log_, "installation not checked", [this] { look(); });
  while (pause_for(options_.look_interval, stop));
}

void InstallationWatch::look() {
  judge(0, kube::kValidatingWebhooks, options_.configuration);
  judge(1, kube::kMutatingWebhooks, options_.configuration);
  judge(2, kube::kCrds, kRecordCrd);
  judge(kExtension, kube::kCrds, kClusterCrd);
  judge(kRolloutWebhook, kube::kMutatingWebhooks, options_.configuration);
}

void InstallationWatch::judge(std::size_t index, const KubeResource& resource, const std::string& name) {
  const bool crd = resource.plural == kube::kCrds.plural;
  const auto read = client_.get(resource, {}, name, clock_.steady_now() + kCallTimeout,
                                crd ? crd_for_judging() : webhooks_for_judging());
  const bool gone = !read && read.error().code == ErrorCode::NotFound;
  if (!read && !gone) {
    log_limited(failures_, clock_.steady_now(), log_, LogLevel::Warning, "installation not checked",
                {{"part", kInstallationParts[index]}, {"error", read.error().message}});
    parts_.lock()->at(index) = {kInstallationParts[index], std::nullopt, {}};
    return;
  }
  const json object = read ? *read : json();
  std::string fault;
  if (index == 0) fault = fault_of_webhooks(object, WebhookKind::Validating, options_.name_space);
  if (index == 1) fault = fault_of_webhooks(object, WebhookKind::Mutating, options_.name_space);
  if (index == 2) fault = fault_of_record_crd(object);
  if (index == kExtension) fault = fault_of_cluster_crd(object);
  if (index == kRolloutWebhook) fault = fault_of_rollout_webhook(object, options_.name_space);
  parts_.lock()->at(index) = {kInstallationParts[index], fault.empty(), fault};
  auto& told = told_.at(index);
  if (!told && !fault.empty()) return;  // a choice that nobody made yet, whatever else is missing by now
  if (std::exchange(told, fault).value_or("") == fault) return;
  tell(kInstallationParts[index], resource, name, member(object, "metadata"), fault);
  if (observer_) observer_(kInstallationParts[index], fault);
}

void InstallationWatch::tell(const std::string& part, const KubeResource& resource, const std::string& name,
                             const json& metadata, const std::string& fault) {
  const bool good = fault.empty();
  const std::string message = clean_text(good ? "as it should be again" : fault, kEventMessageMax);
  if (good) {
    log_info(log_, "installation", {{"part", part}, {"object", name}, {"found", message}});
  } else {
    log_warning(log_, "installation", {{"part", part}, {"object", name}, {"found", message}});
  }
  const auto now = clock_.wall_now();
  // Of what was looked at, so that all replicas write one Event; of an object that is gone by the time.
  auto event_name = "upgrade-gate-" + part + "." + text_member(metadata, "resourceVersion");
  if (event_name.back() == '.') event_name += "gone-" + std::to_string(now.time_since_epoch() / kEventWindow);
  if (good) event_name += ".ok";
  std::replace(event_name.begin(), event_name.end(), '_', '-');
  json object{{"apiVersion", std::string(resource.group) + "/" + std::string(resource.version)},
              {"kind", kind_of(resource)},
              {"name", name},
              {"uid", text_member(metadata, "uid")}};
  const json event = to_json(EventBody{
      event_name, "default", std::move(object), {}, !good, "UpgradeGateInstallation", message, now, options_.identity});
  const auto created = client_.create_object(kube::kEvents, "default", event, clock_.steady_now() + kCallTimeout);
  if (!created && created.error().code != ErrorCode::AlreadyExists)
    log_info(log_, "event not written", {{"part", part}, {"error", created.error().message}});
}

}  // namespace gate
