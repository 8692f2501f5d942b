// Goal: a typed status write that drops the mirror gets it back; nobody else is touched.

#include "policy/review/status_preservation.hpp"

#include <doctest/doctest.h>

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
