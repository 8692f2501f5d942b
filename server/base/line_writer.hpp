#pragma once
// Lines for a descriptor that may be slow, or that nobody reads: those who write lines never wait for it.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "server/base/guarded.hpp"

namespace gate {

/// Some thousand lines: what a log collector may fall behind during a burst.
inline constexpr std::size_t kLineQueueBytesMax = 1u << 20;

/// Thread safe. One thread writes.
class LineWriter {
 public:
  /// `tell_lost` makes the line that says how many were lost; it stands where they would have stood. The descriptor is
  /// not closed, and its flags (which other processes share) stay as they are.
  LineWriter(int descriptor, std::function<std::string(std::uint64_t lost)> tell_lost,
             std::size_t queue_bytes_max = kLineQueueBytesMax);
  /// Waits a second at most for what is queued to be written.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  /// A line feed is added. Never waits: a line beyond queue_bytes_max is lost, and counted.
  void write(std::string line);

  /// Of all time.
  [[nodiscard]] std::uint64_t lost() const;

 private:
  struct State {
    std::deque<std::string> lines;
    std::size_t bytes = 0;     ///< Of these.
    std::uint64_t lost = 0;    ///< Of all time.
    std::uint64_t untold = 0;  ///< Of these, since a line said so.
    bool closing = false;
  };

  void write_until_closed();
  void tell_lost(std::uint64_t untold);
  bool write_all(std::string_view bytes);
  [[nodiscard]] bool wait_for_room();

  const int descriptor_;
  const std::function<std::string(std::uint64_t)> tell_lost_;
  const std::size_t queue_bytes_max_;
  int close_event_;
  bool knows_nowait_;  ///< The writing thread's.
  Guarded<State> state_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace gate
