// Goal: hooks that are not settings, as their users meet them: another service is asked, a script runs, a group fails.
// Method: as in gate_test.cpp; the service is a real HTTPS server. There is no Job controller: the test plays it.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "server/httplib.hpp"
#include "test/e2e/scene.hpp"
#include "test/server/kubernetes/ended_job.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

/// A ConfigMap that says that it holds hooks.
void write_hooks(ControlPlane& plane, const std::string& key, const std::string& text) {
  plane.apply({{"apiVersion", "v1"},
               {"kind", "ConfigMap"},
               {"metadata",
                {{"name", "hooks"}, {"namespace", "default"}, {"labels", {{"starrocks.com/upgrade-hooks", "true"}}}}},
               {"data", {{key, text}}}});
}

/// How the hook `name` of a record is doing: its phase.
std::string phase_of(const json& record, const std::string& name) {
  const auto status = record.value("status", json::object());
  for (const auto& hook : status.value("hooks", json::array())) {
    if (hook.at("name") == name) return hook.at("phase");
  }
  return "";
}

/// Says `wait` three times, then `allow`.
class Judge {
 public:
  static constexpr std::size_t kWaits = 3;
  struct Call {
    std::string path, authorization, content_type;
    json body;
  };

  explicit Judge(ControlPlane& plane) : server_(plane.file("tls.crt").c_str(), plane.file("tls.key").c_str()) {
    server_.Post(".*", [this](const httplib::Request& request, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      calls_.push_back({request.path, request.get_header_value("Authorization"),
                        request.get_header_value("Content-Type"), json::parse(request.body, nullptr, false)});
      const bool wait = calls_.size() <= kWaits;
      response.set_content(
          json{{"verdict", wait ? "wait" : "allow"}, {"message", wait ? "the backup runs" : "the backup is there"}}
              .dump(),
          "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    REQUIRE(eventually(kPatience, [&] { return server_.is_running(); }));
  }
  ~Judge() {
    server_.stop();
    thread_.join();
  }
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  [[nodiscard]] std::string origin() const { return "https://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<Call> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  httplib::SSLServer server_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Call> calls_;  // guarded by mutex_
  std::thread thread_;
};

/// Statements wait in the FE until their companions have come.
class Meeting {
 public:
  explicit Meeting(std::vector<std::vector<std::string>> companies) : companies_(std::move(companies)) {}

  void arrives(const std::string& sql) {
    std::unique_lock lock(mutex_);
    for (const auto& company : companies_) {
      const auto has_come = [&](const std::string& part) {
        return std::any_of(seen_.begin(), seen_.end(), [&](const std::string& one) { return contains(one, part); });
      };
      const bool member =
          std::any_of(company.begin(), company.end(), [&](const auto& part) { return contains(sql, part); });
      if (!member || std::all_of(company.begin(), company.end(), has_come)) continue;
      seen_.push_back(sql);
      changed_.notify_all();
      if (!changed_.wait_for(lock, 20s, [&] { return std::all_of(company.begin(), company.end(), has_come); })) {
        lonely_ = sql;
      }
    }
  }
  /// A statement whose companions did not come; empty: there was none.
  [[nodiscard]] std::string lonely() const {
    const std::lock_guard lock(mutex_);
    return lonely_;
  }

 private:
  const std::vector<std::vector<std::string>> companies_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> seen_;  // guarded by mutex_
  std::string lonely_;             // guarded by mutex_
};

}  // namespace

TEST_CASE("an HTTP hook holds the change while its service says wait, and is asked no more once it says allow") {
  auto& plane = ControlPlane::get();
  Judge judge(plane);
  Scene scene(
      "asks", json::object(), {},
      {"--http-hook-prefixes", judge.origin() + "/gate", "--http-hook-allow-loopback", "--admission-wait", "0s"});
  plane.apply({{"apiVersion", "v1"},
               {"kind", "Secret"},
               {"metadata", {{"name", "judge"}, {"namespace", "default"}}},
               {"stringData", {{"token", "open-sesame"}}}});
  std::ifstream authority(plane.file("ca.crt"));
  const std::string ca{std::istreambuf_iterator<char>(authority), {}};
  const json http{{"url", judge.origin() + "/gate/starrocks"},
                  {"caBundle", ca},
                  {"tokenSecret", {{"name", "judge"}, {"key", "token"}}},
                  {"pollSeconds", 2}};
  write_hooks(plane, "hooks.json", json{{"hooks", {{{"name", "ask"}, {"http", http}}}}}.dump());
  plane.must({"annotate", "starrockscluster", "asks", "starrocks.com/upgrade-hooks-configmap=hooks"});

  std::string told;
  REQUIRE(eventually(kPatience, [&] {
    const auto done = scene.to("3.3.1");
    if (done.exit_code == 0) return true;
    REQUIRE(contains(done.err, "UpgradePreparationRunning"));
    if (contains(done.err, "the backup runs")) told = done.err;
    return false;
  }));
  const auto calls = judge.calls();
  CHECK(contains(told, "ask"));  // who changes the image is told what for
  REQUIRE(calls.size() == Judge::kWaits + 1);
  const auto records = scene.records();
  REQUIRE(records.size() == 1);
  const auto name = records[0]["metadata"]["name"].get<std::string>();
  const auto key = name.substr(5, name.size() - 7);  // asks-<key>-1
  for (const auto& call : calls) {
    INFO(call.body.dump());
    CHECK(call.path == "/gate/starrocks");
    CHECK(call.authorization == "Bearer open-sesame");
    CHECK(contains(call.content_type, "application/json"));
    CHECK(call.body ==
          json{{"apiVersion", "gate.starrocks.com/v1alpha1"},
               {"kind", "UpgradeHookRequest"},
               {"preparation", name},
               {"key", key},
               {"attempt", 1},
               {"cluster", {{"namespace", "default"}, {"name", "asks"}}},
               {"changes",
                {{{"component", "be"}, {"from", "starrocks/be-ubuntu:3.3.0"}, {"to", "starrocks/be-ubuntu:3.3.1"}}}},
               {"hook", "ask"}});
  }
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
  REQUIRE(scene.record_becomes("stage", "RollingOut"));
  CHECK(phase_of(scene.records()[0], "ask") == "Completed");
  CHECK(judge.calls().size() == Judge::kWaits + 1);
  CHECK_FALSE(contains(scene.gate().log() + json(scene.records()).dump(), "open-sesame"));
  plane.must({"delete", "configmap/hooks", "secret/judge"});
}

TEST_CASE("a script hook is a restricted Job of the record; the change waits for its end and follows it") {
  Scene scene("script", json::object(), {},
              {"--script-hook-image", "tools:1", "--admission-wait", "0s", "--failure-backoff", "1h"});
  auto& plane = scene.plane;
  write_hooks(plane, "backup.sh", "pre_upgrade() { backup \"$SR_CLUSTER\"; }\n");
  plane.must({"annotate", "starrockscluster", "script", "starrocks.com/upgrade-hooks-configmap=hooks"});
  bool good = true;
  SUBCASE("complete") {}
  SUBCASE("failed") { good = false; }
  const auto jobs = [&] { return json::parse(plane.must({"get", "jobs", "-o", "json"})).at("items"); };

  CHECK(contains(scene.to("3.3.1").err, "UpgradePreparationRunning"));
  REQUIRE(eventually(kPatience, [&] { return jobs().size() == 1; }));
  const json job = jobs()[0];
  INFO(job.dump(2));
  const auto record = scene.records().back();
  CHECK(job["metadata"]["ownerReferences"][0]["uid"] == record["metadata"]["uid"]);
  CHECK(job["spec"]["backoffLimit"] == 0);
  CHECK(job["spec"]["activeDeadlineSeconds"] == 300);
  CHECK(job["spec"]["ttlSecondsAfterFinished"].get<int>() > 0);
  const auto& pod = job["spec"]["template"]["spec"];
  CHECK(pod["automountServiceAccountToken"] == false);
  CHECK(pod["securityContext"]["runAsNonRoot"] == true);
  CHECK(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault");
  REQUIRE(pod["containers"].size() == 1);
  const auto& container = pod["containers"][0];
  CHECK(container["image"] == "tools:1");
  CHECK(container["securityContext"]["allowPrivilegeEscalation"] == false);
  CHECK(container["securityContext"]["readOnlyRootFilesystem"] == true);
  CHECK(container["securityContext"]["capabilities"]["drop"] == json{"ALL"});
  CHECK(container["resources"]["limits"].contains("memory"));

  // It runs: the change is on hold, and no second Job comes of asking again.
  CHECK(contains(scene.to("3.3.1").err, "UpgradePreparationRunning"));
  CHECK(phase_of(scene.records().back(), "backup") == "Running");
  CHECK(jobs().size() == 1);
  const auto ends = [&](bool criteria) {
    const json status{{"status", gate::test::ended_job_status(good, criteria)}};
    return plane.kubectl(
        {"patch", "job", job["metadata"]["name"], "--subresource=status", "--type=merge", "-p", status.dump()});
  };
  if (ends(true).exit_code != 0) REQUIRE(ends(false).exit_code == 0);
  REQUIRE(scene.record_becomes("phase", good ? "Completed" : "Failed"));
  const auto answer = scene.to("3.3.1");
  INFO(answer.err);
  CHECK((answer.exit_code == 0) == good);
  CHECK(scene.image() == (good ? "starrocks/be-ubuntu:3.3.1" : "starrocks/be-ubuntu:3.3.0"));
  CHECK(phase_of(scene.records().back(), "backup") == (good ? "Completed" : "Failed"));
  if (!good) {
    CHECK(contains(answer.err, "UpgradePreparationFailed"));
    CHECK(contains(answer.err, "BackoffLimitExceeded: Job has reached the specified backoff limit"));
  }
  CHECK(eventually(kPatience, [&] { return jobs().empty(); }));
  plane.must({"delete", "configmap/hooks"});
}

TEST_CASE("a group runs at once and to its end: a failure in it refuses the change, stops what follows and is undone") {
  const std::string balancer = "ADMIN SET FRONTEND CONFIG ('disable_balance' = 'true')";
  const std::string scheduling = "ADMIN SET FRONTEND CONFIG ('max_scheduling_tablets' = '7')";
  const std::string balancing = "ADMIN SET FRONTEND CONFIG ('max_balancing_tablets' = '7')";
  const std::string image = "ALTER SYSTEM CREATE IMAGE";
  // One hook after the other would never meet; the last company also lets the setting be later than the failure.
  Meeting meeting({{balancer, scheduling}, {balancing, image}});
  Scene scene("groups", json::object(),
              {.on_statement = [&](const ReceivedStatement& one) { meeting.arrives(one.sql); }},
              {"--failure-backoff", "1h"});
  auto& plane = scene.plane;
  const auto hook = [](const std::string& name, const std::string& sql, const std::string& group) {
    json out{{"name", name}, {"sql", sql}};
    if (!group.empty()) out["group"] = group;
    return out;
  };
  write_hooks(plane, "hooks.json",
              json{{"hooks",
                    {hook("balancer", balancer, "first"), hook("scheduling", scheduling, "first"),
                     hook("image", image, "second"), hook("balancing", balancing, "second"),
                     hook("never", "ADMIN SET FRONTEND CONFIG ('tablet_sched_be_down_tolerate_time_s' = '3600')", "")}}}
                  .dump());
  plane.must({"annotate", "starrockscluster", "groups", "starrocks.com/upgrade-hooks-configmap=hooks"});
  const std::array keys{"disable_balance", "max_scheduling_tablets", "max_balancing_tablets"};
  std::map<std::string, std::string> before;
  for (const char* key : keys) before[key] = scene.config(key);
  scene.frontends().fail(image, {1064, "HY000", "the disk of the image is full"});

  const auto refused = scene.to("3.3.1");
  INFO(refused.err);
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "UpgradePreparationFailed"));
  CHECK(contains(refused.err, "the disk of the image is full"));
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.0");
  CHECK(meeting.lonely() == "");
  REQUIRE(scene.record_becomes("stage", "Closed"));
  const auto record = scene.records().back();
  INFO(record.dump(2));
  CHECK(record["status"]["phase"] == "Failed");
  CHECK(record["status"]["restoreOwed"] == false);
  for (const char* name : {"balancer", "scheduling", "balancing"}) CHECK(phase_of(record, name) == "Completed");
  CHECK(phase_of(record, "image") == "Failed");
  CHECK(phase_of(record, "never") == "Pending");
  for (const char* key : keys) CHECK(scene.config(key) == before[key]);
  const auto sent = scene.set_statements();
  CHECK(std::none_of(sent.begin(), sent.end(), [](const auto& sql) { return contains(sql, "down_tolerate"); }));
  plane.must({"delete", "configmap/hooks"});
}
