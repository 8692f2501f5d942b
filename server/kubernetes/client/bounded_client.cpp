#include "server/kubernetes/client/bounded_client.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace gate {
namespace {

constexpr std::string_view kFirstLineBegins = "HTTP/";

int int_size(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

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
  const auto until = std::chrono::steady_clock::now() + limit;
  for (;;) {
    pollfd descriptor{socket_, events, 0};
    const auto left = std::chrono::ceil<Milliseconds>(until - std::chrono::steady_clock::now()).count();
    const int ready = ::poll(&descriptor, 1, static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX)));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
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

}  // namespace gate
