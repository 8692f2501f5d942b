#pragma once
// The span of one review, where reviews are traced.

#include <string_view>

#include "policy/review/admission_review.hpp"
#include "server/ports/clock.hpp"
#include "server/ports/span_sink.hpp"

namespace gate {

/// Begins with its making; without end() nothing was. Costs a branch where there is no sink. Belongs to one thread.
class ReviewSpan {
 public:
  /// `sink` may be null. Notes in `request` what a record that it begins is to be linked with. `traceparent` is a
  /// stranger's text.
  ReviewSpan(SpanSink* sink, const Clock& clock, AdmissionRequest& request, std::string_view traceparent)
      : clock_(clock) {
    if (sink != nullptr) begin(*sink, request, traceparent);
  }
  void end(const AdmissionRequest& request, const AdmissionAnswer& answer, std::string_view decision) {
    if (sink_ != nullptr) tell(request, answer, decision);
  }

 private:
  void begin(SpanSink& sink, AdmissionRequest& request, std::string_view traceparent);
  void tell(const AdmissionRequest& request, const AdmissionAnswer& answer, std::string_view decision);

  const Clock& clock_;
  SpanSink* sink_ = nullptr;  ///< Null: not traced.
  SteadyTime began_{};
  Span span_;
};

}  // namespace gate
