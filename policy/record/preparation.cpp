#include "policy/record/preparation.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/record/preparation_codec.hpp"
#include "policy/text/hex.hpp"
#include "policy/text/names.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr Names<Phase, 4> kPhases{{{Phase::Pending, "Pending"},
                                   {Phase::Running, "Running"},
                                   {Phase::Completed, "Completed"},
                                   {Phase::Failed, "Failed"}}};
constexpr Names<Stage, 5> kStages{{{Stage::Preparing, "Preparing"},
                                   {Stage::Prepared, "Prepared"},
                                   {Stage::RollingOut, "RollingOut"},
                                   {Stage::Restoring, "Restoring"},
                                   {Stage::Closed, "Closed"}}};
constexpr Names<Outcome, 7> kOutcomes{{{Outcome::None, ""},
                                       {Outcome::Succeeded, "Succeeded"},
                                       {Outcome::Failed, "Failed"},
                                       {Outcome::Reverted, "Reverted"},
                                       {Outcome::Superseded, "Superseded"},
                                       {Outcome::Expired, "Expired"},
                                       {Outcome::Bypassed, "Bypassed"}}};
constexpr Names<HookPhase, 5> kHookPhases{{{HookPhase::Pending, "Pending"},
                                           {HookPhase::Running, "Running"},
                                           {HookPhase::Completed, "Completed"},
                                           {HookPhase::Failed, "Failed"},
                                           {HookPhase::Skipped, "Skipped"}}};

/// Digits of a preparation's key.
constexpr std::size_t kKeyLength = 10;

}  // namespace

std::string_view to_string(Phase phase) { return name_of(kPhases, phase); }
std::string_view to_string(Stage stage) { return name_of(kStages, stage); }
std::string_view to_string(Outcome outcome) { return name_of(kOutcomes, outcome); }
std::string_view to_string(HookPhase phase) { return name_of(kHookPhases, phase); }
std::optional<Phase> phase_from(std::string_view text) { return value_of(kPhases, text); }
std::optional<Stage> stage_from(std::string_view text) { return value_of(kStages, text); }
std::optional<Outcome> outcome_from(std::string_view text) { return value_of(kOutcomes, text); }
std::optional<HookPhase> hook_phase_from(std::string_view text) { return value_of(kHookPhases, text); }

std::string preparation_key(std::string_view object_uid, const std::vector<ImageChange>& changes,
                            const std::vector<Hook>& hooks, PreparationMode mode) {
  // nlohmann objects are sorted by key and dump() writes no space: the same values give the same bytes.
  const std::string canonical =
      identity_to_json(object_uid, changes, hooks, mode).dump(-1, ' ', false, json::error_handler_t::replace);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(canonical.data()), canonical.size(), digest.data());
  return hex_of(std::span(digest).first<kKeyLength / 2>());
}

std::string preparation_key(const PreparationSpec& spec) {
  return preparation_key(spec.object.uid, spec.changes, spec.hooks, spec.mode);
}

std::string preparation_key(const Preparation& record) {
  if (!record.key.empty()) return record.key;
  const std::string_view name = record.name;
  const std::string attempt = "-" + std::to_string(record.spec.attempt);
  if (name.size() > kKeyLength + attempt.size() + 1 && name.ends_with(attempt)) {
    const auto key = name.substr(name.size() - attempt.size() - kKeyLength, kKeyLength);
    const bool separated = name[name.size() - attempt.size() - kKeyLength - 1] == '-';
    if (separated && key.find_first_not_of(kHexDigits) == std::string_view::npos) return std::string(key);
  }
  return preparation_key(record.spec);
}

std::string cluster_label(std::string_view cluster) {
  constexpr std::size_t kLabelMax = 63;
  constexpr std::size_t kHashed = 10;
  if (cluster.size() <= kLabelMax) return std::string(cluster);
  // Names end in a letter or digit, and so does the hash.
  return std::string(cluster.substr(0, kLabelMax - kHashed - 1)) + "-" + preparation_key(cluster, {}, {});
}

Preparation without_bodies(Preparation record) {
  record.key = preparation_key(record);
  if (!is_open(record)) record.spec.hooks.clear();
  for (Hook& hook : record.spec.hooks) {
    std::visit([](auto& action) { action = {}; }, hook.action);
    hook.restore_sql.clear();
  }
  record.status.captured.clear();
  record.status.undo.clear();
  record.status.nodes_before.clear();
  return record;
}

std::string preparation_name(std::string_view object_name, std::string_view key, int attempt) {
  constexpr std::size_t kNameMax = 253;  // DNS-1123 subdomain
  const std::string tail = "-" + std::string(key) + "-" + std::to_string(attempt);
  std::string head(object_name.substr(0, kNameMax - tail.size()));
  while (!head.empty() && (head.back() == '.' || head.back() == '-')) head.pop_back();
  return head + tail;
}

std::optional<WallTime> restore_due_since(const Preparation& record) {
  const auto& status = record.status;
  const bool due = status.stage == Stage::Restoring || status.stage == Stage::Closed;
  if (!status.restore_pending || !due) return std::nullopt;
  return status.restoring_time ? status.restoring_time : status.completion_time;
}

std::vector<std::size_t> scripts_left_running(const Preparation& record) {
  std::vector<std::size_t> left;
  const auto& hooks = record.status.hooks;
  if (record.status.stage == Stage::Preparing || record.spec.mode == PreparationMode::Verify) return left;
  for (std::size_t i = 0; i < hooks.size() && i < record.spec.hooks.size(); ++i) {
    const bool script = std::holds_alternative<ScriptAction>(record.spec.hooks[i].action);
    if (script && hooks[i].phase == HookPhase::Running) left.push_back(i);
  }
  return left;
}

bool is_open(const Preparation& record) {
  return record.status.stage != Stage::Closed || record.status.restore_pending || !scripts_left_running(record).empty();
}

bool is_handed_over(const Preparation& record) {
  return record.status.outcome == Outcome::Superseded && record.status.stage == Stage::Closed;
}

void cancel(PreparationStatus& status, WallTime now, const std::string& why) {
  if (status.phase != Phase::Completed) {
    status.phase = Phase::Failed;
    status.reason = "CalledOff";
    status.completion_time = now;
  }
  if (status.outcome == Outcome::None) status.outcome = Outcome::Expired;
  status.stage = Stage::Restoring;
  status.restoring_time = now;
  status.message = why;
}

std::vector<std::string> hooks_in(const PreparationStatus& status, HookPhase phase) {
  std::vector<std::string> names;
  for (const auto& hook : status.hooks) {
    if (hook.phase == phase) names.push_back(hook.name);
  }
  return names;
}

WallTime next_attempt_time(const Preparation& failed, const FailureBackoff& backoff) {
  auto delay = backoff.base;
  for (int i = 1; i < failed.spec.attempt && delay < backoff.max; ++i) delay *= 2;
  const auto ended = failed.status.completion_time.value_or(WallTime{});
  return ended + std::min(delay, backoff.max);
}

}  // namespace gate
