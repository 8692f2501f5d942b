// Goal: the exits, as people use them: past the gate in an emergency, out of a failure, and away with the gate itself.
// Method: as in gate_test.cpp.

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/text/time.hpp"
#include "test/e2e/scene.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

TEST_CASE("a break-glass bypass: for whom RBAC says so, for one target, recorded and told") {
  Scene scene("exit", with_hooks("disable-balancer"), {}, {"--admission-wait", "0s"});
  auto& plane = scene.plane;
  for (const char* file : {"namespace", "rbac"}) {
    plane.must({"apply", "-f", kSource + "/manifests/base/" + file + ".yaml"});
  }
  for (const char* user : {"erin", "bob"}) {
    plane.must({"create", "clusterrolebinding", std::string("edit-") + user, "--clusterrole=cluster-admin-of-src",
                std::string("--user=") + user});
  }
  plane.must({"create", "clusterrole", "cluster-admin-of-src", "--verb=get,list,patch,update",
              "--resource=starrocksclusters.starrocks.com"});
  plane.must({"create", "rolebinding", "exit", "--clusterrole=upgrade-gate-bypass", "--user=erin"});
  scene.frontends().hang("ADMIN SET");
  const auto change_as = [&](const std::string& user, const std::string& version, const std::string& bypass) {
    json patch{{"spec", {{"starRocksBeSpec", {{"image", "starrocks/be-ubuntu:" + version}}}}}};
    if (!bypass.empty()) patch["metadata"]["annotations"]["starrocks.com/upgrade-gate-bypass"] = bypass;
    return plane.kubectl({"patch", "starrockscluster", "exit", "--type=merge", "-p", patch.dump(), "--as", user});
  };
  ProcessResult refused;
  // The roles take a moment to be known.
  REQUIRE(eventually(kPatience, [&] {
    refused = change_as("bob", "3.3.1", "");
    return contains(refused.err, "UpgradePreparationRunning");
  }));
  const auto line = refused.err.find("Target key, for a break-glass bypass");
  REQUIRE(line != std::string::npos);
  const auto key = refused.err.substr(refused.err.find("): ", line) + 3, 10);
  const auto day = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + 24h;
  const std::string terms = "; reason=disks are full; until=" + format_time(day);

  // Whoever may edit the cluster may not, for that, bypass the gate.
  const auto bob = change_as("bob", "3.3.1", key + terms);
  INFO(bob.err);
  CHECK(bob.exit_code == 1);
  CHECK(contains(bob.err, "Warning: upgrade gate: bypass ignored: user bob may not bypass"));
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.0");
  // Nor does the exit for one target open another.
  const auto other = change_as("erin", "3.3.2", key + terms);
  CHECK(other.exit_code == 1);
  CHECK(contains(other.err, "bypass ignored: it is for target " + key));
  ProcessResult erin;
  CHECK(eventually(kPatience, [&] {
    erin = change_as("erin", "3.3.1", key + terms);
    return erin.exit_code == 0;
  }));
  INFO(erin.err);
  CHECK(contains(erin.err, "Warning: upgrade gate: let through unprepared until"));
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
  CHECK(eventually(kPatience, [&] {
    const auto all = scene.records();
    return std::any_of(all.begin(), all.end(), [](const json& record) {
      return record["status"].value("outcome", "") == "Bypassed" && record["status"]["restoreOwed"] == false &&
             record["spec"]["requestedBy"]["username"] == "erin";
    });
  }));
  CHECK(eventually(kPatience, [&] {
    return contains(plane.must({"get", "events", "--field-selector", "reason=UpgradeGateBypassed,type=Warning"}),
                    "disks are full");
  }));
  CHECK(eventually(kPatience,
                   [&] { return contains(scene.gate().ops_get("/metrics"), "upgrade_gate_bypasses_total 1"); }));
  // It is still on the object, and worth nothing for the next change.
  CHECK(contains(change_as("erin", "3.3.2", "").err, "bypass ignored: it is for target " + key));
}

TEST_CASE("kubectl annotate starts a failed preparation again at once, and once per value; kubectl wait sees it") {
  Scene scene("retry", with_hooks("disable-balancer"), {}, {"--failure-backoff", "1h"});
  scene.frontends().fail("ADMIN SET", {5203, "42000", "Access denied"});
  const auto refused = scene.to("3.3.1");
  INFO(refused.err);
  CHECK(contains(refused.err, "UpgradePreparationFailed"));
  CHECK(contains(refused.err, "kubectl annotate StarRocksCluster retry -n default --overwrite"));
  scene.frontends().clear_faults();
  CHECK(contains(scene.to("3.3.1").err, "UpgradePreparationFailed"));
  const auto annotate = [&](const std::string& value) {
    scene.plane.must({"annotate", "StarRocksCluster", "retry", "-n", "default", "--overwrite",
                      "starrocks.com/retry-upgrade-preparation=" + value});
  };
  annotate("1");
  CHECK(scene.records().size() == 1);  // nothing runs for the old images
  CHECK(scene.to("3.3.1").exit_code == 0);
  REQUIRE(scene.records().size() == 2);
  for (const auto& record : scene.records()) {
    const bool second = record["spec"]["attempt"] == 2;
    CHECK(record["spec"].value("retryToken", "") == (second ? "1" : ""));
    const auto wait = scene.plane.kubectl({"wait", "--for=condition=Prepared", "--timeout=1s",
                                           "upgradepreparation/" + record["metadata"]["name"].get<std::string>()});
    CHECK((wait.exit_code == 0) == second);
  }
}

TEST_CASE("release does every pending restore: with the gate serving, and after it was killed") {
  Scene scene("release", with_hooks("disable-tablet-clone,disable-balancer"));
  REQUIRE(scene.to("3.3.1").exit_code == 0);
  REQUIRE(scene.record_becomes("stage", "RollingOut"));
  REQUIRE(scene.config("disable_balance") == "true");
  bool serving = true;
  SUBCASE("serving") {}
  SUBCASE("killed") {
    serving = false;
    scene.gate().kill();
  }
  auto release = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"release",
                                       "--kubeconfig",
                                       scene.plane.kubernetes().kubeconfig(),
                                       "--frontend-address",
                                       "127.0.0.1:" + std::to_string(scene.frontends().frontend(0).port()),
                                       "--claim-stale-after",
                                       "2s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_process(gate_binary(), arguments, {.timeout = 120s});
  };
  scene.frontends().fail("ADMIN SET", {1064, "HY000", "not now"});
  const auto stuck = release({"--timeout", "4s"});
  INFO(stuck.out << stuck.err);
  CHECK(stuck.exit_code == 1);
  CHECK(contains(stuck.out, ": cancelled"));
  CHECK(contains(stuck.out, "still pending, default/release-"));
  CHECK(scene.config("disable_balance") == "true");
  scene.frontends().clear_faults();
  const auto done = release({"--timeout", "100s", "--namespace", "default"});
  INFO(done.out << done.err);
  CHECK(done.exit_code == 0);
  CHECK(contains(done.out, "nothing left to restore\n"));
  CHECK(scene.config("disable_balance") == "false");
  CHECK(scene.config("max_scheduling_tablets") == "10000");
  CHECK(scene.records().back()["status"]["outcome"] == "Expired");
  if (!serving) return;
  // From then on nothing new begins.
  const auto last = release({"--webhook-configuration", "upgrade-gate"});
  INFO(last.out << last.err);
  CHECK(last.exit_code == 0);
  CHECK(scene.to("3.3.2").exit_code == 0);
  CHECK(scene.records().size() == 1);
  scene.plane.forget_webhooks();
}
