#include "policy/versions/image_change.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace gate;
using nlohmann::json;

namespace {

std::string shown(const std::vector<ImageChange>& changes) {
  std::string text;
  for (const ImageChange& change : changes) {
    text += std::string(to_string(change.component)) + ":" + change.from + ">" + change.to + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("only a main image that goes from one value to another is a change") {
  struct Row {
    const char* name;
    std::string_view kind;
    const char* old_object;
    const char* new_object;
    const char* expected;
  };
  const Row rows[] = {
      {"be image", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":"be:1"}}})",
       R"({"spec":{"starRocksBeSpec":{"image":"be:2"}}})", "be:be:1>be:2 "},
      {"all three, in the order fe, be, cn", kClusterKind,
       R"({"spec":{"starRocksCnSpec":{"image":"c1"},"starRocksBeSpec":{"image":"b1"},"starRocksFeSpec":{"image":"f1"}}})",
       R"({"spec":{"starRocksCnSpec":{"image":"c2"},"starRocksBeSpec":{"image":"b2"},"starRocksFeSpec":{"image":"f2"}}})",
       "fe:f1>f2 be:b1>b2 cn:c1>c2 "},
      {"warehouse", kWarehouseKind, R"({"spec":{"template":{"image":"1"}}})", R"({"spec":{"template":{"image":"2"}}})",
       "warehouse:1>2 "},
      {"same image", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":"be:1"}}})",
       R"({"spec":{"starRocksBeSpec":{"image":"be:1","replicas":3}}})", ""},
      {"component appears", kClusterKind, R"({"spec":{}})", R"({"spec":{"starRocksCnSpec":{"image":"cn:1"}}})", ""},
      {"component disappears", kClusterKind, R"({"spec":{"starRocksCnSpec":{"image":"cn:1"}}})", R"({"spec":{}})", ""},
      {"image from empty", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":""}}})",
       R"({"spec":{"starRocksBeSpec":{"image":"be:1"}}})", ""},
      {"image to empty", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":"be:1"}}})",
       R"({"spec":{"starRocksBeSpec":{"image":""}}})", ""},
      {"image to null", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":"be:1"}}})",
       R"({"spec":{"starRocksBeSpec":{"image":null}}})", ""},
      {"image of a wrong type", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":1}}})",
       R"({"spec":{"starRocksBeSpec":{"image":2}}})", ""},
      {"sidecar image", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":"b","sidecars":[{"image":"s:1"}]}}})",
       R"({"spec":{"starRocksBeSpec":{"image":"b","sidecars":[{"image":"s:2"}]}}})", ""},
      {"init-container image", kClusterKind,
       R"({"spec":{"starRocksBeSpec":{"image":"b","initContainers":[{"image":"s:1"}]}}})",
       R"({"spec":{"starRocksBeSpec":{"image":"b","initContainers":[{"image":"s:2"}]}}})", ""},
      {"proxy image", kClusterKind, R"({"spec":{"starRocksFeProxySpec":{"image":"n:1"}}})",
       R"({"spec":{"starRocksFeProxySpec":{"image":"n:2"}}})", ""},
      {"template of a cluster is not a component", kClusterKind, R"({"spec":{"template":{"image":"1"}}})",
       R"({"spec":{"template":{"image":"2"}}})", ""},
      {"be spec of a warehouse is not a component", kWarehouseKind, R"({"spec":{"starRocksBeSpec":{"image":"1"}}})",
       R"({"spec":{"starRocksBeSpec":{"image":"2"}}})", ""},
      {"another kind", "Deployment", R"({"spec":{"template":{"image":"1"}}})", R"({"spec":{"template":{"image":"2"}}})",
       ""},
      {"object on its way out", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":"be:1"}}})",
       R"({"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"},"spec":{"starRocksBeSpec":{"image":"be:2"}}})", ""},
      {"create: no old object", kClusterKind, "null", R"({"spec":{"starRocksBeSpec":{"image":"be:2"}}})", ""},
      {"delete: no new object", kClusterKind, R"({"spec":{"starRocksBeSpec":{"image":"be:2"}}})", "null", ""},
      {"lists instead of objects", kClusterKind, "[1]", R"({"spec":[{"image":"x"}]})", ""},
      {"texts instead of objects", kClusterKind, R"("x")", R"({"spec":"y"})", ""},
      {"component of a wrong type", kClusterKind, R"({"spec":{"starRocksBeSpec":"b"}})",
       R"({"spec":{"starRocksBeSpec":{"image":"be:2"}}})", ""},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(shown(image_changes(row.kind, json::parse(row.old_object), json::parse(row.new_object))) == row.expected);
  }
}

TEST_CASE("components that keep their image are told apart from those that change") {
  const auto object = json::parse(
      R"({"spec":{"starRocksFeSpec":{"image":"f1"},"starRocksBeSpec":{"image":"b2"},"starRocksCnSpec":{"replicas":3},
          "template":{"image":"w"}}})");
  const std::vector<ImageChange> changes{{Component::Backend, "b1", "b2"}};
  CHECK(unchanged_images(kClusterKind, object, changes) == std::vector<ComponentImage>{{Component::Frontend, "f1"}});
  CHECK(unchanged_images(kWarehouseKind, object, {{Component::Warehouse, "v", "w"}}).empty());
  CHECK(unchanged_images(kClusterKind, nullptr, {}).empty());
}

TEST_CASE("component names round-trip") {
  for (const Component component :
       {Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse}) {
    CHECK(component_from(to_string(component)) == component);
  }
  CHECK(component_from("proxy") == std::nullopt);
  CHECK(component_from("") == std::nullopt);
  CHECK(spec_field(Component::Frontend) == "starRocksFeSpec");
  CHECK(spec_field(Component::Backend) == "starRocksBeSpec");
  CHECK(spec_field(Component::ComputeNode) == "starRocksCnSpec");
  CHECK(spec_field(Component::Warehouse) == "template");
}

TEST_CASE("the version shown for an image is its tag, else its shortened digest, else the whole reference") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  for (const auto& row : std::vector<std::pair<std::string, std::string>>{{"starrocks/fe-ubuntu:3.3.1", "3.3.1"},
                                                                          {"host:5000/fe:3.3-latest", "3.3-latest"},
                                                                          {"host:5000/fe", "host:5000/fe"},
                                                                          {"fe@" + digest, "sha256:aaaaaaaaaaaa"},
                                                                          {"fe:1.2.3@" + digest, "1.2.3"},
                                                                          {"fe", "fe"},
                                                                          {"", ""}}) {
    INFO(row.first);
    CHECK(gate::image_version(row.first) == row.second);
  }
}
