// Goal: whatever the operator and others write, a held StatefulSet keeps its template, nothing is written at rest, and
// once it is let go everything that was asked for is there, removed fields included.

#include "policy/rollout/stateful_set.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "test/policy/rollout/operator_stand_in.hpp"

using namespace gate;
using namespace gate::test;

namespace {

constexpr std::array kStyles{WriteStyle::ThreeWay, WriteStyle::MergePatch};

const json& template_of(const StatefulSetServer& server) { return server.live()["spec"]["template"]; }
int partition_of(const StatefulSetServer& server) {
  return server.live()["spec"]["updateStrategy"]["rollingUpdate"]["partition"].get<int>();
}
bool partition_is_ours(const StatefulSetServer& server) {
  return server.live()["metadata"]["annotations"].contains(kPartitionAnnotation);
}
bool marked(const StatefulSetServer& server) {
  return server.live()["metadata"]["annotations"].contains(kHeldAnnotation);
}

/// Everything that the custom resource asks for is on the object, and the operator will not write again.
void check_applied(StatefulSetServer& server, const Wanted& wanted, WriteStyle style) {
  const auto fresh = settled(wanted, style);
  CHECK(server.live()["spec"] == fresh.live()["spec"]);
  CHECK(server.live()["metadata"]["annotations"][kHash] == fresh.live()["metadata"]["annotations"][kHash]);
  CHECK_FALSE(marked(server));
  CHECK_FALSE(partition_is_ours(server));
  if (style == WriteStyle::ThreeWay) {
    const auto claim = json::parse(server.live()["metadata"]["annotations"].value(kLastApplied, "{}"));
    CHECK(claim["spec"] == expected_object(wanted)["spec"]);
  }
}

void check_at_rest(StatefulSetServer& server, const Wanted& wanted, WriteStyle style) {
  const int version = server.version();
  for (int pass = 0; pass < 3; ++pass) operator_pass(server, wanted, style);
  CHECK(server.version() == version);
}

}  // namespace

TEST_CASE("a held image change is a no-op for the operator, and comes whole when it is let go") {
  for (const auto style : kStyles) {
    CAPTURE(static_cast<int>(style));
    Wanted wanted;
    wanted.env = {{"A", "1"}, {"B", "2"}};
    auto server = settled(wanted, style);
    const auto before = template_of(server);
    wanted.image = "be:2";
    wanted.env = {{"A", "1"}};  // a field that goes must go in the end, too
    server.order = {SetVerdict::Hold};
    operator_pass(server, wanted, style);
    CHECK(template_of(server) == before);
    CHECK(marked(server));
    check_at_rest(server, wanted, style);
    SUBCASE("let go") {
      server.order = {SetVerdict::Pass};
      operator_pass(server, wanted, style);
      check_applied(server, wanted, style);
      check_at_rest(server, wanted, style);
    }
    SUBCASE("let go between the two writes of a pass") {
      const bool second = operator_patch(server, wanted, style) == AfterPatch::Put;
      server.order = {SetVerdict::Pass};
      if (second) operator_put(server, wanted);
      operator_pass(server, wanted, style);
      check_applied(server, wanted, style);
    }
    SUBCASE("cancelled") {
      wanted.image = "be:1";
      server.order = {SetVerdict::Pass};
      operator_pass(server, wanted, style);
      operator_pass(server, wanted, style);
      check_applied(server, wanted, style);
    }
    SUBCASE("scaled meanwhile") {
      wanted.replicas = 5;
      operator_pass(server, wanted, style);
      CHECK(server.live()["spec"]["replicas"] == 5);
      CHECK(template_of(server) == before);
      check_at_rest(server, wanted, style);
    }
    SUBCASE("the webhook configuration is taken away") {
      json object = server.live();
      object["metadata"]["annotations"].erase(std::string(kHeldAnnotation));
      StatefulSetServer alone(object);  // Pass: the same as not being asked
      operator_pass(alone, wanted, style);
      check_applied(alone, wanted, style);
    }
  }
}

TEST_CASE("a steered update goes down pod by pod, each step with one write") {
  for (const auto style : kStyles) {
    CAPTURE(static_cast<int>(style));
    Wanted wanted;
    auto server = settled(wanted, style);
    wanted.image = "be:2";
    for (const int partition : {2, 1}) {
      server.order = {SetVerdict::Steer, partition};
      operator_pass(server, wanted, style);
      CHECK(partition_of(server) == partition);
      CHECK(template_of(server)["spec"]["containers"][0]["image"] == "be:2");
      check_at_rest(server, wanted, style);
    }
    server.order = {SetVerdict::Pass};
    operator_pass(server, wanted, style);
    check_applied(server, wanted, style);
    check_at_rest(server, wanted, style);
  }
}

TEST_CASE("an updateStrategy that names no partition: the gate's own goes down with each step, and does not stay") {
  for (const auto style : kStyles) {
    for (const bool named_at_last : {false, true}) {
      CAPTURE(static_cast<int>(style));
      CAPTURE(named_at_last);
      Wanted wanted;
      wanted.partition.reset();
      auto server = settled(wanted, style);
      wanted.image = "be:2";
      for (const auto& order :
           {SetOrder{SetVerdict::Steer, 2}, SetOrder{SetVerdict::Hold, 0}, SetOrder{SetVerdict::Steer, 1}}) {
        server.order = order;
        operator_pass(server, wanted, style);
        if (order.verdict == SetVerdict::Steer) CHECK(partition_of(server) == order.partition);
        check_at_rest(server, wanted, style);
      }
      if (named_at_last) wanted.partition = 1;  // the very one that the gate put there
      server.order = {SetVerdict::Pass};
      operator_pass(server, wanted, style);
      operator_pass(server, wanted, style);
      check_applied(server, wanted, style);
      CHECK(partition_of(server) == wanted.partition.value_or(0));
      check_at_rest(server, wanted, style);
    }
  }
}

TEST_CASE("the user's own updateStrategy counts") {
  Wanted wanted;
  wanted.partition = 2;
  for (const auto style : kStyles) {
    auto server = settled(wanted, style);
    auto next = wanted;
    next.image = "be:2";
    server.order = {SetVerdict::Steer, 1};
    operator_pass(server, next, style);
    CHECK(partition_of(server) == 2);  // the larger
    check_at_rest(server, next, style);
    next.partition = 0;  // taking it away does not open the gate
    operator_pass(server, next, style);
    CHECK(partition_of(server) == 1);
    check_at_rest(server, next, style);
  }
  auto old_object = expected_object({});
  auto object = expected_object({.image = "be:2"});
  object["spec"]["updateStrategy"] = {{"type", "OnDelete"}};
  const auto answer = answer_write(old_object, object, {SetVerdict::Steer, 2});
  CHECK(answer.json_patch.empty());
  REQUIRE(answer.warnings.size() == 1);
  CHECK(answer.warnings[0].find("OnDelete") != std::string::npos);
}

TEST_CASE("what the operator once wrote is written again, although its hash was seen before") {
  for (const auto style : kStyles) {
    const Wanted first;
    auto server = settled(first, style);
    auto next = first;
    next.image = "be:2";
    server.order = {SetVerdict::Steer, 2};
    operator_pass(server, next, style);
    server.order = {SetVerdict::Pass};
    operator_pass(server, first, style);
    operator_pass(server, first, style);
    check_applied(server, first, style);
  }
}

TEST_CASE("a hold of what has its new template already keeps the partition from falling") {
  for (const auto style : kStyles) {
    Wanted wanted;
    auto server = settled(wanted, style);
    wanted.image = "be:2";
    server.order = {SetVerdict::Steer, 2};
    operator_pass(server, wanted, style);
    server.order = {SetVerdict::Hold};  // for one: it is not known what may roll
    operator_pass(server, wanted, style);
    CHECK(partition_of(server) == 2);
    check_at_rest(server, wanted, style);
    server.order = {SetVerdict::Steer, 1};
    operator_pass(server, wanted, style);
    CHECK(partition_of(server) == 1);
  }
}

TEST_CASE("a hold in the middle of a steered update keeps the partition, too") {
  for (const auto style : kStyles) {
    Wanted wanted;
    auto server = settled(wanted, style);
    wanted.image = "be:2";
    server.order = {SetVerdict::Steer, 2};
    operator_pass(server, wanted, style);
    wanted.image = "be:3";
    server.order = {SetVerdict::Hold};
    operator_pass(server, wanted, style);
    CHECK(template_of(server)["spec"]["containers"][0]["image"] == "be:2");
    CHECK(partition_of(server) == 2);
    check_at_rest(server, wanted, style);
  }
}

TEST_CASE("writes of others during a hold pass, as long as they change no image") {
  Wanted wanted;
  auto server = settled(wanted, WriteStyle::ThreeWay);
  wanted.image = "be:2";
  server.order = {SetVerdict::Hold};
  operator_pass(server, wanted, WriteStyle::ThreeWay);
  json restarted = server.live();
  restarted["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now";
  server.write(restarted);
  CHECK(template_of(server)["metadata"]["annotations"].size() == 1);
  CHECK(marked(server));
  json by_hand = server.live();
  by_hand["spec"]["template"]["spec"]["containers"][0]["image"] = "be:9";
  const auto answer = answer_write(server.live(), by_hand, server.order);
  CHECK(answer.warnings.size() == 1);
  server.write(by_hand);
  CHECK(template_of(server)["spec"]["containers"][0]["image"] == "be:1");
}

TEST_CASE("what a write leaves out or claims besides does not change what is kept") {
  auto live = expected_object({.image = "be:2"});
  auto& annotations = live["metadata"]["annotations"];
  annotations[kHeldAnnotation] = "partition";
  annotations[kPartitionAnnotation] = "1";
  annotations[kLastApplied] = expected_object({.image = "be:1"}).dump();
  live["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 1;
  auto sent = live;
  // What has not been applied is not claimed: the next three-way merge would leave it out.
  sent["metadata"]["annotations"][kLastApplied] = expected_object({.image = "be:3"}).dump();
  const auto steered = sent.patch(answer_write(live, sent, {SetVerdict::Steer, 1}).json_patch);
  CHECK(steered["metadata"]["annotations"][kLastApplied] == annotations[kLastApplied]);
  // Whose partition it is stays known, whoever writes.
  sent = live;
  sent["metadata"]["annotations"].erase(std::string(kPartitionAnnotation));
  sent["spec"]["template"]["spec"]["containers"][0]["image"] = "be:3";
  const auto held = sent.patch(answer_write(live, sent, {SetVerdict::Hold}).json_patch);
  CHECK(held["metadata"]["annotations"].value(kPartitionAnnotation, "") == "1");
  CHECK(held["spec"] == live["spec"]);
}

TEST_CASE("a component's image is that of its own container, and its state that of its present generation") {
  auto object = expected_object({.image = "be:2"});
  auto& containers = object["spec"]["template"]["spec"]["containers"];
  containers.insert(containers.begin(), json{{"name", "sidecar"}, {"image", "sidecar:1"}});
  REQUIRE(stateful_set_write(object, object));
  CHECK(stateful_set_write(object, object)->new_image == "be:2");
  object["metadata"]["generation"] = 2;
  object["status"]["observedGeneration"] = 1;
  PreparationSpec spec;
  spec.cluster = "sr";
  CHECK(stateful_set_state(spec, Component::Backend, object).image == "be:2");
  CHECK_FALSE(stateful_set_state(spec, Component::Backend, object).observed);
  object["status"]["observedGeneration"] = 2;
  CHECK(stateful_set_state(spec, Component::Backend, object).observed);
}

TEST_CASE("only the operator's own StatefulSets are known") {
  const auto good = expected_object({});
  REQUIRE(stateful_set_write(good, good));
  CHECK(stateful_set_write(good, good)->owner == ObjectRef{"StarRocksCluster", "sr", "uid-1"});
  struct Row {
    const char* name;
    const char* at;
    json value;
  };
  for (const Row& row : {Row{"no owner", "/metadata/ownerReferences", json::array()},
                         Row{"owners of another shape", "/metadata/ownerReferences", json("x")},
                         Row{"not the controller", "/metadata/ownerReferences/0/controller", json(false)},
                         Row{"another group", "/metadata/ownerReferences/0/apiVersion", json("doris.com/v1")},
                         Row{"another kind", "/metadata/ownerReferences/0/kind", json("StarRocksBackup")},
                         Row{"another component", "/metadata/labels/app.kubernetes.io~1component", json("fe-proxy")},
                         Row{"labels of another shape", "/metadata/labels", json(3)}}) {
    CAPTURE(row.name);
    auto object = good;
    object[json::json_pointer(row.at)] = row.value;
    CHECK_FALSE(stateful_set_write(object, good));
    CHECK(answer_write(object, good, {SetVerdict::Hold}).json_patch.is_null());
  }
  for (const auto& odd : {json(), json("x"), json::array(), json{{"spec", 3}}, json{{"metadata", nullptr}}}) {
    CHECK_FALSE(stateful_set_write(odd, odd));
    CHECK_FALSE(stateful_set_write(good, odd));
  }
  auto warehouse = good;
  warehouse["metadata"]["labels"]["app.kubernetes.io/component"] = "cn";
  warehouse["metadata"]["ownerReferences"][0]["kind"] = "StarRocksWarehouse";
  REQUIRE(stateful_set_write(warehouse, warehouse));
  CHECK(stateful_set_write(warehouse, warehouse)->component == Component::Warehouse);
}

TEST_CASE("any sequence of writes: a hold holds, rest is rest, and letting go applies everything") {
  constexpr int kStories = 400;
  constexpr int kSteps = 12;
  for (int story = 0; story < kStories; ++story) {
    CAPTURE(story);  // the seed
    std::mt19937 random(static_cast<unsigned>(story));
    const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
    const auto style = kStyles.at(static_cast<std::size_t>(below(2)));
    Wanted wanted;
    wanted.partition = below(4) == 0 ? below(3) : 0;
    if (below(3) == 0) wanted.partition.reset();
    auto server = settled(wanted, style);
    for (int step = 0; step < kSteps; ++step) {
      switch (below(6)) {
        case 0:
          wanted.image = "be:" + std::to_string(1 + below(3));
          break;
        case 1:
          wanted.env.clear();
          for (const char* name : {"A", "B", "C"}) {
            if (below(2) == 0) wanted.env.emplace_back(name, std::to_string(below(2)));
          }
          break;
        case 2:
          wanted.replicas = 1 + below(4);
          break;
        case 3:
          if (wanted.partition) wanted.partition = below(3);
          break;
        default:
          break;
      }
      const auto live_image = template_of(server)["spec"]["containers"][0]["image"].get<std::string>();
      switch (below(3)) {
        case 0:
          server.order = {SetVerdict::Pass};
          break;
        case 1:
          server.order = {SetVerdict::Hold};
          break;
        default:
          server.order = {SetVerdict::Steer, 1 + below(3)};
      }
      const auto before = server.live();
      bool second = operator_patch(server, wanted, style) == AfterPatch::Put;
      if (server.order.verdict == SetVerdict::Hold && wanted.image != live_image) {
        CHECK(template_of(server) == before["spec"]["template"]);
        CHECK(server.live()["spec"]["updateStrategy"] == before["spec"]["updateStrategy"]);
      }
      if (server.order.verdict == SetVerdict::Steer && wanted.image != live_image) {
        CHECK(partition_of(server) == std::max(wanted.partition.value_or(0), server.order.partition));
      }
      // It crashes between the two. Where the first was applied that loses a deletion, with and without the gate.
      if (template_of(server) == before["spec"]["template"] && below(3) == 0) second = false;
      if (below(8) == 0) server.order = {SetVerdict::Pass};
      if (second) operator_put(server, wanted);
      for (int pass = 0; pass < 2; ++pass) operator_pass(server, wanted, style);
      check_at_rest(server, wanted, style);
    }
    server.order = {SetVerdict::Pass};
    for (int pass = 0; pass < 2; ++pass) operator_pass(server, wanted, style);
    const auto fresh = settled(wanted, style);
    CHECK(server.live()["spec"] == fresh.live()["spec"]);
    CHECK(server.live()["metadata"]["annotations"][kHash] == fresh.live()["metadata"]["annotations"][kHash]);
  }
}
