#include "server/preparation/hook_runner.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "policy/sql.hpp"
#include "policy/text.hpp"

namespace gate {
namespace {

/// One exchange with the API server; it answers within a few milliseconds or is in trouble.
constexpr std::chrono::seconds kStoreTimeout{10};
/// One look at a setting over all FEs. A hung FE must not eat the hook's whole time.
constexpr std::chrono::seconds kReadTimeout{5};
/// The last look at all settings before a preparation is called completed.
constexpr std::chrono::seconds kConfirmBudget{30};
/// An FE that did not take a broadcast is asked again this often within the hook's time.
constexpr std::chrono::milliseconds kReadBackPause{200};

HookStatus& status_of(PreparationStatus& status, const PreparationSpec& spec, std::size_t index) {
  for (std::size_t i = status.hooks.size(); i < spec.hooks.size(); ++i) {
    HookStatus hook;
    hook.name = spec.hooks[i].name;
    status.hooks.push_back(hook);
  }
  return status.hooks[index];
}

/// What must be in the record before `key` is set to `wanted`; nullopt when it is there.
/// A key that is set twice, by a record and by the one that supersedes it, has an entry for each value and the same old
/// one in both: between the write and the SET the FE still has the first, and must be known as ours then, too.
std::optional<CapturedSetting> missing_capture(const PreparationStatus& status, const SettingReading& reading,
                                               const std::string& wanted) {
  const std::string* before = nullptr;
  for (const auto& captured : status.captured) {
    if (captured.key != reading.canonical_key) continue;
    if (same_config_value(captured.set_to, wanted)) return std::nullopt;
    before = &captured.value;
  }
  if (before == nullptr) {
    // The leader's scheduler is what the setting acts on; where the leader has the value already, nobody's is changed.
    if (same_config_value(reading.leader_value(), wanted)) return std::nullopt;
    before = &reading.leader_value();
  } else if (same_config_value(*before, wanted)) {
    return std::nullopt;  // The hook itself puts it back.
  }
  return CapturedSetting{reading.canonical_key, *before, wanted};
}

/// Such a hook holds nothing. (A critical one that failed ended the preparation.)
bool allowed_to_fail_and_did(const PreparationStatus& status, std::size_t index) {
  return index < status.hooks.size() && status.hooks[index].phase == HookPhase::Failed;
}

/// A step that timed out or met a broken connection says nothing about the hook: it is repeated.
bool worth_repeating(const Error& error) {
  return error.code == ErrorCode::Unavailable || error.code == ErrorCode::DeadlineExceeded;
}

std::string failure_text(const Hook& hook, const Error& error) {
  std::string text = (hook.critical ? "critical hook \"" : "hook \"") + hook.name + "\" failed: " + error.message;
  if (error.code == ErrorCode::DeadlineExceeded || error.code == ErrorCode::Unavailable) {
    text += " (gave up after " + std::to_string(hook.timeout.count()) + " s)";
  }
  return clean_text(text);
}

}  // namespace

HookRunner::HookRunner(ClaimedRecord& record, const HookPeers& peers, const Clock& clock, HookRunnerOptions options,
                       std::stop_token stop)
    : record_(record),
      connector_(peers.connector, record),
      peers_{peers.clusters, connector_, peers.http, peers.scripts},
      clock_(clock),
      options_(options),
      stop_(std::move(stop)),
      random_(std::random_device{}()) {}

Deadline HookRunner::store_deadline() const { return clock_.steady_now() + kStoreTimeout; }

bool HookRunner::pause(std::chrono::milliseconds duration) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  return !stopped.wait_for(lock, stop_, duration, [this] { return stop_.stop_requested(); });
}

Status HookRunner::retry(Deadline deadline, const std::function<Status()>& step) {
  auto ceiling = options_.retry.base;
  for (;;) {
    auto result = step();
    if (result || !worth_repeating(result.error()) || record_.lost()) return result;
    std::uniform_int_distribution<std::int64_t> jitter(1, ceiling.count());
    const std::chrono::milliseconds wait(jitter(random_));
    ceiling = std::min(ceiling * 2, options_.retry.max);
    if (clock_.steady_now() + wait >= deadline || !pause(wait)) return result;
  }
}

Result<FrontendFleet*> HookRunner::fleet(Deadline deadline) {
  if (!fleet_) {
    const auto record = record_.snapshot();
    auto access = peers_.clusters.frontend_access(record.name_space, record.spec.cluster, deadline);
    if (!access) return access.error();
    fleet_.emplace(peers_.connector, std::move(access).value());
  }
  return &*fleet_;
}

RunEnd HookRunner::prepare() {
  const auto spec = record_.snapshot().spec;
  for (std::size_t index = 0; index < spec.hooks.size(); ++index) {
    const auto end = run_hook(index);
    if (end != RunEnd::Finished) return end;
    const auto status = record_.snapshot().status;
    if (status.hooks[index].phase == HookPhase::Failed && spec.hooks[index].critical) break;
  }
  const auto held = confirm();
  if (stop_.stop_requested() || record_.lost()) return RunEnd::Interrupted;
  if (!held && worth_repeating(held.error())) return RunEnd::RetryLater;
  const auto written = record_.update(
      [&](PreparationStatus& status) {
        const auto failed = std::find_if(spec.hooks.begin(), spec.hooks.end(), [&](const Hook& hook) {
          const auto& found = status.hooks[static_cast<std::size_t>(&hook - spec.hooks.data())];
          return hook.critical && found.phase == HookPhase::Failed;
        });
        status.completion_time = clock_.wall_now();
        if (failed != spec.hooks.end()) {
          status.phase = Phase::Failed;
          status.reason = "CriticalHookFailed";
          status.message = status.hooks[static_cast<std::size_t>(failed - spec.hooks.begin())].message;
          status.stage = Stage::Restoring;
          status.outcome = Outcome::Failed;
        } else if (!held) {
          status.phase = Phase::Failed;
          status.reason = "SettingsNotHeld";
          status.message = clean_text("a setting was lost while later hooks ran, and: " + held.error().message);
          status.stage = Stage::Restoring;
          status.outcome = Outcome::Failed;
        } else {
          status.phase = Phase::Completed;
          status.reason = "HooksCompleted";
          status.message.clear();
          status.stage = Stage::Prepared;
        }
      },
      store_deadline());
  if (!written) return record_.lost() ? RunEnd::Interrupted : RunEnd::RetryLater;
  return RunEnd::Finished;
}

Status HookRunner::confirm() {
  const auto record = record_.snapshot();
  for (std::size_t i = 0; i < record.status.hooks.size(); ++i) {
    const bool failed = record.status.hooks[i].phase == HookPhase::Failed;
    if (failed && record.spec.hooks[i].critical) return Ok{};  // nothing is to hold: all is put back
  }
  std::string detail;
  return reassert(kConfirmBudget, detail);
}

RunEnd HookRunner::run_hook(std::size_t index) {
  const auto before = record_.snapshot();
  const Hook& hook = before.spec.hooks[index];
  if (index < before.status.hooks.size()) {
    const auto phase = before.status.hooks[index].phase;
    if (phase == HookPhase::Completed || phase == HookPhase::Failed) return RunEnd::Finished;
  }
  auto written = record_.update(
      [&](PreparationStatus& status) {
        auto& entry = status_of(status, before.spec, index);
        entry.phase = HookPhase::Running;
        entry.attempts += 1;
        entry.start_time = clock_.wall_now();
        entry.completion_time.reset();
        entry.message.clear();
      },
      store_deadline());
  if (!written) return record_.lost() ? RunEnd::Interrupted : RunEnd::RetryLater;

  const Deadline deadline = clock_.steady_now() + hook.timeout;
  const auto result = setting_of(hook) != nullptr ? run_setting(hook, deadline) : run_statement(hook, deadline);
  if (stop_.stop_requested() || record_.lost()) return RunEnd::Interrupted;

  written = record_.update(
      [&](PreparationStatus& status) {
        auto& entry = status_of(status, before.spec, index);
        entry.phase = result ? HookPhase::Completed : HookPhase::Failed;
        entry.completion_time = clock_.wall_now();
        entry.message = result ? std::string{} : failure_text(hook, result.error());
        status.message.clear();
      },
      store_deadline());
  if (!written) return record_.lost() ? RunEnd::Interrupted : RunEnd::RetryLater;
  return RunEnd::Finished;
}

Status HookRunner::run_statement(const Hook& hook, Deadline deadline) {
  return retry(deadline, [&]() -> Status {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto result = (*frontends)->execute(std::get<SqlAction>(hook.action).sql, deadline);
    if (!result) return result.error();
    return Ok{};
  });
}

Status HookRunner::run_setting(const Hook& hook, Deadline deadline) {
  const auto& sql = std::get<SqlAction>(hook.action).sql;
  const auto& [key, wanted] = *setting_of(hook);
  return retry(deadline, [&]() -> Status {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto read = [&] { return (*frontends)->read(key, std::min(deadline, clock_.steady_now() + kReadTimeout)); };
    auto reading = read();
    if (!reading) return reading.error();
    // Already so everywhere: somebody wants it so, and it stays so afterwards.
    if (!reading->differing(wanted)) return Ok{};
    if (auto captured = capture(*reading, hook); !captured) return captured;

    auto set = (*frontends)->execute(sql, deadline);
    // Some FEs may have taken a statement that ended in an error; what was captured is put back by restore().
    if (!set) return set.error();
    for (;;) {
      reading = read();
      if (!reading) return reading.error();
      const auto missing = reading->differing(wanted);
      if (!missing) return Ok{};
      if (clock_.steady_now() + kReadBackPause >= deadline || !pause(kReadBackPause)) {
        return Error{ErrorCode::DeadlineExceeded,
                     "FE " + missing->frontend + " still has \"" + missing->value + "\" after " + sql};
      }
      // An FE that was away during the broadcast never learns of it by itself.
      set = (*frontends)->execute(sql, deadline);
      if (!set) return set.error();
    }
  });
}

Status HookRunner::capture(const SettingReading& reading, const Hook& hook) {
  // Who took the claim over decides what is set from now on.
  if (record_.lost()) return Error{ErrorCode::Conflict, "the claim is lost"};
  const auto& wanted = setting_of(hook)->value;
  if (!missing_capture(record_.snapshot().status, reading, wanted)) return Ok{};
  return record_.update(
      [&](PreparationStatus& status) {
        auto missing = missing_capture(status, reading, wanted);
        if (!missing) return;
        status.captured.push_back(std::move(*missing));
        status.restore_owed = true;
        status.restored_time.reset();
      },
      store_deadline());
}

Status HookRunner::reassert(std::chrono::seconds budget, std::string& detail) {
  const Deadline deadline = clock_.steady_now() + budget;
  const auto record = record_.snapshot();
  for (std::size_t i = 0; i < record.spec.hooks.size(); ++i) {
    const auto& hook = record.spec.hooks[i];
    const ConfigSetting* setting = setting_of(hook);
    if (setting == nullptr || allowed_to_fail_and_did(record.status, i)) continue;
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto reading = (*frontends)->read(setting->key, deadline);
    if (!reading) return reading.error();
    const auto missing = reading->differing(setting->value);
    if (!missing) continue;
    detail += (detail.empty() ? "" : "; ") + hook.name + " on FE " + missing->frontend;
    if (auto set = run_setting(hook, deadline); !set) return set;
  }
  return Ok{};
}

Result<bool> HookRunner::holds(Deadline deadline, std::string& drifted) {
  const auto record = record_.snapshot();
  for (std::size_t i = 0; i < record.spec.hooks.size(); ++i) {
    const auto& hook = record.spec.hooks[i];
    const ConfigSetting* setting = setting_of(hook);
    if (setting == nullptr || allowed_to_fail_and_did(record.status, i)) continue;
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto reading = (*frontends)->read(setting->key, deadline);
    if (!reading) return reading.error();
    if (const auto missing = reading->differing(setting->value)) {
      drifted = reading->canonical_key + " is \"" + missing->value + "\" on FE " + missing->frontend;
      return false;
    }
  }
  return true;
}

Status HookRunner::restore(std::chrono::seconds budget) {
  const Deadline deadline = clock_.steady_now() + budget;
  Status all = Ok{};
  for (const auto& captured : record_.snapshot().status.captured) {
    // One setting that an FE refuses must not keep the others from being put back.
    if (auto done = put_back(captured, deadline); !done && all) all = done;
  }
  return all;
}

Status HookRunner::put_back(const CapturedSetting& captured, Deadline deadline) {
  const auto frontends = fleet(deadline);
  if (!frontends) return frontends.error();
  for (;;) {
    const auto reading = (*frontends)->read(captured.key, deadline);
    if (!reading) return reading.error();
    // Compare-and-set: a value that is neither ours nor the old one is somebody's later decision.
    const bool ours = reading->somewhere(captured.set_to);
    const bool changed_by_others = !same_config_value(reading->leader_value(), captured.set_to) &&
                                   !same_config_value(reading->leader_value(), captured.value);
    if (!ours || changed_by_others) return Ok{};
    if (stop_.stop_requested() || record_.lost()) return Error{ErrorCode::Unavailable, "stopped"};
    const auto set = (*frontends)->execute(set_config_sql(captured.key, captured.value), deadline);
    if (!set && set.error().code != ErrorCode::Rejected) return set.error();
    const auto after = (*frontends)->read(captured.key, deadline);
    if (!after) return after.error();
    if (!after->somewhere(captured.set_to)) return Ok{};
    if (!set) return set.error();
    if (clock_.steady_now() + kReadBackPause >= deadline || !pause(kReadBackPause)) {
      return Error{ErrorCode::DeadlineExceeded, captured.key + " is not back to \"" + captured.value + "\" yet"};
    }
  }
}

Result<std::vector<DatabaseNode>> HookRunner::nodes(Deadline deadline) {
  const auto frontends = fleet(deadline);
  if (!frontends) return frontends.error();
  return (*frontends)->nodes(deadline);
}

}  // namespace gate
