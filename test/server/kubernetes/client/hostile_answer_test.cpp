// Answers whose framing is larger than any API server's: they end the request and nothing else.

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/kubernetes/client/bounded_client.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "test/server/kubernetes/client/raw_server.hpp"

namespace gate {
namespace {

using nlohmann::json;
using test::RawServer;
using test::Send;

const TestCertificate& authority() {
  static const TestCertificate made = make_test_authority("a cluster's authority");
  return made;
}

Deadline ample() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

const std::string kMegabyte(1u << 20, 'x');
const std::string kOk = "HTTP/1.1 200 OK\r\n";
const std::string kChunked = kOk + "Transfer-Encoding: chunked\r\n\r\n";

std::function<void(const Send&)> once(const std::string& text) {
  return [=](const Send& send) { send(text); };
}
std::function<void(const Send&)> endless(const std::string& first, const std::string& again) {
  return [=](const Send& send) {
    if (!send(first)) return;
    while (send(again)) {
    }
  };
}

struct Row {
  const char* name;
  std::function<void(const Send&)> script;
};

std::vector<Row> hostile() {
  return {
      {"a status line of 1 MB", once("HTTP/1.1 200 " + kMegabyte + "\r\n\r\n")},
      {"an error's status line of 1 MB", once("HTTP/1.1 500 " + kMegabyte + "\r\n\r\n")},
      {"a status of 1 MB", once("HTTP/1.1 " + std::string(1u << 20, '2') + " OK\r\n\r\n")},
      {"a first line just above what is allowed",
       once("HTTP/1.1 200 " + std::string(FramingLimit::kFirstLineBytesMax, 'x') + "\r\n\r\n")},
      {"a long first line after an interim answer",
       once("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 " + kMegabyte + "\r\n\r\n")},
      {"an endless first line", endless("HTTP/1.1 200 ", std::string(1000, 'x'))},
      {"endless interim answers", endless("", "HTTP/1.1 100 Continue\r\n\r\n")},
      {"a header of 1 MB", once(kOk + "X: " + kMegabyte + "\r\n\r\n")},
      {"a header's name of 1 MB", once(kOk + kMegabyte + ": x\r\n\r\n")},
      {"headers of 1 MB in all",
       [](const Send& send) {
         send(kOk);
         for (int i = 0; i < 1024; ++i) send("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
         send("\r\n");
       }},
      {"endless headers", endless(kOk, "X: y\r\n")},
      {"a chunk extension of 1 MB", once(kChunked + "2;" + kMegabyte + "\r\n{}\r\n0\r\n\r\n")},
      {"an endless chunk extension", endless(kChunked + "2;", std::string(1000, 'x'))},
      {"a chunk extension of 1 MB behind a chunk", once(kChunked + "2\r\n{}\r\n0;" + kMegabyte + "\r\n\r\n")},
      {"an endless chunk size", endless(kChunked, std::string(1000, '0'))},
      {"endless trailers", endless(kChunked + "2\r\n{}\r\n0\r\n", std::string(1000, 'x'))},
  };
}

TEST_CASE("an answer whose framing is too large ends the request: get, list and watch, in clear and over TLS") {
  for (const bool tls : {false, true}) {
    for (const Row& row : hostile()) {
      const std::string name = row.name;
      INFO(name);
      INFO(tls);
      const RawServer server(tls ? &authority() : nullptr, row.script);
      const auto client = server.client();
      const auto got = client->get(kube::kConfigMaps, "default", "one", ample());
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().code == ErrorCode::Unavailable);
      CHECK(got.error().message.size() < 500);

      KubeClient::ListRequest list;
      list.resource = kube::kConfigMaps;
      list.on_item = [](const json&) {};
      const auto listed = client->list_each(list, ample());
      REQUIRE_FALSE(listed.ok());
      CHECK(listed.error().code == ErrorCode::Unavailable);

      WatchRequest watch;
      watch.resource = kube::kConfigMaps;
      watch.on_event = [](WatchEventType, const json&) {};
      const auto watched = client->watch(watch, {});
      REQUIRE_FALSE(watched.ok());
      CHECK(watched.error().code == ErrorCode::Unavailable);
    }
  }
}

TEST_CASE("what is too long is named") {
  const RawServer server(nullptr, once("HTTP/1.1 200 " + kMegabyte + "\r\n\r\n"));
  const auto got = server.client()->get(kube::kConfigMaps, "default", "one", ample());
  REQUIRE_FALSE(got.ok());
  CHECK_MESSAGE(got.error().message.find("has a line, or a head, that is too long") != std::string::npos,
                got.error().message);
}

TEST_CASE("what servers and proxies in front of them send is within the bounds") {
  const std::string body =
      R"({"kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":")" + std::string(300'000, 'x') + R"("}})";
  std::string bytewise;
  for (const char c : std::string(R"({"kind":"ConfigMap"})")) bytewise += std::string("1\r\n") + c + "\r\n";
  const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  for (const Row& row : std::vector<Row>{
           {"a body without a line's end", once(kOk + length + "\r\n" + body)},
           {"a policy of 6 KB",
            once(kOk + "Content-Security-Policy: " + std::string(6000, 'x') + "\r\n" + length + "\r\n" + body)},
           {"a reason of 3 KB", once("HTTP/1.1 200 " + std::string(3000, 'x') + "\r\n" + length + "\r\n" + body)},
           {"no reason", once("HTTP/1.1 200 \r\n" + length + "\r\n" + body)},
           {"an interim answer", once("HTTP/1.1 100 Continue\r\n\r\n" + kOk + length + "\r\n" + body)},
           {"a chunk's extension", once(kChunked + "2;a=b\r\n{}\r\n0\r\n\r\n")},
           {"chunks of one byte", once(kChunked + bytewise + "0\r\n\r\n")},
       }) {
    for (const bool tls : {false, true}) {
      const std::string name = row.name;
      INFO(name);
      INFO(tls);
      const RawServer server(tls ? &authority() : nullptr, row.script);
      const auto got = server.client()->get(kube::kConfigMaps, "default", "one", ample());
      CHECK_MESSAGE(got.ok(), got.error().message);
    }
  }
}

TEST_CASE("the lines of a head and of framing are counted, a body is not") {
  FramingLimit limit;
  limit.begin();
  CHECK(limit.takes("HTTP/1.1 200 " + std::string(FramingLimit::kFirstLineBytesMax - 13, 'x'), 1000));
  CHECK_FALSE(limit.takes("x", 1));
  CHECK(limit.exceeded());
  limit.begin();
  CHECK_FALSE(limit.exceeded());
  CHECK(limit.takes("HTTP/1.1 200 OK\r\nX: " + std::string(FramingLimit::kLineBytesMax - 4, 'x'), 1000));
  CHECK(limit.takes("\n", 1));
  CHECK(limit.takes("\r\n", 2));
  limit.head_is_over();
  CHECK(limit.takes(std::string(1u << 20, 'x'), 1u << 20));
  for (std::size_t i = 0; i < FramingLimit::kLineBytesMax; ++i) REQUIRE(limit.takes("x", 1));
  CHECK_FALSE(limit.takes("x", 1));
}

}  // namespace
}  // namespace gate
