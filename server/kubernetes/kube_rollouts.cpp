// What a led rollout reads of Kubernetes.

#include <nlohmann/json.hpp>

#include "policy/hooks/rollout_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "server/kubernetes/kube_cluster_access.hpp"

namespace gate {
namespace {

/// As manifests/rollouts names it.
constexpr std::string_view kWebhook = "statefulsets.gate.starrocks.com";
constexpr std::string_view kComponent = "manifests/rollouts of the gate";

}  // namespace

Result<std::vector<StatefulSetState>> KubeClusterAccess::stateful_sets(const Preparation& record, Deadline deadline) {
  std::vector<StatefulSetState> out;
  for (const auto& change : record.spec.changes) {
    const auto name = stateful_set_name(record.spec, change.component);
    const auto object = client_.get(kube::kStatefulSets, record.name_space, name, deadline);
    if (!object && object.error().code != ErrorCode::NotFound) return object.error();
    out.push_back(stateful_set_state(record.spec, change.component, object ? *object : nlohmann::json()));
  }
  return out;
}

Result<std::string> KubeClusterAccess::obstacle_to_leading(const std::string& name_space, Deadline deadline) {
  const auto webhooks = client_.get(kube::kMutatingWebhooks, {}, options_.webhook_configuration, deadline);
  const auto& failure = webhooks.ok() ? Error{} : webhooks.error();
  if (!webhooks && (failure.code == ErrorCode::NotFound || failure.code == ErrorCode::PermissionDenied)) {
    return "MutatingWebhookConfiguration " + options_.webhook_configuration +
           " does not exist or cannot be read: want " + std::string(kComponent);
  }
  if (!webhooks) return failure;
  // With another failure policy an outage of the gate would let everything roll.
  const auto& list = member_at(*webhooks, {"webhooks"});
  bool holds = false;
  for (std::size_t i = 0; list.is_array() && i < list.size(); ++i) {
    holds = holds || (text_of(member_at(list[i], {"name"})) == kWebhook &&
                      text_of(member_at(list[i], {"failurePolicy"})) == "Fail");
  }
  if (!holds) {
    return "MutatingWebhookConfiguration " + options_.webhook_configuration + " has no webhook " +
           std::string(kWebhook) + " with failurePolicy Fail: want " + std::string(kComponent);
  }
  const auto object = client_.get(kube::kNamespaces, {}, name_space, deadline);
  if (!object) return object.error();
  const auto label = text_of(member_at(*object, {"metadata", "labels", std::string(kRolloutsLabel).c_str()}));
  if (label == kRolloutsEnabled) return std::string{};
  // Once: it has to be whole in a warning, which has room for little.
  return "namespace " + name_space + " lacks a label: kubectl label namespace " + name_space + " " +
         std::string(kRolloutsLabel) + "=" + std::string(kRolloutsEnabled);
}

}  // namespace gate
