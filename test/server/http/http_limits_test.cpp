// What a hostile or broken client gets: the right refusal, soon, and no more memory than the limits allow.

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <latch>
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
    std::string name;
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
      {"no host", "POST /validate HTTP/1.1\r\n" + kJson + "Content-Length: 1\r\n\r\nx", 400},
      {"empty host", "POST /validate HTTP/1.1\r\nHost: \r\n" + kJson + "Content-Length: 1\r\n\r\nx", 400},
      {"two hosts", post("/validate", "x", "Host: gate\r\n"), 400},
      {"two hosts, in any case of letters", post("/validate", "x", "hOST: other\r\n"), 400},
      {"host with a path", "POST /validate HTTP/1.1\r\nHost: gate/x\r\nContent-Length: 1\r\n\r\nx", 400},
      {"host with a user", "POST /validate HTTP/1.1\r\nHost: a@gate\r\nContent-Length: 1\r\n\r\nx", 400},
      {"host with a blank", "POST /validate HTTP/1.1\r\nHost: a b\r\nContent-Length: 1\r\n\r\nx", 400},
      {"host with a port that is none", "POST /validate HTTP/1.1\r\nHost: gate:x\r\nContent-Length: 1\r\n\r\nx", 400},
      {"host with half an address", "POST /validate HTTP/1.1\r\nHost: [::1\r\nContent-Length: 1\r\n\r\nx", 400},
      {"absolute form without a host", "POST http://gate/validate HTTP/1.1\r\n" + kJson + "Content-Length: 1\r\n\r\nx",
       400},
      {"absolute form of another path", post("http://gate/other", "x"), 404},
      {"absolute form without a path", post("http://gate", "x"), 404},
      {"absolute form with a user", post("http://a@gate/validate", "x"), 400},
      {"absolute form of another scheme", post("ftp://gate/validate", "x"), 400},
      {"no path", post("validate", "x"), 400},
      {"no content type", request("POST /validate", "Content-Length: 1\r\n", "x"), 415},
      {"form",
       request("POST /validate", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n", "a=b"),
       415},
      {"multipart",
       request("POST /validate", "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1\r\n", "x"), 415},
      {"longer media type", request("POST /validate", "Content-Type: application/jsonx\r\nContent-Length: 1\r\n", "x"),
       415},
      {"packed body", post("/validate", "x", "Content-Encoding: gzip\r\n"), 415},
      {"no length", request("POST /validate", kJson), 411},
      {"one byte too many", post("/validate", std::string(kBodyMax + 1, 'x')), 413},
      {"a terabyte announced", request("POST /validate", kJson + "Content-Length: 1099511627776\r\n"), 413},
      {"more than a number holds", request("POST /validate", kJson + "Content-Length: 99999999999999999999\r\n"), 400},
      {"negative length", request("POST /validate", kJson + "Content-Length: -1\r\n", "x"), 400},
      {"length with a tail", request("POST /validate", kJson + "Content-Length: 1;1\r\n", "x"), 400},
      {"two lengths", request("POST /validate", kJson + "Content-Length: 1\r\nContent-Length: 1\r\n", "x"), 400},
      {"length and chunks",
       request("POST /validate", kJson + kChunked + "Content-Length: 1\r\n", "1\r\nx\r\n0\r\n\r\n"), 400},
      {"unknown transfer encoding", request("POST /validate", kJson + "Transfer-Encoding: gzip, chunked\r\n"), 400},
      {"two encodings", request("POST /validate", kJson + kChunked + kChunked, "1\r\nx\r\n0\r\n\r\n"), 400},
      {"chunks and more", request("POST /validate", kJson + "Transfer-Encoding: chunked;x\r\n"), 400},
      {"signed length", request("POST /validate", kJson + "Content-Length: +1\r\n", "x"), 400},
      {"list of lengths", request("POST /validate", kJson + "Content-Length: 1, 1\r\n", "x"), 400},
      {"blank before a colon", request("POST /validate", kJson + "Content-Length : 1\r\n", "x"), 400},
      {"blank before the encoding's colon",
       request("POST /validate", kJson + "Content-Length: 1\r\nTransfer-Encoding : chunked\r\n", "x"), 400},
      {"encoding without a value",
       request("POST /validate", kJson + "Content-Length: 1\r\nTransfer-Encoding: \r\n", "x"), 400},
      {"length without a value", request("POST /validate", kJson + "content-length:\r\nContent-Length: 1\r\n", "x"),
       400},
      {"folded header", request("POST /validate", kJson + "X-A: b\r\n Content-Length: 1\r\nContent-Length: 1\r\n", "x"),
       400},
      {"header without a colon", request("POST /validate", kJson + "Content-Length\r\n", "x"), 400},
      {"header without a name", request("POST /validate", kJson + ": x\r\nContent-Length: 1\r\n", "x"), 400},
      {"line feed alone", request("POST /validate", kJson + "X-A: b\nContent-Length: 1\r\n", "x"), 400},
      {"line feeds only", "POST /validate HTTP/1.1\nHost: gate\nContent-Length: 0\n\n", 400},
      {"carriage return alone", request("POST /validate", kJson + "X-A: b\rContent-Length: 1\r\n", "x"), 400},
      {"NUL in a value",
       request("POST /validate", kJson + std::string("X-A: \0b\r\n", 9) + "Content-Length: 1\r\n", "x"), 400},
      {"NUL in a name", request("POST /validate", kJson + std::string("X\0A: b\r\n", 8) + "Content-Length: 1\r\n", "x"),
       400},
      {"control character in the path", request("POST /validate\x01", kJson + "Content-Length: 1\r\n", "x"), 400},
      {"broken chunk", request("POST /validate", kJson + kChunked, "zz\r\nhello\r\n0\r\n\r\n"), 400},
      {"chunk that does not end where it says", request("POST /validate", kJson + kChunked, "1\r\nxx\r\n0\r\n\r\n"),
       400},
      {"chunk size with a sign", request("POST /validate", kJson + kChunked, "+1\r\nx\r\n0\r\n\r\n"), 400},
      {"chunk size with a prefix", request("POST /validate", kJson + kChunked, "0x1\r\nx\r\n0\r\n\r\n"), 400},
      {"chunk without a size", request("POST /validate", kJson + kChunked, "\r\nx\r\n0\r\n\r\n"), 400},
      {"chunk with an extension", request("POST /validate", kJson + kChunked, "1;a=b\r\nx\r\n0\r\n\r\n"), 400},
      {"chunk size with a line feed alone", request("POST /validate", kJson + kChunked, "1\nx\r\n0\r\n\r\n"), 400},
      {"trailer", request("POST /validate", kJson + kChunked, "1\r\nx\r\n0\r\nX-A: b\r\n\r\n"), 400},
      {"chunk of more than a number holds", request("POST /validate", kJson + kChunked, "fffffffffffffffff\r\n"), 400},
      {"chunk larger than the limit", request("POST /validate", kJson + kChunked, "ffffffff\r\n"), 413},
      {"too many headers", post("/validate", "x", header_lines(62)), 431},
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

TEST_CASE("a host may be a name or an address, with or without a port; the absolute form is the same request") {
  TestServer server(echo, {.body_bytes_max = kBodyMax});
  const std::string rest = kJson + "Content-Length: 1\r\n\r\nx";
  for (const std::string head : {
           "POST /validate HTTP/1.1\r\nHost: upgrade-gate.starrocks.svc\r\n",
           "POST /validate HTTP/1.1\r\nhost:upgrade-gate.starrocks.svc:443\r\n",
           "POST /validate HTTP/1.1\r\nHost: 10.0.0.1:9443\r\n",
           "POST /validate HTTP/1.1\r\nHost: [fd00::1]\r\n",
           "POST /validate HTTP/1.1\r\nHost: [fd00::1]:9443\r\n",
           "POST http://gate/validate HTTP/1.1\r\nHost: other\r\n",
           "POST HTTPS://[fd00::1]:9443/validate?timeout=1s HTTP/1.1\r\nHost: gate\r\n",
           "POST /validate HTTP/1.0\r\nConnection: keep-alive\r\n",
       }) {
    INFO(head);
    Client client(server.port());
    const auto answer = client.ask(head + rest);
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == "/validate x");
  }
}

TEST_CASE("an answer to HEAD has no body, and nothing follows it") {
  TestServer server(echo, {.body_bytes_max = kBodyMax});
  Client client(server.port());
  const auto answer = client.ask_head(request("HEAD /validate", ""));
  REQUIRE(answer);
  CHECK(answer->status == 405);
  CHECK(answer->has("Allow: POST\r\n"));
  CHECK(answer->has("Content-Length: "));
  CHECK(client.sees_close());
}

TEST_CASE("a request exactly at the limits is served") {
  TestServer server(echo, {.body_bytes_max = kBodyMax});
  Client client(server.port());
  const std::string body(kBodyMax, 'x');
  const auto answer =
      client.ask(post("/validate", body, "X-Empty:\r\n" + header_lines(60)));  // With Host, type and length: 64.
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

TEST_CASE("large bodies beyond the room for all of them are told to come again; small requests go on") {
  constexpr std::size_t kLarge = 600'000;
  std::latch inside(1);
  std::latch release(1);
  TestServer server(
      [&](const HttpCall& call) {
        if (call.body.size() < kLarge) return HttpReply{200, "application/json", "small"};
        inside.count_down();
        release.wait();
        return HttpReply{200, "application/json", "large"};
      },
      {.body_bytes_max = 1u << 20, .body_bytes_total_max = 1u << 20});
  Client first(server.port());
  REQUIRE(first.send(post("/validate", std::string(kLarge, 'x'))));
  inside.wait();
  CHECK(server.server->counters().body_bytes == kLarge);
  struct Row {
    std::string name;
    std::string bytes;
  };
  std::string chunks;
  for (int i = 0; i < 20; ++i) chunks += "8000\r\n" + std::string(0x8000, 'x') + "\r\n";
  for (const auto& row : {Row{"with a length", post("/validate", std::string(kLarge, 'x'))},
                          Row{"in chunks", request("POST /validate", kJson + kChunked, chunks + "0\r\n\r\n")}}) {
    INFO(row.name);
    Client second(server.port());
    const auto refused = second.ask(row.bytes);
    REQUIRE(refused);
    CHECK(refused->status == 503);
    CHECK(refused->has("Retry-After: 1\r\n"));
    CHECK(refused->has("Connection: close\r\n"));
  }
  Client small(server.port());
  const auto served = small.ask(post("/validate", "x"));
  REQUIRE(served);
  CHECK(served->body == "small");
  release.count_down();
  const auto large = first.receive();
  REQUIRE(large);
  CHECK(large->body == "large");
  CHECK(server.server->counters().refused_by_reason.at("overloaded") == 2);
  CHECK(eventually([&] { return server.server->counters().body_bytes == 0; }));
}

TEST_CASE("a large body waits for the one before it") {
  constexpr std::size_t kLarge = 600'000;
  std::latch inside(1);
  std::latch release(1);
  TestServer server(
      [&](const HttpCall& call) {
        if (call.path == "/mutate") {
          inside.count_down();
          release.wait();
        }
        return HttpReply{200, "application/json", std::to_string(call.body.size())};
      },
      {.body_bytes_max = 1u << 20, .body_bytes_total_max = 1u << 20});
  Client first(server.port());
  REQUIRE(first.send(post("/mutate", std::string(kLarge, 'x'))));
  inside.wait();
  Client second(server.port());
  REQUIRE(second.send(request("POST /validate", kJson + "Content-Length: 600000\r\n")));
  release.count_down();
  REQUIRE(second.send(std::string(kLarge, 'y')));
  const auto answer = second.receive();
  REQUIRE(answer);
  CHECK(answer->body == "600000");
}

TEST_CASE("a request that breaks off at any byte is dropped; one that comes byte by byte is served") {
  const auto server =
      HttpServer::start({"127.0.0.1", 0, {{"POST", "/validate", "application/json"}}, {.body_bytes_max = 1000}, {}},
                        nullptr, echo)
          .value();
  const std::string whole = request("POST /validate", kJson + "Content-Length: 5\r\n", "hello");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    Client client(server->port(), {.tls = false});
    REQUIRE(client.send(whole.substr(0, length)));
    client.stop_sending();
    CHECK(client.sees_close());
  }
  CHECK(server->counters().answers_by_status.empty());
  Client client(server->port(), {.tls = false});
  for (const char byte : whole) REQUIRE(client.send({&byte, 1}));
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->body == "/validate hello");
}

TEST_CASE("at the cap a client that dawdles over its request makes room before an idle one") {
  TestServer server(echo, {.body_bytes_max = 1000, .slow_after = std::chrono::milliseconds(0), .connections_max = 2});
  Client idle(server.port());
  REQUIRE(idle.ask(post("/validate", "x")));
  Client slow(server.port());
  REQUIRE(slow.ask(post("/validate", "x")));
  REQUIRE(slow.send("POST /val"));
  // Until the server has seen these bytes, the slow one is as good as the idle one.
  REQUIRE(eventually([&] { return server.server->counters().requests_begun == 1; }));
  Client newcomer(server.port());
  REQUIRE(newcomer.ask(post("/validate", "x")));
  CHECK(slow.sees_close());
  CHECK(idle.ask(post("/validate", "x")));
}

TEST_CASE("slow headers and slow bodies are cut at the deadline for the whole request, however steadily they drip") {
  struct Row {
    std::string name;
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
  {
    Client client(server.port());
    REQUIRE(client.send(request("POST /validate", kJson + "Content-Length: 500\r\n", "half")));
  }
  Client other(server.port());
  CHECK(other.ask(post("/validate", "x")));
  CHECK(server.server->counters().answers_by_status == std::map<int, std::uint64_t>{{200, 1}});
}
