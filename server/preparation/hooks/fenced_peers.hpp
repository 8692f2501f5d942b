#pragma once
// The ways out for the holder of a claim (to FEs, to the services of HTTP hooks, to script Jobs): closed as soon as the
// claim is not certainly held any more, so that a replica which the API server cannot hear stops before another takes
// over. What was begun before ends by the time until which the claim was held then.

#include <memory>

#include "server/ports/frontend.hpp"
#include "server/ports/http_caller.hpp"
#include "server/ports/script_jobs.hpp"
#include "server/preparation/records/claimed_record.hpp"

namespace gate {

/// Whether what has an effect outside may be begun. All three peers ask here, at the last moment before it.
class ClaimFence {
 public:
  /// `claim` outlives this.
  explicit ClaimFence(const ClaimedRecord& claim) : claim_(claim) {}

  /// Unavailable when not: the step is repeated by whoever holds the claim then.
  [[nodiscard]] Status open() const;
  /// `deadline`, but not later than the claim is certainly held.
  [[nodiscard]] Deadline bound(Deadline deadline) const;
  /// For who waits: the same answer without words.
  [[nodiscard]] bool closed() const { return claim_.lost(); }

 private:
  const ClaimedRecord& claim_;
};

/// Thread safe. Sessions refer to the claim.
class FencedConnector final : public FrontendConnector {
 public:
  /// All must outlive this.
  FencedConnector(FrontendConnector& connector, const ClaimedRecord& claim) : connector_(connector), fence_(claim) {}

  [[nodiscard]] Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access,
                                                                 Deadline deadline) override;
  void interrupt() override { connector_.interrupt(); }

 private:
  class Session;
  FrontendConnector& connector_;
  const ClaimFence fence_;
};

/// Thread safe.
class FencedHttpCaller final : public HttpCaller {
 public:
  /// All must outlive this.
  FencedHttpCaller(HttpCaller& http, const ClaimedRecord& claim) : http_(http), fence_(claim) {}

  [[nodiscard]] Result<HttpCallReply> post(const HttpCallRequest& request, Deadline deadline) override;
  void interrupt() override { http_.interrupt(); }

 private:
  HttpCaller& http_;
  const ClaimFence fence_;
};

/// Thread safe. Removing is fenced, too: the Job of that name may be the one that the next holder watches.
class FencedScriptJobs final : public ScriptJobs {
 public:
  /// All must outlive this.
  FencedScriptJobs(ScriptJobs& scripts, const ClaimedRecord& claim) : scripts_(scripts), fence_(claim) {}

  [[nodiscard]] std::string unavailable_because() const override { return scripts_.unavailable_because(); }
  [[nodiscard]] Result<ScriptJobState> run(const Preparation& record, const ScriptJob& job, Deadline deadline) override;
  [[nodiscard]] Status remove(const Preparation& record, const ScriptJob& job, Deadline deadline) override;

 private:
  ScriptJobs& scripts_;
  const ClaimFence fence_;
};

}  // namespace gate
