#pragma once
// What e2e cases play in: one control plane for a test program, and a cluster with its FE and a gate for each case.

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/tls/dev_certificate.hpp"
#include "test/e2e/environment.hpp"
#include "test/e2e/gate_process.hpp"
#include "test/fakes/frontend_simulator.hpp"

namespace gate::test {

using nlohmann::json;

inline const std::string kSource = GATE_SOURCE_DIR;
inline constexpr auto kPatience = std::chrono::seconds(60);

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

  /// Whose webhooks register_webhooks() takes.
  std::string kustomization = "manifests/base";

  /// Points our webhook configurations to a gate on `port` and waits until the API server uses them.
  void register_webhooks(std::uint16_t port) {
    if (port == registered_port_) return;
    const auto rendered = run_process("/bin/bash",
                                      {kSource + "/test/e2e/webhooks-by-url.sh", "https://" + at_loopback(port),
                                       file("ca.crt").string(), kSource + "/" + kustomization},
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
  ControlPlane()
      : environment_(KubernetesEnvironment::start_or_skip(
            {{"operator", {"system:masters"}},
             {"system:serviceaccount:starrocks-upgrade-gate:upgrade-gate", {"system:serviceaccounts"}},
             {"system:serviceaccount:platform:sr-upgrade-gate", {"system:serviceaccounts"}}})) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto made = make_dev_certificate(
        {{"localhost"}, {loopback()}, now - std::chrono::hours(1), now + std::chrono::hours(24 * 30)});
    REQUIRE(made.ok());
    REQUIRE(write_dev_certificate(*made, environment_->directory().string()).ok());
    const char* real = std::getenv("STARROCKS_CRDS");
    must({"create", "-f", real != nullptr ? real : kSource + "/test/e2e/starrocks-crds.yaml"});
    must({"apply", "-f", kSource + "/manifests/crd/upgradepreparation.yaml"});
    must({"patch", "crd", "starrocksclusters.starrocks.com", "--type=json", "--patch-file",
          kSource + "/manifests/crd-extension/starrocksclusters-patch.yaml"});
    must({"patch", "crd", "starrockswarehouses.starrocks.com", "--type=json", "--patch-file",
          kSource + "/manifests/crd-extension/starrockswarehouses-patch.yaml"});
    must({"wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"});
    REQUIRE(eventually(kPatience, [&] {
      return kubectl({"get", "starrocksclusters,starrockswarehouses,upgradepreparations"}).exit_code == 0;
    }));
  }
  std::unique_ptr<KubernetesEnvironment> environment_;
  std::uint16_t registered_port_ = 0;
};

inline json cluster(const std::string& name, const json& annotations = json::object()) {
  return {{"apiVersion", "starrocks.com/v1"},
          {"kind", "StarRocksCluster"},
          {"metadata", {{"name", name}, {"namespace", "default"}, {"annotations", annotations}}},
          {"spec",
           {{"starRocksFeSpec", {{"image", "starrocks/fe-ubuntu:3.3.0"}, {"replicas", 1}}},
            {"starRocksBeSpec", {{"image", "starrocks/be-ubuntu:3.3.0"}, {"replicas", 3}}},
            {"starRocksCnSpec", {{"image", "starrocks/cn-ubuntu:3.3.0"}, {"replicas", 1}}}}}};
}

inline json with_hooks(const std::string& hooks, const json& more = json::object()) {
  json annotations{{"starrocks.com/prepare-upgrade", "true"}, {"starrocks.com/upgrade-hooks", hooks}};
  annotations.update(more);
  return annotations;
}

/// A cluster object in the API server with its FE and a gate in front of it.
class Scene {
 public:
  explicit Scene(const std::string& name, const json& annotations, FrontendSimulatorOptions frontends = {},
                 std::vector<std::string> flags = {})
      : name_(name), simulator_(at_our_loopback(std::move(frontends))), flags_(std::move(flags)) {
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

  static FrontendSimulatorOptions at_our_loopback(FrontendSimulatorOptions options) {
    options.address = loopback();
    return options;
  }

  void start_gate() {
    std::vector<std::string> arguments{
        "--listen",
        at_loopback(plane.registered_port() == 0 ? free_port() : plane.registered_port()),
        "--ops-listen",
        at_loopback(0),
        "--tls-cert-file",
        plane.file("tls.crt"),
        "--tls-key-file",
        plane.file("tls.key"),
        "--kubeconfig",
        plane.kubernetes().kubeconfig(),
        "--frontend-address",
        at_loopback(simulator_.frontend(0).port()),
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

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace gate::test
