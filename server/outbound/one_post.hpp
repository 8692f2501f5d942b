#pragma once
// One POST over a connection of its own, bounded in time and size. For the .cpp files of this folder.

#include <string>
#include <utility>
#include <vector>

#include "policy/text/result.hpp"
#include "policy/text/url.hpp"
#include "server/ports/http_caller.hpp"

namespace gate {

/// The caller has judged the URL and the headers: they are sent as they are.
struct Post {
  const HttpUrl& url;
  const std::string& body;  ///< JSON.
  std::string version;      ///< For User-Agent.
  std::string ca_pem;       ///< Trusted besides the system's roots; may be empty.
  std::vector<std::pair<std::string, std::string>> headers;
};

struct PostReply {
  int status = 0;
  std::string body;         ///< At most kHttpReplyBytesMax.
  std::string retry_after;  ///< As it was sent.
};

/// To the first of the numeric `addresses` that takes the connection; HTTPS is verified against the name in the URL,
/// TLS 1.2 or newer. Redirects are not followed, no proxy is used, any status is a success. Returns at the deadline, or
/// as soon as the descriptor `interrupted` is readable. Errors as those of HttpCaller::post(), without the URL.
[[nodiscard]] Result<PostReply> post_once(const std::vector<std::string>& addresses, const Post& post,
                                          Deadline deadline, int interrupted);

}  // namespace gate
