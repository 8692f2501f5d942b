#pragma once
// The way to the FEs for the holder of a claim: closed as soon as the claim is not certainly held any more, so that a
// replica which the API server cannot hear stops before another takes over.

#include <memory>

#include "server/ports/frontend.hpp"
#include "server/preparation/claimed_record.hpp"

namespace gate {

/// Thread safe. Sessions refer to it. What is not let through is Unavailable: the step is repeated by whoever holds the
/// claim then.
class FencedConnector final : public FrontendConnector {
 public:
  /// All must outlive this.
  FencedConnector(FrontendConnector& connector, const ClaimedRecord& claim) : connector_(connector), claim_(claim) {}

  [[nodiscard]] Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access,
                                                                 Deadline deadline) override;
  void interrupt() override { connector_.interrupt(); }

 private:
  class Session;
  FrontendConnector& connector_;
  const ClaimedRecord& claim_;
};

}  // namespace gate
