#include "server/preparation/hooks/settings.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "policy/hooks/frontend_setting.hpp"
#include "policy/hooks/sent_sql.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using std::chrono::seconds;

/// One exchange with the API server; it answers within a few milliseconds or is in trouble.
constexpr seconds kStoreTimeout{10};
/// One broadcast of a setting. An FE that hangs stalls it for longer; the read-back of a later try tells how it ended.
constexpr seconds kSetTimeout{5};
/// What the FE says when it could not tell other FEs of a setting (from 3.5 on, and before): itself, and those that it
/// reached, have it. It is no refusal.
constexpr int kBroadcastFailed = 5101;
constexpr int kBroadcastFailedBefore = 5076;

bool is_broadcast_failure(const Error& error) {
  return error.peer_code == kBroadcastFailed || error.peer_code == kBroadcastFailedBefore;
}

std::string shown(std::string_view value) { return "\"" + clean_text(value, 100) + "\""; }

/// What must be in the record before `key` is set to `wanted`; nullopt when it is there.
/// A key that is set twice, by a record and by the one that supersedes it, has an entry for each value and the same old
/// one in both: between the write and the SET the FE still has the first, and must be known as ours then, too.
std::optional<CapturedSetting> missing_capture(const PreparationStatus& status, const SettingReading& reading,
                                               const std::string& current, const std::string& wanted) {
  const std::string* before = nullptr;
  for (const auto& captured : status.captured) {
    if (captured.key != reading.canonical_key) continue;
    if (same_setting(reading.type, captured.set_to, wanted)) return std::nullopt;
    before = &captured.value;
  }
  // The leader's scheduler is what the setting acts on; where the leader has the value already, nobody's is changed.
  // Where a value captured before is wanted, the hook itself restores it.
  if (before == nullptr) before = &current;
  if (same_setting(reading.type, *before, wanted)) return std::nullopt;
  return CapturedSetting{reading.canonical_key, *before, wanted};
}

bool is_captured(const PreparationStatus& status, const std::string& key) {
  return std::any_of(status.captured.begin(), status.captured.end(),
                     [&](const CapturedSetting& captured) { return captured.key == key; });
}

/// Its one entry for this key says that another value was there than `current`.
bool captured_otherwise(const PreparationStatus& status, const SettingReading& reading, const std::string& current) {
  const CapturedSetting* only = nullptr;
  for (const auto& captured : status.captured) {
    if (captured.key != reading.canonical_key) continue;
    if (only != nullptr) return false;  // learned from another record, which knows what was there
    only = &captured;
  }
  return only != nullptr && !same_setting(reading.type, only->value, current) &&
         !same_setting(reading.type, only->set_to, current);
}

std::vector<std::string> keys_of(const std::vector<const Hook*>& hooks) {
  std::vector<std::string> keys;
  keys.reserve(hooks.size());
  for (const auto* hook : hooks) keys.push_back(setting_of(*hook)->key);
  return keys;
}

Error no_such_item(const std::string& key) {
  return {ErrorCode::NotFound, "the FEs have no configuration item \"" + clean_text(key, 100) + "\""};
}

/// Who did not answer, as one error.
Error silence(const FleetReading& reading) {
  constexpr std::size_t kNamedMax = 3;
  auto out = reading.silent.front();
  for (std::size_t i = 1; i < std::min(reading.silent.size(), kNamedMax); ++i) {
    out.message += "; " + reading.silent[i].message;
  }
  if (reading.silent.size() > kNamedMax) {
    out.message += "; and " + std::to_string(reading.silent.size() - kNamedMax) + " more FEs";
  }
  return out;
}

/// All captured values of one key: what was there, and what the gate set in turn.
struct Captured {
  std::string key;
  std::string value;
  std::vector<std::string> set_to;

  [[nodiscard]] bool is_ours(const SettingReading& reading, std::string_view value_now) const {
    return std::any_of(set_to.begin(), set_to.end(),
                       [&](const std::string& ours) { return same_setting(reading.type, value_now, ours); });
  }
  [[nodiscard]] std::vector<SettingOnFrontend> holders(const SettingReading& reading) const {
    std::vector<SettingOnFrontend> out;
    for (const auto& frontend : reading.frontends) {
      if (is_ours(reading, frontend.value)) out.push_back(frontend);
    }
    return out;
  }
};

std::vector<Captured> by_key(const std::vector<CapturedSetting>& captured, std::size_t first) {
  std::vector<Captured> out;
  for (const auto& one : captured) {
    auto found = std::find_if(out.begin(), out.end(), [&](const Captured& other) { return other.key == one.key; });
    if (found == out.end()) found = out.insert(out.end(), {one.key, one.value, {}});
    found->set_to.push_back(one.set_to);
  }
  if (!out.empty()) {
    std::rotate(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(first % out.size()), out.end());
  }
  return out;
}

/// The value that every FE gets. A person's ADMIN SET reaches every FE, and then none has ours. Where one still has,
/// and the leader has a third value: it started again and has its file's value, which is nobody's decision; or it alone
/// was changed since, and that is one.
const std::string& restored_value(const Captured& captured, const SettingReading& reading, bool leader_restarted) {
  const auto* leader = reading.leader_value();
  const bool decided = leader != nullptr && !leader_restarted && !captured.is_ours(reading, *leader) &&
                       !same_setting(reading.type, *leader, captured.value);
  return decided ? *leader : captured.value;
}

/// The first error stays: what came of it is told by it best.
void note(Status& all, const Status& one) {
  if (all && !one) all = one;
}

}  // namespace

std::vector<const Hook*> settings_to_hold(const Preparation& record) {
  std::vector<const Hook*> out;
  for (std::size_t i = 0; i < record.spec.hooks.size(); ++i) {
    if (setting_of(record.spec.hooks[i]) == nullptr) continue;
    const auto phase = i < record.status.hooks.size() ? record.status.hooks[i].phase : HookPhase::Pending;
    if (phase != HookPhase::Failed && phase != HookPhase::Skipped) out.push_back(&record.spec.hooks[i]);
  }
  return out;
}

Result<std::string> find_drift(FrontendFleet& fleet, const std::vector<const Hook*>& hooks, Deadline deadline) {
  if (hooks.empty()) return std::string{};
  const auto reading = fleet.read(keys_of(hooks), deadline);
  if (!reading) return reading.error();
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const auto& wanted = setting_of(*hooks[i])->value;
    const auto* missing = reading->settings[i].differing(wanted);
    if (missing != nullptr) {
      return reading->settings[i].canonical_key + " is " + shown(missing->value) + " on FE " + missing->frontend +
             ", wanted " + shown(wanted);
    }
  }
  if (!reading->silent.empty()) return silence(*reading);
  return std::string{};
}

void forget_unset(PreparationStatus& status, const std::set<std::string>& unset) {
  std::erase_if(status.captured, [&](const CapturedSetting& captured) { return unset.contains(captured.key); });
}

Deadline Settings::store_deadline() const { return clock_.steady_now() + kStoreTimeout; }

/// Not more than half of what is left: the read-back tells which FE it is that a broadcast hangs at.
Deadline Settings::set_deadline(Deadline deadline) const {
  const auto now = clock_.steady_now();
  return std::min(now + kSetTimeout, now + (deadline - now) / 2);
}

// ---- Capture ----

std::vector<CapturedSetting> Settings::capture_ahead(const FleetReading& reading,
                                                     const PreparationStatus& status) const {
  std::vector<CapturedSetting> ahead;
  const std::size_t first = reading.settings.size() - next_.size();
  for (std::size_t i = 0; i < next_.size(); ++i) {
    const Hook& hook = *next_[i];
    const auto& setting = reading.settings[first + i];
    const auto& wanted = setting_of(hook)->value;
    // Whatever speaks against it is said when its turn comes.
    if (hook.restore != RestoreMode::Captured || setting.differing(wanted) == nullptr) continue;
    const auto* current = setting.leader_value();
    const bool known = current != nullptr && !is_captured(status, setting.canonical_key) && !is_masked(*current);
    const bool twice = std::any_of(ahead.begin(), ahead.end(),
                                   [&](const CapturedSetting& other) { return other.key == setting.canonical_key; });
    if (!known || twice || !judge_sent_sql(hook, further_sql_)) continue;
    if (auto missing = missing_capture(status, setting, *current, wanted)) ahead.push_back(*std::move(missing));
  }
  return ahead;
}

Status Settings::capture(const FleetReading& reading, std::size_t index, const Hook& hook) {
  // Who took the claim over decides what is set from now on.
  if (record_.lost()) return Error{ErrorCode::Conflict, "the claim is lost"};
  const SettingReading& setting = reading.settings[index];
  const std::string& leader = reading.leader;
  const auto& wanted = setting_of(hook)->value;
  if (hook.restore == RestoreMode::None) return Ok{};
  const PendingUndo undo{hook.name, hook.restore_sql, {}, hook.timeout};
  const bool by_statement = hook.restore == RestoreMode::Statement;
  const auto* current = setting.leader_value();
  // Without a leader any FE tells what all had; where there is one, its value is the cluster's.
  if (current == nullptr && leader.empty()) current = &setting.frontends.front().value;
  if (!by_statement && current == nullptr && !is_captured(record_.snapshot().status, setting.canonical_key)) {
    return Error{ErrorCode::Unavailable, "the leader does not tell its value of " + setting.canonical_key +
                                             ", which must be known before it is changed"};
  }
  const std::string before = current == nullptr ? std::string{} : *current;
  // Captured ahead, and somebody has changed it since: what is overwritten is what there is now.
  const bool stale = unset_.contains(setting.canonical_key) && current != nullptr;
  const auto prepared = [&](PreparationStatus status) {
    if (stale && captured_otherwise(status, setting, before)) forget_unset(status, {setting.canonical_key});
    return status;
  };
  const auto missing = [&](const PreparationStatus& status) {
    return by_statement ? std::find(status.undo.begin(), status.undo.end(), undo) == status.undo.end()
                        : missing_capture(status, setting, before, wanted).has_value();
  };
  const auto now = prepared(record_.snapshot().status);
  if (!missing(now)) {
    unset_.erase(setting.canonical_key);
    return Ok{};
  }
  if (!by_statement && is_masked(before)) {
    return Error{ErrorCode::InvalidInput, "the FE shows " + shown(before) + " for " + setting.canonical_key +
                                              ", so its value cannot be captured; want restore: none or a statement"};
  }
  std::set<std::string> ahead;
  auto stored = record_.update(
      [&](PreparationStatus& status) {
        status = prepared(std::move(status));
        if (!missing(status)) return;
        if (by_statement) {
          status.undo.push_back(undo);
        } else {
          status.captured.push_back(*missing_capture(status, setting, before, wanted));
          status.settings_leader = leader;
        }
        if (!leader.empty()) {
          ahead.clear();
          for (auto& one : capture_ahead(reading, status)) {
            ahead.insert(one.key);
            status.captured.push_back(std::move(one));
            status.settings_leader = leader;
          }
        }
        status.restore_pending = true;
        status.restored_time.reset();
      },
      store_deadline());
  if (!stored) return stored;
  unset_.insert(ahead.begin(), ahead.end());
  unset_.erase(setting.canonical_key);
  return stored;
}

/// The FE took the statement twice, and shows something else: that is what it has of ours from now on. Once is not
/// enough: a leader that starts again between the statement and the reading shows its file's value.
Status Settings::take_as_shown(const SettingReading& reading, const std::string& before, const ConfigSetting& wanted) {
  const auto* now = reading.leader_value();
  if (now == nullptr || same_setting(reading.type, *now, wanted.value) || same_setting(reading.type, *now, before)) {
    return Ok{};
  }
  const auto stored = record_.update(
      [&](PreparationStatus& status) {
        for (auto& captured : status.captured) {
          if (captured.key == reading.canonical_key && captured.set_to == wanted.value) captured.set_to = *now;
        }
      },
      store_deadline());
  if (!stored) return stored;
  return Error{ErrorCode::InvalidInput, "the FE makes " + shown(*now) + " of invalid value " + shown(wanted.value) +
                                            " for " + reading.canonical_key + ": want a value that it keeps as it is"};
}

void Settings::remember_leader(const std::string& leader) {
  const auto status = record_.snapshot().status;
  if (status.captured.empty() || leader.empty() || status.settings_leader == leader) return;
  // Best effort: without it a value that somebody sets on the leader alone is taken for a restart's.
  (void)record_.update([&](PreparationStatus& written) { written.settings_leader = leader; }, store_deadline());
}

// ---- Apply, verify, apply again ----

Status Settings::apply(const std::vector<const Hook*>& hooks, bool strict, Deadline deadline, std::string& detail,
                       const std::vector<std::string>& yielded) {
  if (hooks.empty()) return Ok{};
  auto keys = keys_of(hooks);
  for (const auto* hook : next_) keys.push_back(setting_of(*hook)->key);
  auto reading = fleet_.read(keys, deadline);
  if (!reading) return reading.error();
  Status all = Ok{};
  std::vector<Attempt> attempts;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const auto& setting = reading->settings[i];
    if (setting.frontends.empty()) {
      if (strict && reading->silent.empty()) return no_such_item(keys[i]);
      continue;
    }
    if (std::find(yielded.begin(), yielded.end(), setting.canonical_key) != yielded.end()) continue;
    if (auto judged = judge_sent_sql(*hooks[i], further_sql_); !judged) {
      note(all, judged);
      continue;
    }
    const auto* missing = setting.differing(setting_of(*hooks[i])->value);
    if (missing == nullptr) continue;  // Somebody wants it so, and it stays so afterwards; or it is ours already.
    if (auto captured = capture(*reading, i, *hooks[i]); !captured) {
      if (record_.lost()) return captured;
      note(all, captured);
      continue;
    }
    detail += (detail.empty() ? "" : "; ") + hooks[i]->name + " on FE " + missing->frontend;
    const auto* leader = setting.leader_value();
    // Some FEs may have taken a statement that ended in an error; what was captured is restored by restore().
    auto done = fleet_.execute_set(std::get<SqlAction>(hooks[i]->action).sql, set_deadline(deadline));
    attempts.push_back({i, leader == nullptr ? std::string{} : *leader, std::move(done)});
  }
  if (!attempts.empty()) {
    reading = prove(hooks, attempts, deadline, all);
    if (!reading) return reading.error();
    remember_leader(reading->leader);
  }
  if (all && !reading->silent.empty()) return silence(*reading);
  return all;
}

Result<FleetReading> Settings::prove(const std::vector<const Hook*>& hooks, const std::vector<Attempt>& attempts,
                                     Deadline deadline, Status& all) {
  const auto keys = keys_of(hooks);
  auto reading = fleet_.read(keys, deadline);
  if (!reading) return reading;
  bool told = false;
  std::vector<const Attempt*> taken_twice;
  for (const auto& attempt : attempts) {
    const auto& [i, before, done] = attempt;
    const auto* missing = reading->settings[i].differing(setting_of(*hooks[i])->value);
    // An FE that was away during the broadcast never learns of it by itself: it is told at its own address. Not while
    // a broadcast hangs: what comes after it waits for its end.
    if (missing == nullptr || (!done && done.error().code == ErrorCode::DeadlineExceeded)) continue;
    if (!done && done.error().code == ErrorCode::Rejected && !is_broadcast_failure(done.error())) continue;
    const bool leads = missing == &reading->settings[i].frontends.front() && missing->leader;
    const auto again =
        fleet_.execute_set_at(missing->address, std::get<SqlAction>(hooks[i]->action).sql, set_deadline(deadline));
    if (done && again && leads) taken_twice.push_back(&attempt);
    told = true;
  }
  if (told) {
    reading = fleet_.read(keys, deadline);
    if (!reading) return reading;
  }
  for (const auto* attempt : taken_twice) {
    const auto i = attempt->hook;
    note(all, take_as_shown(reading->settings[i], attempt->before, *setting_of(*hooks[i])));
  }
  // What the FEs have is the proof, whatever was said on the way.
  for (const auto& [i, before, done] : attempts) {
    const auto* missing = reading->settings[i].differing(setting_of(*hooks[i])->value);
    if (missing == nullptr) continue;
    if (!done && done.error().code == ErrorCode::Rejected && !is_broadcast_failure(done.error())) {
      note(all, done.error());
      continue;
    }
    std::string why = "FE " + missing->frontend + " still has " + shown(missing->value) + " after " +
                      std::get<SqlAction>(hooks[i]->action).sql;
    if (!done) why += ": " + done.error().message;
    if (!reading->silent.empty()) why += "; " + silence(*reading).message;
    note(all, Error{ErrorCode::DeadlineExceeded, why});
  }
  return reading;
}

// ---- Restore ----

Status Settings::forget(const std::string& key) {
  return record_.update(
      [&](PreparationStatus& status) {
        std::erase_if(status.captured, [&](const CapturedSetting& captured) { return captured.key == key; });
        status.message = "the FE no longer knows " + key + "; there is nothing to restore";
      },
      store_deadline());
}

Status Settings::restore(const std::vector<CapturedSetting>& settings, std::size_t first, Deadline deadline) {
  const auto captured = by_key(settings, first);
  if (captured.empty()) return Ok{};
  std::vector<std::string> keys;
  for (const auto& one : captured) keys.push_back(one.key);
  auto reading = fleet_.read(keys, deadline);
  if (!reading) return reading.error();
  const bool leader_restarted = reading->leader.empty() || reading->leader != record_.snapshot().status.settings_leader;
  Status all = Ok{};
  std::map<std::size_t, std::string> set;  // by setting: the statement
  std::map<std::size_t, Error> trouble;    // by setting
  for (std::size_t i = 0; i < captured.size(); ++i) {
    const auto& setting = reading->settings[i];
    if (setting.frontends.empty() && reading->silent.empty()) {
      // The new version has no such item, so nothing of ours is left in it.
      note(all, forget(captured[i].key));
      continue;
    }
    if (captured[i].holders(setting).empty()) continue;
    if (record_.lost()) return Error{ErrorCode::Unavailable, "the claim is lost"};
    set[i] =
        set_config_sql(captured[i].key, settable(setting.type, restored_value(captured[i], setting, leader_restarted)));
    // One setting that an FE refuses, or that hangs, must not keep the others from being restored.
    if (auto done = fleet_.execute_set(set[i], set_deadline(deadline)); !done) trouble.emplace(i, done.error());
  }
  if (set.empty()) {
    if (!reading->silent.empty()) note(all, silence(*reading));
    return all;
  }
  reading = fleet_.read(keys, deadline);
  if (!reading) return reading.error();
  bool told = false;
  for (const auto& [i, sql] : set) {
    for (const auto& holder : captured[i].holders(reading->settings[i])) {
      if (record_.lost()) return Error{ErrorCode::Unavailable, "the claim is lost"};
      const auto done = fleet_.execute_set_at(holder.address, sql, set_deadline(deadline));
      if (!done) trouble.emplace(i, done.error());
      told = true;
    }
  }
  if (told) {
    reading = fleet_.read(keys, deadline);
    if (!reading) return reading.error();
  }
  // What the FEs have is the proof, whatever was said on the way.
  for (const auto& [i, sql] : set) {
    const auto holders = captured[i].holders(reading->settings[i]);
    if (holders.empty()) continue;
    const auto why = trouble.find(i);
    note(all, Error{why == trouble.end() ? ErrorCode::DeadlineExceeded : why->second.code,
                    captured[i].key + " is not back to " + shown(captured[i].value) + " on FE " +
                        holders.front().frontend + " yet" + (why == trouble.end() ? "" : ": " + why->second.message),
                    why == trouble.end() ? 0 : why->second.peer_code});
  }
  if (!reading->silent.empty()) note(all, silence(*reading));
  return all;
}

}  // namespace gate
