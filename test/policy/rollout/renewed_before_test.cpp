// Goal: a rollout does not wait for the restart of pods that run its image already.

#include "policy/rollout/renewed_before.hpp"

#include <doctest/doctest.h>

using namespace gate;

namespace {

PreparationSpec upgrade() {
  PreparationSpec spec;
  spec.changes = {{Component::Backend, "be:1", "be:2"}, {Component::Frontend, "fe:1", "fe:2"}};
  return spec;
}

StatefulSetState set_of(const std::string& image, int updated) {
  StatefulSetState set;
  set.component = Component::Backend;
  set.name = "sr-be";
  set.exists = set.observed = true;
  set.image = image;
  set.replicas = set.existing = set.ready = 3;
  set.updated = updated;
  return set;
}

std::vector<NodeBefore> nodes() {
  const auto node = [](Component component, const char* name) { return NodeBefore{component, name, "t", "1", true}; };
  return {node(Component::Backend, "sr-be-0.sr-be-search.db.svc.cluster.local:9050"),
          node(Component::Backend, "sr-be-1.sr-be-search.db.svc.cluster.local:9050"),
          node(Component::Backend, "sr-be-2:9050"), node(Component::Backend, "10.0.0.7:9050"),
          node(Component::Frontend, "sr-fe-0.sr-fe-search.db.svc.cluster.local_9010_1")};
}

/// Of those that are still to restart: the first characters, which tell them apart.
std::string left(const StatefulSetState& set) {
  std::string out;
  const auto kept = forget_starts_of_renewed(upgrade(), nodes(), {set});
  CHECK(kept.size() == nodes().size());
  for (const auto& node : kept) {
    CHECK(node.version == "1");
    if (!node.started.empty()) out += node.name.substr(0, 7) + " ";
  }
  return out;
}

}  // namespace

TEST_CASE("nodes whose pods have the new template by their StatefulSet are not waited for") {
  auto by_hand = set_of("be:2", 1);
  by_hand.on_delete = true;
  auto by_hand_all = set_of("be:2", 3);
  by_hand_all.on_delete = true;
  auto unobserved = set_of("be:2", 3);
  unobserved.observed = false;
  auto gone = set_of("be:2", 3);
  gone.exists = false;
  auto another = set_of("be:2", 3);
  another.name = "other-be";
  const std::string all = "sr-be-0 sr-be-1 sr-be-2 10.0.0. sr-fe-0 ";
  const struct {
    const char* name;
    StatefulSetState set;
    std::string left;
  } rows[] = {
      {"held", set_of("be:1", 3), all},
      {"just written", set_of("be:2", 0), all},
      {"one pod", set_of("be:2", 1), "sr-be-0 sr-be-1 10.0.0. sr-fe-0 "},
      {"all pods", set_of("be:2", 3), "10.0.0. sr-fe-0 "},
      {"more than there are to be", set_of("be:2", 5), "10.0.0. sr-fe-0 "},
      {"OnDelete: nobody knows which", by_hand, all},
      {"OnDelete, all", by_hand_all, "10.0.0. sr-fe-0 "},
      {"not observed yet", unobserved, all},
      {"no StatefulSet", gone, all},
      {"another's", another, all},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    CHECK(left(row.set) == row.left);
  }
}

TEST_CASE("nodes that have the new version by what they say are not waited for, whatever the StatefulSet has") {
  struct Row {
    const char* name;
    const char* from;
    const char* to;
    const char* says;
    bool waited_for;
  };
  // A rollout to 3.3.2 left it there, and one to another image began since.
  for (const Row& row : {Row{"the new version", "be:3.3.1", "be:3.3.2", "3.3.2-1f1aa9c", false},
                         Row{"an older one", "be:3.3.3", "be:3.3.2", "3.3.2-1f1aa9c", false},
                         Row{"the old version", "be:3.3.1", "be:3.3.2", "3.3.1-1f1aa9c", true},
                         Row{"a third one", "be:3.3.1", "be:3.3.2", "3.3.0-1f1aa9c", true},
                         Row{"another build of one version", "be:3.3.2-a", "be:3.3.2-b", "3.3.2-1f1aa9c", true},
                         Row{"another build, the version is new", "be:3.3.1", "be:3.3.2-rc01", "3.3.2-1f1aa9c", true},
                         Row{"tags without a patch", "be:3.3-latest", "be:3.3.2", "3.3.2-1f1aa9c", true},
                         Row{"tags that are no versions", "be:a", "be:b", "3.3.2-1f1aa9c", true},
                         Row{"nothing", "be:3.3.1", "be:3.3.2", "", true}}) {
    CAPTURE(row.name);
    PreparationSpec spec;
    spec.changes = {{Component::Backend, row.from, row.to}};
    const std::vector<NodeBefore> before{{Component::Backend, "sr-be-0.sr-be-search:9050", "t", row.says, true}};
    const auto kept = forget_starts_of_renewed(spec, before, {set_of("be:other", 3)});
    REQUIRE(kept.size() == 1);
    CHECK(kept[0].started.empty() == !row.waited_for);
  }
}

TEST_CASE("a node that is listed by its address is known by its version, unless it may be a warehouse's") {
  struct Row {
    const char* name;
    Component component;
    const char* node;
    const char* says;
    bool waited_for;
  };
  for (const Row& row : {Row{"an FE, new", Component::Frontend, "10.0.0.7_9010_1700000000000", "3.3.2-1f1aa9c", false},
                         Row{"an FE, old", Component::Frontend, "10.0.0.7_9010_1700000000000", "3.3.1-1f1aa9c", true},
                         Row{"a BE, new", Component::Backend, "10.0.0.7:9050", "3.3.2-1f1aa9c", false},
                         Row{"a compute node", Component::ComputeNode, "10.0.0.7:9050", "3.3.2-1f1aa9c", true}}) {
    CAPTURE(row.name);
    PreparationSpec spec;
    spec.changes = {{row.component, "sr:3.3.1", "sr:3.3.2"}};
    auto set = set_of("sr:3.3.2", 3);
    set.component = row.component;
    const auto kept = forget_starts_of_renewed(spec, {{row.component, row.node, "t", row.says, true}}, {set});
    REQUIRE(kept.size() == 1);
    CHECK(kept[0].started.empty() == !row.waited_for);
  }
}

TEST_CASE("only where pods may have moved before is it worth a look") {
  CHECK_FALSE(may_be_renewed_before(upgrade()));
  auto led = upgrade();
  led.rollout.mode = RolloutMode::Stepwise;
  CHECK(may_be_renewed_before(led));
  auto held = upgrade();
  held.rollout.admission = AdmissionMode::Hold;
  CHECK(may_be_renewed_before(held));
  auto again = upgrade();
  again.attempt = 2;
  CHECK(may_be_renewed_before(again));
  auto in_the_middle = upgrade();
  in_the_middle.origins = {{Component::Backend, "be:0"}};
  CHECK(may_be_renewed_before(in_the_middle));
}
