#include "policy/hooks/sql.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>

#include "policy/hooks/frontend_setting.hpp"
#include "policy/text/utf8.hpp"

namespace gate {
namespace {

constexpr std::string_view kAccepted =
    "accepted: one statement of ADMIN SET FRONTEND CONFIG (\"key\" = \"value\"), ADMIN SHOW ..., SHOW ..., "
    "[WITH ...] SELECT ... (without INTO), ALTER SYSTEM CREATE IMAGE, SET GLOBAL name = value, ADMIN REPAIR ..., ADMIN "
    "CANCEL REPAIR ...";

constexpr std::string_view kLoginSetting =
    "hooks may not change login settings or secrets: set them outside of the gate";

// Of a statement whose kind is right: the other kinds would only hide what is wrong.
constexpr std::string_view kSetConfigForm = "ADMIN SET FRONTEND CONFIG (\"key\" = \"value\")";
constexpr std::string_view kSetGlobalForm = "SET GLOBAL name = value";
constexpr std::string_view kSelectForm = "[WITH name AS (...)] SELECT ... without INTO";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
bool is_word(char c) { return (upper(c) >= 'A' && upper(c) <= 'Z') || is_digit(c) || c == '_' || c == '$'; }

Error refuse(std::size_t offset, std::string_view reason) {
  return {ErrorCode::InvalidInput, "at offset " + std::to_string(offset) + ": " + std::string(reason)};
}

Error refuse_form(std::string_view form, std::size_t offset, std::string_view reason) {
  return refuse(offset, std::string(reason) + "; want " + std::string(form));
}

Error refuse_kind(std::size_t offset, std::string_view reason) {
  Error error = refuse(offset, reason);
  error.message += "; ";
  error.message += kAccepted;
  return error;
}

/// What "\c" means inside quotes. "\%" and "\_" keep their backslash: they are LIKE escapes.
std::string unescape(char c) {
  switch (c) {
    case '0':
      return std::string(1, '\0');
    case 'b':
      return "\b";
    case 'n':
      return "\n";
    case 'r':
      return "\r";
    case 't':
      return "\t";
    case 'Z':
      return "\x1A";
    case '%':
      return "\\%";
    case '_':
      return "\\_";
    default:
      return std::string(1, c);
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view sql) : sql_(sql) {}

  Result<std::vector<SqlToken>> run() {
    if (std::optional<Error> error = check_characters()) return *std::move(error);
    while (offset_ < sql_.size()) {
      const char c = sql_[offset_];
      std::optional<Error> error;
      if (is_space(c)) {
        ++offset_;
      } else if (starts_with("--")) {
        skip_line_comment();
      } else if (starts_with("/*")) {
        error = skip_block_comment();
      } else if (c == '\'' || c == '"' || c == '`') {
        error = take_quoted(c);
      } else if (is_word(c)) {
        error = take_word_or_number();
      } else {
        error = take_symbol(c);
      }
      if (error) return *std::move(error);
    }
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] bool starts_with(std::string_view prefix) const { return sql_.substr(offset_).starts_with(prefix); }

  /// The token ends where reading goes on.
  void add(SqlTokenKind kind, std::string text, std::size_t offset) {
    tokens_.push_back({kind, std::move(text), offset, offset_});
  }

  /// Nothing that another decoder could read differently: the frontend decodes the same bytes as UTF-8.
  [[nodiscard]] std::optional<Error> check_characters() const {
    for (std::size_t at = 0; at < sql_.size();) {
      const Utf8Step step = decode_utf8(sql_, at);
      if (!step.valid) return refuse(at, "invalid UTF-8");
      if (step.code_point == 0) return refuse(at, "NUL byte");
      if ((step.code_point < 0x20 && !is_space(sql_[at])) || step.code_point == 0x7F) {
        return refuse(at, "control character");
      }
      at += step.bytes;
    }
    return std::nullopt;
  }

  void skip_line_comment() { offset_ = std::min(sql_.find_first_of("\r\n", offset_), sql_.size()); }

  std::optional<Error> skip_block_comment() {
    const std::size_t end = sql_.find("*/", offset_ + 2);
    if (end == std::string_view::npos) return refuse(offset_, "unterminated comment: its */ is missing");
    offset_ = end + 2;
    return std::nullopt;
  }

  std::optional<Error> take_quoted(char quote) {
    const std::size_t start = offset_++;
    const bool identifier = quote == '`';
    std::string text;
    while (offset_ < sql_.size()) {
      const char c = sql_[offset_++];
      if (c == quote) {
        if (offset_ < sql_.size() && sql_[offset_] == quote) {
          text += quote;
          ++offset_;
          continue;
        }
        add(identifier ? SqlTokenKind::QuotedIdentifier : SqlTokenKind::String, std::move(text), start);
        return std::nullopt;
      }
      if (c == '\\' && !identifier) {
        if (offset_ == sql_.size()) break;
        text += unescape(sql_[offset_++]);
      } else {
        text += c;
      }
    }
    return refuse(start, identifier ? "unterminated quoted identifier: its closing ` is missing"
                                    : "unterminated string: its closing quote is missing");
  }

  std::optional<Error> take_word_or_number() {
    const std::size_t start = offset_;
    while (offset_ < sql_.size() && is_digit(sql_[offset_])) ++offset_;
    const bool fraction =
        offset_ > start && offset_ + 1 < sql_.size() && sql_[offset_] == '.' && is_digit(sql_[offset_ + 1]);
    if (fraction) {
      ++offset_;
      while (offset_ < sql_.size() && is_digit(sql_[offset_])) ++offset_;
    }
    const bool number = offset_ > start && (offset_ == sql_.size() || !is_word(sql_[offset_]));
    while (offset_ < sql_.size() && is_word(sql_[offset_])) ++offset_;
    // What stands between two of them is one token in StarRocks, semicolons and quotes included.
    const auto attachment = sql_.substr(start, offset_ - start).find("$$");
    if (attachment != std::string_view::npos) return refuse(start + attachment, "'$$' is not accepted");
    add(number ? SqlTokenKind::Number : SqlTokenKind::Word, std::string(sql_.substr(start, offset_ - start)), start);
    return std::nullopt;
  }

  std::optional<Error> take_symbol(char c) {
    if (c == '#') return refuse(offset_, "'#' does not begin a comment in StarRocks; use \"-- \"");
    if (std::string_view("()[]{},;=.*+-/%<>!@:|&^~?").find(c) == std::string_view::npos) {
      return refuse(offset_, "character not allowed outside quotes");
    }
    ++offset_;
    add(SqlTokenKind::Symbol, std::string(1, c), offset_ - 1);
    return std::nullopt;
  }

  std::string_view sql_;
  std::size_t offset_ = 0;
  std::vector<SqlToken> tokens_;
};

bool is_keyword(const SqlToken& token, std::string_view keyword) {
  return token.kind == SqlTokenKind::Word && std::equal(token.text.begin(), token.text.end(), keyword.begin(),
                                                        keyword.end(), [](char a, char b) { return upper(a) == b; });
}

bool is_symbol(const SqlToken& token, char symbol) {
  return token.kind == SqlTokenKind::Symbol && token.text.front() == symbol;
}

using Tokens = std::vector<SqlToken>;

bool begins_with(const Tokens& tokens, const std::string_view* keywords, std::size_t count) {
  return tokens.size() >= count &&
         std::equal(keywords, keywords + count, tokens.begin(),
                    [](std::string_view keyword, const SqlToken& token) { return is_keyword(token, keyword); });
}
bool begins_with(const Tokens& tokens, std::initializer_list<std::string_view> keywords) {
  return begins_with(tokens, keywords.begin(), keywords.size());
}

/// How the further kinds begin; unused places are empty.
struct FurtherKeywords {
  SqlKind kind;
  std::array<std::string_view, 4> keywords;
};
constexpr std::array kFurtherKeywords{
    FurtherKeywords{SqlKind::AlterSystem, {"ALTER", "SYSTEM", "ADD"}},
    FurtherKeywords{SqlKind::AlterSystem, {"ALTER", "SYSTEM", "DROP"}},
    FurtherKeywords{SqlKind::AlterSystem, {"ALTER", "SYSTEM", "DECOMMISSION"}},
    FurtherKeywords{SqlKind::AlterSystem, {"ALTER", "SYSTEM", "MODIFY"}},
    FurtherKeywords{SqlKind::AlterSystem, {"CANCEL", "DECOMMISSION"}},
    FurtherKeywords{SqlKind::AdminSetReplica, {"ADMIN", "SET", "REPLICA", "STATUS"}},
    FurtherKeywords{SqlKind::AdminCheckTablet, {"ADMIN", "CHECK", "TABLET"}},
    FurtherKeywords{SqlKind::RefreshMaterializedView, {"REFRESH", "MATERIALIZED", "VIEW"}},
    FurtherKeywords{SqlKind::RefreshMaterializedView, {"CANCEL", "REFRESH", "MATERIALIZED", "VIEW"}},
    FurtherKeywords{SqlKind::RoutineLoad, {"PAUSE", "ROUTINE", "LOAD"}},
    FurtherKeywords{SqlKind::RoutineLoad, {"RESUME", "ROUTINE", "LOAD"}},
    FurtherKeywords{SqlKind::CancelJob, {"CANCEL", "LOAD"}},
    FurtherKeywords{SqlKind::CancelJob, {"CANCEL", "EXPORT"}},
    FurtherKeywords{SqlKind::CancelJob, {"CANCEL", "BACKUP"}},
    FurtherKeywords{SqlKind::CancelJob, {"CANCEL", "RESTORE"}},
    FurtherKeywords{SqlKind::CancelJob, {"CANCEL", "ALTER", "TABLE"}},
    FurtherKeywords{SqlKind::Backup, {"BACKUP", "SNAPSHOT"}},
};

/// Config items of the frontend are fields of a Java class.
bool is_config_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return is_word(c) && c != '$'; });
}

/// ADMIN SET FRONTEND CONFIG ( "key" = "value" ): exactly that. StarRocks takes one pair per statement.
Result<ConfigSetting> config_setting(const Tokens& tokens, std::size_t end_offset) {
  constexpr std::size_t kOpen = 4, kKey = 5, kEquals = 6, kValue = 7, kClose = 8, kCount = 9;
  const auto expect = [&](std::size_t index, auto matches) { return index < tokens.size() && matches(tokens[index]); };
  const auto offset_of = [&](std::size_t index) { return index < tokens.size() ? tokens[index].offset : end_offset; };
  const auto symbol = [](char c) { return [c](const SqlToken& token) { return is_symbol(token, c); }; };
  const auto string = [](const SqlToken& token) { return token.kind == SqlTokenKind::String; };

  if (!expect(kOpen, symbol('('))) return refuse_form(kSetConfigForm, offset_of(kOpen), "expected '('");
  if (!expect(kKey, string)) return refuse_form(kSetConfigForm, offset_of(kKey), "expected the key as a quoted string");
  if (!is_config_key(tokens[kKey].text)) {
    return refuse_form(kSetConfigForm, offset_of(kKey), "a config key is made of letters, digits and '_'");
  }
  if (is_login_setting(tokens[kKey].text)) return refuse(offset_of(kKey), kLoginSetting);
  if (!expect(kEquals, symbol('='))) return refuse_form(kSetConfigForm, offset_of(kEquals), "expected '='");
  if (!expect(kValue, string))
    return refuse_form(kSetConfigForm, offset_of(kValue), "expected the value as a quoted string");
  if (expect(kClose, symbol(','))) {
    return refuse_form(kSetConfigForm, offset_of(kClose),
                       "StarRocks sets one key per statement: use one hook for each");
  }
  if (!expect(kClose, symbol(')'))) return refuse_form(kSetConfigForm, offset_of(kClose), "expected ')'");
  if (tokens.size() > kCount && is_keyword(tokens[kCount], "WITH")) {
    return refuse_form(kSetConfigForm, offset_of(kCount),
                       "WITH PERSISTENT does not work in containers and cannot be undone");
  }
  if (tokens.size() > kCount) return refuse_form(kSetConfigForm, offset_of(kCount), "nothing may follow the ')'");
  if (const std::string_view accepted = accepted_value(tokens[kKey].text, tokens[kValue].text); !accepted.empty()) {
    return refuse(tokens[kValue].offset, "the value of " + tokens[kKey].text + " must be " + std::string(accepted));
  }
  return ConfigSetting{tokens[kKey].text, tokens[kValue].text};
}

/// SET GLOBAL name = value: one plain name, one literal or word.
std::optional<Error> check_set_global(const Tokens& tokens, std::size_t end_offset) {
  constexpr std::size_t kName = 2, kEquals = 3, kValue = 4;
  const auto offset_of = [&](std::size_t index) { return index < tokens.size() ? tokens[index].offset : end_offset; };
  if (tokens.size() <= kName || tokens[kName].kind != SqlTokenKind::Word) {
    return refuse_form(kSetGlobalForm, offset_of(kName), "expected the name of a variable");
  }
  if (is_login_setting(tokens[kName].text)) return refuse(offset_of(kName), kLoginSetting);
  if (tokens.size() <= kEquals || !is_symbol(tokens[kEquals], '='))
    return refuse_form(kSetGlobalForm, offset_of(kEquals), "expected '='");
  const bool negative = tokens.size() > kValue && is_symbol(tokens[kValue], '-');
  const std::size_t value = negative ? kValue + 1 : kValue;
  const bool literal =
      value < tokens.size() &&
      (tokens[value].kind == SqlTokenKind::Number ||
       (!negative && (tokens[value].kind == SqlTokenKind::String || tokens[value].kind == SqlTokenKind::Word)));
  if (!literal)
    return refuse_form(kSetGlobalForm, offset_of(value), "expected a string, a number or a word as the value");
  if (tokens.size() > value + 1) {
    return refuse_form(kSetGlobalForm, offset_of(value + 1),
                       "one variable per statement: nothing may follow the value");
  }
  return std::nullopt;
}

/// WITH name [(columns)] AS (...), ... SELECT: nothing but a query may follow. Others could write: DELETE, UPDATE and
/// INSERT take a WITH clause too.
std::optional<Error> check_with(const Tokens& tokens, std::size_t end_offset) {
  std::size_t next = 1;
  const auto is = [&](auto matches) { return next < tokens.size() && matches(tokens[next]); };
  const auto refuse_next = [&](std::string_view reason) {
    return refuse_form(kSelectForm, next < tokens.size() ? tokens[next].offset : end_offset, reason);
  };
  /// Over a group in parentheses; false where there is none or it is not closed.
  const auto skip_group = [&] {
    if (!is([](const SqlToken& t) { return is_symbol(t, '('); })) return false;
    for (int depth = 0; next < tokens.size(); ++next) {
      if (is_symbol(tokens[next], '(')) ++depth;
      if (is_symbol(tokens[next], ')') && --depth == 0) {
        ++next;
        return true;
      }
    }
    return false;
  };
  if (is([](const SqlToken& t) { return is_keyword(t, "RECURSIVE"); })) ++next;
  while (true) {
    if (!is([](const SqlToken& t) { return t.kind == SqlTokenKind::Word || t.kind == SqlTokenKind::QuotedIdentifier; }))
      return refuse_next("expected the name of a common table expression");
    ++next;
    if (is([](const SqlToken& t) { return is_symbol(t, '('); }) && !skip_group()) return refuse_next("expected ')'");
    if (!is([](const SqlToken& t) { return is_keyword(t, "AS"); })) return refuse_next("expected AS");
    ++next;
    if (!skip_group()) return refuse_next("expected a query in parentheses");
    if (!is([](const SqlToken& t) { return is_symbol(t, ','); })) break;
    ++next;
  }
  if (!is([](const SqlToken& t) { return is_keyword(t, "SELECT"); })) {
    return refuse_next("expected SELECT behind the WITH clause");
  }
  return std::nullopt;
}

std::optional<Error> check_select(const Tokens& tokens) {
  const auto into = std::find_if(tokens.begin(), tokens.end(), [](const SqlToken& t) { return is_keyword(t, "INTO"); });
  if (into == tokens.end()) return std::nullopt;
  return refuse_form(kSelectForm, into->offset, "SELECT ... INTO writes outside the gate's control");
}

/// The kind by the leading keywords; the rest of the statement is judged by the caller.
std::optional<SqlKind> kind_by_keywords(const Tokens& tokens) {
  if (begins_with(tokens, {"ADMIN", "SET", "FRONTEND", "CONFIG"})) return SqlKind::AdminSetConfig;
  if (begins_with(tokens, {"ADMIN", "SHOW"}) && tokens.size() > 2) return SqlKind::AdminShow;
  if (begins_with(tokens, {"ADMIN", "REPAIR"}) && tokens.size() > 2) return SqlKind::AdminRepair;
  if (begins_with(tokens, {"ADMIN", "CANCEL", "REPAIR"}) && tokens.size() > 3) return SqlKind::AdminRepair;
  if (begins_with(tokens, {"SHOW"}) && tokens.size() > 1) return SqlKind::Show;
  if (begins_with(tokens, {"SELECT"}) && tokens.size() > 1) return SqlKind::Select;
  if (begins_with(tokens, {"WITH"}) && tokens.size() > 1) return SqlKind::Select;
  if (begins_with(tokens, {"ALTER", "SYSTEM", "CREATE", "IMAGE"}) && tokens.size() == 4) return SqlKind::CreateImage;
  if (begins_with(tokens, {"SET", "GLOBAL"})) return SqlKind::SetGlobal;
  for (const FurtherKeywords& row : kFurtherKeywords) {
    const auto count = static_cast<std::size_t>(
        std::count_if(row.keywords.begin(), row.keywords.end(), [](std::string_view word) { return !word.empty(); }));
    // Each of them says what it is about.
    if (tokens.size() > count && begins_with(tokens, row.keywords.data(), count)) return row.kind;
  }
  return std::nullopt;
}

/// One of the further kinds needs the owner's word.
std::optional<Error> check_allowed(SqlKind kind, const std::vector<SqlKind>& further, std::size_t offset) {
  const auto& kinds = further_sql();
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const FurtherSql& row) { return row.kind == kind; });
  if (found == kinds.end() || std::find(further.begin(), further.end(), kind) != further.end()) return std::nullopt;
  return refuse(offset, std::string(to_string(kind)) +
                            " is allowed only where the gate runs with --allow-sql=" + std::string(found->name));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\0') {
      out += "\\0";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string_view to_string(SqlKind kind) {
  switch (kind) {
    case SqlKind::AdminSetConfig:
      return "ADMIN SET FRONTEND CONFIG";
    case SqlKind::AdminShow:
      return "ADMIN SHOW";
    case SqlKind::Show:
      return "SHOW";
    case SqlKind::Select:
      return "SELECT";
    case SqlKind::CreateImage:
      return "ALTER SYSTEM CREATE IMAGE";
    case SqlKind::SetGlobal:
      return "SET GLOBAL";
    case SqlKind::AdminRepair:
      return "ADMIN REPAIR";
    case SqlKind::AlterSystem:
      return "ALTER SYSTEM";
    case SqlKind::AdminSetReplica:
      return "ADMIN SET REPLICA STATUS";
    case SqlKind::AdminCheckTablet:
      return "ADMIN CHECK TABLET";
    case SqlKind::RefreshMaterializedView:
      return "REFRESH MATERIALIZED VIEW";
    case SqlKind::RoutineLoad:
      return "PAUSE or RESUME ROUTINE LOAD";
    case SqlKind::CancelJob:
      return "CANCEL";
    case SqlKind::Backup:
      return "BACKUP SNAPSHOT";
  }
  return "";
}

const std::vector<FurtherSql>& further_sql() {
  static const std::vector<FurtherSql> kinds{
      {SqlKind::AlterSystem, "alter-system"},
      {SqlKind::AdminSetReplica, "admin-set-replica-status"},
      {SqlKind::AdminCheckTablet, "admin-check-tablet"},
      {SqlKind::RefreshMaterializedView, "refresh-materialized-view"},
      {SqlKind::RoutineLoad, "routine-load"},
      {SqlKind::CancelJob, "cancel"},
      {SqlKind::Backup, "backup"},
  };
  return kinds;
}

namespace {

/// "at offset 20: ..." of a text of several lines begins with the line, too.
Error with_line(std::string_view text, Error error) {
  constexpr std::string_view kBefore = "at offset ";
  std::size_t offset = 0;
  if (error.message.starts_with(kBefore)) {
    const char* const end = error.message.data() + error.message.size();
    std::from_chars(error.message.data() + kBefore.size(), end, offset);
  }
  const auto before = text.substr(0, offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  error.message = "line " + std::to_string(line) + ", " + error.message;
  return error;
}

}  // namespace

Result<std::vector<SqlToken>> tokenize_sql(std::string_view sql) { return Lexer(sql).run(); }

Result<SqlStatement> validate_sql(std::string_view sql, const std::vector<SqlKind>& further) {
  if (sql.size() > kSqlBytesMax) {
    return refuse(kSqlBytesMax, "statement longer than " + std::to_string(kSqlBytesMax) + " bytes");
  }
  Result<Tokens> lexed = tokenize_sql(sql);
  if (!lexed) return lexed.error();
  Tokens& tokens = *lexed;

  // What follows the first ';' may only be space and comments; they are left out of the text that is sent.
  std::size_t end_offset = sql.size();
  const auto semicolon =
      std::find_if(tokens.begin(), tokens.end(), [](const SqlToken& t) { return is_symbol(t, ';'); });
  if (semicolon != tokens.end()) {
    if (semicolon + 1 != tokens.end()) return refuse_kind((semicolon + 1)->offset, "more than one statement");
    end_offset = semicolon->offset;
    tokens.pop_back();
  }
  if (tokens.empty()) return refuse_kind(0, "no statement");

  SqlStatement statement;
  statement.text = trimmed(sql.substr(0, end_offset));
  // A text without any ';' is one statement however it is read. A quoted ';' is believed to be quoted only where
  // nothing is left that a dialect or a version reads in another way (sql_dialect = 'trino' knows no backslash
  // escapes).
  if (contains(statement.text, ";") &&
      (contains(statement.text, "\\") || contains(statement.text, "--") || contains(statement.text, "/*"))) {
    return refuse(sql.find(';'), "a ';' inside the statement is not accepted together with a backslash or a comment");
  }

  const std::optional<SqlKind> kind = kind_by_keywords(tokens);
  if (!kind) return refuse_kind(tokens.front().offset, "statement not allowed");
  if (std::optional<Error> error = check_allowed(*kind, further, tokens.front().offset)) return *std::move(error);
  statement.kind = *kind;
  std::optional<Error> error;
  switch (*kind) {
    case SqlKind::AdminSetConfig: {
      Result<ConfigSetting> setting = config_setting(tokens, end_offset);
      if (!setting) return setting.error();
      statement.setting = *std::move(setting);
      break;
    }
    case SqlKind::SetGlobal:
      error = check_set_global(tokens, end_offset);
      break;
    case SqlKind::Select:
      if (begins_with(tokens, {"WITH"})) error = check_with(tokens, end_offset);
      if (!error) error = check_select(tokens);
      break;
    case SqlKind::AdminShow:
    case SqlKind::Show:
    case SqlKind::CreateImage:
    case SqlKind::AdminRepair:
    case SqlKind::AlterSystem:
    case SqlKind::AdminSetReplica:
    case SqlKind::AdminCheckTablet:
    case SqlKind::RefreshMaterializedView:
    case SqlKind::RoutineLoad:
    case SqlKind::CancelJob:
    case SqlKind::Backup:
      break;
  }
  if (error) return *std::move(error);
  return statement;
}

Result<std::vector<SqlPiece>> split_sql(std::string_view text) {
  const Result<Tokens> tokens = tokenize_sql(text);
  if (!tokens) return with_line(text, tokens.error());
  std::vector<SqlPiece> pieces;
  std::size_t line = 1;
  std::size_t counted = 0;  // up to here line feeds are in `line`
  const auto add = [&](auto first, auto last) {
    if (first == last) return;
    const std::string_view between = text.substr(counted, first->offset - counted);
    line += static_cast<std::size_t>(std::count(between.begin(), between.end(), '\n'));
    counted = first->offset;
    pieces.push_back({text.substr(first->offset, (last - 1)->end - first->offset), line});
  };
  auto first = tokens->begin();
  while (true) {
    const auto last = std::find_if(first, tokens->end(), [](const SqlToken& t) { return is_symbol(t, ';'); });
    add(first, last);
    if (last == tokens->end()) return pieces;
    first = last + 1;
  }
}

std::string set_config_sql(std::string_view key, std::string_view value) {
  return "ADMIN SET FRONTEND CONFIG (" + quoted(key) + " = " + quoted(value) + ")";
}

std::string show_config_sql(std::string_view key) {
  // Inside quotes "\_" and "\%" stay as they are and reach LIKE with their backslash.
  std::string pattern;
  for (const char c : quoted(key)) {
    if (c == '_' || c == '%') pattern += '\\';
    pattern += c;
  }
  return "ADMIN SHOW FRONTEND CONFIG LIKE " + pattern;
}

}  // namespace gate
