#include "server/admission/review_span.hpp"

#include <string>
#include <utility>
#include <vector>

#include "policy/text/text.hpp"

namespace gate {

void ReviewSpan::begin(SpanSink& sink, AdmissionRequest& request, std::string_view traceparent) {
  const auto parent = parse_traceparent(traceparent);
  // The API server makes a UID for each call of a webhook.
  span_.context.trace = parent ? parent->trace : derived_trace_id({"review", request.uid});
  span_.context.span = derived_span_id({"review", request.uid});
  span_.context.sampled = true;
  if (!sink.samples(span_.context.trace, parent)) return;
  sink_ = &sink;
  if (parent) span_.parent = parent->span;
  span_.parent_is_remote = parent.has_value();
  span_.name = "review";
  span_.kind = SpanKind::Server;
  span_.start = sink.now();
  began_ = clock_.steady_now();
  request.traceparent = format_traceparent(span_.context);
}

void ReviewSpan::tell(const AdmissionRequest& request, const AdmissionAnswer& answer, std::string_view decision) {
  span_.end = span_.start + (clock_.steady_now() - began_);
  auto& attributes = span_.attributes;
  attributes = {
      {"k8s.namespace.name", clean_text(request.name_space)}, {"upgrade_gate.object.kind", clean_text(request.kind)},
      {"upgrade_gate.object.name", clean_text(request.name)}, {"upgrade_gate.review.uid", clean_text(request.uid)},
      {"upgrade_gate.review.dry_run", request.dry_run},       {"upgrade_gate.review.allowed", answer.allowed},
      {"upgrade_gate.decision", std::string(decision)}};
  if (!answer.reason.empty()) attributes.push_back({"upgrade_gate.reason", answer.reason});
  for (const auto& annotation : answer.audit) {
    if (annotation.key == "preparation") {
      attributes.push_back({"upgrade_gate.preparation.name", clean_text(annotation.value)});
    }
  }
  std::vector<Span> spans;
  spans.push_back(std::move(span_));
  std::exchange(sink_, nullptr)->take(std::move(spans));
}

}  // namespace gate
