#pragma once
// httplib's client over streams of our own, which bound what an answer says around its body before the library's parser
// sees it: it matches an answer's first line with a recursive std::regex, which costs the stack, and keeps lines of any
// length and headers of any number. For .cpp files only.

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "server/httplib.hpp"
#include "server/net/openssl_handles.hpp"

namespace gate {

/// Of one answer at a time. Not thread safe.
class FramingLimit {
 public:
  /// The first line; the same as for HTTP hooks.
  static constexpr std::size_t kFirstLineBytesMax = 4u << 10;
  /// Any other line: what httplib takes of a header.
  static constexpr std::size_t kLineBytesMax = 8u << 10;
  /// All lines before the body, those of interim answers too.
  static constexpr std::size_t kHeadBytesMax = 64u << 10;

  void begin() { *this = {}; }
  /// What follows is the body.
  void head_is_over();
  /// `bytes` are handed to the parser, which asked for `wanted`. False: no more of this answer.
  [[nodiscard]] bool takes(std::string_view bytes, std::size_t wanted);
  [[nodiscard]] bool exceeded() const { return exceeded_; }

 private:
  bool in_head_ = true;
  bool exceeded_ = false;
  bool may_be_first_ = true;  ///< The line begins as a first line does.
  std::size_t line_ = 0;
  std::size_t head_ = 0;
};

/// One exchange on a connected socket of httplib's, which stays its owner's.
class BoundedStream final : public HttplibStream {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /// `limit` and the connection outlive this. `ssl`: nullptr for a connection in clear. Time limits are for each wait.
  BoundedStream(FramingLimit& limit, int socket, SSL* ssl, Milliseconds read_limit, Milliseconds write_limit)
      : limit_(limit), socket_(socket), ssl_(ssl), read_limit_(read_limit), write_limit_(write_limit) {}

  ssize_t read(char* to, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;

 private:
  /// Not positive: the end, a failure, or nothing in time.
  ssize_t receive(char* to, std::size_t size);
  [[nodiscard]] bool wait(short events, Milliseconds limit) const;

  FramingLimit& limit_;
  const int socket_;
  SSL* const ssl_;
  const Milliseconds read_limit_;
  const Milliseconds write_limit_;
  /// The parser asks for the bytes of lines one by one.
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// httplib's client in clear, or in TLS of our own: its SSLClient takes no stream of ours, and none may be derived from
/// it since 0.18. Used by one thread at a time but for stop() and socket().
class BoundedClient final : public httplib::ClientImpl {
 public:
  /// What a connection is made with. `context` null: in clear. `server_name` is told to the server; empty: none is.
  struct Tls {
    openssl::ContextPtr context{};
    std::string server_name{};
  };

  /// `limit` outlives this.
  BoundedClient(FramingLimit& limit, const std::string& host, int port, Tls tls)
      : ClientImpl(host, port), limit_(limit), tls_(std::move(tls)) {}
  BoundedClient(const BoundedClient&) = delete;
  BoundedClient& operator=(const BoundedClient&) = delete;
  ~BoundedClient() override;

 private:
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override;
  void shutdown_ssl(Socket& socket, bool gracefully) override;
  bool process_socket(const Socket& socket, std::function<bool(httplib::Stream&)> exchange) override;
  /// Null where it fails, or is not through within the time that a connection may take.
  [[nodiscard]] openssl::SslPtr handshake(int socket) const;

  FramingLimit& limit_;
  const Tls tls_;
};

}  // namespace gate
