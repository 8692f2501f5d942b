#pragma once
// An API server that misbehaves on demand: answers each request with what the test says.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server/httplib.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "test/server/kubernetes/plain_config.hpp"

namespace gate::test {

class FakeApiServer {
 public:
  using Handler = std::function<void(const httplib::Request& request, httplib::Response& response)>;

  /// Listens on a free port of 127.0.0.1, or on `port`. `handler` runs on the server's threads, for every request.
  explicit FakeApiServer(Handler handler, int port = 0) {
    const auto record = [this, handler = std::move(handler)](const httplib::Request& request,
                                                             httplib::Response& response) {
      {
        const std::scoped_lock lock(mutex_);
        requests_.push_back(request.method + " " + request.target);
      }
      handler(request, response);
    };
    server_.Get(".*", record).Post(".*", record).Put(".*", record).Patch(".*", record).Delete(".*", record);
    server_.set_tcp_nodelay(true);
    port_ = port == 0 ? server_.bind_to_any_port("127.0.0.1") : (server_.bind_to_port("127.0.0.1", port) ? port : -1);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() before the accept loop runs would be ignored.
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~FakeApiServer() {
    server_.stop();
    thread_.join();
  }
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] KubeConfig config() const { return plain_config(port_); }
  [[nodiscard]] std::unique_ptr<KubeClient> client(KubeClientOptions options = {}) const {
    return KubeClient::create(config(), std::move(options)).value();
  }
  /// "GET /api/v1/..." in order of arrival.
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;  // guarded by mutex_
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

inline void answer_json(httplib::Response& response, const nlohmann::json& body, int status = 200) {
  response.status = status;
  response.set_content(body.dump(), "application/json");
}

inline void answer_status(httplib::Response& response, int code, const std::string& reason,
                          const std::string& message = "because") {
  answer_json(response, {{"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", message}}, code);
}

}  // namespace gate::test
