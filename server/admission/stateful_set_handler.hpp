#pragma once
// The webhook on the operator's writes of StatefulSets: what the records say about a component becomes the answer to
// its write.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/hooks/led_rollout.hpp"
#include "policy/review/admission_review.hpp"
#include "policy/rollout/stateful_set.hpp"
#include "server/base/log.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

/// Thread safe.
class StatefulSetHandler {
 public:
  static constexpr std::string_view kPath = "/mutate-statefulsets";

  /// All outlive this. `default_hooks` and `defaults`: as in HookSources.
  StatefulSetHandler(PreparationStore& store, ClusterAccess& clusters, Logger& log,
                     std::vector<std::string> default_hooks, LedRollout defaults)
      : store_(store),
        clusters_(clusters),
        log_(log),
        default_hooks_(std::move(default_hooks)),
        defaults_(std::move(defaults)) {}

  /// Blocks until `deadline` at the latest. Where it cannot be known what may roll, a StatefulSet that is held stays as
  /// it is, and an image change of another one is refused: the operator tries again.
  [[nodiscard]] AdmissionAnswer answer(const AdmissionRequest& request, Deadline deadline) const;

 private:
  [[nodiscard]] Result<SetOrder> order(const AdmissionRequest& request, const StatefulSetWrite& write,
                                       Deadline deadline) const;

  PreparationStore& store_;
  ClusterAccess& clusters_;
  Logger& log_;
  const std::vector<std::string> default_hooks_;
  const LedRollout defaults_;
};

/// Adds a fault where `configuration` asks for a rollout that cannot be led in the namespace: a hold that nobody keeps
/// must not be promised. A warning alone in a dry run: what is missing may be part of the same bundle. Where only the
/// gate's defaults ask, it is not led, with a warning. Asks nothing where nobody does.
void require_leading(HookConfiguration& configuration, ClusterAccess& clusters, const std::string& name_space,
                     bool dry_run, Deadline deadline);

}  // namespace gate
