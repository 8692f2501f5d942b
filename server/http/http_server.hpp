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
#include <string>
#include <string_view>
#include <vector>

#include "policy/result.hpp"
#include "server/ports/clock.hpp"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace gate {

/// A request that passed every limit. The views are valid while the handler runs.
struct HttpCall {
  std::string_view method;
  std::string_view path;  ///< As the route has it: decoded, without query, `//` read as `/`.
  std::string_view content_type;
  std::string_view body;
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

/// Called on the connection's thread, by many at once. Must return within a time limit of its own: stop() waits for it.
/// An exception is answered with 500 and a text that says nothing.
using HttpHandler = std::function<HttpReply(const HttpCall&)>;

struct HttpRoute {
  std::string method;        ///< GET (without a body) or POST (with one).
  std::string path;          ///< Exact.
  std::string content_type;  ///< The media type that a POST must have.
};

struct HttpLimits {
  std::size_t body_bytes_max = 0;
  /// The API server sends about ten headers of 500 bytes in all; a proxy with tracing adds a few.
  std::size_t header_bytes_max = 64u << 10;
  std::size_t header_line_bytes_max = 8u << 10;
  std::size_t header_count_max = 100;
  /// What the API server allows itself for a handshake.
  std::chrono::milliseconds handshake_max{10'000};
  /// From a request's first byte to its last; the default timeout of a webhook call.
  std::chrono::milliseconds request_max{10'000};
  /// For the client to take the answer.
  std::chrono::milliseconds answer_max{10'000};
  /// The API server drops idle connections after 90 s. Whoever closes first loses a request that crosses the close, and
  /// a POST is never repeated: so the server must be the later one.
  std::chrono::milliseconds idle_max{120'000};
  /// 25 idle ones per API server are normal. A thread and about 70 KB each; must stay well below RLIMIT_NOFILE.
  std::size_t connections_max = 1024;
};

struct HttpServerOptions {
  std::string address = "0.0.0.0";  ///< To listen on: an IPv4 or IPv6 address, or a name that resolves to one.
  std::uint16_t port = 0;           ///< 0: any free one, see port().
  std::vector<HttpRoute> routes;
  HttpLimits limits;
};

struct HttpCounters {
  std::size_t connections_open = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_evicted = 0;  ///< Idle ones closed at connections_max, to let a new one in.
  std::uint64_t connections_refused = 0;  ///< New ones closed at connections_max, since none was idle.
  std::uint64_t tls_errors = 0;           ///< Handshakes that failed or took too long.
  std::map<int, std::uint64_t> answers_by_status;
  /// Requests that never reached the handler: bad_request, unknown_path, wrong_method, wrong_media_type,
  /// length_required, body_too_large, headers_too_large, too_slow.
  std::map<std::string, std::uint64_t> refused_by_reason;
};

/// Thread safe. Every open connection has a thread; threads start as connections come and linger a few seconds.
class HttpServer {
 public:
  /// Listens and serves when it returns. `tls` null means plain HTTP; otherwise it must outlive the server. Unavailable
  /// if the address cannot be listened on.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, ssl_ctx_st* tls, HttpHandler handler);
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
