#pragma once
// A real MariaDB server in a temporary directory, with its own port and socket; needs no rights.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gate {

/// Paths of the two programs; empty when they are not installed.
struct MariadbPrograms {
  std::string server;
  std::string install;
  [[nodiscard]] bool found() const { return !server.empty() && !install.empty(); }
};
[[nodiscard]] MariadbPrograms find_mariadb();

/// Throws std::runtime_error with the server's own words when it does not start.
class MariadbServer {
 public:
  MariadbServer(const MariadbPrograms& programs, const std::string& certificate_pem,
                const std::string& private_key_pem);
  ~MariadbServer();
  MariadbServer(const MariadbServer&) = delete;
  MariadbServer& operator=(const MariadbServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void start(bool with_tls);  ///< Returns when it accepts connections.
  void kill();                ///< SIGKILL; returns when the process is gone.

 private:
  [[nodiscard]] std::string try_start(bool with_tls);

  std::filesystem::path directory_;
  std::string server_program_;
  pid_t process_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace gate
