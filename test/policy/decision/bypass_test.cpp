// Goal: a break-glass bypass opens for one target, with a reason, until a time; everything else is named and ignored.

#include "policy/decision/bypass.hpp"

#include <doctest/doctest.h>

using namespace gate;

namespace {
const WallTime kNow = *parse_time("2026-05-01T12:00:00Z");
}

TEST_CASE("a bypass names target, reason and time, however it is spaced") {
  for (const char* text : {"0123456789; reason=disk full; until=2026-05-01T13:00:00Z",
                           " 0123456789 ;until=2026-05-01T15:00:00+02:00;  reason = disk full ;"}) {
    INFO(text);
    const auto bypass = parse_bypass(text);
    REQUIRE(bypass.ok());
    CHECK(bypass->target == "0123456789");
    CHECK(bypass->reason == "disk full");
    CHECK(bypass->until == parse_time("2026-05-01T13:00:00Z"));
  }
}

TEST_CASE("a bypass that is not whole is refused with what is wrong") {
  struct Row {
    const char* name;
    const char* text;
    const char* complaint;
  };
  for (const Row& row :
       {Row{"empty", "", "target key"}, Row{"blank", " ; reason=x; until=2026-05-01T13:00:00Z", "target key"},
        Row{"no target", "reason=x; until=2026-05-01T13:00:00Z", "target key"},
        Row{"no reason", "*; until=2026-05-01T13:00:00Z", "reason= is missing"},
        Row{"empty reason", "*; reason= ; until=2026-05-01T13:00:00Z", "reason= is missing"},
        Row{"no time", "*; reason=x", "until= is missing"},
        Row{"date only", "*; reason=x; until=2026-05-01", "RFC 3339"},
        Row{"for ever", "*; reason=x; until=never", "RFC 3339"},
        Row{"two times", "*; reason=x; until=2026-05-01T13:00:00Z; until=2099-05-01T13:00:00Z", "neither"},
        Row{"unknown part", "*; reason=x; force; until=2026-05-01T13:00:00Z", "\"force\""}}) {
    INFO(row.name);
    const auto bypass = parse_bypass(row.text);
    REQUIRE_FALSE(bypass.ok());
    CHECK_MESSAGE(bypass.error().message.find(row.complaint) != std::string::npos, bypass.error().message);
  }
}

TEST_CASE("a bypass opens for its target until its time, and for no longer than a week") {
  struct Row {
    const char* name;
    const char* target;
    std::chrono::seconds ahead;
    const char* obstacle;  // "" = it opens
  };
  for (const Row& row :
       {Row{"its target", "0123456789", std::chrono::hours(1), ""}, Row{"any target", "*", std::chrono::hours(1), ""},
        Row{"a week", "*", std::chrono::hours(7 * 24), ""},
        Row{"another target", "9876543210", std::chrono::hours(1), "is for target 9876543210"},
        Row{"now", "*", std::chrono::seconds(0), "expired"}, Row{"long ago", "*", -std::chrono::hours(24), "expired"},
        Row{"left open", "*", std::chrono::hours(7 * 24) + std::chrono::seconds(1), "7 days"}}) {
    INFO(row.name);
    const auto obstacle = bypass_obstacle({row.target, "x", kNow + row.ahead}, "0123456789", kNow);
    CHECK(obstacle.empty() == (*row.obstacle == '\0'));
    CHECK(obstacle.find(row.obstacle) != std::string::npos);
  }
}
