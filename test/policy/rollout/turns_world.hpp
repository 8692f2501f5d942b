#pragma once
// A led rollout of a few StatefulSets, as the operator, behind the gate, and the StatefulSet controller would make it.

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "policy/rollout/turns.hpp"

namespace gate::test {

inline Preparation record_of(std::vector<ImageChange> changes, RolloutMode mode = RolloutMode::Stepwise) {
  Preparation record;
  record.name = "sr-1";
  record.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  record.spec.cluster = "sr";
  record.spec.changes = std::move(changes);
  record.spec.rollout.mode = mode;
  record.spec.rollout.readings = 2;
  record.status.phase = Phase::Completed;
  record.status.stage = Stage::RollingOut;
  return record;
}

inline Preparation upgrade() {
  return record_of({{Component::Frontend, "fe:3.3.0", "fe:3.3.1"}, {Component::Backend, "be:3.3.0", "be:3.3.1"}});
}

/// StatefulSets as the operator, behind the gate, and the StatefulSet controller would make them.
struct World {
  Preparation record;
  std::map<Component, StatefulSetState> sets;
  std::map<Component, int> old_pods;  ///< Not new yet; the highest ordinals go first.
  bool back = false;
  bool broken = false;  ///< A pod that restarts forward does not become ready.
  std::string unwell;
  std::string resume;
  std::string leads;  ///< Name of an FE.
  WallTime now{};
  std::vector<std::string> restarts;
  std::vector<TurnEvent> events;

  explicit World(Preparation of, int pods = 3) : record(std::move(of)) {
    for (const auto& change : record.spec.changes) {
      StatefulSetState set;
      set.component = change.component;
      set.name = "sr-" + std::string(to_string(change.component));
      set.exists = set.observed = true;
      set.image = change.from;
      set.replicas = set.existing = set.ready = set.updated = pods;
      sets[change.component] = set;
      old_pods[change.component] = pods;
    }
  }

  /// One pass of operator and StatefulSet controller over every component.
  void pass() {
    for (const auto& change : record.spec.changes) {
      auto& set = sets[change.component];
      const auto& wanted = back ? change.from : change.to;
      StatefulSetWrite write{change.component, record.spec.object, set.name, set.image, wanted, true};
      const auto order = order_of(write, {record}, true);
      if (order.verdict == SetVerdict::Hold) continue;
      set.image = wanted;
      set.partition = order.verdict == SetVerdict::Steer ? order.partition : 0;
      auto& old = old_pods[change.component];
      const std::string name(to_string(change.component));
      if (back) {
        for (; old < set.replicas; ++old) restarts.push_back("back " + name + "-" + std::to_string(old));
        set.ready = set.updated = set.replicas;
      } else {
        while (old > set.partition && set.ready == set.replicas) {
          --old;
          restarts.push_back(name + "-" + std::to_string(old));
          if (broken) --set.ready;
        }
        set.updated = set.replicas - old;
      }
    }
  }

  RolloutObservation seen() {
    RolloutObservation out;
    out.now = now;
    out.back = back;
    for (const auto& [component, set] : sets) out.sets.push_back(set);
    out.renewed.emplace();
    for (const auto& [component, old] : old_pods) (*out.renewed)[component] = sets[component].ready - old;
    out.unwell = unwell;
    out.resume = resume;
    out.leading_frontend = leads;
    return out;
  }

  TurnMove look() {
    now += std::chrono::seconds(10);
    auto move = next_move(record, seen());
    record.status.rollout = move.progress;
    if (move.push_image) {
      restarts.emplace_back("create-image");
      record.status.rollout.image_pushed = true;
    }
    events.insert(events.end(), move.events.begin(), move.events.end());
    return move;
  }

  void run(int looks) {
    for (int i = 0; i < looks; ++i) {
      look();
      pass();
    }
  }

  [[nodiscard]] bool done() const {
    const auto& turns = record.status.rollout.turns;
    return !turns.empty() &&
           std::all_of(turns.begin(), turns.end(), [](const Turn& turn) { return turn.phase == TurnPhase::Done; });
  }
  [[nodiscard]] const Turn& turn(std::size_t index) const { return record.status.rollout.turns.at(index); }
};

inline std::vector<std::string> names(const std::vector<Turn>& turns) {
  std::vector<std::string> out;
  for (const auto& turn : turns) out.push_back(names_of(turn));
  return out;
}

}  // namespace gate::test
