// Goal: a release whose image change is refused, as people and helm-controller drive it: what is changed beside the
// refused object, how the same upgrade succeeds later, and what `helm rollback` does after one refusal.
// Method: as in gate_test.cpp, with the real helm, 3 and 4.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "test/e2e/scene.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

/// Building helm takes minutes, once.
constexpr auto kBuildPatience = 1100s;

constexpr const char* kTemplate = R"(apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-fe-conf
data:
  fe.conf: "written for {{ .Values.tag }}"
---
apiVersion: starrocks.com/v1
kind: StarRocksCluster
metadata:
  name: {{ .Release.Name }}
  annotations:
    starrocks.com/prepare-upgrade: "true"
    starrocks.com/upgrade-hooks: disable-balancer
spec:
  starRocksFeSpec: {image: "starrocks/fe-ubuntu:3.3.0", replicas: 1}
  starRocksBeSpec: {image: "starrocks/be-ubuntu:{{ .Values.tag }}", replicas: 3}
)";

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

class Helm {
 public:
  explicit Helm(const std::string& major) {
    const auto built =
        run_process("/bin/bash", {kSource + "/build-support/build-helm.sh", major}, {.timeout = kBuildPatience});
    if (built.exit_code == 77) skip_test(built.err);
    INFO(built.err);
    REQUIRE(built.exit_code == 0);
    program_ = built.out.substr(0, built.out.find('\n'));
    chart_ = ControlPlane::get().file("chart-" + major);
    write(chart_ / "Chart.yaml", "apiVersion: v2\nname: starrocks\nversion: 1.0.0\n");
    write(chart_ / "values.yaml", "tag: 3.3.0\n");
    write(chart_ / "templates" / "all.yaml", kTemplate);
  }

  ProcessResult operator()(std::vector<std::string> arguments) const {
    auto& kubernetes = ControlPlane::get().kubernetes();
    arguments.insert(arguments.end(), {"--kubeconfig", kubernetes.kubeconfig(), "--namespace", "default"});
    const auto home = ControlPlane::get().file("helm-home").string();
    return run_process(
        program_, arguments,
        {.environment = {"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}});
  }
  ProcessResult upgrade(const std::string& release, const std::string& tag) const {
    return (*this)({"upgrade", release, chart_.string(), "--set", "tag=" + tag});
  }
  [[nodiscard]] std::string chart() const { return chart_.string(); }

 private:
  std::filesystem::path program_;
  std::filesystem::path chart_;
};

}  // namespace

TEST_CASE("a helm release: refused with its neighbours changed, repeated with success, rolled back") {
  for (const std::string major : {"3", "4"}) {
    INFO("helm " << major);
    const Helm helm(major);
    const std::string release = "h" + major;
    Scene scene(release, json::object());
    auto& plane = scene.plane;
    plane.must({"delete", "starrockscluster", release});
    const auto conf = [&] {
      return plane.get_json("configmap", release + "-fe-conf").at("data").at("fe.conf").get<std::string>();
    };
    const auto installed = helm({"install", release, helm.chart()});
    INFO(installed.err);
    REQUIRE(installed.exit_code == 0);
    CHECK(scene.image() == "starrocks/be-ubuntu:3.3.0");

    scene.frontends().hang("ADMIN SET");
    // A dry run on the server's side never reaches the gate: helm does not send it the objects.
    const auto dry = helm({"upgrade", release, helm.chart(), "--set", "tag=3.3.1", "--dry-run=server"});
    INFO(dry.err);
    CHECK(dry.exit_code == 0);
    CHECK(scene.records().empty());

    const auto refused = helm.upgrade(release, "3.3.1");
    INFO(refused.err);
    CHECK(refused.exit_code != 0);
    CHECK(contains(refused.err, "is on hold: pre-upgrade hooks"));
    CHECK(contains(refused.err, "Re-apply in a few minutes"));
    CHECK(scene.image() == "starrocks/be-ubuntu:3.3.0");
    CHECK(conf() == "written for 3.3.1");  // the release's other objects are applied

    // The same again, once the hooks are through.
    scene.frontends().clear_faults();
    CHECK(eventually(kPatience, [&] { return helm.upgrade(release, "3.3.1").exit_code == 0; }));
    CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");

    // Another one is refused, and rolled back.
    scene.frontends().hang("ADMIN SHOW");
    const auto again = helm.upgrade(release, "3.3.2");
    INFO(again.err);
    CHECK(again.exit_code != 0);
    // One refusal back is the revision before: its neighbours are restored, and the gate is not asked.
    const auto back = helm({"rollback", release});
    INFO(back.err);
    CHECK(back.exit_code == 0);
    CHECK(conf() == "written for 3.3.1");
    CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
    // The way on is an upgrade with the old values.
    scene.frontends().clear_faults();
    const auto old_values = helm.upgrade(release, "3.3.1");
    INFO(old_values.err);
    CHECK(old_values.exit_code == 0);
    CHECK(conf() == "written for 3.3.1");
    CHECK(scene.image() == "starrocks/be-ubuntu:3.3.1");
    CHECK(helm({"uninstall", release}).exit_code == 0);
  }
}
