#include "policy/json/json_projection.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace gate;
using nlohmann::json;

namespace {

Projection sample() {
  return keep_members(
      "", {keep_members("metadata", {keep_all("name"), keep_members("annotations", {keep_all("a/*")})}),
           keep_and_digest("spec", {keep_and_digest("fe", {keep_all("image")}), keep_all("hooks")}),
           keep_elements("list", keep_members("wanted", {keep_all("name"), keep_all("value")})),
           keep_elements("all", keep_members("", {keep_all("x")})), keep_members("first", {keep_first("two", 2)}),
           Projection{"type", Projection::Keep::Nothing, {}, false, 0}});
}

/// A member that the quick reader does not take, and the slow one does not keep: both must give one result.
std::string for_the_slow_reader(const std::string& object) {
  return R"({"nobody asks":1e3)" + std::string(object == "{}" ? "" : ",") + object.substr(1);
}

}  // namespace

TEST_CASE("what is named is kept, of the rest nothing") {
  struct Row {
    const char* name;
    const char* text;
    const char* kept;
  };
  const Row rows[] = {
      {"nothing of interest", R"({"x":{"y":[1,{}]},"z":null})", "{}"},
      {"an empty object", "{}", "{}"},
      {"members by name", R"({"metadata":{"name":"n","uid":"u"}})", R"({"metadata":{"name":"n"}})"},
      {"members by the beginning of their name", R"({"metadata":{"annotations":{"a/b":"1","b/a":"2","a":"3"}}})",
       R"({"metadata":{"annotations":{"a/b":"1"}}})"},
      {"everything below", R"({"spec":{"hooks":[{"a":[1,-2.5,true,null,{}]},[],""]}})",
       R"({"spec":{"hooks":[{"a":[1,-2.5,true,null,{}]},[],""]}})"},
      {"a text with escapes", R"({"spec":{"hooks":"\"\\\/\b\f\n\r\tA\u00e9\u20AC"}})",
       R"({"spec":{"hooks":"\"\\/\b\f\n\r\tAé€"}})"},
      {"a text of two code units", R"({"spec":{"hooks":"\ud83d\ude00"}})", R"({"spec":{"hooks":"😀"}})"},
      {"a key with escapes", R"({"sp\u0065c":{"hoo\u006Bs":{"\n":1}}})", R"({"spec":{"hooks":{"\n":1}}})"},
      {"an exponent", R"({"spec":{"hooks":1e2}})", R"({"spec":{"hooks":100.0}})"},
      {"long numbers", R"({"spec":{"hooks":[12345678901234567890,123456789012345678]}})",
       R"({"spec":{"hooks":[12345678901234567890,123456789012345678]}})"},
      {"a list where an object is expected", R"({"metadata":["name"]})", R"({"metadata":[]})"},
      {"an object where a list is expected", R"({"list":{"name":"wanted"}})", R"({"list":{}})"},
      {"a text where an object is expected", R"({"metadata":"x"})", R"({"metadata":"x"})"},
      {"null where an object is expected", R"({"metadata":null})", R"({"metadata":null})"},
      {"the type alone", R"({"type":{"a":1}})", R"({"type":{}})"},
      {"the type alone, of a list", R"({"type":[1]})", R"({"type":[]})"},
      {"elements by their name",
       R"({"list":[{"name":"x","value":1},{"value":2,"name":"wanted","more":3},7,[{"name":"wanted"}],{"name":["wanted"]}]})",
       R"({"list":[null,{"name":"wanted","value":2},null,null,null]})"},
      {"elements whose name looks like it",
       R"({"list":[{"name":"WANTED"},{"name":"\u00a0wanted "},{"name":"wan\u200bted"},{"name":"wan","value":"ted"}]})",
       R"({"list":[{"name":"WANTED"},{"name":"\u00a0wanted "},{"name":"wan\u200bted"},null]})"},
      {"an element whose name has escapes", R"({"list":[{"name":"w\u0061nted","value":1}]})",
       R"({"list":[{"name":"wanted","value":1}]})"},
      {"elements that have the name elsewhere",
       R"({"list":[{"value":"wanted"},"wanted",{"wanted":{"name":"wanted"}}]})", R"({"list":[null,null,null]})"},
      {"every element", R"({"all":[{"x":1,"y":2},{},3,[1]]})", R"({"all":[{"x":1},{},3,[]]})"},
      {"the first elements", R"({"first":{"two":[{"a":[1,2,3]},[4,5,6],{"b":{}},7,[],"x"]},"type":1})",
       R"({"first":{"two":[{"a":[1,2,3]},[4,5,6]]},"type":1})"},
      {"fewer than the first elements", R"({"first":{"two":[null]}})", R"({"first":{"two":[null]}})"},
      {"of repeated keys the last", R"({"metadata":{"name":"a"},"metadata":{"name":"b"},"spec":{"hooks":1,"hooks":2}})",
       R"({"metadata":{"name":"b"},"spec":{"hooks":2}})"},
      {"nothing is left of a repeated key", R"({"metadata":{"name":"a"},"metadata":{}})", R"({"metadata":{}})"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    for (const std::string& text :
         {std::string(row.text), for_the_slow_reader(row.text), json::parse(row.text).dump(3)}) {
      const auto kept = project_json(text, sample());
      REQUIRE(kept.ok());
      CHECK(*kept == json::parse(row.kept));
    }
  }
}

TEST_CASE("what is no JSON is refused, wherever it is wrong, and never quoted") {
  for (const char* text :
       {"", "{", "}", "[1,]", R"({"x":s3cret})", R"({"spec":{"hooks":01}})", R"({"x" "y":1})", R"({"\n" "y":1})",
        R"({"x":"\q"})", R"({"x":"\ud800"})", "{\"x\":\"\xff\"}", "{\"x\":\"a\nb\"}", R"({"x":1}})", R"({"x":1}{})",
        R"({"x":[1 2]})", R"({"metadata":{"name":tru}})", R"({"list":[{"name":"s3cret"},]})"}) {
    INFO(text);
    const auto kept = project_json(text, sample());
    REQUIRE_FALSE(kept.ok());
    CHECK(kept.error().code == ErrorCode::InvalidInput);
    CHECK(kept.error().message.starts_with("not JSON: see byte"));
    CHECK(kept.error().message.find("s3cret") == std::string::npos);
  }
  CHECK(project_json(R"({"x":1e999})", sample()).error().message == "a number that no double can hold");
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  CHECK(project_json(R"({"x":)" + deep + "}", sample()).error().message == "nested deeper than 128 levels");
}

TEST_CASE("what is kept is bounded, what is not kept is not") {
  std::string many = "[0";
  for (int i = 0; i < 100'000; ++i) many += ",{}";
  many += "]";
  CHECK(project_json(R"({"x":)" + many + "}", sample()).ok());
  CHECK(project_json(R"({"first":{"two":)" + many + "}}", sample())->at("first").at("two").size() == 2);
  for (const auto& row : {std::pair<std::string, std::string>{"everything", R"({"spec":{"hooks":)" + many + "}}"},
                          {"elements", R"({"all":)" + many + "}"},
                          {"elements that are not wanted", R"({"list":)" + many + "}"}}) {
    INFO(row.first);
    const std::string& text = row.second;
    for (const std::string& body : {text, for_the_slow_reader(text)}) {
      const auto kept = project_json(body, sample());
      REQUIRE_FALSE(kept.ok());
      CHECK(kept.error().message == "more than 16384 values where the gate reads them");
    }
  }
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  CHECK(project_json(R"({"spec":{"hooks":)" + deep + "}}", sample()).error().message ==
        "nested deeper than 64 levels where the gate reads it");
  std::string keys = "{\"k\":0";
  for (int i = 0; i < 10'000; ++i) keys += ",\"k" + std::to_string(i) + "\":0";
  const std::string body = R"({"spec":)" + keys + "}}";
  JsonProjector projector(body);
  REQUIRE(projector.project(sample()).ok());
  CHECK(projector.digests().size() == ProjectionLimits{}.digests_max);
}

TEST_CASE("digests tell which members of interest differ") {
  const std::string text =
      R"({"spec":{"fe":{"image":"a","x":{"y":[1]}},"hooks":[{}],"z":"{","v":"{"},"all":[1],"metadata":{"name":"n"}})";
  for (const std::string& body : {text, for_the_slow_reader(text), json::parse(text).dump(2)}) {
    JsonProjector projector(body);
    REQUIRE(projector.project(sample()).ok());
    const auto first = projector.digests();
    std::vector<std::string> paths;
    for (const auto& [path, digest] : first) paths.push_back(path);
    CHECK(paths ==
          std::vector<std::string>{"/spec/fe", "/spec/fe/image", "/spec/fe/x", "/spec/hooks", "/spec/v", "/spec/z"});
    CHECK(first.at("/spec/v") == first.at("/spec/z"));
    CHECK(first.at("/spec/v") != first.at("/spec/hooks"));
    REQUIRE(projector.project(sample()).ok());
    CHECK(projector.digests() == first);
  }
}

TEST_CASE("both readers keep the same of whatever is JSON, and refuse alike what is not") {
  std::minstd_rand random(7);
  const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
  const char* const keys[] = {"metadata", "name", "spec",        "fe",   "image",  "hooks",   "list", "all",   "x",
                              "value",    "a/b",  "annotations", "type", "wanted", "\\u0078", "\\n",  "first", "two"};
  const auto make = [&](auto& self, int depth) -> std::string {
    switch (below(depth > 5 ? 6 : 10)) {
      case 0:
        return "null";
      case 1:
        return "true";
      case 2:
        return std::to_string(static_cast<int>(below(1000)) - 500);
      case 3:
        return "\"wanted\"";
      case 4:
        return R"("\u00e9\"\\{")";
      case 5:
        return "1.5";
      case 6:
      case 7: {
        std::string out = "[";
        for (std::size_t i = below(4); i > 0; --i) out += self(self, depth + 1) + (i > 1 ? "," : "");
        return out + "]";
      }
      default: {
        std::string out = "{";
        for (std::size_t i = below(6); i > 0; --i) {
          out +=
              "\"" + std::string(keys[below(std::size(keys))]) + "\" : " + self(self, depth + 1) + (i > 1 ? "," : "");
        }
        return out + "}";
      }
    }
  };
  int refused = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::string text = "{}";
    while (text == "{}" || text.front() != '{') text = make(make, 0);
    if (round % 3 == 0) text.erase(below(text.size()), 1);
    if (text.front() != '{') continue;
    INFO(text);
    JsonProjector quick(text);
    const std::string other = for_the_slow_reader(text);
    JsonProjector slow(other);
    const auto left = quick.project(sample());
    const auto right = slow.project(sample());
    REQUIRE(left.ok() == right.ok());
    CHECK(left.ok() == json::accept(text));
    refused += left.ok() ? 0 : 1;
    if (!left) continue;
    CHECK(*left == *right);
    std::vector<std::string> paths[2];
    for (const auto& [path, digest] : quick.digests()) paths[0].push_back(path);
    for (const auto& [path, digest] : slow.digests()) paths[1].push_back(path);
    CHECK(paths[0] == paths[1]);
  }
  CHECK(refused > 100);
}
