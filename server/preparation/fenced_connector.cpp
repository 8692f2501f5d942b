#include "server/preparation/fenced_connector.hpp"

#include <algorithm>
#include <utility>

namespace gate {
namespace {

Error not_held() { return {ErrorCode::Unavailable, "the claim on the record is not held any more"}; }

}  // namespace

class FencedConnector::Session final : public FrontendSession {
 public:
  Session(std::unique_ptr<FrontendSession> session, const ClaimedRecord& claim)
      : session_(std::move(session)), claim_(claim) {
    session_->end_when([this] { return claim_.lost(); });
  }

  Result<QueryResult> execute(std::string_view sql, Deadline deadline) override {
    if (claim_.lost()) return not_held();
    return session_->execute(sql, deadline);
  }

 private:
  const std::unique_ptr<FrontendSession> session_;
  const ClaimedRecord& claim_;
};

Result<std::unique_ptr<FrontendSession>> FencedConnector::connect(const FrontendAccess& access, Deadline deadline) {
  if (claim_.lost()) return not_held();
  auto session = connector_.connect(access, std::min(deadline, claim_.held_until()));
  if (!session) return session.error();
  return std::unique_ptr<FrontendSession>(std::make_unique<Session>(std::move(session).value(), claim_));
}

}  // namespace gate
