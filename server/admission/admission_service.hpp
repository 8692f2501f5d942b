#pragma once
// One AdmissionReview from bytes to bytes: parse, gather the facts, decide, carry out the effect, render.

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/decision/decision.hpp"
#include "policy/review/admission_review.hpp"
#include "server/admission/outcome_waiters.hpp"
#include "server/admission/stateful_set_handler.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/preparation/lifecycle/controller.hpp"

namespace spdlog {
class logger;
}

namespace gate {

struct AdmissionServiceOptions {
  /// How long a request may be held for its preparation to finish. Below the webhook's timeoutSeconds (10) by more
  /// than the API calls of one answer take.
  std::chrono::milliseconds admission_wait{5000};
  std::vector<std::string> default_hooks{};
  FailureBackoff failure_backoff{};
  HookRules rules{};
  VersionPolicy version_policy = VersionPolicy::Warn;
};

/// What was answered, for metrics.
struct ReviewOutcome {
  std::string_view path;
  std::string decision;  ///< Value of the audit annotation, or "malformed", "error".
  std::chrono::nanoseconds took{};
};

struct ReviewReply {
  int status = 200;  ///< HTTP; a denial is 200 with allowed=false inside.
  std::string content_type = "application/json";
  std::string body;
};

/// Thread safe. review() blocks for at most admission_wait plus the deadlines of the store and of ConfigMaps.
class AdmissionService {
 public:
  static constexpr std::string_view kGatePath = "/validate";
  static constexpr std::string_view kConfigurationPath = "/validate-configuration";
  static constexpr std::string_view kStatusPath = "/mutate";

  AdmissionService(PreparationStore& store, ClusterAccess& clusters, PreparationController& controller,
                   OutcomeWaiters& waiters, const Clock& clock, spdlog::logger& log, AdmissionServiceOptions options,
                   std::function<void(const ReviewOutcome&)> on_answer);

  /// Never throws: a bug is logged with the UID and answered as a denial that carries it.
  [[nodiscard]] ReviewReply review(std::string_view path, std::string_view body);

  /// The answer of review(), when the bytes alone tell it and are not many: nearly always. Does not block.
  [[nodiscard]] std::optional<ReviewReply> review_at_a_glance(std::string_view path, std::string_view body);

  /// The gate's own user name at the API server, once known; its own status writes are not patched.
  void set_own_username(std::string username);

 private:
  [[nodiscard]] std::optional<ReviewReply> glance(ReviewGlancer& glancer, std::string_view path, std::string_view body);
  [[nodiscard]] AdmissionAnswer answer(std::string_view path, const AdmissionRequest& request);
  [[nodiscard]] AdmissionAnswer gate(const AdmissionRequest& request);
  [[nodiscard]] AdmissionAnswer check_configuration(const AdmissionRequest& request) const;
  [[nodiscard]] HookConfiguration hooks_of(const nlohmann::json& object, const std::string& name_space,
                                           std::vector<std::string> default_hooks,
                                           const std::vector<ImageChange>& changes) const;
  void gather_records(AdmissionFacts& facts, Deadline deadline) const;
  void carry_out(const Decision& decision, const AdmissionRequest& request, AdmissionFacts& facts, Deadline deadline);
  [[nodiscard]] Result<Preparation> create(const Decision& decision, const AdmissionRequest& request,
                                           const AdmissionFacts& facts);
  [[nodiscard]] AdmissionAnswer record_bypass(const Decision& decision, const AdmissionRequest& request,
                                              const AdmissionFacts& facts);
  void start(const Decision& decision, const AdmissionRequest& request, AdmissionFacts& facts);
  void reopen(const std::string& name, AdmissionFacts& facts);

  PreparationStore& store_;
  ClusterAccess& clusters_;
  PreparationController& controller_;
  OutcomeWaiters& waiters_;
  const Clock& clock_;
  spdlog::logger& log_;
  const AdmissionServiceOptions options_;
  const StatefulSetHandler stateful_sets_;
  const std::function<void(const ReviewOutcome&)> on_answer_;
  mutable std::mutex mutex_;
  std::string own_username_;  // guarded by mutex_

  std::mutex glancers_mutex_;
  std::vector<std::unique_ptr<ReviewGlancer>> glancers_;  // guarded by it; those that nobody uses
  std::mutex large_mutex_;                                // one large body at a time
  ReviewGlancer large_glancer_;                           // guarded by it
};

}  // namespace gate
