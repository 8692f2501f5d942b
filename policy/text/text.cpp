#include "policy/text/text.hpp"

#include <algorithm>

#include "policy/text/utf8.hpp"

namespace gate {
namespace {

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";
constexpr std::string_view kEllipsis = "...";
constexpr std::string_view kGap = " ... ";
/// A text with less room than this is a name or a value, which its beginning tells.
constexpr std::size_t kMiddleCutMin = 60;
constexpr std::string_view kTriggerWord = "immutable";
constexpr std::string_view kHarmlessWord = "unchangeable";

/// Controls of C0 and C1, line and paragraph separators, and the marks that reorder displayed text.
bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || c == 0x200E || c == 0x200F ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Replaces the word wherever it stands: what surrounds `text` in the final message is not known here.
std::string without_trigger_word(const std::string& text) {
  std::string out;
  auto rest = text.begin();
  while (true) {
    const auto hit = std::search(rest, text.end(), kTriggerWord.begin(), kTriggerWord.end(),
                                 [](char a, char b) { return lower(a) == b; });
    out.append(rest, hit);
    if (hit == text.end()) return out;
    out += kHarmlessWord;
    rest = hit + static_cast<std::ptrdiff_t>(kTriggerWord.size());
  }
}

/// Byte length of the first `characters` characters of valid UTF-8, or npos when there are no more than that.
std::size_t bytes_of(std::string_view text, std::size_t characters) {
  std::size_t offset = 0;
  for (; characters > 0 && offset < text.size(); --characters) offset += decode_utf8(text, offset).bytes;
  return offset < text.size() ? offset : std::string_view::npos;
}

/// Where the last `characters` characters of valid UTF-8 begin.
std::size_t begin_of_last(std::string_view text, std::size_t characters) {
  std::size_t offset = text.size();
  for (; characters > 0 && offset > 0; --characters) {
    do --offset;
    while (offset > 0 && (static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80);
  }
  return offset;
}

}  // namespace

std::string printable_text(std::string_view foreign) {
  std::string text;
  for (std::size_t offset = 0; offset < foreign.size();) {
    const Utf8Step step = decode_utf8(foreign, offset);
    if (!step.valid) {
      text += kReplacementCharacter;
    } else if (is_control(step.code_point)) {
      text += ' ';
    } else {
      text += foreign.substr(offset, step.bytes);
    }
    offset += step.bytes;
  }
  return text;
}

std::string clean_text(std::string_view foreign, std::size_t characters_max) {
  std::string text = without_trigger_word(printable_text(foreign));
  if (bytes_of(text, characters_max) == std::string_view::npos) return text;
  const bool middle = characters_max >= kMiddleCutMin;
  const std::string_view mark = middle ? kGap : kEllipsis;
  const std::size_t kept = characters_max - std::min(characters_max, mark.size());
  const std::size_t at_end = middle ? kept / 2 : 0;
  std::string out = text.substr(0, bytes_of(text, kept - at_end));
  out += mark.substr(0, characters_max);
  return out + text.substr(begin_of_last(text, at_end));
}

std::string without_secrets(std::string text, const std::vector<std::string>& secrets) {
  constexpr std::string_view kHidden = "(hidden)";
  for (const auto& secret : secrets) {
    if (secret.size() < kHiddenSecretMin) continue;
    std::string out;
    std::size_t from = 0;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, from)) {
      out.append(text, from, at - from).append(kHidden);
      from = at + secret.size();
    }
    text = out.append(text, from);
  }
  return text;
}

std::vector<std::string> split_names(std::string_view list) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::vector<std::string> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view name = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    name.remove_prefix(std::min(name.find_first_not_of(kSpace), name.size()));
    name = name.substr(0, name.find_last_not_of(kSpace) + 1);
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
}

}  // namespace gate
