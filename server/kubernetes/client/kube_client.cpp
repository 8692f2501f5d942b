#include "server/kubernetes/client/kube_client.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/text/text.hpp"
#include "server/base/file.hpp"
#include "server/base/guarded.hpp"
#include "server/httplib.hpp"
#include "server/kubernetes/client/answer_stream.hpp"
#include "server/kubernetes/client/api_error.hpp"
#include "server/kubernetes/client/api_server_trust.hpp"
#include "server/kubernetes/client/bounded_client.hpp"
#include "server/kubernetes/client/kube_path.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// An idle connection is not used again after this: far below the API server's 90 s and load balancers' 60 s and more.
constexpr seconds kIdleMax{30};
/// A connection that is not made by then will hardly be: leaves time for a second attempt in a longer deadline.
constexpr seconds kConnectTimeout{5};
/// A connection that was just being made when it was cut is cut again.
constexpr milliseconds kCutAgain{100};
/// How long a token read from a file is used; the kubelet replaces it long before it ends.
constexpr seconds kTokenMaxAge{10};
/// Tokens have one to four kilobytes.
constexpr std::size_t kTokenBytesMax = 64u << 10;
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

std::string first_word(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  return begin == std::string::npos ? std::string() : text.substr(begin, text.find_first_of(kSpace, begin) - begin);
}

std::string bytes_of(const json& body) { return body.dump(-1, ' ', false, json::error_handler_t::replace); }

void set_socket_options(socket_t socket) {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveIdleSeconds, sizeof(kKeepAliveIdleSeconds));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveIntervalSeconds, sizeof(kKeepAliveIntervalSeconds));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &kKeepAliveCount, sizeof(kKeepAliveCount));
}

/// The API server leaves everything out but the metadata.
constexpr const char* kMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
constexpr const char* kMetadataList =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// Of objects that others wrote. A record of the gate's has less.
constexpr ProjectionLimits kAnswerLimits{.nodes_max = 65536};

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
  std::string accept = "application/json";
  /// Takes the body of an answer of 200 as it arrives; false: no more of it. Empty: the body is collected.
  std::function<bool(std::string_view)> consumer{};
  std::stop_token stop{};  ///< Cuts the request.

  /// For messages: without the query, whose continue token is long.
  [[nodiscard]] std::string what() const { return method + " " + path.substr(0, path.find('?')); }
};

}  // namespace

class KubeClient::Impl {
 public:
  Impl(KubeConfig config, KubeClientOptions options, std::unique_ptr<ApiServerTrust> trust)
      : config_(std::move(config)), options_(std::move(options)), trust_(std::move(trust)) {
    {
      const auto pool = pool_.lock();
      pool->leased.reserve(options_.connections_max);
      pool->idle.reserve(options_.connections_max);
    }
    late_.reserve(options_.connections_max);
    watchdog_ = std::jthread([this](const std::stop_token& stop) { watch_deadlines(stop); });
  }

  const KubeClientOptions& options() const { return options_; }

  Result<json> call(const Outgoing& request, Deadline deadline, const Projection& keep) {
    const auto body = call_for_text(request, deadline);
    if (!body) return body.error();
    auto projected = project_json(*body, keep, kAnswerLimits);
    if (!projected && json::accept(*body)) {
      // It is as large as its writer made it, and will be.
      return Error{ErrorCode::Rejected,
                   request.what() + ": the answer is larger than allowed: " + projected.error().message};
    }
    if (!projected || !projected->is_object()) {
      return Error{ErrorCode::Unavailable, request.what() + ": the answer is not a JSON object that can be read" +
                                               (projected ? "" : ": " + projected.error().message)};
    }
    return projected;
  }

  void end_by(Deadline limit) {
    {
      const auto pool = pool_.lock();
      pool->end_by = std::min(pool->end_by, limit);
      for (const Lease& lease : pool->leased) lease->deadline = std::min(lease->deadline, pool->end_by);
      for (Waiter* waiter : pool->waiting) waiter->wake.notify_one();
    }
    watchdog_wake_.notify_one();
    shortened_.notify_all();
  }

  [[nodiscard]] std::size_t waiting() const { return pool_.lock()->waiting.size(); }

  /// The body of an answer of 2xx.
  Result<std::string> call_for_text(const Outgoing& request, Deadline deadline) {
    bool read_repeated = false;
    bool token_renewed = false;
    for (int retries = 0;;) {
      auto lease = acquire(request, deadline);
      if (!lease) return lease.error();
      Use use(*this, *std::move(lease));
      const bool reused = use.lease->used;
      auto answer = send_stoppable(use.lease, request, deadline);
      const bool untouched = !use.lease->consumed;
      use.end(answer.ok());
      if (!answer) {
        // The server may have closed an idle connection in the moment of use.
        const bool repeat = reused && untouched && !read_repeated && request.method == "GET" &&
                            answer.error().code == ErrorCode::Unavailable;
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
      // At least a little, also where the server says 0.
      const auto wait = std::max<milliseconds>(answer->retry_after.value_or(seconds(0)), milliseconds(100));
      if (overloaded && answer->retry_after && retries < kRetriesMax && pause(wait, deadline, request.stop)) {
        ++retries;
        continue;
      }
      if (answer->status < 200 || answer->status > 299) {
        return api_error(request.what(), answer->status, answer->body);
      }
      return std::move(answer->body);
    }
  }

  Result<std::string> list_each(const KubeClient::ListRequest& request, const std::string& path, Deadline deadline) {
    const Projection& keep = request.keep == nullptr ? whole_object() : *request.keep;
    static const Projection kFrame = keep_members(
        "", {keep_members("metadata", {keep_all("resourceVersion"), keep_all("continue")}), keep_all("items")});
    std::string token;
    std::size_t items = 0;
    // Each page but the last has items: a server that sends empty ones for ever is as broken as one without an end.
    for (std::size_t page = 0; page <= options_.list_items_max; ++page) {
      std::optional<Error> problem;
      const std::string what = "GET " + path;
      ListSplitter splitter(options_.response_bytes_max);
      const auto take = [&](const std::string& text) {
        if (++items > options_.list_items_max) {
          problem = Error{ErrorCode::Unavailable,
                          what + ": more than " + std::to_string(options_.list_items_max) + " objects"};
          return false;
        }
        auto item = project_json(text, keep, kAnswerLimits);
        if (item) {
          request.on_item(*std::move(item));
        } else if (json::accept(text)) {
          if (request.on_unreadable) request.on_unreadable(item.error().message);
        } else {
          problem = Error{ErrorCode::Unavailable, what + ": an item of the list is not JSON"};
        }
        return !problem;
      };
      std::string query = path + (path.find('?') == std::string::npos ? "?" : "&");
      // A limit would send older API servers to etcd.
      query += request.not_older_than.empty() ? "limit=" + std::to_string(options_.list_page_size)
                                              : "resourceVersion=" + percent_encoded(request.not_older_than) +
                                                    "&resourceVersionMatch=NotOlderThan";
      if (!request.label_selector.empty()) query += "&labelSelector=" + percent_encoded(request.label_selector);
      if (!token.empty()) query += "&continue=" + percent_encoded(token);
      Outgoing outgoing{"GET", query, {}, {}};
      outgoing.stop = request.stop;
      if (request.metadata_only) outgoing.accept = kMetadataList;
      outgoing.consumer = [&](std::string_view data) { return splitter.feed(data, take); };
      const auto read = call_for_text(outgoing, deadline);
      if (problem) return *problem;
      if (!read) return read.error();
      const auto frame = project_json(splitter.frame(), kFrame);
      if (!frame || !frame->is_object()) {
        return Error{ErrorCode::Unavailable, what + ": the answer is not a list"};
      }
      const json metadata = frame->value("metadata", json::object());
      const std::string next = text_member(metadata, "continue");
      if (next.empty()) return text_member(metadata, "resourceVersion");
      if (next == token) break;
      token = next;
    }
    return Error{ErrorCode::Unavailable, "GET " + path + ": the list has no end"};
  }

  Status watch(const WatchRequest& request, const std::string& path, const std::stop_token& stop) {
    const std::string what = "watch of " + std::string(request.resource.plural);
    const auto connection = std::make_unique<Connection>();
    connection->client = make_client(connection->framing);
    auto& client = *connection->client;
    client.set_connection_timeout(kConnectTimeout.count());
    client.set_write_timeout(kConnectTimeout.count());
    client.set_read_timeout((request.timeout + kWatchGrace).count());

    std::optional<Error> problem;
    std::string error_body;
    int status = 0;
    LineSplitter lines(options_.response_bytes_max);
    Outgoing plain{"GET", path, {}, {}};
    if (request.metadata_only) plain.accept = kMetadata;
    httplib::Request out = outgoing(plain);
    out.response_handler = [&](const httplib::Response& response) {
      status = response.status;
      connection->framing.head_is_over();
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
      return api_error(what, status, error_body);
    }
    if (!result || connection->framing.exceeded()) {
      return Error{ErrorCode::Unavailable, what + ": " + why_failed(result.error(), connection->framing)};
    }
    return Ok{};
  }

 private:
  /// One kept-alive connection; used by one thread at a time.
  struct Connection {
    FramingLimit framing;
    std::unique_ptr<httplib::ClientImpl> client;
    SteadyTime last_used{};
    bool used = false;
    bool consumed = false;  // something of the current answer was handed over
    // Touched while the pool is locked:
    Deadline deadline{};
    bool expired = false;  // the watchdog has cut it, or is about to
  };
  using Lease = std::shared_ptr<Connection>;
  /// Who waits for a connection. A review has seconds, what is done for a preparation has more: whose time is over
  /// first is next, so that many preparations at once do not keep a person waiting until the review has failed.
  struct Waiter {
    Deadline deadline;
    std::uint64_t arrival;
    std::condition_variable_any wake{};
  };
  struct Pool {
    std::vector<Lease> leased;
    std::vector<Lease> idle;
    std::vector<Waiter*> waiting;
    std::uint64_t arrivals = 0;
    Deadline end_by = Deadline::max();
    Deadline watched_until = Deadline::max();  // the watchdog sleeps until then

    [[nodiscard]] Waiter* next() const {
      const auto found = std::min_element(waiting.begin(), waiting.end(), [](const Waiter* one, const Waiter* other) {
        return std::tie(one->deadline, one->arrival) < std::tie(other->deadline, other->arrival);
      });
      return found == waiting.end() ? nullptr : *found;
    }

    [[nodiscard]] bool has_earlier_than(Deadline time) const {
      return std::any_of(leased.begin(), leased.end(),
                         [&](const Lease& lease) { return !lease->expired && lease->deadline < time; });
    }
  };

  /// Gives a connection back, also where there was no memory for the request: all of them would soon be lost.
  struct Use {
    Use(Impl& its_owner, Lease its_lease) : owner(its_owner), lease(std::move(its_lease)) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { end(false); }
    void end(bool healthy) {
      if (lease) owner.release(std::exchange(lease, nullptr), healthy);
    }
    Impl& owner;
    Lease lease;
  };

  std::unique_ptr<httplib::ClientImpl> make_client(FramingLimit& framing) {
    BoundedClient::Tls tls;
    if (config_.tls) tls = {trust_->context(), trust_->server_name()};
    auto client = std::make_unique<BoundedClient>(framing, config_.host, config_.port, std::move(tls));
    client->set_keep_alive(true);
    client->set_tcp_nodelay(true);
    client->set_url_encode(false);  // encoded here already
    client->set_socket_options(set_socket_options);
    return client;
  }

  httplib::Request outgoing(const Outgoing& request) {
    httplib::Request out;
    out.method = request.method;
    out.path = config_.path_prefix + request.path;
    out.body = request.body;
    const bool ipv6 = config_.host.find(':') != std::string::npos;
    out.set_header("Host", (ipv6 ? "[" + config_.host + "]" : config_.host) + ":" + std::to_string(config_.port));
    out.set_header("User-Agent", "upgrade-gate/" + options_.version);
    out.set_header("Accept", request.accept);
    out.set_header("Accept-Encoding", "identity");  // nothing to inflate beyond the limits
    if (!request.content_type.empty()) out.set_header("Content-Type", request.content_type);
    if (const std::string token = current_token(); !token.empty() && config_.tls) {
      out.set_header("Authorization", "Bearer " + token);
    }
    return out;
  }

  /// send(), cut when the caller is to stop.
  Result<Answer> send_stoppable(const Lease& lease, const Outgoing& request, Deadline deadline) {
    const std::stop_callback cut(request.stop, [&] {
      {
        const auto pool = pool_.lock();
        lease->deadline = SteadyTime{};
      }
      watchdog_wake_.notify_one();
    });
    if (request.stop.stop_requested()) return deadline_error(request);
    return send(*lease, request, deadline);
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
    connection.consumed = false;
    httplib::Request out = outgoing(request);
    out.response_handler = [&](const httplib::Response& response) {
      answer.status = response.status;
      connection.framing.head_is_over();
      // At once, not by doubling: of a large object every page would be touched twice. It is a server's word, within
      // the limit.
      if (response.status == 200 && !request.consumer) {
        answer.body.reserve(std::min<std::size_t>(content_length(response), options_.response_bytes_max));
      }
      return true;
    };
    out.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
      if (request.consumer && answer.status == 200) {
        connection.consumed = true;
        too_large = !request.consumer({data, size});
        return !too_large;
      }
      too_large = answer.body.size() + size > options_.response_bytes_max;
      if (!too_large) answer.body.append(data, size);
      return !too_large;
    };
    const httplib::Result result = client.send(out);
    connection.used = true;
    if (too_large) return Error{ErrorCode::Unavailable, request.what() + ": the answer is larger than allowed"};
    // httplib 0.18 takes an answer whose trailers end early for complete.
    if (!result || connection.framing.exceeded()) {
      // httplib reports its time-outs as read or connection errors: the clock tells.
      if (std::chrono::steady_clock::now() + milliseconds(5) >= deadline) return deadline_error(request);
      return Error{ErrorCode::Unavailable, request.what() + ": " + config_.host + ":" + std::to_string(config_.port) +
                                               ": " + why_failed(result.error(), connection.framing)};
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

  /// What the server says; 0 where it does not.
  static std::size_t content_length(const httplib::Response& response) {
    const std::string text = response.get_header_value("Content-Length");
    std::size_t length = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), length);
    return failure == std::errc{} && end == text.data() + text.size() ? length : 0;
  }

  /// For people; httplib names its enumerators.
  static std::string why_failed(httplib::Error error, const FramingLimit& framing) {
    if (framing.exceeded()) return "the answer has a line, or a head, that is too long";
    switch (error) {
      case httplib::Error::Connection:
        return "connection refused, or no route to it";
      case httplib::Error::ConnectionTimeout:
        return "no connection in time";
      case httplib::Error::SSLConnection:
      case httplib::Error::SSLServerVerification:
        return "TLS failed: its certificate is not trusted, or it ended the handshake";
      case httplib::Error::Read:
        return "the connection was lost while its answer was awaited";
      case httplib::Error::Write:
        return "the connection was lost while the request was sent";
      case httplib::Error::Canceled:
        return "aborted";
      default:
        return httplib::to_string(error);
    }
  }

  /// False when that would last too long, or is cut short.
  bool pause(milliseconds time, Deadline deadline, const std::stop_token& stop) {
    const auto until = std::chrono::steady_clock::now() + time;
    auto pool = pool_.lock();
    if (until >= std::min(deadline, pool->end_by)) return false;
    pool.wait_until(shortened_, stop, until, [&](const Pool& now) { return now.end_by <= until; });
    return !stop.stop_requested() && pool->end_by > until;
  }

  static Error deadline_error(const Outgoing& request) {
    return {ErrorCode::DeadlineExceeded, request.what() + ": no answer from the API server in time"};
  }

  // --- the pool ---

  [[nodiscard]] bool has_room(const Pool& pool) const { return pool.leased.size() < options_.connections_max; }

  /// Among those who wait, for as long as it lives; of the thread that has the pool locked.
  class Waiting {
   public:
    Waiting(Impl& owner, Locked<Pool>& pool, Deadline deadline)
        : owner_(owner), pool_(pool), self_{deadline, pool->arrivals++} {
      pool->waiting.push_back(&self_);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      std::erase(pool_->waiting, &self_);
      owner_.wake_next(*pool_);
    }
    [[nodiscard]] bool has_turn(const Pool& pool) const { return owner_.has_room(pool) && pool.next() == &self_; }
    [[nodiscard]] std::condition_variable_any& wake() { return self_.wake; }

   private:
    Impl& owner_;
    Locked<Pool>& pool_;
    Waiter self_;
  };

  void wake_next(const Pool& pool) const {
    if (Waiter* next = has_room(pool) ? pool.next() : nullptr) next->wake.notify_one();
  }

  Result<Lease> acquire(const Outgoing& request, Deadline deadline) {
    auto pool = pool_.lock();
    Waiting waiting(*this, pool, deadline);
    const auto end = [&] { return std::min(deadline, pool->end_by); };
    // Again where it ended early: end_by() may have moved the end.
    while (!waiting.has_turn(*pool) && !request.stop.stop_requested() && std::chrono::steady_clock::now() < end()) {
      const auto until = end();
      pool.wait_until(waiting.wake(), request.stop, until,
                      [&](const Pool& now) { return waiting.has_turn(now) || now.end_by < until; });
    }
    if (!waiting.has_turn(*pool) || request.stop.stop_requested() || std::chrono::steady_clock::now() >= end()) {
      return deadline_error(request);
    }
    deadline = end();
    Lease lease;
    const auto now = std::chrono::steady_clock::now();
    while (!lease && !pool->idle.empty()) {
      Lease candidate = std::move(pool->idle.back());  // the warmest
      pool->idle.pop_back();
      if (now - candidate->last_used < kIdleMax && is_quiet(*candidate)) lease = std::move(candidate);
    }
    if (!lease) {
      lease = std::make_shared<Connection>();
      lease->client = make_client(lease->framing);
    }
    lease->deadline = deadline;
    pool->leased.push_back(lease);
    // To wake it for each request would cost as much as a tenth of one.
    if (deadline < pool->watched_until) watchdog_wake_.notify_one();
    return lease;
  }

  /// Takes no memory: there is room for every connection in both lists.
  void release(Lease lease, bool healthy) {
    const auto pool = pool_.lock();
    std::erase(pool->leased, lease);
    lease->last_used = std::chrono::steady_clock::now();
    if (healthy && !lease->expired) pool->idle.push_back(std::move(lease));
    wake_next(*pool);
  }

  /// A waiting connection on which something arrives is being closed (a TLS close is data too). One that is closed
  /// would be made again with the authorities of its first time.
  static bool is_quiet(const Connection& connection) {
    pollfd descriptor{connection.client->socket(), POLLIN, 0};
    return descriptor.fd >= 0 && ::poll(&descriptor, 1, 0) == 0;
  }

  /// httplib's time-outs are per read; this cuts a request whose bytes come drop by drop. Takes no memory.
  void watch_deadlines(const std::stop_token& stop) {
    auto pool = pool_.lock();
    while (!stop.stop_requested()) {
      const auto now = std::chrono::steady_clock::now();
      auto next = Deadline::max();
      for (const Lease& lease : pool->leased) {
        if (lease->deadline > now) {
          next = std::min(next, lease->deadline);
          continue;
        }
        lease->expired = true;  // so release() will not give it to another
        late_.push_back(lease);
        next = std::min(next, now + kCutAgain);
      }
      if (!late_.empty()) {
        pool.release_for([&] {
          for (const Lease& lease : late_) lease->client->stop();
          late_.clear();
        });
      }
      const auto has_earlier = [&](const Pool& present) { return present.has_earlier_than(next); };
      pool->watched_until = next;
      if (next == Deadline::max()) {
        pool.wait(watchdog_wake_, stop, has_earlier);
      } else {
        pool.wait_until(watchdog_wake_, stop, next, has_earlier);
      }
    }
  }

  // --- the token ---

  std::string current_token() {
    if (config_.token_file.empty()) return config_.token;
    const auto token = token_.lock();
    const auto now = std::chrono::steady_clock::now();
    if (token->text.empty() || now - token->read > kTokenMaxAge) {
      // Unreadable for a moment (the volume is being swapped): the old one is still good.
      if (const auto file = read_file(config_.token_file, kTokenBytesMax)) {
        if (auto word = first_word(*file); !word.empty()) token->text = std::move(word);
      }
      token->read = now;
    }
    return token->text;
  }
  void forget_token() { token_.lock()->read = {}; }

  // --- the watch ---

  static std::optional<Error> dispatch(const std::string& what, const std::string& line, const WatchRequest& request) {
    Projection object = request.keep == nullptr ? whole_object() : *request.keep;
    object.name = "object";
    JsonProjector projector(line);
    static const Projection kType =
        keep_members("", {keep_all("type"), Projection{"object", Projection::Keep::Nothing, {}, false, 0}});
    const auto event = projector.project(kType);
    const std::string type = event ? text_member(*event, "type") : std::string();
    if (!event || !event->is_object() || !event->contains("object") || !(*event)["object"].is_object()) {
      return Error{ErrorCode::Unavailable, what + ": an event is not what a watch sends"};
    }
    if (type == "ERROR") object = keep_members("object", {keep_all("code"), keep_all("reason"), keep_all("message")});
    const auto whole = projector.project(keep_members("", {std::move(object)}), kAnswerLimits);
    if (!whole) {
      if (request.on_unreadable) request.on_unreadable(whole.error().message);
      return std::nullopt;
    }
    const json& about = whole->at("object");
    if (type == "ERROR") {
      const auto code = about.find("code");
      return api_error(what, code != about.end() && code->is_number_integer() ? code->get<int>() : 500,
                       bytes_of(about));
    }
    if (type == "ADDED") request.on_event(WatchEventType::Added, about);
    if (type == "MODIFIED") request.on_event(WatchEventType::Modified, about);
    if (type == "DELETED") request.on_event(WatchEventType::Deleted, about);
    if (type == "BOOKMARK") request.on_event(WatchEventType::Bookmark, about);
    return std::nullopt;
  }

  const KubeConfig config_;
  const KubeClientOptions options_;
  const std::unique_ptr<ApiServerTrust> trust_;

  Guarded<Pool> pool_;
  std::condition_variable_any shortened_;  // end_by has changed
  std::condition_variable_any watchdog_wake_;

  struct Token {
    std::string text;
    SteadyTime read{};
  };
  Guarded<Token> token_;

  std::vector<Lease> late_;  // the watchdog's: what it cuts
  std::jthread watchdog_;    // last: uses the rest
};

const Projection& whole_object() {
  static const Projection kWhole = keep_members(
      "", {keep_members("metadata",
                        {keep_all("name"), keep_all("generateName"), keep_all("namespace"), keep_all("uid"),
                         keep_all("generation"), keep_all("resourceVersion"), keep_all("creationTimestamp"),
                         keep_all("deletionTimestamp"), keep_all("deletionGracePeriodSeconds"), keep_all("labels"),
                         keep_all("annotations"), keep_all("finalizers"), keep_all("ownerReferences")}),
           keep_all("*")});
  return kWhole;
}

const Projection& only_identity() {
  static const Projection kIdentity =
      keep_members("", {keep_members("metadata", {keep_all("name"), keep_all("namespace"), keep_all("uid"),
                                                  keep_all("generation"), keep_all("resourceVersion")})});
  return kIdentity;
}

KubeClient::KubeClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KubeClient::~KubeClient() = default;

Result<std::unique_ptr<KubeClient>> KubeClient::create(KubeConfig config, KubeClientOptions options) {
  auto trust = ApiServerTrust::create(config);
  if (!trust) return trust.error();
  // OpenSSL writes to sockets without MSG_NOSIGNAL: a peer that went must be an error, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  return std::unique_ptr<KubeClient>(
      new KubeClient(std::make_unique<Impl>(std::move(config), std::move(options), std::move(*trust))));
}

std::size_t KubeClient::waiting() const { return impl_->waiting(); }

void KubeClient::end_by(Deadline limit) { impl_->end_by(limit); }

Result<json> KubeClient::get(const KubeResource& resource, const std::string& name_space, const std::string& name,
                             Deadline deadline, const Projection& keep) {
  const auto path = object_path(resource, name_space, name);
  if (!path) return path.error();
  return impl_->call({"GET", *path, {}, {}}, deadline, keep);
}

Result<std::string> KubeClient::list_each(const ListRequest& request, Deadline deadline) {
  const auto path = collection_path(request.resource, request.name_space);
  if (!path) return path.error();
  return impl_->list_each(request, *path, deadline);
}

Result<KubeList> KubeClient::list(const KubeResource& resource, const std::string& name_space, Deadline deadline,
                                  std::string_view label_selector, const Projection& keep) {
  KubeList out;
  ListRequest request{.resource = resource,
                      .name_space = name_space,
                      .label_selector = std::string(label_selector),
                      .not_older_than = {},
                      .metadata_only = false,
                      .keep = &keep,
                      .on_item = {},
                      .on_unreadable = {},
                      .stop = {}};
  request.on_item = [&](json item) { out.items.push_back(std::move(item)); };
  auto version = list_each(request, deadline);
  if (!version && version.error().peer_code == 410) {
    // The pages' snapshot was compacted away: start over, once.
    out.items.clear();
    version = list_each(request, deadline);
  }
  if (!version) return version.error();
  out.resource_version = *std::move(version);
  return out;
}

Result<json> KubeClient::create_object(const KubeResource& resource, const std::string& name_space, const json& object,
                                       Deadline deadline, bool dry_run) {
  const auto path = collection_path(resource, name_space);
  if (!path) return path.error();
  return impl_->call({"POST", dry_run ? *path + "?dryRun=All" : *path, bytes_of(object), "application/json"}, deadline,
                     whole_object());
}

Result<json> KubeClient::merge_patch(const KubeResource& resource, const std::string& name_space,
                                     const std::string& name, std::string_view subresource, const json& patch,
                                     Deadline deadline) {
  const auto path = object_path(resource, name_space, name, subresource);
  if (!path) return path.error();
  return impl_->call({"PATCH", *path, bytes_of(patch), "application/merge-patch+json"}, deadline, only_identity());
}

Result<json> KubeClient::replace(const KubeResource& resource, const std::string& name_space, const std::string& name,
                                 std::string_view subresource, const json& object, Deadline deadline) {
  const auto path = object_path(resource, name_space, name, subresource);
  if (!path) return path.error();
  return impl_->call({"PUT", *path, bytes_of(object), "application/json"}, deadline, whole_object());
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
  const auto answer = impl_->call({"DELETE", *path + query, {}, {}}, deadline, only_identity());
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
