// Many clients at once, of every kind.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <latch>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

namespace {

const std::string kBegun = "POST /validate HTTP/1.1\r\nHost: gate\r\nX-Slow: ";

std::size_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

TEST_CASE("idle, slow and silent clients cost no thread") {
  TestServer server(echo);
  const std::size_t before = threads_of_this_process();
  std::list<Client> clients;
  for (int i = 0; i < 40; ++i) {
    REQUIRE(clients.emplace_back(server.port()).ask(post("/validate", "x")));
    REQUIRE(clients.emplace_back(server.port()).send(kBegun));
    clients.emplace_back(server.port(), Client::Options{.tls = false});
  }
  REQUIRE(eventually([&] {
    const auto counters = server.server->counters();
    return counters.requests_begun == 40 && counters.connections_idle == 40 && counters.connections_open == 120;
  }));
  // What greets is a thread for a moment, and lingers for another.
  CHECK(threads_of_this_process() <= before + 8);
}

TEST_CASE("what can be answered at once is, whatever others wait for") {
  constexpr int kWaiting = 16;
  std::latch inside(kWaiting);
  std::latch release(1);
  TestServer server(HttpHandlers(
      [](const HttpCall& call) -> std::optional<HttpReply> {
        if (call.path == "/mutate") return std::nullopt;
        return HttpReply{200, "application/json", "quick"};
      },
      [&](const HttpCall&) {
        inside.count_down();
        release.wait();
        return HttpReply{200, "application/json", "full"};
      }));
  std::list<Client> waiting;
  for (int i = 0; i < kWaiting; ++i) REQUIRE(waiting.emplace_back(server.port()).send(post("/mutate", "x")));
  inside.wait();
  Client client(server.port());
  for (int i = 0; i < 100; ++i) {
    const auto answer = client.ask(post("/validate", "x"));
    REQUIRE(answer);
    CHECK(answer->body == "quick");
  }
  release.count_down();
  for (auto& patient : waiting) {
    const auto answer = patient.receive();
    REQUIRE(answer);
    CHECK(answer->body == "full");
    // And the connection is watched again.
    CHECK(patient.ask(post("/validate", "x")));
  }
}

TEST_CASE("many requests in one write are answered in order, and others are not kept waiting") {
  TestServer server(echo);
  Client flood(server.port());
  std::string requests;
  for (int i = 0; i < 200; ++i) requests += post("/validate", std::to_string(i));
  REQUIRE(flood.send(requests));
  Client other(server.port());
  CHECK(other.ask(post("/validate", "x")));
  for (int i = 0; i < 200; ++i) {
    const auto answer = flood.receive();
    REQUIRE(answer);
    REQUIRE(answer->body == "/validate " + std::to_string(i));
  }
}

TEST_CASE("good, slow, broken and leaving clients, and a stop in the midst of them: no hang, no wrong answer") {
  HttpLimits limits{.body_bytes_max = 1u << 20, .request_max = std::chrono::milliseconds(300), .connections_max = 24};
  limits.body_bytes_total_max = 2u << 20;
  TestServer server(HttpHandlers(
                        [](const HttpCall& call) -> std::optional<HttpReply> {
                          if (call.path == "/mutate") return std::nullopt;
                          return echo(call);
                        },
                        echo),
                    limits);
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::atomic<int> good = 0;
  std::atomic<int> rounds = 0;
  const auto ask = [&](Client& client, const std::string& path, const std::string& body) {
    const auto answer = client.ask(post(path, body));
    if (!answer) return;  // At the cap anybody may be cut.
    if (answer->status == 200) ++good;
    if (answer->status != 503 && answer->body != path + " " + body) ++wrong;
  };
  const std::function<void(Client&)> kinds[] = {
      [&](Client& client) {
        for (int i = 0; i < 10; ++i) ask(client, "/validate", std::to_string(i));
      },
      [&](Client& client) { ask(client, "/mutate", "y"); },
      [&](Client& client) { ask(client, "/validate", std::string(300'000, 'x')); },
      [&](Client& client) { client.send(kBegun), client.receive(); },
      [&](Client& client) { client.send(kBegun); },
      [&](Client& client) { client.send(post("/validate", "1") + post("/mutate", "2")), client.receive(); },
      [&](Client& client) { client.ask("\x16\x03\x01 nonsense\r\n\r\n"); },
      [&](Client& client) { client.stop_sending(), client.receive(); },
  };
  {
    std::vector<std::jthread> clients;
    for (const auto& kind : kinds) {
      for (int twice = 0; twice < 2; ++twice) {
        clients.emplace_back([&] {
          while (!done) {
            Client client(server.port(), {.tls = rounds % 16 != 15});
            if (client.connected()) kind(client);
            ++rounds;
          }
        });
      }
    }
    CHECK(eventually([&] { return good > 200 && rounds > 200; }));
    server.server->stop(std::chrono::steady_clock::now() + std::chrono::milliseconds(200));
    done = true;
  }
  CHECK(wrong == 0);
  CHECK(server.server->counters().connections_open == 0);
}

TEST_CASE("a rolling restart, ten times over, fails no request") {
  constexpr int kClients = 6;
  constexpr int kRestarts = 10;
  auto server = std::make_unique<TestServer>(echo);
  std::atomic<std::uint16_t> port = server->port();
  std::atomic<bool> done = false;
  std::atomic<int> failed = 0;
  std::vector<std::atomic<int>> on_port(kClients);
  {
    std::vector<std::jthread> clients;
    for (auto& at : on_port) {
      clients.emplace_back([&] {
        // As the API server: keeps a connection until it is told to close it.
        while (!done) {
          const std::uint16_t here = port;
          Client client(here);
          for (bool open = true; open && !done;) {
            const auto answer = client.ask(post("/validate", "x"));
            failed += answer && answer->status == 200 ? 0 : 1;
            open = answer && !answer->has("Connection: close");
            if (open) at = here;
          }
        }
      });
    }
    for (int restart = 0; restart < kRestarts; ++restart) {
      auto next = std::make_unique<TestServer>(echo);
      port = next->port();
      server->server->begin_drain();
      // What --drain is for: until the last client has come over.
      CHECK(eventually([&] {
        return failed > 0 || std::all_of(on_port.begin(), on_port.end(), [&](const auto& at) { return at == port; });
      }));
      server->server->stop(std::chrono::steady_clock::now() + kPatience);
      server = std::move(next);
    }
    done = true;
  }
  CHECK(failed == 0);
}
