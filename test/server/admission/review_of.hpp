#pragma once
// What the API server sends when somebody changes a StarRocksCluster.

#include <nlohmann/json.hpp>
#include <string>

namespace gate::test {

/// Null for `old_object` when it is created, for `object` when it is deleted.
inline nlohmann::json review_of(const nlohmann::json& old_object, const nlohmann::json& object, bool dry_run = false,
                                const std::string& operation = "UPDATE", const std::string& subresource = "") {
  const auto& metadata = (object.is_null() ? old_object : object).at("metadata");
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"request",
           {{"uid", "uid-of-review"},
            {"kind", {{"group", "starrocks.com"}, {"version", "v1"}, {"kind", "StarRocksCluster"}}},
            {"resource", {{"group", "starrocks.com"}, {"version", "v1"}, {"resource", "starrocksclusters"}}},
            {"subResource", subresource},
            {"name", metadata.at("name")},
            {"namespace", metadata.value("namespace", "db")},
            {"operation", operation},
            {"userInfo", {{"username", "alice"}, {"groups", {"developers"}}}},
            {"dryRun", dry_run},
            {"object", object},
            {"oldObject", old_object}}}};
}

}  // namespace gate::test
