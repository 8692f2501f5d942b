#include "server/preparation/lifecycle/controller.hpp"

#include <spdlog/logger.h>

#include <algorithm>
#include <condition_variable>
#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/text/text.hpp"
#include "server/preparation/hooks/left_scripts.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One exchange with the API server.
constexpr seconds kStoreTimeout{10};
/// After the API server failed: soon enough for a person, rare enough for a server in trouble.
constexpr milliseconds kStoreRetry{2000};
/// One round over all settings and FEs while following or restoring.
constexpr seconds kRoundBudget{30};
/// Between two rounds in which some FE did not answer; doubled up to sixteen times, after this many tries each.
constexpr milliseconds kUnconfirmedRetryMin{2000};
constexpr int kTriesPerPause = 15;
/// Between two looks at a script that undoes what another did.
constexpr milliseconds kScriptPoll{2000};
/// Between two tries to restore, doubled up to the second.
constexpr milliseconds kRestoreRetryMin{1000};
constexpr milliseconds kRestoreRetryMax{60000};
/// How often the heartbeat looks for claims to renew and mirrors to write: a quarter of the renewal, within these.
constexpr milliseconds kBeatMin{50};
constexpr milliseconds kBeatMax{500};
/// Asking the database for its nodes must not hold up the hooks for long.
constexpr seconds kNodesBudget{3};
/// A record that nobody works on is left to the replica that created it for this long, and to the others for up to as
/// much again, each its own: they are spread without asking each other, and take what a busy one leaves.
constexpr milliseconds kHeadStart{100};
/// Closed records kept per cluster (design 2.8).
constexpr std::size_t kClosedRecordsKept = 10;

std::string key_of(const Preparation& record) { return record.name_space + "/" + record.name; }

std::pair<std::string, std::string> split_key(const std::string& key) {
  const auto slash = key.find('/');
  return {key.substr(0, slash), key.substr(slash + 1)};
}

bool all_images_are(const Preparation& record, const nlohmann::json& object, std::string ImageChange::*side) {
  return std::all_of(record.spec.changes.begin(), record.spec.changes.end(), [&](const ImageChange& change) {
    return component_image(object, change.component) == change.*side;
  });
}

std::string uid_of(const nlohmann::json& object) {
  const auto metadata = object.find("metadata");
  return metadata != object.end() && metadata->is_object() ? metadata->value("uid", "") : std::string{};
}

std::string object_key(const std::string& name_space, const std::string& kind, const std::string& name) {
  return name_space + "/" + kind + "/" + name;
}

/// Event of a record whose settings are to be put back: reason, and whether it is a warning.
std::pair<std::string, bool> restore_event(Outcome outcome) {
  switch (outcome) {
    case Outcome::Succeeded:
      return {"UpgradeRolledOut", false};
    case Outcome::Reverted:
      return {"UpgradeReverted", false};
    case Outcome::Expired:
      return {"UpgradePreparationExpired", true};
    case Outcome::None:
    case Outcome::Failed:
    case Outcome::Superseded:
    case Outcome::Bypassed:
      break;  // told elsewhere
  }
  return {};
}

std::string state_text(const Preparation& record) {
  const auto& status = record.status;
  return std::string(to_string(status.phase)) + "|" + std::string(to_string(status.stage)) + "|" +
         std::string(to_string(status.outcome)) + "|" + status.runner.identity;
}

}  // namespace

PreparationController::PreparationController(PreparationStore& store, const HookPeers& peers, const Clock& clock,
                                             spdlog::logger& log, ControllerOptions options)
    : clock_(clock),
      options_(std::move(options)),
      store_(store, clock, queue_),
      peers_(peers),
      clusters_(peers.clusters),
      log_(log) {}

PreparationController::~PreparationController() { stop(); }

void PreparationController::start() {
  for (std::size_t i = 0; i < options_.workers * kThreadsPerWorker; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
  questions_.start();
  threads_.emplace_back([this](const std::stop_token& stop) { beat(stop); });
  for (const auto& record : store_.cached()) record_changed(record, false);
}

void PreparationController::stop() {
  for (auto& thread : threads_) thread.request_stop();
  passes_.request_stop();
  questions_.request_stop();
  // A step may wait on a hung FE for as long as its hook may take; the record says how to go on without it.
  peers_.connector.interrupt();
  peers_.http.interrupt();
  threads_.clear();
  questions_.stop();
  // Hand over at once instead of letting the others wait until the claims look stale.
  std::vector<std::string> keys;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, tracked] : tracked_) keys.push_back(key);
    tracked_.clear();
  }
  const auto deadline = store_deadline();
  for (const auto& key : keys) {
    const auto [name_space, name] = split_key(key);
    auto record = store_.get(name_space, name, deadline);
    if (!record || record->status.runner.identity != options_.identity) continue;
    record->status.runner = {};
    if (auto released = store_.update_status(*record, deadline); !released) {
      log_.info("claim not released name={} error={}", key, released.error().message);
    }
  }
}

void PreparationController::record_changed(const Preparation& record, bool removed) {
  const auto key = key_of(record);
  const bool open = !removed && is_open(record);
  bool kept = false;
  {
    const std::lock_guard lock(mutex_);
    if (removed) {
      known_.erase(key);
    } else {
      const auto& object = record.spec.object;
      known_[key] = {object_key(record.name_space, object.kind, object.name),
                     record.spec.supersedes.empty() ? "" : record.name_space + "/" + record.spec.supersedes,
                     open,
                     record.status.restore_owed,
                     state_text(record),
                     record.status.start_time,
                     restore_due_since(record)};
    }
    if (record.status.outcome == Outcome::Superseded) {
      // What its worker sets from now on would be set against the successor.
      if (const auto found = tracked_.find(key); found != tracked_.end() && found->second.claim) {
        found->second.claim->superseded();
      }
    }
    if (!open) drop_if_idle(key);
    kept = tracked_.contains(key);
  }
  queue_.set_urgent(key, open && record.status.stage != Stage::Preparing && record.status.restore_owed &&
                             restore_due_since(record).has_value());
  if (!open) {
    mirror_.forget(record, removed);
    if (kept) queue_.add(key, clock_.steady_now());  // its claim is let go
    return;
  }
  const bool unclaimed = record.status.runner.identity.empty() && record.status.stage == Stage::Preparing;
  const milliseconds own_share(std::hash<std::string>{}(options_.identity + key) %
                               static_cast<std::size_t>(kHeadStart.count()));
  queue_.add(key, clock_.steady_now() + (unclaimed ? kHeadStart + own_share : milliseconds{0}));
}

void PreparationController::created_here(const Preparation& record) { queue_.add(key_of(record), clock_.steady_now()); }

void PreparationController::object_changed(const std::string& name_space, const std::string& kind,
                                           const std::string& name) {
  const auto object = object_key(name_space, kind, name);
  std::vector<std::string> keys;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, known] : known_) {
      if (!known.open || known.object != object) continue;
      tracked_[key].hurried = true;
      keys.push_back(key);
    }
  }
  for (const auto& key : keys) queue_.add(key, clock_.steady_now());
}

void PreparationController::work(const std::stop_token& stop) {
  while (const auto key = queue_.take(stop)) {
    std::optional<milliseconds> again;
    try {
      again = reconcile(*key, stop);
    } catch (const std::exception& bug) {
      log_.error("look at record failed name={} error={}", *key, bug.what());
      again = kStoreRetry;
    }
    queue_.done(*key);
    if (again) queue_.add(*key, clock_.steady_now() + *again);
  }
}

std::optional<PreparationController::Kept> PreparationController::kept_claim(const std::string& key) {
  Kept kept;
  std::string known_state;
  {
    const std::lock_guard lock(mutex_);
    const auto found = tracked_.find(key);
    if (found == tracked_.end() || !found->second.runner) return std::nullopt;
    kept.claim = found->second.claim;
    const auto left = found->second.next_look - clock_.steady_now();
    kept.wait = std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(left));
    const auto known = known_.find(key);
    if (known != known_.end() && known->second.open) known_state = known->second.state;
  }
  // Not under the lock: the heartbeat may hold the claim for as long as the store takes.
  if (kept.claim && !kept.claim->lost() && known_state == state_text(kept.claim->snapshot())) return kept;
  const std::lock_guard lock(mutex_);
  if (const auto found = tracked_.find(key); found != tracked_.end()) {
    found->second.runner.reset();
    found->second.claim.reset();
  }
  return std::nullopt;
}

std::optional<milliseconds> PreparationController::reconcile(const std::string& key, const std::stop_token& stop) {
  if (auto kept = kept_claim(key)) {
    if (kept->wait > milliseconds{0}) return kept->wait;
    return look(kept->claim, key, stop);
  }
  const auto [name_space, name] = split_key(key);
  const auto got = store_.get(name_space, name, store_deadline());
  if (!got) {
    if (got.error().code != ErrorCode::NotFound) return kStoreRetry;
    forget(key);
    return std::nullopt;
  }
  const Preparation& record = *got;
  if (!is_open(record)) {
    forget(key);
    return std::nullopt;
  }
  // The successor takes the debt over; this one is worked on only where there is none.
  if (record.status.outcome == Outcome::Superseded && has_successor(key)) return options_.reassert_interval;
  if (options_.pays_only && record.status.stage != Stage::Restoring && record.status.stage != Stage::Closed) {
    return std::nullopt;  // comes back as an event once it is due
  }
  {
    const std::lock_guard lock(mutex_);
    auto& tracked = tracked_[key];
    const auto now = clock_.steady_now();
    // Our own renewals come back as events; only a record that somebody else moved on is worth an earlier look.
    if (!tracked.hurried && tracked.looked_at == state_text(record) && tracked.next_look > now) {
      return std::chrono::ceil<milliseconds>(tracked.next_look - now);
    }
    tracked.hurried = false;
  }
  milliseconds look_again{};
  auto claimed = claim(key, record, look_again);
  if (!claimed) return look_again;
  return look(*claimed, key, stop);
}

std::optional<milliseconds> PreparationController::look(const std::shared_ptr<ClaimedRecord>& claim,
                                                        const std::string& key, const std::stop_token& stop) {
  const auto again = advance(claim, key, stop);
  // Before the lock: the heartbeat may hold the claim for as long as the store takes.
  const auto state = state_text(claim->snapshot());
  const std::lock_guard lock(mutex_);
  auto& tracked = tracked_[key];
  if (tracked.runner) {
    tracked.next_look = clock_.steady_now() + again.value_or(milliseconds{0});
    return again;
  }
  tracked.claim.reset();
  if (!again) {
    drop_if_idle(key);
    return std::nullopt;
  }
  tracked.looked_at = state;
  // What changed while this look was under way was perhaps read too early.
  if (tracked.hurried) return milliseconds{0};
  tracked.next_look = clock_.steady_now() + *again;
  return again;
}

Result<std::shared_ptr<ClaimedRecord>> PreparationController::claim(const std::string& key, const Preparation& record,
                                                                    milliseconds& look_again) {
  const auto now = clock_.steady_now();
  const auto& runner = record.status.runner;
  if (!runner.identity.empty() && runner.identity != options_.identity) {
    const bool worked_on = record.status.stage == Stage::Preparing || record.status.stage == Stage::Restoring;
    const auto patience =
        worked_on ? options_.claim_stale_after : std::max(options_.claim_stale_after, 3 * options_.reassert_interval);
    const std::string renewal = runner.identity + record.resource_version;
    const std::lock_guard lock(mutex_);
    auto& tracked = tracked_[key];
    // Judged by what is seen to change, not by the other's clock.
    if (tracked.others_claim != renewal) {
      tracked.others_claim = renewal;
      tracked.others_claim_seen = now;
    }
    const auto stale_at = tracked.others_claim_seen + patience;
    if (now < stale_at) {
      look_again = std::chrono::ceil<milliseconds>(stale_at - now);
      return Error{ErrorCode::Conflict, "claimed by " + runner.identity};
    }
    log_.info("claim taken over name={} from={}", key, runner.identity);
    ++claims_taken_over_;
  }
  auto wanted = record;
  wanted.status.runner = {options_.identity, clock_.wall_now()};
  auto stored = store_.update_status(wanted, store_deadline());
  if (!stored) {
    // Somebody else was quicker, and is done soon; a server in trouble is not asked as often.
    look_again = stored.error().code == ErrorCode::Conflict ? kStoreRetry / 4 : kStoreRetry;
    return stored.error();
  }
  auto held =
      std::make_shared<ClaimedRecord>(store_, clock_, options_.identity, std::move(stored).value(), lease(), now);
  const std::lock_guard lock(mutex_);
  tracked_[key].claim = held;
  return held;
}

std::optional<milliseconds> PreparationController::advance(const std::shared_ptr<ClaimedRecord>& claim,
                                                           const std::string& key, const std::stop_token& stop) {
  const auto record = claim->snapshot();
  std::optional<milliseconds> again;
  switch (record.status.stage) {
    case Stage::Preparing:
      again = record.spec.bypass ? close_bypass(*claim) : prepare(claim, key);
      break;
    case Stage::Prepared:
    case Stage::RollingOut:
      again = follow(*claim, stop);
      break;
    case Stage::Restoring:
    case Stage::Closed:  // still owing: see is_open()
      again = restore(*claim, key, stop);
      break;
  }
  if (claim->lost()) return kStoreRetry;
  const auto after = claim->snapshot();
  mirror_.want(after);
  if (!is_open(after)) prune(after);
  return again;
}

std::optional<milliseconds> PreparationController::prepare(const std::shared_ptr<ClaimedRecord>& held,
                                                           const std::string& key) {
  auto& claim = *held;
  auto record = claim.snapshot();
  std::shared_ptr<HookRunner> runner;
  {
    const std::lock_guard lock(mutex_);
    runner = std::move(tracked_[key].runner);
    tracked_[key].runner.reset();
  }
  if (!runner) {
    if (auto taken = take_over_debt(claim); !taken) return kStoreRetry;
    record = claim.snapshot();
    if (record.status.phase == Phase::Pending) {
      const auto begun = claim.update(
          [&](PreparationStatus& status) {
            status.phase = Phase::Running;
            status.start_time = clock_.wall_now();
            if (status.reason.empty()) status.reason = "HooksRunning";
          },
          store_deadline());
      if (!begun) return kStoreRetry;
      record = claim.snapshot();
      clusters_.emit_event(record, false, "UpgradePreparationStarted",
                           "running " + std::to_string(record.spec.hooks.size()) + " pre-upgrade hooks");
    }
    mirror_.want(record);
    runner = std::make_shared<HookRunner>(claim, peers_, clock_, options_.hooks, passes_.get_token());
    // Before Completed is written: from then on the change may be admitted, and nodes restart.
    remember_nodes(claim, *runner);
  }
  const auto pass = runner->prepare();
  if (pass.end == RunEnd::ComeAgain) {
    const std::lock_guard lock(mutex_);
    tracked_[key].runner = std::move(runner);
    return pass.again;
  }
  if (pass.end != RunEnd::Finished) return kStoreRetry;
  record = claim.snapshot();
  if (record.status.phase == Phase::Failed) {
    ++failed_;
    log_.warn("preparation failed name={} cause={}", key_of(record), record.status.message);
    clusters_.emit_event(record, true, "UpgradePreparationFailed", record.status.message);
    return milliseconds{0};
  }
  ++prepared_;
  log_.info("preparation completed name={} hooks={}", key_of(record), record.spec.hooks.size());
  clusters_.emit_event(record, false, "UpgradePreparationCompleted", "pre-upgrade hooks completed; repeat the upgrade");
  return options_.reassert_interval;
}

std::optional<milliseconds> PreparationController::follow(ClaimedRecord& claim, const std::stop_token& stop) {
  auto record = claim.snapshot();
  const auto object = clusters_.get_object(record.name_space, record.spec.object, store_deadline());
  const bool gone = object ? uid_of(*object) != record.spec.object.uid : object.error().code == ErrorCode::NotFound;
  if (gone) {
    // Its FE may live on: without an API server behind the gate, or after a deletion that orphans.
    if (record.status.restore_owed && !object) {
      if (auto begun = begin_restore(claim, Outcome::Expired, "the object is gone"); !begun) return kStoreRetry;
      return milliseconds{0};
    }
    if (auto closed = close(claim, true); !closed) return kStoreRetry;
    return std::nullopt;
  }
  const auto now = clock_.wall_now();
  const auto restore_as = [&](Outcome outcome, const std::string& why) -> std::optional<milliseconds> {
    if (auto begun = begin_restore(claim, outcome, why); !begun) return kStoreRetry;
    return milliseconds{0};
  };
  if (object && asks_no_more(record, *object)) {
    return restore_as(Outcome::Reverted, "the object does not ask for upgrade hooks any more");
  }
  HookRunner runner(claim, peers_, clock_, options_.hooks, stop);
  if (record.status.stage == Stage::Prepared) {
    if (object && all_images_are(record, *object, &ImageChange::to)) {
      const auto admitted = claim.update(
          [&](PreparationStatus& status) {
            status.stage = Stage::RollingOut;
            status.admitted_time = now;
          },
          store_deadline());
      if (!admitted) return kStoreRetry;
      record = claim.snapshot();
      clusters_.emit_event(record, false, "UpgradeAdmitted", "the new images are on the object; following the rollout");
    } else if (object && !all_images_are(record, *object, &ImageChange::from)) {
      return restore_as(Outcome::Reverted, "the object went to other images than those that were prepared");
    } else if (object && now - record.status.completion_time.value_or(now) > options_.admit_within) {
      return restore_as(Outcome::Expired, "nobody repeated the upgrade in time");
    } else if (object) {
      remember_nodes(claim, runner);
    }
  }
  std::optional<std::string> waiting_for;
  if (record.status.stage == Stage::RollingOut) {
    if (object && !all_images_are(record, *object, &ImageChange::to)) {
      return restore_as(Outcome::Reverted, "the object no longer has the images that were prepared");
    }
    if (now - record.status.admitted_time.value_or(now) > options_.max_hold) {
      return restore_as(Outcome::Expired, "the rollout did not finish in time: " + record.status.message);
    }
    if (auto known = rollout_waits_for(record, runner)) {
      if (known->empty()) return restore_as(Outcome::Succeeded, "");
      waiting_for = std::move(known).value();
    }
  }
  std::string detail;
  const auto held = runner.reassert(kRoundBudget, detail);
  if (!detail.empty() && held) {
    ++reasserted_;
    log_.info("settings set again name={} what={}", key_of(record), detail);
  }
  if (!held) log_.warn("settings not confirmed name={} error={}", key_of(record), held.error().message);
  const auto again = object ? lead(claim, *object, waiting_for) : options_.reassert_interval;
  report(claim, held, waiting_for);
  const std::lock_guard lock(mutex_);
  auto& unconfirmed = tracked_[key_of(record)].unconfirmed;
  if (held || !out_of_reach(held.error())) {
    unconfirmed = 0;
    return again;
  }
  // An FE that restarts lost its settings, and is back within seconds.
  const auto wait = kUnconfirmedRetryMin * (1 << std::min(unconfirmed++ / kTriesPerPause, 4));
  return std::min<milliseconds>(wait, again);
}

milliseconds PreparationController::lead(ClaimedRecord& claim, const nlohmann::json& object,
                                         std::optional<std::string>& waiting_for) {
  const auto record = claim.snapshot();
  if (record.status.stage != Stage::RollingOut) return options_.reassert_interval;
  const auto led = leader_.look(claim, object, clock_.steady_now() + kRoundBudget);
  if (!led) {
    log_.warn("rollout not led further name={} error={}", key_of(record), led.error().message);
    return kStoreRetry;
  }
  if (!led->led || led->finished) return options_.reassert_interval;
  // In the mirror, so that the operator looks again at each step: an event on the cluster object starts its next pass.
  waiting_for = led->waiting_for;
  return std::min<milliseconds>(options_.reassert_interval, kLeadInterval);
}

void PreparationController::report(ClaimedRecord& claim, const Status& held,
                                   const std::optional<std::string>& waiting_for) {
  constexpr const char* kDrifted = "SettingsDrifted";
  const auto record = claim.snapshot();
  const bool was_drifted = record.status.reason == kDrifted;
  const bool drifted = !held && record.spec.mode == PreparationMode::Verify;
  const auto reason = drifted ? kDrifted : was_drifted ? "HooksCompleted" : record.status.reason;
  auto message = was_drifted ? std::string{} : record.status.message;
  if (waiting_for) message = clean_text("waiting for the rollout: " + *waiting_for);
  if (drifted) message = clean_text(held.error().message);
  if (reason == record.status.reason && message == record.status.message) return;
  const auto written = claim.update(
      [&](PreparationStatus& status) {
        status.reason = reason;
        status.message = message;
      },
      store_deadline());
  if (!written) log_.info("progress not stored name={} error={}", key_of(record), written.error().message);
  if (written && drifted && !was_drifted) clusters_.emit_event(record, true, "UpgradeSettingsDrifted", message);
}

bool PreparationController::asks_no_more(const Preparation& record, const nlohmann::json& object) const {
  // Before the request is admitted, what asks for hooks may be part of it and not be on the object yet.
  if (record.status.stage == Stage::Prepared && !record.spec.asked_before) return false;
  return !resolve_hooks({object, options_.default_hooks, record.spec.changes, {}, {}}).configured;
}

Result<std::string> PreparationController::rollout_waits_for(const Preparation& record, HookRunner& runner) {
  const auto rollout = clusters_.rollout_state(record, store_deadline());
  if (!rollout) return rollout.error();
  if (!rollout->finished) return rollout->waiting_for;
  const auto nodes = runner.nodes(clock_.steady_now() + kRoundBudget);
  if (!nodes) return nodes.error();
  return unfinished_in_database(record, *nodes);
}

void PreparationController::remember_nodes(ClaimedRecord& claim, HookRunner& runner) {
  const auto nodes = runner.nodes(clock_.steady_now() + kNodesBudget);
  if (!nodes) return;
  const auto record = claim.snapshot();
  auto before = nodes_to_restart(record.spec, *nodes);
  if (before == record.status.nodes_before) return;
  if (auto stored =
          claim.update([&](PreparationStatus& status) { status.nodes_before = std::move(before); }, store_deadline());
      !stored) {
    log_.info("nodes not stored name={} error={}", key_of(record), stored.error().message);
  }
}

Status PreparationController::begin_restore(ClaimedRecord& claim, Outcome outcome, const std::string& why) {
  auto begun = claim.update(
      [&](PreparationStatus& status) {
        status.stage = Stage::Restoring;
        status.outcome = outcome;
        status.restoring_time = clock_.wall_now();
        if (outcome == Outcome::Succeeded) status.rolled_out_time = status.restoring_time;
        status.message = why;
      },
      store_deadline());
  if (!begun) return begun;
  if (const auto [reason, warning] = restore_event(outcome); !reason.empty()) {
    clusters_.emit_event(claim.snapshot(), warning, reason, why.empty() ? "every pod and node is new" : why);
  }
  return begun;
}

std::optional<milliseconds> PreparationController::close_bypass(ClaimedRecord& claim) {
  const auto reason = claim.snapshot().spec.bypass->reason;
  const auto closed = claim.update(
      [&](PreparationStatus& status) {
        status.stage = Stage::Closed;
        status.outcome = Outcome::Bypassed;
        status.completion_time = clock_.wall_now();
        status.reason = "Bypassed";
        status.message = "let through unprepared: " + reason;
      },
      store_deadline());
  if (!closed) return kStoreRetry;
  ++bypassed_;
  const auto record = claim.snapshot();
  log_.warn("bypassed name={} user={} why={}", key_of(record), clean_text(record.spec.requested_by.username),
            record.spec.bypass->reason);
  clusters_.emit_event(record, true, "UpgradeGateBypassed",
                       clean_text(record.spec.requested_by.username) +
                           " let the upgrade through unprepared: " + record.spec.bypass->reason);
  return std::nullopt;
}

std::optional<milliseconds> PreparationController::restore(ClaimedRecord& claim, const std::string& key,
                                                           const std::stop_token& stop) {
  // One that was ended before its runner came to it may still have to take over what its predecessor owes.
  if (auto taken = take_over_debt(claim); !taken) return kStoreRetry;
  const auto record = claim.snapshot();
  HookRunner runner(claim, peers_, clock_, options_.hooks, stop);
  if (auto stopped = runner.stop_scripts(); !stopped) return kStoreRetry;
  if (record.status.restore_owed) {
    const auto restored = runner.restore(kRoundBudget);
    if (claim.lost() || stop.stop_requested()) return kStoreRetry;
    if (restored && *restored == Restored::ScriptRuns) return kScriptPoll;
    if (!restored) {
      const auto object = clusters_.get_object(record.name_space, record.spec.object, store_deadline());
      if (!object && object.error().code == ErrorCode::NotFound) {
        if (auto closed = close(claim, true); !closed) return kStoreRetry;
        return std::nullopt;
      }
      int failures = 0;
      {
        const std::lock_guard lock(mutex_);
        failures = ++tracked_[key].restore_failures;
      }
      log_.warn("restore failed name={} tries={} error={}", key, failures, restored.error().message);
      if (failures == 1) {
        clusters_.emit_event(record, true, "UpgradeRestoreOwed",
                             "settings are not put back yet: " + restored.error().message);
      }
      return std::min(kRestoreRetryMin * (1 << std::min(failures - 1, 6)), kRestoreRetryMax);
    }
  }
  if (auto closed = close(claim, false); !closed) return kStoreRetry;
  ++restored_;
  const auto closed = claim.snapshot();
  log_.info("record closed name={} outcome={}", key, to_string(closed.status.outcome));
  clusters_.emit_event(closed, false, "UpgradePreparationClosed",
                       "outcome " + std::string(to_string(closed.status.outcome)) + "; captured settings are back");
  return std::nullopt;
}

Status PreparationController::close(ClaimedRecord& claim, bool object_gone) {
  return claim.update(
      [&](PreparationStatus& status) {
        status.stage = Stage::Closed;
        if (status.restore_owed && !object_gone) status.restored_time = clock_.wall_now();
        status.restore_owed = false;
        if (status.outcome == Outcome::None) status.outcome = Outcome::Expired;
        if (object_gone) status.message = "the object is gone; nothing is owed";
      },
      store_deadline());
}

bool PreparationController::has_successor(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(known_.begin(), known_.end(),
                     [&](const auto& entry) { return entry.second.open && entry.second.supersedes == key; });
}

Status PreparationController::take_over_debt(ClaimedRecord& claim) {
  const auto record = claim.snapshot();
  if (record.spec.supersedes.empty()) return Ok{};
  const auto deadline = store_deadline();
  auto old = store_.get(record.name_space, record.spec.supersedes, deadline);
  if (!old) {
    if (old.error().code != ErrorCode::NotFound) return old.error();
    return Ok{};
  }
  // Frozen first: its runner loses its compare-and-set, so what is copied below is complete.
  if (old->status.outcome != Outcome::Superseded && is_open(*old)) {
    old->status.outcome = Outcome::Superseded;
    old->status.stage = Stage::Closed;
    old->status.message = "superseded by " + record.name;
    auto frozen = store_.update_status(*old, deadline);
    if (!frozen) return frozen.error();
    old = std::move(frozen).value();
    clusters_.emit_event(*old, false, "UpgradePreparationSuperseded", old->status.message);
  }
  if (!record.status.debt_taken_over) {
    auto copied = claim.update(
        [&](PreparationStatus& status) {
          status.restore_owed = old->status.restore_owed;
          // What is not owed any more is captured anew.
          if (status.restore_owed) {
            status.captured = old->status.captured;
            status.undo = old->status.undo;
            status.settings_leader = old->status.settings_leader;
          }
          status.debt_taken_over = true;
        },
        deadline);
    if (!copied) return copied;
  }
  const bool scripts_left = !scripts_left_running(*old).empty();
  if (!old->status.restore_owed && !scripts_left) return Ok{};
  // Before the successor's hooks: two targets' scripts are not to run at once.
  FencedScriptJobs scripts(peers_.scripts, claim);
  auto removed = remove_left_scripts(scripts, *old, deadline);
  if (removed && old->status.restore_owed) removed = remove_undo_scripts(scripts, *old, deadline);
  if (!removed && out_of_reach(removed.error())) return removed;
  if (!removed) log_.warn("scripts left to their time limit name={} error={}", key_of(*old), removed.error().message);
  auto settled = old->status;
  settle_left_scripts(*old, removed, clock_.wall_now(), settled);
  settled.restore_owed = false;
  old->status = std::move(settled);
  if (auto cleared = store_.update_status(*old, deadline); !cleared) return cleared.error();
  return Ok{};
}

void PreparationController::prune(const Preparation& closed) {
  const auto deadline = store_deadline();
  const auto records = store_.list_of_cluster(closed.name_space, closed.spec.cluster, deadline);
  if (!records) return;  // the next closing prunes
  std::size_t kept = 0;
  for (const auto& record : *records) {  // newest first
    if (is_open(record) || ++kept <= kClosedRecordsKept) continue;
    if (auto removed = store_.remove(record.name_space, record.name, deadline); !removed) return;
  }
}

void PreparationController::forget(const std::string& key) {
  const std::lock_guard lock(mutex_);
  drop_if_idle(key);
}

void PreparationController::drop_if_idle(const std::string& key) {
  const auto found = tracked_.find(key);
  if (found != tracked_.end() && !found->second.claim) tracked_.erase(found);
}

void PreparationController::renew_claims() {
  if (store_.backing_off()) return;
  std::vector<std::shared_ptr<ClaimedRecord>> due;
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    for (auto& [key, tracked] : tracked_) {
      // Every write of the worker renews, too.
      if (tracked.claim && tracked.claim->held_until() - now <= lease() - options_.claim_renewal) {
        due.push_back(tracked.claim);
      }
    }
  }
  for (const auto& claim : due) {
    if (auto renewed = claim->renew(clock_.steady_now() + std::min<milliseconds>(kStoreTimeout, lease())); !renewed) {
      log_.warn("claim not renewed name={} error={}", claim->snapshot().name, renewed.error().message);
    }
  }
  for (const auto& claim : due) mirror_.want(claim->snapshot());
}

void PreparationController::beat(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any pause;
  const auto period = std::clamp(options_.claim_renewal / 4, kBeatMin, kBeatMax);
  while (!stop.stop_requested()) {
    try {
      renew_claims();
      mirror_.flush();
    } catch (const std::exception& bug) {
      log_.error("heartbeat failed error={}", bug.what());
    }
    std::unique_lock lock(mutex);
    pause.wait_for(lock, stop, period, [&] { return stop.stop_requested(); });
  }
}

ControllerStats PreparationController::stats() const {
  ControllerStats out;
  out.queued = queue_.size();
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.wall_now();
    for (const auto& [key, known] : known_) {
      if (!known.owed) continue;
      ++out.restores_owed;
      out.oldest_debt = std::max(out.oldest_debt, now - known.began.value_or(now));
      out.longest_overdue = std::max(out.longest_overdue, now - known.due.value_or(now));
    }
  }
  out.prepared = prepared_;
  out.failed = failed_;
  out.restored = restored_;
  out.reasserted = reasserted_;
  out.bypassed = bypassed_;
  out.claims_taken_over = claims_taken_over_;
  return out;
}

Deadline PreparationController::store_deadline() const { return clock_.steady_now() + kStoreTimeout; }

}  // namespace gate
