// Whoever leads a rollout is killed at every step boundary of every look, one life for each, and another process goes
// on: no pod is restarted out of turn, and none before those ahead of it are back.

#include "test/chaos/mortal_gate.hpp"
#include "test/server/preparation/lifecycle/led_world.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

const std::vector<std::string> kInTurn = {"be-2", "be-1", "be-0", "fe-2", "fe-1", "fe-0"};

/// One process that leads.
struct Leader {
  Lifeline line;
  MortalStore store;
  MortalClusters clusters;
  MysqlFrontendConnector network;
  MortalConnector connector;

  Leader(LedStory& story, Activity& activity, const std::atomic<bool>& rolled_out, const MachineClock& clock,
         const Kill& kill)
      : line(activity, kill),
        store(story.store, line),
        clusters(story.clusters, rolled_out, line),
        connector(network, line, clock) {}
};

struct LedLife {
  bool killed = false;
  bool over = false;
  std::vector<std::string> passed;
};

/// The rollout's end, or somebody else's images on the object after the first restart: then nothing is held any more.
enum class LedEnd { Finished, LetGo };

LedLife lead(LedEnd end, const Kill& kill) {
  LedStory story;
  Activity activity;
  HandMovedTime time;
  const MachineClock clock(time, 0ms);
  const std::atomic<bool> rolled_out{false};
  auto leader = std::make_unique<Leader>(story, activity, rolled_out, clock, kill);
  LedLife life;
  std::string identity = "gate-0";
  constexpr int kLooksMax = 80;
  for (int i = 0; i < kLooksMax && !life.over; ++i) {
    auto stored = story.store.get("db", "sr-1", ample()).value();
    stored.status.runner = {identity, clock.wall_now()};
    const auto claimed = story.store.update_status(stored, ample()).value();
    ClaimedRecord claim(leader->store, clock, identity, claimed);
    RolloutLeader looks(leader->clusters, leader->connector, clock, story.log);
    const bool foreign = end == LedEnd::LetGo && !story.clusters.restarts.empty();
    const auto seen = looks.look(claim, object_at(foreign ? "sr:9" : "sr:3.5.8"), {}, clock.steady_now() + kAmple);
    const auto& rollout = story.store.get("db", "sr-1", ample()).value().status.rollout;
    life.over = foreign ? rollout.turns.empty() && rollout.back : seen.ok() && seen->finished;
    if (!life.over) story.clusters.pass(story.record);
    if (!leader->line.is_cut()) continue;
    life.killed = true;
    life.passed = leader->line.passed();
    identity = "gate-1";
    leader = std::make_unique<Leader>(story, activity, rolled_out, clock, Kill{});
  }
  if (!life.killed) life.passed = leader->line.passed();

  INFO("killed at " << (life.passed.empty() ? std::string() : life.passed.back()));
  CHECK(life.over);
  const auto& restarts = story.clusters.restarts;
  if (end == LedEnd::Finished) CHECK(restarts == kInTurn);
  if (end == LedEnd::LetGo) CHECK(restarts == std::vector<std::string>{"be-2"});
  const auto images = story.clusters.images_before_first_frontend();
  if (end == LedEnd::Finished) CHECK(images >= 1);
  CHECK(images <= 2);
  CHECK(story.clusters.too_early == std::vector<std::string>{});
  return life;
}

void enumerate_led(LedEnd end) {
  const auto unharmed = lead(end, {}).passed;
  REQUIRE(unharmed.size() >= 10);
  std::size_t met = 0;
  for (std::size_t i = 0; i < unharmed.size(); i += kSanitized ? 7 : 1) {
    if (lead(end, {.at = unharmed[i]}).killed) ++met;
  }
  MESSAGE("killed at " << met << " of " << unharmed.size() << " boundaries");
  CHECK(met >= unharmed.size() / (kSanitized ? 8 : 1));
}

TEST_CASE("killed at every step boundary of a stepwise rollout: every pod in its turn") {
  enumerate_led(LedEnd::Finished);
}

TEST_CASE("killed at every step boundary while a led rollout is let go: nothing is held, nothing restarted by it") {
  enumerate_led(LedEnd::LetGo);
}

}  // namespace
}  // namespace gate
