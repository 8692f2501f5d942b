#include "server/console/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>
#include <utility>

#include "policy/text/text.hpp"

extern char** environ;  // POSIX declares it in no header

namespace gate {
namespace {

/// Of standard error: the last lines say what went wrong.
constexpr std::size_t kErrorTextMax = 4096;
constexpr std::size_t kErrorShownMax = 600;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  void reset(int fd) {
    close();
    fd_ = fd;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read;
  Descriptor write;
  [[nodiscard]] bool open() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    read.reset(ends[0]);
    write.reset(ends[1]);
    return true;
  }
};

/// A child that does not outlive this object.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  [[nodiscard]] int start(const std::vector<std::string>& arguments, const Pipe* in, const Pipe& out, const Pipe& err) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (in != nullptr) posix_spawn_file_actions_adddup2(&actions, in->read.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
    std::vector<std::string> copies = arguments;  // the call wants pointers to char that are not const
    std::vector<char*> argv;
    for (auto& argument : copies) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int failed = posix_spawnp(&pid_, argv.front(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) pid_ = -1;
    return failed;
  }
  /// Its exit code, 128 and the signal's number when a signal ended it.
  int wait() {
    int status = 0;
    while (waitpid(std::exchange(pid_, -1), &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1000));
}

/// What can be read now; nothing at the end.
std::string_view read_some(Descriptor& from, std::array<char, 65536>& buffer) {
  for (;;) {
    const auto got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      from.close();
      return {};
    }
    return {buffer.data(), static_cast<std::size_t>(got)};
  }
}

bool write_all(int to, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(to, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// klog's lines ("E1127 01:53:12.877997    1569 memcache.go:265] ...") repeat what the last line says in plain words.
bool is_log_line(std::string_view line) {
  const auto digits = [](std::string_view text) { return text.find_first_not_of("0123456789:.") == text.npos; };
  return line.size() > 21 && std::string_view("IWEF").find(line[0]) != std::string_view::npos &&
         digits(line.substr(1, 4)) && line[5] == ' ' && digits(line.substr(6, 15)) && line[21] == ' ';
}

/// What a program said last on its standard error, without log lines where there is anything else.
std::string complaint_of(const std::string& text) {
  std::string plain;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && !is_log_line(line)) plain += (plain.empty() ? "" : "\n") + line;
  }
  return clean_text(plain.empty() ? text.substr(0, text.find_last_not_of('\n') + 1) : plain, kErrorShownMax);
}

}  // namespace

Status stream_program(const std::vector<std::string>& arguments, Deadline deadline,
                      const std::function<bool(std::string_view chunk)>& take, std::string_view input) {
  if (input.size() > kProgramInputMax) {
    return Error{ErrorCode::InvalidInput, arguments.front() + ": input of more than 16 KiB"};
  }
  Pipe in;
  Pipe out;
  Pipe err;
  // Its read end is still here: the write neither blocks nor meets a closed pipe.
  const bool given = !input.empty();
  if (given && (!in.open() || !write_all(in.write.get(), input))) {
    return Error{ErrorCode::Unavailable, std::string("pipe: ") + std::strerror(errno)};
  }
  in.write.close();
  if (!out.open() || !err.open()) return Error{ErrorCode::Unavailable, std::string("pipe: ") + std::strerror(errno)};
  Child child;
  if (const int failed = child.start(arguments, given ? &in : nullptr, out, err); failed != 0) {
    return Error{failed == ENOENT ? ErrorCode::NotFound : ErrorCode::Unavailable,
                 arguments.front() + ": " + std::strerror(failed) + (failed == ENOENT ? " (is it on the PATH?)" : "")};
  }
  out.write.close();
  err.write.close();
  std::string complaint;
  std::array<char, 65536> buffer{};
  while (out.read.get() >= 0 || err.read.get() >= 0) {
    std::array<pollfd, 2> both{{{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}}};  // negative: passed over
    const int ready = poll(both.data(), both.size(), milliseconds_until(deadline));
    if (ready == 0 && std::chrono::steady_clock::now() >= deadline) {
      return Error{ErrorCode::DeadlineExceeded, arguments.front() + " did not answer in time"};
    }
    if (ready <= 0) continue;
    if (both[0].revents != 0) {
      const auto chunk = read_some(out.read, buffer);
      if (!chunk.empty() && !take(chunk)) return Ok{};
    }
    if (both[1].revents != 0) {
      complaint += read_some(err.read, buffer);
      if (complaint.size() > kErrorTextMax) complaint.erase(0, complaint.size() - kErrorTextMax);
    }
  }
  if (const int code = child.wait(); code != 0) {
    const auto said = complaint_of(complaint);
    Error error{ErrorCode::Rejected,
                said.empty() ? arguments.front() + " ended with code " + std::to_string(code) : said};
    error.peer_code = code;
    return error;
  }
  return Ok{};
}

Result<std::string> run_program(const std::vector<std::string>& arguments, Deadline deadline, std::string_view input) {
  std::string output;
  bool too_much = false;
  const auto ran = stream_program(
      arguments, deadline,
      [&](std::string_view chunk) {
        too_much = output.size() + chunk.size() > kProgramOutputMax;
        if (!too_much) output += chunk;
        return !too_much;
      },
      input);
  if (!ran) return ran.error();
  if (too_much) return Error{ErrorCode::Unavailable, arguments.front() + " answered with more than 64 MiB"};
  return output;
}

}  // namespace gate
