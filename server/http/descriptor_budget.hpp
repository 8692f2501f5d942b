#pragma once
// Both servers share one budget of connections, below what the process may have open.

#include <cstddef>

#include "policy/text/result.hpp"
#include "server/http/http_server.hpp"

namespace gate {

/// For what is no client's connection: the API server's, the FEs', files, and what libraries keep open.
inline constexpr std::size_t kDescriptorsReserved = 256;

/// Makes the servers' places fewer where `descriptors` are too few for both and the reserve: true if it had to.
/// InvalidInput, naming the limit, where too few are left to serve anybody.
[[nodiscard]] Result<bool> fit_to_descriptors(std::size_t descriptors, HttpLimits& webhooks, HttpLimits& operations);

}  // namespace gate
