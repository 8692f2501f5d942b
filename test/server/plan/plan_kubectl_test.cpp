// Goal: what kubectl accepts, `plan` reads; what `plan` refuses, it refuses aloud.
// Method: every shape of shapes.hpp is given to a real kubectl and API server as a dry run, and to `plan`.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "policy/text/yaml.hpp"
#include "server/plan/plan.hpp"
#include "test/policy/text/kubectl_scalars.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/plan/shapes.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// The clusters that kubectl printed: objects one behind the other, or one List.
std::vector<json> clusters_of(const std::string& text) {
  std::vector<json> out;
  const auto documents = manifest_documents(text, 16u << 20);
  REQUIRE(documents.ok());
  const auto take = [&](const json& object) {
    if (object.at("kind") == "StarRocksCluster") out.push_back(object);
  };
  for (const auto& document : *documents) {
    if (document.value.at("kind") != "List")
      take(document.value);
    else
      for (const auto& item : document.value.at("items")) take(item);
  }
  return out;
}

std::string with_name(std::string text, const std::string& name) {
  for (const bool big_endian : {false, true}) {
    const std::string mark = test::utf16("", big_endian);
    if (!text.starts_with(mark)) continue;
    text.erase(0, mark.size());
    std::erase(text, '\0');
    return test::utf16(with_name(text, name), big_endian);
  }
  for (const std::string written :
       {"name: sr}", "name: sr\n", "name: sr,", "name: &n sr", "\"name\":\"sr\"", "\"name\": \"sr\""}) {
    for (auto at = text.find(written); at != std::string::npos; at = text.find(written, at + written.size())) {
      text.replace(at + written.find("sr"), 2, name);
    }
  }
  return text;
}

}  // namespace

TEST_CASE("kubectl is the yardstick of what a manifest may look like") {
  const std::string name_space = test::make_namespace();
  for (const test::Shape& shape : test::shapes()) {
    INFO(shape.name);
    // Without the API server's own opinion of keys that come twice: the question is what is read.
    const auto applied = test::api_server().kubectl(
        {"apply", "-n", name_space, "--dry-run=server", "--validate=false", "-o", "json", "-f", "-"},
        {.input = shape.text});
    INFO(applied.err);
    CHECK((applied.exit_code == 0) == shape.kubectl_reads_it);
    std::istringstream input(shape.text);
    PlanOptions options;
    options.files = {"-"};
    options.set_images = {"fe=fe:3.5.8"};
    const PlanResult planned = plan(options, input);
    INFO(planned.error);
    CHECK((planned.exit_code == 0) == shape.said.empty());
    if (applied.exit_code == 0 && shape.said.empty()) {
      CHECK(applied.out.find("\"image\": \"fe:3.5.7\"") != std::string::npos);
    }
  }
}

TEST_CASE("what kubectl reads from a folder with folders, plan reads, object by object") {
  const auto folder = test::api_server().directory() / "shapes";
  std::set<std::string> names;
  int number = 0;
  for (const test::Shape& shape : test::shapes()) {
    if (!shape.said.empty() || !shape.kubectl_reads_it) continue;
    const std::string name = "sr-" + std::to_string(++number);
    const auto inside = folder / (number % 3 == 0 ? "more" : number % 3 == 1 ? "more/deep" : ".");
    std::filesystem::create_directories(inside);
    const char* ending = number % 4 == 0 ? ".yml" : shape.text.find("{\"apiVersion") == 0 ? ".json" : ".yaml";
    std::ofstream(inside / (name + ending)) << with_name(shape.text, name);
    names.insert(name);
  }
  std::ofstream(folder / "notes.txt") << "no manifest\n";
  const auto read = test::api_server().kubectl(
      {"apply", "--dry-run=client", "--validate=false", "-R", "-o", "json", "-f", folder.string()});
  INFO(read.err);
  REQUIRE(read.exit_code == 0);
  std::set<std::string> read_by_kubectl;
  for (const auto& cluster : clusters_of(read.out)) read_by_kubectl.insert(cluster["metadata"]["name"]);
  CHECK(read_by_kubectl == names);

  std::istringstream nothing;
  PlanOptions options;
  options.files = {folder.string()};
  options.set_images = {"fe=fe:3.5.8"};
  options.json = options.recursive = true;
  const PlanResult planned = plan(options, nothing);
  INFO(planned.error);
  REQUIRE(planned.exit_code == 0);
  std::set<std::string> read_by_plan;
  const json printed = json::parse(planned.output);
  for (const auto& object : printed.at("objects")) {
    read_by_plan.insert(object.at("name"));
    CHECK(object.at("changes").at(0).at("from") == "fe:3.5.7");
  }
  CHECK(json(read_by_plan) == json(names));
}

TEST_CASE("plain scalars are to kubectl what they are to plan") {
  for (const auto& row : test::kKubectlScalars) {
    INFO(row.written);
    const auto read = test::api_server().kubectl(
        {"annotate", "--local", "-f", "-", "a=b", "-o", "json"},
        {.input = "apiVersion: example.com/v1\nkind: X\nmetadata: {name: a}\nspec:\n  a: " + std::string(row.written) +
                  "\n"});
    INFO(read.out, read.err);
    CHECK((read.exit_code == 0) == (*row.json != '\0'));
    if (read.exit_code == 0) CHECK(json::parse(read.out)["spec"]["a"].dump() == row.json);
  }
}

}  // namespace gate
