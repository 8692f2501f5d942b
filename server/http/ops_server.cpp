#include "server/http/ops_server.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/base/guarded.hpp"

namespace gate {

namespace {

/// A scrape costs milliseconds of a processor, and anybody who reaches the port can ask for it: who asks sooner than
/// this gets what the one before got.
constexpr std::chrono::milliseconds kScrapeInterval{20};

/// Thread safe.
class Scrapes {
 public:
  explicit Scrapes(std::function<std::string()> metrics) : metrics_(std::move(metrics)) {}

  std::string text() {
    auto newest = newest_.lock();
    if (const auto now = std::chrono::steady_clock::now(); now >= newest->next) {
      newest->text = metrics_();
      newest->next = std::chrono::steady_clock::now() + kScrapeInterval;
    }
    return newest->text;
  }

 private:
  struct Newest {
    std::string text;
    SteadyTime next;
  };
  const std::function<std::string()> metrics_;
  Guarded<Newest> newest_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> start_ops_server(OpsServerOptions options, OpsCallbacks callbacks) {
  HttpServerOptions http{std::move(options.address), options.port, {}, options.limits, options.log};
  for (const char* path : {"/livez", "/readyz", "/metrics"}) http.routes.push_back({"GET", path, ""});
  if (callbacks.preparations) http.routes.push_back({"GET", "/preparations", ""});
  // All by the thread that watches the connections: no scrape, and no client that takes no answer, holds a probe up.
  auto quick = [why_not_ready = std::move(callbacks.why_not_ready), preparations = std::move(callbacks.preparations),
                scrapes = std::make_shared<Scrapes>(std::move(callbacks.metrics))](
                   const HttpCall& call) -> std::optional<HttpReply> {
    if (call.path == "/metrics") return HttpReply{200, "text/plain; version=0.0.4; charset=utf-8", scrapes->text()};
    if (call.path == "/preparations") return HttpReply{200, "application/json", preparations()};
    if (call.path == "/readyz") {
      if (const auto reason = why_not_ready()) return HttpReply{503, "text/plain", *reason + "\n"};
    }
    return HttpReply{200, "text/plain", "ok\n"};
  };
  HttpHandlers handlers(quick, [quick](const HttpCall& call) { return *quick(call); });
  return HttpServer::start(std::move(http), nullptr, std::move(handlers));
}

}  // namespace gate
