// What a log line looks like, whatever is put into it.

#include "server/base/log.hpp"

#include <doctest/doctest.h>
#include <spdlog/logger.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace gate;
using nlohmann::json;

namespace {

struct Lines {
  std::vector<std::string> texts;
  std::shared_ptr<Logger> log =
      make_json_logger("info", [this](std::string line) { texts.push_back(std::move(line)); });

  [[nodiscard]] json newest() const { return json::parse(texts.back()); }
};

}  // namespace

TEST_CASE("a line is one JSON object: time, level, message and the members in their order") {
  Lines lines;
  log_warning(*lines.log, "restore failed",
              {{"cluster", "db/sr"}, {"hook", ""}, {"tries", 3}, {"dry_run", false}, {"error", std::string("why")}});
  REQUIRE(lines.texts.size() == 1);
  CHECK(lines.texts[0].find('\n') == std::string::npos);
  const auto ts = lines.newest().at("ts").get<std::string>();
  CHECK(ts.size() == std::string("2026-01-02T03:04:05.678Z").size());
  CHECK(lines.texts[0] == R"({"ts":")" + ts +
                              R"(","level":"warning","message":"restore failed","cluster":"db/sr","tries":3,)"
                              R"("dry_run":false,"error":"why"})");
}

TEST_CASE("levels below the logger's are left out") {
  Lines lines;
  log_debug(*lines.log, "a");
  CHECK(lines.texts.empty());
  for (const auto level : {LogLevel::Info, LogLevel::Warning, LogLevel::Error}) log_event(*lines.log, level, "a");
  CHECK(lines.texts.size() == 3);
}

TEST_CASE("foreign text can neither break a line nor pretend to be a member") {
  struct Row {
    std::string name;
    std::string text;
    std::string shown;
  };
  const Row rows[] = {
      {"quotes", R"(x","decision":"allowed)", R"(x","decision":"allowed)"},
      {"backslashes", R"(C:\)", R"(C:\)"},
      {"line feeds", "a\r\n{\"level\":\"error\"}", "a  {\"level\":\"error\"}"},
      {"NUL", std::string("a\0b", 3), "a b"},
      {"terminal sequences", "a\x1b[31mb\xC2\x9B", "a [31mb "},
      {"marks that reorder", std::string("a\xE2") + "\x80\xAE" + "b", "a b"},
      {"invalid UTF-8", "a\xFF", "a\xEF\xBF\xBD"},
      {"letters of others", "кластер", "кластер"},
      {"a format", "{} %s", "{} %s"},
  };
  Lines lines;
  for (const auto& row : rows) {
    INFO(row.name);
    log_info(*lines.log, "seen", {{"object", row.text}});
    CHECK(lines.newest().size() == 4);
    CHECK(lines.newest().at("object") == row.shown);
    CHECK(lines.texts.back().find('\n') == std::string::npos);
    lines.log->info(row.text);  // A library's line.
    CHECK(lines.newest().size() == 3);
    CHECK(lines.newest().at("message") == row.shown);
  }
}

TEST_CASE("a long value loses its middle, at whole characters, and keeps the cause at its end") {
  Lines lines;
  for (const std::string filler : {"x", "ä", "€", "🚢"}) {
    INFO(filler);
    std::string text = "begin";
    while (text.size() < 60'000) text += filler;
    log_info(*lines.log, "seen", {{"error", text + "cause"}});
    const auto shown = lines.newest().at("error").get<std::string>();
    CHECK(shown.size() <= kLogValueBytesMax + 8);
    CHECK(shown.starts_with("begin"));
    CHECK(shown.ends_with("cause"));
    CHECK(shown.find(" ... ") != std::string::npos);
    CHECK(shown.find("\xEF\xBF\xBD") == std::string::npos);
    lines.log->info(text);
    CHECK(lines.texts.back().size() < 5000);
  }
}

TEST_CASE("a limited line comes once in an interval, and says how often it was left out") {
  Lines lines;
  LogLimiter limiter(std::chrono::seconds(10));
  std::chrono::steady_clock::time_point now{};
  const auto happen = [&] { log_limited(limiter, now, *lines.log, LogLevel::Warning, "refused", {{"error", "x"}}); };
  for (int i = 0; i < 1000; ++i) happen();
  REQUIRE(lines.texts.size() == 1);
  CHECK(!lines.newest().contains("repeats"));
  now += std::chrono::milliseconds(9'999);
  happen();
  CHECK(lines.texts.size() == 1);
  now += std::chrono::milliseconds(1);
  happen();
  REQUIRE(lines.texts.size() == 2);
  CHECK(lines.newest().at("repeats") == 1000);
  now += std::chrono::seconds(10);
  happen();
  CHECK(!lines.newest().contains("repeats"));
}

TEST_CASE("a sink that throws is nobody else's trouble") {
  const auto log = make_json_logger("info", [](const std::string&) { throw std::bad_alloc(); });
  log_info(*log, "a");
  CHECK(json::parse(json_log_line(LogLevel::Error, "by itself", {{"n", 1}})).at("n") == 1);
}
