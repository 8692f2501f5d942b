#include "server/kubernetes/kube_client.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "policy/text/text.hpp"
#include "server/httplib.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// An idle connection is not used again after this: far below the API server's 90 s and load balancers' 60 s and more.
constexpr seconds kIdleMax{30};
/// A connection that is not made by then will hardly be: leaves time for a second attempt in a longer deadline.
constexpr seconds kConnectTimeout{10};
/// How long a token read from a file is used; the kubelet replaces it long before it ends.
constexpr seconds kTokenMaxAge{10};
/// As client-go: answers with Retry-After are repeated at most this often.
constexpr int kRetriesMax = 10;
/// A watch's server ends it after the timeout it was asked for; this much later it is taken for dead.
constexpr seconds kWatchGrace{15};
/// A dead peer of a silent watch is found by TCP after idle + count * interval seconds.
constexpr int kKeepAliveIdleSeconds = 30;
constexpr int kKeepAliveIntervalSeconds = 10;
constexpr int kKeepAliveCount = 3;
/// Part of an error body that is kept to explain it.
constexpr std::size_t kErrorBodyBytesMax = 64u << 10;

struct FreeX509 {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(X509_STORE* x) const { X509_STORE_free(x); }
  void operator()(EVP_PKEY* x) const { EVP_PKEY_free(x); }
  void operator()(BIO* x) const { BIO_free(x); }
};
template <class T>
using Handle = std::unique_ptr<T, FreeX509>;

std::vector<Handle<X509>> certificates_of(const std::string& pem) {
  std::vector<Handle<X509>> out;
  const Handle<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
  return out;
}

/// What proves the API server to us and us to it, parsed once.
struct TlsMaterial {
  Handle<X509_STORE> roots;  ///< Null = the system's.
  std::vector<Handle<X509>> chain;
  Handle<EVP_PKEY> key;
};

Result<TlsMaterial> parse_material(const KubeConfig& config) {
  TlsMaterial out;
  if (!config.ca_pem.empty()) {
    out.roots.reset(X509_STORE_new());
    const auto roots = certificates_of(config.ca_pem);
    for (const auto& root : roots) X509_STORE_add_cert(out.roots.get(), root.get());
    if (roots.empty()) {
      return Error{ErrorCode::InvalidInput, "certificate authority of the API server: expected PEM certificates"};
    }
  }
  if (!config.client_certificate_pem.empty()) {
    out.chain = certificates_of(config.client_certificate_pem);
    const Handle<BIO> bio(
        BIO_new_mem_buf(config.client_key_pem.data(), static_cast<int>(config.client_key_pem.size())));
    out.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    if (out.chain.empty() || !out.key || X509_check_private_key(out.chain.front().get(), out.key.get()) != 1) {
      return Error{ErrorCode::InvalidInput, "client certificate: expected a PEM certificate and its PEM key"};
    }
  }
  return out;
}

std::string percent_encoded(std::string_view segment) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : segment) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
        c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 0xf];
    }
  }
  return out;
}

/// Names come from annotations and requests, too: one must never lead to another path.
Status check_segment(std::string_view what, std::string_view segment) {
  const bool safe = !segment.empty() && segment != "." && segment != ".." && segment.size() <= 253 &&
                    segment.find_first_of(std::string_view("/%\0", 3)) == std::string_view::npos;
  if (safe) return Ok{};
  return Error{ErrorCode::InvalidInput,
               std::string(what) + ": \"" + clean_text(segment) + "\": expected a Kubernetes object name"};
}

Result<std::string> collection_path(const KubeResource& resource, const std::string& name_space) {
  std::string path = resource.group.empty() ? "/api/" : "/apis/" + std::string(resource.group) + "/";
  path += resource.version;
  if (!name_space.empty()) {
    if (auto safe = check_segment("namespace", name_space); !safe) return safe.error();
    path += "/namespaces/" + percent_encoded(name_space);
  }
  return path + "/" + std::string(resource.plural);
}

Result<std::string> object_path(const KubeResource& resource, const std::string& name_space, const std::string& name,
                                std::string_view subresource = {}) {
  auto path = collection_path(resource, name_space);
  if (!path) return path;
  if (auto safe = check_segment("name", name); !safe) return safe.error();
  *path += "/" + percent_encoded(name);
  if (!subresource.empty()) *path += "/" + std::string(subresource);
  return path;
}

std::string text_at(const json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto field = object.find(key);
  return field != object.end() && field->is_string() ? field->get<std::string>() : std::string();
}

/// An answer that is not 2xx, or an ERROR event of a watch, as an Error.
Error failure(const std::string& what, int status, const std::string& body) {
  const json parsed = json::parse(body, nullptr, false);
  const std::string kube_reason = text_at(parsed, "reason");
  std::string message = text_at(parsed, "message");
  if (message.empty()) message = body;
  ErrorCode code = ErrorCode::Rejected;
  if (status == 404 && kube_reason == "NotFound") {
    code = ErrorCode::NotFound;
  } else if (status == 404) {
    code = ErrorCode::Unavailable;
    message += " (the API server does not serve this kind: is its CRD installed?)";
  } else if (status == 409) {
    code = kube_reason == "AlreadyExists" ? ErrorCode::AlreadyExists : ErrorCode::Conflict;
  } else if (status == 401 || status == 403) {
    code = ErrorCode::PermissionDenied;
  } else if (status == 429 || status >= 500) {
    code = ErrorCode::Unavailable;
  }
  return {code,
          what + ": " + std::to_string(status) + (kube_reason.empty() ? "" : " " + clean_text(kube_reason)) + ": " +
              clean_text(message),
          status};
}

std::string bytes_of(const json& body) { return body.dump(-1, ' ', false, json::error_handler_t::replace); }

void set_socket_options(socket_t socket) {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveIdleSeconds, sizeof(kKeepAliveIdleSeconds));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveIntervalSeconds, sizeof(kKeepAliveIntervalSeconds));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &kKeepAliveCount, sizeof(kKeepAliveCount));
}

/// Splits a stream of JSON lines; a line above the limit breaks the stream.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  /// False when `on_line` says stop or a line is too long.
  template <class OnLine>
  bool feed(std::string_view data, OnLine on_line) {
    while (!data.empty()) {
      const auto end = data.find('\n');
      if (held_.size() + data.substr(0, end).size() > line_bytes_max_) return false;
      held_ += data.substr(0, end);
      if (end == std::string_view::npos) return true;
      data.remove_prefix(end + 1);
      const std::string line = std::exchange(held_, {});
      if (!line.empty() && !on_line(line)) return false;
    }
    return true;
  }

 private:
  const std::size_t line_bytes_max_;
  std::string held_;
};

struct Answer {
  int status = 0;
  std::string body;
  std::optional<seconds> retry_after;
};

struct Outgoing {
  std::string method;
  std::string path;  // encoded, with query
  std::string body;
  std::string content_type;

  /// For messages: without the query, whose continue token is long.
  [[nodiscard]] std::string what() const { return method + " " + path.substr(0, path.find('?')); }
};

}  // namespace

class KubeClient::Impl {
 public:
  Impl(KubeConfig config, KubeClientOptions options, TlsMaterial material)
      : config_(std::move(config)),
        options_(std::move(options)),
        material_(std::move(material)),
        watchdog_([this](const std::stop_token& stop) { watch_deadlines(stop); }) {}

  const KubeClientOptions& options() const { return options_; }

  Result<json> call(const Outgoing& request, Deadline deadline) {
    const auto body = call_for_text(request, deadline);
    if (!body) return body.error();
    json parsed = json::parse(*body, nullptr, false);
    if (!parsed.is_object()) return Error{ErrorCode::Unavailable, request.what() + ": the answer is not a JSON object"};
    return parsed;
  }

  /// The body of an answer of 2xx.
  Result<std::string> call_for_text(const Outgoing& request, Deadline deadline) {
    bool read_repeated = false;
    bool token_renewed = false;
    for (int retries = 0;;) {
      auto lease = acquire(request, deadline);
      if (!lease) return lease.error();
      const bool reused = (*lease)->used;
      auto answer = send(**lease, request, deadline);
      release(std::move(*lease), answer.ok());
      if (!answer) {
        // The server may have closed an idle connection in the moment of use.
        const bool repeat =
            reused && !read_repeated && request.method == "GET" && answer.error().code == ErrorCode::Unavailable;
        if (!repeat) return answer.error();
        read_repeated = true;
        continue;
      }
      if (answer->status == 401 && !token_renewed && !config_.token_file.empty()) {
        token_renewed = true;
        forget_token();
        continue;
      }
      const bool overloaded = answer->status == 429 || answer->status >= 500;
      if (overloaded && answer->retry_after && retries < kRetriesMax &&
          std::chrono::steady_clock::now() + *answer->retry_after < deadline) {
        ++retries;
        // At least a little, also where the server says 0.
        const auto pause = std::max<milliseconds>(*answer->retry_after, milliseconds(100));
        std::this_thread::sleep_for(pause);  // sleeps: as long as the server asked for, below the deadline
        continue;
      }
      if (answer->status < 200 || answer->status > 299) {
        return failure(request.what(), answer->status, answer->body);
      }
      return std::move(answer->body);
    }
  }

  Status watch(const WatchRequest& request, const std::string& path, const std::stop_token& stop) {
    const std::string what = "watch of " + std::string(request.resource.plural);
    const auto connection = std::make_unique<Connection>();
    connection->client = make_client();
    auto& client = *connection->client;
    client.set_connection_timeout(kConnectTimeout.count());
    client.set_write_timeout(kConnectTimeout.count());
    client.set_read_timeout((request.timeout + kWatchGrace).count());

    std::optional<Error> problem;
    std::string error_body;
    int status = 0;
    LineSplitter lines(options_.watch_line_bytes_max);
    httplib::Request out = outgoing({"GET", path, {}, {}});
    out.response_handler = [&](const httplib::Response& response) {
      status = response.status;
      if (status == 200 && request.on_open) request.on_open();
      return !stop.stop_requested();
    };
    out.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
      if (stop.stop_requested()) return false;
      if (status != 200) {
        error_body.append(data, std::min(size, kErrorBodyBytesMax - error_body.size()));
        return true;
      }
      const bool going = lines.feed({data, size}, [&](const std::string& line) {
        problem = dispatch(what, line, request);
        return !problem && !stop.stop_requested();
      });
      if (!going && !problem) problem = Error{ErrorCode::Unavailable, what + ": an event is larger than allowed"};
      return going;
    };
    httplib::Result result(nullptr, httplib::Error::Unknown);
    {
      const std::stop_callback cut(stop, [&client] { client.stop(); });
      if (stop.stop_requested()) return Ok{};
      result = client.send(out);
    }
    if (stop.stop_requested()) return Ok{};
    if (problem) return *problem;
    if (status != 0 && status != 200) {
      if (status == 401) forget_token();
      return failure(what, status, error_body);
    }
    if (!result) return Error{ErrorCode::Unavailable, what + ": " + httplib::to_string(result.error())};
    return Ok{};
  }

 private:
  /// One kept-alive connection; used by one thread at a time.
  struct Connection {
    std::unique_ptr<httplib::ClientImpl> client;
    SteadyTime last_used{};
    bool used = false;
    // Guarded by mutex_:
    Deadline deadline{};
    bool expired = false;  // the watchdog has cut it, or is about to
  };
  using Lease = std::shared_ptr<Connection>;

  std::unique_ptr<httplib::ClientImpl> make_client() const {
    std::unique_ptr<httplib::ClientImpl> client;
    if (!config_.tls) {
      client = std::make_unique<httplib::ClientImpl>(config_.host, config_.port);
    } else {
      auto secure = std::make_unique<httplib::SSLClient>(config_.host, config_.port);
      // OpenSSL verifies within the handshake, the name included: httplib's own check knows no name but the host's.
      secure->enable_server_certificate_verification(false);
      prepare_context(secure->ssl_context());
      client = std::move(secure);
    }
    client->set_keep_alive(true);
    client->set_tcp_nodelay(true);
    client->set_url_encode(false);  // encoded here already
    client->set_socket_options(set_socket_options);
    return client;
  }

  void prepare_context(SSL_CTX* context) const {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    if (material_.roots) {
      SSL_CTX_set1_cert_store(context, material_.roots.get());
    } else {
      SSL_CTX_set_default_verify_paths(context);
    }
    if (material_.key) {
      SSL_CTX_use_certificate(context, material_.chain.front().get());
      for (std::size_t i = 1; i < material_.chain.size(); ++i) {
        SSL_CTX_add1_chain_cert(context, material_.chain[i].get());
      }
      SSL_CTX_use_PrivateKey(context, material_.key.get());
    }
    if (config_.insecure_skip_verify) {
      SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
      return;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    const std::string& name = config_.tls_server_name.empty() ? config_.host : config_.tls_server_name;
    X509_VERIFY_PARAM* parameters = SSL_CTX_get0_param(context);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str()) != 1) {
      X509_VERIFY_PARAM_set1_host(parameters, name.data(), name.size());
    }
  }

  httplib::Request outgoing(const Outgoing& request) {
    httplib::Request out;
    out.method = request.method;
    out.path = config_.path_prefix + request.path;
    out.body = request.body;
    const bool ipv6 = config_.host.find(':') != std::string::npos;
    out.set_header("Host", (ipv6 ? "[" + config_.host + "]" : config_.host) + ":" + std::to_string(config_.port));
    out.set_header("User-Agent", "upgrade-gate/" + options_.version);
    out.set_header("Accept", "application/json");
    out.set_header("Accept-Encoding", "identity");  // nothing to inflate beyond the limits
    if (!request.content_type.empty()) out.set_header("Content-Type", request.content_type);
    if (const std::string token = current_token(); !token.empty() && config_.tls) {
      out.set_header("Authorization", "Bearer " + token);
    }
    return out;
  }

  Result<Answer> send(Connection& connection, const Outgoing& request, Deadline deadline) {
    auto& client = *connection.client;
    const auto left = std::max<milliseconds>(
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now()), milliseconds(1));
    client.set_connection_timeout(std::min<milliseconds>(left, kConnectTimeout));
    client.set_read_timeout(left);
    client.set_write_timeout(left);
    Answer answer;
    bool too_large = false;
    httplib::Request out = outgoing(request);
    out.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
      too_large = answer.body.size() + size > options_.response_bytes_max;
      if (!too_large) answer.body.append(data, size);
      return !too_large;
    };
    const httplib::Result result = client.send(out);
    connection.used = true;
    if (too_large) return Error{ErrorCode::Unavailable, request.what() + ": the answer is larger than allowed"};
    if (!result) {
      // httplib reports its time-outs as read or connection errors: the clock tells.
      if (std::chrono::steady_clock::now() + milliseconds(5) >= deadline) return deadline_error(request);
      return Error{ErrorCode::Unavailable, request.what() + ": " + config_.host + ":" + std::to_string(config_.port) +
                                               ": " + httplib::to_string(result.error())};
    }
    answer.status = result->status;
    const std::string wait = result->get_header_value("Retry-After");
    int wait_seconds = 0;
    const auto [end, parse_failure] = std::from_chars(wait.data(), wait.data() + wait.size(), wait_seconds);
    if (!wait.empty() && parse_failure == std::errc{} && end == wait.data() + wait.size() && wait_seconds >= 0) {
      answer.retry_after = seconds(wait_seconds);
    }
    return answer;
  }

  static Error deadline_error(const Outgoing& request) {
    return {ErrorCode::DeadlineExceeded, request.what() + ": no answer from the API server in time"};
  }

  // --- the pool ---

  Result<Lease> acquire(const Outgoing& request, Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!released_.wait_until(lock, deadline, [&] { return leased_.size() < options_.connections_max; }) ||
        std::chrono::steady_clock::now() >= deadline) {
      return deadline_error(request);
    }
    Lease lease;
    const auto now = std::chrono::steady_clock::now();
    while (!lease && !idle_.empty()) {
      Lease candidate = std::move(idle_.back());  // the warmest
      idle_.pop_back();
      if (now - candidate->last_used < kIdleMax && is_quiet(*candidate)) lease = std::move(candidate);
    }
    if (!lease) {
      lease = std::make_shared<Connection>();
      lease->client = make_client();
    }
    lease->deadline = deadline;
    leased_.push_back(lease);
    watchdog_wake_.notify_one();
    return lease;
  }

  void release(Lease lease, bool healthy) {
    {
      const std::scoped_lock lock(mutex_);
      std::erase(leased_, lease);
      lease->last_used = std::chrono::steady_clock::now();
      if (healthy && !lease->expired) idle_.push_back(std::move(lease));
    }
    released_.notify_one();
  }

  /// A waiting connection on which something arrives is being closed (a TLS close is data too).
  static bool is_quiet(const Connection& connection) {
    pollfd descriptor{connection.client->socket(), POLLIN, 0};
    return descriptor.fd < 0 || ::poll(&descriptor, 1, 0) == 0;
  }

  /// httplib's time-outs are per read; this cuts a request whose bytes come drop by drop.
  void watch_deadlines(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      const auto now = std::chrono::steady_clock::now();
      auto next = Deadline::max();
      std::vector<Lease> late;
      for (const Lease& lease : leased_) {
        if (lease->expired) continue;
        if (lease->deadline <= now) {
          lease->expired = true;  // so release() will not give it to another
          late.push_back(lease);
        } else {
          next = std::min(next, lease->deadline);
        }
      }
      if (!late.empty()) {
        lock.unlock();
        for (const Lease& lease : late) lease->client->stop();
        late.clear();
        lock.lock();
        continue;
      }
      if (next == Deadline::max()) {
        watchdog_wake_.wait(lock, stop, [&] { return has_unexpired(); });
      } else {
        watchdog_wake_.wait_until(lock, stop, next, [&] { return has_earlier_than(next); });
      }
    }
  }
  bool has_unexpired() const { return has_earlier_than(Deadline::max()); }
  bool has_earlier_than(Deadline time) const {
    return std::any_of(leased_.begin(), leased_.end(),
                       [&](const Lease& lease) { return !lease->expired && lease->deadline < time; });
  }

  // --- the token ---

  std::string current_token() {
    if (config_.token_file.empty()) return config_.token;
    const std::scoped_lock lock(token_mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (token_.empty() || now - token_read_ > kTokenMaxAge) {
      std::ifstream in(config_.token_file);
      std::string fresh;
      // Unreadable for a moment (the volume is being swapped): the old one is still good.
      if (in >> fresh) token_ = fresh;
      token_read_ = now;
    }
    return token_;
  }
  void forget_token() {
    const std::scoped_lock lock(token_mutex_);
    token_read_ = {};
  }

  // --- the watch ---

  static std::optional<Error> dispatch(const std::string& what, const std::string& line, const WatchRequest& request) {
    const json event = json::parse(line, nullptr, false);
    const std::string type = text_at(event, "type");
    if (!event.is_object() || !event.contains("object") || !event["object"].is_object()) {
      return Error{ErrorCode::Unavailable, what + ": an event is not what a watch sends"};
    }
    const json& object = event["object"];
    if (type == "ERROR") {
      const auto code = object.find("code");
      return failure(what, code != object.end() && code->is_number_integer() ? code->get<int>() : 500,
                     bytes_of(object));
    }
    if (type == "ADDED") request.on_event(WatchEventType::Added, object);
    if (type == "MODIFIED") request.on_event(WatchEventType::Modified, object);
    if (type == "DELETED") request.on_event(WatchEventType::Deleted, object);
    if (type == "BOOKMARK") request.on_event(WatchEventType::Bookmark, object);
    return std::nullopt;
  }

  const KubeConfig config_;
  const KubeClientOptions options_;
  const TlsMaterial material_;

  std::mutex mutex_;
  std::condition_variable released_;
  std::condition_variable_any watchdog_wake_;
  std::vector<Lease> leased_;  // guarded by mutex_
  std::vector<Lease> idle_;    // guarded by mutex_

  std::mutex token_mutex_;
  std::string token_;        // guarded by token_mutex_
  SteadyTime token_read_{};  // guarded by token_mutex_

  std::jthread watchdog_;  // last: uses the rest
};

KubeClient::KubeClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KubeClient::~KubeClient() = default;

Result<std::unique_ptr<KubeClient>> KubeClient::create(KubeConfig config, KubeClientOptions options) {
  auto material = parse_material(config);
  if (!material) return material.error();
  // OpenSSL writes to sockets without MSG_NOSIGNAL: a peer that went must be an error, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  return std::unique_ptr<KubeClient>(
      new KubeClient(std::make_unique<Impl>(std::move(config), std::move(options), std::move(*material))));
}

Result<json> KubeClient::get(const KubeResource& resource, const std::string& name_space, const std::string& name,
                             Deadline deadline) {
  const auto path = object_path(resource, name_space, name);
  if (!path) return path.error();
  return impl_->call({"GET", *path, {}, {}}, deadline);
}

Result<KubeList> KubeClient::list(const KubeResource& resource, const std::string& name_space, Deadline deadline,
                                  std::string_view label_selector) {
  const auto path = collection_path(resource, name_space);
  if (!path) return path.error();
  KubeList out;
  std::string token;
  bool restarted = false;
  do {
    std::string query = "?limit=" + std::to_string(impl_->options().list_page_size);
    if (!label_selector.empty()) query += "&labelSelector=" + percent_encoded(label_selector);
    if (!token.empty()) query += "&continue=" + percent_encoded(token);
    auto page = impl_->call({"GET", *path + query, {}, {}}, deadline);
    if (!page && page.error().peer_code == 410 && !token.empty() && !restarted) {
      // The pages' snapshot was compacted away: start over, once.
      restarted = true;
      token.clear();
      out.items.clear();
      continue;
    }
    if (!page) return page.error();
    if (const auto items = page->find("items"); items != page->end() && items->is_array()) {
      for (auto& item : *items) out.items.push_back(std::move(item));
    }
    const json metadata = page->value("metadata", json::object());
    out.resource_version = text_at(metadata, "resourceVersion");
    token = text_at(metadata, "continue");
    if (token.empty()) break;
  } while (true);
  return out;
}

Result<json> KubeClient::create_object(const KubeResource& resource, const std::string& name_space, const json& object,
                                       Deadline deadline) {
  const auto path = collection_path(resource, name_space);
  if (!path) return path.error();
  return impl_->call({"POST", *path, bytes_of(object), "application/json"}, deadline);
}

Result<json> KubeClient::merge_patch(const KubeResource& resource, const std::string& name_space,
                                     const std::string& name, std::string_view subresource, const json& patch,
                                     Deadline deadline) {
  const auto path = object_path(resource, name_space, name, subresource);
  if (!path) return path.error();
  return impl_->call({"PATCH", *path, bytes_of(patch), "application/merge-patch+json"}, deadline);
}

Result<json> KubeClient::replace(const KubeResource& resource, const std::string& name_space, const std::string& name,
                                 std::string_view subresource, const json& object, Deadline deadline) {
  const auto path = object_path(resource, name_space, name, subresource);
  if (!path) return path.error();
  return impl_->call({"PUT", *path, bytes_of(object), "application/json"}, deadline);
}

Result<std::string> KubeClient::pod_log(const std::string& name_space, const std::string& pod, int lines_max,
                                        std::size_t bytes_max, Deadline deadline) {
  const auto path = object_path(kube::kPods, name_space, pod, "log");
  if (!path) return path.error();
  const std::string query = "?tailLines=" + std::to_string(lines_max) + "&limitBytes=" + std::to_string(bytes_max);
  return impl_->call_for_text({"GET", *path + query, {}, {}}, deadline);
}

Status KubeClient::remove(const KubeResource& resource, const std::string& name_space, const std::string& name,
                          Deadline deadline, std::string_view propagation) {
  const auto path = object_path(resource, name_space, name);
  if (!path) return path.error();
  const std::string query = propagation.empty() ? "" : "?propagationPolicy=" + std::string(propagation);
  const auto answer = impl_->call({"DELETE", *path + query, {}, {}}, deadline);
  if (!answer) return answer.error();
  return Ok{};
}

Result<std::string> KubeClient::who_am_i(Deadline deadline) {
  const json review{{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "SelfSubjectReview"}};
  auto answer = create_object({"authentication.k8s.io", "v1", "selfsubjectreviews"}, {}, review, deadline);
  if (!answer) return answer.error();
  const json::json_pointer username("/status/userInfo/username");
  if (!answer->contains(username) || !(*answer)[username].is_string()) {
    return Error{ErrorCode::Unavailable, "SelfSubjectReview: the answer names no user"};
  }
  return (*answer)[username].get<std::string>();
}

Status KubeClient::watch(const WatchRequest& request, const std::stop_token& stop) {
  const auto path = collection_path(request.resource, request.name_space);
  if (!path) return path.error();
  const std::string query =
      "?watch=true&allowWatchBookmarks=true&resourceVersion=" + percent_encoded(request.resource_version) +
      "&timeoutSeconds=" + std::to_string(request.timeout.count());
  return impl_->watch(request, *path + query, stop);
}

}  // namespace gate
