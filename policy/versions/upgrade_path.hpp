#pragma once
// Whether StarRocks can go from the versions that run to the versions that are wanted: skipped minors, downgrade
// floors, known bad releases, and the order of components. The rules themselves are data: see upgrade_path.cpp.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/versions/image_change.hpp"
#include "policy/versions/version.hpp"

namespace gate {

/// What the gate's owner makes of the rules (`--version-policy`).
enum class VersionPolicy {
  Off,      ///< Not judged.
  Warn,     ///< Every finding is a warning.
  Enforce,  ///< What is forbidden is refused, the rest warns.
};
/// "off", "warn", "enforce". Not to_string(): CLI11 would take that for its own.
[[nodiscard]] std::string_view name_of(VersionPolicy policy);

/// One alive node as SHOW FRONTENDS, SHOW BACKENDS or SHOW COMPUTE NODES reports it.
struct RunningNode {
  Component component = Component::Frontend;  ///< Never Warehouse: those are compute nodes of a warehouse.
  std::string warehouse;                      ///< WarehouseName of a compute node; empty where this version has none.
  Version version;
  friend bool operator==(const RunningNode&, const RunningNode&) = default;
};

struct UpgradePath {
  std::string object_kind;                ///< StarRocksCluster or StarRocksWarehouse.
  std::string object_name;                ///< Tells the nodes of one warehouse from the others.
  std::vector<ImageChange> changes;       ///< Of one object.
  std::vector<ComponentImage> unchanged;  ///< The object's other components.
  std::vector<RunningNode> running;       ///< Empty: the database was not asked, or did not answer.
  bool asked = false;                     ///< The database was, whether it answered or not.
};

enum class PathSeverity { Forbidden, Advice };
/// "forbidden", "advice".
[[nodiscard]] std::string_view to_string(PathSeverity severity);

struct PathFinding {
  std::string_view rule;  ///< "skipped-minor", "downgrade-floor", ...
  PathSeverity severity = PathSeverity::Advice;
  std::string text;         ///< What was found and what is accepted, in at most kPathTextMax characters.
  std::string_view source;  ///< The page of StarRocks' documentation; empty for what is not a rule of theirs.
  friend bool operator==(const PathFinding&, const PathFinding&) = default;
};
/// So that a warning of 120 characters holds it.
inline constexpr std::size_t kPathTextMax = 106;

/// Forbidden ones first. The versions that run count before the tags of the images; where the two differ, a finding
/// says so. What cannot be judged is a finding too, never a silent pass. Components of one finding are named together.
[[nodiscard]] std::vector<PathFinding> judge_path(const UpgradePath& path);

}  // namespace gate
