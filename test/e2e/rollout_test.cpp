// Goal: where a cluster asks for it, one change of all images rolls in the order that is safe, whatever the operator
// does, and nothing of the cluster is touched where it does not ask.
// Method: as in world_test.cpp, with the component manifests/rollouts, and the operator in both of its ways to write.

#include <doctest/doctest.h>

#include <algorithm>

#include "test/e2e/led_story.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;

namespace {

/// What kstatus asks of every object that has conditions: Current.
bool current(Story& story) {
  const auto cluster = story.cluster();
  const auto status = cluster.value("status", json::object());
  return status.value("observedGeneration", 0) == cluster["metadata"]["generation"].get<int>() &&
         condition(story, "Reconciling").empty() && condition(story, "Stalled").empty() &&
         condition(story, "Ready").starts_with("True");
}

std::string component_of(const std::string& pod) { return pod.substr(3, 2); }

/// BEs, then FEs.
void check_order(Story& story, std::size_t from) {
  const auto came = story.restarts(from);
  INFO(story.how_things_stand());
  const auto first_frontend =
      std::find_if(came.begin(), came.end(), [](const std::string& pod) { return component_of(pod) == "fe"; });
  CHECK(first_frontend - came.begin() == 3);
  CHECK(std::all_of(first_frontend, came.end(), [](const std::string& pod) { return component_of(pod) == "fe"; }));
  CHECK(came.size() == 4);
}

}  // namespace

TEST_CASE("ordered: one patch of FE and BE rolls the BEs first, in both ways in which operators write") {
  for (std::size_t style = 0; style < kWriteStyles.size(); ++style) {
    INFO(kWriteStyles[style].back());
    Story story("ordered-" + std::to_string(style), led({{"starrocks.com/upgrade-rollout", "ordered"}}));
    story.world.restart_operator(kWriteStyles[style]);
    const auto from = story.timeline().size();
    story.patch_until_admitted({{"fe", "3.3.1"}, {"be", "3.3.1"}});
    ends_with_all(story, "3.3.1");
    check_order(story, from);
  }
}

TEST_CASE("hold: admitted at once, nothing moves before the preparation is completed, then in order") {
  Story story("hold", led({{"starrocks.com/upgrade-rollout", "ordered"}, {"starrocks.com/upgrade-admission", "hold"}}));
  story.until("it is current, by its conditions", [&] { return current(story); });
  story.database("fail-login 1045:28000:no");
  const auto from = story.timeline().size();
  const auto admitted = story.patch({{"fe", "3.3.1"}, {"be", "3.3.1"}});
  INFO(admitted.err);
  REQUIRE(admitted.exit_code == 0);
  CHECK(contains(admitted.err, "Warning: "));
  CHECK_FALSE(current(story));  // from the moment at which it was admitted
  const auto passes = story.operator_passes();
  // The operator's passes write its status whole, without a field of ours.
  story.until_without(
      "the operator has tried several times, and the conditions say what happens",
      [&] { return story.operator_passes() >= passes + 6 && condition(story, "Reconciling").starts_with("True"); },
      "tools believe that it is current", [&] { return current(story); });
  CHECK(condition(story, "UpgradeHeld").starts_with("True"));
  CHECK(story.restarts(from).empty());
  story.database("clear");
  story.until_without(
      "all is new and current", [&] { return current(story) && story.rolled("sr-fe", "3.3.1"); },
      "tools believe that it is current",
      [&] { return current(story) && !(story.rolled("sr-fe", "3.3.1") && story.rolled("sr-be", "3.3.1")); }, 120s);
  ends_with_all(story, "3.3.1");
  check_order(story, from);
}

TEST_CASE("stepwise: a pod that does not come up stops the rollout, and the old image takes it back") {
  Story story("stepwise", led({{"starrocks.com/upgrade-rollout", "stepwise"}}));
  story.world.rule("sr-be-2", "start=never");
  const auto from = story.timeline().size();
  story.patch_until_admitted({{"fe", "3.3.1"}, {"be", "3.3.1"}});
  story.until("the first BE is down", [&] { return story.ready_pods("be").size() == 2; });
  const auto passes = story.operator_passes();
  story.until("the operator has looked several times", [&] { return story.operator_passes() >= passes + 6; });
  CHECK(story.restarts(from).empty());
  CHECK(story.rolled("sr-fe", "3.3.0"));
  const auto back = story.patch({{"fe", "3.3.0"}, {"be", "3.3.0"}});
  INFO(back.err);
  REQUIRE(back.exit_code == 0);
  // Only now: were it up before, the rollout would go on.
  story.world.clear_rules();
  story.world.rule("sr-be", "start=1s");
  ends_with_all(story, "3.3.0");
  const auto came = story.restarts(from);
  CAPTURE(json(came).dump());
  CHECK(std::all_of(came.begin(), came.end(), [](const std::string& pod) { return pod == "sr-be-2"; }));
}

TEST_CASE("a part that is taken back goes back, and the rest is not held for ever") {
  Story story("part", led({{"starrocks.com/upgrade-rollout", "ordered"}}));
  story.world.rule("sr-be-2", "start=never");
  story.patch_until_admitted({{"fe", "3.3.1"}, {"be", "3.3.1"}});
  story.until("the first BE is down", [&] { return story.ready_pods("be").size() == 2; });
  story.world.clear_rules();
  story.world.rule("sr-be", "start=1s");
  story.patch_until_admitted({{"be", "3.3.0"}});
  story.until(
      "BEs are back and FEs are new", [&] { return story.rolled("sr-be", "3.3.0") && story.rolled("sr-fe", "3.3.1"); },
      120s);
  story.until("every setting is as before", [&] { return as_before(story); });
}

TEST_CASE("a cluster that asks to be led where nobody can lead is refused, and told what is missing") {
  auto options = led(json::object());
  options.may_be_led = false;
  Story story("unlabelled", options);
  const auto annotate = [&] {
    return story.kubectl({"annotate", "starrockscluster", "sr", "starrocks.com/upgrade-rollout=ordered"});
  };
  const std::string command = "kubectl label namespace unlabelled gate.starrocks.com/rollouts=enabled";
  const auto refused = annotate();
  CHECK(refused.exit_code != 0);
  CHECK(contains(refused.err, command));
  story.world.plane.must({"label", "namespace", "unlabelled", "gate.starrocks.com/rollouts=enabled"});
  CHECK(annotate().exit_code == 0);
  // What was promised cannot be kept any more.
  story.world.plane.must({"label", "namespace", "unlabelled", "gate.starrocks.com/rollouts-"});
  const auto unkept = story.patch({{"be", "3.3.1"}});
  CHECK(unkept.exit_code != 0);
  CHECK(contains(unkept.err, command));
}
