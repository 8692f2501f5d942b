#include "test/integration/mariadb_server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace gate {
namespace {

using std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{60};  // Creating the system tables takes seconds on a loaded machine.
constexpr int kPortTries = 5;                  // Somebody else may take a free port before the server does.

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path == nullptr ? "" : path) + ":/usr/sbin:/usr/libexec:/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (const auto candidate = folder + "/" + name; ::access(candidate.c_str(), X_OK) == 0) return candidate;
  return {};
}

struct Child {
  pid_t process = -1;
  int output = -1;  ///< Its standard output and error.
};

Child spawn(std::vector<std::string> arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  Child child;
  child.output = ends[0];
  const int failure = ::posix_spawn(&child.process, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failure != 0) throw std::runtime_error("cannot start " + arguments[0]);
  return child;
}

/// Reads what the child says until it says `wanted`, ends, or the time is over.
std::string read_until(int output, const std::string& wanted) {
  const auto deadline = steady_clock::now() + kPatience;
  std::string said;
  while (wanted.empty() || said.find(wanted) == std::string::npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    pollfd waiting{output, POLLIN, 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) break;
    std::array<char, 4096> chunk{};
    const auto got = ::read(output, chunk.data(), chunk.size());
    if (got <= 0) break;
    said.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return said;
}

std::string user_name() {
  const passwd* entry = ::getpwuid(::geteuid());
  return entry == nullptr ? "root" : entry->pw_name;
}

std::uint16_t free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ::bind(probe, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(probe);
  return ntohs(address.sin_port);
}

}  // namespace

MariadbPrograms find_mariadb() { return {find_program("mariadbd"), find_program("mariadb-install-db")}; }

MariadbServer::MariadbServer(const MariadbPrograms& programs, const std::string& certificate_pem,
                             const std::string& private_key_pem)
    : server_program_(programs.server) {
  std::string folder = (std::filesystem::temp_directory_path() / "gate-mariadb-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
  directory_ = folder;
  std::ofstream(directory_ / "server.pem") << certificate_pem;
  std::ofstream(directory_ / "server.key") << private_key_pem;
  const Child install = spawn({programs.install, "--no-defaults", "--datadir=" + (directory_ / "data").string(),
                               "--user=" + user_name(), "--auth-root-authentication-method=normal", "--skip-test-db"});
  const std::string said = read_until(install.output, "");
  ::close(install.output);
  int status = 0;
  ::waitpid(install.process, &status, 0);
  if (status != 0) throw std::runtime_error("mariadb-install-db failed: " + said);
}

MariadbServer::~MariadbServer() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void MariadbServer::start(bool with_tls) {
  kill();
  std::string said;
  for (int i = 0; i < kPortTries; ++i) {
    if (port_ == 0) port_ = free_port();
    said = try_start(with_tls);
    if (said.find("ready for connections") != std::string::npos) return;
    kill();
    port_ = 0;
  }
  throw std::runtime_error("mariadbd does not start: " + said);
}

std::string MariadbServer::try_start(bool with_tls) {
  std::vector<std::string> arguments = {server_program_,
                                        "--no-defaults",
                                        "--user=" + user_name(),
                                        "--datadir=" + (directory_ / "data").string(),
                                        "--socket=" + (directory_ / "socket").string(),
                                        "--pid-file=" + (directory_ / "pid").string(),
                                        "--bind-address=127.0.0.1",
                                        "--port=" + std::to_string(port_),
                                        "--skip-log-bin",
                                        "--innodb-buffer-pool-size=16M",
                                        "--innodb-flush-log-at-trx-commit=0",
                                        "--skip-name-resolve"};
  if (with_tls) {
    arguments.push_back("--ssl-cert=" + (directory_ / "server.pem").string());
    arguments.push_back("--ssl-key=" + (directory_ / "server.key").string());
  } else {
    arguments.emplace_back("--skip-ssl");  // From 11.4 on it would make itself a certificate.
  }
  const Child child = spawn(std::move(arguments));  // Its log goes to the pipe, until it is ready.
  process_ = child.process;
  std::string said = read_until(child.output, "ready for connections");
  ::close(child.output);
  return said;
}

void MariadbServer::kill() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

}  // namespace gate
