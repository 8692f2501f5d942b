#include "server/http/listening_socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace gate::http {
namespace {

/// Bursts of new connections wait here; the kernel caps it at net.core.somaxconn.
constexpr int kListenBacklog = 4096;

std::string shown(const std::string& address, std::uint16_t port) {
  const bool is_ipv6 = address.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

/// errno tells why the descriptor is none.
Fd listen_on_one(const sockaddr* address, socklen_t length) {
  Fd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fd;
  const int on = 1;
  const int off = 0;
  const bool is_ipv6 = address->sa_family == AF_INET6;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (is_ipv6 && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
      ::bind(fd.get(), address, length) != 0 || ::listen(fd.get(), kListenBacklog) != 0) {
    const int cause = errno;
    fd.reset();
    errno = cause;
  }
  return fd;
}

Fd listen_on_both_families(std::uint16_t port) {
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(port);
  Fd fd = listen_on_one(reinterpret_cast<const sockaddr*>(&any), sizeof any);
  // The kernel was started without IPv6, or its address "::" was switched off (net.ipv6.conf.all.disable_ipv6).
  if (fd.get() >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL && errno != EPROTONOSUPPORT)) return fd;
  sockaddr_in any4{};
  any4.sin_family = AF_INET;
  any4.sin_port = htons(port);
  return listen_on_one(reinterpret_cast<const sockaddr*>(&any4), sizeof any4);
}

}  // namespace

Result<Fd> listen_on(const std::string& address, std::uint16_t port) {
  const auto failed = [&](const std::string& cause) {
    return Error{ErrorCode::Unavailable, "cannot listen on " + shown(address, port) + ": " + cause};
  };
  if (address.empty() || address == "::") {
    Fd fd = listen_on_both_families(port);
    if (fd.get() < 0) return failed(std::strerror(errno));
    return fd;
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
    return failed(::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Fd fd = listen_on_one(each->ai_addr, each->ai_addrlen);
    if (fd.get() >= 0) return fd;
  }
  return failed(std::strerror(errno));
}

std::uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace gate::http
