#pragma once
// ScriptJobs on the API server: each script in a Job of its own, in the cluster's namespace, with nothing it was not
// given.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "server/kubernetes/client/kube_client.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/script_jobs.hpp"

namespace gate {

/// The script travels as an argument of the container, which Linux caps at 128 KiB each; the rest is for a record that
/// etcd still stores.
inline constexpr std::size_t kScriptBytesMax = 96u << 10;

struct KubeScriptJobsOptions {
  std::string image;  ///< Has /bin/sh and what the scripts call. Empty: script hooks are not available.
};

/// The pod runs as user 65532 without capabilities, service-account token or writable root (but for /tmp), under the
/// restricted Pod Security Standard. The script finds in its environment:
///   SR_FE_HOST, SR_FE_PORT, SR_FE_USER     the FE as the gate reaches it
///   SR_FE_PASSWORD, MYSQL_PWD              only if the cluster keeps the password in a Secret: by reference to it
///   SR_CLUSTER, SR_NAMESPACE, SR_UPGRADE_PREPARATION, SR_UPGRADE_FUNCTION
///   SR_UPGRADE_FROM_FE, SR_UPGRADE_TO_FE   and _BE, _CN, _WAREHOUSE: the images, of the components that change
/// A Job is owned by its record, and is deleted an hour after its end, should nobody have done so.
class KubeScriptJobs final : public ScriptJobs {
 public:
  /// `client` and `clusters` must outlive this.
  KubeScriptJobs(KubeClient& client, ClusterAccess& clusters, KubeScriptJobsOptions options);

  std::string unavailable_because() const override;
  /// InvalidInput: a script that is too large, or script hooks are not available. Rejected: a Job of that name that is
  /// not this record's. The FE's password is taken out of the log's lines wherever it stands as it is.
  Result<ScriptJobState> run(const Preparation& record, const ScriptJob& job, Deadline deadline) override;
  /// With its pods, which the garbage collector takes a moment later. Leaves alone what is not this record's.
  Status remove(const Preparation& record, const ScriptJob& job, Deadline deadline) override;

  /// `<cluster>-<hook>-<12 hex digits>`: at most 63 characters, so that it fits the labels of the pods. Depends on the
  /// record's UID, the hook, the function and the attempt.
  [[nodiscard]] static std::string job_name(const Preparation& record, const ScriptJob& job);

 private:
  [[nodiscard]] Result<nlohmann::json> create(const Preparation& record, const ScriptJob& job, Deadline deadline);
  [[nodiscard]] ScriptJobState state_of(const Preparation& record, const nlohmann::json& job, Deadline deadline);
  [[nodiscard]] std::string last_lines(const Preparation& record, const std::string& pod, Deadline deadline);

  KubeClient& client_;
  ClusterAccess& clusters_;
  const KubeScriptJobsOptions options_;
};

}  // namespace gate
