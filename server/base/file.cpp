#include "server/base/file.hpp"

#include <fstream>

namespace gate {

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{ErrorCode::NotFound, "cannot be opened"};
  std::string text(bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  // A folder can be opened, and fails only here.
  if (file.bad() || (!file && !file.eof())) return Error{ErrorCode::NotFound, "cannot be read"};
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > bytes_max) {
    return Error{ErrorCode::InvalidInput, "is larger than " + std::to_string(bytes_max / 1024) + " KiB"};
  }
  text.shrink_to_fit();
  return text;
}

}  // namespace gate
