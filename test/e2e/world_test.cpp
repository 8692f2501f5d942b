// Goal: the world itself is believed before its stories are: pods roll as the operator asks, and the database with
// them. Method: real API server, controllers and gate; the operator and the node are stand-ins (test/e2e/kubernetes).

#include "test/e2e/world.hpp"

#include <doctest/doctest.h>

using namespace gate;
using namespace gate::test;

TEST_CASE("an upgrade of FE, BE and CN is admitted, rolls, and leaves every setting as it was") {
  for (const std::string style : {"three-way", "merge"}) {
    CAPTURE(style);
    Story story("upgrade-" + style,
                {.annotations = with_hooks("check-backends-alive,disable-tablet-clone,disable-balancer"),
                 .frontends = 3,
                 .backends = 2,
                 .compute_nodes = 1});
    story.world.restart_operator({"--write-style=" + style, "--resync=2s"});
    const auto before = story.timeline().size();
    story.patch_until_admitted({{"fe", "3.3.1"}, {"be", "3.3.1"}, {"cn", "3.3.1"}});
    CHECK(story.everywhere("disable_balance", "true"));
    story.until("all has rolled", [&] {
      return story.rolled("sr-fe", "3.3.1") && story.rolled("sr-be", "3.3.1") && story.rolled("sr-cn", "3.3.1");
    });
    story.until("the record is closed", [&] { return story.newest().value("stage", "") == "Closed"; });
    CHECK(story.newest().value("outcome", "") == "Succeeded");
    CHECK(story.everywhere("disable_balance", "false"));
    CHECK(story.everywhere("tablet_sched_max_scheduling_tablets", "10000"));
    // From the highest ordinal down, one at a time within a component.
    std::vector<std::string> frontends;
    for (const auto& pod : story.restarts(before)) {
      if (pod.rfind("sr-fe", 0) == 0) frontends.push_back(pod);
    }
    CHECK(frontends == std::vector<std::string>{"sr-fe-2", "sr-fe-1", "sr-fe-0"});
    CHECK(story.restarts(before).size() == 6);
  }
}

TEST_CASE("at rest nobody writes: neither the operator in its resyncs nor the gate") {
  Story story("rest", {.annotations = with_hooks("disable-balancer")});
  story.world.restart_operator({"--resync=1s"});
  REQUIRE(story.patch({{"be", "3.3.1"}}).exit_code == 0);
  story.until("the record is closed", [&] { return story.newest().value("stage", "") == "Closed"; });
  story.until("the operator calls it running",
              [&] { return story.cluster()["status"].value("phase", "") == "running"; });
  // The operator lists running pods in any order, so the cluster object alone may go on moving for a while.
  const auto still = [&] {
    auto versions = story.resource_versions();
    versions.erase("starrocksclusters/sr");
    return versions;
  };
  const auto before = still();
  CHECK(before.size() == 3);
  const auto passes = [&] { return story.operator_passes(); };
  const auto first = passes();
  story.until("five more passes of the operator", [&] { return passes() >= first + 5; });
  CHECK(still() == before);
}

TEST_CASE("one pass of the operator ends at its first error and says so; it goes on when the cause is gone") {
  Story story("stop-at-first", {.annotations = json::object(), .backends = 1, .gates = 1});
  // Nothing may change this StatefulSet's selector: the operator's write of the FE is refused, BE is never reached.
  story.must(
      {"patch", "starrockscluster", "sr", "--type=merge", "-p",
       R"({"spec":{"starRocksFeSpec":{"minReadySeconds":-1},"starRocksBeSpec":{"image":"starrocks/be-ubuntu:3.3.1"}}})"});
  story.until("the operator says why", [&] {
    const auto status = story.cluster()["status"];
    return status.value("phase", "") == "failed" && contains(status.value("reason", ""), "error from FE controller");
  });
  CHECK(story.rolled("sr-be", "3.3.0"));
  story.must({"patch", "starrockscluster", "sr", "--type=merge", "-p",
              R"({"spec":{"starRocksFeSpec":{"minReadySeconds":0}}})"});
  story.until("it goes on", [&] {
    return story.rolled("sr-be", "3.3.1") && story.cluster()["status"].value("phase", "") == "running";
  });
}

TEST_CASE("a variable that the new spec no longer has leaves the pods, with the write style that can") {
  Story story("removed-variable", {.backends = 1, .gates = 1});
  const auto environment = [&](const json& variables) {
    story.must({"patch", "starrockscluster", "sr", "--type=merge", "-p",
                json{{"spec", {{"starRocksBeSpec", {{"beEnvVars", variables}}}}}}.dump()});
  };
  const auto has = [&] { return contains(story.object("statefulsets", "sr-be")->at("spec").dump(), "STORY_VARIABLE"); };
  environment({{{"name", "STORY_VARIABLE"}, {"value", "1"}}});
  story.until("it is there", [&] { return has() && story.rolled("sr-be", "3.3.0"); });
  environment(json::array());
  story.until("it is gone", [&] { return !has() && story.rolled("sr-be", "3.3.0"); });
}

TEST_CASE("a warehouse's image rolls under the protection of its cluster's settings") {
  Story story("warehouse-upgrade", {.backends = 0, .compute_nodes = 1});
  const json warehouse{
      {"apiVersion", "starrocks.com/v1"},
      {"kind", "StarRocksWarehouse"},
      {"metadata", {{"name", "wh"}, {"annotations", with_hooks("disable-balancer")}}},
      {"spec", {{"starRocksCluster", "sr"}, {"template", {{"image", "starrocks/cn-ubuntu:3.3.0"}, {"replicas", 2}}}}}};
  story.must({"create", "-f", "-"}, {.input = warehouse.dump()});
  story.until("it runs", [&] { return story.rolled("wh-warehouse-cn", "3.3.0"); });
  const auto before = story.timeline().size();
  story.until("its new image is admitted", [&] {
    return story
               .kubectl({"patch", "starrockswarehouse", "wh", "--type=merge", "-p",
                         R"({"spec":{"template":{"image":"starrocks/cn-ubuntu:3.3.1"}}})"})
               .exit_code == 0;
  });
  CHECK(story.everywhere("disable_balance", "true"));
  story.until("the record is closed", [&] { return story.newest().value("stage", "") == "Closed"; });
  CHECK(story.newest().value("outcome", "") == "Succeeded");
  CHECK(story.rolled("wh-warehouse-cn", "3.3.1"));
  CHECK(story.rolled("sr-cn", "3.3.0"));
  CHECK(story.everywhere("disable_balance", "false"));
  CHECK(story.restarts(before) == std::vector<std::string>{"wh-warehouse-cn-1", "wh-warehouse-cn-0"});
}

TEST_CASE("waitForFullRollout: the BEs wait for every FE, and the settings hold until both are done") {
  Story story("whole-frontend", {.annotations = with_hooks("disable-balancer"), .frontends = 3, .backends = 1});
  story.must({"patch", "starrockscluster", "sr", "--type=merge", "-p", R"({"spec":{"waitForFullRollout":true}})"});
  const auto before = story.timeline().size();
  story.world.rule("sr-fe-0", "start=never");
  story.patch_until_admitted({{"fe", "3.3.1"}});
  story.until("one FE is left",
              [&] { return story.restarts(before).size() == 2 && story.ready_pods("fe").size() == 2; });
  story.patch_until_admitted({{"fe", "3.3.1"}, {"be", "3.3.1"}});
  const auto passes = story.operator_passes();
  story.until("two more passes of the operator", [&] { return story.operator_passes() >= passes + 2; });
  CHECK(story.rolled("sr-be", "3.3.0"));
  story.world.clear_rules();
  story.until("both have rolled", [&] { return story.rolled("sr-fe", "3.3.1") && story.rolled("sr-be", "3.3.1"); });
  story.until("the settings are as before", [&] { return story.everywhere("disable_balance", "false"); });
  CHECK(story.restarts(before) == std::vector<std::string>{"sr-fe-2", "sr-fe-1", "sr-fe-0", "sr-be-0"});
}
