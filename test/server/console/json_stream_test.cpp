#include "server/console/json_stream.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using gate::JsonStream;

TEST_CASE("documents are found wherever the chunks were cut") {
  const std::string text = "{\"a\":\"}{\\\"\"}\n{ \"b\": {\"c\": [1, {}]} }  {\"d\":\"\\\\\"}";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    CAPTURE(size);
    JsonStream stream;
    std::vector<nlohmann::json> found;
    for (std::size_t at = 0; at < text.size(); at += size) {
      stream.append(std::string_view(text).substr(at, size));
      while (auto document = stream.next()) found.push_back(*document);
    }
    REQUIRE(found.size() == 3);
    CHECK(found[0]["a"] == "}{\"");
    CHECK(found[1]["b"]["c"].size() == 2);
    CHECK(found[2]["d"] == "\\");
  }
}

TEST_CASE("very many documents that come together are all given out, and the last one goes on") {
  constexpr std::size_t kDocuments = 300'000;
  std::string text;
  for (std::size_t i = 0; i < kDocuments; ++i) text += "{\"a\":" + std::to_string(i) + "}\n";
  JsonStream stream;
  stream.append(text + R"({"a":)");
  std::size_t found = 0;
  bool in_order = true;
  while (auto document = stream.next()) in_order = in_order && (*document)["a"] == found++;
  CHECK(found == kDocuments);
  CHECK(in_order);
  stream.append(R"("end"} {"b":1}{"c)");
  CHECK(stream.next().value()["a"] == "end");
  CHECK(stream.next().value()["b"] == 1);
  CHECK_FALSE(stream.next());
  stream.append(R"(":2})");
  CHECK(stream.next().value()["c"] == 2);
}

TEST_CASE("what is not JSON is passed over, and an endless document is dropped") {
  JsonStream stream;
  stream.append("{\"a\": nonsense}{\"b\":1}");
  CHECK(stream.next().value()["b"] == 1);
  stream.append("{\"a\":\"" + std::string(gate::kDocumentMax, 'x'));
  CHECK_FALSE(stream.next());
  stream.append("{\"c\":2}");
  CHECK(stream.next().value()["c"] == 2);
}
