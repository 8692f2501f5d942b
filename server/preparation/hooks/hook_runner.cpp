#include "server/preparation/hooks/hook_runner.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <random>
#include <thread>

#include "policy/hooks/sent_sql.hpp"
#include "policy/text/text.hpp"
#include "policy/text/url.hpp"
#include "server/base/guarded.hpp"
#include "server/preparation/hooks/settings.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One look at all settings before a preparation is called completed.
constexpr seconds kConfirmBudget{15};
/// A pass takes no further hook once it took this long: others wait for its worker.
constexpr seconds kPassBudget{5};
/// What a hook waits for is written to the record when it changed, and not more often than this.
constexpr milliseconds kShowPause{5000};
/// For one look after the hook's time.
constexpr seconds kLastLook{1};
/// Between two runs of a script that failed.
constexpr milliseconds kScriptPause{2000};
/// For what a change is to cure: long enough for one that answers slowly, and for nothing else.
constexpr seconds kCurePatience{10};
/// Hooks of one group at the same time: each holds a thread here and a connection there.
constexpr std::size_t kParallelMax = 16;
/// A hook's failure with its statement and the advice; more is a page, not a message.
constexpr std::size_t kFailureMax = 800;
constexpr std::size_t kShownStatementMax = 160;

/// Whether its begin and its end go with the next write of the record: it takes no longer than a few exchanges, is safe
/// to repeat, and what it is about to overwrite is written by itself before. A write each would be most of what a
/// preparation costs the API server.
bool is_told_later(const Hook& hook) { return setting_of(hook) != nullptr; }

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

bool is_cured(const PreparationSpec& spec, Component component) {
  return std::find(spec.cures.begin(), spec.cures.end(), component) != spec.cures.end();
}

/// What the hook waits for may be down because of the very rollout that the change replaces.
bool cured_by_change(const PreparationSpec& spec, const Hook& hook) {
  const bool elsewhere =
      std::holds_alternative<HttpAction>(hook.action) || std::holds_alternative<ScriptAction>(hook.action);
  if (!elsewhere && is_cured(spec, Component::Frontend)) return true;
  const auto* probe = std::get_if<ProbeAction>(&hook.action);
  if (probe == nullptr) return false;
  if (probe->probe == Probe::BackendsAlive) return is_cured(spec, Component::Backend);
  if (probe->probe != Probe::ComputeNodesAlive) return false;
  return is_cured(spec, Component::ComputeNode) || is_cured(spec, Component::Warehouse);
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

/// StarRocks: wrong password, unknown user, or one that may not log in from here.
constexpr int kLoginDenied = 1045;
/// HTTP, of the API server.
constexpr int kForbidden = 403;

/// StarRocks: missing privilege (3.x, with Ranger; 2.5 of the system, a database, a table), or no login.
bool lacks_privilege(int code) {
  constexpr std::array kCodes{5203, 5204, 1227, 1044, 1142, kLoginDenied};
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

/// A refusal that is about something else than the system: a table, a database, a catalogue.
bool is_about_data(const Error& error) {
  constexpr int kDatabase = 1044;
  constexpr int kTable = 1142;
  if (error.peer_code == kDatabase || error.peer_code == kTable) return true;
  const auto names = [&](std::string_view text) { return error.message.find(text) != std::string::npos; };
  return names(" privilege(s) on ") && !names("OPERATE") && !names("NODE");
}

/// What a read was refused for passes by itself: no node is there to answer it, or not in time.
bool tells_of_cluster(const Error& error) {
  // Time-out, nodes that crashed, a lock, a warehouse that is suspended, not available, or without nodes.
  constexpr std::array kCodes{5024, 5077, 5300, 5903, 5904, 5905};
  return std::find(kCodes.begin(), kCodes.end(), error.peer_code) != kCodes.end() ||
         error.message.find("Backend node not found. ") != std::string::npos ||
         error.message.find("Compute node not found. ") != std::string::npos;
}

bool is_alive_check(const Hook& hook) {
  const auto* probe = std::get_if<ProbeAction>(&hook.action);
  return probe != nullptr && (probe->probe == Probe::FrontendsAlive || probe->probe == Probe::BackendsAlive ||
                              probe->probe == Probe::ComputeNodesAlive);
}

std::string advice(const Hook& hook, const Error& error) {
  const bool on_frontend =
      !std::holds_alternative<HttpAction>(hook.action) && !std::holds_alternative<ScriptAction>(hook.action);
  const bool waits =
      std::holds_alternative<ProbeAction>(hook.action) || std::holds_alternative<QueryAction>(hook.action);
  const bool forbidden = error.peer_code == kForbidden && (on_frontend || error.code == ErrorCode::Misconfigured);
  if (forbidden) return "check that the gate's service account may read it";
  if (error.code == ErrorCode::Misconfigured) return "correct what is named there: the hook is not at fault";
  if (error.peer_code == kLoginDenied) {
    return "check the user and the password that the gate logs in with (docs/reference.md, The FE's login), and that "
           "the user may log in from the gate's address";
  }
  if (on_frontend && is_about_data(error)) {
    return "give the gate's FE user the privilege that is named there (GRANT ... TO USER ...), or a role that has it, "
           "as a default role";
  }
  if (on_frontend && error.code == ErrorCode::PermissionDenied && !lacks_privilege(error.peer_code)) {
    return "check the address that the gate logs in to, its TLS and the account's kind of login (docs/reference.md, "
           "The FE's login)";
  }
  if (on_frontend && lacks_privilege(error.peer_code)) {
    return "give the gate's FE user this privilege: GRANT OPERATE ON SYSTEM TO USER ...; for ALTER SYSTEM the role "
           "cluster_admin, as a default role";
  }
  switch (error.code) {
    case ErrorCode::DeadlineExceeded:
    case ErrorCode::Unavailable:
      if (is_alive_check(hook)) {
        return "fix the nodes, or roll back to the images that all pods last ran, which is always admitted; a "
               "node that was scaled in stays in the list until ALTER SYSTEM DROP";
      }
      return waits ? "fix the cluster, or increase the hook's timeoutSeconds"
                   : "check that what the hook calls is up, or increase its timeoutSeconds";
    case ErrorCode::PermissionDenied:
      return std::holds_alternative<ScriptAction>(hook.action)
                 ? "check what the namespace allows the gate (rights, quotas, policies), or remove the hook"
                 : "resolve it with that service, or remove the hook";
    case ErrorCode::InvalidInput:
    case ErrorCode::NotFound:
      return "correct the hook";
    case ErrorCode::AlreadyExists:
    case ErrorCode::Conflict:
    case ErrorCode::Misconfigured:
    case ErrorCode::Internal:
    case ErrorCode::Rejected:
      break;
  }
  return "correct the hook, or fix what it talks to";
}

/// Says what the hook was about, but for SQL that is not sent: it may hold a password.
std::string failure_text(const Hook& hook, const Error& error, seconds given, const std::vector<SqlKind>& further_sql) {
  std::string text =
      (hook.critical ? "critical hook \"" : "hook \"") + hook.name + "\" failed: " + clean_text(error.message, 400);
  if (error.code == ErrorCode::DeadlineExceeded || error.code == ErrorCode::Unavailable) {
    text += " (gave up after " + std::to_string(given.count()) + " s)";
  }
  const std::string subject = judge_sent_sql(hook, further_sql) ? subject_of(hook) : std::string{};
  if (!subject.empty() && error.message.find(subject) == std::string::npos) {
    text += "; it was: " + clean_text(subject, kShownStatementMax);
  }
  return clean_text(text + "; " + advice(hook, error), kFailureMax);
}

/// Worth another look whatever the hook says. The gate's own checks are right as they are, so a refusal tells of the
/// cluster (no leader, no backend) and not of the check; a privilege that is missing stays missing.
bool is_repeated(const Hook& hook, const Error& error) {
  if (is_transient(error)) return true;
  if (error.code != ErrorCode::Rejected || lacks_privilege(error.peer_code)) return false;
  return std::holds_alternative<ProbeAction>(hook.action) ||
         (std::holds_alternative<QueryAction>(hook.action) && tells_of_cluster(error));
}

}  // namespace

struct HookRunner::Progress {
  explicit Progress(const RetryPolicy& retry) : backoff(retry.base, retry.max) {}

  bool begun = false;
  SteadyTime began{};
  Deadline deadline{};
  SteadyTime next_look{};
  Backoff backoff;   ///< Between two looks that failed.
  int refusals = 0;  ///< SQL errors so far.
  std::string seen;  ///< By the last look that did not fail.
  std::string shown;
  SteadyTime shown_at{};
  std::unique_ptr<HookContext> own;  ///< Of a hook that runs beside others.
};

HookRunner::HookRunner(ClaimedRecord& record, const HookPeers& peers, const Clock& clock,
                       const HookRunnerOptions& options, const std::stop_token& stop)
    : record_(record),
      peers_(peers),
      clock_(clock),
      options_(options),
      stop_(stop),
      context_(record, peers, clock, options.further_sql) {}

HookRunner::~HookRunner() = default;

/// From the record's start, so that a replica that takes over does not begin to count anew.
Deadline HookRunner::preparation_deadline() const {
  const auto now = clock_.wall_now();
  const auto elapsed = std::max(seconds(0), now - record_.snapshot().status.start_time.value_or(now));
  return clock_.steady_now() + std::max(seconds(0), options_.preparation_timeout - elapsed);
}

Pass HookRunner::end_of(const Status& written) const {
  if (written) return {};
  return {record_.lost() ? RunEnd::Interrupted : RunEnd::RetryLater, {}};
}

HookRunner::Progress& HookRunner::progress_of(std::size_t index) {
  auto& entry = progress_[index];
  if (!entry) entry = std::make_unique<Progress>(options_.retry);
  return *entry;
}

Pass HookRunner::prepare() {
  if (stop_.stop_requested() || record_.lost()) return {RunEnd::Interrupted, {}};
  const auto spec = record_.snapshot().spec;
  const Deadline deadline = preparation_deadline();
  const auto pass_ends = clock_.steady_now() + kPassBudget;
  for (std::size_t first = 0; first < spec.hooks.size();) {
    std::size_t last = first + 1;
    const auto& group = spec.hooks[first].group;
    while (!group.empty() && last < spec.hooks.size() && spec.hooks[last].group == group) ++last;
    auto record = record_.snapshot();
    bool open = false;
    bool begun = false;
    for (std::size_t i = first; i < last; ++i) {
      open = open || !settled(record.status, i);
      begun = begun || progress_.contains(i);
    }
    if (open) {
      const auto now = clock_.steady_now();
      if (now >= deadline && !begun) return finish(spec, Ok{}, "");
      if (now >= pass_ends) return {RunEnd::ComeAgain, milliseconds{0}};
      const auto pass = run_group(first, last, deadline);
      if (pass.end != RunEnd::Finished) return pass;
      record = record_.snapshot();
    }
    for (; first < last; ++first) {
      if (failed_critically(record, first)) return finish(spec, Ok{}, "");
    }
  }
  return confirm(spec, deadline);
}

Pass HookRunner::confirm(const PreparationSpec& spec, Deadline preparation_deadline) {
  if (spec.mode == PreparationMode::Verify) {
    if (auto pass = await_external(spec, preparation_deadline); pass.end != RunEnd::Finished) return pass;
    if (record_.snapshot().status.phase == Phase::Failed) return {};
  }
  // What an early hook set may be gone by the end of a late one: an FE restarted, or the process that ran the early one
  // did. All settings are read back once all hooks are through, and set again where they are missing.
  std::string detail;
  const auto last = reassert(kConfirmBudget, detail);
  if (stop_.stop_requested() || record_.lost()) return {RunEnd::Interrupted, {}};
  // An FE that does not answer is what the change is to cure; what it holds is not known, and admission says so.
  if (!last && is_transient(last.error()) && is_cured(spec, Component::Frontend)) return finish(spec, Ok{}, "");
  auto& progress = progress_of(spec.hooks.size());
  if (!last && is_transient(last.error()) && clock_.steady_now() < preparation_deadline) {
    show(progress, "the last read-back", last.error().message);
    return {RunEnd::ComeAgain, progress.backoff.next()};
  }
  return finish(spec, last, "SettingsNotHeld");
}

Pass HookRunner::await_external(const PreparationSpec& spec, Deadline preparation_deadline) {
  auto& progress = progress_of(spec.hooks.size());
  const auto now = clock_.steady_now();
  if (!progress.begun) {
    auto patience = kHookTimeoutDefault;
    for (const auto& hook : spec.hooks) patience = std::max(patience, hook.timeout);
    progress.deadline = std::min(preparation_deadline, now + patience);
    progress.begun = true;
  }
  Hook others;
  others.name = "preparation by others";
  Pass pass;
  const auto end =
      judge(context_, progress, others, spec.hooks.size(), look_at_external(context_, progress.deadline), pass);
  if (stop_.stop_requested() || record_.lost()) return {RunEnd::Interrupted, {}};
  if (!end) return pass;
  if (*end) return {};
  const auto finished = finish(spec, end->error(), "ExternalPreparationNotCompleted");
  return finished;
}

Pass HookRunner::finish(const PreparationSpec& spec, const Status& last, const char* reason_of_last) {
  return end_of(record_.update(
      [&](PreparationStatus& status) {
        status.completion_time = clock_.wall_now();
        // Written ahead of hooks that then did not set it.
        forget_unset(status, context_.unset);
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
      context_.store_deadline()));
}

Pass HookRunner::run_group(std::size_t first, std::size_t last, Deadline preparation_deadline) {
  if (last - first == 1) return run_hook(context_, progress_of(first), first, preparation_deadline);
  for (std::size_t i = first; i < last; ++i) {
    auto& progress = progress_of(i);
    if (!progress.own) progress.own = std::make_unique<HookContext>(record_, peers_, clock_, options_.further_sql);
  }
  std::atomic<std::size_t> next{first};
  struct GroupEnd {
    Pass worst;  ///< Of those that wait, the first to be looked at.
    std::exception_ptr bug;
  };
  Guarded<GroupEnd> outcome;
  const auto work = [&] {
    try {
      for (std::size_t index = next++; index < last; index = next++) {
        auto& progress = *progress_.at(index);
        const auto one = run_hook(*progress.own, progress, index, preparation_deadline);
        const auto so_far = outcome.lock();
        Pass& worst = so_far->worst;
        const bool sooner = one.end == worst.end && one.again < worst.again;
        if (one.end > worst.end || sooner) worst = one;
      }
    } catch (...) {
      outcome.lock()->bug = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (std::size_t i = 0; i < std::min(last - first, kParallelMax); ++i) threads.emplace_back(work);
    } catch (const std::exception&) {  // No thread, or no memory: those that are there do it all, and this one.
      work();
    }
  }
  const auto all = outcome.lock();
  if (all->bug) std::rethrow_exception(all->bug);
  if (all->worst.end == RunEnd::Finished) {
    for (std::size_t i = first; i < last; ++i) progress_.at(i)->own.reset();
  }
  return all->worst;
}

Status HookRunner::begin_hook(Progress& progress, const PreparationSpec& spec, std::size_t index,
                              Deadline preparation_deadline) {
  const Hook& hook = spec.hooks[index];
  const auto begun = [hooks = spec.hooks, index, now = clock_.wall_now()](PreparationStatus& status) {
    for (std::size_t i = status.hooks.size(); i < hooks.size(); ++i) {
      HookStatus entry;
      entry.name = hooks[i].name;
      status.hooks.push_back(std::move(entry));
    }
    auto& entry = status.hooks[index];
    // Whoever ran it before died, or lost the claim: its time begins anew, since two machines' clocks may be hours
    // apart. A script that was left running is the same attempt: its Job has that number.
    const bool attached =
        entry.phase == HookPhase::Running && std::holds_alternative<ScriptAction>(hooks[index].action);
    if (!attached || entry.attempts == 0) entry.attempts += 1;
    entry.start_time = now;
    entry.phase = HookPhase::Running;
    entry.completion_time.reset();
    entry.message.clear();
  };
  if (is_told_later(hook)) {
    record_.update_later(begun);
  } else if (auto written = record_.update(begun, context_.store_deadline()); !written) {
    return written;
  }
  progress.begun = true;
  progress.began = clock_.steady_now();
  const auto patience = cured_by_change(spec, hook) ? std::min(hook.timeout, kCurePatience) : hook.timeout;
  progress.deadline = std::min(progress.began + patience, preparation_deadline);
  return Ok{};
}

Pass HookRunner::run_hook(HookContext& context, Progress& progress, std::size_t index, Deadline preparation_deadline) {
  const auto before = record_.snapshot();
  if (settled(before.status, index)) return {};
  if (!progress.begun) {
    if (auto begun = begin_hook(progress, before.spec, index, preparation_deadline); !begun) return end_of(begun);
  }
  const auto now = clock_.steady_now();
  if (now < progress.next_look) return {RunEnd::ComeAgain, std::chrono::ceil<milliseconds>(progress.next_look - now)};
  const Hook& hook = before.spec.hooks[index];
  Pass pass;
  // One look is due to a hook whose time went by while nobody could take it.
  auto looked = look_at_hook(context, index, std::max(progress.deadline, now + kLastLook));
  if (stop_.stop_requested() || record_.lost()) return {RunEnd::Interrupted, {}};
  auto end = judge(context, progress, hook, index, std::move(looked), pass);
  if (stop_.stop_requested() || record_.lost()) return {RunEnd::Interrupted, {}};
  if (end && !*end && cured_by_change(before.spec, hook) && is_transient(end->error())) {
    end = Look{Look::State::Skipped,
               "not waited for, since this change may fix it: " + clean_text(end->error().message, 400)};
  }
  return end ? end_hook(context, progress, hook, index, *end) : pass;
}

std::optional<Result<Look>> HookRunner::judge(HookContext& context, Progress& progress, const Hook& hook,
                                              std::size_t index, Result<Look> looked, Pass& pass) {
  const auto now = clock_.steady_now();
  const auto come_again = [&](milliseconds wait) {
    progress.next_look = now + wait;
    pass = {RunEnd::ComeAgain, wait};
  };
  if (looked) {
    if (looked->state != Look::State::NotYet) return looked;
    progress.backoff.reset();
    show(progress, hook.name, looked->text);
    progress.seen = looked->text;
    if (now >= progress.deadline) return Result<Look>(Error{ErrorCode::DeadlineExceeded, progress.seen});
    // To the deadline, not to the last whole interval before it.
    const auto left = std::chrono::ceil<milliseconds>(progress.deadline - now);
    come_again(std::min({looked->again, options_.poll_max, left}));
    return std::nullopt;
  }
  auto error = looked.error();
  if (is_repeated(hook, error) || (error.code == ErrorCode::Rejected && progress.refusals++ < hook.retries)) {
    const bool script = error.code == ErrorCode::Rejected && std::holds_alternative<ScriptAction>(hook.action);
    const auto wait = script ? std::min(kScriptPause, options_.poll_max) : progress.backoff.next();
    if (now + wait < progress.deadline) {
      // A Job that failed stays failed: the next try is a Job of its own.
      if (script) {
        if (auto counted = begin_next_script(context, index); !counted) {
          pass = end_of(counted);
          return std::nullopt;
        }
      }
      show(progress, hook.name, progress.seen.empty() ? error.message : progress.seen + "; then: " + error.message);
      come_again(wait);
      return std::nullopt;
    }
  }
  // What was seen until a look failed is what people want to know; where it failed for a reason of its own, that first,
  // since a long text is cut. What a script's Job says in the end tells all by itself.
  const bool tells_all = error.code == ErrorCode::Rejected && std::holds_alternative<ScriptAction>(hook.action);
  if (!progress.seen.empty() && !tells_all) {
    error.message = error.code == ErrorCode::Rejected ? error.message + "; before that: " + progress.seen
                                                      : progress.seen + "; then: " + error.message;
  }
  return Result<Look>(error);
}

Pass HookRunner::end_hook(HookContext& context, Progress& progress, const Hook& hook, std::size_t index,
                          const Result<Look>& end) {
  const auto took = std::chrono::round<seconds>(clock_.steady_now() - progress.began);
  HookStatus ended;
  ended.phase = !end                                 ? HookPhase::Failed
                : end->state == Look::State::Skipped ? HookPhase::Skipped
                                                     : HookPhase::Completed;
  ended.completion_time = clock_.wall_now();
  ended.message = end ? end->text : failure_text(hook, end.error(), took, options_.further_sql);
  const auto tell = [ended, index](PreparationStatus& status) {
    auto& entry = status.hooks[index];
    entry.phase = ended.phase;
    entry.completion_time = ended.completion_time;
    entry.message = ended.message;
    status.message.clear();
  };
  if (end && is_told_later(hook)) {
    record_.update_later(tell);
    return {};
  }
  const auto written = record_.update(tell, context.store_deadline());
  if (written) clean_up_hook(context, index);
  return end_of(written);
}

void HookRunner::show(Progress& progress, const std::string& hook, const std::string& observed) {
  const auto now = clock_.steady_now();
  if (observed == progress.shown || (!progress.shown.empty() && now - progress.shown_at < kShowPause)) return;
  progress.shown = observed;
  progress.shown_at = now;
  // For people only: a store that is away right now is met again by the write that counts.
  (void)record_.update(
      [&](PreparationStatus& status) {
        status.message = clean_text("waits for \"" + hook + "\": " + observed);
        for (auto& entry : status.hooks) {
          if (entry.name == hook) entry.message = clean_text(observed);
        }
      },
      context_.store_deadline());
}

Status HookRunner::reassert(seconds budget, std::string& detail, const std::vector<std::string>& yielded) {
  const Deadline deadline = clock_.steady_now() + budget;
  const auto record = record_.snapshot();
  if (record.spec.mode == PreparationMode::Verify) {
    std::string drifted;
    const auto held = holds(deadline, drifted);
    if (!held) return held.error();
    if (!*held) return Error{ErrorCode::Rejected, drifted};
    return Ok{};
  }
  const auto hooks = settings_to_hold(record);
  if (hooks.empty()) return Ok{};
  const auto frontends = context_.fleet(deadline);
  if (!frontends) return frontends.error();
  const auto applied = Settings(record_, **frontends, clock_, options_.further_sql, context_.unset)
                           .apply(hooks, false, deadline, detail, yielded);
  return applied ? applied : Status(context_.hide(applied.error()));
}

Result<bool> HookRunner::holds(Deadline deadline, std::string& drifted) {
  const auto record = record_.snapshot();
  if (has_no_effect(record)) return true;
  const auto frontends = context_.fleet(deadline);
  if (!frontends) return frontends.error();
  return settings_hold(record, **frontends, peers_.clusters, deadline, drifted);
}

bool has_no_effect(const Preparation& record) {
  return record.spec.mode == PreparationMode::Run && settings_to_hold(record).empty();
}

Result<bool> settings_hold(const Preparation& record, FrontendFleet& fleet, ClusterAccess& clusters, Deadline deadline,
                           std::string& drifted) {
  auto drift = find_drift(fleet, settings_to_hold(record), deadline);
  if (!drift) return drift.error();
  drifted = std::move(drift).value();
  if (!drifted.empty() || record.spec.mode == PreparationMode::Run) return drifted.empty();
  const auto external = external_preparation_of(clusters, record, deadline);
  if (!external) return external.error();
  const bool vouched = external->state == ExternalPreparation::State::NotKept ||
                       external->state == ExternalPreparation::State::Completed;
  if (!vouched) drifted = external->detail;
  return vouched;
}

Result<Restored> HookRunner::restore(seconds budget, const std::optional<std::vector<CapturedSetting>>& left) {
  const Deadline deadline = clock_.steady_now() + budget;
  Status all = Ok{};
  const auto status = record_.snapshot().status;
  const auto& captured = left ? *left : status.captured;
  if (!captured.empty()) {
    const auto frontends = context_.fleet(deadline);
    all = frontends ? Settings(record_, **frontends, clock_, options_.further_sql, context_.unset)
                          .restore(captured, std::random_device{}(), deadline)
                    : Status(frontends.error());
  }
  auto end = Restored::Proven;
  for (auto pending = status.undo.rbegin(); pending != status.undo.rend(); ++pending) {
    if (stop_.stop_requested() || record_.lost()) return Error{ErrorCode::Unavailable, "stopped"};
    auto done = undo(context_, *pending, deadline);
    if (done && done->state == Look::State::NotYet) {
      end = Restored::ScriptRuns;
      break;  // those before it are undone after it
    }
    if (!done && all) {
      all = Error{done.error().code, "undo of hook \"" + pending->hook + "\": " + done.error().message};
    }
  }
  if (!all) return context_.hide(all.error());
  return end;
}

Result<std::vector<DatabaseNode>> HookRunner::nodes(Deadline deadline) {
  const auto frontends = context_.fleet(deadline);
  if (!frontends) return frontends.error();
  return (*frontends)->nodes(deadline);
}

}  // namespace gate
