#pragma once
// The real binary as a child process, stopped or killed as a cluster would.

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace gate::test {

/// The path of the built binary, set by CMake.
[[nodiscard]] std::filesystem::path gate_binary();

/// What a process is started in, beside our own environment and limits.
struct ProcessSetting {
  std::vector<std::string> environment;        ///< NAME=value
  std::vector<std::pair<int, rlim_t>> limits;  ///< RLIMIT_, of both kinds.
};

class GateProcess {
 public:
  /// Starts `upgrade-gate serve <arguments>` and waits until /readyz says yes. Throws std::runtime_error with the log
  /// when it does not within 30 s, or ends. The child dies with the calling thread.
  GateProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log_file,
              const ProcessSetting& setting = {});
  ~GateProcess();  ///< kill()
  GateProcess(const GateProcess&) = delete;
  GateProcess& operator=(const GateProcess&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint16_t ops_port() const { return ops_port_; }
  [[nodiscard]] std::string log() const;
  /// Body of a GET on the ops port; empty when it does not answer.
  [[nodiscard]] std::string ops_get(const std::string& path) const;

  /// SIGSTOP, and SIGCONT: alive and not moving, its connections open. Safe on any thread.
  void pause() const;
  void resume() const;
  /// SIGKILL, and waits for the end.
  void kill();
  void signal(int number) const;
  [[nodiscard]] bool alive() const;
  /// SIGTERM, and wait().
  int terminate(std::chrono::seconds patience);
  /// The exit code, or 128 and the signal that ended it; -1 when it has not ended within `patience` (it is killed
  /// then).
  int wait(std::chrono::seconds patience);

 private:
  [[nodiscard]] bool wait_for_ports(std::chrono::steady_clock::time_point deadline);

  const std::filesystem::path log_file_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  std::uint16_t ops_port_ = 0;
};

/// Calls `condition` until it is true or `patience` is over; what it was in the end.
template <class Condition>
[[nodiscard]] bool eventually(std::chrono::seconds patience, Condition condition);

}  // namespace gate::test

#include <condition_variable>
#include <mutex>

template <class Condition>
bool gate::test::eventually(std::chrono::seconds patience, Condition condition) {
  // Nothing can notify us of what another process does: looked at ten times a second.
  constexpr std::chrono::milliseconds kLook{100};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::mutex mutex;
  std::condition_variable never;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::unique_lock lock(mutex);
    never.wait_for(lock, kLook);
  }
  return true;
}
