#pragma once
// For the kubelet and Prometheus: plain HTTP on a port of its own, so that neither needs a certificate and neither
// competes with admissions.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/http/http_server.hpp"

namespace gate {

struct OpsServerOptions {
  std::string address;
  std::uint16_t port = 0;
  HttpLimits limits = {.connections_max = 64};
  Logger* log = nullptr;
};

/// Called by several threads at once; must not block.
struct OpsCallbacks {
  std::function<std::optional<std::string>()> why_not_ready;  ///< nullopt: ready.
  std::function<std::string()> metrics;                       ///< Prometheus text format.
  /// Optional: a list of UpgradePreparations as JSON. Whoever reaches the port can read it.
  std::function<std::string()> preparations{};
};

/// GET /livez (200 as long as the process serves), /readyz (200, or 503 with the reason), /metrics; and /preparations
/// where there is a callback for it.
[[nodiscard]] Result<std::unique_ptr<HttpServer>> start_ops_server(OpsServerOptions options, OpsCallbacks callbacks);

}  // namespace gate
