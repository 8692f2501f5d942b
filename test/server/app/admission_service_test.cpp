// Reviews from bytes to bytes: records in memory, a controller at work, FEs on sockets.

#include "server/app/admission_service.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

/// Counts calls; throws or fails on demand.
class WatchedStore final : public PreparationStore {
 public:
  explicit WatchedStore(PreparationStore& store) : store_(store) {}
  Result<Preparation> create(const Preparation& record, Deadline deadline) override {
    if (auto error = look()) return *error;
    return store_.create(record, deadline);
  }
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override {
    if (auto error = look()) return *error;
    return store_.get(name_space, name, deadline);
  }
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override {
    if (auto error = look()) return *error;
    return store_.list_of_cluster(name_space, cluster, deadline);
  }
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override {
    if (auto error = look()) return *error;
    return store_.update_status(record, deadline);
  }
  Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override {
    return store_.remove(name_space, name, deadline);
  }
  std::vector<Preparation> cached() const override { return store_.cached(); }
  bool synced() const override { return store_.synced(); }
  void observe(Observer observer) override { store_.observe(std::move(observer)); }

  std::atomic<int> calls{0};
  std::atomic<bool> throws{false};
  std::atomic<bool> unreachable{false};

 private:
  std::optional<Error> look() {
    ++calls;
    if (throws) throw std::runtime_error("a bug");
    if (unreachable) return Error{ErrorCode::Unavailable, "connection refused"};
    return std::nullopt;
  }
  PreparationStore& store_;
};

/// The whole of one gate but for its sockets towards clients.
struct Gate {
  World world;
  WatchedStore store{world.store};
  OutcomeWaiters waiters{store};
  Replica replica;
  std::vector<std::string> decisions;
  AdmissionService service;

  explicit Gate(std::chrono::milliseconds wait = kAmple, FrontendSimulatorOptions frontends = {})
      : world(std::move(frontends)),
        replica(observed(world, waiters)),
        service(store, world.clusters, replica.controller, waiters, world.clock, world.log, {wait, {}, {}},
                [this](const ReviewOutcome& outcome) { decisions.push_back(outcome.decision); }) {}
  static World& observed(World& world, OutcomeWaiters& waiters) {
    world.store.observe([&](const Preparation& record, bool removed) { waiters.notify(record, removed); });
    return world;
  }

  json review(const json& body, std::string_view path = AdmissionService::kGatePath) {
    const auto reply = service.review(path, body.dump());
    CHECK(reply.status == 200);
    CHECK(reply.content_type == "application/json");
    const auto out = json::parse(reply.body);
    CHECK(out.at("kind") == "AdmissionReview");
    CHECK(out.at("response").at("uid") == body.at("request").at("uid"));
    return out.at("response");
  }
  std::vector<Preparation> records() { return world.store.list_of_cluster("db", "sr", ample()).value(); }
};

json configured(const std::string& image, const std::string& hooks = "disable-tablet-clone") {
  auto object = object_with(image);
  object["metadata"]["annotations"] = {{"starrocks.com/upgrade-hooks", hooks}};
  return object;
}

json review_of(const json& old_object, const json& object, bool dry_run = false, const char* operation = "UPDATE") {
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"request",
           {{"uid", "uid-of-review"},
            {"kind", {{"group", "starrocks.com"}, {"version", "v1"}, {"kind", "StarRocksCluster"}}},
            {"resource", {{"group", "starrocks.com"}, {"version", "v1"}, {"resource", "starrocksclusters"}}},
            {"name", "sr"},
            {"namespace", "db"},
            {"operation", operation},
            {"userInfo", {{"username", "alice"}, {"groups", {"developers"}}}},
            {"dryRun", dry_run},
            {"object", object},
            {"oldObject", old_object}}}};
}

json upgrade(bool dry_run = false) { return review_of(configured("fe:1"), configured("fe:2"), dry_run); }

std::string message_of(const json& response) { return response.at("status").at("message").get<std::string>(); }

TEST_CASE("hooks that are quick are run within one review") {
  Gate gate;
  const auto response = gate.review(upgrade());
  REQUIRE_MESSAGE(response.at("allowed") == true, response.dump());
  CHECK(gate.world.config() == "0");
  REQUIRE(gate.records().size() == 1);
  const auto record = gate.records().front();
  CHECK(record.status.phase == Phase::Completed);
  CHECK(record.spec.requested_by == RequestedBy{"alice", {"developers"}, "uid-of-review"});
  CHECK(record.spec.object == ObjectRef{"StarRocksCluster", "sr", "uid-sr"});
  CHECK(gate.decisions == std::vector<std::string>{"allowed-prepared"});
}

TEST_CASE("hooks that take longer deny as running; the repeated request is allowed, on one record") {
  Gate gate(200ms);
  gate.world.simulator.hang("ADMIN SET");
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("code") == 403);
  CHECK(denied.at("status").at("reason") == "UpgradePreparationRunning");
  CHECK(message_of(denied).find("fe") != std::string::npos);
  gate.world.simulator.clear_faults();
  REQUIRE(gate.world.signal.eventually([&] { return gate.records().front().status.stage == Stage::Prepared; }));
  const auto allowed = gate.review(upgrade());
  CHECK_MESSAGE(allowed.at("allowed") == true, allowed.dump());
  CHECK(gate.records().size() == 1);
}

TEST_CASE("a failed critical hook denies with its cause") {
  Gate gate;
  gate.world.simulator.fail("ADMIN SET", {1064, "42000", "the FE says no"});
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("reason") == "UpgradePreparationFailed");
  CHECK(message_of(denied).find("the FE says no") != std::string::npos);
}

TEST_CASE("a prepared record whose setting was lost is prepared again before it admits") {
  Gate gate;
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  gate.world.simulator.frontend(0).set_config(kScheduling, "10");
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  CHECK(gate.world.config() == "0");
  CHECK(gate.records().size() == 1);
  CHECK(gate.records().front().status.captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
}

TEST_CASE("a dry run writes nothing and asks no FE") {
  Gate gate;
  const auto response = gate.review(upgrade(true));
  CHECK(response.at("allowed") == true);
  CHECK_FALSE(response.at("warnings").empty());
  CHECK(gate.records().empty());
  CHECK(gate.world.simulator.logins().empty());
}

TEST_CASE("no image change is answered without a look at the store") {
  Gate gate;
  auto changed = configured("fe:1");
  changed["spec"]["starRocksFeSpec"]["replicas"] = 3;
  CHECK(gate.review(review_of(configured("fe:1"), changed)).at("allowed") == true);
  CHECK(gate.review(review_of(object_with("fe:1"), object_with("fe:2"))).at("allowed") == true);
  CHECK(gate.store.calls == 0);
  CHECK(gate.decisions == std::vector<std::string>{"allowed-no-image-change", "allowed-not-configured"});
}

TEST_CASE("a body that is no review: plain HTTP without a UID, a denial with one") {
  Gate gate;
  for (const std::string body : {"", "{", "[]", R"({"kind":"AdmissionReview"})"}) {
    INFO(body);
    const auto reply = gate.service.review(AdmissionService::kGatePath, body);
    CHECK(reply.status == 400);
    CHECK(reply.content_type.starts_with("text/plain"));
    CHECK(reply.body.size() > 1);
  }
  const auto reply = gate.service.review(
      AdmissionService::kGatePath,
      R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"UPDATE"}})");
  CHECK(reply.status == 200);
  const auto response = json::parse(reply.body).at("response");
  CHECK(response.at("uid") == "u-1");
  CHECK(response.at("allowed") == false);
  CHECK(response.at("status").at("code") == 400);
  CHECK(gate.decisions == std::vector<std::string>(5, "malformed"));
}

TEST_CASE("an exception is a denial that carries the UID, and leaves nothing behind") {
  Gate gate;
  gate.store.throws = true;
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("code") == 403);
  CHECK(message_of(denied).find("uid-of-review") != std::string::npos);
  CHECK(message_of(denied).find("a bug") == std::string::npos);
  CHECK_THROWS(gate.waiters.wait("db", "r", ample()));
  CHECK(gate.waiters.waiting() == 0);
  gate.store.throws = false;
  CHECK(gate.review(upgrade()).at("allowed") == true);
  CHECK(gate.decisions == std::vector<std::string>{"error", "allowed-prepared"});
}

TEST_CASE("a store that cannot be reached denies a real request and allows a dry run") {
  Gate gate;
  gate.store.unreachable = true;
  const auto denied = gate.review(upgrade());
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("status").at("reason") == "UpgradeGateUnavailable");
  CHECK(denied.at("status").at("code") == 403);
  CHECK(gate.review(upgrade(true)).at("allowed") == true);
}

TEST_CASE("a status that drops the preparation is patched, unless the gate itself writes it") {
  Gate gate;
  gate.service.set_own_username("system:serviceaccount:gate:gate");
  auto before = object_with("fe:1");
  before["status"] = {{"phase", "running"}, {"upgradePreparationStatus", {{"phase", "Running"}}}};
  auto after = object_with("fe:1");
  after["status"] = {{"phase", "running"}};
  auto body = review_of(before, after);
  body["request"]["subResource"] = "status";
  auto response = gate.review(body, AdmissionService::kStatusPath);
  CHECK(response.at("allowed") == true);
  CHECK(response.at("patchType") == "JSONPatch");
  CHECK_FALSE(response.at("patch").get<std::string>().empty());
  body["request"]["userInfo"]["username"] = "system:serviceaccount:gate:gate";
  response = gate.review(body, AdmissionService::kStatusPath);
  CHECK(response.at("allowed") == true);
  CHECK_FALSE(response.contains("patch"));
}

TEST_CASE("a configuration is judged when it is written; one that was faulty before does not bar other changes") {
  Gate gate;
  const auto good = configured("fe:1");
  const auto bad = configured("fe:1", "no-such-hook");
  const auto other_bad = configured("fe:1", "another-unknown");
  auto bad_with_more = bad;
  bad_with_more["spec"]["starRocksFeSpec"]["replicas"] = 3;
  struct Row {
    const char* name;
    json old_object;
    json object;
    const char* operation;
    bool allowed;
    bool warned;
  };
  for (const Row& row :
       {Row{"created well", nullptr, good, "CREATE", true, false},
        Row{"created badly", nullptr, bad, "CREATE", false, false}, Row{"made bad", good, bad, "UPDATE", false, false},
        Row{"bad in another way", bad, other_bad, "UPDATE", false, false},
        Row{"bad as before", bad, bad_with_more, "UPDATE", true, true},
        Row{"repaired", bad, good, "UPDATE", true, false}, Row{"deleted", bad, nullptr, "DELETE", true, false}}) {
    INFO(row.name);
    const auto response =
        gate.review(review_of(row.old_object, row.object, false, row.operation), AdmissionService::kConfigurationPath);
    CHECK(response.at("allowed") == row.allowed);
    CHECK(response.contains("warnings") == row.warned);
    if (!row.allowed) {
      CHECK(response.at("status").at("reason") == "UpgradeHooksInvalid");
      CHECK(message_of(response).find(row.object.at("metadata").at("annotations").begin()->get<std::string>()) !=
            std::string::npos);
    }
  }
  CHECK(gate.store.calls == 0);
}

TEST_CASE("going back to the image that is running is allowed while a preparation is open") {
  Gate gate;
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  const auto back = gate.review(review_of(configured("fe:2"), configured("fe:1")));
  CHECK(back.at("allowed") == true);
  CHECK(gate.decisions.back() == "allowed-revert");
  CHECK(gate.records().size() == 1);
}

/// The upgrade with an annotation more, on the new object or on both.
json annotated(const std::string& key, const std::string& value, bool dry_run = false, bool before = false) {
  auto body = upgrade(dry_run);
  body["request"]["object"]["metadata"]["annotations"][key] = value;
  if (before) body["request"]["oldObject"]["metadata"]["annotations"][key] = value;
  return body;
}

json bypassing(bool dry_run = false) {
  return annotated("starrocks.com/upgrade-gate-bypass", "*; reason=disk full; until=2027-01-01T00:00:00Z", dry_run);
}

/// Within a week of what bypassing() says.
void set_date(World& world) {
  const auto date = parse_time("2026-12-31T00:00:00Z");
  world.clock.move(*date - world.clock.wall_now());
}

TEST_CASE("a bypass by somebody who may: allowed, recorded as the user's, audited, the FE untouched") {
  Gate gate;
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.world.simulator.hang("SHOW");
  const auto response = gate.review(bypassing());
  REQUIRE_MESSAGE(response.at("allowed") == true, response.dump());
  CHECK(response.at("warnings").dump().find("disk full") != std::string::npos);
  CHECK(response.at("auditAnnotations").at("bypass").get<std::string>().find("reason=disk full") != std::string::npos);
  CHECK(gate.decisions == std::vector<std::string>{"allowed-bypass"});
  REQUIRE(gate.records().size() == 1);
  const auto name = gate.records().front().name;
  CHECK(response.at("auditAnnotations").at("preparation") == name);
  REQUIRE(gate.world.reaches(name, Stage::Closed));
  const auto record = gate.world.get(name);
  CHECK(record.status.outcome == Outcome::Bypassed);
  CHECK(record.spec.requested_by.username == "alice");
  CHECK_FALSE(record.status.restore_owed);
  CHECK(gate.world.simulator.logins().empty());
  CHECK(gate.world.clusters.permission_questions() == 1);
}

TEST_CASE("a bypass by somebody who may not, or whom nobody knows, is the ordinary verdict with the reason") {
  struct Row {
    const char* name;
    bool known;
    const char* warning;
  };
  for (const Row& row : {Row{"may not", true, "user alice may not bypass"}, Row{"not known", false, "did not say"}}) {
    INFO(row.name);
    Gate gate(0ms);
    set_date(gate.world);
    gate.world.clusters.set_permissions_known(row.known);
    gate.world.simulator.hang("ADMIN SET");
    const auto denied = gate.review(bypassing());
    CHECK(denied.at("allowed") == false);
    CHECK(denied.at("status").at("reason") == "UpgradePreparationRunning");
    CHECK(denied.at("warnings").dump().find(row.warning) != std::string::npos);
    CHECK_FALSE(gate.records().front().spec.bypass);
  }
}

TEST_CASE("the key that a denial prints is the one that a bypass must name, and opens no other target") {
  Gate gate(0ms);
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.world.simulator.hang("ADMIN SET");
  const auto message = message_of(gate.review(upgrade()));
  const auto bypass = message.substr(message.size() - 10) + "; reason=disk full; until=2027-01-01T00:00:00Z";
  auto other = annotated("starrocks.com/upgrade-gate-bypass", bypass);
  other["request"]["object"]["spec"]["starRocksFeSpec"]["image"] = "fe:3";
  const auto denied = gate.review(other);
  CHECK(denied.at("allowed") == false);
  CHECK(denied.at("warnings").dump().find("it is for target") != std::string::npos);
  CHECK(gate.world.clusters.permission_questions() == 0);
  CHECK(gate.review(annotated("starrocks.com/upgrade-gate-bypass", bypass)).at("allowed") == true);
}

TEST_CASE("a dry run of a bypass is allowed with a warning and writes nothing") {
  Gate gate;
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  const auto response = gate.review(bypassing(true));
  CHECK(response.at("allowed") == true);
  CHECK(response.at("warnings").dump().find("would be let through") != std::string::npos);
  CHECK(gate.records().empty());
}

TEST_CASE("a bypass opens although the records cannot be read, and says that it is not recorded") {
  Gate gate;
  set_date(gate.world);
  gate.world.clusters.set_bypasser("alice");
  gate.store.unreachable = true;
  const auto response = gate.review(bypassing());
  CHECK(response.at("allowed") == true);
  CHECK(response.at("warnings").dump().find("could not be recorded") != std::string::npos);
  CHECK_FALSE(response.at("auditAnnotations").contains("preparation"));
}

TEST_CASE("a failed preparation is tried again at once when the retry annotation is new, wherever it was written") {
  for (const bool before : {false, true}) {
    INFO(before);
    Gate gate;
    gate.world.simulator.fail("ADMIN SET", {1064, "42000", "the FE says no"});
    const auto retry = [&](const std::string& value) {
      return gate.review(annotated("starrocks.com/retry-upgrade-preparation", value, false, before));
    };
    REQUIRE(gate.review(upgrade()).at("status").at("reason") == "UpgradePreparationFailed");
    REQUIRE(retry("1").at("allowed") == false);
    CHECK(gate.records().size() == 2);
    // The same value asks for nothing more.
    REQUIRE(retry("1").at("allowed") == false);
    CHECK(gate.records().size() == 2);
    gate.world.simulator.clear_faults();
    CHECK(retry("2").at("allowed") == true);
    CHECK(gate.records().size() == 3);
    CHECK(gate.records().front().spec.attempt == 3);
    CHECK(gate.records().front().spec.retry_token == "2");
  }
}

TEST_CASE("a record remembers whether the object asked for hooks before the request") {
  Gate gate;
  REQUIRE(gate.review(upgrade()).at("allowed") == true);
  CHECK(gate.records().front().spec.asked_before);
  Gate other;
  REQUIRE(other.review(review_of(object_with("fe:1"), configured("fe:2"))).at("allowed") == true);
  CHECK_FALSE(other.records().front().spec.asked_before);
}

}  // namespace
}  // namespace gate
