#pragma once
// A queue of keys to look at, each at a time of its own. A key is with one worker at most; asking for it again while it
// is being worked on brings it back afterwards, so no change is missed and none is worked on twice at once.
//
// Nobody's work holds up the others': restores come first, namespaces take turns, and none has more than its share of
// the workers. A worker that is held for longer than a healthy look takes (an FE that hangs) is replaced by another.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "server/base/guarded.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// Work that takes longer than this waits for somebody else, and does not count among what may be done at once.
inline constexpr std::chrono::milliseconds kSlowAfter{1000};
/// Threads for each that may work at full speed: what is held up is bounded, too.
inline constexpr std::size_t kThreadsPerWorker = 4;
/// Of the workers, the share that one namespace may have, whatever waits: three quarters, and one at least.
[[nodiscard]] constexpr std::size_t namespace_share(std::size_t workers) {
  return workers < 2 ? 1 : workers - (workers + 3) / 4;
}

/// Thread safe. Holds each key at most once, so it is bounded by the number of records.
class WorkQueue {
 public:
  /// `clock` must outlive this; due times are its. Where it is moved by hand, the next add() makes waiters look at it.
  /// At most `workers` keys are out that were given out less than kSlowAfter ago.
  WorkQueue(const Clock& clock, std::size_t workers) : clock_(clock), workers_(workers) {}

  /// Makes `key` ("namespace/name") due at `due`; an earlier time that it already has stays.
  void add(const std::string& key, SteadyTime due);

  /// Whether what is due for `key` goes before all that is not urgent, from now on.
  void set_urgent(const std::string& key, bool urgent);

  /// Gives no key out before `until`, whatever is due; a later call replaces it, so a time that is past ends it.
  void hold_until(SteadyTime until);

  /// Blocks until a key is due and takes it, or returns nullopt once `stop` is requested. Where there is no memory it
  /// throws, and the key stays.
  [[nodiscard]] std::optional<std::string> take(const std::stop_token& stop);

  /// Ends the work on a key that take() gave out; with `again` it is due then, as by add(). Takes no memory: a key that
  /// was lost here would be a record that nobody looks at any more.
  void done(const std::string& key, std::optional<SteadyTime> again = std::nullopt);

  [[nodiscard]] std::size_t size() const;
  /// Keys that are due and wait for a worker.
  [[nodiscard]] std::size_t waiting() const;

  struct Waiting {
    std::string key;
    std::size_t place = 0;             ///< 1 is the next, as things are now.
    bool by_share = false;             ///< Its namespace has its share of the workers; otherwise all are busy.
    std::size_t workers = 0;           ///< That many keys are out: of its namespace, or of all.
    std::vector<std::string> at_work;  ///< `by_share`: names of its namespace's, kAtWorkMax at most.
  };
  static constexpr std::size_t kAtWorkMax = 3;
  /// The keys that wait for a worker and were due at `due` already, in the order in which they will be given out.
  [[nodiscard]] std::vector<Waiting> waiting_since(SteadyTime due) const;

 private:
  using Due = std::map<std::string, SteadyTime>;

  struct State {
    Due due;
    Due active;  ///< Since when.
    std::set<std::string> urgent;
    std::map<std::string, std::uint64_t> turn;  ///< By namespace: when it was served last.
    std::uint64_t turns = 0;
    SteadyTime held_until = SteadyTime::min();
    std::uint64_t changes = 0;  ///< Tells the watcher that the above moved.
    bool watched = false;       ///< One of those that wait looks at each change, for all of them.

    [[nodiscard]] bool comes_before(const Due::value_type& one, const Due::value_type& other) const;
  };

  /// Takes what next() found.
  [[nodiscard]] std::string give_out(State& state, Due::iterator found, SteadyTime now);
  /// Waits for a change, or until it is time to look again. The others wait until there is no watcher.
  void watch(Locked<State>& state, const std::stop_token& stop, SteadyTime now, SteadyTime look_again);

  /// What may be taken now; end() for nothing, and then `look_again` is when that may change by itself.
  [[nodiscard]] Due::iterator next(State& state, SteadyTime now, SteadyTime& look_again) const;

  const Clock& clock_;
  const std::size_t workers_;
  Guarded<State> state_;
  std::condition_variable_any changed_;
  std::condition_variable_any unwatched_;
};

}  // namespace gate
