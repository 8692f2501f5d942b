// At the limit of connections, with everybody busy: a newcomer is told so, and is in nobody's way.

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <latch>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/http/ops_server.hpp"
#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

namespace {

SteadyTime in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

/// A server whose only place is taken by a request that lasts until release().
struct FullServer {
  explicit FullServer(HttpLimits limits)
      : server(
            [this](const HttpCall& call) {
              if (call.path == "/mutate") {
                inside.count_down();
                released.wait();
              }
              return echo(call);
            },
            limits) {
    REQUIRE(busy->send(post("/mutate", "busy")));
    inside.wait();
  }
  ~FullServer() { release(); }

  void release() {
    if (!std::exchange(is_released, true)) released.count_down();
  }
  [[nodiscard]] HttpCounters counters() const { return server.server->counters(); }

  std::latch inside{1};
  std::latch released{1};
  bool is_released = false;
  TestServer server;
  std::unique_ptr<Client> busy = std::make_unique<Client>(server.port());
};

/// Long enough that nothing in a test can be due to it.
constexpr std::chrono::minutes kNever{10};

}  // namespace

TEST_CASE("at the cap with everybody busy a newcomer's request is answered 503, whatever its kind") {
  FullServer full({.body_bytes_max = 1u << 20, .connections_max = 1});
  struct Row {
    std::string name;
    std::string bytes;
    int tls_version;
  };
  const Row rows[] = {
      {"small", post("/validate", "x"), TLS1_3_VERSION},
      {"TLS 1.2", post("/validate", "x"), TLS1_2_VERSION},
      {"with a large body", post("/validate", std::string(900'000, 'x')), TLS1_3_VERSION},
      {"that waits to be told to go on",
       "POST /validate HTTP/1.1\r\nHost: gate\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", TLS1_3_VERSION},
      {"that would be refused anyhow", "hello there\r\n\r\n", TLS1_3_VERSION},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    Client newcomer(full.server.port(), {.tls_version_max = row.tls_version});
    const auto answer = newcomer.ask(row.bytes);
    REQUIRE(answer);
    CHECK(answer->status == 503);
    CHECK(answer->has("Retry-After: 1\r\n"));
    CHECK(answer->has("Connection: close\r\n"));
    CHECK(newcomer.sees_close());
  }
  const auto counters = full.counters();
  CHECK(counters.connections_refused == std::size(rows));
  CHECK(counters.refused_by_reason.at("overloaded") == std::size(rows));
  CHECK(counters.answers_by_status == std::map<int, std::uint64_t>{{503, std::size(rows)}});
  CHECK(counters.connections_evicted == 0);
  full.release();
  const auto served = full.busy->receive();
  REQUIRE(served);
  CHECK(served->body == "/mutate busy");
}

TEST_CASE("the refused hold no place: a freed one goes to whoever comes next, and they make room for nobody") {
  FullServer full({.body_bytes_max = 1000, .connections_max = 1, .refusal_max = kNever});
  Client silent(full.server.port(), {.tls = false});
  Client quiet(full.server.port());
  REQUIRE(quiet.connected());
  REQUIRE(full.counters().connections_refused == 2);
  full.release();
  REQUIRE(full.busy->receive());
  REQUIRE(eventually([&] { return full.counters().connections_idle == 1; }));
  Client evictor(full.server.port());
  const auto first = evictor.ask(post("/validate", "x"));
  REQUIRE(first);
  CHECK(first->status == 200);
  CHECK(full.busy->sees_close());
  CHECK(full.counters().connections_evicted == 1);
  // That answer does not come from a place of the refused: they are there, and are still only told 503.
  const auto refused = quiet.ask(post("/validate", "x"));
  REQUIRE(refused);
  CHECK(refused->status == 503);
}

TEST_CASE("beyond those who are told, newcomers are closed at once; probes notice nothing of all that") {
  FullServer full({.body_bytes_max = 1000, .connections_max = 1, .refused_at_once_max = 2, .refusal_max = kNever});
  Client silent(full.server.port(), {.tls = false});
  auto quiet = std::make_unique<Client>(full.server.port());
  REQUIRE(quiet->connected());
  Client third(full.server.port(), {.tls = false});
  CHECK(third.sees_close());
  CHECK(full.counters().connections_refused == 3);
  CHECK(full.counters().connections_open == 3);

  const auto ops =
      start_ops_server({"127.0.0.1"}, {[] { return std::optional<std::string>(); }, [] { return std::string(); }});
  REQUIRE(ops);
  const auto probed = Client((*ops)->port(), {.tls = false}).ask("GET /livez HTTP/1.1\r\nHost: gate\r\n\r\n");
  REQUIRE(probed);
  CHECK(probed->status == 200);

  quiet.reset();
  REQUIRE(eventually([&] { return full.counters().connections_open == 2; }));
  Client fourth(full.server.port());
  const auto answer = fourth.ask(post("/validate", "x"));
  REQUIRE(answer);
  CHECK(answer->status == 503);
}

TEST_CASE("a newcomer at the cap has one short time for everything; a request that it has begun is answered then") {
  FullServer full({.body_bytes_max = 1000, .connections_max = 1, .refusal_max = std::chrono::seconds(1)});
  Client silent(full.server.port(), {.tls = false});
  Client half(full.server.port(), {.tls = false});
  REQUIRE(half.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6)));  // The head of a ClientHello of 512 bytes.
  Client quiet(full.server.port());
  Client slow(full.server.port());
  REQUIRE(slow.send("POST /validate HTTP/1.1\r\n"));
  const auto answer = slow.receive();
  REQUIRE(answer);
  CHECK(answer->status == 503);
  for (Client* client : {&silent, &half, &quiet, &slow}) CHECK(client->sees_close());
  CHECK(full.counters().tls_errors == 2);
}

TEST_CASE("stop does not wait for the refused longer than for others who have just come, and answers them") {
  FullServer full({.body_bytes_max = 1000, .connections_max = 1, .refusal_max = kNever});
  Client silent(full.server.port(), {.tls = false});
  Client slow(full.server.port());
  REQUIRE(slow.send("POST /validate HTTP/1.1\r\n"));
  auto stopped = std::async(std::launch::async, [&full] { full.server.server->stop(in(kNever)); });
  const auto answer = slow.receive();
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(silent.sees_close());
  full.release();
  const auto served = full.busy->receive();
  REQUIRE(served);
  CHECK(served->status == 200);
  REQUIRE(stopped.wait_for(kPatience) == std::future_status::ready);
  CHECK(full.counters().connections_open == 0);
}
