#pragma once
// A queue of keys to look at, each at a time of its own. A key is with one worker at most; asking for it again while it
// is being worked on brings it back afterwards, so no change is missed and none is worked on twice at once.

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "server/ports/clock.hpp"

namespace gate {

/// Thread safe. Holds each key at most once, so it is bounded by the number of records.
class WorkQueue {
 public:
  /// `clock` must outlive this; due times are its. Where it is moved by hand, the next add() makes waiters look at it.
  explicit WorkQueue(const Clock& clock) : clock_(clock) {}

  /// Makes `key` due at `due`; an earlier time that it already has stays.
  void add(const std::string& key, SteadyTime due);

  /// Gives no key out before `until`, whatever is due; a later call replaces it, so a time that is past ends it.
  void hold_until(SteadyTime until);

  /// Blocks until a key is due and takes it, or returns nullopt once `stop` is requested.
  [[nodiscard]] std::optional<std::string> take(const std::stop_token& stop);

  /// Ends the work on a key that take() gave out.
  void done(const std::string& key);

  [[nodiscard]] std::size_t size() const;

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, SteadyTime> due_;      // guarded by mutex_
  std::set<std::string> active_;               // guarded by mutex_
  SteadyTime held_until_ = SteadyTime::min();  // guarded by mutex_
  std::uint64_t changes_ = 0;                  // guarded by mutex_; tells a waiter that the above moved
};

}  // namespace gate
