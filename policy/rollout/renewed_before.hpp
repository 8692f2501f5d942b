#pragma once
// Pods that run the new image before the record that leads to it is prepared: a hold was lost meanwhile, or the target
// was left in the middle of its rollout and is asked for again. Nothing will restart them. Pure.

#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/rollout/stateful_set.hpp"

namespace gate {

/// Whether that may be so: else nobody needs to look.
[[nodiscard]] bool may_be_renewed_before(const PreparationSpec& spec);

/// `nodes` (as nodes_to_restart() has them), with no start time where the pod has the new template by its StatefulSet:
/// no process is then the one from before. Those are the highest ordinals, as many as it says are updated; with
/// `updateStrategy: OnDelete`, all or none. So is one that has the version which the new image's tag names and the old
/// one's does not: a rollout to this very image left it there, another one began since, and a template that returns
/// restarts no pod that has it; of FEs and BEs also where it is listed by its address. Their versions stay: by them
/// tags are judged.
[[nodiscard]] std::vector<NodeBefore> forget_starts_of_renewed(const PreparationSpec& spec,
                                                               std::vector<NodeBefore> nodes,
                                                               const std::vector<StatefulSetState>& sets);

}  // namespace gate
