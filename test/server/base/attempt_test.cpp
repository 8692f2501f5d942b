// What one round of a thread's work throws is logged, and ends neither the thread nor the process.

#include "server/base/attempt.hpp"

#include <doctest/doctest.h>

#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace gate;

TEST_CASE("whatever is thrown is told once, with its text, and the next round comes") {
  std::vector<std::string> lines;
  const auto log = make_json_logger("info", [&](std::string line) { lines.push_back(std::move(line)); });
  int rounds = 0;
  const auto round = [&](auto work) {
    return attempt(*log, "not looked at", [&] {
      ++rounds;
      work();
    });
  };
  CHECK(round([] {}));
  CHECK(lines.empty());
  CHECK_FALSE(round([] { throw std::bad_alloc(); }));
  CHECK_FALSE(round([] { throw 42; }));
  CHECK(rounds == 3);
  REQUIRE(lines.size() == 2);
  const auto told = nlohmann::json::parse(lines[0]);
  CHECK(told.at("level") == "error");
  CHECK(told.at("message") == "not looked at");
  CHECK(told.at("error") == "std::bad_alloc");
  CHECK(nlohmann::json::parse(lines[1]).at("message") == "not looked at");
}
