#pragma once
// The FE port on libmysqlclient's API (MariaDB Connector/C 3.3 or newer).
//
// Deadlines: the library's blocking calls wait for the socket in one place, which it lets us provide; that wait ends at
// the deadline of the call, so no peer can hold a thread, however slowly it trickles. Name lookups are waited for
// outside the library. Logging in is guarded by LoginGuard: nothing secret leaves before the server has shown TLS and,
// where asked for, a good certificate.

#include <memory>

#include "server/net/host_resolver.hpp"
#include "server/ports/frontend.hpp"

namespace gate {

/// Answers larger than this are refused (Unavailable): SHOW BACKENDS of a thousand nodes is under 1 MB. They are
/// counted as they arrive, before the library stores them.
inline constexpr std::size_t kResultBytesMax = 4u << 20;
/// Columns of a result set; SHOW BACKENDS has 30.
inline constexpr std::size_t kColumnsMax = 4096;

struct FrontendClientOptions {
  /// The owner's word that a password may be sent in clear over TLS to a server that was not verified.
  bool password_to_unverified = false;
};

/// Ends waits from outside of them; shared by a connector and its sessions.
class Interruption;

/// Thread safe; sessions do not refer to it and may outlive it. The destructor waits for name lookups under way.
class MysqlFrontendConnector final : public FrontendConnector {
 public:
  explicit MysqlFrontendConnector(const FrontendClientOptions& options = {});

  /// Tries each address of the host in turn until one answers. PermissionDenied: an address that is never called
  /// (loopback, link-local, metadata; see net/address.hpp), unless it is the configured one as it was written.
  [[nodiscard]] Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access,
                                                                 Deadline deadline) override;
  void interrupt() override;

 private:
  const FrontendClientOptions options_;
  const std::shared_ptr<Interruption> interruption_;
  HostResolver resolver_;
};

}  // namespace gate
