// The API server in trouble: conflicts, 429, 5xx, watches that break, versions too old, nobody there, nobody answering.
// A real kube-apiserver behind a proxy that makes the trouble and counts the requests. Each case: the trouble is there
// while a preparation runs or begins; after it, nothing is lost. While it lasts, requests are few and admissions are
// answered in time.

#include <doctest/doctest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "server/admission/admission_service.hpp"
#include "server/kubernetes/kube_cluster_access.hpp"
#include "server/kubernetes/kube_preparation_store.hpp"
#include "server/preparation/lifecycle/controller.hpp"
#include "test/chaos/api_proxy.hpp"
#include "test/fakes/quiet_log.hpp"
#include "test/server/admission/review_of.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

/// What a gate at rest or in trouble may send, each minute. Its watches, its claims and one record's looks.
constexpr double kRequestsPerMinuteMax = 240;
// How many writes a preparation needs is a matter of time, since those that can wait go with a later one. Four are made
// at once in any case (the claim, two captures, the outcome), and two of three tries meet a conflict.
constexpr int kStormsMin = 4;
/// The webhook's own time limit, less what the way takes.
constexpr auto kAnswerWithin = 9s;

/// As long as makes it plain at what rate things are tried again; `make chaos` has a whole minute.
std::chrono::seconds outage() {
  const char* seconds = std::getenv("CHAOS_OUTAGE_SECONDS");
  return std::chrono::seconds(seconds == nullptr ? 3 : std::atoi(seconds));
}

/// Real time passes while `meanwhile` is asked again and again.
void for_a_while(
    std::chrono::milliseconds time, const std::function<void()>& meanwhile = [] {}) {
  Signal nobody;
  const auto until = Clock::now() + time;
  // In parts, each far below what eventually() allows for one.
  while (Clock::now() < until) {
    const auto part = std::min(until, Clock::now() + 1s);
    REQUIRE(nobody.eventually([&] {
      meanwhile();
      return Clock::now() >= part;
    }));
  }
}

/// A cluster in the API server with its FE, and a gate whose way to the API server leads through the proxy.
class Scene {
 public:
  Scene()
      : proxy(kube_config_from_file(api_server().kubeconfig()).value()),
        kube(KubeClient::create(proxy.config(), {.version = "chaos"}).value()),
        store(*kube, test::quiet_log(), watch_options(name_space)),
        clusters(*kube, clock, test::quiet_log(), access_options()),
        log("chaos"),
        waiters(store),
        controller(store, {clusters, connector, http, scripts}, clock, log, options()),
        service({store, clusters, controller, waiters, clock, log}, {2s, {}, {1s, 1s}}, [](const ReviewOutcome&) {}) {
    write_cluster("starrocks/fe-ubuntu:3.3.0");
    store.observe([this](const Preparation& record, bool removed) {
      waiters.notify(record, removed);
      controller.record_changed(record, removed);
    });
    controller.start();
    store.start();
    REQUIRE(eventually([&] { return store.synced() && proxy.open_watches() == 1; }));
  }
  ~Scene() {
    proxy.pass_on();
    controller.stop();
    store.stop();
  }

  void write_cluster(const std::string& image) {
    const auto applied = api_server().kubectl({"apply", "-f", "-"}, {.input = object(image).dump()});
    REQUIRE_MESSAGE(applied.exit_code == 0, applied.err);
  }
  [[nodiscard]] json object(const std::string& image) const {
    return {{"apiVersion", "starrocks.com/v1"},
            {"kind", "StarRocksCluster"},
            {"metadata",
             {{"name", "sr"},
              {"namespace", name_space},
              {"annotations", {{"starrocks.com/upgrade-hooks", "disable-tablet-clone,disable-tablet-balancing"}}}}},
            {"spec", {{"starRocksFeSpec", {{"image", image}, {"replicas", 1}}}}}};
  }
  /// Answered by the gate itself: what the API server would hear.
  json ask() {
    const auto stored = direct->get(kube::kClusters, name_space, "sr", in_seconds(10)).value();
    auto wanted = stored;
    wanted["spec"]["starRocksFeSpec"]["image"] = "starrocks/fe-ubuntu:3.3.1";
    const auto began = Clock::now();
    const auto reply = service.review(AdmissionService::kGatePath, review_of(stored, wanted).dump());
    CHECK(Clock::now() - began < kAnswerWithin);
    return json::parse(reply.body).at("response");
  }
  [[nodiscard]] bool becomes_allowed() {
    return eventually([&] { return ask().at("allowed") == true; }, 60);
  }
  [[nodiscard]] std::vector<json> records() {
    return direct->list(kube::kPreparations, name_space, in_seconds(10)).value().items;
  }
  [[nodiscard]] bool record_becomes(const std::string& field, const std::string& value) {
    return eventually([&] {
      const auto all = records();
      return !all.empty() && all.front().value("status", json::object()).value(field, "") == value;
    });
  }
  [[nodiscard]] std::size_t received(const std::string& sql) const {
    const auto all = frontends.statements();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const ReceivedStatement& one) { return one.sql == sql; }));
  }
  /// As if each of the settings was set once, and never again.
  void check_prepared_once() {
    CHECK(records().size() == 1);
    for (const char* key : {kScheduling, "tablet_sched_max_balancing_tablets"}) {
      CHECK(received(set_config_sql(key, "0")) == 1);
      CHECK(frontends.frontend(0).config(key) == "0");
    }
    const auto captured = records().front().at("status").at("captured");
    REQUIRE(captured.size() == 2);
    CHECK(captured[0].at("value") == kSchedulingDefault);
    CHECK(captured[1].at("value") == "500");
  }
  /// Requests per minute while `meanwhile` goes on for `time`, less those of admissions.
  double rate(
      std::chrono::milliseconds time, const std::function<void()>& meanwhile = [] {}) {
    const auto before = proxy.count();
    const auto began = Clock::now();
    for_a_while(time, meanwhile);
    const std::chrono::duration<double, std::ratio<60>> minutes = Clock::now() - began;
    return static_cast<double>(proxy.count() - before) / minutes.count();
  }

  static ResourceWatchOptions watch_options(const std::string& name_space) {
    ResourceWatchOptions options;
    options.name_space = name_space;
    return options;
  }
  [[nodiscard]] KubeClusterAccessOptions access_options() {
    KubeClusterAccessOptions options;
    options.frontend_address_override = FrontendAddress{"127.0.0.1", frontends.frontend(0).port()};
    return options;
  }
  static ControllerOptions options() {
    ControllerOptions options;
    options.identity = "gate-0";
    options.reassert_interval = 2s;
    return options;
  }

  const std::string name_space = make_namespace();
  std::unique_ptr<KubeClient> direct = make_client();
  FrontendSimulator frontends;
  ApiProxy proxy;
  SystemClock clock;
  std::unique_ptr<KubeClient> kube;
  KubePreparationStore store;
  KubeClusterAccess clusters;
  MysqlFrontendConnector connector;
  ScriptedHttp http;
  ScriptedJobs scripts;
  spdlog::logger log;
  OutcomeWaiters waiters;
  PreparationController controller;
  AdmissionService service;
};

TEST_CASE("a storm of conflicts: everything is done, once") {
  Scene scene;
  // Two of three writes meet a real conflict: somebody else has changed the object a moment before.
  std::atomic<int> writes{0};
  std::atomic<int> storms{0};
  scene.proxy.set_rule([&](const ProxiedRequest& request) -> std::optional<ProxyFault> {
    if (request.method != "PUT" || ++writes % 3 == 0) return std::nullopt;
    const auto all = scene.records();
    const json label{{"metadata", {{"labels", {{"storm", std::to_string(++storms)}}}}}};
    REQUIRE(scene.direct
                ->merge_patch(kube::kPreparations, scene.name_space, all.front()["metadata"]["name"], {}, label,
                              in_seconds(10))
                .ok());
    return std::nullopt;
  });
  CHECK(scene.becomes_allowed());
  CHECK(storms >= kStormsMin);
  scene.check_prepared_once();
  MESSAGE("conflict storm: " << storms.load() << " of " << writes.load() << " writes met one, " << scene.proxy.count()
                             << " requests in all");
}

TEST_CASE("an API server that is overloaded or broken is not hammered, and nothing is lost") {
  struct Row {
    std::string name;
    ProxyFault fault;
    bool writes_only;
  };
  for (const Row& row :
       {Row{"429 with Retry-After", {429, "TooManyRequests", 1}, false},
        Row{"429 without", {429, "TooManyRequests", -1}, false}, Row{"500", {500, "InternalError", -1}, false},
        Row{"503", {503, "ServiceUnavailable", -1}, false},
        Row{"writes fail, reads do not", {503, "ServiceUnavailable", -1}, true}}) {
    INFO(row.name);
    Scene scene;
    // In the middle of the preparation: admissions wait for 2 s, the second setting takes 3.
    scene.frontends.delay("max_balancing_tablets\" = \"0\"", 3s);
    CHECK(scene.ask().at("allowed") == false);
    REQUIRE(scene.frontends.wait_for_statement("balancing_tablets\" = \"0\"", in_seconds(30)));
    scene.proxy.set_rule([&](const ProxiedRequest& request) -> std::optional<ProxyFault> {
      if (row.writes_only && request.is_read()) return std::nullopt;
      return row.fault;
    });
    const double per_minute = scene.rate(outage());
    MESSAGE(row.name << ": " << per_minute << " requests per minute");
    CHECK(per_minute < kRequestsPerMinuteMax);
    const auto answer = scene.ask();
    CHECK(answer.at("allowed") == false);
    scene.proxy.pass_on();
    CHECK(scene.becomes_allowed());
    scene.check_prepared_once();
  }
}

TEST_CASE("an API server that is away, or does not answer, for a while: answered in time, nothing lost") {
  for (const bool hangs : {false, true}) {
    const std::string name = hangs ? "does not answer" : "is away";
    INFO(name);
    Scene scene;
    REQUIRE(scene.becomes_allowed());
    REQUIRE(scene.record_becomes("stage", "Prepared"));
    if (hangs) {
      scene.proxy.hang();
    } else {
      scene.proxy.go_away();
    }
    const auto refused = scene.ask();
    CHECK(refused.at("allowed") == false);
    CHECK(refused.at("status").at("reason") == "UpgradeGateUnavailable");
    // Meanwhile the image is on the object, and the FE forgets what it was told.
    scene.write_cluster("starrocks/fe-ubuntu:3.3.1");
    scene.frontends.restart(0);
    const double per_minute = scene.rate(outage());
    MESSAGE(name << ": " << per_minute << " requests per minute reached the proxy");
    CHECK(per_minute < kRequestsPerMinuteMax);
    if (!hangs) CHECK_FALSE(scene.store.synced());  // an open watch may just have nothing to say
    if (hangs) {
      scene.proxy.pass_on();
    } else {
      scene.proxy.come_back();
    }
    CHECK(scene.record_becomes("stage", "RollingOut"));
    CHECK(eventually([&] { return scene.frontends.frontend(0).config(kScheduling) == "0"; }));
    CHECK(eventually([&] { return scene.store.synced(); }, 60));
    const auto captured = scene.records().front().at("status").at("captured");
    REQUIRE(captured.size() == 2);
    CHECK(captured[0].at("value") == kSchedulingDefault);
  }
}

TEST_CASE("watches that break, and versions that are too old, lose no record and make no storm") {
  struct Row {
    std::string name;
    bool expired;
  };
  for (const Row& row : {Row{"cut in the middle", false}, Row{"410 Gone", true}}) {
    INFO(row.name);
    Scene scene;
    if (row.expired) {
      scene.proxy.set_rule([](const ProxiedRequest& request) -> std::optional<ProxyFault> {
        if (!request.is_watch()) return std::nullopt;
        return ProxyFault{410, "Expired", -1};
      });
    }
    const auto before = scene.proxy.count();
    const double per_minute = scene.rate(outage(), [&] { scene.proxy.cut_watches(); });
    MESSAGE(row.name << ": " << per_minute << " requests per minute");
    CHECK(scene.proxy.count() > before);
    CHECK(per_minute < kRequestsPerMinuteMax);
    // Started by another replica while this one did not see.
    auto record = record_of("made-meanwhile", {no_scheduling()});
    record.name_space = scene.name_space;
    const auto object = scene.direct->get(kube::kClusters, scene.name_space, "sr", in_seconds(10)).value();
    record.spec.object = {"StarRocksCluster", "sr", object["metadata"]["uid"]};
    record.spec.changes = {{Component::Frontend, "starrocks/fe-ubuntu:3.3.0", "starrocks/fe-ubuntu:3.3.1"}};
    KubePreparationStore others(*scene.direct, test::quiet_log());
    REQUIRE(others.create(record, in_seconds(10)).ok());
    scene.proxy.pass_on();
    CHECK(scene.record_becomes("phase", "Completed"));
    CHECK(scene.received(set_config_sql(kScheduling, "0")) == 1);
  }
}

TEST_CASE("at rest, and while one rollout is followed, the gate asks little") {
  Scene scene;
  const double at_rest = scene.rate(4s);
  CHECK(at_rest <= 30);
  REQUIRE(scene.becomes_allowed());
  scene.write_cluster("starrocks/fe-ubuntu:3.3.1");
  REQUIRE(scene.record_becomes("stage", "RollingOut"));
  const double following = scene.rate(6s);
  // Every 2 s here; 30 s as shipped.
  MESSAGE("requests per minute: " << at_rest << " at rest, " << following << " while following a rollout every 2 s");
  CHECK(following < kRequestsPerMinuteMax);
}

}  // namespace
}  // namespace gate
