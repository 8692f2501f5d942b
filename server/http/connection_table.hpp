#pragma once
// All connections of a server: in which state each one is, how long it may be, and who makes room when there is none.

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "server/base/fd.hpp"
#include "server/base/guarded.hpp"
#include "server/http/connection_stream.hpp"
#include "server/http/http_server.hpp"
#include "server/http/request_sizer.hpp"

namespace gate::http {

/// What a connection is doing. In Busy and Reading a thread has it; otherwise its loop watches its socket.
///
///   Fresh ─handshake─> Idle <─> Partial ─> Busy ─> Idle or Ready, or Answering if the client does not take the answer
///                                           │ <─> Reading
///   any, when it is finished: Leaving, then closed; all but Busy and Refused, to make room: Evicted, then closed
enum class ConnectionState : std::uint8_t {
  Fresh,      ///< Its TLS handshake has not begun, or waits for the client.
  Idle,       ///< Between two requests.
  Partial,    ///< A request has begun and gathers in the buffer.
  Reading,    ///< A thread waits for more of a large request.
  Answering,  ///< The client does not take its answer.
  Refused,    ///< Came beyond the limit; its handshake and its request are awaited, only to be refused.
  Leaving,    ///< Answered and finished; what its client still sends is swallowed.
  Ready,      ///< Has sent its next request with the last one, and waits for its turn.
  Evicted,    ///< Cut to make room: to be closed as soon as that is noticed, whatever it has sent.
  Busy,       ///< A thread works for it.
};
inline constexpr std::size_t kConnectionStates = 10;

/// Belongs to the thread that has it, or else to the thread that leads its loop.
struct Connection {
  Connection(Fd socket, ssl_ctx_st* tls, const HttpLimits& limits, std::size_t its_loop, bool is_refused);

  [[nodiscard]] ConnectionState state() const { return state_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::string_view unsent() const { return std::string_view(answer).substr(sent); }

  const Fd fd;
  ConnectionStream stream;
  RequestSizer sizer;
  const std::size_t loop;
  const SteadyTime accepted;
  const bool refused;      ///< It has none of the places; its first request is answered 503, whatever it is.
  const Deadline ends_by;  ///< Then a refused one is answered, or closed.
  bool greeted;            ///< Its handshake is done.
  bool served = false;     ///< It has had an answer.
  bool queued = false;     ///< More of it is buffered, which its loop's epoll does not know: it waits for its turn.
  Deadline request_by;     ///< Of the request that has begun.

  // While Answering.
  std::string answer;
  std::size_t sent = 0;
  Deadline answer_by;
  bool closes = false;   ///< After the answer.
  bool lingers = false;  ///< Then it is Leaving: bytes of its client's are unread.

 private:
  friend class ConnectionTable;
  std::atomic<ConnectionState> state_ = ConnectionState::Busy;  ///< Changed by the table alone, under its lock.
  SteadyTime since_;                      ///< In its state, or since the answer's last progress. The table's.
  std::list<Connection>::iterator self_;  ///< The table's.
  std::uint32_t watched_ = 0;             ///< Events that its loop's epoll is asked for.
};

/// Thread safe. Connections are divided among loops: each has an epoll, and one thread that leads it.
class ConnectionTable {
 public:
  /// `limits` and `tls` must outlive the table.
  ConnectionTable(const HttpLimits& limits, ssl_ctx_st* tls, std::size_t loops);

  /// How many sockets a server with these limits has open at most.
  [[nodiscard]] static std::size_t sockets_max(const HttpLimits& limits);

  [[nodiscard]] std::size_t loops() const { return loops_.size(); }
  [[nodiscard]] int epoll(std::size_t loop) const { return loops_[loop].epoll.get(); }
  /// In the epoll, too (its address is the event's data); readable when a deadline has come nearer.
  [[nodiscard]] const Fd& wake(std::size_t loop) const { return loops_[loop].wake; }

  // The acceptor's.

  /// Blocks, until stop_admitting(), while too many connections are evicted and still open; and a moment at the cap
  /// while all that could make room wait for their loop: an acceptor that runs ahead would only refuse and cut them.
  void wait_for_room();
  void stop_admitting();
  /// A place for a newcomer, at the cap another's, or one of those to be refused; watched by its loop when this
  /// returns. False: there is none, and the socket is closed.
  bool admit(Fd socket);
  /// Makes room when descriptors run out. False: nobody can make any.
  bool evict_one();

  // Of a connection's holder.

  /// Leaves it to its loop, in the state in which it waits: the caller must not touch it any more, unless it leads that
  /// loop. False: it was evicted meanwhile, and is the caller's to close.
  [[nodiscard]] bool rest(Connection& connection, ConnectionState state);
  /// Its answer has got on; it rests again. False as rest().
  [[nodiscard]] bool note_progress(Connection& connection);
  /// Takes it for the caller's thread. False: it was evicted; close it.
  [[nodiscard]] bool make_busy(Connection& connection);
  /// From Busy: a thread waits for its client.
  void wait_for_client(Connection& connection);
  /// From now on its loop knows nothing of it.
  void unwatch(Connection& connection);
  /// Destroys it.
  void close(Connection& connection);

  // Of a loop's leader.

  /// A connection whose time is over, now Busy; else null, and `next` is when the next one's is.
  Connection* take_overdue(std::size_t loop, Deadline& next);
  /// From now on it is not waited for who has nothing to say.
  void begin_stop(std::size_t loop);

  /// False: some are still open at the deadline.
  bool wait_until_empty(Deadline deadline);
  void cut_all();

  /// connections_open, connections_idle, requests_begun, and what the acceptor counts.
  void count(HttpCounters& counters) const;

 private:
  struct Loop {
    Fd epoll;
    Fd wake;
  };
  using Connections = std::list<Connection>;
  struct LoopState {
    bool stopping = false;
    Deadline wakes_at =
        Deadline::max();  ///< When the leader looks for what is overdue, unless `wake` is raised before.
    std::array<Connections, kConnectionStates> lists;  ///< By state; in each the longest waiting is in front.
    Connections& in(ConnectionState which) { return lists[static_cast<std::size_t>(which)]; }
    [[nodiscard]] const Connections& in(ConnectionState which) const { return lists[static_cast<std::size_t>(which)]; }
  };
  struct State {
    std::vector<LoopState> loops;
    std::size_t open = 0;
    std::size_t refused_open = 0;  ///< Of these: those without a place.
    std::size_t evicted_open = 0;  ///< And those that were evicted.
    bool admitting = true;
    bool acceptor_waits = false;
    std::uint64_t changes = 0;  ///< Of what the acceptor may wait for.
    std::uint64_t accepted = 0;
    std::uint64_t evicted = 0;
    std::uint64_t refused = 0;
    [[nodiscard]] std::size_t places() const { return open - refused_open - evicted_open; }  ///< Taken.
    [[nodiscard]] std::size_t count(ConnectionState which) const;
  };

  [[nodiscard]] static std::size_t evicted_at_once(const HttpLimits& limits);
  static void move_to(State& state, Connection& connection, ConnectionState to);
  bool evict_one(State& state);
  Connection* find_evictable(State& state, SteadyTime at, bool& overtaken) const;
  static Connection* longest(State& state, ConnectionState which, SteadyTime before, bool& overtaken);
  Connection* longest_reading(State& state, SteadyTime before, bool& overtaken) const;
  static bool has_come(const Connection& connection);
  bool rest(State& state, Connection& connection, ConnectionState to);
  void watch(Connection& connection, std::uint32_t events);
  [[nodiscard]] Deadline deadline_of(const Connection& connection, bool stopping) const;

  const HttpLimits& limits_;
  ssl_ctx_st* const tls_;
  const std::size_t evicted_max_;
  std::vector<Loop> loops_;
  Guarded<State> state_;
  std::condition_variable changed_;
};

}  // namespace gate::http
