#include "test/fakes/frontend_sql.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace gate::fake_frontend {
namespace {

/// Index behind a quoted region or comment that starts at `at`, or `at` when none does.
std::size_t skip_region(std::string_view sql, std::size_t at) {
  const char c = sql[at];
  if (c == '\'' || c == '"' || c == '`') {
    for (std::size_t i = at + 1; i < sql.size(); ++i) {
      if (sql[i] == '\\' && c != '`') {
        ++i;
      } else if (sql[i] == c) {
        if (i + 1 < sql.size() && sql[i + 1] == c) {
          ++i;
        } else {
          return i + 1;
        }
      }
    }
    return sql.size();
  }
  if (sql.substr(at, 2) == "--") return std::min(sql.find('\n', at), sql.size());
  if (sql.substr(at, 2) == "/*") {
    const auto end = sql.find("*/", at + 2);
    return end == std::string_view::npos ? sql.size() : end + 2;
  }
  return at;
}

/// The content of a quoted region. A backslash before '%' or '_' stays: LIKE needs it.
std::string unquote(std::string_view quoted) {
  std::string out;
  const char quote = quoted.front();
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] == '\\' && quote != '`') {
      const char next = quoted[++i];
      if (next == '%' || next == '_') out += '\\';
      out += next == 'n' ? '\n' : next == 't' ? '\t' : next;
    } else {
      out += quoted[i];
      if (quoted[i] == quote) ++i;  // doubled
    }
  }
  return out;
}

/// As StarRocks' parser calls a word of a form.
std::string suggestion(std::string_view wanted) {
  std::string out;
  for (const char c : wanted) out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out == "_" || out == "?" ? "a value" : out == "N" ? "INTEGER_VALUE" : "'" + out + "'";
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool is_whole_number(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

/// SQL LIKE, with case: '%', '_' and backslash escapes.
bool like(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '%') return like(pattern.substr(1), text) || (!text.empty() && like(pattern, text.substr(1)));
  if (text.empty()) return false;
  const bool escaped = pattern[0] == '\\' && pattern.size() > 1;
  const char wanted = escaped ? pattern[1] : pattern[0];
  const bool any = !escaped && wanted == '_';
  if (!any && wanted != text[0]) return false;
  return like(pattern.substr(escaped ? 2 : 1), text.substr(1));
}

std::vector<Token> tokens_of(std::string_view sql) {
  std::vector<Token> out;
  const auto is_word = [](char w) {
    return std::isalnum(static_cast<unsigned char>(w)) != 0 || w == '_' || w == '@' || w == '.';
  };
  for (std::size_t i = 0; i < sql.size();) {
    const char c = sql[i];
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++i;
      continue;
    }
    if (const auto end = skip_region(sql, i); end != i) {
      if (c == '\'' || c == '"') out.push_back({Token::Kind::String, unquote(sql.substr(i, end - i)), i});
      if (c == '`') out.push_back({Token::Kind::Word, unquote(sql.substr(i, end - i)), i});
      i = end;
      continue;
    }
    if (is_word(c)) {
      std::size_t end = i;
      while (end < sql.size() && is_word(sql[end])) ++end;
      out.push_back({Token::Kind::Word, std::string(sql.substr(i, end - i)), i});
      i = end;
      continue;
    }
    out.push_back({Token::Kind::Symbol, std::string(1, c), i});
    ++i;
  }
  return out;
}

std::vector<std::string> split_statements(std::string_view sql) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  const auto cut = [&](std::size_t end) {
    const auto part = sql.substr(begin, end - begin);
    if (!tokens_of(part).empty()) out.push_back(trim(part));
    begin = end + 1;
  };
  for (std::size_t i = 0; i < sql.size();) {
    if (const auto end = skip_region(sql, i); end != i) {
      i = end;
      continue;
    }
    if (sql[i] == ';') cut(i);
    ++i;
  }
  if (begin < sql.size()) cut(sql.size());
  return out;
}

Match match(std::string_view form, const std::vector<Token>& tokens) {
  Match out;
  while (!form.empty()) {
    const auto space = std::min(form.find(' '), form.size());
    const std::string_view want = form.substr(0, space);
    form.remove_prefix(std::min(space + 1, form.size()));
    if (want == ">") {
      out.tokens = tokens.size();
      out.whole = true;
      return out;
    }
    out.wanted = want;
    if (out.tokens == tokens.size()) return out;
    const Token& token = tokens[out.tokens];
    const bool string = token.kind == Token::Kind::String;
    const bool value = want == "?" || want == "_" || want == "N";
    const bool fits = want == "?"   ? token.kind != Token::Kind::Symbol
                      : want == "_" ? string
                      : want == "N" ? !string && is_whole_number(token.text)
                                    : !string && lower(token.text) == want;
    if (!fits) return out;
    if (value) out.taken.push_back(token.text);
    ++out.tokens;
  }
  out.wanted = ";";  // the statement goes on behind the form
  out.whole = out.tokens == tokens.size();
  return out;
}

SqlError syntax_error(std::string_view sql, const std::vector<Token>& tokens, std::span<const std::string_view> forms) {
  std::size_t best = 0;
  std::set<std::string> wanted;
  for (const auto form : forms) {
    const auto found = match(form, tokens);
    if (found.tokens > best) wanted.clear();
    best = std::max(best, found.tokens);
    if (found.tokens == best) wanted.insert(suggestion(found.wanted));
  }
  std::string suggestions;
  for (const auto& word : wanted) suggestions += (suggestions.empty() ? "" : ", ") + word;
  if (best == 0) suggestions = "'INSERT', 'SELECT', 'SET', 'USE', 'TRANSLATE', '(', ';'";
  const std::size_t offset = best < tokens.size() ? tokens[best].offset : sql.size();
  const auto before = sql.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto column = offset - (before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1);
  return {1064, "HY000",
          "Getting syntax error at line " + std::to_string(line) + ", column " + std::to_string(column) +
              ". Detail message: Unexpected input '" + (best < tokens.size() ? tokens[best].text : "<EOF>") +
              "', the most similar input is {" + suggestions + "}."};
}

}  // namespace gate::fake_frontend
