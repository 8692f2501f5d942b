#pragma once
// What the gate reads from and writes to a StarRocksCluster and its neighbours. Kubernetes in production, flags and
// memory for trying it out.

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/review/admission_review.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/rollout/stateful_set.hpp"
#include "policy/text/result.hpp"
#include "policy/versions/image_change.hpp"
#include "server/ports/clock.hpp"
#include "server/ports/frontend.hpp"

namespace gate {

/// The rollout of the changed components as the StatefulSets show it.
struct RolloutState {
  bool finished = false;
  std::string waiting_for;  ///< "StatefulSet sr-be: 1 of 3 updated", empty when finished.
  bool begun = false;       ///< Some StatefulSet has the image that its component is to have.
  bool settled = false;     ///< No pod has still to be replaced, whether or not all are ready. True when finished.
  std::vector<StatefulSetSize> sizes;  ///< Of those that exist.
};

/// Whether the FE of a cluster may still be running.
enum class FrontendLife { MayLive, Gone, Unknown };

/// Thread safe; every call honours its deadline.
class ClusterAccess {
 public:
  virtual ~ClusterAccess() = default;

  /// How to reach the FE of `cluster` (docs/reference.md: Service port named `query`, credentials by precedence).
  /// NotFound: the cluster is gone. Misconfigured: the Service, or what the login is kept in, with peer_code 403 where
  /// the gate may not read it.
  [[nodiscard]] virtual Result<FrontendAccess> frontend_access(const std::string& name_space,
                                                               const std::string& cluster, Deadline deadline) = 0;

  /// The same for who has just read the StarRocksCluster: `object`, as get_object() gave it out, is not read again.
  [[nodiscard]] virtual Result<FrontendAccess> frontend_access_of(const nlohmann::json& /*object*/,
                                                                  const std::string& name_space,
                                                                  const std::string& cluster, Deadline deadline) {
    return frontend_access(name_space, cluster, deadline);
  }

  /// The object as it is now; NotFound when it is gone.
  [[nodiscard]] virtual Result<nlohmann::json> get_object(const std::string& name_space, const ObjectRef& object,
                                                          Deadline deadline) = 0;

  /// The text entries of a ConfigMap; NotFound when there is none.
  [[nodiscard]] virtual Result<std::map<std::string, std::string>> config_map(const std::string& name_space,
                                                                              const std::string& name,
                                                                              Deadline deadline) = 0;

  /// One entry of a Secret, decoded. Misconfigured names what is missing, with peer_code 403 where the gate may not
  /// read it. Never logged by anybody.
  [[nodiscard]] virtual Result<std::string> secret_value(const std::string& name_space, const std::string& name,
                                                         const std::string& key, Deadline deadline) = 0;

  /// Whether `user` has the right to `verb` upgradepreparations.gate.starrocks.com in the namespace.
  [[nodiscard]] virtual Result<bool> may(const UserInfo& user, std::string_view verb, const std::string& name_space,
                                         Deadline deadline) = 0;

  /// Whether every StatefulSet of the record's changed components has rolled out to `goal`. One that does not exist has
  /// not, on the way forward; on any other way it has no pod to wait for.
  [[nodiscard]] virtual Result<RolloutState> rollout_state(const Preparation& record, const RolloutGoal& goal,
                                                           Deadline deadline) = 0;

  /// Whether the FE may live on although its StarRocksCluster is gone: its StatefulSet is there (deleted with its pods
  /// left, or not collected yet). Unknown: there is nobody to ask.
  [[nodiscard]] virtual Result<FrontendLife> frontend_life(const std::string& name_space, const std::string& cluster,
                                                           Deadline deadline) = 0;

  /// The StatefulSets of the record's changed components, one for each change, in their order. An error where there is
  /// no Kubernetes: then no rollout can be led.
  [[nodiscard]] virtual Result<std::vector<StatefulSetState>> stateful_sets(const Preparation& /*record*/,
                                                                            Deadline /*deadline*/) {
    return Error{ErrorCode::Unavailable, "there are no StatefulSets to lead without Kubernetes"};
  }

  /// Why StatefulSets of the namespace cannot be held or steered here, with what would be needed; "" when they can.
  /// Error: it cannot be known now.
  [[nodiscard]] virtual Result<std::string> obstacle_to_leading(const std::string& /*name_space*/,
                                                                Deadline /*deadline*/) {
    return std::string("there are no StatefulSets to lead without Kubernetes");
  }

  /// Writes `.status.upgradePreparationStatus` of the cluster (merge patch of the status subresource). Success also
  /// where the CRD prunes the field or does not take it yet, or the cluster is gone: the record is the truth.
  [[nodiscard]] virtual Status mirror_status(const Preparation& record, Deadline deadline) = 0;

  /// The same field of the warehouse that the record is of. Success also where the gate may not write it.
  [[nodiscard]] virtual Status mirror_on_warehouse(const Preparation& /*record*/, Deadline /*deadline*/) {
    return Ok{};
  }

  /// Merge patch of further fields of the cluster's status; Conflict where the object has another resourceVersion by
  /// now. Returns the new one, empty where there is none. Success also where the CRD prunes the fields. Rejected (422):
  /// the CRD does not take the status that results: it requires fields that nobody has written yet. NotFound: there is
  /// no such cluster. Nothing is written where there is no Kubernetes.
  [[nodiscard]] virtual Result<std::string> write_cluster_status(const std::string& /*name_space*/,
                                                                 const std::string& /*cluster*/,
                                                                 const std::string& /*resource_version*/,
                                                                 const nlohmann::json& /*fields*/,
                                                                 Deadline /*deadline*/) {
    return std::string{};
  }

  /// A Kubernetes Event on the record's object; a warning on the record, too. Best effort: bounded, never fails the
  /// caller.
  virtual void emit_event(const Preparation& record, bool warning, const std::string& reason,
                          const std::string& message) = 0;
};

}  // namespace gate
