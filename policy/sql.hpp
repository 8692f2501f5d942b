#pragma once
// Validation of hook SQL by StarRocks' own lexical rules (fe-core StarRocksLex.g4): quotes with backslash and doubled
// escapes, backticks, "--" comments (no blank needed), "/* */" comments, "/*+ */" hints, and no "#" comment.
// StarRocks runs every statement of a COM_QUERY whatever the client flags say, so "one statement" is proven here.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hook.hpp"
#include "policy/result.hpp"

namespace gate {

inline constexpr std::size_t kSqlBytesMax = 4096;  ///< The longest documented hook is under 200.

enum class SqlTokenKind { Word, String, QuotedIdentifier, Number, Symbol };

struct SqlToken {
  SqlTokenKind kind = SqlTokenKind::Word;
  std::string text;        ///< Unquoted and unescaped for String and QuotedIdentifier.
  std::size_t offset = 0;  ///< Byte offset in the statement.
};

/// InvalidInput names the offset and the reason: unterminated string or comment, NUL byte, character not allowed.
[[nodiscard]] Result<std::vector<SqlToken>> tokenize_sql(std::string_view sql);

enum class SqlKind {
  AdminSetConfig,  ///< ADMIN SET FRONTEND CONFIG ("k" = "v")
  AdminShow,       ///< ADMIN SHOW ...
  Show,            ///< SHOW ...
  Select,          ///< SELECT ... (no INTO OUTFILE)
  CreateImage,     ///< ALTER SYSTEM CREATE IMAGE
  SetGlobal,       ///< SET GLOBAL name = value
  AdminRepair,     ///< ADMIN REPAIR ... and ADMIN CANCEL REPAIR ...
};
[[nodiscard]] std::string_view to_string(SqlKind kind);

struct SqlStatement {
  SqlKind kind = SqlKind::Show;
  std::string text;                      ///< As given, without surrounding space and trailing ';'.
  std::optional<ConfigSetting> setting;  ///< For AdminSetConfig.
};

/// Exactly one statement of an allowed kind. InvalidInput says where and why, and what would be accepted.
[[nodiscard]] Result<SqlStatement> validate_sql(std::string_view sql);

/// `ADMIN SET FRONTEND CONFIG ("key" = "value")` with key and value escaped.
[[nodiscard]] std::string set_config_sql(std::string_view key, std::string_view value);
/// `ADMIN SHOW FRONTEND CONFIG LIKE "key"` with LIKE wildcards ('_' and '%') escaped.
[[nodiscard]] std::string show_config_sql(std::string_view key);

}  // namespace gate
