#include "server/http/http_server.hpp"

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
#include <csignal>
#include <cstring>
#include <deque>
#include <system_error>
#include <thread>
#include <utility>

#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/http/connection_table.hpp"
#include "server/http/elastic_threads.hpp"
#include "server/http/exchange.hpp"
#include "server/http/listening_socket.hpp"
#include "server/http/memory_budget.hpp"

namespace gate {
namespace {

using http::Connection;
using http::ConnectionState;

/// More loops would only help a machine that does nothing but answer reviews.
constexpr std::size_t kLoopsMax = 4;
/// Fewer connections than this share one.
constexpr std::size_t kConnectionsPerLoop = 64;
constexpr std::size_t kEventsAtOnce = 64;
/// Connections that a leader ends before it looks at the others again.
constexpr int kEndedAtOnce = 16;
/// Connections that are accepted before the acceptor looks whether it is to stop.
constexpr int kAcceptedAtOnce = 1024;
/// Handshakes cost a processor each, and wait for nobody: more threads would only slow each other down.
constexpr std::size_t kHandshakesPerProcessor = 2;
/// Connections come in bursts: a thread that waits a little saves the next one a start.
constexpr std::chrono::seconds kThreadLinger{10};
/// Pause in accepting when descriptors run out, instead of spinning on the error.
constexpr int kAcceptPauseMs = 50;
constexpr int kStatusEnd = 600;

SteadyTime now() { return std::chrono::steady_clock::now(); }

void raise(const Fd& event) {
  const std::uint64_t one = 1;
  (void)!::write(event.get(), &one, sizeof one);
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

/// Where a connection waits for its client, until it is finished.
ConnectionState resting_state(const Connection& connection) {
  if (connection.refused) return ConnectionState::Refused;
  if (!connection.greeted) return ConnectionState::Fresh;
  return connection.sizer.begun() ? ConnectionState::Partial : ConnectionState::Idle;
}

}  // namespace

class HttpServer::Core {
 public:
  Core(HttpServerOptions options, ssl_ctx_st* tls, HttpHandlers handlers, Fd listener)
      : options_(std::move(options)),
        handlers_(std::move(handlers)),
        port_(http::port_of(listener.get())),
        listener_(std::move(listener)),
        table_(options_.limits, tls, loops_for(options_.limits.connections_max)),
        loops_(table_.loops()),
        threads_(http::ConnectionTable::sockets_max(options_.limits) + loops_.size(), kThreadLinger),
        handshakes_(kHandshakesPerProcessor * processors(), kThreadLinger) {
    try {
      for (std::size_t loop = 0; loop < loops_.size(); ++loop) {
        for (Fd* event : {&stop_event_, &end_event_}) {
          epoll_event wanted{};
          wanted.events = EPOLLIN;
          wanted.data.ptr = event;
          ::epoll_ctl(table_.epoll(loop), EPOLL_CTL_ADD, event->get(), &wanted);
        }
        if (!start_leader(loop)) throw std::system_error(EAGAIN, std::generic_category());
      }
      *acceptor_.lock() = std::thread([this] { accept_until_stopped(); });
    } catch (...) {
      raise(end_event_);  // Or the leaders that have started would be waited for in vain.
      throw;
    }
  }

  ~Core() { stop(now()); }

  [[nodiscard]] std::uint16_t port() const { return port_; }

  void begin_drain() { draining_ = true; }

  void stop(Deadline deadline) {
    const auto acceptor = acceptor_.lock();  // To the end: whoever stops it, too, waits for that.
    if (!acceptor->joinable()) return;
    draining_ = true;
    stopping_ = true;
    raise(stop_event_);
    table_.stop_admitting();
    acceptor->join();
    if (!table_.wait_until_empty(deadline)) {
      table_.cut_all();
      table_.wait_until_empty(Deadline::max());
    }
    raise(end_event_);
    handshakes_.join();
    threads_.join();
  }

  [[nodiscard]] HttpCounters counters() const {
    HttpCounters result;
    table_.count(result);
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
  /// Some of the connections, and the thread that leads: it waits for all of them at once, and serves what is at hand.
  /// When it would have to wait for one of them, it first lets another thread lead.
  struct Loop {
    std::deque<Connection*> ready;  ///< The leader's: more of them is buffered, which epoll does not know.
    Guarded<std::vector<Connection*>> handed_over;  ///< To become ready, by others; then the table's `wake` is raised.
  };

  /// A thread that serves, and the connection that it serves.
  class LoopSlot final : public http::ClientWait {
   public:
    LoopSlot(Core& core, bool is_leader) : leads(is_leader), core_(core), reader_(core.service()) {}

    http::Outcome read_request(Connection& connection) {
      connection_ = &connection;
      connection.stream.set_wait(this);
      auto outcome = reader_.serve(connection.stream, connection.request_by, may_wait_);
      connection.stream.set_wait(nullptr);
      return outcome;
    }

    bool leads;  ///< Its connection's loop.

   private:
    /// Not without another thread that leads.
    bool may_wait() {
      if (!leads) return true;
      core_.table_.unwatch(*connection_);
      leads = !core_.start_leader(connection_->loop);
      return !leads;
    }
    bool begin() override {
      if (!may_wait()) return false;
      core_.table_.wait_for_client(*connection_);
      return true;
    }
    bool end() override { return core_.table_.make_busy(*connection_); }

    Core& core_;
    http::RequestReader reader_;
    Connection* connection_ = nullptr;
    const std::function<bool()> may_wait_ = [this] { return may_wait(); };
  };

  // Accepting: one thread.

  void accept_until_stopped() {
    std::array<pollfd, 2> descriptors{pollfd{listener_.get(), POLLIN, 0}, pollfd{stop_event_.get(), POLLIN, 0}};
    while (!stopping_) {
      if (::poll(descriptors.data(), descriptors.size(), -1) > 0) accept_waiting();
    }
    accept_waiting();  // What waits in the backlog would be reset by the close.
    listener_.reset();
  }

  /// A bounded number at once, so that a flood of connections cannot keep stop() waiting.
  void accept_waiting() {
    for (int i = 0; i < kAcceptedAtOnce; ++i) {
      table_.wait_for_room();
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.get() >= 0) {
        try {
          table_.admit(std::move(fd));
        } catch (const std::exception& error) {
          log(accept_limiter_, "connection refused", error.what());
        }
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log(accept_limiter_, "connections wait: none can be accepted", std::strerror(errno));
        table_.evict_one();
        pollfd stop{stop_event_.get(), POLLIN, 0};
        ::poll(&stop, 1, kAcceptPauseMs);
        return;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return;  // EAGAIN: nobody waits.
      }
    }
  }

  // Leading: one thread of each loop at a time.

  /// The threads to run on are as many as the connections and the loops together: there is always one, unless the
  /// system has none left.
  [[nodiscard]] bool start_leader(std::size_t loop) {
    // Made here: where there is no memory for it, whoever leads goes on.
    auto slot = std::make_shared<LoopSlot>(*this, true);
    return threads_.run([this, loop, slot] { lead(loop, *slot); });
  }

  /// Takes no memory but for single connections (guarded()): nobody would catch what is thrown.
  void lead(std::size_t number, LoopSlot& slot) {
    Loop& loop = loops_[number];
    std::array<epoll_event, kEventsAtOnce> events;
    while (slot.leads) {
      const int timeout = end_overdue(number, slot);
      if (!slot.leads) return;
      const int count = ::epoll_wait(table_.epoll(number), events.data(), static_cast<int>(events.size()),
                                     loop.ready.empty() ? timeout : 0);
      for (int i = 0; i < count && slot.leads; ++i) {
        void* const source = events[static_cast<std::size_t>(i)].data.ptr;
        if (source == &end_event_) return;
        if (source == &table_.wake(number)) {
          take_over(number);
        } else if (source == &stop_event_) {
          table_.begin_stop(number);
          ::epoll_ctl(table_.epoll(number), EPOLL_CTL_DEL, stop_event_.get(), nullptr);
        } else if (auto& connection = *static_cast<Connection*>(source); !connection.queued) {
          attend(connection, slot);
        }
      }
      for (std::size_t rest = slot.leads ? loop.ready.size() : 0; rest > 0 && slot.leads; --rest) {
        auto& connection = *loop.ready.front();
        loop.ready.pop_front();
        connection.queued = false;
        attend(connection, slot);
      }
    }
  }

  void take_over(std::size_t number) {
    std::uint64_t times = 0;
    (void)!::read(table_.wake(number).get(), &times, sizeof times);
    for (Connection* const connection : std::exchange(*loops_[number].handed_over.lock(), {})) enqueue(*connection);
  }

  /// The others' turn first. Of a leader, for a connection that is Busy.
  void enqueue(Connection& connection) {
    try {
      loops_[connection.loop].ready.push_back(&connection);
      connection.queued = true;
      // Its first request, which came with the end of the handshake, is no reason to make room.
      if (connection.served) rest(connection, ConnectionState::Ready);
    } catch (const std::bad_alloc&) {
      close(connection);
    }
  }

  /// Of any thread, for a connection that is Busy and not watched.
  void hand_over(Connection& connection) {
    const std::size_t loop = connection.loop;
    loops_[loop].handed_over.lock()->push_back(&connection);
    raise(table_.wake(loop));
  }

  /// Ends the connections whose state's time is over, some at once. Milliseconds until the next one is.
  int end_overdue(std::size_t loop, LoopSlot& slot) {
    for (int i = 0; i < kEndedAtOnce; ++i) {
      Deadline next = Deadline::max();
      Connection* const overdue = table_.take_overdue(loop, next);
      if (overdue == nullptr) {
        if (next == Deadline::max()) return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now()).count();
        return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1 << 30));
      }
      guarded(*overdue, [&] { end(*overdue, slot); });
      if (!slot.leads) return 0;
    }
    return 0;
  }

  void end(Connection& connection, LoopSlot& slot) {
    if (!connection.greeted) {
      close(connection);
    } else if (connection.answer.empty() && connection.sizer.begun()) {
      serve(connection, slot);  // Too slow, as the reader will find.
    } else {
      const bool is_idle = connection.answer.empty() && !connection.closes;
      if (is_idle) connection.stream.finish();
      close(connection);
    }
  }

  /// An error of one connection's ends it; the others go on.
  template <class Work>
  void guarded(Connection& connection, Work work) {
    try {
      work();
    } catch (const std::exception& error) {
      log(error_limiter_, "connection closed", error.what());
      close(connection);
    } catch (...) {
      close(connection);
    }
  }

  // Serving: a leader, or a thread that has only this connection.

  /// Something has come, or the client has closed, or takes more of its answer; or it was evicted.
  void attend(Connection& connection, LoopSlot& slot) {
    guarded(connection, [&] {
      switch (connection.state()) {
        case ConnectionState::Evicted:
          close(connection);
          return;
        case ConnectionState::Leaving:
          if (!connection.stream.swallow()) close(connection);
          return;
        case ConnectionState::Answering:
          if (send_answer(connection)) return_to_loop(connection, slot);
          return;
        case ConnectionState::Fresh:
        case ConnectionState::Idle:
        case ConnectionState::Partial:
        case ConnectionState::Refused:
        case ConnectionState::Reading:
        case ConnectionState::Ready:
        case ConnectionState::Busy:
          break;
      }
      if (connection.greeted) {
        attend_request(connection, slot);
      } else {
        begin_handshake(connection);
      }
    });
  }

  void attend_request(Connection& connection, LoopSlot& slot) {
    do {
      switch (gather(connection)) {
        case Gathered::Gone:
          connection.stream.finish();
          close(connection);
          return;
        case Gathered::Part:
          rest(connection, resting_state(connection));
          return;
        case Gathered::Due:
          if (!table_.make_busy(connection)) {
            close(connection);
            return;
          }
          if (!serve(connection, slot)) return;
      }
    } while (!slot.leads && connection.stream.has_more());
    return_to_loop(connection, slot);
  }

  /// It is Busy, and has had its answer.
  void return_to_loop(Connection& connection, LoopSlot& slot) {
    if (connection.stream.has_more()) {
      if (slot.leads) {
        enqueue(connection);
      } else {
        hand_over(connection);
      }
      return;
    }
    connection.stream.release();
    rest(connection, ConnectionState::Idle);
  }

  /// The caller must not touch it any more, unless it leads its loop.
  void rest(Connection& connection, ConnectionState state) {
    if (!table_.rest(connection, state)) close(connection);
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
        case http::Io::Later:
          return Gathered::Part;
        case http::Io::Closed:
        case http::Io::TimedOut:
        case http::Io::NoThread:
          return Gathered::Gone;
      }
    }
  }

  void begin_handshake(Connection& connection) {
    if (!table_.make_busy(connection)) {
      close(connection);
      return;
    }
    table_.unwatch(connection);
    if (!handshakes_.run_in_turn([this, &connection] { guarded(connection, [&] { handshake(connection); }); })) {
      log(error_limiter_, "connection closed", "no thread can be started");
      close(connection);
    }
  }

  /// As far as it goes without the client.
  void handshake(Connection& connection) {
    switch (connection.stream.handshake()) {
      case http::Io::Done:
        connection.greeted = true;
        if (connection.stream.has_more()) {
          hand_over(connection);
        } else {
          rest(connection, resting_state(connection));
        }
        return;
      case http::Io::Later:
        if (now() < connection.accepted + options_.limits.handshake_max) {
          rest(connection, resting_state(connection));
        } else {
          close(connection);
        }
        return;
      case http::Io::Closed:
      case http::Io::TimedOut:
      case http::Io::NoThread:
        close(connection);
        return;
    }
  }

  /// One request and its answer, or what can be sent of it. True: the answer is sent, and the connection is Busy still.
  bool serve(Connection& connection, LoopSlot& slot) {
    const http::Outcome outcome =
        connection.refused ? http::refused(http::Refusal::Overloaded) : slot.read_request(connection);
    if (!outcome.answerable) {
      connection.stream.finish();
      close(connection);
      return false;
    }
    const bool refused = outcome.refusal.has_value();
    if (refused) ++refusals_[static_cast<std::size_t>(*outcome.refusal)];
    const int status = outcome.reply.status;
    if (status >= 0 && status < kStatusEnd) ++answers_[static_cast<std::size_t>(status)];
    connection.closes = refused || outcome.peer_closes || draining_;
    connection.lingers = refused;
    connection.answer_by = std::min(now() + options_.limits.answer_max, connection.ends_by);
    connection.answer = http::render(outcome, connection.closes);
    connection.sent = 0;
    connection.served = true;
    return send_answer(connection);
  }

  /// As much as the client takes now. True: all, and the connection is Busy still.
  bool send_answer(Connection& connection) {
    std::string_view unsent = connection.unsent();
    const std::size_t before = unsent.size();
    const http::Io io = connection.stream.send(unsent);
    connection.sent = connection.answer.size() - unsent.size();
    if (io == http::Io::Later) {
      const bool had_begun = connection.state() == ConnectionState::Answering;
      const bool rests = had_begun && unsent.size() != before ? table_.note_progress(connection)
                                                              : table_.rest(connection, ConnectionState::Answering);
      const bool is_slow = had_begun && now() >= connection.answer_by;
      if (!rests || is_slow) close(connection);
      return false;
    }
    if (io != http::Io::Done || !table_.make_busy(connection)) {
      close(connection);
      return false;
    }
    connection.answer.clear();
    connection.sizer.reset();
    if (!connection.closes) return true;
    connection.stream.finish();
    if (connection.lingers || connection.stream.has_more()) {
      rest(connection, ConnectionState::Leaving);
    } else {
      close(connection);
    }
    return false;
  }

  void close(Connection& connection) {
    if (!connection.greeted) tls_failed(connection);
    table_.close(connection);
  }

  void tls_failed(const Connection& connection) {
    ++tls_errors_;
    // No copy: a connection is also closed because there is no memory left.
    const std::string_view reason = connection.stream.handshake_error();
    log(handshake_limiter_, "TLS handshake failed",
        reason.empty() ? std::string_view("the client was silent or too slow") : reason);
  }

  void log(LogLimiter& limiter, std::string_view message, std::string_view error) {
    if (options_.log != nullptr) {
      log_limited(limiter, now(), *options_.log, LogLevel::Warning, message, {{"port", port_}, {"error", error}});
    }
  }

  [[nodiscard]] http::Service service() { return {options_.routes, options_.limits, handlers_, body_memory_}; }

  // Constant after construction.
  const HttpServerOptions options_;
  const HttpHandlers handlers_;
  const std::uint16_t port_;
  Fd stop_event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  ///< Readable for ever once stop() began.
  Fd end_event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};   ///< And this once no connection is left.

  std::atomic<bool> draining_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> tls_errors_ = 0;
  std::array<std::atomic<std::uint64_t>, kStatusEnd> answers_{};
  std::array<std::atomic<std::uint64_t>, http::kRefusals> refusals_{};
  http::MemoryBudget body_memory_{options_.limits.body_bytes_total_max};
  LogLimiter accept_limiter_;
  LogLimiter error_limiter_;
  LogLimiter handshake_limiter_;

  Fd listener_;  ///< The acceptor's.
  http::ConnectionTable table_;
  std::deque<Loop> loops_;
  http::ElasticThreads threads_;
  http::ElasticThreads handshakes_;
  Guarded<std::thread> acceptor_;
};

std::size_t sockets_max(const HttpLimits& limits) { return http::ConnectionTable::sockets_max(limits); }

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, ssl_ctx_st* tls,
                                                      HttpHandlers handlers) {
  std::signal(SIGPIPE, SIG_IGN);
  auto listener = http::listen_on(options.address, options.port);
  if (!listener) return listener.error();
  try {
    auto core = std::make_unique<Core>(std::move(options), tls, std::move(handlers), std::move(*listener));
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
  } catch (const std::system_error& error) {
    return Error{ErrorCode::Unavailable, std::string("cannot start a thread: ") + error.what()};
  }
}

HttpServer::HttpServer(std::unique_ptr<Core> core) : core_(std::move(core)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return core_->port(); }
void HttpServer::begin_drain() { core_->begin_drain(); }
void HttpServer::stop(Deadline deadline) { core_->stop(deadline); }
HttpCounters HttpServer::counters() const { return core_->counters(); }

}  // namespace gate
