#pragma once
// What a record says about a rollout that the gate leads: what was asked for, and how far it has come.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/text/time.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {

enum class RolloutMode {
  Operator,  ///< The operator rolls as it does without the gate.
  Ordered,   ///< Components in turns.
  Stepwise,  ///< Turns, and within a turn pod by pod.
};
enum class AdmissionMode {
  Refuse,  ///< The image change is admitted once the preparation is Completed.
  Hold,    ///< It is admitted at once, and the StatefulSets stay as they are until then.
};
enum class TurnPhase {
  Held,     ///< Its StatefulSets stay as they are.
  Rolling,  ///< Pods from `partition` on are let go.
  Paused,   ///< As Rolling, and no further: somebody has to look.
  Done,
};

[[nodiscard]] std::string_view to_string(RolloutMode mode);    // "operator", "ordered", "stepwise"
[[nodiscard]] std::string_view to_string(AdmissionMode mode);  // "refuse", "hold"
[[nodiscard]] std::string_view to_string(TurnPhase phase);     // "Held", "Rolling", "Paused", "Done"
[[nodiscard]] std::optional<RolloutMode> rollout_mode_from(std::string_view text);
[[nodiscard]] std::optional<AdmissionMode> admission_mode_from(std::string_view text);
[[nodiscard]] std::optional<TurnPhase> turn_phase_from(std::string_view text);

/// Readings of health in a row before the next step: one alone may be that of a heartbeat that has not failed yet.
inline constexpr int kReadingsDefault = 3;
inline constexpr int kReadingsMax = 100;
/// A BE with many tablets takes minutes to come back; an image that cannot be pulled never does.
inline constexpr std::chrono::seconds kStepTimeoutDefault{900};
inline constexpr std::chrono::seconds kStepTimeoutMin{10};
inline constexpr std::chrono::seconds kStepTimeoutMax{24 * 3600};

/// What was asked for. Part of the spec: it does not change while the record lives.
struct LedRollout {
  RolloutMode mode = RolloutMode::Operator;
  AdmissionMode admission = AdmissionMode::Refuse;
  /// What is to hold between two steps, besides that the component's own nodes are back.
  std::vector<Probe> health{Probe::FrontendsAlive, Probe::BackendsAlive, Probe::ComputeNodesAlive};
  int readings = kReadingsDefault;
  std::chrono::seconds step_timeout = kStepTimeoutDefault;
  friend bool operator==(const LedRollout&, const LedRollout&) = default;

  /// The gate has something to say to the operator's writes of StatefulSets.
  [[nodiscard]] bool leads() const { return mode != RolloutMode::Operator || admission == AdmissionMode::Hold; }
};

/// The components that roll at one time, and how far they are.
struct Turn {
  std::vector<Component> components;
  TurnPhase phase = TurnPhase::Held;
  int step = 0;       ///< 1, 2, ... once it rolls.
  int of = 0;         ///< Steps in all, known once it rolls.
  int partition = 0;  ///< While it rolls: pods with a lower ordinal stay as they are.
  std::string waiting_for;
  std::optional<WallTime> since;    ///< When the step began, or was resumed.
  int readings = 0;                 ///< Good ones in a row.
  std::optional<WallTime> began{};  ///< The first step, in this direction.
  std::optional<WallTime> ended{};
  friend bool operator==(const Turn&, const Turn&) = default;
};

/// Part of the status.
struct RolloutProgress {
  std::vector<Turn> turns;  ///< In the order in which they roll; empty until the first may.
  /// The turns lead back to the images that the record came from. Without turns: nothing is kept back any more.
  bool back = false;
  bool image_pushed =
      false;           ///< Every FE has been asked for an image of its metadata since the nodes before it rolled.
  std::string resume;  ///< The resume annotation as last seen: the same value resumes nothing twice.
  friend bool operator==(const RolloutProgress&, const RolloutProgress&) = default;
};

/// The first that is not over; null: all are, or none was planned.
[[nodiscard]] const Turn* present_turn(const std::vector<Turn>& turns);

/// "be 2/3" or "fe Held", of the turn that is under way; "" where no turn was planned or all are over.
[[nodiscard]] std::string turn_column(const std::vector<Turn>& turns);
/// "be, cn"
[[nodiscard]] std::string names_of(const Turn& turn);

}  // namespace gate
