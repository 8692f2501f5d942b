// Goal: every text of the rooms below that is put into a refusal, a warning, an Event or a status, as somebody in
// trouble reads it at 80 columns: what happened, why, what to do. Method: as in message_test.cpp, with parts.expected.

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "policy/decision/message.hpp"
#include "policy/hooks/hook_configuration.hpp"
#include "policy/hooks/rollout_configuration.hpp"
#include "policy/record/external_preparation.hpp"
#include "policy/record/http_hook.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/rollout/cluster_conditions.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/rollout/stateful_set.hpp"
#include "policy/rollout/turns.hpp"
#include "policy/versions/upgrade_path.hpp"
#include "test/policy/golden.hpp"

namespace gate {
namespace {

using nlohmann::json;
using Texts = std::vector<std::pair<std::string, std::string>>;

constexpr auto kFe = Component::Frontend;
constexpr auto kBe = Component::Backend;

// --- The path between versions -----------------------------------------------------------------------------------

void add_path(Texts& out, const std::string& name, std::vector<ImageChange> changes,
              std::vector<ComponentImage> unchanged = {}, std::vector<RunningNode> running = {}) {
  std::string text;
  for (const auto& finding :
       judge_path({std::string(kClusterKind), "sales", std::move(changes), std::move(unchanged), std::move(running)})) {
    text += std::string(to_string(finding.severity)) + ": " + finding.text +
            (finding.source.empty() ? "" : " (StarRocks " + std::string(finding.source) + ")") + "\n";
  }
  out.emplace_back("path: " + name, text);
}

void add_paths(Texts& out) {
  const auto be = [](const std::string& from, const std::string& to) {
    return std::vector<ImageChange>{{kBe, "be:" + from, "be:" + to}};
  };
  const std::vector<ComponentImage> old_fe{{kFe, "fe:1.0.0"}};
  const std::vector<ComponentImage> new_fe{{kFe, "fe:9.9.9"}};
  add_path(out, "a minor skipped", be("3.3.9", "3.5.8"), old_fe);
  add_path(out, "from a major whose end nobody knows", be("4.9.0", "6.0.0"), old_fe);
  add_path(out, "a downgrade below a floor", {{kBe, "be:3.5.7", "be:3.4.2"}, {kFe, "fe:3.5.7", "fe:3.4.2"}});
  add_path(out, "a downgrade within a minor below a floor", {{kFe, "fe:3.5.7", "fe:3.5.1"}});
  add_path(out, "a release that was withdrawn", be("3.3.0", "3.3.1"), old_fe);
  add_path(out, "a release whose image is broken", be("4.0.5", "4.1.0"), old_fe);
  add_path(out, "an upgrade that asks for a setting", be("3.4.5", "3.5.7"), old_fe);
  add_path(out, "a downgrade that asks for a setting", {{kFe, "fe:4.0.5", "fe:4.0.1"}});
  add_path(out, "no version in the new tag", be("3.5.7", "latest"), old_fe);
  add_path(out, "no version in the old tag", be("latest", "3.5.7"), old_fe);
  add_path(out, "a tag without a patch", be("4.0.3", "3.5-latest"), new_fe);
  add_path(out, "an image that is no reference", be("3.5.7", "3.5.8 "), old_fe);
  add_path(out, "an image with an empty tag", be("3.5.7", ""), old_fe);
  add_path(out, "an image in a browser's words", {{kBe, "be:3.5.7", "https://registry.example/be:3.5.8"}}, old_fe);
  add_path(out, "something else runs than the tag says", be("3.5.7", "3.5.8"), old_fe,
           {{kBe, "", parse_version("3.4.2").value()}});
  add_path(out, "FE first, BE later", {{kFe, "fe:3.4.9", "fe:3.5.7"}}, {{kBe, "be:3.4.9"}});
  add_path(out, "FE first, within a minor", {{kFe, "fe:3.5.7", "fe:3.5.8"}}, {{kBe, "be:3.5.7"}});
  add_path(out, "FE first, and nobody knows of the BE", {{kFe, "fe:3.5.7", "fe:3.5.8"}}, {{kBe, "be:nightly"}});
  add_path(out, "FE and BE in one change", {{kBe, "be:3.4.9", "be:3.5.7"}, {kFe, "fe:3.4.9", "fe:3.5.7"}});
  add_path(out, "BE down before FE", be("3.5.7", "3.4.9"), {{kFe, "fe:3.5.7"}});
  add_path(out, "BE down, and nobody knows of the FE", be("3.5.8", "3.5.7"));
}

// --- Hooks -------------------------------------------------------------------------------------------------------

void add_hooks(Texts& out, const std::string& name, const std::string& key, const std::string& text,
               const HookRules& rules = {}) {
  const auto configuration = validate_config_map({{key, text}}, rules);
  std::string told;
  for (const auto& fault : configuration.faults) told += describe({fault}) + "\n";
  for (const auto& warning : configuration.warnings) told += "warning: " + warning + "\n";
  out.emplace_back("hooks: " + name, told);
}

void add_sql(Texts& out) {
  const auto sql = [&](const std::string& name, const std::string& text) { add_hooks(out, name, "a.sql", text); };
  sql("a statement that hooks may not have", "DROP TABLE sales.orders;");
  sql("a statement that is misspelt", "ADMIN SET FRONTENDS CONFIG (\"disable_balance\" = \"true\");");
  sql("a statement that the gate's owner has to allow", "ALTER SYSTEM DECOMMISSION BACKEND \"be-0:9050\";");
  sql("two settings", "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\", \"a\" = \"1\");");
  sql("a key without quotes", "ADMIN SET FRONTEND CONFIG (disable_balance = \"true\");");
  sql("a value without quotes", "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = true);");
  sql("a value of another type", "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"yes\");");
  sql("a bracket too few", "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\";");
  sql("PERSISTENT", "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\") WITH PERSISTENT;");
  sql("something behind it", "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\") FOR fe;");
  sql("a setting about logins", "ADMIN SET FRONTEND CONFIG (\"authentication_ldap_simple_bind_root_pwd\" = \"x\");");
  sql("a variable without a value", "SET GLOBAL query_timeout;");
  sql("two variables", "SET GLOBAL query_timeout = 5, pipeline_dop = 1;");
  sql("a query that writes", "SELECT 1 INTO OUTFILE \"s3://bucket/x\";");
  sql("WITH and no query", "WITH a AS (SELECT 1) DELETE FROM a;");
  sql("quotes that do not end", "SHOW FRONTENDS LIKE \"a;\nSHOW BACKENDS;");
  sql("a comment that does not end", "SHOW FRONTENDS; /* and then");
  sql("a comment of another shell", "# first\nSHOW FRONTENDS;");
  sql("curly quotes", "ADMIN SET FRONTEND CONFIG (\u201Cdisable_balance\u201D = \"true\");");
  sql("a heading of a script", "$$ SHOW FRONTENDS $$;");
  sql("nothing", "-- later\n");
  std::string long_statement = "SELECT ";
  for (int i = 0; i < 2000; ++i) long_statement += "1, ";
  sql("a long statement", long_statement + "1;");
}

void add_definitions(Texts& out) {
  const auto yaml = [&](const std::string& name, const std::string& text) { add_hooks(out, name, "a.yaml", text); };
  yaml("no list", "- name: a\n");
  yaml("an empty list", "hooks: []\n");
  yaml("no YAML", "hooks: [\n");
  yaml("tabs", "hooks:\n\t- name: a\n");
  yaml("an anchor", "hooks: &a\n- {command: create-image}\n");
  yaml("a misspelt field", "hooks:\n- {command: create-image, timeoutSecond: 5}\n");
  yaml("no action", "hooks:\n- {name: a}\n");
  yaml("two actions", "hooks:\n- {name: a, sql: SHOW FRONTENDS, command: create-image}\n");
  yaml("a hook that nobody knows", "hooks:\n- {command: disable-balancr}\n");
  yaml("the name of another hook", "hooks:\n- {name: create-image, sql: SHOW FRONTENDS}\n");
  yaml("a name that is none", "hooks:\n- {name: 'a b', sql: SHOW FRONTENDS}\n");
  yaml("a number in quotes", "hooks:\n- {command: create-image, timeoutSeconds: '60', retries: '2'}\n");
  yaml("a time that is too long", "hooks:\n- {command: create-image, timeoutSeconds: 86400}\n");
  yaml("a word for a truth value", "hooks:\n- {command: create-image, critical: yes}\n");
  yaml("a condition that is none",
       "hooks:\n- {command: create-image, when: {versionChange: [big], component: [db]}}\n");
  yaml("a run mode that is none", "hooks:\n- {command: create-image, when: {runMode: cloud}}\n");
  yaml("an undo that is none", "hooks:\n- {name: a, sql: SET GLOBAL query_timeout = 5, restore: DROP TABLE t}\n");
  yaml("no undo", "hooks:\n- {name: a, sql: SET GLOBAL query_timeout = 5}\n");
  yaml("a check without what is expected", "hooks:\n- {name: a, check: {sql: SELECT 1}}\n");
  yaml("a check that changes something", "hooks:\n- {name: a, check: {sql: SET GLOBAL a = 1, expect: '= 0'}}\n");
  yaml("a check of SHOW without a column", "hooks:\n- {name: a, check: {sql: SHOW FRONTENDS, expect: '= 0'}}\n");
  yaml("an order of words", "hooks:\n- {name: a, check: {sql: SELECT 1, expect: '> many'}}\n");
  yaml("a call that nobody allowed", "hooks:\n- {name: a, http: {url: 'https://change.example/'}}\n");
  add_hooks(out, "a call to another place", "a.yaml", "hooks:\n- {name: a, http: {url: 'https://other.example/x'}}\n",
            {{"https://change.example/"}, false, {}});
  add_hooks(out, "a script that nobody allowed", "prepare.sh", "#!/bin/sh\npre_upgrade() { true; }\n");
  add_hooks(out, "a script without its function", "prepare.sh", "#!/bin/sh\necho hello\n", {{}, true, {}});
  add_hooks(out, "a key without an ending", "prepare", "SHOW FRONTENDS;");
}

void add_object(Texts& out, const std::string& name, const char* object, bool dry_run = false) {
  const json parsed = json::parse(object);
  HookSources sources{.object = parsed};
  sources.dry_run = dry_run;
  const auto configuration = resolve_hooks(sources);
  std::string told;
  for (const auto& fault : configuration.faults) told += describe({fault}) + "\n";
  for (const auto& warning : configuration.warnings) told += "warning: " + warning + "\n";
  out.emplace_back("cluster: " + name, told);
}

void add_objects(Texts& out) {
  add_object(out, "a word for a truth value",
             R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"yes"}}})");
  add_object(out, "a truth value without quotes",
             R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":true}}})");
  add_object(out, "a list without hooks", R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":" , "}}})");
  add_object(out, "a list with blanks",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"create-image disable-balancer"}}})");
  add_object(out, "a time with a unit",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-timeout-seconds":"10m"}}})");
  add_object(out, "a mode that is none",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks-mode":"check"}}})");
  add_object(out, "a ConfigMap that is not there",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks-configmap":"sales-hooks"}}})");
  add_object(out, "a ConfigMap that is not there yet",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks-configmap":"sales-hooks"}}})", true);
  add_object(out, "a misspelt annotation", R"({"metadata":{"annotations":{"starrocks.com/upgrade-hook":"a"}}})");
  add_object(out, "a misspelt field", R"({"spec":{"upgradePreparation":{"timeoutSecond":5}}})");
  add_object(out, "the same hook twice",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"create-image,create-image"}}})");
  add_object(out, "a hook and its opposite",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-hooks":"disable-balancer,enable-balancer"}}})");
  add_object(out, "switched off beside hooks",
             R"({"metadata":{"annotations":{"starrocks.com/prepare-upgrade":"false",
                 "starrocks.com/upgrade-hooks":"create-image"}}})");
  add_object(out, "a rollout that is none",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-rollout":"canary"}}})");
  add_object(out, "an admission that is none",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-admission":"wait"}}})");
  add_object(out, "readings that are none",
             R"({"metadata":{"annotations":{"starrocks.com/upgrade-rollout":"stepwise",
                 "starrocks.com/upgrade-health-readings":"often","starrocks.com/upgrade-health":"all-well"}}})");
}

// --- Rollouts ----------------------------------------------------------------------------------------------------

Preparation rolling() {
  Preparation record;
  record.name = "sales-0123456789-1";
  record.spec.object = {"StarRocksCluster", "sales", "uid-1"};
  record.spec.cluster = "sales";
  record.spec.changes = {{kFe, "fe:3.3.0", "fe:3.3.1"}, {kBe, "be:3.3.0", "be:3.3.1"}};
  record.spec.rollout.mode = RolloutMode::Stepwise;
  record.spec.rollout.readings = 2;
  record.status.phase = Phase::Completed;
  record.status.stage = Stage::RollingOut;
  return record;
}

StatefulSetState set_of(Component component, const std::string& image) {
  StatefulSetState set;
  set.component = component;
  set.name = "sales-" + std::string(to_string(component));
  set.exists = set.observed = true;
  set.image = image;
  set.replicas = set.existing = set.ready = 3;
  return set;
}

/// What is told of the first turn where the StatefulSet of the BEs is as `change` makes it.
template <class Change>
void add_turn(Texts& out, const std::string& name, Change change) {
  Preparation record = rolling();
  RolloutObservation seen;
  seen.sets = {set_of(kFe, "fe:3.3.0"), set_of(kBe, "be:3.3.1")};
  seen.renewed = std::map<Component, int>{{kBe, 1}, {kFe, 0}};
  seen.now = WallTime(std::chrono::seconds(1'800'000'000));
  std::string text;
  for (int look = 0; look < 3; ++look) {
    if (look > 0) change(seen);
    const auto move = next_move(record, seen);
    for (const auto& event : move.events) {
      text += std::string(event.warning ? "Warning " : "Normal ") + event.reason + ": " + event.message + "\n";
    }
    record.status.rollout = move.progress;
  }
  for (const auto& turn : record.status.rollout.turns) {
    if (!turn.waiting_for.empty()) text += "waits for: " + turn.waiting_for + "\n";
  }
  out.emplace_back("turn: " + name, text);
}

void add_turns(Texts& out) {
  const auto backends = [](RolloutObservation& seen) -> StatefulSetState& { return seen.sets[1]; };
  add_turn(out, "no StatefulSet", [&](auto& seen) { backends(seen).exists = false; });
  add_turn(out, "the operator is slow", [&](auto& seen) { backends(seen).image = "be:3.3.0"; });
  add_turn(out, "the StatefulSet controller is slow", [&](auto& seen) { backends(seen).observed = false; });
  add_turn(out, "pods that are not updated", [&](auto& seen) { backends(seen).updated = 0; });
  add_turn(out, "OnDelete", [&](auto& seen) {
    backends(seen).updated = 0;
    backends(seen).on_delete = true;
  });
  add_turn(out, "pods that are not ready", [&](auto& seen) {
    backends(seen).updated = 1;
    backends(seen).ready = 2;
  });
  add_turn(out, "surplus pods", [&](auto& seen) {
    backends(seen).updated = 1;
    backends(seen).existing = 4;
  });
  add_turn(out, "the database does not answer", [&](auto& seen) {
    backends(seen).updated = 1;
    seen.renewed.reset();
  });
  add_turn(out, "nodes that are not new", [&](auto& seen) {
    backends(seen).updated = 1;
    seen.renewed = std::map<Component, int>{{kBe, 0}};
  });
  add_turn(out, "not well", [&](auto& seen) {
    backends(seen).updated = 1;
    seen.unwell = "check-tablets-healthy: 7 unhealthy tablets";
  });
  add_turn(out, "healthy once", [&](auto& seen) { backends(seen).updated = 1; });
  add_turn(out, "paused", [&](auto& seen) {
    backends(seen).updated = 1;
    seen.unwell = "check-tablets-healthy: 7 unhealthy tablets";
    seen.now += std::chrono::hours(1);
  });
  add_turn(out, "taken back", [&](auto& seen) { seen.back = true; });
}

void add_database(Texts& out) {
  Preparation record = rolling();
  record.spec.changes = {{kBe, "be:3.3.0", "be:3.3.1"}};
  const DatabaseNode old{kBe, "sales-be-0.sales-be-search:9050", true, "2026-01-02 03:04:05", "3.3.0-aaaa", ""};
  record.status.nodes_before = nodes_to_restart(record.spec, {old});
  const auto goal = rollout_goal(record.spec, {{kBe, "be:3.3.1"}});
  const auto add = [&](const std::string& name, const DatabaseNode& node) {
    out.emplace_back("rollout: " + name, unfinished_in_database(record, goal, {{"sales-be", 3}}, {node}));
  };
  DatabaseNode node = old;
  add("an old process", node);
  node.started = "2026-05-01 12:00:00";
  add("an old version", node);
  node.alive = false;
  add("a node that is down", node);
}

// --- What the cluster's status says ------------------------------------------------------------------------------

/// The conditions that a cluster with the operator's `phase` is given because of `record`.
void add_conditions(Texts& out, const std::string& name, const std::string& phase, const std::string& image,
                    const std::vector<Preparation>& records) {
  const json cluster{{"metadata", {{"uid", "uid-1"}, {"generation", 7}}},
                     {"spec", {{"starRocksBeSpec", {{"image", image}}}}},
                     {"status", {{"phase", phase}}}};
  const auto fields = condition_fields(cluster, records, true, WallTime(std::chrono::seconds(1'800'000'000)));
  std::string text;
  for (const json& condition : fields.at("conditions")) {
    text += condition.at("type").get<std::string>() + "=" + condition.at("status").get<std::string>() + " " +
            condition.at("reason").get<std::string>() + ": " + condition.at("message").get<std::string>() + "\n";
  }
  out.emplace_back("status: " + name, text);
}

void add_statuses(Texts& out) {
  const auto add = [&](const std::string& name, const std::string& image, Phase phase, Stage stage, auto change) {
    Preparation record = rolling();
    record.spec.changes = {{kBe, "be:3.3.0", "be:3.3.1"}};
    record.spec.rollout.mode = RolloutMode::Operator;
    record.status.phase = phase;
    record.status.stage = stage;
    change(record);
    add_conditions(out, name, "running", image, {record});
  };
  const auto as_it_is = [](Preparation&) {};
  const auto led = [](TurnPhase phase) {
    return [phase](Preparation& record) {
      record.spec.rollout.mode = RolloutMode::Stepwise;
      record.status.rollout.turns = {Turn{{kBe}, phase, 2, 3, 1, "StatefulSet sales-be: 2 of 3 pods ready", {}, 0}};
    };
  };
  for (const char* phase : {"running", "reconciling", "failed", ""}) {
    add_conditions(out, "no upgrade, and the operator says \"" + std::string(phase) + "\"", phase, "be:3.3.0", {});
  }
  add("hooks that run, without a word of theirs", "be:3.3.1", Phase::Running, Stage::Preparing, as_it_is);
  add("hooks that run and hold the pods", "be:3.3.1", Phase::Running, Stage::Preparing, [](Preparation& record) {
    record.spec.rollout.admission = AdmissionMode::Hold;
    record.status.message = "running hook disable-balancer (1/2 hooks)";
  });
  add("a hook that failed", "be:3.3.1", Phase::Failed, Stage::Closed, [](Preparation& record) {
    record.spec.rollout.admission = AdmissionMode::Hold;
    record.status.outcome = Outcome::Failed;
    record.status.message = "critical hook \"disable-balancer\" failed: Access denied";
  });
  add("a rollout that the operator does", "be:3.3.1", Phase::Completed, Stage::RollingOut, as_it_is);
  add("pods that go back", "be:3.3.0", Phase::Completed, Stage::RollingOut, as_it_is);
  add("settings that are restored", "be:3.3.1", Phase::Completed, Stage::Restoring,
      [](Preparation& record) { record.status.admitted_time = WallTime(std::chrono::seconds(1)); });
  add("a turn that rolls", "be:3.3.1", Phase::Completed, Stage::RollingOut, led(TurnPhase::Rolling));
  add("a turn that is paused", "be:3.3.1", Phase::Completed, Stage::RollingOut, led(TurnPhase::Paused));
  add("a rollout that expired with pods held", "be:3.3.1", Phase::Completed, Stage::Closed, [&](Preparation& record) {
    led(TurnPhase::Paused)(record);
    record.status.outcome = Outcome::Expired;
  });
}

// --- Verify mode: what another program's status says -------------------------------------------------------------

void add_externals(Texts& out) {
  const auto add = [&](const std::string& name, const json& kept) {
    const json cluster{{"status", {{std::string(kMirrorField), kept}}}};
    out.emplace_back("others' preparation: " + name, external_preparation(cluster, rolling().spec).detail);
  };
  const json here{{"fe", "fe:3.3.1"}, {"be", "be:3.3.1"}};
  add("no target", {{"phase", "Completed"}});
  add("another target", {{"phase", "Completed"}, {"targetImages", {{"fe", "fe:3.3.1"}, {"be", "be:3.3.2"}}}});
  add("another key", {{"phase", "Completed"}, {"key", "0123456789"}});
  add("no phase", {{"targetImages", here}});
  add("a phase that nobody knows", {{"phase", "Done"}, {"targetImages", here}});
  add("running", {{"phase", "Running"}, {"targetImages", here}, {"message", "draining be-2"}});
  add("failed", {{"phase", "Failed"}, {"targetImages", here}, {"message", "be-2 does not drain: 3 queries run"}});
  add("completed", {{"phase", "Completed"}, {"targetImages", here}});
}

// --- Writes of StatefulSets --------------------------------------------------------------------------------------

void add_writes(Texts& out) {
  const auto set = [](const std::string& image, const std::string& strategy) {
    return json{{"metadata",
                 {{"name", "sales-be"},
                  {"labels", {{"app.kubernetes.io/component", "be"}}},
                  {"ownerReferences",
                   {{{"apiVersion", "starrocks.com/v1"},
                     {"kind", "StarRocksCluster"},
                     {"name", "sales"},
                     {"uid", "uid-1"},
                     {"controller", true}}}}}},
                {"spec",
                 {{"replicas", 3},
                  {"updateStrategy", {{"type", strategy}}},
                  {"template", {{"spec", {{"containers", {{{"name", "be"}, {"image", image}}}}}}}}}}};
  };
  const auto add = [&](const std::string& name, const json& before, const json& after, const SetOrder& order) {
    std::string text;
    for (const auto& warning : answer_write(before, after, order).warnings) text += "Warning: " + warning + "\n";
    out.emplace_back("StatefulSet: " + name, text);
  };
  add("an image by hand that is held", set("be:3.3.0", "RollingUpdate"), set("be:3.3.1", "RollingUpdate"),
      {SetVerdict::Hold, 0});
  add("OnDelete", set("be:3.3.0", "OnDelete"), set("be:3.3.1", "OnDelete"), {SetVerdict::Steer, 2});
}

void add_others(Texts& out) {
  for (const auto& [name, status, body] :
       {std::tuple("a page instead of a verdict", 200, "<html>login</html>"),
        std::tuple("an error", 503, "upstream is down"), std::tuple("nothing", 204, "")}) {
    out.emplace_back("HTTP hook: " + std::string(name), read_http_verdict(status, body).message);
  }
}

Texts parts() {
  Texts out;
  add_paths(out);
  add_sql(out);
  add_definitions(out);
  add_objects(out);
  add_turns(out);
  add_database(out);
  add_statuses(out);
  add_externals(out);
  add_writes(out);
  add_others(out);
  return out;
}

TEST_CASE("every part of a text that people meet, at 80 columns") {
  const auto all = parts();
  for (const auto& row : all) {
    INFO(row.first);
    CHECK_FALSE(row.second.empty());
  }
  test::check_texts(all, GATE_PARTS_EXPECTED, GATE_PARTS_ACTUAL);
}

}  // namespace
}  // namespace gate
