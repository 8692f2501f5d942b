// What a hostile or broken client gets: the right refusal, soon, and no more memory than the limits allow.

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <string>

#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

namespace {

constexpr std::size_t kBodyMax = 10'000;

std::string header_lines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += "X-Header-" + std::to_string(i) + ": value\r\n";
  return lines;
}

std::string request(const std::string& line, const std::string& headers, const std::string& body = "") {
  return line + " HTTP/1.1\r\nHost: gate\r\n" + headers + "\r\n" + body;
}

const std::string kJson = "Content-Type: application/json\r\n";
const std::string kChunked = "Transfer-Encoding: chunked\r\n";

}  // namespace

TEST_CASE("a request outside the limits is refused, the handler never sees it, and the connection closes") {
  struct Row {
    const char* name;
    std::string bytes;
    int status;
    const char* header = "";
  };
  const Row rows[] = {
      {"unknown path", post("/other", "x"), 404},
      {"path that only begins like a known one", post("/validate/x", "x"), 404},
      {"GET", request("GET /validate", ""), 405, "Allow: POST\r\n"},
      {"PUT with a body", request("PUT /validate", kJson + "Content-Length: 1\r\n", "x"), 405, "Allow: POST\r\n"},
      {"DELETE", request("DELETE /mutate", ""), 405, "Allow: POST\r\n"},
      {"HEAD", request("HEAD /validate", ""), 405},
      {"no content type", request("POST /validate", "Content-Length: 1\r\n", "x"), 415},
      {"form", request("POST /validate", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n", "a=b"), 415},
      {"multipart", request("POST /validate", "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1\r\n", "x"), 415},
      {"longer media type", request("POST /validate", "Content-Type: application/jsonx\r\nContent-Length: 1\r\n", "x"), 415},
      {"packed body", post("/validate", "x", "Content-Encoding: gzip\r\n"), 415},
      {"no length", request("POST /validate", kJson), 411},
      {"one byte too many", post("/validate", std::string(kBodyMax + 1, 'x')), 413},
      {"a terabyte announced", request("POST /validate", kJson + "Content-Length: 1099511627776\r\n"), 413},
      {"more than a number holds", request("POST /validate", kJson + "Content-Length: 99999999999999999999\r\n"), 400},
      {"negative length", request("POST /validate", kJson + "Content-Length: -1\r\n", "x"), 400},
      {"length with a tail", request("POST /validate", kJson + "Content-Length: 1;1\r\n", "x"), 400},
      {"two lengths", request("POST /validate", kJson + "Content-Length: 1\r\nContent-Length: 1\r\n", "x"), 400},
      {"length and chunks", request("POST /validate", kJson + kChunked + "Content-Length: 1\r\n", "1\r\nx\r\n0\r\n\r\n"), 400},
      {"unknown transfer encoding", request("POST /validate", kJson + "Transfer-Encoding: gzip, chunked\r\n"), 400},
      {"broken chunk", request("POST /validate", kJson + kChunked, "zz\r\nhello\r\n0\r\n\r\n"), 400},
      {"too many headers", post("/validate", "x", header_lines(101)), 431},
      {"header line too long", post("/validate", "x", "X-Long: " + std::string(9000, 'x') + "\r\n"), 431},
      {"not HTTP", "hello there\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
  };
  std::atomic<int> handled = 0;
  TestServer server(
      [&handled](const HttpCall& call) {
        ++handled;
        return echo(call);
      },
      {.body_bytes_max = kBodyMax});
  for (const auto& row : rows) {
    INFO(row.name);
    Client client(server.port());
    const auto answer = client.ask(row.bytes);
    REQUIRE(answer);
    CHECK(answer->status == row.status);
    CHECK(answer->has(row.header));
    CHECK(answer->has("Connection: close\r\n"));
    CHECK(client.sees_close());
  }
  CHECK(handled == 0);
}

TEST_CASE("a request exactly at the limits is served") {
  TestServer server(echo, {.body_bytes_max = kBodyMax});
  Client client(server.port());
  const std::string body(kBodyMax, 'x');
  const auto answer = client.ask(post("/validate", body, header_lines(97)));  // With Host, type and length: 100.
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->body.size() == body.size() + std::string_view("/validate ").size());
}

TEST_CASE("a header without end is refused after 8 KiB, not collected") {
  TestServer server(echo);
  Client client(server.port());
  REQUIRE(client.send("POST /validate HTTP/1.1\r\nX-Endless: "));
  const std::string piece(4096, 'x');
  std::size_t sent = 0;
  while (sent < (4u << 20) && client.send(piece)) sent += piece.size();
  const auto answer = client.receive();
  if (answer) CHECK(answer->status == 431);  // A reset may overtake the answer while we still send.
  CHECK(server.server->counters().refused_by_reason.at("headers_too_large") == 1);
}

TEST_CASE("chunks without end are refused once they exceed the limit") {
  TestServer server(echo, {.body_bytes_max = kBodyMax});
  Client client(server.port());
  REQUIRE(client.send(request("POST /validate", kJson + kChunked)));
  const std::string chunk = "400\r\n" + std::string(0x400, 'x') + "\r\n";
  for (std::size_t sent = 0; sent <= 2 * kBodyMax; sent += 0x400) {
    if (!client.send(chunk)) break;
  }
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->status == 413);
  CHECK(client.sees_close());
}

TEST_CASE("a chunked body one byte above the limit is refused, too") {
  TestServer server(echo, {.body_bytes_max = 16});
  Client client(server.port());
  const auto answer =
      client.ask(request("POST /validate", kJson + kChunked, "11\r\n" + std::string(17, 'x') + "\r\n0\r\n\r\n"));
  REQUIRE(answer);
  CHECK(answer->status == 413);
}

TEST_CASE("slow headers and slow bodies are cut at the deadline for the whole request, however steadily they drip") {
  struct Row {
    const char* name;
    std::string begin;
  };
  const Row rows[] = {
      {"headers", "POST /validate HTTP/1.1\r\nX-Slow: "},
      {"body", request("POST /validate", kJson + "Content-Length: 5000\r\n")},
      {"chunk", request("POST /validate", kJson + kChunked, "1388\r\n")},
  };
  TestServer server(echo, {.body_bytes_max = kBodyMax, .request_max = std::chrono::milliseconds(200)});
  for (const auto& row : rows) {
    INFO(row.name);
    Client client(server.port());
    REQUIRE(client.send(row.begin));
    // Each byte comes well before a limit per read would strike.
    const auto begun = std::chrono::steady_clock::now();
    pollfd readable{client.socket(), POLLIN, 0};
    while (::poll(&readable, 1, 20) == 0) {
      REQUIRE(std::chrono::steady_clock::now() - begun < kPatience);
      client.send("x");
    }
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->status == 408);
    CHECK(client.sees_close());
  }
  CHECK(server.server->counters().refused_by_reason.at("too_slow") == 3);
}

TEST_CASE("a client that never begins or never ends its handshake is cut at the handshake's deadline") {
  TestServer server(echo, {.body_bytes_max = kBodyMax, .handshake_max = std::chrono::milliseconds(200)});
  Client silent(server.port(), {.tls = false});
  Client half(server.port(), {.tls = false});
  REQUIRE(half.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6)));  // The head of a ClientHello of 512 bytes.
  CHECK(silent.sees_close());
  CHECK(half.sees_close());
  Client good(server.port());
  CHECK(good.ask(post("/validate", "x")));
  CHECK(server.server->counters().tls_errors == 2);
}

TEST_CASE("plain HTTP on the TLS port is closed and counted") {
  TestServer server(echo);
  Client client(server.port(), {.tls = false});
  CHECK_FALSE(client.ask(post("/validate", "x")));
  CHECK(server.server->counters().tls_errors == 1);
}

TEST_CASE("TLS 1.1 is refused, 1.2 and 1.3 are served") {
  TestServer server(echo);
  Client old(server.port(), {.tls_version_max = TLS1_1_VERSION});
  CHECK_FALSE(old.connected());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Client client(server.port(), {.tls_version_max = version});
    CHECK(client.ask(post("/validate", "x")));
  }
}

TEST_CASE("an idle connection is closed after idle_max, without an answer") {
  TestServer server(echo, {.body_bytes_max = kBodyMax, .idle_max = std::chrono::milliseconds(100)});
  Client client(server.port());
  REQUIRE(client.ask(post("/validate", "x")));
  CHECK(client.sees_close());
}

TEST_CASE("a client that leaves in the middle of a request is not answered, and nobody else notices") {
  TestServer server(echo);
  { Client client(server.port()); REQUIRE(client.send(request("POST /validate", kJson + "Content-Length: 500\r\n", "half"))); }
  Client other(server.port());
  CHECK(other.ask(post("/validate", "x")));
  CHECK(server.server->counters().answers_by_status == std::map<int, std::uint64_t>{{200, 1}});
}
