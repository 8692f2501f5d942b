#include "policy/text/time.hpp"

#include <array>
#include <cstdio>

namespace gate {
namespace {

/// Reads fixed-width decimal fields from the front of a text.
class DigitReader {
 public:
  explicit DigitReader(std::string_view text) : rest_(text) {}

  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
        ok_ = false;
        return 0;
      }
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }

  /// Takes one character if it is one of `accepted`; '\0' otherwise.
  char optional(std::string_view accepted) {
    if (rest_.empty() || accepted.find(rest_.front()) == std::string_view::npos) return '\0';
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  char required(std::string_view accepted) {
    const char c = optional(accepted);
    ok_ = ok_ && c != '\0';
    return c;
  }

  [[nodiscard]] bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace

std::string format_time(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::array<char, 64> buffer{};
  const int length = std::snprintf(
      buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  return {buffer.data(), static_cast<std::size_t>(length)};
}

std::optional<WallTime> parse_time(std::string_view text) {
  using namespace std::chrono;
  DigitReader reader(text);
  const int year_number = reader.digits(4);
  reader.required("-");
  const int month_number = reader.digits(2);
  reader.required("-");
  const int day_number = reader.digits(2);
  reader.required("Tt");
  const int hour = reader.digits(2);
  reader.required(":");
  const int minute = reader.digits(2);
  reader.required(":");
  const int second = reader.digits(2);
  if (reader.optional(".") != '\0') {
    reader.digits(1);
    while (reader.optional("0123456789") != '\0') {
    }
  }
  const char zone = reader.required("Zz+-");
  minutes offset{0};
  if (zone == '+' || zone == '-') {
    const int offset_hours = reader.digits(2);
    reader.required(":");
    const int offset_minutes = reader.digits(2);
    if (offset_hours > 23 || offset_minutes > 59) return std::nullopt;
    offset = hours{offset_hours} + minutes{offset_minutes};
    if (zone == '-') offset = -offset;
  }
  if (!reader.complete()) return std::nullopt;

  const year_month_day date{year{year_number}, month{static_cast<unsigned>(month_number)},
                            day{static_cast<unsigned>(day_number)}};
  // Second 60 is a leap second: RFC 3339 allows it, and it reads as the first second of the next minute.
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return sys_days{date} + hours{hour} + minutes{minute} + seconds{second} - offset;
}

}  // namespace gate
