#include "server/console/json_stream.hpp"

#include <nlohmann/json.hpp>

namespace gate {

std::optional<nlohmann::json> JsonStream::next() {
  while (scanned_ < buffer_.size()) {
    const char c = buffer_[scanned_++];
    if (!strings_.is_outside(c)) continue;
    if (c == '{') ++depth_;
    if (c != '}' || depth_ == 0 || --depth_ != 0) continue;
    auto document = nlohmann::json::parse(std::string_view(buffer_).substr(begin_, scanned_ - begin_), nullptr, false);
    begin_ = scanned_;
    if (!document.is_discarded()) return document;
  }
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  if (buffer_.size() > kDocumentMax) {
    buffer_.clear();
    scanned_ = depth_ = 0;
    strings_ = {};
  }
  return std::nullopt;
}

}  // namespace gate
