#pragma once
// Another service that has a say in an upgrade: called by HTTP hooks.

#include <string>

#include "policy/text/result.hpp"
#include "server/ports/clock.hpp"

namespace gate {

struct HttpCallRequest {
  std::string url;
  std::string body;          ///< JSON.
  std::string bearer_token;  ///< Never logged; empty: none is sent.
  std::string ca_pem;        ///< Trusted besides the system's roots; may be empty.
};

struct HttpCallReply {
  int status = 0;
  std::string body;  ///< At most kHttpReplyBytesMax.
};

/// An answer is a verdict and a sentence; more is not read.
inline constexpr std::size_t kHttpReplyBytesMax = 64u << 10;

/// Thread safe.
class HttpCaller {
 public:
  virtual ~HttpCaller() = default;

  /// One POST, redirects are not followed. Any HTTP status is a success here. PermissionDenied: the URL is not under a
  /// prefix that the gate's owner allowed, or its host is an address that is never called (loopback, link-local,
  /// unspecified, multicast); it is judged by the address that is connected to, not only by the name. Unavailable: no
  /// connection, no valid certificate, or no answer that can be read (too large, for one). DeadlineExceeded.
  /// InvalidInput: the URL, the CA or the token cannot be used; a token is sent over https only. Returns at the
  /// deadline at the latest. Messages name the URL without query, never the token.
  [[nodiscard]] virtual Result<HttpCallReply> post(const HttpCallRequest& request, Deadline deadline) = 0;

  /// For shutting down: every call in progress or to come returns Unavailable within a second. There is no way back.
  virtual void interrupt() = 0;
};

}  // namespace gate
