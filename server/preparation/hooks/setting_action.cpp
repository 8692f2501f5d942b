#include "policy/text/text.hpp"
#include "server/preparation/hooks/hook_actions.hpp"
#include "server/preparation/hooks/settings.hpp"

namespace gate {
namespace {

using std::chrono::seconds;

/// One try at a setting over all FEs. FEs that hang must not hold a worker for longer; what is left is seen by the
/// next try.
constexpr seconds kSettingLook{10};

}  // namespace

Result<Look> look_at_setting(HookContext& context, const Hook& hook, Deadline deadline) {
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
  const auto set =
      Settings(context.record, **frontends, context.clock, context.further_sql).apply({&hook}, true, until, detail);
  if (!set) return set.error();
  return Look{};
}

}  // namespace gate
