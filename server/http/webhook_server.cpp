#include "server/http/webhook_server.hpp"

#include <utility>

namespace gate {

Result<std::unique_ptr<HttpServer>> start_webhook_server(WebhookServerOptions options, ssl_ctx_st* tls,
                                                         HttpHandlers handlers) {
  if (tls == nullptr) return Error{ErrorCode::InvalidInput, "the API server calls webhooks over TLS only", 0};
  HttpServerOptions http{std::move(options.address), options.port, {}, options.limits, options.log};
  for (auto& path : options.paths) http.routes.push_back({"POST", std::move(path), "application/json"});
  // What a webhook without a path is called by: it gets the guard's explanation.
  if (handlers.guard) http.routes.push_back({"POST", "/", "application/json"});
  return HttpServer::start(std::move(http), tls, std::move(handlers));
}

}  // namespace gate
