#pragma once
// The SQL that the simulated FEs read: tokens, the forms of statements, and StarRocks' complaints about others.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "test/fakes/frontend_simulator.hpp"

namespace gate::fake_frontend {

[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] std::string trim(std::string_view text);
[[nodiscard]] bool is_whole_number(std::string_view text);
/// SQL LIKE, with case: '%', '_' and backslash escapes.
[[nodiscard]] bool like(std::string_view pattern, std::string_view text);

struct Token {
  enum class Kind { Word, String, Symbol } kind = Kind::Word;
  std::string text;
  std::size_t offset = 0;  ///< In the statement.
};
[[nodiscard]] std::vector<Token> tokens_of(std::string_view sql);

/// Cuts a COM_QUERY at ';' outside of quotes and comments; empty statements are dropped.
[[nodiscard]] std::vector<std::string> split_statements(std::string_view sql);

/// How far a statement follows a form, word by word. Words compare without case; "?" takes a string or word, "_" a
/// string, "N" a whole number, and ">" the rest.
struct Match {
  bool whole = false;
  std::size_t tokens = 0;          ///< Those that fit.
  std::string wanted;              ///< The word of the form that did not fit, or is missing.
  std::vector<std::string> taken;  ///< By "?", "_" and "N".
};
[[nodiscard]] Match match(std::string_view form, const std::vector<Token>& tokens);

/// What StarRocks says to a statement that follows none of `forms`: where the best of them ended, and what would go on.
[[nodiscard]] SqlError syntax_error(std::string_view sql, const std::vector<Token>& tokens,
                                    std::span<const std::string_view> forms);

}  // namespace gate::fake_frontend
