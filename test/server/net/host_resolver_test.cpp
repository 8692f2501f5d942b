#include "server/net/host_resolver.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace std::chrono_literals;

namespace gate {
namespace {

Deadline soon() { return std::chrono::steady_clock::now() + 10s; }

TEST_CASE("a numeric host needs no lookup, not even time") {
  HostResolver resolver;
  for (const char* host : {"127.0.0.1", "::1", "10.1.2.3"}) {
    INFO(host);
    const auto found = resolver.resolve(host, std::chrono::steady_clock::now());
    REQUIRE(found.ok());
    CHECK(*found == std::vector<std::string>{host});
  }
}

TEST_CASE("localhost is found, each address once") {
  HostResolver resolver;
  const auto found = resolver.resolve("localhost", soon());
  REQUIRE(found.ok());
  CHECK(std::count(found->begin(), found->end(), "127.0.0.1") == 1);
}

TEST_CASE("an unknown name is Unavailable and is named") {
  HostResolver resolver;
  const auto found = resolver.resolve("no-such-host.invalid", soon());
  REQUIRE_FALSE(found.ok());
  CHECK(found.error().message.find("no-such-host.invalid") != std::string::npos);
  CHECK((found.error().code == ErrorCode::Unavailable || found.error().code == ErrorCode::DeadlineExceeded));
}

TEST_CASE("a deadline that has passed ends the wait, and the lookup is joined") {
  HostResolver resolver;
  const auto found = resolver.resolve("localhost", std::chrono::steady_clock::now() - 1s);
  if (!found) CHECK(found.error().code == ErrorCode::DeadlineExceeded);  // it may have been quicker
}

TEST_CASE("an interrupted resolver starts no lookup") {
  HostResolver resolver;
  resolver.interrupt();
  const auto found = resolver.resolve("localhost", std::chrono::steady_clock::now() + std::chrono::seconds(20));
  REQUIRE_FALSE(found.ok());
  CHECK(found.error().code == ErrorCode::Unavailable);
}

}  // namespace
}  // namespace gate
