#pragma once
// Which StarRocks components change their image between two versions of one object (ADR 20).

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gate {

inline constexpr std::string_view kClusterKind = "StarRocksCluster";
inline constexpr std::string_view kWarehouseKind = "StarRocksWarehouse";

enum class Component { Frontend, Backend, ComputeNode, Warehouse };

/// "fe", "be", "cn", "warehouse".
[[nodiscard]] std::string_view to_string(Component component);
[[nodiscard]] std::optional<Component> component_from(std::string_view text);

/// The field of the object's spec that holds a component: "starRocksFeSpec", ..., "template" for a warehouse.
[[nodiscard]] std::string_view spec_field(Component component);

/// The part of an image reference that tells versions apart, for people: the tag, else the shortened digest, else the
/// whole reference. Understands registries with a port ("host:5000/img" has no tag).
[[nodiscard]] std::string image_version(std::string_view image);

struct ImageChange {
  Component component = Component::Frontend;
  std::string from;
  std::string to;
  friend bool operator==(const ImageChange&, const ImageChange&) = default;
};

struct ComponentImage {
  Component component = Component::Frontend;
  std::string image;
  friend bool operator==(const ComponentImage&, const ComponentImage&) = default;
};

/// The main image of `component` in `object`, empty when absent or not a string.
[[nodiscard]] std::string component_image(const nlohmann::json& object, Component component);

/// It has a deletionTimestamp: what is going away has no upgrade to prepare, and its finalizers must not be held.
[[nodiscard]] bool being_deleted(const nlohmann::json& object);

/// Components whose main image goes from one non-empty value to another, in the order fe, be, cn
/// (or the one of a warehouse). Empty for other kinds, and for one that is being deleted.
/// Objects may be null or of any shape.
[[nodiscard]] std::vector<ImageChange> image_changes(std::string_view kind, const nlohmann::json& old_object,
                                                     const nlohmann::json& new_object);

/// The components of `object` that have a main image and are not among `changes`, in the same order.
[[nodiscard]] std::vector<ComponentImage> unchanged_images(std::string_view kind, const nlohmann::json& object,
                                                           const std::vector<ImageChange>& changes);

}  // namespace gate
