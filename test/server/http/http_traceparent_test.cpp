// The header by which a caller's trace goes on: handed over once, as it came, to who asks for it; and no limit moves.

#include <doctest/doctest.h>

#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

namespace {

const std::string kHeader = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

HttpHandlers telling(bool traced) {
  HttpHandlers handlers([](const HttpCall& call) {
    return HttpReply{200, "text/plain", "<" + std::string(call.traceparent) + ">"};
  });
  handlers.traceparent = traced;
  return handlers;
}

std::string with(const std::string& headers) {
  return "POST /validate HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\n" + headers +
         "Content-Length: 1\r\n\r\nx";
}

}  // namespace

TEST_CASE("a traceparent is handed over as it came, once, to who asks for it") {
  struct Row {
    std::string name;
    std::string headers;
    std::string seen;
  };
  TestServer server(telling(true));
  Client client(server.port());
  for (const auto& row : std::vector<Row>{
           {"one", "traceparent: " + kHeader + "\r\n", kHeader},
           {"in another case", "TraceParent: " + kHeader + "\r\n", kHeader},
           {"with what goes along with it", "tracestate: a=b\r\ntraceparent: " + kHeader + "\r\n", kHeader},
           {"none", "", ""},
           {"one that is none", "traceparent: yes\r\n", "yes"},
           {"two", "traceparent: " + kHeader + "\r\ntraceparent: " + kHeader + "\r\n", ""},
           {"three", "traceparent: a\r\ntraceparent: b\r\ntraceparent: c\r\n", ""},
           {"another name", "x-traceparent: " + kHeader + "\r\n", ""},
           {"none again, on the same connection", "", ""},
       }) {
    CAPTURE(row.name);
    const auto answer = client.ask(with(row.headers));
    REQUIRE(answer);
    CHECK(answer->body == "<" + row.seen + ">");
  }
}

TEST_CASE("who does not ask for it does not get it") {
  TestServer server(telling(false));
  Client client(server.port());
  const auto answer = client.ask(with("traceparent: " + kHeader + "\r\n"));
  REQUIRE(answer);
  CHECK(answer->body == "<>");
}

TEST_CASE("a traceparent that is too long for a header is refused like any other") {
  TestServer server(telling(true));
  Client client(server.port());
  const auto answer = client.ask(with("traceparent: " + std::string(HttpLimits{}.header_line_bytes_max, 'a') + "\r\n"));
  REQUIRE(answer);
  CHECK(answer->status == 431);
}
