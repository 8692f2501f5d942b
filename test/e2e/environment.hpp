#pragma once
// A real Kubernetes API server for tests: etcd and kube-apiserver as children of the test, thrown away with it.
//
// Binaries: KUBEBUILDER_ASSETS when set; otherwise $XDG_CACHE_HOME/upgrade-gate/kubernetes (default ~/.cache), where
// `make` builds kube-apiserver and kubectl from test/e2e/kubernetes; etcd also from PATH.
// No scheduler and no kubelet, and no controllers unless they are asked for: objects stay as they are written.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "policy/text/result.hpp"

namespace gate::test {

/// The loopback address that everything listens on: 127.0.0.1, or ::1 with GATE_TEST_LOOPBACK=::1.
[[nodiscard]] std::string loopback();
/// A port of it that nothing listens on, and that no outgoing connection gets. 0: there is none.
[[nodiscard]] std::uint16_t free_port();
/// "127.0.0.1:PORT", "[::1]:PORT".
[[nodiscard]] std::string at_loopback(std::uint16_t port);

struct ProcessResult {
  int exit_code = -1;  ///< 128 + signal when killed.
  std::string out;
  std::string err;
  bool timed_out = false;
};

struct RunOptions {
  std::string input{};                     ///< To stdin.
  std::vector<std::string> environment{};  ///< "NAME=value", added to ours.
  std::chrono::seconds timeout{60};        ///< Killed then.
};

/// Runs a program to its end. Thread safe.
[[nodiscard]] ProcessResult run_process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                                        const RunOptions& options = {});

/// Starts a program that reads nothing and writes to `log`, which it continues. It dies with the calling thread. -1
/// when it cannot be started.
[[nodiscard]] pid_t start_process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                                  const std::filesystem::path& log);
/// SIGKILL, and waits for the end; `child` is -1 afterwards.
void kill_and_reap(pid_t& child);

/// Ends the test program as skipped (exit code 77) after printing why.
[[noreturn]] void skip_test(const std::string& reason);

/// A user that the API server knows by a token.
struct TestUser {
  std::string name;  ///< Also "system:serviceaccount:<namespace>:<name>".
  std::vector<std::string> groups;
};

class KubernetesEnvironment {
 public:
  /// Starts both processes and waits until the API server is ready. NotFound: something is missing on this machine, the
  /// message says what (skip the test). Any other error: it should have worked. The children die with the thread that
  /// calls this, so that a crash of the test leaves nothing behind: call it on a thread that outlives the environment.
  [[nodiscard]] static Result<std::unique_ptr<KubernetesEnvironment>> start(std::vector<TestUser> users = {});
  /// As start(); skips or fails the test program instead of returning an error.
  [[nodiscard]] static std::unique_ptr<KubernetesEnvironment> start_or_skip(std::vector<TestUser> users = {});

  ~KubernetesEnvironment();
  KubernetesEnvironment(const KubernetesEnvironment&) = delete;
  KubernetesEnvironment& operator=(const KubernetesEnvironment&) = delete;

  /// For a cluster administrator.
  [[nodiscard]] std::filesystem::path kubeconfig() const { return directory_ / "admin.kubeconfig"; }
  /// For one of the users given to start().
  [[nodiscard]] std::filesystem::path kubeconfig_of(const std::string& user) const;

  /// The kubectl in use, for scripts that call it themselves.
  [[nodiscard]] const std::filesystem::path& kubectl_path() const { return binaries_.kubectl; }
  /// kubectl as the administrator.
  [[nodiscard]] ProcessResult kubectl(const std::vector<std::string>& arguments, const RunOptions& options = {}) const;
  /// kubectl as one of the users given to start().
  [[nodiscard]] ProcessResult kubectl_as(const std::string& user, const std::vector<std::string>& arguments,
                                         const RunOptions& options = {}) const;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// For files of the test; removed with the environment.
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  /// The end of the API server's log, for messages of failed tests.
  [[nodiscard]] std::string api_server_log() const;

  /// Adds kube-controller-manager: StatefulSets, Jobs, garbage collection, namespaces and endpoints are then the real
  /// ones. Kinds that exist by then are collected at once, others up to half a minute later. NotFound: the program is
  /// missing on this machine. The child dies with the calling thread.
  [[nodiscard]] Status start_controller_manager();

  /// Kills the API server and starts it again on the same port with the same data; returns when it is ready.
  [[nodiscard]] Status restart_api_server();

 private:
  struct Binaries {
    std::filesystem::path etcd, api_server, kubectl;
    std::filesystem::path controller_manager;  ///< Empty where there is none.
  };
  struct User {
    TestUser user;
    std::string token;
    std::string file_name;
  };

  KubernetesEnvironment(Binaries binaries, std::filesystem::path directory, std::vector<TestUser> users);
  [[nodiscard]] static Result<Binaries> find_binaries();
  [[nodiscard]] Status write_files();
  [[nodiscard]] Status start_processes();
  [[nodiscard]] Status start_api_server();
  [[nodiscard]] Status wait_until_ready();

  const Binaries binaries_;
  const std::filesystem::path directory_;
  std::vector<User> users_;
  std::uint16_t port_ = 0;
  std::uint16_t etcd_port_ = 0;
  std::uint16_t etcd_peer_port_ = 0;
  pid_t etcd_ = -1;
  pid_t api_server_ = -1;
  pid_t controller_manager_ = -1;
};

}  // namespace gate::test
