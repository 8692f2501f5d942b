#include "policy/versions/image_change.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "policy/json/json_member.hpp"

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
  return text_member(member(member(object, "spec"), spec_field(component)), "image");
}

bool being_deleted(const nlohmann::json& object) {
  return !member(member(object, "metadata"), "deletionTimestamp").is_null();
}

std::vector<ImageChange> image_changes(std::string_view kind, const nlohmann::json& old_object,
                                       const nlohmann::json& new_object) {
  std::vector<ImageChange> changes;
  if (being_deleted(new_object)) return changes;
  for (const ComponentRow& row : kComponents) {
    if (row.kind != kind) continue;
    std::string from = component_image(old_object, row.component);
    std::string to = component_image(new_object, row.component);
    if (!from.empty() && !to.empty() && from != to) changes.push_back({row.component, std::move(from), std::move(to)});
  }
  return changes;
}

std::vector<ComponentImage> unchanged_images(std::string_view kind, const nlohmann::json& object,
                                             const std::vector<ImageChange>& changes) {
  std::vector<ComponentImage> unchanged;
  for (const ComponentRow& row : kComponents) {
    const auto changed = [&](const ImageChange& change) { return change.component == row.component; };
    if (row.kind != kind || std::any_of(changes.begin(), changes.end(), changed)) continue;
    if (std::string image = component_image(object, row.component); !image.empty()) {
      unchanged.push_back({row.component, std::move(image)});
    }
  }
  return unchanged;
}

}  // namespace gate
