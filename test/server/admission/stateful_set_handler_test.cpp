// Goal: the webhook on StatefulSets answers by the live owner and the records, and where it cannot know it lets nothing
// roll.

#include "server/admission/stateful_set_handler.hpp"

#include <doctest/doctest.h>
#include <spdlog/logger.h>

#include <nlohmann/json.hpp>

#include "server/memory/memory_cluster_access.hpp"
#include "server/memory/memory_preparation_store.hpp"
#include "test/fakes/forwarding_store.hpp"
#include "test/fakes/unused_cluster_access.hpp"

using namespace gate;
using nlohmann::json;

namespace {

const Deadline kDeadline = SystemClock().steady_now() + std::chrono::seconds(30);

/// One cluster object, or an API server that does not answer.
class OneCluster final : public test::UnusedClusterAccess {
 public:
  Result<nlohmann::json> object = Error{ErrorCode::NotFound, "no such object"};

  Result<json> get_object(const std::string&, const ObjectRef&, Deadline) override { return object; }
  Result<std::string> obstacle = std::string{};
  Result<std::string> obstacle_to_leading(const std::string&, Deadline) override { return obstacle; }
};

json cluster(const char* rollout) {
  return {
      {"kind", "StarRocksCluster"},
      {"metadata", {{"name", "sr"}, {"uid", "uid-1"}, {"annotations", {{"starrocks.com/upgrade-rollout", rollout}}}}}};
}

json stateful_set(const std::string& image, bool held = false, int partition = 0) {
  json object{{"metadata",
               {{"name", "sr-be"},
                {"labels", {{"app.kubernetes.io/component", "be"}}},
                {"annotations", {{"app.starrocks.components/hash", held ? "held-by-upgrade-gate" : "1"}}},
                {"ownerReferences",
                 {{{"apiVersion", "starrocks.com/v1"},
                   {"kind", "StarRocksCluster"},
                   {"name", "sr"},
                   {"uid", "uid-1"},
                   {"controller", true}}}}}},
              {"spec",
               {{"replicas", 3},
                {"updateStrategy", {{"type", "RollingUpdate"}, {"rollingUpdate", {{"partition", partition}}}}},
                {"template", {{"spec", {{"containers", {{{"name", "be"}, {"image", image}}}}}}}}}}};
  if (held) object["metadata"]["annotations"][kHeldAnnotation] = "partition";
  return object;
}

AdmissionRequest update(const json& before, json after) {
  AdmissionRequest request;
  request.kind = "StatefulSet";
  request.name_space = "db";
  request.name = "sr-be";
  request.old_object = before;
  after["metadata"]["annotations"]["app.starrocks.components/hash"] = "2";
  request.object = std::move(after);
  return request;
}

struct Fixture {
  SystemClock clock;
  MemoryPreparationStore store{clock};
  OneCluster clusters;
  spdlog::logger log{"test"};
  StatefulSetHandler handler{store, clusters, log, {}, {}};

  /// The object as it would be stored.
  [[nodiscard]] json stored(const AdmissionRequest& request) const {
    const auto answer = handler.answer(request, kDeadline);
    REQUIRE(answer.allowed);
    return answer.json_patch.is_array() ? request.object.patch(answer.json_patch) : request.object;
  }
  [[nodiscard]] static std::string image_of(const json& object) {
    return object["spec"]["template"]["spec"]["containers"][0]["image"];
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "an image change of a cluster that asks for turns is held until a record lets it go") {
  clusters.object = cluster("stepwise");
  const auto request = update(stateful_set("be:1"), stateful_set("be:2"));
  CHECK(image_of(stored(request)) == "be:1");
  Preparation record;
  record.name = "sr-1";
  record.name_space = "db";
  record.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  record.spec.cluster = "sr";
  record.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  record.spec.rollout.mode = RolloutMode::Stepwise;
  auto made = store.create(record, kDeadline);
  REQUIRE(made);
  CHECK(image_of(stored(request)) == "be:1");  // not prepared
  made->status.phase = Phase::Completed;
  made->status.stage = Stage::RollingOut;
  made->status.rollout.turns = {Turn{{Component::Backend}, TurnPhase::Rolling, 1, 3, 2, "", {}, 0}};
  REQUIRE(store.update_status(*made, kDeadline));
  const auto steered = stored(request);
  CHECK(image_of(steered) == "be:2");
  CHECK(steered["spec"]["updateStrategy"]["rollingUpdate"]["partition"] == 2);
}

TEST_CASE_FIXTURE(Fixture, "a warehouse's StatefulSet is judged by the records of its cluster") {
  const auto of_warehouse = [](const char* image) {
    auto object = stateful_set(image);
    object["metadata"]["name"] = "wh-warehouse-cn";
    object["metadata"]["labels"]["app.kubernetes.io/component"] = "cn";
    object["metadata"]["ownerReferences"][0]["kind"] = "StarRocksWarehouse";
    object["metadata"]["ownerReferences"][0]["name"] = "wh";
    object["metadata"]["ownerReferences"][0]["uid"] = "uid-wh";
    object["spec"]["template"]["spec"]["containers"][0]["name"] = "cn";
    return object;
  };
  clusters.object = cluster("stepwise");
  (*clusters.object)["kind"] = "StarRocksWarehouse";
  (*clusters.object)["metadata"]["name"] = "wh";
  (*clusters.object)["metadata"]["uid"] = "uid-wh";
  (*clusters.object)["spec"] = {{"starRocksCluster", "sr"}, {"template", {{"image", "cn:2"}}}};
  const auto request = update(of_warehouse("cn:1"), of_warehouse("cn:2"));
  CHECK(image_of(stored(request)) == "cn:1");
  Preparation record;
  record.name = "wh-1";
  record.name_space = "db";
  record.spec.object = {"StarRocksWarehouse", "wh", "uid-wh"};
  record.spec.cluster = "sr";
  record.spec.changes = {{Component::Warehouse, "cn:1", "cn:2"}};
  record.spec.rollout.mode = RolloutMode::Ordered;
  auto made = store.create(record, kDeadline);
  REQUIRE(made);
  made->status.phase = Phase::Completed;
  made->status.stage = Stage::RollingOut;
  made->status.rollout.turns = {Turn{{Component::Warehouse}, TurnPhase::Rolling, 1, 1, 0, "", {}, 0}};
  REQUIRE(store.update_status(*made, kDeadline));
  CHECK(image_of(stored(request)) == "cn:2");
}

TEST_CASE_FIXTURE(Fixture, "the stored image is held while the owner has another one, whoever writes it") {
  clusters.object = cluster("stepwise");
  (*clusters.object)["spec"]["starRocksBeSpec"]["image"] = "be:2";
  const auto held = stateful_set("be:1", true);
  auto request = update(held, held);  // the operator's, before it sees the new image
  CHECK(stored(request)["metadata"]["annotations"].contains(kHeldAnnotation));
  (*clusters.object)["spec"]["starRocksBeSpec"]["image"] = "be:1";
  CHECK_FALSE(stored(request)["metadata"]["annotations"].contains(kHeldAnnotation));
}

TEST_CASE_FIXTURE(Fixture, "nobody else is touched") {
  const auto request = update(stateful_set("be:1"), stateful_set("be:2"));
  SUBCASE("a cluster that did not ask") { clusters.object = cluster("operator"); }
  SUBCASE("an owner that is gone") { clusters.object = Error{ErrorCode::NotFound, "no such object"}; }
  SUBCASE("an owner of another UID") {
    clusters.object = cluster("stepwise");
    (*clusters.object)["metadata"]["uid"] = "uid-2";
  }
  SUBCASE("an owner that is being deleted") {
    clusters.object = cluster("stepwise");
    (*clusters.object)["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  }
  CHECK(stored(request) == request.object);
}

TEST_CASE_FIXTURE(Fixture, "records that cannot be read are not no records") {
  struct Unreadable final : test::ForwardingStore {
    using ForwardingStore::ForwardingStore;
    std::optional<Error> around(const test::StoreCall&, const std::function<void()>&) override {
      return Error{ErrorCode::Unavailable, "connection reset"};
    }
  } unreadable(store);
  const StatefulSetHandler blind{unreadable, clusters, log, {}, {}};
  for (const char* rollout : {"stepwise", "operator"}) {
    clusters.object = cluster(rollout);
    const auto refused = blind.answer(update(stateful_set("be:1"), stateful_set("be:2")), kDeadline);
    CHECK_FALSE(refused.allowed);
    CHECK(refused.message.find("connection reset") != std::string::npos);
  }
  auto scale = update(stateful_set("be:1"), stateful_set("be:2"));
  scale.subresource = "scale";
  CHECK(blind.answer(scale, kDeadline).allowed);
}

TEST_CASE_FIXTURE(Fixture, "where it cannot be known nothing rolls") {
  clusters.object = Error{ErrorCode::Unavailable, "connection refused"};
  const auto refused = handler.answer(update(stateful_set("be:1"), stateful_set("be:2")), kDeadline);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.code == 403);
  CHECK(refused.message.find("connection refused") != std::string::npos);
  // A no-op would look done to the operator, which would not come back for a step that is there already.
  const auto step = handler.answer(update(stateful_set("be:2", true, 2), stateful_set("be:2", true, 0)), kDeadline);
  CHECK_FALSE(step.allowed);
  CHECK(step.message.find("try again") != std::string::npos);
  // What changes no image is not asked about.
  const auto same = update(stateful_set("be:1"), stateful_set("be:1"));
  CHECK(stored(same) == same.object);
}

TEST_CASE_FIXTURE(Fixture, "an update of which half is missing is refused: it could be one that rolls pods") {
  clusters.object = cluster("stepwise");
  for (const auto& half : {json(), json("x"), json::array()}) {
    CAPTURE(half.dump());
    auto request = update(stateful_set("be:1"), stateful_set("be:2"));
    SUBCASE("the new object") { request.object = half; }
    SUBCASE("the stored one") { request.old_object = half; }
    const auto refused = handler.answer(request, kDeadline);
    CHECK_FALSE(refused.allowed);
    CHECK(refused.code == 400);
    CHECK(refused.message.find("sr-be") != std::string::npos);
    request.operation = Operation::Create;
    CHECK(handler.answer(request, kDeadline).allowed);
  }
}

TEST_CASE_FIXTURE(Fixture, "a rollout that cannot be led is not promised") {
  HookConfiguration asked;
  asked.rollout.admission = AdmissionMode::Hold;
  require_leading(asked, clusters, "db", false, kDeadline);
  CHECK(asked.faults.empty());
  clusters.obstacle = std::string("namespace db lacks a label");
  require_leading(asked, clusters, "db", false, kDeadline);
  REQUIRE(asked.faults.size() == 1);
  CHECK(describe(asked.faults).find("namespace db lacks a label") != std::string::npos);
  HookConfiguration dry;
  dry.rollout.mode = RolloutMode::Ordered;
  require_leading(dry, clusters, "db", true, kDeadline);
  CHECK(dry.faults.empty());
  CHECK(dry.warnings.size() == 1);
  clusters.obstacle = Error{ErrorCode::Unavailable, "connection refused"};
  require_leading(asked, clusters, "db", false, kDeadline);
  CHECK(asked.unread.size() == 1);
  HookConfiguration silent;
  require_leading(silent, clusters, "db", false, kDeadline);
  CHECK((silent.faults.empty() && silent.unread.empty()));
}

TEST_CASE_FIXTURE(Fixture, "a default that cannot be kept in a namespace is none there") {
  clusters.obstacle = std::string("namespace db lacks a label");
  for (const bool only_led : {false, true}) {
    HookConfiguration read;
    read.configured = true;
    read.rollout.mode = RolloutMode::Stepwise;
    read.rollout.admission = AdmissionMode::Hold;
    read.led_by_default = true;
    read.only_led = only_led;
    require_leading(read, clusters, "db", false, kDeadline);
    CHECK(read.faults.empty());
    CHECK_FALSE(read.rollout.leads());
    CHECK(read.configured == !only_led);
    REQUIRE(read.warnings.size() == 1);
    CHECK(read.warnings.front().find("lacks a label") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "the gate's defaults hold the StatefulSets of clusters that ask for preparation, and no others") {
  LedRollout defaults;
  defaults.mode = RolloutMode::Ordered;
  const StatefulSetHandler by_default{store, clusters, log, {}, defaults};
  const auto request = update(stateful_set("be:1"), stateful_set("be:2"));
  json object{{"kind", "StarRocksCluster"}, {"metadata", {{"name", "sr"}, {"uid", "uid-1"}}}};
  clusters.object = object;
  CHECK(by_default.answer(request, kDeadline).json_patch.empty());
  object["metadata"]["annotations"]["starrocks.com/prepare-upgrade"] = "true";
  clusters.object = object;
  const auto held = by_default.answer(request, kDeadline);
  CHECK(image_of(request.object.patch(held.json_patch)) == "be:1");
}
