// The client against a real API server.

#include "test/server/kubernetes/api_server.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/kubernetes/client/resource_watch.hpp"
#include "test/fakes/quiet_log.hpp"

namespace gate {

using nlohmann::json;
using test::in_seconds;

namespace {

json config_map(const std::string& name, const std::string& value) {
  return {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}}}, {"data", {{"key", value}}}};
}

}  // namespace

TEST_CASE("the client knows who it is") {
  const auto admin = test::make_client()->who_am_i(in_seconds(30));
  REQUIRE_MESSAGE(admin.ok(), (admin.ok() ? "" : admin.error().message));
  CHECK(*admin == "admin");
}

TEST_CASE("objects are created once, read, patched, replaced and deleted") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  const auto created = client->create_object(kube::kConfigMaps, name_space, config_map("one", "1"), in_seconds(30));
  REQUIRE_MESSAGE(created.ok(), (created.ok() ? "" : created.error().message));

  const auto again = client->create_object(kube::kConfigMaps, name_space, config_map("one", "2"), in_seconds(30));
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().code == ErrorCode::AlreadyExists);

  const auto patched = client->merge_patch(kube::kConfigMaps, name_space, "one", {},
                                           {{"data", {{"key", nullptr}, {"other", "x"}}}}, in_seconds(30));
  REQUIRE(patched.ok());
  CHECK(client->get(kube::kConfigMaps, name_space, "one", in_seconds(30))->at("data") == json{{"other", "x"}});

  const auto stale = client->replace(kube::kConfigMaps, name_space, "one", {}, *created, in_seconds(30));
  REQUIRE_FALSE(stale.ok());
  CHECK(stale.error().code == ErrorCode::Conflict);

  CHECK(client->remove(kube::kConfigMaps, name_space, "one", in_seconds(30)).ok());
  const auto gone = client->get(kube::kConfigMaps, name_space, "one", in_seconds(30));
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().code == ErrorCode::NotFound);
}

TEST_CASE("what the API server does not serve is Unavailable, not an object that is missing") {
  const auto missing =
      test::make_client()->get({"nowhere.example.com", "v1", "things"}, "default", "a", in_seconds(30));
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == ErrorCode::Unavailable);
}

TEST_CASE("an invalid object is Rejected with the status") {
  const auto refused =
      test::make_client()->create_object(kube::kConfigMaps, "default", config_map("Not A Name", ""), in_seconds(30));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::Rejected);
  CHECK(refused.error().peer_code == 422);
}

TEST_CASE("without rights the answer is PermissionDenied and names no credential") {
  const auto client = test::make_client(test::kNobody);
  const auto refused = client->get(kube::kSecrets, "default", "any", in_seconds(30));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::PermissionDenied);
  CHECK(refused.error().peer_code == 403);

  auto config = kube_config_from_file(test::api_server().kubeconfig());
  REQUIRE(config.ok());
  config->token = "not-a-token-anybody-gave-us";
  const auto stranger = KubeClient::create(*config);
  REQUIRE(stranger.ok());
  const auto unknown = (*stranger)->get(kube::kSecrets, "default", "any", in_seconds(30));
  REQUIRE_FALSE(unknown.ok());
  // Who issues the token renews it: that passes.
  CHECK(unknown.error().code == ErrorCode::Unavailable);
  CHECK(unknown.error().peer_code == 401);
  CHECK(unknown.error().message.find("not-a-token") == std::string::npos);
}

TEST_CASE("a token that was replaced in its file is used as soon as the old one is refused") {
  auto config = kube_config_from_file(test::api_server().kubeconfig());
  REQUIRE(config.ok());
  const std::string good = config->token;
  config->token_file = test::api_server().directory() / "replaced-token";
  std::ofstream(config->token_file) << "expired";
  const auto client = KubeClient::create(*config);
  REQUIRE(client.ok());
  const auto refused = (*client)->who_am_i(in_seconds(30));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().peer_code == 401);
  std::ofstream(config->token_file) << good << "\n";
  const auto accepted = (*client)->who_am_i(in_seconds(30));
  REQUIRE_MESSAGE(accepted.ok(), (accepted.ok() ? "" : accepted.error().message));
  CHECK(*accepted == "admin");
}

TEST_CASE("a server that the configured authority does not vouch for is not talked to") {
  struct Row {
    const char* name;
    void (*change)(KubeConfig&);
    bool accepted;
  };
  const Row rows[] = {
      {"as configured", [](KubeConfig&) {}, true},
      {"another name of the certificate", [](KubeConfig& config) { config.tls_server_name = "kubernetes.default.svc"; },
       true},
      {"a name that the certificate does not have", [](KubeConfig& config) { config.tls_server_name = "example.com"; },
       false},
      {"the system's roots", [](KubeConfig& config) { config.ca_pem.clear(); }, false},
      {"no verification, asked for",
       [](KubeConfig& config) {
         config.ca_pem.clear();
         config.insecure_skip_verify = true;
       },
       true},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    auto config = kube_config_from_file(test::api_server().kubeconfig());
    REQUIRE(config.ok());
    row.change(*config);
    const auto client = KubeClient::create(*config);
    REQUIRE(client.ok());
    const auto answer = (*client)->who_am_i(in_seconds(30));
    CHECK(answer.ok() == row.accepted);
    if (!row.accepted && !answer.ok()) CHECK(answer.error().code == ErrorCode::Unavailable);
  }
}

TEST_CASE("a list has all pages") {
  const std::string name_space = test::make_namespace();
  auto config = kube_config_from_file(test::api_server().kubeconfig());
  REQUIRE(config.ok());
  const auto client = KubeClient::create(*config, {.list_page_size = 3});
  REQUIRE(client.ok());
  std::set<std::string> made;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "item-" + std::to_string(i);
    REQUIRE((*client)->create_object(kube::kConfigMaps, name_space, config_map(name, ""), in_seconds(30)).ok());
    made.insert(name);
  }
  const auto list = (*client)->list(kube::kConfigMaps, name_space, in_seconds(30));
  REQUIRE(list.ok());
  std::set<std::string> listed;
  for (const auto& item : list->items) listed.insert(item.at("metadata").at("name").get<std::string>());
  CHECK(listed == made);
  CHECK_FALSE(list->resource_version.empty());
}

TEST_CASE("calls from many threads share a few connections") {
  const auto client = test::make_client();
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 24; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 5; ++n) good += client->get({"", "v1", "namespaces"}, {}, "default", in_seconds(60)).ok();
      });
    }
  }
  CHECK(good == 24 * 5);
}

TEST_CASE("a watch tells of objects that come, change and go, and stops at once") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  std::mutex mutex;
  std::vector<std::string> seen;
  std::chrono::steady_clock::time_point stopping;
  const auto has = [&](const std::string& wanted) {
    const std::scoped_lock lock(mutex);
    return std::find(seen.begin(), seen.end(), wanted) != seen.end();
  };
  REQUIRE(client->create_object(kube::kConfigMaps, name_space, config_map("old", "0"), in_seconds(30)).ok());
  {
    ResourceWatch watch(*client, kube::kConfigMaps, {.name_space = name_space}, test::quiet_log(),
                        [&](const json& object, bool removed) {
                          const std::scoped_lock lock(mutex);
                          seen.push_back(object.at("metadata").at("name").get<std::string>() +
                                         (removed ? " removed" : " " + object.at("data").at("key").get<std::string>()));
                        });
    CHECK_FALSE(watch.synced());
    watch.start();
    REQUIRE(test::eventually([&] { return watch.synced(); }));
    CHECK(has("old 0"));
    REQUIRE(client->create_object(kube::kConfigMaps, name_space, config_map("new", "1"), in_seconds(30)).ok());
    CHECK(test::eventually([&] { return has("new 1"); }));
    REQUIRE(
        client->merge_patch(kube::kConfigMaps, name_space, "new", {}, {{"data", {{"key", "2"}}}}, in_seconds(30)).ok());
    CHECK(test::eventually([&] { return has("new 2"); }));
    REQUIRE(client->remove(kube::kConfigMaps, name_space, "new", in_seconds(30)).ok());
    CHECK(test::eventually([&] { return has("new removed"); }));
    stopping = std::chrono::steady_clock::now();
  }
  CHECK(std::chrono::steady_clock::now() - stopping < std::chrono::seconds(10));
  CHECK_FALSE(has("old removed"));
}

}  // namespace gate
