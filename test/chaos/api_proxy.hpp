#pragma once
// A proxy in front of a real API server that counts what passes and has trouble on demand. Plain HTTP towards the gate,
// as `kubectl proxy` is; it logs in as the administrator.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/httplib.hpp"
#include "server/kubernetes/client/kube_config.hpp"
#include "test/server/kubernetes/plain_config.hpp"

namespace gate::test {

struct ProxiedRequest {
  std::string method;
  std::string target;  ///< Path and query, encoded.
  [[nodiscard]] bool is_watch() const { return target.find("watch=") != std::string::npos; }
  [[nodiscard]] bool is_read() const { return method == "GET"; }
};

/// In place of the API server's answer.
struct ProxyFault {
  int status = 503;
  std::string reason = "ServiceUnavailable";
  int retry_after_seconds = -1;  ///< Negative: no such header.
};

/// Thread safe.
class ApiProxy {
 public:
  /// What becomes of a request: nullopt passes it on.
  using Rule = std::function<std::optional<ProxyFault>(const ProxiedRequest&)>;

  explicit ApiProxy(KubeConfig upstream) : upstream_(std::move(upstream)) { listen(0); }
  ~ApiProxy() {
    pass_on();
    go_away();
  }
  ApiProxy(const ApiProxy&) = delete;
  ApiProxy& operator=(const ApiProxy&) = delete;

  [[nodiscard]] int port() const { return port_; }
  /// For the gate's client.
  [[nodiscard]] KubeConfig config() const { return plain_config(port_); }

  /// Asked before each request is passed on, on the proxy's threads; it may block.
  void set_rule(Rule rule) {
    const std::lock_guard lock(mutex_);
    rule_ = std::move(rule);
  }
  /// Told after the API server has answered and before the gate learns of it. May block.
  void set_after(std::function<void(const ProxiedRequest&, int status)> after) {
    const std::lock_guard lock(mutex_);
    after_ = std::move(after);
  }
  /// No more trouble: rules go, and what hangs goes on.
  void pass_on() {
    {
      const std::lock_guard lock(mutex_);
      rule_ = nullptr;
      after_ = nullptr;
      hanging_ = false;
    }
    changed_.notify_all();
  }
  /// Accepts requests and answers none until pass_on().
  void hang() {
    const std::lock_guard lock(mutex_);
    hanging_ = true;
  }
  /// Nobody listens; what is under way is cut.
  void go_away() {
    if (!server_) return;
    server_->stop();
    cut_watches();
    thread_.join();
    server_.reset();
  }
  void come_back() { listen(port_); }
  /// Every open watch ends in the middle of its stream.
  void cut_watches() {
    const std::lock_guard lock(mutex_);
    for (auto* watch : watches_) watch->stop();
  }
  [[nodiscard]] std::size_t open_watches() const {
    const std::lock_guard lock(mutex_);
    return watches_.size();
  }

  /// So far, whatever became of them.
  [[nodiscard]] std::vector<ProxiedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  [[nodiscard]] std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return requests_.size();
  }

 private:
  /// Watches hold a thread each; so do requests that hang.
  static constexpr std::size_t kThreads = 64;

  void listen(int port) {
    server_ = std::make_unique<httplib::Server>();
    server_->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_->set_tcp_nodelay(true);
    const auto handle = [this](const httplib::Request& request, httplib::Response& response) {
      answer(request, response);
    };
    server_->Get(".*", handle).Post(".*", handle).Put(".*", handle).Patch(".*", handle).Delete(".*", handle);
    port_ = port == 0 ? server_->bind_to_any_port("127.0.0.1") : (server_->bind_to_port("127.0.0.1", port) ? port : -1);
    thread_ = std::thread([server = server_.get()] { server->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::yield();
  }

  [[nodiscard]] std::unique_ptr<httplib::SSLClient> upstream() const {
    constexpr time_t kLongerThanAnyWatch = 900;
    auto client = std::make_unique<httplib::SSLClient>(upstream_.host, upstream_.port);
    client->enable_server_certificate_verification(false);  // the test's own, on this machine
    client->set_bearer_token_auth(upstream_.token.c_str());
    client->set_url_encode(false);
    client->set_tcp_nodelay(true);
    client->set_read_timeout(kLongerThanAnyWatch);
    return client;
  }

  void answer(const httplib::Request& request, httplib::Response& response) {
    const ProxiedRequest proxied{request.method, request.target};
    Rule rule;
    {
      std::unique_lock lock(mutex_);
      requests_.push_back(proxied);
      changed_.wait(lock, [&] { return !hanging_; });
      rule = rule_;
    }
    if (rule) {
      if (const auto fault = rule(proxied)) {
        response.status = fault->status;
        if (fault->retry_after_seconds >= 0) {
          response.set_header("Retry-After", std::to_string(fault->retry_after_seconds));
        }
        response.set_content(R"({"kind":"Status","code":)" + std::to_string(fault->status) + R"(,"reason":")" +
                                 fault->reason + R"(","message":"trouble on demand"})",
                             "application/json");
        return;
      }
    }
    if (proxied.is_watch()) {
      response.set_chunked_content_provider(
          "application/json",
          [this, target = request.target](std::size_t, httplib::DataSink& sink) { return stream(target, sink); });
      return;
    }
    const auto client = upstream();
    httplib::Request out;
    out.method = request.method;
    out.path = request.target;
    out.body = request.body;
    for (const char* header : {"Content-Type", "Accept", "User-Agent"}) {
      if (request.has_header(header)) out.set_header(header, request.get_header_value(header));
    }
    const auto got = client->send(out);
    if (!got) {
      response.status = 502;
      return;
    }
    decltype(after_) after;
    {
      const std::lock_guard lock(mutex_);
      after = after_;
    }
    if (after) after(proxied, got->status);
    response.status = got->status;
    if (got->has_header("Retry-After")) response.set_header("Retry-After", got->get_header_value("Retry-After"));
    response.set_content(got->body, "application/json");
  }

  bool stream(const std::string& target, httplib::DataSink& sink) {
    const auto client = upstream();
    {
      const std::lock_guard lock(mutex_);
      watches_.insert(client.get());
    }
    const auto ended = client->Get(target.c_str(), httplib::Headers{{"Accept", "application/json"}},
                                   [&](const char* data, std::size_t size) { return sink.write(data, size); });
    {
      const std::lock_guard lock(mutex_);
      watches_.erase(client.get());
    }
    if (!ended) return false;  // cut: the client sees a broken stream
    sink.done();
    return true;
  }

  const KubeConfig upstream_;
  int port_ = 0;
  std::unique_ptr<httplib::Server> server_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Rule rule_;                                                     // guarded by mutex_
  std::function<void(const ProxiedRequest&, int status)> after_;  // guarded by mutex_
  bool hanging_ = false;                                          // guarded by mutex_
  std::set<httplib::SSLClient*> watches_;                         // guarded by mutex_
  std::vector<ProxiedRequest> requests_;                          // guarded by mutex_
};

}  // namespace gate::test
