#include "policy/hooks/hook_catalogue.hpp"

#include <algorithm>

#include "policy/hooks/sql.hpp"
#include "policy/text/characters.hpp"

namespace gate {
namespace {

HookAction set(const std::string& key, const std::string& value) {
  return SqlAction{set_config_sql(key, value), ConfigSetting{key, value}};
}

}  // namespace

const std::vector<PredefinedHook>& hook_catalogue() {
  constexpr const char* kScheduling = "tablet_sched_max_scheduling_tablets";
  static const std::vector<PredefinedHook> catalogue{
      {"disable-tablet-clone", set(kScheduling, "0"), true, ""},
      {"disable-tablet-balancing", set("tablet_sched_max_balancing_tablets", "0"), true, ""},
      {"disable-balancer", set("disable_balance", "true"), true, ""},
      {"disable-colocate-balance", set("disable_colocate_balance", "true"), true, ""},
      {"enable-tablet-clone", set(kScheduling, "2000"), false, "disable-tablet-clone"},
      {"enable-balancer", set("disable_balance", "false"), false, "disable-balancer"},
      {"drain-tablet-scheduler", ProbeAction{Probe::SchedulerDrained}, false, ""},
      {"create-image", SqlAction{"ALTER SYSTEM CREATE IMAGE", std::nullopt}, false, ""},
      {"check-frontends-alive", ProbeAction{Probe::FrontendsAlive}, true, ""},
      {"check-backends-alive", ProbeAction{Probe::BackendsAlive}, true, ""},
      {"check-compute-nodes-alive", ProbeAction{Probe::ComputeNodesAlive}, true, ""},
      {"check-tablets-healthy", ProbeAction{Probe::TabletsHealthy}, true, ""},
      {"check-no-schema-change", ProbeAction{Probe::NoSchemaChange}, false, ""},
      {"check-no-running-loads", ProbeAction{Probe::NoRunningLoads}, false, ""},
  };
  return catalogue;
}

const PredefinedHook* find_predefined(std::string_view name) {
  const auto& catalogue = hook_catalogue();
  const auto found =
      std::find_if(catalogue.begin(), catalogue.end(), [&](const auto& hook) { return hook.name == name; });
  return found == catalogue.end() ? nullptr : &*found;
}

const std::vector<std::string_view>& recommended_hooks() {
  // The checks first: a cluster that is not healthy is not touched. The drain last: it waits for what was under way
  // when the scheduler was stopped.
  static const std::vector<std::string_view> names{
      "check-frontends-alive",    "check-backends-alive", "check-compute-nodes-alive", "disable-tablet-clone",
      "disable-tablet-balancing", "disable-balancer",     "disable-colocate-balance",  "drain-tablet-scheduler"};
  return names;
}

bool is_predefined_name(std::string_view name) {
  return name == kRecommendedBundle || find_predefined(name) != nullptr;
}

std::string predefined_names() {
  std::string names(kRecommendedBundle);
  for (const PredefinedHook& hook : hook_catalogue()) names.append(", ").append(hook.name);
  return names;
}

std::string instead_of(std::string_view name) {
  constexpr std::size_t kTypingErrors = 3;
  // Names longer than any of ours by more than the errors are not worth the comparison.
  constexpr std::size_t kNameMax = 40;
  std::string_view closest;
  std::size_t least = kTypingErrors + 1;
  const std::string look = look_of(name);
  const auto consider = [&](std::string_view candidate) {
    const std::size_t distance = edit_distance(look, candidate);
    if (distance < least) {
      least = distance;
      closest = candidate;
    }
  };
  if (look.size() <= kNameMax) {
    consider(kRecommendedBundle);
    for (const PredefinedHook& hook : hook_catalogue()) consider(hook.name);
  }
  if (closest.empty()) return "one of " + predefined_names();
  return std::string(closest) + ", or another of " + predefined_names();
}

}  // namespace gate
