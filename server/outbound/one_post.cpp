#include "server/outbound/one_post.hpp"

#include <netdb.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <system_error>

#include "server/httplib.hpp"
#include "server/net/openssl_handles.hpp"

namespace gate {
namespace {

/// A line of an answer's head. cpp-httplib 0.11 matches the first one with a recursive std::regex: a longer one would
/// cost the stack.
constexpr std::size_t kHeadLineBytesMax = 4u << 10;
/// Everything of an answer that is not its body: its head, and the framing of chunks.
constexpr std::size_t kFramingBytesMax = 64u << 10;

using openssl::BioPtr;
using openssl::ContextPtr;
using AddressesPtr = std::unique_ptr<addrinfo, Freer<freeaddrinfo>>;

/// In a call's order: what ends it, each with its own words.
enum class End { None, Closed, TimedOut, Interrupted, TooLarge };

Error error_of(End end, const std::string& otherwise) {
  switch (end) {
    case End::TimedOut:
      return {ErrorCode::DeadlineExceeded, "no answer in time"};
    case End::Interrupted:
      return {ErrorCode::Unavailable, "shutting down"};
    case End::TooLarge:
      return {ErrorCode::Unavailable, "the answer is larger than 64 KiB, or has a line that is too long"};
    case End::Closed:
    case End::None:
      break;
  }
  return {ErrorCode::Unavailable, otherwise};
}

/// Ok and the certificates of `pem` are trusted too.
Status trust(SSL_CTX* context, const std::string& pem) {
  const auto roots = openssl::certificates_of(pem);
  for (const auto& root : roots) X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root.get());
  if (roots.empty()) return Error{ErrorCode::InvalidInput, "the CA: expected PEM certificates"};
  return Ok{};
}

/// One connection, for one exchange. Every wait ends at the deadline or when `interrupted` becomes readable.
class Connection final : public HttplibStream {
 public:
  Connection(Deadline deadline, int interrupted) : deadline_(deadline), interrupted_(interrupted) {}

  /// To the first address that takes it.
  Status connect(const std::vector<std::string>& addresses, std::uint16_t port) {
    std::string failure = "no address";
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      // One that never answers leaves the others their share of the time.
      const auto now = std::chrono::steady_clock::now();
      const auto share = (deadline_ - now) / static_cast<long>(addresses.size() - i);
      const int error = connect_to(addresses[i], port, now + share);
      if (error == 0) return Ok{};
      if (end_ == End::Interrupted || std::chrono::steady_clock::now() >= deadline_) break;
      end_ = End::None;
      failure = addresses[i] + ": " + std::generic_category().message(error);
    }
    return error_of(end_, "cannot connect: " + failure);
  }

  Status secure(const HttpUrl& url, const std::string& ca_pem) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_default_verify_paths(context_.get());
    if (!ca_pem.empty()) {
      if (auto trusted = trust(context_.get(), ca_pem); !trusted) return trusted;
    }
    BioPtr filter(BIO_new_ssl(context_.get(), /*client=*/1));
    SSL* ssl = nullptr;
    BIO_get_ssl(filter.get(), &ssl);
    X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, url.host.c_str()) != 1) {
      X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      X509_VERIFY_PARAM_set1_host(parameters, url.host.data(), url.host.size());
      openssl::ask_for_name(ssl, url.host);
    }
    bio_.reset(BIO_push(filter.release(), bio_.release()));
    if (until_done(deadline_, [&] { return BIO_do_handshake(bio_.get()); }) == 1) return Ok{};
    return error_of(end_, handshake_failure(ssl));
  }

  ssize_t read(char* to, std::size_t size) override {
    const auto most = static_cast<int>(std::min<std::size_t>(size, 1u << 20));
    const int got = until_done(deadline_, [&] { return BIO_read(bio_.get(), to, most); });
    return got <= 0 || is_within_bounds({to, static_cast<std::size_t>(got)}) ? got : -1;
  }

  ssize_t write(const char* from, std::size_t size) override {
    const auto most = static_cast<int>(std::min<std::size_t>(size, 1u << 20));
    return until_done(deadline_, [&] { return BIO_write(bio_.get(), from, most); });
  }

  void head_is_over() { in_head_ = false; }
  [[nodiscard]] End end() const { return end_; }

 private:
  /// 0, or what errno would say.
  int connect_to(const std::string& address, std::uint16_t port, Deadline until) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;  // nothing is looked up any more
    addrinfo* found = nullptr;
    if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return EADDRNOTAVAIL;
    const AddressesPtr owned(found);
    const int socket = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) return errno;
    bio_.reset(BIO_new_socket(socket, BIO_CLOSE));
    if (::connect(socket, found->ai_addr, found->ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    if (!wait(POLLOUT, until)) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof(error);
    return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
  }

  /// Repeats a BIO's operation until it is done, has failed, or its time is over; its last result, not positive then.
  template <class Operation>
  int until_done(Deadline until, Operation operation) {
    while (end_ == End::None) {
      // A peer that keeps sending must not outlive the deadline either.
      if (std::chrono::steady_clock::now() >= until) {
        end_ = End::TimedOut;
        break;
      }
      ERR_clear_error();
      const int result = operation();
      if (result > 0) return result;
      if (!BIO_should_retry(bio_.get())) {
        end_ = End::Closed;
        return result;
      }
      wait(BIO_should_write(bio_.get()) ? POLLOUT : POLLIN, until);
    }
    return -1;
  }

  bool wait(short events, Deadline until) {
    std::array<pollfd, 2> descriptors{pollfd{static_cast<int>(BIO_get_fd(bio_.get(), nullptr)), events, 0},
                                      pollfd{interrupted_, POLLIN, 0}};
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
      const int ready = ::poll(descriptors.data(), descriptors.size(),
                               static_cast<int>(std::clamp<decltype(left)>(left, 0, 1 << 30)));
      if (ready < 0 && errno == EINTR) continue;
      if (descriptors[1].revents != 0) end_ = End::Interrupted;
      if (ready == 0) end_ = End::TimedOut;
      return end_ == End::None;
    }
  }

  bool is_within_bounds(std::string_view bytes) {
    received_ += bytes.size();
    if (in_head_) {
      const auto line_end = bytes.rfind('\n');
      line_bytes_ = line_end == std::string_view::npos ? line_bytes_ + bytes.size() : bytes.size() - line_end - 1;
    }
    if (received_ <= kHttpReplyBytesMax + kFramingBytesMax && (!in_head_ || line_bytes_ <= kHeadLineBytesMax)) {
      return true;
    }
    end_ = End::TooLarge;
    return false;
  }

  static std::string handshake_failure(SSL* ssl) {
    const unsigned long code = ERR_peek_last_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    const long verified = SSL_get_verify_result(ssl);
    if (verified != X509_V_OK) {
      return std::string("its certificate is not valid: ") + X509_verify_cert_error_string(verified);
    }
    return std::string("no TLS connection: ") + (reason == nullptr ? "closed by the peer" : reason);
  }

  const Deadline deadline_;
  const int interrupted_;
  ContextPtr context_;
  BioPtr bio_;
  End end_ = End::None;
  bool in_head_ = true;
  std::size_t line_bytes_ = 0;
  std::size_t received_ = 0;
};

Result<PostReply> exchange(Connection& connection, const Post& post) {
  httplib::Request out;
  out.method = "POST";
  out.path = post.url.path + post.url.query;
  out.body = post.body;
  out.set_header("Host", post.url.authority());
  out.set_header("User-Agent", "upgrade-gate/" + post.version);
  out.set_header("Accept", "application/json");
  out.set_header("Accept-Encoding", "identity");  // nothing to inflate beyond the limit
  out.set_header("Content-Type", "application/json");
  for (const auto& [name, value] : post.headers) out.set_header(name, value);
  PostReply reply;
  bool too_large = false;
  out.response_handler = [&](const httplib::Response& response) {
    reply.status = response.status;
    connection.head_is_over();
    return true;
  };
  out.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    too_large = reply.body.size() + size > kHttpReplyBytesMax;
    if (!too_large) reply.body.append(data, size);
    return !too_large;
  };
  httplib::Response response;
  bool done = false;
  try {
    done = HttplibExchange().exchange(connection, out, response);
  } catch (const std::exception&) {
    // Of std::regex, on the answer's first line: no HTTP.
  }
  if (!done) {
    return error_of(too_large ? End::TooLarge : connection.end(), "the connection ended before a whole HTTP answer");
  }
  reply.status = response.status;  // no body, no response_handler
  reply.retry_after = response.get_header_value("Retry-After");
  return reply;
}

}  // namespace

Result<PostReply> post_once(const std::vector<std::string>& addresses, const Post& post, Deadline deadline,
                            int interrupted) {
  Connection connection(deadline, interrupted);
  if (auto connected = connection.connect(addresses, post.url.port); !connected) return connected.error();
  if (post.url.tls) {
    if (auto secured = connection.secure(post.url, post.ca_pem); !secured) return secured.error();
  }
  return exchange(connection, post);
}

}  // namespace gate
