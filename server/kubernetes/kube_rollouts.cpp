// What a led rollout reads of Kubernetes.

#include <nlohmann/json.hpp>

#include "server/kubernetes/json_fields.hpp"
#include "server/kubernetes/kube_cluster_access.hpp"

namespace gate {

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

Result<std::map<std::string, std::string>> KubeClusterAccess::namespace_labels(const std::string& name,
                                                                               Deadline deadline) {
  const auto object = client_.get(kube::kNamespaces, {}, name, deadline);
  if (!object) return object.error();
  std::map<std::string, std::string> labels;
  for (const auto& [key, value] : at(*object, {"metadata", "labels"}).items()) labels[key] = text(value);
  return labels;
}

}  // namespace gate
