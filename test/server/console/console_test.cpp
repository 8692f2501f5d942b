#include "server/console/console.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "server/console/process.hpp"

using namespace gate;

namespace {

/// A program that stands in for kubectl: notes its arguments, answers what the test wrote down.
class FakeKubectl {
 public:
  FakeKubectl() {
    std::string pattern = (std::filesystem::temp_directory_path() / "console-test-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    std::ofstream(program()) << "#!/bin/sh\ncd '" + directory_ +
                                    "'\necho \"$*\" >>calls\n"
                                    "case \"$*\" in *--watch*) cat watch; exit 0 ;; esac\n"
                                    "if [ -e fail ]; then cat fail >&2; exit 1; fi\ncat answer\n";
    chmod(program().c_str(), 0755);
    answer("{\"items\":[]}");
  }
  FakeKubectl(const FakeKubectl&) = delete;
  FakeKubectl& operator=(const FakeKubectl&) = delete;
  ~FakeKubectl() { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string program() const { return directory_ + "/kubectl"; }
  void answer(const std::string& text) const { std::ofstream(directory_ + "/answer") << text; }
  /// Instead of the answers: a shell script of the test's own.
  void script(const std::string& text) const { std::ofstream(program()) << "#!/bin/sh\n" + text; }
  void watch(const std::string& text) const { std::ofstream(directory_ + "/watch") << text; }
  void fail(const std::string& text) const { std::ofstream(directory_ + "/fail") << text; }
  [[nodiscard]] std::string calls() const {
    std::ostringstream out;
    out << std::ifstream(directory_ + "/calls").rdbuf();
    return out.str();
  }

 private:
  std::string directory_;
};

std::string record(const std::string& status) {
  return R"({"metadata":{"name":"sr-0123456789-1","namespace":"db","creationTimestamp":"2026-01-02T03:04:05Z"},)"
         R"("spec":{"clusterRef":{"name":"sr"},"changes":[],"hooks":[]},"status":)" +
         status + "}";
}

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

Ran run(ConsoleOptions options, const FakeKubectl& kubectl) {
  options.kubectl = kubectl.program();
  std::ostringstream out;
  std::ostringstream err;
  const SystemClock clock;
  const int code = run_console(options, clock, {out, err, {}, false});
  return {code, out.str(), err.str()};
}

}  // namespace

TEST_CASE("flags are handed to kubectl, which does the talking") {
  const FakeKubectl kubectl;
  ConsoleOptions options;
  options.name_space = "db";
  options.context = "production";
  options.as = "alice";
  CHECK(run(options, kubectl).code == 0);
  CHECK(kubectl.calls() ==
        "get --context=production --as=alice --namespace=db upgradepreparations.gate.starrocks.com --output=json\n");
  options.all_namespaces = true;
  CHECK(run(options, kubectl).out == "No upgrade preparations found.\n");
  CHECK(kubectl.calls().find("--all-namespaces") != std::string::npos);
}

TEST_CASE("retry and resume write an annotation, bypass only with --yes") {
  const FakeKubectl kubectl;
  ConsoleOptions options;
  options.cluster = "sr";
  options.command = ConsoleCommand::Retry;
  CHECK(run(options, kubectl).code == 0);
  CHECK(kubectl.calls().find("annotate starrocksclusters.starrocks.com sr --overwrite "
                             "starrocks.com/retry-upgrade-preparation=2") == 0);
  options.command = ConsoleCommand::Resume;
  CHECK(run(options, kubectl).code == 0);
  CHECK(kubectl.calls().find("starrocks.com/upgrade-resume=2") != std::string::npos);

  options.command = ConsoleCommand::Bypass;
  options.reason = "disk is full";
  const auto shown = run(options, kubectl);
  CHECK(shown.code == 0);
  CHECK(shown.out.find("Nothing was written.") != std::string::npos);
  CHECK(kubectl.calls().find("upgrade-gate-bypass") == std::string::npos);
  options.yes = true;
  CHECK(run(options, kubectl).code == 0);
  CHECK(kubectl.calls().find("starrocks.com/upgrade-gate-bypass=*; reason=disk is full; until=2") != std::string::npos);
}

TEST_CASE("who may not bypass is told whom to ask, and nothing is written") {
  const FakeKubectl kubectl;
  kubectl.fail("no");
  ConsoleOptions options;
  options.command = ConsoleCommand::Bypass;
  options.cluster = "sr";
  options.reason = "because";
  options.yes = true;
  const auto refused = run(options, kubectl);
  CHECK(refused.code == console_exit::kFailed);
  CHECK(refused.err.find("ClusterRole upgrade-gate-bypass") != std::string::npos);
  CHECK(kubectl.calls().find("annotate") == std::string::npos);
}

TEST_CASE("watch follows the record until it ends, and its exit code says how") {
  const struct {
    const char* name;
    const char* last;
    int code;
  } rows[] = {
      {"succeeded", R"({"phase":"Completed","stage":"Closed","outcome":"Succeeded"})", console_exit::kGood},
      {"failed", R"({"phase":"Failed","stage":"Restoring","outcome":"Failed"})", console_exit::kFailed},
      {"reverted", R"({"phase":"Completed","stage":"Closed","outcome":"Reverted"})", console_exit::kEnded},
      {"paused", R"({"phase":"Completed","stage":"RollingOut","turns":[{"phase":"Paused"}]})", console_exit::kPaused},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const FakeKubectl kubectl;
    const std::string going = R"({"phase":"Running","stage":"Preparing"})";
    kubectl.answer("{\"items\":[" + record(going) + "]}");
    kubectl.watch("{\"type\":\"ADDED\",\"object\":" + record(going) +
                  "}\n{\"type\":\"MODIFIED\",\"object\":" + record(row.last) + "}\n");
    ConsoleOptions options;
    options.command = ConsoleCommand::Watch;
    options.cluster = "sr";
    CHECK(run(options, kubectl).code == row.code);
  }
}

TEST_CASE("a watch that kubectl ends early is said, never taken for the end of the upgrade") {
  const FakeKubectl kubectl;
  kubectl.watch("");
  ConsoleOptions options;
  options.command = ConsoleCommand::Watch;
  options.cluster = "sr";
  const auto ended = run(options, kubectl);
  CHECK(ended.code == console_exit::kUnusable);
  CHECK(ended.err.find("kubectl ended the watch") != std::string::npos);
}

TEST_CASE("a watch that gives up says that the upgrade goes on, and nothing against kubectl") {
  const FakeKubectl kubectl;
  const std::string watching = "case \"$*\" in *--watch*) exec sleep 1000 ;; esac\n";
  ConsoleOptions options;
  options.command = ConsoleCommand::Watch;
  options.cluster = "sr";
  options.timeout = std::chrono::seconds(1);
  kubectl.script(watching + "echo '{\"items\":[]}'\n");
  const auto nothing = run(options, kubectl);
  CHECK(nothing.code == console_exit::kTimeout);
  CHECK(nothing.err == "upgrade-gate: no upgrade of sr in 1s\n");
  kubectl.script(watching + "echo '{\"items\":[" + record(R"({"phase":"Running","stage":"Preparing"})") + "]}'\n");
  const auto going = run(options, kubectl);
  CHECK(going.code == console_exit::kTimeout);
  CHECK(going.err == "upgrade-gate: no end within 1s; the upgrade continues\n");
}

TEST_CASE("kubectl's own words are shown, without control characters") {
  const FakeKubectl kubectl;
  kubectl.fail("error: You must be logged in \x1b[31m to the server");
  const auto refused = run({}, kubectl);
  CHECK(refused.code == console_exit::kUnusable);
  CHECK(refused.err.find("You must be logged in") != std::string::npos);
  CHECK(refused.err.find('\x1b') == std::string::npos);
}

TEST_CASE("a program that is not there, one that hangs, one that fails") {
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  const auto later = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  CHECK(run_program({"no-such-program-anywhere"}, later).error().code == ErrorCode::NotFound);
  CHECK(run_program({"tail", "-f", "/dev/null"}, soon).error().code == ErrorCode::DeadlineExceeded);
  const auto failed = run_program({"sh", "-c", "echo why >&2; exit 3"}, later);
  CHECK(failed.error().code == ErrorCode::Rejected);
  CHECK(failed.error().peer_code == 3);
  CHECK(failed.error().message == "why");
  CHECK(run_program({"sh", "-c", "printf answer"}, later).value() == "answer");
}

TEST_CASE("check lets the API server ask the gate, and the gate its frontends") {
  const FakeKubectl kubectl;
  kubectl.script(
      "case \"$*\" in\n"
      "  *\"create --dry-run=server --namespace=gates --output=json --filename=-\"*)\n"
      "    case \"$(cat)\" in\n"
      "      *'DROP TABLE'*) echo 'admission webhook \"configmaps.gate.starrocks.com\" denied the request: no' >&2; "
      "exit 1 ;;\n"
      "    esac\n"
      "    echo '{\"metadata\":{\"creationTimestamp\":\"2026-01-02T03:04:05Z\"}}' ;;\n"
      "  *'get deployment sr-upgrade-gate'*)\n"
      "    echo '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"upgrade-gate\",\"args\":"
      "[\"--frontend-tls\",\"required\"]}]}}}}' ;;\n"
      "  *'exec deployment/sr-upgrade-gate --namespace=gates --container=upgrade-gate --context=here --'*'probe "
      "--frontends "
      "--output=json --frontend-tls=required')\n"
      "    echo '[{\"result\":\"FAILURE\",\"subject\":\"FE of db/sr\",\"message\":\"refused\"}]'; exit 1 ;;\n"
      "  version*) echo '{}' ;;\n"
      "  *) echo no >&2; exit 1 ;;\n"
      "esac\n");
  ConsoleOptions options;
  options.command = ConsoleCommand::Check;
  options.gate_namespace = "gates";
  options.gate_name = "sr-upgrade-gate";
  options.context = "here";
  const auto ran = run(options, kubectl);
  CAPTURE(ran.out);
  CHECK(ran.code == console_exit::kFailed);
  CHECK(ran.out.find("ok       Verdict through the API server: ") != std::string::npos);
  CHECK(ran.out.find("warning  Clock: your clock") != std::string::npos);
  CHECK(ran.out.find("FAILURE  FE of db/sr: refused") != std::string::npos);  // although kubectl exec ended with 1
}

TEST_CASE("what a program is given on its standard input is bounded") {
  const SystemClock clock;
  const auto echoed = run_program({"cat"}, clock.steady_now() + std::chrono::seconds(20), "two\nlines");
  REQUIRE(echoed);
  CHECK(*echoed == "two\nlines");
  CHECK(run_program({"cat"}, clock.steady_now() + std::chrono::seconds(20), std::string(kProgramInputMax + 1, 'x'))
            .error()
            .code == ErrorCode::InvalidInput);
  // One that does not read it is not waited for.
  CHECK(run_program({"true"}, clock.steady_now() + std::chrono::seconds(20), std::string(kProgramInputMax, 'x')));
}
