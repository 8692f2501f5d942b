#include "policy/trace/trace.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

namespace gate {
namespace {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpan = "b7ad6b7169203331";
const std::string kValid = "00-" + kTrace + "-" + kSpan + "-01";

}  // namespace

TEST_CASE("a traceparent is read as W3C says, and nothing else is one") {
  struct Row {
    std::string name;
    std::string header;
    bool valid;
    bool sampled = false;
  };
  const std::string zeros(32, '0');
  const std::vector<Row> rows{
      {"sampled", kValid, true, true},
      {"not sampled", "00-" + kTrace + "-" + kSpan + "-00", true},
      {"flags that nobody knows yet", "00-" + kTrace + "-" + kSpan + "-fe", true},
      {"all flags", "00-" + kTrace + "-" + kSpan + "-ff", true, true},
      {"a later version", "cc-" + kTrace + "-" + kSpan + "-01", true, true},
      {"a later version with more", "cc-" + kTrace + "-" + kSpan + "-01-what-the-future-brings", true, true},
      {"a later version with more, undivided", "cc-" + kTrace + "-" + kSpan + "-01x", false},
      {"this version with more", kValid + "-00", false},
      {"no version", "ff-" + kTrace + "-" + kSpan + "-01", false},
      {"empty", "", false},
      {"cut", kValid.substr(0, 54), false},
      {"blank before", " " + kValid, false},
      {"blank behind", kValid + " ", false},
      {"upper case", "00-" + std::string("0AF7651916CD43DD8448EB211C80319C") + "-" + kSpan + "-01", false},
      {"no trace", "00-" + zeros + "-" + kSpan + "-01", false},
      {"no span", "00-" + kTrace + "-" + zeros.substr(0, 16) + "-01", false},
      {"another letter", "00-" + kTrace.substr(0, 31) + "g-" + kSpan + "-01", false},
      {"another letter in the flags", "00-" + kTrace + "-" + kSpan + "-0g", false},
      {"another letter in the version", "0g-" + kTrace + "-" + kSpan + "-01", false},
      {"first dash", "00_" + kTrace + "-" + kSpan + "-01", false},
      {"second dash", "00-" + kTrace + "_" + kSpan + "-01", false},
      {"third dash", "00-" + kTrace + "-" + kSpan + "_01", false},
      {"NUL inside", "00-" + kTrace.substr(0, 31) + std::string(1, '\0') + "-" + kSpan + "-01", false},
      {"no ASCII", "00-" + kTrace.substr(0, 30) + "\xc3\xa9-" + kSpan + "-01", false},
      {"very long", "00-" + std::string(1u << 20, 'a'), false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto context = parse_traceparent(row.header);
    REQUIRE(context.has_value() == row.valid);
    if (!row.valid) continue;
    CHECK(hex(context->trace) == kTrace);
    CHECK(hex(context->span) == kSpan);
    CHECK(context->sampled == row.sampled);
  }
}

TEST_CASE("a context is read as it was written") {
  for (const bool sampled : {true, false}) {
    const TraceContext context{derived_trace_id({"a"}), derived_span_id({"b"}), sampled};
    CHECK(parse_traceparent(format_traceparent(context)) == context);
  }
  CHECK(format_traceparent(*parse_traceparent(kValid)) == kValid);
}

TEST_CASE("derived identifiers are the same for the same parts, and for no others") {
  CHECK(derived_trace_id({"preparation", "u"}) == derived_trace_id({"preparation", "u"}));
  std::set<std::string> seen;
  for (const auto& id :
       {derived_span_id({"a", "b"}), derived_span_id({"ab"}), derived_span_id({"ab", ""}), derived_span_id({"", "ab"}),
        derived_span_id({"a", "b", ""}), derived_span_id({"b", "a"}), derived_span_id({"a:1:b"})}) {
    seen.insert(hex(id));
  }
  CHECK(seen.size() == 7);
  // Written down: another gate of another version must mean the same trace.
  CHECK(hex(derived_trace_id({"preparation", "11111111-2222-3333-4444-555555555555"})) ==
        "138ca9031548d4ccf8c7e076ff12019d");
}

TEST_CASE("a sampler follows the parent where it is to, and else decides by the trace alone") {
  const TraceContext yes{derived_trace_id({"a"}), derived_span_id({"a"}), true};
  const TraceContext no{yes.trace, yes.span, false};
  CHECK(is_sampled({}, yes.trace));
  CHECK(is_sampled({}, yes.trace, yes));
  CHECK_FALSE(is_sampled({}, yes.trace, no));
  CHECK(is_sampled({true, 0}, yes.trace, yes));
  CHECK_FALSE(is_sampled({true, 0}, yes.trace));
  CHECK_FALSE(is_sampled({false, 0}, yes.trace, yes));
  CHECK(is_sampled({false, 1}, yes.trace, no));

  int taken = 0;
  constexpr int kTraces = 10'000;
  for (int i = 0; i < kTraces; ++i) {
    const auto trace = derived_trace_id({std::to_string(i)});
    const bool quarter = is_sampled({false, 0.25}, trace);
    taken += quarter ? 1 : 0;
    // Who samples more takes all that others take.
    if (quarter) CHECK(is_sampled({false, 0.5}, trace));
  }
  CHECK(taken > kTraces / 5);
  CHECK(taken < kTraces * 3 / 10);
  TraceId edge{};
  CHECK(is_sampled({false, 1e-9}, edge));
  edge.fill(0xff);
  CHECK_FALSE(is_sampled({false, 0.999}, edge));
}

}  // namespace gate
