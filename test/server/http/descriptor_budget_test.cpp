// Both servers' connections fit below what the process may have open, whatever that is.

#include "server/http/descriptor_budget.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "server/base/descriptors.hpp"

using namespace gate;

TEST_CASE("the servers share what is left of the process's limit; enough changes nothing, too little is an error") {
  const HttpLimits webhooks{.connections_max = 1024};
  const HttpLimits operations{.connections_max = 64};
  for (std::size_t descriptors = 0; descriptors <= 2'000; ++descriptors) {
    INFO(descriptors);
    HttpLimits first = webhooks;
    HttpLimits second = operations;
    const auto reduced = fit_to_descriptors(descriptors, first, second);
    REQUIRE(reduced.ok() == (descriptors >= 64));
    if (!reduced) continue;
    const std::size_t sockets = sockets_max(first) + sockets_max(second);
    CHECK(sockets <= descriptors - std::min(kDescriptorsReserved, descriptors / 2));
    CHECK(first.connections_max >= 8);
    CHECK(second.connections_max >= 4);
    CHECK(first.refused_at_once_max >= 1);
    CHECK(*reduced == (sockets < sockets_max(webhooks) + sockets_max(operations)));
  }
  HttpLimits first = webhooks;
  HttpLimits second = operations;
  CHECK(!*fit_to_descriptors(1u << 20, first, second));
  CHECK(fit_to_descriptors(10, first, second).error().message.find("RLIMIT_NOFILE") != std::string::npos);
}

TEST_CASE("the soft limit of descriptors is raised to the hard one") {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit lower{std::min<rlim_t>(limit.rlim_max, 512), limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &lower) == 0);
  CHECK(raise_descriptor_limit() == limit.rlim_max);
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(limit.rlim_cur == limit.rlim_max);
}
