#include "server/http/connection_stream.hpp"

#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace gate::http {
namespace {

/// A TLS record's payload: one read takes one record.
constexpr std::size_t kBufferBytes = 16u << 10;
/// How much swallow() takes of what a refused client still sends.
constexpr std::size_t kSwallowedBytesMax = 16u << 20;

/// For poll(2): rounded up, so that it never wakes just before the deadline and spins.
int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1 << 30));
}

std::string newest_tls_error() {
  const unsigned long code = ERR_peek_last_error();
  if (code == 0) return "the client closed the connection";
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "unknown TLS error" : reason;
}

}  // namespace

Io ConnectionStream::handshake() {
  if (tls_ == nullptr) return Io::Done;
  if (broken_) return Io::Closed;
  if (!ssl_) {
    ssl_.reset(SSL_new(tls_));
    if (!ssl_ || SSL_set_fd(ssl_.get(), socket_) != 1) {
      handshake_error_ = "out of memory";
      return closed();
    }
    SSL_set_accept_state(ssl_.get());
    SSL_set_read_ahead(ssl_.get(), 1);  // One read(2) takes the record's header and its payload.
    // Of an answer that does not go in one piece, what is left is sent later, from wherever it is kept.
    SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return Io::Done;
  if (after_ssl(result) == Attempt::Wait) return Io::Later;
  handshake_error_ = newest_tls_error();
  return closed();
}

/// Nothing may be sent any more.
Io ConnectionStream::closed() {
  broken_ = true;
  return Io::Closed;
}

void ConnectionStream::reserve(std::size_t bytes) {
  if (capacity_ - begin_ >= bytes) return;
  auto larger = std::make_unique_for_overwrite<char[]>(bytes);
  if (begin_ != end_) std::memcpy(larger.get(), buffer_.get() + begin_, end_ - begin_);
  buffer_ = std::move(larger);
  capacity_ = bytes;
  end_ -= begin_;
  begin_ = 0;
}

void ConnectionStream::release() {
  if (begin_ != end_) return;
  buffer_.reset();
  capacity_ = begin_ = end_ = 0;
}

Io ConnectionStream::receive() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (room() == 0) reserve(std::max(kBufferBytes, 2 * (end_ - begin_)));
  std::size_t size = room();
  switch (try_read(buffer_.get() + end_, size)) {
    case Attempt::Done:
      end_ += size;
      return Io::Done;
    case Attempt::Wait:
      return Io::Later;
    case Attempt::Closed:
      return Io::Closed;
  }
  return Io::Closed;
}

Io ConnectionStream::fill(Deadline deadline) {
  begin_ = end_ = 0;
  reserve(kBufferBytes);
  std::size_t size = capacity_;
  const Io io = read(buffer_.get(), size, deadline);
  if (io == Io::Done) end_ = size;
  return io;
}

Io ConnectionStream::read(char* data, std::size_t& size, Deadline deadline) {
  for (;;) {
    // A client that keeps sending must not outlive the deadline either.
    if (std::chrono::steady_clock::now() >= deadline) return Io::TimedOut;
    std::size_t got = size;
    switch (try_read(data, got)) {
      case Attempt::Done:
        size = got;
        return Io::Done;
      case Attempt::Closed:
        return Io::Closed;
      case Attempt::Wait:
        if (const Io io = wait_for(wanted_, deadline); io != Io::Done) return io;
    }
  }
}

Io ConnectionStream::send(std::string_view& bytes) {
  if (broken_) return Io::Closed;
  while (!bytes.empty()) {
    if (ssl_) {
      ERR_clear_error();
      std::size_t sent = 0;
      const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
      if (result == 1) {
        bytes.remove_prefix(sent);
        continue;
      }
      return after_ssl(result) == Attempt::Wait ? Io::Later : closed();
    }
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      wanted_ = POLLOUT;
      return Io::Later;
    } else if (errno != EINTR) {
      return closed();
    }
  }
  return Io::Done;
}

void ConnectionStream::finish() {
  ERR_clear_error();
  if (ssl_ && !broken_) SSL_shutdown(ssl_.get());  // Sends our close_notify; the client's is not waited for.
  ::shutdown(socket_, SHUT_WR);
}

bool ConnectionStream::swallow() {
  std::array<char, kBufferBytes> bytes;
  while (swallowed_ < kSwallowedBytesMax) {
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (got < 0) return true;
    swallowed_ += static_cast<std::size_t>(got);
  }
  return false;
}

ConnectionStream::Attempt ConnectionStream::try_read(char* data, std::size_t& size) {
  if (ssl_) {
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), data, size, &size);
    if (result == 1) return Attempt::Done;
    const Attempt attempt = after_ssl(result);
    if (attempt == Attempt::Closed && SSL_get_error(ssl_.get(), result) != SSL_ERROR_ZERO_RETURN) broken_ = true;
    return attempt;
  }
  const ssize_t got = ::recv(socket_, data, size, 0);
  if (got > 0) {
    size = static_cast<std::size_t>(got);
    return Attempt::Done;
  }
  wanted_ = POLLIN;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? Attempt::Wait : Attempt::Closed;
}

ConnectionStream::Attempt ConnectionStream::after_ssl(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      wanted_ = POLLIN;
      return Attempt::Wait;
    case SSL_ERROR_WANT_WRITE:
      wanted_ = POLLOUT;
      return Attempt::Wait;
    default:
      return Attempt::Closed;
  }
}

Io ConnectionStream::wait_for(short events, Deadline deadline) const {
  if (wait_ != nullptr && !wait_->begin()) return Io::NoThread;
  pollfd descriptor{socket_, events, 0};
  int ready = 0;
  do {
    ready = ::poll(&descriptor, 1, milliseconds_until(deadline));
  } while (ready < 0 && errno == EINTR);
  if (wait_ != nullptr && !wait_->end()) return Io::Closed;
  return ready > 0 ? Io::Done : Io::TimedOut;
}

}  // namespace gate::http
