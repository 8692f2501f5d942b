#include "policy/trace/otlp.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "policy/json/json_member.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr const char* kScope = "upgrade-gate";
// SpanFlags of OTLP: bits 8 and 9 say whether it is known where the parent comes from, and whether from outside.
constexpr std::uint32_t kSampled = 0x1;
constexpr std::uint32_t kHasIsRemote = 0x100;
constexpr std::uint32_t kIsRemote = 0x200;

json value_json(const SpanValue& value) {
  return std::visit(
      [](const auto& it) -> json {
        using Kind = std::decay_t<decltype(it)>;
        if constexpr (std::is_same_v<Kind, std::string>) {
          return {{"stringValue", it}};
        } else if constexpr (std::is_same_v<Kind, bool>) {
          return {{"boolValue", it}};
        } else if constexpr (std::is_same_v<Kind, std::int64_t>) {
          return {{"intValue", std::to_string(it)}};
        } else if constexpr (std::is_same_v<Kind, double>) {
          return {{"doubleValue", it}};
        } else {
          json values = json::array();
          for (const auto& text : it) values.push_back({{"stringValue", text}});
          return {{"arrayValue", {{"values", std::move(values)}}}};
        }
      },
      value);
}

json attributes_json(const std::vector<SpanAttribute>& attributes) {
  json out = json::array();
  for (const auto& attribute : attributes) {
    out.push_back({{"key", attribute.key}, {"value", value_json(attribute.value)}});
  }
  return out;
}

/// An unsigned number there: no time is before 1970.
std::string nanoseconds(SpanTime time) {
  return std::to_string(std::max<std::int64_t>(0, time.time_since_epoch().count()));
}

json span_json(const Span& span) {
  json out{{"traceId", hex(span.context.trace)},
           {"spanId", hex(span.context.span)},
           {"flags", (span.context.sampled ? kSampled : 0U) | kHasIsRemote | (span.parent_is_remote ? kIsRemote : 0U)},
           {"name", span.name},
           {"kind", static_cast<int>(span.kind)},
           {"startTimeUnixNano", nanoseconds(span.start)},
           {"endTimeUnixNano", nanoseconds(std::max(span.start, span.end))},
           {"attributes", attributes_json(span.attributes)}};
  if (span.parent) out["parentSpanId"] = hex(*span.parent);
  for (const auto& event : span.events) {
    out["events"].push_back({{"timeUnixNano", nanoseconds(event.time)}, {"name", event.name}});
  }
  for (const auto& link : span.links) {
    out["links"].push_back({{"traceId", hex(link.trace)}, {"spanId", hex(link.span)}});
  }
  if (span.status != SpanStatus::Unset) {
    out["status"] = {{"code", static_cast<int>(span.status)}};
    if (!span.status_message.empty()) out["status"]["message"] = span.status_message;
  }
  return out;
}

}  // namespace

std::string otlp_trace_request(const std::vector<SpanAttribute>& resource, std::string_view version,
                               const std::vector<Span>& spans) {
  json list = json::array();
  for (const auto& span : spans) list.push_back(span_json(span));
  json scope{{"scope", {{"name", kScope}, {"version", version}}}, {"spans", std::move(list)}};
  json resource_spans{{"resource", {{"attributes", attributes_json(resource)}}},
                      {"scopeSpans", json::array({std::move(scope)})}};
  const json request{{"resourceSpans", json::array({std::move(resource_spans)})}};
  return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<OtlpPartialSuccess> otlp_partial_success(std::string_view body) {
  const json answer = json::parse(body, nullptr, /*allow_exceptions=*/false);
  const json& partial = member(answer, "partialSuccess");
  const json& count = member(partial, "rejectedSpans");
  OtlpPartialSuccess out;
  out.message = text_member(partial, "errorMessage");
  if (count.is_number_unsigned()) {
    out.rejected = count.get<std::uint64_t>();
  } else if (count.is_string()) {
    const auto& text = count.get_ref<const std::string&>();
    const char* const end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, out.rejected);
    if (failure != std::errc{} || at != end) out.rejected = 0;
  }
  // A message without a number is a collector's advice.
  if (out.rejected == 0 && out.message.empty()) return std::nullopt;
  return out;
}

}  // namespace gate
