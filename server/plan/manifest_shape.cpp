#include "server/plan/manifest_shape.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "policy/hooks/hook_definition.hpp"
#include "policy/json/json_member.hpp"
#include "policy/text/object_name.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {
namespace {

using nlohmann::json;

class Shape {
 public:
  explicit Shape(const json& object) : object_(object) {}

  void metadata() {
    reader_.refuse_near_members(
        object_, "the manifest",
        {"apiVersion", "kind", "metadata", "spec", "status", "data", "binaryData", "immutable"});
    const json* found = reader_.object_member(object_, "metadata", "metadata");
    if (found == nullptr) return;
    reader_.refuse_near_members(*found, "metadata", {"name", "namespace", "labels", "annotations"});
    texts(*found, "labels");
    texts(*found, "annotations");
    for (const std::string key : {"name", "namespace"}) {
      const std::string field = "metadata." + key;
      const auto name = reader_.text_member(*found, key, field);
      if (name && !name->empty() && !is_object_name(*name)) {
        reader_.fault(field, *name, "lower case letters, digits, '-' and '.'");
      }
    }
  }

  /// Of others: with one that is no text the API server refuses the object. Those of ours are judged by who reads them.
  void texts(const json& metadata, const std::string& key) {
    const json* found = reader_.object_member(metadata, key, "metadata." + key);
    if (found == nullptr) return;
    for (const auto& entry : found->items()) {
      if (entry.value().is_string() || entry.value().is_null() || entry.key().starts_with("starrocks.com/")) continue;
      reader_.text_fault("metadata." + key + "[" + entry.key() + "]", entry.value());
    }
  }

  void label() {
    const json* labels = reader_.object_member(member(object_, "metadata"), "labels", "metadata.labels");
    if (labels == nullptr) return;
    reader_.refuse_near_members(*labels, "metadata.labels", {kHooksLabel});
    const std::string field = "metadata.labels[" + std::string(kHooksLabel) + "]";
    const auto value = reader_.text_member(*labels, kHooksLabel, field);
    if (value && *value != "true" && *value != "false") reader_.fault(field, *value, "\"true\" or \"false\"");
  }

  void components(std::string_view kind) {
    const json* spec = reader_.object_member(object_, "spec", "spec");
    if (spec == nullptr) return;
    const bool warehouse = kind == kWarehouseKind;
    std::vector<std::string_view> known{"starRocksFeProxySpec"};
    if (warehouse) known = {"starRocksCluster"};
    constexpr std::array kAll{Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse};
    for (const Component component : kAll) {
      if ((component == Component::Warehouse) != warehouse) continue;
      known.push_back(spec_field(component));
      const std::string key(spec_field(component));
      if (const json* found = reader_.object_member(*spec, key, "spec." + key)) one_component(*found, "spec." + key);
    }
    reader_.refuse_near_members(*spec, "spec", known);
    if (warehouse) static_cast<void>(reader_.text_member(*spec, "starRocksCluster", "spec.starRocksCluster"));
  }

  void data() {
    const json* found = reader_.object_member(object_, "data", "data");
    if (found != nullptr) {
      for (const auto& entry : found->items()) {
        if (!entry.value().is_string()) reader_.text_fault("data[" + entry.key() + "]", entry.value());
      }
    }
    const json* binary = reader_.object_member(object_, "binaryData", "binaryData");
    if (binary == nullptr) return;
    for (const auto& entry : binary->items()) {
      if (has_hook_ending(entry.key())) reader_.fault("binaryData", entry.key(), "hooks in data, as text in UTF-8");
    }
  }

  void items() { reader_.refuse_near_members(object_, "the list", {"apiVersion", "kind", "metadata", "items"}); }

  [[nodiscard]] std::vector<ConfigurationFault> faults() && { return std::move(reader_.faults); }

 private:
  void one_component(const json& component, const std::string& field) {
    reader_.refuse_near_members(component, field, {"image", "replicas"});
    const auto image = reader_.text_member(component, "image", field + ".image");
    if (image && image->empty()) reader_.fault(field + ".image", "", "an image, or no such field");
    static_cast<void>(reader_.integer_member(component, "replicas", field + ".replicas", 0,
                                             std::numeric_limits<std::int32_t>::max()));
  }

  const json& object_;
  MemberReader reader_;
};

}  // namespace

std::vector<ConfigurationFault> shape_faults(std::string_view kind, const json& object) {
  Shape shape(object);
  shape.metadata();
  if (kind == kClusterKind || kind == kWarehouseKind) {
    shape.components(kind);
  } else {
    shape.label();
  }
  return std::move(shape).faults();
}

std::vector<ConfigurationFault> data_faults(const json& config_map) {
  Shape shape(config_map);
  shape.data();
  return std::move(shape).faults();
}

std::vector<ConfigurationFault> list_faults(const json& list) {
  Shape shape(list);
  shape.items();
  return std::move(shape).faults();
}

}  // namespace gate
