#include "server/starrocks/login_answer.hpp"

#include <algorithm>

#include "policy/text/text.hpp"

namespace gate {

bool AnswerMeter::count(std::string_view bytes) {
  spent_ = spent_ || bytes.size() > bytes_left_;
  bytes_left_ -= std::min(bytes_left_, bytes.size());
  while (!bytes.empty() && !spent_) {
    if (body_left_ > 0) {
      const auto taken = std::min(body_left_, bytes.size());
      body_left_ -= taken;
      bytes.remove_prefix(taken);
      continue;
    }
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (header_size_ < header_.size()) continue;
    header_size_ = 0;
    body_left_ = header_[0] | static_cast<std::size_t>(header_[1]) << 8 | static_cast<std::size_t>(header_[2]) << 16;
    spent_ = packets_left_ == 0;
    if (!spent_) --packets_left_;
  }
  return !spent_;
}

std::string wanted_login_plugin(std::string_view heard) {
  const auto packet = [&]() -> std::string_view {
    constexpr std::size_t kHeader = 4;
    if (heard.size() < kHeader) return {};
    const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(heard[i])); };
    const auto size = byte(0) | byte(1) << 8 | byte(2) << 16;
    const auto body = heard.substr(kHeader, size);
    heard.remove_prefix(std::min(heard.size(), kHeader + size));
    return body;
  };
  (void)packet();  // the greeting
  for (auto body = packet(); !body.empty(); body = packet()) {
    if (body.front() != '\xfe') continue;
    const auto end = body.find('\0');
    return clean_text(body.substr(1, end == std::string_view::npos ? 0 : end - 1), 100);
  }
  return {};
}

}  // namespace gate
