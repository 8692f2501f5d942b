#include "server/http/http_server.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "server/http/connection_stream.hpp"
#include "server/http/elastic_threads.hpp"
#include "server/http/exchange.hpp"
#include "server/http/memory_budget.hpp"
#include "server/http/request_sizer.hpp"

namespace gate {
namespace {

/// Bursts of new connections wait here; the kernel caps it at net.core.somaxconn.
constexpr int kListenBacklog = 1024;
/// More loops would only help a machine that does nothing but answer reviews.
constexpr std::size_t kLoopsMax = 4;
/// Fewer connections than this share one.
constexpr std::size_t kConnectionsPerLoop = 64;
constexpr std::size_t kEventsAtOnce = 64;
/// Connections that a leader ends before it looks at the others again.
constexpr int kEndedAtOnce = 16;
/// How long a refused client's further bytes are swallowed: closing would reset the connection, and lose it the answer.
constexpr std::chrono::milliseconds kLinger{1000};
/// Between two reports of failed handshakes.
constexpr std::chrono::seconds kReportInterval{10};
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

/// Those that this process may use. Two loops that share one make each other's clients wait for whole time slices.
std::size_t processors() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) return static_cast<std::size_t>(CPU_COUNT(&allowed));
  return std::max(std::thread::hardware_concurrency(), 1U);
}

std::size_t loops_for(std::size_t connections_max) {
  return std::min({processors(), kLoopsMax, connections_max / kConnectionsPerLoop + 1});
}

std::uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

/// What a connection is doing. All but Busy have no thread: their loop's leader watches their sockets.
enum class Lane : std::uint8_t {
  Fresh,    ///< Accepted; its TLS handshake has not begun.
  Idle,     ///< Between two requests.
  Partial,  ///< A request has begun and gathers in the buffer.
  Refused,  ///< Came beyond the limit; its request is awaited, only to be refused.
  Leaving,  ///< Answered and finished; what its client still sends is swallowed.
  Evicted,  ///< Cut to make room; its end is about to be noticed.
  Busy,     ///< A thread has it.
};
constexpr std::size_t kLanes = 7;

struct Loop;

struct Connection {
  Connection(Fd socket, ssl_ctx_st* tls, const HttpLimits& limits, Loop& its_loop, bool is_refused)
      : fd(std::move(socket)),
        stream(fd.get(), tls),
        sizer(limits),
        greeted(tls == nullptr),
        loop(its_loop),
        refused(is_refused),
        ends_by(refused ? accepted + limits.refusal_max : Deadline::max()) {}

  const Fd fd;
  http::ConnectionStream stream;
  http::RequestSizer sizer;
  bool greeted;  ///< Its handshake is done.
  bool served = false;
  bool leaving = false;  ///< Finished; see Lane::Leaving.
  bool queued = false;   ///< In its loop's `ready`.
  bool watched = false;  ///< By its loop's epoll.
  Loop& loop;
  const SteadyTime accepted = now();
  const bool refused;      ///< It has none of the places; its first request is answered 503, whatever it is.
  const Deadline ends_by;  ///< Then a refused one is answered, or closed.
  Deadline request_by;     ///< Of the request that has begun.

  // Guarded by the server's mutex.
  Lane lane = Lane::Busy;
  SteadyTime since;  ///< In its lane.
  std::list<Connection>::iterator self;
};
using Connections = std::list<Connection>;

/// Some of the connections, and the thread that leads: it waits for all of them at once, and serves what is at hand.
/// When it would have to wait for one of them, it first lets another thread lead.
struct Loop {
  Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  std::deque<Connection*> ready;  ///< The leader's: more of them is buffered, which epoll does not know.
  Fd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  // Guarded by the server's mutex.
  bool stopping = false;
  Deadline wakes_at = Deadline::max();    ///< When the leader looks for what is over, unless `wake` is raised before.
  std::array<Connections, kLanes> lanes;  ///< In each the longest waiting is in front.
  Connections& lane(Lane which) { return lanes[static_cast<std::size_t>(which)]; }
};

/// A thread that serves.
struct Turn {
  http::RequestReader& reader;
  Connection* connection;  ///< The one it serves.
  bool leads;              ///< Its loop. Becomes false in before_waiting.
  std::function<void()> before_waiting;
};

}  // namespace

class HttpServer::Core {
 public:
  Core(HttpServerOptions options, ssl_ctx_st* tls, HttpHandlers handlers, Fd listener)
      : options_(std::move(options)),
        tls_(tls),
        handlers_(std::move(handlers)),
        port_(port_of(listener.get())),
        listener_(std::move(listener)),
        loops_(loops_for(options_.limits.connections_max)),
        threads_(options_.limits.connections_max + options_.limits.refused_at_once_max + loops_.size(), kThreadLinger) {
    try {
      for (auto& loop : loops_) {
        for (Fd* event : {&stop_event_, &end_event_, &loop.wake}) {
          epoll_event wanted{};
          wanted.events = EPOLLIN;
          wanted.data.ptr = event;
          ::epoll_ctl(loop.epoll.get(), EPOLL_CTL_ADD, event->get(), &wanted);
        }
        if (!start_leader(loop)) throw std::system_error(EAGAIN, std::generic_category());
      }
      acceptor_ = std::thread([this] { accept_until_stopped(); });
    } catch (...) {
      raise(end_event_);  // Or the leaders that have started would be waited for in vain.
      throw;
    }
  }

  ~Core() { stop(now()); }

  [[nodiscard]] std::uint16_t port() const { return port_; }

  void begin_drain() { draining_ = true; }

  void stop(Deadline deadline) {
    const std::lock_guard one_stop(stop_mutex_);
    if (!acceptor_.joinable()) return;
    draining_ = true;
    stopping_ = true;
    raise(stop_event_);
    acceptor_.join();
    {
      std::unique_lock lock(mutex_);
      const auto all_closed = [this] { return open_ == 0; };
      if (!all_closed_.wait_until(lock, deadline, all_closed)) {
        for (auto& loop : loops_) {
          for (auto& lane : loop.lanes) {
            for (const auto& connection : lane) ::shutdown(connection.fd.get(), SHUT_RDWR);
          }
        }
        all_closed_.wait(lock, all_closed);
      }
    }
    raise(end_event_);
    threads_.join();
  }

  [[nodiscard]] HttpCounters counters() const {
    HttpCounters result;
    {
      const std::lock_guard lock(mutex_);
      result.connections_open = open_;
      for (const auto& loop : loops_) {
        result.connections_idle += loop.lanes[static_cast<std::size_t>(Lane::Idle)].size();
        result.requests_begun += loop.lanes[static_cast<std::size_t>(Lane::Partial)].size();
      }
    }
    result.connections_accepted = accepted_;
    result.connections_evicted = evicted_;
    result.connections_refused = refused_;
    result.body_bytes = body_memory_.taken();
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
  static void raise(const Fd& event) {
    const std::uint64_t one = 1;
    (void)!::write(event.get(), &one, sizeof one);
  }

  // Accepting: one thread.

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
        const std::lock_guard lock(mutex_);
        evict_one();
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
    Connection* connection = nullptr;
    {
      const std::lock_guard lock(mutex_);
      ++accepted_;
      const bool refuse = open_ - refused_open_ >= options_.limits.connections_max && !evict_one();
      if (refuse) {
        ++refused_;
        if (refused_open_ >= options_.limits.refused_at_once_max) return;
        ++refused_open_;
      }
      Loop& loop = loops_[accepted_ % loops_.size()];
      auto& busy = loop.lane(Lane::Busy);
      connection = &busy.emplace_back(std::move(fd), tls_, options_.limits, loop, refuse);
      connection->self = std::prev(busy.end());
      ++open_;
    }
    park(*connection, resting_lane(*connection));
  }

  /// Cuts the longest waiting of those who never said anything; else of those who dawdle over a request; else of the
  /// idle. False if there is none. A request that has arrived meanwhile is still read and answered. With the mutex
  /// held.
  bool evict_one() {
    const SteadyTime slow_since = now() - options_.limits.slow_after;
    for (const Lane which : {Lane::Fresh, Lane::Partial, Lane::Idle}) {
      Connection* longest = nullptr;
      for (auto& loop : loops_) {
        auto& lane = loop.lane(which);
        if (!lane.empty() && (longest == nullptr || lane.front().since < longest->since)) longest = &lane.front();
      }
      if (longest == nullptr || (which == Lane::Partial && longest->since > slow_since)) continue;
      move_to(*longest, Lane::Evicted);
      ::shutdown(longest->fd.get(), SHUT_RD);  // The leader finds its end.
      ++evicted_;
      return true;
    }
    return false;
  }

  // Connections and lanes: any thread.

  /// With the mutex held.
  static void move_to(Connection& connection, Lane lane) {
    auto& target = connection.loop.lane(lane);
    target.splice(target.end(), connection.loop.lane(connection.lane), connection.self);
    connection.lane = lane;
    connection.since = now();
  }

  /// Where a connection waits for its client, until it is finished.
  static Lane resting_lane(const Connection& connection) {
    if (connection.refused) return Lane::Refused;
    if (!connection.greeted) return Lane::Fresh;
    return connection.sizer.begun() ? Lane::Partial : Lane::Idle;
  }

  /// Leaves the connection to its loop's leader, who sees to its next bytes and to its lane's time limit. The caller
  /// must not touch it any more, unless it is that leader.
  void park(Connection& connection, Lane lane) {
    const std::lock_guard lock(mutex_);
    // What gathers keeps its place: its time limit is that of the whole request.
    if (connection.lane != lane) move_to(connection, lane);
    Loop& loop = connection.loop;
    if (const Deadline deadline = deadline_of(connection, loop.stopping); deadline < loop.wakes_at) {
      loop.wakes_at = deadline;
      raise(loop.wake);
    }
    if (!std::exchange(connection.watched, true)) control(connection, EPOLL_CTL_ADD);
  }

  /// From now on only the caller's thread has it.
  static void unwatch(Connection& connection) {
    if (std::exchange(connection.watched, false)) control(connection, EPOLL_CTL_DEL);
  }

  static void control(Connection& connection, int operation) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.ptr = &connection;
    ::epoll_ctl(connection.loop.epoll.get(), operation, connection.fd.get(), &wanted);
  }

  void make_busy(Connection& connection) {
    const std::lock_guard lock(mutex_);
    move_to(connection, Lane::Busy);
  }

  void drop(Connection& connection) {
    const bool was_refused = connection.refused;
    Connections dropped;
    {
      const std::lock_guard lock(mutex_);
      dropped.splice(dropped.end(), connection.loop.lane(connection.lane), connection.self);
    }
    dropped.clear();
    const std::lock_guard lock(mutex_);
    if (was_refused) --refused_open_;
    if (--open_ == 0) all_closed_.notify_all();
  }

  // Leading: one thread of each loop at a time.

  /// The threads to run on are as many as the connections and the loops together: there is always one.
  [[nodiscard]] bool start_leader(Loop& loop) {
    return threads_.run([this, &loop] { lead(loop); });
  }

  void lead(Loop& loop) {
    http::RequestReader reader(service());
    Turn turn{reader, nullptr, true, {}};
    turn.before_waiting = [this, &loop, &turn] {
      if (!turn.leads) return;
      unwatch(*turn.connection);
      turn.leads = !start_leader(loop);
    };
    std::array<epoll_event, kEventsAtOnce> events;
    while (turn.leads) {
      const int timeout = end_what_is_over(loop, turn);
      if (!turn.leads) return;
      const int count = ::epoll_wait(loop.epoll.get(), events.data(), static_cast<int>(events.size()),
                                     loop.ready.empty() ? timeout : 0);
      for (int i = 0; i < count && turn.leads; ++i) {
        void* const source = events[static_cast<std::size_t>(i)].data.ptr;
        if (source == &end_event_) return;
        if (source == &loop.wake) {
          std::uint64_t times = 0;
          (void)!::read(loop.wake.get(), &times, sizeof times);
        } else if (source == &stop_event_) {
          const std::lock_guard lock(mutex_);
          loop.stopping = true;
          ::epoll_ctl(loop.epoll.get(), EPOLL_CTL_DEL, stop_event_.get(), nullptr);
        } else if (auto& connection = *static_cast<Connection*>(source); !connection.queued) {
          attend(connection, turn);
        }
      }
      for (std::size_t rest = turn.leads ? loop.ready.size() : 0; rest > 0 && turn.leads; --rest) {
        auto& connection = *loop.ready.front();
        loop.ready.pop_front();
        connection.queued = false;
        attend(connection, turn);
      }
    }
  }

  /// Ends the connections whose lane's time is over, some at once. Milliseconds until the next one is.
  int end_what_is_over(Loop& loop, Turn& turn) {
    for (int i = 0; i < kEndedAtOnce; ++i) {
      Deadline next = Deadline::max();
      Connection* const over = find_over(loop, next);
      if (over == nullptr) {
        if (next == Deadline::max()) return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now()).count();
        return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1 << 30));
      }
      if (!over->greeted) {
        tls_failed("the client was silent");
        drop(*over);
      } else if (over->sizer.begun()) {
        serve(*over, turn);  // Too slow, as the reader will find.
        if (!turn.leads) return 0;
      } else {
        if (!over->leaving) over->stream.finish();
        drop(*over);
      }
    }
    return 0;
  }

  /// A connection whose time is over, now busy; else when the next one's is.
  Connection* find_over(Loop& loop, Deadline& next) {
    const SteadyTime at = now();
    const std::lock_guard lock(mutex_);
    for (const Lane which : {Lane::Fresh, Lane::Idle, Lane::Partial, Lane::Refused, Lane::Leaving}) {
      for (auto& connection : loop.lane(which)) {
        const Deadline deadline = deadline_of(connection, loop.stopping);
        if (deadline <= at && !connection.queued) {
          move_to(connection, Lane::Busy);
          return &connection;
        }
        next = std::min(next, deadline);
        // Those behind it came later; but the few refused ones are in the order of their handshakes.
        if (!loop.stopping && which != Lane::Refused) break;
      }
    }
    loop.wakes_at = next;
    return nullptr;
  }

  [[nodiscard]] Deadline deadline_of(const Connection& connection, bool stopping) const {
    const auto& limits = options_.limits;
    switch (connection.lane) {
      case Lane::Partial:
        return connection.request_by;
      case Lane::Refused:
        return stopping ? std::min(connection.ends_by, connection.accepted + kFreshGrace) : connection.ends_by;
      case Lane::Leaving:
        return connection.since + kLinger;
      case Lane::Fresh:
      case Lane::Idle: {
        const Deadline usual =
            connection.since + (connection.lane == Lane::Idle ? limits.idle_max : limits.handshake_max);
        if (!stopping) return usual;
        return connection.served ? Deadline::min() : std::min(usual, connection.accepted + kFreshGrace);
      }
      case Lane::Evicted:
      case Lane::Busy:
        return Deadline::max();
    }
    return Deadline::max();
  }

  // Serving: a leader, or a thread that has only this connection.

  /// Something has come, or the client has closed.
  void attend(Connection& connection, Turn& turn) {
    try {
      if (connection.leaving) {
        if (!connection.stream.swallow()) drop(connection);
      } else if (connection.greeted) {
        attend_request(connection, turn);
      } else {
        make_busy(connection);
        unwatch(connection);
        if (!threads_.run([this, &connection] { greet(connection); })) {
          if (!connection.refused) ++refused_;
          drop(connection);
        }
      }
    } catch (const std::bad_alloc&) {
      drop(connection);  // The others go on.
    }
  }

  void attend_request(Connection& connection, Turn& turn) {
    do {
      switch (gather(connection)) {
        case Gathered::Gone:
          connection.stream.finish();
          drop(connection);
          return;
        case Gathered::Part:
          park(connection, resting_lane(connection));
          return;
        case Gathered::Due:
          make_busy(connection);
          if (!serve(connection, turn)) return;
      }
    } while (!turn.leads && connection.stream.has_more());
    if (turn.leads && connection.stream.has_more()) {
      // The others' turn first.
      connection.queued = true;
      connection.loop.ready.push_back(&connection);
    } else {
      connection.stream.release();
      park(connection, Lane::Idle);
    }
  }

  enum class Gathered { Due, Part, Gone };

  /// Takes what has come, until it is worth to read the request.
  Gathered gather(Connection& connection) {
    auto& stream = connection.stream;
    for (;;) {
      if (!stream.buffered().empty()) {
        if (!connection.sizer.begun()) connection.request_by = now() + options_.limits.request_max;
        if (connection.sizer.is_due(stream.buffered())) return Gathered::Due;
        stream.reserve(connection.sizer.wanted());
      }
      switch (stream.receive()) {
        case http::Io::Done:
          break;
        case http::Io::TimedOut:
          return Gathered::Part;
        case http::Io::Closed:
          return Gathered::Gone;
      }
    }
  }

  void greet(Connection& connection) {
    try {
      const Deadline greeted_by = connection.accepted + options_.limits.handshake_max;
      if (connection.stream.handshake(std::min(greeted_by, connection.ends_by)) != http::Io::Done) {
        tls_failed(connection.stream.handshake_error());
        drop(connection);
        return;
      }
      connection.greeted = true;
      http::RequestReader reader(service());
      Turn turn{reader, nullptr, false, [] {}};
      attend(connection, turn);
    } catch (const std::bad_alloc&) {
      drop(connection);
    }
  }

  /// One request and its answer. False when the connection was closed, or is about to be.
  bool serve(Connection& connection, Turn& turn) {
    turn.connection = &connection;
    auto& stream = connection.stream;
    stream.set_before_waiting(&turn.before_waiting);
    const http::Outcome outcome = connection.refused
                                      ? http::refused(http::Refusal::Overloaded)
                                      : turn.reader.serve(stream, connection.request_by, turn.before_waiting);
    if (!outcome.answerable) {
      stream.finish();
      drop(connection);
      return false;
    }
    const bool refused = outcome.refusal.has_value();
    const bool close = refused || outcome.peer_closes || draining_;
    if (refused) ++refusals_[static_cast<std::size_t>(*outcome.refusal)];
    const int status = outcome.reply.status;
    if (status >= 0 && status < kStatusEnd) ++answers_[static_cast<std::size_t>(status)];
    const Deadline sent_by = std::min(now() + options_.limits.answer_max, connection.ends_by);
    const bool sent = stream.write(http::render(outcome, close), sent_by) == http::Io::Done;
    stream.set_before_waiting(nullptr);
    connection.sizer.reset();
    connection.served = true;
    if (sent && !close) return true;
    stream.finish();
    if (sent && (refused || stream.has_more())) {
      connection.leaving = true;
      park(connection, Lane::Leaving);
    } else {
      drop(connection);
    }
    return false;
  }

  void tls_failed(const std::string& reason) {
    ++tls_errors_;
    if (!options_.on_tls_failures) return;
    TlsFailures report;
    {
      const std::lock_guard lock(report_mutex_);
      ++unreported_.count;
      unreported_.newest = reason;
      if (now() < next_report_) return;
      next_report_ = now() + kReportInterval;
      report = std::exchange(unreported_, {});
    }
    options_.on_tls_failures(report);
  }

  [[nodiscard]] http::Service service() { return {options_.routes, options_.limits, handlers_, body_memory_}; }

  // Constant after construction.
  const HttpServerOptions options_;
  ssl_ctx_st* const tls_;
  const HttpHandlers handlers_;
  const std::uint16_t port_;
  Fd stop_event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  ///< Readable for ever once stop() began.
  Fd end_event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};   ///< And this once no connection is left.

  std::atomic<bool> draining_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> accepted_ = 0;
  std::atomic<std::uint64_t> evicted_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
  std::atomic<std::uint64_t> tls_errors_ = 0;
  std::array<std::atomic<std::uint64_t>, kStatusEnd> answers_{};
  std::array<std::atomic<std::uint64_t>, http::kRefusals> refusals_{};
  http::MemoryBudget body_memory_{options_.limits.body_bytes_total_max};

  std::mutex report_mutex_;  ///< Guards the next two.
  SteadyTime next_report_;
  TlsFailures unreported_;

  mutable std::mutex mutex_;  ///< Guards the lanes, not the connections in them, and the next three.
  std::condition_variable all_closed_;
  std::size_t open_ = 0;
  std::size_t refused_open_ = 0;  ///< Of these, those that have none of the places.

  std::mutex stop_mutex_;
  Fd listener_;  ///< The acceptor's.
  std::deque<Loop> loops_;
  http::ElasticThreads threads_;
  std::thread acceptor_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, ssl_ctx_st* tls,
                                                      HttpHandlers handlers) {
  std::signal(SIGPIPE, SIG_IGN);
  auto listener = listen_on(options.address, options.port);
  if (!listener) return listener.error();
  try {
    auto core = std::make_unique<Core>(std::move(options), tls, std::move(handlers), std::move(*listener));
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
  } catch (const std::system_error& error) {
    return Error{ErrorCode::Unavailable, std::string("cannot start a thread: ") + error.what(), 0};
  }
}

HttpServer::HttpServer(std::unique_ptr<Core> core) : core_(std::move(core)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return core_->port(); }
void HttpServer::begin_drain() { core_->begin_drain(); }
void HttpServer::stop(Deadline deadline) { core_->stop(deadline); }
HttpCounters HttpServer::counters() const { return core_->counters(); }

}  // namespace gate
