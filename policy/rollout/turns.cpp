#include "policy/rollout/turns.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <functional>

#include "policy/text/text.hpp"
#include "policy/versions/version.hpp"

namespace gate {
namespace {

/// An FE reads what older BEs write, not the other way round.
constexpr std::array kUpgradeOrder{Component::Backend, Component::ComputeNode, Component::Warehouse,
                                   Component::Frontend};

const ImageChange* change_of(const PreparationSpec& spec, Component component) {
  const auto found = std::find_if(spec.changes.begin(), spec.changes.end(),
                                  [&](const ImageChange& change) { return change.component == component; });
  return found == spec.changes.end() ? nullptr : &*found;
}

bool goes_down(const PreparationSpec& spec) {
  return std::any_of(spec.changes.begin(), spec.changes.end(), [](const ImageChange& change) {
    return version_change(change.from, change.to) == VersionChange::Downgrade;
  });
}

const StatefulSetState* set_of(const RolloutObservation& seen, Component component) {
  const auto found = std::find_if(seen.sets.begin(), seen.sets.end(),
                                  [&](const StatefulSetState& set) { return set.component == component; });
  return found == seen.sets.end() ? nullptr : &*found;
}

/// What a StatefulSet lacks until its pods from `partition` on run `image`; "" when nothing.
std::string missing_of(const StatefulSetState* set, const std::string& image, int partition) {
  if (set == nullptr || !set->exists) return "its StatefulSet does not exist";
  const std::string name = "StatefulSet " + set->name + ": ";
  if (set->image != image) return name + "the operator has not written the new template yet";
  if (!set->observed) return name + "change not observed yet";
  const int wanted = std::max(0, set->replicas - partition);
  const auto of = " of " + std::to_string(wanted);
  if (set->updated < wanted) {
    std::string why;
    if (set->on_delete) why = " (updateStrategy OnDelete: delete the other pods)";
    if (!set->on_delete && set->partition > partition) {
      why = " (its updateStrategy has partition " + std::to_string(set->partition) + ")";
    }
    return name + std::to_string(set->updated) + of + " pods updated" + why;
  }
  if (set->ready < set->replicas) {
    return name + std::to_string(set->ready) + " of " + std::to_string(set->replicas) + " pods ready";
  }
  if (set->existing > set->replicas) return name + std::to_string(set->existing - set->replicas) + " surplus pods";
  return {};
}

/// What keeps a turn's present step from being over; "" when nothing does, in this reading.
std::string waiting_for(const Preparation& record, const Turn& turn, const RolloutObservation& seen) {
  for (const auto component : turn.components) {
    const auto* change = change_of(record.spec, component);
    if (change == nullptr) continue;
    const auto* set = set_of(seen, component);
    if (auto missing = missing_of(set, seen.back ? way_back(record.spec, *change) : change->to, turn.partition);
        !missing.empty()) {
      return missing;
    }
    if (seen.back) continue;  // the way back does not ask the database
    if (!seen.renewed) return "the FE could not be asked for its nodes";
    const auto found = seen.renewed->find(component);
    const int renewed = found == seen.renewed->end() ? 0 : found->second;
    const int wanted = std::max(0, set->replicas - turn.partition);
    if (renewed < wanted) {
      return std::string(to_string(component)) + ": " + std::to_string(renewed) + " of " + std::to_string(wanted) +
             " nodes alive and new in the database";
    }
  }
  return seen.back ? std::string{} : seen.unwell;
}

/// What is to be known where the FE that leads is not the last to restart, while it has not; "" where it is, or did.
std::string leader_note(const Turn& turn, const RolloutObservation& seen, int below) {
  const bool frontends =
      std::find(turn.components.begin(), turn.components.end(), Component::Frontend) != turn.components.end();
  const auto* set = set_of(seen, Component::Frontend);
  if (!frontends || set == nullptr || seen.back) return {};
  const int ordinal = ordinal_in(*set, seen.leading_frontend).value_or(-1);
  if (ordinal <= 0 || ordinal >= below || ordinal >= set->replicas) return {};
  return "the FE that leads is " + set->name + "-" + std::to_string(ordinal) + ", which restarts before " + set->name +
         "-0: another one is elected then";
}

bool waits_for_people(const Turn& turn, const RolloutObservation& seen) {
  return std::any_of(turn.components.begin(), turn.components.end(), [&](Component component) {
    const auto* set = set_of(seen, component);
    return set != nullptr && set->on_delete;
  });
}

std::string step_text(const Turn& turn) {
  return names_of(turn) + ": step " + std::to_string(turn.step) + " of " + std::to_string(turn.of);
}

bool is_let_go(const RolloutProgress& progress) { return progress.back && progress.turns.empty(); }

/// Works on a copy of the record's progress.
class Leader {
 public:
  Leader(const Preparation& record, const RolloutObservation& seen) : record_(record), seen_(seen) {
    out_.progress = record.status.rollout;
  }

  TurnMove move() && {
    face();
    auto& turns = out_.progress.turns;
    if (const Turn* now = present_turn(turns)) {
      const auto index = static_cast<std::size_t>(now - turns.data());
      advance(turns[index], index);
    }
    out_.progress.resume = seen_.resume;
    return std::move(out_);
  }

 private:
  /// Turns for the direction in which the object goes.
  void face() {
    auto& progress = out_.progress;
    const bool was_let_go = is_let_go(progress);
    if (progress.turns.empty()) {
      progress.turns = plan_turns(record_.spec);
      order_frontends();
    }
    if (progress.back == seen_.back && !was_let_go) return;
    progress.back = seen_.back;
    if (!seen_.back) {
      progress.turns = plan_turns(record_.spec);
      order_frontends();
      tell(false, "UpgradeRolloutForward", "the new images are on the object again");
      return;
    }
    for (auto& turn : progress.turns) {
      const bool moved = turn.phase != TurnPhase::Held || has_left_origin(turn);
      turn = Turn{turn.components, moved ? TurnPhase::Held : TurnPhase::Done, 0, 0, 0, {}, {}, 0};
    }
    std::reverse(progress.turns.begin(), progress.turns.end());
    order_frontends();
    tell(false, "UpgradeRollingBack", "the object was reverted; what has rolled is rolled back, the last first");
  }

  /// No FE is to be newer than another node. Where the record began in the middle of another rollout, what it changes
  /// from is not what all pods run: whether FEs go up or down is told by what they have.
  void order_frontends() {
    const auto* set = set_of(seen_, Component::Frontend);
    const auto* change = change_of(record_.spec, Component::Frontend);
    if (record_.spec.origins.empty() || change == nullptr || set == nullptr || !set->exists) return;
    const auto now = version_of_image(set->image);
    const auto target = version_of_image(seen_.back ? way_back(record_.spec, *change) : change->to);
    if (!now || !target) return;
    const auto order = *now <=> *target;
    const auto is_frontends = [](const Turn& turn) { return turn.components.front() == Component::Frontend; };
    auto& turns = out_.progress.turns;
    if (order == std::partial_ordering::greater) std::stable_partition(turns.begin(), turns.end(), is_frontends);
    if (order == std::partial_ordering::less)
      std::stable_partition(turns.begin(), turns.end(), std::not_fn(is_frontends));
  }

  /// By its StatefulSets: a turn that is Held may be so for the second time.
  [[nodiscard]] bool has_left_origin(const Turn& turn) const {
    return std::any_of(turn.components.begin(), turn.components.end(), [&](Component component) {
      const auto* set = set_of(seen_, component);
      const auto* change = change_of(record_.spec, component);
      return set != nullptr && change != nullptr && set->exists && set->image != way_back(record_.spec, *change);
    });
  }

  void advance(Turn& turn, std::size_t index) {
    switch (turn.phase) {
      case TurnPhase::Held:
        begin(turn, index);
        return;
      case TurnPhase::Paused:
        if (seen_.back || (!seen_.resume.empty() && seen_.resume != record_.status.rollout.resume)) {
          turn.phase = TurnPhase::Rolling;
          turn.since = seen_.now;
          turn.readings = 0;
          tell(false, "UpgradeRolloutResumed", step_text(turn));
          return;
        }
        turn.waiting_for = pause_text(clean_text(waiting_for(record_, turn, seen_)));
        return;
      case TurnPhase::Rolling:
        look(turn);
        if (const auto note = leader_note(turn, seen_, turn.partition + 1); !note.empty()) {
          turn.waiting_for += (turn.waiting_for.empty() ? "" : "; ") + note;
        }
        return;
      case TurnPhase::Done:
        return;
    }
  }

  void begin(Turn& turn, std::size_t index) {
    if (!seen_.back && !seen_.ahead.empty()) {
      turn.waiting_for = seen_.ahead;
      return;
    }
    const bool frontend =
        std::find(turn.components.begin(), turn.components.end(), Component::Frontend) != turn.components.end();
    if (frontend && index > 0 && !seen_.back && !out_.progress.image_pushed) {
      turn.waiting_for = "an image of the metadata on every FE";
      out_.push_image = true;
      return;
    }
    int pods = 1;
    if (record_.spec.rollout.mode == RolloutMode::Stepwise && !seen_.back) {
      for (const auto component : turn.components) {
        const auto* set = set_of(seen_, component);
        if (set == nullptr || !set->exists) {
          turn.waiting_for = "its StatefulSet does not exist";
          return;
        }
        pods = std::max(pods, set->replicas);
      }
    }
    turn.phase = TurnPhase::Rolling;
    turn.step = 1;
    turn.of = pods;
    turn.partition = pods - 1;
    turn.since = seen_.now;
    turn.began = seen_.now;
    turn.readings = 0;
    turn.waiting_for.clear();
    tell(false, "UpgradeTurnStarted", step_text(turn));
    if (auto note = leader_note(turn, seen_, INT_MAX); !note.empty()) {
      tell(true, "UpgradeLeaderNotLast", note);
      turn.waiting_for = std::move(note);
    }
  }

  void look(Turn& turn) {
    turn.waiting_for = clean_text(waiting_for(record_, turn, seen_));
    const bool in_time = seen_.now - turn.since.value_or(seen_.now) <= record_.spec.rollout.step_timeout;
    if (!turn.waiting_for.empty()) {
      turn.readings = 0;
      if (in_time || waits_for_people(turn, seen_)) return;
      if (seen_.back) {
        // Those that follow are not to wait for this one: the record waits for all of them at its end.
        tell(true, "UpgradeRollbackSlow", step_text(turn) + ": " + turn.waiting_for);
        end(turn);
        return;
      }
      turn.phase = TurnPhase::Paused;
      turn.waiting_for = pause_text(turn.waiting_for);
      tell(true, "UpgradeRolloutPaused", step_text(turn) + " did not become healthy in time: " + turn.waiting_for);
      return;
    }
    if (++turn.readings < record_.spec.rollout.readings && !seen_.back) {
      turn.waiting_for = "healthy, " + std::to_string(turn.readings) + " of " +
                         std::to_string(record_.spec.rollout.readings) + " readings";
      return;
    }
    turn.readings = 0;
    if (turn.partition == 0) {
      end(turn);
      tell(false, "UpgradeTurnDone", names_of(turn) + ": rolled " + (seen_.back ? "back" : "out"));
      return;
    }
    --turn.partition;
    ++turn.step;
    turn.since = seen_.now;
    tell(false, "UpgradeStepStarted", step_text(turn));
  }

  void end(Turn& turn) const {
    turn.phase = TurnPhase::Done;
    turn.ended = seen_.now;
  }

  static std::string pause_text(const std::string& cause) {
    return (cause.empty() ? "healthy by now; " : cause + "; fix it, then ") +
           "set starrocks.com/upgrade-resume to a new value";
  }

  void tell(bool warning, std::string reason, std::string message) {
    out_.events.push_back({warning, std::move(reason), std::move(message)});
  }

  const Preparation& record_;
  const RolloutObservation& seen_;
  TurnMove out_;
};

bool over(const Preparation& record) { return record.status.stage == Stage::Closed; }

/// Its images are on its object, or were.
bool on_object(const Preparation& record) {
  return record.spec.rollout.admission == AdmissionMode::Hold || record.status.admitted_time.has_value() ||
         record.status.stage == Stage::RollingOut;
}

/// The turn of a component; nullptr where none was planned yet.
const Turn* turn_of(const Preparation& record, Component component) {
  for (const auto& turn : record.status.rollout.turns) {
    if (std::find(turn.components.begin(), turn.components.end(), component) != turn.components.end()) return &turn;
  }
  return nullptr;
}

/// Every image that the record leads to is among `present`.
bool has_all(const PreparationSpec& spec, const std::vector<ComponentImage>& present) {
  return std::all_of(spec.changes.begin(), spec.changes.end(), [&](const ImageChange& change) {
    return std::find(present.begin(), present.end(), ComponentImage{change.component, change.to}) != present.end();
  });
}

SetOrder held() { return {SetVerdict::Hold, 0}; }

SetOrder forward(const Preparation& record, Component component) {
  if (record.spec.bypass) return {};
  if (record.status.phase != Phase::Completed) return held();
  if (record.spec.rollout.mode == RolloutMode::Operator) return {};
  if (over(record) && record.status.outcome == Outcome::Succeeded) return {};
  const auto* turn = turn_of(record, component);
  const auto& progress = record.status.rollout;
  if (turn == nullptr && progress.back) return {};  // let go
  if (turn == nullptr || progress.back) return held();
  switch (turn->phase) {
    case TurnPhase::Held:
      return held();
    case TurnPhase::Rolling:
    case TurnPhase::Paused:
      return turn->partition > 0 ? SetOrder{SetVerdict::Steer, turn->partition} : SetOrder{};
    case TurnPhase::Done:
      return {};
  }
  return held();
}

SetOrder backward(const Preparation& record, Component component) {
  const auto& progress = record.status.rollout;
  const auto* turn = turn_of(record, component);
  if (over(record) || turn == nullptr) return {};
  if (progress.back) return turn->phase == TurnPhase::Held ? held() : SetOrder{};
  // The leader sees within a moment that the object went back, and says what goes first. Alone there is no first.
  return record.spec.changes.size() == 1 ? SetOrder{} : held();
}

}  // namespace

const std::string& way_back(const PreparationSpec& spec, const ImageChange& change) {
  const auto found = std::find_if(spec.origins.begin(), spec.origins.end(),
                                  [&](const ComponentImage& origin) { return origin.component == change.component; });
  return found == spec.origins.end() ? change.from : found->image;
}

std::vector<Turn> plan_turns(const PreparationSpec& spec) {
  std::vector<Turn> turns;
  for (const auto component : kUpgradeOrder) {
    if (change_of(spec, component) != nullptr) turns.push_back(Turn{{component}, TurnPhase::Held, 0, 0, 0, {}, {}, 0});
  }
  if (goes_down(spec)) std::reverse(turns.begin(), turns.end());
  return turns;
}

bool tried_again(const Preparation& record) {
  const auto& status = record.status;
  return status.phase == Phase::Failed && status.outcome == Outcome::Failed && !record.spec.bypass &&
         record.spec.rollout.admission == AdmissionMode::Hold && record.spec.rollout.leads();
}

std::string rolls_before(const Preparation& mine, const std::vector<Preparation>& others) {
  const auto turns_of = [](const Preparation& record) {
    const auto& known = record.status.rollout.turns;
    return known.empty() ? plan_turns(record.spec) : known;
  };
  const auto turns = turns_of(mine);
  const Turn* now = present_turn(turns);
  if (now == nullptr || now->phase != TurnPhase::Held) return {};
  const bool down = goes_down(mine.spec);
  const auto place = [&](Component component) {
    const auto at = std::find(kUpgradeOrder.begin(), kUpgradeOrder.end(), component) - kUpgradeOrder.begin();
    return down ? -at : at;
  };
  for (const auto& other : others) {
    const bool again = tried_again(other);
    const bool open = !over(other) && other.status.stage != Stage::Restoring;
    const bool rolls = (open || again) && !other.status.rollout.back;
    if (!on_object(other) || !rolls || other.spec.bypass || other.spec.rollout.mode == RolloutMode::Operator) continue;
    if (other.spec.object.uid == mine.spec.object.uid || goes_down(other.spec) != down) continue;
    for (const auto& turn : turns_of(other)) {
      const bool earlier = std::any_of(turn.components.begin(), turn.components.end(), [&](Component component) {
        return place(component) < place(now->components.front());
      });
      if (!earlier || turn.phase == TurnPhase::Done) continue;
      return names_of(turn) + " of " + other.spec.object.name + " rolls first (" + other.name +
             (again ? ", which failed and is retried)" : ")");
    }
  }
  return {};
}

TurnMove next_move(const Preparation& record, const RolloutObservation& seen) { return Leader(record, seen).move(); }

int nodes_renewed(const Preparation& record, Component component, const std::vector<DatabaseNode>& nodes) {
  const auto* change = change_of(record.spec, component);
  if (change == nullptr) return 0;
  const bool warehouse = component == Component::Warehouse;
  const auto kind = warehouse ? Component::ComputeNode : component;
  auto wanted = version_of_image(change->to);
  // A tag is believed where the old one named what ran.
  const auto& before = record.status.nodes_before;
  const auto old_tag = version_of_image(change->from);
  const bool tags_name_versions = old_tag && std::any_of(before.begin(), before.end(), [&](const NodeBefore& node) {
                                    const auto ran = parse_version(node.version);
                                    return ran && ran->major == old_tag->major && ran->minor == old_tag->minor;
                                  });
  if (!tags_name_versions) wanted.reset();
  return static_cast<int>(std::count_if(nodes.begin(), nodes.end(), [&](const DatabaseNode& node) {
    if (node.component != kind || !node.alive) return false;
    const bool old_process = std::any_of(before.begin(), before.end(), [&](const NodeBefore& known) {
      return known.component == node.component && known.name == node.name && !node.started.empty() &&
             known.started == node.started;
    });
    if (old_process) return false;
    auto actual = parse_version(node.version);
    if (!wanted || !actual) return true;
    wanted->prerelease.clear();
    actual->prerelease.clear();
    const auto order = *actual <=> *wanted;
    return order != std::partial_ordering::less && order != std::partial_ordering::greater;
  }));
}

bool leaves_held(const Preparation& record) {
  const auto& progress = record.status.rollout;
  if (record.spec.bypass || record.spec.rollout.mode == RolloutMode::Operator || progress.back) return false;
  return progress.turns.empty() || present_turn(progress.turns) != nullptr;
}

SetOrder order_of(const StatefulSetWrite& write, const std::vector<Preparation>& records, bool asked,
                  const std::vector<ComponentImage>& present) {
  // The stored template, sent back by whoever writes something else, the operator's last-applied annotation or a label:
  // that says nothing about where the owner leads, and with the mark gone each of the operator's passes would write.
  const auto wanted = std::find_if(present.begin(), present.end(),
                                   [&](const ComponentImage& image) { return image.component == write.component; });
  if (write.old_image == write.new_image && wanted != present.end() && wanted->image != write.new_image) return held();
  bool newer_leads = false;  // elsewhere: what a record before it let go is not to run ahead of that
  bool let_back = false;
  for (const auto& record : records) {
    if (record.spec.object.uid != write.owner.uid) continue;
    const auto* change = change_of(record.spec, write.component);
    if (change == nullptr) continue;
    const bool given_up =
        record.status.phase == Phase::Failed || (over(record) && record.status.outcome != Outcome::Succeeded);
    if (!let_back && change->to == write.new_image && (!given_up || record.spec.bypass)) {
      const bool again = newer_leads || has_all(record.spec, present);
      return again && is_let_go(record.status.rollout) ? held() : forward(record, write.component);
    }
    const bool rolled_out = over(record) && record.status.outcome == Outcome::Succeeded;
    if (way_back(record.spec, *change) == write.new_image && !rolled_out) {
      // Also by those before it: what they moved goes back in their order, which this one does not know.
      if (const auto order = backward(record, write.component); order != SetOrder{}) return order;
      let_back = true;
      continue;
    }
    if (rolled_out) break;  // what was before it is history
    newer_leads = newer_leads || (!over(record) && on_object(record) && record.spec.rollout.leads());
  }
  return asked && !let_back && write.old_image != write.new_image ? held() : SetOrder{};
}

}  // namespace gate
