#pragma once
// The standard OTEL_* variables, as the OpenTelemetry specification reads them: an empty one is an absent one, and a
// value that is not understood is told and passed over. Only where spans go must be right, or nothing could.

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/text/result.hpp"
#include "policy/text/url.hpp"
#include "policy/trace/trace.hpp"

namespace gate {

struct TraceOptions {
  HttpUrl endpoint;                                          ///< Of the requests: with its path.
  std::vector<std::pair<std::string, std::string>> headers;  ///< Credentials, perhaps: never shown.
  std::string ca_file;                        ///< Trusted besides the system's authorities; may be empty.
  std::chrono::milliseconds timeout{10'000};  ///< Of one request.
  TraceSampler sampler;
  std::chrono::milliseconds schedule_delay{5'000};  ///< Spans wait so long for others, at most.
  /// Tries for one batch go on so long. Longer than the specification's 30 s: a gate has few spans, and a collector is
  /// away for a minute whenever its node is drained.
  std::chrono::milliseconds export_timeout{300'000};
  std::size_t queue_max = 2048;
  std::size_t batch_max = 512;
  std::vector<SpanAttribute> resource;  ///< service.name first.
};

struct TraceSettings {
  std::optional<TraceOptions> options;  ///< nothing: spans are not even made.
  std::vector<std::string> warnings;    ///< Each names its variable; no value of headers.
};

/// The value of a variable; nothing where it is not set.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// Off unless an endpoint is named, OTEL_SDK_DISABLED is not true and OTEL_TRACES_EXPORTER is not another than otlp.
/// `resource`: what is told of this process, where the variables do not say otherwise. InvalidInput: an endpoint that
/// is no URL.
[[nodiscard]] Result<TraceSettings> read_trace_settings(const VariableLookup& variable,
                                                        std::vector<SpanAttribute> resource);

}  // namespace gate
