#pragma once
// OTLP's JSON encoding of traces (opentelemetry-proto, ExportTraceServiceRequest): identifiers are hexadecimal, 64-bit
// numbers are strings, enumerators are numbers, names are lowerCamelCase.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/trace/trace.hpp"

namespace gate {

/// The body of one request. Invalid UTF-8 is replaced. `resource`: who tells (service.name, ...).
[[nodiscard]] std::string otlp_trace_request(const std::vector<SpanAttribute>& resource, std::string_view version,
                                             const std::vector<Span>& spans);

/// What a collector did not take of a request that it answered with 200.
struct OtlpPartialSuccess {
  std::uint64_t rejected = 0;
  std::string message;  ///< Foreign.
};
/// Of the body of such an answer; nothing where all was taken, or where the body cannot be read: it was a success.
[[nodiscard]] std::optional<OtlpPartialSuccess> otlp_partial_success(std::string_view body);

}  // namespace gate
