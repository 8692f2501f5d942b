// Goal: people change their mind about a led rollout, once, twice and three times, to a new target, to one that they
// had before and back to where the pods came from, at any moment of it: no pod moves out of turn, nothing rolls that is
// not prepared, and in the end every pod has the last target, every setting is as before and no record is open. Method:
// every sequence of three changes after the first one, each at every moment, over the real decision, lifecycle, leader
// and the webhook's order, with operator and pods of a few lines (story_world.hpp). One thread, time moved by hand. All
// of them with GATE_LONG_STORIES set, else a sample; GATE_STORY_NUMBER tells one alone.

#include <cstdlib>

#include "test/chaos/led_story.hpp"
#include "test/chaos/sanitized.hpp"

namespace gate {
namespace {

using namespace test;

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
