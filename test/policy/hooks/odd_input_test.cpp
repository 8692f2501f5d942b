// Goal: what people's editors, keyboards and typing errors do to a configuration is repaired where that is safe, and
// otherwise named; it is never taken as absent.

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"

namespace gate {
namespace {

using nlohmann::json;

HookConfiguration validated(const std::string& key, const std::string& text) {
  return validate_config_map({{key, text}}, {{}, true, {}});
}

json annotated(const std::string& key, const json& value) { return {{"metadata", {{"annotations", {{key, value}}}}}}; }

TEST_CASE("marks and line ends of other systems change nothing") {
  struct Row {
    const char* name;
    const char* key;
    std::string text;
    std::size_t hooks;
  };
  const std::string sql = "SHOW FRONTENDS;\r\nSHOW BACKENDS;\r\n";
  const std::string yaml = "hooks:\r\n- name: a\r\n  sql: |\r\n    SHOW\r\n    FRONTENDS\r\n";
  const std::string json_text = "{\"hooks\": [\r\n{\"command\": \"create-image\"}]}\r\n";
  for (const Row& row : {
           Row{"SQL with Windows line ends", "a.sql", sql, 2},
           Row{"SQL with a mark", "a.sql", "\uFEFF" + sql, 2},
           Row{"YAML with Windows line ends", "a.yaml", yaml, 1},
           Row{"YAML with a mark", "a.yaml", "\uFEFF" + yaml, 1},
           Row{"JSON with Windows line ends", "a.json", json_text, 1},
           Row{"JSON with a mark", "a.json", "\uFEFF" + json_text, 1},
           Row{"typographic quotes in a quoted text", "a.sql", "SELECT '\u201Cx\u201D\u00A0\uFF08y\uFF09';", 1},
           Row{"typographic quotes in a comment", "a.sql", "-- the \u201Cbest\u201D\nSHOW FRONTENDS;", 1},
       }) {
    INFO(row.name);
    const HookConfiguration read = validated(row.key, row.text);
    CHECK(describe(read.faults) == "");
    CHECK(read.hooks.size() == row.hooks);
  }
}

TEST_CASE("a script arrives with the line ends of the shell, or not at all") {
  struct Row {
    const char* name;
    std::string script;
    const char* said;  ///< "" = it is taken.
  };
  for (const Row& row : {
           Row{"as it should be", "pre_upgrade() {\n  echo hi\n}\n", ""},
           Row{"Windows line ends", "#!/bin/bash\r\npre_upgrade() {\r\n  echo hi\r\n}\r\n", ""},
           Row{"a mark before it", "\uFEFF#!/bin/bash\npre_upgrade() {\n  echo hi\n}\n", ""},
           Row{"the brace in the next line", "pre_upgrade()\n# now\n\n{\n  echo hi\n}\n", ""},
           Row{"blanks everywhere", "  pre_upgrade ( )  {\n  echo hi\n}\n", ""},
           Row{"a subshell", "pre_upgrade() ( echo hi )\n", ""},
           Row{"bash's keyword", "function pre_upgrade {\n  echo hi\n}\n", ""},
           Row{"other scripts in quotes and comments",
               "# \u201Cnote\u201D it\u2019s\npre_upgrade() {\n  echo \"\u4F60\u597D\uFF01 \u201Cx\u201D\"\n}\n", ""},
           Row{"a lone carriage return", "pre_upgrade() {\r echo hi\n}\n", "line 1: "},
           Row{"two carriage returns", "pre_upgrade() {\r\r\n echo hi\n}\n", ""},
           Row{"a no-break space behind the brace", "pre_upgrade() {\u00A0\n  echo hi\n}\n", "U+00A0 (no-break space)"},
           Row{"a zero width space before the name", "\u200Bpre_upgrade() {\n  echo hi\n}\n", "U+200B"},
           Row{"typographic quotes", "pre_upgrade() {\n  echo \u201Chi\u201D\n}\n",
               "line 2: invalid value \"echo ...\": want plain characters"},
           Row{"full-width brackets", "pre_upgrade\uFF08\uFF09 {\n  echo hi\n}\n", "U+FF08"},
           Row{"no blank behind the brace", "pre_upgrade() {echo hi\n}\n", "defines pre_upgrade() { ...; }"},
           Row{"a body of one command", "pre_upgrade() echo hi\n", "defines pre_upgrade() { ...; }"},
           Row{"no brackets and no keyword", "pre_upgrade {\n  echo hi\n}\n", "defines pre_upgrade() { ...; }"},
           Row{"a longer name", "pre_upgrade_all() {\n  echo hi\n}\n", "defines pre_upgrade() { ...; }"},
       }) {
    INFO(row.name);
    const HookConfiguration read = validated("a.sh", row.script);
    const std::string told = describe(read.faults);
    INFO(told);
    if (*row.said == '\0') {
      CHECK(told == "");
      REQUIRE(read.hooks.size() == 1);
      const std::string& script = std::get<ScriptAction>(read.hooks[0].action).script;
      CHECK(script.find('\r') == std::string::npos);
      CHECK(script.find("\uFEFF") == std::string::npos);
    } else {
      CHECK(told.find(row.said) != std::string::npos);
      CHECK(read.hooks.empty());
    }
  }
}

TEST_CASE("a character that nobody sees is named where it makes a text one that is not understood") {
  struct Row {
    const char* name;
    const char* key;
    const char* text;
    const char* said;
    const char* value;
  };
  for (const Row& row : {
           Row{"typographic quotes", "a.sql", "ADMIN SET FRONTEND CONFIG (\u201Chunter2\u201D = \u201Ctrue\u201D)",
               "line 1 has U+201C (left double quotation mark)", "ADMIN SET FRONTEND CONFIG (..."},
           Row{"a full-width semicolon", "a.sql", "SHOW FRONTENDS\uFF1BSHOW BACKENDS", "U+FF1B", "SHOW FRONTENDS..."},
           Row{"a no-break space", "a.sql", "SHOW FRONTENDS;\nSHOW\u00A0BACKENDS;", "line 2 has U+00A0", "SHOW..."},
           Row{"a field with a zero width space", "a.yaml", "hooks:\n- {name: a, sql\u200B: SHOW FRONTENDS}\n",
               "U+200B (zero width space)", "sql\u200B"},
           Row{"a no-break space as indentation", "a.yaml", "hooks:\n\u00A0- name: a\n", "U+00A0 (no-break space)", ""},
       }) {
    INFO(row.name);
    const HookConfiguration read = validated(row.key, row.text);
    REQUIRE_FALSE(read.faults.empty());
    const std::string told = describe(read.faults);
    CHECK_MESSAGE(told.find(row.said) != std::string::npos, told);
    CHECK(read.faults[0].value == row.value);
    CHECK(told.find("hunter2") == std::string::npos);
  }
  const HookConfiguration hook =
      resolve_hooks({.object = annotated("starrocks.com/upgrade-hooks", "disable-balancer\u200B")});
  REQUIRE(hook.faults.size() == 1);
  CHECK(hook.faults[0].accepted.find("(the value has U+200B (zero width space))") != std::string::npos);
}

TEST_CASE("every character that nobody sees is named in the key and in the value of every annotation") {
  struct Odd {
    const char* character;
    const char* named;
  };
  for (const Odd& odd : {
           Odd{"\u200B", "U+200B"}, Odd{"\u00A0", "U+00A0"}, Odd{"\u00AD", "U+00AD"}, Odd{"\uFEFF", "U+FEFF"},
           Odd{"\u2060", "U+2060"}, Odd{"\u206A", "U+206A"}, Odd{"\u115F", "U+115F"}, Odd{"\u2010", "U+2010"},
           Odd{"\u3000", "U+3000"}, Odd{"\U000E0041", "U+E0041"}, Odd{"\u2800", "U+2800"}, Odd{"\a", "U+0007"},
           Odd{"\x7F", "U+007F"}, Odd{"\u0085", "U+0085"}, Odd{"\r", "U+000D"},
           // NOLINTNEXTLINE(misc-misleading-bidirectional): that is what is tested
           Odd{"\u202E", "U+202E"}, Odd{"\u0435", "U+0435"},  // looks like "e"
       }) {
    for (const auto& annotation : std::map<std::string, std::string>{
             {"prepare-upgrade", "true"},
             {"upgrade-hooks", "disable-balancer"},
             {"upgrade-hooks-configmap", "hooks"},
             {"upgrade-hooks-mode", "verify"},
             {"upgrade-timeout-seconds", "60"},
             {"upgrade-admission", "hold"},
             {"upgrade-rollout", "stepwise"},
             {"upgrade-health", "check-backends-alive"},
             {"upgrade-health-readings", "3"},
             {"upgrade-step-timeout-seconds", "900"},
         }) {
      const std::string& key = annotation.first;
      const std::string& value = annotation.second;
      INFO(odd.named << " in " << key);
      const std::string full = "starrocks.com/" + key;
      for (const std::size_t at : {std::size_t{0}, value.size() / 2, value.size()}) {
        std::string text = value;
        const json object = annotated(full, text.insert(at, odd.character));
        const auto told = describe(resolve_hooks({.object = object}).faults);
        const bool blank = *odd.character == '\r' && at != value.size() / 2;
        if (blank && (key == "upgrade-hooks" || key == "upgrade-health")) {  // a list, which may be laid out
          CHECK(told == "");
          continue;
        }
        CHECK_MESSAGE(told.find("metadata.annotations[" + full + "]: invalid value ") == 0, told);
        CHECK_MESSAGE(told.find(std::string("(the value has ") + odd.named) != std::string::npos, told);
      }
      for (const std::size_t at : {std::size_t{0}, full.size() / 2, full.size()}) {
        std::string text = full;
        const std::string two = std::string(odd.character) + odd.character;
        const auto told = describe(resolve_hooks({.object = annotated(text.insert(at, two), value)}).faults);
        CHECK_MESSAGE(told.find("want " + full) != std::string::npos, told);
        CHECK_MESSAGE(told.find(std::string("(the value has ") + odd.named) != std::string::npos, told);
      }
    }
  }
}

TEST_CASE("a misspelt field or annotation is a fault, others are not the gate's business") {
  struct Row {
    const char* name;
    const char* object;
    const char* told;  ///< "" = no fault.
  };
  for (
      const Row& row : {
          Row{"a hook's field", R"({"spec":{"starRocksFeSpec":{"upgradeHook":{"predefined":["create-image"]}}}})",
              "spec.starRocksFeSpec: invalid value \"upgradeHook\": want upgradeHooks"},
          Row{"its case", R"({"spec":{"starRocksBeSpec":{"upgradehooks":{}}}})",
              "spec.starRocksBeSpec: invalid value \"upgradehooks\": want upgradeHooks"},
          Row{"of a warehouse", R"({"spec":{"template":{"upgradeHoks":{}}}})",
              "spec.template: invalid value \"upgradeHoks\": want upgradeHooks"},
          Row{"the preparation", R"({"spec":{"upgradePreperation":{"enabled":true}}})",
              "spec: invalid value \"upgradePreperation\": want upgradePreparation"},
          Row{"the preparation's field", R"({"spec":{"upgradePreparation":{"timeoutSecond":9}}})",
              "spec.upgradePreparation: invalid value \"timeoutSecond\": want the fields enabled, hooks, "
              "timeoutSeconds, "},
          Row{"a field of a component's hooks",
              R"({"spec":{"starRocksFeSpec":{"upgradeHooks":{"predefine":["create-image"]}}}})",
              "spec.starRocksFeSpec.upgradeHooks: invalid value \"predefine\": want the fields predefined, custom, "
              "timeoutSeconds"},
          Row{"a field of a ConfigMap's name",
              R"({"spec":{"starRocksFeSpec":{"upgradeHooks":{"custom":{"configMapName":"a","key":"b"}}}}})",
              "spec.starRocksFeSpec.upgradeHooks.custom: invalid value \"key\": want the fields configMapName, "
              "scriptKey"},
          Row{"an annotation", R"({"metadata":{"annotations":{"starrocks.com/upgrade-hook":"create-image"}}})",
              "metadata.annotations: invalid value \"starrocks.com/upgrade-hook\": want starrocks.com/upgrade-hooks"},
          Row{"an annotation's prefix", R"({"metadata":{"annotations":{"starrock.com/prepare-upgrade":"true"}}})",
              "metadata.annotations: invalid value \"starrock.com/prepare-upgrade\": want "
              "starrocks.com/prepare-upgrade"},
          Row{"an annotation without its prefix", R"({"metadata":{"annotations":{"upgrade-hooks":"create-image"}}})",
              "metadata.annotations: invalid value \"upgrade-hooks\": want starrocks.com/upgrade-hooks"},
          Row{"an annotation that is a truth value",
              R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":true}}})",
              "metadata.annotations[starrocks.com/prepare-upgrade]: invalid value \"true\": want a string, in quotes: "
              "\"true\""},
          Row{"an annotation that is a number",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":60}}})",
              "metadata.annotations[starrocks.com/upgrade-timeout-seconds]: invalid value \"60\": want a string, in "
              "quotes: \"60\""},
          Row{"an annotation of rollouts that is a number",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-health-readings":3}}})",
              "metadata.annotations[starrocks.com/upgrade-health-readings]: invalid value \"3\": want a string, in "
              "quotes: \"3\""},
          Row{"an annotation of rollouts that is a truth value",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-rollout":true}}})",
              "metadata.annotations[starrocks.com/upgrade-rollout]: invalid value \"true\": want a string, in quotes: "
              "\"true\""},
          Row{"an annotation of rollouts that is a list",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-health":["check-backends-alive"]}}})",
              "metadata.annotations[starrocks.com/upgrade-health]: invalid value \"[\"check-backends-alive\"]\": want "
              "a "
              "string"},
          Row{"a number of rollouts as a text", R"({"spec":{"upgradePreparation":{"healthReadings":"3"}}})",
              "spec.upgradePreparation.healthReadings: invalid value \"3\": want a whole number from 1 to 100, without "
              "quotes"},
          Row{"a mode of rollouts that is a number", R"({"spec":{"upgradePreparation":{"rollout":1}}})",
              "spec.upgradePreparation.rollout: invalid value \"1\": want a string, in quotes: \"1\""},
          Row{"checks on lines of their own",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-health":"check-backends-alive,\n check-frontends-alive\n"}}})",
              ""},
          Row{"a number as a text", R"({"spec":{"upgradePreparation":{"timeoutSeconds":"60"}}})",
              "spec.upgradePreparation.timeoutSeconds: invalid value \"60\": want a whole number of seconds from 1 to "
              "3600, without quotes"},
          Row{"a truth value as a text", R"({"spec":{"upgradePreparation":{"enabled":"true"}}})",
              "spec.upgradePreparation.enabled: invalid value \"true\": want true or false, without quotes"},
          Row{"a hook's truth value as a text",
              R"({"spec":{"upgradePreparation":{"hooks":[{"name":"create-image","critical":"no"}]}}})",
              "spec.upgradePreparation.hooks[0].critical: invalid value \"no\": want true or false, without quotes"},
          Row{"names on lines of their own",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"create-image\ndisable-balancer"}}})",
              "metadata.annotations[starrocks.com/upgrade-hooks]: invalid value \"create-image disable-balancer\": "
              "want names separated by commas, each one of recommended, "},
          Row{"names with a semicolon",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"create-image;disable-balancer"}}})",
              "metadata.annotations[starrocks.com/upgrade-hooks]: invalid value \"create-image;disable-balancer\": "
              "want names separated by commas, each one of recommended, "},
          Row{"names as a JSON list",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"[\"create-image\"]"}}})",
              "metadata.annotations[starrocks.com/upgrade-hooks]: invalid value \"[\"create-image\"]\": want names "
              "separated by commas, each one of recommended, "},
          Row{"a line's end in a block", R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"true\n"}}})",
              "metadata.annotations[starrocks.com/prepare-upgrade]: invalid value \"true \": want \"true\" or "
              "\"false\" (the value begins or ends with white space)"},
          Row{"a hook that is null", R"({"spec":{"upgradePreparation":{"hooks":[null]}}})",
              "spec.upgradePreparation.hooks[0]: invalid value \"null\": want an object with a command"},
          Row{"fields that are null", R"({"spec":{"upgradePreparation":{"enabled":true,"hooks":null,
                   "timeoutSeconds":null},"starRocksFeSpec":{"upgradeHooks":null}},"metadata":{"annotations":null}})",
              ""},
          Row{"fields of others",
              R"({"spec":{"upgradeStrategy":{},"starRocksFeSpec":{"updateStrategy":{},"hooks":{}}},
                   "metadata":{"annotations":{"starrocks.com/x":"y","a":"b","example.com/upgrade-hook":"z"}}})",
              ""},
          Row{"annotations of ours that name no hooks",
              R"({"metadata":{"annotations":{"starrocks.com/upgrade-gate-bypass":"x",
                   "starrocks.com/retry-upgrade-preparation":"y"}}})",
              ""},
          Row{"what is switched off is not judged",
              R"({"spec":{"upgradePreparation":{"enabled":false,"timeoutSecond":9}}})", ""},
      }) {
    INFO(row.name);
    const json object = json::parse(row.object);
    const std::string told = describe(resolve_hooks({.object = object}).faults);
    if (*row.told == '\0') {
      CHECK(told == "");
    } else {
      CHECK(told.find(row.told) == 0);
      INFO(told);
    }
  }
}

TEST_CASE("a key of a ConfigMap that nearly ends as hooks do is not passed over in silence") {
  struct Row {
    const char* key;
    const char* meant;  ///< "" = no warning.
  };
  for (const Row& row : {
           Row{"b.SQL", ".sql"},
           Row{"b.Sh", ".sh"},
           Row{"b.sqll", ".sql"},
           Row{"b.yml ", ".yml"},
           Row{"b.yalm", ""},
           Row{"b.yam", ".yaml"},
           Row{"b.sql\u200B", ".sql"},
           Row{"b\uFF0Esql", ".sql"},
           Row{"b.jso", ".json"},
           Row{"b", ""},
           Row{"notes.txt", ""},
           Row{"README.md", ""},
           Row{"b.s", ""},
           Row{"b.sql.bak", ""},
           Row{".", ""},
           Row{"", ""},
       }) {
    INFO(row.key);
    const std::map<std::string, std::string> data{{"a.sql", "SHOW FRONTENDS"}, {row.key, "SHOW BACKENDS"}};
    const auto stored = validate_config_map(data, {});
    CHECK(stored.hooks.size() == 1);
    CHECK(stored.faults.empty());
    const json object = annotated("starrocks.com/upgrade-hooks-configmap", "h");
    const auto used = resolve_hooks({.object = object, .config_maps = {{"h", {data, ""}}}});
    CHECK(used.hooks.size() == 1);
    const std::string said = std::string("] holds no hooks: its key does not end in ") + row.meant;
    for (const auto& warnings : {stored.warnings, used.warnings}) {
      REQUIRE(warnings.size() == (*row.meant == '\0' ? 0 : 1));
      if (!warnings.empty()) CHECK_MESSAGE(warnings[0].ends_with(said), warnings[0]);
    }
    const json named = annotated("starrocks.com/upgrade-hooks-configmap", "h/a.sql");
    CHECK(resolve_hooks({.object = named, .config_maps = {{"h", {data, ""}}}}).warnings.empty());
  }
}

TEST_CASE("what is written and names no hook is told to have no effect") {
  struct Row {
    const char* name;
    const char* object;
    const char* field;  ///< "" = no warning.
  };
  for (const Row& row : {
           Row{"an empty annotation", R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":""}}})",
               "metadata.annotations[starrocks.com/upgrade-hooks]"},
           Row{"commas alone", R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":" ,, "}}})",
               "metadata.annotations[starrocks.com/upgrade-hooks]"},
           Row{"a preparation without a field", R"({"spec":{"upgradePreparation":{}}})", "spec.upgradePreparation"},
           Row{"a preparation without hooks", R"({"spec":{"upgradePreparation":{"hooks":[]}}})",
               "spec.upgradePreparation"},
           Row{"only a timeout", R"({"spec":{"upgradePreparation":{"timeoutSeconds":9}}})", "spec.upgradePreparation"},
           Row{"a component's hooks without a field", R"({"spec":{"starRocksBeSpec":{"upgradeHooks":{}}}})",
               "spec.starRocksBeSpec.upgradeHooks"},
           Row{"a component without a name of a hook",
               R"({"spec":{"starRocksBeSpec":{"upgradeHooks":{"predefined":[]}}}})",
               "spec.starRocksBeSpec.upgradeHooks"},
           Row{"enabled", R"({"spec":{"upgradePreparation":{"enabled":true,"hooks":[]}}})", ""},
           Row{"switched off", R"({"spec":{"upgradePreparation":{"enabled":false,"hooks":[]}}})", ""},
           Row{"a rollout that is led", R"({"spec":{"upgradePreparation":{"rollout":"ordered"}}})", ""},
           Row{"nothing at all", R"({"spec":{"starRocksBeSpec":{"image":"be:1"}}})", ""},
           Row{"null", R"({"spec":{"upgradePreparation":null}})", ""},
       }) {
    INFO(row.name);
    const json object = json::parse(row.object);
    const auto resolved = resolve_hooks({.object = object});
    CHECK(resolved.faults.empty());
    if (*row.field == '\0') {
      CHECK(resolved.warnings.empty());
    } else {
      CHECK(resolved.warnings ==
            std::vector<std::string>{std::string(row.field) + " names no hook, and has no effect"});
      CHECK_FALSE(resolved.configured);
    }
  }
}

TEST_CASE("a dry run warns of what the same bundle may bring, the real request refuses it") {
  struct Row {
    const char* name;
    const char* annotation;
    const char* warning;
  };
  const std::map<std::string, ConfigMapText> maps{
      {"there", {{{"a.sql", "SHOW FRONTENDS"}, {"bad.sql", "DROP TABLE x"}, {"notes", "x"}}, ""}}, {"empty", {}}};
  for (const Row& row : {
           Row{"no ConfigMap", "none", "does not exist yet, and the real request needs it: ConfigMap none"},
           Row{"no key", "there/b.sql", "the real request needs it: key b.sql of ConfigMap there"},
           Row{"no key with hooks", "empty", "the real request needs it: a key with hooks in ConfigMap empty"},
           Row{"not valid as stored", "there/bad.sql", "dry run: not valid as stored: ConfigMap there data[bad.sql"},
       }) {
    INFO(row.name);
    const json object = annotated("starrocks.com/upgrade-hooks-configmap", row.annotation);
    HookSources sources{.object = object, .config_maps = maps};
    CHECK(resolve_hooks(sources).faults.size() == 1);
    sources.dry_run = true;
    const HookConfiguration dry = resolve_hooks(sources);
    CHECK(dry.configured);
    CHECK(dry.faults.empty());
    REQUIRE(dry.warnings.size() == 1);
    CHECK_MESSAGE(dry.warnings[0].find(row.warning) != std::string::npos, dry.warnings[0]);
    CHECK(dry.warnings[0].size() <= 120);
  }
  // What is wrong with the object itself stays wrong whatever the bundle brings.
  const json object = annotated("starrocks.com/upgrade-hooks", "nope");
  CHECK(resolve_hooks({.object = object, .dry_run = true}).faults.size() == 1);
}

}  // namespace
}  // namespace gate
