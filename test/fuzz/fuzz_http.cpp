// Any bytes on a connection: no crash, no hang, no limit broken, and no request that a second reader of the same bytes
// would not see, or would see otherwise (request smuggling).

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/exchange.hpp"
#include "server/http/request_sizer.hpp"
#include "test/fuzz/require.hpp"

namespace {

using namespace gate;

constexpr std::size_t kBodyMax = 2'000;
constexpr std::size_t kInputMax = 100'000;  // Less than a socket holds: sending never waits.

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// The strictest possible reader: one request's body, taken off the front of `bytes`; nullopt for what it cannot read.
std::optional<std::string> take_request(std::string_view& bytes) {
  const auto head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return std::nullopt;
  std::string_view head = bytes.substr(0, head_end + 2);
  std::string_view rest = bytes.substr(head_end + 4);
  head.remove_prefix(head.find("\r\n") + 2);
  std::vector<std::string> lengths;
  std::vector<std::string> encodings;
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || line.find_first_of("\r\n") != std::string_view::npos) return std::nullopt;
    const std::string name = lower(line.substr(0, colon));
    if (name == "content-length") lengths.emplace_back(trimmed(line.substr(colon + 1)));
    if (name == "transfer-encoding") encodings.emplace_back(lower(trimmed(line.substr(colon + 1))));
  }
  if (lengths.size() + encodings.size() > 1) return std::nullopt;
  std::string body;
  const auto take = [&rest, &body](std::size_t size) {
    if (rest.size() < size) return false;
    body += rest.substr(0, size);
    rest.remove_prefix(size);
    return true;
  };
  if (!lengths.empty()) {
    std::size_t length = 0;
    const auto& text = lengths.front();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (error != std::errc() || end != text.data() + text.size() || !take(length)) return std::nullopt;
  } else if (!encodings.empty()) {
    if (encodings.front() != "chunked") return std::nullopt;
    for (std::size_t size = 1; size != 0;) {
      const auto line_end = rest.find("\r\n");
      if (line_end == std::string_view::npos || line_end == 0) return std::nullopt;
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + line_end, size, 16);
      if (error != std::errc() || end != rest.data() + line_end) return std::nullopt;
      rest.remove_prefix(line_end + 2);
      if (!take(size) || !rest.starts_with("\r\n")) return std::nullopt;
      rest.remove_prefix(2);
    }
  }
  bytes = rest;
  return body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kInputMax) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::array<int, 2> ends{};
  FUZZ_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  FUZZ_REQUIRE(::send(ends[0], input.data(), input.size(), 0) == static_cast<ssize_t>(input.size()));
  ::shutdown(ends[0], SHUT_WR);

  std::vector<std::string> bodies;
  const std::vector<HttpRoute> routes{{"POST", "/v", "application/json"}, {"GET", "/g", ""}};
  const HttpLimits limits{
      .body_bytes_max = kBodyMax, .header_bytes_max = 4'000, .header_line_bytes_max = 1'000, .header_count_max = 20};
  const HttpHandlers handlers([&bodies](const HttpCall& call) {
    FUZZ_REQUIRE(call.body.size() <= kBodyMax);
    FUZZ_REQUIRE(call.method == "POST" ? call.path == "/v" : call.path == "/g" && call.body.empty());
    bodies.emplace_back(call.body);
    return HttpReply{200, "text/plain", "x"};
  });
  http::MemoryBudget room(kBodyMax);
  http::RequestReader reader({routes, limits, handlers, room});
  http::ConnectionStream stream(ends[1], nullptr);
  http::RequestSizer sizer(limits);
  for (bool open = true; open;) {
    sizer.reset();
    while (!sizer.is_due(stream.buffered()) && stream.receive() == http::Io::Done) {
    }
    const auto begun = std::chrono::steady_clock::now();
    const http::Outcome outcome = reader.serve(stream, begun + std::chrono::seconds(5), [] { return true; });
    FUZZ_REQUIRE(std::chrono::steady_clock::now() - begun <
                 std::chrono::seconds(4));  // Nothing ever waits: all is here.
    FUZZ_REQUIRE(room.taken() == 0);
    open = outcome.answerable && !outcome.refusal && !outcome.peer_closes;
    if (outcome.answerable) FUZZ_REQUIRE(http::render(outcome, !open).starts_with("HTTP/1.1 "));
    if (outcome.refusal) FUZZ_REQUIRE(outcome.reply.status >= 400);
  }
  ::close(ends[0]);
  ::close(ends[1]);

  std::string_view rest = input;
  for (const std::string& body : bodies) {
    const auto expected = take_request(rest);
    FUZZ_REQUIRE(expected.has_value());
    FUZZ_REQUIRE(*expected == body);
  }
  return 0;
}
