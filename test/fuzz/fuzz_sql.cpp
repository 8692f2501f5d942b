// Any bytes as hook SQL: no crash, and what is accepted is exactly one statement of an allowed kind.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/hooks/sql.hpp"
#include "test/fuzz/require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gate;
  const std::string_view sql(reinterpret_cast<const char*>(data), size);
  const Result<std::vector<SqlToken>> tokens = tokenize_sql(sql);
  if (tokens) {
    std::size_t previous = 0;
    for (const SqlToken& token : *tokens) {
      FUZZ_REQUIRE(token.offset >= previous && token.offset < size);
      previous = token.offset;
    }
  }
  const Result<std::vector<SqlPiece>> pieces = split_sql(sql);
  FUZZ_REQUIRE(pieces.ok() == tokens.ok());
  if (pieces) {
    for (const SqlPiece& piece : *pieces) {
      const Result<std::vector<SqlToken>> parts = tokenize_sql(piece.text);
      FUZZ_REQUIRE(parts.ok() && !parts->empty() && parts->front().offset == 0 &&
                   parts->back().end == piece.text.size());
    }
  }

  // Whatever the owner allows, it stays one statement.
  std::vector<SqlKind> everything;
  for (const FurtherSql& further : further_sql()) everything.push_back(further.kind);
  const Result<SqlStatement> statement = validate_sql(sql, everything);
  if (const Result<SqlStatement> strict = validate_sql(sql); strict) {
    FUZZ_REQUIRE(statement.ok() && statement->kind == strict->kind && statement->text == strict->text);
  }
  if (!statement) {
    FUZZ_REQUIRE(statement.error().code == ErrorCode::InvalidInput);
    return 0;
  }
  const Result<std::vector<SqlToken>> accepted = tokenize_sql(statement->text);
  FUZZ_REQUIRE(accepted.ok() && !accepted->empty());
  FUZZ_REQUIRE(std::none_of(accepted->begin(), accepted->end(), [](const SqlToken& token) {
    return token.kind == SqlTokenKind::Symbol && token.text == ";";
  }));
  FUZZ_REQUIRE(!to_string(statement->kind).empty());
  FUZZ_REQUIRE(accepted->front().kind == SqlTokenKind::Word);

  // Accepting is stable: what is stored and validated again later is the same statement.
  const Result<SqlStatement> again = validate_sql(statement->text, everything);
  FUZZ_REQUIRE(again.ok() && again->kind == statement->kind && again->text == statement->text);
  FUZZ_REQUIRE(again->setting == statement->setting);

  FUZZ_REQUIRE(statement->setting.has_value() == (statement->kind == SqlKind::AdminSetConfig));
  if (statement->setting && statement->setting->value.find('\0') == std::string::npos) {
    const std::string& value = statement->setting->value;
    const bool plain = std::none_of(value.begin(), value.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
    const std::string formatted = set_config_sql(statement->setting->key, value);
    const Result<SqlStatement> restored = validate_sql(formatted);
    // A ';' together with something that had to be escaped, and a text grown too long, are refused, not misread.
    if (restored) FUZZ_REQUIRE(restored->setting == statement->setting);
    if (plain && value.find(';') == std::string::npos && formatted.size() <= kSqlBytesMax) FUZZ_REQUIRE(restored.ok());
  }
  return 0;
}
