#pragma once
// A SpanSink that keeps what it is given.

#include <chrono>
#include <iterator>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/ports/span_sink.hpp"

namespace gate::test {

/// Thread safe; set `sampler` before use.
class KeptSpans final : public SpanSink {
 public:
  [[nodiscard]] bool samples(const TraceId& trace, const std::optional<TraceContext>& parent) const override {
    return is_sampled(sampler, trace, parent);
  }
  [[nodiscard]] SpanTime now() const override { return std::chrono::system_clock::now(); }
  void take(std::vector<Span> spans) override {
    const std::lock_guard lock(mutex_);
    std::move(spans.begin(), spans.end(), std::back_inserter(spans_));
  }
  [[nodiscard]] std::vector<Span> spans() const {
    const std::lock_guard lock(mutex_);
    return spans_;
  }

  TraceSampler sampler;

 private:
  mutable std::mutex mutex_;
  std::vector<Span> spans_;  // guarded by mutex_
};

/// The value of a text attribute; "" where there is none.
inline std::string text_attribute(const Span& span, const std::string& key) {
  for (const auto& attribute : span.attributes) {
    if (attribute.key == key && std::holds_alternative<std::string>(attribute.value)) {
      return std::get<std::string>(attribute.value);
    }
  }
  return {};
}

}  // namespace gate::test
