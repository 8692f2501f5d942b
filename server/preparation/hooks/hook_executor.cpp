#include "server/preparation/hooks/hook_executor.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "policy/hooks/comparison.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/record/http_hook.hpp"
#include "policy/text/text.hpp"
#include "server/preparation/hooks/left_scripts.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One exchange with the API server; it answers within a few milliseconds or is in trouble.
constexpr seconds kStoreTimeout{10};
/// One look at a setting over all FEs. A hung FE must not eat the hook's whole time.
constexpr seconds kReadTimeout{5};
/// One look of a check, for the same reason: the next connection may lead to another FE.
constexpr seconds kLookTimeout{30};
/// One broadcast of a setting, and not more than half of the hook's time. An FE that hangs stalls it for minutes; only
/// the read-back tells which one that is.
constexpr seconds kSetTimeout{30};
/// One call of an HTTP hook; it asks for a verdict, not for work.
constexpr seconds kHttpTimeout{10};
/// An FE that did not take a broadcast is asked again this often within the hook's time.
constexpr milliseconds kReadBackPause{200};
/// Between two looks at a script's Job.
constexpr milliseconds kJobPoll{2000};
/// What a hook waits for is written to the record when it changed, and not more often than this.
constexpr milliseconds kShowPause{5000};

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

/// A statement that changes nothing, so that it may run in verify mode.
bool only_reads(const std::string& sql) {
  const auto tokens = tokenize_sql(sql);
  const auto word = [&](std::size_t index, std::string_view wanted) {
    if (!tokens || tokens->size() <= index || (*tokens)[index].kind != SqlTokenKind::Word) return false;
    const auto& text = (*tokens)[index].text;
    return std::equal(text.begin(), text.end(), wanted.begin(), wanted.end(),
                      [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; });
  };
  return word(0, "SHOW") || word(0, "SELECT") || (word(0, "ADMIN") && word(1, "SHOW"));
}

/// What is to be undone whatever becomes of the hook. A setting is not among it: it is captured when its old value is
/// known.
std::optional<OwedUndo> undo_of(const Hook& hook) {
  if (setting_of(hook) != nullptr || hook.restore == RestoreMode::None) return std::nullopt;
  if (hook.restore == RestoreMode::Statement) return OwedUndo{hook.name, hook.restore_sql, {}, hook.timeout};
  const auto* script = std::get_if<ScriptAction>(&hook.action);
  if (script == nullptr || !script->post_upgrade) return std::nullopt;
  return OwedUndo{hook.name, {}, script->script, hook.timeout};
}

/// "PENDING, wanted = FINISHED" of the rows that do not satisfy the check.
Result<Observation> compare_rows(const QueryResult& rows, const QueryAction& action) {
  const std::string wanted = "wanted " + std::string(to_string(action.comparison)) + " " + action.value;
  if (action.column.empty() && (rows.columns.size() != 1 || rows.rows.size() != 1)) {
    return Error{ErrorCode::InvalidInput, "the check compares one value, but the answer has " +
                                              std::to_string(rows.rows.size()) + " rows and " +
                                              std::to_string(rows.columns.size()) + " columns: name a column"};
  }
  if (!action.column.empty() && !rows.column(action.column)) {
    return Error{ErrorCode::InvalidInput, "the answer has no column \"" + action.column + "\""};
  }
  const std::string column = action.column.empty() ? rows.columns.front() : action.column;
  std::size_t missed = 0;
  std::string first;
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    const std::string value = rows.text(row, column);
    if (satisfies(value, action.comparison, action.value)) continue;
    if (missed++ == 0) first = value;
  }
  if (missed == 0) return Observation{true, {}};
  std::string text = clean_text(column, 60) + " is \"" + clean_text(first, 100) + "\"";
  if (missed > 1) text += " (and " + std::to_string(missed - 1) + " more rows)";
  return Observation{false, text + ", " + clean_text(wanted, 100)};
}

}  // namespace

bool out_of_reach(const Error& error) {
  return error.code == ErrorCode::Unavailable || error.code == ErrorCode::DeadlineExceeded;
}

HookExecutor::HookExecutor(ClaimedRecord& record, const HookPeers& peers, const Clock& clock,
                           const HookRunnerOptions& options, std::stop_token stop)
    : record_(record),
      clusters_(peers.clusters),
      connector_(peers.connector, record),
      http_(peers.http, record),
      scripts_(peers.scripts, record),
      clock_(clock),
      options_(options),
      stop_(std::move(stop)),
      mode_(record.snapshot().spec.mode),
      random_(std::random_device{}()) {}

Deadline HookExecutor::store_deadline() const { return clock_.steady_now() + kStoreTimeout; }

bool HookExecutor::pause(milliseconds duration) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  return !stopped.wait_for(lock, stop_, duration, [this] { return stop_.stop_requested(); });
}

Status HookExecutor::retry(Deadline deadline, int retries, const std::function<Status()>& step) {
  auto ceiling = options_.retry.base;
  for (;;) {
    auto result = step();
    if (result || record_.lost() || stop_.stop_requested()) return result;
    if (!out_of_reach(result.error()) && (result.error().code != ErrorCode::Rejected || retries-- <= 0)) return result;
    std::uniform_int_distribution<std::int64_t> jitter(1, ceiling.count());
    const milliseconds wait(jitter(random_));
    ceiling = std::min(ceiling * 2, options_.retry.max);
    if (clock_.steady_now() + wait >= deadline || !pause(wait)) return result;
  }
}

Result<HookDone> HookExecutor::poll(const std::string& hook, int retries, milliseconds interval, Deadline deadline,
                                    const std::function<Result<Observation>()>& look) {
  const auto wait = std::min(interval, options_.poll_max);
  shown_.clear();
  std::string before;  // What was seen until a look failed is what people want to know.
  for (;;) {
    Observation seen;
    const auto looked = retry(deadline, retries, [&]() -> Status {
      auto observed = look();
      if (!observed) return observed.error();
      seen = std::move(observed).value();
      return Ok{};
    });
    if (!looked) {
      auto error = looked.error();
      if (!before.empty()) error.message = before + "; then: " + error.message;
      return error;
    }
    if (seen.holds) return HookDone{HookPhase::Completed, seen.text};
    show(hook, seen.text);
    before = std::move(seen.text);
    // To the deadline, not to the last whole interval before it: what follows is then out of time, too.
    const auto left = std::chrono::ceil<milliseconds>(deadline - clock_.steady_now());
    if (!pause(std::clamp(left, milliseconds(0), wait)) || record_.lost() || clock_.steady_now() >= deadline) {
      return Error{ErrorCode::DeadlineExceeded, before};
    }
  }
}

void HookExecutor::show(const std::string& hook, const std::string& observed) {
  const auto now = clock_.steady_now();
  if (observed == shown_ || (!shown_.empty() && now - shown_at_ < kShowPause)) return;
  shown_ = observed;
  shown_at_ = now;
  // For people only: a store that is away right now is met again by the write that counts.
  (void)record_.update(
      [&](PreparationStatus& status) {
        // Once the outcome is known, progress of the undo must not replace the cause.
        if (status.phase == Phase::Failed || status.phase == Phase::Completed) return;
        status.message = clean_text("waits for \"" + hook + "\": " + observed);
        for (auto& entry : status.hooks) {
          if (entry.name == hook) entry.message = clean_text(observed);
        }
      },
      store_deadline());
}

Result<FrontendFleet*> HookExecutor::fleet(Deadline deadline) {
  if (!fleet_) {
    const auto record = record_.snapshot();
    auto access = clusters_.frontend_access(record.name_space, record.spec.cluster, deadline);
    if (!access) return access.error();
    fleet_.emplace(connector_, std::move(access).value());
  }
  return &*fleet_;
}

Result<HookDone> HookExecutor::run(std::size_t index, Deadline deadline) {
  const auto record = record_.snapshot();
  const Hook& hook = record.spec.hooks[index];
  if (!hook.run_mode.empty()) {
    const auto mode = run_mode(deadline);
    if (!mode) return mode.error();
    if (*mode != hook.run_mode) {
      return HookDone{HookPhase::Skipped, "for " + hook.run_mode + " clusters; this one is " + *mode};
    }
  }
  if (const auto undo = undo_of(hook); undo && mode_ == PreparationMode::Run) {
    if (auto owed = retry(deadline, 0, [&] { return owe(*undo); }); !owed) return owed.error();
  }
  struct Visitor {
    HookExecutor& self;
    const Hook& hook;
    std::size_t index;
    Deadline deadline;
    Result<HookDone> operator()(const SqlAction& action) { return self.run_sql(hook, action, deadline); }
    Result<HookDone> operator()(const ProbeAction& action) { return self.run_probe(hook, action, deadline); }
    Result<HookDone> operator()(const QueryAction& action) { return self.run_query(hook, action, deadline); }
    Result<HookDone> operator()(const HttpAction& action) { return self.run_http(hook, action, deadline); }
    Result<HookDone> operator()(const ScriptAction&) { return self.run_script(hook, index, deadline); }
  };
  return std::visit(Visitor{*this, hook, index, deadline}, hook.action);
}

Result<std::string> HookExecutor::run_mode(Deadline deadline) {
  std::string mode;
  const auto read = retry(deadline, 0, [&]() -> Status {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto rows =
        (*frontends)->execute(show_config_sql("run_mode"), std::min(deadline, clock_.steady_now() + kReadTimeout));
    if (!rows) return rows.error();
    // Before 3.0 there was one kind only, and no such item.
    mode = rows->rows.empty() ? "shared_nothing" : clean_text(rows->text(0, "Value"), 40);
    return Ok{};
  });
  if (!read) return read.error();
  return mode;
}

Result<HookDone> HookExecutor::run_sql(const Hook& hook, const SqlAction& action, Deadline deadline) {
  if (mode_ == PreparationMode::Verify) {
    if (action.setting) return verify_setting(hook, deadline);
    if (!only_reads(action.sql)) return HookDone{HookPhase::Skipped, "verify mode changes nothing on the FE"};
  }
  if (action.setting) {
    if (auto set = apply_setting(hook, deadline); !set) return set.error();
    return HookDone{};
  }
  const auto done = retry(deadline, hook.retries, [&]() -> Status {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto result = (*frontends)->execute(action.sql, deadline);
    if (!result) return result.error();
    return Ok{};
  });
  if (!done) return done.error();
  return HookDone{};
}

Status HookExecutor::apply_setting(const Hook& hook, Deadline deadline) {
  const auto& sql = std::get<SqlAction>(hook.action).sql;
  const ConfigSetting& setting = *setting_of(hook);
  return retry(deadline, hook.retries, [&]() -> Status {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto read = [&] {
      return (*frontends)->read(setting.key, std::min(deadline, clock_.steady_now() + kReadTimeout));
    };
    auto reading = read();
    if (!reading) return reading.error();
    // Already so everywhere: somebody wants it so, and it stays so afterwards.
    if (!reading->differing(setting.value)) return Ok{};
    if (auto captured = capture(*reading, hook); !captured) return captured;

    const auto set_deadline = [&] {
      const auto now = clock_.steady_now();
      return std::min(now + kSetTimeout, now + (deadline - now) / 2);
    };
    auto set = (*frontends)->execute(sql, set_deadline());
    // Some FEs may have taken a statement that ended in an error; what was captured is put back by restore().
    if (!set) return set.error();
    for (;;) {
      reading = read();
      if (!reading) return reading.error();
      const auto missing = reading->differing(setting.value);
      if (!missing) return Ok{};
      if (clock_.steady_now() + kReadBackPause >= deadline || !pause(kReadBackPause)) {
        return Error{ErrorCode::DeadlineExceeded,
                     "FE " + missing->frontend + " still has \"" + missing->value + "\" after " + sql};
      }
      // An FE that was away during the broadcast never learns of it by itself: it is told at its own address.
      set = (*frontends)->execute_at(missing->address, sql, set_deadline());
      if (!set) return set.error();
    }
  });
}

Status HookExecutor::capture(const SettingReading& reading, const Hook& hook) {
  // Who took the claim over decides what is set from now on.
  if (record_.lost()) return Error{ErrorCode::Conflict, "the claim is lost"};
  if (hook.restore == RestoreMode::None) return Ok{};
  if (hook.restore == RestoreMode::Statement) return owe({hook.name, hook.restore_sql, {}, hook.timeout});
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

Status HookExecutor::owe(const OwedUndo& undo) {
  const auto owed = [&](const PreparationStatus& status) {
    return std::find(status.undo.begin(), status.undo.end(), undo) != status.undo.end();
  };
  if (owed(record_.snapshot().status)) return Ok{};
  return record_.update(
      [&](PreparationStatus& status) {
        if (owed(status)) return;
        status.undo.push_back(undo);
        status.restore_owed = true;
        status.restored_time.reset();
      },
      store_deadline());
}

Result<HookDone> HookExecutor::verify_setting(const Hook& hook, Deadline deadline) {
  const ConfigSetting& setting = *setting_of(hook);
  return poll(hook.name, hook.retries, kHookPollDefault, deadline, [&]() -> Result<Observation> {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto reading = (*frontends)->read(setting.key, std::min(deadline, clock_.steady_now() + kReadTimeout));
    if (!reading) return reading.error();
    const auto missing = reading->differing(setting.value);
    if (!missing) return Observation{true, "in force on every FE"};
    return Observation{false, reading->canonical_key + " is \"" + clean_text(missing->value, 100) + "\" on FE " +
                                  missing->frontend + ", wanted \"" + setting.value + "\""};
  });
}

Result<HookDone> HookExecutor::run_probe(const Hook& hook, const ProbeAction& action, Deadline deadline) {
  return poll(hook.name, hook.retries, kHookPollDefault, deadline, [&]() -> Result<Observation> {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    return observe(**frontends, action.probe, std::min(deadline, clock_.steady_now() + kLookTimeout));
  });
}

Result<HookDone> HookExecutor::run_query(const Hook& hook, const QueryAction& action, Deadline deadline) {
  return poll(hook.name, hook.retries, action.poll, deadline, [&]() -> Result<Observation> {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    // Somebody's own SELECT may take all of the hook's time.
    const auto rows = (*frontends)->execute_on_leader(action.sql, deadline);
    if (!rows) return rows.error();
    return compare_rows(*rows, action);
  });
}

Result<HookDone> HookExecutor::run_http(const Hook& hook, const HttpAction& action, Deadline deadline) {
  return poll(hook.name, hook.retries, action.poll, deadline, [&] { return ask_http(hook, action, deadline); });
}

Result<Observation> HookExecutor::ask_http(const Hook& hook, const HttpAction& action, Deadline deadline) {
  const auto record = record_.snapshot();
  const auto soon = std::min(deadline, clock_.steady_now() + kHttpTimeout);
  HttpCallRequest request{action.url, http_hook_request(record, hook), {}, action.ca_pem};
  if (!action.token_secret.empty()) {
    // Read for each call: a token that was rotated meanwhile is the valid one.
    auto token = clusters_.secret_value(record.name_space, action.token_secret, action.token_key, soon);
    if (!token) return token.error();
    request.bearer_token = std::move(token).value();
  }
  const auto reply = http_.post(request, soon);
  if (!reply) return reply.error();
  const auto verdict = read_http_verdict(reply->status, reply->body);
  switch (verdict.kind) {
    case HttpVerdict::Kind::Allow:
      return Observation{true, verdict.message};
    case HttpVerdict::Kind::Wait:
      return Observation{false, verdict.message.empty() ? "not yet" : "not yet: " + verdict.message};
    case HttpVerdict::Kind::Busy:
      return Error{ErrorCode::Unavailable, verdict.message, reply->status};
    case HttpVerdict::Kind::Deny:
      // Somebody's decision: asking again would be haggling.
      return Error{ErrorCode::PermissionDenied,
                   "denied" + (verdict.message.empty() ? std::string{} : ": " + verdict.message), reply->status};
    case HttpVerdict::Kind::NotUnderstood:
      break;
  }
  return Error{ErrorCode::Rejected, verdict.message, reply->status};
}

Result<Observation> HookExecutor::look_at_job(const ScriptJob& job, Deadline deadline) {
  if (auto why = scripts_.unavailable_because(); !why.empty()) return Error{ErrorCode::PermissionDenied, why};
  const auto state = scripts_.run(record_.snapshot(), job, std::min(deadline, clock_.steady_now() + kStoreTimeout));
  if (!state) return state.error();
  switch (state->phase) {
    case ScriptJobState::Phase::Running:
      return Observation{false, state->detail.empty() ? job.function + "() is running" : state->detail};
    case ScriptJobState::Phase::Succeeded:
      return Observation{true, state->detail};
    case ScriptJobState::Phase::Failed:
      break;
  }
  return Error{ErrorCode::Rejected, job.function + "(): " + state->detail};
}

Result<HookDone> HookExecutor::run_script(const Hook& hook, std::size_t index, Deadline deadline) {
  if (mode_ == PreparationMode::Verify) return HookDone{HookPhase::Skipped, "verify mode runs no scripts"};
  for (int retries = hook.retries;; --retries) {
    // A Job that failed stays failed, so a look at it is never repeated: the next try is a Job of its own.
    auto done = poll(hook.name, 0, kJobPoll, deadline,
                     [&] { return look_at_job(pre_upgrade_job(record_.snapshot(), index), deadline); });
    const bool again = !done && done.error().code == ErrorCode::Rejected && retries > 0;
    if (!again || !pause(std::min(kJobPoll, options_.poll_max)) || clock_.steady_now() >= deadline) return done;
    clean_up(index);
    // Written first: who takes over re-attaches to the Job that this number names.
    const auto counted =
        record_.update([&](PreparationStatus& status) { status.hooks[index].attempts += 1; }, store_deadline());
    if (!counted) return counted.error();
  }
}

void HookExecutor::clean_up(std::size_t index) {
  const auto record = record_.snapshot();
  const Hook& hook = record.spec.hooks[index];
  if (!std::holds_alternative<ScriptAction>(hook.action) || mode_ == PreparationMode::Verify) return;
  // What cannot be removed now goes with the record, which owns it.
  (void)scripts_.remove(record, pre_upgrade_job(record, index), store_deadline());
}

Status HookExecutor::stop_scripts() {
  const auto record = record_.snapshot();
  if (scripts_left_running(record).empty()) return Ok{};
  const auto removed = remove_left_scripts(scripts_, record, store_deadline());
  if (!removed && out_of_reach(removed.error())) return removed;
  return record_.update(
      [&](PreparationStatus& status) { settle_left_scripts(record, removed, clock_.wall_now(), status); },
      store_deadline());
}

Status HookExecutor::undo(const OwedUndo& owed, Deadline deadline) {
  if (owed.script.empty()) {
    const auto frontends = fleet(deadline);
    if (!frontends) return frontends.error();
    const auto done = (*frontends)->execute(owed.sql, deadline);
    if (!done) return done.error();
    return settle(owed);
  }
  const ScriptJob job = post_upgrade_job(owed);
  const auto patience = clock_.steady_now() + owed.timeout;
  const auto done = poll(owed.hook, 0, kJobPoll, patience, [&] { return look_at_job(job, patience); });
  // One that failed is removed: the next try is to be a new Job, under the same name.
  const bool failed = !done && done.error().code == ErrorCode::Rejected;
  if (!done && !failed) return done.error();
  if (done) {
    if (auto settled = settle(owed); !settled) return settled;
  }
  (void)scripts_.remove(record_.snapshot(), job, store_deadline());
  if (failed) return done.error();
  return Ok{};
}

Status HookExecutor::settle(const OwedUndo& owed) {
  return record_.update(
      [&](PreparationStatus& status) {
        const auto found = std::find(status.undo.begin(), status.undo.end(), owed);
        if (found != status.undo.end()) status.undo.erase(found);
      },
      store_deadline());
}

Result<ExternalPreparation> HookExecutor::external(Deadline deadline) {
  const auto record = record_.snapshot();
  const auto cluster =
      clusters_.get_object(record.name_space, {std::string(kClusterKind), record.spec.cluster, {}}, deadline);
  if (cluster) return external_preparation(*cluster, record.spec);
  // Without an object nobody can have written into it.
  if (cluster.error().code == ErrorCode::NotFound) return ExternalPreparation{};
  return cluster.error();
}

Status HookExecutor::await_external_preparation(Deadline deadline) {
  const auto done = poll("preparation by others", 0, kHookPollDefault, deadline, [&]() -> Result<Observation> {
    const auto found = external(std::min(deadline, store_deadline()));
    if (!found) return found.error();
    switch (found->state) {
      case ExternalPreparation::State::NotKept:
      case ExternalPreparation::State::Completed:
        return Observation{true, found->detail};
      case ExternalPreparation::State::Waiting:
        return Observation{false, found->detail};
      case ExternalPreparation::State::Failed:
        break;
    }
    return Error{ErrorCode::Rejected, found->detail};
  });
  if (!done) return done.error();
  return Ok{};
}

}  // namespace gate
