#pragma once
// `upgrade-gate probe`: asks from within the cluster what only a pod can find out. Nothing is stored or changed.

#include <chrono>
#include <string>
#include <vector>

#include "server/console/check.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/frontend.hpp"

namespace gate {

struct ProbeOptions {
  bool webhook = false;    ///< Two verdicts through the API server; needs the right to create ConfigMaps.
  bool frontends = false;  ///< A login to the FE of every cluster; needs the rights of the gate.
  std::string name_space;  ///< Of the ConfigMaps; empty: the pod's own.
  bool json = false;
  std::chrono::seconds timeout{30};  ///< For all of it.
};

/// Clusters beyond this many are counted and not asked: the answer is for people.
inline constexpr std::size_t kProbedClustersMax = 500;

/// Blocks until `deadline` at most. One line for the verdict, and one for the clock where the API server told its time.
[[nodiscard]] std::vector<CheckLine> probe_webhook(KubeClient& kube, const Clock& clock, const std::string& name_space,
                                                   Deadline deadline);

/// Blocks until `deadline` at most. A line for each StarRocksCluster, whether it asks for hooks or not, and one for the
/// clock. Texts name address and user, never a password.
[[nodiscard]] std::vector<CheckLine> probe_frontends(KubeClient& kube, ClusterAccess& clusters,
                                                     FrontendConnector& frontends, const Clock& clock,
                                                     Deadline deadline);

}  // namespace gate
