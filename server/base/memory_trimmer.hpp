#pragma once
// Memory that the allocator keeps after a burst goes back to the system.

#include <chrono>
#include <cstddef>
#include <thread>

namespace gate {

/// Looked at so often: a burst is over by then, and nothing else is done more rarely.
inline constexpr std::chrono::milliseconds kTrimInterval{5000};
/// A process that is as small as this is left alone: what it would give back it needs at the next request.
inline constexpr std::size_t kTrimAboveBytes = std::size_t{24} << 20;

/// A thread that returns, every kTrimInterval, what is free in all arenas, while the process is larger than
/// kTrimAboveBytes. The allocator itself returns only what is free at the end of an arena, and one small block that
/// lives on there keeps megabytes. Takes no memory.
class MemoryTrimmer {
 public:
  MemoryTrimmer();

 private:
  std::jthread thread_;
};

/// Of this process; 0 where the system does not tell. Takes no memory.
[[nodiscard]] std::size_t resident_bytes();

}  // namespace gate
