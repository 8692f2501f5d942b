#include "server/kubernetes/client/bounded_client.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>

namespace gate {
namespace {

constexpr std::string_view kFirstLineBegins = "HTTP/";

int int_size(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

/// Whether one of the events happened to it by then.
bool ready_by(int socket, short events, std::chrono::steady_clock::time_point until) {
  for (;;) {
    pollfd descriptor{socket, events, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    const int ready = ::poll(&descriptor, 1, static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX)));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

std::chrono::milliseconds time_of(time_t seconds, time_t microseconds) {
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::seconds(seconds) +
                                                      std::chrono::microseconds(microseconds));
}

}  // namespace

// ---- FramingLimit ----

void FramingLimit::head_is_over() {
  in_head_ = false;
  may_be_first_ = false;
  line_ = 0;
}

bool FramingLimit::takes(std::string_view bytes, std::size_t wanted) {
  if (!in_head_ && wanted != 1) {
    // The body itself. Its framing, as every line, is asked for byte by byte.
    line_ = 0;
    return !exceeded_;
  }
  for (const char c : bytes) {
    if (c == '\n') {
      line_ = 0;
      may_be_first_ = in_head_;
      continue;
    }
    may_be_first_ = may_be_first_ && (line_ >= kFirstLineBegins.size() || c == kFirstLineBegins[line_]);
    ++line_;
    exceeded_ = exceeded_ || line_ > (may_be_first_ ? kFirstLineBytesMax : kLineBytesMax);
  }
  if (in_head_) head_ += bytes.size();
  exceeded_ = exceeded_ || head_ > kHeadBytesMax;
  return !exceeded_;
}

// ---- BoundedStream ----

bool BoundedStream::wait(short events, Milliseconds limit) const {
  return ready_by(socket_, events, std::chrono::steady_clock::now() + limit);
}

ssize_t BoundedStream::receive(char* to, std::size_t size) {
  for (;;) {
    const bool here = ssl_ != nullptr && SSL_pending(ssl_) > 0;
    if (!here && !wait(POLLIN, read_limit_)) return -1;
    if (ssl_ == nullptr) {
      const ssize_t got = ::recv(socket_, to, size, 0);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      return got;
    }
    ERR_clear_error();
    const int got = SSL_read(ssl_, to, int_size(size));
    if (got > 0) return got;
    const int why = SSL_get_error(ssl_, got);
    if (why == SSL_ERROR_ZERO_RETURN) return 0;
    // Something came, but no data of the answer.
    if (why == SSL_ERROR_WANT_READ || (why == SSL_ERROR_WANT_WRITE && wait(POLLOUT, write_limit_))) continue;
    return -1;
  }
}

ssize_t BoundedStream::read(char* to, std::size_t size) {
  if (limit_.exceeded()) return -1;
  ssize_t got = 0;
  if (begin_ == end_ && size >= buffer_.size()) {
    got = receive(to, size);
  } else {
    if (begin_ == end_) {
      const ssize_t filled = receive(buffer_.data(), buffer_.size());
      if (filled <= 0) return filled;
      begin_ = 0;
      end_ = static_cast<std::size_t>(filled);
    }
    const auto taken = std::min(size, end_ - begin_);
    std::memcpy(to, buffer_.data() + begin_, taken);
    begin_ += taken;
    got = static_cast<ssize_t>(taken);
  }
  if (got <= 0) return got;
  return limit_.takes({to, static_cast<std::size_t>(got)}, size) ? got : -1;
}

ssize_t BoundedStream::write(const char* from, std::size_t size) {
  for (;;) {
    if (!wait(POLLOUT, write_limit_)) return -1;
    if (ssl_ == nullptr) {
      const ssize_t sent = ::send(socket_, from, size, MSG_NOSIGNAL);
      if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      return sent;
    }
    ERR_clear_error();
    const int sent = SSL_write(ssl_, from, int_size(size));
    if (sent > 0) return sent;
    const int why = SSL_get_error(ssl_, sent);
    if (why == SSL_ERROR_WANT_WRITE || (why == SSL_ERROR_WANT_READ && wait(POLLIN, read_limit_))) continue;
    return -1;
  }
}

// ---- BoundedClient ----

// As httplib's own does: its base closes the socket, and knows of no TLS by then.
BoundedClient::~BoundedClient() { BoundedClient::shutdown_ssl(socket_, true); }

bool BoundedClient::create_and_connect_socket(Socket& socket, httplib::Error& error) {
  if (!ClientImpl::create_and_connect_socket(socket, error)) return false;
  if (!tls_.context) return true;
  socket.ssl = handshake(socket.sock).release();
  if (socket.ssl != nullptr) return true;
  error = httplib::Error::SSLConnection;
  shutdown_socket(socket);
  close_socket(socket);
  return false;
}

openssl::SslPtr BoundedClient::handshake(int socket) const {
  const auto until = std::chrono::steady_clock::now() + time_of(connection_timeout_sec_, connection_timeout_usec_);
  // From here on all waiting is in poll(), within its time.
  const int flags = ::fcntl(socket, F_GETFL, 0);
  if (flags < 0 || ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0) return nullptr;
  openssl::SslPtr ssl(SSL_new(tls_.context.get()));
  if (!ssl || SSL_set_fd(ssl.get(), socket) != 1) return nullptr;
  if (!tls_.server_name.empty()) openssl::ask_for_name(ssl.get(), tls_.server_name);
  for (;;) {
    ERR_clear_error();
    const int done = SSL_connect(ssl.get());
    if (done == 1) return ssl;
    const int why = SSL_get_error(ssl.get(), done);
    const bool goes_on = (why == SSL_ERROR_WANT_READ && ready_by(socket, POLLIN, until)) ||
                         (why == SSL_ERROR_WANT_WRITE && ready_by(socket, POLLOUT, until));
    if (!goes_on) return nullptr;
  }
}

void BoundedClient::shutdown_ssl(Socket& socket, bool gracefully) {
  const openssl::SslPtr ssl(std::exchange(socket.ssl, nullptr));
  if (!ssl || !gracefully) return;
  ERR_clear_error();
  SSL_shutdown(ssl.get());
}

bool BoundedClient::process_socket(const Socket& socket, std::function<bool(httplib::Stream&)> exchange) {
  limit_.begin();
  BoundedStream stream(limit_, socket.sock, socket.ssl, time_of(read_timeout_sec_, read_timeout_usec_),
                       time_of(write_timeout_sec_, write_timeout_usec_));
  return exchange(stream);
}

}  // namespace gate
