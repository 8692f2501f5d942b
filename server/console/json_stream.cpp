#include "server/console/json_stream.hpp"

#include <nlohmann/json.hpp>

namespace gate {

std::optional<nlohmann::json> JsonStream::next() {
  while (scanned_ < buffer_.size()) {
    const char c = buffer_[scanned_++];
    if (in_text_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_text_ = false;
      }
      continue;
    }
    if (c == '"') in_text_ = true;
    if (c == '{') ++depth_;
    if (c != '}' || depth_ == 0 || --depth_ != 0) continue;
    auto document = nlohmann::json::parse(buffer_.substr(0, scanned_), nullptr, false);
    buffer_.erase(0, scanned_);
    scanned_ = 0;
    if (!document.is_discarded()) return document;
  }
  if (buffer_.size() > kDocumentMax) {
    buffer_.clear();
    scanned_ = depth_ = 0;
    in_text_ = escaped_ = false;
  }
  return std::nullopt;
}

}  // namespace gate
