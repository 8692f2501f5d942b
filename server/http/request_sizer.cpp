#include "server/http/request_sizer.hpp"

#include <algorithm>
#include <charconv>

namespace gate::http {
namespace {

/// Headers that decide how long a request is. A line begins behind a line feed.
constexpr std::string_view kLength = "\ncontent-length:";
constexpr std::string_view kEncoding = "\ntransfer-encoding:";
constexpr std::string_view kExpect = "\nexpect:";

bool starts_with(std::string_view text, std::string_view lower_case) {
  if (text.size() < lower_case.size()) return false;
  for (std::size_t i = 0; i < lower_case.size(); ++i) {
    const char c = text[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != lower_case[i]) return false;
  }
  return true;
}

}  // namespace

bool RequestSizer::is_due(std::string_view bytes) {
  begun_ = begun_ || !bytes.empty();
  while (wanted_ == 0) {
    const auto line_end = bytes.find('\n', looked_at_);
    if (line_end == std::string_view::npos) {
      looked_at_ = bytes.size();
      return bytes.size() > limits_.header_bytes_max;
    }
    const auto next = bytes.substr(line_end + 1, 2);
    const std::size_t head_end = next.starts_with('\n') ? line_end + 2 : next == "\r\n" ? line_end + 3 : 0;
    if (head_end != 0) {
      read_head(bytes.substr(0, head_end));
    } else if (next.empty() || next == "\r") {
      looked_at_ = line_end;  // Whether an empty line follows is still to come.
      return bytes.size() > limits_.header_bytes_max;
    } else {
      looked_at_ = line_end + 1;
    }
  }
  return bytes.size() >= wanted_ || wanted_ > kGatheredBytesMax;
}

void RequestSizer::read_head(std::string_view head) {
  wanted_ = head.size();
  for (auto line = head.find('\n'); line != std::string_view::npos; line = head.find('\n', line + 1)) {
    const auto rest = head.substr(line);
    // Chunks have no length, and who expects "100 Continue" sends nothing before it has it: reading starts at once.
    if (starts_with(rest, kEncoding) || starts_with(rest, kExpect)) {
      wanted_ = head.size();
      return;
    }
    if (!starts_with(rest, kLength)) continue;
    auto digits = rest.substr(kLength.size());
    digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
    std::size_t length = 0;
    // What is no length, or no possible one, is the parser's to refuse: at once.
    if (std::from_chars(digits.data(), digits.data() + digits.size(), length).ec != std::errc()) return;
    if (length <= limits_.body_bytes_max) wanted_ = head.size() + length;
  }
}

}  // namespace gate::http
