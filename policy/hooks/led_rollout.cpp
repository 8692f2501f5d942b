#include "policy/hooks/led_rollout.hpp"

#include <algorithm>

#include "policy/text/names.hpp"

namespace gate {
namespace {

constexpr Names<RolloutMode, 3> kModes{
    {{RolloutMode::Operator, "operator"}, {RolloutMode::Ordered, "ordered"}, {RolloutMode::Stepwise, "stepwise"}}};
constexpr Names<AdmissionMode, 2> kAdmissions{{{AdmissionMode::Refuse, "refuse"}, {AdmissionMode::Hold, "hold"}}};
constexpr Names<TurnPhase, 4> kPhases{{{TurnPhase::Held, "Held"},
                                       {TurnPhase::Rolling, "Rolling"},
                                       {TurnPhase::Paused, "Paused"},
                                       {TurnPhase::Done, "Done"}}};

}  // namespace

std::string_view to_string(RolloutMode mode) { return name_of(kModes, mode); }
std::string_view to_string(AdmissionMode mode) { return name_of(kAdmissions, mode); }
std::string_view to_string(TurnPhase phase) { return name_of(kPhases, phase); }
std::optional<RolloutMode> rollout_mode_from(std::string_view text) { return value_of(kModes, text); }
std::optional<AdmissionMode> admission_mode_from(std::string_view text) { return value_of(kAdmissions, text); }
std::optional<TurnPhase> turn_phase_from(std::string_view text) { return value_of(kPhases, text); }

std::string names_of(const Turn& turn) {
  std::string out;
  for (const auto component : turn.components) {
    if (!out.empty()) out += ", ";
    out += to_string(component);
  }
  return out;
}

const Turn* present_turn(const std::vector<Turn>& turns) {
  const auto now =
      std::find_if(turns.begin(), turns.end(), [](const Turn& turn) { return turn.phase != TurnPhase::Done; });
  return now == turns.end() ? nullptr : &*now;
}

std::string turn_column(const std::vector<Turn>& turns) {
  const Turn* now = present_turn(turns);
  if (now == nullptr) return {};
  const auto steps = std::to_string(now->step) + "/" + std::to_string(now->of);
  switch (now->phase) {
    case TurnPhase::Rolling:
      return names_of(*now) + " " + steps;
    case TurnPhase::Paused:
      return names_of(*now) + " " + steps + " Paused";
    case TurnPhase::Held:
    case TurnPhase::Done:
      break;
  }
  return names_of(*now) + " Held";
}

}  // namespace gate
