#pragma once
// A port of this machine for a peer that a test writes byte by byte.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace gate::test {

/// A port of 127.0.0.1 that nobody else has. With `listens` the kernel takes connections into its backlog; without, it
/// refuses them.
class LoopbackPort {
 public:
  explicit LoopbackPort(bool listens = true) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    constexpr int kBacklog = 64;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, generic, size) != 0 || (listens && ::listen(socket_, kBacklog) != 0) ||
        ::getsockname(socket_, generic, &size) != 0) {
      close();
      throw std::runtime_error("no port");
    }
    port_ = ntohs(address.sin_port);
  }
  ~LoopbackPort() { close(); }
  LoopbackPort(const LoopbackPort&) = delete;
  LoopbackPort& operator=(const LoopbackPort&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int socket() const { return socket_; }

  /// The next connection, which is the caller's to close; negative after shut_down().
  [[nodiscard]] int accept() const { return ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC); }
  /// Ends an accept() that waits. From any thread.
  void shut_down() const { ::shutdown(socket_, SHUT_RDWR); }
  /// From then on the port refuses.
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

}  // namespace gate::test
