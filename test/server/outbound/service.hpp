#pragma once
// A peer of the gate's own calls.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/httplib.hpp"

namespace gate::test {

/// Answers every POST with what the test says, and remembers what it was asked.
class Service {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  Service(std::unique_ptr<httplib::Server> server, Handler handler) : server_(std::move(server)) {
    server_->Post(".*", [this, handler = std::move(handler)](const auto& request, auto& response) {
      {
        const std::scoped_lock lock(mutex_);
        requests_.push_back(request);
      }
      handler(request, response);
    });
    server_->set_tcp_nodelay(true);
    port_ = server_->bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::yield();  // stop() before that would be ignored
  }
  ~Service() {
    server_->stop();
    thread_.join();
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  [[nodiscard]] std::string at(const std::string& origin) const { return origin + ":" + std::to_string(port_); }
  [[nodiscard]] std::vector<httplib::Request> requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<httplib::Request> requests_;  // guarded by mutex_
  std::unique_ptr<httplib::Server> server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace gate::test
