#pragma once
// The one API server that the tests of this program share, with our CRDs and the stand-ins of the operator's.

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "server/kubernetes/client/kube_client.hpp"
#include "test/e2e/environment.hpp"

namespace gate::test {

/// A user without any rights.
inline constexpr const char* kNobody = "nobody";

/// Started at the first call; the test program is skipped where that cannot be.
[[nodiscard]] KubernetesEnvironment& api_server();

/// A client as the administrator, or as one of the environment's users.
[[nodiscard]] std::unique_ptr<KubeClient> make_client(const std::string& user = "admin");

/// A fresh namespace.
[[nodiscard]] std::string make_namespace();

[[nodiscard]] inline Deadline in_seconds(int seconds) {
  return std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
}

/// Polls until `holds` or the time is over; its last answer.
template <class Condition>
bool eventually(Condition holds, int seconds = 30) {
  const auto deadline = in_seconds(seconds);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // sleeps: polls the API server
  }
  return true;
}

/// A file of the source tree.
[[nodiscard]] inline std::string source_file(const std::string& path) {
  return std::string(GATE_SOURCE_DIR) + "/" + path;
}

}  // namespace gate::test
