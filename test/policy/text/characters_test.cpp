// Goal: what people cannot see in their own text is found and named, and everything else is let be.

#include "policy/text/characters.hpp"

#include <doctest/doctest.h>

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

TEST_CASE("line ends of Windows and byte order marks go, and nothing else") {
  CHECK(unix_text("\uFEFFa\r\nb\r\n") == "a\nb\n");
  CHECK(unix_text("a\rb\r") == "a\rb\r");
  CHECK(unix_text("a\r\r\n\r\rb") == "a\n\r\rb");
  CHECK(unix_text("a\uFEFF") == "a\uFEFF");
  CHECK(unix_text("").empty());
}

TEST_CASE("lines are counted from one") {
  CHECK(line_of("a\r\nb\n", 1) == "a");
  CHECK(line_of("a\r\nb\n", 2) == "b");
  CHECK(line_of("a\r\nb\n", 3).empty());
  CHECK(line_of("a", 9).empty());
}

}  // namespace
}  // namespace gate
