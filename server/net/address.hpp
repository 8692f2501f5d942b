#pragma once
// Which addresses the gate connects to on behalf of a hook, whose URL was written by somebody else.

#include <string>
#include <vector>

#include "policy/text/result.hpp"

namespace gate {

struct AddressRules {
  bool allow_loopback = false;  ///< For development: a service on this machine.
};

/// Whether it is an IPv4 or IPv6 address, without a zone or brackets, and no name. Pure.
[[nodiscard]] bool is_ip_address(const std::string& host);

/// Why `address` (numeric, as inet_pton reads it) is never called: "a loopback address", "a link-local address", ...;
/// empty for one that may be. IPv4 inside IPv6 (mapped, translated, compatible, NAT64, 6to4, ISATAP) is judged as the
/// IPv4 address that it leads to. What is no address may not be called. Pure.
[[nodiscard]] std::string why_never_called(const std::string& address, const AddressRules& rules);

/// PermissionDenied, naming `host` and the address, when any of its addresses is never called: a name that leads both
/// here and there is not trusted to lead there.
[[nodiscard]] Status judge_addresses(const std::string& host, const std::vector<std::string>& addresses,
                                     const AddressRules& rules);

}  // namespace gate
