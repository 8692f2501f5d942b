#pragma once
// Whether the database itself has finished a rollout: every node alive, and those of the changed components new.

#include <array>
#include <cstddef>
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

/// A record is written whole at every renewal of its claim: with more nodes than this only their versions are judged.
inline constexpr std::size_t kNodesBeforeMax = 256;

/// What PreparationStatus::nodes_before is to say of a record's changed components; empty when there are too many.
[[nodiscard]] std::vector<NodeBefore> nodes_to_restart(const PreparationSpec& spec,
                                                       const std::vector<DatabaseNode>& nodes);

/// What the database still lacks, as "be sr-be-0:9050: not restarted yet"; empty when the rollout is finished in it.
/// - A node that is not alive, whatever its component.
/// - A node of a changed component that was there before and still has the start time that it had then: the row is
///   that of the old process (an FE believes a node alive for some heartbeats after it went).
/// - A node of a changed component with another version than the new image's tag names. Tags are believed only where
///   the old image's tag named the version that some node had: "fe:2024.11" may hold any StarRocks.
[[nodiscard]] std::string unfinished_in_database(const Preparation& record, const std::vector<DatabaseNode>& nodes);

}  // namespace gate
