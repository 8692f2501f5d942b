#pragma once
// A FrontendConnector that counts how logins end.

#include <atomic>
#include <cstdint>

#include "server/ports/frontend.hpp"

namespace gate {

struct ConnectCounts {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
};

/// Thread safe.
class CountingConnector final : public FrontendConnector {
 public:
  /// `connector` outlives this.
  explicit CountingConnector(FrontendConnector& connector) : connector_(connector) {}

  [[nodiscard]] Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access,
                                                                 Deadline deadline) override {
    auto session = connector_.connect(access, deadline);
    ++(session ? succeeded_ : failed_);
    return session;
  }
  void interrupt() override { connector_.interrupt(); }

  [[nodiscard]] ConnectCounts counts() const { return {succeeded_, failed_}; }

 private:
  FrontendConnector& connector_;
  std::atomic<std::uint64_t> succeeded_{0};
  std::atomic<std::uint64_t> failed_{0};
};

}  // namespace gate
