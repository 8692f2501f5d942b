// Goal: people change their mind about a led rollout, once, twice and three times, to a new target, to one that they
// had before and back to where the pods came from, at any moment of it: no pod moves out of turn, nothing rolls that is
// not prepared, and in the end every pod has the last target, every setting is as before and no record is open. Method:
// every sequence of three changes after the first one, each at every moment, over the real decision, lifecycle, leader
// and the webhook's order, with operator and pods of a few lines (story_world.hpp). One thread, time moved by hand. All
// of them with GATE_LONG_STORIES set, else a sample; GATE_STORY_NUMBER tells one alone.

#include <doctest/doctest.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "policy/rollout/turns.hpp"
#include "server/preparation/lifecycle/hold_retry.hpp"
#include "test/chaos/sanitized.hpp"
#include "test/chaos/story_world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

constexpr auto kStepTimeout = 10min;

/// When the next change comes.
enum class Moment {
  AtOnce,
  Failed,        ///< The preparation failed.
  Canary,        ///< A BE is down on its way to the target.
  Half,          ///< One BE is new, the other is not.
  Paused,        ///< The canary did not come up in time.
  BackendsDone,  ///< BEs are new, FEs are not: in the middle of an upgrade.
  Done,
};
constexpr std::array kMoments{Moment::AtOnce, Moment::Failed,       Moment::Canary, Moment::Half,
                              Moment::Paused, Moment::BackendsDone, Moment::Done};
constexpr std::array kMomentNames{"at once", "failed", "canary", "half", "paused", "backends done", "done"};

/// Targets after "b", by what they are: the first of the two that are not the present one, or the second.
constexpr int kChanges = 3;

struct Plot {
  std::array<char, kChanges + 1> targets{};
  std::array<Moment, kChanges> moments{};
  bool operator_first = false;  ///< It is quicker to see a change of the object than the gate is.
  LedRollout rollout;

  [[nodiscard]] std::string text() const {
    std::string out = std::string(to_string(rollout.mode)) + ", " + std::string(to_string(rollout.admission)) +
                      (operator_first ? ", operator first: a" : ": a");
    for (std::size_t i = 0; i < targets.size(); ++i) {
      out += std::string(" -> ") + targets[i];
      if (i < moments.size()) out += std::string(" (") + kMomentNames[static_cast<std::size_t>(moments[i])] + ")";
    }
    return out;
  }
};

/// Of the components' tags.
std::string version(char target) { return std::string("3.3.") + static_cast<char>('0' + target - 'a'); }

constexpr int kPlots = 2 * 2 * 2 * 8 * 7 * 7 * 7;

Plot plot_of(int number) {
  const auto take = [&](int ways) {
    const int way = number % ways;
    number /= ways;
    return way;
  };
  Plot plot;
  plot.rollout.readings = 1;
  plot.rollout.step_timeout = kStepTimeout;
  plot.rollout.mode = take(2) == 0 ? RolloutMode::Stepwise : RolloutMode::Ordered;
  plot.rollout.admission = take(2) == 0 ? AdmissionMode::Hold : AdmissionMode::Refuse;
  plot.operator_first = take(2) == 0;
  plot.targets[0] = 'b';
  for (std::size_t i = 1; i < plot.targets.size(); ++i) {
    std::string others = "abc";
    std::erase(others, plot.targets[i - 1]);
    plot.targets[i] = others[static_cast<std::size_t>(take(2))];
  }
  for (auto& moment : plot.moments) moment = kMoments[static_cast<std::size_t>(take(7))];
  return plot;
}

/// Pods behind the webhook: what the gate's order lets go, one pod in a pass, and those that it keeps back.
class LedStoryWorld final : public StoryWorld {
 public:
  explicit LedStoryWorld(PreparationStore& store) : store_(store) {}

  bool stuck = false;  ///< Pods that start do not come up.
  std::function<void(Component component, const std::string& image)> on_move;
  int resumed = 0;  ///< The resume annotation.
  int changes = 0;  ///< Of the object.
  /// The way back waited for a component as long as it may (ADR 98): the next one goes, whatever this one runs.
  bool slow_back = false;

  void pass() {
    for (const auto component : {Component::Frontend, Component::Backend}) write(component);
    for (const auto component : {Component::Frontend, Component::Backend}) roll(component);
  }
  void unstick() {
    stuck = false;
    for (auto* set : {&fe, &be}) {
      for (auto& pod : set->pods) pod.stuck = false;
    }
  }

  void emit_event(const Preparation&, bool, const std::string& reason, const std::string&) override {
    slow_back = slow_back || reason == "UpgradeRollbackSlow";
  }
  Result<nlohmann::json> get_object(const std::string&, const ObjectRef&, Deadline) override {
    auto out = object();
    out["metadata"]["annotations"]["starrocks.com/upgrade-resume"] = std::to_string(resumed);
    return out;
  }
  Result<std::vector<StatefulSetState>> stateful_sets(const Preparation& record, Deadline) override {
    std::vector<StatefulSetState> out;
    for (const auto& change : record.spec.changes) {
      const auto& set = set_of(change.component);
      StatefulSetState state;
      state.component = change.component;
      state.name = "sr-" + std::string(to_string(change.component));
      state.exists = state.observed = true;
      state.image = set.image;
      state.partition = steering_[change.component].partition;
      state.replicas = state.existing = static_cast<int>(set.pods.size());
      for (const auto& pod : set.pods) {
        state.updated += pod.image == set.image ? 1 : 0;
        state.ready += is_up(pod) ? 1 : 0;
      }
      out.push_back(state);
    }
    return out;
  }

 private:
  struct Steering {
    int partition = 0;
    bool marked = false;
    int let_go = 0;  ///< At which change of the object.
  };

  StoryStatefulSet& set(Component component) { return component == Component::Frontend ? fe : be; }

  /// The operator's write as the webhook answers it.
  void write(Component component) {
    auto& live = set(component);
    auto& steering = steering_[component];
    const StatefulSetWrite wanted{component,
                                  {"StarRocksCluster", "sr", uid},
                                  "sr-" + std::string(to_string(component)),
                                  live.image,
                                  images.at(component),
                                  steering.marked};
    if (wanted.old_image == wanted.new_image && !wanted.marked) return;
    std::vector<ComponentImage> present;
    for (const auto& [each, image] : images) present.push_back({each, image});
    const auto order = order_of(wanted, *store_.list_of_cluster("db", "sr", {}), true, present);
    if (order.verdict == SetVerdict::Hold) {
      steering.marked = true;
      return;
    }
    const int partition = order.verdict == SetVerdict::Steer ? order.partition : 0;
    if (live.image != wanted.new_image || partition < steering.partition) steering.let_go = changes;
    live.image = wanted.new_image;
    steering.partition = partition;
    steering.marked = order.verdict == SetVerdict::Steer;
  }

  /// The highest ordinal first, one at a time; one that is not up is waited for, unless it has another template.
  void roll(Component component) {
    auto& live = set(component);
    for (auto ordinal = static_cast<int>(live.pods.size()) - 1; ordinal >= 0; --ordinal) {
      auto& pod = live.pods[static_cast<std::size_t>(ordinal)];
      if (pod.image == live.image) {
        if (!is_up(pod)) return;
        continue;
      }
      if (ordinal < steering_[component].partition) return;
      // What was let go whole for a target before rolls on: only its StatefulSet's controller could stop it.
      if (steering_[component].let_go == changes) on_move(component, live.image);
      pod = {live.image, ++starts, stuck};
      if (component == Component::Frontend) settings = kOriginal;  // they lived in its memory
      return;
    }
  }

  PreparationStore& store_;
  std::map<Component, Steering> steering_;
};

class LedStory {
 public:
  LedStory(const Plot& plot, bool told) : plot_(plot), told_(told) {
    if (told_) log_.sinks().push_back(std::make_shared<spdlog::sinks::stdout_sink_st>());
    world_.images = {{Component::Frontend, "fe:" + version('a')}, {Component::Backend, "be:" + version('a')}};
    for (auto* set : {&world_.fe, &world_.be}) {
      set->image = world_.images[set == &world_.fe ? Component::Frontend : Component::Backend];
      for (auto& pod : set->pods) pod.image = set->image;
    }
    world_.on_move = [this](Component component, const std::string& image) { judge_move(component, image); };
    LifecycleOptions options;
    options.default_hooks = {"disable-tablet-clone"};
    options.hooks.retry = {std::chrono::milliseconds(1), std::chrono::milliseconds(1)};
    options.hooks.poll_max = std::chrono::milliseconds(1);
    options.hooks.preparation_timeout = 24h;
    const HookPeers hooks{world_, world_, http_, scripts_};
    lifecycle_ = std::make_unique<RecordLifecycle>(LifecyclePeers{store_, hooks, mirror_, clock_, log_}, options);
  }

  std::vector<std::string> live() {
    for (std::size_t i = 0; i < plot_.targets.size() && broken_.empty(); ++i) {
      const auto moment = i < plot_.moments.size() ? plot_.moments[i] : Moment::Done;
      world_.refuses_sets = moment == Moment::Failed;
      ask_for(plot_.targets[i]);
      world_.unstick();  // what was in the way of the target before
      world_.stuck = moment == Moment::Canary || moment == Moment::Paused;
      until(moment);
    }
    world_.refuses_sets = false;
    world_.unstick();
    for (int round = 0; round < kRounds && !settled(); ++round) pass_time(20s);
    judge_pods();
    // What was prepared and is not wanted any more is undone after an hour.
    for (int round = 0; round < kRounds && !settled(); ++round) pass_time(10min);
    judge_end();
    return broken_;
  }

 private:
  static constexpr int kRounds = 60;

  void tell(const std::string& what) const {
    if (told_) MESSAGE(what);
  }
  void breaks(const std::string& rule) {
    tell("BROKEN: " + rule);
    broken_.push_back(rule);
  }

  // ---- People ----
  void ask_for(char target) {
    target_ = target;
    tell(std::string("somebody asks for ") + target);
    admitted_ = false;
    ask();
  }
  /// Once more where it was refused.
  void ask() {
    AdmissionFacts facts;
    facts.kind = kClusterKind;
    facts.name_space = "db";
    facts.name = facts.cluster = "sr";
    facts.object_uid = world_.uid;
    for (const auto& [component, image] : world_.images) {
      if (image != this->image(component)) facts.changes.push_back({component, image, this->image(component)});
    }
    admitted_ = facts.changes.empty();  // it is what the object has
    if (admitted_) return;
    facts.configuration.configured = true;
    facts.configuration.hooks = {hook_};
    facts.configuration.rollout = plot_.rollout;
    facts.asked_before = true;
    facts.records = *store_.list_of_cluster("db", "sr", {});
    facts.now = clock_.wall_now();
    EffectsLeft left;
    left.wait = false;
    for (int round = 0; round < 8; ++round) {
      const auto decision = decide(facts, left);
      if (decision.effect == Effect::None) return answered(decision);
      if (decision.effect == Effect::Start) {
        create(decision);
      } else if (decision.effect == Effect::ReadBack) {
        facts.read_back = !world_.frontend_up() ? ReadBack::Unreachable
                          : is_set()            ? ReadBack::Holds
                                                : ReadBack::Drifted;
      } else if (decision.effect == Effect::Reopen) {
        auto record = store_.get("db", decision.subject, {}).value();
        record.status.phase = Phase::Pending;
        record.status.stage = Stage::Preparing;
        record.status.hooks.clear();
        (void)store_.update_status(record, {});
        return;
      } else {
        return;
      }
      facts.records = *store_.list_of_cluster("db", "sr", {});
    }
  }
  void answered(const Decision& decision) {
    tell(std::string("to ") + target_ + (decision.answer.allowed ? " is admitted" : " is refused"));
    if (!decision.answer.allowed) return;
    admitted_ = true;
    const auto& audit = decision.answer.audit;
    way_back_ =
        std::any_of(audit.begin(), audit.end(), [](const auto& note) { return note.value == "allowed-revert"; });
    present_ = target_;
    ++world_.changes;
    world_.slow_back = false;
    for (auto& [component, image] : world_.images) image = this->image(component);
    if (plot_.operator_first) world_.pass();
  }
  void create(const Decision& decision) {
    Preparation record;
    record.name = decision.start_name;
    record.name_space = "db";
    record.spec = *decision.start;
    clock_.move(1s);
    (void)store_.create(record, {});
  }

  // ---- Time ----
  void pass_time(std::chrono::seconds by) {
    if (!admitted_) ask();
    if (!world_.stuck && is_paused()) {
      tell("somebody lets it go on");
      ++world_.resumed;
    }
    look();
    world_.pass();
    clock_.move(by);
  }
  void look() {
    retry_.look();
    for (const auto& seen : store_.cached()) {
      RecordSession session;
      session.shared = true;
      for (int looks = 0; looks < 3; ++looks) {
        auto record = store_.get("db", seen.name, {});
        if (!record) break;
        if (!is_open(*record)) {
          if (record->held) (void)store_.let_go("db", seen.name, {});
          break;
        }
        const auto all = store_.cached();
        const bool followed = std::any_of(all.begin(), all.end(), [&](const Preparation& other) {
          return is_open(other) && other.spec.supersedes == record->name;
        });
        if (is_handed_over(*record) && followed) break;
        record->status.runner = {"gate-0", clock_.wall_now()};
        auto stored = store_.update_status(*record, {});
        if (!stored) break;
        const auto claim = std::make_shared<ClaimedRecord>(store_, clock_, "gate-0", std::move(stored).value());
        session.runner.reset();
        const auto again = lifecycle_->advance(claim, session, {}, {});
        if (session.runner) (void)claim->renew({});
        if (!again || *again > 0ms) break;
      }
    }
  }
  /// Or until there is nothing more to wait for.
  void until(Moment moment) {
    for (int round = 0; round < kRounds && !reached(moment) && !settled() && broken_.empty(); ++round) {
      pass_time(moment == Moment::Paused ? kStepTimeout / 2 + 1s : 20s);
    }
    tell(std::string(reached(moment) ? "reached: " : "not reached: ") + kMomentNames[static_cast<std::size_t>(moment)]);
    for (const auto& record : store_.cached()) {
      if (is_open(record)) tell("open: " + record.name + ": " + record.status.message);
    }
  }

  static std::string image_of(Component component, char target) {
    return std::string(to_string(component)) + ":" + version(target);
  }
  [[nodiscard]] std::string image(Component component) const { return image_of(component, target_); }
  [[nodiscard]] int new_backends() const {
    const auto& pods = world_.be.pods;
    return static_cast<int>(std::count_if(pods.begin(), pods.end(), [&](const StoryPod& pod) {
      return pod.image == image(Component::Backend) && is_up(pod);
    }));
  }
  [[nodiscard]] bool reached(Moment moment) {
    const auto records = *store_.list_of_cluster("db", "sr", {});
    const auto& pods = world_.be.pods;
    switch (moment) {
      case Moment::AtOnce:
        return true;
      case Moment::Failed:
        return !records.empty() && records.front().status.phase == Phase::Failed;
      case Moment::Canary:
        return std::any_of(pods.begin(), pods.end(), [](const StoryPod& pod) { return pod.stuck; });
      case Moment::Half:
        return new_backends() == 1;
      case Moment::Paused:
        return is_paused();
      case Moment::BackendsDone:
        return new_backends() == 2 && !world_.stands(world_.fe, image(Component::Frontend));
      case Moment::Done:
        return settled();
    }
    return false;
  }
  [[nodiscard]] bool is_paused() {
    const auto records = store_.cached();
    return std::any_of(records.begin(), records.end(), [](const Preparation& record) {
      const auto* turn = present_turn(record.status.rollout.turns);
      return turn != nullptr && turn->phase == TurnPhase::Paused && is_open(record);
    });
  }
  [[nodiscard]] bool is_set() { return world_.settings[hook_key] == "0"; }
  [[nodiscard]] bool settled() {
    const auto records = store_.cached();
    return admitted_ && world_.stands(world_.fe, image(Component::Frontend)) &&
           world_.stands(world_.be, image(Component::Backend)) && world_.settings == kOriginal &&
           std::none_of(records.begin(), records.end(), [](const Preparation& record) { return is_open(record); });
  }

  // ---- The rules ----
  void judge_move(Component component, const std::string& to) {
    tell("a pod moves to " + to + (way_back_ ? ", back" : ""));
    if (to != image_of(component, present_)) return breaks("a pod is let go to " + to + ", which nobody wants");
    if (way_back_ && world_.slow_back) return;
    // No FE is newer than a BE. All tags differ in their last character alone.
    const auto& others = component == Component::Frontend ? world_.be.pods : world_.fe.pods;
    for (const auto& pod : others) {
      const bool frontend_newer =
          component == Component::Frontend ? to.back() > pod.image.back() : pod.image.back() > to.back();
      if (frontend_newer) breaks("a pod moves to " + to + " beside " + pod.image);
      const bool waits = component == Component::Frontend && !is_up(pod) && pod.image.back() == to.back();
      if (waits) breaks("an FE moves while a BE is down");
    }
    if (!way_back_ && component == Component::Backend && !is_set())
      breaks("a BE moves and the setting is not in force");
  }
  void judge_pods() {
    if (!admitted_) breaks("the last target is refused to the end");
    for (const auto component : {Component::Frontend, Component::Backend}) {
      if (!world_.stands(world_.set_of(component), image(component))) {
        breaks("pods are kept from " + image(component) + " for ever");
      }
    }
  }
  void judge_end() {
    for (const auto& record : store_.cached()) {
      if (is_open(record)) breaks(record.name + " is open in the end: " + std::string(to_string(record.status.stage)));
    }
    for (const auto& [key, value] : kOriginal) {
      if (world_.settings[key] != value) breaks(key + " is left at " + world_.settings[key]);
    }
  }

  static Hook no_clone() {
    Hook hook;
    hook.name = "clone";
    hook.action = SqlAction{set_config_sql(hook_key, "0"), ConfigSetting{hook_key, "0"}};
    hook.critical = true;
    hook.timeout = 30s;
    return hook;
  }

  static constexpr const char* hook_key = "tablet_sched_max_scheduling_tablets";
  const Plot plot_;
  const bool told_;
  TickingClock clock_;
  MemoryPreparationStore store_{clock_};
  LedStoryWorld world_{store_};
  MemoryScriptJobs scripts_;
  NoHttp http_;
  StatusMirror mirror_{world_, clock_};
  spdlog::logger log_{"stories"};
  HoldRetry retry_{store_, world_, clock_, log_, HoldRetryOptions{{}, [](const Preparation&) {}}};
  std::unique_ptr<RecordLifecycle> lifecycle_;
  const Hook hook_ = no_clone();
  char target_ = 'a';
  bool admitted_ = false;
  char present_ = 'a';  ///< Target that the object has.
  bool way_back_ = false;
  std::vector<std::string> broken_;
};

TEST_CASE(
    "whatever target people turn to in the middle of a led rollout, every pod moves in its turn, to the last one") {
  if (const char* alone = std::getenv("GATE_STORY_NUMBER")) {
    const auto plot = plot_of(std::atoi(alone));
    MESSAGE(plot.text());
    for (const auto& rule : LedStory(plot, true).live()) FAIL_CHECK(rule);
    return;
  }
  const bool all = std::getenv("GATE_LONG_STORIES") != nullptr;
  const int distance = all ? 1 : kSanitized ? 211 : 17;  // no divisor of the number of ways
  // Found by all of them, and between those of the sample: a target that is taken back at once in the middle of a
  // downgrade.
  std::vector<int> numbers{1762, 1777, 1780};
  for (int number = 0; number < kPlots; number += distance) numbers.push_back(number);
  int failures = 0;
  for (const int number : numbers) {
    if (failures == 10) break;
    const auto plot = plot_of(number);
    const auto broken = LedStory(plot, false).live();
    if (broken.empty()) continue;
    ++failures;
    FAIL_CHECK("GATE_STORY_NUMBER=" << number << " " << plot.text() << ": " << broken.front());
  }
}

}  // namespace
}  // namespace gate
