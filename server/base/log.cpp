#include "server/base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include "policy/text/text.hpp"

namespace gate {
namespace {

/// Of a line of a library's; ours are constants.
constexpr std::size_t kLogMessageBytesMax = 4096;
/// What is kept of a value's end, where the cause stands.
constexpr std::size_t kLogValueEndBytes = kLogValueBytesMax / 3;
constexpr std::string_view kCut = " ... ";

/// By its address, which no text can have: the payload is members already, not text.
constexpr char kMembers[] = "members";

constexpr bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// At most `bytes_max` and the mark of a cut; characters stay whole.
std::string without_middle(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  std::size_t begin = bytes_max - kLogValueEndBytes;
  while (begin > 0 && is_continuation(text[begin])) --begin;
  std::size_t end = text.size() - kLogValueEndBytes;
  while (end < text.size() && is_continuation(text[end])) ++end;
  return std::string(text.substr(0, begin)).append(kCut).append(text.substr(end));
}

void append_text(std::string& line, std::string_view text, std::size_t bytes_max) {
  line += '"';
  for (const char character : printable_text(without_middle(text, bytes_max))) {
    if (character == '"' || character == '\\') line += '\\';
    line += character;
  }
  line += '"';
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warning:
      return spdlog::level::warn;
    case LogLevel::Error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string time_of(spdlog::log_clock::time_point time) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 80> text{};
  const int length = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                                   parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                                   parts.tm_sec, static_cast<int>(milliseconds % 1000));
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string line_of(spdlog::log_clock::time_point time, spdlog::level::level_enum level, std::string_view members) {
  const auto name = spdlog::level::to_string_view(level);
  std::string line = R"({"ts":")" + time_of(time) + R"(","level":")";
  return line.append(name.data(), name.size()).append(R"(",)").append(members).append("}");
}

std::string members_of(std::string_view message, LogFields fields, std::uint64_t repeats) {
  std::string members = R"("message":)";
  append_text(members, message, kLogMessageBytesMax);
  for (const auto& field : fields) field.append_to(members);
  if (repeats > 0) LogField("repeats", repeats).append_to(members);
  return members;
}

class JsonSink final : public spdlog::sinks::sink {
 public:
  explicit JsonSink(std::function<void(std::string)> write) : write_(std::move(write)) {}

  void log(const spdlog::details::log_msg& message) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    if (message.source.filename == kMembers) {
      write_(line_of(message.time, message.level, payload));
    } else {
      write_(line_of(message.time, message.level, members_of(payload, {}, 0)));
    }
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}  // Its lines are JSON and nothing else.
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  const std::function<void(std::string)> write_;
};

void log_members(Logger& log, LogLevel level, std::string_view message, LogFields fields, std::uint64_t repeats) {
  const auto spdlog_level = to_spdlog(level);
  if (!log.should_log(spdlog_level)) return;
  const std::string members = members_of(message, fields, repeats);
  log.log(spdlog::source_loc{kMembers, 1, ""}, spdlog_level, spdlog::string_view_t(members.data(), members.size()));
}

}  // namespace

void LogField::append_to(std::string& line) const {
  if (kind_ == Kind::Text && text_.empty()) return;
  line.append(",\"").append(name_).append("\":");
  switch (kind_) {
    case Kind::Text:
      append_text(line, text_, kLogValueBytesMax);
      break;
    case Kind::Bool:
      line += number_ != 0 ? "true" : "false";
      break;
    case Kind::Number:
      line += std::to_string(number_);
      break;
  }
}

void log_event(Logger& log, LogLevel level, std::string_view message, LogFields fields) noexcept {
  try {
    log_members(log, level, message, fields, 0);
  } catch (...) {  // NOLINT(bugprone-empty-catch): out of memory; the line is lost, what it tells of goes on.
  }
}

std::optional<std::uint64_t> LogLimiter::admit(std::chrono::steady_clock::time_point now) {
  const auto state = state_.lock();
  if (state->last && now - *state->last < interval_) {
    ++state->left_out;
    return std::nullopt;
  }
  state->last = now;
  return std::exchange(state->left_out, 0);
}

void log_limited(LogLimiter& limiter, std::chrono::steady_clock::time_point now, Logger& log, LogLevel level,
                 std::string_view message, LogFields fields) noexcept {
  try {
    if (const auto repeats = limiter.admit(now)) log_members(log, level, message, fields, *repeats);
  } catch (...) {  // NOLINT(bugprone-empty-catch): as in log_event().
  }
}

std::string json_log_line(LogLevel level, std::string_view message, LogFields fields) {
  return line_of(spdlog::log_clock::now(), to_spdlog(level), members_of(message, fields, 0));
}

std::shared_ptr<Logger> make_json_logger(const std::string& level, std::function<void(std::string)> write) {
  auto logger = std::make_shared<spdlog::logger>("gate", std::make_shared<JsonSink>(std::move(write)));
  logger->set_level(spdlog::level::from_str(level));
  logger->set_error_handler([](const std::string&) {});  // By default it would write to stderr itself.
  return logger;
}

}  // namespace gate
