#pragma once
// An HTTP/1.1 server for few, small, trusted routes and untrusted bytes: over TLS for admission, plain for probes.
//
// cpp-httplib parses the requests. Sockets, TLS, threads, time limits and the bytes of the answers are ours, since its
// own server starves behind idle connections, limits neither time nor headers, and loses requests when it stops.
//
// The process must ignore SIGPIPE; start() sees to it, because OpenSSL writes to its sockets with plain write(2).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "policy/text/result.hpp"
#include "server/base/log.hpp"
#include "server/ports/clock.hpp"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace gate {

/// A request that passed every limit. The views are valid while the handler runs.
struct HttpCall {
  std::string_view method;
  std::string_view path;   ///< As the route has it: decoded, without query, `//` read as `/`.
  std::string_view query;  ///< What follows the `?`, as it was sent.
  std::string_view content_type;
  std::string_view body;
  SteadyTime received;  ///< When its first byte came: what a client's timeout counts from, but for the network.
  /// The header of that name, where HttpHandlers::traceparent asks for it and it came once; else empty.
  std::string_view traceparent{};
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

/// Called by many threads at once. An exception is answered with 500 and a text that says nothing.
using HttpHandler = std::function<HttpReply(const HttpCall&)>;

struct HttpHandlers {
  template <class Handler>
  requires std::is_invocable_r_v<HttpReply, Handler&, const HttpCall&> HttpHandlers(Handler handler)
      : full(std::move(handler)) {}  // NOLINT(google-explicit-constructor)
  HttpHandlers(std::function<std::optional<HttpReply>(const HttpCall&)> quick_one, HttpHandler handler)
      : quick(std::move(quick_one)), full(std::move(handler)) {}

  /// May be empty; routes are then found by their path alone. Otherwise it is asked before anything but the
  /// head is read, on a thread that other connections wait for: `rest` is what the path has behind the route's and a
  /// slash, or empty. An answer: the request is refused with it, unread.
  std::function<std::optional<HttpReply>(std::string_view rest)> guard;
  /// May be empty. Tried first, on a thread that other connections wait for: answers from the bytes and at once, or
  /// leaves the call to `full`.
  std::function<std::optional<HttpReply>(const HttpCall&)> quick;
  /// May wait, on a thread of its own. Must return within a time limit of its own: stop() waits for it.
  HttpHandler full;
  bool traceparent = false;  ///< Whether calls are to have it.
};

struct HttpRoute {
  std::string method;        ///< GET (without a body) or POST (with one).
  std::string path;          ///< Exact; with a guard, also with one more segment.
  std::string content_type;  ///< The media type that a POST must have.
};

struct HttpLimits {
  std::size_t body_bytes_max = 0;
  /// The API server sends about ten headers of 500 bytes in all; a proxy with tracing adds a few.
  std::size_t header_bytes_max = 64u << 10;
  std::size_t header_line_bytes_max = 8u << 10;
  /// Fewer than the 100 at which some versions of cpp-httplib call a request malformed.
  std::size_t header_count_max = 64;
  /// What the API server allows itself for a handshake.
  std::chrono::milliseconds handshake_max{10'000};
  /// From a request's first byte to its last; the default timeout of a webhook call.
  std::chrono::milliseconds request_max{10'000};
  /// A client that has not sent a small request whole by then makes room at connections_max before an idle one does.
  std::chrono::milliseconds slow_after{1'000};
  /// For the client to take the answer.
  std::chrono::milliseconds answer_max{10'000};
  /// The API server drops idle connections after 90 s. Whoever closes first loses a request that crosses the close, and
  /// a POST is never repeated: so the server must be the later one.
  std::chrono::milliseconds idle_max{120'000};
  /// Places: 25 idle ones per API server are normal. At the cap a newcomer gets the place of a client that takes no
  /// answer, is silent, dawdles, or is idle; sockets_max() must stay well below RLIMIT_NOFILE.
  std::size_t connections_max = 1024;
  /// So many more are let in at a time when nobody can make room, to be told 503: what closes without a word looks like
  /// a fault of the network. A burst of a few API servers; each costs a thread for its handshake.
  std::size_t refused_at_once_max = 32;
  /// From such a connection's first moment until it has its 503, or is closed: well below the timeout of any webhook.
  std::chrono::milliseconds refusal_max{2'000};
  /// For the bodies above 64 KB of all requests together. A quarter of the memory that the gate is deployed with.
  std::size_t body_bytes_total_max = 64u << 20;
};

struct HttpServerOptions {
  /// To listen on: an IPv4 or IPv6 address, or a name that resolves to one. Empty, or "::": all of both families.
  std::string address;
  std::uint16_t port = 0;  ///< 0: any free one, see port().
  std::vector<HttpRoute> routes;
  HttpLimits limits;
  /// For what clients or the system do to the server, at a bounded rate. Null: nobody is told. Must outlive the server.
  Logger* log = nullptr;
};

struct HttpCounters {
  std::size_t connections_open = 0;
  std::size_t connections_idle = 0;  ///< Between two requests.
  std::size_t requests_begun = 0;    ///< Now: small requests of which a part has come.
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_evicted = 0;  ///< Closed at connections_max, to let a new one in.
  std::uint64_t connections_refused = 0;  ///< New ones at connections_max, since nobody made room.
  std::size_t body_bytes = 0;             ///< Of body_bytes_total_max, taken now.
  std::uint64_t tls_errors = 0;           ///< Handshakes that failed or took too long.
  std::map<int, std::uint64_t> answers_by_status;
  /// Requests that never reached the handler: bad_request, unknown_path, wrong_method, wrong_media_type,
  /// length_required, body_too_large, headers_too_large, too_slow, overloaded, unknown_caller.
  std::map<std::string, std::uint64_t> refused_by_reason;
};

/// How many sockets a server with these limits has open at most, its listening one apart.
[[nodiscard]] std::size_t sockets_max(const HttpLimits& limits);

/// Thread safe. A connection that waits for its client costs no thread, but for the rest of a large request: a few
/// threads, one per processor, watch them all and answer what can be answered at once. Handshakes share a few more;
/// large bodies and handlers that wait have a thread each, for as long as it takes.
class HttpServer {
 public:
  /// Listens and serves when it returns. `tls` null means plain HTTP; otherwise it must outlive the server. Unavailable
  /// if the address cannot be listened on.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, ssl_ctx_st* tls, HttpHandlers handlers);
  /// stop() without patience.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;

  /// Goes on accepting and serving, but every answer from now on closes its connection, so that clients move to other
  /// replicas. Connections with nothing to answer stay until stop(): closing one that a request is on its way to would
  /// lose that request. Returns at once.
  void begin_drain();

  /// Answers everything that was accepted and asked, closes idle connections, then returns. Connections that still read
  /// or write at the deadline are cut; a handler that still runs is waited for. Later calls do nothing.
  void stop(Deadline deadline);

  [[nodiscard]] HttpCounters counters() const;

 private:
  class Core;
  explicit HttpServer(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace gate
