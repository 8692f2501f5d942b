#include "server/http/ops_server.hpp"

#include <utility>

namespace gate {

Result<std::unique_ptr<HttpServer>> start_ops_server(OpsServerOptions options, OpsCallbacks callbacks) {
  HttpServerOptions http{std::move(options.address), options.port, {}, options.limits, {}};
  for (const char* path : {"/livez", "/readyz", "/metrics"}) http.routes.push_back({"GET", path, ""});
  return HttpServer::start(std::move(http), nullptr, [callbacks = std::move(callbacks)](const HttpCall& call) {
    if (call.path == "/metrics") return HttpReply{200, "text/plain; version=0.0.4; charset=utf-8", callbacks.metrics()};
    if (call.path == "/readyz") {
      if (const auto reason = callbacks.why_not_ready()) return HttpReply{503, "text/plain", *reason + "\n"};
    }
    return HttpReply{200, "text/plain", "ok\n"};
  });
}

}  // namespace gate
