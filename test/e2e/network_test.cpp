// Goal: an installation as people make it works in networks and under names that are not those of its authors: IPv6
// alone; another DNS domain, namespace and prefix. Method: in-network.sh makes the network and the gate's pod; the
// manifests are rendered and applied with kubectl; the gate runs with the flags and as the service account that they
// say, and nothing else tells it where it is. Only the certificate and the webhooks' URLs are the test's own.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "server/httplib.hpp"
#include "test/e2e/scene.hpp"

using namespace gate;
using namespace gate::test;

namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) skip_test("a network of its own is missing: run it by test/e2e/in-network.sh");
  return value;
}

bool is_moved() { return environment("GATE_TEST_NETWORK") == "moved"; }
std::string gate_namespace() { return is_moved() ? "platform" : "starrocks-upgrade-gate"; }
std::string gate_name() { return is_moved() ? "sr-upgrade-gate" : "upgrade-gate"; }
std::string service_account() { return "system:serviceaccount:" + gate_namespace() + ":" + gate_name(); }

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// The manifests, applied; a gate that runs by them; a cluster "analytics/sales" with its FE. Made once.
class Installation {
 public:
  Installation() : plane_(ControlPlane::get()), simulator_(options()) {
    render();
    plane_.must({"apply", "-f", kSource + "/test/e2e/cert-manager-stand-in.yaml"});
    plane_.must({"wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"});
    REQUIRE(eventually(kPatience, [&] {
      return plane_.kubectl({"apply", "-k", kustomization()}).exit_code ==
             0;  // the new kinds are served a moment later
    }));
    become_pod();
    make_cluster();
    start_gate();
  }

  ControlPlane& plane() { return plane_; }
  FrontendSimulator& frontend() { return simulator_; }
  GateProcess& gate() { return *gate_; }

  ProcessResult to(const std::string& version) {
    const json patch{{"spec", {{"starRocksBeSpec", {{"image", "starrocks/be-ubuntu:" + version}}}}}};
    return plane_.kubectl(
        {"patch", "starrockscluster", "sales", "-n", "analytics", "--type=merge", "-p", patch.dump()});
  }
  json get(const std::string& kind, const std::string& name) {
    return json::parse(plane_.must({"get", kind, name, "-n", "analytics", "-o", "json"}));
  }

 private:
  static FrontendSimulatorOptions options() {
    FrontendSimulatorOptions out;
    out.address = environment("GATE_TEST_POD_ADDRESS");
    return out;
  }

  std::string kustomization() { return plane_.file(is_moved() ? "manifests/named" : "manifests/here").string(); }

  /// As manifests/components/README.md has it.
  void render() {
    fs::copy(kSource + "/manifests", plane_.file("manifests"), fs::copy_options::recursive);
    const std::string head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
    const auto write = [&](const std::string& folder, const std::string& text) {
      fs::create_directories(plane_.file("manifests/" + folder));
      std::ofstream(plane_.file("manifests/" + folder + "/kustomization.yaml")) << head << text;
    };
    const std::string policies = "components: [../components/record-policy, ../components/bypass-policy]\n";
    write("here", "resources: [../base]\n" + policies);
    write("inner", "namespace: platform\nnamePrefix: sr-\nresources: [../base]\n" + policies);
    write("named", "resources: [../inner]\ncomponents: [../components/certificate-names]\n");
  }

  /// What the kubelet puts into a pod.
  void become_pod() {
    const fs::path folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    REQUIRE(fs::exists(folder));
    const auto kubeconfig = text_of(plane_.kubernetes().kubeconfig_of(service_account()));
    const auto at = kubeconfig.find("{token: ") + 8;
    std::ofstream(folder / "token") << kubeconfig.substr(at, kubeconfig.find('}', at) - at);
    std::ofstream(folder / "namespace") << gate_namespace();
    fs::copy_file(plane_.file("server.crt"), folder / "ca.crt");
    setenv("KUBERNETES_SERVICE_HOST", loopback().c_str(), 1);
    setenv("KUBERNETES_SERVICE_PORT", std::to_string(plane_.kubernetes().port()).c_str(), 1);
  }

  void make_cluster() {
    plane_.must({"create", "namespace", "analytics"});
    const auto port = simulator_.frontend(0).port();
    const auto add = [&](json object) {
      object["metadata"]["namespace"] = "analytics";
      plane_.apply(object);
    };
    const char* const family = is_moved() ? "IPv4" : "IPv6";
    // Without a selector: there are no pods, and nobody else writes the slice.
    add({{"apiVersion", "v1"},
         {"kind", "Service"},
         {"metadata", {{"name", "sales-fe-service"}}},
         {"spec", {{"clusterIP", "None"}, {"ports", {{{"name", "query"}, {"port", port}}}}}}});
    add({{"apiVersion", "discovery.k8s.io/v1"},
         {"kind", "EndpointSlice"},
         {"metadata", {{"name", "sales-fe"}, {"labels", {{"kubernetes.io/service-name", "sales-fe-service"}}}}},
         {"addressType", family},
         {"endpoints", {{{"addresses", {environment("GATE_TEST_POD_ADDRESS")}}}}},
         {"ports", {{{"name", "query"}, {"port", port}}}}});
    add(cluster("sales", with_hooks("disable-balancer")));
    plane_.must({"patch", "starrockscluster", "sales", "-n", "analytics", "--subresource=status", "--type=merge", "-p",
                 R"({"status":{"phase":"running"}})"});
  }

  void start_gate() {
    const auto deployment =
        json::parse(plane_.must({"get", "deployment", gate_name(), "-n", gate_namespace(), "-o", "json"}));
    std::vector<std::string> arguments{"--failure-backoff=1s", "--drain=0s", "--identity=gate-0"};
    if (is_moved()) arguments.emplace_back("--cluster-domain=corp.example");
    const json& given = deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    REQUIRE(given.at(0) == "serve");
    for (std::size_t i = 1; i < given.size(); ++i) {
      auto argument = given[i].get<std::string>();
      // Any port instead of the usual one: the address is the manifest's.
      for (const std::string listens : {"--listen=:", "--ops-listen=:"}) {
        if (argument.starts_with(listens)) argument = listens + "0";
      }
      if (argument.starts_with("--tls-cert-file")) argument = "--tls-cert-file=" + plane_.file("tls.crt").string();
      if (argument.starts_with("--tls-key-file")) argument = "--tls-key-file=" + plane_.file("tls.key").string();
      arguments.push_back(argument);
    }
    // It is ready once it could write its paths into the webhook configurations.
    gate_.emplace(arguments, "gate-network.log");
    const auto rendered =
        run_process("/bin/bash",
                    {kSource + "/test/e2e/webhooks-by-url.sh", "https://" + at_loopback(gate_->port()),
                     plane_.file("ca.crt").string(), kustomization()},
                    {.environment = {"KUBECTL=" + plane_.kubernetes().kubectl_path().string()}});
    INFO(rendered.err);
    REQUIRE(rendered.exit_code == 0);
    plane_.must({"apply", "-f", "-"}, {.input = rendered.out});
    REQUIRE(eventually(kPatience, [&] {
      auto probe = cluster("probe", {{"starrocks.com/upgrade-hooks", "no-such-hook"}});
      return plane_.kubectl({"create", "--dry-run=server", "-f", "-"}, {.input = probe.dump()}).exit_code != 0;
    }));
  }

  ControlPlane& plane_;
  FrontendSimulator simulator_;
  std::optional<GateProcess> gate_;
};

Installation& installation() {
  static Installation made;
  return made;
}

}  // namespace

TEST_CASE("an upgrade is prepared through the FE's Service, admitted, mirrored and taken back") {
  environment("GATE_TEST_NETWORK");
  auto& here = installation();
  ProcessResult done;
  CHECK(eventually(kPatience, [&] { return (done = here.to("3.3.1")).exit_code == 0; }));
  INFO(done.err, here.gate().log());
  REQUIRE(done.exit_code == 0);
  CHECK(here.frontend().frontend(0).config("disable_balance") == "true");
  CHECK(eventually(kPatience, [&] {
    return here.get("starrockscluster", "sales")["status"]
               .value("upgradePreparationStatus", json::object())
               .value("phase", "") == "Completed";
  }));
  // The settings stay for a rollout that nobody does here; the way back restores them.
  CHECK(here.to("3.3.0").exit_code == 0);
}

TEST_CASE("only the API server is served, at paths that the gate wrote into the webhooks of its own installation") {
  environment("GATE_TEST_NETWORK");
  auto& here = installation();
  for (const std::string kind : {"validatingwebhookconfiguration", "mutatingwebhookconfiguration"}) {
    const auto webhooks = here.plane().get_json(kind, gate_name())["webhooks"];
    for (const auto& webhook : webhooks) {
      const auto url = webhook["clientConfig"]["url"].get<std::string>();
      CHECK(url.find("https://" + at_loopback(here.gate().port()) + "/") == 0);
      CHECK(contains(url, "/t"));
    }
  }
  httplib::SSLClient stranger(loopback(), here.gate().port());
  stranger.enable_server_certificate_verification(false);
  const auto answer = stranger.Post("/validate", "{}", "application/json");
  REQUIRE(answer);
  CHECK(answer->status == 403);
}

TEST_CASE("nobody but the gate's own service account writes records") {
  environment("GATE_TEST_NETWORK");
  auto& here = installation();
  const auto records = json::parse(here.plane().must({"get", "srup", "-n", "analytics", "-o", "json"}));
  REQUIRE_FALSE(records["items"].empty());
  json copy = records["items"][0];
  copy["metadata"] = {{"name", "forged"}, {"namespace", "analytics"}};
  const auto forged = here.plane().kubectl({"create", "-f", "-"}, {.input = copy.dump()});
  CHECK(forged.exit_code != 0);
  CHECK(contains(forged.err, "only the upgrade gate itself writes UpgradePreparations"));
}

TEST_CASE("check finds the webhooks, the paths' key and the rights of the installation by its name") {
  environment("GATE_TEST_NETWORK");
  auto& here = installation();
  const auto ran = run_process(gate_binary(),
                               {"check", "--gate-namespace=" + gate_namespace(), "--gate-name=" + gate_name(),
                                "--output=json", "--kubeconfig=" + here.plane().kubernetes().kubeconfig().string(),
                                "--kubectl=" + here.plane().kubernetes().kubectl_path().string()},
                               // It asks kubectl some thirty times.
                               {.timeout = std::chrono::seconds(300)});
  INFO(ran.out, ran.err);
  const auto lines = json::parse(ran.out, nullptr, false);
  REQUIRE(lines.is_array());
  std::size_t found = 0;
  for (const auto& line : lines) {
    const auto subject = line.at("subject").get<std::string>();
    if (subject != "RBAC" && subject != "Caller authentication" && !subject.starts_with("Verdict")) continue;
    ++found;
    INFO(subject, ": ", line.at("message").get<std::string>());
    CHECK(line.at("result") == "ok");
  }
  CHECK(found == 3);
}
