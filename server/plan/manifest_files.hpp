#pragma once
// The files that a name on `plan`'s command line stands for, as `kubectl -f` has it.

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "policy/text/result.hpp"
#include "policy/text/yaml.hpp"

namespace gate {

/// More than this is no folder of manifests.
inline constexpr std::size_t kManifestFilesMax = 1000;

/// A file, or "-": itself. A folder: its files that end in .json, .yaml or .yml, in the order of their names; those of
/// its folders too where `recursive`. Links to folders are not followed. InvalidInput: a folder without such files, or
/// a kustomization or a Helm chart, which has to be rendered first. Whether a file can be read shows when it is opened.
/// Blocks.
[[nodiscard]] Result<std::vector<std::string>> manifest_files(const std::string& path, bool recursive);

/// What `file` ("-": `standard_input`) holds. InvalidInput: it cannot be read, is larger than 16 MiB, is no manifest
/// but a list of differences or an unresolved merge, or has two objects in one document. Blocks.
[[nodiscard]] Result<std::vector<ManifestDocument>> read_manifests(const std::string& file,
                                                                   std::istream& standard_input);

}  // namespace gate
