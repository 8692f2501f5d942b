#pragma once
// People who change their mind about a led rollout, over the real decision, lifecycle, leader and webhook on
// StatefulSets, with operator and pods of a few lines. One thread, time moved by hand. Where it is asked for, the gate
// has trouble at random moments, so that reviews of StatefulSets cannot be judged.

#include <doctest/doctest.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "policy/rollout/turns.hpp"
#include "policy/text/base64.hpp"
#include "server/admission/admission_service.hpp"
#include "server/preparation/lifecycle/hold_retry.hpp"
#include "test/chaos/story_world.hpp"
#include "test/policy/rollout/operator_stand_in.hpp"
#include "test/server/admission/review_of.hpp"

namespace gate::test {

using namespace std::chrono_literals;

inline constexpr auto kStepTimeout = 10min;

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
inline constexpr std::array kMoments{Moment::AtOnce, Moment::Failed,       Moment::Canary, Moment::Half,
                                     Moment::Paused, Moment::BackendsDone, Moment::Done};
inline constexpr std::array kMomentNames{"at once", "failed", "canary", "half", "paused", "backends done", "done"};

/// Targets after "b", by what they are: the first of the two that are not the present one, or the second.
inline constexpr int kChanges = 3;

struct Plot {
  std::array<char, kChanges + 1> targets{};
  std::array<Moment, kChanges> moments{};
  bool operator_first = false;  ///< It is quicker to see a change of the object than the gate is.
  LedRollout rollout;
  WriteStyle style = WriteStyle::ThreeWay;
  std::optional<unsigned> trouble{};  ///< Seed; nothing: there is none.

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
inline std::string version(char target) { return std::string("3.3.") + static_cast<char>('0' + target - 'a'); }

inline constexpr int kPlots = 2 * 2 * 2 * 8 * 7 * 7 * 7;

inline Plot plot_of(int number) {
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

/// What the gate meets.
enum class Trouble {
  None,
  RecordsUnreadable,
  ObjectUnreadable,
  ApiServerSilent,  ///< To the gate; the operator is served.
  NotUnderstood,    ///< A review's body is not what it should be.
  NoAnswer,         ///< To a review.
  FrontendSilent,
};
inline constexpr std::array kTroubles{Trouble::RecordsUnreadable, Trouble::ObjectUnreadable, Trouble::ApiServerSilent,
                                      Trouble::NotUnderstood,     Trouble::NoAnswer,         Trouble::FrontendSilent};

/// Comes at random and goes; mostly it is there for one request or one look, at times for many.
class Troubles {
 public:
  explicit Troubles(std::optional<unsigned> seed) : on_(seed.has_value()), random_(seed.value_or(0)) {}

  [[nodiscard]] Trouble now() const { return now_; }
  void pass_moment() {
    if (!on_ || --lasts_ > 0) return;
    now_ = one_in(3) ? kTroubles[random_() % kTroubles.size()] : Trouble::None;
    constexpr unsigned kMomentsMax = 60;
    lasts_ = one_in(15) ? static_cast<int>(random_() % kMomentsMax) : 0;
  }
  void end() {
    on_ = false;
    now_ = Trouble::None;
  }
  /// What arrives of a review that is not understood.
  [[nodiscard]] std::string spoilt(json review) {
    auto& request = review["request"];
    switch (random_() % 4) {
      case 0:
        request.erase("object");
        break;
      case 1:
        request.erase("oldObject");
        break;
      case 2:
        request["object"] = "x";
        break;
      default: {
        const auto whole = review.dump();
        return whole.substr(0, random_() % whole.size());
      }
    }
    return review.dump();
  }

 private:
  [[nodiscard]] bool one_in(unsigned ways) { return random_() % ways == 0; }

  bool on_;
  Trouble now_ = Trouble::None;
  int lasts_ = 0;
  std::mt19937 random_;
};

/// The records as a gate in trouble reads and writes them.
class TroubledStore final : public ForwardingStore {
 public:
  TroubledStore(PreparationStore& store, const Troubles& troubles) : ForwardingStore(store), troubles_(troubles) {}

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    const bool lists = call.kind == StoreCall::Kind::List;
    if (troubles_.now() == Trouble::ApiServerSilent || (lists && troubles_.now() == Trouble::RecordsUnreadable)) {
      return Error{ErrorCode::Unavailable, "connection refused"};
    }
    make();
    return std::nullopt;
  }

  const Troubles& troubles_;
};

/// Pods behind the webhook: what the gate's answers let go, one pod in a pass, and those that it keeps back.
class LedStoryWorld final : public StoryWorld {
 public:
  explicit LedStoryWorld(const Troubles& troubles) : troubles_(troubles) {}

  bool stuck = false;  ///< Pods that start do not come up.
  std::function<void(Component component, const std::string& image)> on_move;
  int resumed = 0;  ///< The resume annotation.
  int changes = 0;  ///< Of the object.
  /// The way back waited for a component as long as it may (ADR 98): the next one goes, whatever this one runs.
  bool slow_back = false;

  using Webhook = std::function<std::optional<json>(const json& old_object, const json& object)>;
  /// Everything runs `images`, as an operator of that style has written it.
  void install(WriteStyle style, const Webhook& webhook) {
    style_ = style;
    for (const auto component : kComponents) {
      auto& live = set(component);
      live.image = images.at(component);
      for (auto& pod : live.pods) pod.image = live.image;
      servers_.emplace(component, settled(wanted(component), style)).first->second.webhook = webhook;
    }
  }
  /// The operator's, which ends at the first refusal; StatefulSets go on.
  void pass() {
    for (const auto component : kComponents) {
      if (!write(component)) break;
    }
    for (const auto component : kComponents) roll(component);
  }
  void unstick() {
    stuck = false;
    for (auto* set : {&fe, &be}) {
      for (auto& pod : set->pods) pod.stuck = false;
    }
  }
  /// The operator has nothing to write.
  [[nodiscard]] bool at_rest(Component component) {
    auto server = servers_.at(component);
    server.webhook = [](const json&, const json&) { return std::nullopt; };
    return operator_patch(server, wanted(component), style_) == AfterPatch::Rest;
  }

  void emit_event(const Preparation&, bool, const std::string& reason, const std::string&) override {
    slow_back = slow_back || reason == "UpgradeRollbackSlow";
  }
  Result<nlohmann::json> get_object(const std::string&, const ObjectRef&, Deadline) override {
    if (is(Trouble::ObjectUnreadable) || is(Trouble::ApiServerSilent)) return unreachable();
    auto out = object();
    out["metadata"]["annotations"]["starrocks.com/upgrade-resume"] = std::to_string(resumed);
    out["metadata"]["annotations"]["starrocks.com/upgrade-rollout"] = "ordered";  // asked for, as the records say how
    return out;
  }
  Result<RolloutState> rollout_state(const Preparation& record, const RolloutGoal& goal, Deadline deadline) override {
    if (is(Trouble::ApiServerSilent)) return unreachable();
    return StoryWorld::rollout_state(record, goal, deadline);
  }
  Result<std::vector<StatefulSetState>> stateful_sets(const Preparation& record, Deadline) override {
    if (is(Trouble::ApiServerSilent)) return unreachable();
    std::vector<StatefulSetState> out;
    for (const auto& change : record.spec.changes) {
      const auto& set = set_of(change.component);
      StatefulSetState state;
      state.component = change.component;
      state.name = "sr-" + std::string(to_string(change.component));
      state.exists = state.observed = true;
      state.image = set.image;
      state.partition = partition_of(change.component);
      state.replicas = state.existing = static_cast<int>(set.pods.size());
      for (const auto& pod : set.pods) {
        state.updated += pod.image == set.image ? 1 : 0;
        state.ready += is_up(pod) ? 1 : 0;
      }
      out.push_back(state);
    }
    return out;
  }
  Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess& access, Deadline deadline) override {
    if (is(Trouble::FrontendSilent)) return unreachable();
    return StoryWorld::connect(access, deadline);
  }

 private:
  static constexpr std::array kComponents{Component::Frontend, Component::Backend};

  [[nodiscard]] bool is(Trouble trouble) const { return troubles_.now() == trouble; }
  static Error unreachable() { return {ErrorCode::Unavailable, "connection refused"}; }
  StoryStatefulSet& set(Component component) { return component == Component::Frontend ? fe : be; }
  [[nodiscard]] Wanted wanted(Component component) const {
    Wanted out;
    out.image = images.at(component);
    out.component = std::string(to_string(component));
    out.replicas = static_cast<int>(set_of(component).pods.size());
    return out;
  }
  [[nodiscard]] int partition_of(Component component) const {
    return servers_.at(component).live()["spec"]["updateStrategy"]["rollingUpdate"]["partition"].get<int>();
  }

  /// The operator's writes as the webhook answers them; false: refused.
  bool write(Component component) {
    auto& server = servers_.at(component);
    auto& image = set(component).image;
    const int partition = partition_of(component);
    const bool done = test::operator_pass(server, wanted(component), style_);
    const auto now = server.live()["spec"]["template"]["spec"]["containers"][0]["image"].get<std::string>();
    if (image != now || partition_of(component) < partition) let_go_[component] = changes;
    image = now;
    return done;
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
      if (ordinal < partition_of(component)) return;
      // What was let go whole for a target before rolls on: only its StatefulSet's controller could stop it.
      if (let_go_[component] == changes) on_move(component, live.image);
      pod = {live.image, ++starts, stuck};
      if (component == Component::Frontend) settings = kOriginal;  // they lived in its memory
      return;
    }
  }

  const Troubles& troubles_;
  WriteStyle style_ = WriteStyle::ThreeWay;
  std::map<Component, StatefulSetServer> servers_;
  std::map<Component, int> let_go_;  ///< At which change of the object.
};

class LedStory {
 public:
  LedStory(const Plot& plot, bool told) : plot_(plot), told_(told) {
    if (told_) log_.sinks().push_back(std::make_shared<spdlog::sinks::stdout_sink_st>());
    world_.images = {{Component::Frontend, "fe:" + version('a')}, {Component::Backend, "be:" + version('a')}};
    world_.install(plot.style,
                   [this](const json& old_object, const json& object) { return review(old_object, object); });
    world_.on_move = [this](Component component, const std::string& image) { judge_move(component, image); };
    LifecycleOptions options;
    options.default_hooks = {"disable-tablet-clone"};
    options.hooks.retry = {std::chrono::milliseconds(1), std::chrono::milliseconds(1)};
    options.hooks.poll_max = std::chrono::milliseconds(1);
    options.hooks.preparation_timeout = 24h;
    options.max_hold = 7 * 24h;  // trouble may take as long as it likes
    lifecycle_ = std::make_unique<RecordLifecycle>(LifecyclePeers{reached_, hooks_, mirror_, clock_, log_}, options);
  }

  /// How many reviews met which trouble.
  [[nodiscard]] const std::map<Trouble, int>& reviews() const { return reviews_; }

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
    troubles_.end();
    for (int round = 0; round < kRounds && !settled(); ++round) pass_time(20s);
    for (int pass = 0; pass < 2; ++pass) world_.pass();  // what was refused while pods were there already
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

  // ---- The webhook on StatefulSets ----
  /// As the API server asks it, failurePolicy Fail; nothing: refused.
  std::optional<json> review(const json& old_object, const json& object) {
    troubles_.pass_moment();
    const auto trouble = troubles_.now();
    ++reviews_[trouble];
    if (trouble == Trouble::NoAnswer) return std::nullopt;
    auto body = review_of(old_object, object);
    body["request"]["kind"] = {{"group", "apps"}, {"version", "v1"}, {"kind", "StatefulSet"}};
    body["request"]["resource"] = {{"group", "apps"}, {"version", "v1"}, {"resource", "statefulsets"}};
    const bool spoilt = trouble == Trouble::NotUnderstood;
    const auto reply = service_.review(StatefulSetHandler::kPath, spoilt ? troubles_.spoilt(body) : body.dump());
    const auto answer = reply.status == 200 ? json::parse(reply.body).at("response") : json{{"allowed", false}};
    const bool allowed = answer.at("allowed").get<bool>();
    if (trouble == Trouble::None || trouble == Trouble::FrontendSilent) {
      if (!allowed) breaks("a review that can be judged is refused: " + answer.dump());
    } else if (allowed) {
      breaks("a review that cannot be judged is not refused: trouble " + std::to_string(static_cast<int>(trouble)));
    }
    if (!allowed) return std::nullopt;
    if (!answer.contains("patch")) return object;
    return object.patch(json::parse(decode_base64(answer.at("patch").get<std::string>()).value()));
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
    troubles_.pass_moment();
    retry_.look();
    for (const auto& seen : store_.cached()) {
      troubles_.pass_moment();
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
        const auto claim = std::make_shared<ClaimedRecord>(reached_, clock_, "gate-0", std::move(stored).value());
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
      if (!world_.at_rest(component)) breaks("the operator writes " + image(component) + " again and again");
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
  Troubles troubles_{plot_.trouble};
  TroubledStore reached_{store_, troubles_};
  LedStoryWorld world_{troubles_};
  MemoryScriptJobs scripts_;
  NoHttp http_;
  const HookPeers hooks_{world_, world_, http_, scripts_};
  StatusMirror mirror_{world_, clock_};
  spdlog::logger log_{"stories"};
  OutcomeWaiters waiters_{reached_};
  PreparationController idle_{reached_, hooks_, clock_, log_, {}};  // what answers StatefulSets does not ask it
  AdmissionService service_{{reached_, world_, idle_, waiters_, clock_, log_}, {}, [](const ReviewOutcome&) {}};
  HoldRetry retry_{reached_, world_, clock_, log_, HoldRetryOptions{{}, [](const Preparation&) {}}};
  std::unique_ptr<RecordLifecycle> lifecycle_;
  const Hook hook_ = no_clone();
  char target_ = 'a';
  bool admitted_ = false;
  char present_ = 'a';  ///< Target that the object has.
  bool way_back_ = false;
  std::map<Trouble, int> reviews_;
  std::vector<std::string> broken_;
};

}  // namespace gate::test
