// Goal: what people cannot see in their own text is found and named, and everything else is let be.

#include "policy/text/characters.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace gate {
namespace {

TEST_CASE("characters that nobody sees, or that look like others, are found and named") {
  struct Row {
    const char* text;
    const char* name;  ///< "" = there is none.
    std::size_t line;
    std::size_t column;
  };
  for (const Row& row : {
           Row{"", "", 0, 0},
           Row{"plain \"text\", 'quoted'\tand\r\nended\n", "", 0, 0},
           Row{"na\u00EFve \u4E2D\u6587 \u00B5s", "", 0, 0},
           Row{"\uFEFFa", "U+FEFF (byte order mark)", 1, 1},
           Row{"a\nb \u201Cc\u201D", "U+201C (left double quotation mark)", 2, 3},
           Row{"it\u2019s", "U+2019 (right single quotation mark)", 1, 3},
           Row{"a\u00A0b", "U+00A0 (no-break space)", 1, 2},
           Row{"a\u200Bb", "U+200B (zero width space)", 1, 2},
           Row{"a\u3000b", "U+3000 (ideographic space)", 1, 2},
           Row{"\u4E2D\uFF08x\uFF09", "U+FF08 (full-width form of an ASCII character)", 1, 2},
           Row{"a\rb", "U+000D (carriage return)", 1, 2},
           Row{"a\r", "U+000D (carriage return)", 1, 2},
           Row{"\r\r\n", "U+000D (carriage return)", 1, 1},
           Row{"\xFF\u2013", "U+2013 (typographic hyphen or dash)", 1, 2},
           Row{"a\ab", "U+0007 (control character)", 1, 2},
           Row{"a\x7F", "U+007F (control character)", 1, 2},
           Row{"a\u0085b", "U+0085 (next line)", 1, 2},
           Row{"a\u009Bb", "U+009B (control character)", 1, 2},
           Row{"a\u00ADb", "U+00AD (soft hyphen)", 1, 2},
           Row{"\u115F", "U+115F (invisible character)", 1, 1},
           Row{"\u180Fa", "U+180F (variation selector)", 1, 1},
           Row{"\u2065", "U+2065 (invisible character)", 1, 1},
           Row{"\u206F", "U+206F (invisible character)", 1, 1},
           Row{"\u2800", "U+2800 (invisible character)", 1, 1},
           Row{"\uFFA0", "U+FFA0 (invisible character)", 1, 1},
           Row{"\uFFFC", "U+FFFC (object replacement character)", 1, 1},
           Row{"\U0001D173", "U+1D173 (invisible character)", 1, 1},
           Row{"a\U000E0041", "U+E0041 (invisible character)", 1, 2},
           Row{"\U000E0100", "U+E0100 (variation selector)", 1, 1},
       }) {
    INFO(std::string(row.text));
    const auto found = first_confusing_character(row.text);
    CHECK((found ? found->name : "") == row.name);
    if (!found) continue;
    CHECK(found->line == row.line);
    CHECK(found->column == row.column);
  }
}

TEST_CASE("the search goes on behind an offset") {
  const std::string text = "\u201Ca\u201D";
  const auto first = first_confusing_character(text);
  REQUIRE(first);
  const auto second = first_confusing_character(text, first->offset + first->bytes);
  REQUIRE(second);
  CHECK(second->name == "U+201D (right double quotation mark)");
  CHECK(second->column == 3);
  CHECK_FALSE(first_confusing_character(text, second->offset + second->bytes));
}

TEST_CASE("a name is looked at more strictly than a text") {
  struct Row {
    const char* name;
    const char* odd;  ///< "" = nothing.
    const char* look;
  };
  for (const Row& row : {
           Row{"upgrade-hooks", "", "upgrade-hooks"},
           Row{"Upgrade-HOOKS", "", "upgrade-hooks"},
           Row{"up\u200B\u00ADgrade", "U+200B (zero width space)", "upgrade"},
           Row{"\uFEFFup\u2010grade\u00A0", "U+FEFF (byte order mark)", "upgrade"},
           Row{"\uFF35\uFF50", "U+FF35 (full-width form of an ASCII character)", "up"},
           Row{"h\u043E\u043Eks", "U+043E (not an ASCII character)", "h??ks"},
           Row{"na\u00EFve", "U+00EF (not an ASCII character)", "na?ve"},
           Row{"\xFFx", "", "?x"},
       }) {
    INFO(std::string(row.name));
    const auto found = first_odd_character(row.name);
    CHECK((found ? found->name : "") == row.odd);
    CHECK(look_of(row.name) == row.look);
  }
}

TEST_CASE("line ends of Windows and byte order marks go, and nothing else") {
  CHECK(unix_text("\uFEFFa\r\nb\r\n") == "a\nb\n");
  CHECK(unix_text("a\rb\r") == "a\rb\r");
  CHECK(unix_text("a\r\r\n\r\rb") == "a\n\r\rb");
  CHECK(unix_text("a\uFEFF") == "a\uFEFF");
  CHECK(unix_text("").empty());
}

TEST_CASE("UTF-16 is read where a mark says so, in either order") {
  const auto text = [](const std::vector<unsigned char>& bytes) {
    return utf8_of_utf16(std::string(bytes.begin(), bytes.end()));
  };
  CHECK(text({0xFF, 0xFE, 0x61, 0x00, 0x0A, 0x00}) == "a\n");
  CHECK(text({0xFE, 0xFF, 0x00, 0x61, 0x00, 0x0A}) == "a\n");
  CHECK(text({0xFF, 0xFE, 0xE9, 0x00, 0xAC, 0x20, 0x3D, 0xD8, 0x00, 0xDE}) == "\u00E9\u20AC\U0001F600");
  CHECK(text({0xFE, 0xFF, 0xD8, 0x3D, 0xDE, 0x00}) == "\U0001F600");
  CHECK(text({0xFF, 0xFE}) == "");
  // Halves of characters.
  CHECK(text({0xFF, 0xFE, 0x3D, 0xD8, 0x61, 0x00}) == "\uFFFDa");
  CHECK(text({0xFF, 0xFE, 0x00, 0xDE}) == "\uFFFD");
  CHECK(text({0xFF, 0xFE, 0x3D, 0xD8}) == "\uFFFD");
  CHECK(text({0xFF, 0xFE, 0x61, 0x00, 0x62}) == "a\uFFFD");
  CHECK_FALSE(utf8_of_utf16("a").has_value());
  CHECK_FALSE(utf8_of_utf16("").has_value());
}

TEST_CASE("lines are counted from one") {
  CHECK(line_of("a\r\nb\n", 1) == "a");
  CHECK(line_of("a\r\nb\n", 2) == "b");
  CHECK(line_of("a\r\nb\n", 3).empty());
  CHECK(line_of("a", 9).empty());
}

}  // namespace
}  // namespace gate
