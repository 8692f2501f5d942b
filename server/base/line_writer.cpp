#include "server/base/line_writer.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <exception>
#include <utility>

namespace gate {
namespace {

/// What is queued at the end has so long to be written.
constexpr std::chrono::seconds kClosePatience{1};

/// A file is always ready, and says EAGAIN for reasons that no poll knows.
bool is_file(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

LineWriter::LineWriter(int descriptor, std::function<std::string(std::uint64_t)> tell_lost, std::size_t queue_bytes_max)
    : descriptor_(descriptor),
      tell_lost_(std::move(tell_lost)),
      queue_bytes_max_(queue_bytes_max),
      close_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      knows_nowait_(!is_file(descriptor)),
      thread_([this] { write_until_closed(); }) {}

LineWriter::~LineWriter() {
  {
    auto state = state_.lock();
    state->closing = true;
    changed_.notify_all();
    const auto patience = std::chrono::steady_clock::now() + kClosePatience;
    state.wait_until(changed_, patience, [](const State& now) { return now.lines.empty(); });
  }
  const std::uint64_t one = 1;
  (void)!::write(close_event_, &one, sizeof one);
  thread_.join();
  ::close(close_event_);
}

void LineWriter::write(std::string line) {
  line += '\n';
  auto state = state_.lock();
  if (state->closing || state->bytes + line.size() > queue_bytes_max_) {
    ++state->lost;
    ++state->untold;
    return;
  }
  const auto size = line.size();
  state->lines.push_back(std::move(line));  // Throws where there is no memory: then nothing has changed.
  state->bytes += size;
  changed_.notify_all();
}

std::uint64_t LineWriter::lost() const { return state_.lock()->lost; }

/// A line stays in the queue, and counts, until it is written.
void LineWriter::write_until_closed() {
  for (;;) {
    std::string_view line;
    {
      auto state = state_.lock();
      state.wait(changed_, [](const State& now) { return now.closing || !now.lines.empty(); });
      if (state->lines.empty()) return;
      line =
          state->lines.front();  // Others add behind it only; no copy, or a log without memory would end the process.
    }
    if (!write_all(line)) {
      // Closed, or broken for good: whoever waits for the queue need not.
      auto state = state_.lock();
      state->lost += state->lines.size();
      state->untold += state->lines.size();
      state->lines.clear();
      state->bytes = 0;
      changed_.notify_all();
      continue;
    }
    std::uint64_t untold = 0;
    {
      auto state = state_.lock();
      state->bytes -= line.size();
      state->lines.pop_front();
      // Lines are lost at the end of a full queue, so that is where this is told.
      if (state->lines.empty()) untold = std::exchange(state->untold, 0);
      changed_.notify_all();
    }
    if (untold > 0) tell_lost(untold);
  }
}

void LineWriter::tell_lost(std::uint64_t untold) {
  try {
    write(tell_lost_(untold));
  } catch (const std::exception&) {
    state_.lock()->untold += untold;  // There is no memory: with the next ones.
  }
}

/// False: the descriptor is broken, or it has no room and the end has come.
bool LineWriter::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!wait_for_room()) return false;
    // After the poll a pipe has room for PIPE_BUF bytes, unless another process was faster: then a plain write would
    // wait for the reader, and so would stop().
    iovec part{const_cast<char*>(bytes.data()), std::min<std::size_t>(bytes.size(), PIPE_BUF)};
    const ssize_t written =
        knows_nowait_ ? ::pwritev2(descriptor_, &part, 1, -1, RWF_NOWAIT) : ::writev(descriptor_, &part, 1);
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (knows_nowait_ && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) {
      knows_nowait_ = false;
    } else if (errno != EINTR && errno != EAGAIN) {
      return false;
    }
  }
  return true;
}

bool LineWriter::wait_for_room() {
  std::array<pollfd, 2> descriptors{pollfd{descriptor_, POLLOUT, 0}, pollfd{close_event_, POLLIN, 0}};
  for (;;) {
    if (::poll(descriptors.data(), descriptors.size(), -1) < 0) {
      if (errno != EINTR) return false;
      continue;
    }
    if (descriptors[1].revents != 0) return false;
    if (descriptors[0].revents != 0) return (descriptors[0].revents & POLLOUT) != 0;
  }
}

}  // namespace gate
