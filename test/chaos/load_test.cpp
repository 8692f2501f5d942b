// Many clusters at once: all prepared, none twice, by a bounded number of workers, spread over the replicas; and what a
// large fleet costs at rest and while all of it rolls out. Figures are printed.

#include <doctest/doctest.h>
#include <malloc.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "server/admission/admission_service.hpp"
#include "test/chaos/counted_api.hpp"
#include "test/chaos/mortal_gate.hpp"
#include "test/server/admission/review_of.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

/// Any number of clusters "sr-<n>", each with one FE given by a port, images as the test says.
class Fleet final : public ClusterAccess {
 public:
  Fleet(ApiCalls& calls, std::function<FrontendAccess(const std::string& cluster)> access)
      : calls_(calls), access_(std::move(access)) {}
  Result<FrontendAccess> frontend_access(const std::string&, const std::string& cluster, Deadline) override {
    calls_.reads += 2;  // Service and Secret
    return access_(cluster);
  }
  Result<json> get_object(const std::string&, const ObjectRef& object, Deadline) override {
    ++calls_.reads;
    auto out = object_with(upgraded ? "fe:2" : "fe:1", object.uid);
    out["metadata"]["name"] = object.name;
    return out;
  }
  Result<std::map<std::string, std::string>> config_map(const std::string&, const std::string&, Deadline) override {
    return Error{ErrorCode::NotFound, "none"};
  }
  Result<std::string> secret_value(const std::string&, const std::string&, const std::string&, Deadline) override {
    return Error{ErrorCode::NotFound, "none"};
  }
  Result<bool> may(const UserInfo&, std::string_view, const std::string&, Deadline) override {
    ++calls_.reads;
    return false;
  }
  Result<FrontendLife> frontend_life(const std::string&, const std::string&, Deadline) override {
    return FrontendLife::MayLive;
  }
  Result<RolloutState> rollout_state(const Preparation&, const RolloutGoal&, Deadline) override {
    ++calls_.reads;
    return RolloutState{rolled_out, rolled_out ? "" : "StatefulSet", true, rolled_out, {}};
  }
  Status mirror_status(const Preparation&, Deadline) override {
    ++calls_.writes;
    return Ok{};
  }
  void emit_event(const Preparation&, bool, const std::string&, const std::string&) override { calls_.writes += 2; }

  std::atomic<bool> upgraded{false};
  std::atomic<bool> rolled_out{false};

 private:
  ApiCalls& calls_;
  const std::function<FrontendAccess(const std::string& cluster)> access_;
};

std::size_t number_of(const std::string& cluster) { return std::stoul(cluster.substr(3)); }

json upgrade_of(const std::string& cluster) {
  const auto object = [&](const char* image) {
    auto out = object_with(image, "uid-" + cluster);
    out["metadata"]["name"] = cluster;
    out["spec"]["upgradePreparation"] = {
        {"enabled", true},
        {"hooks", json::array({{{"name", "no-clone"}, {"command", set_config_sql(kScheduling, "0")}},
                               {{"name", "image"}, {"command", "ALTER SYSTEM CREATE IMAGE"}}})}};
    return out;
  };
  auto review = review_of(object("fe:1"), object("fe:2"));
  review["request"]["uid"] = "uid-" + cluster;
  review["request"]["userInfo"] = {{"username", "fleet-manager"}};
  return review;
}

/// A replica of the whole gate but for its sockets towards clients.
struct FleetGate {
  FleetGate(PreparationStore& store, ClusterAccess& clusters, const Clock& clock, spdlog::logger& log,
            const std::string& identity)
      : waiters(store),
        controller(store, {clusters, connector, http, scripts}, clock, log, options_of(identity)),
        service({store, clusters, controller, waiters, clock, log}, {kAmple, {}, {}}, [](const ReviewOutcome&) {}) {
    store.observe([this](const Preparation& record, bool removed) {
      waiters.notify(record, removed);
      controller.record_changed(record, removed);
    });
    controller.start();
  }
  static ControllerOptions options_of(const std::string& identity) {
    ControllerOptions options;  // as shipped
    options.identity = identity;
    options.default_hooks = {"recommended"};
    return options;
  }
  MysqlFrontendConnector connector;
  ScriptedHttp http;
  ScriptedJobs scripts;
  OutcomeWaiters waiters;
  PreparationController controller;
  AdmissionService service;
};

TEST_CASE("200 clusters are changed in the same second: all prepared, none twice, fairly spread over two replicas") {
  constexpr std::size_t kClusters = kSanitized ? 40 : 200;
  std::vector<std::unique_ptr<FrontendSimulator>> frontends;
  for (std::size_t i = 0; i < kClusters; ++i) frontends.push_back(std::make_unique<FrontendSimulator>());
  ApiCalls calls;
  const SystemClock clock;
  spdlog::logger log("load");
  MemoryPreparationStore memory(clock);
  CountedStore store(memory, calls);
  Fleet fleet(calls, [&](const std::string& cluster) {
    FrontendAccess access;
    access.address = {"127.0.0.1", frontends[number_of(cluster)]->frontend(0).port()};
    return access;
  });
  FleetGate first(store, fleet, clock, log, "gate-0");
  FleetGate second(store, fleet, clock, log, "gate-1");

  const auto began = std::chrono::steady_clock::now();
  std::atomic<std::size_t> allowed{0};
  std::atomic<std::size_t> asked{0};
  std::vector<std::jthread> clients;
  for (std::size_t i = 0; i < kClusters; ++i) {
    clients.emplace_back([&, i] {
      auto& service = i % 2 == 0 ? first.service : second.service;
      const auto body = upgrade_of(cluster_name(i)).dump();
      // As GitOps does it: again and again. More admissions than may wait at once are answered on hold.
      for (const auto until = began + 5min; std::chrono::steady_clock::now() < until;) {
        ++asked;
        const auto reply = service.review(AdmissionService::kGatePath, body);
        if (json::parse(reply.body).at("response").at("allowed") == true) {
          ++allowed;
          return;
        }
        const auto records = memory.list_of_cluster("db", cluster_name(i), ample()).value();
        if (!records.empty()) first.waiters.wait("db", records.front().name, std::chrono::steady_clock::now() + 1s);
      }
    });
  }
  clients.clear();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  CHECK(allowed == kClusters);
  // Each tells the other of its last writes, and counts what it has written.
  first.controller.stop();
  second.controller.stop();
  CHECK(memory.cached().size() == kClusters);
  for (std::size_t i = 0; i < kClusters; ++i) {
    std::size_t images = 0;
    std::size_t sets = 0;
    for (const auto& statement : frontends[i]->statements()) {
      images += statement.sql == "ALTER SYSTEM CREATE IMAGE" ? 1 : 0;
      sets += statement.sql == set_config_sql(kScheduling, "0") ? 1 : 0;
    }
    CHECK(images == 1);
    CHECK(sets == 1);
  }
  const auto mine = first.controller.stats().prepared;
  const auto others = second.controller.stats().prepared;
  MESSAGE(kClusters << " clusters at once: all admitted after " << took.count() << " s by 2 replicas of 8 workers ("
                    << mine << " and " << others << "), " << asked.load() << " reviews, " << calls.all() / kClusters
                    << " API requests each");
  CHECK(mine + others == kClusters);
  CHECK(mine * 4 >= kClusters);
  CHECK(others * 4 >= kClusters);
}

/// FEs without sockets: each cluster's host has its configuration, and answers at once.
class InstantFrontends final : public FrontendConnector {
 public:
  explicit InstantFrontends(ApiCalls& calls) : calls_(calls) {}
  Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access, Deadline) override {
    return Result<std::unique_ptr<FrontendSession>>(std::make_unique<Session>(*this, access.address.host));
  }
  void interrupt() override {}

 private:
  class Session final : public FrontendSession {
   public:
    Session(InstantFrontends& owner, std::string host) : owner_(owner), host_(std::move(host)) {}
    Result<QueryResult> execute(std::string_view sql, Deadline) override {
      const ApiCalls::UnderWay under_way(owner_.calls_);
      QueryResult out;
      if (sql == "SHOW FRONTENDS") {
        out.columns = {"IP", "QueryPort", "Alive", "Role"};
        out.rows = {{host_, "9030", "true", "LEADER"}};
      } else if (sql.starts_with("ADMIN SHOW")) {
        const std::lock_guard lock(owner_.mutex_);
        out.columns = {"Key", "Value"};
        out.rows = {{kScheduling, owner_.set_.contains(host_) ? "0" : kSchedulingDefault}};
      } else if (sql.starts_with("ADMIN SET")) {
        const std::lock_guard lock(owner_.mutex_);
        if (sql == set_config_sql(kScheduling, "0")) {
          owner_.set_.insert(host_);
        } else {
          owner_.set_.erase(host_);
        }
      }
      return out;
    }

   private:
    InstantFrontends& owner_;
    const std::string host_;
  };
  ApiCalls& calls_;
  std::mutex mutex_;
  std::set<std::string> set_;  // guarded by mutex_; hosts whose scheduler is held still
};

/// An FE whose address is its cluster's name.
FrontendAccess frontend_named(const std::string& cluster) {
  FrontendAccess access;
  access.address.host = cluster;
  return access;
}

TEST_CASE("an API server that is away for a minute is not hammered by 200 open records, and is found again soon") {
  bool reads_work = false;
  SUBCASE("nothing works") {}
  SUBCASE("reads work, writes do not") { reads_work = true; }
  constexpr std::size_t kRecords = 200;
  ApiCalls calls;
  HandMovedTime time;
  const MachineClock clock(time, 0ms);
  spdlog::logger log("load");
  MemoryPreparationStore memory(clock);
  CountedStore store(memory, calls);
  Fleet fleet(calls, frontend_named);
  InstantFrontends frontends(calls);
  ScriptedHttp http;
  ScriptedJobs scripts;
  PreparationController controller(store, {fleet, frontends, http, scripts}, clock, log,
                                   FleetGate::options_of("gate-0"));
  store.observe([&](const Preparation& record, bool removed) { controller.record_changed(record, removed); });
  for (std::size_t i = 0; i < kRecords; ++i) {
    auto record = record_of(cluster_name(i), {no_scheduling()});
    record.spec.cluster = record.spec.object.name = cluster_name(i);
    record.spec.object.uid = "uid-" + cluster_name(i);
    REQUIRE(memory.create(record, ample()).ok());
  }
  const auto prepared = [&] {
    const auto all = memory.cached();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [](const Preparation& record) { return record.status.stage == Stage::Prepared; }));
  };
  const auto quiet = [&] { wait_until_quiet(calls); };
  const auto tick = [&] {
    time.move(500ms);
    // A key that nobody has makes waiting workers look at the clock.
    controller.record_changed(record_of("nobody", {}), false);
    quiet();
  };

  (reads_work ? store.read_only : store.away) = true;
  controller.start();
  quiet();
  for (int half_second = 0; half_second < 120; ++half_second) tick();
  const auto asked = calls.all();
  CHECK(prepared() == 0);

  (reads_work ? store.read_only : store.away) = false;
  // The longest pause is over: no more time passes, and all are looked at.
  time.move(8s);
  const auto give_up = ample();
  while (prepared() < kRecords) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    controller.record_changed(record_of("nobody", {}), false);
    quiet();
  }
  MESSAGE(kRecords << " open records, the API server " << std::string(reads_work ? "read-only" : "away")
                   << " for a minute: " << asked << " requests in it by 8 workers");
  // At most 18 rounds of all workers, a read and a write each. Each record by itself would ask every 2 s: 6,000 times.
  CHECK(asked >= 1);
  CHECK(asked <= 300);
  controller.stop();
}

std::chrono::nanoseconds processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

TEST_CASE("1,000 clusters and 10,000 records: bounded in memory and in requests to the API server") {
  constexpr std::size_t kClusters = kSanitized ? 100 : 1000;
  constexpr std::size_t kRecordsEach = 10;
  ApiCalls calls;
  HandMovedTime time;
  const MachineClock clock(time, 0ms);
  spdlog::logger log("load");
  MemoryPreparationStore memory(clock);
  CountedStore store(memory, calls);
  const auto used = [] { return static_cast<double>(mallinfo2().uordblks) / (1 << 20); };

  const auto before = used();
  for (std::size_t i = 0; i < kClusters; ++i) {
    for (std::size_t n = 0; n < kRecordsEach; ++n) {
      auto record = record_of(cluster_name(i) + "-0123456789-" + std::to_string(n + 1), {no_scheduling()});
      record.spec.cluster = record.spec.object.name = cluster_name(i);
      record.spec.object.uid = "uid-" + cluster_name(i);
      record.spec.attempt = static_cast<int>(n + 1);
      auto stored = memory.create(record, ample()).value();
      if (n + 1 == kRecordsEach) continue;  // the newest is to be worked on
      stored.status.phase = Phase::Completed;
      stored.status.stage = Stage::Closed;
      stored.status.outcome = Outcome::Succeeded;
      stored.status.captured = {{kScheduling, kSchedulingDefault, "0"}};
      REQUIRE(memory.update_status(stored, ample()).ok());
      REQUIRE(memory.let_go(stored.name_space, stored.name, ample()).ok());
    }
  }
  const auto with_records = used();
  Fleet fleet(calls, frontend_named);
  InstantFrontends frontends(calls);
  ScriptedHttp http;
  ScriptedJobs scripts;
  const HookPeers peers{fleet, frontends, http, scripts};
  PreparationController first(store, peers, clock, log, FleetGate::options_of("gate-0"));
  PreparationController second(store, peers, clock, log, FleetGate::options_of("gate-1"));
  store.observe([&](const Preparation& record, bool removed) {
    first.record_changed(record, removed);
    second.record_changed(record, removed);
  });
  const auto in_stage = [&](Stage stage) {
    const auto all = memory.cached();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Preparation& record) { return record.status.stage == stage; }));
  };
  const auto quiet = [&] { wait_until_quiet(calls); };
  /// A minute of the fleet's time; requests to the API server in it.
  const auto minute = [&] {
    const auto started = calls.all();
    for (int second_of_minute = 0; second_of_minute < 60; ++second_of_minute) {
      time.move(1s);
      // A key that nobody has makes waiting workers look at the clock.
      auto nobody = record_of("nobody", {});
      first.record_changed(nobody, false);
      second.record_changed(nobody, false);
      quiet();
    }
    return calls.all() - started;
  };

  const auto began = std::chrono::steady_clock::now();
  first.start();
  second.start();
  // A fleet takes half a minute of two quiet processors.
  const auto give_up = std::chrono::steady_clock::now() + 600s;
  while (in_stage(Stage::Prepared) < kClusters) REQUIRE(std::chrono::steady_clock::now() < give_up);
  const std::chrono::duration<double> prepared_after = std::chrono::steady_clock::now() - began;
  quiet();
  const auto preparing = calls.all();
  fleet.upgraded = true;
  minute();
  CHECK(in_stage(Stage::RollingOut) == kClusters);
  const auto rolling = minute();
  const auto with_work = used();

  // What a change of one cluster costs: the operator writes each cluster's status now and then.
  // Of this thread's processor time: the machine may be busy with others.
  const auto event_began = processor_time();
  for (std::size_t i = 0; i < 100; ++i) first.object_changed("db", "StarRocksCluster", "no-such-cluster");
  const auto event_took = std::chrono::duration_cast<std::chrono::microseconds>((processor_time() - event_began) / 100);

  fleet.rolled_out = true;
  minute();
  CHECK(in_stage(Stage::Closed) == memory.cached().size());
  minute();
  const auto resting = minute();
  MESSAGE(kClusters << " clusters, " << memory.cached().size() << " records: records take " << (with_records - before)
                    << " MiB, two controllers at work " << (with_work - with_records) << " MiB; all prepared after "
                    << prepared_after.count() << " s with " << preparing / kClusters
                    << " API requests each; per minute and cluster while all roll out: "
                    << static_cast<double>(rolling) / static_cast<double>(kClusters)
                    << " requests; per minute at rest: " << resting
                    << " requests; an event of another object: " << event_took.count() << " us");
  // The ticks themselves ask for a record that is not there, by each replica.
  CHECK(resting <= 120);
  CHECK(static_cast<double>(rolling) / static_cast<double>(kClusters) <= 30);
  CHECK(with_records - before < 100);
  CHECK(with_work - with_records < 100);
  CHECK(event_took < 2ms);
  first.stop();
  second.stop();
}

}  // namespace
}  // namespace gate
