#pragma once
// Looks from time to time whether the API server still calls this gate and still keeps its fields: webhook
// configurations and CRDs belong to whoever applies manifests, and vanish without a word to the gate.

#include <array>
#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// The webhook by which StatefulSets are held.
inline constexpr const char* kRolloutWebhookPart = "rollout_webhook";
/// As the label `part` of a metric names them.
inline constexpr std::array kInstallationParts{"validating_webhooks", "mutating_webhooks", "record_crd",
                                               "crd_extension", kRolloutWebhookPart};

struct InstallationPart {
  std::string part;
  std::optional<bool> good;  ///< nullopt: it was not read yet, or cannot be now.
  std::string fault;         ///< Where it is not good.
};

struct InstallationWatchOptions {
  std::string name_space;                          ///< Of the gate; empty where it runs outside of the cluster.
  std::string configuration = "upgrade-gate";      ///< Name of both webhook configurations.
  std::string identity;                            ///< Of this replica, in Events.
  std::chrono::milliseconds look_interval{60000};  ///< A look costs five reads, one of them of a megabyte.
};

/// What becomes bad after it was good, or is bad at the first look, is logged and told by a Warning Event
/// `UpgradeGateInstallation` on the object, in the namespace "default", as the API server wants it for objects without
/// one; what becomes good again by a Normal one. The extension and the webhook of led rollouts are choices: they are
/// told of once they have been good, however many of the other manifests come after the gate. Replicas write the same
/// Event.
class InstallationWatch {
 public:
  /// Told of each such change, from the thread of this; `fault` is "" for what is good again.
  using Observer = std::function<void(std::string_view part, const std::string& fault)>;

  /// `client`, `clock` and `log` outlive this. One thread.
  InstallationWatch(KubeClient& client, const Clock& clock, Logger& log, InstallationWatchOptions options,
                    Observer observer = {});
  ~InstallationWatch();  ///< Stops and joins.

  void start();
  void stop();

  /// One entry for each of kInstallationParts, in their order. Thread safe.
  [[nodiscard]] std::vector<InstallationPart> parts() const;

 private:
  void run(const std::stop_token& stop);
  void look();
  void judge(std::size_t index, const KubeResource& resource, const std::string& name);
  void tell(const std::string& part, const KubeResource& resource, const std::string& name,
            const nlohmann::json& metadata, const std::string& fault);

  KubeClient& client_;
  const Clock& clock_;
  Logger& log_;
  const InstallationWatchOptions options_;
  const Observer observer_;
  LogLimiter failures_;

  Guarded<std::vector<InstallationPart>> parts_;
  /// The fault last told of each part, "" for good; nullopt: a choice that has not been good yet. The thread's own.
  std::array<std::optional<std::string>, kInstallationParts.size()> told_;
  std::jthread thread_;  // last
};

}  // namespace gate
