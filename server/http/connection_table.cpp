#include "server/http/connection_table.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

namespace gate::http {
namespace {

/// How long a finished client's further bytes are swallowed: closing would reset the connection, and lose it the
/// answer.
constexpr std::chrono::milliseconds kLinger{1000};
/// Someone who connected just before stop() has a request on its way.
constexpr std::chrono::milliseconds kFreshGrace{1000};
/// At the cap the acceptor waits so long for loops that have not yet seen what their clients sent.
constexpr std::chrono::milliseconds kCatchUpMax{100};
/// Newcomers make room for each other only while they hold at least this part of all places: a flood of silent ones
/// then leaves each of them the time in which so many arrive, and a few never push each other out.
constexpr std::size_t kFreshShare = 4;

/// Evicted, and not closed yet: few, so that the acceptor cannot run ahead of the loops. Before a connection becomes
/// the longest waiting, the loops have then seen what it sent.
constexpr std::size_t kEvictedAtOnceMax = 64;

/// Candidates that are looked at in a state and loop: with so many whose bytes have come, it is us who are slow.
constexpr int kLooksMax = 64;

SteadyTime now() { return std::chrono::steady_clock::now(); }

}  // namespace

Connection::Connection(Fd socket, ssl_ctx_st* tls, const HttpLimits& limits, std::size_t its_loop, bool is_refused)
    : fd(std::move(socket)),
      stream(fd.get(), tls),
      sizer(limits),
      loop(its_loop),
      accepted(now()),
      refused(is_refused),
      ends_by(refused ? accepted + limits.refusal_max : Deadline::max()),
      greeted(tls == nullptr),
      since_(accepted) {}

std::size_t ConnectionTable::evicted_at_once(const HttpLimits& limits) {
  return std::clamp<std::size_t>(limits.connections_max / 4, 1, kEvictedAtOnceMax);
}

std::size_t ConnectionTable::sockets_max(const HttpLimits& limits) {
  return limits.connections_max + limits.refused_at_once_max + evicted_at_once(limits);
}

ConnectionTable::ConnectionTable(const HttpLimits& limits, ssl_ctx_st* tls, std::size_t loops)
    : limits_(limits), tls_(tls), evicted_max_(evicted_at_once(limits)) {
  state_.lock()->loops.resize(loops);
  for (std::size_t i = 0; i < loops; ++i) {
    loops_.push_back({Fd(::epoll_create1(EPOLL_CLOEXEC)), Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))});
    if (loops_.back().epoll.get() < 0 || loops_.back().wake.get() < 0) {
      throw std::system_error(errno, std::generic_category());
    }
  }
  for (auto& loop : loops_) {  // Where they are does not change any more.
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.ptr = &loop.wake;
    ::epoll_ctl(loop.epoll.get(), EPOLL_CTL_ADD, loop.wake.get(), &wanted);
  }
}

std::size_t ConnectionTable::State::count(ConnectionState which) const {
  std::size_t total = 0;
  for (const auto& loop : loops) total += loop.in(which).size();
  return total;
}

// Places.

void ConnectionTable::wait_for_room() {
  auto state = state_.lock();
  const Deadline patience = now() + kCatchUpMax;
  while (state->admitting) {
    const bool is_behind = state->evicted_open >= evicted_max_;
    if (!is_behind) {
      bool overtaken = false;
      if (state->places() < limits_.connections_max || find_evictable(*state, now(), overtaken) != nullptr) return;
      if (!overtaken || now() >= patience) return;
    }
    state->acceptor_waits = true;
    state.wait_until(changed_, is_behind ? now() + std::chrono::hours(1) : patience,
                     [seen = state->changes](const State& after) { return after.changes != seen; });
    state->acceptor_waits = false;
  }
}

void ConnectionTable::stop_admitting() {
  auto state = state_.lock();
  state->admitting = false;
  ++state->changes;
  changed_.notify_all();
}

bool ConnectionTable::admit(Fd socket) {
  // Without it the kernel holds an answer back for up to 40 ms, waiting for more to send along.
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto state = state_.lock();
  ++state->accepted;
  const bool refuse = state->places() >= limits_.connections_max && !evict_one(*state);
  if (refuse) {
    ++state->refused;
    if (state->refused_open >= limits_.refused_at_once_max) return false;
  }
  const std::size_t loop = state->accepted % loops_.size();
  auto& busy = state->loops[loop].in(ConnectionState::Busy);
  Connection& connection = busy.emplace_back(std::move(socket), tls_, limits_, loop, refuse);
  connection.self_ = std::prev(busy.end());
  ++state->open;
  if (refuse) ++state->refused_open;
  const auto waiting = refuse               ? ConnectionState::Refused
                       : connection.greeted ? ConnectionState::Idle
                                            : ConnectionState::Fresh;
  return rest(*state, connection, waiting);
}

bool ConnectionTable::evict_one() { return evict_one(*state_.lock()); }

bool ConnectionTable::evict_one(State& state) {
  if (state.evicted_open >= evicted_max_) return false;
  bool overtaken = false;
  Connection* const chosen = find_evictable(state, now(), overtaken);
  if (chosen == nullptr) return false;
  move_to(state, *chosen, ConnectionState::Evicted);
  ++state.evicted_open;
  ++state.evicted;
  ::shutdown(chosen->fd.get(), SHUT_RDWR);  // Whoever watches it finds its end.
  return true;
}

/// The order in which connections make room: who takes no answer (its buffers and ours are full: the API server, which
/// asks one thing at a time, never gets there); who asks for many things at once; who is finished; who never said
/// anything, or dawdles over a handshake or a request; who is idle. In each the longest waiting first. Never one that
/// waits for us: where there are such, they have been overtaken.
Connection* ConnectionTable::find_evictable(State& state, SteadyTime at, bool& overtaken) const {
  const SteadyTime slow = at - limits_.slow_after;
  if (auto* const stalled = longest(state, ConnectionState::Answering, at, overtaken)) return stalled;
  if (auto* const greedy = longest(state, ConnectionState::Ready, at, overtaken)) return greedy;
  if (auto* const leaving = longest(state, ConnectionState::Leaving, at, overtaken)) return leaving;
  if (auto* const silent = longest(state, ConnectionState::Fresh, slow, overtaken)) return silent;
  if (auto* const dawdler = longest(state, ConnectionState::Partial, slow, overtaken)) return dawdler;
  if (auto* const dawdler = longest_reading(state, slow, overtaken)) return dawdler;
  if (state.count(ConnectionState::Fresh) * kFreshShare >= limits_.connections_max) {
    if (auto* const silent = longest(state, ConnectionState::Fresh, at, overtaken)) return silent;
  }
  return longest(state, ConnectionState::Idle, at, overtaken);
}

/// Of those in the state since `before` or longer.
Connection* ConnectionTable::longest(State& state, ConnectionState which, SteadyTime before, bool& overtaken) {
  Connection* found = nullptr;
  for (auto& loop : state.loops) {
    int looks = kLooksMax;
    for (auto& connection : loop.in(which)) {
      if (connection.since_ > before || looks-- == 0) break;  // Those behind it wait less.
      if (found != nullptr && found->since_ <= connection.since_) break;
      if (connection.refused) continue;  // It holds no place.
      if (which != ConnectionState::Ready && has_come(connection)) {
        overtaken = true;
        continue;
      }
      found = &connection;
      break;
    }
  }
  return found;
}

/// Of those whose request began before `before`: the oldest.
Connection* ConnectionTable::longest_reading(State& state, SteadyTime before, bool& overtaken) const {
  Connection* found = nullptr;
  for (auto& loop : state.loops) {
    int looks = kLooksMax;
    for (auto& connection : loop.in(ConnectionState::Reading)) {
      if (connection.request_by > (found == nullptr ? before + limits_.request_max : found->request_by)) continue;
      if (looks-- == 0) break;
      if (has_come(connection)) {
        overtaken = true;
      } else {
        found = &connection;
      }
    }
  }
  return found;
}

/// What it waits for: then it is not the client that is slow.
bool ConnectionTable::has_come(const Connection& connection) {
  const bool writes = connection.watched_ == EPOLLOUT;
  pollfd descriptor{connection.fd.get(), static_cast<short>(writes ? POLLOUT : POLLIN), 0};
  return ::poll(&descriptor, 1, 0) == 1 && (descriptor.revents & (POLLHUP | POLLERR)) == 0;
}

// States.

void ConnectionTable::move_to(State& state, Connection& connection, ConnectionState to) {
  auto& loop = state.loops[connection.loop];
  connection.since_ = now();
  loop.in(to).splice(loop.in(to).end(), loop.in(connection.state()), connection.self_);
  connection.state_.store(to, std::memory_order_relaxed);
}

bool ConnectionTable::rest(Connection& connection, ConnectionState to) {
  auto state = state_.lock();
  return rest(*state, connection, to);
}

bool ConnectionTable::rest(State& state, Connection& connection, ConnectionState to) {
  if (connection.state() == ConnectionState::Evicted) return false;
  // What gathers keeps its place: its time limit is that of the whole request.
  if (connection.state() != to) move_to(state, connection, to);
  ++state.changes;
  if (state.acceptor_waits) changed_.notify_all();
  auto& loop = state.loops[connection.loop];
  if (const Deadline deadline = deadline_of(connection, loop.stopping); deadline < loop.wakes_at) {
    loop.wakes_at = deadline;
    const std::uint64_t one = 1;
    (void)!::write(loops_[connection.loop].wake.get(), &one, sizeof one);
  }
  const bool writes = to == ConnectionState::Answering || !connection.greeted;
  watch(connection, writes && connection.stream.wanted_events() == POLLOUT ? EPOLLOUT : EPOLLIN);
  return true;
}

/// Under the lock: once it is watched its loop may close it.
void ConnectionTable::watch(Connection& connection, std::uint32_t events) {
  if (connection.watched_ == events) return;
  epoll_event wanted{};
  wanted.events = events;
  wanted.data.ptr = &connection;
  const int operation = connection.watched_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  connection.watched_ = events;
  ::epoll_ctl(loops_[connection.loop].epoll.get(), operation, connection.fd.get(), &wanted);
}

bool ConnectionTable::note_progress(Connection& connection) {
  auto state = state_.lock();
  if (connection.state() == ConnectionState::Evicted) return false;
  move_to(*state, connection, connection.state());
  return rest(*state, connection, connection.state());
}

bool ConnectionTable::make_busy(Connection& connection) {
  auto state = state_.lock();
  if (connection.state() == ConnectionState::Evicted) return false;
  move_to(*state, connection, ConnectionState::Busy);
  return true;
}

void ConnectionTable::wait_for_client(Connection& connection) {
  auto state = state_.lock();
  // The refused have none of the places: there is nothing to be won.
  if (!connection.refused) move_to(*state, connection, ConnectionState::Reading);
}

void ConnectionTable::unwatch(Connection& connection) {
  if (std::exchange(connection.watched_, 0) == 0) return;
  epoll_event ignored{};
  ::epoll_ctl(loops_[connection.loop].epoll.get(), EPOLL_CTL_DEL, connection.fd.get(), &ignored);
}

void ConnectionTable::close(Connection& connection) {
  const bool was_refused = connection.refused;
  bool was_evicted = false;
  Connections closed;
  {
    auto state = state_.lock();
    was_evicted = connection.state() == ConnectionState::Evicted;
    closed.splice(closed.end(), state->loops[connection.loop].in(connection.state()), connection.self_);
  }
  closed.clear();
  {
    auto state = state_.lock();
    --state->open;
    if (was_refused) --state->refused_open;
    if (was_evicted) --state->evicted_open;
    ++state->changes;
    if (state->acceptor_waits || state->open == 0) changed_.notify_all();
  }
}

// Time.

Connection* ConnectionTable::take_overdue(std::size_t loop, Deadline& next) {
  const SteadyTime at = now();
  auto state = state_.lock();
  auto& its = state->loops[loop];
  for (const auto which : {ConnectionState::Fresh, ConnectionState::Idle, ConnectionState::Partial,
                           ConnectionState::Answering, ConnectionState::Refused, ConnectionState::Leaving}) {
    for (auto& connection : its.in(which)) {
      const Deadline deadline = deadline_of(connection, its.stopping);
      if (deadline <= at && !connection.queued) {
        move_to(*state, connection, ConnectionState::Busy);
        return &connection;
      }
      next = std::min(next, deadline);
      // Those behind it came later; but the few refused ones are in the order of their handshakes.
      if (!its.stopping && which != ConnectionState::Refused) break;
    }
  }
  its.wakes_at = next;
  return nullptr;
}

Deadline ConnectionTable::deadline_of(const Connection& connection, bool stopping) const {
  switch (connection.state()) {
    case ConnectionState::Partial:
      return connection.request_by;
    case ConnectionState::Answering:
      return connection.since_ + limits_.answer_max;  // Its progress is bounded where it is noted.
    case ConnectionState::Refused:
      return stopping ? std::min(connection.ends_by, connection.accepted + kFreshGrace) : connection.ends_by;
    case ConnectionState::Leaving:
      return connection.since_ + kLinger;
    case ConnectionState::Fresh:
    case ConnectionState::Idle: {
      const bool is_idle = connection.state() == ConnectionState::Idle;
      // Of a handshake that goes on, the whole is bounded where it goes on.
      const Deadline usual = connection.since_ + (is_idle ? limits_.idle_max : limits_.handshake_max);
      if (!stopping) return usual;
      return connection.served ? Deadline::min() : std::min(usual, connection.accepted + kFreshGrace);
    }
    case ConnectionState::Reading:
    case ConnectionState::Ready:
    case ConnectionState::Evicted:
    case ConnectionState::Busy:
      return Deadline::max();
  }
  return Deadline::max();
}

void ConnectionTable::begin_stop(std::size_t loop) { state_.lock()->loops[loop].stopping = true; }

bool ConnectionTable::wait_until_empty(Deadline deadline) {
  const auto is_empty = [](const State& state) { return state.open == 0; };
  auto state = state_.lock();
  if (deadline == Deadline::max()) {
    state.wait(changed_, is_empty);
    return true;
  }
  return state.wait_until(changed_, deadline, is_empty);
}

void ConnectionTable::cut_all() {
  auto state = state_.lock();
  for (auto& loop : state->loops) {
    for (auto& list : loop.lists) {
      for (const auto& connection : list) ::shutdown(connection.fd.get(), SHUT_RDWR);
    }
  }
}

void ConnectionTable::count(HttpCounters& counters) const {
  const auto state = state_.lock();
  counters.connections_open = state->open;
  counters.connections_idle = state->count(ConnectionState::Idle);
  counters.requests_begun = state->count(ConnectionState::Partial);
  counters.connections_accepted = state->accepted;
  counters.connections_evicted = state->evicted;
  counters.connections_refused = state->refused;
}

}  // namespace gate::http
