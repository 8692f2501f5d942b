#include "policy/hooks/hook_configuration.hpp"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "policy/hooks/hook_catalogue.hpp"
#include "policy/hooks/sql.hpp"

using namespace gate;
using nlohmann::json;

namespace {

std::string names(const HookConfiguration& configuration) {
  std::string text;
  for (const Hook& hook : configuration.hooks) text += (text.empty() ? "" : ",") + hook.name;
  return text;
}

std::string fields(const HookConfiguration& configuration) {
  std::string text;
  for (const ConfigurationFault& fault : configuration.faults) text += (text.empty() ? "" : " ") + fault.field;
  return text;
}

HookConfiguration resolve(const json& object, const std::vector<std::string>& default_hooks,
                          const std::vector<ImageChange>& changes = {}) {
  return resolve_hooks({.object = object, .default_hooks = default_hooks, .changes = changes});
}

json annotated(const json& annotations) { return {{"metadata", {{"annotations", annotations}}}}; }
json with_preparation(const json& preparation) { return {{"spec", {{"upgradePreparation", preparation}}}}; }

constexpr const char* kRecommended =
    "check-frontends-alive,check-backends-alive,check-compute-nodes-alive,disable-tablet-clone,disable-tablet-"
    "balancing,"
    "disable-balancer,disable-colocate-balance,drain-tablet-scheduler";

}  // namespace

TEST_CASE("the sources name hooks, in order, without repeats") {
  struct Row {
    const char* name;
    const char* object;
    std::vector<std::string> default_hooks;
    bool configured;
    const char* hooks;
  };
  const Row rows[] = {
      {"nothing configured", R"({"metadata":{"name":"a"},"spec":{"starRocksBeSpec":{"image":"x"}}})", {}, false, ""},
      {"null object", "null", {}, false, ""},
      {"list as object", "[1,2]", {}, false, ""},
      {"a Secret for no hooks",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-credentials-secret":"fe login"}}})",
       {},
       false,
       ""},
      {"nulls everywhere",
       R"({"metadata":{"annotations":null},"spec":{"upgradePreparation":null,"starRocksBeSpec":null}})",
       {},
       false,
       ""},
      {"prepare-upgrade true means recommended",
       R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"true"}}})",
       {},
       true,
       kRecommended},
      {"prepare-upgrade false",
       R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"false","starrocks.com/upgrade-hooks":"disable-balancer"}}})",
       {},
       false,
       ""},
      {"hooks listed, prepare-upgrade absent",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-balancer,disable-tablet-clone"}}})",
       {},
       true,
       "disable-balancer,disable-tablet-clone"},
      {"hooks listed and prepare-upgrade true: no recommended on top",
       R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"true","starrocks.com/upgrade-hooks":" disable-balancer , "}}})",
       {},
       true,
       "disable-balancer"},
      {"bundle in a list, repeats dropped",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-balancer,recommended"}}})",
       {},
       true,
       "disable-balancer,check-frontends-alive,check-backends-alive,check-compute-nodes-alive,disable-tablet-clone,"
       "disable-tablet-balancing,disable-colocate-balance,drain-tablet-scheduler"},
      {"empty list", R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":""}}})", {}, false, ""},
      {"timeout alone asks for nothing",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":"60"}}})",
       {},
       false,
       ""},
      {"default hooks", R"({"metadata":{}})", {"disable-balancer"}, true, "disable-balancer"},
      {"default hooks on a null object", "null", {"recommended"}, true, kRecommended},
      {"prepare-upgrade true beside default hooks",
       R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"true"}}})",
       {"disable-balancer"},
       true,
       kRecommended},
      {"prepare-upgrade false does not switch the gate's own default off",
       R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"false"}}})",
       {"disable-balancer"},
       true,
       "disable-balancer"},
      {"spec hooks",
       R"({"spec":{"upgradePreparation":{"enabled":true,"hooks":[{"name":"mine","command":"SHOW FRONTENDS;"},{"command":"disable-balancer"},{"command":"SELECT 1"}]}}})",
       {},
       true,
       "mine,disable-balancer,hook-3"},
      {"spec hooks without enabled",
       R"({"spec":{"upgradePreparation":{"hooks":[{"command":"disable-balancer"}]}}})",
       {},
       true,
       "disable-balancer"},
      {"spec enabled without hooks means recommended",
       R"({"spec":{"upgradePreparation":{"enabled":true}}})",
       {},
       true,
       kRecommended},
      {"spec empty asks for nothing", R"({"spec":{"upgradePreparation":{"timeoutSeconds":10}}})", {}, false, ""},
      {"spec disabled",
       R"({"spec":{"upgradePreparation":{"enabled":false,"hooks":[{"command":"nonsense"}]}}})",
       {},
       false,
       ""},
      {"spec disabled, annotations still count",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-balancer"}},"spec":{"upgradePreparation":{"enabled":false}}})",
       {},
       true,
       "disable-balancer"},
      {"prepare-upgrade true beside spec hooks: no recommended on top",
       R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"true"}},"spec":{"upgradePreparation":{"hooks":[{"command":"disable-balancer"}]}}})",
       {},
       true,
       "disable-balancer"},
      {"a predefined hook under another name",
       R"({"spec":{"upgradePreparation":{"hooks":[{"name":"freeze","command":"disable-balancer"}]}}})",
       {},
       true,
       "freeze"},
      {"component hooks",
       R"({"spec":{"starRocksFeSpec":{"upgradeHooks":{"predefined":["disable-balancer"]}},"starRocksBeSpec":{"upgradeHooks":{"predefined":["disable-tablet-clone","disable-balancer"]}}}})",
       {},
       true,
       "disable-balancer,disable-tablet-clone"},
      {"warehouse hooks",
       R"({"spec":{"template":{"upgradeHooks":{"predefined":["disable-balancer"]}}}})",
       {},
       true,
       "disable-balancer"},
      {"all four sources in order",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-colocate-balance"}},"spec":{"starRocksBeSpec":{"upgradeHooks":{"predefined":["disable-tablet-clone"]}},"upgradePreparation":{"hooks":[{"command":"disable-balancer"}]}}})",
       {"disable-tablet-balancing"},
       true,
       "disable-tablet-clone,disable-balancer,disable-colocate-balance,disable-tablet-balancing"},
      {"enable alone runs",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"enable-balancer,enable-tablet-clone"}}})",
       {},
       true,
       "enable-balancer,enable-tablet-clone"},
      {"enable beside its disable is left out",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-tablet-clone,disable-balancer,enable-tablet-clone,enable-balancer"}}})",
       {},
       true,
       "disable-tablet-clone,disable-balancer"},
      {"enable before its disable is left out",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"enable-balancer,disable-balancer"}}})",
       {},
       true,
       "disable-balancer"},
      {"enable of another disable stays",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-tablet-clone,enable-balancer"}}})",
       {},
       true,
       "disable-tablet-clone,enable-balancer"},
      {"enable written as SQL beside its disable is left out",
       R"json({"spec":{"upgradePreparation":{"hooks":[{"command":"disable-balancer"},{"command":"ADMIN SET FRONTEND CONFIG ('tablet_sched_disable_balance'='false')"}]}}})json",
       {},
       true,
       "disable-balancer"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const HookConfiguration configuration = resolve(json::parse(row.object), row.default_hooks);
    CHECK(configuration.configured == row.configured);
    CHECK(names(configuration) == row.hooks);
    CHECK(fields(configuration) == "");
  }
}

TEST_CASE("a wrong configuration is a fault that names its field") {
  struct Row {
    const char* name;
    const char* object;
    const char* fields;
  };
  const Row rows[] = {
      {"unknown hook in an annotation",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-balancr"}}})",
       "metadata.annotations[starrocks.com/upgrade-hooks]"},
      {"a Secret that no Secret is called",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-credentials-secret":"fe login",
          "starrocks.com/upgrade-hooks":"disable-balancer"}}})",
       "metadata.annotations[starrocks.com/upgrade-credentials-secret]"},
      {"an empty name of a Secret",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-credentials-secret":"",
          "starrocks.com/prepare-upgrade":"true"}}})",
       "metadata.annotations[starrocks.com/upgrade-credentials-secret]"},
      {"prepare-upgrade yes", R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"yes"}}})",
       "metadata.annotations[starrocks.com/prepare-upgrade]"},
      {"prepare-upgrade empty", R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":""}}})",
       "metadata.annotations[starrocks.com/prepare-upgrade]"},
      {"prepare-upgrade as a boolean", R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":true}}})",
       "metadata.annotations[starrocks.com/prepare-upgrade]"},
      {"ConfigMap annotation", R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks-configmap":"cm/key.sql"}}})",
       "metadata.annotations[starrocks.com/upgrade-hooks-configmap]"},
      {"timeout 0", R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":"0"}}})",
       "metadata.annotations[starrocks.com/upgrade-timeout-seconds]"},
      {"timeout 3601", R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":"3601"}}})",
       "metadata.annotations[starrocks.com/upgrade-timeout-seconds]"},
      {"timeout with a unit", R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":"5m"}}})",
       "metadata.annotations[starrocks.com/upgrade-timeout-seconds]"},
      {"timeout negative", R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":"-5"}}})",
       "metadata.annotations[starrocks.com/upgrade-timeout-seconds]"},
      {"timeout empty", R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":""}}})",
       "metadata.annotations[starrocks.com/upgrade-timeout-seconds]"},
      {"timeout beyond any integer",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":"99999999999999999999"}}})",
       "metadata.annotations[starrocks.com/upgrade-timeout-seconds]"},
      {"annotations as a list", R"({"metadata":{"annotations":[]}})", "metadata.annotations"},
      {"metadata as a text", R"({"metadata":"x"})", "metadata"},
      {"spec as a text", R"({"spec":"x"})", "spec"},
      {"upgradePreparation as a text", R"({"spec":{"upgradePreparation":"yes"}})", "spec.upgradePreparation"},
      {"enabled as a text", R"({"spec":{"upgradePreparation":{"enabled":"yes"}}})", "spec.upgradePreparation.enabled"},
      {"hooks as an object", R"({"spec":{"upgradePreparation":{"hooks":{}}}})", "spec.upgradePreparation.hooks"},
      {"hook as a text", R"({"spec":{"upgradePreparation":{"hooks":["disable-balancer"]}}})",
       "spec.upgradePreparation.hooks[0]"},
      {"hook without a command", R"({"spec":{"upgradePreparation":{"hooks":[{"name":"a"}]}}})",
       "spec.upgradePreparation.hooks[0].command"},
      {"command as a number", R"({"spec":{"upgradePreparation":{"hooks":[{"command":1}]}}})",
       "spec.upgradePreparation.hooks[0].command"},
      {"command refused",
       R"({"spec":{"upgradePreparation":{"hooks":[{"command":"SELECT 1"},{"command":"DROP TABLE t"}]}}})",
       "spec.upgradePreparation.hooks[1].command"},
      {"two statements", R"({"spec":{"upgradePreparation":{"hooks":[{"command":"SELECT 1; SELECT 2"}]}}})",
       "spec.upgradePreparation.hooks[0].command"},
      {"critical as a text", R"({"spec":{"upgradePreparation":{"hooks":[{"command":"SELECT 1","critical":"no"}]}}})",
       "spec.upgradePreparation.hooks[0].critical"},
      {"name with a blank", R"({"spec":{"upgradePreparation":{"hooks":[{"name":"a b","command":"SELECT 1"}]}}})",
       "spec.upgradePreparation.hooks[0].name"},
      {"name of a predefined hook for something else",
       R"({"spec":{"upgradePreparation":{"hooks":[{"name":"disable-balancer","command":"SELECT 1"}]}}})",
       "spec.upgradePreparation.hooks[0].name"},
      {"one name, two statements",
       R"({"spec":{"upgradePreparation":{"hooks":[{"name":"a","command":"SELECT 1"},{"name":"a","command":"SELECT 2"}]}}})",
       "spec.upgradePreparation.hooks[1]"},
      {"timeoutSeconds as a text", R"({"spec":{"upgradePreparation":{"timeoutSeconds":"300"}}})",
       "spec.upgradePreparation.timeoutSeconds"},
      {"timeoutSeconds as a fraction", R"({"spec":{"upgradePreparation":{"timeoutSeconds":1.5}}})",
       "spec.upgradePreparation.timeoutSeconds"},
      {"timeoutSeconds beyond any integer",
       R"({"spec":{"upgradePreparation":{"timeoutSeconds":18446744073709551615}}})",
       "spec.upgradePreparation.timeoutSeconds"},
      {"timeoutSeconds 3601", R"({"spec":{"upgradePreparation":{"timeoutSeconds":3601}}})",
       "spec.upgradePreparation.timeoutSeconds"},
      {"component: unknown hook",
       R"({"spec":{"starRocksBeSpec":{"upgradeHooks":{"predefined":["disable-balancer","x",7]}}}})",
       "spec.starRocksBeSpec.upgradeHooks.predefined[1] spec.starRocksBeSpec.upgradeHooks.predefined[2]"},
      {"component: custom ConfigMap",
       R"({"spec":{"starRocksBeSpec":{"upgradeHooks":{"custom":{"configMapName":"cm","scriptKey":"hooks.sh"}}}}})",
       "spec.starRocksBeSpec.upgradeHooks.custom.configMapName"},
      {"component: hooks of a wrong type", R"({"spec":{"starRocksBeSpec":{"upgradeHooks":true}}})",
       "spec.starRocksBeSpec.upgradeHooks"},
      {"component: timeout", R"({"spec":{"starRocksBeSpec":{"upgradeHooks":{"timeoutSeconds":0}}}})",
       "spec.starRocksBeSpec.upgradeHooks.timeoutSeconds"},
      {"two values for one setting, once by its alias",
       R"json({"spec":{"upgradePreparation":{"hooks":[{"command":"ADMIN SET FRONTEND CONFIG ('max_balancing_tablets'='5')"},{"command":"disable-tablet-balancing"}]}}})json",
       "spec.upgradePreparation.hooks[1]"},
      {"all faults at once",
       R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"nope,disable-balancer,nada","starrocks.com/upgrade-timeout-seconds":"x"}},"spec":{"upgradePreparation":{"timeoutSeconds":-1,"hooks":[{"command":""}]}}})",
       "spec.upgradePreparation.timeoutSeconds spec.upgradePreparation.hooks[0].command "
       "metadata.annotations[starrocks.com/upgrade-timeout-seconds] metadata.annotations[starrocks.com/upgrade-hooks] "
       "metadata.annotations[starrocks.com/upgrade-hooks]"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const HookConfiguration configuration = resolve(json::parse(row.object), {});
    CHECK(fields(configuration) == row.fields);
    CHECK(configuration.configured);
    for (const ConfigurationFault& fault : configuration.faults) CHECK_FALSE(fault.accepted.empty());
  }
}

TEST_CASE("an unknown default hook is a fault of the flag") {
  const HookConfiguration configuration = resolve({}, {"disable-balancer", "nope"});
  CHECK(names(configuration) == "disable-balancer");
  CHECK(fields(configuration) == "--default-hooks");
}

TEST_CASE("a resolved hook carries its statement, setting, weight and timeout") {
  const json object =
      with_preparation({{"timeoutSeconds", 60},
                        {"hooks",
                         {{{"command", "disable-balancer"}, {"critical", false}},
                          {{"command", " ADMIN SET FRONTEND CONFIG ('max_balancing_tablets' = '0') ; "}},
                          {{"name", "look"}, {"command", "SHOW FRONTENDS"}, {"critical", false}},
                          {{"command", "enable-tablet-clone"}}}}});
  constexpr std::chrono::seconds kMinute{60};
  const std::vector<Hook> expected{
      {"disable-balancer",
       SqlAction{R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "true"))", ConfigSetting{"disable_balance", "true"}},
       false, kMinute},
      {"hook-2",
       SqlAction{"ADMIN SET FRONTEND CONFIG ('max_balancing_tablets' = '0')",
                 ConfigSetting{"max_balancing_tablets", "0"}},
       true, kMinute},
      {"look", SqlAction{"SHOW FRONTENDS", std::nullopt}, false, kMinute},
      {"enable-tablet-clone",
       SqlAction{R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "2000"))",
                 ConfigSetting{"tablet_sched_max_scheduling_tablets", "2000"}},
       false, kMinute},
  };
  const HookConfiguration configuration = resolve(object, {});
  CHECK(configuration.faults.empty());
  CHECK(configuration.warnings.empty());
  CHECK(configuration.hooks == expected);
}

TEST_CASE("a timeout holds for the hooks of its source, that of the annotations also for the default hooks") {
  json object = annotated(
      {{"starrocks.com/upgrade-hooks", "disable-balancer"}, {"starrocks.com/upgrade-timeout-seconds", "3600"}});
  object["spec"]["upgradePreparation"] = {{"timeoutSeconds", 1}, {"hooks", {{{"command", "disable-tablet-clone"}}}}};
  object["spec"]["starRocksFeSpec"]["upgradeHooks"] = {{"predefined", {"disable-colocate-balance"}}};
  const HookConfiguration configuration = resolve(object, {"disable-tablet-balancing"});
  REQUIRE(names(configuration) ==
          "disable-colocate-balance,disable-tablet-clone,disable-balancer,disable-tablet-balancing");
  CHECK(configuration.hooks[0].timeout == kHookTimeoutDefault);
  CHECK(configuration.hooks[1].timeout == std::chrono::seconds(1));
  CHECK(configuration.hooks[2].timeout == std::chrono::seconds(3600));
  CHECK(configuration.hooks[3].timeout == std::chrono::seconds(3600));
}

TEST_CASE("component hooks count for the components that change") {
  const json object{{"spec",
                     {{"starRocksFeSpec", {{"upgradeHooks", {{"predefined", {"disable-balancer"}}}}}},
                      {"starRocksBeSpec", {{"upgradeHooks", {{"predefined", {"disable-tablet-clone"}}}}}}}}};
  CHECK(names(resolve(object, {}, {{Component::Backend, "a", "b"}})) == "disable-tablet-clone");
  CHECK(names(resolve(object, {}, {{Component::ComputeNode, "a", "b"}})) == "");
  CHECK(names(resolve(object, {})) == "disable-balancer,disable-tablet-clone");
}

TEST_CASE("tablet health between steps and cloning that stays off are warned about where the rollout is led") {
  struct Row {
    const char* name;
    const char* rollout;
    const char* health;
    const char* hooks;
    std::size_t warnings;
  };
  for (const Row& row :
       {Row{"both", "stepwise", "check-tablets-healthy", "disable-tablet-clone", 1},
        Row{"in turns", "ordered", "check-backends-alive,check-tablets-healthy", "disable-tablet-clone", 1},
        Row{"cloning is left on", "stepwise", "check-tablets-healthy", "disable-balancer", 0},
        Row{"no tablet health", "stepwise", "check-backends-alive", "disable-tablet-clone", 0},
        Row{"the operator leads", "operator", "check-tablets-healthy", "disable-tablet-clone", 0}}) {
    CAPTURE(row.name);
    const auto read = resolve(annotated({{"starrocks.com/upgrade-rollout", row.rollout},
                                         {"starrocks.com/upgrade-health", row.health},
                                         {"starrocks.com/upgrade-hooks", row.hooks}}),
                              {});
    CHECK(read.faults.empty());
    REQUIRE(read.warnings.size() == row.warnings);
    for (const auto& warning : read.warnings) CHECK(warning.size() <= 120);
  }
}

TEST_CASE("what is dropped is warned about, within the length that the API server shows") {
  const HookConfiguration reversed = resolve(
      annotated({{"starrocks.com/upgrade-hooks", "disable-tablet-clone,enable-tablet-clone,disable-tablet-clone"}}),
      {});
  REQUIRE(reversed.warnings.size() == 2);
  CHECK(reversed.warnings[0] == "upgrade hook \"disable-tablet-clone\" is configured twice: the first one counts");
  CHECK(reversed.warnings[1] ==
        "upgrade hook \"enable-tablet-clone\" is left out: the gate itself restores the setting after the rollout");
  const HookConfiguration off =
      resolve(annotated({{"starrocks.com/prepare-upgrade", "false"}, {"starrocks.com/upgrade-hooks", "nonsense"}}), {});
  REQUIRE(off.warnings.size() == 1);
  CHECK(off.warnings[0].size() <= 120);
}

TEST_CASE("a fault repeats nothing that a refused statement quotes, and is bounded") {
  const HookConfiguration secret =
      resolve(with_preparation({{"hooks", {{{"command", "SET PASSWORD = PASSWORD('s3cret')"}}}}}), {});
  CHECK(describe(secret.faults).find("s3cret") == std::string::npos);
  REQUIRE(secret.faults.size() == 1);
  CHECK(secret.faults[0].value == "SET PASSWORD = PASSWORD(...");

  json many = json::array();
  for (int i = 0; i < 64; ++i) many.push_back({{"command", std::string(1000, 'x')}});
  const HookConfiguration full = resolve(with_preparation({{"hooks", many}}), {});
  CHECK(full.faults.size() == 64);
  CHECK(describe(full.faults).find("; and 44 more") != std::string::npos);
  many.push_back({{"command", "SELECT 1"}});
  CHECK(fields(resolve(with_preparation({{"hooks", many}}), {})) == "spec.upgradePreparation.hooks");
}

TEST_CASE("a ConfigMap of any size is read to a bounded end, and what is too much is told") {
  struct Row {
    const char* name;
    const char* statement;
    const char* said;
  };
  for (const Row& row :
       {Row{"settings", "ADMIN SET FRONTEND CONFIG (\"tablet_sched_max_scheduling_tablets\" = \"0\");\n",
            "hooks of all sources: invalid value \"more than 1024\": want at most 128"},
        Row{"statements", "SHOW FRONTENDS;\n", "hooks of all sources: invalid value \"more than 1024\""},
        Row{"refused ones", "DROP TABLE t;\n", "DROP TABLE t"}}) {
    INFO(row.name);
    std::map<std::string, std::string> data;
    for (int entry = 0; entry < 300; ++entry) {
      std::string text;
      for (int i = 0; i < 60; ++i) text += row.statement;
      data["e" + std::to_string(entry) + ".sql"] = text;
      data["nearly" + std::to_string(entry) + ".sqll"] = text;
    }
    const json object = annotated({{"starrocks.com/upgrade-hooks-configmap", "hooks"}});
    HookSources sources{.object = object};
    sources.config_maps["hooks"].data = data;
    for (const bool dry_run : {false, true}) {
      sources.dry_run = dry_run;
      const auto read = resolve_hooks(sources);
      CHECK(read.hooks.size() <= 1024);
      CHECK(read.warnings.size() <= 21);
      if (dry_run) continue;
      CHECK(read.faults.size() < 300);
      CHECK_MESSAGE(describe(read.faults).find(row.said) != std::string::npos, describe(read.faults));
    }
    const auto alone = validate_config_map(data, {});
    CHECK(alone.faults.size() < 300);
    CHECK(alone.warnings.size() <= 21);
  }
}

TEST_CASE("faults are described in one line") {
  CHECK(describe({}).empty());
  CHECK(describe({{"f", "v", "a"}, {"g", "w", "b"}}) ==
        "f: invalid value \"v\": want a; g: invalid value \"w\": want b");
}

TEST_CASE("the catalogue is sound") {
  for (const PredefinedHook& hook : hook_catalogue()) {
    INFO(std::string(hook.name));
    if (const auto* sql = std::get_if<SqlAction>(&hook.action)) {
      const Result<SqlStatement> statement = validate_sql(sql->sql);
      REQUIRE(statement.ok());
      CHECK(statement->setting == sql->setting);
    }
    CHECK((hook.reverses.empty() || find_predefined(hook.reverses) != nullptr));
    const HookConfiguration configuration = resolve({}, {std::string(hook.name)});
    CHECK(configuration.faults.empty());
    REQUIRE(configuration.hooks.size() == 1);
    CHECK(configuration.hooks[0] == Hook{std::string(hook.name), hook.action, hook.critical});
  }
}

TEST_CASE("a name that is none is answered with the one that was probably meant") {
  CHECK(instead_of("disable-balancr").starts_with("disable-balancer, or another of recommended, "));
  CHECK(instead_of("recomended").starts_with("recommended, or another of "));
  CHECK(instead_of("check-backend-alive").starts_with("check-backends-alive, or"));
  CHECK(instead_of("nope").starts_with("one of recommended, "));
  CHECK(instead_of("").starts_with("one of recommended, "));
  CHECK(instead_of(std::string(1000, 'x')).starts_with("one of recommended, "));
}

TEST_CASE("every predefined hook of the documentation is there, and weighs what it says") {
  struct Row {
    const char* name;
    const char* action;
    bool critical;
  };
  const Row rows[] = {
      {"disable-tablet-clone", R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "0"))", true},
      {"disable-balancer", R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "true"))", true},
      {"enable-tablet-clone", R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_scheduling_tablets" = "2000"))", false},
      {"enable-balancer", R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "false"))", false},
      {"disable-tablet-balancing", R"(ADMIN SET FRONTEND CONFIG ("tablet_sched_max_balancing_tablets" = "0"))", true},
      {"disable-colocate-balance", R"(ADMIN SET FRONTEND CONFIG ("disable_colocate_balance" = "true"))", true},
      {"drain-tablet-scheduler", "SchedulerDrained", false},
      {"create-image", "ALTER SYSTEM CREATE IMAGE", false},
      {"check-frontends-alive", "FrontendsAlive", true},
      {"check-backends-alive", "BackendsAlive", true},
      {"check-compute-nodes-alive", "ComputeNodesAlive", true},
      {"check-tablets-healthy", "TabletsHealthy", true},
      {"check-no-schema-change", "NoSchemaChange", false},
      {"check-no-running-loads", "NoRunningLoads", false},
  };
  CHECK(hook_catalogue().size() == std::size(rows));
  for (const Row& row : rows) {
    INFO(std::string(row.name));
    const PredefinedHook* hook = find_predefined(row.name);
    REQUIRE(hook != nullptr);
    const auto* sql = std::get_if<SqlAction>(&hook->action);
    CHECK((sql != nullptr ? sql->sql : to_string(std::get<ProbeAction>(hook->action).probe)) == row.action);
    CHECK(hook->critical == row.critical);
  }
}
