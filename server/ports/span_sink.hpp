#pragma once
// Where the spans of reviews and preparations go, if they go anywhere.

#include <optional>
#include <vector>

#include "policy/trace/trace.hpp"

namespace gate {

/// Thread safe. Who has none (a null pointer) makes no spans.
class SpanSink {
 public:
  virtual ~SpanSink() = default;

  /// Whether spans of this trace are to be made; `parent`: what the request says of it.
  [[nodiscard]] virtual bool samples(const TraceId& trace, const std::optional<TraceContext>& parent) const = 0;

  /// The clock of spans: that of the wall, finer than records have it.
  [[nodiscard]] virtual SpanTime now() const = 0;

  /// Does not block. What there is no room for is dropped, and counted.
  virtual void take(std::vector<Span> spans) = 0;
};

}  // namespace gate
