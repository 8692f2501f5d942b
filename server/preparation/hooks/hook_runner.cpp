#include "server/preparation/hooks/hook_runner.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "policy/hooks/sql.hpp"
#include "policy/text/text.hpp"
#include "policy/text/url.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One exchange with the API server; it answers within a few milliseconds or is in trouble.
constexpr seconds kStoreTimeout{10};
/// The last look at all settings before a preparation is called completed.
constexpr seconds kConfirmBudget{30};
/// Between two looks at whether an FE has taken a value that is put back.
constexpr milliseconds kReadBackPause{200};
/// Hooks of one group at the same time: each holds a thread here and a connection there.
constexpr std::size_t kParallelMax = 16;
/// A hook's failure with its statement and the advice; more is a page, not a message.
constexpr std::size_t kFailureMax = 800;
constexpr std::size_t kShownStatementMax = 160;

bool settled(const PreparationStatus& status, std::size_t index) {
  if (index >= status.hooks.size()) return false;
  switch (status.hooks[index].phase) {
    case HookPhase::Pending:
    case HookPhase::Running:
      return false;
    case HookPhase::Completed:
    case HookPhase::Failed:
    case HookPhase::Skipped:
      break;
  }
  return true;
}

/// It failed, and was allowed to (a critical one ended the preparation), or it did not run: it holds nothing.
bool holds_nothing(const PreparationStatus& status, std::size_t index) {
  if (index >= status.hooks.size()) return false;
  const auto phase = status.hooks[index].phase;
  return phase == HookPhase::Failed || phase == HookPhase::Skipped;
}

bool failed_critically(const Preparation& record, std::size_t index) {
  return record.spec.hooks[index].critical && index < record.status.hooks.size() &&
         record.status.hooks[index].phase == HookPhase::Failed;
}

/// The statement or address a hook is about; empty for the others, whose messages say enough.
std::string subject_of(const Hook& hook) {
  if (const auto* sql = std::get_if<SqlAction>(&hook.action)) return sql->sql;
  if (const auto* query = std::get_if<QueryAction>(&hook.action)) return query->sql;
  if (const auto* http = std::get_if<HttpAction>(&hook.action)) {
    const auto url = parse_http_url(http->url);
    return url ? url->shown() : std::string{};
  }
  return {};
}

/// StarRocks: missing privilege (3.x, with Ranger, 2.5), wrong password.
bool lacks_privilege(int code) { return code == 5203 || code == 5204 || code == 1227 || code == 1045; }

std::string advice(const Hook& hook, const Error& error) {
  const bool on_frontend =
      !std::holds_alternative<HttpAction>(hook.action) && !std::holds_alternative<ScriptAction>(hook.action);
  const bool waits =
      std::holds_alternative<ProbeAction>(hook.action) || std::holds_alternative<QueryAction>(hook.action);
  if (on_frontend && (lacks_privilege(error.peer_code) || error.code == ErrorCode::PermissionDenied)) {
    return "see that the gate's FE user can log in and may do this (OPERATE ON SYSTEM; NODE for ALTER SYSTEM)";
  }
  switch (error.code) {
    case ErrorCode::DeadlineExceeded:
    case ErrorCode::Unavailable:
      return waits ? "mend the cluster, or give the hook more timeoutSeconds"
                   : "see that what the hook talks to is up, or give it more timeoutSeconds";
    case ErrorCode::PermissionDenied:
      return "settle it there, or take the hook out";
    case ErrorCode::InvalidInput:
    case ErrorCode::NotFound:
      return "correct the hook";
    case ErrorCode::AlreadyExists:
    case ErrorCode::Conflict:
    case ErrorCode::Internal:
    case ErrorCode::Rejected:
      break;
  }
  return "correct the hook or mend what it talks to";
}

std::string failure_text(const Hook& hook, const Error& error, seconds given) {
  std::string text =
      (hook.critical ? "critical hook \"" : "hook \"") + hook.name + "\" failed: " + clean_text(error.message, 400);
  if (error.code == ErrorCode::DeadlineExceeded || error.code == ErrorCode::Unavailable) {
    text += " (gave up after " + std::to_string(given.count()) + " s)";
  }
  const std::string subject = subject_of(hook);
  if (!subject.empty() && error.message.find(subject) == std::string::npos) {
    text += "; it was: " + clean_text(subject, kShownStatementMax);
  }
  return clean_text(text + "; " + advice(hook, error), kFailureMax);
}

}  // namespace

HookRunner::HookRunner(ClaimedRecord& record, const HookPeers& peers, const Clock& clock,
                       const HookRunnerOptions& options, const std::stop_token& stop)
    : record_(record),
      peers_(peers),
      clock_(clock),
      options_(options),
      stop_(stop),
      executor_(record, peers, clock, options, stop) {}

Deadline HookRunner::store_deadline() const { return clock_.steady_now() + kStoreTimeout; }

/// From the record's start, so that a replica that takes over does not begin to count anew.
Deadline HookRunner::preparation_deadline() const {
  const auto now = clock_.wall_now();
  const auto elapsed = std::max(seconds(0), now - record_.snapshot().status.start_time.value_or(now));
  return clock_.steady_now() + std::max(seconds(0), options_.preparation_timeout - elapsed);
}

RunEnd HookRunner::end_of(const Status& written) const {
  if (written) return RunEnd::Finished;
  return record_.lost() ? RunEnd::Interrupted : RunEnd::RetryLater;
}

RunEnd HookRunner::prepare() {
  const auto spec = record_.snapshot().spec;
  const Deadline deadline = preparation_deadline();
  for (std::size_t first = 0; first < spec.hooks.size();) {
    if (clock_.steady_now() >= deadline) return finish(spec, Ok{}, "");
    std::size_t last = first + 1;
    const auto& group = spec.hooks[first].group;
    while (!group.empty() && last < spec.hooks.size() && spec.hooks[last].group == group) ++last;
    const auto end = last - first == 1 ? run_hook(executor_, first, deadline) : run_group(first, last, deadline);
    if (end != RunEnd::Finished) return end;
    const auto record = record_.snapshot();
    for (; first < last; ++first) {
      if (failed_critically(record, first)) return finish(spec, Ok{}, "");
    }
  }
  Status last = Ok{};
  if (spec.mode == PreparationMode::Verify) {
    auto patience = kHookTimeoutDefault;
    for (const auto& hook : spec.hooks) patience = std::max(patience, hook.timeout);
    last = executor_.await_external_preparation(std::min(deadline, clock_.steady_now() + patience));
    if (stop_.stop_requested() || record_.lost()) return RunEnd::Interrupted;
    if (!last) return finish(spec, last, "ExternalPreparationNotCompleted");
  }
  // What an early hook set may be gone by the end of a late one: an FE restarted, or the process that ran the early one
  // did. All settings are read back once all hooks are through, and set again where they are missing.
  std::string detail;
  last = reassert(kConfirmBudget, detail);
  if (stop_.stop_requested() || record_.lost()) return RunEnd::Interrupted;
  if (!last && out_of_reach(last.error()) && clock_.steady_now() < deadline) return RunEnd::RetryLater;
  return finish(spec, last, "SettingsNotHeld");
}

RunEnd HookRunner::finish(const PreparationSpec& spec, const Status& last, const char* reason_of_last) {
  return end_of(record_.update(
      [&](PreparationStatus& status) {
        status.completion_time = clock_.wall_now();
        const auto fail = [&](const char* reason, const std::string& message) {
          status.phase = Phase::Failed;
          status.reason = reason;
          status.message = message;
          status.stage = Stage::Restoring;
          status.outcome = Outcome::Failed;
        };
        for (std::size_t i = 0; i < spec.hooks.size(); ++i) {
          if (settled(status, i) && !(spec.hooks[i].critical && status.hooks[i].phase == HookPhase::Failed)) continue;
          if (settled(status, i)) return fail("CriticalHookFailed", status.hooks[i].message);
          return fail("PreparationTimedOut",
                      "the preparation took longer than " + std::to_string(options_.preparation_timeout.count()) +
                          " s (--preparation-timeout); it stopped before hook \"" + spec.hooks[i].name + "\"");
        }
        if (!last) return fail(reason_of_last, clean_text(last.error().message));
        status.phase = Phase::Completed;
        status.reason = "HooksCompleted";
        status.message.clear();
        status.stage = Stage::Prepared;
      },
      store_deadline()));
}

RunEnd HookRunner::run_group(std::size_t first, std::size_t last, Deadline preparation_deadline) {
  std::atomic<std::size_t> next{first};
  std::mutex mutex;
  RunEnd end = RunEnd::Finished;  // guarded by mutex: the worst of all
  std::exception_ptr bug;         // guarded by mutex
  const auto work = [&] {
    try {
      HookExecutor executor(record_, peers_, clock_, options_, stop_);
      for (std::size_t index = next++; index < last; index = next++) {
        const auto one = run_hook(executor, index, preparation_deadline);
        const std::lock_guard lock(mutex);
        end = std::max(end, one);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      bug = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(last - first, kParallelMax); ++i) threads.emplace_back(work);
  }
  if (bug) std::rethrow_exception(bug);
  return end;
}

Status HookRunner::begin_hook(const PreparationSpec& spec, std::size_t index) {
  const Hook& hook = spec.hooks[index];
  return record_.update(
      [&](PreparationStatus& status) {
        for (std::size_t i = status.hooks.size(); i < spec.hooks.size(); ++i) {
          HookStatus entry;
          entry.name = spec.hooks[i].name;
          status.hooks.push_back(std::move(entry));
        }
        auto& entry = status.hooks[index];
        // A script that was left running is the same attempt: its Job has that number.
        const bool attached = entry.phase == HookPhase::Running && std::holds_alternative<ScriptAction>(hook.action);
        if (!attached || entry.attempts == 0) entry.attempts += 1;
        entry.phase = HookPhase::Running;
        entry.start_time = clock_.wall_now();
        entry.completion_time.reset();
        entry.message.clear();
      },
      store_deadline());
}

RunEnd HookRunner::run_hook(HookExecutor& executor, std::size_t index, Deadline preparation_deadline) {
  const auto before = record_.snapshot();
  if (settled(before.status, index)) return RunEnd::Finished;
  const Hook& hook = before.spec.hooks[index];
  if (auto begun = begin_hook(before.spec, index); !begun) return end_of(begun);

  const auto started = clock_.steady_now();
  const auto result = executor.run(index, std::min(started + hook.timeout, preparation_deadline));
  if (stop_.stop_requested() || record_.lost()) return RunEnd::Interrupted;

  const auto took = std::chrono::round<seconds>(clock_.steady_now() - started);
  const auto written = record_.update(
      [&](PreparationStatus& status) {
        auto& entry = status.hooks[index];
        entry.phase = result ? result->phase : HookPhase::Failed;
        entry.completion_time = clock_.wall_now();
        entry.message = result ? result->message : failure_text(hook, result.error(), took);
        status.message.clear();
      },
      store_deadline());
  if (written) executor.clean_up(index);
  return end_of(written);
}

Status HookRunner::for_each_setting(
    Deadline deadline, const std::function<Result<bool>(const Hook& hook, const SettingReading& reading)>& visit) {
  const auto record = record_.snapshot();
  for (std::size_t i = 0; i < record.spec.hooks.size(); ++i) {
    const auto& hook = record.spec.hooks[i];
    const ConfigSetting* setting = setting_of(hook);
    if (setting == nullptr || holds_nothing(record.status, i)) continue;
    const auto frontends = executor_.fleet(deadline);
    if (!frontends) return frontends.error();
    const auto reading = (*frontends)->read(setting->key, deadline);
    if (!reading) {
      // A version that no longer has the item cannot have it wrong.
      if (reading.error().code == ErrorCode::NotFound) continue;
      return reading.error();
    }
    const auto on = visit(hook, *reading);
    if (!on) return on.error();
    if (!*on) return Ok{};
  }
  return Ok{};
}

Status HookRunner::reassert(seconds budget, std::string& detail) {
  const Deadline deadline = clock_.steady_now() + budget;
  if (record_.snapshot().spec.mode == PreparationMode::Verify) {
    std::string drifted;
    const auto held = holds(deadline, drifted);
    if (!held) return held.error();
    if (!*held) return Error{ErrorCode::Rejected, drifted};
    return Ok{};
  }
  return for_each_setting(deadline, [&](const Hook& hook, const SettingReading& reading) -> Result<bool> {
    const auto missing = reading.differing(setting_of(hook)->value);
    if (!missing) return true;
    detail += (detail.empty() ? "" : "; ") + hook.name + " on FE " + missing->frontend;
    if (auto set = executor_.apply_setting(hook, deadline); !set) return set.error();
    return true;
  });
}

Result<bool> HookRunner::holds(Deadline deadline, std::string& drifted) {
  const auto walked = for_each_setting(deadline, [&](const Hook& hook, const SettingReading& reading) -> Result<bool> {
    const auto missing = reading.differing(setting_of(hook)->value);
    if (missing) drifted = reading.canonical_key + " is \"" + missing->value + "\" on FE " + missing->frontend;
    return !missing;
  });
  if (!walked) return walked.error();
  if (!drifted.empty() || record_.snapshot().spec.mode == PreparationMode::Run) return drifted.empty();
  const auto external = executor_.external(deadline);
  if (!external) return external.error();
  const bool vouched = external->state == ExternalPreparation::State::NotKept ||
                       external->state == ExternalPreparation::State::Completed;
  if (!vouched) drifted = external->detail;
  return vouched;
}

Status HookRunner::restore(seconds budget) {
  const Deadline deadline = clock_.steady_now() + budget;
  Status all = Ok{};
  const auto status = record_.snapshot().status;
  for (const auto& captured : status.captured) {
    // One setting that an FE refuses must not keep the others from being put back.
    if (auto done = put_back(captured, deadline); !done && all) all = done;
  }
  for (auto owed = status.undo.rbegin(); owed != status.undo.rend(); ++owed) {
    if (stop_.stop_requested() || record_.lost()) return Error{ErrorCode::Unavailable, "stopped"};
    auto done = executor_.undo(*owed, deadline);
    if (!done && all) {
      all = Error{done.error().code, "undo of hook \"" + owed->hook + "\": " + done.error().message};
    }
  }
  return all;
}

Status HookRunner::put_back(const CapturedSetting& captured, Deadline deadline) {
  const auto frontends = executor_.fleet(deadline);
  if (!frontends) return frontends.error();
  for (;;) {
    const auto reading = (*frontends)->read(captured.key, deadline);
    if (!reading && reading.error().code == ErrorCode::NotFound) {
      // The new version has no such item, so nothing of ours is left in it.
      return record_.update(
          [&](PreparationStatus& status) {
            std::erase(status.captured, captured);
            status.message = "the FE no longer knows " + captured.key + "; there is nothing to put back";
          },
          store_deadline());
    }
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
    if (clock_.steady_now() + kReadBackPause >= deadline || !executor_.pause(kReadBackPause)) {
      return Error{ErrorCode::DeadlineExceeded, captured.key + " is not back to \"" + captured.value + "\" yet"};
    }
  }
}

Result<std::vector<DatabaseNode>> HookRunner::nodes(Deadline deadline) {
  const auto frontends = executor_.fleet(deadline);
  if (!frontends) return frontends.error();
  return (*frontends)->nodes(deadline);
}

}  // namespace gate
