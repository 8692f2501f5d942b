#pragma once
// One step of UTF-8 decoding, shared by the parts that judge foreign text.

#include <cstddef>
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

}  // namespace gate
