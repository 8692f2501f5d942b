#pragma once
// Small files, read whole.

#include <cstddef>
#include <filesystem>
#include <string>

#include "policy/text/result.hpp"

namespace gate {

/// Blocks for as long as the disk takes. NotFound: it cannot be opened or read (a folder, say). InvalidInput: it is
/// larger than `bytes_max`. Neither message names the file: the caller knows what it is to its user.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max);

}  // namespace gate
