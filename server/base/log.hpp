#pragma once
// Log lines with members: one logger, made in main and handed in everywhere; no library's default logger.
//
//   log_warning(log, "restore failed", {{"cluster", key}, {"frontend", address}, {"error", error.message}});
//   {"ts":"2026-01-02T03:04:05.678Z","level":"warning","message":"restore failed","cluster":"db/sr","frontend":...}
//
// The message is a constant text; whatever varies is a member. Members that mean the same have the same name:
//   cluster (namespace/name), preparation (namespace/name), hook, frontend (host:port), object, user, uid, error.
// Credentials never belong into any of them.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/guarded.hpp"

namespace spdlog {
class logger;
}

namespace gate {

using Logger = spdlog::logger;

enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error };

/// A longer value loses its middle: what happened stands at its beginning, the cause at its end.
inline constexpr std::size_t kLogValueBytesMax = 1024;
/// Between two lines about something that a peer can do as often as it likes.
inline constexpr std::chrono::seconds kLogInterval{10};

/// A name and a value, valid while what they are made of is. An empty text is left out of the line. Foreign text is
/// welcome: it is escaped, bounded, and freed of control characters.
class LogField {
 public:
  LogField(std::string_view name, std::string_view text) : name_(name), text_(text), kind_(Kind::Text) {}
  LogField(std::string_view name, const std::string& text) : LogField(name, std::string_view(text)) {}
  LogField(std::string_view name, const char* text) : LogField(name, std::string_view(text)) {}
  LogField(std::string_view name, bool value) : name_(name), number_(value ? 1 : 0), kind_(Kind::Bool) {}
  template <std::integral Number>
  LogField(std::string_view name, Number value)
      : name_(name), number_(static_cast<std::int64_t>(value)), kind_(Kind::Number) {}

  /// Appends `,"name":value`, or nothing.
  void append_to(std::string& line) const;

 private:
  enum class Kind : std::uint8_t { Text, Bool, Number };
  std::string_view name_;
  std::string_view text_;
  std::int64_t number_ = 0;
  Kind kind_;
};
using LogFields = std::initializer_list<LogField>;

/// Never throws and never waits for a reader of the log.
void log_event(Logger& log, LogLevel level, std::string_view message, LogFields fields = {}) noexcept;
inline void log_debug(Logger& log, std::string_view message, LogFields fields = {}) noexcept {
  log_event(log, LogLevel::Debug, message, fields);
}
inline void log_info(Logger& log, std::string_view message, LogFields fields = {}) noexcept {
  log_event(log, LogLevel::Info, message, fields);
}
inline void log_warning(Logger& log, std::string_view message, LogFields fields = {}) noexcept {
  log_event(log, LogLevel::Warning, message, fields);
}
inline void log_error(Logger& log, std::string_view message, LogFields fields = {}) noexcept {
  log_event(log, LogLevel::Error, message, fields);
}

/// For lines whose frequency a peer decides: one object per kind of line. Thread safe.
class LogLimiter {
 public:
  explicit LogLimiter(std::chrono::milliseconds interval = kLogInterval) : interval_(interval) {}

  /// nullopt: the line is left out. Else how many were left out since the last one that was not.
  [[nodiscard]] std::optional<std::uint64_t> admit(std::chrono::steady_clock::time_point now);

 private:
  const std::chrono::milliseconds interval_;
  struct State {
    std::optional<std::chrono::steady_clock::time_point> last;
    std::uint64_t left_out = 0;
  };
  Guarded<State> state_;
};

/// log_event(), if the limiter admits it; with a member `repeats` for those left out before it.
void log_limited(LogLimiter& limiter, std::chrono::steady_clock::time_point now, Logger& log, LogLevel level,
                 std::string_view message, LogFields fields = {}) noexcept;

/// One such line by itself, without a line feed.
[[nodiscard]] std::string json_log_line(LogLevel level, std::string_view message, LogFields fields = {});

/// A logger whose every line, of log_event() or of a library that was given the logger, is one JSON object without a
/// line feed, handed to `write`. `level`: debug, info, warning or error. `write` is called by many threads at once.
[[nodiscard]] std::shared_ptr<Logger> make_json_logger(const std::string& level,
                                                       std::function<void(std::string line)> write);

}  // namespace gate
