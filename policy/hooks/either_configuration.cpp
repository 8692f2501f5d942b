#include "policy/hooks/either_configuration.hpp"

#include <algorithm>
#include <utility>

#include "policy/hooks/frontend_setting.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

bool contradicts(const Hook& left, const Hook& right) {
  const ConfigSetting* one = setting_of(left);
  const ConfigSetting* other = setting_of(right);
  return one != nullptr && other != nullptr && canonical_setting(one->key) == canonical_setting(other->key) &&
         one->value != other->value;
}

Hook stronger(const Hook& before, Hook after) {
  after.critical = after.critical || before.critical;
  after.timeout = std::max(after.timeout, before.timeout);
  // Another run mode could skip it.
  if (after.run_mode != before.run_mode) after.run_mode = before.run_mode;
  return after;
}

/// A step waits for what it would have waited for, and as long.
bool keep_closeness(const LedRollout& before, LedRollout& after) {
  bool weaker = before.readings > after.readings;
  after.readings = std::max(before.readings, after.readings);
  for (const Probe probe : before.health) {
    if (std::find(after.health.begin(), after.health.end(), probe) != after.health.end()) continue;
    after.health.push_back(probe);
    weaker = true;
  }
  return weaker;
}

void warn(HookConfiguration& out, const std::string& text) { out.warnings.push_back(clean_text(text, kWarningMax)); }

}  // namespace

HookConfiguration before_or_after(HookConfiguration before, HookConfiguration after) {
  if (!before.configured) return after;
  if (!after.configured) {
    warn(before, "upgrade hooks that this request removes still apply to its image change");
    return before;
  }
  HookConfiguration out = std::move(after);
  std::vector<Hook> hooks;
  for (Hook& hook : out.hooks) {
    const auto same_name = std::find_if(before.hooks.begin(), before.hooks.end(),
                                        [&](const Hook& earlier) { return earlier.name == hook.name; });
    if (same_name != before.hooks.end()) {
      const bool same = same_name->action == hook.action;
      if (!same) warn(out, "upgrade hook \"" + hook.name + "\" is used as it was before this request");
      hooks.push_back(same ? stronger(*same_name, std::move(hook)) : *same_name);
      continue;
    }
    const auto overruled = std::find_if(before.hooks.begin(), before.hooks.end(),
                                        [&](const Hook& earlier) { return contradicts(earlier, hook); });
    if (overruled == before.hooks.end()) {
      hooks.push_back(std::move(hook));
    } else {
      warn(out, "upgrade hook \"" + hook.name + "\" is left out: \"" + overruled->name + "\" is used as it was");
    }
  }
  for (Hook& hook : before.hooks) {
    const bool there =
        std::any_of(hooks.begin(), hooks.end(), [&](const Hook& other) { return other.name == hook.name; });
    if (!there) hooks.push_back(std::move(hook));
  }
  out.hooks = std::move(hooks);
  // A led rollout that was asked for is led.
  if (before.rollout.mode > out.rollout.mode) {
    out.rollout.mode = before.rollout.mode;
    out.led_by_default = before.led_by_default;
  } else if (before.rollout.leads() && !before.led_by_default) {
    out.led_by_default = false;
  }
  if (before.rollout.mode != RolloutMode::Operator && keep_closeness(before.rollout, out.rollout)) {
    warn(out, "health checks of led rollouts that this request removes still apply to its image change");
  }
  // Hooks that nobody knows must not get lost.
  for (std::string& cause : before.unread) {
    if (std::find(out.unread.begin(), out.unread.end(), cause) == out.unread.end()) out.unread.push_back(cause);
  }
  out.unread_lasts = out.unread_lasts || before.unread_lasts;
  out.only_led = out.only_led && before.only_led;
  if (before.mode == PreparationMode::Run) out.mode = PreparationMode::Run;
  return out;
}

}  // namespace gate
