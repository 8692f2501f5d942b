// Goal: a gate that is gone rolls nothing and stops nobody else, and tools that apply the same manifest again and again
// neither disturb a led rollout nor are disturbed by it.
// Method: as in rollout_test.cpp.

#include <doctest/doctest.h>

#include <chrono>
#include <functional>

#include "test/e2e/led_story.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

void kill_both(Story& story) {
  for (const std::size_t replica : {0, 1}) story.kill_gate(replica);
}

/// A cluster in another namespace that asked for nothing; no gate and no database belong to it.
class Bystander {
 public:
  Bystander(Story& story, std::string name) : story_(story), name_(std::move(name)) {
    story_.world.plane.must({"create", "namespace", name_});
    auto cluster = story_.first_cluster();
    cluster["metadata"].erase("annotations");
    cluster["metadata"]["namespace"] = name_;
    story_.world.plane.must({"create", "-f", "-"}, {.input = cluster.dump()});
    rolls_to("3.3.0");
  }
  ~Bystander() { (void)story_.world.plane.kubectl({"delete", "namespace", name_, "--wait=false"}); }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  void upgrade(const std::string& version) {
    const json patch{{"spec",
                      {{"starRocksFeSpec", {{"image", "starrocks/fe-ubuntu:" + version}}},
                       {"starRocksBeSpec", {{"image", "starrocks/be-ubuntu:" + version}}}}}};
    story_.world.plane.must(
        {"patch", "starrockscluster", "sr", "--namespace=" + name_, "--type=merge", "-p", patch.dump()});
    rolls_to(version);
  }

 private:
  void rolls_to(const std::string& version) {
    story_.until("the other namespace has " + version, [&] {
      const auto set = story_.world.read("/apis/apps/v1/namespaces/" + name_ + "/statefulsets/sr-be");
      if (!set) return false;
      const auto status = set->value("status", json::object());
      const std::string image = set->at("/spec/template/spec/containers/0/image"_json_pointer);
      return image.ends_with(":" + version) && status.value("updatedReplicas", 0) == set->at("spec").at("replicas") &&
             status.value("readyReplicas", 0) == set->at("spec").at("replicas");
    });
  }

  Story& story_;
  const std::string name_;
};

bool operator_reports(Story& story) {
  const auto status = story.cluster()["status"];
  return status.value("phase", "") == "failed" && contains(status.value("reason", ""), "gate.starrocks.com");
}

/// How often an Event with this reason was written about the cluster.
std::size_t events(Story& story, const std::string& reason) {
  const auto listed = story.object("events", "");
  REQUIRE(listed.has_value());
  const auto items = listed->at("items");
  std::size_t found = 0;
  for (const auto& event : items) {
    const bool about = event["involvedObject"].value("name", "") == "sr" && event.value("reason", "") == reason;
    found += about ? 1 : 0;
  }
  return found;
}

/// What the replica that no story of these kills says of the webhook that holds StatefulSets.
bool rollout_webhook_is(Story& story, const std::string& value) {
  const auto metrics = story.gate(1).ops_get("/metrics");
  return contains(metrics, "upgrade_gate_installation_ok{part=\"rollout_webhook\"} " + value + "\n");
}

/// What keeps pods back in a namespace: the webhook, and the label by which it selects.
struct Keeper {
  std::string name;
  std::function<void(Story&)> lose;
  std::function<void(Story&)> give_back;
};

std::vector<Keeper> keepers() {
  const auto label = [](Story& story, const std::string& change) {
    story.world.plane.must({"label", "namespace", story.name_space(), "gate.starrocks.com/rollouts" + change});
  };
  return {{"label", [=](Story& story) { label(story, "-"); }, [=](Story& story) { label(story, "=enabled"); }},
          {"webhook",
           [](Story& story) {
             story.world.plane.must({"delete", "mutatingwebhookconfiguration", "upgrade-gate"});
           },
           [](Story& story) {
             story.world.plane.forget_webhooks();
             story.kill_gate(0);  // whose successor registers them
             story.start_gate(0);
           }}};
}

/// The object without what the API server and the operator's and the gate's status writes move.
json as_applied(Story& story) {
  auto cluster = story.cluster();
  for (const char* moves : {"resourceVersion", "managedFields"}) cluster["metadata"].erase(moves);
  cluster.erase("status");
  return cluster;
}

/// When this manager last wrote the object, and what of it: an apply that changes nothing leaves it alone.
json written_by(Story& story, const std::string& manager) {
  const auto entries = story.cluster()["metadata"]["managedFields"];
  for (const auto& entry : entries) {
    if (entry["manager"] == manager && entry.value("subresource", "").empty()) return entry;
  }
  return {};
}

/// Applies the cluster's manifest on the server, as GitOps tools do.
class Applier {
 public:
  Applier(Story& story, std::string manager) : story_(story), manager_(std::move(manager)) {}

  ProcessResult apply(const json& manifest) {
    ++times_;
    last_ = std::chrono::steady_clock::now();
    return story_.kubectl({"apply", "--server-side", "--force-conflicts", "--field-manager=" + manager_, "-f", "-"},
                          {.input = manifest.dump()});
  }
  /// At most once a second. Whether it was admitted and changed nothing.
  bool applies_nothing(const json& manifest) {
    if (std::chrono::steady_clock::now() - last_ < 1s) return true;
    const auto before = as_applied(story_);
    const auto applied = apply(manifest);
    if (applied.exit_code != 0 || as_applied(story_) != before) MESSAGE(applied.out << applied.err);
    return applied.exit_code == 0 && as_applied(story_) == before;
  }
  [[nodiscard]] std::size_t times() const { return times_; }

 private:
  Story& story_;
  const std::string manager_;
  std::size_t times_ = 0;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace

TEST_CASE("both replicas are killed while held, in a step and between turns: nothing rolls, and then it goes on") {
  in_write_styles("down", small_led("stepwise", "hold"), 0, [](Story& story, std::size_t style) {
    Bystander other(story, "bystander-" + std::to_string(style));
    const auto from = story.timeline().size();

    story.database("fail ADMIN SET=1064:HY000:not now");
    REQUIRE(story.patch({{"fe", "3.3.1"}, {"be", "3.3.1"}}).exit_code == 0);
    story.until("it is held", [&] { return condition(story, "UpgradeHeld") == "True HookFailed"; });
    kill_both(story);
    other.upgrade("3.3.1");
    story.until("the operator reports it", [&] { return operator_reports(story); });
    nothing_restarts(story, from, {});
    story.world.rule("sr-be-1", "start=never");
    story.database("clear");
    story.start_gate(0);

    story.until("the first BE is in its step", [&] { return story.ready_pods("be").size() == 1; });
    kill_both(story);
    story.world.clear_rules();
    story.until("the first BE is up", [&] { return story.ready_pods("be").size() == 2; });
    // Below the partition a pod comes back as it was.
    story.must({"delete", "pod", "sr-be-0", "--wait=false"});
    const std::vector<std::string> step{"sr-be-1", "sr-be-0"};
    story.until("the pod is back", [&] { return story.restarts(from) == step; });
    CHECK_FALSE(ever_ran(story, from, "sr-be-0", "3.3.1"));
    nothing_restarts(story, from, step);
    story.database("fail CREATE IMAGE=1064:HY000:not now");
    story.start_gate(0);

    story.until("the BEs are done",
                [&] { return turn(story, 0).starts_with("Done") && story.rolled("sr-be", "3.3.1"); });
    kill_both(story);
    const std::vector<std::string> backends{"sr-be-1", "sr-be-0", "sr-be-0"};
    nothing_restarts(story, from, backends);
    story.database("clear");
    other.upgrade("3.3.2");
    story.start_gate(1);
    ends_with_all(story, "3.3.1");
    CHECK(story.restarts(from) == std::vector<std::string>{"sr-be-1", "sr-be-0", "sr-be-0", "sr-fe-0"});
    story.until("the operator is content", [&] { return story.cluster()["status"].value("phase", "") == "running"; });
  });
}

TEST_CASE("what keeps pods back is taken away in a hold: it is told, the operator rolls all, and the end is as ever") {
  for (const auto& keeper : keepers()) {
    if (!in_all_ways() && keeper.name != "label") continue;
    INFO(keeper.name);
    Story story("lost-" + keeper.name, small_led("ordered", "hold"));
    story.database("fail ADMIN SET=1064:HY000:not now");
    REQUIRE(story.patch({{"fe", "3.3.1"}, {"be", "3.3.1"}}).exit_code == 0);
    story.until("it is held", [&] { return condition(story, "UpgradeHeld") == "True HookFailed"; });
    CHECK(events(story, "UpgradeHoldLost") == 0);
    // The installation is looked at each minute.
    story.until(
        "the metric is good", [&] { return rollout_webhook_is(story, "1"); }, 90s);
    keeper.lose(story);
    story.until("all is new, as without a gate",
                [&] { return story.rolled("sr-be", "3.3.1") && story.rolled("sr-fe", "3.3.1"); });
    story.until("an Event says so", [&] { return events(story, "UpgradeHoldLost") > 0; });
    story.until(
        "the metric says so", [&] { return rollout_webhook_is(story, "0"); }, 90s);
    keeper.give_back(story);
    story.until(
        "the metric is good again", [&] { return rollout_webhook_is(story, "1"); }, 90s);
    story.database("clear");
    ends_with_all(story, "3.3.1");
  }
}

TEST_CASE("a webhook that would let pods go in an outage of the gate is told by the metric before there is one") {
  if (!in_all_ways()) return;  // two looks at the installation, a minute apart
  Story story("ignored", small_led("ordered", "hold"));
  story.until(
      "the metric is good", [&] { return rollout_webhook_is(story, "1"); }, 90s);
  const auto configuration =
      story.world.read("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/upgrade-gate");
  REQUIRE(configuration.has_value());
  const auto& webhooks = configuration->at("webhooks");
  std::size_t index = 0;
  while (webhooks[index]["name"] != "statefulsets.gate.starrocks.com") ++index;
  const auto set_policy = [&](const std::string& policy) {
    const json patch{
        {{"op", "replace"}, {"path", "/webhooks/" + std::to_string(index) + "/failurePolicy"}, {"value", policy}}};
    story.world.plane.must(
        {"patch", "mutatingwebhookconfiguration", "upgrade-gate", "--type=json", "-p", patch.dump()});
  };
  set_policy("Ignore");
  story.until(
      "the metric says so", [&] { return rollout_webhook_is(story, "0"); }, 90s);
  set_policy("Fail");
  story.until(
      "the metric is good again", [&] { return rollout_webhook_is(story, "1"); }, 90s);
}

TEST_CASE("a manifest that is applied every second during the whole upgrade disturbs nothing") {
  const std::vector<std::string> managers{"kustomize-controller", "argocd-controller"};
  in_write_styles("gitops", small_led("stepwise", "hold"), 1, [&](Story& story, std::size_t style) {
    INFO(managers[style]);
    auto manifest = story.first_cluster();
    manifest["spec"]["starRocksBeSpec"]["updateStrategy"] = {{"type", "RollingUpdate"}};  // names no partition
    Applier tool(story, managers[style]);
    REQUIRE(tool.apply(manifest).exit_code == 0);
    const auto from = story.timeline().size();
    for (const char* part : {"fe", "be"}) {
      const std::string field = part == std::string("fe") ? "starRocksFeSpec" : "starRocksBeSpec";
      manifest["spec"][field]["image"] = "starrocks/" + std::string(part) + "-ubuntu:3.3.1";
    }
    REQUIRE(tool.apply(manifest).exit_code == 0);
    const auto generation = story.cluster()["metadata"]["generation"];
    const auto last_write = written_by(story, managers[style]);
    REQUIRE_FALSE(last_write.is_null());
    story.until_without(
        "the upgrade is over",
        [&] { return story.newest().value("stage", "") == "Closed" && story.rolled("sr-fe", "3.3.1"); },
        "an apply was refused, or changed something", [&] { return !tool.applies_nothing(manifest); }, 120s);
    ends_with_all(story, "3.3.1");
    CHECK(story.restarts(from) == std::vector<std::string>{"sr-be-1", "sr-be-0", "sr-fe-0"});
    CHECK(story.cluster()["metadata"]["generation"] == generation);
    CHECK(written_by(story, managers[style]) == last_write);
    CHECK(tool.times() > 5);
    CHECK(story.records().size() == 1);
    // Nobody but these writes it: the manager of the manifest once, everybody else its status.
    const auto written = story.cluster()["metadata"]["managedFields"];
    for (const auto& entry : written) {
      const bool status = entry.value("subresource", "") == "status";
      CHECK_MESSAGE((status || entry["manager"] == managers[style] || entry["manager"] == "kubectl-create"),
                    entry["manager"]);
    }
  });
}
