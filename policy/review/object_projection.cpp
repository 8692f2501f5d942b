#include "policy/review/object_projection.hpp"

#include <array>
#include <utility>
#include <vector>

#include "policy/review/status_fields.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {
namespace {

/// Annotations and labels of ours, and what may have been meant to be one: whoever judges names has to see them. All
/// others are for others.
Projection ours(std::string name) {
  constexpr std::array kBeginnings{"starrocks*", "Starrocks*", "StarRocks*", "gate.starrocks.com/*",
                                   "upgrade*",   "Upgrade*",   "prepare*",   "retry-upgrade*"};
  std::vector<Projection> members;
  for (const char* beginning : kBeginnings) members.push_back(keep_all(beginning));
  return keep_members(std::move(name), std::move(members));
}

Projection metadata(std::vector<Projection> more) {
  std::vector<Projection> members{keep_all("name"),
                                  keep_all("namespace"),
                                  keep_all("uid"),
                                  keep_all("generation"),
                                  keep_all("resourceVersion"),
                                  keep_all("deletionTimestamp"),
                                  keep_all("creationTimestamp")};
  for (auto& member : more) members.push_back(std::move(member));
  return keep_members("metadata", std::move(members));
}

Projection component(Component which, std::vector<Projection> more = {}) {
  std::vector<Projection> members{keep_all("image"), keep_all("upgradeHooks")};
  for (auto& member : more) members.push_back(std::move(member));
  return keep_and_digest(std::string(spec_field(which)), std::move(members));
}

Projection starrocks_spec(std::vector<Projection> of_frontend) {
  return keep_and_digest("spec", {component(Component::Frontend, std::move(of_frontend)), component(Component::Backend),
                                  component(Component::ComputeNode), component(Component::Warehouse),
                                  keep_all("upgradePreparation"), keep_all("starRocksCluster")});
}

/// What the gate writes, and preserves through the operator's writes. Of other people's conditions, so many that it is
/// seen when they are too many: what is lost then must not be the mirror.
std::vector<Projection> status_of_ours() {
  return {keep_all(std::string(kMirrorField)), keep_first(std::string(kConditionsField), kConditionsMax + 1),
          keep_all(std::string(kObservedGenerationField))};
}

Projection starrocks_status() {
  auto kept = status_of_ours();
  kept.push_back(keep_all("phase"));
  return keep_members("status", std::move(kept));
}

/// What the operator writes and the gate may answer with, unchanged.
Projection stateful_set() {
  return keep_members("",
                      {metadata({keep_all("annotations"), keep_all("labels"), keep_all("ownerReferences")}),
                       keep_members("spec", {keep_all("replicas"), keep_all("updateStrategy"), keep_all("template")}),
                       keep_members("status", {keep_all("*")})});
}

}  // namespace

Projection review_projection(std::string_view kind, std::string_view subresource) {
  if (kind == "ConfigMap") return config_map_projection();
  if (kind == "StatefulSet") return stateful_set();
  const auto about = metadata({ours("annotations"), ours("labels")});
  if (kind != kClusterKind && kind != kWarehouseKind) return keep_members("", {about});
  // The two webhooks read one half each, and of the status what is preserved: what is large elsewhere must not matter.
  if (!subresource.empty()) {
    return keep_members("", {about, keep_members("status", status_of_ours())});
  }
  return keep_members("", {about, starrocks_spec({})});
}

Projection stored_object_projection() {
  const auto password = keep_members("MYSQL_PWD", {keep_all("name"), keep_all("value"), keep_all("valueFrom")});
  return keep_members("", {metadata({ours("annotations"), ours("labels")}),
                           starrocks_spec({keep_elements("feEnvVars", password)}), starrocks_status()});
}

Projection config_map_projection() {
  return keep_members("", {metadata({ours("annotations"), ours("labels")}), keep_all("data")});
}

}  // namespace gate
