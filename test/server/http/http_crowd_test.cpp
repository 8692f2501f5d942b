// At the limit of connections, with clients that hold their places by doing nothing: who means it gets in.

#include <doctest/doctest.h>
#include <fcntl.h>

#include <chrono>
#include <filesystem>
#include <list>
#include <string>

#include "server/http/ops_server.hpp"
#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

namespace {

/// Long enough that nothing in a test can be due to it.
constexpr std::chrono::minutes kNever{10};
constexpr std::size_t kPlaces = 8;

/// Limits under which only making room ever closes a connection.
HttpLimits patient_limits() {
  HttpLimits limits{.body_bytes_max = 1u << 20, .connections_max = kPlaces};
  limits.handshake_max = limits.request_max = limits.answer_max = limits.idle_max = kNever;
  limits.slow_after = std::chrono::milliseconds(0);
  return limits;
}

/// Asks again and again, and reads nothing, until the server has no room for another answer.
void fill_with_answers(Client& client, const std::string& request) {
  const int flags = ::fcntl(client.socket(), F_GETFL);
  ::fcntl(client.socket(), F_SETFL, flags | O_NONBLOCK);
  for (int i = 0; i < 2'000 && client.send(request); ++i) {
  }
}

std::size_t descriptors_of_this_process() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

const std::string kProbe = "GET /livez HTTP/1.1\r\nHost: gate\r\n\r\n";

Result<std::unique_ptr<HttpServer>> start_ops() {
  OpsServerOptions options{"127.0.0.1"};
  options.limits = {.connections_max = kPlaces};
  return start_ops_server(options,
                          {[] { return std::optional<std::string>(); }, [] { return std::string(20'000, '#'); }});
}

}  // namespace

TEST_CASE("whoever holds a place without using it makes room for a client that asks") {
  struct Row {
    std::string name;
    bool tls;
    void (*hold)(Client&);
  };
  const Row rows[] = {
      {"says nothing", false, [](Client&) {}},
      {"begins a handshake", false,
       [](Client& client) { client.send(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)); }},
      {"is idle", true, [](Client& client) { CHECK(client.ask(post("/validate", "x"))); }},
      {"begins a request", true, [](Client& client) { client.send("POST /validate HTTP/1.1\r\nX-Slow: "); }},
      {"begins a large body", true,
       [](Client& client) {
         client.send(
             "POST /validate HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
             "{");
       }},
      {"begins chunks", true,
       [](Client& client) {
         client.send(
             "POST /validate HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
             "\r\n1\r\n ");
       }},
      {"reads no answer", true,
       [](Client& client) { fill_with_answers(client, post("/validate", std::string(4'000, 'x'))); }},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    TestServer server(echo, patient_limits());
    std::list<Client> holders;
    for (std::size_t i = 0; i < kPlaces; ++i) {
      row.hold(holders.emplace_back(server.port(), Client::Options{.tls = row.tls}));
    }
    REQUIRE(eventually([&] { return server.server->counters().connections_open >= kPlaces; }));
    // Where they get stuck before the server has noticed that they are, one try may come too early.
    CHECK(eventually([&] {
      Client client(server.port());
      const auto answer = client.ask(post("/validate", "x"));
      return answer && answer->status == 200;
    }));
    CHECK(server.server->counters().connections_evicted >= 1);
  }
}

TEST_CASE("clients that read no answers cost no thread, and those who come meanwhile are not cut for each other") {
  auto limits = patient_limits();
  limits.slow_after =
      kNever;  // Else newcomers that have not yet asked are cut for each other before the holders are stuck.
  TestServer server(echo, limits);
  std::list<Client> holders;
  for (std::size_t i = 0; i + 2 < kPlaces; ++i) {
    fill_with_answers(holders.emplace_back(server.port()), post("/validate", std::string(4'000, 'x')));
  }
  // Before the server has noticed that the holders are stuck, a try may come too early.
  CHECK(eventually([&] {
    Client first(server.port());
    Client second(server.port());
    Client third(server.port());
    for (int round = 0; round < 2; ++round) {
      for (Client* client : {&first, &second, &third}) {
        const auto answer = client->ask(post("/validate", "x"));
        if (!answer || answer->status != 200) return false;
      }
    }
    return true;
  }));
  CHECK(server.server->counters().connections_evicted >= 1);
}

TEST_CASE("an evicted connection is not served, and its place is not given away before it is closed") {
  const auto ops = start_ops();
  REQUIRE(ops);
  const std::size_t before = descriptors_of_this_process();
  std::size_t most = 0;
  std::list<Client> clients;
  const std::string scrape = "GET /metrics HTTP/1.1\r\nHost: gate\r\n\r\n";
  for (int i = 0; i < 300; ++i) {
    auto& client = clients.emplace_back((*ops)->port(), Client::Options{.tls = false});
    client.send(scrape + scrape + scrape);
    most = std::max(most, (*ops)->counters().connections_open);
  }
  HttpLimits limits{.connections_max = kPlaces};
  CHECK(most <= sockets_max(limits));
  CHECK(descriptors_of_this_process() <= before + clients.size() + sockets_max(limits));
  // Those in the kernel's queue are accepted when others have gone.
  CHECK(eventually([&] { return (*ops)->counters().connections_evicted > 0; }));
  Client probe((*ops)->port(), {.tls = false});
  const auto answer = probe.ask(kProbe);
  REQUIRE(answer);
  CHECK(answer->status == 200);
}

TEST_CASE("probes are answered beside as many clients as there are places that ask and never read") {
  const auto ops = start_ops();
  REQUIRE(ops);
  std::list<Client> holders;
  for (std::size_t i = 0; i < 3 * kPlaces; ++i) {
    fill_with_answers(holders.emplace_back((*ops)->port(), Client::Options{.tls = false}),
                      "GET /metrics HTTP/1.1\r\nHost: gate\r\n\r\n");
    Client probe((*ops)->port(), {.tls = false});
    const auto answer = probe.ask(kProbe);
    REQUIRE(answer);
    CHECK(answer->status == 200);
  }
}

TEST_CASE("HEAD asks for the same as GET, but for the body") {
  const auto ops = start_ops();
  REQUIRE(ops);
  Client client((*ops)->port(), {.tls = false});
  const auto head = client.ask_head("HEAD /livez HTTP/1.1\r\nHost: gate\r\n\r\n");
  REQUIRE(head);
  CHECK(head->status == 200);
  CHECK(head->has("Content-Length: 3\r\n"));
  const auto next = client.ask(kProbe);
  REQUIRE(next);
  CHECK(next->body == "ok\n");
}

TEST_CASE("the handler gets the query, and when the request came") {
  const auto before = std::chrono::steady_clock::now();
  TestServer server([before](const HttpCall& call) {
    CHECK(call.received >= before);
    CHECK(call.received <= std::chrono::steady_clock::now());
    return HttpReply{200, "text/plain", std::string(call.query)};
  });
  Client client(server.port());
  const auto with = client.ask(post("/validate?timeout=10s&x=%20", "x"));
  REQUIRE(with);
  CHECK(with->body == "timeout=10s&x=%20");
  const auto without = client.ask(post("/validate", "x"));
  REQUIRE(without);
  CHECK(without->body.empty());
}

TEST_CASE("of TLS 1.2, only suites with authenticated encryption are served") {
  TestServer server(echo);
  Client good(server.port(), {.tls_version_max = TLS1_2_VERSION, .ciphers = "ECDHE+AESGCM"});
  CHECK(good.ask(post("/validate", "x")));
  for (const char* ciphers : {"ECDHE+AES:!AESGCM:!AESCCM", "AES128-SHA", "ECDHE+AESCCM"}) {
    INFO(ciphers);
    CHECK_FALSE(Client(server.port(), {.tls_version_max = TLS1_2_VERSION, .ciphers = ciphers}).connected());
  }
}
