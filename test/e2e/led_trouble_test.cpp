// Goal: a led rollout that meets trouble (a pod that never comes up, another target in the middle, a hook that fails)
// does what docs/rollouts.md says, and everything else in the namespace goes on meanwhile.
// Method: as in rollout_test.cpp; each story with one of the ways in which operators write, or with both.

#include <doctest/doctest.h>

#include <algorithm>

#include "test/e2e/led_story.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

void must_patch(Story& story, const Images& images) {
  const auto admitted = story.patch(images);
  INFO(admitted.err);
  REQUIRE(admitted.exit_code == 0);
}

std::string message_of(Story& story, const std::string& type) {
  const auto found = condition_of(story, type);
  return found.is_null() ? std::string{} : found["message"].get<std::string>();
}

void paused_at_its_canary(Story& story) {
  story.until("it is Paused", [&] { return condition(story, "Stalled") == "True RolloutPaused"; });
  CHECK(turn(story, 0) == "Paused 1/2");
  CHECK(turn(story, 1) == "Held 0/0");
  CHECK(contains(message_of(story, "Stalled"), "starrocks.com/upgrade-resume"));
}

/// A StarRocksWarehouse "wh" of the cluster, with running pods.
void with_warehouse(Story& story, const json& annotations, int replicas) {
  const json warehouse{
      {"apiVersion", "starrocks.com/v1"},
      {"kind", "StarRocksWarehouse"},
      {"metadata", {{"name", "wh"}, {"annotations", annotations}}},
      {"spec",
       {{"starRocksCluster", "sr"}, {"template", {{"image", "starrocks/cn-ubuntu:3.3.0"}, {"replicas", replicas}}}}}};
  story.must({"create", "-f", "-"}, {.input = warehouse.dump()});
  story.until("the warehouse runs", [&] { return story.rolled("wh-warehouse-cn", "3.3.0"); });
}

void upgrade_warehouse(Story& story) {
  story.must({"patch", "starrockswarehouse", "wh", "--type=merge", "-p",
              R"({"spec":{"template":{"image":"starrocks/cn-ubuntu:3.3.1"}}})"});
}

/// How many records the warehouse has; only those that are closed, or all.
std::size_t attempts_of_warehouse(Story& story, bool closed) {
  const auto all = story.records();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const json& record) {
    if (record["spec"]["objectRef"]["kind"] != "StarRocksWarehouse") return false;
    return !closed || record.value("status", json::object()).value("stage", "") == "Closed";
  }));
}

}  // namespace

TEST_CASE(
    "a canary that never becomes healthy: Paused with one pod affected; resume goes on, the old image goes back") {
  auto options = small_led("stepwise", "hold", {{"starrocks.com/upgrade-step-timeout-seconds", "10"}});
  in_write_styles("canary", options, 0, [](Story& story, std::size_t) {
    story.world.rule("sr-be-1", "start=never");
    const auto from = story.timeline().size();
    must_patch(story, {{"fe", "3.3.1"}, {"be", "3.3.1"}});
    paused_at_its_canary(story);
    nothing_restarts(story, from, {});
    CHECK(story.ready_pods("be") == std::map<std::string, std::string>{{"sr-be-0", "starrocks/be-ubuntu:3.3.0"}});

    // The cause is gone; people say that it is to go on.
    story.world.clear_rules();
    story.until("the canary is up", [&] { return story.ready_pods("be").size() == 2; });
    nothing_restarts(story, from, {"sr-be-1"});
    story.must({"annotate", "starrockscluster", "sr", "starrocks.com/upgrade-resume=1"});
    ends_with_all(story, "3.3.1");
    CHECK(story.restarts(from) == std::vector<std::string>{"sr-be-1", "sr-be-0", "sr-fe-0"});

    // An image that cannot be pulled; the same resume annotation as before says nothing any more.
    const auto again = story.timeline().size();
    must_patch(story, {{"fe", "3.3.2"}, {"be", "3.3.2-broken"}});
    paused_at_its_canary(story);
    nothing_restarts(story, again, {});
    must_patch(story, {{"fe", "3.3.1"}, {"be", "3.3.1"}});
    ends_with_all(story, "3.3.1");
    CHECK(story.restarts(again) == std::vector<std::string>{"sr-be-1"});
  });
}

TEST_CASE("a new target while held, while BEs roll and while Paused: nothing of the old one is waited for") {
  auto options = small_led("stepwise", "hold", {{"starrocks.com/upgrade-step-timeout-seconds", "10"}});
  in_write_styles("target", options, 1, [](Story& story, std::size_t) {
    const auto from = story.timeline().size();
    story.database("fail ADMIN SET=1064:HY000:not now");
    must_patch(story, {{"fe", "3.3.1"}, {"be", "3.3.1"}});
    story.until("it is held", [&] { return condition(story, "UpgradeHeld").starts_with("True"); });
    must_patch(story, {{"fe", "3.3.2"}, {"be", "3.3.2"}});
    nothing_restarts(story, from, {});
    story.database("clear");
    ends_with_all(story, "3.3.2");
    CHECK_FALSE(ever_ran(story, from, "sr-", "3.3.1"));
    CHECK(story.restarts(from) == std::vector<std::string>{"sr-be-1", "sr-be-0", "sr-fe-0"});

    const auto rolling = story.timeline().size();
    story.world.rule("sr-be-1", "start=never");
    must_patch(story, {{"fe", "3.3.3"}, {"be", "3.3.3"}});
    story.until("the first BE is down", [&] { return story.ready_pods("be").size() == 1; });
    must_patch(story, {{"fe", "3.3.4"}, {"be", "3.3.4"}});
    nothing_restarts(story, rolling, {});
    story.world.clear_rules();
    ends_with_all(story, "3.3.4");
    CHECK_FALSE(ever_ran(story, rolling, "sr-fe", "3.3.3"));
    CHECK_FALSE(ever_ran(story, rolling, "sr-be-0", "3.3.3"));
    CHECK(frontends_last(story.restarts(rolling)));

    const auto paused = story.timeline().size();
    must_patch(story, {{"fe", "3.3.5"}, {"be", "3.3.5-broken"}});
    paused_at_its_canary(story);
    must_patch(story, {{"fe", "3.3.6"}, {"be", "3.3.6"}});
    ends_with_all(story, "3.3.6");
    CHECK_FALSE(ever_ran(story, paused, "sr-", "3.3.5"));
    CHECK(frontends_last(story.restarts(paused)));
    CHECK(condition(story, "Stalled").empty());
  });
}

TEST_CASE("people turn to another target and back again, twice, while a BE is down: every pod in its turn") {
  in_write_styles("minds", small_led("stepwise", "hold"), 0, [](Story& story, std::size_t) {
    const auto turn_to = [&](const std::string& version) { must_patch(story, {{"fe", version}, {"be", version}}); };
    const auto canary_of = [&](const std::string& version) {
      story.world.rule("sr-be-1", "start=never");
      const auto from = story.timeline().size();
      turn_to(version);
      story.until("the first BE is down", [&] { return story.ready_pods("be").size() == 1; });
      return from;
    };
    // To a third one, and back to the second.
    const auto from = canary_of("3.3.1");
    turn_to("3.3.2");
    nothing_restarts(story, from, {});
    turn_to("3.3.1");
    nothing_restarts(story, from, {});
    story.world.clear_rules();
    ends_with_all(story, "3.3.1");
    CHECK_FALSE(ever_ran(story, from, "sr-fe", "3.3.2"));
    CHECK_FALSE(ever_ran(story, from, "sr-be-0", "3.3.2"));
    CAPTURE(json(story.restarts(from)).dump());
    CHECK(frontends_last(story.restarts(from)));

    // Back to where the pods came from, and on again.
    const auto again = canary_of("3.3.3");
    turn_to("3.3.1");
    turn_to("3.3.3");
    nothing_restarts(story, again, {});
    story.world.clear_rules();
    ends_with_all(story, "3.3.3");
    CHECK(frontends_last(story.restarts(again)));
    CHECK(condition(story, "Stalled").empty());
  });
}

TEST_CASE("a critical hook fails in a hold: nothing rolls and it says why; all that is no image goes on meanwhile") {
  auto options = small_led("ordered", "hold");
  options.compute_nodes = 1;
  in_write_styles("hook", options, 0, [](Story& story, std::size_t) {
    const auto from = story.timeline().size();
    story.database("fail ADMIN SET=1064:HY000:not now");
    must_patch(story, {{"fe", "3.3.1"}, {"be", "3.3.1"}, {"cn", "3.3.1"}});
    story.until("the condition says why", [&] {
      return condition(story, "UpgradeHeld") == "True HookFailed" && contains(message_of(story, "Ready"), "not now");
    });
    nothing_restarts(story, from, {});

    story.must({"delete", "pod", "sr-be-0", "--wait=false"});
    story.until("it came back", [&] { return story.restarts(from) == std::vector<std::string>{"sr-be-0"}; });
    story.must(
        {"patch", "starrockscluster", "sr", "--type=merge", "-p", R"({"spec":{"starRocksBeSpec":{"replicas":3}}})"});
    story.until("a third BE is there", [&] { return story.ready_pods("be").size() == 3; });
    for (const auto& [pod, image] : story.ready_pods("be")) CHECK(image == "starrocks/be-ubuntu:3.3.0");
    // As an autoscaler does.
    story.must({"scale", "starrockscluster", "sr", "--replicas=2"});
    story.until("a second CN is there", [&] { return story.ready_pods("cn").size() == 2; });
    for (const auto& [pod, image] : story.ready_pods("cn")) CHECK(image == "starrocks/cn-ubuntu:3.3.0");
    const json eviction{{"apiVersion", "policy/v1"},
                        {"kind", "Eviction"},
                        {"metadata", {{"name", "sr-cn-0"}, {"namespace", story.name_space()}}}};
    story.must({"create", "--raw", "/api/v1/namespaces/" + story.name_space() + "/pods/sr-cn-0/eviction", "-f", "-"},
               {.input = eviction.dump()});
    const std::vector<std::string> so_far{"sr-be-0", "sr-be-2", "sr-cn-1", "sr-cn-0"};
    story.until("the evicted one is back", [&] { return story.restarts(from) == so_far; });
    CHECK_FALSE(ever_ran(story, from, "sr-", "3.3.1"));
    story.must({"patch", "starrockscluster", "sr", "--subresource=status", "--type=merge", "-p",
                R"({"status":{"reason":"written by a test"}})"});
    story.must({"label", "starrockscluster", "sr", "team=data"});
    story.must({"label", "statefulset", "sr-be", "team=data"});
    nothing_restarts(story, from, so_far);

    const auto held = story.timeline().size();
    story.database("clear");
    ends_with_all(story, "3.3.1");
    CHECK(story.restarts(held) ==
          std::vector<std::string>{"sr-be-2", "sr-be-1", "sr-be-0", "sr-cn-1", "sr-cn-0", "sr-fe-0"});
  });
}

TEST_CASE("a warehouse is led by its own record, pod by pod, between the turns of its cluster's CNs and FEs") {
  auto options = small_led("ordered", "hold");
  options.backends = 1;
  options.compute_nodes = 1;
  in_write_styles("warehouse", options, 1, [&](Story& story, std::size_t) {
    auto annotations = options.annotations;
    annotations["starrocks.com/upgrade-rollout"] = "stepwise";
    with_warehouse(story, annotations, 2);
    const auto from = story.timeline().size();
    must_patch(story, {{"fe", "3.3.1"}, {"be", "3.3.1"}, {"cn", "3.3.1"}});
    upgrade_warehouse(story);
    story.until(
        "all is new", [&] { return story.rolled("wh-warehouse-cn", "3.3.1") && story.rolled("sr-fe", "3.3.1"); }, 120s);
    story.until("every setting is as before", [&] { return as_before(story); });
    CHECK(story.restarts(from) ==
          std::vector<std::string>{"sr-be-0", "sr-cn-0", "wh-warehouse-cn-1", "wh-warehouse-cn-0", "sr-fe-0"});
  });
}

TEST_CASE("each step of a warehouse begins at once, long before the operator's own resync") {
  auto options = small_led("stepwise", "hold");
  options.backends = 0;
  Story story("warehouse-steps", options);
  with_warehouse(story, options.annotations, 3);
  story.world.restart_operator({"--resync=1h"});
  const auto from = story.timeline().size();
  upgrade_warehouse(story);
  story.until("the warehouse is new", [&] { return story.rolled("wh-warehouse-cn", "3.3.1"); });
  CHECK(story.restarts(from) ==
        std::vector<std::string>{"wh-warehouse-cn-2", "wh-warehouse-cn-1", "wh-warehouse-cn-0"});
  story.until("the record is closed", [&] { return story.newest().value("stage", "") == "Closed"; });
  // The operator's status writes know nothing of it.
  const auto warehouse = story.object("starrockswarehouses", "wh");
  REQUIRE(warehouse.has_value());
  CHECK((*warehouse)["status"]["upgradePreparationStatus"].value("outcome", "") == "Succeeded");
}

TEST_CASE(
    "a warehouse whose preparation fails in a hold: the FEs of its cluster wait for it between its attempts, too") {
  auto options = small_led("ordered", "hold");
  options.backends = 1;
  in_write_styles("between", options, 0, [&](Story& story, std::size_t) {
    auto annotations = options.annotations;
    annotations["starrocks.com/upgrade-hooks"] = "check-tablets-healthy";
    with_warehouse(story, annotations, 1);
    const auto from = story.timeline().size();
    story.database("fail /statistic=1064:HY000:not now");
    upgrade_warehouse(story);
    story.until("it failed", [&] { return attempts_of_warehouse(story, true) > 0; });
    must_patch(story, {{"fe", "3.3.1"}, {"be", "3.3.1"}});
    story.until("the BE is new", [&] { return story.rolled("sr-be", "3.3.1"); });
    const auto so_far = attempts_of_warehouse(story, false);
    const std::vector<std::string> backend{"sr-be-0"};
    story.until_without(
        "it has been tried again twice", [&] { return attempts_of_warehouse(story, false) >= so_far + 2; },
        "something else than the BE restarted", [&] { return story.restarts(from) != backend; });
    story.database("clear");
    story.until(
        "all is new", [&] { return story.rolled("wh-warehouse-cn", "3.3.1") && story.rolled("sr-fe", "3.3.1"); }, 120s);
    story.until("every setting is as before", [&] { return as_before(story); });
    CHECK(story.restarts(from) == std::vector<std::string>{"sr-be-0", "wh-warehouse-cn-0", "sr-fe-0"});
  });
}
