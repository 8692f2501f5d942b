// Goal: the documented table of answers, and nothing else, admits.

#include "policy/record/http_hook.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace gate;
using Kind = HttpVerdict::Kind;

TEST_CASE("only a well-formed 200 with the verdict allow is an allow") {
  struct Row {
    const char* name;
    int status;
    const char* body;
    Kind kind;
    const char* message;
  };
  for (const Row& row : {
           Row{"allow", 200, R"({"verdict":"allow"})", Kind::Allow, ""},
           Row{"allow with a word", 200, R"({"verdict":"allow","message":"CHG-7"})", Kind::Allow, "CHG-7"},
           Row{"unknown fields are left to the future", 200, R"({"verdict":"allow","x":[1]})", Kind::Allow, ""},
           Row{"deny", 200, R"({"verdict":"deny","message":"freeze\nuntil Monday"})", Kind::Deny,
               "freeze until Monday"},
           Row{"wait", 200, R"({"verdict":"wait","message":"1 of 2 approvals"})", Kind::Wait, "1 of 2 approvals"},
           Row{"a message that is no text is none", 200, R"({"verdict":"wait","message":7})", Kind::Wait, ""},
           Row{"too many requests", 429, "", Kind::Busy, "HTTP 429"},
           Row{"request timeout", 408, "", Kind::Busy, "HTTP 408"},
           Row{"too early", 425, "", Kind::Busy, "HTTP 425"},
           Row{"server error", 500, R"({"verdict":"allow"})", Kind::Busy, "HTTP 500"},
           Row{"bad gateway", 502, "<html>", Kind::Busy, "HTTP 502"},
           Row{"last of its class", 599, "", Kind::Busy, "HTTP 599"},
           Row{"no body is no verdict", 200, "", Kind::NotUnderstood, "without a body"},
           Row{"no content is no verdict", 204, "", Kind::NotUnderstood, "HTTP 204"},
           Row{"accepted is no verdict", 202, R"({"verdict":"allow"})", Kind::NotUnderstood, "HTTP 202"},
           Row{"a login page", 200, "<html>sign in</html>", Kind::NotUnderstood, "sign in"},
           Row{"another case", 200, R"({"verdict":"Allow"})", Kind::NotUnderstood, "expected 200"},
           Row{"a truth value", 200, R"({"verdict":true})", Kind::NotUnderstood, ""},
           Row{"a list", 200, R"([{"verdict":"allow"}])", Kind::NotUnderstood, ""},
           Row{"cut in the middle", 200, R"({"verdict":"allow")", Kind::NotUnderstood, ""},
           Row{"two verdicts", 200, R"({"verdict":"deny","verdict":"allow"})", Kind::NotUnderstood, ""},
           Row{"the same verdict twice", 200, R"({"verdict":"allow","verdict":"allow"})", Kind::NotUnderstood, ""},
           Row{"two messages", 200, R"({"verdict":"allow","message":"a","message":"b"})", Kind::NotUnderstood, ""},
           Row{"a member twice below", 200, R"({"verdict":"allow","x":{"y":1,"y":2}})", Kind::NotUnderstood, ""},
           Row{"two verdicts, one escaped", 200, R"({"verdict":"deny","\u0076erdict":"allow"})", Kind::NotUnderstood,
               ""},
           Row{"two verdicts, one in capitals", 200, R"({"Verdict":"deny","verdict":"allow"})", Kind::NotUnderstood,
               ""},
           Row{"two verdicts, one with a mark", 200, "{\"verdict\":\"allow\",\"verdict\u200b\":\"deny\"}",
               Kind::NotUnderstood, ""},
           Row{"two answers", 200, R"({"verdict":"allow"}{"verdict":"deny"})", Kind::NotUnderstood, ""},
           Row{"a redirect", 302, "", Kind::NotUnderstood, "HTTP 302"},
           Row{"forbidden", 403, R"({"verdict":"allow"})", Kind::NotUnderstood, "HTTP 403"},
           Row{"not found", 404, "", Kind::NotUnderstood, "HTTP 404"},
       }) {
    INFO(row.name);
    const auto verdict = read_http_verdict(row.status, row.body);
    CHECK(verdict.kind == row.kind);
    INFO(verdict.message);
    CHECK(verdict.message.find(row.message) != std::string::npos);
  }
}

TEST_CASE("a request says which preparation asks, for what, and is the same when it is repeated") {
  Preparation record;
  record.name = "sr-0123456789-2";
  record.name_space = "db";
  record.spec.cluster = "sr";
  record.spec.attempt = 2;
  record.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  Hook hook;
  hook.name = "change-board";
  hook.action = HttpAction{"https://board/", "", "secret", "token", kHookPollDefault};
  record.spec.hooks = {hook};
  const auto text = http_hook_request(record, hook);
  CHECK(text == http_hook_request(record, hook));
  const nlohmann::json expected{{"apiVersion", "gate.starrocks.com/v1alpha1"},
                                {"kind", "UpgradeHookRequest"},
                                {"preparation", "sr-0123456789-2"},
                                {"key", preparation_key(record.spec)},
                                {"attempt", 2},
                                {"cluster", {{"namespace", "db"}, {"name", "sr"}}},
                                {"changes", {{{"component", "be"}, {"from", "be:1"}, {"to", "be:2"}}}},
                                {"hook", "change-board"}};
  CHECK(nlohmann::json::parse(text) == expected);
}
