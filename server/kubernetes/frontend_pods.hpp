#pragma once
// Which addresses are those of a StarRocks cluster's own FE pods. What a database names is a tenant's input: a number,
// or the name of a Service that leads out of the cluster.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/text/result.hpp"
#include "server/base/guarded.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// Thread safe.
class FrontendPods {
 public:
  /// Addresses that were seen are known for this long without asking again: each look at a record connects.
  static constexpr std::chrono::seconds kKnownFor{60};
  /// An address that is missing is asked for again no sooner: the API server's own view takes as long.
  static constexpr std::chrono::seconds kAskAgainAfter{1};
  /// Clusters whose addresses are remembered.
  static constexpr std::size_t kClustersMax = 1000;

  /// Both outlive this.
  FrontendPods(KubeClient& client, const Clock& clock) : client_(client), clock_(clock) {}

  /// Ok when each of `addresses` is that of a pod behind the FE's Services, ready or not. Unavailable: one is not, or
  /// not yet; or it could not be asked. May ask the API server, with one list.
  [[nodiscard]] Status judge(const std::string& name_space, const std::string& cluster,
                             const std::vector<std::string>& addresses, Deadline deadline);

 private:
  struct Seen {
    std::set<std::string> addresses;
    SteadyTime at{};
  };
  [[nodiscard]] Result<Seen> ask(const std::string& name_space, const std::string& cluster, Deadline deadline);

  KubeClient& client_;
  const Clock& clock_;
  Guarded<std::map<std::pair<std::string, std::string>, Seen>> seen_;  // by namespace and cluster
};

}  // namespace gate
