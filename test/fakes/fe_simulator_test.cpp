// The program around the simulator: what a demonstration types makes the difference that a client of the FEs sees.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/starrocks/frontend_client.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

constexpr auto kAmple = 20s;
/// For what must not be answered.
constexpr auto kBrief = 300ms;

Deadline in(std::chrono::milliseconds duration) { return std::chrono::steady_clock::now() + duration; }

/// The program with three FEs.
class Simulator {
 public:
  Simulator() {
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    if (::pipe2(to.data(), O_CLOEXEC) != 0 || ::pipe2(from.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    std::string program = FE_SIMULATOR;
    std::string count = "--frontends=3";
    std::array<char*, 3> arguments{program.data(), count.data(), nullptr};
    const int error = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(to[0]);
    ::close(from[1]);
    input_ = to[1];
    output_ = from[0];
    if (error != 0) throw std::runtime_error("cannot start " + program);
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string line = next_line();
      ports_.push_back(static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1))));
    }
  }
  ~Simulator() {
    ::close(output_);
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      end();
    }
  }
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  /// What it answers, "done ..." or "error ...", behind the lines of `config`.
  std::string tell(const std::string& command) {
    type(command);
    std::string said;
    for (;;) {
      const std::string line = next_line();
      if (line.starts_with("fe-")) continue;  // A statement of some client.
      said += said.empty() ? line : "\n" + line;
      if (line.starts_with("done") || line.starts_with("error")) return said;
    }
  }
  /// Waits for its end: the exit code. Closes its input first.
  int end() {
    ::close(std::exchange(input_, -1));
    int status = -1;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void type(const std::string& command) {
    const std::string line = command + "\n";
    if (::write(input_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      throw std::runtime_error("it reads no more");
    }
  }

  Result<std::unique_ptr<FrontendSession>> connect(std::size_t frontend, std::chrono::milliseconds patience = kAmple) {
    FrontendAccess access;
    access.address = {"127.0.0.1", ports_.at(frontend)};
    return connector_.connect(access, in(patience));
  }
  Result<QueryResult> run(std::size_t frontend, const std::string& sql, std::chrono::milliseconds patience = kAmple) {
    auto session = connect(frontend);
    if (!session) return session.error();
    return (*session)->execute(sql, in(patience));
  }
  /// Of FE `row`, as the first FE tells.
  std::string shown(std::size_t row, std::string_view column) {
    const auto rows = run(0, "SHOW FRONTENDS");
    REQUIRE_MESSAGE(rows.ok(), rows.error().message);
    for (std::size_t i = 0; i < rows->rows.size(); ++i) {  // in no order
      if (rows->text(i, "Id") == std::to_string(row + 1)) return rows->text(i, column);
    }
    return "(none)";
  }

 private:
  std::string next_line() {
    for (;;) {
      if (const auto end = buffer_.find('\n'); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return line;
      }
      pollfd readable{output_, POLLIN, 0};
      if (::poll(&readable, 1, std::chrono::milliseconds(kAmple).count()) <= 0)
        throw std::runtime_error("it is silent");
      std::array<char, 4096> bytes{};
      const ssize_t got = ::read(output_, bytes.data(), bytes.size());
      if (got <= 0) throw std::runtime_error("it has ended");
      buffer_.append(bytes.data(), static_cast<std::size_t>(got));
    }
  }

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string buffer_;
  std::vector<std::uint16_t> ports_;
  MysqlFrontendConnector connector_;
};

const std::string kSet = "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\")";

TEST_CASE("a frozen FE accepts and answers nothing until it thaws") {
  Simulator simulator;
  REQUIRE(simulator.tell("freeze 1") == "done freeze 1");
  CHECK_FALSE(simulator.run(1, "SHOW FRONTENDS", kBrief));
  CHECK(simulator.shown(1, "Alive") == "true");
  REQUIRE(simulator.tell("thaw 1") == "done thaw 1");
  CHECK(simulator.run(1, "SHOW FRONTENDS"));
}

TEST_CASE("a stopped FE refuses connections until it is started") {
  Simulator simulator;
  REQUIRE(simulator.tell("stop 1") == "done stop 1");
  CHECK(simulator.connect(1).error().code == ErrorCode::Unavailable);
  REQUIRE(simulator.tell("pass 20") == "done pass 20");
  CHECK(simulator.shown(1, "Alive") == "false");
  REQUIRE(simulator.tell("start 1") == "done start 1");
  CHECK(simulator.connect(1));
}

TEST_CASE("a restart and a rollout lose the configuration; a version is what the FE says") {
  Simulator simulator;
  REQUIRE(simulator.run(0, kSet));
  REQUIRE(simulator.tell("restart 1") == "done restart 1");
  CHECK(simulator.tell("config disable_balance") ==
        "config fe-0 disable_balance=true\nconfig fe-1 disable_balance=false\nconfig fe-2 disable_balance=true\n"
        "done config disable_balance");
  REQUIRE(simulator.tell("set 1 disable_balance true") == "done set 1 disable_balance true");
  REQUIRE(simulator.tell("version 2 3.5.8") == "done version 2 3.5.8");
  CHECK(simulator.shown(2, "Version").starts_with("3.5.8"));
  CHECK(simulator.shown(1, "Version").starts_with("3.5.7"));
  REQUIRE(simulator.tell("rollout 3.5.9") == "done rollout 3.5.9");
  CHECK(simulator.shown(1, "Version").starts_with("3.5.9"));
  CHECK(simulator.tell("config disable_balance").find("true") == std::string::npos);
}

TEST_CASE("the leader is who was named, or nobody") {
  Simulator simulator;
  REQUIRE(simulator.tell("leader 2") == "done leader 2");
  CHECK(simulator.shown(0, "Role") == "FOLLOWER");
  CHECK(simulator.shown(2, "Role") == "LEADER");
  REQUIRE(simulator.tell("leader none") == "done leader none");
  CHECK_FALSE(simulator.run(0, "ALTER SYSTEM CREATE IMAGE", kBrief));
  REQUIRE(simulator.tell("leader 0") == "done leader 0");
  CHECK(simulator.run(0, "ALTER SYSTEM CREATE IMAGE"));
}

TEST_CASE("backends and compute nodes come, die, start again and go") {
  Simulator simulator;
  struct Row {
    std::string command, alive, version;
  };
  std::string started;
  for (const Row& row : {Row{"up 3.3.0", "true", "3.3.0-1f1aa9c"}, Row{"down", "false", "3.3.0-1f1aa9c"},
                         Row{"up 3.3.1", "true", "3.3.1-1f1aa9c"}, Row{"up", "true", "3.3.1-1f1aa9c"}}) {
    CAPTURE(row.command);
    for (const std::string kind : {"be", "cn"}) {
      const std::string command = kind + " new-0 " + row.command;
      REQUIRE(simulator.tell(command) == "done " + command);
    }
    const auto rows = simulator.run(0, "SHOW BACKENDS");
    REQUIRE_MESSAGE(rows.ok(), rows.error().message);
    const std::size_t last = rows->rows.size() - 1;
    REQUIRE(rows->text(last, "IP") == "new-0");
    CHECK(rows->text(last, "Alive") == row.alive);
    CHECK(rows->text(last, "Version") == row.version);
    CHECK((rows->text(last, "LastStartTime") > started) == (row.alive == "true"));
    started = rows->text(last, "LastStartTime");
  }
  REQUIRE(simulator.tell("cn new-0 up 3.5.7 wh_one") == "done cn new-0 up 3.5.7 wh_one");
  const auto nodes = simulator.run(0, "SHOW COMPUTE NODES");
  REQUIRE_MESSAGE(nodes.ok(), nodes.error().message);
  REQUIRE(nodes->rows.size() == 1);
  CHECK(nodes->text(0, "WarehouseName") == "wh_one");
  REQUIRE(simulator.tell("cn new-0 gone") == "done cn new-0 gone");
  CHECK(simulator.run(0, "SHOW COMPUTE NODES")->rows.empty());
  CHECK(simulator.tell("be new-0 away") == "error expected HOST up|down|gone: be HOST up|down|gone [VERSION]");
}

TEST_CASE("an isolated FE is not reached by what others are told to set, until it rejoins") {
  Simulator simulator;
  REQUIRE(simulator.tell("isolate 1") == "done isolate 1");
  CHECK_FALSE(simulator.run(0, kSet));
  REQUIRE(simulator.tell("rejoin 1") == "done rejoin 1");
  CHECK(simulator.run(0, kSet));
}

TEST_CASE("statements and logins fail as they are told to, until that is cleared") {
  Simulator simulator;
  REQUIRE(simulator.tell("fail disable_balance=5203:42000:Access denied: no") ==
          "done fail disable_balance=5203:42000:Access denied: no");
  CHECK(simulator.run(0, kSet).error().peer_code == 5203);
  REQUIRE(simulator.tell("hang CREATE IMAGE") == "done hang CREATE IMAGE");
  CHECK_FALSE(simulator.run(0, "ALTER SYSTEM CREATE IMAGE", kBrief));
  REQUIRE(simulator.tell("fail-login 1045:28000:Access denied") == "done fail-login 1045:28000:Access denied");
  CHECK(simulator.connect(0).error().code == ErrorCode::PermissionDenied);
  REQUIRE(simulator.tell("hang-login") == "done hang-login");
  CHECK(simulator.connect(0, kBrief).error().code == ErrorCode::DeadlineExceeded);
  REQUIRE(simulator.tell("clear") == "done clear");
  CHECK(simulator.run(0, kSet));
}

TEST_CASE("what makes no sense is answered with what would, and changes nothing") {
  Simulator simulator;
  struct Row {
    const char* command;
    const char* answer;
  };
  for (const Row& row : {
           Row{"freeze", "error expected an FE's number, 0 to 2: freeze N"},
           Row{"stop 3", "error expected an FE's number, 0 to 2: stop N"},
           Row{"restart -1", "error expected an FE's number, 0 to 2: restart N"},
           Row{"leader nobody", "error expected an FE's number, 0 to 2: leader N|none"},
           Row{"version 0", "error expected N VERSION: version N VERSION"},
           Row{"set 0 disable_balance", "error expected N KEY VALUE: set N KEY VALUE"},
           Row{"pass soon", "error expected a number of seconds: pass SECONDS"},
           Row{"balance 1", "error expected PENDING RUNNING: balance PENDING RUNNING"},
           Row{"delay SHOW=soon", "error expected a number of seconds: delay SUBSTRING=SECONDS"},
           Row{"delay SHOW=-1", "error expected a number of seconds: delay SUBSTRING=SECONDS"},
           Row{"fail SHOW", "error expected SUBSTRING=CODE:STATE:TEXT: fail SUBSTRING=CODE:STATE:TEXT"},
           Row{"fail SHOW=x:y:z", "error expected CODE:STATE:TEXT: fail SUBSTRING=CODE:STATE:TEXT"},
       }) {
    CHECK(simulator.tell(row.command) == row.answer);
  }
  CHECK(simulator.tell("explode").starts_with("error expected one of: delay, fail, hang"));
  for (std::size_t i = 0; i < 3; ++i) CHECK(simulator.run(i, "SHOW FRONTENDS", kAmple));
}

TEST_CASE("it ends with its input, and when it is told to") {
  CHECK(Simulator().end() == 0);
  Simulator told;
  told.type("quit");
  CHECK(told.end() == 0);
}

}  // namespace
}  // namespace gate
