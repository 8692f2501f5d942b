// Two real processes on a real API server; one is cut off from it, and not from the FE. As in partition_test.cpp, in
// real time. An FE cannot tell who sent a statement: the other process is stopped (SIGSTOP) in the moment of its
// takeover, so that whatever comes then comes from the one that is cut off.

#include <doctest/doctest.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "policy/hooks/sql.hpp"
#include "server/kubernetes/kube_preparation_store.hpp"
#include "server/tls/dev_certificate.hpp"
#include "test/chaos/api_proxy.hpp"
#include "test/e2e/gate_process.hpp"
#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/preparation/world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr auto kStaleAfter = 4s;
/// Three quarters of it are the holder's.
constexpr auto kLease = 3s;
/// From the last look at the claim to a statement's arrival; less than the quarter that is left.
constexpr auto kWay = 500ms;
/// A step that fails is tried again after 5 s at most: whoever still works shows within this.
constexpr auto kShows = 6s;
const std::string kOld = "starrocks/be-ubuntu:3.3.0";
const std::string kNew = "starrocks/be-ubuntu:3.3.1";

/// A process with an API proxy of its own.
class RemoteGate {
 public:
  RemoteGate(const std::string& identity, const FrontendSimulator::Frontend& frontend) {
    const auto file = [&](const std::string& name) { return (api_server().directory() / name).string(); };
    const auto kubeconfig = file(identity + ".kubeconfig");
    std::ofstream(kubeconfig) << "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
                              << "clusters: [{name: test, cluster: {server: 'http://127.0.0.1:" << proxy.port()
                              << "'}}]\nusers: [{name: test, user: {}}]\n"
                              << "contexts: [{name: test, context: {cluster: test, user: test}}]\n";
    process = std::make_unique<GateProcess>(std::vector<std::string>{"--listen",
                                                                     "127.0.0.1:0",
                                                                     "--ops-listen",
                                                                     "127.0.0.1:0",
                                                                     "--tls-cert-file",
                                                                     file("tls.crt"),
                                                                     "--tls-key-file",
                                                                     file("tls.key"),
                                                                     "--kubeconfig",
                                                                     kubeconfig,
                                                                     "--frontend-address",
                                                                     "127.0.0.1:" + std::to_string(frontend.port()),
                                                                     "--identity",
                                                                     identity,
                                                                     "--claim-stale-after",
                                                                     std::to_string(kStaleAfter.count()) + "s",
                                                                     "--reassert-interval",
                                                                     "1s",
                                                                     "--drain",
                                                                     "0s"},
                                            "partition-" + identity + ".log");
  }
  /// Nothing passes any more, in neither direction, and nobody says so.
  void cut_off() {
    proxy.hang();
    proxy.cut_watches();
  }

  ApiProxy proxy{kube_config_from_file(api_server().kubeconfig()).value()};
  std::unique_ptr<GateProcess> process;
};

/// When which statements came.
class Arrivals {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    times_.push_back(Clock::now());
  }
  [[nodiscard]] std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return times_.size();
  }
  [[nodiscard]] Clock::time_point last() const {
    const std::lock_guard lock(mutex_);
    return times_.back();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Clock::time_point> times_;  // guarded by mutex_
};

/// The moment in which the second gate has written its claim, and knows nothing of it yet: it is stopped there.
class Takeover {
 public:
  void happens(GateProcess& process) {
    {
      const std::lock_guard lock(mutex_);
      if (at_ != Clock::time_point{}) return;
      process.pause();
      at_ = Clock::now();
    }
    changed_.notify_all();
  }
  [[nodiscard]] bool wait(std::chrono::seconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return at_ != Clock::time_point{}; });
  }
  [[nodiscard]] Clock::time_point at() const {
    const std::lock_guard lock(mutex_);
    return at_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Clock::time_point at_{};  // guarded by mutex_
};

class Story {
 public:
  Story() {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto made = make_dev_certificate({{"localhost"}, {"127.0.0.1"}, now - 1h, now + 24h});
    REQUIRE(made.ok());
    REQUIRE(write_dev_certificate(*made, api_server().directory().string()).ok());
    const json object{{"apiVersion", "starrocks.com/v1"},
                      {"kind", "StarRocksCluster"},
                      {"metadata",
                       {{"name", "sr"},
                        {"namespace", name_space},
                        {"annotations", {{"starrocks.com/upgrade-hooks", "disable-tablet-clone"}}}}},
                      {"spec", {{"starRocksBeSpec", {{"image", kOld}, {"replicas", 1}}}}}};
    uid = client->create_object(kube::kClusters, name_space, object, in_seconds(10)).value()["metadata"]["uid"];
  }

  void create_record() {
    auto record = record_of("r", {no_scheduling()});
    record.name_space = name_space;
    record.spec.object.uid = uid;
    record.spec.changes = {{Component::Backend, kOld, kNew}};
    REQUIRE(store.create(record, in_seconds(10)).ok());
  }
  [[nodiscard]] Preparation record() { return store.get(name_space, "r", in_seconds(10)).value(); }
  [[nodiscard]] bool reaches(Stage stage) {
    return eventually([&] { return record().status.stage == stage; }, 60);
  }
  void change_image() {
    const json patch{{"spec", {{"starRocksBeSpec", {{"image", kNew}}}}}};
    REQUIRE(client->merge_patch(kube::kClusters, name_space, "sr", {}, patch, in_seconds(10)).ok());
  }
  /// The operator's StatefulSet, as it looks when the rollout is over, and BEs that have started again.
  void roll_out() {
    frontends.set_backends({{"be-0", true, "", 1}, {"be-1", true, "", 1}, {"be-2", true, "", 1}});
    const json labels{{"app", "sr"}};
    const json set{{"apiVersion", "apps/v1"},
                   {"kind", "StatefulSet"},
                   {"metadata", {{"name", "sr-be"}, {"namespace", name_space}}},
                   {"spec",
                    {{"replicas", 1},
                     {"serviceName", "sr-be-search"},
                     {"selector", {{"matchLabels", labels}}},
                     {"template",
                      {{"metadata", {{"labels", labels}}},
                       {"spec", {{"containers", json::array({{{"name", "be"}, {"image", kNew}}})}}}}}}}};
    auto stored = client->create_object(kube::kStatefulSets, name_space, set, in_seconds(10)).value();
    stored["status"] = {{"observedGeneration", 1}, {"replicas", 1},         {"readyReplicas", 1},
                        {"updatedReplicas", 1},    {"currentReplicas", 1},  {"availableReplicas", 1},
                        {"currentRevision", "r2"}, {"updateRevision", "r2"}};
    REQUIRE(client->replace(kube::kStatefulSets, name_space, "sr-be", "status", stored, in_seconds(10)).ok());
  }
  [[nodiscard]] std::ptrdiff_t times(const std::string& sql) const {
    const auto all = frontends.statements();
    return std::count_if(all.begin(), all.end(), [&](const ReceivedStatement& one) { return one.sql == sql; });
  }

  std::string name_space = make_namespace();
  std::unique_ptr<KubeClient> client = make_client();
  KubePreparationStore store{*client, test::quiet_log()};
  std::string uid;
  Arrivals arrivals;
  FrontendSimulator frontends{{.on_statement = [this](const ReceivedStatement&) { arrivals.add(); }}};
};

TEST_CASE("of two processes the one that is cut off leaves the FE alone before the other takes over and finishes") {
  Story story;
  story.frontends.drop("ADMIN SHOW");  // the hook is tried again and again
  RemoteGate first("gate-0", story.frontends.frontend(0));
  story.create_record();
  REQUIRE(eventually([&] { return story.record().status.runner.identity == "gate-0" && story.arrivals.count() > 0; }));

  Takeover takeover;
  RemoteGate second("gate-1", story.frontends.frontend(0));
  second.proxy.set_after([&](const ProxiedRequest& request, int status) {
    const bool ours = request.target.find("/" + story.name_space + "/") != std::string::npos;
    if (ours && request.method == "PUT" && status == 200 && request.target.ends_with("/status")) {
      takeover.happens(*second.process);
    }
  });
  // A claim that is renewed is respected, and its holder is at work.
  const auto renewals = std::stoul(story.record().resource_version);
  const auto touches = story.arrivals.count();
  REQUIRE(eventually(
      [&] { return std::stoul(story.record().resource_version) > renewals && story.arrivals.count() > touches; }));
  REQUIRE(story.record().status.runner.identity == "gate-0");

  first.cut_off();
  const auto cut = Clock::now();
  REQUIRE(takeover.wait(30s));
  const auto last = story.arrivals.last();
  const auto touched = story.arrivals.count();
  CHECK(story.record().status.runner.identity == "gate-1");
  CHECK(last < cut + kLease + kWay);
  CHECK(last < takeover.at());
  // Only the one that is cut off could.
  CHECK_FALSE(eventually([&] { return story.arrivals.count() != touched; }, kShows.count()));
  MESSAGE("last statement " << Seconds(last - cut).count() << " s, takeover " << Seconds(takeover.at() - cut).count()
                            << " s after the cut");

  story.frontends.clear_faults();
  second.process->resume();
  REQUIRE(story.reaches(Stage::Prepared));
  CHECK(story.record().status.runner.identity == "gate-1");
  CHECK(story.frontends.frontend(0).config(kScheduling) == "0");
  first.proxy.pass_on();  // back again, it finds that the record is another's
  story.change_image();
  REQUIRE(story.reaches(Stage::RollingOut));
  story.roll_out();
  REQUIRE(story.reaches(Stage::Closed));
  const auto done = story.record().status;
  CHECK(done.outcome == Outcome::Succeeded);
  CHECK_FALSE(done.restore_pending);
  CHECK(done.captured == std::vector<CapturedSetting>{{kScheduling, kSchedulingDefault, "0"}});
  CHECK(story.frontends.frontend(0).config(kScheduling) == kSchedulingDefault);
  for (const char* value : {"0", kSchedulingDefault}) CHECK(story.times(set_config_sql(kScheduling, value)) == 1);
}

}  // namespace
}  // namespace gate
