// Goal: every text with which the gate refuses or warns, as somebody reads it at 80 columns: what happened, why, what
// to do. Method: facts in, texts out, compared with messages.expected as a whole. A text that changed on purpose is
// replaced by messages.actual, which a run that fails leaves in the build folder of this test.

#include "policy/decision/message.hpp"

#include <doctest/doctest.h>

#include "policy/decision/bypass.hpp"
#include "policy/text/text.hpp"
#include "test/policy/golden.hpp"

namespace gate {
namespace {

AdmissionFacts facts_of_a_change() {
  AdmissionFacts facts;
  facts.kind = "StarRocksCluster";
  facts.name_space = "analytics";
  facts.name = "sales";
  facts.object_uid = "uid-1";
  facts.cluster = "sales";
  facts.changes = {{Component::Backend, "starrocks/be-ubuntu:3.5.7", "starrocks/be-ubuntu:3.5.8"}};
  Hook hook;
  hook.name = "disable-balancer";
  hook.action = SqlAction{R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "true"))", std::nullopt};
  facts.configuration.configured = true;
  facts.configuration.hooks = {hook};
  facts.now = WallTime(std::chrono::seconds(1'800'000'000));
  return facts;
}

Preparation record_of(const AdmissionFacts& facts, Phase phase, const std::string& message) {
  Preparation record;
  record.name = "sales-0123456789-1";
  record.name_space = facts.name_space;
  record.spec.cluster = facts.cluster;
  record.spec.changes = facts.changes;
  record.spec.hooks = facts.configuration.hooks;
  record.status.phase = phase;
  record.status.message = message;
  record.status.completion_time = facts.now;
  return record;
}

/// What hook_runner writes about a login that an FE refuses, with the names of a cluster as they are.
constexpr const char* kRefusedLogin =
    "critical hook \"disable-balancer\" failed: FE sales-fe-service.analytics.svc:9030: "
    "root@sales-fe-service.analytics.svc:9030: ERROR 1045 (28000): Access denied for user 'root'@'10.0.3.17' (using "
    "password: YES); it was: ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\"); check the user and the "
    "password that the gate logs in with (docs/reference.md, The FE's login), and that the user may log in from the "
    "gate's address";

std::vector<std::pair<std::string, std::string>> texts() {
  std::vector<std::pair<std::string, std::string>> out;
  AdmissionFacts facts = facts_of_a_change();
  const Preparation failed = record_of(facts, Phase::Failed, kRefusedLogin);
  Preparation running =
      record_of(facts, Phase::Running, "waits for \"check-backends-alive\": be 10.0.0.2:9050: not alive");
  out.emplace_back("on hold, not begun", running_message(facts, nullptr));
  out.emplace_back("on hold, queued", [&] {
    const Preparation queued = record_of(facts, Phase::Pending, "");
    return running_message(facts, &queued);
  }());
  out.emplace_back("on hold, running", running_message(facts, &running));
  facts.other_changed_fields = 2;
  out.emplace_back("on hold, with other fields", running_message(facts, &running));
  facts.other_changed_fields = 0;
  out.emplace_back("failed", failed_message(facts, failed));
  AdmissionFacts wide = facts;
  wide.name = "a-cluster-with-a-name-of-some-length";
  wide.changes.push_back({Component::Frontend, "starrocks/fe-ubuntu:3.5.7", "starrocks/fe-ubuntu:3.5.8"});
  wide.changes.push_back({Component::ComputeNode, "starrocks/cn-ubuntu:3.5.7", "starrocks/cn-ubuntu:3.5.8"});
  out.emplace_back("failed, with little room", failed_message(wide, failed));
  out.emplace_back(
      "failed, a script",
      failed_message(facts, record_of(facts, Phase::Failed,
                                      "critical hook \"prepare\" failed: Job sales-prepare-0123456789ab runs; last "
                                      "output: line 1 | line 2 | line 3 | line 4 "
                                      "... FATAL: cannot reach the change board; Job sales-prepare-0123456789ab "
                                      "failed: BackoffLimitExceeded; the script "
                                      "ended with exit code 3")));
  facts.store_error = "GET /apis/gate.starrocks.com/v1alpha1/upgradepreparations: connection refused";
  out.emplace_back("records unreachable", unavailable_message(facts));
  facts.configuration.unread = {"ConfigMap sales-hooks could not be read: connection refused"};
  out.emplace_back("hooks unreachable", hooks_unread_message(facts));
  facts.configuration.faults = {{"metadata.annotations[starrocks.com/upgrade-hooks]", "disable-balancr",
                                 "disable-balancer, or another of recommended"}};
  out.emplace_back("one fault", hooks_invalid_message(facts));
  facts.configuration.faults.push_back({"ConfigMap sales-hooks data[prepare.sh]", "",
                                        "SQL in a key that ends in .sql or .yaml: shell scripts run only as Kubernetes "
                                        "Jobs, of a gate that was started with "
                                        "--script-hook-image"});
  out.emplace_back("two faults", hooks_invalid_message(facts));
  const std::vector<PathFinding> findings{{"skipped-minor", PathSeverity::Forbidden,
                                           "be 3.3.9 -> 3.5.8 skips minor versions; accepted: 3.4 next",
                                           "docs/en/deployment/upgrade.md, Upgrade paths"}};
  out.emplace_back("unsupported upgrade path", path_forbidden_message(facts, findings));
  facts.stored_difference = "the image of be is starrocks/be-ubuntu:3.5.6, not starrocks/be-ubuntu:3.5.7";
  out.emplace_back("stored otherwise", object_changed_message(facts));
  facts.record_refusal =
      "POST /apis/gate.starrocks.com/v1alpha1/namespaces/analytics/upgradepreparations: 403 Forbidden: unable to "
      "create "
      "new content in namespace analytics because it is being terminated";
  out.emplace_back("record refused for good", record_refused_message(facts));
  out.emplace_back("too many open records", too_many_open_message(facts, 20));
  out.emplace_back("too many new records", too_many_new_message(facts, facts.now));
  out.emplace_back("bypass without the right", bypass_forbidden_message("alice", "analytics"));
  out.emplace_back("the last line of every refusal", target_line("0123456789"));
  out.emplace_back("warning: dry run", dry_run_warning("not started"));
  out.emplace_back("warning: dry run of what would be refused", dry_run_refusal_warning("UpgradePathForbidden"));
  out.emplace_back("warning: way back", revert_warning());
  out.emplace_back("warning: the FE that is to be cured does not answer", unread_settings_warning());
  out.emplace_back("warning: path", path_warning(findings.front()));
  const auto bypass = parse_bypass("*; reason=disk is full; until=2027-01-15T09:00:00Z");
  REQUIRE(bypass.ok());
  out.emplace_back("warning: bypass", bypass_warning(*bypass, false));
  out.emplace_back("warning: bypass, dry run", bypass_warning(*bypass, true));
  const auto malformed = parse_bypass("*; reason=x; until=tomorrow");
  REQUIRE_FALSE(malformed.ok());
  out.emplace_back("warning: bypass ignored", bypass_ignored_warning(malformed.error().message));
  out.emplace_back("warning: hook failed",
                   failed_hook_warning({"create-image", HookPhase::Failed, 1, {}, {}, "ERROR 1064"}));
  out.emplace_back("warning: skipped hook",
                   skipped_hook_warning({"check-backends-alive", HookPhase::Skipped, 1, {}, {}, "not waited for"}));
  return out;
}

TEST_CASE("every text that people meet, at 80 columns") {
  test::check_texts(texts(), GATE_MESSAGES_EXPECTED, GATE_MESSAGES_ACTUAL);
}

TEST_CASE("the warning of a hook that may fail has its cause, whatever stands before it") {
  struct Row {
    const char* hook;
    const char* message;
    std::vector<const char*> cause;  ///< What is left of it: the error, and what it is about.
  };
  for (const Row& row : {
           Row{"drain-tablet-scheduler",
               "hook \"drain-tablet-scheduler\" failed: FE 10.77.0.1:9030: ERROR 1064 (HY000): Cannot open null host. "
               "(gave "
               "up after 300 s); fix the cluster, or increase the hook's timeoutSeconds",
               {"ERROR 1064 (HY000): Cannot open null host."}},
           Row{"create-image",
               "hook \"create-image\" failed: FE sales-fe-service.analytics.svc.cluster.local:9030: "
               "root@sales-fe-service.analytics.svc.cluster.local:9030: ERROR 5203 (42000): Access denied; you need "
               "(at "
               "least one of) the NODE privilege(s); it was: ALTER SYSTEM CREATE IMAGE; give the gate's FE user this",
               {"ERROR 5203 (42000)", "NODE privilege"}},
           Row{"check-no-running-loads",
               "hook \"check-no-running-loads\" failed: wanted no load, found load jobs: 4 in shop",
               {"wanted no load, found load jobs"}},
           Row{"prepare", "the Job was removed", {"the Job was removed"}},
       }) {
    const auto warning = failed_hook_warning({row.hook, HookPhase::Failed, 1, {}, {}, row.message});
    INFO(warning);
    CHECK(warning.size() <= kWarningMax);
    for (const char* part : row.cause) CHECK(warning.find(part) != std::string::npos);
    CHECK(warning.find(row.hook) == warning.rfind(row.hook));  // once
  }
}

TEST_CASE("the first line of a refusal has the error, and says that nothing was applied") {
  for (const auto& row : texts()) {
    const auto& name = row.first;
    const auto& text = row.second;
    if (name.starts_with("warning") || name.starts_with("the last line")) {
      if (name.starts_with("warning")) CHECK(text.size() <= kWarningMax);
      continue;
    }
    INFO(name);
    const std::string line = text.substr(0, text.find('\n'));
    CHECK(line.size() <= kFirstLineMax);
    CHECK(line.find("Nothing of this request was applied") != std::string::npos);
    if (name.starts_with("failed") && name != "failed, a script") CHECK(line.find("ERROR 1045") != std::string::npos);
    if (name == "failed, a script") CHECK(line.find("exit code 3") != std::string::npos);
  }
}

TEST_CASE("a refusal lists as many faults as somebody reads, and counts the others") {
  AdmissionFacts facts;
  facts.kind = "StarRocksCluster";
  for (int i = 0; i < 5000; ++i) {
    facts.configuration.faults.push_back({"data[" + std::to_string(i) + "]", "", std::string(2000, 'x')});
  }
  const auto message = hooks_invalid_message(facts);
  CHECK(message.size() < 40'000);
  CHECK(message.ends_with("\n- and 4970 more"));
}

}  // namespace
}  // namespace gate
