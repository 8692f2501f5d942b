#pragma once
// A cluster to prepare: records in memory, FEs as sockets, the object and its rollout as the test wants them.

#include <spdlog/logger.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "policy/hooks/sql.hpp"
#include "server/memory/memory_preparation_store.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/preparation/lifecycle/controller.hpp"
#include "server/starrocks/frontend_client.hpp"
#include "test/fakes/frontend_simulator.hpp"

namespace gate::test {

inline constexpr std::chrono::seconds kAmple{30};  // For what must come, on a slow machine too.

inline Deadline ample() { return std::chrono::steady_clock::now() + kAmple; }

/// Real for waiting; what it shows can be moved.
class MovableClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady_now() const override {
    return std::chrono::steady_clock::now() + std::chrono::seconds(passed_.load());
  }
  [[nodiscard]] WallTime wall_now() const override {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) +
           std::chrono::seconds(ahead_.load());
  }
  /// As if somebody set the wall clock: nothing that is measured notices.
  void move(std::chrono::seconds by) { ahead_ += by.count(); }
  /// As if time went by: what is waited for is due, once something wakes who waits.
  void pass(std::chrono::seconds by) {
    ahead_ += by.count();
    passed_ += by.count();
  }

 private:
  std::atomic<std::int64_t> ahead_{0};
  std::atomic<std::int64_t> passed_{0};
};

/// Something moved: whoever waits looks again.
class Signal {
 public:
  void notify() {
    {
      const std::lock_guard lock(mutex_);
      ++moves_;
    }
    moved_.notify_all();
  }
  /// Until `holds`; looks again at each notify(), and now and then since FEs change without one.
  [[nodiscard]] bool eventually(const std::function<bool()>& holds) {
    const auto deadline = ample();
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto seen = moves_;
      lock.unlock();
      if (holds()) return true;
      if (std::chrono::steady_clock::now() >= deadline) return false;
      lock.lock();
      moved_.wait_for(lock, std::chrono::milliseconds(20), [&] { return moves_ != seen; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable moved_;
  std::uint64_t moves_ = 0;
};

/// The Kubernetes side, as the test says it is.
class ScriptedClusters final : public ClusterAccess {
 public:
  ScriptedClusters(Signal& signal, FrontendAccess access) : signal_(signal), access_(std::move(access)) {}

  Result<FrontendAccess> frontend_access(const std::string&, const std::string&, Deadline) override {
    if (no_access) return *no_access;
    return access_;
  }
  Result<FrontendAccess> frontend_access_of(const nlohmann::json& object, const std::string& name_space,
                                            const std::string& cluster, Deadline deadline) override {
    {
      const std::lock_guard lock(mutex_);
      handed_over_ = object;
    }
    return frontend_access(name_space, cluster, deadline);
  }
  /// The object by which the FE's login was looked up last, for who had read it already.
  [[nodiscard]] nlohmann::json handed_over() const {
    const std::lock_guard lock(mutex_);
    return handed_over_;
  }
  /// Why the FE's address or login is not known; set before any other thread asks.
  std::optional<Error> no_access{};
  Result<nlohmann::json> get_object(const std::string&, const ObjectRef&, Deadline) override {
    const std::lock_guard lock(mutex_);
    if (object_.is_null()) return Error{ErrorCode::NotFound, "no such object"};
    return object_;
  }
  Result<std::map<std::string, std::string>> config_map(const std::string&, const std::string& name,
                                                        Deadline) override {
    const std::lock_guard lock(mutex_);
    if (!config_maps_fault_.empty()) return Error{fault_code_, config_maps_fault_};
    const auto found = config_maps_.find(name);
    if (found == config_maps_.end()) return Error{ErrorCode::NotFound, "no ConfigMap " + name};
    return found->second;
  }
  Result<std::string> secret_value(const std::string&, const std::string& name, const std::string& key,
                                   Deadline) override {
    on_secret();
    const std::lock_guard lock(mutex_);
    const auto found = secrets_.find(name + "/" + key);
    if (found == secrets_.end()) return Error{ErrorCode::NotFound, "no Secret " + name + " with " + key};
    return found->second;
  }
  Result<bool> may(const UserInfo& user, std::string_view verb, const std::string&, Deadline) override {
    const std::lock_guard lock(mutex_);
    ++permission_questions_;
    if (!permissions_known_) return Error{fault_code_, "connection refused"};
    return verb == "bypass" && bypassers_.contains(user.username);
  }
  Result<RolloutState> rollout_state(const Preparation&, const RolloutGoal& goal, Deadline) override {
    const std::lock_guard lock(mutex_);
    return goal.forward ? rollout_ : way_back_;
  }
  Result<FrontendLife> frontend_life(const std::string&, const std::string&, Deadline) override {
    const std::lock_guard lock(mutex_);
    return frontend_life_;
  }
  Status mirror_status(const Preparation& record, Deadline) override {
    {
      const std::lock_guard lock(mutex_);
      mirrors_.push_back(record);
    }
    signal_.notify();
    return Ok{};
  }
  Status mirror_on_warehouse(const Preparation& record, Deadline) override {
    {
      const std::lock_guard lock(mutex_);
      warehouse_mirrors_.push_back(record);
    }
    signal_.notify();
    return Ok{};
  }
  Result<std::string> write_cluster_status(const std::string&, const std::string&, const std::string&,
                                           const nlohmann::json& fields, Deadline) override {
    {
      const std::lock_guard lock(mutex_);
      object_["status"].merge_patch(fields);
    }
    signal_.notify();
    return std::string{};
  }
  void emit_event(const Preparation&, bool, const std::string& reason, const std::string& message) override {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(reason);
      event_texts_.push_back(reason + ": " + message);
    }
    signal_.notify();
  }

  Result<std::string> obstacle_to_leading(const std::string&, Deadline) override {
    const std::lock_guard lock(mutex_);
    if (!obstacle_fault_.empty()) return Error{fault_code_, obstacle_fault_};
    return obstacle_;
  }
  void cannot_ask_whether_to_lead(const std::string& fault) {
    const std::lock_guard lock(mutex_);
    obstacle_fault_ = fault;
  }

  void cannot_lead(const std::string& obstacle) {
    const std::lock_guard lock(mutex_);
    obstacle_ = obstacle;
  }
  void set_object(nlohmann::json object) {
    const std::lock_guard lock(mutex_);
    object_ = std::move(object);
  }
  void set_config_map(const std::string& name, std::map<std::string, std::string> data) {
    const std::lock_guard lock(mutex_);
    config_maps_[name] = std::move(data);
  }
  void fail_config_maps(const std::string& fault) {
    const std::lock_guard lock(mutex_);
    config_maps_fault_ = fault;
  }
  /// What kind of errors the next ones are.
  void faults_are(ErrorCode code) {
    const std::lock_guard lock(mutex_);
    fault_code_ = code;
  }
  void set_secret(const std::string& name, const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    secrets_[name + "/" + key] = value;
  }
  /// On Kubernetes, and in the database: `nodes_roll` restarts its nodes.
  void set_rolled_out() {
    set_pods_rolled_out();
    nodes_roll();
  }
  void set_pods_rolled_out() {
    const std::lock_guard lock(mutex_);
    rollout_ = {true, "", true, true, {}};
  }
  /// The forward rollout has begun, and what a way back looks like from now on.
  void set_pods_moved(RolloutState way_back) {
    const std::lock_guard lock(mutex_);
    rollout_ = {false, "StatefulSet sr-fe: 1 of 3 updated", true, false, {}};
    way_back_ = std::move(way_back);
  }
  void set_way_back(RolloutState way_back) {
    const std::lock_guard lock(mutex_);
    way_back_ = std::move(way_back);
  }
  void set_frontend_life(FrontendLife life) {
    const std::lock_guard lock(mutex_);
    frontend_life_ = life;
  }
  void set_bypasser(const std::string& username) {
    const std::lock_guard lock(mutex_);
    bypassers_.insert(username);
  }
  void set_permissions_known(bool known) {
    const std::lock_guard lock(mutex_);
    permissions_known_ = known;
  }
  [[nodiscard]] int permission_questions() const {
    const std::lock_guard lock(mutex_);
    return permission_questions_;
  }
  [[nodiscard]] std::vector<Preparation> mirrors() const {
    const std::lock_guard lock(mutex_);
    return mirrors_;
  }
  [[nodiscard]] std::vector<Preparation> warehouse_mirrors() const {
    const std::lock_guard lock(mutex_);
    return warehouse_mirrors_;
  }
  [[nodiscard]] std::vector<std::string> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  /// "Reason: message"
  [[nodiscard]] std::vector<std::string> event_texts() const {
    const std::lock_guard lock(mutex_);
    return event_texts_;
  }
  [[nodiscard]] nlohmann::json object() const {
    const std::lock_guard lock(mutex_);
    return object_;
  }

 private:
  Signal& signal_;
  const FrontendAccess access_;
  mutable std::mutex mutex_;
  nlohmann::json object_;                                                  // guarded by mutex_
  nlohmann::json handed_over_;                                             // guarded by mutex_
  std::map<std::string, std::map<std::string, std::string>> config_maps_;  // guarded by mutex_
  std::string obstacle_;
  std::string obstacle_fault_;
  std::string config_maps_fault_;                                       // guarded by mutex_; empty: none
  ErrorCode fault_code_ = ErrorCode::Unavailable;                       // guarded by mutex_
  std::map<std::string, std::string> secrets_;                          // guarded by mutex_; by "name/key"
  RolloutState rollout_{false, "StatefulSet sr-fe", false, false, {}};  // guarded by mutex_; forward
  RolloutState way_back_{true, "", true, true, {}};                     // guarded by mutex_; pods never left
  FrontendLife frontend_life_ = FrontendLife::Gone;                     // guarded by mutex_
  std::vector<Preparation> mirrors_;                                    // guarded by mutex_
  std::vector<Preparation> warehouse_mirrors_;                          // guarded by mutex_
  std::vector<std::string> events_;                                     // guarded by mutex_
  std::vector<std::string> event_texts_;                                // guarded by mutex_
  std::set<std::string> bypassers_;                                     // guarded by mutex_
  bool permissions_known_ = true;                                       // guarded by mutex_
  int permission_questions_ = 0;                                        // guarded by mutex_

 public:
  std::function<void()> nodes_roll = [] {};  ///< Set before use.
  std::function<void()> on_secret = [] {};   ///< Called when one is read; set before use.
};

/// The other service, as the test says it answers: the next answers in turn, the last one stays.
class ScriptedHttp final : public HttpCaller {
 public:
  Result<HttpCallReply> post(const HttpCallRequest& request, Deadline) override {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    if (answers_.empty()) return Error{ErrorCode::Unavailable, "nobody answers " + request.url};
    auto answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    return answer;
  }
  void interrupt() override { answer({Error{ErrorCode::Unavailable, "shutting down"}}); }

  void answer(std::deque<Result<HttpCallReply>> answers) {
    const std::lock_guard lock(mutex_);
    answers_ = std::move(answers);
  }
  [[nodiscard]] std::vector<HttpCallRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<Result<HttpCallReply>> answers_;  // guarded by mutex_
  std::vector<HttpCallRequest> requests_;      // guarded by mutex_
};

/// Kubernetes Jobs that end as the test says.
class ScriptedJobs final : public ScriptJobs {
 public:
  [[nodiscard]] std::string unavailable_because() const override {
    on_question();
    return {};
  }
  Result<ScriptJobState> run(const Preparation&, const ScriptJob& job, Deadline) override {
    const std::lock_guard lock(mutex_);
    const auto name = name_of(job);
    if (jobs_.insert(name).second) created_.push_back(name);
    const auto state = states_.find(job.function);
    return state == states_.end() ? ScriptJobState{} : state->second;
  }
  Status remove(const Preparation&, const ScriptJob& job, Deadline) override {
    const std::lock_guard lock(mutex_);
    ++removals_;
    if (removal_fault_) return *removal_fault_;
    jobs_.erase(name_of(job));
    return Ok{};
  }

  /// How Jobs of `function` are doing from now on; until then they are running.
  void set_state(const std::string& function, ScriptJobState state) {
    const std::lock_guard lock(mutex_);
    states_[function] = std::move(state);
  }
  /// What deleting a Job ends in from now on; nullopt: it is deleted.
  void fail_removal(std::optional<Error> fault) {
    const std::lock_guard lock(mutex_);
    removal_fault_ = std::move(fault);
  }
  [[nodiscard]] int removals() const {
    const std::lock_guard lock(mutex_);
    return removals_;
  }
  /// "hook/pre_upgrade/1", in the order of their creation.
  [[nodiscard]] std::vector<std::string> created() const {
    const std::lock_guard lock(mutex_);
    return created_;
  }
  [[nodiscard]] std::set<std::string> existing() const {
    const std::lock_guard lock(mutex_);
    return jobs_;
  }

 private:
  static std::string name_of(const ScriptJob& job) {
    return job.hook + "/" + job.function + "/" + std::to_string(job.attempt);
  }
  mutable std::mutex mutex_;
  std::map<std::string, ScriptJobState> states_;  // guarded by mutex_; by function
  std::set<std::string> jobs_;                    // guarded by mutex_
  std::optional<Error> removal_fault_;            // guarded by mutex_
  int removals_ = 0;                              // guarded by mutex_
  std::vector<std::string> created_;              // guarded by mutex_

 public:
  std::function<void()> on_question = [] {};  ///< Called before each look at a Job; set before use.
};

inline Hook setting_hook(const std::string& name, const std::string& key, const std::string& value,
                         bool critical = true) {
  Hook hook;
  hook.name = name;
  hook.action = SqlAction{set_config_sql(key, value), ConfigSetting{key, value}};
  hook.critical = critical;
  hook.timeout = kAmple;
  return hook;
}

inline Hook statement_hook(const std::string& name, const std::string& sql, bool critical = true) {
  Hook hook;
  hook.name = name;
  hook.action = SqlAction{sql, std::nullopt};
  hook.critical = critical;
  hook.timeout = kAmple;
  return hook;
}

inline Hook hook_of(const std::string& name, HookAction action, bool critical = true) {
  Hook hook;
  hook.name = name;
  hook.action = std::move(action);
  hook.critical = critical;
  hook.timeout = kAmple;
  return hook;
}

inline Hook no_scheduling() { return setting_hook("disable-tablet-clone", "tablet_sched_max_scheduling_tablets", "0"); }
inline constexpr const char* kScheduling = "tablet_sched_max_scheduling_tablets";
inline constexpr const char* kSchedulingDefault = "10000";

inline nlohmann::json object_with(const std::string& image, const std::string& uid = "uid-sr") {
  return {{"kind", "StarRocksCluster"},
          {"metadata", {{"namespace", "db"}, {"name", "sr"}, {"uid", uid}}},
          {"spec", {{"starRocksFeSpec", {{"image", image}}}}}};
}

inline Preparation record_of(const std::string& name, std::vector<Hook> hooks) {
  Preparation record;
  record.name = name;
  record.name_space = "db";
  record.spec.object = {"StarRocksCluster", "sr", "uid-sr"};
  record.spec.cluster = "sr";
  record.spec.changes = {{Component::Frontend, "fe:1", "fe:2"}};
  record.spec.hooks = std::move(hooks);
  return record;
}

class World {
 public:
  explicit World(FrontendSimulatorOptions frontends = {})
      : password_(frontends.password), simulator(std::move(frontends)), clusters(signal, access()), log("test") {
    clusters.set_object(object_with("fe:1"));
    clusters.nodes_roll = [this] { simulator.roll_out(); };
    store.observe([this](const Preparation& record, bool removed) {
      {
        const std::lock_guard lock(mutex_);
        last_[record.name] = record;
        for (auto* controller : controllers_) controller->record_changed(record, removed);
      }
      signal.notify();
    });
  }

  [[nodiscard]] FrontendAccess access() {
    FrontendAccess out;
    out.address = {"127.0.0.1", simulator.frontend(0).port()};
    out.password = password_;
    return out;
  }
  Preparation create(const Preparation& record) {
    auto made = store.create(record, ample());
    if (!made) throw std::runtime_error(made.error().message);
    return *made;
  }
  [[nodiscard]] Preparation get(const std::string& name) {
    auto found = store.get("db", name, ample());
    return found ? *found : Preparation{};
  }
  /// As it was written last, also of one that is gone.
  [[nodiscard]] Preparation last(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return last_[name];
  }
  /// The status of a record is written as if by somebody else.
  void write(const std::string& name, const std::function<void(PreparationStatus&)>& change) {
    for (;;) {
      auto record = store.get("db", name, ample());
      if (!record) throw std::runtime_error(record.error().message);
      change(record->status);
      if (auto written = store.update_status(*record, ample()); written) return;
    }
  }
  [[nodiscard]] bool reaches(const std::string& name, Stage stage) {
    return signal.eventually([&] { return get(name).status.stage == stage; });
  }
  [[nodiscard]] std::string config(std::size_t frontend = 0, const std::string& key = kScheduling) {
    return simulator.frontend(frontend).config(key).value_or("?");
  }
  void object_becomes(nlohmann::json object) {
    clusters.set_object(std::move(object));
    const std::lock_guard lock(mutex_);
    for (auto* controller : controllers_) controller->object_changed("db", "StarRocksCluster", "sr");
  }

 private:
  const std::string password_;  // before what is made with it

 public:
  MovableClock clock;
  Signal signal;
  MemoryPreparationStore store{clock};
  FrontendSimulator simulator;
  ScriptedClusters clusters;
  ScriptedHttp http;
  ScriptedJobs scripts;
  spdlog::logger log;

 private:
  friend class Replica;
  std::mutex mutex_;
  std::vector<PreparationController*> controllers_;  // guarded by mutex_
  std::map<std::string, Preparation> last_;          // guarded by mutex_
};

inline HookRunnerOptions quick_hooks() {
  HookRunnerOptions options;
  options.retry = {std::chrono::milliseconds(10), std::chrono::milliseconds(50)};
  options.poll_max = std::chrono::milliseconds(20);
  return options;
}

inline ControllerOptions quick_options(const std::string& identity) {
  ControllerOptions options;
  options.identity = identity;
  options.workers = 4;
  options.look_distance = std::chrono::milliseconds(20);
  options.reassert_interval = std::chrono::seconds(1);
  options.claim_renewal = std::chrono::milliseconds(500);
  options.claim_stale_after = std::chrono::seconds(2);
  options.hooks = quick_hooks();
  options.default_hooks = {"disable-tablet-clone"};  // every object asks for hooks
  return options;
}

/// A controller at work in a world.
class Replica {
 public:
  explicit Replica(World& world, const ControllerOptions& options = quick_options("gate-0"))
      : world_(world),
        controller(world.store, {world.clusters, connector_, world.http, world.scripts}, world.clock, world.log,
                   options) {
    {
      const std::lock_guard lock(world_.mutex_);
      world_.controllers_.push_back(&controller);
    }
    controller.start();
  }
  ~Replica() {
    {
      const std::lock_guard lock(world_.mutex_);
      std::erase(world_.controllers_, &controller);
    }
    controller.stop();
  }
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

 private:
  World& world_;
  MysqlFrontendConnector connector_;

 public:
  PreparationController controller;
};

}  // namespace gate::test
