// Goal: reviews of image changes have a span, others none, and a record leads back to the review that began it.

#include "server/admission/review_span.hpp"

#include <doctest/doctest.h>

#include "test/fakes/kept_spans.hpp"
#include "test/server/admission/admission_gate.hpp"

namespace gate {
namespace {

using namespace test;

const std::string kCaller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A gate whose reviews are traced.
struct TracedGate {
  Gate gate;
  KeptSpans spans;
  AdmissionService service{{gate.store, gate.world.clusters, gate.replica.controller, gate.waiters, gate.world.clock,
                            gate.world.log, &spans},
                           {kAmple, {}, {}, {}, VersionPolicy::Warn},
                           [](const ReviewOutcome&) {}};

  json review(const json& body, std::string_view traceparent = {}) {
    gate.world.clusters.set_object(body.at("request").at("oldObject"));
    const auto reply = service.review(AdmissionService::kGatePath, body.dump(), kReviewTimeoutMax, traceparent);
    return json::parse(reply.body).at("response");
  }
};

}  // namespace

TEST_CASE("a review of an image change is a span of its caller's trace, and the record leads to it") {
  TracedGate traced;
  const auto body = upgrade();
  REQUIRE(traced.review(body, kCaller).at("allowed") == true);
  const auto spans = traced.spans.spans();
  REQUIRE(spans.size() == 1);
  const auto& span = spans.front();
  const auto caller = parse_traceparent(kCaller);
  CHECK(span.name == "review");
  CHECK(span.kind == SpanKind::Server);
  CHECK(span.context.trace == caller->trace);
  CHECK(span.parent == caller->span);
  CHECK(span.parent_is_remote);
  CHECK(span.end >= span.start);
  CHECK(text_attribute(span, "upgrade_gate.decision") == "allowed-prepared");
  CHECK(text_attribute(span, "upgrade_gate.object.name") == "sr");
  CHECK(text_attribute(span, "k8s.namespace.name") == "db");
  CHECK(text_attribute(span, "upgrade_gate.review.uid") == body.at("request").at("uid").get<std::string>());
  const auto records = traced.gate.records();
  REQUIRE(records.size() == 1);
  CHECK(text_attribute(span, "upgrade_gate.preparation.name") == records.front().name);
  CHECK(parse_traceparent(records.front().spec.requested_by.traceparent) == span.context);
}

TEST_CASE("what is no traceparent begins a trace of the gate's own") {
  for (const std::string header : {"", "nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01"}) {
    CAPTURE(header);
    TracedGate traced;
    (void)traced.review(upgrade(), header);
    const auto spans = traced.spans.spans();
    REQUIRE(spans.size() == 1);
    CHECK_FALSE(spans.front().parent.has_value());
    CHECK_FALSE(spans.front().parent_is_remote);
  }
}

TEST_CASE("a review that changes no image has no span, nor has one that is not sampled") {
  TracedGate traced;
  (void)traced.review(review_of(configured("fe:1"), configured("fe:1")), kCaller);
  CHECK(traced.spans.spans().empty());

  // Its caller does not trace it.
  (void)traced.review(upgrade(), kCaller.substr(0, kCaller.size() - 2) + "00");
  CHECK(traced.spans.spans().empty());
  REQUIRE(traced.gate.records().size() == 1);
  CHECK(traced.gate.records().front().spec.requested_by.traceparent.empty());
}

TEST_CASE("a refusal is told with its reason, and is no fault of the gate") {
  TracedGate traced;
  (void)traced.review(review_of(configured("fe:1", "no-such-hook"), configured("fe:2", "no-such-hook")), kCaller);
  const auto spans = traced.spans.spans();
  REQUIRE(spans.size() == 1);
  CHECK(text_attribute(spans.front(), "upgrade_gate.decision") == "denied");
  CHECK(text_attribute(spans.front(), "upgrade_gate.reason") != "");
  CHECK(spans.front().status == SpanStatus::Unset);
}

}  // namespace gate
