// Goal: what users see, through real kubectl on a real API server, with our manifests, the real binary and simulated
// FEs. Method: one control plane for all cases; each case has its own clusters, FE and gate. Assertions are made on
// what kubectl printed, on the objects, and on the statements that reached the FE.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "policy/time.hpp"
#include "server/httplib.hpp"
#include "server/tls/dev_certificate.hpp"
#include "test/e2e/environment.hpp"
#include "test/e2e/gate_process.hpp"
#include "test/fakes/frontend_simulator.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

const std::string kSource = GATE_SOURCE_DIR;
constexpr auto kPatience = 60s;

/// The control plane with our CRDs; made once, thrown away with the program.
class ControlPlane {
 public:
  static ControlPlane& get() {
    static ControlPlane plane;
    return plane;
  }

  KubernetesEnvironment& kubernetes() { return *environment_; }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return environment_->directory() / name; }

  ProcessResult kubectl(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
    return environment_->kubectl(arguments, options);
  }
  std::string must(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
    const auto done = kubectl(arguments, options);
    INFO(done.out << done.err);
    REQUIRE(done.exit_code == 0);
    return done.out;
  }
  json get_json(const std::string& kind, const std::string& name) {
    return json::parse(must({"get", kind, name, "-o", "json"}));
  }
  void apply(const json& object) { must({"apply", "-f", "-"}, {.input = object.dump()}); }

  /// Points our webhook configurations to a gate on `port` and waits until the API server uses them.
  void register_webhooks(std::uint16_t port) {
    if (port == registered_port_) return;
    const auto rendered = run_process("/bin/bash",
                                      {kSource + "/test/e2e/webhooks-by-url.sh",
                                       "https://127.0.0.1:" + std::to_string(port), file("ca.crt").string()},
                                      {.environment = {"KUBECTL=" + environment_->kubectl_path().string()}});
    INFO(rendered.err);
    REQUIRE(rendered.exit_code == 0);
    must({"apply", "-f", "-"}, {.input = rendered.out});
    registered_port_ = port;
  }
  [[nodiscard]] std::uint16_t registered_port() const { return registered_port_; }
  /// Somebody removed them: the next gate brings its own.
  void forget_webhooks() { registered_port_ = 0; }

 private:
  ControlPlane() : environment_(KubernetesEnvironment::start_or_skip({{"operator", {"system:masters"}}})) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto made = make_dev_certificate({{"localhost"}, {"127.0.0.1"}, now - 1h, now + 24h});
    REQUIRE(made.ok());
    REQUIRE(write_dev_certificate(*made, environment_->directory().string()).ok());
    const char* real = std::getenv("STARROCKS_CRDS");
    must({"create", "-f", real != nullptr ? real : kSource + "/test/e2e/starrocks-crds.yaml"});
    must({"apply", "-f", kSource + "/manifests/crd/upgradepreparation.yaml"});
    must({"patch", "crd", "starrocksclusters.starrocks.com", "--type=json", "--patch-file",
          kSource + "/manifests/crd-extension/starrocksclusters-patch.yaml"});
    must({"wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"});
    REQUIRE(eventually(kPatience, [&] {
      return kubectl({"get", "starrocksclusters,starrockswarehouses,upgradepreparations"}).exit_code == 0;
    }));
  }
  std::unique_ptr<KubernetesEnvironment> environment_;
  std::uint16_t registered_port_ = 0;
};

json cluster(const std::string& name, const json& annotations = json::object()) {
  return {{"apiVersion", "starrocks.com/v1"},
          {"kind", "StarRocksCluster"},
          {"metadata", {{"name", name}, {"namespace", "default"}, {"annotations", annotations}}},
          {"spec",
           {{"starRocksFeSpec", {{"image", "starrocks/fe-ubuntu:3.3.0"}, {"replicas", 1}}},
            {"starRocksBeSpec", {{"image", "starrocks/be-ubuntu:3.3.0"}, {"replicas", 3}}},
            {"starRocksCnSpec", {{"image", "starrocks/cn-ubuntu:3.3.0"}, {"replicas", 1}}}}}};
}

json with_hooks(const std::string& hooks, const json& more = json::object()) {
  json annotations{{"starrocks.com/prepare-upgrade", "true"}, {"starrocks.com/upgrade-hooks", hooks}};
  annotations.update(more);
  return annotations;
}

/// A cluster object in the API server with its FE and a gate in front of it.
class Scene {
 public:
  explicit Scene(const std::string& name, const json& annotations, FrontendSimulatorOptions frontends = {},
                 std::vector<std::string> flags = {})
      : name_(name), simulator_(std::move(frontends)), flags_(std::move(flags)) {
    start_gate();
    // Configurations are picked up within about a second; a probe that must be refused tells when.
    REQUIRE(eventually(kPatience, [&] {
      auto probe = cluster("probe-" + name_, {{"starrocks.com/upgrade-hooks", "no-such-hook"}});
      return plane.kubectl({"create", "--dry-run=server", "-f", "-"}, {.input = probe.dump()}).exit_code != 0;
    }));
    plane.apply(cluster(name_, annotations));
    // As the operator does soon after; its CRD takes no status without a phase.
    plane.must({"patch", "starrockscluster", name_, "--subresource=status", "--type=merge", "-p",
                R"({"status":{"phase":"running"}})"});
  }

  ~Scene() {
    // Whatever is left open would be worked on by the next scene's gate, on the next scene's FE.
    gate_.reset();
    plane.kubectl({"delete", "starrocksclusters,upgradepreparations", "--all", "--wait=false"});
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  void start_gate() {
    std::vector<std::string> arguments{"--listen",
                                       "127.0.0.1:" + std::to_string(plane.registered_port()),
                                       "--ops-listen",
                                       "127.0.0.1:0",
                                       "--tls-cert-file",
                                       plane.file("tls.crt"),
                                       "--tls-key-file",
                                       plane.file("tls.key"),
                                       "--kubeconfig",
                                       plane.kubernetes().kubeconfig(),
                                       "--frontend-address",
                                       "127.0.0.1:" + std::to_string(simulator_.frontend(0).port()),
                                       "--identity",
                                       "gate-0",
                                       "--drain",
                                       "0s"};
    arguments.insert(arguments.end(), flags_.begin(), flags_.end());
    if (std::find(flags_.begin(), flags_.end(), "--failure-backoff") == flags_.end()) {
      arguments.insert(arguments.end(), {"--failure-backoff", "1s"});
    }
    // Kept in the working directory: the first thing to read when a case fails.
    gate_.emplace(arguments, "gate-" + name_ + ".log");
    plane.register_webhooks(gate_->port());
  }

  ProcessResult patch_image(const std::string& component, const std::string& image,
                            const std::vector<std::string>& more = {}) {
    const json patch{{"spec", {{component, {{"image", image}}}}}};
    std::vector<std::string> arguments{"patch", "starrockscluster", name_, "--type=merge", "-p", patch.dump()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return plane.kubectl(arguments);
  }
  ProcessResult to(const std::string& version) {
    return patch_image("starRocksBeSpec", "starrocks/be-ubuntu:" + version);
  }

  [[nodiscard]] std::string image(const std::string& component = "starRocksBeSpec") {
    return object().at("spec").at(component).at("image");
  }
  [[nodiscard]] json object() { return plane.get_json("starrockscluster", name_); }
  /// All records of the cluster, oldest first.
  [[nodiscard]] std::vector<json> records() {
    std::vector<json> mine;
    const auto listed = json::parse(plane.must({"get", "upgradepreparations", "-o", "json"}));
    for (const auto& record : listed.at("items")) {
      if (record["spec"]["clusterRef"]["name"] == name_) mine.push_back(record);
    }
    std::sort(mine.begin(), mine.end(), [](const json& a, const json& b) {
      return std::stoul(a["metadata"]["resourceVersion"].get<std::string>()) <
             std::stoul(b["metadata"]["resourceVersion"].get<std::string>());
    });
    return mine;
  }
  [[nodiscard]] bool record_becomes(const std::string& field, const std::string& value) {
    const bool became = eventually(kPatience, [&] {
      const auto all = records();
      return !all.empty() && all.back().value("status", json::object()).value(field, "") == value;
    });
    if (!became) MESSAGE("records: " << json(records()).dump(2));
    return became;
  }
  [[nodiscard]] std::vector<std::string> set_statements() {
    std::vector<std::string> found;
    for (const auto& statement : simulator_.statements()) {
      if (statement.sql.rfind("ADMIN SET", 0) == 0) found.push_back(statement.sql);
    }
    return found;
  }
  [[nodiscard]] std::string config(const std::string& key, std::size_t frontend = 0) {
    return simulator_.frontend(frontend).config(key).value_or("?");
  }

  ControlPlane& plane = ControlPlane::get();
  FrontendSimulator& frontends() { return simulator_; }
  GateProcess& gate() { return *gate_; }

 private:
  const std::string name_;
  FrontendSimulator simulator_;
  const std::vector<std::string> flags_;
  std::optional<GateProcess> gate_;
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

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
  CHECK(contains(refused.err, "Repeat the same apply"));
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
  CHECK(scene.set_statements().size() == 2);
}

TEST_CASE("critical hook fails: refused with hook and SQL error, captured settings put back, succeeds once mended") {
  Scene scene("critical", with_hooks("disable-tablet-clone,disable-balancer"));
  scene.frontends().fail("disable_balance\" =", {5203, "42000", "Access denied; you need OPERATE"});
  const auto refused = scene.to("3.3.1");
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
    CHECK(contains(back.err, "Warning: upgrade gate: back to the images before"));
    CHECK(scene.record_becomes("outcome", "Reverted"));
    CHECK(eventually(kPatience, [&] { return scene.config("disable_balance") == "false"; }));
    CHECK(scene.to("3.3.2").exit_code == 0);
    CHECK(scene.records().size() == 2);
    CHECK(scene.config("disable_balance") == "true");
  }
  SUBCASE("A to B in progress, then B to C: superseded, and the first value is still the one captured") {
    CHECK(scene.to("3.3.2").exit_code == 0);
    const auto records = scene.records();
    REQUIRE(records.size() == 2);
    const auto& successor = records[0]["spec"].contains("supersedes") ? records[0] : records[1];
    CHECK(successor.at("status").at("captured")[0]["value"] == "false");
    CHECK(successor.at("status").at("restoreOwed") == true);
  }
}

TEST_CASE("a setting put back by hand after Completed is noticed at admission and prepared again") {
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
  CHECK((contains(log, "settings drifted") || contains(log, "settings set again")));
}

TEST_CASE("failure 10: dry runs are allowed with a warning, write nothing and never connect to the FE") {
  Scene scene("dry", with_hooks("disable-balancer"));
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
  REQUIRE(eventually(kPatience, [&] {
    return scene.object()
               .value("status", json::object())
               .value("upgradePreparationStatus", json::object())
               .value("phase", "") == "Completed";
  }));
  auto object = scene.object();
  const auto mirror = object["status"]["upgradePreparationStatus"];
  object["status"] = {{"phase", "reconciling"}};  // as a typed client that does not know the field
  // Not the gate's own account: that one may remove the field.
  const auto replace = [&] {
    const auto done = scene.plane.kubernetes().kubectl_as("operator", {"replace", "--subresource=status", "-f", "-"},
                                                          {.input = object.dump()});
    INFO(done.err);
    REQUIRE(done.exit_code == 0);
    return scene.object();
  };
  const auto after = replace();
  CHECK(after.at("status").at("phase") == "reconciling");
  CHECK(after.at("status").value("upgradePreparationStatus", json()) == mirror);
  // The same write again changes nothing: no new version, so no event that could start a loop.
  object["metadata"]["resourceVersion"] = after.at("metadata").at("resourceVersion");
  CHECK(replace().at("metadata").at("resourceVersion") == after.at("metadata").at("resourceVersion"));
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

TEST_CASE("the emergency exit: for whom RBAC says so, for one target, recorded and told") {
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
  const auto line = refused.err.find("Target key, for the emergency exit");
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
  CHECK(contains(scene.gate().ops_get("/metrics"), "upgrade_gate_bypasses_total 1"));
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

TEST_CASE("release pays every debt: with the gate serving, and after it was killed") {
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
  CHECK(contains(stuck.out, ": called off"));
  CHECK(contains(stuck.out, "still owed, default/release-"));
  CHECK(scene.config("disable_balance") == "true");
  scene.frontends().clear_faults();
  const auto done = release({"--timeout", "100s", "--namespace", "default"});
  INFO(done.out << done.err);
  CHECK(done.exit_code == 0);
  CHECK(contains(done.out, "nothing is owed\n"));
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
