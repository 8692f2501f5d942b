#pragma once
// Validation of hook SQL by StarRocks' own lexical rules (fe-core StarRocksLex.g4): quotes with backslash and doubled
// escapes, backticks, "--" comments (no blank needed), "/* */" comments, "/*+ */" hints, and no "#" comment.
// StarRocks runs every statement of a COM_QUERY whatever the client flags say, so "one statement" is proven here.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/text/result.hpp"

namespace gate {

inline constexpr std::size_t kSqlBytesMax = 4096;  ///< The longest documented hook is under 200.

enum class SqlTokenKind { Word, String, QuotedIdentifier, Number, Symbol };

struct SqlToken {
  SqlTokenKind kind = SqlTokenKind::Word;
  std::string text;        ///< Unquoted and unescaped for String and QuotedIdentifier.
  std::size_t offset = 0;  ///< Byte offset in the statement.
  std::size_t end = 0;     ///< Behind its last byte.
};

/// InvalidInput names the offset and the reason: unterminated string or comment, NUL byte, character not allowed.
[[nodiscard]] Result<std::vector<SqlToken>> tokenize_sql(std::string_view sql);

enum class SqlKind {
  AdminSetConfig,  ///< ADMIN SET FRONTEND CONFIG ("k" = "v")
  AdminShow,       ///< ADMIN SHOW ...
  Show,            ///< SHOW ...
  Select,          ///< SELECT ..., also behind WITH ... AS (...) (no INTO OUTFILE)
  CreateImage,     ///< ALTER SYSTEM CREATE IMAGE
  SetGlobal,       ///< SET GLOBAL name = value
  AdminRepair,     ///< ADMIN REPAIR ... and ADMIN CANCEL REPAIR ...
  // Further kinds, each only where the gate's owner allows it: they change more than a setting.
  AlterSystem,              ///< ALTER SYSTEM ADD | DROP | DECOMMISSION | MODIFY ... and CANCEL DECOMMISSION ...
  AdminSetReplica,          ///< ADMIN SET REPLICA STATUS ...
  AdminCheckTablet,         ///< ADMIN CHECK TABLET ...
  RefreshMaterializedView,  ///< REFRESH MATERIALIZED VIEW ... and CANCEL REFRESH MATERIALIZED VIEW ...
  RoutineLoad,              ///< PAUSE | RESUME ROUTINE LOAD ...
  CancelJob,                ///< CANCEL LOAD | EXPORT | BACKUP | RESTORE | ALTER TABLE ...
  Backup,                   ///< BACKUP SNAPSHOT ...
};
[[nodiscard]] std::string_view to_string(SqlKind kind);

/// A kind that is refused unless the gate's owner names it (`--allow-sql`).
struct FurtherSql {
  SqlKind kind = SqlKind::AlterSystem;
  std::string_view name;  ///< "alter-system"
};
[[nodiscard]] const std::vector<FurtherSql>& further_sql();

struct SqlStatement {
  SqlKind kind = SqlKind::Show;
  std::string text;                      ///< As given, without surrounding space and trailing ';'.
  std::optional<ConfigSetting> setting;  ///< For AdminSetConfig.
};

/// Exactly one statement of a kind that is always allowed, or one of `further`. The value of a well-known setting must
/// have its type: the FE takes every boolean other than "true" for false, and says nothing. InvalidInput says where
/// and why, and what would be accepted; it repeats nothing that is quoted.
[[nodiscard]] Result<SqlStatement> validate_sql(std::string_view sql, const std::vector<SqlKind>& further = {});

/// One of several statements, without the space and comments around it, not yet validated.
struct SqlPiece {
  std::string_view text;  ///< Part of the argument of split_sql.
  std::size_t line = 1;   ///< Where it begins.
};

/// The statements of a text, separated by ';'; empty ones are left out.
[[nodiscard]] Result<std::vector<SqlPiece>> split_sql(std::string_view text);

/// `ADMIN SET FRONTEND CONFIG ("key" = "value")` with key and value escaped.
[[nodiscard]] std::string set_config_sql(std::string_view key, std::string_view value);
/// `ADMIN SHOW FRONTEND CONFIG LIKE "key"` with LIKE wildcards ('_' and '%') escaped.
[[nodiscard]] std::string show_config_sql(std::string_view key);

}  // namespace gate
