#include "policy/text/yaml.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "test/policy/text/kubectl_scalars.hpp"

using namespace gate;
using nlohmann::json;

namespace {

/// The documents as JSON, or the refusal.
std::string read(const std::string& text) {
  const auto documents = yaml_documents(text);
  return documents ? json(*documents).dump() : documents.error().message;
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("YAML becomes JSON, with the types of YAML 1.2's core schema") {
  struct Row {
    std::string name;
    std::string yaml;
    const char* json;
  };
  const Row rows[] = {
      {"nothing", "", "[]"},
      {"a comment alone", "# hooks\n", "[]"},
      {"empty documents", "---\n---\n# nothing\n---\na: 1\n---\n", R"([{"a":1}])"},
      {"two documents", "a: 1\n---\nb: 2\n", R"([{"a":1},{"b":2}])"},
      {"document end", "a: 1\n...\n---\nb: 2\n...\n", R"([{"a":1},{"b":2}])"},
      {"block list", "hooks:\n- name: a\n  critical: false\n- name: b\n",
       R"([{"hooks":[{"critical":false,"name":"a"},{"name":"b"}]}])"},
      {"flow", "{a: [1, two, {b: c}]}", R"([{"a":[1,"two",{"b":"c"}]}])"},
      {"JSON", R"({"a": [true, null, "x\/y\u00e4", -1.5e3]})", "[{\"a\":[true,null,\"x/y\xC3\xA4\",-1500.0]}]"},
      {"booleans", "[true, True, TRUE, false, False, FALSE]", "[[true,true,true,false,false,false]]"},
      {"words that YAML 1.1 took for booleans", "[yes, no, on, off, y, n]", R"([["yes","no","on","off","y","n"]])"},
      {"null", "[null, Null, NULL, ~]", "[[null,null,null,null]]"},
      {"no value", "a:\nb: 1\n", R"([{"a":null,"b":1}])"},
      {"integers", "[0, -5, +5, 007, 0o17, 0xfF]", "[[0,-5,5,7,15,255]]"},
      {"largest integers", "[9223372036854775807, 18446744073709551615]",
       "[[9223372036854775807,18446744073709551615]]"},
      {"fractions", "[1.5, -.5, 1e3, 1., +2.5]", "[[1.5,-0.5,1000.0,1.0,2.5]]"},
      {"almost numbers", "[1_000, 0b1, 1:30, .inf, -.inf, .nan, 1.2.3, +-1, 0x, 0x-1, -, e5, 1e]",
       R"([["1_000","0b1","1:30",".inf","-.inf",".nan","1.2.3","+-1","0x","0x-1","-","e5","1e"]])"},
      {"quoted is text", "['1', \"true\", 'null', \"\"]", R"([["1","true","null",""]])"},
      {"tagged as text", "[!!str 1, !!str true]", R"([["1","true"]])"},
      {"number as key", "1: a\ntrue: b\n", R"([{"1":"a","true":"b"}])"},
      {"literal block", "sql: |\n  SELECT 1;\n  SELECT 2;\n", R"([{"sql":"SELECT 1;\nSELECT 2;\n"}])"},
      {"literal block of a number", "a: |-\n  5\n", R"([{"a":"5"}])"},
      {"folded block", "a: >-\n  one\n  two\n", R"([{"a":"one two"}])"},
      {"line ends of Windows", "a: 1\r\nb: x\r\n", R"([{"a":1,"b":"x"}])"},
      {"other scripts", "name: \xE9\x9B\x86\xE7\xBE\xA4\n", "[{\"name\":\"\xE9\x9B\x86\xE7\xBE\xA4\"}]"},
      {"one scalar", "hello", R"(["hello"])"},
      {"as deep as allowed", nested(kYamlDepthMax),
       "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
       "]]"
       "]]]]]]]]]]]]]]]]]"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(read(row.yaml) == row.json);
  }
}

TEST_CASE("what is ambiguous, hostile or broken is refused, with its place") {
  struct Row {
    std::string name;
    std::string yaml;
    const char* because;
  };
  const Row rows[] = {
      {"key twice", "a: 1\nb: 2\na: 3\n", "line 3, column 1: the key \"a\" is there twice"},
      {"key twice, in flow", "{a: 1, a: 2}", "the key \"a\" is there twice"},
      {"key twice, once quoted", "a: 1\n\"a\": 2\n", "the key \"a\" is there twice"},
      {"key twice in a list's item", "- name: a\n  name: b\n", "line 2, column 3: the key \"name\" is there twice"},
      {"anchor", "a: &x 1\n", "anchors and aliases are not accepted"},
      {"anchor of a map", "a: &x {b: 1}\n", "anchors and aliases are not accepted"},
      {"anchor of nothing", "a: &x\n", "anchors and aliases are not accepted"},
      {"a billion laughs", "a: &a [lol]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n", "anchors and aliases are not accepted"},
      {"alias of nothing", "a: *b\n", "line 1, column 4: "},
      {"tag", "a: !!binary aGk=\n", "tags are not accepted"},
      {"tag of a map", "a: !thing {b: 1}\n", "tags are not accepted"},
      {"map as key", "{a: 1}: b\n", "a key must be text"},
      {"list as key", "? [a]\n: b\n", "a key must be text"},
      {"tab as indentation", "a:\n\tb: 1\n", "line 2, column "},
      {"not closed", "{a: 1", "line 1, column "},
      {"unterminated string", "a: \"b", "line 1, column "},
      {"value and map", "a: b: c\n", "line 1, column "},
      {"wrong indentation", "a:\n  b: 1\n c: 2\n", "line 3, column "},
      {"too deep", nested(kYamlDepthMax + 1), "nested more than 64 deep"},
      {"very deep and not closed", std::string(20000, '['), "line 1, column "},
      {"too long", std::string(kYamlBytesMax + 1, 'x'), "longer than 262144 bytes"},
      {"NUL", std::string("a: b\nc: \0", 9), "line 2, column 4: control character"},
      {"escape character", "a: \x1b[31m", "control character"},
      {"invalid UTF-8", "a: \xff", "line 1, column 4: invalid UTF-8"},
      {"a last line without a colon", "hooks:\n- name: a\n  critical", "line 3, column 3: a key without \":\""},
      {"a last line without a colon, with a comment", "a: b\nc # d: e\n", "line 2, column 1: "},
      {"UTF-16", std::string("\xff\xfe\x61\x00", 4), "the text is UTF-16: want UTF-8"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const auto documents = yaml_documents(row.yaml);
    REQUIRE_FALSE(documents.ok());
    CHECK(documents.error().code == ErrorCode::InvalidInput);
    if (documents.error().message.find(row.because) == std::string::npos) FAIL_CHECK(documents.error().message);
  }
  std::string many;
  for (int i = 0; i <= 1000; ++i) many += "--- a\n";
  CHECK(read(many) == "more than 1000 documents");
}

TEST_CASE("JSON is read as strictly") {
  struct Row {
    std::string name;
    std::string text;
    const char* result;
  };
  const Row rows[] = {
      {"object", R"({"hooks": [{"name": "a", "critical": false}]})", R"({"hooks":[{"critical":false,"name":"a"}]})"},
      {"tabs", "{\n\t\"a\": 1\n}", R"({"a":1})"},
      {"the same key in two objects", R"([{"a":1},{"a":{"a":2}}])", R"([{"a":1},{"a":{"a":2}}])"},
      {"pair of surrogates", R"(["\ud83d\ude00"])", "[\"\xF0\x9F\x98\x80\"]"},
      {"key twice", R"({"a": 1, "b": {"c": 1, "c": 2}})", "the key \"c\" is there twice"},
      {"comment", "{\n  \"a\": 1 // one\n}", "line 2, column 10: not JSON"},
      {"trailing comma", R"({"a": 1,})", "line 1, column 9: not JSON"},
      {"a secret is not repeated", R"({"password": "s3cret" x})", "line 1, column 23: not JSON"},
      {"nothing", "", "line 1, column 1: not JSON"},
      {"two documents", "{} {}", "line 1, column 4: not JSON"},
      {"too deep", nested(100), "nested more than 64 deep"},
      {"number too large", "[1e999]", "a number is out of range"},
      {"invalid UTF-8", "[\"\xff\"]", "line 1, column 3: invalid UTF-8"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const auto document = json_document(row.text);
    CHECK((document ? document->dump() : document.error().message) == row.result);
  }
}

TEST_CASE("in manifests plain scalars are what they are to kubectl, as values and as keys") {
  for (const auto& row : test::kKubectlScalars) {
    INFO(row.written);
    const auto documents = manifest_documents("a: " + std::string(row.written) + "\n", 1000);
    if (*row.json == '\0') {
      CHECK(documents.error().message.find("neither infinity nor not-a-number") != std::string::npos);
      continue;
    }
    REQUIRE(documents.ok());
    REQUIRE(documents->size() == 1);
    CHECK((*documents)[0].value.at("a").dump() == row.json);
    CHECK((*documents)[0].faults.empty());
  }
  const auto keys = manifest_documents("on: a\n5: b\n010: c\n'no': d\nx: e\n", 1000);
  REQUIRE(keys.ok());
  CHECK((*keys)[0].value == json{{"true", "a"}, {"5", "b"}, {"8", "c"}, {"no", "d"}, {"x", "e"}});
}

TEST_CASE("a tab in the indentation is named, whatever the parser calls it") {
  CHECK(read("hooks:\n\t- name: a\n").find("a tab in the indentation") != std::string::npos);
  CHECK(read("hooks: [\n").find("a tab") == std::string::npos);
}
