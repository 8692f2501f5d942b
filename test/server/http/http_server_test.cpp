// What a well-behaved client gets: answers, on connections that stay. Real sockets, real TLS.

#include <doctest/doctest.h>

#include <future>
#include <latch>
#include <list>
#include <vector>

#include "server/http/ops_server.hpp"
#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

TEST_CASE("a POST to a known path reaches the handler and its reply comes back") {
  TestServer server([](const HttpCall& call) {
    CHECK(call.method == "POST");
    CHECK(call.content_type == "application/json; charset=utf-8");
    return HttpReply{200, "application/json", std::string(call.path) + ":" + std::string(call.body)};
  });
  Client client(server.port(), {.trust = &server.certificate});
  const auto answer = client.ask(
      "POST /validate?timeout=10s HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json; charset=utf-8\r\n"
      "Accept-Encoding: gzip\r\nRange: bytes=0-1\r\nContent-Length: 5\r\n\r\nhello");
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->body == "/validate:hello");
  CHECK(answer->has("Content-Type: application/json\r\n"));
  CHECK_FALSE(answer->has("Connection: close"));
  CHECK_FALSE(answer->has("Content-Encoding"));
}

TEST_CASE("a doubled slash in the path is read as one") {
  TestServer server(echo);
  Client client(server.port());
  const auto answer = client.ask(post("//validate", "x"));
  REQUIRE(answer);
  CHECK(answer->body == "/validate x");
}

TEST_CASE("one connection serves more than 100 requests") {
  TestServer server(echo);
  Client client(server.port());
  for (int i = 0; i < 300; ++i) {
    const auto answer = client.ask(post("/validate", std::to_string(i)));
    REQUIRE(answer);
    REQUIRE(answer->body == "/validate " + std::to_string(i));
  }
  CHECK(server.server->counters().connections_accepted == 1);
}

TEST_CASE("two requests in one TLS record are both answered, in order") {
  TestServer server(echo);
  Client client(server.port());
  REQUIRE(client.send(post("/validate", "first") + post("/mutate", "second")));
  const auto first = client.receive();
  const auto second = client.receive();
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->body == "/validate first");
  CHECK(second->body == "/mutate second");
}

TEST_CASE("a chunked body arrives whole, and the connection goes on") {
  TestServer server(echo);
  Client client(server.port());
  const std::string head =
      "POST /validate HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto answer = client.ask(head + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  REQUIRE(answer);
  CHECK(answer->body == "/validate hello world");
  const auto next = client.ask(post("/validate", "next"));
  REQUIRE(next);
  CHECK(next->body == "/validate next");
}

TEST_CASE("a client that waits for 100 Continue gets it before it sends the body") {
  TestServer server(echo);
  Client client(server.port());
  const auto interim = client.ask(
      "POST /validate HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
      "Content-Length: 2\r\n\r\n");
  REQUIRE(interim);
  CHECK(interim->status == 100);
  const auto answer = client.ask("ok");
  REQUIRE(answer);
  CHECK(answer->body == "/validate ok");
}

TEST_CASE("the client's Connection: close is honoured after the answer") {
  TestServer server(echo);
  Client client(server.port());
  const auto answer = client.ask(post("/validate", "x", "Connection: close\r\n"));
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->has("Connection: close\r\n"));
  CHECK(client.sees_close());
}

TEST_CASE("an exception in the handler is a 500 that tells nothing, and the connection goes on") {
  TestServer server([](const HttpCall& call) -> HttpReply {
    if (call.body == "std") throw std::runtime_error("secret");
    if (call.body == "odd") throw 42;
    return {200, "application/json", "fine"};
  });
  Client client(server.port());
  for (const std::string body : {"std", "odd"}) {
    INFO(body);
    const auto answer = client.ask(post("/validate", body));
    REQUIRE(answer);
    CHECK(answer->status == 500);
    CHECK(answer->body == "Internal Server Error\n");
    CHECK_FALSE(answer->has("secret"));
  }
  const auto after = client.ask(post("/validate", "calm"));
  REQUIRE(after);
  CHECK(after->body == "fine");
}

TEST_CASE("idle connections, many more than a thread pool would have, delay nobody") {
  TestServer server(echo);
  std::list<Client> idle;
  for (int i = 0; i < 40; ++i) {
    REQUIRE(idle.emplace_back(server.port()).ask(post("/validate", "x")));
  }
  const auto begun = std::chrono::steady_clock::now();
  Client client(server.port());
  REQUIRE(client.ask(post("/validate", "x")));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
  CHECK(server.server->counters().connections_open == 41);
}

TEST_CASE("64 clients at once are all served at once") {
  constexpr int kClients = 64;
  std::latch everybody(kClients);  // Nobody is answered before all of them are being handled.
  TestServer server([&everybody](const HttpCall& call) {
    everybody.arrive_and_wait();
    return echo(call);
  });
  std::vector<std::future<bool>> answers;
  for (int i = 0; i < kClients; ++i) {
    answers.push_back(std::async(std::launch::async, [&server] {
      Client client(server.port());
      const auto answer = client.ask(post("/validate", "x"));
      return answer && answer->status == 200;
    }));
  }
  for (auto& answer : answers) CHECK(answer.get());
}

TEST_CASE("at the cap the longest idle connection makes room for a new one") {
  TestServer server(echo, {.body_bytes_max = 1000, .connections_max = 3});
  std::list<Client> clients;
  for (std::size_t idle = 1; idle <= 3; ++idle) {
    REQUIRE(clients.emplace_back(server.port()).ask(post("/validate", "x")));
    REQUIRE(eventually([&] { return server.server->counters().connections_idle == idle; }));
  }
  Client& oldest = clients.front();
  Client newcomer(server.port());
  REQUIRE(newcomer.ask(post("/validate", "x")));
  CHECK(oldest.sees_close());
  CHECK(clients.back().ask(post("/validate", "x")));
  CHECK(server.server->counters().connections_evicted == 1);
}

TEST_CASE("at the cap a client that never began its handshake makes room before one that is known") {
  TestServer server(echo, {.body_bytes_max = 1000, .connections_max = 2});
  Client known(server.port());
  REQUIRE(known.ask(post("/validate", "x")));
  Client silent(server.port(), {.tls = false});
  REQUIRE(eventually([&server] { return server.server->counters().connections_open == 2; }));
  Client newcomer(server.port());
  REQUIRE(newcomer.ask(post("/validate", "x")));
  CHECK(known.ask(post("/validate", "x")));
  CHECK(server.server->counters().connections_evicted == 1);
  CHECK(eventually([&server] { return server.server->counters().tls_errors == 1; }));  // The silent one's end.
}

TEST_CASE("counters tell what was answered and refused") {
  TestServer server(echo);
  {
    Client client(server.port());
    REQUIRE(client.ask(post("/validate", "x")));
    REQUIRE(client.ask(post("/unknown", "x")));
  }
  const auto counters = server.server->counters();
  CHECK(counters.answers_by_status == std::map<int, std::uint64_t>{{200, 1}, {404, 1}});
  CHECK(counters.refused_by_reason.at("unknown_path") == 1);
  CHECK(counters.refused_by_reason.at("body_too_large") == 0);
}

TEST_CASE("an address in use, or none, is an error and not a server") {
  TestServer server(echo);
  const auto in_use = HttpServer::start({"127.0.0.1", server.port(), {}, {}, {}}, nullptr, echo);
  REQUIRE_FALSE(in_use);
  CHECK(in_use.error().code == ErrorCode::Unavailable);
  CHECK_FALSE(HttpServer::start({"no such host", 0, {}, {}, {}}, nullptr, echo));
  CHECK_FALSE(start_webhook_server({}, nullptr, echo));
}

TEST_CASE("the ops server answers probes and metrics in plain HTTP") {
  std::atomic<bool> ready = false;
  const auto server = start_ops_server({"127.0.0.1"}, {[&ready]() -> std::optional<std::string> {
                                                         if (ready) return std::nullopt;
                                                         return "waiting for the API server";
                                                       },
                                                       [] { return std::string("gate_up 1\n"); }});
  REQUIRE(server);
  Client client((*server)->port(), {.tls = false});
  const auto get = [&client](const std::string& path) {
    return client.ask("GET " + path + " HTTP/1.1\r\nHost: gate\r\n\r\n").value_or(Answer{});
  };
  CHECK(get("/livez").status == 200);
  CHECK(get("/readyz").status == 503);
  CHECK(get("/readyz").body == "waiting for the API server\n");
  ready = true;
  CHECK(get("/readyz?verbose").body == "ok\n");
  const auto metrics = get("/metrics");
  CHECK(metrics.body == "gate_up 1\n");
  CHECK(metrics.has("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  CHECK(get("/validate").status == 404);
  Client other((*server)->port(), {.tls = false});
  const auto refused = other.ask("POST /livez HTTP/1.1\r\nHost: gate\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(refused);
  CHECK(refused->status == 405);
  CHECK(refused->has("Allow: GET\r\n"));

  // The records only where there is a callback for them.
  const std::string ask_records = "GET /preparations HTTP/1.1\r\nHost: gate\r\n\r\n";
  Client third((*server)->port(), {.tls = false});
  const auto without = third.ask(ask_records);
  REQUIRE(without);
  CHECK(without->status == 404);
  OpsCallbacks with_records{[] { return std::optional<std::string>(); }, [] { return std::string(); },
                            [] { return std::string(R"({"items":[]})"); }};
  const auto telling = start_ops_server({"127.0.0.1"}, std::move(with_records));
  REQUIRE(telling);
  Client reader((*telling)->port(), {.tls = false});
  const auto records = reader.ask(ask_records);
  REQUIRE(records);
  CHECK(records->body == R"({"items":[]})");
  CHECK(records->has("Content-Type: application/json\r\n"));
}
