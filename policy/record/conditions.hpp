#pragma once
// The conditions of a record: those of its own story (Prepared, Admitted, RolledOut, Restored, RestoreOwed, Bypassed),
// and the three that kstatus reads (Ready, Reconciling, Stalled), which Flux, `kubectl wait` and Helm understand.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/record/preparation.hpp"

namespace gate {

/// What observers compare with metadata.generation: the spec is immutable, so the generation never moves.
inline constexpr int kObservedGeneration = 1;

struct Condition {
  std::string type;
  bool holds = false;
  std::string reason;   ///< CamelCase; what the state is called, whether the condition holds or not.
  std::string message;  ///< For people; may be empty.
  WallTime since;       ///< When it last came to hold, or ceased to.
  friend bool operator==(const Condition&, const Condition&) = default;
};

/// Each type once, in a fixed order. Pure, and taken from the record alone: whoever writes the status next writes the
/// same. A condition whose time is not known yet (a record that was never stored) is left out.
///
/// Of Ready, Reconciling and Stalled exactly one holds:
/// - Stalled: the preparation failed, or the rollout is paused; nothing goes on until somebody does something.
/// - Reconciling: the gate is at work (hooks, a rollout that it watches or leads, restoring).
/// - Ready: nothing is to do: prepared and not admitted yet, or closed with nothing left to restore.
[[nodiscard]] std::vector<Condition> conditions_of(const Preparation& record);

/// As the field `conditions` of a status.
[[nodiscard]] nlohmann::json to_json(const std::vector<Condition>& conditions);

}  // namespace gate
