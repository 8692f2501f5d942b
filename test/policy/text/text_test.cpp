#include "policy/text/text.hpp"

#include <doctest/doctest.h>

#include <string>

#include "policy/text/utf8.hpp"

using namespace gate;

namespace {

/// The regexes `.*is\simmutable.*` and `.*immutable\sfield.*` of Flux, written out.
bool makes_flux_recreate(const std::string& text) {
  constexpr std::string_view kSpace = " \t\n\f\r";
  for (const char space : kSpace) {
    if (text.find(std::string("is") + space + "immutable") != std::string::npos) return true;
    if (text.find(std::string("immutable") + space + "field") != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("foreign text is cleaned") {
  struct Row {
    const char* name;
    std::string text;
    std::string expected;
  };
  const Row rows[] = {
      {"plain text stays", "Getting syntax error at line 1", "Getting syntax error at line 1"},
      {"empty", "", ""},
      {"control characters become spaces", "a\r\n\tb\x1b[31mc\x7f", "a   b [31mc "},
      {"NUL", std::string("a\0b", 3), "a b"},
      {"C1 control",
       "a\xC2\x85"
       "b",
       "a b"},
      {"line separator",
       "a\xE2\x80\xA8"
       "b",
       "a b"},
      // NOLINTNEXTLINE(misc-misleading-bidirectional): that is what is tested
      {"right-to-left override", "a\u202Eb", "a b"},
      {"other scripts stay", "\xE9\x9B\x86\xE7\xBE\xA4 \xF0\x9F\x9A\x80", "\xE9\x9B\x86\xE7\xBE\xA4 \xF0\x9F\x9A\x80"},
      {"stray continuation byte",
       "a\x80"
       "b",
       "a\xEF\xBF\xBD"
       "b"},
      {"truncated sequence", "a\xE2\x82", "a\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"overlong slash", "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"surrogate", "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"beyond Unicode", "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"is immutable", "field is immutable", "field is unchangeable"},
      {"immutable field", "immutable field", "unchangeable field"},
      {"any case", "IS Immutable FIELD", "IS unchangeable FIELD"},
      {"the word alone, since its neighbours are not known", "immutable", "unchangeable"},
      {"a tab would match as well", "is\timmutable", "is unchangeable"},
      {"mutable stays", "Config 'x' does not exist or is not mutable", "Config 'x' does not exist or is not mutable"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(clean_text(row.text) == row.expected);
  }
}

TEST_CASE("nothing that Flux reads as an immutable-field error is left, wherever the text is cut") {
  const std::string hostile = "x is immutable immimmutableutable field is\nimmutable\x01 field";
  REQUIRE(makes_flux_recreate(hostile));
  for (std::size_t length = 0; length < 80; ++length) {
    INFO(length);
    CHECK_FALSE(makes_flux_recreate("this is " + clean_text(hostile, length) + " field"));
  }
}

TEST_CASE("long text is cut at a character boundary and marked") {
  CHECK(clean_text("abcdef", 6) == "abcdef");
  CHECK(clean_text("abcdefg", 6) == "abc...");
  CHECK(clean_text("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 4) == "\xC3\xA9...");
  CHECK(clean_text("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 4) == "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9");
  CHECK(clean_text("abcdef", 2) == "..");
  CHECK(clean_text("abcdef", 0).empty());
  const std::string story = "critical hook failed: " + std::string(200, 'x') + "; exit code 3";
  const std::string cut = clean_text(story, 60);
  CHECK(cut == "critical hook failed: xxxxxx ... xxxxxxxxxxxxxx; exit code 3");
  CHECK(clean_text("\xC3\xA9" + std::string(100, 'x') + "\xC3\xA9", 60).ends_with("x\xC3\xA9"));
  const std::string million(1'000'000, 'x');
  CHECK(clean_text(million).size() == kForeignTextMax);
}

TEST_CASE("every code point decodes to itself") {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    std::string text;
    if (c < 0x80) {
      text = {static_cast<char>(c)};
    } else if (c < 0x800) {
      text = {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
    } else if (c < 0x10000) {
      text = {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
              static_cast<char>(0x80 | (c & 0x3F))};
    } else {
      text = {static_cast<char>(0xF0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 0x3F)),
              static_cast<char>(0x80 | ((c >> 6) & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
    }
    const Utf8Step step = decode_utf8(text, 0);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (step.valid == surrogate || (step.valid && (step.code_point != c || step.bytes != text.size()))) {
      FAIL("U+" << static_cast<unsigned>(c));
    }
  }
}
