#pragma once
// Characters that a person does not see, or takes for others: marks, blanks and quotes that editors, chats and word
// processors put into text that programs read.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gate {

struct ConfusingCharacter {
  std::size_t offset = 0;  ///< In bytes.
  std::size_t bytes = 0;   ///< That it takes.
  std::size_t line = 1;
  std::size_t column = 1;  ///< In characters, from 1.
  std::string name;        ///< "U+201C (left double quotation mark)".
};

/// The first one at `offset` or behind it: byte order marks, control characters, whatever Unicode calls ignorable,
/// directional marks, blanks other than space, tab and line feed, typographic quotes and dashes, full-width forms, a
/// carriage return without its line feed. Invalid UTF-8 is no character of anybody. Linear in what is passed over.
[[nodiscard]] std::optional<ConfusingCharacter> first_confusing_character(std::string_view text,
                                                                          std::size_t offset = 0);

/// The first character of a name that would be ASCII if it was right: a confusing one, or any that is not ASCII, such
/// as a letter of another script that looks the same.
[[nodiscard]] std::optional<ConfusingCharacter> first_odd_character(std::string_view name);

/// A name for comparing it with those it may have been meant to be: in lower case, full-width forms as ASCII, confusing
/// characters left out, every other one that is not ASCII as "?". Linear.
[[nodiscard]] std::string look_of(std::string_view text);

/// Whether a byte order mark says that the text is UTF-16.
[[nodiscard]] bool is_utf16(std::string_view text);
/// Such a text in UTF-8, without the mark; halves of characters become U+FFFD. nullopt: it is none.
[[nodiscard]] std::optional<std::string> utf8_of_utf16(std::string_view text);

/// Without the byte order mark that it may begin with.
[[nodiscard]] std::string_view without_byte_order_mark(std::string_view text);

/// "\r\n" and "\r\r\n" become "\n", and a byte order mark at the beginning goes: what every reader of scripts and
/// statements takes for the same text. Nothing else changes.
[[nodiscard]] std::string unix_text(std::string_view text);

/// Line `number`, counted from 1, without its end; "" where there is none.
[[nodiscard]] std::string_view line_of(std::string_view text, std::size_t number);

/// How many characters to change, add or take away until one is the other. Time is the product of the lengths: for
/// names.
[[nodiscard]] std::size_t edit_distance(std::string_view left, std::string_view right);

}  // namespace gate
