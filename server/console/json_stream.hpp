#pragma once
// JSON documents that follow each other without a separator, as `kubectl get --watch -o json` writes them.

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "policy/json/json_strings.hpp"

namespace gate {

/// One event with the largest object that etcd takes; what does not end before this is dropped.
inline constexpr std::size_t kDocumentMax = 16u << 20;

/// Not thread safe. Each byte is looked at once, and what is left of it moved once, however many documents come
/// together: to be asked until there is none before more is appended.
class JsonStream {
 public:
  void append(std::string_view bytes) { buffer_ += bytes; }
  /// The next whole object; nothing until more is appended. Objects that are not valid JSON are passed over.
  [[nodiscard]] std::optional<nlohmann::json> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;  ///< Before it: documents that were given out.
  std::size_t scanned_ = 0;
  std::size_t depth_ = 0;
  JsonStrings strings_;
};

}  // namespace gate
