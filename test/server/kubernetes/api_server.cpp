#include "test/server/kubernetes/api_server.hpp"

#include <doctest/doctest.h>

#include <atomic>

namespace gate::test {

KubernetesEnvironment& api_server() {
  static const std::unique_ptr<KubernetesEnvironment> environment = [] {
    auto started = KubernetesEnvironment::start_or_skip({{kNobody, {}}});
    for (const char* file : {"manifests/crd/upgradepreparation.yaml", "test/e2e/starrocks-crds.yaml"}) {
      const auto applied = started->kubectl({"apply", "--server-side", "-f", source_file(file)});
      REQUIRE_MESSAGE(applied.exit_code == 0, applied.err);
    }
    const auto established = started->kubectl({"wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"});
    REQUIRE_MESSAGE(established.exit_code == 0, established.err);
    return started;
  }();
  return *environment;
}

std::unique_ptr<KubeClient> make_client(const std::string& user) {
  auto config = kube_config_from_file(api_server().kubeconfig_of(user));
  REQUIRE_MESSAGE(config.ok(), (config.ok() ? "" : config.error().message));
  auto client = KubeClient::create(std::move(*config), {.version = "test"});
  REQUIRE_MESSAGE(client.ok(), (client.ok() ? "" : client.error().message));
  return std::move(*client);
}

std::string make_namespace() {
  static std::atomic<int> last{0};
  const std::string name = "test-" + std::to_string(++last);
  const auto made = api_server().kubectl({"create", "namespace", name});
  REQUIRE_MESSAGE(made.exit_code == 0, made.err);
  return name;
}

}  // namespace gate::test
