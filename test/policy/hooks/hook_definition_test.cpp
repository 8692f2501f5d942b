// Custom hooks as they are written in ConfigMaps, through the two functions that read them.

#include "policy/hooks/hook_definition.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/record/preparation_codec.hpp"

using namespace gate;
using nlohmann::json;

namespace {

const std::vector<ImageChange> kMinorOfBackends{{Component::Backend, "be:3.3.1", "be:3.4.0"}};

/// Everything that a flag can allow.
HookRules generous() { return {{"https://hooks.example.com/gate"}, true, {SqlKind::AlterSystem}}; }

/// The hooks as the record has them.
std::string recorded(const std::vector<Hook>& hooks) {
  Preparation record;
  record.spec.hooks = hooks;
  return to_json(record).at("spec").at("hooks").dump();
}

std::string listed(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : "\n") + text;
  return out;
}

std::string fields(const HookConfiguration& configuration) {
  std::vector<std::string> out;
  for (const ConfigurationFault& fault : configuration.faults) out.push_back(fault.field);
  return listed(out);
}

std::string names(const HookConfiguration& configuration) {
  std::string text;
  for (const Hook& hook : configuration.hooks) text += (text.empty() ? "" : ",") + hook.name;
  return text;
}

json annotated(const std::string& config_map) {
  return {{"metadata", {{"annotations", {{"starrocks.com/upgrade-hooks-configmap", config_map}}}}}};
}

using Maps = std::map<std::string, ConfigMapText>;

HookConfiguration resolve(const json& object, const Maps& maps, const std::vector<ImageChange>& changes = {},
                          const HookRules& rules = generous()) {
  return resolve_hooks({.object = object, .changes = changes, .config_maps = maps, .rules = rules});
}

}  // namespace

TEST_CASE("an entry of a ConfigMap becomes the hooks of a record") {
  struct Row {
    std::string name;
    std::string key;
    std::string text;
    const char* hooks;
  };
  const Row rows[] = {
      {"SQL, one statement", "freeze.sql", "ADMIN SET FRONTEND CONFIG ('disable_balance'='true')",
       R"j([{"critical":true,"name":"freeze-1","setting":{"key":"disable_balance","value":"true"},"sql":"ADMIN SET FRONTEND CONFIG ('disable_balance'='true')","timeoutSeconds":300}])j"},
      {"SQL, several with comments", "prepare.sql",
       "-- the image; first\nALTER SYSTEM CREATE IMAGE;\n\nSHOW FRONTENDS; /* done; */\n",
       R"j([{"critical":true,"name":"prepare-1","sql":"ALTER SYSTEM CREATE IMAGE","timeoutSeconds":300},{"critical":true,"name":"prepare-2","sql":"SHOW FRONTENDS","timeoutSeconds":300}])j"},
      {"SQL of a further kind", "nodes.sql", "ALTER SYSTEM DECOMMISSION BACKEND 'be:9050'",
       R"j([{"critical":true,"name":"nodes-1","sql":"ALTER SYSTEM DECOMMISSION BACKEND 'be:9050'","timeoutSeconds":300}])j"},
      {"YAML, everything", "hooks.yaml",
       R"(hooks:
- name: slow-repair
  sql: ADMIN SET FRONTEND CONFIG ("tablet_sched_be_down_tolerate_time_s" = "3600");
  critical: false
  timeoutSeconds: 60
  retries: 2
  restore: none
  group: settings
  when:
    runMode: shared_nothing
)",
       R"j([{"critical":false,"group":"settings","name":"slow-repair","restore":"none","retries":2,"runMode":"shared_nothing","setting":{"key":"tablet_sched_be_down_tolerate_time_s","value":"3600"},"sql":"ADMIN SET FRONTEND CONFIG (\"tablet_sched_be_down_tolerate_time_s\" = \"3600\")","timeoutSeconds":60}])j"},
      {"YAML, restore with a statement", "hooks.yml",
       R"(hooks:
- name: low-cardinality
  sql: SET GLOBAL cbo_enable_low_cardinality_optimize = false
  restore: SET GLOBAL cbo_enable_low_cardinality_optimize = true;
- {name: explicit, sql: SHOW FRONTENDS, restore: captured}
)",
       R"j([{"critical":true,"name":"low-cardinality","restore":"sql","restoreSql":"SET GLOBAL cbo_enable_low_cardinality_optimize = true","sql":"SET GLOBAL cbo_enable_low_cardinality_optimize = false","timeoutSeconds":300},{"critical":true,"name":"explicit","sql":"SHOW FRONTENDS","timeoutSeconds":300}])j"},
      {"YAML, checks", "hooks.yaml",
       R"(hooks:
- name: idle
  check: {sql: "SELECT COUNT(*) FROM information_schema.loads WHERE STATE = 'LOADING'", expect: "= 0", pollSeconds: 10}
- name: number
  check: {sql: SELECT 1, expect: 1}
- name: truth
  check: {sql: SELECT true, expect: true}
- name: alive
  check: {sql: SHOW FRONTENDS, column: Alive, expect: "true"}
- name: few
  check: {sql: "SHOW PROC '/cluster_balance'", column: Number, expect: "<= -1.5"}
- name: some
  check: {sql: SELECT x FROM t, expect: "!= ''"}
- name: other
  check: {sql: SELECT x FROM t, expect: "<> \"a b\""}
)",
       R"j([{"critical":true,"name":"idle","query":{"comparison":"=","pollSeconds":10,"sql":"SELECT COUNT(*) FROM information_schema.loads WHERE STATE = 'LOADING'","value":"0"},"timeoutSeconds":300},{"critical":true,"name":"number","query":{"comparison":"=","pollSeconds":5,"sql":"SELECT 1","value":"1"},"timeoutSeconds":300},{"critical":true,"name":"truth","query":{"comparison":"=","pollSeconds":5,"sql":"SELECT true","value":"true"},"timeoutSeconds":300},{"critical":true,"name":"alive","query":{"column":"Alive","comparison":"=","pollSeconds":5,"sql":"SHOW FRONTENDS","value":"true"},"timeoutSeconds":300},{"critical":true,"name":"few","query":{"column":"Number","comparison":"<=","pollSeconds":5,"sql":"SHOW PROC '/cluster_balance'","value":"-1.5"},"timeoutSeconds":300},{"critical":true,"name":"some","query":{"comparison":"!=","pollSeconds":5,"sql":"SELECT x FROM t","value":""},"timeoutSeconds":300},{"critical":true,"name":"other","query":{"comparison":"!=","pollSeconds":5,"sql":"SELECT x FROM t","value":"a b"},"timeoutSeconds":300}])j"},
      {"YAML, HTTP", "hooks.yaml",
       R"(hooks:
- name: ask
  http:
    url: https://hooks.example.com/gate/starrocks?cluster=a
    caBundle: |
      -----BEGIN CERTIFICATE-----
      AAAA
      -----END CERTIFICATE-----
    tokenSecret: {name: hook-token, key: token}
    pollSeconds: 30
)",
       R"j([{"critical":true,"http":{"caBundle":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n","pollSeconds":30,"tokenSecret":{"key":"token","name":"hook-token"},"url":"https://hooks.example.com/gate/starrocks?cluster=a"},"name":"ask","timeoutSeconds":300}])j"},
      {"YAML, predefined by command or by name", "hooks.yaml",
       R"(hooks:
- {name: freeze, command: disable-balancer, timeoutSeconds: 10}
- {name: check-backends-alive, critical: false}
- {command: create-image}
)",
       R"j([{"critical":true,"name":"freeze","setting":{"key":"disable_balance","value":"true"},"sql":"ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\")","timeoutSeconds":10},{"critical":false,"name":"check-backends-alive","probe":"BackendsAlive","timeoutSeconds":300},{"critical":false,"name":"create-image","sql":"ALTER SYSTEM CREATE IMAGE","timeoutSeconds":300}])j"},
      {"YAML, no name", "hooks.yaml", "hooks:\n- sql: SHOW FRONTENDS\n- command: SHOW BACKENDS\n",
       R"j([{"critical":true,"name":"hooks-1","sql":"SHOW FRONTENDS","timeoutSeconds":300},{"critical":true,"name":"hooks-2","sql":"SHOW BACKENDS","timeoutSeconds":300}])j"},
      {"JSON", "hooks.json", "{\n\t\"hooks\": [{\"name\": \"a\", \"sql\": \"SHOW FRONTENDS\", \"retries\": 10}]\n}",
       R"j([{"critical":true,"name":"a","retries":10,"sql":"SHOW FRONTENDS","timeoutSeconds":300}])j"},
      {"script", "hooks.sh", "#!/bin/sh\npre_upgrade() {\n  mysql -h \"$SR_FE_HOST\"\n}\n",
       R"j([{"critical":true,"name":"hooks","script":{"postUpgrade":false,"text":"#!/bin/sh\npre_upgrade() {\n  mysql -h \"$SR_FE_HOST\"\n}\n"},"timeoutSeconds":300}])j"},
      {"script with an undo", "hooks.sh", "function pre_upgrade {\n:\n}\n  post_upgrade ()\n{ :; }\n",
       R"j([{"critical":true,"name":"hooks","script":{"postUpgrade":true,"text":"function pre_upgrade {\n:\n}\n  post_upgrade ()\n{ :; }\n"},"timeoutSeconds":300}])j"},
      {"script that only speaks of an undo", "hooks.sh",
       "# post_upgrade() is not needed\npre_upgrade() { :; }\npost_upgrade_done() { :; }\n",
       R"j([{"critical":true,"name":"hooks","script":{"postUpgrade":false,"text":"# post_upgrade() is not needed\npre_upgrade() { :; }\npost_upgrade_done() { :; }\n"},"timeoutSeconds":300}])j"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const HookConfiguration written = validate_config_map({{row.key, row.text}}, generous());
    CHECK(describe(written.faults) == "");
    CHECK(recorded(written.hooks) == row.hooks);
    // The record's reader takes back what was written, so nothing is lost on the way.
    Preparation record;
    record.name = record.name_space = record.spec.cluster = "a";
    record.spec.object = {"StarRocksCluster", "a", "uid"};
    record.spec.hooks = written.hooks;
    const auto read = preparation_from_json(to_json(record));
    REQUIRE(read.ok());
    CHECK(read->spec.hooks == written.hooks);
    // The same entry, by way of a cluster.
    const HookConfiguration used = resolve(annotated("cm/" + row.key), {{"cm", {{{row.key, row.text}}, ""}}});
    CHECK(describe(used.faults) == "");
    CHECK(used.hooks == written.hooks);
  }
}

TEST_CASE("a faulty entry is refused with the field, and with everything that is wrong") {
  struct Row {
    std::string name;
    std::string key;
    std::string text;
    const char* faults;  ///< "field: part of what is accepted", a line each.
  };
  const std::string yaml = "hooks.yaml";
  const auto hook = [](const std::string& text) { return "hooks:\n- " + text + "\n"; };
  const auto check = [&](const std::string& text) { return hook("{name: a, check: " + text + "}"); };
  const auto http = [&](const std::string& text) { return hook("{name: a, http: " + text + "}"); };
  const Row rows[] = {
      {"SQL: nothing", "a.sql", " -- nothing;\n", "data[a.sql]: at least one SQL statement"},
      {"SQL: not closed", "a.sql", "SELECT 'x", "data[a.sql]: at offset 7: unterminated string"},
      {"SQL: all that are refused", "a.sql", "SHOW FRONTENDS;\nDROP TABLE t;\n\nSELECT 1; INSERT INTO t SELECT 1",
       "data[a.sql] line 2: statement not allowed\ndata[a.sql] line 4: statement not allowed"},
      {"SQL: a further kind that is not allowed", "a.sql", "CANCEL LOAD FROM db",
       "data[a.sql] line 1: --allow-sql=cancel"},
      {"SQL: wrong type", "a.sql", "ADMIN SET FRONTEND CONFIG ('disable_balance'='on')",
       "data[a.sql] line 1: must be \"true\" or \"false\""},
      {"YAML: broken", yaml, "hooks: [", "data[hooks.yaml]: line 1, column"},
      {"YAML: empty", yaml, "# later\n", "data[hooks.yaml]: an object with a list \"hooks\""},
      {"YAML: a list", yaml, "- sql: SHOW FRONTENDS\n", "data[hooks.yaml]: an object with a list \"hooks\""},
      {"YAML: no hooks", yaml, "hooks: []\n", "data[hooks.yaml].hooks: at least one hook"},
      {"YAML: hooks as an object", yaml, "hooks: {name: a}\n", "data[hooks.yaml].hooks: a list"},
      {"YAML: two documents", yaml, "hooks:\n- command: create-image\n---\nhooks: []\n",
       "data[hooks.yaml]: one YAML document"},
      {"YAML: something beside hooks", yaml, "hooks:\n- command: create-image\ntimeout: 5\n",
       "data[hooks.yaml]: the fields hooks"},
      {"YAML: key twice", yaml, "hooks:\n- name: a\n  sql: SHOW FRONTENDS\n  name: b\n",
       "data[hooks.yaml]: line 4, column 3"},
      {"JSON: broken", "hooks.json", "{\"hooks\": [}", "data[hooks.json]: line 1, column 12: not JSON"},
      {"hook: a text", yaml, hook("disable-balancer"), "data[hooks.yaml].hooks[0]: an object"},
      {"hook: a typing error", yaml, hook("{name: a, sql: SHOW FRONTENDS, critcal: false}"),
       "data[hooks.yaml].hooks[0]: the fields name, command, sql, check, http, critical"},
      {"hook: nothing to do", yaml, hook("{name: a}"),
       "data[hooks.yaml].hooks[0]: exactly one of command, sql, check, http"},
      {"hook: two things to do", yaml, hook("{name: a, sql: SHOW FRONTENDS, command: create-image}"),
       "data[hooks.yaml].hooks[0]: exactly one of command, sql, check, http"},
      {"hook: SQL as a number", yaml, hook("{name: a, sql: 5}"), "data[hooks.yaml].hooks[0].sql: one SQL statement"},
      {"hook: sql takes no predefined names", yaml, hook("{name: a, sql: disable-balancer}"),
       "data[hooks.yaml].hooks[0].sql: statement not allowed"},
      {"hook: command that is neither", yaml, hook("{name: a, command: disable-balancr}"),
       "data[hooks.yaml].hooks[0].command: a predefined hook (disable-balancer, or another of recommended, "
       "disable-tablet-clone"},
      {"hook: name of a predefined one", yaml, hook("{name: disable-balancer, sql: SHOW FRONTENDS}"),
       "data[hooks.yaml].hooks[0].name: a name other than that of a predefined hook"},
      {"hook: name with a blank", yaml, hook("{name: a b, sql: SHOW FRONTENDS}"),
       "data[hooks.yaml].hooks[0].name: 1 to 63 letters"},
      {"hook: name twice", yaml, "hooks:\n- {name: a, sql: SHOW FRONTENDS}\n- {name: a, sql: SHOW BACKENDS}\n",
       "data[hooks.yaml].hooks[1]: a name that no other hook has"},
      {"hook: two values for one setting", yaml,
       "hooks:\n- command: disable-balancer\n- {name: b, sql: \"ADMIN SET FRONTEND CONFIG "
       "('tablet_sched_disable_balance'='FALSE')\"}\n",
       "data[hooks.yaml].hooks[1]: the same value as in hook \"disable-balancer\""},
      {"hook: everything wrong at once", yaml,
       hook("{name: a, sql: DROP TABLE t, critical: maybe, timeoutSeconds: 0, retries: 11, group: g h, restore: DROP "
            "TABLE t, when: {versionChange: [big], component: [fee], runMode: cloud, cluster: a}}"),
       "data[hooks.yaml].hooks[0].critical: true or false\n"
       "data[hooks.yaml].hooks[0].timeoutSeconds: from 1 to 3600\n"
       "data[hooks.yaml].hooks[0].retries: a whole number from 0 to 10\n"
       "data[hooks.yaml].hooks[0].group: 1 to 63 letters\n"
       "data[hooks.yaml].hooks[0].when: the fields versionChange, component, runMode\n"
       "data[hooks.yaml].hooks[0].when.versionChange: major, minor, patch, downgrade, same, unknown\n"
       "data[hooks.yaml].hooks[0].when.component: fe, be, cn, warehouse\n"
       "data[hooks.yaml].hooks[0].when.runMode: shared_nothing or shared_data\n"
       "data[hooks.yaml].hooks[0].restore: captured, none or one SQL statement\n"
       "data[hooks.yaml].hooks[0].sql: statement not allowed"},
      {"hook: retries beyond any integer", yaml, hook("{name: a, sql: SHOW FRONTENDS, retries: 18446744073709551615}"),
       "data[hooks.yaml].hooks[0].retries: a whole number from 0 to 10"},
      {"when: empty list", yaml, hook("{name: a, sql: SHOW FRONTENDS, when: {versionChange: []}}"),
       "data[hooks.yaml].hooks[0].when.versionChange: major"},
      {"when: a number in the list", yaml, hook("{name: a, sql: SHOW FRONTENDS, when: {component: [fe, 1]}}"),
       "data[hooks.yaml].hooks[0].when.component[1]: fe, be"},
      {"when: a text", yaml, hook("{name: a, sql: SHOW FRONTENDS, when: always}"),
       "data[hooks.yaml].hooks[0].when: an object"},
      {"restore: of a check", yaml, hook("{name: a, check: {sql: SELECT 1, expect: 1}, restore: SHOW FRONTENDS}"),
       "data[hooks.yaml].hooks[0].restore: captured or none"},
      {"restore: a boolean", yaml, hook("{name: a, sql: SHOW FRONTENDS, restore: false}"),
       "data[hooks.yaml].hooks[0].restore: a string"},
      {"check: a text", yaml, check("SELECT 1"), "data[hooks.yaml].hooks[0].check: an object"},
      {"check: empty", yaml, check("{}"),
       "data[hooks.yaml].hooks[0].check.sql: one SELECT, SHOW or ADMIN SHOW statement\n"
       "data[hooks.yaml].hooks[0].check.expect: such as \"= 0\""},
      {"check: changes something", yaml, check("{sql: ALTER SYSTEM CREATE IMAGE, expect: 0}"),
       "data[hooks.yaml].hooks[0].check.sql: one SELECT, SHOW or ADMIN SHOW statement"},
      {"check: two statements", yaml, check("{sql: SELECT 1; SELECT 2, expect: 0}"),
       "data[hooks.yaml].hooks[0].check.sql: more than one statement"},
      {"check: SHOW without a column", yaml, check("{sql: SHOW FRONTENDS, expect: x}"),
       "data[hooks.yaml].hooks[0].check.column: the name of the column"},
      {"check: unknown operator", yaml, check("{sql: SELECT 1, expect: '=> 5'}"),
       "data[hooks.yaml].hooks[0].check.expect: =, !=, <, <=, > or >="},
      {"check: operator without a value", yaml, check("{sql: SELECT 1, expect: '>='}"),
       "data[hooks.yaml].hooks[0].check.expect: a value"},
      {"check: order of texts", yaml, check("{sql: SELECT 1, expect: '< abc'}"),
       "data[hooks.yaml].hooks[0].check.expect: for an order, a number"},
      {"check: a list", yaml, check("{sql: SELECT 1, expect: [1]}"), "data[hooks.yaml].hooks[0].check.expect: a value"},
      {"check: poll and a typing error", yaml, check("{sql: SELECT 1, expect: 1, pollSeconds: 0, colum: x}"),
       "data[hooks.yaml].hooks[0].check: the fields sql, column, expect, pollSeconds\n"
       "data[hooks.yaml].hooks[0].check.pollSeconds: from 1 to 3600"},
      {"http: a text", yaml, http("https://hooks.example.com/gate"), "data[hooks.yaml].hooks[0].http: an object"},
      {"http: no URL", yaml, http("{}"),
       "data[hooks.yaml].hooks[0].http.url: begins with neither https:// nor http://"},
      {"http: elsewhere", yaml, http("{url: 'https://hooks.example.com/other'}"),
       "data[hooks.yaml].hooks[0].http.url: a URL under https://hooks.example.com/gate"},
      {"http: a longer host", yaml, http("{url: 'https://hooks.example.com.evil.org/gate'}"),
       "data[hooks.yaml].hooks[0].http.url: a URL under https://hooks.example.com/gate"},
      {"http: without TLS", yaml, http("{url: 'http://hooks.example.com/gate'}"),
       "data[hooks.yaml].hooks[0].http.url: a URL under https://hooks.example.com/gate"},
      {"http: out of the prefix again", yaml, http("{url: 'https://hooks.example.com/gate/../admin'}"),
       "data[hooks.yaml].hooks[0].http.url: dot segment"},
      {"http: the rest", yaml,
       http(
           "{url: 'https://hooks.example.com/gate', caBundle: AAAA, tokenSecret: {name: 'a/b', keys: x}, method: GET}"),
       "data[hooks.yaml].hooks[0].http: the fields url, caBundle, tokenSecret, pollSeconds\n"
       "data[hooks.yaml].hooks[0].http.caBundle: PEM certificates\n"
       "data[hooks.yaml].hooks[0].http.tokenSecret: the fields name, key\n"
       "data[hooks.yaml].hooks[0].http.tokenSecret.name: a Secret's name\n"
       "data[hooks.yaml].hooks[0].http.tokenSecret.key: a key of the Secret"},
      {"script: empty", "a.sh", "", "data[a.sh]: a shell script that defines pre_upgrade()"},
      {"script: only the undo", "a.sh", "post_upgrade() { :; }",
       "data[a.sh]: a shell script that defines pre_upgrade()"},
      {"script: only calls it", "a.sh", "pre_upgrade\n", "data[a.sh]: a shell script that defines pre_upgrade()"},
      {"script: only a comment", "a.sh", "# pre_upgrade() {\n",
       "data[a.sh]: a shell script that defines pre_upgrade()"},
      {"script: too long", "a.sh", "pre_upgrade() { :; }\n#" + std::string(64 << 10, 'x'),
       "data[a.sh]: a shell script of at most 65536 bytes"},
      {"key with a blank", "a b.sql", "SHOW FRONTENDS", "data[a b.sql]: a key of letters, digits"},
      {"no hooks at all", "README.md", "none", "data: at least one key that ends in .sql, .yaml, .yml, .json or .sh"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const HookConfiguration configuration = validate_config_map({{row.key, row.text}}, generous());
    std::string left = row.faults;
    for (const ConfigurationFault& fault : configuration.faults) {
      INFO(describe({fault}));
      const std::string line = left.substr(0, left.find('\n'));
      left.erase(0, std::min(line.size() + 1, left.size()));
      const std::size_t colon = line.find(": ");
      REQUIRE(colon != std::string::npos);
      CHECK(fault.field == line.substr(0, colon));
      const bool said = fault.accepted.find(line.substr(colon + 2)) != std::string::npos;
      CHECK(said);
    }
    CHECK(left == "");
  }
}

TEST_CASE("what the gate's owner has not allowed is refused with the flag that would") {
  const HookConfiguration configuration =
      validate_config_map({{"a.sh", "pre_upgrade() { :; }"},
                           {"b.yaml", "hooks:\n- {name: a, http: {url: 'https://hooks.example.com/gate'}}\n"},
                           {"c.sql", "ALTER SYSTEM DROP BACKEND 'be:9050'"}},
                          {});
  REQUIRE(configuration.faults.size() == 3);
  CHECK(configuration.faults[0].accepted.find("--script-hook-image") != std::string::npos);
  CHECK(configuration.faults[1].accepted.find("--http-hook-prefixes") != std::string::npos);
  CHECK(configuration.faults[2].accepted.find("--allow-sql=alter-system") != std::string::npos);
  CHECK(configuration.hooks.empty());
}

TEST_CASE("a fault repeats no secret") {
  const HookConfiguration configuration = validate_config_map(
      {{"a.yaml",
        "hooks:\n- {name: a, sql: \"SET PASSWORD = 's3cret'\", restore: \"SET PASSWORD = 's3cret'\"}\n- {name: "
        "b, http: {url: 'https://user:s3cret@hooks.example.com/gate?token=s3cret'}}\n- {name: c, http: {url: "
        "'https://elsewhere.example.com/?token=s3cret', caBundle: s3cret}}\n- {name: d, check: {sql: \"DELETE "
        "FROM t WHERE a = 's3cret'\", expect: 0}}\n"},
       {"b.sql", "SET PASSWORD = 's3cret'; SELECT 's3cret"},
       {"c.json", "{\"password\": \"s3cret\" \"s3cret\"}"},
       {"d.yaml", "password: 's3cret\n"},
       {"e.sh", "mysql -ps3cret"}},
      generous());
  CHECK(configuration.faults.size() >= 9);
  CHECK(describe(configuration.faults).find("s3cret") == std::string::npos);
}

TEST_CASE("a cluster names its ConfigMaps, whole or by key, in the order of the sources") {
  const Maps maps{
      {"cm",
       {{{"b.sql", "SHOW BACKENDS"}, {"a.yaml", "hooks:\n- {name: mine, sql: SHOW FRONTENDS}\n"}, {"notes", "x"}}, ""}},
      {"other", {{{"other.sql", "SELECT 1"}, {"hooks.sh", "pre_upgrade() { :; }"}}, ""}},
  };
  const json custom = json::parse(R"({
    "metadata": {"annotations": {"starrocks.com/upgrade-hooks": "create-image", "starrocks.com/upgrade-hooks-configmap": "cm",
                                 "starrocks.com/upgrade-timeout-seconds": "30"}},
    "spec": {"starRocksFeSpec": {"upgradeHooks": {"custom": {"configMapName": "other", "scriptKey": "other.sql"}, "timeoutSeconds": 20}},
             "starRocksBeSpec": {"upgradeHooks": {"predefined": ["disable-balancer"], "custom": {"configMapName": "other"}}}}})");
  const HookConfiguration all = resolve(custom, maps);
  CHECK(describe(all.faults) == "");
  // The entry that two components name is read once.
  CHECK(listed(all.warnings) == "");
  CHECK(names(all) == "other-1,disable-balancer,hooks,create-image,mine,b-1");
  CHECK(all.hooks[0].timeout == std::chrono::seconds(20));
  CHECK(all.hooks[1].timeout == kHookTimeoutDefault);
  CHECK(all.hooks[4].timeout == std::chrono::seconds(30));
  CHECK(referenced_config_maps(custom, {}) == std::vector<std::string>{"other", "cm"});
  // Only the components that change count.
  CHECK(names(resolve(custom, maps, {{Component::Frontend, "fe:3.3.1", "fe:3.3.2"}})) ==
        "other-1,create-image,mine,b-1");
  CHECK(names(resolve(annotated("cm/b.sql"), maps)) == "b-1");
  CHECK(names(resolve(annotated("other/hooks.sh"), maps)) == "hooks");
  json off = annotated("cm");
  off["metadata"]["annotations"]["starrocks.com/prepare-upgrade"] = "false";
  CHECK(referenced_config_maps(off, {}).empty());
  CHECK_FALSE(resolve(off, maps).configured);
}

TEST_CASE("a ConfigMap that is missing, or lacks the key, is a fault; one that cannot be read is not") {
  const Maps maps{{"cm", {{{"a.sql", "SHOW FRONTENDS"}, {"notes", "x"}}, ""}},
                  {"bare", {{{"notes", "x"}}, ""}},
                  {"empty", {}},
                  {"dark", {{}, "connection refused"}}};
  struct Row {
    std::string name;
    std::string annotation;
    const char* fault;
  };
  const Row rows[] = {
      {"missing", "nope", "value \"nope\": want the name of a ConfigMap that exists in the same namespace"},
      {"key missing", "cm/b.sql", "value \"cm/b.sql\": want a key of that ConfigMap (it has a.sql, notes)"},
      {"key empty", "cm/", "value \"cm/\": want a key of that ConfigMap (it has a.sql, notes)"},
      {"no key that holds hooks", "bare",
       "want a ConfigMap with a key that ends in .sql, .yaml, .yml, .json or .sh (it has notes)"},
      {"no key", "empty", "(it has none)"},
      {"name that is none", "Not A Name/a.sql", "value \"Not A Name\": want the name of a ConfigMap"},
      {"name that leaves its place", "../secrets/x", "value \"..\": want the name of a ConfigMap"},
      {"name empty", "", "want the name of a ConfigMap"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const HookConfiguration configuration = resolve(annotated(row.annotation), maps);
    REQUIRE(configuration.faults.size() == 1);
    CHECK(configuration.configured);
    CHECK(configuration.faults[0].field == "metadata.annotations[starrocks.com/upgrade-hooks-configmap]");
    const std::string told = describe(configuration.faults);
    if (told.find(row.fault) == std::string::npos) FAIL_CHECK(told);
  }
  const HookConfiguration wrong_ending = resolve(annotated("cm/notes"), maps);
  CHECK(describe(wrong_ending.faults) ==
        "ConfigMap cm data[notes]: invalid value \"notes\": want a key that ends in .sql, .yaml, .yml, .json or .sh");
  const HookConfiguration unread = resolve(annotated("dark/a.sql"), maps);
  CHECK(unread.configured);
  CHECK(unread.faults.empty());
  CHECK(listed(unread.unread) == "ConfigMap dark could not be read: connection refused");
}

TEST_CASE("a hook runs for the changes that its condition covers") {
  const auto hooks_for = [](const std::string& when, const std::vector<ImageChange>& changes) {
    const std::string yaml = "hooks:\n- {name: a, sql: SHOW FRONTENDS, when: " + when + "}\n";
    return resolve(annotated("cm"), {{"cm", {{{"a.yaml", yaml}}, ""}}}, changes);
  };
  const ImageChange patch_fe{Component::Frontend, "fe:3.3.1", "fe:3.3.2"};
  const ImageChange minor_be{Component::Backend, "be:3.3.1", "be:3.4.0"};
  const ImageChange digest_cn{Component::ComputeNode, "cn:3.3.1", "cn@sha256:00"};
  struct Row {
    std::string name;
    std::string when;
    std::vector<ImageChange> changes;
    bool runs;
  };
  const Row rows[] = {
      {"no change known: judged, so it counts", "{versionChange: [major]}", {}, true},
      {"minor", "{versionChange: [minor]}", {minor_be}, true},
      {"minor, as a single word", "{versionChange: minor}", {minor_be}, true},
      {"major or minor", "{versionChange: [major, minor]}", {minor_be}, true},
      {"not minor", "{versionChange: [patch]}", {minor_be}, false},
      {"one of several changes", "{versionChange: [patch]}", {patch_fe, minor_be}, true},
      {"component", "{component: [be, cn]}", {minor_be}, true},
      {"another component", "{component: [fe]}", {minor_be}, false},
      {"both hold for one change", "{versionChange: [minor], component: [be]}", {patch_fe, minor_be}, true},
      {"both hold, but for different changes",
       "{versionChange: [minor], component: [fe]}",
       {patch_fe, minor_be},
       false},
      {"unknown", "{versionChange: [unknown]}", {digest_cn}, true},
      {"unknown is nothing else", "{versionChange: [major, minor, patch, downgrade, same]}", {digest_cn}, false},
      {"run mode is known only when it runs", "{runMode: shared-data}", {minor_be}, true},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const HookConfiguration configuration = hooks_for(row.when, row.changes);
    CHECK(configuration.faults.empty());
    CHECK((names(configuration) == "a") == row.runs);
    // Nothing to prepare: the change is not gated at all.
    CHECK(configuration.configured == row.runs);
    CHECK((listed(configuration.warnings) == "no configured hook applies to this image change") == !row.runs);
  }
  CHECK(hooks_for("{runMode: shared-data}", {minor_be}).hooks.front().run_mode == "shared_data");
}

TEST_CASE("hooks that never meet may share a name and differ over a setting") {
  const auto set = [](const std::string& when, const std::string& value) {
    return "- {name: a, sql: \"ADMIN SET FRONTEND CONFIG ('max_balancing_tablets'='" + value + "')\", when: " + when +
           "}\n";
  };
  const Maps apart{
      {"cm",
       {{{"a.yaml", "hooks:\n" + set("{versionChange: [major, minor]}", "0") + set("{versionChange: [patch]}", "50")}},
        ""}}};
  CHECK(fields(resolve(annotated("cm"), apart)) == "");
  const HookConfiguration minor = resolve(annotated("cm"), apart, kMinorOfBackends);
  REQUIRE(minor.hooks.size() == 1);
  CHECK(setting_of(minor.hooks[0])->value == "0");
  // Two components in one request, one of each kind of change: now they meet.
  const HookConfiguration both =
      resolve(annotated("cm"), apart, {{Component::Frontend, "fe:3.3.1", "fe:3.3.2"}, kMinorOfBackends.front()});
  CHECK(both.faults.size() == 1);
  const Maps modes{
      {"cm",
       {{{"a.yaml", "hooks:\n" + set("{runMode: shared_data}", "0") + set("{runMode: shared_nothing}", "50")}}, ""}}};
  CHECK(fields(resolve(annotated("cm"), modes)) == "");
  const Maps meeting{
      {"cm",
       {{{"a.yaml", "hooks:\n" + set("{versionChange: [major, minor]}", "0") + set("{component: [be]}", "50")}}, ""}}};
  CHECK(fields(resolve(annotated("cm"), meeting)) == "ConfigMap cm data[a.yaml].hooks[1]");
}

TEST_CASE("the hooks of one record are bounded together") {
  std::string script = "pre_upgrade() { :; }\npost_upgrade() { :; }\n#" + std::string(60 << 10, 'x');
  Maps scripts;
  for (const char* key : {"a.sh", "b.sh", "c.sh"}) scripts["cm"].data[key] = script;
  CHECK(fields(resolve(annotated("cm"), scripts)) == "");
  scripts["cm"].data["d.sh"] = script;
  CHECK(fields(resolve(annotated("cm"), scripts)) == "hooks of all sources");
  Maps many;
  for (const char* key : {"a.sql", "b.sql", "c.sql"}) {
    for (int i = 0; i < 43; ++i) many["cm"].data[key] += "SHOW FRONTENDS;";
  }
  CHECK(fields(resolve(annotated("cm"), many)) == "hooks of all sources");
  many["cm"].data["c.sql"] = "SHOW FRONTENDS";
  CHECK(fields(resolve(annotated("cm"), many)) == "");
}

TEST_CASE("a variable that nobody restores is warned about") {
  const HookConfiguration configuration =
      validate_config_map({{"a.sql", "SET GLOBAL batch_size = 4096; SHOW FRONTENDS"},
                           {"b.yaml",
                            "hooks:\n- {name: kept, sql: SET GLOBAL x = 1, restore: none}\n"
                            "- {name: undone, sql: SET GLOBAL x = 1, restore: SET GLOBAL x = 2}\n"}},
                          {});
  CHECK(configuration.faults.empty());
  CHECK(listed(configuration.warnings) ==
        "upgrade hook \"a-1\" has no restore: its variable stays as it sets it; "
        "restore: SET GLOBAL ... undoes it");
}

TEST_CASE("verify is asked for by an annotation") {
  const auto mode = [](const json& value) {
    return resolve(
        {{"metadata",
          {{"annotations", {{"starrocks.com/upgrade-hooks-mode", value}, {"starrocks.com/prepare-upgrade", "true"}}}}}},
        {});
  };
  CHECK(mode("verify").mode == PreparationMode::Verify);
  CHECK(mode("run").mode == PreparationMode::Run);
  CHECK(resolve(json::object(), {}).mode == PreparationMode::Run);
  CHECK(fields(mode("check")) == "metadata.annotations[starrocks.com/upgrade-hooks-mode]");
  CHECK(fields(mode(true)) == "metadata.annotations[starrocks.com/upgrade-hooks-mode]");
}
