// Goal: every row of the verdict table, for real requests and dry runs, and what must not happen in each.
// Method: facts in, decision out; no clock, no store.

#include "policy/decision/decision.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "policy/decision/bypass.hpp"
#include "policy/decision/message.hpp"
#include "policy/text/text.hpp"

using namespace gate;

namespace {

const WallTime kNow{std::chrono::seconds(1'800'000'000)};

Hook disable_balancer() {
  Hook hook;
  hook.name = "disable-balancer";
  hook.action =
      SqlAction{R"(ADMIN SET FRONTEND CONFIG ("disable_balance" = "true"))", ConfigSetting{"disable_balance", "true"}};
  return hook;
}

/// What is known, and what the review may still do.
struct Given : AdmissionFacts {
  EffectsLeft left;
};
Decision decide(const Given& given) { return gate::decide(given, given.left); }

Given facts() {
  Given facts;
  facts.kind = kClusterKind;
  facts.name_space = "prod";
  facts.name = "sr";
  facts.object_uid = "uid-1";
  facts.cluster = "sr";
  facts.changes = {{Component::Backend, "starrocks/be-ubuntu:3.3.0", "starrocks/be-ubuntu:3.3.1"}};
  facts.configuration.configured = true;
  facts.configuration.hooks = {disable_balancer()};
  facts.now = kNow;
  return facts;
}

/// A record for exactly the change and the hooks of `facts`.
Preparation record_for(const AdmissionFacts& facts, Phase phase, Stage stage) {
  Preparation record;
  record.spec.object = {facts.kind, facts.name, facts.object_uid};
  record.spec.cluster = facts.cluster;
  record.spec.changes = facts.changes;
  record.spec.hooks = facts.configuration.hooks;
  record.name_space = facts.name_space;
  record.name = preparation_name(facts.name, preparation_key(record.spec), 1);
  record.status.phase = phase;
  record.status.stage = stage;
  record.status.hooks = {{"disable-balancer", HookPhase::Running, 1, {}, {}, ""}};
  if (phase == Phase::Completed) record.status.hooks[0].phase = HookPhase::Completed;
  if (phase == Phase::Failed) {
    record.status.hooks[0].phase = HookPhase::Failed;
    record.status.message = "critical hook \"disable-balancer\" failed: FE 10.0.0.1:9030: ERROR 5203 (42000): denied";
    record.status.outcome = Outcome::Failed;
  }
  record.status.completion_time = kNow;
  return record;
}

std::string decision_annotation(const Decision& decision) {
  for (const auto& entry : decision.answer.audit) {
    if (entry.key == "decision") return entry.value;
  }
  return {};
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

TEST_CASE("what is not gated is allowed without a record being looked at") {
  auto given = facts();
  given.store_reachable = false;
  SUBCASE("no image changes") { given.changes.clear(); }
  SUBCASE("no hooks are configured") { given.configuration = {}; }
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.allowed);
}

TEST_CASE("an image change without a record starts one") {
  const auto decision = decide(facts());
  CHECK(decision.effect == Effect::Start);
  REQUIRE(decision.start);
  CHECK(decision.start->attempt == 1);
  CHECK(decision.start->changes == facts().changes);
  CHECK(decision.start->supersedes.empty());
  CHECK(decision.start_name == "sr-" + preparation_key(*decision.start) + "-1");
}

TEST_CASE("a dry run has no effect in any state and is allowed whenever a real request could make progress") {
  struct Row {
    const char* name;
    std::optional<std::pair<Phase, Stage>> state;
  };
  for (const Row& row :
       {Row{"no record", {}}, Row{"pending", {{Phase::Pending, Stage::Preparing}}},
        Row{"running", {{Phase::Running, Stage::Preparing}}}, Row{"failed", {{Phase::Failed, Stage::Restoring}}},
        Row{"completed", {{Phase::Completed, Stage::Prepared}}}, Row{"expired", {{Phase::Completed, Stage::Closed}}}}) {
    INFO(row.name);
    auto given = facts();
    given.dry_run = true;
    if (row.state) given.records = {record_for(given, row.state->first, row.state->second)};
    const auto decision = decide(given);
    CHECK(decision.effect == Effect::None);
    CHECK(decision.answer.allowed);
    const bool prepared = row.state && row.state->first == Phase::Completed && row.state->second == Stage::Prepared;
    CHECK(decision.answer.warnings.empty() == prepared);
    for (const auto& warning : decision.answer.warnings) CHECK(warning.size() <= kWarningMax);
  }
}

TEST_CASE("a dry run of a faulty configuration is denied, for no real request could make progress") {
  auto given = facts();
  given.dry_run = true;
  given.configuration.faults = {{"metadata.annotations[starrocks.com/upgrade-hooks]", "nonsense", "a known hook"}};
  const auto decision = decide(given);
  CHECK_FALSE(decision.answer.allowed);
  CHECK(decision.answer.reason == reason::kHooksInvalid);
}

TEST_CASE("all faults of a configuration are named at once") {
  auto given = facts();
  given.configuration.faults = {{"field-a", "value-a", "accepted-a"}, {"field-b", "value-b", "accepted-b"}};
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  for (const char* part : {"field-a", "value-a", "accepted-a", "field-b", "value-b", "accepted-b"}) {
    CHECK(decision.answer.message.find(part) != std::string::npos);
  }
}

TEST_CASE("a preparation in progress is waited for once and then denied as running") {
  for (const auto phase : {Phase::Pending, Phase::Running}) {
    auto given = facts();
    given.records = {record_for(given, phase, Stage::Preparing)};
    CHECK(decide(given).effect == Effect::Wait);
    given.left.wait = false;
    const auto decision = decide(given);
    CHECK(decision.effect == Effect::None);
    CHECK_FALSE(decision.answer.allowed);
    CHECK(decision.answer.code == 403);
    CHECK(decision.answer.reason == reason::kRunning);
  }
}

TEST_CASE("a completed record admits only after it was read back") {
  auto given = facts();
  given.records = {record_for(given, Phase::Completed, Stage::Prepared)};
  CHECK(decide(given).effect == Effect::ReadBack);

  SUBCASE("it holds") {
    given.read_back = ReadBack::Holds;
    CHECK(decide(given).answer.allowed);
    CHECK(decision_annotation(decide(given)) == "allowed-prepared");
  }
  SUBCASE("a setting was changed since: prepared again") {
    given.read_back = ReadBack::Drifted;
    CHECK(decide(given).effect == Effect::Reopen);
  }
  SUBCASE("the FE does not answer: prepared again") {
    given.read_back = ReadBack::Unreachable;
    CHECK(decide(given).effect == Effect::Reopen);
  }
  SUBCASE("no time was left to read back: on hold, not admitted") {
    given.left.read_back = false;
    const auto decision = decide(given);
    CHECK_FALSE(decision.answer.allowed);
    CHECK(decision.answer.reason == reason::kRunning);
  }
}

TEST_CASE("a hook that may fail is shown as a warning when it did") {
  auto given = facts();
  auto record = record_for(given, Phase::Completed, Stage::Prepared);
  record.status.hooks.push_back({"create-image", HookPhase::Failed, 1, {}, {}, std::string(400, 'x')});
  given.records = {record};
  given.read_back = ReadBack::Holds;
  const auto decision = decide(given);
  CHECK(decision.answer.allowed);
  REQUIRE(decision.answer.warnings.size() == 1);
  CHECK(decision.answer.warnings[0].find("create-image") != std::string::npos);
  CHECK(decision.answer.warnings[0].size() <= kWarningMax);
}

TEST_CASE("a failed record denies until its back-off is over, then a new attempt supersedes it") {
  auto given = facts();
  given.records = {record_for(given, Phase::Failed, Stage::Restoring)};
  const auto refused = decide(given);
  CHECK_FALSE(refused.answer.allowed);
  CHECK(refused.answer.reason == reason::kFailed);
  CHECK(refused.answer.message.find("disable-balancer") != std::string::npos);
  CHECK(refused.answer.message.find("5203") != std::string::npos);
  CHECK(refused.answer.message.find(format_time(kNow + std::chrono::seconds(30))) != std::string::npos);

  given.now = kNow + std::chrono::seconds(30);
  const auto again = decide(given);
  CHECK(again.effect == Effect::Start);
  REQUIRE(again.start);
  CHECK(again.start->attempt == 2);
  CHECK(again.start->supersedes == given.records[0].name);
}

TEST_CASE("a Completed for another target, other hooks or another object admits nothing") {
  auto given = facts();
  auto record = record_for(given, Phase::Completed, Stage::Prepared);
  SUBCASE("another image") { record.spec.changes[0].to = "starrocks/be-ubuntu:3.3.2"; }
  SUBCASE("another start") { record.spec.changes[0].from = "starrocks/be-ubuntu:3.2.9"; }
  SUBCASE("other hooks") { record.spec.hooks[0].timeout = std::chrono::seconds(7); }
  bool same_object = true;
  SUBCASE("another object of the same name") {
    record.spec.object.uid = "uid-2";
    same_object = false;
  }
  record.name = preparation_name(given.name, preparation_key(record.spec), 1);
  given.records = {record};
  given.read_back = ReadBack::Holds;
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::Start);
  REQUIRE(decision.start);
  // What the other object's record holds on the FE stays its own.
  CHECK(decision.start->supersedes == (same_object ? record.name : ""));
}

TEST_CASE("verifying is another target than running: neither Completed admits the other") {
  for (const auto asked : {PreparationMode::Run, PreparationMode::Verify}) {
    auto given = facts();
    given.configuration.mode = asked;
    given.read_back = ReadBack::Holds;
    given.records = {record_for(given, Phase::Completed, Stage::Prepared)};
    given.records[0].spec.mode = asked == PreparationMode::Run ? PreparationMode::Verify : PreparationMode::Run;
    const auto decision = decide(given);
    REQUIRE(decision.effect == Effect::Start);
    CHECK(decision.start->mode == asked);
    CHECK(decision.start_name == preparation_name(given.name, preparation_key(*decision.start), 1));
  }
}

TEST_CASE("what was used, undone or superseded is prepared anew") {
  for (const auto outcome : {Outcome::Succeeded, Outcome::Reverted, Outcome::Superseded, Outcome::Expired}) {
    INFO(to_string(outcome));
    auto given = facts();
    auto record = record_for(given, Phase::Completed, Stage::Closed);
    record.status.outcome = outcome;
    given.records = {record};
    given.read_back = ReadBack::Holds;
    const auto decision = decide(given);
    CHECK(decision.effect == Effect::Start);
    REQUIRE(decision.start);
    CHECK(decision.start->attempt == 2);
    CHECK(decision.start->supersedes.empty());
  }
}

TEST_CASE("the way back to the images a rollout started from is never barred") {
  auto given = facts();
  auto begun = facts();
  std::swap(begun.changes[0].from, begun.changes[0].to);  // the record went the other way
  auto record = record_for(begun, Phase::Completed, Stage::RollingOut);
  given.records = {record};
  SUBCASE("plainly") {}
  SUBCASE("although the configuration is faulty") { given.configuration.faults = {{"f", "v", "a"}}; }
  SUBCASE("although the preparation failed") { given.records[0].status.phase = Phase::Failed; }
  SUBCASE("past newer attempts that were never admitted") {
    auto refused = facts();
    refused.changes[0].to = "starrocks/be-ubuntu:3.3.9";
    given.records.insert(given.records.begin(), record_for(refused, Phase::Failed, Stage::Closed));
  }
  SUBCASE("with no record open any more") {
    given.records[0].status.stage = Stage::Closed;
    given.records[0].status.outcome = Outcome::Expired;
    given.records[0].status.admitted_time = kNow;
  }
  SUBCASE("through the record that superseded the first one") {
    auto successor = record_for(begun, Phase::Running, Stage::Preparing);
    successor.name = "successor";
    successor.spec.changes = {{Component::Frontend, "fe:1.0.0", "fe:1.0.1"}};
    successor.spec.supersedes = record.name;
    given.records[0].status.outcome = Outcome::Superseded;
    given.records[0].status.stage = Stage::Closed;
    given.records.insert(given.records.begin(), successor);
  }
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.allowed);
  CHECK(decision_annotation(decision) == "allowed-revert");
  CHECK(decision.answer.warnings.size() == 1);
}

TEST_CASE("a newer target leaves what protects a rollout under way where it is") {
  struct Row {
    const char* name;
    Stage stage;
    const char* present;
    bool candidate;
  };
  for (const Row& row :
       {Row{"rolling out", Stage::RollingOut, "be:2", true}, Row{"on its way back", Stage::RollingOut, "be:1", true},
        Row{"admitted, and not noted yet", Stage::Prepared, "be:2", true},
        Row{"not admitted", Stage::Prepared, "be:1", false}, Row{"restoring", Stage::Restoring, "be:1", false}}) {
    INFO(row.name);
    auto given = facts();
    given.changes = {{Component::Backend, "be:1", "be:2"}};
    auto base = record_for(given, Phase::Completed, row.stage);
    base.name = "base";
    if (row.stage == Stage::RollingOut) base.status.admitted_time = kNow;
    given.changes = {{Component::Backend, row.present, "be:3"}};
    given.records = {base};
    auto decision = decide(given);
    REQUIRE(decision.effect == Effect::Start);
    CHECK(decision.start->candidate_of == (row.candidate ? "base" : ""));
    CHECK(decision.start->supersedes == (row.candidate ? "" : "base"));
    CHECK(decision.start->origins.size() == (row.candidate ? 1 : 0));
    if (row.candidate) CHECK(decision.start->origins.front() == ComponentImage{Component::Backend, "be:1"});
    // The next target supersedes the candidate, not the rollout.
    if (!row.candidate) continue;
    auto candidate = base;
    candidate.name = "candidate";
    candidate.spec = *decision.start;
    candidate.status = {};
    given.records = {candidate, base};
    given.changes[0].to = "be:4";
    decision = decide(given);
    REQUIRE(decision.effect == Effect::Start);
    CHECK(decision.start->candidate_of == "base");
    CHECK(decision.start->supersedes == "candidate");
  }
}

TEST_CASE("a change that replaces an image in the middle of its rollout is told what it cures") {
  auto given = facts();
  given.changes = {{Component::Frontend, "fe:1", "fe:2"}};
  auto base = record_for(given, Phase::Completed, Stage::RollingOut);
  base.status.admitted_time = kNow;
  given.records = {base};
  given.changes = {{Component::Frontend, "fe:2", "fe:3"}, {Component::Backend, "be:1", "be:3"}};
  const auto decision = decide(given);
  REQUIRE(decision.effect == Effect::Start);
  CHECK(decision.start->cures == std::vector<Component>{Component::Frontend});
  auto candidate = base;
  candidate.spec = *decision.start;
  candidate.name = decision.start_name;
  candidate.status = {};
  candidate.status.phase = Phase::Completed;
  candidate.status.stage = Stage::Prepared;
  given.records.insert(given.records.begin(), candidate);
  given.read_back = ReadBack::Unreachable;
  CHECK(decide(given).answer.allowed);  // an FE that is down is what this change is to cure
  CHECK(decide(given).answer.warnings.size() == 1);
  given.records.front().spec.cures = {Component::Backend};
  CHECK(decide(given).effect == Effect::Reopen);
  given.records.front().spec.cures = {Component::Frontend};
  given.read_back = ReadBack::Drifted;
  CHECK(decide(given).effect == Effect::Reopen);
}

TEST_CASE("an image in the middle of a chain is no way back, and neither is one of another object's records") {
  auto given = facts();
  given.changes = {{Component::Backend, "be:1", "be:2"}};
  auto first = record_for(given, Phase::Completed, Stage::Closed);
  first.status.outcome = Outcome::Superseded;
  first.status.admitted_time = kNow;
  given.changes = {{Component::Backend, "be:2", "be:3"}};
  auto second = record_for(given, Phase::Completed, Stage::RollingOut);
  second.status.admitted_time = kNow;
  second.spec.origins = {{Component::Backend, "be:1"}};
  given.records = {second, first};
  given.changes = {{Component::Backend, "be:3", "be:2"}};
  CHECK(decide(given).effect == Effect::Start);
  given.changes = {{Component::Backend, "be:3", "be:1"}};
  CHECK(decision_annotation(decide(given)) == "allowed-revert");
  given.object_uid = "uid-2";
  CHECK(decide(given).effect == Effect::Start);
}

TEST_CASE("nothing starts anew under a rollout whose settings were found drifted") {
  auto given = facts();
  auto record = record_for(given, Phase::Completed, Stage::RollingOut);
  record.status.admitted_time = kNow;
  given.records = {record};
  given.read_back = ReadBack::Drifted;
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.reason == reason::kRunning);
}

TEST_CASE("records that supersede each other in a circle do not hang the verdict") {
  auto given = facts();
  auto a = record_for(given, Phase::Completed, Stage::Prepared);
  a.spec.changes = {{Component::Frontend, "fe:1.0.0", "fe:1.0.1"}};
  auto b = a;
  a.name = "a";
  a.spec.supersedes = "b";
  b.name = "b";
  b.spec.supersedes = "a";
  given.records = {a, b};
  CHECK(decide(given).effect == Effect::Start);
}

TEST_CASE("without its records the gate denies and says so; a dry run is allowed") {
  auto given = facts();
  given.store_reachable = false;
  given.store_error = "connection refused";
  const auto denied = decide(given);
  CHECK_FALSE(denied.answer.allowed);
  CHECK(denied.answer.code == 403);
  CHECK(denied.answer.reason == reason::kUnavailable);
  given.dry_run = true;
  CHECK(decide(given).answer.allowed);
}

TEST_CASE("the first line of a denial stands alone within 300 characters, whatever the names and errors") {
  auto given = facts();
  given.left.wait = false;
  given.other_changed_fields = 3;
  SUBCASE("short") {}
  SUBCASE("long names, tags and messages") {
    given.name_space = std::string(63, 'n');
    given.name = std::string(60, 'c');
    given.cluster = given.name;
    given.changes = {{Component::Frontend, "r/fe:" + std::string(128, '1'), "r/fe:" + std::string(128, '2')},
                     {Component::Backend, "r/be:" + std::string(128, '1'), "r/be:" + std::string(128, '2')}};
  }
  for (const auto phase : {Phase::Running, Phase::Failed}) {
    given.records = {record_for(given, phase, Stage::Preparing)};
    given.records[0].status.message += std::string(500, 'e') + "\n\x01 field is immutable";
    const auto message = decide(given).answer.message;
    CHECK(first_line(message).size() <= kFirstLineMax);
    CHECK(message.find('\x01') == std::string::npos);
    CHECK(message.find("is immutable") == std::string::npos);
    CHECK(message.find("kubectl get upgradepreparations " + given.records[0].name) != std::string::npos);
  }
}

TEST_CASE("a denial says what was changed, how far it is, that nothing was applied and what to do") {
  auto given = facts();
  given.left.wait = false;
  given.other_changed_fields = 2;
  given.records = {record_for(given, Phase::Running, Stage::Preparing)};
  const auto line = first_line(decide(given).answer.message);
  for (const char* part :
       {"StarRocksCluster prod/sr", "be 3.3.0 -> 3.3.1", "0/1 hooks", "Nothing of this request was applied",
        "2 other changed spec fields", "Re-apply in a few minutes"}) {
    INFO(line);
    CHECK(line.find(part) != std::string::npos);
  }
}

// --- Ways between versions ---------------------------------------------------------------------------------------

namespace {

Given forbidden_path(VersionPolicy policy) {
  auto given = facts();
  given.changes = {{Component::Backend, "starrocks/be-ubuntu:3.2.9", "starrocks/be-ubuntu:3.4.12"}};
  given.unchanged = {{Component::Frontend, "starrocks/fe-ubuntu:3.2.9"}};
  given.version_policy = policy;
  return given;
}

bool mentions(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("policy off: the way is neither read nor judged") {
  auto given = forbidden_path(VersionPolicy::Off);
  CHECK(decide(given).effect == Effect::Start);
  given.records = {record_for(given, Phase::Completed, Stage::Prepared)};
  given.read_back = ReadBack::Holds;
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.allowed);
  CHECK(decision.answer.warnings.empty());
}

TEST_CASE("policy warn: hooks start and are waited for as ever, and a denial is warned by the tags") {
  auto given = forbidden_path(VersionPolicy::Warn);
  CHECK(decide(given).effect == Effect::Start);
  given.records = {record_for(given, Phase::Running, Stage::Preparing)};
  CHECK(decide(given).effect == Effect::Wait);
  given.left.wait = false;
  auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.reason == reason::kRunning);
  CHECK(mentions(decision.answer.warnings, "skips minor versions"));
  given.records = {record_for(given, Phase::Failed, Stage::Restoring)};
  decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.reason == reason::kFailed);
  CHECK(mentions(decision.answer.warnings, "skips minor versions"));
}

TEST_CASE("policy warn: versions are read before the change is admitted, and every finding is a warning") {
  auto given = forbidden_path(VersionPolicy::Warn);
  given.records = {record_for(given, Phase::Completed, Stage::Prepared)};
  given.read_back = ReadBack::Holds;
  CHECK(decide(given).effect == Effect::ReadVersions);
  given.left.read_versions = false;
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.allowed);
  CHECK(decision_annotation(decision) == "allowed-prepared");
  CHECK(mentions(decision.answer.warnings, "be 3.2.9 -> 3.4.12 skips minor versions; accepted: 3.3 next"));
  for (const auto& warning : decision.answer.warnings) CHECK(warning.size() <= kWarningMax);
}

TEST_CASE("policy enforce: versions are read first, and a forbidden way is denied before anything starts") {
  auto given = forbidden_path(VersionPolicy::Enforce);
  CHECK(decide(given).effect == Effect::ReadVersions);
  given.left.read_versions = false;
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK_FALSE(decision.answer.allowed);
  CHECK(decision.answer.code == 403);
  CHECK(decision.answer.reason == reason::kPathForbidden);
  const auto line = first_line(decision.answer.message);
  for (const char* part : {"StarRocksCluster prod/sr", "be 3.2.9 -> 3.4.12", "accepted: 3.3 next",
                           "Nothing of this request was applied"}) {
    INFO(line);
    CHECK(line.find(part) != std::string::npos);
  }
  CHECK(line.size() <= kFirstLineMax);
  CHECK(decision.answer.message.find("docs/en/deployment/upgrade.md") != std::string::npos);
}

TEST_CASE("policy enforce: a Completed record does not admit a way that the versions that run forbid") {
  auto given = forbidden_path(VersionPolicy::Enforce);
  given.changes[0].to = "starrocks/be-ubuntu:3.3.9";  // fine by the tags
  given.records = {record_for(given, Phase::Completed, Stage::Prepared)};
  given.read_back = ReadBack::Holds;
  given.left.read_versions = false;
  CHECK(decide(given).answer.allowed);
  given.running = {{Component::Backend, "", {3, 1, 4, ""}}};
  const auto decision = decide(given);
  CHECK_FALSE(decision.answer.allowed);
  CHECK(decision.answer.message.find("be runs 3.1.4, its image says 3.2.9") != std::string::npos);
}

TEST_CASE("policy enforce: advice, and what cannot be judged, stays a warning") {
  auto given = forbidden_path(VersionPolicy::Enforce);
  given.changes[0].to = "starrocks/be-ubuntu:latest";
  given.left.read_versions = false;
  CHECK(decide(given).effect == Effect::Start);
  given.records = {record_for(given, Phase::Completed, Stage::Prepared)};
  given.read_back = ReadBack::Holds;
  const auto decision = decide(given);
  CHECK(decision.answer.allowed);
  CHECK(mentions(decision.answer.warnings, "be latest names no version"));
}

TEST_CASE("nobody is told that the FE named no version unless it was asked") {
  struct Row {
    const char* name;
    VersionPolicy policy;
    bool dry_run;
    bool asked;
    Phase phase;
  };
  for (const Row& row : {Row{"held", VersionPolicy::Warn, false, false, Phase::Running},
                         Row{"a dry run", VersionPolicy::Enforce, true, false, Phase::Running},
                         Row{"held, enforced", VersionPolicy::Enforce, false, true, Phase::Running},
                         Row{"admitted", VersionPolicy::Warn, false, true, Phase::Completed}}) {
    INFO(row.name);
    auto given = forbidden_path(row.policy);
    given.changes[0].from = "starrocks/be-ubuntu:latest";
    given.dry_run = row.dry_run;
    given.records = {record_for(given, row.phase, row.phase == Phase::Completed ? Stage::Prepared : Stage::Preparing)};
    given.read_back = ReadBack::Holds;
    given.left.wait = false;
    CHECK((decide(given).effect == Effect::ReadVersions) == row.asked);
    given.left.read_versions = !row.asked;
    const auto warnings = decide(given).answer.warnings;
    CHECK(mentions(warnings, row.asked ? "and no node told one" : "be latest names no version: by tags alone"));
  }
}

TEST_CASE("a dry run is judged by the tags, and allowed on a forbidden way with a warning") {
  for (const auto policy : {VersionPolicy::Warn, VersionPolicy::Enforce}) {
    INFO(name_of(policy));
    auto given = forbidden_path(policy);
    given.dry_run = true;
    const auto decision = decide(given);
    CHECK(decision.effect == Effect::None);
    CHECK(decision.answer.allowed);
    CHECK(mentions(decision.answer.warnings, "skips minor versions"));
    CHECK(mentions(decision.answer.warnings, "UpgradePathForbidden") == (policy == VersionPolicy::Enforce));
    for (const auto& warning : decision.answer.warnings) CHECK(warning.size() <= kWarningMax);
  }
}

TEST_CASE("the way back is not judged: no rule of versions bars it") {
  auto given = facts();
  given.version_policy = VersionPolicy::Enforce;
  given.changes = {{Component::Frontend, "fe:4.1.1", "fe:3.5.0"}};
  auto begun = given;
  std::swap(begun.changes[0].from, begun.changes[0].to);
  given.records = {record_for(begun, Phase::Completed, Stage::RollingOut)};
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK(decision.answer.allowed);
  CHECK(decision_annotation(decision) == "allowed-revert");

  given.records.clear();  // without the record it is a downgrade like any other
  given.left.read_versions = false;
  CHECK(decide(given).answer.reason == reason::kPathForbidden);
}

TEST_CASE("a break-glass bypass: for one target, until its time, for those who may") {
  struct Row {
    const char* name;
    std::function<void(Given&)> change;
    Effect effect;
    bool allowed;
    const char* warning;  // "" = none expected
  };
  const auto key = target_key(facts());
  const auto with = [](const std::string& text, Permission permission) {
    return [=](Given& given) {
      given.bypass = text;
      given.may_bypass = permission;
    };
  };
  const std::string good = key + "; reason=disk full; until=" + format_time(kNow + std::chrono::hours(1));
  for (const Row& row :
       {Row{"the right is asked for first", with(good, Permission::NotAsked), Effect::AskPermission, true, ""},
        Row{"granted", with(good, Permission::Granted), Effect::RecordBypass, true, "let through unprepared until"},
        Row{"any target", with("*" + good.substr(key.size()), Permission::Granted), Effect::RecordBypass, true,
            "disk full"},
        Row{"refused", with(good, Permission::Refused), Effect::None, false, "alice may not bypass"},
        Row{"nobody knows", with(good, Permission::Unknown), Effect::None, false, "permission check failed"},
        Row{"of another target", with("0000000000" + good.substr(key.size()), Permission::Granted), Effect::None, false,
            "for target 0000000000"},
        Row{"expired", with(key + "; reason=x; until=" + format_time(kNow), Permission::Granted), Effect::None, false,
            "expired"},
        Row{"malformed", with("yes please", Permission::Granted), Effect::None, false, "bypass ignored"},
        Row{"records unreachable",
            [&](Given& given) {
              with(good, Permission::Granted)(given);
              given.store_reachable = false;
              given.records.clear();
            },
            Effect::RecordBypass, true, "let through"},
        Row{"faulty hooks",
            [&](Given& given) {
              with(good, Permission::Granted)(given);
              given.configuration.faults = {{"f", "v", "a"}};
            },
            Effect::RecordBypass, true, "let through"},
        Row{"dry run",
            [&](Given& given) {
              with(good, Permission::Granted)(given);
              given.dry_run = true;
            },
            Effect::None, true, "would be let through"},
        Row{"dry run without the right",
            [&](Given& given) {
              with(good, Permission::Refused)(given);
              given.dry_run = true;
            },
            Effect::None, true, "may not bypass"}}) {
    INFO(row.name);
    auto given = facts();
    given.username = "alice";
    given.left.wait = false;
    given.records = {record_for(given, Phase::Running, Stage::Preparing)};
    row.change(given);
    const auto decision = decide(given);
    CHECK(decision.effect == row.effect);
    CHECK(decision.answer.allowed == row.allowed);
    std::string warnings;
    for (const auto& warning : decision.answer.warnings) {
      CHECK(warning.size() <= kWarningMax);
      warnings += warning + "\n";
    }
    CHECK_MESSAGE(warnings.find(row.warning) != std::string::npos, warnings);
    if (decision.effect == Effect::RecordBypass) {
      CHECK(decision_annotation(decision) == "allowed-bypass");
      REQUIRE(decision.start);
      REQUIRE(decision.start->bypass);
      CHECK(decision.start->bypass->reason == "disk full");
      // What is open keeps what it has pending.
      CHECK(decision.start->supersedes.empty());
      CHECK(std::any_of(decision.answer.audit.begin(), decision.answer.audit.end(),
                        [](const AuditAnnotation& entry) { return entry.key == "bypass"; }));
    }
  }
}

TEST_CASE("a recorded bypass admits nothing afterwards and is nobody's predecessor") {
  auto given = facts();
  auto record = record_for(given, Phase::Pending, Stage::Preparing);
  record.spec.bypass = Bypass{"*", "x", kNow};
  SUBCASE("not closed yet") {}
  SUBCASE("closed") {
    record.status.stage = Stage::Closed;
    record.status.outcome = Outcome::Bypassed;
  }
  given.records = {record};
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::Start);
  REQUIRE(decision.start);
  CHECK(decision.start->attempt == 2);
  CHECK(decision.start->supersedes.empty());
  CHECK_FALSE(decision.start->bypass);
}

TEST_CASE("every denial ends with the key of the target") {
  auto given = facts();
  given.left.wait = false;
  SUBCASE("running") { given.records = {record_for(given, Phase::Running, Stage::Preparing)}; }
  SUBCASE("failed") { given.records = {record_for(given, Phase::Failed, Stage::Restoring)}; }
  SUBCASE("faulty") { given.configuration.faults = {{"f", "v", "a"}}; }
  SUBCASE("records unreachable") { given.store_reachable = false; }
  const auto decision = decide(given);
  REQUIRE_FALSE(decision.answer.allowed);
  const auto& message = decision.answer.message;
  CHECK(message.substr(message.size() - 10) == target_key(given));
}

TEST_CASE("a new value of the retry annotation starts the next attempt at once, the same value only one") {
  auto given = facts();
  auto failed = record_for(given, Phase::Failed, Stage::Restoring);
  given.records = {failed};
  REQUIRE(decide(given).answer.reason == reason::kFailed);
  CHECK(decide(given).answer.message.find("starrocks.com/retry-upgrade-preparation") != std::string::npos);

  given.retry_token = "monday";
  const auto again = decide(given);
  CHECK(again.effect == Effect::Start);
  REQUIRE(again.start);
  CHECK(again.start->attempt == 2);
  CHECK(again.start->retry_token == "monday");
  CHECK(again.start->supersedes == failed.name);

  auto second = failed;
  second.spec.attempt = 2;
  second.spec.retry_token = "monday";
  second.name = again.start_name;
  given.records = {second, failed};
  CHECK(decide(given).answer.reason == reason::kFailed);
  given.retry_token = "tuesday";
  CHECK(decide(given).effect == Effect::Start);
  given.dry_run = true;
  CHECK(decide(given).effect == Effect::None);
}

TEST_CASE("under a hold the change is admitted as soon as its record is there, whatever becomes of the preparation") {
  struct Row {
    const char* name;
    std::optional<Phase> phase;
    Stage stage;
    Effect effect;
    const char* decision;
  };
  for (const Row& row : {Row{"no record: one is started", {}, Stage::Preparing, Effect::Start, ""},
                         Row{"pending", Phase::Pending, Stage::Preparing, Effect::None, "allowed-held"},
                         Row{"running", Phase::Running, Stage::Preparing, Effect::None, "allowed-held"},
                         Row{"failed, back-off running", Phase::Failed, Stage::Closed, Effect::None, "allowed-held"}}) {
    CAPTURE(row.name);
    auto given = facts();
    given.configuration.rollout.admission = AdmissionMode::Hold;
    if (row.phase) given.records = {record_for(given, *row.phase, row.stage)};
    const auto decision = decide(given);
    CHECK(decision.effect == row.effect);
    CHECK(decision_annotation(decision) == row.decision);
    if (row.effect == Effect::Start) {
      REQUIRE(decision.start);
      CHECK(decision.start->rollout.admission == AdmissionMode::Hold);
      continue;
    }
    CHECK(decision.answer.allowed);
    REQUIRE_FALSE(decision.answer.warnings.empty());
    CHECK(decision.answer.warnings[0].find("no pod moves until it is prepared") != std::string::npos);
  }
}

TEST_CASE("a hold does not open what a hold cannot cure") {
  auto given = facts();
  given.configuration.rollout.admission = AdmissionMode::Hold;
  SUBCASE("invalid configuration") { given.configuration.faults = {{"f", "v", "a"}}; }
  SUBCASE("records cannot be read") { given.store_reachable = false; }
  SUBCASE("a ConfigMap cannot be read") { given.configuration.unread = {"timeout"}; }
  const auto decision = decide(given);
  CHECK(decision.effect == Effect::None);
  CHECK_FALSE(decision.answer.allowed);
}
