// What other people's applies do to the gate's own installation.

#include "server/kubernetes/installation_watch.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <map>

#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/fake_api_server.hpp"

namespace gate {

using nlohmann::json;

namespace {

json webhook(const std::string& name, const std::string& name_space = "gates") {
  return {{"name", name + ".gate.starrocks.com"},
          {"failurePolicy", "Fail"},
          {"clientConfig", {{"service", {{"namespace", name_space}}}, {"caBundle", "Q0E="}}}};
}

json ignored(json webhook) {
  webhook["failurePolicy"] = "Ignore";
  return webhook;
}

json crd(const json& spec, const json& status) {
  return {{"metadata", {{"uid", "u"}, {"resourceVersion", "7"}, {"name", "x"}}},
          {"spec",
           {{"versions",
             {{{"name", "v1"},
               {"storage", true},
               {"schema",
                {{"openAPIV3Schema",
                  {{"properties", {{"spec", {{"properties", spec}}}, {"status", {{"properties", status}}}}}}}}}}}}}}};
}

const json kText{{"type", "string"}};

/// The API server's objects by path; null is 404, a number that status. Events are kept.
class Objects {
 public:
  Objects() {
    put("validatingwebhookconfigurations/upgrade-gate", {{"metadata", {{"uid", "v"}, {"resourceVersion", "5"}}},
                                                         {"webhooks", {webhook("clusters"), webhook("warehouses")}}});
    put("mutatingwebhookconfigurations/upgrade-gate", {{"metadata", {{"uid", "m"}, {"resourceVersion", "6"}}},
                                                       {"webhooks", {webhook("status"), webhook("statefulsets")}}});
    put("customresourcedefinitions/upgradepreparations.gate.starrocks.com",
        crd({{"supersedes", kText}}, {{"captured", kText},
                                      {"restoreOwed", kText},
                                      {"observedGeneration", kText},
                                      {"conditions", {{"items", {{"properties", {{"type", kText}}}}}}}}));
    put("customresourcedefinitions/starrocksclusters.starrocks.com",
        crd({{"upgradePreparation", kText}},
            {{"upgradePreparationStatus", kText}, {"conditions", {{"type", "array"}}}, {"observedGeneration", kText}}));
  }
  void put(const std::string& path, const json& object) {
    const std::scoped_lock lock(mutex_);
    objects_[path] = object;
  }
  [[nodiscard]] json get(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    return objects_[path];
  }
  [[nodiscard]] std::vector<json> events() {
    const std::scoped_lock lock(mutex_);
    return events_;
  }
  void answer(const httplib::Request& request, httplib::Response& response) {
    const std::scoped_lock lock(mutex_);
    if (request.method == "POST") {
      events_.push_back(json::parse(request.body));
      return test::answer_json(response, events_.back(), 201);
    }
    for (const auto& [path, object] : objects_) {
      if (!request.path.ends_with("/" + path)) continue;
      if (object.is_number()) return test::answer_status(response, object.get<int>(), "Why");
      if (object.is_object()) return test::answer_json(response, object);
    }
    test::answer_status(response, 404, "NotFound");
  }

 private:
  std::mutex mutex_;
  std::map<std::string, json> objects_;
  std::vector<json> events_;
};

struct Watched {
  Objects objects;
  test::FakeApiServer server{
      [this](const httplib::Request& request, httplib::Response& response) { objects.answer(request, response); }};
  std::unique_ptr<KubeClient> client = server.client();
  SystemClock clock;
  std::mutex told_mutex;
  std::vector<std::string> told;  // to the observer
  InstallationWatch watch{*client, clock, test::quiet_log(),
                          InstallationWatchOptions{"gates", "upgrade-gate", "me", std::chrono::milliseconds(5)},
                          [this](std::string_view part, const std::string& fault) {
                            const std::scoped_lock lock(told_mutex);
                            told.push_back(std::string(part) + (fault.empty() ? " good" : " bad"));
                          }};

  /// Waits until a part is as told; what it is then.
  InstallationPart part(std::size_t index, std::optional<bool> good) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (;;) {
      auto now = watch.parts()[index];
      if (now.good == good || std::chrono::steady_clock::now() > give_up) return now;
      std::this_thread::yield();
    }
  }
  /// Waits until a part's fault has these words.
  InstallationPart part_with(std::size_t index, std::string_view words) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (;;) {
      auto now = watch.parts()[index];
      if (now.fault.find(words) != std::string::npos || std::chrono::steady_clock::now() > give_up) return now;
      std::this_thread::yield();
    }
  }
  /// Waits until as many Events were written.
  std::vector<json> events(std::size_t count) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (;;) {
      auto now = objects.events();
      if (now.size() >= count || std::chrono::steady_clock::now() > give_up) return now;
      std::this_thread::yield();
    }
  }
};

}  // namespace

TEST_CASE("an installation as it should be is found so, without a word") {
  Watched world;
  for (const auto& part : world.watch.parts()) CHECK_FALSE(part.good.has_value());
  world.watch.start();
  for (std::size_t i = 0; i < kInstallationParts.size(); ++i) {
    const auto part = world.part(i, true);
    CAPTURE(part.fault);
    CHECK(part.part == kInstallationParts[i]);
    CHECK(part.good == true);
  }
  world.watch.stop();
  CHECK(world.objects.events().empty());
}

TEST_CASE("what somebody's apply takes away is told once, and so is its return") {
  struct Row {
    const char* name;
    std::size_t part;
    const char* path;
    json becomes;
    const char* fault;
    const char* kind;
  };
  const Row rows[] = {
      {"the webhooks are gone", 0, "validatingwebhookconfigurations/upgrade-gate", json(), "nothing is gated",
       "ValidatingWebhookConfiguration"},
      {"one is missing",
       0,
       "validatingwebhookconfigurations/upgrade-gate",
       {{"webhooks", {webhook("clusters")}}},
       "warehouses.gate.starrocks.com is missing",
       "ValidatingWebhookConfiguration"},
      {"they are another gate's",
       1,
       "mutatingwebhookconfigurations/upgrade-gate",
       {{"webhooks", {webhook("status", "elsewhere"), webhook("statefulsets")}}},
       "calls namespace elsewhere, not gates",
       "MutatingWebhookConfiguration"},
      {"led rollouts are taken away",
       4,
       "mutatingwebhookconfigurations/upgrade-gate",
       {{"webhooks", {webhook("status")}}},
       "statefulsets.gate.starrocks.com is missing; pods that a led rollout keeps back roll",
       "MutatingWebhookConfiguration"},
      {"an outage would let go what is led",
       4,
       "mutatingwebhookconfigurations/upgrade-gate",
       {{"webhooks", {webhook("status"), ignored(webhook("statefulsets"))}}},
       "has failurePolicy Ignore, not Fail",
       "MutatingWebhookConfiguration"},
      {"the record's CRD is older", 2, "customresourcedefinitions/upgradepreparations.gate.starrocks.com",
       crd({{"supersedes", kText}}, {{"captured", kText}}), "older than this program", "CustomResourceDefinition"},
      {"the operator's CRD was upgraded", 3, "customresourcedefinitions/starrocksclusters.starrocks.com",
       crd({{"image", kText}}, {{"phase", kText}}), "apply it again", "CustomResourceDefinition"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    Watched world;
    world.watch.start();
    REQUIRE(world.part(row.part, true).good == true);
    const auto before = world.objects.get(row.path);
    world.objects.put(row.path, row.becomes);
    const auto part = world.part(row.part, false);
    CHECK(part.good == false);
    CHECK_MESSAGE(part.fault.find(row.fault) != std::string::npos, part.fault);
    REQUIRE(world.events(1).size() == 1);
    world.objects.put(row.path, before);
    CHECK(world.part(row.part, true).good == true);
    const auto events = world.events(2);
    world.watch.stop();
    REQUIRE(events.size() == 2);
    CHECK(world.objects.events().size() == 2);
    CHECK(events[0]["type"] == "Warning");
    CHECK(events[0]["reason"] == "UpgradeGateInstallation");
    CHECK(events[0]["message"] == part.fault);
    CHECK(events[0]["involvedObject"]["kind"] == row.kind);
    CHECK(events[0]["metadata"]["namespace"] == "default");
    CHECK(events[1]["type"] == "Normal");
    CHECK(events[0]["metadata"]["name"] != events[1]["metadata"]["name"]);
    const std::string part_name = kInstallationParts[row.part];
    CHECK(world.told == std::vector<std::string>{part_name + " bad", part_name + " good"});
  }
}

TEST_CASE("what is a choice and was never there is no Event; a webhook that was never there is told") {
  Watched world;
  world.objects.put("mutatingwebhookconfigurations/upgrade-gate", {{"webhooks", {webhook("status")}}});
  world.objects.put("customresourcedefinitions/starrocksclusters.starrocks.com", crd(json::object(), json::object()));
  world.objects.put("validatingwebhookconfigurations/upgrade-gate", json());
  world.watch.start();
  CHECK(world.part(3, false).good == false);
  CHECK(world.part(4, false).good == false);
  const auto events = world.events(1);
  REQUIRE(events.size() == 1);
  CHECK(events[0]["involvedObject"]["kind"] == "ValidatingWebhookConfiguration");
}

TEST_CASE("a gate that starts before its manifests tells what is missing, and no choice that nobody made") {
  const char* const webhooks = "mutatingwebhookconfigurations/upgrade-gate";
  const char* const cluster_crd = "customresourcedefinitions/starrocksclusters.starrocks.com";
  Watched world;
  const auto all_webhooks = world.objects.get(webhooks);
  const auto extended = world.objects.get(cluster_crd);
  for (const char* path : {webhooks, cluster_crd}) world.objects.put(path, json());
  world.watch.start();
  for (const std::size_t part : {1, 3, 4}) CHECK(world.part(part, false).good == false);
  CHECK(world.events(1).size() == 1);
  auto without_leading = all_webhooks;
  without_leading["webhooks"].erase(1);
  world.objects.put(webhooks, without_leading);
  world.objects.put(cluster_crd, crd(json::object(), json::object()));
  CHECK(world.part(1, true).good == true);
  CHECK(world.part_with(3, "without the gate's extension").good == false);
  CHECK(world.part_with(4, "is missing").good == false);
  CHECK(world.events(2).size() == 2);

  // Chosen now, unreadable for a while, and lost.
  world.objects.put(webhooks, all_webhooks);
  world.objects.put(cluster_crd, extended);
  for (const std::size_t part : {3, 4}) CHECK(world.part(part, true).good == true);
  world.objects.put(webhooks, 500);
  CHECK_FALSE(world.part(4, std::nullopt).good.has_value());
  world.objects.put(webhooks, without_leading);
  CHECK(world.part(4, false).good == false);
  CHECK(world.events(3).size() == 3);
  world.watch.stop();
  CHECK(world.told ==
        std::vector<std::string>{"mutating_webhooks bad", "mutating_webhooks good", "rollout_webhook bad"});
}

TEST_CASE("what may not be read, or not now, is neither good nor bad") {
  for (const int status : {403, 500}) {
    CAPTURE(status);
    Watched world;
    world.objects.put("customresourcedefinitions/starrocksclusters.starrocks.com", status);
    world.watch.start();
    CHECK(world.part(0, true).good == true);
    world.watch.stop();
    CHECK_FALSE(world.watch.parts()[3].good.has_value());
    CHECK(world.objects.events().empty());
  }
}

}  // namespace gate
