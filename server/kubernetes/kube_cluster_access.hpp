#pragma once
// ClusterAccess on the API server: Services, Secrets, StatefulSets, the status mirror and Events.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <thread>

#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/kubernetes/frontend_credentials.hpp"
#include "server/kubernetes/frontend_pods.hpp"
#include "server/ports/cluster_access.hpp"

namespace gate {

struct KubeClusterAccessOptions {
  /// Behind "SERVICE.NAMESPACE.svc"; empty: nothing, and the resolver's search list completes the name, whatever the
  /// cluster's domain is.
  std::string cluster_domain{};
  /// Reaches every cluster's FE at this address instead of its Service: where there is no cluster DNS.
  std::optional<FrontendAddress> frontend_address_override{};
  FrontendTls frontend_tls = FrontendTls::Preferred;
  std::string frontend_ca_pem{};  ///< For the Verify modes; a `ca.crt` in the cluster's credentials Secret wins.
  std::string identity = "upgrade-gate";               ///< reportingInstance of Events: the pod's name.
  std::string webhook_configuration = "upgrade-gate";  ///< Name of the MutatingWebhookConfiguration of the gate.
};

class KubeClusterAccess final : public ClusterAccess {
 public:
  /// Events that wait to be written; further ones are dropped (and counted in the log): they are a courtesy.
  static constexpr std::size_t kEventQueueMax = 256;

  /// `client`, `clock` and `log` must outlive this.
  KubeClusterAccess(KubeClient& client, const Clock& clock, Logger& log, KubeClusterAccessOptions options);
  ~KubeClusterAccess() override;  ///< Writes what is queued for at most two seconds, then stops.

  Result<FrontendAccess> frontend_access(const std::string& name_space, const std::string& cluster,
                                         Deadline deadline) override;
  Result<FrontendAccess> frontend_access_of(const nlohmann::json& object, const std::string& name_space,
                                            const std::string& cluster, Deadline deadline) override;
  Result<nlohmann::json> get_object(const std::string& name_space, const ObjectRef& object, Deadline deadline) override;
  Result<std::map<std::string, std::string>> config_map(const std::string& name_space, const std::string& name,
                                                        Deadline deadline) override;
  Result<std::string> secret_value(const std::string& name_space, const std::string& name, const std::string& key,
                                   Deadline deadline) override;
  Result<bool> may(const UserInfo& user, std::string_view verb, const std::string& name_space,
                   Deadline deadline) override;
  Result<RolloutState> rollout_state(const Preparation& record, const RolloutGoal& goal, Deadline deadline) override;
  Result<FrontendLife> frontend_life(const std::string& name_space, const std::string& cluster,
                                     Deadline deadline) override;
  Result<std::vector<StatefulSetState>> stateful_sets(const Preparation& record, Deadline deadline) override;
  Result<std::string> obstacle_to_leading(const std::string& name_space, Deadline deadline) override;
  Status mirror_status(const Preparation& record, Deadline deadline) override;
  Status mirror_on_warehouse(const Preparation& record, Deadline deadline) override;
  Result<std::string> write_cluster_status(const std::string& name_space, const std::string& cluster,
                                           const std::string& resource_version, const nlohmann::json& fields,
                                           Deadline deadline) override;
  void emit_event(const Preparation& record, bool warning, const std::string& reason,
                  const std::string& message) override;

 private:
  struct PendingEvent {
    std::string name_space;
    std::string name;
    std::string body;  // the Event object as JSON text
  };
  struct EventQueue {
    std::deque<PendingEvent> waiting;
    std::size_t dropped = 0;
  };

  /// What the pods of an FE whose cluster object is gone tell of its login, in the shape of that object. NotFound: they
  /// are gone, too.
  [[nodiscard]] Result<nlohmann::json> orphaned_frontend(const std::string& name_space, const std::string& cluster,
                                                         Deadline deadline);
  [[nodiscard]] Result<FrontendAddress> frontend_address(const std::string& name_space, const std::string& cluster,
                                                         Deadline deadline);
  [[nodiscard]] Status read_credentials(const std::string& name_space, const nlohmann::json& object,
                                        FrontendAccess& access, Deadline deadline);
  [[nodiscard]] Status read_password(const std::string& name_space, const FrontendCredentials& credentials,
                                     FrontendAccess& access, Deadline deadline);
  void drain_events(const std::stop_token& stop);
  void write_event(const PendingEvent& event, Deadline deadline);

  KubeClient& client_;
  const std::shared_ptr<FrontendPods> pods_;  // shared with what frontend_access() gave out
  const Clock& clock_;
  Logger& log_;
  const KubeClusterAccessOptions options_;
  Guarded<EventQueue> events_;
  std::condition_variable_any wake_;
  std::jthread writer_;  // last: uses the rest
};

}  // namespace gate
