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
