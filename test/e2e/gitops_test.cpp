// Goal: what GitOps controllers make of a cluster is right at each moment of an upgrade as it really goes. Method: as
// in world_test.cpp; the objects are written down, with what is expected of them, into the folder of
// GATE_GITOPS_MOMENTS, where Argo CD's Lua and Flux's expressions judge them (test/gitops/moments_test.sh) once this
// has run.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "test/e2e/world.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

/// Empty at the start of each run.
const std::filesystem::path& moments() {
  static const std::filesystem::path directory = [] {
    const std::filesystem::path wanted = GATE_GITOPS_MOMENTS;
    std::filesystem::remove_all(wanted);
    std::filesystem::create_directories(wanted);
    return wanted;
  }();
  return directory;
}

struct Expected {
  std::string argocd;     ///< Healthy, Progressing, Degraded or Suspended.
  std::string flux = {};  ///< Current, InProgress or Failed; empty: not asked, as of records.
  std::string actions = "-";
};

void write_down(const std::string& moment, const json& object, const Expected& expected) {
  std::ofstream(moments() / (moment + ".json")) << object.dump(2) << "\n";
  std::ofstream(moments() / "expected", std::ios::app)
      << moment << ".json " << expected.argocd << " " << (expected.flux.empty() ? "-" : expected.flux) << " "
      << expected.actions << "\n";
}

/// Waits until the mirror in the cluster's status is as wanted, and writes down that very object.
void when(Story& story, const std::string& moment,
          const std::function<bool(const json& cluster, const json& mirror)>& is, const Expected& expected) {
  json seen;
  story.until(
      "the cluster is " + moment,
      [&] {
        seen = story.cluster();
        const auto status = seen.value("status", json::object());
        return is(seen, status.value("upgradePreparationStatus", json::object()));
      },
      180s);
  write_down(moment, seen, expected);
}

/// What the plugin draws in a terminal; of what is redrawn in place, the last drawing. Not wider than the terminal.
void screen(Story& story, const std::string& name, const std::string& command) {
  const std::string call = "stty cols 80 rows 40; exec " + gate_binary().string() + " " + command +
                           " --namespace=" + story.name_space() +
                           " --kubeconfig=" + story.world.plane.kubernetes().kubeconfig().string() +
                           " --kubectl=" + story.world.plane.kubernetes().kubectl_path().string();
  const auto drawn = run_process("/usr/bin/script", {"--quiet", "--command", call, "/dev/null"},
                                 {.environment = {"NO_COLOR=1", "TERM=dumb", "SHELL=/bin/sh"}});
  INFO(drawn.out << drawn.err);
  static const std::string kHome = "\x1b[H\x1b[J";
  auto text = drawn.out;
  if (const auto last = text.rfind(kHome); last != std::string::npos) text.erase(0, last + kHome.size());
  text.erase(std::remove(text.begin(), text.end(), '\r'), text.end());
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("did not answer") == std::string::npos);
  CHECK_FALSE(text.empty());
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(line.size() <= 80);
  }
  std::ofstream(moments() / (name + ".screen")) << "$ kubectl upgrade-gate " << command << "\n" << text;
}

bool operator_says(const json& cluster, const std::string& phase) {
  return cluster["status"].value("phase", "") == phase;
}

/// "True RolloutPaused"; "" where there is none.
std::string condition(const json& cluster, const std::string& type) {
  for (const auto& one : cluster["status"].value("conditions", json::array())) {
    if (one["type"] == type) return one["status"].get<std::string>() + " " + one["reason"].get<std::string>();
  }
  return {};
}

void when_record(Story& story, const std::string& moment, const std::string& stage, const Expected& expected) {
  story.until("the record is " + stage, [&] { return story.newest().value("stage", "") == stage; });
  const auto record = story.records().back();
  REQUIRE(record["status"].value("stage", "") == stage);
  write_down(moment, record, expected);
}

/// How a controller brings what Git says to the cluster: `kubectl` with these arguments, again and again.
struct GitOpsClient {
  std::string name;
  std::vector<std::string> apply;
  bool dry_run_first;  ///< It asks for the differences before each try.
};

/// As its controller calls it, with the objects that are in Git.
ProcessResult sync(Story& story, const GitOpsClient& client, const json& in_git) {
  if (client.dry_run_first) {
    auto dry = client.apply;
    dry.emplace_back("--dry-run=server");
    const auto tried = story.kubectl(dry, {.input = in_git.dump()});
    INFO(tried.err);
    CHECK(tried.exit_code == 0);  // or it would never come to the request that counts
  }
  return story.kubectl(client.apply, {.input = in_git.dump()});
}

std::string image_of_backends(const json& cluster) { return cluster["spec"]["starRocksBeSpec"]["image"]; }

/// A commit with another version, from the refusal to the end.
void follow_git(Story& story, const GitOpsClient& client, const std::string& version) {
  CAPTURE(client.name);
  const auto records_before = story.records().size();
  const auto image_before = image_of_backends(story.cluster());
  auto in_git = story.first_cluster();
  in_git["spec"]["starRocksBeSpec"]["image"] = "starrocks/be-ubuntu:" + version;
  story.database("delay disable_balance=60");  // the hooks outlast the request, however slow this machine is
  const auto refused = sync(story, client, in_git);
  INFO(refused.err);
  CHECK(refused.exit_code != 0);
  CHECK(contains(refused.err, "UpgradePreparationRunning"));
  CHECK(image_of_backends(story.cluster()) == image_before);

  story.database("clear");
  story.world.rule("sr-be-1", "start=never");
  story.until(client.name + "'s retry is admitted", [&] { return sync(story, client, in_git).exit_code == 0; });
  CHECK(image_of_backends(story.cluster()) == image_of_backends(in_git));
  when(story, client.name + "-rolling",
       [](const json&, const json& mirror) { return mirror.value("stage", "") == "RollingOut"; },
       {"Progressing", "InProgress"});
  CHECK(story.everywhere("tablet_sched_disable_balance", "true"));
  // Its next look at Git finds nothing to do, and starts nothing.
  CHECK(sync(story, client, in_git).exit_code == 0);

  story.world.clear_rules();
  story.world.rule("sr-be", "start=1s");
  when(story, client.name + "-done",
       [](const json& cluster, const json& mirror) {
         return mirror.value("stage", "") == "Closed" && operator_says(cluster, "running") &&
                condition(cluster, "Reconciling").empty() && condition(cluster, "Ready").starts_with("True");
       },
       {"Healthy", "Current"});
  CHECK(story.rolled("sr-be", version));
  CHECK(story.everywhere("tablet_sched_disable_balance", "false"));
  const auto records = story.records();
  CHECK(records.size() == records_before + 1);  // one for all tries
  const auto cluster = story.cluster();
  const auto& mirror = cluster["status"]["upgradePreparationStatus"];
  CHECK(mirror.value("outcome", "") == "Succeeded");
  CHECK(mirror.value("preparation", "") == records.back()["metadata"]["name"].get<std::string>());
  CHECK(mirror.value("failedHooks", json::array()).empty());
  for (const char* type : {"Reconciling", "Stalled", "UpgradeHeld"}) {
    CAPTURE(type);
    CHECK(condition(cluster, type) == "");
  }
}

}  // namespace

TEST_CASE("an upgrade that is prepared, fails, is repeated and rolls") {
  StoryOptions options;
  options.annotations = with_hooks("check-backends-alive,disable-tablet-clone,disable-balancer");
  options.gate_flags = {"--admission-wait", "1s"};
  Story story("gitops", options);
  when(story, "running", [](const json& cluster, const json&) { return operator_says(cluster, "running"); },
       {"Healthy", "Current"});

  story.database("fail disable_balance=5203:42000:Access denied");
  CHECK(story.patch({{"be", "3.3.1"}}).exit_code != 0);
  // The refused change is not on the object: nothing is wrong with what runs, and a retry is what people may want.
  when(story, "hook-failed",
       [](const json&, const json& mirror) {
         return mirror.value("phase", "") == "Failed" && mirror.value("stage", "") == "Closed";
       },
       {"Healthy", "Current", "retry"});
  when_record(story, "record-failed", "Closed", {"Healthy"});

  story.database("clear");
  story.database("delay disable_balance=8");
  story.must({"annotate", "starrockscluster", "sr", "--overwrite", "starrocks.com/retry-upgrade-preparation=now"});
  story.until("the next attempt runs", [&] {
    return contains(story.patch({{"be", "3.3.1"}}).err, "UpgradePreparationRunning");
  });
  when(story, "hooks-run",
       [](const json&, const json& mirror) {
         return mirror.value("phase", "") == "Running" && mirror.value("stage", "") == "Preparing";
       },
       {"Progressing", "InProgress"});
  screen(story, "1-status-hooks", "status sr");
  when_record(story, "record-preparing", "Preparing", {"Progressing"});
  story.database("clear");

  story.world.rule("sr-be-1", "start=never");
  story.patch_until_admitted({{"be", "3.3.1"}});
  when(story, "rolling-out",
       [&](const json&, const json& mirror) {
         return mirror.value("stage", "") == "RollingOut" && story.ready_pods("be").size() == 2;
       },
       {"Progressing", "InProgress"});
  screen(story, "2-status-all", "status");
  screen(story, "3-watch-rolling", "watch sr --timeout=3s");
  when_record(story, "record-rolling-out", "RollingOut", {"Progressing"});
  story.world.clear_rules();
  story.world.rule("sr-be", "start=1s");
  when(story, "closed",
       [](const json& cluster, const json& mirror) {
         return mirror.value("stage", "") == "Closed" && operator_says(cluster, "running") &&
                condition(cluster, "Reconciling").empty();
       },
       {"Healthy", "Current"});
  screen(story, "5-report", "report sr");
  when_record(story, "record-closed", "Closed", {"Healthy"});
}

TEST_CASE("a led rollout is held, then paused, and taken back") {
  StoryOptions options;
  options.annotations = with_hooks("check-backends-alive,disable-tablet-clone,disable-balancer",
                                   {{"starrocks.com/upgrade-rollout", "stepwise"},
                                    {"starrocks.com/upgrade-admission", "hold"},
                                    {"starrocks.com/upgrade-step-timeout-seconds", "10"},
                                    {"starrocks.com/upgrade-health-readings", "1"}});
  options.may_be_led = true;
  Story story("gitops-led", options);
  story.database("delay disable_balance=8");
  REQUIRE(story.patch({{"be", "3.3.1"}}).exit_code == 0);
  when(story, "held",
       [](const json& cluster, const json&) { return condition(cluster, "UpgradeHeld").starts_with("True"); },
       {"Progressing", "InProgress"});
  story.world.rule("sr-be-2", "start=never");
  story.database("clear");
  when(story, "paused",
       [](const json& cluster, const json&) { return condition(cluster, "Stalled") == "True RolloutPaused"; },
       {"Degraded", "Failed", "resume"});
  screen(story, "4-watch-paused", "watch sr");
  when_record(story, "record-paused", "RollingOut", {"Suspended"});
  story.world.clear_rules();
  story.world.rule("sr-be", "start=1s");
  // The way back, which always goes through.
  REQUIRE(story.patch({{"be", "3.3.0"}}).exit_code == 0);
  when(story, "taken-back",
       [](const json& cluster, const json& mirror) {
         return mirror.value("stage", "") == "Closed" && operator_says(cluster, "running") &&
                condition(cluster, "Reconciling").empty() && condition(cluster, "Ready").starts_with("True");
       },
       {"Healthy", "Current"});
}

TEST_CASE("a commit is carried out as Argo CD and Flux do it: refused, tried again, admitted, rolled out, restored") {
  StoryOptions options;
  options.annotations = with_hooks("check-backends-alive,disable-balancer");
  options.gate_flags = {"--admission-wait", "1s"};
  Story story("gitops-clients", options);
  follow_git(story, {"argocd", {"apply", "--field-manager=argocd-controller", "-f", "-"}, false}, "3.3.1");
  follow_git(story,
             {"flux",
              {"apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-"},
              true},
             "3.3.2");
}
