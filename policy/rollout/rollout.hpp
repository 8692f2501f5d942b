#pragma once
// Whether the database itself has finished a rollout: the nodes of the changed components alive, and new.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/record/preparation.hpp"

namespace gate {

/// What the nodes of a database are; a warehouse's are compute nodes.
inline constexpr std::array kDatabaseComponents{Component::Frontend, Component::Backend, Component::ComputeNode};

/// A row of SHOW FRONTENDS, SHOW BACKENDS or SHOW COMPUTE NODES.
struct DatabaseNode {
  Component component = Component::Frontend;  ///< Frontend, Backend or ComputeNode.
  std::string name;                           ///< The same after a restart.
  bool alive = false;
  std::string started;    ///< As printed; empty when this version of StarRocks does not tell.
  std::string version;    ///< As printed.
  std::string warehouse;  ///< Of a compute node; empty when this version does not tell.
};

/// Where the pods of a record's components are to arrive. Forward: at what the record prepared. Otherwise at what the
/// object has now: it went back, or on to something that is not the record's.
struct RolloutGoal {
  std::vector<ComponentImage> images;  ///< Of the record's components; one that the object has no more is left out.
  bool forward = true;
};

/// The goal for an object whose components have `present`.
[[nodiscard]] RolloutGoal rollout_goal(const PreparationSpec& spec, std::vector<ComponentImage> present);
/// The StatefulSet that the operator makes for a component, and how many pods it is to have.
struct StatefulSetSize {
  std::string name;
  std::int64_t replicas = 0;
};

/// A record is written whole at every renewal of its claim: with more nodes than this only their versions are judged.
inline constexpr std::size_t kNodesBeforeMax = 256;

/// What PreparationStatus::nodes_before is to say of a record's changed components; empty when there are too many.
[[nodiscard]] std::vector<NodeBefore> nodes_to_restart(const PreparationSpec& spec,
                                                       const std::vector<DatabaseNode>& nodes);

/// What the database still lacks, as "be sr-be-0:9050: not restarted yet"; empty when the rollout is finished in it.
/// Only nodes of the goal's components count. Which those are is told by their host names, "<StatefulSet>-<N>.", where
/// some node has one of that form, else by the component and the warehouse.
/// - A node that is not alive; but not one whose host name lies beyond its StatefulSet's size (it was scaled in), nor
///   one that was dead before and has no such name.
/// - Forward, a node that was there before and still has the start time that it had then: the row is that of the old
///   process (an FE believes a node alive for some heartbeats after it went).
/// - A node with another version than the image's tag names. Tags are believed only where the old image's tag named the
///   version that some node had: "fe:2024.11" may hold any StarRocks.
[[nodiscard]] std::string unfinished_in_database(const Preparation& record, const RolloutGoal& goal,
                                                 const std::vector<StatefulSetSize>& sizes,
                                                 const std::vector<DatabaseNode>& nodes);

}  // namespace gate
