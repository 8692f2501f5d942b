#pragma once
// `upgrade-gate plan`: what the gate would do with a change, from manifests alone. No cluster, no FE.

#include <iosfwd>
#include <string>
#include <vector>

#include "policy/hooks/led_rollout.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/versions/upgrade_path.hpp"

namespace gate {

struct PlanOptions {
  std::vector<std::string> files;  ///< Of both sides; an object that comes twice comes old first. "-": standard input.
  std::vector<std::string> old_files;      ///< As it is.
  std::vector<std::string> new_files;      ///< As it would be.
  std::vector<std::string> set_images;     ///< "fe=starrocks/fe-ubuntu:3.5.7", put into the new objects.
  std::string name_space = "default";      ///< Of objects that name none.
  std::vector<std::string> default_hooks;  ///< As in ServeOptions, the following too.
  LedRollout rollout_defaults;
  std::vector<SqlKind> allowed_sql;
  std::vector<std::string> http_hook_prefixes;
  std::string script_hook_image;
  VersionPolicy version_policy = VersionPolicy::Warn;
  bool recursive = false;  ///< Folders are read with the folders in them.
  bool strict = false;     ///< A ConfigMap that is referred to and not given is a fault, and so is what is not judged.
  bool json = false;
};

struct PlanResult {
  int exit_code = 0;   ///< 1: a configuration is not valid, or a way is refused. 2: the call or a file makes no sense.
  std::string output;  ///< For standard output; empty with exit code 2.
  std::string error;   ///< For standard error: what makes no sense.
};

/// Reads StarRocksClusters, StarRocksWarehouses and ConfigMaps from YAML or JSON, lists of them included, and counts
/// everything else. Files may be folders (manifest_files.hpp). Blocks while it reads the files. Never throws for what
/// they contain.
[[nodiscard]] PlanResult plan(const PlanOptions& options, std::istream& standard_input);

}  // namespace gate
