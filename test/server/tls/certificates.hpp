#pragma once
// Certificates and folders for tests.

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/ports/clock.hpp"
#include "server/tls/dev_certificate.hpp"

namespace gate::test {

/// Longer than any machine needs; a test that waits this long has failed.
inline constexpr std::chrono::seconds kPatience{20};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gate-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// For 127.0.0.1, and these names. `valid` may be negative: expired.
inline DevCertificate certificate_for_tests(std::chrono::seconds valid = std::chrono::hours(1),
                                            std::vector<std::string> names = {"localhost"}) {
  const WallTime now = SystemClock().wall_now();
  return make_dev_certificate({std::move(names), {"127.0.0.1"}, now - std::chrono::hours(2), now + valid}).value();
}

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

/// Asks again and again until it is so, or until we lose patience.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace gate::test
