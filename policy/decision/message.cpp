#include "policy/decision/message.hpp"

#include <algorithm>

#include "policy/decision/bypass.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

/// Longest piece of one image version inside a message; tags are at most 128, real ones under 30.
constexpr std::size_t kVersionMax = 40;
/// Below this the cause would be unreadable: the rest of the line gives way instead.
constexpr std::size_t kCauseMin = 40;
/// Longer subjects are abbreviated: the cause needs the room.
constexpr std::size_t kSubjectMax = 110;
constexpr const char* kRepeat = "Re-apply in a few minutes; GitOps controllers retry automatically.";
constexpr const char* kFixFirst = "Fix that first, then re-apply.";
/// The second line has room for the whole failure of a hook, advice included.
constexpr std::size_t kCauseMax = 1000;

std::string shown(const ImageChange& change) {
  return std::string(to_string(change.component)) + " " + clean_text(image_version(change.from), kVersionMax) + " -> " +
         clean_text(image_version(change.to), kVersionMax);
}

std::string subject(const AdmissionFacts& facts) {
  std::string changes;
  for (const auto& change : facts.changes) changes += (changes.empty() ? "" : ", ") + shown(change);
  std::string text = "image change of " + facts.kind + " " + facts.name_space + "/" + facts.name + " (" + changes + ")";
  if (text.size() <= kSubjectMax || facts.changes.empty()) return text;
  // The second line's command has the names in full.
  changes = shown(facts.changes.front());
  if (facts.changes.size() > 1) changes += " and " + std::to_string(facts.changes.size() - 1) + " more";
  constexpr std::size_t kNameMax = 30;
  return "image change of " + clean_text(facts.name_space, kNameMax) + "/" + clean_text(facts.name, kNameMax) + " (" +
         clean_text(changes, kSubjectMax - 2 * kNameMax) + ")";
}

std::string nothing_applied(const AdmissionFacts& facts) {
  if (facts.other_changed_fields == 0) return "Nothing of this request was applied. ";
  return "Nothing of this request was applied, nor its " + std::to_string(facts.other_changed_fields) +
         " other changed spec fields. ";
}

/// "FE sr-fe-service.ns.svc:9030", "root@10.0.0.1:9030", "[::1]:9030": with a port, and no other text.
bool is_address(std::string_view part) {
  if (part.starts_with("FE ")) part.remove_prefix(3);
  const std::size_t colon = part.rfind(':');
  return colon != std::string_view::npos && colon > 0 && colon + 1 < part.size() &&
         part.find(' ') == std::string_view::npos &&
         part.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
}

/// A failure for the first line: without the statement and the advice, which the second line has, and without addresses
/// where there is no room for them.
std::string brief_cause(std::string_view cause, std::size_t room) {
  constexpr std::string_view kCritical = "critical ";
  constexpr std::string_view kBetween = ": ";
  std::string text(cause.substr(0, cause.find("; it was: ")));
  if (text.size() > room && text.starts_with(kCritical)) text.erase(0, kCritical.size());
  for (std::size_t begin = 0; text.size() > room && begin < text.size();) {
    const std::size_t end = std::min(text.find(kBetween, begin), text.size());
    if (end < text.size() && is_address(std::string_view(text).substr(begin, end - begin))) {
      text.erase(begin, end + kBetween.size() - begin);
    } else {
      begin = end + kBetween.size();
    }
  }
  // What the FE says comes before what was done.
  if (const std::size_t error = text.find("ERROR "); text.size() > room && error != std::string::npos) {
    text.erase(0, error);
  }
  return clean_text(text, room);
}

/// `head` + as much of `foreign` as the first line has room for + `tail`, which begins with a full stop.
std::string first_line(const std::string& head, std::string_view foreign, const std::string& tail) {
  const std::size_t used = head.size() + tail.size();
  const std::size_t room = used + kCauseMin < kFirstLineMax ? kFirstLineMax - used : kCauseMin;
  const std::string text = head + brief_cause(foreign, room);
  // A sentence that was cut, or that ends by itself, needs no second full stop.
  return clean_text(text + (text.back() == '.' ? tail.substr(1) : tail), kFirstLineMax);
}

std::string show_command(const AdmissionFacts& facts, const Preparation& record) {
  return "\nProgress: kubectl get upgradepreparations " + record.name + " -n " + facts.name_space;
}

}  // namespace

std::string progress(const Preparation& record) {
  const auto done = hooks_in(record.status, HookPhase::Completed).size() +
                    hooks_in(record.status, HookPhase::Skipped).size();  // nothing is left to do for those either
  return std::to_string(done) + "/" + std::to_string(record.spec.hooks.size()) + " hooks";
}

std::string hooks_invalid_message(const AdmissionFacts& facts) {
  const auto& all = facts.configuration.faults;
  std::string faults = describe({all.begin(), all.begin() + (all.empty() ? 0 : 1)});
  if (all.size() > 1) faults += "; and " + std::to_string(all.size() - 1) + " more";
  std::string line = first_line(
      "upgrade hooks of " + facts.kind + " " + facts.name_space + "/" + facts.name + " are not valid: ", faults,
      ". Nothing of this request was applied. Correct the fields and re-apply.");
  if (all.size() == 1 && line.find(faults) != std::string::npos) return line;
  constexpr std::size_t kFaultsListed = 30;
  for (std::size_t i = 0; i < std::min(all.size(), kFaultsListed); ++i) {
    line += "\n- " + clean_text(describe({all[i]}), 1000);
  }
  if (all.size() > kFaultsListed) line += "\n- and " + std::to_string(all.size() - kFaultsListed) + " more";
  return line;
}

std::string running_message(const AdmissionFacts& facts, const Preparation* record) {
  std::string state = "pre-upgrade hooks have been started";
  std::string cause;
  if (record != nullptr) {
    state = std::string("pre-upgrade hooks are ") + (record->status.phase == Phase::Pending ? "queued" : "running") +
            " (" + progress(*record) + ")";
    if (!record->status.message.empty()) cause = ": " + record->status.message;
  }
  const std::string tail = ". " + nothing_applied(facts) + kRepeat;
  const std::string line = first_line(subject(facts) + " is on hold: " + state, cause, tail);
  return record == nullptr ? line : line + show_command(facts, *record);
}

std::string failed_message(const AdmissionFacts& facts, const Preparation& record) {
  const std::string head = subject(facts) + " is refused: ";
  const std::string tail = ". " + nothing_applied(facts) + "Re-apply after " +
                           format_time(next_attempt_time(record, facts.backoff)) + " for the next attempt.";
  return first_line(head, record.status.message, tail) + "\nCause: " + clean_text(record.status.message, kCauseMax) +
         show_command(facts, record) + "\nTo retry now, first run: kubectl annotate " + facts.kind + " " + facts.name +
         " -n " + facts.name_space + " --overwrite " + std::string(annotation::kRetry) + "=\"$(date)\"";
}

std::string unavailable_message(const AdmissionFacts& facts) {
  return first_line(subject(facts) + " cannot be decided: the gate cannot reach its records: ", facts.store_error,
                    ". " + nothing_applied(facts) + kRepeat);
}

std::string store_refused_message(const AdmissionFacts& facts) {
  return first_line(
             subject(facts) + " is refused: the gate cannot read or write what it must, and repeating does not help: ",
             facts.store_error, ". " + nothing_applied(facts) + kFixFirst) +
         "\nCause: " + clean_text(facts.store_error, kCauseMax);
}

std::string object_changed_message(const AdmissionFacts& facts) {
  return first_line(
      subject(facts) + " cannot be decided: the request does not match the stored object: ", facts.stored_difference,
      ". " + nothing_applied(facts) + "Read the object again and repeat the change.");
}

std::string record_refused_message(const AdmissionFacts& facts) {
  return first_line(subject(facts) + " is refused: its UpgradePreparation was not accepted by the API server: ",
                    facts.record_refusal, ". " + nothing_applied(facts) + kFixFirst) +
         "\nCause: " + clean_text(facts.record_refusal, kCauseMax);
}

std::string too_many_open_message(const AdmissionFacts& facts, std::size_t open) {
  return first_line(subject(facts) + " is refused: the cluster has " + std::to_string(open) +
                        " open UpgradePreparations, at most " + std::to_string(kOpenRecordsMax) + " are accepted",
                    "", ". " + nothing_applied(facts) + "Re-apply when older ones are closed.") +
         "\nProgress: kubectl get upgradepreparations -n " + facts.name_space;
}

std::string too_many_new_message(const AdmissionFacts& facts, WallTime next) {
  return first_line(subject(facts) + " is refused: at most " + std::to_string(kNewRecordsMax) +
                        " preparations of a cluster are started in " + std::to_string(kNewRecordsWindow.count()) + " s",
                    "", ". " + nothing_applied(facts) + "Re-apply after " + format_time(next) + ".");
}

std::string bypass_forbidden_message(std::string_view username, const std::string& name_space) {
  return clean_text("annotation " + std::string(annotation::kBypass) + " is refused: user " + clean_text(username, 60) +
                        " needs the verb " + std::string(kBypassVerb) +
                        " on upgradepreparations.gate.starrocks.com in namespace " + name_space +
                        " (ClusterRole upgrade-gate-bypass). Nothing of this request was applied.",
                    kFirstLineMax);
}

std::string path_forbidden_message(const AdmissionFacts& facts, const std::vector<PathFinding>& findings) {
  std::string message = first_line(subject(facts) + " is refused: ", findings.front().text,
                                   ". " + nothing_applied(facts) + "Apply a version that is supported next.");
  for (const auto& finding : findings) {
    message += "\n- " + std::string(to_string(finding.severity)) + ": " + finding.text;
    if (!finding.source.empty()) message += " (StarRocks " + std::string(finding.source) + ")";
  }
  return message;
}

std::string hooks_unread_message(const AdmissionFacts& facts) {
  std::string causes;
  for (const std::string& cause : facts.configuration.unread) causes += (causes.empty() ? "" : "; ") + cause;
  const bool lasts = facts.configuration.unread_lasts;
  const std::string line = first_line(subject(facts) + " cannot be decided: its hooks are not known: ", causes,
                                      ". " + nothing_applied(facts) + (lasts ? kFixFirst : kRepeat));
  return lasts ? line + "\nCause: " + clean_text(causes, kCauseMax) : line;
}

std::string dry_run_warning(const std::string& state) {
  return clean_text("upgrade gate: dry run only; the real request needs pre-upgrade hooks (" + state + ")",
                    kWarningMax);
}

std::string dry_run_refusal_warning(std::string_view why) {
  return clean_text("upgrade gate: dry run only; the real request would be refused: " + std::string(why), kWarningMax);
}

std::string held_warning(const std::string& preparation) {
  // What counts comes first: a long name is cut.
  return "upgrade gate: accepted; no pod moves until it is prepared: kubectl get srup " + preparation;
}

std::string revert_warning() {
  return clean_text(
      "upgrade gate: rollback to the images the pods last ran; settings are restored once the pods are back",
      kWarningMax);
}

std::string unread_settings_warning() {
  return clean_text("upgrade gate: the FE does not answer; admitted without reading it, since this change may fix it",
                    kWarningMax);
}

std::string path_warning(const PathFinding& finding) {
  return clean_text("upgrade gate: " + finding.text, kWarningMax);
}

std::string target_line(const std::string& key) {
  return "\nTarget key, for a break-glass bypass (annotation " + std::string(annotation::kBypass) + "): " + key;
}

std::string bypass_warning(const Bypass& bypass, bool dry_run) {
  return clean_text((dry_run ? "upgrade gate: would be let through unprepared until "
                             : "upgrade gate: let through unprepared until ") +
                        format_time(bypass.until.value_or(WallTime{})) + ": " + bypass.reason,
                    kWarningMax);
}

std::string bypass_ignored_warning(const std::string& why) {
  return clean_text("upgrade gate: bypass ignored: " + why, kWarningMax);
}

std::string skipped_hook_warning(const HookStatus& hook) {
  return clean_text("upgrade gate: hook " + hook.name + " skipped: " + hook.message, kWarningMax);
}

std::string failed_hook_warning(const HookStatus& hook) {
  const std::string head = "upgrade gate: hook " + hook.name + " failed (not critical): ";
  std::string_view cause = hook.message;
  // The head says that already, and there is little room.
  if (const std::string said = "hook \"" + hook.name + "\" failed: "; cause.starts_with(said)) {
    cause.remove_prefix(said.size());
  }
  const std::size_t room = head.size() + kCauseMin < kWarningMax ? kWarningMax - head.size() : kCauseMin;
  return clean_text(head + brief_cause(cause, room), kWarningMax);
}

}  // namespace gate
