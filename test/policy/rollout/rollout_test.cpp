// Goal: a rollout is over in the database when every node is alive and those of the changed components are new, and
// never because an old row still looks good.

#include "policy/rollout/rollout.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace gate;

namespace {

constexpr const char* kOld = "2026-01-02 03:04:05";
constexpr const char* kNew = "2026-05-01 12:00:00";

DatabaseNode node(Component component, const std::string& name, const std::string& started, const std::string& version,
                  const std::string& warehouse = {}) {
  return {component, name, true, started, version, warehouse};
}

std::vector<DatabaseNode> before() {
  return {node(Component::Frontend, "fe-0", kOld, "3.3.0-aaaa"),
          node(Component::Backend, "be-0:9050", kOld, "3.3.0-aaaa"),
          node(Component::Backend, "be-1:9050", kOld, "3.3.0-aaaa"),
          node(Component::ComputeNode, "cn-0:9050", kOld, "3.3.0-aaaa", "default_warehouse"),
          node(Component::ComputeNode, "wh-0:9050", kOld, "3.3.0-aaaa", "night_shift")};
}

Preparation backends_to(const std::string& from, const std::string& to) {
  Preparation record;
  record.spec.object = {"StarRocksCluster", "sr", "uid"};
  record.spec.changes = {{Component::Backend, "be:" + from, "be:" + to}};
  record.status.nodes_before = nodes_to_restart(record.spec, before());
  return record;
}

RolloutGoal goal_of(const Preparation& record) {
  std::vector<ComponentImage> images;
  for (const auto& change : record.spec.changes) images.push_back({change.component, change.to});
  return rollout_goal(record.spec, images);
}

std::vector<DatabaseNode> backends_rolled(const std::string& version = "3.3.1-bbbb") {
  auto nodes = before();
  for (auto& each : nodes) {
    if (each.component == Component::Backend) {
      each.started = kNew;
      each.version = version;
    }
  }
  return nodes;
}

}  // namespace

TEST_CASE("of the nodes before a rollout those of the changed components are remembered") {
  struct Row {
    const char* name;
    Component component;
    const char* object;
    std::vector<std::string> nodes;
  };
  for (const Row& row :
       {Row{"fe", Component::Frontend, "sr", {"fe-0"}}, Row{"be", Component::Backend, "sr", {"be-0:9050", "be-1:9050"}},
        Row{"cn, but not of another warehouse", Component::ComputeNode, "sr", {"cn-0:9050"}},
        Row{"a warehouse's own", Component::Warehouse, "night-shift", {"wh-0:9050"}}}) {
    INFO(row.name);
    PreparationSpec spec;
    spec.object.name = row.object;
    spec.changes = {{row.component, "x:3.3.0", "x:3.3.1"}};
    std::vector<std::string> names;
    for (const auto& known : nodes_to_restart(spec, before())) names.push_back(known.name);
    CHECK(names == row.nodes);
  }
  PreparationSpec spec;
  spec.changes = {{Component::Backend, "be:1.0", "be:2.0"}};
  std::vector<DatabaseNode> many(kNodesBeforeMax, node(Component::Backend, "be", kOld, ""));
  CHECK(nodes_to_restart(spec, many).size() == kNodesBeforeMax);
  many.push_back(many.front());
  CHECK(nodes_to_restart(spec, many).empty());
}

TEST_CASE("what the database still lacks") {
  struct Row {
    const char* name;
    std::function<void(Preparation&, std::vector<DatabaseNode>&)> change;
    const char* lacks;  // "" = finished
  };
  const auto backend = [](std::vector<DatabaseNode>& nodes) -> DatabaseNode& { return nodes[2]; };
  for (const Row& row : {
           Row{"all new", [](auto&, auto&) {}, ""},
           Row{"one dead", [&](auto&, auto&nodes) { backend(nodes).alive = false; }, "be be-1:9050: not alive"},
           Row{"dead, of a component that does not change", [](auto&, auto&nodes) { nodes[0].alive = false; }, ""},
           Row{"dead before, and of no StatefulSet",
               [&](auto&record, auto&nodes) {
                 for (auto& known : record.status.nodes_before) known.alive = known.name != "be-1:9050";
                 backend(nodes).alive = false;
               },
               ""},
           Row{"joined meanwhile, and dead",
               [](auto&, auto&nodes) {
                 nodes.push_back(node(Component::Backend, "be-2:9050", kNew, "3.3.1-bbbb"));
                 nodes.back().alive = false;
               },
               "be be-2:9050: not alive"},
           Row{"alive by its old row", [&](auto&, auto&nodes) { backend(nodes) = before()[2]; }, "not restarted yet"},
           Row{"new version, old start", [&](auto&, auto&nodes) { backend(nodes).started = kOld; }, "not restarted"},
           Row{"restarted on the old version", [&](auto&, auto&nodes) { backend(nodes).version = "3.3.0-aaaa"; },
               "has version 3.3.0, not 3.3.1"},
           Row{"compared as numbers",
               [](auto&record, auto&nodes) {
                 record.spec.changes[0].to = "be:3.3.10";
                 for (auto& each : nodes) each.version = "3.3.10-cccc";
               },
               ""},
           Row{"a build name is no version", [&](auto&, auto&nodes) { backend(nodes).version = "main-bbbb"; }, ""},
           Row{"a node that joined meanwhile",
               [](auto&, auto&nodes) { nodes.push_back(node(Component::Backend, "be-2:9050", kOld, "3.3.1-bbbb")); },
               ""},
           Row{"another warehouse's node stays old",
               [](auto&record, auto&nodes) {
                 record.spec.changes = {{Component::ComputeNode, "cn:3.3.0", "cn:3.3.1"}};
                 record.status.nodes_before = nodes_to_restart(record.spec, before());
                 nodes[3].started = kNew;
                 nodes[3].version = "3.3.1-bbbb";
               },
               ""},
           Row{"tags that never named the version",
               [](auto&record, auto&) {
                 record.spec.changes[0] = {Component::Backend, "be:2024.10", "be:2024.11"};
               },
               ""},
           Row{"a tag that leaves the patch open",
               [](auto&record, auto&) { record.spec.changes[0].to = "be:3.3-latest"; }, ""},
           Row{"nothing known of before: the version alone",
               [&](auto&record, auto&nodes) {
                 record.status.nodes_before.clear();
                 backend(nodes).version = "3.3.0-aaaa";
               },
               "has version 3.3.0"},
           Row{"a StarRocks that tells no start",
               [&](auto&record, auto&nodes) {
                 for (auto& known : record.status.nodes_before) known.started.clear();
                 for (auto& each : nodes) each.started.clear();
               },
               ""},
       }) {
    INFO(row.name);
    auto record = backends_to("3.3.0", "3.3.1");
    auto nodes = backends_rolled();
    row.change(record, nodes);
    const auto lacks = unfinished_in_database(record, goal_of(record), {}, nodes);
    CHECK_MESSAGE(lacks.empty() == (*row.lacks == '\0'), lacks);
    CHECK(lacks.find(row.lacks) != std::string::npos);
  }
}

namespace {

DatabaseNode pod(Component component, const std::string& host, const std::string& started, bool alive = true) {
  auto out = node(component, host + ".search.prod.svc.cluster.local:9050", started, "3.3.1-bbbb", "default_warehouse");
  out.alive = alive;
  return out;
}

}  // namespace

TEST_CASE("nodes whose host names are pods' are told apart by their StatefulSets") {
  const auto cn = Component::ComputeNode;
  struct Row {
    const char* name;
    const char* object;
    Component component;
    std::vector<DatabaseNode> before;
    std::vector<DatabaseNode> after;
    const char* lacks;
  };
  const std::vector<StatefulSetSize> sizes{{"sr-cn", 2}, {"default-warehouse-warehouse-cn", 1}};
  for (const Row& row : {
           Row{"a warehouse called as StarRocks' own does not wait for the cluster's nodes",
               "default-warehouse",
               Component::Warehouse,
               {pod(cn, "sr-cn-0", kOld), pod(cn, "default-warehouse-warehouse-cn-0", kOld)},
               {pod(cn, "sr-cn-0", kOld), pod(cn, "default-warehouse-warehouse-cn-0", kNew)},
               ""},
           Row{"nor does the cluster wait for that warehouse's",
               "sr",
               cn,
               {pod(cn, "sr-cn-0", kOld), pod(cn, "default-warehouse-warehouse-cn-0", kOld)},
               {pod(cn, "sr-cn-0", kNew), pod(cn, "default-warehouse-warehouse-cn-0", kOld)},
               ""},
           Row{"its own node counts",
               "default-warehouse",
               Component::Warehouse,
               {pod(cn, "default-warehouse-warehouse-cn-0", kOld)},
               {pod(cn, "sr-cn-0", kNew), pod(cn, "default-warehouse-warehouse-cn-0", kOld)},
               "not restarted yet"},
           Row{"dead before, scaled in",
               "sr",
               cn,
               {pod(cn, "sr-cn-0", kOld), pod(cn, "sr-cn-2", kOld, false)},
               {pod(cn, "sr-cn-0", kNew), pod(cn, "sr-cn-2", kOld, false)},
               ""},
           Row{"scaled in during the rollout",
               "sr",
               cn,
               {pod(cn, "sr-cn-0", kOld), pod(cn, "sr-cn-2", kOld)},
               {pod(cn, "sr-cn-0", kNew), pod(cn, "sr-cn-2", kOld, false)},
               ""},
           Row{"dead before, and a pod of the StatefulSet: it is to come back",
               "sr",
               cn,
               {pod(cn, "sr-cn-0", kOld), pod(cn, "sr-cn-1", kOld, false)},
               {pod(cn, "sr-cn-0", kNew), pod(cn, "sr-cn-1", kOld, false)},
               "not alive"},
           Row{"a cluster whose name begins as another's",
               "sr",
               cn,
               {pod(cn, "sr-cn-0", kOld), pod(cn, "sr-cn-cn-0", kOld)},
               {pod(cn, "sr-cn-0", kNew), pod(cn, "sr-cn-cn-0", kOld)},
               ""},
       }) {
    INFO(row.name);
    Preparation record;
    record.spec.object = {row.component == cn ? "StarRocksCluster" : "StarRocksWarehouse", row.object, "uid"};
    record.spec.cluster = "sr";
    record.spec.changes = {{row.component, "cn:latest", "cn:newest"}};
    record.status.nodes_before = nodes_to_restart(record.spec, row.before);
    const auto lacks = unfinished_in_database(record, goal_of(record), sizes, row.after);
    CHECK_MESSAGE(lacks.empty() == (*row.lacks == '\0'), lacks);
    CHECK(lacks.find(row.lacks) != std::string::npos);
  }
}

TEST_CASE("the way back asks for the version that the object has now, and for no restart") {
  auto record = backends_to("3.3.0", "3.3.1");
  const auto back = rollout_goal(record.spec, {{Component::Backend, "be:3.3.0"}});
  CHECK_FALSE(back.forward);
  CHECK(unfinished_in_database(record, back, {}, before()).empty());  // those that never left
  auto nodes = before();
  nodes[2].started = kNew;
  CHECK(unfinished_in_database(record, back, {}, nodes).empty());
  nodes[2].version = "3.3.1-bbbb";
  CHECK(unfinished_in_database(record, back, {}, nodes).find("has version 3.3.1, not 3.3.0") != std::string::npos);
  nodes[2].alive = false;
  CHECK(unfinished_in_database(record, back, {}, nodes).find("not alive") != std::string::npos);
  // A component that the object has no more has no nodes to wait for.
  CHECK(unfinished_in_database(record, rollout_goal(record.spec, {}), {}, nodes).empty());
}

TEST_CASE("a date in a tag is not compared with the version that nodes report") {
  auto record = backends_to("3.3.0", "2024.01.15");
  CHECK(unfinished_in_database(record, goal_of(record), {}, backends_rolled("3.5.8-cccc")).empty());
}
