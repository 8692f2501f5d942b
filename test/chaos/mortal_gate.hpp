#pragma once
// A gate that can be killed at any step it takes outside of itself, in a world whose time is moved by hand.
//
// Killed means: from one step boundary on, everything that this gate asks of its store, its cluster and its FEs fails
// for ever, as for a process that is no more; what it asked before has happened. It gets no chance to hand over.

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "policy/record/preparation_spans.hpp"
#include "policy/trace/otlp.hpp"
#include "server/admission/admission_service.hpp"
#include "test/chaos/sanitized.hpp"
#include "test/fakes/forwarding_store.hpp"
#include "test/server/preparation/world.hpp"

namespace gate::test {

inline constexpr const char* kBalancing = "tablet_sched_max_balancing_tablets";
inline constexpr const char* kBalancingDefault = "500";

/// The backends' image: its change leaves the FEs, and what they were told, alone.
inline nlohmann::json object_of(const std::string& image) {
  auto object = object_with("fe:1");
  object["spec"]["starRocksBeSpec"]["image"] = image;
  object["metadata"]["annotations"] = {
      {"starrocks.com/upgrade-hooks", "disable-tablet-clone,disable-tablet-balancing"}};
  return object;
}
inline Preparation backend_record(const std::string& name, std::vector<Hook> hooks, const std::string& to = "be:2") {
  auto record = record_of(name, std::move(hooks));
  record.spec.changes = {{Component::Backend, "be:1", to}};
  return record;
}

/// What all gates of a world do, to know when nobody does anything.
class Activity {
 public:
  void begin() { move(1); }
  void end() { move(-1); }
  /// False as soon as somebody moves; true once nobody has for a while.
  [[nodiscard]] bool quiet() {
    constexpr std::chrono::milliseconds kAWhile{4};
    std::unique_lock lock(mutex_);
    const auto seen = moves_;
    return !moved_.wait_for(lock, kAWhile, [&] { return moves_ != seen; }) && under_way_ == 0;
  }

 private:
  void move(int by) {
    {
      const std::lock_guard lock(mutex_);
      ++moves_;
      under_way_ += by;
    }
    moved_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable moved_;
  std::uint64_t moves_ = 0;
  int under_way_ = 0;
};

/// The time of a world: the real one and what was added by hand.
class HandMovedTime {
 public:
  void move(std::chrono::milliseconds by) { ahead_ += by.count(); }
  [[nodiscard]] std::chrono::milliseconds ahead() const { return std::chrono::milliseconds(ahead_.load()); }

 private:
  std::atomic<std::int64_t> ahead_{0};
};

/// One machine's clock: off by `error` against the world's time, in what it shows and in what it counts from.
class MachineClock final : public Clock {
 public:
  MachineClock(const HandMovedTime& time, std::chrono::milliseconds error) : time_(time), error_(error) {}
  [[nodiscard]] SteadyTime steady_now() const override { return std::chrono::steady_clock::now() + kUptime + off(); }
  [[nodiscard]] WallTime wall_now() const override {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now() + off());
  }
  /// What sockets wait by.
  [[nodiscard]] Deadline real(Deadline deadline) const { return deadline - off() - kUptime; }

 private:
  /// A steady clock counts from 0, however far behind this one is and however young the test's own machine.
  static constexpr std::chrono::hours kUptime{24};
  [[nodiscard]] std::chrono::milliseconds off() const { return time_.ahead() + error_; }
  const HandMovedTime& time_;
  const std::chrono::milliseconds error_;
};

/// When a gate is killed: at a boundary by name, as in "after mirror #2" for its second time, at the n-th of all, or
/// where it is the one that takes the last of the boundaries that several gates have left.
struct Kill {
  std::string at = {};
  std::size_t after_boundaries = SIZE_MAX;
  std::atomic<std::size_t>* left = nullptr;  ///< Outlives the gates. That with 0 left is the last one.
};

/// Whom a step goes to.
enum class Peer { ApiServer, Frontend };

/// The line between one gate and the world: names the step boundaries that pass it and is cut at a chosen one.
/// Thread safe.
class Lifeline {
 public:
  Lifeline(Activity& activity, Kill kill) : activity_(activity), kill_(std::move(kill)) {}

  /// A step that changes nothing outside: one boundary, before it. (After it is before the next one.)
  template <class Out, class Call>
  Out look(Peer peer, const std::string& what, Call&& call) {
    const Working working(activity_);
    if (!pass(peer, "before " + what)) return Error{ErrorCode::Unavailable, "no line"};
    return call();
  }
  /// A step with an effect: it may also have happened without an answer.
  template <class Out, class Call>
  Out act(Peer peer, const std::string& what, Call&& call) {
    const Working working(activity_);
    if (!pass(peer, "before " + what)) return Error{ErrorCode::Unavailable, "no line"};
    Out out = call();
    if (!pass(peer, "after " + what)) return Error{ErrorCode::Unavailable, "no line"};
    return out;
  }

  /// A partition: the API server is unreachable, the FEs are not.
  void set_apart(bool apart) {
    const std::lock_guard lock(mutex_);
    apart_ = apart;
  }
  [[nodiscard]] bool apart() const {
    const std::lock_guard lock(mutex_);
    return apart_;
  }
  [[nodiscard]] bool is_cut() const {
    const std::lock_guard lock(mutex_);
    return is_cut_;
  }
  /// Every boundary so far; the last one is where the line was cut, if it was.
  [[nodiscard]] std::vector<std::string> passed() const {
    const std::lock_guard lock(mutex_);
    return passed_;
  }

 private:
  struct Working {
    explicit Working(Activity& watched) : activity(watched) { activity.begin(); }
    ~Working() { activity.end(); }
    Working(const Working&) = delete;
    Working& operator=(const Working&) = delete;
    Activity& activity;
  };
  [[nodiscard]] bool pass(Peer peer, const std::string& boundary) {
    const std::lock_guard lock(mutex_);
    if (is_cut_ || (apart_ && peer == Peer::ApiServer)) return false;
    passed_.push_back(boundary + " #" + std::to_string(++times_[boundary]));
    const bool last = kill_.left != nullptr && kill_.left->fetch_sub(1) == 0;
    is_cut_ = passed_.back() == kill_.at || passed_.size() > kill_.after_boundaries || last;
    return !is_cut_;
  }

  Activity& activity_;
  const Kill kill_;
  mutable std::mutex mutex_;
  std::vector<std::string> passed_;   // guarded by mutex_
  std::map<std::string, int> times_;  // guarded by mutex_
  bool is_cut_ = false;               // guarded by mutex_
  bool apart_ = false;                // guarded by mutex_
};

class MortalStore final : public ForwardingStore {
 public:
  MortalStore(PreparationStore& store, Lifeline& line) : ForwardingStore(store), line_(line) {}
  /// Stale while the gate is apart, as a watch is.
  std::vector<Preparation> cached() const override {
    const std::lock_guard lock(mutex_);
    if (!line_.apart()) seen_ = store_.cached();
    return seen_;
  }

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    const auto made = [&]() -> Status {
      make();
      return Ok{};
    };
    const auto done = call.writes() ? line_.act<Status>(Peer::ApiServer, call.what, made)
                                    : line_.look<Status>(Peer::ApiServer, call.what, made);
    if (!done) return done.error();
    return std::nullopt;
  }

  Lifeline& line_;
  mutable std::mutex mutex_;
  mutable std::vector<Preparation> seen_;  // guarded by mutex_
};

class MortalClusters final : public ClusterAccess {
 public:
  MortalClusters(ClusterAccess& clusters, const std::atomic<bool>& rolled_out, Lifeline& line)
      : clusters_(clusters), rolled_out_(rolled_out), line_(line) {}
  Result<FrontendAccess> frontend_access(const std::string& name_space, const std::string& cluster,
                                         Deadline deadline) override {
    return line_.look<Result<FrontendAccess>>(Peer::ApiServer, "frontend_access",
                                              [&] { return clusters_.frontend_access(name_space, cluster, deadline); });
  }
  Result<nlohmann::json> get_object(const std::string& name_space, const ObjectRef& object,
                                    Deadline deadline) override {
    return line_.look<Result<nlohmann::json>>(Peer::ApiServer, "get_object",
                                              [&] { return clusters_.get_object(name_space, object, deadline); });
  }
  Result<std::map<std::string, std::string>> config_map(const std::string& name_space, const std::string& name,
                                                        Deadline deadline) override {
    return line_.look<Result<std::map<std::string, std::string>>>(
        Peer::ApiServer, "config_map", [&] { return clusters_.config_map(name_space, name, deadline); });
  }
  Result<std::string> secret_value(const std::string& name_space, const std::string& name, const std::string& key,
                                   Deadline deadline) override {
    return line_.look<Result<std::string>>(Peer::ApiServer, "secret_value",
                                           [&] { return clusters_.secret_value(name_space, name, key, deadline); });
  }
  Result<bool> may(const UserInfo& user, std::string_view verb, const std::string& name_space,
                   Deadline deadline) override {
    return line_.look<Result<bool>>(Peer::ApiServer, "may",
                                    [&] { return clusters_.may(user, verb, name_space, deadline); });
  }
  Result<RolloutState> rollout_state(const Preparation& record, const RolloutGoal& goal, Deadline deadline) override {
    return line_.look<Result<RolloutState>>(Peer::ApiServer, "rollout_state", [&]() -> Result<RolloutState> {
      if (!goal.forward) return clusters_.rollout_state(record, goal, deadline);
      return RolloutState{rolled_out_, rolled_out_ ? "" : "StatefulSet sr-be", true, rolled_out_, {}};
    });
  }
  Result<std::vector<StatefulSetState>> stateful_sets(const Preparation& record, Deadline deadline) override {
    return line_.look<Result<std::vector<StatefulSetState>>>(Peer::ApiServer, "stateful_sets",
                                                             [&] { return clusters_.stateful_sets(record, deadline); });
  }
  Result<FrontendLife> frontend_life(const std::string& name_space, const std::string& cluster,
                                     Deadline deadline) override {
    return line_.look<Result<FrontendLife>>(Peer::ApiServer, "frontend_life",
                                            [&] { return clusters_.frontend_life(name_space, cluster, deadline); });
  }
  Status mirror_status(const Preparation& record, Deadline deadline) override {
    return line_.act<Status>(Peer::ApiServer, "mirror", [&] { return clusters_.mirror_status(record, deadline); });
  }
  Status mirror_on_warehouse(const Preparation& record, Deadline deadline) override {
    return line_.act<Status>(Peer::ApiServer, "mirror on warehouse",
                             [&] { return clusters_.mirror_on_warehouse(record, deadline); });
  }
  void emit_event(const Preparation& record, bool warning, const std::string& reason,
                  const std::string& message) override {
    // Without an answer to lose.
    [[maybe_unused]] const auto told = line_.look<Status>(Peer::ApiServer, "event " + reason, [&]() -> Status {
      clusters_.emit_event(record, warning, reason, message);
      return Ok{};
    });
  }

 private:
  ClusterAccess& clusters_;
  const std::atomic<bool>& rolled_out_;
  Lifeline& line_;
};

class MortalConnector final : public FrontendConnector {
 public:
  MortalConnector(FrontendConnector& connector, Lifeline& line, const MachineClock& clock)
      : connector_(connector), line_(line), clock_(clock) {}
  Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access, Deadline deadline) override {
    using Out = Result<std::unique_ptr<FrontendSession>>;
    ++touches_;
    return line_.look<Out>(Peer::Frontend, "connect", [&]() -> Out {
      auto session = connector_.connect(access, clock_.real(deadline));
      if (!session) return session;
      return Out(std::make_unique<Session>(*this, std::move(session).value()));
    });
  }
  void interrupt() override { connector_.interrupt(); }

  /// How often this gate has called on an FE so far: connections tried and statements sent.
  [[nodiscard]] std::size_t touches() const { return touches_.load(); }

 private:
  class Session final : public FrontendSession {
   public:
    Session(MortalConnector& owner, std::unique_ptr<FrontendSession> session)
        : owner_(owner), session_(std::move(session)) {}
    Result<QueryResult> execute(std::string_view sql, Deadline deadline) override {
      const auto run = [&] {
        ++owner_.touches_;
        return session_->execute(sql, owner_.clock_.real(deadline));
      };
      const std::string text(sql);
      return text.starts_with("ADMIN SET") || text.starts_with("ALTER") || text.starts_with("SET")
                 ? owner_.line_.act<Result<QueryResult>>(Peer::Frontend, text, run)
                 : owner_.line_.look<Result<QueryResult>>(Peer::Frontend, text, run);
    }

   private:
    MortalConnector& owner_;
    std::unique_ptr<FrontendSession> session_;
  };

  FrontendConnector& connector_;
  Lifeline& line_;
  const MachineClock& clock_;
  std::atomic<std::size_t> touches_{0};
};

/// The world of all gates of one story: one StarRocksCluster with its FEs, records in memory, time moved by hand.
class ChaosWorld {
 public:
  /// `watch_statement` is called as each statement arrives at an FE.
  explicit ChaosWorld(FrontendSimulatorOptions frontends = {.frontends = 2})
      : world(with_watch(std::move(frontends), [this](const ReceivedStatement& statement) { judge(statement); })) {
    world.clusters.set_object(object_of("be:1"));
    world.store.observe([this](const Preparation& record, bool removed) {
      if (!removed) judge(record);
      {
        const std::lock_guard lock(mutex_);
        for (const auto& [line, controller] : gates_) {
          if (!line->apart()) controller->record_changed(record, removed);
        }
      }
      world.signal.notify();
    });
  }

  void object_becomes(nlohmann::json object) {
    pods_rolled_out = false;
    world.clusters.set_object(std::move(object));
    const std::lock_guard lock(mutex_);
    for (const auto& [line, controller] : gates_) {
      if (!line->apart()) controller->object_changed("db", "StarRocksCluster", "sr");
    }
  }

  /// The backends have started again with their new image.
  void rolls_out() {
    ++rollouts_;
    world.simulator.set_backends(
        {{"be-0", true, "", rollouts_}, {"be-1", true, "", rollouts_}, {"be-2", true, "", rollouts_}});
    pods_rolled_out = true;
  }

  /// Lets the gates work until `holds`, which is asked again and again; time moves by `tick` whenever nobody works.
  [[nodiscard]] bool until(const std::function<bool()>& holds, std::chrono::milliseconds tick = kTick) {
    const auto give_up = ample();
    while (!holds()) {
      if (std::chrono::steady_clock::now() >= give_up) return false;
      if (activity.quiet()) pass_time(tick);
    }
    return true;
  }
  /// Time passes, and everybody notices.
  void pass_time(std::chrono::milliseconds by) {
    time.move(by);
    const auto records = world.store.cached();
    const std::lock_guard lock(mutex_);
    for (const auto& [line, controller] : gates_) {
      for (const auto& record : records) controller->record_changed(record, false);
    }
  }

  /// A rule of the world that was broken; "" if none was.
  [[nodiscard]] std::string broken_rules() const {
    const std::lock_guard lock(mutex_);
    std::string all;
    for (const auto& rule : broken_) all += rule + "\n";
    return all;
  }
  /// How often a gate that lived told the trace of this record.
  [[nodiscard]] std::size_t traced(const Preparation& record) const {
    const std::lock_guard lock(mutex_);
    const auto found = traces_.find(record.uid);
    return found == traces_.end() ? 0 : found->second.times;
  }
  /// How often `sql` reached an FE.
  [[nodiscard]] std::size_t received(const std::string& sql) const {
    const auto all = world.simulator.statements();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const ReceivedStatement& one) { return one.sql == sql; }));
  }

  static constexpr std::chrono::milliseconds kTick{1000};

  HandMovedTime time;
  Activity activity;
  std::atomic<bool> pods_rolled_out{false};
  std::atomic<bool> tracing{false};      ///< Of gates that are made from now on.
  std::atomic<bool> one_by_one{false};   ///< No two gates, and no two workers of one, at the same time.
  std::atomic<bool> pods_moving{false};  ///< Of a change that was admitted: nothing is restored meanwhile.
  World world;
  std::array<std::atomic<bool>, 8> frontends_down{};
  /// What each setting was before anybody prepared anything; by canonical name.
  std::map<std::string, std::string> before = {{kScheduling, kSchedulingDefault}, {kBalancing, kBalancingDefault}};

 private:
  friend class MortalGate;

  static FrontendSimulatorOptions with_watch(FrontendSimulatorOptions options,
                                             std::function<void(const ReceivedStatement&)> watch) {
    options.on_statement = std::move(watch);
    return options;
  }
  void breaks(std::string rule) {
    const std::lock_guard lock(mutex_);
    broken_.push_back(std::move(rule));
  }

  /// Write-ahead: what a statement overwrites is pending before the statement arrives; what it restores is the truth.
  void judge(const ReceivedStatement& statement) {
    for (const auto& [key, old] : before) {
      if (statement.sql.find("ADMIN SET") == std::string::npos) continue;
      if (statement.sql.find('"' + key + '"') == std::string::npos) continue;
      if (statement.sql == set_config_sql(key, old)) {
        if (pods_moving) breaks("restored while pods move: " + statement.sql);
        continue;
      }
      bool pending = false;
      for (const auto& record : world.store.cached()) {
        for (const auto& captured : record.status.captured) {
          pending = pending || (record.status.restore_pending && captured.key == key && captured.value == old &&
                                statement.sql == set_config_sql(key, captured.set_to));
        }
      }
      if (!pending) breaks("not pending when it arrived: " + statement.sql);
    }
  }
  void judge(const Preparation& record) {
    for (const auto& captured : record.status.captured) {
      const auto old = before.find(captured.key);
      if (old == before.end() || captured.value != old->second) {
        breaks(record.name + " captured " + captured.key + " = " + captured.value);
      }
    }
    if (record.status.phase != Phase::Completed || record.status.stage != Stage::Prepared) return;
    {
      const std::lock_guard lock(mutex_);
      if (!judged_prepared_.insert(record.name).second) return;  // later an FE may lose it; the gate sets it again
    }
    for (const auto& hook : record.spec.hooks) {
      const auto* setting = setting_of(hook);
      for (std::size_t fe = 0; setting != nullptr && fe < world.simulator.size(); ++fe) {
        if (frontends_down[fe]) continue;
        if (world.config(fe, setting->key) != setting->value) {
          breaks(record.name + " is Completed while " + setting->key + " is not in force on FE " + std::to_string(fe));
        }
      }
    }
  }

  /// A trace is told of what is closed and stored as such, before the finalizer that would have it told again is gone;
  /// it is the same each time, and a restore that it shows has taken place.
  void judge_told(const Preparation& record) {
    const auto stored = world.store.get(record.name_space, record.name, {});
    if (!stored || is_open(*stored) || stored->status.outcome == Outcome::None) {
      return breaks(record.name + " was told before it was closed");
    }
    const auto spans = preparation_spans(record);
    const auto text = otlp_trace_request({}, "", spans);
    if (spans.empty() || text != otlp_trace_request({}, "", preparation_spans(*stored))) {
      breaks(record.name + " was told as it is not stored");
    }
    const std::lock_guard lock(mutex_);
    auto& trace = traces_[record.uid];  // a name comes again once its record was pruned
    if (trace.times++ == 0) trace.text = text;
    if (trace.text != text) broken_.push_back(record.name + " was told in two ways: " + trace.text + " and " + text);
    if (!one_by_one) return;  // another one may be at the same record, or at the next one
    if (!stored->held) broken_.push_back(record.name + " was told after its finalizer had gone");
    for (const auto& span : spans) {
      if (span.name == "restore" && span.status == SpanStatus::Unset && !is_as_before()) {
        broken_.push_back(record.name + " tells of a restore that did not take place");
      }
    }
  }
  /// True, too, where a record has yet to see to it.
  [[nodiscard]] bool is_as_before() {
    for (const auto& record : world.store.cached()) {
      if (record.status.restore_pending) return true;
    }
    for (std::size_t fe = 0; fe < world.simulator.size(); ++fe) {
      for (const auto& [key, old] : before) {
        if (!frontends_down[fe] && world.config(fe, key) != old) return false;
      }
    }
    return true;
  }

  struct Trace {
    std::size_t times = 0;
    std::string text;
  };

  int rollouts_ = 0;  // the test's thread alone
  mutable std::mutex mutex_;
  std::map<const Lifeline*, PreparationController*> gates_;  // guarded by mutex_
  std::vector<std::string> broken_;                          // guarded by mutex_
  std::set<std::string> judged_prepared_;                    // guarded by mutex_
  std::map<std::string, Trace> traces_;                      // guarded by mutex_
};

/// One process of the gate in a ChaosWorld. Destroyed without a hand-over when its line was cut.
class MortalGate {
 public:
  MortalGate(ChaosWorld& chaos, const ControllerOptions& options, const Kill& kill = {},
             std::chrono::milliseconds clock_error = {})
      : chaos_(chaos),
        clock_(chaos.time, clock_error),
        line(chaos.activity, kill),
        store_(chaos.world.store, line),
        clusters_(chaos.world.clusters, chaos.pods_rolled_out, line),
        connector(network_, line, clock_),
        controller(store_, {clusters_, connector, chaos.world.http, chaos.world.scripts}, clock_, chaos.world.log,
                   traced(options)),
        waiters_(store_),
        service({store_, clusters_, controller, waiters_, clock_, chaos.world.log}, {{}, {}, {}},
                [](const ReviewOutcome&) {}) {
    waiters_.stop();  // real time would pass
    {
      const std::lock_guard lock(chaos_.mutex_);
      chaos_.gates_.emplace(&line, &controller);
    }
    controller.start();
  }
  ~MortalGate() {
    {
      const std::lock_guard lock(chaos_.mutex_);
      chaos_.gates_.erase(&line);
    }
    controller.stop();
  }
  MortalGate(const MortalGate&) = delete;
  MortalGate& operator=(const MortalGate&) = delete;

 private:
  /// A gate that is killed tells nothing any more.
  [[nodiscard]] ControllerOptions traced(ControllerOptions options) {
    if (!chaos_.tracing) return options;
    options.on_closed = [this](const Preparation& record) {
      if (!line.is_cut()) chaos_.judge_told(record);
    };
    return options;
  }

  ChaosWorld& chaos_;
  const MachineClock clock_;

 public:
  Lifeline line;

 private:
  MortalStore store_;
  MortalClusters clusters_;
  MysqlFrontendConnector network_;

 public:
  MortalConnector connector;
  PreparationController controller;

 private:
  OutcomeWaiters waiters_;

 public:
  /// Answers at once, without waiting for a preparation.
  AdmissionService service;
};

/// Quick in the world's time: its seconds cost nothing. One worker, so that steps come in one order, and no renewals
/// in between.
inline ControllerOptions chaos_options(const std::string& identity) {
  ControllerOptions options = quick_options(identity);
  options.workers = 1;
  options.claim_renewal = std::chrono::hours(1);
  options.admit_within = std::chrono::hours(24);
  options.max_hold = std::chrono::hours(24);
  options.hooks.retry = {std::chrono::milliseconds(1), std::chrono::milliseconds(5)};
  options.hooks.preparation_timeout = std::chrono::hours(24);
  return options;
}

/// Time may pass while a slow machine runs a hook.
inline Hook patient(Hook hook) {
  hook.timeout = kHookTimeoutMax;
  return hook;
}

}  // namespace gate::test
