#pragma once
// Where a server waits for its clients.

#include <cstdint>
#include <string>

#include "policy/text/result.hpp"
#include "server/base/fd.hpp"

namespace gate::http {

/// A non-blocking socket that listens. An empty address, or "::", means every address of both families; where IPv6 is
/// switched off, every IPv4 address. "0.0.0.0" is IPv4 alone. A name: the first of its addresses that can be had.
/// `port` 0: any free one. Unavailable, naming address and cause, if none can be listened on.
[[nodiscard]] Result<Fd> listen_on(const std::string& address, std::uint16_t port);

/// That the socket listens on.
[[nodiscard]] std::uint16_t port_of(int socket);

}  // namespace gate::http
