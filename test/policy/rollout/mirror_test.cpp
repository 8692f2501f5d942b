// Goal: whatever happened to the mirror while nobody watched, it comes to tell of the record that it should tell of,
// and one that does is left alone.

#include "policy/rollout/mirror.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "policy/rollout/cluster_conditions.hpp"

using namespace gate;
using nlohmann::json;

namespace {

using Change = std::function<void(Preparation&)>;

WallTime at(int second) { return *parse_time("2026-01-02T03:04:05Z") + std::chrono::seconds(second); }

Preparation record(
    const std::string& name, int created, Stage stage, const Change& change = [](Preparation&) {}) {
  Preparation out;
  out.name = name;
  out.name_space = "db";
  out.creation_time = at(created);
  out.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  out.spec.cluster = "sr";
  out.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  out.status.stage = stage;
  out.status.phase = Phase::Completed;
  change(out);
  return out;
}

Preparation closed(
    const std::string& name, int created, int closing, const Change& change = [](Preparation&) {}) {
  return record(name, created, Stage::Closed, [&](Preparation& out) {
    out.status.outcome = Outcome::Succeeded;
    out.status.restoring_time = at(closing);
    change(out);
  });
}

json cluster(const json& mirror) {
  json status{{"phase", "running"}};
  if (!mirror.is_null()) status.merge_patch({{"upgradePreparationStatus", mirror}});
  return {{"kind", "StarRocksCluster"},
          {"metadata", {{"name", "sr"}, {"uid", "uid-1"}, {"creationTimestamp", format_time(at(0))}}},
          {"status", status}};
}

json mirror(const Preparation& record) { return mirror_of(record); }

}  // namespace

TEST_CASE("which mirror is missing") {
  const auto failed = closed("f", 1, 5, [](Preparation& out) {
    out.status.phase = Phase::Failed;
    out.status.outcome = Outcome::Failed;
  });
  const auto rolling = record("r", 1, Stage::RollingOut);
  const auto restoring = record("f", 1, Stage::Restoring, [](Preparation& out) {
    out.status.phase = Phase::Failed;
    out.status.outcome = Outcome::Failed;
  });
  auto short_mirror = mirror(failed);
  short_mirror.erase("message");
  struct Row {
    const char* name;
    json stored;
    std::vector<Preparation> records;
    std::string missing;
  };
  for (const Row& row : {
           Row{"nothing happened yet", nullptr, {}, ""},
           Row{"a closed one that was erased", nullptr, {failed}, "f"},
           Row{"a closed one that is there", mirror(failed), {failed}, ""},
           Row{"a closed one that is there, without what a CRD cut", short_mirror, {failed}, ""},
           Row{"what it said before it was closed", mirror(restoring), {failed}, "f"},
           Row{"somebody's rubbish", "x", {failed}, "f"},
           Row{"that of another controller that prepares", {{"key", "0123"}, {"phase", "Completed"}}, {failed}, ""},
           Row{"that of a record that is gone", mirror(closed("g", 1, 9)), {failed}, "f"},
           Row{"that of a record that is gone, and nothing is known", mirror(failed), {}, ""},
           Row{"the last to close has the word", nullptr, {closed("a", 1, 9), closed("b", 2, 5)}, "a"},
           Row{"closed at one moment", nullptr, {closed("a", 1, 5), closed("b", 2, 5)}, "b"},
           Row{"an older one that is there", mirror(closed("a", 1, 4)), {closed("a", 1, 4), closed("b", 2, 5)}, ""},
           Row{"an open one that was erased", nullptr, {rolling, closed("b", 2, 5)}, "r"},
           Row{"beside a closed one that is there", mirror(closed("b", 2, 5)), {rolling, closed("b", 2, 5)}, "r"},
           Row{"an open one that is there, however old", mirror(restoring), {restoring}, ""},
           Row{"of two open ones the newer", mirror(rolling), {rolling, record("s", 2, Stage::Prepared)}, "s"},
           Row{"one whose hooks run is its runner's", nullptr, {rolling, record("s", 2, Stage::Preparing)}, ""},
           Row{"a bypass says nothing",
               nullptr,
               {closed("a", 1, 5, [](Preparation& out) { out.spec.bypass.emplace(); })},
               ""},
           Row{"nor a superseded one",
               nullptr,
               {closed("a", 1, 5, [](Preparation& out) { out.status.outcome = Outcome::Superseded; })},
               ""},
           Row{"nor one that others prepare",
               nullptr,
               {closed("a", 1, 5, [](Preparation& out) { out.spec.mode = PreparationMode::Verify; })},
               ""},
           Row{"of an earlier cluster of the name",
               nullptr,
               {closed("a", 1, 5, [](Preparation& out) { out.spec.object.uid = "uid-0"; })},
               ""},
           Row{"of a warehouse",
               nullptr,
               {closed("a", 1, 5,
                       [](Preparation& out) {
                         out.spec.object = {"StarRocksWarehouse", "wh", "uid-w"};
                       })},
               "a"},
           Row{"of a warehouse that an earlier cluster had",
               nullptr,
               {closed("a", -1, 5,
                       [](Preparation& out) {
                         out.spec.object = {"StarRocksWarehouse", "wh", "uid-w"};
                       })},
               ""},
       }) {
    INFO(row.name);
    const json object = cluster(row.stored);
    const auto* const missing = missing_mirror(object, row.records);
    CHECK((missing == nullptr ? "" : missing->name) == row.missing);
    if (missing == nullptr) continue;
    // Once it is written it is there.
    CHECK(missing_mirror(cluster(mirror(*missing)), row.records) == nullptr);
  }
}

TEST_CASE("of clusters of any shape") {
  const std::vector<Preparation> records{closed("a", 1, 5)};
  for (const json& odd : {json(), json("x"), json::array(), json{{"metadata", 1}, {"status", 2}}}) {
    CAPTURE(odd.dump());
    CHECK(missing_mirror(odd, records) == nullptr);
  }
  json without_status = cluster(nullptr);
  without_status["status"] = "x";
  CHECK(missing_mirror(without_status, records) == &records.front());
}
