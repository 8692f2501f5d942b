#pragma once
// Bytes as hexadecimal digits.

#include <span>
#include <string>
#include <string_view>

namespace gate {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

/// Two digits for each byte, in lower case.
[[nodiscard]] inline std::string hex_of(std::span<const unsigned char> bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 0xf];
  }
  return out;
}

}  // namespace gate
