// Questions of admissions to FEs that hang: who waits gets its answer, or none, and is never forgotten.

#include "server/preparation/hooks/frontend_reader.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "test/fakes/unused_cluster_access.hpp"
#include "test/server/preparation/run.hpp"

namespace gate {
namespace {

using namespace test;

TEST_CASE("stop answers who is being served, who waits for a thread, and who comes later, with nothing") {
  constexpr std::size_t kAskers = 6;  // one is asked at a time, of one cluster
  World world;
  world.simulator.hang("ADMIN SHOW");
  const auto record = world.create(record_of("r", {no_scheduling()}));
  MysqlFrontendConnector connector;
  FrontendReader questions({world.clusters, connector, world.http, world.scripts}, world.clock, world.log);
  questions.start();
  std::atomic<std::size_t> answered{0};
  std::atomic<std::size_t> held{0};
  {
    std::vector<std::jthread> askers;
    for (std::size_t i = 0; i < kAskers; ++i) {
      askers.emplace_back([&] {
        if (questions.read_back(record, ample()) == ReadBack::Holds) ++held;
        ++answered;
      });
    }
    REQUIRE(world.signal.eventually([&] { return count(world.simulator, "ADMIN SHOW") >= 1; }));
    CHECK(answered == 0);
    questions.request_stop();
    connector.interrupt();
    questions.stop();
  }
  CHECK(answered == kAskers);
  CHECK(held == 0);
  const auto an_hour = std::chrono::steady_clock::now() + std::chrono::hours(1);
  CHECK(questions.read_back(record, an_hour) == ReadBack::NotDone);
  CHECK(questions.running_nodes("db", "sr", an_hour).empty());
}

/// Of Kubernetes, which reads the object where it is not handed over.
class ReadObjects final : public UnusedClusterAccess {
 public:
  explicit ReadObjects(FrontendAccess access) : access_(std::move(access)) {}
  Result<FrontendAccess> frontend_access(const std::string&, const std::string&, Deadline) override {
    ++reads;
    return access_;
  }
  Result<FrontendAccess> frontend_access_of(const nlohmann::json& object, const std::string&, const std::string&,
                                            Deadline) override {
    handed_over.push_back(object);
    return access_;
  }
  int reads = 0;
  std::vector<nlohmann::json> handed_over;

 private:
  const FrontendAccess access_;
};

TEST_CASE("questions of one inquiry need one login, and do not read the object that it has") {
  World world;
  const auto record = world.create(record_of("r", {no_scheduling()}));
  MysqlFrontendConnector connector;
  ReadObjects clusters(world.clusters.frontend_access("db", "sr", ample()).value());
  FrontendReader questions({clusters, connector, world.http, world.scripts}, world.clock, world.log);
  questions.start();
  const auto ask_both = [&](const std::shared_ptr<FrontendInquiry>& inquiry) {
    CHECK_FALSE(questions.running_nodes("db", "sr", ample(), inquiry).empty());
    CHECK(questions.read_back(record, ample(), inquiry) == ReadBack::Drifted);
  };
  SUBCASE("with the object") {
    const nlohmann::json object{{"metadata", {{"name", "sr"}}}};
    const auto inquiry = std::make_shared<FrontendInquiry>();
    inquiry->object = object;
    ask_both(inquiry);
    CHECK(world.simulator.logins().size() == 1);
    CHECK(clusters.reads == 0);
    CHECK(clusters.handed_over == std::vector{object});
    CHECK(world.simulator.frontend(0).connections() == 1);
  }
  SUBCASE("without it") {
    ask_both(std::make_shared<FrontendInquiry>());
    CHECK(world.simulator.logins().size() == 1);
    CHECK(clusters.reads == 1);
    CHECK(clusters.handed_over.empty());
  }
  SUBCASE("each by itself") {
    ask_both(nullptr);
    CHECK(world.simulator.logins().size() == 2);
    CHECK(clusters.reads == 2);
  }
  questions.stop();
}

TEST_CASE("versions that are wanted come with a read-back that holds, and each question is asked once") {
  World world({.frontends = 1, .fe_conf = {{kScheduling, "0"}}});
  const auto record = world.create(record_of("r", {no_scheduling()}));
  MysqlFrontendConnector connector;
  FrontendReader questions({world.clusters, connector, world.http, world.scripts}, world.clock, world.log);
  questions.start();
  const auto inquiry = std::make_shared<FrontendInquiry>();
  const auto asked = [&](const char* sql) { return count(world.simulator, sql); };
  SUBCASE("wanted") {
    inquiry->wants_versions = true;
    CHECK(questions.read_back(record, ample(), inquiry) == ReadBack::Holds);
    for (const char* sql : {"SHOW FRONTENDS", "SHOW BACKENDS", "SHOW COMPUTE NODES"}) CHECK(asked(sql) == 1);
    const auto nodes = questions.running_nodes("db", "sr", ample(), inquiry);
    CHECK_FALSE(nodes.empty());
    for (const char* sql : {"SHOW FRONTENDS", "SHOW BACKENDS", "SHOW COMPUTE NODES"}) CHECK(asked(sql) == 1);
    CHECK(nodes == questions.running_nodes("db", "sr", ample()));
  }
  SUBCASE("drifted: they are of no use yet, and asked for anew later") {
    inquiry->wants_versions = true;
    world.simulator.frontend(0).set_config(kScheduling, "2000");
    CHECK(questions.read_back(record, ample(), inquiry) == ReadBack::Drifted);
    const auto before = asked("SHOW FRONTENDS");
    CHECK_FALSE(questions.running_nodes("db", "sr", ample(), inquiry).empty());
    CHECK(asked("SHOW FRONTENDS") == before + 1);
  }
  SUBCASE("two read-backs are two looks") {
    CHECK(questions.read_back(record, ample(), inquiry) == ReadBack::Holds);
    world.simulator.frontend(0).set_config(kScheduling, "2000");
    CHECK(questions.read_back(record, ample(), inquiry) == ReadBack::Drifted);
    CHECK(asked("SHOW FRONTENDS") == 2);
  }
  questions.stop();
}

TEST_CASE("a session that broke between two questions is replaced") {
  World world;
  MysqlFrontendConnector connector;
  FrontendReader questions({world.clusters, connector, world.http, world.scripts}, world.clock, world.log);
  questions.start();
  const auto record = world.create(record_of("r", {no_scheduling()}));
  const auto inquiry = std::make_shared<FrontendInquiry>();
  CHECK_FALSE(questions.running_nodes("db", "sr", ample(), inquiry).empty());
  world.simulator.restart(0);
  CHECK(questions.read_back(record, ample(), inquiry) == ReadBack::Drifted);
  CHECK(world.simulator.logins().size() == 2);
  questions.stop();
}

TEST_CASE("everybody who asks at the same time is answered, about one cluster or several") {
  constexpr std::size_t kAskers = 64;
  World world;
  MysqlFrontendConnector connector;
  FrontendReader questions({world.clusters, connector, world.http, world.scripts}, world.clock, world.log);
  questions.start();
  std::atomic<std::size_t> answered{0};
  {
    std::vector<std::jthread> askers;
    for (std::size_t i = 0; i < kAskers; ++i) {
      askers.emplace_back([&, i] {
        if (!questions.running_nodes("db", "sr" + std::to_string(i % 8), ample()).empty()) ++answered;
      });
    }
  }
  CHECK(answered == kAskers);
  questions.stop();
}

}  // namespace
}  // namespace gate
