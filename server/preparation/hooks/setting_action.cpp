#include "policy/text/text.hpp"
#include "server/preparation/hooks/hook_actions.hpp"
#include "server/preparation/hooks/settings.hpp"

namespace gate {
namespace {

using std::chrono::seconds;

/// One try at a setting over all FEs. FEs that hang must not hold a worker for longer; what is left is seen by the
/// next try.
constexpr seconds kSettingLook{10};

/// Settings that are set right after hook `index`, one after the other, and are not through yet.
std::vector<const Hook*> settings_after(const Preparation& record, std::size_t index) {
  std::vector<const Hook*> next;
  const auto& hooks = record.spec.hooks;
  if (!hooks[index].group.empty()) return next;  // its neighbours run at the same time, and capture by themselves
  for (std::size_t i = index + 1; i < hooks.size() && setting_of(hooks[i]) != nullptr && hooks[i].group.empty(); ++i) {
    const bool pending = i >= record.status.hooks.size() || record.status.hooks[i].phase == HookPhase::Pending;
    if (pending) next.push_back(&hooks[i]);
  }
  return next;
}

}  // namespace

Result<Look> look_at_setting(HookContext& context, std::size_t index, Deadline deadline) {
  const auto record = context.record.snapshot();
  const Hook& hook = record.spec.hooks[index];
  const auto until = context.within(kSettingLook, deadline);
  const auto frontends = context.fleet(until);
  if (!frontends) return frontends.error();
  if (context.verifies_only()) {
    const auto drift = find_drift(**frontends, {&hook}, until);
    if (!drift) return drift.error();
    if (drift->empty()) return Look{Look::State::Done, "in force on every FE", {}};
    return Look{Look::State::NotYet, *drift, kHookPollDefault};
  }
  std::string detail;
  Settings settings(context.record, **frontends, context.clock, context.further_sql, context.unset);
  settings.capture_with(settings_after(record, index));
  const auto set = settings.apply({&hook}, true, until, detail);
  if (!set) return set.error();
  return Look{};
}

}  // namespace gate
