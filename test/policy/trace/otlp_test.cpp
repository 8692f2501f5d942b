// Against the JSON encoding of OTLP: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
#include "policy/trace/otlp.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::nanoseconds;

SpanTime at(std::int64_t count) { return SpanTime(nanoseconds(count)); }

Span full_span() {
  Span span;
  span.context = *parse_traceparent("00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01");
  span.parent = parse_traceparent("00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b173-01")->span;
  span.parent_is_remote = true;
  span.name = "review";
  span.kind = SpanKind::Server;
  span.start = at(1'544'712'660'000'000'001);
  span.end = at(1'544'712'661'000'000'002);
  span.attributes = {{"text", std::string("value")},
                     {"yes", true},
                     {"whole", std::int64_t{-9'007'199'254'740'993}},
                     {"part", 0.5},
                     {"list", std::vector<std::string>{"a", "b"}}};
  span.events = {{"admitted", at(1'544'712'660'500'000'000)}};
  span.links = {*parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")};
  span.status = SpanStatus::Error;
  span.status_message = "HooksFailed";
  return span;
}

json only_span(const Span& span) {
  const auto request = json::parse(otlp_trace_request({}, "1", {span}));
  return request["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
}

}  // namespace

TEST_CASE("a request is ExportTraceServiceRequest in proto3's JSON, as OTLP changes it") {
  const auto request = json::parse(otlp_trace_request({{"service.name", std::string("gate")}}, "0.1.0", {full_span()}));
  const auto expected = json::parse(R"({"resourceSpans":[{
    "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"gate"}}]},
    "scopeSpans":[{"scope":{"name":"upgrade-gate","version":"0.1.0"},"spans":[{
      "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173",
      "flags":769,"name":"review","kind":2,
      "startTimeUnixNano":"1544712660000000001","endTimeUnixNano":"1544712661000000002",
      "attributes":[{"key":"text","value":{"stringValue":"value"}},
                    {"key":"yes","value":{"boolValue":true}},
                    {"key":"whole","value":{"intValue":"-9007199254740993"}},
                    {"key":"part","value":{"doubleValue":0.5}},
                    {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":"b"}]}}}],
      "events":[{"timeUnixNano":"1544712660500000000","name":"admitted"}],
      "links":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331"}],
      "status":{"code":2,"message":"HooksFailed"}}]}]}]})");
  CHECK(request == expected);
}

TEST_CASE("what a span does not have is left out") {
  Span span;
  span.context = full_span().context;
  span.name = "hook";
  const auto written = only_span(span);
  for (const auto* absent : {"parentSpanId", "events", "links", "status"}) {
    CAPTURE(absent);
    CHECK_FALSE(written.contains(absent));
  }
  CHECK(written["kind"] == 1);
  CHECK(written["flags"] == 0x101);
  CHECK(written["attributes"] == json::array());
}

TEST_CASE("times that no collector takes are corrected, and texts that no JSON has") {
  auto span = full_span();
  span.start = at(-5);
  span.end = at(-7);
  span.attributes = {{"bad\xff", std::string("\xc3(")}};
  const auto written = only_span(span);
  CHECK(written["startTimeUnixNano"] == "0");
  CHECK(written["endTimeUnixNano"] == "0");
  CHECK(written["attributes"][0]["key"] == "bad\xef\xbf\xbd");

  span.start = at(10);
  span.end = at(9);
  CHECK(only_span(span)["endTimeUnixNano"] == "10");
}

TEST_CASE("what a collector did not take is read from its answer, whatever else that is") {
  struct Row {
    std::string body;
    std::uint64_t rejected;
    std::string message;
  };
  for (const auto& row : std::vector<Row>{
           {R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}})", 3, "too old"},
           {R"({"partialSuccess":{"rejectedSpans":2}})", 2, ""},
           {R"({"partialSuccess":{"errorMessage":"use another endpoint"}})", 0, "use another endpoint"},
       }) {
    CAPTURE(row.body);
    const auto partial = otlp_partial_success(row.body);
    REQUIRE(partial.has_value());
    CHECK(partial->rejected == row.rejected);
    CHECK(partial->message == row.message);
  }
  for (const std::string body :
       {"", "{}", R"({"partialSuccess":{}})", R"({"partialSuccess":null})",
        R"({"partialSuccess":{"rejectedSpans":"0"}})", R"({"partialSuccess":{"rejectedSpans":"-1"}})",
        R"({"partialSuccess":{"rejectedSpans":"3x"}})", "[]", "\n\x02", R"({"partialSuccess":{"rejectedSpans":1.5}})",
        "OK", R"({"partialSuccess":{"rejectedSpans":{"a":1}}})"}) {
    CAPTURE(body);
    CHECK_FALSE(otlp_partial_success(body).has_value());
  }
}

}  // namespace gate
