// Goal: a typed status write that drops the mirror gets it back; nobody else is touched.

#include "policy/review/status_preservation.hpp"

#include <doctest/doctest.h>

#include "policy/review/status_fields.hpp"

using namespace gate;
using nlohmann::json;

namespace {

AdmissionRequest status_update(json before, json after) {
  AdmissionRequest request;
  request.operation = Operation::Update;
  request.subresource = "status";
  request.user.username = "system:serviceaccount:starrocks:starrocks";
  request.old_object = std::move(before);
  request.object = std::move(after);
  return request;
}

const json kMirror = {{"phase", "Running"}};
const json kWith = {{"status", {{"phase", "running"}, {"upgradePreparationStatus", kMirror}}}};

}  // namespace

TEST_CASE("a status update that drops the mirror is patched, and the patch restores exactly it") {
  for (const json& after : {json{{"status", {{"phase", "reconciling"}}}}, json{{"spec", 1}}}) {
    const auto answer = preserve_status(status_update(kWith, after), "gate");
    CHECK(answer.allowed);
    REQUIRE(answer.json_patch.is_array());
    CHECK(after.patch(answer.json_patch)["status"]["upgradePreparationStatus"] == kMirror);
  }
}

TEST_CASE("what tools wait by is kept, too; what the writer says himself counts") {
  const json ready = {{"type", "Ready"}, {"status", "False"}};
  const json reconciling = {{"type", "Reconciling"}, {"status", "True"}};
  const json foreign = {{"type", "BackedUp"}, {"status", "True"}};
  const auto object = [](json status) { return json{{"status", std::move(status)}}; };
  struct Row {
    const char* name;
    json before;
    json after;
    json stored;
  };
  for (const Row& row : {
           Row{"all dropped",
               {{"phase", "running"},
                {"observedGeneration", 3},
                {"conditions", {ready, reconciling}},
                {"upgradePreparationStatus", kMirror}},
               {{"phase", "failed"}},
               {{"phase", "failed"},
                {"observedGeneration", 3},
                {"conditions", {ready, reconciling}},
                {"upgradePreparationStatus", kMirror}}},
           Row{"the generation alone", {{"observedGeneration", 3}}, json::object(), {{"observedGeneration", 3}}},
           Row{"the generation is the writer's own",
               {{"observedGeneration", 3}},
               {{"observedGeneration", 4}},
               {{"observedGeneration", 4}}},
           Row{"conditions of a writer who has his own",
               {{"conditions", {foreign, ready}}},
               {{"conditions", {foreign}}},
               {{"conditions", {foreign, ready}}}},
           Row{"others' conditions are not kept from going",
               {{"conditions", {foreign, ready}}},
               {{"conditions", {ready}}},
               {{"conditions", {ready}}}},
           Row{"the writer's word on ours",
               {{"conditions", {reconciling}}},
               {{"conditions", {{{"type", "Reconciling"}, {"status", "False"}}}}},
               {{"conditions", {{{"type", "Reconciling"}, {"status", "False"}}}}}},
           Row{"odd lists", {{"conditions", {1, "x", nullptr}}}, {{"conditions", {2}}}, {{"conditions", {2}}}},
           Row{"no lists", {{"conditions", "x"}}, {{"conditions", 3}}, {{"conditions", 3}}},
       }) {
    INFO(row.name);
    const auto answer = preserve_status(status_update(object(row.before), object(row.after)), "gate");
    CHECK(answer.allowed);
    const auto stored = answer.json_patch.is_null() ? object(row.after) : object(row.after).patch(answer.json_patch);
    CHECK(stored == object(row.stored));
  }
  const auto whole = preserve_status(status_update(object({{"observedGeneration", 3}}), {{"spec", 1}}), "gate");
  CHECK(json{{"spec", 1}}.patch(whole.json_patch) == json{{"spec", 1}, {"status", {{"observedGeneration", 3}}}});
}

TEST_CASE("what needs no help is allowed without a patch") {
  const json without = {{"status", {{"phase", "running"}}}};
  const json changed = {{"status", {{"upgradePreparationStatus", {{"phase", "Completed"}}}}}};
  auto of_gate = status_update(kWith, without);
  of_gate.user.username = "gate";
  auto main_resource = status_update(kWith, without);
  main_resource.subresource.clear();
  for (const auto& request :
       {status_update(without, without), status_update(kWith, kWith), status_update(kWith, changed),
        status_update(nullptr, without), status_update(kWith, nullptr), of_gate, main_resource}) {
    const auto answer = preserve_status(request, "gate");
    CHECK(answer.allowed);
    CHECK(answer.json_patch.is_null());
  }
}

TEST_CASE("however many conditions others have, the mirror is kept, and no write is made too long for the CRD") {
  const auto conditions = [](std::size_t foreign, std::size_t of_ours) {
    json out = json::array();
    for (std::size_t i = 0; i < foreign; ++i) {
      out.push_back({{"type", "Of" + std::to_string(i)}, {"status", "True"}, {"reason", "Some"}, {"message", "text"}});
    }
    for (std::size_t i = 0; i < of_ours; ++i) out.push_back({{"type", kConditionTypes.at(i)}, {"status", "True"}});
    return out;
  };
  struct Row {
    const char* name;
    json before;  // null: none
    json after;
    std::size_t stored;  // conditions
  };
  for (const Row& row : {
           Row{"thousands, all dropped", conditions(5'000, 0), nullptr, 0},
           Row{"thousands, kept by their writer", conditions(5'000, 0), conditions(5'000, 0), 5'000},
           Row{"as many as there may be, all dropped", conditions(60, 4), nullptr, 64},
           Row{"ours dropped, with room for all", conditions(60, 4), conditions(60, 0), 64},
           Row{"ours dropped, with room for some", conditions(60, 4), conditions(62, 0), 64},
           Row{"ours dropped, with room for none", conditions(60, 4), conditions(64, 0), 64},
       }) {
    INFO(row.name);
    const auto object = [&](const json& list, const json& mirror) {
      json status{{"phase", "running"}};
      if (!list.is_null()) status["conditions"] = list;
      if (!mirror.is_null()) status["upgradePreparationStatus"] = mirror;
      return json{{"metadata", {{"name", "sr"}}}, {"status", std::move(status)}};
    };
    const json after = object(row.after, nullptr);
    const json review{{"apiVersion", "admission.k8s.io/v1"},
                      {"kind", "AdmissionReview"},
                      {"request",
                       {{"uid", "u"},
                        {"kind", {{"kind", "StarRocksCluster"}}},
                        {"resource", {{"group", "starrocks.com"}, {"resource", "starrocksclusters"}}},
                        {"subResource", "status"},
                        {"operation", "UPDATE"},
                        {"object", after},
                        {"oldObject", object(row.before, kMirror)}}}};
    const auto request = parse_review(review.dump());
    REQUIRE(request.ok());
    const auto answer = preserve_status(*request, "gate");
    CHECK(answer.allowed);
    REQUIRE_FALSE(answer.json_patch.is_null());
    const json stored = after.patch(answer.json_patch)["status"];
    CHECK(stored["upgradePreparationStatus"] == kMirror);
    CHECK(stored.value("conditions", json::array()).size() == row.stored);
  }
}
