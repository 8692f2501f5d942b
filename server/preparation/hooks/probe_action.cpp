#include <optional>
#include <utility>

#include "server/preparation/frontends/frontend_probes.hpp"
#include "server/preparation/hooks/hook_actions.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One look over all that a check asks for: a second or two of a busy FE's time. The next may lead to another FE.
constexpr seconds kProbeLook{10};
/// Between two looks that must agree: several of the scheduler's rounds, which are a second apart.
constexpr milliseconds kConfirmPause{3000};

}  // namespace

Result<Look> look_at_probe(HookContext& context, const Hook& hook, const ProbeAction& action, Deadline deadline) {
  const bool held_before = std::exchange(context.held_before, std::nullopt) == hook.name;
  const auto until = context.within(kProbeLook, deadline);
  const auto frontends = context.fleet(until);
  if (!frontends) return frontends.error();
  const auto seen = observe(**frontends, action.probe, until);
  if (!seen) return seen.error();
  if (!seen->holds) return Look{Look::State::NotYet, seen->text, kHookPollDefault};
  // The scheduler's numbers are low for moments between two of its rounds.
  if (action.probe == Probe::SchedulerDrained && !held_before) {
    context.held_before = hook.name;
    return Look{Look::State::NotYet, seen->text + "; wanted so at two looks in a row", kConfirmPause};
  }
  return Look{Look::State::Done, seen->text, {}};
}

}  // namespace gate
