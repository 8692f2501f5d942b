// When reading a request is begun: not before it is likely to be whole, and never too late.

#include "server/http/request_sizer.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace gate;
using http::RequestSizer;

namespace {
const HttpLimits kLimits{.body_bytes_max = 1u << 20};
const std::string kHead = "POST / HTTP/1.1\r\nHost: gate\r\n";
}  // namespace

TEST_CASE("reading begins with the byte that makes a request whole, however its bytes come") {
  struct Row {
    std::string name;
    std::string bytes;
  };
  const Row rows[] = {
      {"no length", kHead + "\r\n"},
      {"a length", kHead + "Content-Length: 5\r\n\r\nhello"},
      {"another case", kHead + "cOnTeNt-LeNgTh:5\r\n\r\nhello"},
      {"length of nothing", kHead + "Content-Length: 0\r\n\r\n"},
      {"line feeds only", "POST / HTTP/1.1\nContent-Length: 5\n\nhello"},
      {"chunks: their head", kHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
      {"who expects an interim answer", kHead + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"},
      {"no number", kHead + "Content-Length: x\r\n\r\n"},
      {"more than a number holds", kHead + "Content-Length: 99999999999999999999\r\n\r\n"},
      {"more than is allowed", kHead + "Content-Length: 1048577\r\n\r\n"},
      {"more than is gathered", kHead + "Content-Length: 100000\r\n\r\n"},
      {"a length inside another header", kHead + "X: Content-Length: 5\r\n\r\n"},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    RequestSizer steady(kLimits);
    for (std::size_t length = 0; length < row.bytes.size(); ++length) {
      CHECK_FALSE(steady.is_due(std::string_view(row.bytes).substr(0, length)));
    }
    CHECK(steady.is_due(row.bytes));
    RequestSizer at_once(kLimits);
    CHECK(at_once.is_due(row.bytes + "POST /"));
    CHECK(at_once.begun());
    at_once.reset();
    CHECK_FALSE(at_once.begun());
    CHECK_FALSE(at_once.is_due("POST /"));
  }
}

TEST_CASE("a head without end is read once it is too large to be one") {
  RequestSizer sizer(kLimits);
  const std::string endless(kLimits.header_bytes_max + 1, 'x');
  CHECK_FALSE(sizer.is_due(std::string_view(endless).substr(1)));
  CHECK(sizer.is_due(endless));
}
