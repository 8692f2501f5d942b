#pragma once
// The frontend (FE) of a StarRocks cluster, spoken to over the MySQL protocol.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/text/result.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// Named after MySQL's --ssl-mode.
enum class FrontendTls { Disabled, Preferred, Required, VerifyCa, VerifyIdentity };

/// Where one FE listens for queries.
struct FrontendAddress {
  std::string host;
  std::uint16_t port = 9030;
  friend bool operator==(const FrontendAddress&, const FrontendAddress&) = default;
};

/// Everything needed to log in. Never logged, never stored in a record.
struct FrontendAccess {
  FrontendAddress address;
  std::string username = "root";
  std::string password;
  FrontendTls tls = FrontendTls::Preferred;
  std::string ca_pem;  ///< For VerifyCa and VerifyIdentity; PEM text, empty = the system's roots.
  /// Set: `address` is what the database at this one names. It must lie inside the same cluster, and errors do not tell
  /// what was found there.
  std::optional<FrontendAddress> named_by{};
  /// Whether what `named_by` names, resolved, is a pod of its cluster; empty: not known. Thread safe; may ask the API
  /// server. Unavailable: no, or not yet.
  std::function<Status(const std::vector<std::string>& addresses, Deadline)> judge_named{};
};

/// Rows of one result set; columns are found by name since StarRocks adds some in every version.
struct QueryResult {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;

  /// Index of a column, case-insensitive; nullopt when this version does not have it.
  [[nodiscard]] std::optional<std::size_t> column(std::string_view name) const;
  /// The value, or "" for NULL or an absent column.
  [[nodiscard]] std::string text(std::size_t row, std::string_view name) const;
};

/// One connection. Not thread safe: one thread at a time. After any error but Rejected the session is dead: every
/// later call returns Unavailable, and the owner throws it away.
class FrontendSession {
 public:
  virtual ~FrontendSession() = default;

  /// Runs one statement and drains every result set it yields; the last one with columns is returned.
  /// Unavailable, with peer_code: the FE could not reach its leader, which it sends as an SQL error.
  /// Rejected: an SQL error, peer_code = MySQL error number, message = "ERROR 1064 (HY000): ..." cleaned.
  /// DeadlineExceeded: nothing is known about the effect. Returns at the deadline at the latest (plus one second).
  [[nodiscard]] virtual Result<QueryResult> execute(std::string_view sql, Deadline deadline) = 0;

  /// What each of `statements` answers, in their order; they only read. One exchange where the server takes that, else
  /// one after the other: as execute() for each. What comes after an error that ends the session has that error.
  [[nodiscard]] virtual std::vector<Result<QueryResult>> execute_all(const std::vector<std::string>& statements,
                                                                     Deadline deadline);

  /// From now on a call also ends, within half a second, once `ended` says so: Unavailable, the connection is cut, and
  /// what had not left this machine never will. `ended` is called by the thread of the call and must not block.
  /// A session that has no wait of its own may ignore this.
  virtual void end_when(const std::function<bool()>& /*ended*/) {}
};

/// Thread safe.
class FrontendConnector {
 public:
  virtual ~FrontendConnector() = default;

  /// Connects and logs in. PermissionDenied: 1045 and kin, or TLS required and not offered. Unavailable: refused,
  /// reset, unknown host, connection limit. Errors name the address and user, never the password.
  [[nodiscard]] virtual Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access,
                                                                         Deadline deadline) = 0;

  /// For shutting down: every call in progress or to come, here and in every session, returns Unavailable within a
  /// second. There is no way back. Nothing is known about the effect of a statement that was in progress.
  virtual void interrupt() = 0;
};

}  // namespace gate
