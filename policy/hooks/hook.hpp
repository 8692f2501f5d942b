#pragma once
// One hook of a preparation, resolved: everything the runner needs, nothing it has to look up.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gate {

/// Limits of `timeoutSeconds`, per hook (docs/hooks.md).
inline constexpr std::chrono::seconds kHookTimeoutMin{1};
inline constexpr std::chrono::seconds kHookTimeoutMax{3600};
inline constexpr std::chrono::seconds kHookTimeoutDefault{300};
/// Between two looks of a check, or two calls of an HTTP hook that answered "not yet".
inline constexpr std::chrono::seconds kHookPollDefault{5};

/// A frontend configuration item: `ADMIN SET FRONTEND CONFIG ("key" = "value")`.
struct ConfigSetting {
  std::string key;    ///< As written by the hook: a canonical name or an alias.
  std::string value;  ///< As written by the hook.
  friend bool operator==(const ConfigSetting&, const ConfigSetting&) = default;
};

/// Runs one statement.
struct SqlAction {
  std::string sql;  ///< Validated, without a trailing ';'.
  /// Set when `sql` is ADMIN SET FRONTEND CONFIG: lets the runner capture, read back and restore.
  std::optional<ConfigSetting> setting;
  friend bool operator==(const SqlAction&, const SqlAction&) = default;
};

/// What a predefined check looks at (docs/hooks.md).
enum class Probe {
  FrontendsAlive,     ///< Every FE alive, one leader, journal lag bounded.
  BackendsAlive,      ///< Every BE alive.
  ComputeNodesAlive,  ///< Every CN alive.
  TabletsHealthy,     ///< The leader's total of unhealthy and inconsistent tablets is 0.
  NoSchemaChange,     ///< No schema change is pending or running.
  NoRunningLoads,     ///< No load is queued or running.
  SchedulerDrained,   ///< No tablet is being moved or repaired.
};

/// Polled until it holds or the hook's timeout is over.
struct ProbeAction {
  Probe probe = Probe::FrontendsAlive;
  friend bool operator==(const ProbeAction&, const ProbeAction&) = default;
};

enum class Comparison { Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual };

/// A read-only statement whose answer is compared, polled until it holds or the hook's timeout is over.
struct QueryAction {
  std::string sql;     ///< SELECT or SHOW, validated.
  std::string column;  ///< Every row of this column must satisfy the comparison; empty: one row with one column.
  Comparison comparison = Comparison::Equal;
  std::string value;  ///< Compared as numbers when both sides are numbers, as text otherwise.
  std::chrono::seconds poll = kHookPollDefault;
  friend bool operator==(const QueryAction&, const QueryAction&) = default;
};

/// Asks another service (JSON over POST): allow, deny, or not yet.
struct HttpAction {
  std::string url;
  std::string ca_pem;        ///< Trusted besides the system's roots; may be empty.
  std::string token_secret;  ///< Name of the Secret with a bearer token; empty: none is sent.
  std::string token_key;
  std::chrono::seconds poll = kHookPollDefault;
  friend bool operator==(const HttpAction&, const HttpAction&) = default;
};

/// A shell script with pre_upgrade() and perhaps post_upgrade(), run as a Kubernetes Job.
struct ScriptAction {
  std::string script;
  bool post_upgrade = false;  ///< It defines post_upgrade(): to be run after the rollout, whatever its outcome.
  friend bool operator==(const ScriptAction&, const ScriptAction&) = default;
};

using HookAction = std::variant<SqlAction, ProbeAction, QueryAction, HttpAction, ScriptAction>;

/// What is undone after the rollout, or when the upgrade does not happen.
enum class RestoreMode {
  Captured,   ///< The captured value of a setting; a script's post_upgrade(); nothing for the other actions.
  None,       ///< Nothing: the effect is meant to stay.
  Statement,  ///< Hook::restore_sql.
};

/// Whether the gate runs the hooks, or only verifies that somebody else did what they would do.
enum class PreparationMode { Run, Verify };

struct Hook {
  std::string name;  ///< Unique within a record.
  HookAction action;
  bool critical = true;
  std::chrono::seconds timeout = kHookTimeoutDefault;
  int retries = 0;         ///< Further tries after an SQL error; errors of the connection are always retried.
  std::string group{};     ///< Neighbours with the same group run in parallel; empty: alone.
  std::string run_mode{};  ///< "shared_nothing" or "shared_data": skipped on clusters of the other kind. Empty: always.
  RestoreMode restore = RestoreMode::Captured;
  std::string restore_sql{};  ///< Validated; for RestoreMode::Statement.
  friend bool operator==(const Hook&, const Hook&) = default;
};

[[nodiscard]] std::string_view to_string(PreparationMode mode);   // "run", "verify"
[[nodiscard]] std::string_view to_string(Probe probe);            // "FrontendsAlive"
[[nodiscard]] std::string_view to_string(Comparison comparison);  // "=", "!=", "<", "<=", ">", ">="
[[nodiscard]] std::string_view to_string(RestoreMode mode);       // "captured", "none", "sql"
/// Inverses of to_string; nothing for any other text.
[[nodiscard]] std::optional<PreparationMode> mode_from(std::string_view text);
[[nodiscard]] std::optional<Probe> probe_from(std::string_view text);
[[nodiscard]] std::optional<Comparison> comparison_from(std::string_view text);
[[nodiscard]] std::optional<RestoreMode> restore_mode_from(std::string_view text);

/// The setting that the hook sets, nullptr when it sets none.
[[nodiscard]] inline const ConfigSetting* setting_of(const Hook& hook) {
  const auto* action = std::get_if<SqlAction>(&hook.action);
  return action != nullptr && action->setting ? &*action->setting : nullptr;
}

}  // namespace gate
