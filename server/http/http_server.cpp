#include "server/http/http_server.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "server/http/elastic_threads.hpp"
#include "server/http/exchange.hpp"
#include "server/http/wire.hpp"

namespace gate {
namespace {

/// Bursts of new connections wait here; the kernel caps it at net.core.somaxconn.
constexpr int kListenBacklog = 1024;
/// Connections come in bursts: a thread that waits a little saves the next one a start.
constexpr std::chrono::seconds kThreadLinger{10};
/// Someone who connected just before stop() has a request on its way.
constexpr std::chrono::milliseconds kFreshGrace{1000};
/// Pause in accepting when descriptors run out, instead of spinning on the error.
constexpr int kAcceptPauseMs = 50;
constexpr int kStatusEnd = 600;

SteadyTime now() { return std::chrono::steady_clock::now(); }

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Result<Fd> listen_on(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string where = address + ":" + std::to_string(port);
  if (const int error = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
    return Error{ErrorCode::Unavailable, "cannot listen on " + where + ": " + gai_strerror(error), 0};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  Fd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (fd.get() < 0 || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd.get(), kListenBacklog) != 0) {
    return Error{ErrorCode::Unavailable, "cannot listen on " + where + ": " + std::strerror(errno), 0};
  }
  return fd;
}

std::uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace

class HttpServer::Core {
 public:
  Core(HttpServerOptions options, ssl_ctx_st* tls, HttpHandler handler, Fd listener)
      : options_(std::move(options)),
        tls_(tls),
        handler_(std::move(handler)),
        port_(port_of(listener.get())),
        stop_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        listener_(std::move(listener)),
        threads_(options_.limits.connections_max, kThreadLinger),
        acceptor_([this] { accept_until_stopped(); }) {}

  ~Core() { stop(now()); }

  [[nodiscard]] std::uint16_t port() const { return port_; }

  void begin_drain() { draining_ = true; }

  void stop(Deadline deadline) {
    const std::lock_guard one_stop(stop_mutex_);
    if (!acceptor_.joinable()) return;
    draining_ = true;
    stopping_ = true;
    const std::uint64_t one = 1;
    (void)!::write(stop_event_.get(), &one, sizeof one);
    acceptor_.join();
    {
      std::unique_lock lock(mutex_);
      if (!all_closed_.wait_until(lock, deadline, [this] { return connections_.empty(); })) {
        for (const auto& connection : connections_) ::shutdown(connection.fd.get(), SHUT_RDWR);
      }
    }
    threads_.join();
  }

  [[nodiscard]] HttpCounters counters() const {
    HttpCounters result;
    {
      const std::lock_guard lock(mutex_);
      result.connections_open = connections_.size();
    }
    result.connections_accepted = accepted_;
    result.connections_evicted = evicted_;
    result.connections_refused = refused_;
    result.tls_errors = tls_errors_;
    for (int status = 0; status < kStatusEnd; ++status) {
      if (const auto count = answers_[static_cast<std::size_t>(status)].load()) {
        result.answers_by_status[status] = count;
      }
    }
    for (std::size_t i = 0; i < http::kRefusals; ++i) {
      result.refused_by_reason[http::name_of(static_cast<http::Refusal>(i))] = refusals_[i];
    }
    return result;
  }

 private:
  struct Connection {
    Fd fd;
    SteadyTime accepted;
    /// When it became idle, kBusy while it is not, kEvicted once it was chosen to make room.
    std::atomic<SteadyTime::rep> idle_since{kBusy};
  };
  using Connections = std::list<Connection>;
  static constexpr SteadyTime::rep kBusy = 0;
  static constexpr SteadyTime::rep kEvicted = -1;

  void accept_until_stopped() {
    std::array<pollfd, 2> descriptors{pollfd{listener_.get(), POLLIN, 0}, pollfd{stop_event_.get(), POLLIN, 0}};
    while (!stopping_) {
      if (::poll(descriptors.data(), descriptors.size(), -1) > 0) accept_waiting();
    }
    accept_waiting();  // What waits in the backlog would be reset by the close.
    listener_.reset();
  }

  /// At most a full backlog at once, so that a flood of connections cannot keep stop() waiting.
  void accept_waiting() {
    for (int i = 0; i < kListenBacklog; ++i) {
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.get() >= 0) {
        take(std::move(fd));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        evict_longest_idle();
        pollfd stop{stop_event_.get(), POLLIN, 0};
        ::poll(&stop, 1, kAcceptPauseMs);
        return;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return;  // EAGAIN: nobody waits.
      }
    }
  }

  void take(Fd fd) {
    // Without it the kernel holds an answer back for up to 40 ms, waiting for more to send along.
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ++accepted_;
    std::size_t open = 0;
    {
      const std::lock_guard lock(mutex_);
      open = connections_.size();
    }
    if (open >= options_.limits.connections_max && !evict_longest_idle()) {
      ++refused_;
      return;
    }
    Connections::iterator connection;
    {
      const std::lock_guard lock(mutex_);
      connection = connections_.emplace(connections_.end());
      connection->fd = std::move(fd);
      connection->accepted = now();
    }
    const bool started = threads_.run([this, connection] {
      serve(*connection);
      forget(connection);
    });
    if (!started) {
      ++refused_;
      forget(connection);
    }
  }

  void forget(Connections::iterator connection) {
    const std::lock_guard lock(mutex_);
    connections_.erase(connection);
    if (connections_.empty()) all_closed_.notify_all();
  }

  bool evict_longest_idle() {
    const std::lock_guard lock(mutex_);
    for (;;) {
      Connection* longest = nullptr;
      SteadyTime::rep since = 0;
      for (auto& connection : connections_) {
        const auto idle_since = connection.idle_since.load();
        if (idle_since <= kBusy || (longest != nullptr && idle_since >= since)) continue;
        longest = &connection;
        since = idle_since;
      }
      if (longest == nullptr) return false;
      if (!longest->idle_since.compare_exchange_strong(since, kEvicted)) continue;  // A request came; look again.
      // Wakes its thread. A request that had arrived is still read and answered.
      ::shutdown(longest->fd.get(), SHUT_RD);
      ++evicted_;
      return true;
    }
  }

  void serve(Connection& connection) {
    try {
      http::Wire wire(connection.fd.get(), tls_);
      const Deadline handshake_by = now() + options_.limits.handshake_max;
      if (tls_ != nullptr && (!wait_for_first_byte(connection, wire, handshake_by) ||
                              wire.handshake(handshake_by) != http::Io::Done)) {
        ++tls_errors_;
        return;
      }
      http::RequestReader reader(options_.routes, options_.limits, handler_);
      bool fresh = true;
      bool refused = false;
      while (wait_for_request(connection, wire, fresh) && serve_request(wire, reader, refused)) fresh = false;
      wire.finish(refused);
    } catch (const std::exception&) {
      // Out of memory: this connection ends, the others go on.
    }
  }

  /// False when the connection is to be closed instead.
  bool wait_for_request(Connection& connection, const http::Wire& wire, bool fresh) const {
    connection.idle_since = now().time_since_epoch().count();
    const Deadline idle_until = now() + options_.limits.idle_max;
    const bool readable = fresh ? wait_for_first_byte(connection, wire, idle_until)
                                : wire.wait(stop_event_.get(), idle_until) == http::Wake::Readable;
    // An evicted connection is readable, too: either a request had just arrived, or reading finds the end.
    connection.idle_since = kBusy;
    return readable;
  }

  bool wait_for_first_byte(const Connection& connection, const http::Wire& wire, Deadline deadline) const {
    auto wake = wire.wait(stop_event_.get(), deadline);
    if (wake == http::Wake::Event) wake = wire.wait(-1, connection.accepted + kFreshGrace);
    return wake == http::Wake::Readable;
  }

  /// False when the connection is to be closed after it.
  bool serve_request(http::Wire& wire, http::RequestReader& reader, bool& refused) {
    const http::Outcome outcome = reader.serve(wire, now() + options_.limits.request_max);
    if (!outcome.answerable) return false;
    refused = outcome.refusal.has_value();
    const bool close = refused || outcome.peer_closes || draining_;
    if (refused) ++refusals_[static_cast<std::size_t>(*outcome.refusal)];
    const int status = outcome.reply.status;
    if (status >= 0 && status < kStatusEnd) ++answers_[static_cast<std::size_t>(status)];
    const bool sent = wire.write(http::render(outcome, close), now() + options_.limits.answer_max) == http::Io::Done;
    return sent && !close;
  }

  // Constant after construction.
  const HttpServerOptions options_;
  ssl_ctx_st* const tls_;
  const HttpHandler handler_;
  const std::uint16_t port_;
  const Fd stop_event_;  ///< Becomes readable for ever when stop() begins.

  std::atomic<bool> draining_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> accepted_ = 0;
  std::atomic<std::uint64_t> evicted_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
  std::atomic<std::uint64_t> tls_errors_ = 0;
  std::array<std::atomic<std::uint64_t>, kStatusEnd> answers_{};
  std::array<std::atomic<std::uint64_t>, http::kRefusals> refusals_{};

  mutable std::mutex mutex_;  ///< Guards the list, not the connections in it.
  std::condition_variable all_closed_;
  Connections connections_;

  std::mutex stop_mutex_;
  Fd listener_;  ///< The acceptor's.
  http::ElasticThreads threads_;
  std::thread acceptor_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, ssl_ctx_st* tls,
                                                      HttpHandler handler) {
  std::signal(SIGPIPE, SIG_IGN);
  auto listener = listen_on(options.address, options.port);
  if (!listener) return listener.error();
  auto core = std::make_unique<Core>(std::move(options), tls, std::move(handler), std::move(*listener));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

HttpServer::HttpServer(std::unique_ptr<Core> core) : core_(std::move(core)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return core_->port(); }
void HttpServer::begin_drain() { core_->begin_drain(); }
void HttpServer::stop(Deadline deadline) { core_->stop(deadline); }
HttpCounters HttpServer::counters() const { return core_->counters(); }

}  // namespace gate
