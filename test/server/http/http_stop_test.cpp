// Stopping loses no request: what was accepted is answered, and clients are sent elsewhere first.

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <latch>
#include <list>
#include <thread>
#include <vector>

#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

namespace {

SteadyTime in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

/// A handler that tells when requests are in it, and holds them until it is told.
struct Gatekeeper {
  explicit Gatekeeper(int expected) : inside(expected) {}
  HttpReply operator()(const HttpCall& call) {
    inside.count_down();
    release.wait();
    return echo(call);
  }
  std::latch inside;
  std::latch release{1};
};

}  // namespace

TEST_CASE("while draining, every answer closes its connection and new connections are still served") {
  TestServer server(echo);
  Client kept(server.port());
  REQUIRE(kept.ask(post("/validate", "before")));
  server.server->begin_drain();
  const auto last = kept.ask(post("/validate", "after"));
  REQUIRE(last);
  CHECK(last->status == 200);
  CHECK(last->has("Connection: close\r\n"));
  CHECK(kept.sees_close());
  Client late(server.port());
  const auto answer = late.ask(post("/validate", "late"));
  REQUIRE(answer);
  CHECK(answer->has("Connection: close\r\n"));
}

TEST_CASE("an answer whose request was being handled when draining began closes its connection, too") {
  Gatekeeper keeper(1);
  TestServer server(std::ref(keeper));
  Client client(server.port());
  REQUIRE(client.send(post("/validate", "x")));
  keeper.inside.wait();
  server.server->begin_drain();
  keeper.release.count_down();
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->has("Connection: close\r\n"));
}

TEST_CASE("stop answers the requests in flight, closes idle connections at once, and accepts no more") {
  constexpr int kInFlight = 24;
  Gatekeeper keeper(kInFlight);
  TestServer server([&keeper](const HttpCall& call) { return call.path == "/mutate" ? echo(call) : keeper(call); });
  std::list<Client> clients;
  for (int i = 0; i < kInFlight; ++i) {
    REQUIRE(clients.emplace_back(server.port()).send(post("/validate", "x")));
  }
  Client idle(server.port());
  REQUIRE(idle.ask(post("/mutate", "x")));
  keeper.inside.wait();
  auto stopped = std::async(std::launch::async, [&server] { server.server->stop(in(kPatience)); });
  CHECK(idle.sees_close());
  keeper.release.count_down();
  for (auto& client : clients) {
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->has("Connection: close\r\n"));
  }
  REQUIRE(stopped.wait_for(kPatience) == std::future_status::ready);
  CHECK_FALSE(Client(server.port()).connected());
  CHECK(server.server->counters().connections_open == 0);
}

TEST_CASE("a connection that was just made when stop began is still served") {
  TestServer server(echo);
  Client idle(server.port());
  REQUIRE(idle.ask(post("/validate", "x")));
  Client fresh(server.port());
  auto stopped = std::async(std::launch::async, [&server] { server.server->stop(in(kPatience)); });
  REQUIRE(idle.sees_close());
  const auto answer = fresh.ask(post("/validate", "x"));
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(stopped.wait_for(kPatience) == std::future_status::ready);
}

TEST_CASE("at stop's deadline, connections that still read are cut") {
  TestServer server(echo);
  Client slow(server.port());
  REQUIRE(slow.ask(post("/validate", "x")));
  REQUIRE(slow.send("POST /validate HTTP/1.1\r\n"));
  Client silent(server.port(), {.tls = false});
  const auto begun = std::chrono::steady_clock::now();
  server.server->stop(in(std::chrono::milliseconds(100)));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  CHECK(slow.sees_close());
  CHECK(silent.sees_close());
}

TEST_CASE("stopping twice, and starting and stopping at once, many times, never hangs") {
  TestServer server(echo);
  for (int i = 0; i < 50; ++i) {
    auto other = HttpServer::start({"127.0.0.1", 0, {}, {}, {}}, nullptr, echo);
    REQUIRE(other);
    (*other)->stop(in(kPatience));
    (*other)->stop(in(kPatience));
  }
}

TEST_CASE("draining and stopping under load lose no request") {
  constexpr int kClients = 8;
  TestServer server(echo);
  std::atomic<int> lost = 0;
  std::atomic<int> answered = 0;
  std::atomic<bool> drained = false;
  std::latch busy(kClients);
  std::vector<std::jthread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] {
      bool counted = false;
      // As the API server does: keep the connection until it is told to close, then make a new one.
      while (!drained) {
        Client client(server.port());
        for (bool open = true; open;) {
          const auto answer = client.ask(post("/validate", "x"));
          if (!answer || answer->status != 200) {
            ++lost;
            break;
          }
          ++answered;
          if (!counted) busy.count_down();
          counted = true;
          open = !answer->has("Connection: close");
        }
      }
    });
  }
  busy.wait();
  server.server->begin_drain();
  const int before = answered;
  while (answered < before + 50) std::this_thread::yield();
  drained = true;
  server.server->stop(in(kPatience));
  clients.clear();
  CHECK(lost == 0);
}
