// The real process, killed by SIGKILL at every statement that it sends to an FE and at every request that it sends to a
// real API server, during a whole upgrade that a user drives; started again each time. Method as in
// kill_matrix_test.cpp: one life for each boundary, until no life shows a new one. It takes minutes: `make chaos`.

#include <doctest/doctest.h>

#include <condition_variable>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "policy/hooks/sql.hpp"
#include "server/tls/dev_certificate.hpp"
#include "test/chaos/api_proxy.hpp"
#include "test/e2e/gate_process.hpp"
#include "test/fakes/frontend_simulator.hpp"
#include "test/server/kubernetes/api_server.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

const std::string kOld = "starrocks/be-ubuntu:3.3.0";
const std::string kNew = "starrocks/be-ubuntu:3.3.1";
const std::map<std::string, std::string> kBefore = {{"tablet_sched_max_scheduling_tablets", "10000"},
                                                    {"tablet_sched_max_balancing_tablets", "500"}};

/// "after PUT upgradepreparations/status #2": every write, and every SET, is a boundary of its own. A look that comes
/// again and again is one for the first two times; all of them are in kill_matrix_test.cpp, where a life costs 30 ms,
/// not 3 s.
bool worth_a_life(const std::string& boundary) {
  constexpr int kLooks = 2;
  const bool look = boundary.starts_with("at ") || boundary.starts_with("before GET ");
  return !look || std::stoi(boundary.substr(boundary.rfind('#') + 1)) <= kLooks;
}

/// "PUT upgradepreparations/status": the same in each life, whose objects have names of their own.
std::string kind_of(const ProxiedRequest& request) {
  std::vector<std::string> parts;
  std::string path = request.target.substr(0, request.target.find('?'));
  for (std::size_t at = 0; at != std::string::npos;) {
    const auto next = path.find('/', at + 1);
    parts.push_back(path.substr(at + 1, next == std::string::npos ? next : next - at - 1));
    at = next;
  }
  // apis/<group>/<version>/namespaces/<namespace>/<kind>/<name>/<subresource>, or api/<version>/namespaces/...
  const auto spaces = std::find(parts.begin(), parts.end(), "namespaces");
  if (parts.end() - spaces < 3) return request.method + " " + parts.back();
  return request.method + " " + spaces[2] + (parts.end() - spaces > 4 ? "/" + spaces[4] : "");
}

/// One API server for all lives, with our CRDs and webhooks; every gate listens on the port that these name.
class Plane {
 public:
  static Plane& get() {
    static Plane plane;
    return plane;
  }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return api_server().directory() / name; }
  void register_webhooks(std::uint16_t gate_port) {
    if (gate_port == port) return;
    const auto rendered = run_process("/bin/bash",
                                      {source_file("test/e2e/webhooks-by-url.sh"),
                                       "https://127.0.0.1:" + std::to_string(gate_port), file("ca.crt").string()},
                                      {.environment = {"KUBECTL=" + api_server().kubectl_path().string()}});
    REQUIRE_MESSAGE(rendered.exit_code == 0, rendered.err);
    const auto applied = api_server().kubectl({"apply", "-f", "-"}, {.input = rendered.out});
    REQUIRE_MESSAGE(applied.exit_code == 0, applied.err);
    port = gate_port;
  }

  std::uint16_t port = 0;
  std::unique_ptr<KubeClient> client = make_client();
  std::string name_space = make_namespace();

 private:
  Plane() {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto made = make_dev_certificate({{"localhost"}, {"127.0.0.1"}, now - 1h, now + 24h});
    REQUIRE(made.ok());
    REQUIRE(write_dev_certificate(*made, api_server().directory().string()).ok());
  }
};

/// One upgrade from the first request to the last put-back. The gate is killed at `boundary`.
class Life {
 public:
  explicit Life(std::string boundary) : boundary_(std::move(boundary)) {
    proxy_.set_rule([this](const ProxiedRequest& request) -> std::optional<ProxyFault> {
      if (request.is_watch() || !passes("before " + kind_of(request))) return std::nullopt;
      return ProxyFault{};  // nobody is there to hear it; what matters is that it was not done
    });
    proxy_.set_after([this](const ProxiedRequest& request, int) {
      if (!request.is_read()) passes("after " + kind_of(request));
    });
  }

  void run() {
    write_cluster();
    start_gate();
    std::string image;
    const bool ended = eventually(
        [&] {
          revive();
          image = image == kNew ? image : ask_for_new();
          if (stage() == "RollingOut") roll_out();
          return stage() == "Closed" && quiet();
        },
        120);
    const std::lock_guard lock(mutex_);
    armed_ = false;
    INFO(report());
    REQUIRE(ended);
    CHECK(image == kNew);
    const auto record = records().back();
    CHECK(record["status"]["outcome"] == "Succeeded");
    CHECK(record["status"]["restoreOwed"] == false);
    for (const auto& captured : record["status"]["captured"]) CHECK(captured["value"] == kBefore.at(captured["key"]));
    CHECK(records().size() == 1);
    for (const auto& [key, value] : kBefore) {
      CHECK(frontends_.frontend(0).config(key) == value);
      for (const auto& sql : {set_config_sql(key, "0"), set_config_sql(key, value)}) {
        CHECK(times(sql) >= 1);
        CHECK(times(sql) <= 1 + kills_);
      }
    }
    for (const auto& statement : frontends_.statements()) {
      const bool known = !statement.sql.starts_with("ADMIN SET") ||
                         std::any_of(kBefore.begin(), kBefore.end(), [&](const auto& setting) {
                           return statement.sql == set_config_sql(setting.first, "0") ||
                                  statement.sql == set_config_sql(setting.first, setting.second);
                         });
      CHECK(known);
    }
  }
  [[nodiscard]] bool killed() const { return kills_ > 0; }
  [[nodiscard]] const std::vector<std::string>& passed() const { return passed_; }

 private:
  /// True when this is where the gate is killed, and it is dead now.
  bool passes(const std::string& boundary) {
    const std::lock_guard lock(mutex_);
    if (!armed_ || kills_ > 0) return false;
    passed_.push_back(boundary + " #" + std::to_string(++times_[boundary]));
    last_step_ = std::chrono::steady_clock::now();
    if (passed_.back() != boundary_) return false;
    ++kills_;
    gate_->kill();
    return true;
  }
  void arrives(const ReceivedStatement& statement) {
    const bool effect = statement.sql.starts_with("ADMIN SET");
    if (passes((effect ? "before " : "at ") + statement.sql)) {
      // Neither executed nor answered.
      frontends_.fail(statement.sql, {1064, "42000", "never happened"}, {}, 1);
    } else if (effect) {
      passes("after " + statement.sql);  // executed, but nobody hears the answer
    }
  }

  void write_cluster() {
    const json object{
        {"apiVersion", "starrocks.com/v1"},
        {"kind", "StarRocksCluster"},
        {"metadata",
         {{"name", name_},
          {"namespace", plane_.name_space},
          {"annotations", {{"starrocks.com/upgrade-hooks", "disable-tablet-clone,disable-tablet-balancing"}}}}},
        {"spec", {{"starRocksBeSpec", {{"image", kOld}, {"replicas", 1}}}}}};
    REQUIRE(plane_.client->create_object(kube::kClusters, plane_.name_space, object, in_seconds(10)).ok());
  }
  void start_gate() {
    const auto kubeconfig = plane_.file("proxied.kubeconfig");
    std::ofstream(kubeconfig) << "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
                              << "clusters: [{name: test, cluster: {server: 'http://127.0.0.1:" << proxy_.port()
                              << "'}}]\nusers: [{name: test, user: {}}]\n"
                              << "contexts: [{name: test, context: {cluster: test, user: test}}]\n";
    auto started = std::make_unique<GateProcess>(
        std::vector<std::string>{"--listen",
                                 "127.0.0.1:" + std::to_string(plane_.port),
                                 "--ops-listen",
                                 "127.0.0.1:0",
                                 "--tls-cert-file",
                                 plane_.file("tls.crt"),
                                 "--tls-key-file",
                                 plane_.file("tls.key"),
                                 "--kubeconfig",
                                 kubeconfig,
                                 "--frontend-address",
                                 "127.0.0.1:" + std::to_string(frontends_.frontend(0).port()),
                                 "--identity",
                                 "gate-0",
                                 "--reassert-interval",
                                 "1s",
                                 "--admission-wait",
                                 "2s",
                                 "--drain",
                                 "0s"},
        "chaos-gate.log");
    plane_.register_webhooks(started->port());
    const std::lock_guard lock(mutex_);
    gate_ = std::move(started);
    armed_ = true;
  }
  void revive() {
    {
      const std::lock_guard lock(mutex_);
      if (kills_ == revived_) return;
      revived_ = kills_;
    }
    start_gate();
  }
  /// As a user who repeats the same apply; the image that the object has then.
  std::string ask_for_new() {
    const json patch{{"spec", {{"starRocksBeSpec", {{"image", kNew}}}}}};
    const auto done = plane_.client->merge_patch(kube::kClusters, plane_.name_space, name_, {}, patch, in_seconds(20));
    return done ? (*done)["spec"]["starRocksBeSpec"]["image"].get<std::string>() : kOld;
  }
  /// The operator's StatefulSet, as it looks when the rollout is over.
  void roll_out() {
    if (rolled_out_) return;
    rolled_out_ = true;
    const json labels{{"app", name_}};
    json set{{"apiVersion", "apps/v1"},
             {"kind", "StatefulSet"},
             {"metadata", {{"name", name_ + "-be"}, {"namespace", plane_.name_space}}},
             {"spec",
              {{"replicas", 1},
               {"serviceName", name_ + "-be-search"},
               {"selector", {{"matchLabels", labels}}},
               {"template",
                {{"metadata", {{"labels", labels}}},
                 {"spec", {{"containers", json::array({{{"name", "be"}, {"image", kNew}}})}}}}}}}};
    frontends_.set_backends({{"be-0", true, "", 1}, {"be-1", true, "", 1}, {"be-2", true, "", 1}});  // started again
    auto stored = plane_.client->create_object(kube::kStatefulSets, plane_.name_space, set, in_seconds(10)).value();
    stored["status"] = {{"observedGeneration", 1}, {"replicas", 1},         {"readyReplicas", 1},
                        {"updatedReplicas", 1},    {"currentReplicas", 1},  {"availableReplicas", 1},
                        {"currentRevision", "r2"}, {"updateRevision", "r2"}};
    REQUIRE(
        plane_.client->replace(kube::kStatefulSets, plane_.name_space, name_ + "-be", "status", stored, in_seconds(10))
            .ok());
  }
  [[nodiscard]] std::vector<json> records() {
    std::vector<json> mine;
    const auto all = plane_.client->list(kube::kPreparations, plane_.name_space, in_seconds(10)).value();
    for (const auto& record : all.items) {
      if (record.at("spec").at("clusterRef").at("name") == name_) mine.push_back(record);
    }
    return mine;
  }
  [[nodiscard]] std::string stage() {
    const auto all = records();
    return all.empty() ? "" : all.back().value("status", json::object()).value("stage", "");
  }
  /// What comes after the last write of the record, events and the mirror, has been asked for.
  [[nodiscard]] bool quiet() {
    const std::lock_guard lock(mutex_);
    return revived_ == kills_ && std::chrono::steady_clock::now() - last_step_ > 200ms;
  }
  [[nodiscard]] std::size_t times(const std::string& sql) const {
    const auto all = frontends_.statements();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const ReceivedStatement& one) { return one.sql == sql; }));
  }
  [[nodiscard]] std::string report() const {
    std::string out = "killed at " + boundary_ + "\n";
    for (const auto& statement : frontends_.statements()) {
      if (statement.sql.starts_with("ADMIN SET")) out += statement.sql + "\n";
    }
    return out + (gate_ ? gate_->log() : "");
  }
  static std::string next_name() {
    static int last = 0;
    return "sr-" + std::to_string(++last);
  }

  Plane& plane_ = Plane::get();
  const std::string name_ = next_name();
  const std::string boundary_;
  bool rolled_out_ = false;
  std::size_t revived_ = 0;

  std::mutex mutex_;
  std::unique_ptr<GateProcess> gate_;                  // guarded by mutex_
  std::vector<std::string> passed_;                    // guarded by mutex_
  std::map<std::string, int> times_;                   // guarded by mutex_
  std::size_t kills_ = 0;                              // guarded by mutex_
  bool armed_ = false;                                 // guarded by mutex_; a gate is ready
  std::chrono::steady_clock::time_point last_step_{};  // guarded by mutex_

  // Last: their threads call the above.
  FrontendSimulator frontends_{{.on_statement = [this](const ReceivedStatement& one) { arrives(one); }}};
  ApiProxy proxy_{kube_config_from_file(api_server().kubeconfig()).value()};
};

TEST_CASE("SIGKILL at every statement and every request of a real upgrade, and started again: the end is the same") {
  // The number of looks at a rollout varies: a later one is not in every life.
  constexpr int kTriesMax = 2;
  const auto began = std::chrono::steady_clock::now();
  std::map<std::string, int> tries;
  std::vector<std::string> left;
  {
    Life unharmed("");
    unharmed.run();
    left = unharmed.passed();
  }
  REQUIRE(left.size() >= 40);
  std::size_t met = 0;
  std::string missed;
  while (!left.empty()) {
    const auto boundary = left.back();
    left.pop_back();
    if (!worth_a_life(boundary) || tries[boundary] != 0) continue;
    bool killed = false;
    while (!killed && tries[boundary]++ < kTriesMax) {
      Life life(boundary);
      life.run();
      killed = life.killed();
      for (const auto& other : life.passed()) {
        if (worth_a_life(other) && !tries.contains(other)) left.push_back(other);
      }
    }
    if (killed) ++met;
    if (!killed && boundary.ends_with("#1")) missed += boundary + "\n";
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("process kill matrix: killed at " << met << " of " << tries.size() << " boundaries, in " << took.count()
                                            << " s");
  CHECK(missed == "");
  CHECK(met * 10 >= tries.size() * 8);
}

}  // namespace
}  // namespace gate
