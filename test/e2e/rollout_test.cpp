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

/// Of the StatefulSets alone: what the operator writes, and the controller.
std::map<std::string, std::string> set_versions(Story& story) {
  auto versions = story.resource_versions();
  std::erase_if(versions, [](const auto& entry) { return !entry.first.starts_with("statefulsets/"); });
  return versions;
}

/// Three passes of the operator in a row that write nothing. One that writes at each of its passes never has them.
void comes_to_rest(Story& story) {
  std::map<std::string, std::string> seen;
  std::size_t since = 0;
  story.until("the operator passes three times and writes no StatefulSet", [&] {
    const auto passes = story.operator_passes();
    auto now = set_versions(story);
    if (now != seen) {
      seen = std::move(now);
      since = passes;
    }
    return passes >= since + 3;
  });
}

/// Entries of the timeline from `from` on that hold all these texts.
std::vector<std::size_t> entries(Story& story, std::size_t from, const std::string& kind,
                                 const std::vector<std::string>& texts) {
  std::vector<std::size_t> out;
  const auto all = story.timeline();
  for (std::size_t i = from; i < all.size(); ++i) {
    const bool found =
        std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return contains(all[i].what, text); });
    if (all[i].kind == kind && found) out.push_back(i);
  }
  return out;
}

/// Settings before the first pod moves and back after the last; an image of the metadata before the first FE.
void check_sql_around_pods(Story& story, std::size_t from) {
  INFO(story.how_things_stand());
  const auto down = entries(story, from, "pod", {" down"});
  const auto frontends_down = entries(story, from, "pod", {"-fe-", " down"});
  const auto up = entries(story, from, "pod", {" up "});
  const auto workers_up = entries(story, from, "pod", {"sr-cn", " up "});
  const auto set = entries(story, from, "sql", {"ADMIN SET", "disable_balance", "true"});
  const auto restored = entries(story, from, "sql", {"ADMIN SET", "disable_balance", "false"});
  const auto images = entries(story, from, "sql", {"CREATE IMAGE"});
  REQUIRE_FALSE((down.empty() || frontends_down.empty() || up.empty() || workers_up.empty()));
  REQUIRE_FALSE((set.empty() || restored.empty() || images.empty()));
  CHECK(set.front() < down.front());
  CHECK(images.front() > workers_up.back());
  CHECK(images.back() < frontends_down.front());
  CHECK(restored.front() > up.back());
}

}  // namespace

TEST_CASE("one patch of all components and a variable: pods in turn, SQL around them, rest while held and steered") {
  auto options = led({{"starrocks.com/upgrade-rollout", "stepwise"}, {"starrocks.com/upgrade-admission", "hold"}});
  options.frontends = 3;
  options.backends = options.compute_nodes = 2;
  in_write_styles("whole", options, 0, [](Story& story, std::size_t style) {
    const auto has_variable = [&] {
      return contains(story.object("statefulsets", "sr-be")->at("spec").dump(), "STORY_VARIABLE");
    };
    const json variables{{{"name", "STORY_VARIABLE"}, {"value", "1"}}};
    story.must({"patch", "starrockscluster", "sr", "--type=merge", "-p",
                json{{"spec", {{"starRocksBeSpec", {{"beEnvVars", variables}}}}}}.dump()});
    story.until("the variable is there", [&] { return has_variable() && story.rolled("sr-be", "3.3.0"); });

    story.database("fail ADMIN SET=1064:HY000:not now");
    const auto from = story.timeline().size();
    json spec;
    for (const std::string part : {"fe", "be", "cn"}) {
      const std::string field = part == "fe" ? "starRocksFeSpec" : part == "be" ? "starRocksBeSpec" : "starRocksCnSpec";
      spec[field]["image"] = "starrocks/" + part + "-ubuntu:3.3.1";
    }
    spec["starRocksBeSpec"]["beEnvVars"] = json::array();
    story.must({"patch", "starrockscluster", "sr", "--type=merge", "-p", json{{"spec", spec}}.dump()});
    story.until("it is held", [&] { return condition(story, "UpgradeHeld") == "True HookFailed"; });
    comes_to_rest(story);
    CHECK(has_variable());
    CHECK(story.restarts(from).empty());

    story.world.rule("sr-be-1", "start=never");
    story.database("clear");
    story.until("the first BE is down", [&] { return story.ready_pods("be").size() == 1; });
    comes_to_rest(story);
    story.world.clear_rules();

    story.until(
        "all is new", [&] { return story.rolled("sr-cn", "3.3.1") && story.rolled("sr-fe", "3.3.1"); }, 300s);
    ends_with_all(story, "3.3.1");
    CHECK(story.restarts(from) ==
          std::vector<std::string>{"sr-be-1", "sr-be-0", "sr-cn-1", "sr-cn-0", "sr-fe-2", "sr-fe-1", "sr-fe-0"});
    check_sql_around_pods(story, from);
    if (style == 0) CHECK_FALSE(has_variable());  // older operators take nothing away, with or without a gate
    comes_to_rest(story);
  });
}

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
