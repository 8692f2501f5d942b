#include "server/base/memory_trimmer.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>
#include <system_error>

#include "server/base/backoff.hpp"
#include "server/base/fd.hpp"

namespace gate {

MemoryTrimmer::MemoryTrimmer()
    : thread_([](const std::stop_token& stop) {
        while (pause_for(kTrimInterval, stop)) {
          if (resident_bytes() > kTrimAboveBytes) ::malloc_trim(0);
        }
      }) {}

std::size_t resident_bytes() {
  const Fd file(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  std::array<char, 256> bytes;
  const ssize_t got = file.get() < 0 ? -1 : ::read(file.get(), bytes.data(), bytes.size());
  if (got <= 0) return 0;
  // Pages: all of the program, those that are resident, and others.
  const std::string_view text(bytes.data(), static_cast<std::size_t>(got));
  const auto second = text.find(' ') + 1;
  std::size_t pages = 0;
  if (std::from_chars(text.data() + second, text.data() + text.size(), pages).ec != std::errc()) return 0;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace gate
