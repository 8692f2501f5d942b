// simdjson's first stage finds where tokens begin, a vector of bytes at a time, and judges UTF-8, quotes and control
// characters. Its second stage, which judges the rest, builds a tree on the way; this file judges the rest only.

#include "policy/json/json_tokens.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "policy/text/utf8.hpp"

namespace gate {
namespace {

/// Most reviews fit.
constexpr std::size_t kFirstCapacity = 16u << 10;
/// Longer numbers are read differently by different parsers.
constexpr std::size_t kDigitsMax = 17;

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
constexpr bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']' || is_blank(c); }
constexpr bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

constexpr auto kEscapes = [] {
  std::array<bool, 256> escapes{};
  for (const char c : std::string_view("\"\\/bfnrt")) escapes[static_cast<unsigned char>(c)] = true;
  return escapes;
}();

/// The escape whose backslash is text[at], which is not the last byte.
bool is_escape(std::string_view text, std::size_t at) {
  const char kind = text[at + 1];
  if (kEscapes[static_cast<unsigned char>(kind)]) return true;
  if (kind != 'u' || at + 6 > text.size()) return false;
  const auto digits = text.substr(at + 2, 4);
  const bool surrogate = (digits[0] == 'd' || digits[0] == 'D') && digits[1] >= '8';
  return std::all_of(digits.begin(), digits.end(), is_hex) && !surrogate;
}

/// Whether every backslash begins an escape, of a text that ends with something else. (Backslashes outside strings are
/// found where their token is judged.)
bool escapes_are_valid(std::string_view text) {
  // Nearly all are \" and \n: then what follows a backslash tells, wherever one looks.
  using Bytes = char __attribute__((vector_size(16)));
  using Words = std::uint64_t __attribute__((vector_size(16)));
  const auto all = [](char c) { return Bytes{c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c}; };
  const Bytes backslash = all('\\');
  const Bytes quote = all('"');
  const Bytes line_feed = all('n');
  Bytes other{};
  std::size_t at = 0;
  for (; at + sizeof(Bytes) < text.size(); at += sizeof(Bytes)) {
    Bytes here;
    Bytes next;
    std::memcpy(&here, text.data() + at, sizeof here);
    std::memcpy(&next, text.data() + at + 1, sizeof next);
    other |= Bytes((here == backslash) & ~((next == quote) | (next == line_feed)));
  }
  const auto words = reinterpret_cast<Words>(other);
  if ((words[0] | words[1]) != 0) at = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\' && !is_escape(text, at++)) return false;
  }
  return true;
}

/// Appends what the escape at `at` stands for, one that is_escape() holds for; returns where it ends.
const char* append_escape(const char* at, std::string& text) {
  constexpr std::string_view kKinds = "bfnrt";
  constexpr std::string_view kMeanings = "\b\f\n\r\t";
  if (const auto kind = kKinds.find(at[1]); kind != std::string_view::npos) {
    text += kMeanings[kind];
    return at + 2;
  }
  if (at[1] != 'u') {
    text += at[1];
    return at + 2;
  }
  unsigned point = 0;
  std::from_chars(at + 2, at + 6, point, 16);
  append_utf8(text, point);
  return at + 6;
}

// simdjson::internal is nobody's promise: a version that was not tried here fails to compile, not when it runs.
// Tried: 3.0 (Debian 12) and 3.12 (Debian 13).
static_assert(simdjson::SIMDJSON_VERSION_MAJOR == 3,
              "the tokenizer uses simdjson's internals as they are in version 3");

}  // namespace

struct JsonTokens::Finder {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stages;

  [[nodiscard]] bool reserve(std::size_t bytes) {
    if (!stages) {
      const auto& processor = simdjson::get_active_implementation();
      return processor->create_dom_parser_implementation(std::max(bytes, kFirstCapacity), kDepthMax, stages) ==
             simdjson::SUCCESS;
    }
    return bytes <= stages->capacity() || stages->set_capacity(std::bit_ceil(bytes)) == simdjson::SUCCESS;
  }
};

JsonTokens::JsonTokens() : finder_(std::make_unique<Finder>()) {}
JsonTokens::~JsonTokens() = default;

bool JsonTokens::start(std::string_view text) {
  text_ = text;
  first_ = next_ = end_ = nullptr;
  depth_ = 0;
  if (!finder_->reserve(text.size())) return false;
  auto& stages = *finder_->stages;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  if (stages.stage1(bytes, text.size(), simdjson::stage1_mode::regular) != simdjson::SUCCESS) return false;
  first_ = next_ = stages.structural_indexes.get();
  end_ = next_ + stages.n_structural_indexes;
  bytes_kept_ = std::max(bytes_kept_, stages.n_structural_indexes * sizeof *next_);
  // The last token's end bounds every other's.
  return next_ != end_ && text[end_[-1]] == '}' && escapes_are_valid(text);
}

void JsonTokens::rewind() {
  next_ = first_;
  depth_ = 0;
}

bool JsonTokens::take(char token) {
  if (ended() || text_[*next_] != token) return false;
  ++next_;
  return true;
}

bool JsonTokens::take_literal(std::string_view literal) {
  if (ended() || !text_.substr(*next_).starts_with(literal) || !is_scalar(*next_)) return false;
  ++next_;
  return true;
}

bool JsonTokens::take_text(std::string_view& text) {
  if (ended() || text_[*next_] != '"') return false;
  const auto rest = text_.substr(*next_ + 1);
  std::size_t size = 0;
  for (; rest[size] != '"'; ++size) {  // It has one: else start() would have failed.
    if (rest[size] == '\\') return false;
  }
  text = rest.substr(0, size);
  ++next_;
  return true;
}

bool JsonTokens::take_decoded(std::string& text) {
  if (ended() || text_[*next_] != '"') return false;
  const char* at = text_.data() + *next_ + 1;
  text.clear();
  for (;;) {
    const char* const run = at;
    while (*at != '"' && *at != '\\') ++at;  // It has a closing quote: else start() would have failed.
    text.append(run, at);
    if (*at == '"') break;
    at = append_escape(at, text);
  }
  ++next_;
  return true;
}

bool JsonTokens::enter(char bracket) { return depth_++ < kDepthMax && take(bracket); }

bool JsonTokens::leave(char bracket) {
  if (!take(bracket)) return false;
  --depth_;
  return true;
}

bool JsonTokens::take_key(std::string_view& key) { return take_text(key) && take(':'); }

bool JsonTokens::is_scalar(std::size_t begin) const {
  const auto rest = text_.substr(begin);
  for (const std::string_view literal : {"true", "false", "null"}) {
    if (rest[0] == literal[0]) return rest.starts_with(literal) && ends_scalar(rest[literal.size()]);
  }
  // Ends at the latest at the last token, a bracket.
  const std::size_t first = rest[0] == '-' ? 1 : 0;
  std::size_t at = first;
  while (is_digit(rest[at])) ++at;
  const std::size_t whole = at - first;
  if (whole == 0 || (whole > 1 && rest[first] == '0')) return false;
  if (rest[at] == '.') {
    const std::size_t point = at++;
    while (is_digit(rest[at])) ++at;
    if (at - point == 1) return false;
  }
  return at - first <= kDigitsMax && ends_scalar(rest[at]);
}

bool JsonTokens::skip() {
  // Copies: what is written to `outer` could be these, as far as the compiler knows.
  const char* const text = text_.data();
  const std::uint32_t* const end = end_;
  const std::uint32_t* at = next_;
  const std::size_t depth_max = kDepthMax - std::min(depth_, kDepthMax);
  std::array<bool, kDepthMax> outer;  // Whether each container around the innermost one is an object.
  std::size_t depth = 0;
  bool in_object = false;
  const auto take_name = [&] {
    if (end - at < 2 || text[at[0]] != '"' || text[at[1]] != ':') return false;
    at += 2;
    return true;
  };
  for (;;) {
    // A value begins.
    if (at == end) return false;
    const char first = text[*at];
    if (first == '"') {
      ++at;
    } else if (first == '{' || first == '[') {
      if (depth == depth_max || end - at < 2) return false;
      const bool object = first == '{';
      if (text[at[1]] == (object ? '}' : ']')) {
        at += 2;
      } else {
        ++at;
        outer[depth++] = std::exchange(in_object, object);
        if (object && !take_name()) return false;
        continue;
      }
    } else if (is_scalar(*at)) {
      ++at;
    } else {
      return false;
    }
    // What follows it within its container, and what within the next?
    for (;;) {
      if (depth == 0) {
        next_ = at;
        return true;
      }
      if (at == end) return false;
      const char next = text[*at++];
      if (next == ',') break;
      if (next != (in_object ? '}' : ']')) return false;
      in_object = outer[--depth];
    }
    if (in_object && !take_name()) return false;
  }
}

}  // namespace gate
