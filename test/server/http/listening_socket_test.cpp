// Which addresses a server can be reached at.

#include "server/http/listening_socket.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

using namespace gate;

namespace {

bool machine_has_ipv6() {
  const Fd socket(::socket(AF_INET6, SOCK_STREAM, 0));
  sockaddr_in6 loopback{};
  loopback.sin6_family = AF_INET6;
  loopback.sin6_addr = in6addr_loopback;
  return socket.get() >= 0 && ::bind(socket.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0;
}

bool reaches(int family, std::uint16_t port) {
  const Fd socket(::socket(family, SOCK_STREAM, 0));
  if (family == AF_INET) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(port);
  to.sin6_addr = in6addr_loopback;
  return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

}  // namespace

TEST_CASE("an address says which families are served: none, or ::, means both") {
  const bool has_ipv6 = machine_has_ipv6();
  struct Row {
    std::string address;
    bool ipv4;
    bool ipv6;
  };
  for (const auto& row : {Row{"", true, true}, Row{"::", true, true}, Row{"0.0.0.0", true, false},
                          Row{"127.0.0.1", true, false}, Row{"::1", false, true}}) {
    if (!has_ipv6 && row.address == "::1") continue;
    INFO(row.address);
    const auto socket = http::listen_on(row.address, 0);
    REQUIRE(socket);
    const auto port = http::port_of(socket->get());
    CHECK(port != 0);
    CHECK(reaches(AF_INET, port) == row.ipv4);
    CHECK(reaches(AF_INET6, port) == (row.ipv6 && has_ipv6));
  }
}

TEST_CASE("an address that cannot be had is told as it is written, with the cause") {
  const auto taken = http::listen_on("127.0.0.1", 0);
  REQUIRE(taken);
  const auto port = http::port_of(taken->get());
  const auto again = http::listen_on("127.0.0.1", port);
  REQUIRE_FALSE(again);
  CHECK(again.error().message == "cannot listen on 127.0.0.1:" + std::to_string(port) + ": Address already in use");
  const auto documentation = http::listen_on("2001:db8::1", 9443);
  REQUIRE_FALSE(documentation);
  CHECK(documentation.error().message.starts_with("cannot listen on [2001:db8::1]:9443: "));
}
