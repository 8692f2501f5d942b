#pragma once
// HttpCaller for hooks whose URLs were written by people whom the gate's owner need not trust.

#include <memory>
#include <string>
#include <vector>

#include "policy/text/url.hpp"
#include "server/net/address.hpp"
#include "server/net/host_resolver.hpp"
#include "server/ports/http_caller.hpp"

namespace gate {

struct HttpHookCallerOptions {
  std::vector<HttpUrl> allowed;  ///< Prefixes; nothing else is called.
  AddressRules addresses;
  std::string version = "dev";  ///< For User-Agent: upgrade-gate/<version>.
};

/// Thread safe. Every call makes its own connection: hooks are rare, and a connection that is kept would outlive the
/// judgement of its address. No proxy of the environment is used.
/// HTTPS is verified against the name in the URL, with the system's roots and the request's CA; TLS 1.2 or newer. The
/// connection is made to an address that was judged, so a name that changes its mind meanwhile changes nothing.
class HttpHookCaller final : public HttpCaller {
 public:
  /// Ignores SIGPIPE for the process: OpenSSL writes to sockets that the peer may have closed.
  explicit HttpHookCaller(HttpHookCallerOptions options);
  ~HttpHookCaller() override;

  Result<HttpCallReply> post(const HttpCallRequest& request, Deadline deadline) override;
  void interrupt() override;

 private:
  const HttpHookCallerOptions options_;
  HostResolver resolver_;
  const int interrupted_;  // an eventfd: readable from interrupt() on
};

}  // namespace gate
