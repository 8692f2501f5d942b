// Random stories of a cluster that people, pods and the gate's own deaths are busy with (ADR 70 to 72). At every
// moment:
// - a change of any components to what their pods last ran completely is admitted, without the FE and whatever the
//   hooks' configuration says;
// - nothing is given back while a pod of a rollout that was admitted and is followed has still to move;
// - a record that says that a rollout is over is right.
// And at the end of each story, once nothing is broken any more, nothing is left changed, and every record is closed.
// Method: one thread, a clock that moves when it is asked, the real decision, lifecycle and hooks over a world of a few
// lines. A story is its seed and its length: GATE_STORY_SEED and GATE_STORY_STEPS run one alone, with its steps told;
// to shrink one, lower the steps.

#include <doctest/doctest.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>

#include "policy/decision/bypass.hpp"
#include "policy/record/preparation_codec.hpp"
#include "test/chaos/sanitized.hpp"
#include "test/chaos/story_world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

Hook setting(const std::string& name, const std::string& key, const std::string& value, bool critical = true) {
  Hook hook;
  hook.name = name;
  hook.action = SqlAction{set_config_sql(key, value), ConfigSetting{key, value}};
  hook.critical = critical;
  hook.timeout = 30s;
  return hook;
}

Hook alive(const std::string& name, Probe probe) {
  Hook hook;
  hook.name = name;
  hook.action = ProbeAction{probe};
  hook.critical = true;
  hook.timeout = 10s;
  return hook;
}

/// What is to stay while a component's pods move.
struct Hold {
  WallTime since{};  ///< For --max-hold.
  std::set<std::string> keys;
};

class Story {
 public:
  Story(std::uint32_t seed, bool told) : random_(seed), told_(told) {
    world_.on_set = [this](const std::string& key, const std::string& value) { judge_set(key, value); };
    store_.observe([this](const Preparation& record, bool removed) {
      if (!removed) judge_record(record);
    });
    if (told_) log_.sinks().push_back(std::make_shared<spdlog::sinks::stdout_sink_st>());
    restart_gate();
    last_complete_ = world_.images;
  }

  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }

  void step() {
    clock_.move(2s);
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
        return ask_for_something();
      case 3:
        return go_back();
      case 4:
      case 5:
        tell("a pod rolls");
        world_.operator_pass();
        return world_.roll_one_pod();
      case 6:
        world_.frontend_crashed = !world_.frontend_crashed;
        if (!world_.frontend_crashed) world_.frontend_restarts();
        return tell(world_.frontend_crashed ? "the FE crashes" : "the FE is back");
      case 7:
        tell("the FE restarts");
        return world_.frontend_restarts();
      case 8:
        tell("an hour and a half pass");
        return clock_.move(90min);
      case 9:
        if (random_() % 4 != 0) return;
        tell("seven hours pass");
        return clock_.move(7h);
      case 10:
        return bypass();
      case 11:
        return delete_something();
      case 12:
        restart_gate();
        dying_->calls_left = static_cast<int>(random_() % 20);
        tell("the gate is to die after " + std::to_string(dying_->calls_left) + " calls");
        return;
      default:
        return look();
    }
  }

  /// In every state.
  void check_ways_back() {
    if (!world_.exists) return;
    AdmissionFacts facts = facts_for({});
    facts.configuration.faults = {{"annotation", "nonsense", "something else"}};
    facts.read_back = ReadBack::Unreachable;
    for (const auto& [component, image] : world_.images) {
      if (forgotten_.contains(component)) continue;
      if (last_complete_.at(component) != image) facts.changes.push_back({component, image, last_complete_[component]});
    }
    if (facts.changes.empty()) return;
    auto each = facts;
    for (const auto& change : facts.changes) {
      each.changes = {change};
      if (!decide(each).answer.allowed) breaks("the way back to " + change.to + " is barred");
    }
    if (!decide(facts).answer.allowed) breaks("the way back of all components together is barred");
  }

  void end() {
    tell("nothing is broken any more");
    restart_gate();
    world_.frontend_crashed = false;
    if (!world_.exists) create_anew();
    for (auto& [component, image] : world_.images) {
      if (!works(image)) image = image.substr(0, 3) + "a";  // somebody corrects it while the gate is not asked
    }
    for (int round = 0; round < 60; ++round) {
      world_.operator_pass();
      for (int i = 0; i < 4; ++i) world_.roll_one_pod();
      look();
      clock_.move(10min);
    }
    for (const auto& record : store_.cached()) {
      if (is_open(record)) breaks(record.name + " is open in the end: " + std::string(to_string(record.status.stage)));
      if (record.held) breaks(record.name + " is held in the end");
    }
    for (const auto& [key, value] : kOriginal) {
      if (world_.settings[key] != value) breaks(key + " is left at " + world_.settings[key]);
    }
  }

 private:
  void tell(const std::string& what) const {
    if (told_) MESSAGE(what);
  }
  void breaks(const std::string& rule) {
    tell("BROKEN: " + rule);
    for (const auto& record : store_.cached()) tell(to_json(record).dump(2));
    broken_.push_back(rule);
  }

  // ---- The gate ----
  void restart_gate() {
    dying_ = std::make_unique<DyingStore>(store_);
    LifecycleOptions options;
    options.default_hooks = {"disable-tablet-clone"};
    options.hooks.retry = {std::chrono::milliseconds(1), std::chrono::milliseconds(1)};
    options.hooks.poll_max = std::chrono::milliseconds(1);
    options.hooks.preparation_timeout = 24h;
    const HookPeers hooks{world_, world_, http_, scripts_};
    lifecycle_ = std::make_unique<RecordLifecycle>(LifecyclePeers{*dying_, hooks, mirror_, clock_, log_}, options);
    identity_ = "gate-" + std::to_string(++lives_);
  }

  void look() {
    if (dying_->calls_left == 0) restart_gate();
    tell("the gate looks");
    for (const auto& seen : store_.cached()) {
      RecordSession session;
      session.shared = true;
      for (int looks = 0; looks < 3; ++looks) {
        auto record = dying_->get("db", seen.name, {});
        if (!record || !is_open(*record)) {
          if (record && record->held) (void)dying_->let_go("db", seen.name, {});
          break;
        }
        const bool has_successor = [&] {
          const auto all = store_.cached();
          return std::any_of(all.begin(), all.end(), [&](const Preparation& other) {
            return is_open(other) && other.spec.supersedes == record->name;
          });
        }();
        if (is_handed_over(*record) && has_successor) break;
        record->status.runner = {identity_, clock_.wall_now()};
        auto stored = dying_->update_status(*record, {});
        if (!stored) break;
        const auto claim = std::make_shared<ClaimedRecord>(*dying_, clock_, identity_, std::move(stored).value());
        // Each look claims anew: what a pass left belongs to the claim before.
        session.runner.reset();
        const auto again = lifecycle_->advance(claim, session, {}, {});
        // The heartbeat's: it stores how far the hooks are, too.
        if (session.runner) (void)claim->renew({});
        if (!again || *again > 0ms) break;
      }
    }
  }

  // ---- People ----
  [[nodiscard]] AdmissionFacts facts_for(std::vector<ImageChange> changes) {
    AdmissionFacts facts;
    facts.kind = kClusterKind;
    facts.name_space = "db";
    facts.name = facts.cluster = "sr";
    facts.object_uid = world_.uid;
    facts.changes = std::move(changes);
    for (const auto& running : world_.images) {
      const bool changes_it = std::any_of(facts.changes.begin(), facts.changes.end(),
                                          [&](const auto& change) { return change.component == running.first; });
      if (!changes_it) facts.unchanged.push_back({running.first, running.second});
    }
    facts.configuration.configured = true;
    facts.configuration.hooks = hooks_;
    facts.asked_before = true;
    facts.records = *store_.list_of_cluster("db", "sr", {});
    facts.now = clock_.wall_now();
    return facts;
  }

  void ask_for_something() {
    if (!world_.exists) return;
    static const std::vector<std::string> kTags = {"a", "b", "c", "d", "x"};
    static const std::vector<std::vector<Hook>> kHooks = {
        {setting("clone", "tablet_sched_max_scheduling_tablets", "0")},
        {alive("backends", Probe::BackendsAlive), setting("clone", "tablet_sched_max_scheduling_tablets", "0"),
         setting("balance", "disable_balance", "true")},
        {setting("few", "tablet_sched_max_scheduling_tablets", "5"), setting("balance", "disable_balance", "true")}};
    hooks_ = kHooks[random_() % kHooks.size()];
    std::vector<ImageChange> changes;
    for (const auto& [component, image] : world_.images) {
      if (random_() % 2 == 0) continue;
      const auto wanted = image.substr(0, 3) + kTags[random_() % kTags.size()];
      if (wanted != image) changes.push_back({component, image, wanted});
    }
    if (changes.empty()) return;
    const int tries = 1 + static_cast<int>(random_() % 3);
    for (int i = 0; i < tries; ++i) {
      if (change_to(changes)) return;
      look();
    }
  }

  void go_back() {
    std::vector<ImageChange> changes;
    for (const auto& [component, image] : world_.images) {
      if (last_complete_[component] != image) changes.push_back({component, image, last_complete_[component]});
    }
    if (world_.exists && !changes.empty()) change_to(changes);
  }

  /// One request. True: it was admitted.
  bool change_to(const std::vector<ImageChange>& changes) {
    auto facts = facts_for(changes);
    EffectsLeft left;
    left.wait = false;
    for (int round = 0; round < 8; ++round) {
      const auto decision = decide(facts, left);
      switch (decision.effect) {
        case Effect::None:
          tell(described(changes) + (decision.answer.allowed ? " is admitted" : " is refused"));
          if (!decision.answer.allowed) return false;
          protect(changes);
          apply(changes);
          return true;
        case Effect::Start:
          create(decision);
          break;
        case Effect::ReadBack:
          facts.read_back = !world_.frontend_up() ? ReadBack::Unreachable
                            : holds()             ? ReadBack::Holds
                                                  : ReadBack::Drifted;
          break;
        case Effect::Reopen: {
          auto record = store_.get("db", decision.subject, {});
          record->status.phase = Phase::Pending;
          record->status.stage = Stage::Preparing;
          record->status.hooks.clear();
          (void)store_.update_status(*record, {});
          return false;
        }
        case Effect::ReadVersions:
        case Effect::Wait:
        case Effect::AskPermission:
        case Effect::RecordBypass:
          return false;
      }
      facts.records = *store_.list_of_cluster("db", "sr", {});
    }
    return false;
  }

  /// From now on; a way back has no settings of its own, and keeps those that are there as long as they were to stay.
  void protect(const std::vector<ImageChange>& changes) {
    const bool way_back = std::all_of(changes.begin(), changes.end(), [this](const ImageChange& change) {
      return last_complete_[change.component] == change.to;
    });
    // Where the FE could not be asked, nothing is known to be in force.
    if (way_back || !world_.frontend_up()) return;
    for (const auto& change : changes) {
      auto& hold = protected_[change.component];
      if (!world_.has_to_move(change.component)) hold = {};  // what was before it is over
      if (hold.keys.empty()) hold.since = clock_.wall_now();
      for (const auto& hook : hooks_) {
        if (const auto* wanted = setting_of(hook)) hold.keys.insert(wanted->key);
      }
    }
  }
  void apply(const std::vector<ImageChange>& changes) {
    for (const auto& change : changes) {
      world_.images[change.component] = change.to;
      if (!world_.has_to_move(change.component)) protected_.erase(change.component);  // taken back in time
    }
  }
  [[nodiscard]] bool holds() {
    return std::all_of(hooks_.begin(), hooks_.end(), [&](const Hook& hook) {
      const auto* wanted = setting_of(hook);
      return wanted == nullptr || world_.settings[wanted->key] == wanted->value;
    });
  }

  void create(const Decision& decision) {
    Preparation record;
    record.name = decision.start_name;
    record.name_space = "db";
    record.spec = *decision.start;
    clock_.move(1s);
    (void)store_.create(record, {});
  }

  void bypass() {
    if (!world_.exists) return;
    const auto component = random_() % 2 == 0 ? Component::Frontend : Component::Backend;
    const auto image = world_.images[component];
    const auto wanted = image.substr(0, 3) + std::string(1, static_cast<char>('a' + random_() % 4));
    if (wanted == image) return;
    auto facts = facts_for({{component, image, wanted}});
    facts.bypass = "*; reason=story; until=" + format_time(clock_.wall_now() + 1h);
    facts.may_bypass = Permission::Granted;
    const auto decision = decide(facts);
    if (decision.effect == Effect::RecordBypass) create(decision);
    tell(described(facts.changes) + " is let through unprepared");
    if (!decision.answer.allowed) return;
    if (!world_.has_to_move(component)) protected_.erase(component);  // a rollout of nobody's
    apply(facts.changes);
  }

  void delete_something() {
    const auto records = store_.cached();
    if (random_() % 3 != 0) {
      if (records.empty()) return;
      const auto& name = records[random_() % records.size()].name;
      const auto record = store_.get("db", name, {});
      // What is closed may go, and with it what it knew, unless it still decides what came from where.
      if (!is_open(*record) || record->spec.bypass || record->status.admitted_time) return;
      const auto& changes = record->spec.changes;
      if (std::any_of(changes.begin(), changes.end(),
                      [&](const ImageChange& change) { return world_.images[change.component] == change.to; })) {
        return;  // Admitted, if not noted yet.
      }
      tell("somebody deletes " + name);
      for (const auto& change : changes) {
        if (story_ended(*record)) forgotten_.insert(change.component);
      }
      (void)store_.remove("db", name, {});
    } else if (world_.exists) {
      tell("the object is deleted, its pods stay");
      world_.exists = false;
      protected_.clear();
    } else {
      create_anew();
    }
  }

  void create_anew() {
    tell("the object is created anew");
    world_.exists = true;
    world_.uid = "uid-" + std::to_string(++uids_);
    last_complete_ = world_.images;  // nothing is known of before
    forgotten_.clear();
    protected_.clear();
  }

  [[nodiscard]] static std::string described(const std::vector<ImageChange>& changes) {
    std::string out;
    for (const auto& change : changes) out += (out.empty() ? "" : ", ") + change.from + " -> " + change.to;
    return out;
  }

  // ---- The rules ----
  void judge_set(const std::string& key, const std::string& value) {
    tell("SET " + key + " = " + value);
    if (value != kOriginal.at(key)) return;
    for (const auto& [component, hold] : protected_) {
      if (!hold.keys.contains(key) || clock_.wall_now() - hold.since > LifecycleOptions{}.max_hold) continue;
      if (world_.has_to_move(component)) breaks(key + " is given back while " + world_.images[component] + " rolls");
    }
  }
  void judge_record(const Preparation& record) {
    std::string captured;
    for (const auto& one : record.status.captured) {
      captured += " [" + one.key + ": " + one.value + " -> " + one.set_to + "]";
    }
    tell(record.name + " " + std::string(to_string(record.status.phase)) + " " +
         std::string(to_string(record.status.stage)) + " " + std::string(to_string(record.status.outcome)) + " " +
         record.status.message + captured);
    const bool too_long = record.status.outcome == Outcome::Expired && record.status.admitted_time;
    for (const auto& change : record.spec.changes) {
      if (too_long) protected_.erase(change.component);
    }
    if (!story_ended(record) || !judged_.insert(record.name).second) return;
    if (record.spec.object.uid != world_.uid) return;
    for (const auto& change : record.spec.changes) {
      const auto& image = world_.images[change.component];
      const bool never_left = !record.status.pods_moved && !world_.has_to_move(change.component);
      if (!world_.stands(world_.set_of(change.component), image) && !never_left) {
        breaks(record.name + " says that " + image + " is rolled out");
      }
      last_complete_[change.component] = image;
      forgotten_.erase(change.component);
      if (record.deleting) forgotten_.insert(change.component);
      protected_.erase(change.component);
    }
  }

  std::minstd_rand random_;
  const bool told_;
  TickingClock clock_;
  StoryWorld world_;
  MemoryPreparationStore store_{clock_};
  MemoryScriptJobs scripts_;
  NoHttp http_;
  StatusMirror mirror_{world_, clock_};
  spdlog::logger log_{"stories"};
  std::unique_ptr<DyingStore> dying_;
  std::unique_ptr<RecordLifecycle> lifecycle_;
  std::string identity_;
  int lives_ = 0;
  int uids_ = 1;
  std::vector<Hook> hooks_;
  std::map<Component, std::string> last_complete_;
  std::map<Component, Hold> protected_;  ///< A change was admitted, and its rollout is not over.
  std::set<Component> forgotten_;        ///< Who found where its pods stand was deleted by hand, and that with it.
  std::set<std::string> judged_;
  std::vector<std::string> broken_;
};

std::vector<std::string> live(std::uint32_t seed, int steps, bool told) {
  Story story(seed, told);
  for (int i = 0; i < steps && story.broken().empty(); ++i) {
    story.step();
    story.check_ways_back();
  }
  if (story.broken().empty()) story.end();
  return story.broken();
}

int from_environment(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::atoi(text);
}

TEST_CASE("in no story is a way back barred, anything given back too early, or left changed") {
  const int alone = from_environment("GATE_STORY_SEED", 0);
  if (alone != 0) {
    for (const auto& rule : live(static_cast<std::uint32_t>(alone), from_environment("GATE_STORY_STEPS", 40), true)) {
      FAIL_CHECK(rule);
    }
    return;
  }
  const int stories = from_environment("GATE_STORIES", kSanitized ? 500 : 10'000);
  const int first = from_environment("GATE_STORIES_FROM", 1);
  MESSAGE("stories " << first << " to " << first + stories - 1);
  int failures = 0;
  for (int seed = first; seed < first + stories && failures < 5; ++seed) {
    const int steps = 10 + seed % 31;
    const auto broken = live(static_cast<std::uint32_t>(seed), steps, false);
    if (broken.empty()) continue;
    ++failures;
    FAIL_CHECK("GATE_STORY_SEED=" << seed << " GATE_STORY_STEPS=" << steps << ": " << broken.front());
  }
}

}  // namespace
}  // namespace gate
