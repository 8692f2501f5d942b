#include "test/e2e/gate_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "server/httplib.hpp"

namespace gate::test {
namespace {
constexpr std::chrono::seconds kStartPatience{30};
}

std::filesystem::path gate_binary() { return GATE_BINARY; }

GateProcess::GateProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log_file,
                         const ProcessSetting& setting)
    : log_file_(log_file) {
  std::vector<std::string> all{gate_binary().string(), "serve"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<std::string> more = setting.environment;
  std::vector<char*> environment;
  for (char** each = environ; *each != nullptr; ++each) environment.push_back(*each);
  for (auto& each : more) environment.push_back(each.data());
  environment.push_back(nullptr);
  const int log = open(log_file_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (log < 0) throw std::runtime_error("cannot write " + log_file_.string());
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDERR_FILENO);
    dup2(log, STDOUT_FILENO);
    for (const auto& [resource, limit] : setting.limits) {
      const rlimit both{limit, limit};
      setrlimit(static_cast<__rlimit_resource>(resource), &both);
    }
    execve(argv[0], argv.data(), environment.data());
    _exit(127);
  }
  close(log);
  const auto deadline = std::chrono::steady_clock::now() + kStartPatience;
  if (!wait_for_ports(deadline) ||
      !eventually(kStartPatience, [&] { return ops_get("/readyz").find("ok") != std::string::npos; })) {
    kill();
    throw std::runtime_error("the gate did not become ready:\n" + this->log());
  }
}

GateProcess::~GateProcess() { kill(); }

bool GateProcess::wait_for_ports(std::chrono::steady_clock::time_point deadline) {
  // {..., "message": "started ...", ..., "port": 9443, "ops_port": 8080}
  const auto number_after = [](const std::string& text, const std::string& label) {
    return static_cast<std::uint16_t>(std::stoi(text.substr(text.find(label) + label.size())));
  };
  return eventually(std::chrono::ceil<std::chrono::seconds>(deadline - std::chrono::steady_clock::now()),
                    [&] {
                      const auto text = log();
                      const auto serves = text.find("\"message\":\"started ");
                      if (serves == std::string::npos || text.find('\n', serves) == std::string::npos) return !alive();
                      port_ = number_after(text.substr(serves), "\"port\":");
                      ops_port_ = number_after(text.substr(serves), "\"ops_port\":");
                      return true;
                    }) &&
         ops_port_ != 0;
}

std::string GateProcess::log() const {
  std::ifstream file(log_file_);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string GateProcess::ops_get(const std::string& path) const {
  const char* loopback = std::getenv("GATE_TEST_LOOPBACK");  // as environment.hpp has it
  httplib::Client client(loopback != nullptr && *loopback != '\0' ? loopback : "127.0.0.1", ops_port_);
  client.set_connection_timeout(2);
  client.set_read_timeout(5);
  const auto answer = client.Get(path.c_str());
  return answer && answer->status == 200 ? answer->body : std::string{};
}

void GateProcess::pause() const {
  if (pid_ > 0) ::kill(pid_, SIGSTOP);
}

void GateProcess::resume() const {
  if (pid_ > 0) ::kill(pid_, SIGCONT);
}

void GateProcess::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void GateProcess::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

bool GateProcess::alive() const {
  siginfo_t ended{};
  return pid_ > 0 && waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         ended.si_pid == 0;
}

int GateProcess::terminate(std::chrono::seconds patience) {
  signal(SIGTERM);
  return wait(patience);
}

int GateProcess::wait(std::chrono::seconds patience) {
  if (pid_ <= 0) return -1;
  int status = 0;
  const bool ended = eventually(patience, [&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
  if (!ended) {
    kill();
    return -1;
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace gate::test
