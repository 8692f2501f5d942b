#pragma once
// What the API server calls: POST of an AdmissionReview over TLS.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "policy/review/admission_review.hpp"
#include "server/http/http_server.hpp"

namespace gate {

struct WebhookServerOptions {
  std::string address;
  std::uint16_t port = 0;
  std::vector<std::string> paths = {"/validate", "/mutate"};
  HttpLimits limits = {.body_bytes_max = kReviewBytesMax};
  Logger* log = nullptr;
};

/// `tls` (CertificateWatcher::server_context) must outlive the server. Answers before the handler sees anything:
/// 404 unknown path, 405 not POST, 415 not application/json, 411 no length, 413 body above body_bytes_max, 431 too many
/// or too large headers, 408 too slow, 503 (with Retry-After) no memory left for a large body, 400 anything else. Each
/// of these closes the connection.
[[nodiscard]] Result<std::unique_ptr<HttpServer>> start_webhook_server(WebhookServerOptions options, ssl_ctx_st* tls,
                                                                       HttpHandlers handlers);

}  // namespace gate
