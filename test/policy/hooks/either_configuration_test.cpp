#include "policy/hooks/either_configuration.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gate {
namespace {

using nlohmann::json;

HookConfiguration of(const json& annotations, const json& spec = json::object()) {
  const json object{{"metadata", {{"annotations", annotations}}}, {"spec", spec}};
  return resolve_hooks({.object = object, .changes = {{Component::Backend, "be:1", "be:2"}}});
}

std::string names(const HookConfiguration& configuration) {
  std::string out;
  for (const auto& hook : configuration.hooks) out += (out.empty() ? "" : ",") + hook.name;
  return out;
}

const json kBalancer{{"starrocks.com/upgrade-hooks", "disable-balancer"}};
const json kBoth{{"starrocks.com/upgrade-hooks", "disable-balancer,disable-tablet-clone"}};

TEST_CASE("configuration counts as it was or as it will be") {
  struct Row {
    const char* name;
    HookConfiguration before, after;
    const char* hooks;
  };
  for (const Row& row : {
           Row{"unchanged", of(kBoth), of(kBoth), "disable-balancer,disable-tablet-clone"},
           Row{"none", of({}), of({}), ""},
           Row{"added", of({}), of(kBalancer), "disable-balancer"},
           Row{"taken away", of(kBoth), of({}), "disable-balancer,disable-tablet-clone"},
           Row{"switched off", of(kBoth),
               of({{"starrocks.com/prepare-upgrade", "false"},
                   {"starrocks.com/upgrade-hooks", "disable-balancer,disable-tablet-clone"}}),
               "disable-balancer,disable-tablet-clone"},
           Row{"fewer", of(kBoth), of(kBalancer), "disable-balancer,disable-tablet-clone"},
           Row{"more", of(kBalancer), of(kBoth), "disable-balancer,disable-tablet-clone"},
           Row{"others", of(kBalancer), of({{"starrocks.com/upgrade-hooks", "create-image"}}),
               "create-image,disable-balancer"},
           Row{"the reverse", of(kBalancer), of({{"starrocks.com/upgrade-hooks", "enable-balancer"}}),
               "disable-balancer"},
           Row{"the reverse under another name and spelling", of(kBalancer),
               of({}, {{"upgradePreparation",
                        {{"hooks",
                          {{{"name", "mine"},
                            {"command", R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "FALSE"))"}}}}}}}),
               "disable-balancer"},
           Row{"another source", of(kBalancer),
               of({}, {{"upgradePreparation", {{"hooks", {{{"name", "disable-tablet-clone"}}}}}}}),
               "disable-tablet-clone,disable-balancer"},
       }) {
    INFO(row.name);
    const auto out = before_or_after(row.before, row.after);
    CHECK(names(out) == row.hooks);
    CHECK(out.configured == (*row.hooks != '\0'));
    CHECK(out.faults.empty());
  }
}

TEST_CASE("a hook that stays cannot be made weaker in the request that needs it") {
  const auto hook = [](bool critical, int timeout, const char* sql = "SHOW FRONTENDS", const char* name = "look") {
    return of(
        {}, {{"upgradePreparation",
              {{"timeoutSeconds", timeout}, {"hooks", {{{"name", name}, {"command", sql}, {"critical", critical}}}}}}});
  };
  const auto weaker = before_or_after(hook(true, 300), hook(false, 1));
  REQUIRE(weaker.hooks.size() == 1);
  CHECK(weaker.hooks[0].critical);
  CHECK(weaker.hooks[0].timeout == std::chrono::seconds(300));
  const auto longer = before_or_after(hook(false, 300), hook(true, 600));
  CHECK(longer.hooks[0].critical);
  CHECK(longer.hooks[0].timeout == std::chrono::seconds(600));
  // Another action under the old name.
  const auto other = before_or_after(hook(true, 300), hook(true, 300, "SELECT 1"));
  REQUIRE(other.hooks.size() == 1);
  CHECK(std::get<SqlAction>(other.hooks[0].action).sql == "SHOW FRONTENDS");
  CHECK(other.warnings.back().find("is used as it was") != std::string::npos);
}

TEST_CASE("a led rollout is led as closely as before, whatever the request that needs it says") {
  const json close{{"starrocks.com/upgrade-rollout", "stepwise"},
                   {"starrocks.com/upgrade-health", "check-tablets-healthy, check-frontends-alive"},
                   {"starrocks.com/upgrade-health-readings", "5"}};
  auto loose = close;
  loose["starrocks.com/upgrade-health"] = "check-frontends-alive";
  loose["starrocks.com/upgrade-health-readings"] = "1";
  const auto out = before_or_after(of(close), of(loose));
  CHECK(out.rollout.readings == 5);
  CHECK(out.rollout.health == std::vector{Probe::FrontendsAlive, Probe::TabletsHealthy});
  CHECK(out.warnings.back().find("still apply") != std::string::npos);
  const auto same = before_or_after(of(close), of(close));
  CHECK(same.rollout == of(close).rollout);
  CHECK(std::none_of(same.warnings.begin(), same.warnings.end(),
                     [](const auto& warning) { return warning.find("still apply") != std::string::npos; }));
  // What was not led waited for nothing.
  auto before = loose;
  before.erase("starrocks.com/upgrade-rollout");
  CHECK(before_or_after(of(before), of(close)).rollout == of(close).rollout);
  // Taken away whole, it is led as it was.
  CHECK(before_or_after(of(close), of(kBalancer)).rollout.readings == 5);
}

TEST_CASE("unread ConfigMaps of either count") {
  HookConfiguration before = of(kBoth);
  before.unread = {"ConfigMap strict could not be read: timeout"};
  before.unread_lasts = true;
  const auto out = before_or_after(before, of(kBalancer));
  CHECK(out.unread == before.unread);
  CHECK(out.unread_lasts);
  CHECK(before_or_after(before, before).unread.size() == 1);
}

TEST_CASE("the mode and the faults") {
  auto verify = kBalancer;
  verify["starrocks.com/upgrade-hooks-mode"] = "verify";
  CHECK(before_or_after(of(kBalancer), of(verify)).mode == PreparationMode::Run);
  CHECK(before_or_after(of(verify), of(verify)).mode == PreparationMode::Verify);
  CHECK(before_or_after(of(verify), of(kBalancer)).mode == PreparationMode::Run);

  const json wrong{{"starrocks.com/upgrade-hooks", "no-such-hook"}};
  CHECK_FALSE(before_or_after(of(wrong), of({})).faults.empty());
  CHECK_FALSE(before_or_after(of(kBalancer), of(wrong)).faults.empty());
  const auto corrected = before_or_after(of(wrong), of(kBalancer));
  CHECK(corrected.faults.empty());
  CHECK(names(corrected) == "disable-balancer");
}

}  // namespace
}  // namespace gate
