// Goal: what the system does to the process (signals, limits, no memory) neither ends it nor leaves it half alive.
// Method: the real binary, with an FE and without an API server.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "test/chaos/sanitized.hpp"
#include "test/e2e/gate_process.hpp"
#include "test/fakes/frontend_simulator.hpp"
#include "test/server/http/client.hpp"

namespace gate {
namespace {

using namespace test;
using namespace std::chrono_literals;
using nlohmann::json;

/// On a machine ten times slower, too.
constexpr auto kEnds = 60s;

json cluster(const std::string& name, const std::string& image) {
  return {{"apiVersion", "starrocks.com/v1"},
          {"kind", "StarRocksCluster"},
          {"metadata",
           {{"name", name},
            {"namespace", "db"},
            {"uid", "uid-of-" + name},
            {"annotations", {{"starrocks.com/upgrade-hooks", "disable-balancer"}}}}},
          {"spec", {{"starRocksFeSpec", {{"image", "fe:3.5.0"}}}, {"starRocksBeSpec", {{"image", image}}}}}};
}

std::string review(const std::string& name, const std::string& image) {
  return json{{"apiVersion", "admission.k8s.io/v1"},
              {"kind", "AdmissionReview"},
              {"request",
               {{"uid", "review-1"},
                {"kind", {{"group", "starrocks.com"}, {"version", "v1"}, {"kind", "StarRocksCluster"}}},
                {"resource", {{"group", "starrocks.com"}, {"version", "v1"}, {"resource", "starrocksclusters"}}},
                {"name", name},
                {"namespace", "db"},
                {"operation", "UPDATE"},
                {"userInfo", {{"username", "alice"}}},
                {"oldObject", cluster(name, "be:3.5.0")},
                {"object", cluster(name, image)}}}}
      .dump();
}

/// A gate with records in its memory.
class Gate {
 public:
  explicit Gate(const ProcessSetting& setting = {}, const std::vector<std::string>& more = {})
      : process(arguments(more), log_file(), setting) {}

  /// The body of the answer; "" where the connection broke.
  [[nodiscard]] std::string ask(const std::string& body) const {
    Client client(process.port());
    if (!client.connected()) return {};
    const auto answer = client.ask(post("/validate", body));
    return answer ? answer->body : std::string();
  }
  [[nodiscard]] bool prepares(const std::string& name) const {
    return eventually(kEnds,
                      [&] {
                        return ask(review(name, "be:3.5.1")).find("\"allowed\":true") != std::string::npos ||
                               !process.alive();
                      }) &&
           process.alive();
  }
  [[nodiscard]] std::string log_file() const { return folder_.path() + "/log"; }

 private:
  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"--listen=127.0.0.1:0",
                                 "--ops-listen=127.0.0.1:0",
                                 "--store=memory",
                                 "--identity=gate-0",
                                 "--drain=0s",
                                 "--failure-backoff=1s",
                                 "--failure-backoff-max=1s",
                                 "--dev-certificate=" + folder_.path(),
                                 "--frontend-address=127.0.0.1:" + std::to_string(frontends_.frontend(0).port())};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  mutable FrontendSimulator frontends_;
  const TemporaryFolder folder_;

 public:
  GateProcess process;
};

TEST_CASE("signals that mean nothing to a gate change nothing") {
  Gate gate;
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPIPE, SIGSTKFLT, SIGXFSZ,
                           SIGURG, SIGWINCH, SIGCHLD, SIGCONT, SIGRTMIN, SIGRTMIN + 1, SIGRTMAX}) {
    INFO("signal " << signal);
    gate.process.signal(signal);
    REQUIRE(gate.process.ops_get("/livez") == "ok\n");
  }
  CHECK(gate.prepares("sr"));
  CHECK(gate.process.terminate(kEnds) == 0);
}

TEST_CASE("signals that ask for the end are answered in order") {
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGXCPU, SIGPWR}) {
    INFO("signal " << signal);
    Gate gate;
    gate.process.signal(signal);
    CHECK(gate.process.wait(kEnds) == 0);
    CHECK(gate.process.log().find("\"message\":\"stopped\"") != std::string::npos);
  }
}

TEST_CASE("limits of the process that are small leave it working") {
  constexpr rlim_t kKiB = 1024;
  const struct {
    const char* name;
    int resource;
    rlim_t limit;
    bool also_sanitized;
  } rows[] = {
      {"the stack that threads have by default", RLIMIT_STACK, 512 * kKiB, false},
      {"private memory", RLIMIT_DATA, 256 * kKiB * kKiB, false},
      {"open files", RLIMIT_NOFILE, 64, true},
      {"the size of the log file", RLIMIT_FSIZE, 4 * kKiB, true},
      {"no core file", RLIMIT_CORE, 0, true},
  };
  for (const auto& row : rows) {
    if (kSanitized && !row.also_sanitized) continue;
    INFO(row.name);
    Gate gate(ProcessSetting{{}, {{row.resource, row.limit}}}, {"--log-level=debug"});
    for (int i = 0; i < 10; ++i) CHECK(gate.prepares("sr-" + std::to_string(i)));
    CHECK_FALSE(gate.process.ops_get("/metrics").empty());
    CHECK(gate.process.terminate(kEnds) == 0);
  }
}

TEST_CASE("memory that many clients took goes back to the system") {
  if (kSanitized) return;
  Gate gate;
  const auto resident = [&] {
    const auto metrics = gate.process.ops_get("/metrics");
    constexpr std::string_view kName = "\nprocess_resident_memory_bytes ";
    const auto found = metrics.find(kName);
    return found == std::string::npos ? 1e12 : std::stod(metrics.substr(found + kName.size()));
  };
  constexpr double kMiB = 1024 * 1024;
  constexpr std::size_t kClients = 400;
  {
    std::vector<std::unique_ptr<Client>> clients;
    for (std::size_t i = 0; i < kClients; ++i) {
      clients.push_back(std::make_unique<Client>(gate.process.port()));
      REQUIRE(clients.back()->connected());
      const auto whole = post("/validate", std::string(60'000, ' '));
      REQUIRE(clients.back()->send(std::string_view(whole).substr(0, whole.size() - 1)));
    }
    REQUIRE(eventually(kEnds, [&] { return resident() > 40 * kMiB; }));
  }
  CHECK(eventually(kEnds, [&] { return resident() < 28 * kMiB; }));
  CHECK(gate.prepares("sr"));
}

TEST_CASE("where no thread can be started the gate says so, and does not start") {
  if (kSanitized) return;
  std::string error;
  try {
    const Gate gate(ProcessSetting{{}, {{RLIMIT_DATA, 64 << 20}}});
  } catch (const std::runtime_error& failed) {
    error = failed.what();
  }
  CHECK(error.find("\"message\":\"cannot start\"") != std::string::npos);
  CHECK(error.find("no further thread can be started") != std::string::npos);
}

#ifdef FAILING_MEMORY_LIBRARY

/// The numbers of failing_memory.cpp.
class FailingMemory {
 public:
  explicit FailingMemory(std::string path) : path_(std::move(path)) {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, sizeof(Numbers)) != 0) throw std::runtime_error("cannot write " + path_);
    numbers_ = static_cast<Numbers*>(::mmap(nullptr, sizeof(Numbers), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ::close(file);
    if (numbers_ == MAP_FAILED) throw std::runtime_error("cannot map " + path_);
  }
  ~FailingMemory() { ::munmap(numbers_, sizeof(Numbers)); }
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;

  [[nodiscard]] ProcessSetting setting() const {
    return {{std::string("LD_PRELOAD=") + FAILING_MEMORY_LIBRARY, "FAILING_MEMORY=" + path_}, {}};
  }
  void fail_one_in(std::uint32_t allocations) { numbers_->one_in = allocations; }
  [[nodiscard]] std::uint32_t failed() const { return numbers_->failed; }

 private:
  struct Numbers {
    std::atomic<std::uint32_t> one_in;
    std::atomic<std::uint32_t> failed;
  };
  const std::string path_;
  Numbers* numbers_ = nullptr;
};

TEST_CASE("memory that is missing wherever it is asked for costs requests and time, and never the process") {
  std::signal(SIGPIPE, SIG_IGN);  // Connections break while we write.
  constexpr std::uint32_t kFailures = 300;
  constexpr int kRequestsMax = 3'000;
  for (const std::uint32_t one_in : {1'000U, 100U, 20U}) {
    INFO("one allocation in " << one_in << " fails");
    const TemporaryFolder folder;
    FailingMemory memory(folder.path() + "/memory");
    Gate gate(memory.setting(), {"--admission-wait=1s", "--log-level=debug"});
    memory.fail_one_in(one_in);
    int request = 0;
    for (; request < kRequestsMax && memory.failed() < kFailures && gate.process.alive(); ++request) {
      const auto number = std::to_string(request);
      switch (request % 4) {
        case 0:
          static_cast<void>(gate.ask(review("sr-" + number, "be:3.5.1")));
          break;
        case 1:
          static_cast<void>(gate.ask(review("sr-" + number, "be:3.5.0")));
          break;
        case 2:
          static_cast<void>(gate.process.ops_get("/metrics"));
          break;
        default:
          gate.process.signal(SIGHUP);
      }
    }
    memory.fail_one_in(0);
    INFO(gate.process.log());
    CHECK(memory.failed() >= kFailures);
    REQUIRE(gate.process.alive());
    CHECK(gate.prepares("well-again"));
    CHECK(gate.process.ops_get("/readyz") == "ok\n");
    CHECK(gate.process.terminate(kEnds) == 0);
  }
}

#endif

}  // namespace
}  // namespace gate
