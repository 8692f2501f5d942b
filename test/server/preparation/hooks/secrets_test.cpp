// What is read from Secrets is in nothing that a record, a refusal or a log says.

#include "policy/record/preparation_codec.hpp"
#include "test/server/preparation/run.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

constexpr const char* kToken = "t0ken-of-the-board";
constexpr const char* kPassword = "pa55-of-the-frontend";

TEST_CASE("a service that repeats its token does not bring it into the record, whatever it answers") {
  const std::string token = kToken;
  const std::string filler(290, 'x');  // so that a cut would fall into the token
  struct Row {
    const char* name;
    int status;
    std::string body;
  };
  for (const Row& row :
       {Row{"allowed", 200, R"({"verdict":"allow","message":"for )" + token + R"("})"},
        Row{"denied", 200, R"({"verdict":"deny","message":"not for )" + token + R"("})"},
        Row{"cut in its middle", 200, R"({"verdict":"deny","message":")" + filler + token + R"("})"},
        Row{"waiting", 200, R"({"verdict":"wait","message":"for )" + token + R"("})"},
        Row{"not understood", 200, "Authorization: Bearer " + token}, Row{"refused", 401, "bad token " + token}}) {
    INFO(row.name);
    World world;
    world.clusters.set_secret("board", "token", token);
    world.http.answer({HttpCallReply{row.status, row.body}});
    auto hook = hook_of("board", HttpAction{"https://board/", "", "board", "token", 1s});
    hook.timeout = 1s;
    Run run(world, {hook});
    CHECK(run.prepare() == RunEnd::Finished);
    const auto text = to_json(world.get("r")).dump();
    CHECK_FALSE_MESSAGE(has(text, token.substr(0, 8)), text);
    CHECK(has(text, "(hidden)"));
  }
}

TEST_CASE("a token is hidden as it was sent, and as others write it") {
  struct Row {
    const char* name;
    std::string stored;
    std::string sent;
    std::string body;
  };
  const std::string filler(290, 'x');  // so that a cut would fall into the token
  for (const Row& row :
       {Row{"with the line feed of a file", "t0ken-of-the-board\n", "t0ken-of-the-board", "Bearer t0ken-of-the-board"},
        Row{"with a line end of Windows", "t0ken-of-the-board\r\n", "t0ken-of-the-board",
            R"({"verdict":"deny","message":"not for t0ken-of-the-board"})"},
        Row{"with escaped slashes", "t0ken/of/the/board", "t0ken/of/the/board",
            R"({"verdict":"deny","message":")" + filler + R"(t0ken\/of\/the\/board"})"},
        Row{"with escaped quotes", "t0ken\"of\\board", "t0ken\"of\\board",
            R"({"verdict":"wait","message":")" + filler + R"(t0ken\"of\\board"})"}}) {
    INFO(row.name);
    World world;
    world.clusters.set_secret("board", "token", row.stored);
    world.http.answer({HttpCallReply{200, row.body}});
    auto hook = hook_of("board", HttpAction{"https://board/", "", "board", "token", 1s});
    hook.timeout = 1s;
    Run run(world, {hook});
    CHECK(run.prepare() == RunEnd::Finished);
    REQUIRE_FALSE(world.http.requests().empty());
    CHECK(world.http.requests().front().bearer_token == row.sent);
    const auto text = to_json(world.get("r")).dump();
    CHECK_FALSE_MESSAGE(has(text, "t0ken"), text);
  }
}

TEST_CASE("a Secret whose token is empty is told, and nobody is called without one") {
  for (const char* stored : {"", "\n", "\r\n\n"}) {
    World world;
    world.clusters.set_secret("board", "token", stored);
    world.http.answer({HttpCallReply{200, R"({"verdict":"allow"})"}});
    Run run(world, {hook_of("board", HttpAction{"https://board/", "", "board", "token", 1s})});
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK(run.status().phase == Phase::Failed);
    CHECK(has(run.status().message, "Secret board: key token is empty"));
    CHECK_FALSE(has(run.status().message, "correct the hook"));
    CHECK(world.http.requests().empty());
  }
}

TEST_CASE("an error that repeats the token does not bring it into the record") {
  World world;
  world.clusters.set_secret("board", "token", kToken);
  world.http.answer({Error{ErrorCode::PermissionDenied, std::string("cannot send ") + kToken}});
  Run run(world, {hook_of("board", HttpAction{"https://board/", "", "board", "token", 1s})});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(has(run.status().message, "cannot send (hidden)"));
  CHECK_FALSE(has(to_json(world.get("r")).dump(), kToken));
}

TEST_CASE("an FE that repeats its password does not bring it into the record: answers, errors, restores") {
  World world({.password = kPassword});
  world.simulator.answer("SELECT echo", {{"a"}, {{kPassword}}});
  auto check = hook_of("check", QueryAction{"SELECT echo", "a", Comparison::Equal, "1", 1s}, false);
  check.timeout = 1s;
  world.simulator.fail("CREATE IMAGE", {1064, "HY000", std::string("no image for ") + kPassword});
  Run run(world, {no_scheduling(), check, statement_hook("image", "ALTER SYSTEM CREATE IMAGE", false)});
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(has(run.hook(1).message, "(hidden)"));
  CHECK(has(run.hook(2).message, "no image for (hidden)"));
  CHECK_FALSE(has(to_json(world.get("r")).dump(), kPassword));

  world.simulator.fail("ADMIN SET", {1064, "HY000", std::string("not by ") + kPassword});
  const auto restored = run.runner->restore(kAmple);
  REQUIRE_FALSE(restored.ok());
  CHECK_MESSAGE(has(restored.error().message, "(hidden)"), restored.error().message);
  CHECK_FALSE(has(restored.error().message, kPassword));
}

TEST_CASE("the answer of a check that asks for a secret is compared and not shown") {
  struct Row {
    const char* name;
    const char* sql;
    SimulatedResult answer;
    const char* column;
    bool shown;
  };
  for (const Row& row : {
           Row{"named in the statement",
               "ADMIN SHOW FRONTEND CONFIG LIKE '%_pwd'",
               {{"Value"}, {{"hunter22"}}},
               "Value",
               false},
           Row{"named in the row",
               "SHOW ALL ITEMS",
               {{"Key", "Value"}, {{"plain", "1"}, {"ldap_bind_root_pwd", "hunter22"}}},
               "Value",
               false},
           Row{"a column of that name", "SELECT password FROM t", {{"password"}, {{"hunter22"}}}, "password", false},
           Row{"under another name",
               "SELECT value AS x FROM t WHERE name = 'my_secret'",
               {{"x"}, {{"hunter22"}}},
               "x",
               false},
           Row{"no secret", "SELECT x FROM t", {{"x"}, {{"hunter22"}}}, "x", true},
           Row{"a sentence about one",
               "SHOW JOBS",
               {{"State", "Message"}, {{"hunter22", "the token is too old"}}},
               "State",
               true},
       }) {
    INFO(row.name);
    World world;
    world.simulator.answer(row.sql, row.answer);
    auto hook = hook_of("check", QueryAction{row.sql, row.column, Comparison::Equal, "1", 1s});
    hook.timeout = 1s;
    Run run(world, {hook});
    REQUIRE(run.prepare() == RunEnd::Finished);
    const auto text = to_json(world.get("r")).dump();
    CHECK(run.status().phase == Phase::Failed);
    CHECK(has(text, "hunter22") == row.shown);
    CHECK(has(text, "(not shown)") == !row.shown);
  }
}

TEST_CASE("secrets are taken out of a text wherever they are, but for the shortest") {
  const std::vector<std::string> secrets{"abcd", "", "abc", "xyz1"};
  CHECK(without_secrets("", secrets).empty());
  CHECK(without_secrets("abcabcdabcdxyz1", secrets) == "abc(hidden)(hidden)(hidden)");
  CHECK(without_secrets("nothing", secrets) == "nothing");
}

}  // namespace
}  // namespace gate
