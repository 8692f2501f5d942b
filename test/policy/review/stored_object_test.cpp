#include "policy/review/stored_object.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

namespace gate {
namespace {

using nlohmann::json;

json stored_cluster() {
  return {{"kind", "StarRocksCluster"},
          {"metadata",
           {{"name", "sr"},
            {"namespace", "db"},
            {"uid", "u-1"},
            {"resourceVersion", "7"},
            {"generation", 3},
            {"annotations", {{"starrocks.com/prepare-upgrade", "true"}, {"note", "text"}}}}},
          {"spec", {{"starRocksFeSpec", {{"image", "fe:1"}}}, {"starRocksBeSpec", {{"image", "be:1"}}}}},
          {"status", {{"phase", "running"}}}};
}

AdmissionRequest honest(const json& stored) {
  AdmissionRequest request;
  request.kind = stored.at("kind");
  request.old_object = stored;
  request.object = stored;
  request.object["spec"]["starRocksBeSpec"]["image"] = "be:2";
  request.object["metadata"]["generation"] = 4;
  return request;
}

TEST_CASE("what was sent is compared with what is stored") {
  struct Row {
    const char* name;
    std::function<void(AdmissionRequest&, json& stored)> lie;
    const char* difference;
  };
  for (const Row& row : {
           Row{"honest", [](auto&, auto&) {}, ""},
           Row{"a status was written in between",
               [](auto&, json&stored) {
                 stored["status"]["phase"] = "reconciling";
                 stored["metadata"]["resourceVersion"] = "8";
               },
               ""},
           Row{"a label and another annotation were written in between",
               [](auto&, json&stored) {
                 stored["metadata"]["labels"]["team"] = "data";
                 stored["metadata"]["annotations"]["note"] = "other";
               },
               ""},
           Row{"an invented UID",
               [](AdmissionRequest&sent, json&) {
                 sent.object["metadata"]["uid"] = sent.old_object["metadata"]["uid"] = "u-2";
               },
               "another UID"},
           Row{"an invented UID in the new object",
               [](AdmissionRequest&sent, json&) { sent.object["metadata"]["uid"] = "u-2"; }, "another UID"},
           Row{"no UID anywhere",
               [](AdmissionRequest&sent, json&stored) {
                 for (json* object : {&sent.object, &sent.old_object, &stored}) (*object)["metadata"].erase("uid");
               },
               "another UID"},
           Row{"another image before",
               [](AdmissionRequest&sent, json&) { sent.old_object["spec"]["starRocksBeSpec"]["image"] = "be:0"; },
               "another be image"},
           Row{"a component that is not there",
               [](AdmissionRequest&sent, json&) { sent.old_object["spec"]["starRocksCnSpec"]["image"] = "cn:1"; },
               "another cn image"},
           Row{"an older generation", [](auto&, json&stored) { stored["metadata"]["generation"] = 4; },
               "another generation"},
           Row{"no generation", [](AdmissionRequest&sent, json&) { sent.old_object["metadata"].erase("generation"); },
               "another generation"},
           Row{"another hook configuration",
               [](AdmissionRequest&sent, json&) {
                 sent.old_object["metadata"]["annotations"]["starrocks.com/upgrade-hooks"] = "disable-balancer";
               },
               "other annotations"},
           Row{"being deleted",
               [](auto&, json&stored) { stored["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"; },
               "being deleted"},
           Row{"nothing at all", [](auto&, json&stored) { stored = nullptr; }, "another UID"},
       }) {
    INFO(row.name);
    auto stored = stored_cluster();
    auto request = honest(stored);
    row.lie(request, stored);
    const auto difference = difference_from_stored(request, stored);
    CHECK_MESSAGE(difference.empty() == (*row.difference == '\0'), difference);
    CHECK_MESSAGE(difference.find(row.difference) != std::string::npos, difference);
  }
}

TEST_CASE("a warehouse must belong to the stored cluster, with the stored image") {
  const json stored{{"kind", "StarRocksWarehouse"},
                    {"metadata", {{"uid", "w-1"}, {"generation", 1}}},
                    {"spec", {{"starRocksCluster", "sr"}, {"template", {{"image", "cn:1"}}}}}};
  AdmissionRequest request;
  request.kind = "StarRocksWarehouse";
  request.object = request.old_object = stored;
  CHECK(difference_from_stored(request, stored).empty());
  request.old_object["spec"]["starRocksCluster"] = "another";
  CHECK(difference_from_stored(request, stored) == "it belongs to another cluster");
  request.old_object = stored;
  request.old_object["spec"]["template"]["image"] = "cn:0";
  CHECK(difference_from_stored(request, stored) == "it has another warehouse image");
}

}  // namespace
}  // namespace gate
