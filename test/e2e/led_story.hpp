#pragma once
// What stories about led rollouts share: how a cluster asks for one, and what is looked at.

#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "test/e2e/world.hpp"

namespace gate::test {

/// Both ways in which operators write StatefulSets: since 1.11.4, and before.
inline const std::vector<std::vector<std::string>> kWriteStyles{{"--resync=2s", "--write-style=three-way"},
                                                                {"--resync=2s", "--write-style=merge"}};

/// Whether each story is told in all its ways: minutes more.
inline bool in_all_ways() { return std::getenv("GATE_LONG_STORIES") != nullptr; }

/// Tells a story with one of kWriteStyles, `usual`, or in_all_ways(). Its name, a namespace, gets the number of the
/// style, which `tell` is told, too.
inline void in_write_styles(const std::string& name, const StoryOptions& options, std::size_t usual,
                            const std::function<void(Story&, std::size_t style)>& tell) {
  for (std::size_t style = 0; style < kWriteStyles.size(); ++style) {
    if (!in_all_ways() && style != usual) continue;
    INFO(kWriteStyles[style].back());
    Story story(name + "-" + std::to_string(style), options);
    story.world.restart_operator(kWriteStyles[style]);
    tell(story, style);
  }
}

/// A cluster in a namespace whose rollouts may be led, with hooks that set what must be restored.
inline StoryOptions led(json annotations) {
  const json quick{{"starrocks.com/upgrade-timeout-seconds", "3"}, {"starrocks.com/upgrade-health-readings", "1"}};
  for (const auto& [name, value] : quick.items()) {
    if (!annotations.contains(name)) annotations[name] = value;
  }
  StoryOptions options;
  options.annotations = with_hooks("check-backends-alive,disable-tablet-clone,disable-balancer", annotations);
  options.gate_flags = {"--admission-wait", "1s"};
  options.may_be_led = true;
  return options;
}

/// As led(), small: one FE, and as many BEs as there can be an order among.
inline StoryOptions small_led(const std::string& rollout, const std::string& admission, json more = json::object()) {
  more["starrocks.com/upgrade-rollout"] = rollout;
  more["starrocks.com/upgrade-admission"] = admission;
  auto options = led(more);
  options.backends = 2;
  return options;
}

inline bool as_before(Story& story) {
  return story.everywhere("disable_balance", "false") &&
         story.everywhere("tablet_sched_max_scheduling_tablets", "10000");
}

inline void ends_with_all(Story& story, const std::string& version) {
  story.until(
      "BEs and FEs are all " + version,
      [&] { return story.rolled("sr-be", version) && story.rolled("sr-fe", version); }, std::chrono::seconds(120));
  story.until("every setting is as before", [&] { return as_before(story); });
  story.until("the record is closed", [&] { return story.newest().value("stage", "") == "Closed"; });
}

/// A condition on the cluster; null where there is none.
inline json condition_of(Story& story, const std::string& type) {
  const auto status = story.cluster().value("status", json::object());
  const auto conditions = status.value("conditions", json::array());
  for (const auto& one : conditions) {
    if (one["type"] == type) return one;
  }
  return {};
}

/// "True RolloutPaused"; "" where there is none.
inline std::string condition(Story& story, const std::string& type) {
  const auto found = condition_of(story, type);
  if (found.is_null()) return {};
  return found["status"].get<std::string>() + " " + found["reason"].get<std::string>();
}

/// Of the newest record, "Rolling 1/2"; "" where the turn is not planned yet.
inline std::string turn(Story& story, std::size_t index) {
  const auto turns = story.newest().value("turns", json::array());
  if (turns.size() <= index) return {};
  const auto& found = turns[index];
  return found.value("phase", "") + " " + std::to_string(found.value("step", 0)) + "/" +
         std::to_string(found.value("of", 0));
}

/// Waits until the operator has looked `times` more, while nothing of `pods` restarts.
inline void nothing_restarts(Story& story, std::size_t from, const std::vector<std::string>& allowed,
                             std::size_t times = 3) {
  const auto passes = story.operator_passes();
  story.until_without(
      "the operator has looked several times", [&] { return story.operator_passes() >= passes + times; },
      "a pod that was not let go restarted", [&] { return story.restarts(from) != allowed; });
}

/// Whether a pod ever came up with this version from entry `from` of the timeline on; `match`: part of its name.
inline bool ever_ran(Story& story, std::size_t from, const std::string& match, const std::string& version) {
  const auto all = story.timeline();
  for (std::size_t i = from; i < all.size(); ++i) {
    const bool up = all[i].kind == "pod" && contains(all[i].what, match);
    if (up && all[i].what.ends_with(" up " + version)) return true;
  }
  return false;
}

/// FE pods come back only once no BE comes back any more.
inline bool frontends_last(const std::vector<std::string>& restarts) {
  bool frontend = false;
  for (const auto& pod : restarts) {
    if (frontend && !contains(pod, "-fe-")) return false;
    frontend = frontend || contains(pod, "-fe-");
  }
  return true;
}

}  // namespace gate::test
