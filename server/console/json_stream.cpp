#include "server/console/json_stream.hpp"

#include <nlohmann/json.hpp>

namespace gate {

std::optional<nlohmann::json> JsonStream::next() {
  while (scanned_ < buffer_.size()) {
    const char c = buffer_[scanned_++];
    if (!strings_.is_outside(c)) continue;
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
    strings_ = {};
  }
  return std::nullopt;
}

}  // namespace gate
