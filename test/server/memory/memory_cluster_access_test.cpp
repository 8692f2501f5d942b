#include "server/memory/memory_cluster_access.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace gate {

TEST_CASE("every cluster has the frontend that the flags name") {
  FrontendAccess frontend;
  frontend.address = {"127.0.0.1", 19030};
  frontend.username = "upgrader";
  frontend.password = "secret";
  MemoryClusterAccess access(frontend);
  const auto found = access.frontend_access("default", "any", Deadline::max());
  REQUIRE(found.ok());
  CHECK(found->address == frontend.address);
  CHECK(found->username == "upgrader");
  CHECK(found->password == "secret");
}

TEST_CASE("without an API server no object is there and nothing rolls out") {
  MemoryClusterAccess access({});
  const auto object = access.get_object("default", {"StarRocksCluster", "sr", "uid"}, Deadline::max());
  REQUIRE_FALSE(object.ok());
  CHECK(object.error().code == ErrorCode::NotFound);
  const auto rollout = access.rollout_state({}, {}, Deadline::max());
  REQUIRE(rollout.ok());
  CHECK(rollout->finished);
}

TEST_CASE("the newest events are kept") {
  MemoryClusterAccess access({});
  Preparation record;
  record.name = "sr-0123456789-1";
  for (std::size_t i = 0; i < MemoryClusterAccess::kEventsKept + 3; ++i) {
    access.emit_event(record, i % 2 == 0, "Tick", std::to_string(i));
  }
  const auto events = access.events();
  REQUIRE(events.size() == MemoryClusterAccess::kEventsKept);
  CHECK(events.front().message == "3");
  CHECK(events.back().message == std::to_string(MemoryClusterAccess::kEventsKept + 2));
  CHECK(events.back().preparation == "sr-0123456789-1");
}

}  // namespace gate
