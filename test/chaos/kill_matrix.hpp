#pragma once
// The gate is killed at every step boundary of whole stories, one life for each boundary, and another process goes on
// from the record. Method: a story is run unharmed, and its boundaries are noted ("before get r #1", ...); then it is
// run once for each, the first gate killed there; boundaries that only such a life shows are added, until none is left.
// Judged by the end state, by the statements that reached the FEs, and by the rules that the world watches all the time
// (ChaosWorld::judge).

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "test/chaos/mortal_gate.hpp"

namespace gate::test {

using namespace std::chrono_literals;

inline const std::string kCreateImage = "ALTER SYSTEM CREATE IMAGE";

inline std::vector<Hook> hooks() {
  return {patient(no_scheduling()), patient(setting_hook("disable-tablet-balancing", kBalancing, "0")),
          patient(statement_hook("create-image", kCreateImage))};
}

/// What happens around the gate: called again and again, moves the world on when the records have come far enough.
using Steering = std::function<void(ChaosWorld&, MortalGate&)>;

struct Story {
  std::string name;
  std::function<Steering()> begin;  ///< A fresh steering for each life.
  Outcome outcome;                  ///< Of the story's last record.
  std::size_t more_sets = 0;        ///< Settings set again because an FE lost them.
  std::chrono::seconds admit_within{24h};
  std::function<void(ChaosWorld&)> before = [](ChaosWorld&) {};
  /// What is to be true of its records, where that is not one outcome and one SET of each setting.
  std::function<void(ChaosWorld&)> judge = {};
  /// A kind of boundary that a life of this story has or has not, as its threads run; empty: there is none.
  std::string by_chance = {};
};

/// Runs `act` once, when the record has reached `stage`.
class Once {
 public:
  Once(std::string record, Stage stage, std::function<void(ChaosWorld&)> act)
      : record_(std::move(record)), stage_(stage), act_(std::move(act)) {}
  void operator()(ChaosWorld& chaos) {
    if (done_ || chaos.world.get(record_).status.stage != stage_) return;
    done_ = true;
    act_(chaos);
  }

 private:
  std::string record_;
  Stage stage_;
  std::function<void(ChaosWorld&)> act_;
  bool done_ = false;
};

inline Steering in_turn(std::vector<Once> acts) {
  return [acts = std::move(acts)](ChaosWorld& chaos, MortalGate&) mutable {
    for (auto& act : acts) act(chaos);
  };
}

inline bool over(ChaosWorld& chaos) {
  const auto records = chaos.world.store.cached();
  const bool superseding = chaos.world.get("s").name == "s";
  return std::none_of(records.begin(), records.end(),
                      [](const Preparation& record) { return is_open(record) || record.held; }) &&
         (!superseding || chaos.world.get("s").status.outcome != Outcome::None);
}

struct Life {
  std::size_t kills = 0;
  std::vector<std::string> passed;  ///< Boundaries of the first gate; where it was killed, the last one.
};

/// One life of the story. The first gate is killed; whoever goes on is too, if all die, else lives.
inline Life live(const Story& story, const Kill& kill, const std::string& second_identity, bool all_die = false) {
  ChaosWorld chaos;
  chaos.tracing = chaos.one_by_one = true;
  Life life;
  auto options = chaos_options("gate-0");
  options.admit_within = story.admit_within;
  auto gate = std::make_unique<MortalGate>(chaos, options, kill);
  const auto steer = story.begin();
  story.before(chaos);
  chaos.world.create(backend_record("r", hooks()));
  const bool ended = chaos.until([&] {
    if (gate->line.is_cut()) {
      if (life.kills++ == 0) life.passed = gate->line.passed();
      gate.reset();
      options.identity = all_die ? "gate-" + std::to_string(life.kills) : second_identity;
      // Hours apart: nothing may depend on the clocks of two machines.
      gate = std::make_unique<MortalGate>(chaos, options, all_die ? kill : Kill{}, life.kills % 2 == 1 ? 5h : -3h);
    }
    if (!gate->line.is_cut()) steer(chaos, *gate);
    // Closed is not the last step: events, the mirror and pruning come after it.
    return over(chaos) && !chaos.pods_moving && chaos.activity.quiet() && !gate->line.is_cut();
  });
  if (life.kills == 0) life.passed = gate->line.passed();
  gate.reset();

  INFO(story.name << ", killed at " << (life.passed.empty() ? "" : life.passed.back()) << ", goes on as "
                  << second_identity);
  std::string log;
  for (const auto& statement : chaos.world.simulator.statements()) {
    if (!statement.sql.starts_with("SHOW") && !statement.sql.starts_with("ADMIN SHOW")) log += statement.sql + "\n";
  }
  INFO(log);
  REQUIRE(ended);
  const auto records = chaos.world.store.cached();
  for (const auto& record : records) {
    INFO(record.name);
    CHECK(record.status.stage == Stage::Closed);
    CHECK_FALSE(record.status.restore_pending);
    CHECK_FALSE(record.held);
    // Twice only where a gate was killed between telling it and removing the finalizer.
    CHECK(chaos.traced(record) >= 1);
    CHECK(chaos.traced(record) <= 1 + life.kills);
    if (story.judge) continue;
    const bool superseded = record.name == "r" && records.size() > 1;
    CHECK(record.status.outcome == (superseded ? Outcome::Superseded : story.outcome));
  }
  for (std::size_t fe = 0; fe < chaos.world.simulator.size(); ++fe) {
    for (const auto& [key, value] : chaos.before) CHECK(chaos.world.config(fe, key) == value);
  }
  CHECK(chaos.broken_rules() == "");
  if (story.judge) {
    story.judge(chaos);
    return life;
  }
  // Idempotent steps are repeated at most once for each kill.
  for (const auto& [key, value] : chaos.before) {
    const auto set = chaos.received(set_config_sql(key, "0"));
    CHECK(set >= 1);
    CHECK(set <= 1 + life.kills + story.more_sets);
    const auto put_back = chaos.received(set_config_sql(key, value));
    CHECK(put_back >= 1);
    CHECK(put_back <= 1 + life.kills);
  }
  const auto images = chaos.received(kCreateImage);
  CHECK(images >= records.size());
  CHECK(images <= records.size() + life.kills);
  return life;
}

/// "after mirror #2": 2.
inline int time_of(const std::string& boundary) { return std::stoi(boundary.substr(boundary.rfind('#') + 1)); }

/// Where the settings are back in the look that knows the outcome, its own event says so and this one is not told:
/// which of both is a matter of time.
inline bool is_in_every_life(const Story& story, const std::string& boundary) {
  const auto is_of = [&](const std::string& kind) { return !kind.empty() && boundary.find(kind) != std::string::npos; };
  return time_of(boundary) == 1 && !is_of("event UpgradePreparationClosed") && !is_of(story.by_chance);
}

inline void enumerate(const Story& story, const std::string& second_identity) {
  // How often a rollout is looked at is a matter of time, so a late look is not in every life: of those nothing but
  // their number is told. What every life has, each kind of boundary's first time, must be met.
  constexpr int kTriesMax = 3;
  const auto began = std::chrono::steady_clock::now();
  std::map<std::string, int> tries;
  std::vector<std::string> left = live(story, {}, second_identity).passed;
  REQUIRE(left.size() >= 60);
  std::size_t met = 0;
  std::string missed;
  while (!left.empty()) {
    const auto boundary = left.back();
    left.pop_back();
    if (tries[boundary] != 0) continue;
    bool killed = false;
    while (!killed && tries[boundary]++ < kTriesMax) {
      const auto life = live(story, {.at = boundary}, second_identity);
      killed = life.kills > 0;
      for (const auto& other : life.passed) {
        if (!kSanitized && !tries.contains(other)) left.push_back(other);
      }
    }
    if (killed) ++met;
    if (!killed && is_in_every_life(story, boundary)) missed += boundary + "\n";
    // Here each life takes several times as long: a sample of a seventh, another one of each story.
    for (std::size_t i = 0; kSanitized && i < 6 && !left.empty(); ++i) left.pop_back();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("kill matrix: " << story.name << ", goes on as " << second_identity << ": killed at " << met << " of "
                          << tries.size() << " boundaries, in " << took.count() << " s");
  CHECK(missed == "");
}

}  // namespace gate::test
