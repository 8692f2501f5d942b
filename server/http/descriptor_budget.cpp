#include "server/http/descriptor_budget.hpp"

#include <algorithm>
#include <string>

namespace gate {
namespace {

/// With fewer neither the API server's connections nor the FEs' would find one.
constexpr std::size_t kDescriptorsMin = 64;
/// Of what is there for connections: for the operations port, whose clients are a few probes and scrapes.
constexpr std::size_t kOperationsPart = 4;
/// Of a server's sockets: for those that are told 503.
constexpr std::size_t kRefusedPart = 8;

void shrink(HttpLimits& limits, std::size_t sockets) {
  limits.refused_at_once_max = std::clamp<std::size_t>(sockets / kRefusedPart, 1, limits.refused_at_once_max);
  while (limits.connections_max > 1 && sockets_max(limits) > sockets) --limits.connections_max;
}

}  // namespace

Result<bool> fit_to_descriptors(std::size_t descriptors, HttpLimits& webhooks, HttpLimits& operations) {
  if (descriptors < kDescriptorsMin) {
    return Error{ErrorCode::InvalidInput, "the process may have " + std::to_string(descriptors) +
                                              " files open (RLIMIT_NOFILE): want at least " +
                                              std::to_string(kDescriptorsMin)};
  }
  const std::size_t available = descriptors - std::min(kDescriptorsReserved, descriptors / 2);
  if (sockets_max(webhooks) + sockets_max(operations) <= available) return false;
  shrink(operations, std::min(sockets_max(operations), available / kOperationsPart));
  shrink(webhooks, available - sockets_max(operations));
  return true;
}

}  // namespace gate
