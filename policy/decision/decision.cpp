#include "policy/decision/decision.hpp"

#include <algorithm>
#include <functional>

#include "policy/decision/bypass.hpp"
#include "policy/decision/message.hpp"
#include "policy/record/history.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

const Preparation* find_record(const std::vector<Preparation>& records, const std::string& name) {
  const auto found = std::find_if(records.begin(), records.end(), [&](const auto& r) { return r.name == name; });
  return found == records.end() ? nullptr : &*found;
}

std::vector<ComponentImage> present_images(const AdmissionFacts& facts) {
  auto present = facts.unchanged;
  for (const auto& change : facts.changes) present.push_back({change.component, change.from});
  return present;
}

/// The object's newest record that holds something or has a restore pending, and matches; superseded ones have handed
/// theirs over. The records of other objects on the same FE stand beside it: each knows what all found there.
template <class Matches>
const Preparation* open_record(const AdmissionFacts& facts, Matches matches) {
  for (const auto& record : facts.records) {  // newest first
    if (record.spec.object.uid != facts.object_uid || record.spec.bypass || !is_open(record)) continue;
    if (record.status.outcome != Outcome::Superseded && matches(record)) return &record;
  }
  return nullptr;
}

std::optional<std::string> origin_of(const AdmissionFacts& facts, const ImageChange& change) {
  return origin_of(facts.records, facts.object_uid, {change.component, change.from});
}

/// The newest attempt at exactly this change with exactly these hooks.
const Preparation* latest_attempt(const AdmissionFacts& facts, const std::string& key) {
  const Preparation* latest = nullptr;
  for (const auto& record : facts.records) {
    if (record.spec.object.uid != facts.object_uid || record.spec.changes != facts.changes) continue;
    if (record.spec.mode != facts.configuration.mode || preparation_key(record) != key) continue;
    if (latest == nullptr || record.spec.attempt > latest->spec.attempt) latest = &record;
  }
  return latest;
}

/// True when every change goes back to what the component's pods last ran completely.
bool goes_back(const AdmissionFacts& facts) {
  return std::all_of(facts.changes.begin(), facts.changes.end(),
                     [&](const ImageChange& change) { return origin_of(facts, change) == change.to; });
}

Decision final(AdmissionAnswer answer, std::string_view decision, const Preparation* record) {
  answer.audit.push_back({"decision", std::string(decision)});
  Decision out;
  if (record != nullptr) {
    answer.audit.push_back({"preparation", record->name});
    answer.audit.push_back({"phase", std::string(to_string(record->status.phase))});
    out.subject = record->name;
  }
  out.answer = std::move(answer);
  return out;
}

Decision effect(Effect what, const Preparation& record) {
  Decision out;
  out.effect = what;
  out.subject = record.name;
  return out;
}

Decision denied(std::string_view why, std::string message, const Preparation* record) {
  return final(deny(kDenialCode, std::string(why), std::move(message)), "denied", record);
}

/// A dry run is allowed whenever a real request could make progress, or clients that dry-run first never converge.
Decision dry_run_allowed(const std::string& state, const Preparation* record) {
  auto answer = allow();
  answer.warnings.push_back(dry_run_warning(state));
  return final(std::move(answer), "allowed-dry-run", record);
}

Decision admitted(const Preparation& record) {
  auto answer = allow();
  for (const auto& hook : record.status.hooks) {
    if (hook.phase == HookPhase::Failed) answer.warnings.push_back(failed_hook_warning(hook));
    if (hook.phase == HookPhase::Skipped && !record.spec.cures.empty()) {
      answer.warnings.push_back(skipped_hook_warning(hook));
    }
  }
  return final(std::move(answer), "allowed-prepared", &record);
}

bool cures(const Preparation& record, Component component) {
  const auto& cured = record.spec.cures;
  return std::find(cured.begin(), cured.end(), component) != cured.end();
}

Decision admitted_unread(const Preparation& record) {
  auto decision = admitted(record);
  decision.answer.warnings.push_back(unread_settings_warning());
  return decision;
}

Decision start_attempt(const AdmissionFacts& facts, const std::string& key, int attempt, AdmissionAnswer answer = {}) {
  PreparationSpec spec;
  spec.object = {facts.kind, facts.name, facts.object_uid};
  spec.cluster = facts.cluster;
  spec.attempt = attempt;
  spec.changes = facts.changes;
  spec.hooks = facts.configuration.hooks;
  spec.mode = facts.configuration.mode;
  spec.rollout = facts.configuration.rollout;
  spec.retry_token = facts.retry_token;
  spec.asked_before = facts.asked_before;
  for (const auto& change : facts.changes) {
    const auto origin = origin_of(facts, change);
    if (!origin) continue;
    spec.origins.push_back({change.component, *origin});
    if (*origin != change.from) spec.cures.push_back(change.component);
  }
  // What protects a rollout that is under way stays with its record until this one is admitted.
  const auto present = present_images(facts);
  const auto moving = [&](const Preparation& record) { return moves_pods(record, present); };
  if (const auto* base = open_record(facts, moving)) spec.candidate_of = base->name;
  if (const auto* open = open_record(facts, [&](const auto& record) { return !moving(record); })) {
    spec.supersedes = open->name;
  }
  Decision out;
  out.effect = Effect::Start;
  out.start_name = preparation_name(facts.name, key, attempt);
  out.subject = out.start_name;
  out.start = std::move(spec);
  out.answer = std::move(answer);
  return out;
}

Decision decide_completed(const AdmissionFacts& facts, EffectsLeft left, const Preparation& record) {
  if (facts.dry_run) return admitted(record);
  switch (facts.read_back) {
    case ReadBack::Holds:
      return admitted(record);
    case ReadBack::Unreachable:
      // What cannot be asked is what the change is to cure.
      if (cures(record, Component::Frontend)) return admitted_unread(record);
      [[fallthrough]];
    case ReadBack::Drifted:
      // While pods move, whoever follows them sets again what is missing; nothing starts anew under a rollout.
      if (record.status.stage != Stage::RollingOut) return effect(Effect::Reopen, record);
      return denied(reason::kRunning, running_message(facts, &record), &record);
    case ReadBack::NotDone:
      break;
  }
  if (left.read_back) return effect(Effect::ReadBack, record);
  return denied(reason::kRunning, running_message(facts, &record), &record);
}

Decision decide_in_progress(const AdmissionFacts& facts, EffectsLeft left, const Preparation& record) {
  if (facts.dry_run) {
    return dry_run_allowed(std::string(to_string(record.status.phase)) + " " + progress(record), &record);
  }
  if (left.wait) return effect(Effect::Wait, record);
  return denied(reason::kRunning, running_message(facts, &record), &record);
}

Decision decide_failed(const AdmissionFacts& facts, const Preparation& record, const std::string& key) {
  if (facts.dry_run) return dry_run_allowed("Failed, retried later", &record);
  // A value that was not there when this attempt began asks for the next one.
  const bool retry_asked = !facts.retry_token.empty() && facts.retry_token != record.spec.retry_token;
  if (!retry_asked && facts.now < next_attempt_time(record, facts.backoff)) {
    return denied(reason::kFailed, failed_message(facts, record), &record);
  }
  return start_attempt(facts, key, record.spec.attempt + 1);
}

/// Over for good: what it prepared has been, or is being, undone.
bool is_over(const Preparation& record) {
  return record.spec.bypass || record.status.outcome != Outcome::None || record.status.stage == Stage::Restoring ||
         record.status.stage == Stage::Closed;
}

/// A newer record rolled one of its components out since: where that led is where the pods stand, and what was prepared
/// before is not led to any more (order_of).
bool is_history(const AdmissionFacts& facts, const Preparation& record) {
  const auto shares = [&](const ImageChange& change) {
    return std::any_of(record.spec.changes.begin(), record.spec.changes.end(),
                       [&](const ImageChange& own) { return own.component == change.component; });
  };
  for (const auto& other : facts.records) {  // newest first
    if (other.name == record.name) return false;
    const auto& changes = other.spec.changes;
    if (other.spec.object.uid == facts.object_uid && other.status.outcome == Outcome::Succeeded &&
        std::any_of(changes.begin(), changes.end(), shares)) {
      return true;
    }
  }
  return false;
}

Decision decide_prepared(const AdmissionFacts& facts, EffectsLeft left) {
  const std::string key = target_key(facts);
  const Preparation* record = latest_attempt(facts, key);
  if (record == nullptr) {
    return facts.dry_run ? dry_run_allowed("not started", nullptr) : start_attempt(facts, key, 1);
  }
  if (record->status.phase == Phase::Failed) return decide_failed(facts, *record, key);
  if (is_over(*record) || is_history(facts, *record)) {
    return facts.dry_run ? dry_run_allowed("not started", nullptr)
                         : start_attempt(facts, key, record->spec.attempt + 1);
  }
  switch (record->status.phase) {
    case Phase::Completed:
      return decide_completed(facts, left, *record);
    case Phase::Pending:
    case Phase::Running:
      return decide_in_progress(facts, left, *record);
    case Phase::Failed:
      break;  // handled above
  }
  return decide_failed(facts, *record, key);
}

/// The way between the versions first, then the preparation of it.
Decision decide_on_path(const AdmissionFacts& facts, EffectsLeft left) {
  Decision read;
  read.effect = Effect::ReadVersions;
  const bool readable = facts.version_policy != VersionPolicy::Off && left.read_versions && !facts.dry_run;
  const bool enforced = facts.version_policy == VersionPolicy::Enforce;
  if (enforced && readable) return read;
  const auto findings = path_findings(facts, !left.read_versions);
  const bool forbidden = !findings.empty() && findings.front().severity == PathSeverity::Forbidden;
  Decision decision;
  if (!enforced || !forbidden) {
    decision = decide_prepared(facts, left);
    // Only what is about to be admitted is worth a question to the FE; a denial is warned by the tags.
    if (readable && decision.effect == Effect::None && decision.answer.allowed) return read;
  } else if (facts.dry_run) {
    auto answer = allow();
    answer.warnings.push_back(dry_run_refusal_warning(reason::kPathForbidden));
    decision = final(std::move(answer), "allowed-dry-run", nullptr);
  } else {
    decision = denied(reason::kPathForbidden, path_forbidden_message(facts, findings), nullptr);
  }
  if (decision.effect == Effect::None) {
    for (const auto& finding : findings) decision.answer.warnings.push_back(path_warning(finding));
  }
  return decision;
}

/// Lets the change through, records that, and leaves whatever is open on the cluster as it is.
Decision bypassed(const AdmissionFacts& facts, const Bypass& bypass) {
  const std::string key = target_key(facts);
  const Preparation* latest = latest_attempt(facts, key);
  const int attempt = latest == nullptr ? 1 : latest->spec.attempt + 1;
  auto answer = allow();
  answer.warnings.push_back(bypass_warning(bypass, facts.dry_run));
  answer.audit.push_back({"bypass", "target=" + bypass.target + "; reason=" + bypass.reason +
                                        "; until=" + format_time(bypass.until.value_or(WallTime{}))});
  Decision out = final(std::move(answer), "allowed-bypass", nullptr);
  if (facts.dry_run) return out;
  out = start_attempt(facts, key, attempt, std::move(out.answer));
  out.effect = Effect::RecordBypass;
  out.start->supersedes.clear();
  out.start->bypass = bypass;
  return out;
}

/// The record of another change that this very bypass let through: it is used up. Null: it is not.
const Preparation* bypass_use(const AdmissionFacts& facts, const Bypass& bypass) {
  for (const auto& record : facts.records) {
    if (record.spec.bypass == bypass && record.spec.object.uid == facts.object_uid &&
        record.spec.changes != facts.changes) {
      return &record;
    }
  }
  return nullptr;
}

/// Denies one more record where the cluster has as many as it may have.
std::optional<Decision> too_many_records(const AdmissionFacts& facts) {
  const auto open = static_cast<std::size_t>(
      std::count_if(facts.records.begin(), facts.records.end(), [](const auto& record) { return is_open(record); }));
  if (open >= kOpenRecordsMax) return denied(reason::kTooMany, too_many_open_message(facts, open), nullptr);
  std::vector<WallTime> young;
  for (const auto& record : facts.records) {
    if (record.creation_time && *record.creation_time > facts.now - kNewRecordsWindow) {
      young.push_back(*record.creation_time);
    }
  }
  if (young.size() < kNewRecordsMax) return std::nullopt;
  std::sort(young.begin(), young.end(), std::greater<>());
  // Once that one is older than the window, fewer than the most are within it.
  const auto next = young[kNewRecordsMax - 1] + kNewRecordsWindow;
  return denied(reason::kTooMany, too_many_new_message(facts, next), nullptr);
}

/// What the bypass annotation comes to: a final decision, a question to ask, or nothing but `warnings`.
std::optional<Decision> decide_bypass(const AdmissionFacts& facts, std::vector<std::string>& warnings) {
  const auto ignored = [&](const std::string& why) {
    warnings.push_back(bypass_ignored_warning(why));
    return std::nullopt;
  };
  if (facts.bypass.empty()) {
    // A GitOps controller drops what Git does not have, and shows the annotation that it has just dropped.
    return facts.bypass_taken_away ? ignored("this request removes the annotation; it must keep it") : std::nullopt;
  }
  const auto bypass = parse_bypass(facts.bypass);
  if (!bypass) return ignored(bypass.error().message);
  if (auto obstacle = bypass_obstacle(*bypass, target_key(facts), facts.now); !obstacle.empty()) {
    return ignored(obstacle);
  }
  if (const auto* used = bypass_use(facts, *bypass))
    return ignored("it was used by " + used->name + "; write a new one");
  switch (facts.may_bypass) {
    case Permission::NotAsked: {
      Decision ask;
      ask.effect = Effect::AskPermission;
      return ask;
    }
    case Permission::Granted:
      return bypassed(facts, *bypass);
    case Permission::Refused:
      return ignored("user " + clean_text(facts.username, 40) + " may not bypass upgradepreparations here");
    case Permission::Unknown:
      return ignored("permission check failed");
  }
  return std::nullopt;
}

/// Where the StatefulSets are held there is nothing to wait for, and a preparation that fails is no reason to refuse:
/// the gate tries again by itself, and nothing rolls meanwhile.
Decision admitted_on_hold(const AdmissionFacts& facts, Decision decision) {
  if (facts.configuration.rollout.admission != AdmissionMode::Hold) return decision;
  const bool unfinished = decision.effect == Effect::None && !decision.answer.allowed &&
                          (decision.answer.reason == reason::kRunning || decision.answer.reason == reason::kFailed);
  if (decision.effect != Effect::Wait && !unfinished) return decision;
  auto answer = allow();
  answer.warnings.push_back(held_warning(decision.subject));
  return final(std::move(answer), "allowed-held", find_record(facts.records, decision.subject));
}

/// Everything but the break-glass bypass.
Decision decide_regularly(const AdmissionFacts& facts, EffectsLeft left) {
  if (!facts.store_reachable) {
    if (facts.dry_run) return dry_run_allowed("records cannot be read", nullptr);
    if (facts.store_refused) return denied(reason::kRecordRefused, store_refused_message(facts), nullptr);
    return denied(reason::kUnavailable, unavailable_message(facts), nullptr);
  }
  if (!facts.record_refusal.empty()) return denied(reason::kRecordRefused, record_refused_message(facts), nullptr);
  if (!facts.configuration.faults.empty()) {
    return final(hooks_invalid(facts), "denied", nullptr);
  }
  if (!facts.configuration.unread.empty()) {
    if (facts.dry_run) return dry_run_allowed("a ConfigMap cannot be read", nullptr);
    const bool lasts = facts.configuration.unread_lasts;
    return denied(lasts ? reason::kRecordRefused : reason::kUnavailable, hooks_unread_message(facts), nullptr);
  }
  auto decision = decide_on_path(facts, left);
  if (decision.effect == Effect::None) {
    auto& warnings = decision.answer.warnings;
    warnings.insert(warnings.end(), facts.configuration.warnings.begin(), facts.configuration.warnings.end());
  }
  return decision;
}

}  // namespace

std::string target_key(const AdmissionFacts& facts) {
  return preparation_key(facts.object_uid, facts.changes, facts.configuration.hooks, facts.configuration.mode);
}

std::vector<PathFinding> path_findings(const AdmissionFacts& facts, bool asked) {
  if (facts.version_policy == VersionPolicy::Off) return {};
  return judge_path({facts.kind, facts.name, facts.changes, facts.unchanged, facts.running, asked});
}

AdmissionAnswer bypass_forbidden(std::string_view username, const std::string& name_space) {
  return deny(kDenialCode, std::string(reason::kBypassForbidden), bypass_forbidden_message(username, name_space));
}

AdmissionAnswer hooks_invalid(const AdmissionFacts& facts) {
  return deny(kDenialCode, std::string(reason::kHooksInvalid), hooks_invalid_message(facts));
}

Decision decide(const AdmissionFacts& facts, EffectsLeft left) {
  if (facts.changes.empty()) return final(allow(), "allowed-no-image-change", nullptr);
  if (!facts.configuration.configured) {
    auto answer = allow();
    answer.warnings = facts.configuration.warnings;
    return final(std::move(answer), "allowed-not-configured", nullptr);
  }
  // Before anything that could refuse: the way back must never be barred, not even by a faulty configuration.
  if (goes_back(facts)) {
    auto answer = allow();
    if (!facts.dry_run) answer.warnings.push_back(revert_warning());
    return final(std::move(answer), "allowed-revert", open_record(facts, [](const auto&) { return true; }));
  }
  // Before anything is done or admitted by a word of the request that is not true.
  if (!facts.stored_difference.empty()) {
    return denied(reason::kObjectChanged, object_changed_message(facts), nullptr);
  }
  // Before the records are needed: the bypass must not depend on what may be broken.
  std::vector<std::string> warnings;
  if (auto decision = decide_bypass(facts, warnings)) return *std::move(decision);
  auto decision = admitted_on_hold(facts, decide_regularly(facts, left));
  if (decision.effect == Effect::Start) {
    if (auto refusal = too_many_records(facts)) decision = *std::move(refusal);
  }
  if (decision.effect != Effect::None) return decision;
  auto& answer = decision.answer;
  answer.warnings.insert(answer.warnings.begin(), warnings.begin(), warnings.end());
  if (!answer.allowed) answer.message += target_line(target_key(facts));
  return decision;
}

}  // namespace gate
