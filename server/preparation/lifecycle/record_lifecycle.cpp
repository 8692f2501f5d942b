#include "server/preparation/lifecycle/record_lifecycle.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/record/history.hpp"
#include "policy/record/neighbours.hpp"
#include "policy/rollout/renewed_before.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/rollout/turns.hpp"
#include "policy/text/text.hpp"
#include "server/base/log.hpp"
#include "server/preparation/notices/turn_notices.hpp"
#include "server/preparation/records/key.hpp"

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
/// Asking the database for its nodes must not hold up the hooks for long.
constexpr seconds kNodesBudget{3};
/// Closed records kept per cluster.
constexpr std::size_t kClosedRecordsKept = 10;
/// Where nobody can tell whether an FE lives on, it is tried for this long: an FE that restarts takes a minute or two.
constexpr std::chrono::minutes kAbandonAfter{10};

constexpr const char* kDrifted = "SettingsDrifted";
constexpr const char* kRollingBack = "RollingBack";

std::string uid_of(const nlohmann::json& object) {
  const auto metadata = object.find("metadata");
  return metadata != object.end() && metadata->is_object() ? metadata->value("uid", "") : std::string{};
}

/// Why the record's object is none any more; empty while it is, or while that cannot be known.
std::string gone_because(const Preparation& record, const Result<nlohmann::json>& object) {
  if (!object) return object.error().code == ErrorCode::NotFound ? "the object is gone" : "";
  return uid_of(*object) == record.spec.object.uid ? "" : "the object is gone; another one has its name";
}

bool all_at(const Preparation& record, const std::vector<ComponentImage>& present,
            const std::function<std::string(const ImageChange&)>& wanted) {
  return std::all_of(record.spec.changes.begin(), record.spec.changes.end(), [&](const ImageChange& change) {
    return std::find(present.begin(), present.end(), ComponentImage{change.component, wanted(change)}) != present.end();
  });
}

bool all_at_from(const Preparation& record, const std::vector<ComponentImage>& present) {
  return all_at(record, present, [](const ImageChange& change) { return change.from; });
}

/// Every component has what its pods last ran completely.
bool all_at_origin(const Preparation& record, const std::vector<ComponentImage>& present) {
  return all_at(record, present, [&](const ImageChange& change) {
    for (const auto& origin : record.spec.origins) {
      if (origin.component == change.component) return origin.image;
    }
    return change.from;
  });
}

std::string begun_text(const Preparation& record) {
  const auto count = record.spec.hooks.size();
  if (count == 0) return "no pre-upgrade hook is to run";
  return "running " + std::to_string(count) + (count == 1 ? " pre-upgrade hook" : " pre-upgrade hooks");
}

bool sets_only(const PreparationSpec& spec) {
  return std::all_of(spec.hooks.begin(), spec.hooks.end(),
                     [](const Hook& hook) { return setting_of(hook) != nullptr; });
}

/// Whether a request waits for this very moment nobody here knows: it may wait at another replica.
std::string completed_text(const Preparation& record) {
  const auto count = record.spec.hooks.size();
  const std::string what = count == 0   ? "nothing to do before the upgrade"
                           : count == 1 ? "the pre-upgrade hook completed"
                                        : std::to_string(count) + " pre-upgrade hooks completed";
  return what + (record.spec.rollout.admission == AdmissionMode::Hold
                     ? "; pods that were held may roll"
                     : "; a request that still waits is admitted, one that was refused must be repeated");
}

std::string rollout_text(const std::string& waiting_for) {
  return clean_text("waiting for the rollout: " + waiting_for);
}

/// Event of a record whose settings are to be restored: reason, and whether it is a warning.
std::pair<std::string, bool> restore_event(Outcome outcome) {
  switch (outcome) {
    case Outcome::Succeeded:
      return {"UpgradeRolledOut", false};
    case Outcome::Reverted:
      return {"UpgradeReverted", false};
    case Outcome::Superseded:
      return {"UpgradePreparationSuperseded", false};
    case Outcome::Expired:
      return {"UpgradePreparationExpired", true};
    case Outcome::None:
    case Outcome::Failed:
    case Outcome::Bypassed:
      break;  // told elsewhere
  }
  return {};
}

}  // namespace

struct RecordLifecycle::Look {
  std::optional<nlohmann::json> object;  ///< nullopt: it cannot be known now.
  std::vector<ComponentImage> present;
  std::vector<Preparation> others;
  std::optional<Result<RolloutState>> rollout;  ///< Where this look has asked already.
  bool back = false;                            ///< Pods go elsewhere than the record prepared.
  std::optional<std::string> waiting_for;       ///< nullopt: not known, or nothing moves.
  std::string unset;                            ///< Why the settings are not known to be in force; "" when they are.
};

RecordLifecycle::RecordLifecycle(const LifecyclePeers& peers, LifecycleOptions options)
    : store_(peers.store),
      peers_(peers.hooks),
      clusters_(peers_.clusters),
      mirror_(peers.mirror),
      clock_(peers.clock),
      log_(peers.log),
      options_(std::move(options)),
      hand_over_(store_, clusters_, peers_.scripts, clock_, log_),
      leader_(clusters_, peers_.connector, clock_, log_) {}

Deadline RecordLifecycle::store_deadline() const { return clock_.steady_now() + kStoreTimeout; }

RecordLifecycle::Again RecordLifecycle::advance(const std::shared_ptr<ClaimedRecord>& claim, RecordSession& session,
                                                const std::stop_token& passes, const std::stop_token& stop) {
  auto again = step(*claim, session, passes, stop);
  // A warning does not wait for the restore, which may take its time, and in which this process may end.
  if (restore_event(claim->snapshot().status.outcome).second) tell_outcome(claim->snapshot(), session, "");
  // What comes next has nothing to wait for, and needs neither another claim nor another read.
  const bool goes_on =
      again == milliseconds{0} && !session.runner && claim->snapshot().status.stage == Stage::Restoring;
  if (goes_on && !claim->lost() && !stop.stop_requested()) again = step(*claim, session, passes, stop);
  tell_outcome(claim->snapshot(), session, "");
  if (claim->lost()) return kStoreRetry;
  const auto after = claim->snapshot();
  // What goes on at once is told by its end.
  if (again != milliseconds{0} || !is_open(after)) mirror_.want(after);
  if (is_open(after)) return again;
  prune(after);
  return std::nullopt;  // whose finalizer is the controller's to take off
}

RecordLifecycle::Again RecordLifecycle::step(ClaimedRecord& claim, RecordSession& session,
                                             const std::stop_token& passes, const std::stop_token& stop) {
  const auto record = claim.snapshot();
  switch (record.status.stage) {
    case Stage::Preparing:
      return record.spec.bypass ? close_bypass(claim) : prepare(claim, session, passes);
    case Stage::Prepared:
    case Stage::RollingOut: {
      const auto again = follow(claim, session, stop);
      session.outcome_untold = claim.snapshot().status.stage == Stage::Restoring;
      return again;
    }
    case Stage::Restoring:
    case Stage::Closed:  // with a restore pending: see is_open()
      break;
  }
  return restore(claim, session, stop);
}

bool RecordLifecycle::tell_outcome(const Preparation& record, RecordSession& session, const std::string& also) {
  if (!std::exchange(session.outcome_untold, false)) return false;
  const auto [reason, warning] = restore_event(record.status.outcome);
  if (reason.empty()) return false;
  const auto& why = record.status.message;
  clusters_.emit_event(record, warning, reason, (why.empty() ? "every pod and node is new" : why) + also);
  return true;
}

// ---- Prepare ----

bool RecordLifecycle::begins_with_claim(const Preparation& record) {
  return record.status.stage == Stage::Preparing && record.status.phase == Phase::Pending &&
         record.status.outcome == Outcome::None && !record.spec.bypass && record.spec.supersedes.empty();
}

void RecordLifecycle::set_running(PreparationStatus& status, WallTime now) {
  status.phase = Phase::Running;
  status.start_time = now;
  if (is_turn_notice(status.message)) status.message.clear();
  if (status.reason.empty()) status.reason = "HooksRunning";
}

void RecordLifecycle::has_read(const Preparation& record, const nlohmann::json& object, RecordSession& session) {
  if (record.spec.object.kind != kClusterKind) return;
  session.object = std::make_shared<const nlohmann::json>(object);
  session.object_counts_until = store_deadline();
  session.object_version = text_member(member(object, "metadata"), "resourceVersion");
  mirror_.has_read(record.name_space, record.spec.cluster, session.object);
}

Result<nlohmann::json> RecordLifecycle::object_of(const Preparation& record, const RecordSession& session) {
  // The admission that created the record has compared it a moment ago, and nobody has written it since.
  const bool counts = session.object && clock_.steady_now() < session.object_counts_until;
  if (counts && mirror_.is_newest(record.name_space, record.spec.cluster, *session.object)) return *session.object;
  return clusters_.get_object(record.name_space, record.spec.object, store_deadline());
}

Status RecordLifecycle::begin(ClaimedRecord& claim, RecordSession& session) {
  if (auto taken = hand_over_.take_over(claim, store_deadline()); !taken) return taken;
  auto record = claim.snapshot();
  if (record.status.hooks.empty()) {
    auto object = object_of(record, session);
    if (object && uid_of(*object) != record.spec.object.uid) {
      return claim.update(
          [&](PreparationStatus& status) { cancel(status, clock_.wall_now(), gone_because(record, object)); },
          store_deadline());
    }
    if (record.status.phase == Phase::Pending) {
      const auto begun =
          claim.update([&](PreparationStatus& status) { set_running(status, clock_.wall_now()); }, store_deadline());
      if (!begun) return begun;
      record = claim.snapshot();
    }
    if (object) {
      const auto counts_until = session.object ? session.object_counts_until : store_deadline();
      has_read(record, *object, session);
      session.object_counts_until = counts_until;
    }
    session.start_untold = true;
    // Settings are mostly through at once, and Completed says as much.
    if (!sets_only(record.spec)) tell_start(record, session);
  }
  // Its mirror is written by the next beat: mostly it says by then that it is done.
  // What other records have set is not what was there before.
  return learn_from_neighbours(claim);
}

void RecordLifecycle::tell_start(const Preparation& record, RecordSession& session) {
  if (!std::exchange(session.start_untold, false)) return;
  clusters_.emit_event(record, false, "UpgradePreparationStarted", begun_text(record));
}

RecordLifecycle::Again RecordLifecycle::prepare(ClaimedRecord& claim, RecordSession& session,
                                                const std::stop_token& passes) {
  auto runner = std::move(session.runner);
  session.runner.reset();
  if (!runner) {
    if (auto begun = begin(claim, session); !begun) return kStoreRetry;
    if (claim.snapshot().status.stage != Stage::Preparing) return milliseconds{0};
    runner = std::make_shared<HookRunner>(claim, peers_, clock_, options_.hooks, passes);
    if (session.object) runner->knows_cluster(*session.object);
    // Before Completed is written: from then on the change may be admitted, and nodes restart.
    if (auto nodes = nodes_before(claim, *runner)) {
      claim.update_later([nodes = *std::move(nodes)](PreparationStatus& status) { status.nodes_before = nodes; });
    }
  }
  const auto pass = runner->prepare();
  if (pass.end == RunEnd::ComeAgain) {
    tell_start(claim.snapshot(), session);
    session.runner = std::move(runner);
    return pass.again;
  }
  if (pass.end != RunEnd::Finished) return kStoreRetry;
  session.start_untold = false;
  const auto record = claim.snapshot();
  if (record.status.phase == Phase::Failed) {
    ++counts_.failed;
    log_warning(log_, "preparation failed", {{"preparation", key_of(record)}, {"cause", record.status.message}});
    clusters_.emit_event(record, true, "UpgradePreparationFailed", record.status.message);
    return milliseconds{0};
  }
  ++counts_.prepared;
  log_info(log_, "preparation completed", {{"preparation", key_of(record)}, {"hooks", record.spec.hooks.size()}});
  clusters_.emit_event(record, false, "UpgradePreparationCompleted", completed_text(record));
  // One that began at the same moment may have set a value before this one looked at it, and after it was asked.
  if (auto learned = learn_from_neighbours(claim); !learned) return kStoreRetry;
  return options_.reassert_interval;
}

Status RecordLifecycle::learn_from_neighbours(ClaimedRecord& claim) {
  const auto others = hand_over_.open_neighbours(claim.snapshot(), store_deadline());
  if (!others) return others.error();
  return hand_over_.learn(claim, *others, store_deadline());
}

std::optional<std::vector<NodeBefore>> RecordLifecycle::nodes_before(ClaimedRecord& claim, HookRunner& runner) {
  const auto nodes = runner.nodes(clock_.steady_now() + kNodesBudget);
  if (!nodes) return std::nullopt;
  const auto record = claim.snapshot();
  auto before = nodes_to_restart(record.spec, *nodes);
  if (may_be_renewed_before(record.spec)) {
    const auto sets = clusters_.stateful_sets(record, store_deadline());
    if (sets) before = forget_starts_of_renewed(record.spec, std::move(before), *sets);
  }
  if (before == record.status.nodes_before) return std::nullopt;
  return before;
}

void RecordLifecycle::remember_nodes(ClaimedRecord& claim, HookRunner& runner) {
  const auto before = nodes_before(claim, runner);
  if (!before) return;
  // The change may have come after this look had read the object, and nodes may have started for it before they were
  // asked: taken for those from before, they would be waited for until the hold ends.
  const auto record = claim.snapshot();
  const auto object = clusters_.get_object(record.name_space, record.spec.object, store_deadline());
  if (!object || uid_of(*object) != record.spec.object.uid) return;
  if (!all_at_from(record, present_images(record, *object))) return;
  if (auto stored = claim.update([&](PreparationStatus& status) { status.nodes_before = *before; }, store_deadline());
      !stored) {
    log_info(log_, "nodes not stored", {{"preparation", key_of(record)}, {"error", stored.error().message}});
  }
}

// ---- Follow ----

RecordLifecycle::Again RecordLifecycle::follow(ClaimedRecord& claim, RecordSession& session,
                                               const std::stop_token& stop) {
  auto record = claim.snapshot();
  auto object = clusters_.get_object(record.name_space, record.spec.object, store_deadline());
  if (const auto gone = gone_because(record, object); !gone.empty()) return restore_as(claim, Outcome::Expired, gone);
  Look look;
  if (object) {
    has_read(record, *object, session);
    if (hooks_removed(record, *object)) {
      return restore_as(claim, Outcome::Reverted, "the object no longer asks for upgrade hooks");
    }
    look.present = present_images(record, *object);
    look.object = std::move(object).value();
  }
  if (session.shared) {
    auto others = hand_over_.open_neighbours(record, store_deadline());
    if (!others) return kStoreRetry;
    if (auto learned = hand_over_.learn(claim, *others, store_deadline()); !learned) return kStoreRetry;
    look.others = std::move(others).value();
  }
  HookRunner runner(claim, peers_, clock_, options_.hooks, stop);
  if (look.object && record.spec.object.kind == kClusterKind) runner.knows_cluster(*look.object);
  if (record.status.stage == Stage::Prepared && look.object) {
    if (const auto ended = watch_admission(claim, look, runner)) return *ended;
  }
  if (claim.snapshot().status.stage == Stage::RollingOut) {
    if (const auto ended = watch_rollout(claim, look, runner)) return *ended;
  }
  // From here on things have an effect.
  if (auto confirmed = claim.confirm(store_deadline()); !confirmed) return kStoreRetry;
  record = claim.snapshot();
  std::string detail;
  const auto held = runner.reassert(kRoundBudget, detail, yielded_keys(record, look.others));
  if (!detail.empty() && held) {
    ++counts_.reasserted;
    log_info(log_, "settings re-applied", {{"preparation", key_of(record)}, {"what", detail}});
  }
  if (!held)
    log_warning(log_, "settings drifted or unreadable",
                {{"preparation", key_of(record)}, {"error", held.error().message}});
  if (!held && record.spec.mode == PreparationMode::Run) look.unset = held.error().message;
  const auto again = look.object ? lead(claim, look) : options_.reassert_interval;
  report(claim, held, look);
  if (held || !is_transient(held.error())) {
    session.unconfirmed = 0;
    return again;
  }
  // An FE that restarts lost its settings, and is back within seconds.
  const auto wait = kUnconfirmedRetryMin * (1 << std::min(session.unconfirmed++ / kTriesPerPause, 4));
  return std::min<milliseconds>(wait, again);
}

milliseconds RecordLifecycle::lead(ClaimedRecord& claim, Look& look) {
  const auto record = claim.snapshot();
  if (record.status.stage != Stage::RollingOut) return options_.reassert_interval;
  const auto& progress = record.status.rollout;
  const Turn* turn = present_turn(progress.turns);
  const bool begins = progress.turns.empty() ? !progress.back : turn != nullptr && turn->phase == TurnPhase::Held;
  if (record.spec.rollout.mode != RolloutMode::Operator && begins) {
    // Also what failed under a hold and has no open record until its next attempt.
    auto others = hand_over_.rolling_neighbours(record, store_deadline());
    if (!others) return kStoreRetry;
    look.others = std::move(others).value();
  }
  const auto led = leader_.look(claim, *look.object, look.others, clock_.steady_now() + kRoundBudget, look.unset);
  if (!led) {
    log_warning(log_, "rollout not led further", {{"preparation", key_of(record)}, {"error", led.error().message}});
    return kStoreRetry;
  }
  if (!led->led || led->finished) return options_.reassert_interval;
  // In the mirror, so that the operator looks again at each step: an event on the cluster object starts its next pass.
  look.waiting_for = led->waiting_for;
  return std::min<milliseconds>(options_.reassert_interval, kLeadInterval);
}

std::optional<RecordLifecycle::Again> RecordLifecycle::watch_admission(ClaimedRecord& claim, Look& look,
                                                                       HookRunner& runner) {
  const auto record = claim.snapshot();
  const auto now = clock_.wall_now();
  const auto goal = rollout_goal(record.spec, look.present);
  if (goal.forward) {
    look.rollout = clusters_.rollout_state(record, goal, store_deadline());
    if (!follow_from_now(claim, true, look.rollout)) return kStoreRetry;
    clusters_.emit_event(record, false, "UpgradeAdmitted", "the new images are on the object; following the rollout");
    return std::nullopt;
  }
  // Somebody else's images, or it was admitted before and its pods are on their way: followed to the end.
  const bool expired = now - record.status.completion_time.value_or(now) > options_.admit_within;
  const bool moving = !all_at_from(record, look.present) || record.status.pods_moved;
  if (!all_at_from(record, look.present) || (expired && moving)) {
    if (!follow_from_now(claim, false, std::nullopt)) return kStoreRetry;
    return std::nullopt;
  }
  if (expired || record.deleting) {
    // A change that was let through unprepared, and taken back, moves pods too.
    const auto pods = clusters_.rollout_state(record, rollout_goal(record.spec, look.present), store_deadline());
    if (!pods) return kStoreRetry;
    if (pods->settled) {
      return restore_as(claim, Outcome::Expired,
                        expired ? "the upgrade was not repeated in time" : "the record was deleted before it was used");
    }
    if (!follow_from_now(claim, false, std::nullopt)) return kStoreRetry;
    return std::nullopt;
  }
  remember_nodes(claim, runner);
  return std::nullopt;
}

Status RecordLifecycle::follow_from_now(ClaimedRecord& claim, bool admitted,
                                        const std::optional<Result<RolloutState>>& seen) {
  const auto now = clock_.wall_now();
  const bool known = seen && *seen;
  // A led one has a text of its own.
  const bool says = known && !(*seen)->finished && !claim.snapshot().spec.rollout.leads();
  return claim.update(
      [&](PreparationStatus& status) {
        status.stage = Stage::RollingOut;
        if (admitted && !status.admitted_time) status.admitted_time = now;
        if (known && (*seen)->begun) status.pods_moved = true;
        // What report() is about to say of it.
        if (says) status.message = rollout_text((*seen)->waiting_for);
      },
      store_deadline());
}

std::optional<RecordLifecycle::Again> RecordLifecycle::watch_rollout(ClaimedRecord& claim, Look& look,
                                                                     HookRunner& runner) {
  auto record = claim.snapshot();
  const auto now = clock_.wall_now();
  const auto since = record.status.admitted_time ? record.status.admitted_time : record.status.completion_time;
  if (now - since.value_or(now) > options_.max_hold) {
    std::string why = "the rollout did not finish in time: " + record.status.message;
    if (leaves_held(record)) why += "; pods are still held: " + std::string(kHowToLetGo);
    return restore_as(claim, Outcome::Expired, why);
  }
  if (!look.object) return std::nullopt;
  const auto goal = rollout_goal(record.spec, look.present);
  look.back = !goal.forward;
  // It may have been admitted after it was seen on its way to somebody else's images.
  if (goal.forward && !record.status.admitted_time) {
    if (!follow_from_now(claim, true, std::nullopt)) return kStoreRetry;
  }
  const auto* top = look.back ? admitted_on_top(record, look.others) : nullptr;
  if (top != nullptr) return restore_as(claim, Outcome::Superseded, "superseded by " + top->name);
  const auto rollout = look.rollout ? *look.rollout : clusters_.rollout_state(record, goal, store_deadline());
  auto known = rollout ? rollout_waits_for(claim, goal, *rollout, runner) : Result<std::string>(rollout.error());
  if (!known) {
    log_info(log_, "rollout not known", {{"preparation", key_of(record)}, {"error", known.error().message}});
    return std::nullopt;
  }
  if (!known->empty()) {
    look.waiting_for = std::move(known).value();
    return std::nullopt;
  }
  if (goal.forward) return restore_as(claim, Outcome::Succeeded, "", &goal.images);
  const auto successor = all_at_origin(record, look.present) ? std::string{} : used_on_top(record, look.present);
  if (!successor.empty()) {
    return restore_as(claim, Outcome::Superseded, "superseded by " + successor, &goal.images);
  }
  return restore_as(claim, Outcome::Reverted,
                    all_at_origin(record, look.present) ? "the pods run the previous images again"
                                                        : "the pods run other images than those that were prepared",
                    &goal.images);
}

std::string RecordLifecycle::used_on_top(const Preparation& record, const std::vector<ComponentImage>& present) {
  // Not since the claim's write: the object was read after it, and what brought its images may have been written
  // between.
  const auto records = store_.list_of_cluster(record.name_space, record.spec.cluster, store_deadline());
  if (!records) return {};
  for (const auto& other : *records) {
    // Completed, with its images there: it was admitted, whether that was noted yet or not.
    const bool used = other.status.phase == Phase::Completed &&
                      (other.status.outcome == Outcome::None || other.status.outcome == Outcome::Succeeded);
    const bool newer = other.spec.object == record.spec.object && other.creation_time >= record.creation_time;
    if (used && newer && other.name != record.name && rollout_goal(other.spec, present).forward) return other.name;
  }
  return {};
}

Result<std::string> RecordLifecycle::rollout_waits_for(ClaimedRecord& claim, const RolloutGoal& goal,
                                                       const RolloutState& rollout, HookRunner& runner) {
  auto record = claim.snapshot();
  // Durable before anything is concluded from its absence: a gate that starts later has not seen them move.
  const bool moved = goal.forward ? rollout.begun : !rollout.settled && !rollout.finished;
  if (moved && !record.status.pods_moved) {
    const auto stored = claim.update([](PreparationStatus& status) { status.pods_moved = true; }, store_deadline());
    if (!stored) return stored.error();
    record = claim.snapshot();
  }
  // Pods that never left need not be well: nothing of ours is under way.
  const bool never_left = !goal.forward && !record.status.pods_moved && all_at_origin(record, goal.images);
  if (never_left && (rollout.settled || rollout.finished)) return std::string{};
  if (!rollout.finished) return rollout.waiting_for;
  const auto nodes = runner.nodes(clock_.steady_now() + kRoundBudget);
  if (!nodes) return nodes.error();
  return unfinished_in_database(record, goal, rollout.sizes, *nodes);
}

void RecordLifecycle::report(ClaimedRecord& claim, const Status& held, const Look& look) {
  const auto record = claim.snapshot();
  const bool was_drifted = record.status.reason == kDrifted;
  const bool was_back = record.status.reason == kRollingBack;
  const bool drifted = !held && record.spec.mode == PreparationMode::Verify;
  auto reason = was_drifted || (was_back && look.object) ? "HooksCompleted" : record.status.reason;
  auto message = was_drifted ? std::string{} : record.status.message;
  if (look.back) {
    reason = kRollingBack;
    if (!was_back) message = "rolling back; the settings stay until the pods are there";
  }
  if (look.waiting_for) {
    message =
        look.back ? clean_text("rolling back; waiting for: " + *look.waiting_for) : rollout_text(*look.waiting_for);
  }
  if (drifted) {
    reason = kDrifted;
    message = clean_text(held.error().message);
  }
  if (reason == record.status.reason && message == record.status.message) return;
  const auto written = claim.update(
      [&](PreparationStatus& status) {
        status.reason = reason;
        status.message = message;
      },
      store_deadline());
  if (!written)
    log_info(log_, "progress not stored", {{"preparation", key_of(record)}, {"error", written.error().message}});
  if (written && drifted && !was_drifted) clusters_.emit_event(record, true, "UpgradeSettingsDrifted", message);
  if (written && look.back && !was_back) clusters_.emit_event(record, false, "UpgradeRollingBack", message);
}

bool RecordLifecycle::hooks_removed(const Preparation& record, const nlohmann::json& object) const {
  // Before the request is admitted, what asks for hooks may be part of it and not be on the object yet.
  if (record.status.stage == Stage::Prepared && !record.spec.asked_before) return false;
  HookSources sources{object, options_.default_hooks, record.spec.changes, {}, {}};
  sources.rollout_defaults = options_.rollout_defaults;
  return !resolve_hooks(sources).configured;
}

// ---- Restore and close ----

RecordLifecycle::Again RecordLifecycle::restore_as(ClaimedRecord& claim, Outcome outcome, const std::string& why,
                                                   const std::vector<ComponentImage>* stand_at) {
  const auto begun = claim.update(
      [&](PreparationStatus& status) {
        status.stage = Stage::Restoring;
        status.outcome = outcome;
        status.restoring_time = clock_.wall_now();
        if (stand_at != nullptr && outcome == Outcome::Succeeded) {
          status.rolled_out_time = status.restoring_time;
        } else if (stand_at != nullptr) {
          status.rolled_back_time = status.restoring_time;
          status.rolled_back_to = *stand_at;
        }
        status.message = why;
      },
      store_deadline());
  return begun ? milliseconds{0} : kStoreRetry;
}

RecordLifecycle::Again RecordLifecycle::restore(ClaimedRecord& claim, RecordSession& session,
                                                const std::stop_token& stop) {
  int& failures = session.restore_failures;
  // One that was ended before its runner came to it may still have to take over what its predecessor left pending.
  if (auto taken = hand_over_.take_over(claim, store_deadline()); !taken) return kStoreRetry;
  const auto record = claim.snapshot();
  HookRunner runner(claim, peers_, clock_, options_.hooks, stop);
  if (auto stopped = runner.stop_scripts(); !stopped) return kStoreRetry;
  if (record.status.restore_pending) {
    // Not before trying: a namespace that is deleted is not to wait for an FE that is gone.
    const auto gone = frontend_is_gone(record, session, runner);
    if (!gone) return kStoreRetry;
    if (*gone) {
      tell_outcome(record, session, "");
      return abandon(claim);
    }
    const auto others = hand_over_.open_neighbours(record, store_deadline());
    if (!others) return kStoreRetry;
    if (auto learned = hand_over_.learn(claim, *others, store_deadline()); !learned) return kStoreRetry;
    // Found anew each time, and never stored: who keeps a setting now may be gone before this record has restored it.
    const auto restored = runner.restore(kRoundBudget, left_to_restore(claim.snapshot(), *others));
    if (claim.lost() || stop.stop_requested()) return kStoreRetry;
    if (restored && *restored == Restored::ScriptRuns) return kScriptPoll;
    if (!restored) {
      ++failures;
      log_warning(log_, "restore failed",
                  {{"preparation", key_of(record)}, {"tries", failures}, {"error", restored.error().message}});
      if (failures == 1) {
        clusters_.emit_event(record, true, "UpgradeRestoreOwed",
                             "settings are not restored yet: " + restored.error().message);
      }
      return std::min(kRestoreRetryMin * (1 << std::min(failures - 1, 6)), kRestoreRetryMax);
    }
  }
  if (auto closed = close(claim, ""); !closed) return kStoreRetry;
  ++counts_.restored;
  // One that was closed before its restore was done is counted.
  if (record.status.stage != Stage::Closed) count_closed(claim.snapshot().status.outcome);
  const auto closed = claim.snapshot();
  log_info(log_, "record closed", {{"preparation", key_of(closed)}, {"outcome", to_string(closed.status.outcome)}});
  // Where all is over at once, one event says so.
  if (tell_outcome(closed, session, "; captured settings are back")) return std::nullopt;
  clusters_.emit_event(closed, false, "UpgradePreparationClosed",
                       "outcome " + std::string(to_string(closed.status.outcome)) + "; captured settings are back");
  return std::nullopt;
}

Result<bool> RecordLifecycle::frontend_is_gone(const Preparation& record, const RecordSession& session,
                                               HookRunner& runner) {
  if (session.object && clock_.steady_now() < session.object_counts_until) {
    runner.knows_cluster(*session.object);
    return false;
  }
  const ObjectRef cluster{std::string(kClusterKind), record.spec.cluster, {}};
  auto object = clusters_.get_object(record.name_space, cluster, store_deadline());
  if (object) {
    runner.knows_cluster(std::move(object).value());
    return false;
  }
  if (object.error().code != ErrorCode::NotFound) return object.error();
  const auto life = clusters_.frontend_life(record.name_space, record.spec.cluster, store_deadline());
  if (!life) return life.error();
  switch (*life) {
    case FrontendLife::MayLive:
      return false;
    case FrontendLife::Gone:
      return true;
    case FrontendLife::Unknown:
      break;
  }
  const auto now = clock_.wall_now();
  return now - restore_due_since(record).value_or(now) > kAbandonAfter;
}

RecordLifecycle::Again RecordLifecycle::abandon(ClaimedRecord& claim) {
  const auto settings = claim.snapshot().status.captured.size();
  const std::string why = "the cluster and its FE are gone; " + std::to_string(settings) + " settings are not restored";
  const bool was_closed = claim.snapshot().status.stage == Stage::Closed;
  if (auto closed = close(claim, why); !closed) return kStoreRetry;
  ++counts_.abandoned;
  const auto record = claim.snapshot();
  if (!was_closed) count_closed(record.status.outcome);
  log_warning(log_, "record closed without restoring", {{"preparation", key_of(record)}, {"why", why}});
  clusters_.emit_event(record, true, "UpgradeRestoreAbandoned", why);
  return std::nullopt;
}

void RecordLifecycle::count_closed(Outcome outcome) {
  const auto found = std::find(kClosingOutcomes.begin(), kClosingOutcomes.end(), outcome);
  if (found != kClosingOutcomes.end()) ++counts_.closed[static_cast<std::size_t>(found - kClosingOutcomes.begin())];
}

std::uint64_t RecordLifecycle::closed(Outcome outcome) const {
  const auto found = std::find(kClosingOutcomes.begin(), kClosingOutcomes.end(), outcome);
  if (found == kClosingOutcomes.end()) return 0;
  const auto here = counts_.closed[static_cast<std::size_t>(found - kClosingOutcomes.begin())].load();
  return outcome == Outcome::Superseded ? here + hand_over_.superseded() : here;
}

Status RecordLifecycle::close(ClaimedRecord& claim, const std::string& abandoned_because) {
  return claim.update(
      [&](PreparationStatus& status) {
        status.stage = Stage::Closed;
        if (status.restore_pending && abandoned_because.empty()) status.restored_time = clock_.wall_now();
        status.restore_pending = false;
        if (status.outcome == Outcome::None) status.outcome = Outcome::Expired;
        if (!abandoned_because.empty()) status.message = abandoned_because;
      },
      store_deadline());
}

RecordLifecycle::Again RecordLifecycle::close_bypass(ClaimedRecord& claim) {
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
  ++counts_.bypassed;
  count_closed(Outcome::Bypassed);
  const auto record = claim.snapshot();
  log_warning(log_, "bypassed",
              {{"preparation", key_of(record)},
               {"user", clean_text(record.spec.requested_by.username)},
               {"why", record.spec.bypass->reason}});
  clusters_.emit_event(record, true, "UpgradeGateBypassed",
                       clean_text(record.spec.requested_by.username) +
                           " let the upgrade through unprepared: " + record.spec.bypass->reason);
  return std::nullopt;
}

void RecordLifecycle::prune(const Preparation& closed) {
  const auto deadline = store_deadline();
  const auto known = store_.known_of_cluster(closed.name_space, closed.spec.cluster, deadline);
  // Mostly there is nothing to remove, and nobody has to be asked for that.
  if (known && known->size() <= kClosedRecordsKept) return;
  const auto records = store_.list_of_cluster(closed.name_space, closed.spec.cluster, deadline);
  if (!records) return;  // the next closing prunes
  const auto needed = records_to_keep(*records);
  std::size_t kept = 0;
  for (const auto& record : *records) {  // newest first
    if (is_open(record) || ++kept <= kClosedRecordsKept) continue;
    if (std::find(needed.begin(), needed.end(), record.name) != needed.end()) continue;
    if (auto removed = store_.remove(record.name_space, record.name, deadline); !removed) return;
  }
}

}  // namespace gate
