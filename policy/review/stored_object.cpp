#include "policy/review/stored_object.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "policy/json/json_member.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {
namespace {

using nlohmann::json;

std::map<std::string, std::string> annotations_that_count(const json& object) {
  auto all = text_members(member(member(object, "metadata"), "annotations"));
  std::erase_if(all, [](const auto& entry) { return !entry.first.starts_with(kAnnotationPrefix); });
  return all;
}

}  // namespace

std::string difference_from_stored(const AdmissionRequest& request, const json& stored) {
  const json& metadata = member(stored, "metadata");
  const std::string uid = text_member(metadata, "uid");
  for (const json* sent : {&request.old_object, &request.object}) {
    if (uid.empty() || text_member(member(*sent, "metadata"), "uid") != uid) return "it has another UID";
  }
  if (being_deleted(stored)) return "it is being deleted";
  const json& before = request.old_object;
  const json& generation = member(metadata, "generation");
  if (generation != member(member(before, "metadata"), "generation")) return "it has another generation";
  for (const auto component : {Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse}) {
    if (component_image(stored, component) != component_image(before, component)) {
      return "it has another " + std::string(to_string(component)) + " image";
    }
  }
  if (request.kind == kWarehouseKind && text_member(member(stored, "spec"), "starRocksCluster") !=
                                            text_member(member(before, "spec"), "starRocksCluster")) {
    return "it belongs to another cluster";
  }
  if (annotations_that_count(stored) != annotations_that_count(before)) return "it has other annotations";
  return {};
}

}  // namespace gate
