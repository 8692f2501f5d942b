// Goal: nothing that people do while pods move takes the protection from a rollout, bars the way back, or leaves a
// setting changed for good.
// Method: as in world_test.cpp. Each story stops a rollout in its middle, where one BE is new and one is down.

#include <doctest/doctest.h>

#include "test/e2e/world.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

const std::string kHooks = "check-backends-alive,disable-tablet-clone,disable-balancer";

StoryOptions asked(StoryOptions options = {}) {
  options.annotations = with_hooks(kHooks, {{"starrocks.com/upgrade-timeout-seconds", "3"}});
  options.gate_flags = {"--admission-wait", "1s"};
  return options;
}

bool protected_everywhere(Story& story) {
  return story.everywhere("disable_balance", "true") && story.everywhere("tablet_sched_max_scheduling_tablets", "0");
}

bool as_before(Story& story) {
  return story.everywhere("disable_balance", "false") &&
         story.everywhere("tablet_sched_max_scheduling_tablets", "10000");
}

/// Rolls the BEs to `version` and stops where sr-be-2 is new and sr-be-1 does not come back. What follows in the
/// timeline.
std::size_t stop_in_the_middle(Story& story, const std::string& version = "3.3.1") {
  story.world.rule("sr-be-1", "start=never");
  const auto before = story.timeline().size();
  story.patch_until_admitted({{"be", version}});
  story.until("one BE is new and one is down", [&] {
    const auto pods = story.ready_pods("be");
    const auto came = story.restarts(before);
    return pods.size() == 2 && came == std::vector<std::string>{"sr-be-2"} && story.rolled("sr-fe", "3.3.0");
  });
  CHECK(protected_everywhere(story));
  return before;
}

/// Whether a setting was given back before the last pod had come up.
bool restored_while_pods_moved(Story& story, std::size_t from) {
  const auto all = story.timeline();
  std::size_t restored = all.size();
  std::size_t moved = 0;
  for (std::size_t i = from; i < all.size(); ++i) {
    const auto& what = all[i].what;
    if (all[i].kind == "pod" && contains(what, " up ")) moved = i;
    if (all[i].kind == "sql" && contains(what, "ADMIN SET") && contains(what, "disable_balance") &&
        contains(what, "false")) {
      restored = std::min(restored, i);
    }
  }
  return restored < moved;
}

void ends_well(Story& story, const std::string& version, std::size_t from) {
  story.until("the BEs are all " + version, [&] { return story.rolled("sr-be", version); });
  story.until("every setting is as before", [&] { return as_before(story); });
  if (restored_while_pods_moved(story, from)) FAIL("restored too early\n" << story.how_things_stand());
  story.until("no record is open", [&] {
    const auto all = story.records();
    return std::all_of(all.begin(), all.end(), [](const json& record) {
      return record.value("status", json::object()).value("stage", "") == "Closed";
    });
  });
}

}  // namespace

TEST_CASE("the way back is open with the database down, after a fix was refused") {
  Story story("way-back", asked({.backends = 1}));
  story.patch_until_admitted({{"fe", "3.3.1-broken"}});
  story.until("no FE answers", [&] { return story.ready_pods("fe").empty(); });
  story.until("a change elsewhere is refused", [&] {
    return contains(story.patch({{"be", "3.3.2"}}).err, "UpgradePreparationFailed");
  });
  const auto back = story.patch({{"fe", "3.3.0"}});
  INFO(back.err);
  REQUIRE(back.exit_code == 0);
  story.until("the FE is back", [&] { return story.rolled("sr-fe", "3.3.0"); });
  story.until("every setting is as before", [&] { return as_before(story); });
}

TEST_CASE("a cluster that is deleted in the middle is gone, with its records") {
  Story story("deleted", asked());
  stop_in_the_middle(story);
  story.must({"delete", "starrockscluster", "sr", "--timeout=60s"});
  story.until("its pods and records are gone",
              [&] { return story.object("pods", "")->at("items").empty() && story.records().empty(); });
}

TEST_CASE("a namespace that is deleted in the middle ends in seconds") {
  Story story("namespace", asked());
  stop_in_the_middle(story);
  const auto deleted = story.world.plane.kubectl({"delete", "namespace", story.name_space(), "--timeout=60s"});
  INFO(deleted.err << story.how_things_stand());
  CHECK(deleted.exit_code == 0);
}

TEST_CASE("an FE that restarts in the middle gets its settings back, and an end of both gates loses nothing") {
  Story story("restarts", asked({.frontends = 3}));
  const auto from = stop_in_the_middle(story);
  story.must({"delete", "pod", "sr-fe-1", "--wait=false"});
  story.until("it has come back", [&] { return story.restarts(from).back() == "sr-fe-1"; });
  story.until("it has its settings again", [&] { return protected_everywhere(story); });
  for (const std::size_t replica : {0, 1}) story.kill_gate(replica);
  // An image of a cluster that asked for it does not change meanwhile; everything else does.
  CHECK(story.patch({{"be", "3.3.2"}}).exit_code != 0);
  story.must({"label", "starrockscluster", "sr", "team=data"});
  story.world.clear_rules();
  story.until("the BEs are new", [&] { return story.rolled("sr-be", "3.3.1"); });
  CHECK(protected_everywhere(story));
  story.start_gate(1);
  ends_well(story, "3.3.1", from);
}

TEST_CASE("FEs that restart back to back, and are listed as alive meanwhile, keep their settings") {
  Story story("back-to-back", asked({.frontends = 3, .liveness_lag = 20s}));
  // The operator rolls the FEs first, one right after the other; the last BE to roll does not come up before all FEs
  // have their settings again.
  story.world.rule("sr-be-0", "start=never");
  const auto from = story.timeline().size();
  story.patch_until_admitted({{"fe", "3.3.1"}, {"be", "3.3.1"}});
  story.until("the FEs are new", [&] { return story.rolled("sr-fe", "3.3.1"); });
  story.until("all have their settings again", [&] { return protected_everywhere(story); });
  story.until("the last BE is down",
              [&] { return story.ready_pods("be").size() == 2 && story.restarts(from).size() >= 5; });
  CHECK(protected_everywhere(story));
  story.world.clear_rules();
  ends_well(story, "3.3.1", from);
}

TEST_CASE("the mirror in the cluster's status survives the operator, which does not know it") {
  Story story("mirror", asked());
  stop_in_the_middle(story);
  const auto mirrored = [&] { return story.cluster()["status"].contains("upgradePreparationStatus"); };
  story.until("it is there", mirrored);
  story.world.restart_operator({"--resync=1s"});
  const auto passes = story.operator_passes();
  story.until_without(
      "five passes of the operator", [&] { return story.operator_passes() >= passes + 5; }, "the mirror vanished",
      [&] { return !mirrored(); });
  CHECK(story.cluster()["status"].value("phase", "") == "reconciling");
}

TEST_CASE("annotations ask for it whatever the operator's CRD is applied again") {
  Story story("crd", asked({.backends = 1}));
  auto& plane = story.world.plane;
  plane.must({"replace", "-f", kSource + "/test/e2e/starrocks-crds.yaml"});
  story.database("fail ADMIN SET=1064:HY000:not now");
  const auto refused = story.patch({{"be", "3.3.1"}});
  INFO(refused.err);
  CHECK(contains(refused.err, "UpgradePreparation"));
  story.database("clear");
  story.patch_until_admitted({{"be", "3.3.1"}});
  story.until("the BE is new", [&] { return story.rolled("sr-be", "3.3.1"); });
  story.until("every setting is as before", [&] { return as_before(story); });
  plane.must({"patch", "crd", "starrocksclusters.starrocks.com", "--type=json", "--patch-file",
              kSource + "/manifests/crd-extension/starrocksclusters-patch.yaml"});
}

TEST_CASE("a refused third target leaves the rollout under way its protection") {
  Story story("third-target", asked());
  const auto from = stop_in_the_middle(story);
  // The FE's image: BEs that are down are nothing that this change could cure.
  story.until("the third target is refused for good", [&] {
    return contains(story.patch({{"fe", "3.3.2"}}).err, "UpgradePreparationFailed");
  });
  CHECK(protected_everywhere(story));
  story.world.clear_rules();
  ends_well(story, "3.3.1", from);
  CHECK(story.rolled("sr-fe", "3.3.0"));
}

TEST_CASE("the cure of a broken tag is admitted while what it cures is down") {
  Story story("cure", asked());
  const auto from = story.timeline().size();
  story.patch_until_admitted({{"be", "3.3.1-broken"}});
  story.until("a BE is down", [&] { return story.ready_pods("be").size() == 2; });
  story.patch_until_admitted({{"be", "3.3.1"}});
  ends_well(story, "3.3.1", from);
}

TEST_CASE("a rollback in the middle keeps the settings until the pods are back") {
  Story story("rollback", asked());
  const auto from = stop_in_the_middle(story);
  story.world.rule("sr-be", "start=1s");
  const auto back = story.patch({{"be", "3.3.0"}});
  INFO(back.err);
  REQUIRE(back.exit_code == 0);
  ends_well(story, "3.3.0", from);
}

TEST_CASE("a cluster that is deleted and leaves its pods gets its settings back") {
  Story story("orphan", asked());
  stop_in_the_middle(story);
  story.must({"delete", "starrockscluster", "sr", "--cascade=orphan", "--timeout=60s"});
  story.until("every setting is as before", [&] { return as_before(story); });
}

TEST_CASE("records that people delete take nothing pending with them") {
  Story story("records", asked());
  const auto from = stop_in_the_middle(story);
  story.must({"delete", "upgradepreparations", "--all", "--wait=false"});
  story.world.clear_rules();
  story.until("the BEs are new", [&] { return story.rolled("sr-be", "3.3.1"); });
  story.until("every setting is as before", [&] { return as_before(story); });
  CHECK(story.timeline().size() > from);
}

TEST_CASE("a warehouse that is deleted while the FE refuses logins leaves the cluster's settings as they were") {
  Story story("warehouse", asked({.backends = 1}));
  const json warehouse{
      {"apiVersion", "starrocks.com/v1"},
      {"kind", "StarRocksWarehouse"},
      {"metadata", {{"name", "wh"}, {"annotations", with_hooks(kHooks)}}},
      {"spec", {{"starRocksCluster", "sr"}, {"template", {{"image", "starrocks/cn-ubuntu:3.3.0"}, {"replicas", 2}}}}}};
  story.must({"create", "-f", "-"}, {.input = warehouse.dump()});
  story.until("it runs", [&] { return story.rolled("wh-warehouse-cn", "3.3.0"); });
  story.world.rule("wh-warehouse-cn-0", "start=never");
  story.until("its new image is admitted", [&] {
    return story
               .kubectl({"patch", "starrockswarehouse", "wh", "--type=merge", "-p",
                         R"({"spec":{"template":{"image":"starrocks/cn-ubuntu:3.3.1"}}})"})
               .exit_code == 0;
  });
  story.until("one of its CNs is new", [&] { return story.ready_pods("cn").size() == 1; });
  CHECK(protected_everywhere(story));
  story.database("fail-login 1045:28000:Access denied");
  story.must({"delete", "starrockswarehouse", "wh", "--wait=false"});
  story.until("its StatefulSet is gone", [&] { return !story.object("statefulsets", "wh-warehouse-cn"); });
  story.database("clear");
  story.until("every setting is as before", [&] { return as_before(story); });
}
