#pragma once
// One character of UTF-8, read and written, for the parts that judge foreign text.

#include <cstddef>
#include <string>
#include <string_view>

namespace gate {

struct Utf8Step {
  char32_t code_point = 0xFFFD;
  std::size_t bytes = 1;  ///< Taken from the text; 1 when invalid.
  bool valid = false;     ///< False for malformed, overlong, surrogate and out-of-range sequences.
};

/// The character at `text[offset]`; `offset` must be below text.size().
[[nodiscard]] constexpr Utf8Step decode_utf8(std::string_view text, std::size_t offset) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(offset);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - offset < length) return {};
  char32_t code_point = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(offset + i) & 0xC0) != 0x80) return {};
    code_point = (code_point << 6) | (byte(offset + i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (overlong || surrogate || code_point > 0x10FFFF) return {};
  return {code_point, length, true};
}

/// `code_point` is at most 0x10FFFF.
inline void append_utf8(std::string& text, char32_t code_point) {
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
    return;
  }
  const int followers = code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
  const char32_t lead = followers == 1 ? 0xC0 : followers == 2 ? 0xE0 : 0xF0;
  text += static_cast<char>(lead | code_point >> (6 * followers));
  for (int left = followers - 1; left >= 0; --left) {
    text += static_cast<char>(0x80 | (code_point >> (6 * left) & 0x3F));
  }
}

}  // namespace gate
