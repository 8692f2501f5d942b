// Goal: what users see, through real kubectl on a real API server, with our manifests, the real binary and simulated
// FEs. Method: one control plane for all cases; each case has its own clusters, FE and gate. Assertions are made on
// what kubectl printed, on the objects, and on the statements that reached the FE.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "server/httplib.hpp"
#include "server/ports/clock.hpp"
#include "test/e2e/scene.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

const std::string kSetBalance = R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "true"))";
const std::string kSetClone = R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "0"))";

}  // namespace

TEST_CASE("fast hooks: kubectl patch succeeds in the first request, every hook's SQL reached the FE before, in order") {
  Scene scene("fast", with_hooks("disable-tablet-clone,disable-balancer"));
  const auto done = scene.to("3.3.1");
  INFO(done.err);
  CHECK(done.exit_code == 0);
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
  CHECK(scene.set_statements() == std::vector<std::string>{kSetClone, kSetBalance});
  CHECK(scene.config("disable_balance") == "true");
  CHECK(scene.config("max_scheduling_tablets") == "0");
  CHECK(scene.record_becomes("stage", "RollingOut"));
  const auto record = scene.records().back();
  CHECK(record.at("status").at("completedHooks") == json::array({"disable-tablet-clone", "disable-balancer"}));
  CHECK(record.at("metadata").at("ownerReferences").at(0).at("uid") == scene.object()["metadata"]["uid"]);
}

TEST_CASE("slow hook: on hold with a reason, nothing written, the record tells the truth, admitted on repeat") {
  Scene scene("slow", with_hooks("disable-tablet-clone,disable-balancer"), {}, {"--admission-wait", "2s"});
  scene.frontends().delay("disable_balance\" =", 20s);
  const auto before = scene.object()["spec"];
  const auto refused = scene.to("3.3.1");
  INFO(refused.err);
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "Error from server (UpgradePreparationRunning)"));
  CHECK(contains(refused.err, "default/slow (be 3.3.0 -> 3.3.1)"));
  CHECK(contains(refused.err, "1/2 hooks"));
  CHECK(contains(refused.err, "Nothing of this request was applied"));
  CHECK(contains(refused.err, "Re-apply in a few minutes"));
  CHECK(contains(refused.err, "kubectl get upgradepreparations slow-"));
  CHECK(scene.object()["spec"] == before);

  const auto table = scene.plane.must({"get", "upgradepreparations"});
  INFO(table);
  // One header line and one row; what is between the name and the age, each word once.
  std::istringstream row(table.substr(table.find('\n') + 1));
  const std::vector<std::string> words{std::istream_iterator<std::string>(row), {}};
  REQUIRE(words.size() == 11);
  CHECK(std::vector<std::string>(words.begin() + 1, words.end() - 1) ==
        std::vector<std::string>{"slow", "be", "3.3.0", "be", "3.3.1", "Running", "Preparing", "1/2",
                                 "disable-balancer"});
  CHECK(contains(scene.plane.must({"get", "srup"}), words.front()));
  CHECK(eventually(kPatience, [&] {
    return scene.object()
               .value("status", json::object())
               .value("upgradePreparationStatus", json::object())
               .value("phase", "") == "Running";
  }));

  CHECK(scene.record_becomes("phase", "Completed"));
  CHECK(scene.plane
            .kubectl({"wait", "--for=condition=Prepared", "--timeout=10s",
                      "upgradepreparation/" + scene.records().back()["metadata"]["name"].get<std::string>()})
            .exit_code == 0);
  CHECK(scene.to("3.3.1").exit_code == 0);
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
  CHECK(scene.records().size() == 1);
  // A SET that an FE is slow with is given up after some seconds and sent again: two different ones, no others.
  const auto sent = scene.set_statements();
  CHECK(std::set<std::string>(sent.begin(), sent.end()).size() == 2);
}

TEST_CASE("critical hook fails: refused with hook and SQL error, captured settings restored, succeeds once fixed") {
  Scene scene("critical", with_hooks("disable-tablet-clone,disable-balancer"));
  scene.frontends().fail("disable_balance\" =", {5203, "42000", "Access denied; you need OPERATE"});
  ProcessResult refused;
  // On a slow machine the first answer may come before the hook has failed.
  CHECK(eventually(kPatience, [&] {
    refused = scene.to("3.3.1");
    return !contains(refused.err, "UpgradePreparationRunning");
  }));
  INFO(refused.err);
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "Error from server (UpgradePreparationFailed)"));
  CHECK(contains(refused.err, "disable-balancer"));
  CHECK(contains(refused.err, "5203"));
  CHECK(contains(refused.err, "Access denied"));
  CHECK(scene.record_becomes("stage", "Closed"));
  CHECK(scene.config("max_scheduling_tablets") == "10000");
  CHECK(scene.records().back().at("status").at("failedHooks") == json::array({"disable-balancer"}));
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.0");

  scene.frontends().clear_faults();
  CHECK(eventually(kPatience, [&] { return scene.to("3.3.1").exit_code == 0; }));
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
  CHECK(scene.config("max_scheduling_tablets") == "0");
  CHECK(scene.config("disable_balance") == "true");
}

TEST_CASE("a hook that is not critical fails: admitted, listed, and kubectl shows a warning") {
  Scene scene("lenient", json::object());
  auto object = cluster("lenient2");
  object["spec"]["upgradePreparation"] = {
      {"enabled", true},
      {"hooks", json::array({{{"name", "image"}, {"command", "ALTER SYSTEM CREATE IMAGE"}, {"critical", false}},
                             {{"name", "balance"}, {"command", kSetBalance}}})}};
  scene.plane.apply(object);
  scene.frontends().fail("CREATE IMAGE", {1064, "HY000", "no image today"});
  object["spec"]["starRocksBeSpec"]["image"] = "starrocks/be-ubuntu:3.3.1";
  const auto done = scene.plane.kubectl({"apply", "-f", "-"}, {.input = object.dump()});
  INFO(done.err);
  CHECK(done.exit_code == 0);
  CHECK(contains(done.err, "Warning: upgrade gate: hook image failed (not critical)"));
  const auto record = json::parse(scene.plane.must({"get", "upgradepreparations", "-o", "json"}));
  const auto found = std::find_if(record["items"].begin(), record["items"].end(),
                                  [](const json& item) { return item["spec"]["clusterRef"]["name"] == "lenient2"; });
  REQUIRE(found != record["items"].end());
  CHECK((*found).at("status").at("failedHooks") == json::array({"image"}));
}

TEST_CASE("an FE that is down at first is retried until it comes up") {
  Scene scene("down", with_hooks("disable-balancer"), {}, {"--admission-wait", "1s"});
  scene.frontends().stop(0);
  CHECK(contains(scene.to("3.3.1").err, "UpgradePreparationRunning"));
  CHECK(scene.record_becomes("phase", "Running"));
  scene.frontends().start(0);
  CHECK(scene.record_becomes("phase", "Completed"));
  CHECK(scene.to("3.3.1").exit_code == 0);
}

TEST_CASE("an FE that hangs fails the hook at its deadline with a clear reason, and the gate serves on") {
  Scene scene("hang", with_hooks("disable-balancer", {{"starrocks.com/upgrade-timeout-seconds", "3"}}), {},
              {"--admission-wait", "1s", "--workers", "1"});
  scene.frontends().hang("ADMIN SET");
  CHECK(contains(scene.to("3.3.1").err, "UpgradePreparationRunning"));
  CHECK(scene.record_becomes("phase", "Failed"));
  const auto message = scene.records().back().at("status").at("message").get<std::string>();
  INFO(message);
  CHECK(contains(message, "disable-balancer"));
  CHECK(contains(message, "3 s"));
  scene.frontends().clear_faults();
  // The only worker is free again.
  CHECK(eventually(kPatience, [&] { return scene.to("3.3.1").exit_code == 0; }));
}

TEST_CASE("a Completed is used for its own target only, and only while it is true") {
  Scene scene("stale", with_hooks("disable-balancer"));
  REQUIRE(scene.to("3.3.1").exit_code == 0);
  REQUIRE(scene.record_becomes("stage", "RollingOut"));

  SUBCASE("A to B, back to A, then A to C is prepared again") {
    const auto back = scene.to("3.3.0");
    INFO(back.err);
    CHECK(back.exit_code == 0);
    CHECK(contains(back.err, "Warning: upgrade gate: rollback to the images the pods last ran"));
    CHECK(scene.record_becomes("outcome", "Reverted"));
    CHECK(eventually(kPatience, [&] { return scene.config("disable_balance") == "false"; }));
    CHECK(scene.to("3.3.2").exit_code == 0);
    CHECK(scene.records().size() == 2);
    CHECK(scene.config("disable_balance") == "true");
  }
  SUBCASE("A to B in progress, then B to C: each record knows the first value, and both keep the settings") {
    CHECK(scene.to("3.3.2").exit_code == 0);
    const auto records = scene.records();
    REQUIRE(records.size() == 2);
    // The older one leaves what it has captured to the newer one once that has been admitted.
    for (const auto& record : records) {
      if (!contains(record.at("spec").at("changes")[0].at("to").get<std::string>(), "3.3.2")) continue;
      INFO(record.dump(1));
      REQUIRE(record.at("status").value("captured", json::array()).size() >= 1);
      CHECK(record.at("status").at("captured")[0]["value"] == "false");
      CHECK(record.at("status").at("restoreOwed") == true);
    }
    CHECK(scene.config("disable_balance") == "true");
  }
}

TEST_CASE("a setting reset by hand after Completed is noticed at admission and prepared again") {
  Scene scene("drift", with_hooks("disable-balancer"), {}, {"--admission-wait", "1s"});
  scene.frontends().delay("ADMIN SET", 3s);
  CHECK(scene.to("3.3.1").exit_code == 1);
  REQUIRE(scene.record_becomes("phase", "Completed"));
  scene.frontends().clear_faults();
  scene.frontends().frontend(0).set_config("disable_balance", "false");
  CHECK(eventually(kPatience, [&] { return scene.to("3.3.1").exit_code == 0; }));
  CHECK(scene.config("disable_balance") == "true");
  CHECK(scene.set_statements().size() == 2);
  CHECK(scene.records().size() == 1);
  // Whichever came first: the read-back of the admission, or a look of the controller's own.
  const auto log = scene.gate().log();
  CHECK((contains(log, "settings drifted") || contains(log, "settings re-applied")));
}

TEST_CASE("failure 10: dry runs are allowed with a warning, write nothing and never connect to the FE") {
  Scene scene("dry", with_hooks("disable-balancer"));
  // The conditions of a cluster that asks come a moment after it.
  REQUIRE(eventually(kPatience,
                     [&] { return scene.object().value("status", json::object()).contains("observedGeneration"); }));
  const auto before = scene.object();
  const auto dry = scene.patch_image("starRocksBeSpec", "starrocks/be-ubuntu:3.3.1", {"--dry-run=server"});
  INFO(dry.err);
  CHECK(dry.exit_code == 0);
  CHECK(contains(dry.err, "Warning: upgrade gate: dry run only"));
  auto wanted = cluster("dry", with_hooks("disable-balancer"));
  wanted["spec"]["starRocksBeSpec"]["image"] = "starrocks/be-ubuntu:3.3.1";
  const auto diff = scene.plane.kubectl({"diff", "-f", "-"}, {.input = wanted.dump()});
  CHECK(diff.exit_code == 1);  // 1: there are differences; more: an error
  CHECK(contains(diff.out, "+    image: starrocks/be-ubuntu:3.3.1"));
  CHECK(scene.object() == before);
  CHECK(scene.records().empty());
  CHECK(scene.frontends().logins().empty());
  CHECK(scene.frontends().statements().empty());
}

TEST_CASE("without configuration nothing happens") {
  Scene scene("plain", json::object());
  CHECK(scene.to("3.3.1").exit_code == 0);
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
  CHECK(scene.records().empty());
  CHECK(scene.frontends().logins().empty());
}

TEST_CASE("a bad configuration is refused when it is written, all faults named") {
  Scene scene("bad", json::object());
  auto object = cluster(
      "bad2", {{"starrocks.com/upgrade-hooks", "disable-balancr"}, {"starrocks.com/upgrade-timeout-seconds", "0"}});
  object["spec"]["upgradePreparation"] = {{"enabled", true},
                                          {"hooks", json::array({{{"name", "x"}, {"command", "DROP DATABASE prod"}}})}};
  const auto refused = scene.plane.kubectl({"create", "-f", "-"}, {.input = object.dump()});
  INFO(refused.err);
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "UpgradeHooksInvalid"));
  for (const char* part : {"disable-balancr", "DROP DATABASE", "upgrade-timeout-seconds", "\"0\""}) {
    INFO(part);
    CHECK(contains(refused.err, part));
  }
  CHECK(
      contains(scene.plane.kubectl({"annotate", "starrockscluster", "bad", "starrocks.com/upgrade-hooks=nonsense"}).err,
               "UpgradeHooksInvalid"));
}

TEST_CASE("hooks in a ConfigMap are judged when they are written, and run when the cluster that names it is upgraded") {
  Scene scene("mapped", json::object());
  const auto config_map = [](const std::string& text) {
    return json{{"apiVersion", "v1"},
                {"kind", "ConfigMap"},
                {"metadata",
                 {{"name", "hooks"}, {"namespace", "default"}, {"labels", {{"starrocks.com/upgrade-hooks", "true"}}}}},
                {"data", {{"prepare.yaml", text}}}}
        .dump();
  };
  // Each webhook is picked up in its own time.
  REQUIRE(eventually(kPatience, [&] {
    return scene.plane.kubectl({"create", "--dry-run=server", "-f", "-"}, {.input = config_map("hooks: []")})
               .exit_code != 0;
  }));
  const auto refused = scene.plane.kubectl(
      {"create", "-f", "-"},
      {.input = config_map("hooks:\n- {name: freeze, sql: \"ADMIN SET FRONTEND CONFIG ('disable_balance' = 'on')\"}\n"
                           "- {name: sweep, sql: DROP TABLE t, critcal: false}\n")});
  INFO(refused.err);
  CHECK(contains(refused.err, "UpgradeHooksInvalid"));
  CHECK(contains(refused.err, "upgrade hooks of ConfigMap default/hooks are not valid"));
  CHECK(contains(refused.err, "data[prepare.yaml].hooks[0].sql"));
  CHECK(contains(refused.err, R"(the value of disable_balance must be "true" or "false")"));
  CHECK(contains(refused.err, "data[prepare.yaml].hooks[1].sql"));
  CHECK(contains(refused.err, R"(data[prepare.yaml].hooks[1]: invalid value "critcal")"));

  const auto annotate = [&](const std::string& value) {
    return scene.plane.kubectl(
        {"annotate", "starrockscluster", "mapped", "--overwrite", "starrocks.com/upgrade-hooks-configmap=" + value});
  };
  const auto missing = annotate("hooks");
  CHECK(contains(missing.err, "a ConfigMap that exists in the same namespace"));
  scene.plane.must(
      {"create", "-f", "-"},
      {.input = config_map("hooks:\n- {name: freeze, command: disable-balancer}\n"
                           "- {name: patient, sql: \"ADMIN SET FRONTEND CONFIG ('max_scheduling_tablets' = '7')\", "
                           "when: {versionChange: [patch]}}\n"
                           "- {name: not-now, sql: ALTER SYSTEM CREATE IMAGE, when: {versionChange: [major]}}\n")});
  CHECK(contains(annotate("hooks/other.yaml").err, "a key of that ConfigMap (it has prepare.yaml)"));
  CHECK(annotate("hooks/prepare.yaml").exit_code == 0);

  const auto done = scene.to("3.3.1");
  INFO(done.err);
  CHECK(done.exit_code == 0);
  CHECK(scene.config("disable_balance") == "true");
  CHECK(scene.config("max_scheduling_tablets") == "7");
  const auto record = scene.records().back();
  CHECK(record.at("status").at("completedHooks") == json::array({"freeze", "patient"}));
  scene.plane.must({"delete", "configmap", "hooks"});
}

TEST_CASE(
    "every way kubectl has to change an image meets the gate, and each is admitted when the preparation is done") {
  Scene scene("verbs", with_hooks("disable-balancer"), {}, {"--admission-wait", "0s"});
  auto& plane = scene.plane;
  int next = 0;
  const auto object_with = [&](const std::string& image) {
    auto object = cluster("verbs", with_hooks("disable-balancer"));
    object["spec"]["starRocksBeSpec"]["image"] = image;
    return object;
  };
  const auto editor = plane.file("editor.sh");
  const auto verbs = std::vector<
      std::pair<std::string, std::function<ProcessResult(const std::string&)>>>{{"patch",
                                                                                 [&](const std::string& image) {
                                                                                   return scene.patch_image(
                                                                                       "starRocksBeSpec", image);
                                                                                 }},
                                                                                {"apply",
                                                                                 [&](const std::string& image) {
                                                                                   return plane.kubectl(
                                                                                       {"apply", "-f", "-"},
                                                                                       {.input =
                                                                                            object_with(image).dump()});
                                                                                 }},
                                                                                {"apply --server-side",
                                                                                 [&](const std::string& image) {
                                                                                   return plane.kubectl(
                                                                                       {"apply", "--server-side",
                                                                                        "--force-conflicts", "-f", "-"},
                                                                                       {.input =
                                                                                            object_with(image).dump()});
                                                                                 }},
                                                                                {"replace",
                                                                                 [&](const std::string& image) {
                                                                                   return plane.kubectl(
                                                                                       {"replace", "-f", "-"},
                                                                                       {.input =
                                                                                            object_with(image).dump()});
                                                                                 }},
                                                                                {"edit", [&](const std::string& image) {
                                                                                   std::ofstream(editor)
                                                                                       << "#!/bin/sh\nexec sed -i "
                                                                                          "'s#image: "
                                                                                          "starrocks/"
                                                                                          "be-ubuntu:.*#image: "
                                                                                       << image << "#' \"$1\"\n";
                                                                                   std::filesystem::permissions(
                                                                                       editor, std::filesystem::perms::
                                                                                                   owner_all);
                                                                                   return plane.kubectl(
                                                                                       {"edit", "starrockscluster",
                                                                                        "verbs"},
                                                                                       {.environment = {
                                                                                            "KUBE_EDITOR=" +
                                                                                            editor.string()}});
                                                                                 }}};
  for (const auto& row : verbs) {
    const auto& verb = row.first;
    const auto& change = row.second;
    INFO(verb);
    const auto image = "starrocks/be-ubuntu:3.3." + std::to_string(++next);
    const auto refused = change(image);
    INFO(refused.err);
    CHECK(refused.exit_code != 0);
    CHECK(contains(refused.err, "is on hold"));
    CHECK(scene.image() != image);
    ProcessResult admitted;
    CHECK(eventually(kPatience, [&] {
      admitted = change(image);
      return admitted.exit_code == 0;
    }));
    INFO(admitted.err);
    CHECK(scene.image() == image);
  }
}

TEST_CASE("failure 9: with the gate away everything but an image change works") {
  Scene scene("away", with_hooks("disable-balancer"));
  scene.gate().kill();
  auto& plane = scene.plane;
  plane.must({"label", "starrockscluster", "away", "team=a"});
  plane.must({"annotate", "starrockscluster", "away", "note=b"});
  plane.must(
      {"patch", "starrockscluster", "away", "--type=merge", "-p", R"({"spec":{"starRocksBeSpec":{"replicas":5}}})"});
  plane.must({"patch", "starrockscluster", "away", "--subresource=status", "--type=merge", "-p",
              R"({"status":{"phase":"running"}})"});
  plane.must({"scale", "starrockscluster", "away", "--replicas=2"});
  const auto refused = scene.to("3.3.1");
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "failed calling webhook"));
  CHECK(scene.image() == "starrocks/be-ubuntu:3.3.0");
  plane.must({"delete", "starrockscluster", "away", "--wait=false"});
  CHECK(plane.kubectl({"get", "starrockscluster", "away"}).exit_code == 1);
}

TEST_CASE("the gate is killed while a hook runs and started again: the preparation finishes, the old value is kept") {
  Scene scene("killed", with_hooks("disable-tablet-clone,disable-balancer"), {}, {"--admission-wait", "1s"});
  scene.frontends().hang("disable_balance\" =");
  CHECK(scene.to("3.3.1").exit_code == 1);
  REQUIRE(scene.frontends().wait_for_statement("disable_balance\" =", std::chrono::steady_clock::now() + kPatience));
  scene.gate().kill();
  scene.frontends().clear_faults();
  scene.start_gate();
  CHECK(scene.record_becomes("phase", "Completed"));
  CHECK(scene.to("3.3.1").exit_code == 0);
  const auto captured = scene.records().back().at("status").at("captured");
  REQUIRE(captured.size() == 2);
  CHECK(captured[0]["value"] == "10000");
  CHECK(captured[1]["value"] == "false");
  CHECK(scene.config("disable_balance") == "true");
  CHECK(scene.config("max_scheduling_tablets") == "0");
}

TEST_CASE("the operator's full status write keeps the mirror and causes no further write") {
  Scene scene("mirror", with_hooks("disable-balancer"));
  REQUIRE(scene.to("3.3.1").exit_code == 0);
  // At rest: nobody moves the pods, so the rollout is waited for.
  REQUIRE(eventually(kPatience, [&] {
    return contains(scene.object()
                        .value("status", json::object())
                        .value("upgradePreparationStatus", json::object())
                        .value("message", ""),
                    "does not exist");
  }));
  auto object = scene.object();
  const auto mirror = object["status"]["upgradePreparationStatus"];
  object["status"] = {{"phase", "reconciling"}};  // as a typed client that does not know the field
  constexpr auto kStatusPath = "/apis/starrocks.com/v1/namespaces/default/starrocksclusters/mirror/status";
  // Not the gate's own account: that one may remove the field.
  const auto replace = [&] {
    // As it is: kubectl's own replace would add its annotation, which no status keeps, and each write would be a
    // change.
    const auto done = scene.plane.kubernetes().kubectl_as("operator", {"replace", "--raw", kStatusPath, "-f", "-"},
                                                          {.input = object.dump()});
    INFO(done.err);
    REQUIRE(done.exit_code == 0);
    return scene.object();
  };
  const auto after = replace();
  CHECK(after.at("status").at("phase") == "reconciling");
  CHECK(after.at("status").value("upgradePreparationStatus", json()) == mirror);
  // The same write again changes nothing: no new version, so no event that could start a loop. Not within the second
  // that the API server has noted in managedFields, where no write would be seen.
  const auto written = SystemClock().wall_now();
  REQUIRE(eventually(kPatience, [&] { return SystemClock().wall_now() > written; }));
  object["metadata"]["resourceVersion"] = after.at("metadata").at("resourceVersion");
  const auto again = replace();
  INFO(json::diff(after, again).dump());
  CHECK(again.at("metadata").at("resourceVersion") == after.at("metadata").at("resourceVersion"));
}

TEST_CASE("settings are held while the rollout runs, and after it the captured values come back") {
  Scene scene("restore", with_hooks("disable-tablet-clone,disable-balancer"), {}, {"--reassert-interval", "1s"});
  REQUIRE(scene.to("3.3.1").exit_code == 0);
  REQUIRE(scene.record_becomes("stage", "RollingOut"));
  scene.frontends().frontend(0).set_config("max_scheduling_tablets", "123");
  // Re-assertion holds the setting while the rollout runs.
  CHECK(eventually(kPatience, [&] { return scene.config("max_scheduling_tablets") == "0"; }));

  // The operator's StatefulSet, as it looks when the rollout is over.
  const json labels{{"app", "restore-be"}};
  json set{{"apiVersion", "apps/v1"},
           {"kind", "StatefulSet"},
           {"metadata", {{"name", "restore-be"}, {"namespace", "default"}}},
           {"spec",
            {{"replicas", 3},
             {"serviceName", "restore-be-search"},
             {"selector", {{"matchLabels", labels}}},
             {"template",
              {{"metadata", {{"labels", labels}}},
               {"spec", {{"containers", json::array({{{"name", "be"}, {"image", "starrocks/be-ubuntu:3.3.1"}}})}}}}}}}};
  scene.plane.apply(set);
  const json status{{"status",
                     {{"observedGeneration", 1},
                      {"replicas", 3},
                      {"readyReplicas", 3},
                      {"updatedReplicas", 3},
                      {"currentReplicas", 3},
                      {"availableReplicas", 3},
                      {"currentRevision", "r2"},
                      {"updateRevision", "r2"}}}};
  scene.plane.must({"patch", "statefulset", "restore-be", "--subresource=status", "--type=merge", "-p", status.dump()});
  // Kubernetes is done, the database is not: it still shows the old processes.
  CHECK(eventually(kPatience, [&] {
    return contains(scene.records().back().at("status").value("message", ""), "be be-0:9050: not restarted yet");
  }));
  CHECK(scene.config("disable_balance") == "true");
  scene.frontends().set_backends({{"be-0", true, "", 1}, {"be-1", true, "", 1}, {"be-2", true, "", 1}});
  CHECK(scene.record_becomes("outcome", "Succeeded"));
  CHECK(scene.record_becomes("stage", "Closed"));
  CHECK(scene.config("max_scheduling_tablets") == "10000");
  CHECK(scene.config("disable_balance") == "false");
  const auto record = scene.records().back();
  CHECK(record.at("status").at("restoreOwed") == false);
  CHECK(record.at("status").contains("restoredTime"));
}

TEST_CASE("hostile and mistaken requests get the right answer and learn nothing") {
  Scene scene("hostile", with_hooks("disable-balancer"));
  const auto client = [&] {
    auto made = std::make_unique<httplib::SSLClient>("127.0.0.1", scene.gate().port());
    made->set_ca_cert_path(scene.plane.file("ca.crt").c_str());
    made->enable_server_certificate_verification(true);
    return made;
  };
  const auto post = [&](const std::string& path, const std::string& body, const char* type) {
    return client()->Post(path.c_str(), body, type);
  };
  struct Row {
    const char* name;
    std::string path;
    std::string body;
    const char* type;
    int status;
  };
  const std::string uid_only =
      R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1"}})";
  for (const Row& row : {Row{"not JSON", "/validate", "not json", "application/json", 400},
                         Row{"empty", "/validate", "", "application/json", 400},
                         Row{"wrong media type", "/validate", "{}", "text/plain", 415},
                         Row{"8 MiB", "/validate", std::string(8u << 20, ' '), "application/json", 413},
                         Row{"unknown path", "/admin", "{}", "application/json", 404},
                         Row{"review without content", "/validate", uid_only, "application/json", 200}}) {
    INFO(row.name);
    const auto answer = post(row.path, row.body, row.type);
    // A server that refuses a large body early may cut the connection before the client has sent all of it.
    if (row.status == 413 && !answer) continue;
    REQUIRE(answer);
    CHECK(answer->status == row.status);
    CHECK_FALSE(contains(answer->body, "/server/"));
    CHECK_FALSE(contains(answer->body, "exception"));
    if (row.status == 200) {
      const auto review = json::parse(answer->body);
      CHECK(review["response"]["uid"] == "u-1");
      CHECK(review["response"]["allowed"] == false);
    }
  }
  const auto got = client()->Get("/validate");
  REQUIRE(got);
  CHECK(got->status == 405);
  CHECK(contains(scene.gate().ops_get("/livez"), "ok"));
  CHECK(contains(scene.gate().ops_get("/metrics"), "upgrade_gate_reviews_total"));
  CHECK(scene.to("3.3.1").exit_code == 0);
}

TEST_CASE("SIGTERM ends the gate in order and releases its claims") {
  Scene scene("term", with_hooks("disable-balancer"));
  REQUIRE(scene.to("3.3.1").exit_code == 0);
  REQUIRE(scene.record_becomes("stage", "RollingOut"));
  CHECK(scene.gate().terminate(20s) == 0);
  CHECK_FALSE(scene.records().back().at("status").contains("runner"));
}

TEST_CASE("secret path: only the API server is served; a path that was reset is corrected; the path is replaced") {
  auto& plane = ControlPlane::get();
  plane.apply({{"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "upgrade-gate-caller"}}}});
  const std::vector<std::string> flags{"--callers", "secret-path", "--caller-secret", "default/upgrade-gate-caller"};
  plane.forget_webhooks();
  {
    Scene scene("secret", with_hooks("disable-balancer"), {}, flags);
    const auto url = [&] {
      return plane.get_json("validatingwebhookconfiguration", "upgrade-gate")["webhooks"][0]["clientConfig"]["url"]
          .get<std::string>();
    };
    CHECK(contains(url(), "/t"));
    const auto stranger = [&](const std::string& path) {
      httplib::SSLClient client("127.0.0.1", scene.gate().port());
      client.enable_server_certificate_verification(false);
      const auto answer = client.Post(path.c_str(), "{}", "application/json");
      return answer ? answer->status : 0;
    };
    for (const char* path :
         {"/", "/validate", "/validate/", "/validate/t1-00", "/mutate", "/validate-configuration/x"}) {
      INFO(path);
      CHECK(stranger(path) == 403);
    }
    CHECK(scene.records().empty());
    CHECK(scene.to("3.3.1").exit_code == 0);
    CHECK(scene.config("disable_balance") == "true");

    // As a GitOps controller would that applies a file with paths.
    plane.forget_webhooks();
    plane.register_webhooks(scene.gate().port());
    CHECK(eventually(kPatience, [&] { return contains(url(), "/t"); }));
    CHECK(eventually(kPatience, [&] { return scene.to("3.3.0").exit_code == 0; }));

    // Another start replaces what an outage may have shown.
    const auto before = url();
    scene.gate().kill();
    scene.start_gate();
    CHECK(eventually(kPatience, [&] { return url() != before; }));
    CHECK(eventually(kPatience, [&] { return stranger(before.substr(before.find("/validate"))) == 403; }));
    CHECK(eventually(kPatience, [&] { return scene.to("3.3.1").exit_code == 0; }));
  }
  // The next gate serves whoever calls, at the plain paths.
  plane.forget_webhooks();
}
