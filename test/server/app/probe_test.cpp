#include "server/app/probe.hpp"

#include <doctest/doctest.h>

#include <map>

#include "server/memory/memory_cluster_access.hpp"
#include "test/server/kubernetes/fake_api_server.hpp"

namespace gate {

using nlohmann::json;

namespace {

/// Lets in whom the test says; of the others the error.
class Doors final : public FrontendConnector {
 public:
  std::optional<Error> error;
  Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access, Deadline) override {
    asked.push_back(access.username);
    if (error) return *error;
    return std::unique_ptr<FrontendSession>();
  }
  void interrupt() override {}
  std::vector<std::string> asked;
};

FrontendAccess access() {
  FrontendAccess out;
  out.address = {"127.0.0.1", 9030};
  out.username = "gate";
  out.password = "s3cret";
  return out;
}

std::string now() { return format_time(SystemClock().wall_now()); }

std::string text_of(const std::vector<CheckLine>& lines) {
  std::string out;
  for (const auto& line : lines)
    out += std::string(word_of(line.result)) + " " + line.subject + ": " + line.message + "\n";
  return out;
}

Deadline soon() { return SystemClock().steady_now() + std::chrono::seconds(20); }

}  // namespace

TEST_CASE("a verdict is asked for by dry runs alone, in the namespace that was named") {
  bool asks_gate = true;
  test::FakeApiServer server([&](const httplib::Request& request, httplib::Response& response) {
    if (asks_gate && request.body.find("DROP TABLE") != std::string::npos) {
      return test::answer_status(response, 403, "Forbidden",
                                 R"(admission webhook "configmaps.gate.starrocks.com" denied the request: no)");
    }
    test::answer_json(response, {{"metadata", {{"creationTimestamp", now()}}}}, 201);
  });
  const SystemClock clock;
  const auto client = server.client();
  const auto lines = probe_webhook(*client, clock, "gates", soon());
  REQUIRE(lines.size() == 2);
  CHECK_MESSAGE(lines[0].result == CheckResult::Good, lines[0].message);
  CHECK_MESSAGE(lines[1].result == CheckResult::Good, lines[1].message);
  CHECK(server.requests() == std::vector<std::string>(2, "POST /api/v1/namespaces/gates/configmaps?dryRun=All"));
  asks_gate = false;
  CHECK(probe_webhook(*client, clock, "gates", soon()).front().result == CheckResult::Failure);
}

TEST_CASE("without the right to create ConfigMaps there is no verdict, neither good nor bad") {
  test::FakeApiServer server([](const httplib::Request&, httplib::Response& response) {
    test::answer_status(response, 403, "Forbidden",
                        R"(configmaps is forbidden: User "u" cannot create resource "configmaps" in API group "")");
  });
  const SystemClock clock;
  const auto lines = probe_webhook(*server.client(), clock, "gates", soon());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].result == CheckResult::NotChecked);
}

TEST_CASE("every FE is asked, one that lets nobody in is named, and no password is told") {
  test::FakeApiServer server([](const httplib::Request& request, httplib::Response& response) {
    if (request.method == "POST") {
      const auto ahead = SystemClock().wall_now() + std::chrono::hours(1);
      return test::answer_json(response, {{"metadata", {{"creationTimestamp", format_time(ahead)}}}}, 201);
    }
    test::answer_json(response, {{"metadata", {{"resourceVersion", "1"}}},
                                 {"items",
                                  {{{"metadata", {{"name", "a"}, {"namespace", "db"}}}},
                                   {{"metadata", {{"name", "b"}, {"namespace", "db"}}}}}}});
  });
  const SystemClock clock;
  MemoryClusterAccess clusters(access());
  Doors doors;
  const auto client = server.client();
  const auto good = probe_frontends(*client, clusters, doors, clock, soon());
  CHECK(doors.asked == std::vector<std::string>{"gate", "gate"});
  const auto text = text_of(good);
  CAPTURE(text);
  CHECK(text.find("ok FE of StarRocksCluster db/a: logged in as gate\n") != std::string::npos);
  CHECK(text.find("warning Clock: the gate's clock") != std::string::npos);
  CHECK(text.find("s3cret") == std::string::npos);
  for (const auto& request : server.requests()) {
    CHECK((request.starts_with("GET ") || request.ends_with("?dryRun=All")));  // nothing is stored
  }
  doors.error = Error{ErrorCode::PermissionDenied, "127.0.0.1:9030: access denied for user gate"};
  const auto bad = text_of(probe_frontends(*client, clusters, doors, clock, soon()));
  CHECK(bad.find("FAILURE FE of StarRocksCluster db/b: 127.0.0.1:9030: access denied") != std::string::npos);
}

TEST_CASE("when no time is left the clusters that were not asked are counted") {
  test::FakeApiServer server([](const httplib::Request& request, httplib::Response& response) {
    if (request.method == "POST") return test::answer_status(response, 403, "Forbidden");
    json items = json::array();
    for (std::size_t i = 0; i < kProbedClustersMax + 7; ++i) {
      items.push_back({{"metadata", {{"name", "c" + std::to_string(i)}, {"namespace", "db"}}}});
    }
    test::answer_json(response, {{"metadata", {{"resourceVersion", "1"}}}, {"items", items}});
  });
  const SystemClock clock;
  MemoryClusterAccess clusters(access());
  Doors doors;
  const auto lines = probe_frontends(*server.client(), clusters, doors, clock, soon());
  CHECK(lines.size() == kProbedClustersMax + 1);
  CHECK(lines.back().result == CheckResult::NotChecked);
  CHECK(lines.back().message.starts_with("7 of 507"));
}

}  // namespace gate
