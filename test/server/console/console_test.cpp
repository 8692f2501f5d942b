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
  CHECK(run(options, kubectl).out == "No upgrade preparations found.\nThis is namespace db alone; -A shows all.\n");
  options.all_namespaces = true;
  CHECK(run(options, kubectl).out == "No upgrade preparations found.\n");
  CHECK(kubectl.calls().find("--all-namespaces") != std::string::npos);
}

TEST_CASE("a cluster that is not there is said at once, a cluster without upgrades is none of it") {
  constexpr const char* kNotFound =
      "echo 'Error from server (NotFound): starrocksclusters.starrocks.com \"sr\" not found' >&2; exit 1";
  const struct {
    const char* name;
    ConsoleCommand command;
    const char* answer;  ///< To `kubectl get starrocksclusters`.
    int code;
    const char* said;
    const char* warehouse = "exit 1";  ///< To `kubectl get starrockswarehouses`.
  } rows[] = {
      {"status of none", ConsoleCommand::Show, kNotFound, console_exit::kUnusable, "is it in another namespace (-n)?"},
      {"watch of none", ConsoleCommand::Watch, kNotFound, console_exit::kUnusable, "is it in another namespace (-n)?"},
      {"report of none", ConsoleCommand::Report, kNotFound, console_exit::kUnusable,
       "is it in another namespace (-n)?"},
      {"status of a warehouse", ConsoleCommand::Show, kNotFound, console_exit::kUnusable,
       "sr is a StarRocksWarehouse: ask for its StarRocksCluster, main\n",
       R"(echo '{"spec":{"starRocksCluster":"main"}}')"},
      {"status of one without upgrades", ConsoleCommand::Show, "echo starrockscluster/sr", console_exit::kGood,
       "No upgrade preparations of cluster sr found."},
      {"watch of one without upgrades", ConsoleCommand::Watch, "echo starrockscluster/sr", console_exit::kUnusable,
       "Waiting for an upgrade of sr"},
      {"status of one that may not be read", ConsoleCommand::Show,
       "echo 'Error from server (Forbidden): not for you' >&2; exit 1", console_exit::kGood,
       "No upgrade preparations of cluster sr found."},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const FakeKubectl kubectl;
    kubectl.script("case \"$*\" in\n  *starrocksclusters*) " + std::string(row.answer) +
                   " ;;\n  *starrockswarehouses*) " + row.warehouse +
                   " ;;\n  *--watch*) ;;\n  *) echo '{\"items\":[]}' ;;\nesac\n");
    ConsoleOptions options;
    options.command = row.command;
    options.cluster = "sr";
    const auto ran = run(options, kubectl);
    CAPTURE(ran.out);
    CAPTURE(ran.err);
    CHECK(ran.code == row.code);
    CHECK((ran.out + ran.err).find(row.said) != std::string::npos);
  }
}

TEST_CASE("retry and resume say what waits for them, and write to the object whose record it is") {
  const auto of = [](const std::string& kind, const std::string& name, const std::string& status) {
    auto text = record(status);
    text.insert(text.find(R"("changes")"), R"("objectRef":{"kind":")" + kind + R"(","name":")" + name + R"("},)");
    return text;
  };
  const std::string kFailed = R"({"phase":"Failed","stage":"Closed","outcome":"Failed"})";
  const std::string kPaused = R"({"phase":"Completed","stage":"RollingOut","turns":[{"phase":"Paused"}]})";
  const std::string kDone = R"({"phase":"Completed","stage":"Closed","outcome":"Succeeded"})";
  const struct {
    const char* name;
    ConsoleCommand command;
    std::string records;  ///< Newest first.
    const char* written;
    const char* said;
  } rows[] = {
      {"a failed cluster", ConsoleCommand::Retry, of("StarRocksCluster", "sr", kFailed),
       "starrocksclusters.starrocks.com sr ", "A new attempt is requested."},
      {"a failed warehouse", ConsoleCommand::Retry, of("StarRocksWarehouse", "w", kFailed),
       "starrockswarehouses.starrocks.com w ", "StarRocksWarehouse w: A new attempt is requested."},
      {"nothing failed", ConsoleCommand::Retry, of("StarRocksCluster", "sr", kDone),
       "starrocksclusters.starrocks.com sr ", "no failed preparation of sr was found: nothing waits for it."},
      {"it failed once, before one that did not", ConsoleCommand::Retry,
       of("StarRocksCluster", "sr", kDone) + "," + of("StarRocksCluster", "sr", kFailed),
       "starrocksclusters.starrocks.com sr ", "nothing waits for it."},
      {"a paused cluster", ConsoleCommand::Resume, of("StarRocksCluster", "sr", kPaused),
       "starrocksclusters.starrocks.com sr ", "The paused rollout is asked to resume."},
      {"a paused warehouse", ConsoleCommand::Resume, of("StarRocksWarehouse", "w", kPaused),
       "starrockswarehouses.starrocks.com w ", "StarRocksWarehouse w: The paused rollout is asked to resume."},
      {"nothing is paused", ConsoleCommand::Resume, of("StarRocksCluster", "sr", kDone),
       "starrocksclusters.starrocks.com sr ", "no paused rollout of sr was found: nothing waits for it."},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const FakeKubectl kubectl;
    int number = 0;
    std::string records;  // each with a name and an age of its own
    for (auto text = row.records; !text.empty();) {
      const auto end = std::min(text.find(R"(},{"metadata")"), text.size() - 1) + 1;
      auto one = text.substr(0, end);
      one.replace(one.find("-1\""), 2, "-" + std::to_string(9 - number));
      one.replace(one.find("03:04"), 5, "03:0" + std::to_string(9 - number++));
      records += (records.empty() ? "" : ",") + one;
      text.erase(0, std::min(end + 1, text.size()));
    }
    kubectl.answer("{\"items\":[" + records + "]}");
    ConsoleOptions options;
    options.command = row.command;
    options.cluster = "sr";
    const auto ran = run(options, kubectl);
    CAPTURE(ran.out);
    CHECK(ran.code == console_exit::kGood);
    CHECK(kubectl.calls().find("annotate " + std::string(row.written)) != std::string::npos);
    CHECK(ran.out.find(row.said) != std::string::npos);
  }
}

TEST_CASE("retry is written by whoever may not list records, and not where kubectl cannot list them") {
  const struct {
    const char* name;
    const char* answer;  ///< To the list of records.
    int code;
    const char* said;
    bool written;
  } rows[] = {
      {"forbidden", "echo 'Error from server (Forbidden): not for you' >&2; exit 1", console_exit::kGood,
       "Written. Whether anything waits for it stands in records", true},
      {"no API server", "echo 'Unable to connect to the server: EOF' >&2; exit 1", console_exit::kUnusable,
       "Unable to connect to the server", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const FakeKubectl kubectl;
    kubectl.script("case \"$*\" in\n  get*) " + std::string(row.answer) + " ;;\n  annotate*) touch '" +
                   kubectl.program() + ".written' ;;\nesac\n");
    ConsoleOptions options;
    options.command = ConsoleCommand::Retry;
    options.cluster = "sr";
    const auto ran = run(options, kubectl);
    CHECK(ran.code == row.code);
    CHECK((ran.out + ran.err).find(row.said) != std::string::npos);
    CHECK(std::filesystem::exists(kubectl.program() + ".written") == row.written);
  }
}

TEST_CASE("a bypass that the gate would not read is not offered") {
  const struct {
    const char* name;
    std::string target;
    std::string reason;
    const char* said;  ///< "": it is offered.
  } rows[] = {
      {"any target", "*", "disk is full", ""},
      {"one target", "5163780962", "ticket=4711, see chat", ""},
      {"no target", "", "disk is full", "--target:"},
      {"a target that ends early", "a;b", "disk is full", "--target:"},
      {"a target with a value", "a=b", "disk is full", "--target:"},
      {"no reason", "*", "", "--reason:"},
      {"a reason of blanks", "*", "  ", "--reason:"},
      {"a reason with the separator", "*", "disk; full", "--reason:"},
      {"a reason of two lines", "*", "disk\nfull", "--reason:"},
      {"a reason that is cut", "*", std::string(201, 'x'), "--reason:"},
      {"the longest reason", "*", std::string(200, 'x'), ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const FakeKubectl kubectl;
    ConsoleOptions options;
    options.command = ConsoleCommand::Bypass;
    options.cluster = "sr";
    options.target = row.target;
    options.reason = row.reason;
    options.yes = true;
    const auto ran = run(options, kubectl);
    const bool offered = *row.said == '\0';
    CAPTURE(ran.err);
    CHECK(ran.code == (offered ? console_exit::kGood : console_exit::kUnusable));
    CHECK(ran.err.find(row.said) != std::string::npos);
    CHECK((kubectl.calls().find("annotate") != std::string::npos) == offered);
  }
}

TEST_CASE("retry and resume write an annotation, bypass only with --yes") {
  const FakeKubectl kubectl;
  ConsoleOptions options;
  options.cluster = "sr";
  options.command = ConsoleCommand::Retry;
  CHECK(run(options, kubectl).code == 0);
  CHECK(kubectl.calls().find("annotate starrocksclusters.starrocks.com sr --overwrite "
                             "starrocks.com/retry-upgrade-preparation=2") != std::string::npos);
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
  const struct {
    const char* name;
    const char* answer;  ///< Of `kubectl auth can-i`.
    int code;
    const char* said;
  } rows[] = {
      {"no", "echo no; exit 1", console_exit::kFailed, "ClusterRole upgrade-gate-bypass"},
      {"no, with a reason and a warning", "echo 'Warning: x' >&2; echo 'no - not you'; exit 1", console_exit::kFailed,
       "ClusterRole upgrade-gate-bypass"},
      {"no answer is no \"no\"", "echo 'The connection to the server was refused' >&2; exit 1", console_exit::kUnusable,
       "The connection to the server was refused"},
      {"not logged in", "echo 'error: You must be logged in to the server (Unauthorized)' >&2; exit 1",
       console_exit::kUnusable, "You must be logged in"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const FakeKubectl kubectl;
    kubectl.script("case \"$*\" in\n  auth*) " + std::string(row.answer) + " ;;\n  *) touch '" + kubectl.program() +
                   ".asked' ;;\nesac\n");
    ConsoleOptions options;
    options.command = ConsoleCommand::Bypass;
    options.cluster = "sr";
    options.reason = "because";
    options.yes = true;
    const auto refused = run(options, kubectl);
    CAPTURE(refused.err);
    CHECK(refused.code == row.code);
    CHECK(refused.err.find(row.said) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(kubectl.program() + ".asked"));  // nothing else was asked for
  }
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
  kubectl.fail("error: the server doesn't have a resource type \"upgradepreparations\"");
  CHECK(run({}, kubectl).err.find("; is the gate installed in this cluster (--context)?") != std::string::npos);
  // klog repeats the cause of each try before kubectl says it in plain words.
  const std::string log = "E1127 01:53:12.877997    1569 memcache.go:265] \"Unhandled Error\" err=\"refused\"\n";
  kubectl.fail(log + log + "The connection to the server was refused\n");
  CHECK(run({}, kubectl).err == "upgrade-gate: The connection to the server was refused\n");
  kubectl.fail(log);
  CHECK(run({}, kubectl).err.find("memcache.go:265") != std::string::npos);  // where there is nothing else
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
      "[\"--frontend-tls=preferred\",\"--frontend-tls\",\"required\"]}],\"volumes\":[{\"name\":\"certs\",\"secret\":"
      "{\"secretName\":\"mine\"}}]}}}}' ;;\n"
      "  *'exec deployment/sr-upgrade-gate --namespace=gates --container=upgrade-gate --context=here --'*'probe "
      "--frontends "
      "--output=json --frontend-tls=required')\n"
      "    echo '[{\"result\":\"FAILURE\",\"subject\":\"FE of db/sr\",\"message\":\"refused\"}]'; exit 1 ;;\n"
      "  version*) echo '{}' ;;\n"
      "  *'get secret mine --namespace=gates'*) echo '{\"data\":{\"tls.crt\":\"eA==\"}}' ;;\n"
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
  CHECK(ran.out.find("FAILURE  Secret gates/mine: tls.crt holds no certificate") != std::string::npos);
  CHECK(ran.out.find("FAILURE  FE of db/sr: refused") != std::string::npos);  // although kubectl exec ended with 1
}

TEST_CASE("a right is missing where kubectl says no, not where it cannot ask") {
  const struct {
    const char* name;
    const char* answer;  ///< Of `kubectl auth can-i`.
    const char* said;
  } rows[] = {
      {"yes", "echo yes", "ok       RBAC: system:serviceaccount:gates:upgrade-gate has the rights that it needs"},
      {"no", "echo no; exit 1", "FAILURE  RBAC: system:serviceaccount:gates:upgrade-gate may not: watch starrocks"},
      {"no right to ask", "echo 'Error from server (Forbidden): you cannot impersonate' >&2; exit 1",
       "skipped  RBAC: you may not impersonate system:serviceaccount:gates:upgrade-gate"},
      {"no API server", "echo 'Unable to connect to the server: EOF' >&2; exit 1",
       "skipped  RBAC: Unable to connect to the server: EOF"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const FakeKubectl kubectl;
    kubectl.script("case \"$*\" in\n  version*) echo '{}' ;;\n  auth*) " + std::string(row.answer) +
                   " ;;\n  *) exit 1 ;;\nesac\n");
    ConsoleOptions options;
    options.command = ConsoleCommand::Check;
    options.gate_namespace = "gates";
    const auto ran = run(options, kubectl);
    CAPTURE(ran.out);
    CHECK(ran.out.find(row.said) != std::string::npos);
  }
}

TEST_CASE("check asks as the user that it is told, and about the gate as the gate") {
  const FakeKubectl kubectl;
  ConsoleOptions options;
  options.command = ConsoleCommand::Check;
  options.as = "alice";
  static_cast<void>(run(options, kubectl));
  std::istringstream calls(kubectl.calls());
  for (std::string call; std::getline(calls, call);) {
    CAPTURE(call);
    const bool of_gate = call.starts_with("auth can-i");
    CHECK((call.find("--as=alice") == std::string::npos) == of_gate);
    CHECK((call.find("--as=system:serviceaccount:") != std::string::npos) == of_gate);
  }
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
