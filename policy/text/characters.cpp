#include "policy/text/characters.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "policy/text/utf8.hpp"

namespace gate {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr char32_t kReplacement = 0xFFFD;

/// Characters of one kind, both ends included. Names of single ones are those of Unicode.
struct Range {
  char32_t first;
  char32_t last;
  std::string_view name;
};

constexpr char32_t kFullWidthFirst = 0xFF01;  // "!", which is kAsciiFirst; the others follow in ASCII's order
constexpr char32_t kFullWidthLast = 0xFF5E;
constexpr char32_t kAsciiFirst = '!';

/// Whatever Unicode calls ignorable is here: a reader of it sees nothing.
constexpr std::array kConfusing{
    Range{0x0000, 0x0008, "control character"},
    Range{0x000B, 0x000C, "control character"},
    Range{0x000D, 0x000D, "carriage return"},
    Range{0x000E, 0x001F, "control character"},
    Range{0x007F, 0x0084, "control character"},
    Range{0x0085, 0x0085, "next line"},
    Range{0x0086, 0x009F, "control character"},
    Range{0x00A0, 0x00A0, "no-break space"},
    Range{0x00AD, 0x00AD, "soft hyphen"},
    Range{0x00B4, 0x00B4, "acute accent"},
    Range{0x034F, 0x034F, "combining grapheme joiner"},
    Range{0x061C, 0x061C, "directional mark"},
    Range{0x115F, 0x1160, "invisible character"},
    Range{0x1680, 0x1680, "unusual space"},
    Range{0x17B4, 0x17B5, "invisible character"},
    Range{0x180B, 0x180D, "variation selector"},
    Range{0x180E, 0x180E, "zero width separator"},
    Range{0x180F, 0x180F, "variation selector"},
    Range{0x2000, 0x200A, "unusual space"},
    Range{0x200B, 0x200B, "zero width space"},
    Range{0x200C, 0x200C, "zero width non-joiner"},
    Range{0x200D, 0x200D, "zero width joiner"},
    Range{0x200E, 0x200F, "directional mark"},
    Range{0x2010, 0x2015, "typographic hyphen or dash"},
    Range{0x2018, 0x2018, "left single quotation mark"},
    Range{0x2019, 0x2019, "right single quotation mark"},
    Range{0x201A, 0x201B, "typographic single quotation mark"},
    Range{0x201C, 0x201C, "left double quotation mark"},
    Range{0x201D, 0x201D, "right double quotation mark"},
    Range{0x201E, 0x201F, "typographic double quotation mark"},
    Range{0x2028, 0x2028, "line separator"},
    Range{0x2029, 0x2029, "paragraph separator"},
    Range{0x202A, 0x202E, "directional mark"},
    Range{0x202F, 0x202F, "narrow no-break space"},
    Range{0x2032, 0x2033, "prime"},
    Range{0x205F, 0x205F, "unusual space"},
    Range{0x2060, 0x2065, "invisible character"},
    Range{0x2066, 0x2069, "directional mark"},
    Range{0x206A, 0x206F, "invisible character"},
    Range{0x2212, 0x2212, "minus sign"},
    Range{0x2800, 0x2800, "invisible character"},
    Range{0x3000, 0x3000, "ideographic space"},
    Range{0x3001, 0x3002, "ideographic comma or full stop"},
    Range{0x3164, 0x3164, "invisible character"},
    Range{0xFE00, 0xFE0F, "variation selector"},
    Range{0xFEFF, 0xFEFF, "byte order mark"},
    Range{kFullWidthFirst, kFullWidthLast, "full-width form of an ASCII character"},
    Range{0xFFA0, 0xFFA0, "invisible character"},
    Range{0xFFF0, 0xFFFB, "invisible character"},
    Range{0xFFFC, 0xFFFC, "object replacement character"},
    Range{0x1BCA0, 0x1BCA3, "invisible character"},
    Range{0x1D173, 0x1D17A, "invisible character"},
    Range{0xE0000, 0xE00FF, "invisible character"},
    Range{0xE0100, 0xE01EF, "variation selector"},
    Range{0xE01F0, 0xE0FFF, "invisible character"},
};

const Range* range_of(char32_t code_point) {
  // What nearly all text consists of is in none.
  if (code_point >= ' ' && code_point <= '~') return nullptr;
  const auto found = std::find_if(kConfusing.begin(), kConfusing.end(), [code_point](const Range& row) {
    return code_point >= row.first && code_point <= row.last;
  });
  return found == kConfusing.end() ? nullptr : &*found;
}

std::string named(char32_t code_point, std::string_view name) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text = "U+";
  for (int shift = code_point > 0xFFFFF ? 20 : code_point > 0xFFFF ? 16 : 12; shift >= 0; shift -= 4)
    text += kDigits[code_point >> shift & 0xF];
  return text + " (" + std::string(name) + ")";
}

/// The first one that is in the table, or that `also_named` has a name for.
template <class AlsoNamed>
std::optional<ConfusingCharacter> first_of(std::string_view text, std::size_t offset, AlsoNamed also_named) {
  ConfusingCharacter here;
  for (here.offset = 0; here.offset < text.size(); here.offset += here.bytes) {
    const Utf8Step step = decode_utf8(text, here.offset);
    here.bytes = step.bytes;
    const Range* range = range_of(step.code_point);
    const std::string_view name = range != nullptr ? range->name : also_named(step.code_point);
    const bool line_end = step.code_point == '\r' && text.substr(here.offset + 1).starts_with('\n');
    if (here.offset >= offset && step.valid && !name.empty() && !line_end) {
      here.name = named(step.code_point, name);
      return here;
    }
    here.column = step.code_point == '\n' ? 1 : here.column + 1;
    if (step.code_point == '\n') ++here.line;
  }
  return std::nullopt;
}

}  // namespace

std::optional<ConfusingCharacter> first_confusing_character(std::string_view text, std::size_t offset) {
  return first_of(text, offset, [](char32_t) { return std::string_view{}; });
}

std::optional<ConfusingCharacter> first_odd_character(std::string_view name) {
  constexpr char32_t kAsciiEnd = 0x80;
  return first_of(name, 0, [](char32_t code_point) {
    return code_point < kAsciiEnd ? std::string_view{} : std::string_view{"not an ASCII character"};
  });
}

std::string look_of(std::string_view text) {
  std::string out;
  Utf8Step step;
  for (std::size_t i = 0; i < text.size(); i += step.bytes) {
    step = decode_utf8(text, i);
    char32_t seen = step.code_point;
    if (seen >= kFullWidthFirst && seen <= kFullWidthLast) seen = seen - kFullWidthFirst + kAsciiFirst;
    if (seen == step.code_point && step.valid && range_of(seen) != nullptr) continue;
    if (seen >= 'A' && seen <= 'Z') seen = seen - 'A' + 'a';
    out += seen < 0x80 ? static_cast<char>(seen) : '?';
  }
  return out;
}

bool is_utf16(std::string_view text) { return text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"); }

std::optional<std::string> utf8_of_utf16(std::string_view text) {
  if (!is_utf16(text)) return std::nullopt;
  const bool big = text.starts_with("\xFE");
  const auto unit_at = [&](std::size_t at) -> char32_t {
    if (at + 1 >= text.size()) return kReplacement;
    const auto first = static_cast<unsigned char>(text[at]);
    const auto second = static_cast<unsigned char>(text[at + 1]);
    return big ? first << 8 | second : second << 8 | first;
  };
  const auto is_high = [](char32_t unit) { return unit >= 0xD800 && unit < 0xDC00; };
  const auto is_low = [](char32_t unit) { return unit >= 0xDC00 && unit < 0xE000; };
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 2; at < text.size(); at += 2) {
    char32_t point = unit_at(at);
    if (is_high(point) && is_low(unit_at(at + 2))) {
      point = 0x10000 + ((point - 0xD800) << 10) + (unit_at(at + 2) - 0xDC00);
      at += 2;
    } else if (is_high(point) || is_low(point)) {
      point = kReplacement;
    }
    append_utf8(out, point);
  }
  return out;
}

std::string_view without_byte_order_mark(std::string_view text) {
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

std::string unix_text(std::string_view text) {
  text = without_byte_order_mark(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      const std::size_t end = std::min(text.find_first_not_of('\r', i), text.size());
      if (text.substr(end).starts_with('\n')) i = end;  // a text that was converted twice has two
      if (text[i] == '\r') {
        out.append(text.substr(i, end - i));
        i = end - 1;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::string_view line_of(std::string_view text, std::size_t number) {
  for (; number > 1; --number) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  return text.ends_with('\r') ? text.substr(0, text.size() - 1) : text;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = i;
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t changed = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({changed, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace gate
