#include "server/preparation/hooks/fenced_peers.hpp"

#include <algorithm>
#include <utility>

namespace gate {

Status ClaimFence::open() const {
  if (!claim_.lost()) return Ok{};
  return Error{ErrorCode::Unavailable, "the claim on the record is no longer held"};
}

Deadline ClaimFence::bound(Deadline deadline) const { return std::min(deadline, claim_.held_until()); }

class FencedConnector::Session final : public FrontendSession {
 public:
  Session(std::unique_ptr<FrontendSession> session, const ClaimFence& fence)
      : session_(std::move(session)), fence_(fence) {
    session_->end_when([this] { return fence_.closed(); });
  }

  // Not bounded by the claim as it is now: it is renewed while a long statement runs, and cut when it is lost.
  Result<QueryResult> execute(std::string_view sql, Deadline deadline) override {
    if (auto open = fence_.open(); !open) return open.error();
    return session_->execute(sql, deadline);
  }

  std::vector<Result<QueryResult>> execute_all(const std::vector<std::string>& statements, Deadline deadline) override {
    if (auto open = fence_.open(); !open) return std::vector<Result<QueryResult>>(statements.size(), open.error());
    return session_->execute_all(statements, deadline);
  }

 private:
  const std::unique_ptr<FrontendSession> session_;
  const ClaimFence fence_;
};

Result<std::unique_ptr<FrontendSession>> FencedConnector::connect(const FrontendAccess& access, Deadline deadline) {
  if (auto open = fence_.open(); !open) return open.error();
  auto session = connector_.connect(access, fence_.bound(deadline));
  if (!session) return session.error();
  return std::unique_ptr<FrontendSession>(std::make_unique<Session>(std::move(session).value(), fence_));
}

Result<HttpCallReply> FencedHttpCaller::post(const HttpCallRequest& request, Deadline deadline) {
  if (auto open = fence_.open(); !open) return open.error();
  return http_.post(request, fence_.bound(deadline));
}

Result<ScriptJobState> FencedScriptJobs::run(const Preparation& record, const ScriptJob& job, Deadline deadline) {
  if (auto open = fence_.open(); !open) return open.error();
  return scripts_.run(record, job, fence_.bound(deadline));
}

Status FencedScriptJobs::remove(const Preparation& record, const ScriptJob& job, Deadline deadline) {
  if (auto open = fence_.open(); !open) return open.error();
  return scripts_.remove(record, job, fence_.bound(deadline));
}

}  // namespace gate
