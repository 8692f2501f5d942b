#include "server/preparation/fenced_connector.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace gate {
namespace {

/// Delivered late, such a statement would undo what the next holder of the claim did: its connection is cut when the
/// claim ends, and with it what has not left this machine. The others are harmless late, and may take long.
bool sets_something(std::string_view sql) {
  const auto begins_with = [&](std::string_view word) {
    return sql.size() > word.size() && std::equal(word.begin(), word.end(), sql.begin(), [](char left, char right) {
             return left == std::toupper(static_cast<unsigned char>(right));
           });
  };
  return begins_with("ADMIN SET ") || begins_with("SET ");
}

Error not_held() { return {ErrorCode::Unavailable, "the claim on the record is not held any more"}; }

}  // namespace

class FencedConnector::Session final : public FrontendSession {
 public:
  Session(std::unique_ptr<FrontendSession> session, const ClaimedRecord& claim)
      : session_(std::move(session)), claim_(claim) {}

  Result<QueryResult> execute(std::string_view sql, Deadline deadline) override {
    if (claim_.lost()) return not_held();
    if (sets_something(sql)) deadline = std::min(deadline, claim_.held_until());
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
