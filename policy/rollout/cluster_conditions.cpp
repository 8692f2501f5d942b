#include "policy/rollout/cluster_conditions.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "policy/json/json_member.hpp"
#include "policy/record/history.hpp"
#include "policy/rollout/turns.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// Of a condition, as the API conventions have it; the causes that a record keeps are far below.
constexpr std::size_t kMessageMax = 2048;
constexpr std::string_view kOperatorRuns = "running";
constexpr std::string_view kOperatorFailed = "failed";

/// What is the matter with the images that the object has.
struct Story {
  bool stalled = false;  ///< Else it goes on by itself.
  bool held = false;
  std::string reason;
  std::string message;
};

bool has_images(const json& cluster, const Preparation& record, std::string ImageChange::*side) {
  return std::all_of(record.spec.changes.begin(), record.spec.changes.end(), [&](const ImageChange& change) {
    return component_image(cluster, change.component) == change.*side;
  });
}

/// Of a record that is open, and whose images (or some of them) are on the object, or were.
Story open_story(const Preparation& record, bool forward) {
  const auto& status = record.status;
  const auto* turn = present_turn(status.rollout.turns);
  Story out{false, false, "RollingOut", status.message};
  if (status.phase == Phase::Failed) {
    out.held = record.spec.rollout.leads();
    out.reason = "HookFailed";
  } else if (status.stage == Stage::Restoring || status.stage == Stage::Closed) {
    out.reason = "RestoringSettings";
    if (out.message.empty()) out.message = "settings are being restored";
  } else if (status.phase != Phase::Completed) {
    out.held = record.spec.rollout.leads();
    out.reason = "Preparing";
    if (out.message.empty()) out.message = "pre-upgrade hooks run";
  } else if (!forward || status.rollout.back) {
    out.reason = "RollingBack";
    if (out.message.empty()) out.message = "pods roll back to the previous images";
  } else if (turn != nullptr) {
    out.held = true;  // the turns that follow, or pods of this one
    out.reason = "RolloutLed";
    const auto& turns = status.rollout.turns;
    if (turn == &turns.back() && turn->phase == TurnPhase::Rolling && turn->partition == 0) out.held = false;
    if (turn->phase == TurnPhase::Paused) {
      out.stalled = true;
      out.reason = "RolloutPaused";
      out.message = turn_column(turns) + ": " + turn->waiting_for;
    }
  }
  // Until the first turn is planned nothing may roll.
  if (turn == nullptr && out.reason == "RollingOut")
    out.held = record.spec.rollout.mode != RolloutMode::Operator && status.rollout.turns.empty();
  if (out.message.empty()) out.message = "the rollout is in progress";
  return out;
}

/// Of one that is closed although its images are on the object: nothing, where they were rolled out or nobody holds
/// their pods.
std::optional<Story> closed_story(const Preparation& record) {
  const auto& status = record.status;
  const auto& rollout = record.spec.rollout;
  if (status.phase == Phase::Failed && rollout.admission == AdmissionMode::Hold) {
    return Story{false, true, "HookFailed", status.message + "; it is retried automatically"};
  }
  if (status.outcome != Outcome::Expired || !leaves_held(record)) return std::nullopt;
  return Story{true, true, "RolloutExpired",
               "the rollout took longer than allowed, and pods are still held: " + std::string(kHowToLetGo)};
}

std::optional<Story> story_of(const json& cluster, const std::vector<Preparation>& records) {
  const auto uid = text_member(member(cluster, "metadata"), "uid");
  std::optional<Story> story;
  bool closed_spoke = false;
  for (const auto& record : records) {
    if (record.spec.object.kind != kClusterKind || record.spec.object.uid != uid || record.spec.bypass) continue;
    if (record.status.outcome == Outcome::Superseded) continue;
    const bool forward = has_images(cluster, record, &ImageChange::to);
    std::optional<Story> told;
    if (is_open(record)) {
      std::vector<ComponentImage> present;
      for (const auto& change : record.spec.changes) {
        present.push_back({change.component, component_image(cluster, change.component)});
      }
      const bool restores = record.status.stage == Stage::Restoring && record.status.admitted_time.has_value();
      if (forward || restores || moves_pods(record, present)) told = open_story(record, forward);
    } else if (forward && !closed_spoke) {
      closed_spoke = true;  // older ones of the same images are history
      told = closed_story(record);
    }
    if (told && (!story || (told->stalled && !story->stalled))) story = std::move(told);
  }
  return story;
}

/// As the list has them, and ours made anew.
class Conditions {
 public:
  Conditions(const json& cluster, WallTime now)
      : old_(member(member(cluster, "status"), kConditionsField)),
        generation_(member(member(cluster, "metadata"), "generation")),
        now_(format_time(now)) {}

  void add(std::string_view type, bool holds, const std::string& reason, const std::string& message) {
    const std::string status = holds ? "True" : "False";
    json out{{"type", type},
             {"status", status},
             {"reason", reason},
             {"message", clean_text(message, kMessageMax)},
             {"lastTransitionTime", now_}};
    if (generation_.is_number_integer()) out["observedGeneration"] = generation_;
    if (old_.is_array()) {
      for (const json& before : old_) {
        const auto since = text_member(before, "lastTransitionTime");
        if (text_member(before, "type") == type && text_member(before, "status") == status && !since.empty()) {
          out["lastTransitionTime"] = since;
        }
      }
    }
    ours_.push_back(std::move(out));
  }

  /// Others' leave room for none of ours; or there are more than were read.
  [[nodiscard]] bool no_room() const {
    if (!old_.is_array()) return false;
    const auto foreign = std::count_if(old_.begin(), old_.end(),
                                       [](const json& one) { return !is_condition_of_ours(text_member(one, "type")); });
    return old_.size() > kConditionsMax || static_cast<std::size_t>(foreign) == kConditionsMax;
  }

  /// Others' first; of ours, which are added by their weight, as many as there is room for.
  [[nodiscard]] json list() && {
    json out = json::array();
    if (old_.is_array()) {
      for (const json& before : old_) {
        if (!is_condition_of_ours(text_member(before, "type"))) out.push_back(before);
      }
    }
    for (auto& condition : ours_) {
      if (out.size() < kConditionsMax) out.push_back(std::move(condition));
    }
    return out;
  }

 private:
  const json& old_;
  const json& generation_;
  const std::string now_;
  std::vector<json> ours_;
};

void add_ready(Conditions& conditions, const std::optional<Story>& story, const std::string& phase) {
  if (story) {
    conditions.add(condition::kReady, false, story->reason, story->message);
  } else if (phase == kOperatorRuns) {
    conditions.add(condition::kReady, true, "Running", "the operator reports running, and no upgrade is under way");
  } else if (phase.empty()) {
    conditions.add(condition::kReady, false, "NotReported", "the operator has not reported yet");
  } else {
    conditions.add(condition::kReady, false, phase == kOperatorFailed ? "OperatorFailed" : "OperatorReconciling",
                   "the operator reports " + phase);
  }
}

}  // namespace

json condition_fields(const json& cluster, const std::vector<Preparation>& records, bool asks, WallTime now) {
  const json& status = member(cluster, "status");
  const json& generation = member(member(cluster, "metadata"), "generation");
  Conditions conditions(cluster, now);
  if (conditions.no_room()) return nullptr;
  if (asks) {
    const auto story = story_of(cluster, records);
    add_ready(conditions, story, text_member(status, "phase"));
    if (story && story->stalled) {
      conditions.add(condition::kStalled, true, story->reason, story->message);
    } else if (story) {
      conditions.add(condition::kReconciling, true, story->reason, story->message);
    }
    if (story && story->held) conditions.add(condition::kHeld, true, story->reason, story->message);
  }
  const json& old_list = member(status, kConditionsField);
  json list = std::move(conditions).list();
  json wanted_generation = asks ? generation : json();
  // A list of nobody's is no list.
  if (list.empty() && !asks) list = json();
  const bool same_list = list.is_null() ? (old_list.is_null() || old_list == json::array()) : list == old_list;
  const json& old_generation = member(status, kObservedGenerationField);
  // Without conditions of ours the generation is somebody else's, too.
  const bool ours = old_list.is_array() && std::any_of(old_list.begin(), old_list.end(), [](const json& one) {
                      return is_condition_of_ours(text_member(one, "type"));
                    });
  if (!asks && !ours) return nullptr;
  if (same_list && wanted_generation == old_generation) return nullptr;
  return {{std::string(kConditionsField), std::move(list)},
          {std::string(kObservedGenerationField), std::move(wanted_generation)}};
}

json mirror_of(const Preparation& record) {
  const auto& status = record.status;
  const auto time_or_null = [](const std::optional<WallTime>& time) {
    return time ? json(format_time(*time)) : json();
  };
  return {{"phase", to_string(status.phase)},
          {"reason", status.reason},
          {"message", status.message},
          {"stage", to_string(status.stage)},
          {"outcome", status.outcome == Outcome::None ? json() : json(to_string(status.outcome))},
          {"preparation", record.name},
          {"completedHooks", hooks_in(status, HookPhase::Completed)},
          {"failedHooks", hooks_in(status, HookPhase::Failed)},
          {"startTime", time_or_null(status.start_time)},
          {"completionTime", time_or_null(status.completion_time)}};
}

}  // namespace gate
