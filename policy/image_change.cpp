#include "policy/image_change.hpp"

#include <array>
#include <nlohmann/json.hpp>

namespace gate {
namespace {

struct ComponentRow {
  Component component;
  std::string_view name;
  std::string_view spec_field;
  std::string_view kind;
};

constexpr std::array kComponents{
    ComponentRow{Component::Frontend, "fe", "starRocksFeSpec", kClusterKind},
    ComponentRow{Component::Backend, "be", "starRocksBeSpec", kClusterKind},
    ComponentRow{Component::ComputeNode, "cn", "starRocksCnSpec", kClusterKind},
    ComponentRow{Component::Warehouse, "warehouse", "template", kWarehouseKind},
};

const ComponentRow& row_of(Component component) { return kComponents.at(static_cast<std::size_t>(component)); }

/// The member `key` of an object, or null; a value of another type has no members.
const nlohmann::json& member(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json absent;
  const auto found = object.find(key);
  return found == object.end() ? absent : *found;
}

bool is_being_deleted(const nlohmann::json& object) {
  return !member(member(object, "metadata"), "deletionTimestamp").is_null();
}

}  // namespace

std::string_view to_string(Component component) { return row_of(component).name; }

std::optional<Component> component_from(std::string_view text) {
  for (const ComponentRow& row : kComponents) {
    if (row.name == text) return row.component;
  }
  return std::nullopt;
}

std::string_view spec_field(Component component) { return row_of(component).spec_field; }

std::string image_version(std::string_view image) {
  constexpr std::size_t kDigestShown = 19;               // "sha256:" and 12 digits, as container tools show it
  const auto last = image.substr(image.rfind('/') + 1);  // npos + 1 is 0
  // A colon before the last slash belongs to the registry's port.
  const auto at = last.find('@');
  const auto colon = last.substr(0, at).find(':');
  if (colon != std::string_view::npos) return std::string(last.substr(0, at).substr(colon + 1));
  if (at != std::string_view::npos) return std::string(last.substr(at + 1, kDigestShown));
  return std::string(image);
}

std::string component_image(const nlohmann::json& object, Component component) {
  const nlohmann::json& image = member(member(member(object, "spec"), spec_field(component)), "image");
  return image.is_string() ? image.get<std::string>() : std::string();
}

std::vector<ImageChange> image_changes(std::string_view kind, const nlohmann::json& old_object,
                                       const nlohmann::json& new_object) {
  std::vector<ImageChange> changes;
  if (is_being_deleted(new_object)) return changes;
  for (const ComponentRow& row : kComponents) {
    if (row.kind != kind) continue;
    std::string from = component_image(old_object, row.component);
    std::string to = component_image(new_object, row.component);
    if (!from.empty() && !to.empty() && from != to) changes.push_back({row.component, std::move(from), std::move(to)});
  }
  return changes;
}

}  // namespace gate
