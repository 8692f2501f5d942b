#include "server/http/wire.hpp"

#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace gate::http {
namespace {

/// A TLS record's payload: one read takes one record.
constexpr std::size_t kBufferBytes = 16u << 10;
/// How long finish() swallows what a refused client still sends, and how much of it.
constexpr std::chrono::milliseconds kLinger{1000};
constexpr std::size_t kLingerBytesMax = 16u << 20;

/// For poll(2): rounded up, so that it never wakes just before the deadline and spins.
int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1 << 30));
}

/// poll(2) that a signal does not end. The count of ready descriptors, 0 at the deadline.
int poll_until(pollfd* descriptors, nfds_t count, Deadline deadline) {
  for (;;) {
    const int ready = ::poll(descriptors, count, milliseconds_until(deadline));
    if (ready >= 0 || errno != EINTR) return ready;
  }
}

}  // namespace

Wire::Wire(int socket, SSL_CTX* tls) : socket_(socket), buffer_(kBufferBytes) {
  if (tls == nullptr) return;
  ssl_.reset(SSL_new(tls));
  if (!ssl_ || SSL_set_fd(ssl_.get(), socket) != 1) {
    broken_ = true;
    return;
  }
  SSL_set_accept_state(ssl_.get());
  SSL_set_read_ahead(ssl_.get(), 1);  // One read(2) takes the record's header and its payload.
}

Io Wire::handshake(Deadline deadline) {
  if (broken_) return Io::Closed;
  if (!ssl_) return Io::Done;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) return Io::Done;
    if (const Io io = retry(result, deadline); io != Io::Done) {
      broken_ = true;
      return io;
    }
  }
}

std::string_view Wire::buffered() const { return {buffer_.data() + begin_, end_ - begin_}; }

void Wire::consume(std::size_t bytes) { begin_ += bytes; }

Io Wire::fill(Deadline deadline) {
  begin_ = end_ = 0;
  for (;;) {
    // A client that keeps sending must not outlive the deadline either.
    if (std::chrono::steady_clock::now() >= deadline) return Io::TimedOut;
    Io io = Io::Done;
    if (ssl_) {
      ERR_clear_error();
      const int got = SSL_read(ssl_.get(), buffer_.data(), static_cast<int>(buffer_.size()));
      if (got > 0) {
        end_ = static_cast<std::size_t>(got);
        return Io::Done;
      }
      io = retry(got, deadline);
      if (io == Io::Closed && SSL_get_error(ssl_.get(), got) != SSL_ERROR_ZERO_RETURN) broken_ = true;
    } else {
      const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (got > 0) {
        end_ = static_cast<std::size_t>(got);
        return Io::Done;
      }
      if (got == 0 || (errno != EAGAIN && errno != EINTR)) return Io::Closed;
      io = wait_for(POLLIN, deadline);
    }
    if (io != Io::Done) return io;
  }
}

Io Wire::write(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    Io io = Io::Done;
    if (ssl_) {
      if (broken_) return Io::Closed;
      ERR_clear_error();
      std::size_t sent = 0;
      const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
      if (result == 1) {
        bytes.remove_prefix(sent);
        continue;
      }
      io = retry(result, deadline);
      if (io != Io::Done) broken_ = true;
    } else {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
        continue;
      }
      if (errno != EAGAIN && errno != EINTR) return Io::Closed;
      io = wait_for(POLLOUT, deadline);
    }
    if (io != Io::Done) return io;
  }
  return Io::Done;
}

Wake Wire::wait(int event, Deadline deadline) const {
  // Two requests may have come in one TLS record, or two records in one read: no poll would tell.
  if (begin_ != end_ || (ssl_ && SSL_has_pending(ssl_.get()) == 1)) return Wake::Readable;
  std::array<pollfd, 2> descriptors{pollfd{socket_, POLLIN, 0}, pollfd{event, POLLIN, 0}};
  if (poll_until(descriptors.data(), descriptors.size(), deadline) <= 0) return Wake::TimedOut;
  return descriptors[0].revents != 0 ? Wake::Readable : Wake::Event;
}

void Wire::finish(bool client_may_be_sending) {
  ERR_clear_error();
  if (ssl_ && !broken_) SSL_shutdown(ssl_.get());  // Sends our close_notify; the client's is not waited for.
  ::shutdown(socket_, SHUT_WR);
  if (!client_may_be_sending) return;
  const Deadline deadline = std::chrono::steady_clock::now() + kLinger;
  for (std::size_t swallowed = 0; swallowed < kLingerBytesMax;) {
    const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
    if (got > 0) swallowed += static_cast<std::size_t>(got);
    if (wait_for(POLLIN, deadline) != Io::Done) return;
  }
}

Io Wire::wait_for(short events, Deadline deadline) const {
  pollfd descriptor{socket_, events, 0};
  return poll_until(&descriptor, 1, deadline) > 0 ? Io::Done : Io::TimedOut;
}

Io Wire::retry(int result, Deadline deadline) const {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return wait_for(POLLIN, deadline);
    case SSL_ERROR_WANT_WRITE:
      return wait_for(POLLOUT, deadline);
    default:
      return Io::Closed;
  }
}

}  // namespace gate::http
