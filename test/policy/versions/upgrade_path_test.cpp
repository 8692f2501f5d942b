// Goal: every rule of the path, once where it speaks and once where it keeps silent; what cannot be judged says so.
// Method: images and running nodes in, findings out, as "severity rule: text".

#include "policy/versions/upgrade_path.hpp"

#include <doctest/doctest.h>

using namespace gate;

namespace {

constexpr auto kFe = Component::Frontend;
constexpr auto kBe = Component::Backend;
constexpr auto kCn = Component::ComputeNode;
constexpr auto kWarehouse = Component::Warehouse;

UpgradePath cluster(std::vector<ImageChange> changes, std::vector<ComponentImage> unchanged = {},
                    std::vector<RunningNode> running = {}) {
  return {std::string(kClusterKind), "sr", std::move(changes), std::move(unchanged), std::move(running)};
}

UpgradePath warehouse(const std::string& from, const std::string& to, std::vector<RunningNode> running = {}) {
  return {std::string(kWarehouseKind), "wh-1", {{kWarehouse, from, to}}, {}, std::move(running)};
}

RunningNode node(Component component, const std::string& version, const std::string& warehouse = "") {
  return {component, warehouse, parse_version(version).value()};
}

std::vector<std::string> judged(const UpgradePath& path) {
  std::vector<std::string> out;
  for (const auto& finding : judge_path(path)) {
    CHECK(finding.text.size() <= kPathTextMax);
    CHECK(finding.text.find("...") == std::string::npos);  // nothing was cut
    out.push_back(std::string(to_string(finding.severity)) + " " + std::string(finding.rule) + ": " + finding.text);
  }
  return out;
}

/// The cluster goes from one version to another as the documentation wants it: only the path is judged, not the order.
std::vector<std::string> judged(const std::string& from, const std::string& to) {
  return judged(cluster({{kBe, "be:" + from, "be:" + to}}, {{kFe, "fe:1.0.0"}}));
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("steps between minors") {
  struct Row {
    const char* name;
    const char* from;
    const char* to;
    const char* finding;  ///< nullptr: none.
  };
  for (const Row& row : {
           Row{"to the next minor", "3.3.9", "3.4.0", nullptr},
           Row{"to a later patch", "3.4.2", "3.4.10", nullptr},
           Row{"to an earlier patch", "3.4.10", "3.4.9", nullptr},
           Row{"compared as numbers", "3.9.1", "3.10.0", nullptr},
           Row{"the same version from another registry", "3.3.1", "3.3.1", nullptr},
           Row{"3.5 is followed by 4.0", "3.5.20", "4.0.3", nullptr},
           Row{"4.0 is preceded by 3.5", "4.0.1", "3.5.20", nullptr},
           Row{"2.5 is followed by 3.0", "2.5.22", "3.0.9", nullptr},
           Row{"1.19 is followed by 2.0", "1.19.7", "2.0.9", nullptr},
           Row{"a minor that this gate has not heard of", "4.1.3", "4.2.0", nullptr},
           Row{"skips a minor", "3.2.9", "3.4.12",
               "forbidden skipped-minor: be 3.2.9 -> 3.4.12 skips minor versions; accepted: 3.3 next"},
           Row{"skips two minors downwards", "3.4.12", "3.1.9",
               "forbidden skipped-minor: be 3.4.12 -> 3.1.9 skips minor versions; accepted: 3.3 next"},
           Row{"3.0 from something else than 2.5", "2.4.3", "3.0.9",
               "forbidden skipped-minor: be 2.4.3 -> 3.0.9 skips minor versions; accepted: 2.5 next"},
           Row{"2.0 from something else than 1.19", "1.18.4", "2.0.9",
               "forbidden skipped-minor: be 1.18.4 -> 2.0.9 skips minor versions; accepted: 1.19 next"},
           Row{"from the last minor past the first", "2.5.22", "3.1.9",
               "forbidden skipped-minor: be 2.5.22 -> 3.1.9 skips minor versions; accepted: 3.0 next"},
           Row{"down past the last minor", "4.0.1", "3.4.12",
               "forbidden skipped-minor: be 4.0.1 -> 3.4.12 skips minor versions; accepted: 3.5 next"},
           Row{"down over two majors", "4.1.3", "2.5.22",
               "forbidden skipped-minor: be 4.1.3 -> 2.5.22 skips minor versions; accepted: 4.0 next"},
           Row{"past a major line whose end is not known", "4.2.1", "5.0.0",
               "advice skipped-minor: be 4.2.1 -> 5.0.0 is not judged: the last minor of 4 is not known to this gate"},
           Row{"tags without a patch", "3.2-latest", "3.4-latest",
               "forbidden skipped-minor: be 3.2 -> 3.4 skips minor versions; accepted: 3.3 next"},
       }) {
    INFO(row.name);
    CHECK(judged(row.from, row.to) == (row.finding == nullptr ? Texts{} : Texts{row.finding}));
  }
}

TEST_CASE("rules of single releases, at their edges") {
  struct Row {
    const char* source;  ///< Where StarRocks says so.
    const char* from;
    const char* to;
    const char* finding;  ///< nullptr: none.
  };
  for (const Row& row : {
           Row{"downgrade.md", "3.0.4", "2.5.2",
               "forbidden downgrade-floor: be 3.0.4 -> 2.5.2: below the floor for 3.0; accepted: 2.5.3 or later"},
           Row{"downgrade.md", "3.0.4", "2.5.3", nullptr},
           Row{"release-3.3.md", "3.3.0", "3.2.2",
               "forbidden downgrade-floor: be 3.3.0 -> 3.2.2: metadata would be lost; accepted: 3.2.3 or later"},
           Row{"release-3.3.md", "3.3.8", "3.2.3", nullptr},
           Row{"release-3.3.md", "3.3.9", "3.2.10",
               "forbidden downgrade-floor: be 3.3.9 -> 3.2.10: below the floor for 3.3.9 and later; accepted: 3.2.11 "
               "or later"},
           Row{"release-3.3.md", "3.3.9", "3.2.11", nullptr},
           Row{"release-3.4.md", "3.4.0", "3.3.8",
               "forbidden downgrade-floor: be 3.4.0 -> 3.3.8: below the floor for 3.4; accepted: 3.3.9 or later"},
           Row{"release-3.4.md", "3.4.0", "3.3.9", nullptr},
           Row{"release-3.5.md", "3.5.1", "3.4.5",
               "forbidden downgrade-floor: be 3.5.1 -> 3.4.5: metadata would not be compatible; accepted: 3.4.6 or "
               "later"},
           Row{"release-3.5.md", "3.5.1", "3.4.6", nullptr},
           Row{"release-3.5.md", "3.5.2", "3.5.1",
               "forbidden downgrade-floor: be 3.5.2 -> 3.5.1: the FE would crash; accepted: 3.5.2 or later"},
           Row{"release-3.5.md", "3.5.10", "3.5.2", nullptr},
           Row{"release-3.5.md", "3.5.1", "3.5.0", nullptr},
           Row{"release-4.0.md", "4.0.1", "3.5.1",
               "forbidden downgrade-floor: be 4.0.1 -> 3.5.1: the FE would crash; accepted: 3.5.2 or later"},
           Row{"release-4.0.md", "4.0.1", "3.5.2", nullptr},
           Row{"release-4.1.md", "4.1.1", "4.0.5",
               "forbidden downgrade-floor: be 4.1.1 -> 4.0.5: the tablets' layout would not be understood; accepted: "
               "4.0.6 or later"},
           Row{"release-4.1.md", "4.1.1", "4.0.6", nullptr},
           Row{"release-3.3.md", "3.3.0", "3.3.1",
               "forbidden bad-version: be -> 3.3.1: was withdrawn; accepted: 3.3.2 or later"},
           Row{"release-3.3.md", "3.3.1", "3.3.2", nullptr},
           Row{"release-4.1.md", "4.0.7", "4.1.0",
               "forbidden bad-version: be -> 4.1.0: its container image is broken; accepted: 4.1.1 or later"},
           Row{"release-4.1.md", "4.0.7", "4.1.1", nullptr},
           Row{"release-3.5.md", "3.4.9", "3.5.3",
               "advice upgrade-from: be 3.4.9 -> 3.5.3; accepted: from 3.4.10, or SET GLOBAL "
               "cbo_enable_low_cardinality_optimize=false"},
           Row{"release-3.5.md", "3.4.10", "3.5.3", nullptr},
           Row{"release-4.0.md", "4.0.2", "4.0.1",
               "advice downgrade-preparation: be 4.0.2 -> 4.0.1; accepted: after SET GLOBAL "
               "enable_rewrite_simple_agg_to_meta_scan=false"},
           Row{"release-4.0.md", "4.0.2", "3.5.10",
               "advice downgrade-preparation: be 4.0.2 -> 3.5.10; accepted: after SET GLOBAL "
               "enable_rewrite_simple_agg_to_meta_scan=false"},
           Row{"release-4.0.md", "4.0.2", "3.5.11", nullptr},
           Row{"a pre-release counts as its release", "3.5.2-rc01", "3.4.6-rc02", nullptr},
           Row{"a tag without a patch may be below the floor", "3.5.4", "3.4-latest",
               "advice downgrade-floor: be 3.5.4 -> 3.4: a tag without a patch is not judged; accepted: 3.4.6 or "
               "later"},
       }) {
    INFO(row.source << " " << row.from << " -> " << row.to);
    CHECK(judged(row.from, row.to) == (row.finding == nullptr ? Texts{} : Texts{row.finding}));
  }
}

TEST_CASE("a finding of StarRocks' documentation names the page") {
  for (const auto& [from, to] : {std::pair{"3.2.9", "3.4.12"}, std::pair{"3.5.1", "3.4.5"}, std::pair{"3.3.0", "3.3.1"},
                                 std::pair{"4.0.2", "4.0.1"}}) {
    const auto findings =
        judge_path(cluster({{kBe, std::string("be:") + from, std::string("be:") + to}}, {{kFe, "fe:1.0.0"}}));
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].source.starts_with("docs/en/"));
  }
}

TEST_CASE("the longest findings fit a warning whole") {
  for (const auto& [from, to] :
       {std::pair{"3.4.9", "3.5.20"}, std::pair{"4.0.10", "3.5.10"}, std::pair{"4.1.10", "4.0.5"},
        std::pair{"3.0.10", "2.5.2"}, std::pair{"3.3.19", "3.2.10"}}) {
    std::vector<ImageChange> changes;
    for (const auto component : {kFe, kBe, kCn}) {
      changes.push_back({component, std::string("image:") + from, std::string("image:") + to});
    }
    CHECK_FALSE(judged(cluster(changes)).empty());
  }
}

TEST_CASE("what cannot be judged is said, never passed over") {
  struct Row {
    const char* name;
    UpgradePath path;
    Texts findings;
  };
  for (const Row& row : {
           Row{"to latest",
               cluster({{kFe, "fe:3.4.1", "fe:latest"}}),
               {"advice unknown-version: fe latest names no version: not judged; accepted: a tag like 3.5.7"}},
           Row{"to a digest",
               cluster({{kFe, "fe:3.4.1", "fe@sha256:0123456789ab" + std::string(52, 'c')}}),
               {"advice unknown-version: fe sha256:0123456789ab names no version: not judged; accepted: a tag like "
                "3.5.7"}},
           Row{"a blank behind the tag",
               cluster({{kBe, "be:3.5.7", "be:3.5.8 "}}),
               {"forbidden image-reference: be image has white space: no pod can start with it"}},
           Row{"a mark that nobody sees",
               cluster({{kBe, "be:3.5.7", "be:3.5.8\u200B"}}),
               {"forbidden image-reference: be image has U+200B (zero width space): no pod can start with it"}},
           Row{"a line break",
               cluster({{kBe, "be:3.5.7", "be:3.5.8\n"}}),
               {"forbidden image-reference: be image has white space: no pod can start with it"}},
           Row{"to the newest patch of the minor that runs", cluster({{kBe, "be:3.5.7", "be:3.5-latest"}}), {}},
           Row{"a registry's port is no version",
               cluster({{kFe, "fe:3.4.1", "registry:5000/fe"}}),
               {"advice unknown-version: fe registry:5000/fe names no version: not judged; accepted: a tag like "
                "3.5.7"}},
           Row{"from latest: rules that hold from anywhere still hold",
               cluster({{kFe, "fe:latest", "fe:4.1.0"}}),
               {"forbidden bad-version: fe -> 4.1.0: its container image is broken; accepted: 4.1.1 or later",
                "advice unknown-version: fe latest names no version: by tags alone the step from it is not judged"}},
           Row{"from latest, when no node told what it runs",
               [] {
                 auto path = cluster({{kFe, "fe:latest", "fe:3.5.7"}});
                 path.asked = true;
                 return path;
               }(),
               {"advice unknown-version: fe latest names no version, and no node told one: the step from it is not "
                "judged"}},
           Row{"all components at once are one finding",
               cluster(
                   {{kFe, "fe:3.4.1", "fe:latest"}, {kBe, "be:3.4.1", "be:latest"}, {kCn, "cn:3.4.1", "cn:latest"}}),
               {"advice unknown-version: fe, be, cn latest names no version: not judged; accepted: a tag like 3.5.7"}},
           Row{"the order, when one version is not known",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}}, {{kBe, "be:nightly"}}),
               {"advice component-order: be nightly names no version: not judged whether it goes before fe"}},
           Row{"a warehouse's way down, when the FE is not known",
               warehouse("cn:3.4.1", "cn:3.3.9"),
               {"advice component-order: warehouse -> 3.3.9: the version of fe is not known, the order is not "
                "judged"}},
           Row{"a long tag is cut to what fits",
               cluster({{kFe, "fe:3.4.1", "fe:" + std::string(128, 'x')}}),
               {"advice unknown-version: fe xxxxxxxxxxxxxxxxxxxxx... names no version: not judged; accepted: a tag "
                "like 3.5.7"}},
       }) {
    INFO(row.name);
    Texts texts;
    for (const auto& finding : judge_path(row.path)) {
      CHECK(finding.text.size() <= kPathTextMax);
      texts.push_back(std::string(to_string(finding.severity)) + " " + std::string(finding.rule) + ": " + finding.text);
    }
    CHECK(texts == row.findings);
  }
}

TEST_CASE("BE and CN go before the FE on the way up, after it on the way down") {
  struct Row {
    const char* name;
    UpgradePath path;
    Texts findings;
  };
  for (const Row& row : {
           Row{"BE first", cluster({{kBe, "be:3.3.9", "be:3.4.1"}}, {{kFe, "fe:3.3.9"}}), {}},
           Row{"FE after BE and CN",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}}, {{kBe, "be:3.4.1"}, {kCn, "cn:3.4.1"}}),
               {}},
           Row{"FE before BE",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}}, {{kBe, "be:3.3.9"}, {kCn, "cn:3.4.1"}}),
               {"forbidden component-order: be 3.3.9 would be older than fe 3.4.1; accepted: this component first, fe "
                "after"}},
           Row{"FE before BE within one minor",
               cluster({{kFe, "fe:3.4.1", "fe:3.4.10"}}, {{kBe, "be:3.4.9"}}),
               {"advice component-order: be 3.4.9 would be older than fe 3.4.10; accepted: this component first, fe "
                "after"}},
           Row{"all at once, as helm does",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}, {kBe, "be:3.3.9", "be:3.4.1"}, {kCn, "cn:3.3.9", "cn:3.4.1"}}),
               {"advice component-order: be, cn and fe to 3.4.1 in one change: the operator rolls fe first; safer: fe "
                "in a later change"}},
           Row{"at once, but not to the same version",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}, {kBe, "be:3.3.8", "be:3.3.9"}}),
               {"forbidden component-order: be 3.3.9 would be older than fe 3.4.1; accepted: this component first, fe "
                "after"}},
           Row{"FE first on the way down", cluster({{kFe, "fe:3.4.1", "fe:3.3.9"}}, {{kBe, "be:3.4.1"}}), {}},
           Row{"BE after it", cluster({{kBe, "be:3.4.1", "be:3.3.9"}}, {{kFe, "fe:3.3.9"}}), {}},
           Row{"BE down before the FE",
               cluster({{kBe, "be:3.4.1", "be:3.3.9"}}, {{kFe, "fe:3.4.1"}}),
               {"forbidden component-order: be -> 3.3.9 while fe is 3.4.1; accepted: fe down first, this component "
                "after"}},
           Row{"BE down before the FE within one minor",
               cluster({{kBe, "be:3.4.10", "be:3.4.9"}}, {{kFe, "fe:3.4.10"}}),
               {"advice component-order: be -> 3.4.9 while fe is 3.4.10; accepted: fe down first, this component "
                "after"}},
           Row{"all down at once", cluster({{kFe, "fe:3.4.1", "fe:3.3.9"}, {kBe, "be:3.4.1", "be:3.3.9"}}), {}},
           Row{"an old BE that catches up", cluster({{kBe, "be:3.3.8", "be:3.3.9"}}, {{kFe, "fe:3.4.1"}}), {}},
       }) {
    INFO(row.name);
    CHECK(judged(row.path) == row.findings);
  }
}

TEST_CASE("what runs counts before what the tags say, and where they differ a finding says so") {
  struct Row {
    const char* name;
    UpgradePath path;
    Texts findings;
  };
  for (const Row& row : {
           Row{"the tag is right",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}}, {}, {node(kFe, "3.3.9-1f1aa9c"), node(kFe, "3.3.9")}),
               {}},
           Row{"the tag has no patch, the minor is right",
               cluster({{kFe, "fe:3.3-latest", "fe:3.4.1"}}, {}, {node(kFe, "3.3.9")}),
               {}},
           Row{"the tag says latest",
               cluster({{kFe, "fe:latest", "fe:3.5.1"}}, {}, {node(kFe, "3.3.9")}),
               {"forbidden skipped-minor: fe 3.3.9 -> 3.5.1 skips minor versions; accepted: 3.4 next",
                "advice running-version: fe runs 3.3.9, its image says latest; judged by what runs"}},
           Row{"the tag is ahead of a rollout that never ended",
               cluster({{kFe, "fe:3.4.1", "fe:3.5.1"}}, {}, {node(kFe, "3.3.9")}),
               {"forbidden skipped-minor: fe 3.3.9 -> 3.5.1 skips minor versions; accepted: 3.4 next",
                "advice running-version: fe runs 3.3.9, its image says 3.4.1; judged by what runs"}},
           Row{"half rolled out: the lowest counts on the way up",
               cluster({{kBe, "be:3.4.1", "be:3.5.1"}}, {}, {node(kBe, "3.4.10"), node(kBe, "3.3.9")}),
               {"forbidden skipped-minor: be 3.3.9 -> 3.5.1 skips minor versions; accepted: 3.4 next",
                "advice running-version: be runs 3.3.9 to 3.4.10, its image says 3.4.1; judged by what runs"}},
           Row{"half rolled out: the highest counts on the way down",
               cluster({{kFe, "fe:3.5.2", "fe:3.5.1"}}, {}, {node(kFe, "3.5.1"), node(kFe, "3.5.2")}),
               {"forbidden downgrade-floor: fe 3.5.2 -> 3.5.1: the FE would crash; accepted: 3.5.2 or later",
                "advice running-version: fe runs 3.5.1 to 3.5.2, its image says 3.5.2; judged by what runs"}},
           Row{"the order by what runs: a BE that is not rolled out yet",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}}, {{kBe, "be:3.4.1"}},
                       {node(kFe, "3.3.9"), node(kBe, "3.4.1"), node(kBe, "3.3.9")}),
               {"forbidden component-order: be 3.3.9 would be older than fe 3.4.1; accepted: this component first, fe "
                "after"}},
           Row{"the order by what runs: a warehouse of the cluster",
               cluster({{kFe, "fe:3.3.9", "fe:3.4.1"}}, {{kCn, "cn:3.4.1"}},
                       {node(kCn, "3.4.1", "default_warehouse"), node(kCn, "3.3.9", "wh_1")}),
               {"forbidden component-order: warehouse 3.3.9 would be older than fe 3.4.1; accepted: this component "
                "first, fe after"}},
           Row{"a warehouse is judged by its own nodes and the FE",
               warehouse("cn:latest", "cn:3.4.1",
                         {node(kFe, "3.5.1"), node(kCn, "3.5.1", "wh_1"), node(kCn, "3.2.1", "wh_2")}),
               {"forbidden downgrade-floor: warehouse 3.5.1 -> 3.4.1: metadata would not be compatible; accepted: "
                "3.4.6 or later",
                "forbidden component-order: warehouse -> 3.4.1 while fe is 3.5.1; accepted: fe down first, this "
                "component after",
                "advice running-version: warehouse runs 3.5.1, its image says latest; judged by what runs"}},
       }) {
    INFO(row.name);
    CHECK(judged(row.path) == row.findings);
  }
}
