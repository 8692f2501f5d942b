#pragma once
// One AdmissionReview from bytes to bytes: parse, gather the facts, decide, carry out the effect, render.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/review/admission_review.hpp"
#include "server/admission/admission_peers.hpp"
#include "server/admission/stateful_set_handler.hpp"
#include "server/base/guarded.hpp"
#include "server/base/log.hpp"

namespace gate {

/// What was answered, for metrics.
struct ReviewOutcome {
  std::string_view path;
  std::string decision;  ///< Value of the audit annotation, or "malformed", "error".
  std::chrono::nanoseconds took{};
  bool late = false;  ///< The API server had given up by then.
};

struct ReviewReply {
  int status = 200;  ///< HTTP; a denial is 200 with allowed=false inside.
  std::string content_type = "application/json";
  std::string body;
};

/// What the API server gives a webhook that says nothing (timeoutSeconds), and the most that it gives any.
inline constexpr std::chrono::milliseconds kReviewTimeoutDefault{10'000};
inline constexpr std::chrono::milliseconds kReviewTimeoutMax{30'000};

/// How long the API server waits for the answer, from the query of its request: `timeout=10s`. The default where it
/// says nothing or nonsense.
[[nodiscard]] std::chrono::milliseconds review_timeout(std::string_view query);

/// Thread safe. review() returns before its `timeout` passes: all that it asks others has the one deadline.
class AdmissionService {
 public:
  static constexpr std::string_view kGatePath = "/validate";
  static constexpr std::string_view kConfigurationPath = "/validate-configuration";
  static constexpr std::string_view kStatusPath = "/mutate";

  AdmissionService(const AdmissionPeers& peers, AdmissionServiceOptions options,
                   std::function<void(const ReviewOutcome&)> on_answer);

  /// Never throws: a bug is logged with the UID and answered as a denial that carries it.
  /// `traceparent`: the request's header, as it was sent. A review of an image change has a span, if there is a sink
  /// that samples it.
  [[nodiscard]] ReviewReply review(std::string_view path, std::string_view body,
                                   std::chrono::milliseconds timeout = kReviewTimeoutMax,
                                   std::string_view traceparent = {});

  /// The answer of review(), when the bytes alone tell it and are not many: nearly always. Does not block.
  [[nodiscard]] std::optional<ReviewReply> try_fast_path(std::string_view path, std::string_view body);

  /// The gate's own user name at the API server, once known; its own status writes are not patched.
  void set_own_username(std::string username);

 private:
  [[nodiscard]] std::optional<ReviewReply> glance(ReviewGlancer& glancer, std::string_view path, std::string_view body);
  [[nodiscard]] AdmissionAnswer answer(std::string_view path, const AdmissionRequest& request, Deadline deadline);
  [[nodiscard]] AdmissionAnswer check_configuration(const AdmissionRequest& request, Deadline deadline) const;
  [[nodiscard]] std::optional<AdmissionAnswer> refuse_bypass_annotation(const AdmissionRequest& request,
                                                                        Deadline deadline) const;

  const AdmissionPeers peers_;
  const AdmissionServiceOptions options_;
  const StatefulSetHandler stateful_sets_;
  const std::function<void(const ReviewOutcome&)> on_answer_;
  LogLimiter malformed_;
  Guarded<std::string> own_username_;
  Guarded<std::vector<std::unique_ptr<ReviewGlancer>>> glancers_;  // those that nobody uses
  Guarded<ReviewGlancer> large_glancer_;                           // one large body at a time
};

}  // namespace gate
