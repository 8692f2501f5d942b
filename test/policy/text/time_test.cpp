#include "policy/text/time.hpp"

#include <doctest/doctest.h>

using namespace gate;
using namespace std::chrono;

TEST_CASE("a time is written as Kubernetes writes it") {
  CHECK(format_time(WallTime{}) == "1970-01-01T00:00:00Z");
  CHECK(format_time(sys_days{2026y / January / 2} + hours{3} + minutes{4} + seconds{5}) == "2026-01-02T03:04:05Z");
  CHECK(format_time(sys_days{1969y / December / 31} + hours{23} + minutes{59} + seconds{59}) == "1969-12-31T23:59:59Z");
}

TEST_CASE("RFC 3339 is read; offsets count, fractions are dropped") {
  struct Row {
    const char* name;
    const char* text;
    const char* expected;  // "" = refused
  };
  constexpr Row kRows[] = {
      {"utc", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"},
      {"lower case letters", "2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"},
      {"microseconds of MicroTime", "2026-01-02T03:04:05.999999Z", "2026-01-02T03:04:05Z"},
      {"east of Greenwich", "2026-01-02T03:04:05+02:30", "2026-01-02T00:34:05Z"},
      {"west of Greenwich, over midnight", "2025-12-31T23:04:05-01:00", "2026-01-01T00:04:05Z"},
      {"fraction and offset", "2026-01-02T03:04:05.5+00:00", "2026-01-02T03:04:05Z"},
      {"leap day", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
      {"leap second", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
      {"empty", "", ""},
      {"no zone", "2026-01-02T03:04:05", ""},
      {"date only", "2026-01-02", ""},
      {"no leap day", "2026-02-29T00:00:00Z", ""},
      {"month 13", "2026-13-01T00:00:00Z", ""},
      {"day 0", "2026-01-00T00:00:00Z", ""},
      {"hour 24", "2026-01-01T24:00:00Z", ""},
      {"minute 60", "2026-01-01T00:60:00Z", ""},
      {"second 61", "2026-01-01T00:00:61Z", ""},
      {"offset hour 24", "2026-01-01T00:00:00+24:00", ""},
      {"offset minute 60", "2026-01-01T00:00:00+00:60", ""},
      {"offset without colon", "2026-01-01T00:00:00+0000", ""},
      {"empty fraction", "2026-01-01T00:00:00.Z", ""},
      {"something behind", "2026-01-01T00:00:00Z ", ""},
      {"something before", " 2026-01-01T00:00:00Z", ""},
      {"sign in a number", "2026-+1-01T00:00:00Z", ""},
      {"blank instead of T", "2026-01-01 00:00:00Z", ""},
  };
  for (const Row& row : kRows) {
    INFO(row.name);
    const std::optional<WallTime> time = parse_time(row.text);
    CHECK((time ? format_time(*time) : "") == std::string(row.expected));
  }
}
