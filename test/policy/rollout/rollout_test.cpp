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
           Row{"dead, of a component that does not change", [](auto&, auto&nodes) { nodes[0].alive = false; },
               "fe fe-0: not alive"},
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
    const auto lacks = unfinished_in_database(record, nodes);
    CHECK_MESSAGE(lacks.empty() == (*row.lacks == '\0'), lacks);
    CHECK(lacks.find(row.lacks) != std::string::npos);
  }
}
