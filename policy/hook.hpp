#pragma once
// One hook of a preparation, resolved: everything the runner needs, nothing it has to look up.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace gate {

/// Limits of `timeoutSeconds`, per hook (design 2.2).
inline constexpr std::chrono::seconds kHookTimeoutMin{1};
inline constexpr std::chrono::seconds kHookTimeoutMax{3600};
inline constexpr std::chrono::seconds kHookTimeoutDefault{300};

/// A frontend configuration item: `ADMIN SET FRONTEND CONFIG ("key" = "value")`.
struct ConfigSetting {
  std::string key;    ///< As written by the hook: a canonical name or an alias.
  std::string value;  ///< As written by the hook.
  friend bool operator==(const ConfigSetting&, const ConfigSetting&) = default;
};

struct Hook {
  std::string name;  ///< Unique within a record.
  std::string sql;   ///< One validated statement, without a trailing ';'.
  bool critical = true;
  std::chrono::seconds timeout = kHookTimeoutDefault;
  /// Set when `sql` is ADMIN SET FRONTEND CONFIG: lets the runner capture, read back and restore.
  std::optional<ConfigSetting> setting;
  friend bool operator==(const Hook&, const Hook&) = default;
};

}  // namespace gate
