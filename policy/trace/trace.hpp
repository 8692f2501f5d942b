#pragma once
// Distributed traces as values: identifiers, W3C trace contexts, spans, and which of them are sampled.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gate {

using TraceId = std::array<std::uint8_t, 16>;
using SpanId = std::array<std::uint8_t, 8>;
using SpanTime = std::chrono::sys_time<std::chrono::nanoseconds>;

/// Lower case hexadecimal digits.
[[nodiscard]] std::string hex(const TraceId& id);
[[nodiscard]] std::string hex(const SpanId& id);

/// Made from a text that identifies the thing for ever (a record's UID): whoever tells of it, and however often, means
/// the same trace. Never all zeros. The parts are told apart whatever they hold.
[[nodiscard]] TraceId derived_trace_id(std::initializer_list<std::string_view> parts);
[[nodiscard]] SpanId derived_span_id(std::initializer_list<std::string_view> parts);

struct TraceContext {
  TraceId trace{};
  SpanId span{};
  bool sampled = false;
  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

/// The header `traceparent` (W3C Trace Context, 3.2): nothing for whatever is not exactly one. Linear, and looks at 56
/// bytes at most.
[[nodiscard]] std::optional<TraceContext> parse_traceparent(std::string_view header);
/// Of version 00.
[[nodiscard]] std::string format_traceparent(const TraceContext& context);

using SpanValue = std::variant<std::string, bool, std::int64_t, double, std::vector<std::string>>;

/// The value is foreign text at times: clean_text() it. Never a credential, and never SQL.
struct SpanAttribute {
  std::string key;
  SpanValue value;
  friend bool operator==(const SpanAttribute&, const SpanAttribute&) = default;
};

/// By their numbers in OTLP.
enum class SpanKind { Internal = 1, Server = 2 };
enum class SpanStatus { Unset = 0, Ok = 1, Error = 2 };

struct SpanEvent {
  std::string name;
  SpanTime time;
};

struct Span {
  TraceContext context;
  std::optional<SpanId> parent;
  bool parent_is_remote = false;  ///< It came with a request.
  std::string name;               ///< One of few: it must not hold what a tenant chose.
  SpanKind kind = SpanKind::Internal;
  SpanTime start;
  SpanTime end;  ///< Not before start.
  std::vector<SpanAttribute> attributes;
  std::vector<SpanEvent> events;
  std::vector<TraceContext> links;
  SpanStatus status = SpanStatus::Unset;
  std::string status_message;  ///< With Error.
};

/// OTEL_TRACES_SAMPLER.
struct TraceSampler {
  bool parent_based = true;  ///< A parent's decision counts, where there is one.
  double ratio = 1.0;        ///< Of the traces that the gate begins: 0 none, 1 all.
};

/// The same answer for all spans of a trace, on every replica. `parent`: what the request's context says.
[[nodiscard]] bool is_sampled(const TraceSampler& sampler, const TraceId& trace,
                              const std::optional<TraceContext>& parent = {});

}  // namespace gate
