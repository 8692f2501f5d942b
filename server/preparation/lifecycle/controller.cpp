#include "server/preparation/lifecycle/controller.hpp"

#include <algorithm>
#include <iterator>

#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"
#include "server/base/log.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One exchange with the API server.
constexpr seconds kStoreTimeout{10};
/// After the API server failed: soon enough for a person, rare enough for a server in trouble.
constexpr milliseconds kStoreRetry{2000};
/// How often the heartbeat looks for claims to renew and mirrors to write: a quarter of the renewal, within these.
constexpr milliseconds kBeatMin{50};
constexpr milliseconds kBeatMax{500};
/// A record that nobody works on is left to the replica that created it for this long, and to the others for up to as
/// much again, each its own: they are spread without asking each other, and take what a busy one leaves.
constexpr milliseconds kHeadStart{100};
/// What another replica works on is read this share of its patience after a change, once for all changes until then:
/// there is nothing to do but to see that the claim is renewed.
constexpr int kOthersLooks = 20;
/// Conditions that follow from a record are left to the write of its mirror for this long.
constexpr milliseconds kMirrorFirst{2000};
/// Conditions are looked at so long after a write of the object: writes come in bursts.
constexpr milliseconds kObjectSettles{2000};

std::string object_key(const std::string& name_space, const std::string& kind, const std::string& name) {
  return name_space + "/" + kind + "/" + name;
}

std::string state_text(const Preparation& record) {
  const auto& status = record.status;
  return std::string(to_string(status.phase)) + "|" + std::string(to_string(status.stage)) + "|" +
         std::string(to_string(status.outcome)) + "|" + status.runner.identity;
}

/// A claim as it was renewed last.
std::string renewal_text(const Preparation& record) {
  return record.status.runner.identity + "|" + record.resource_version;
}

/// What a led rollout waits for; empty: none is led.
std::string step_text(const Preparation& record) {
  const auto& rollout = record.spec.rollout;
  return record.status.stage == Stage::RollingOut && rollout.leads() ? record.status.message : std::string{};
}

}  // namespace

PreparationController::PreparationController(PreparationStore& store, const HookPeers& peers, const Clock& clock,
                                             Logger& log, ControllerOptions options)
    : clock_(clock),
      options_(std::move(options)),
      store_(store, clock, queue_),
      peers_(peers),
      clusters_(peers.clusters),
      log_(log),
      conditions_(store_, clusters_, clock_, {options_.default_hooks, options_.rollout_defaults}),
      mirror_(clusters_, clock_, options_.conditions ? &conditions_ : nullptr),
      lifecycle_({store_, peers_, mirror_, clock_, log_}, options_) {}

PreparationController::~PreparationController() { stop(); }

void PreparationController::start() {
  for (std::size_t i = 0; i < options_.workers * kThreadsPerWorker; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
  questions_.start();
  // Apart: mirrors are for people, and a write that hangs must not cost a claim.
  threads_.emplace_back([this](const std::stop_token& stop) { repeat(stop, [this] { renew_claims(); }); });
  threads_.emplace_back([this](const std::stop_token& stop) { repeat(stop, [this] { flush_mirrors(); }); });
  threads_.emplace_back([this](const std::stop_token& stop) { repeat(stop, [&] { tell_turns(stop); }); });
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
    const auto records = records_.lock();
    for (const auto& [key, tracked] : records->tracked) keys.push_back(key);
    records->tracked.clear();
  }
  const auto deadline = store_deadline();
  for (const auto& key : keys) {
    const auto [name_space, name] = split_key(key);
    auto record = store_.get(name_space, name, deadline);
    if (!record || record->status.runner.identity != options_.identity) continue;
    record->status.runner = {};
    if (auto released = store_.update_status(*record, deadline); !released) {
      log_info(log_, "claim not released", {{"preparation", key}, {"error", released.error().message}});
    }
  }
}

void PreparationController::record_changed(const Preparation& record, bool removed) {
  const auto key = key_of(record);
  const bool open = !removed && is_open(record);
  const milliseconds own_share(std::hash<std::string>{}(options_.identity + key) %
                               static_cast<std::size_t>(kHeadStart.count()));
  mirror_.saw(record, removed);
  bool kept = false;
  bool moved = false;
  bool stepped = false;
  bool echo = false;
  bool held = false;
  std::optional<SteadyTime> let_go_at;
  const bool others = !record.status.runner.identity.empty() && record.status.runner.identity != options_.identity;
  const bool unclaimed = record.status.runner.identity.empty() && record.status.stage == Stage::Preparing;
  {
    const auto records = records_.lock();
    const auto known = records->known.find(key);
    moved = removed || known == records->known.end() || known->second.state != state_text(record);
    // The mirror of another record is what people see. The operator goes on at an event on the cluster all the same.
    stepped = !moved && known->second.step != step_text(record) && records->has_neighbours(key, record);
    if (removed || !record.held) records->let_go_of.erase(record.uid);
    held = !removed && record.held && !records->let_go_of.contains(record.uid);
    if (removed) {
      records->known.erase(key);
      records->told.erase(record.uid);
    } else {
      const auto& object = record.spec.object;
      if (!open && known != records->known.end()) let_go_at = known->second.let_go_at;
      const auto claim = renewal_text(record);
      const bool renewed = known == records->known.end() || known->second.claim != claim;
      const auto claim_seen = renewed ? clock_.steady_now() : known->second.claim_seen;
      records->known[key] = {object_key(record.name_space, object.kind, object.name),
                             object_key(record.name_space, std::string(kClusterKind), record.spec.cluster),
                             record.name_space + "/" + record.spec.cluster,
                             record.spec.supersedes.empty() ? "" : record.name_space + "/" + record.spec.supersedes,
                             open,
                             record.status.restore_pending,
                             others,
                             unclaimed,
                             held,
                             claim,
                             claim_seen,
                             patience_with(record.status.stage),
                             record.resource_version,
                             state_text(record),
                             step_text(record),
                             record.status.start_time,
                             restore_due_since(record)};
    }
    if (is_handed_over(record)) {
      // What its worker sets from now on would be set against the successor.
      if (const auto found = records->tracked.find(key); found != records->tracked.end() && found->second.claim) {
        found->second.claim->superseded();
      }
    }
    if (!open) records->drop_if_idle(key);
    kept = records->tracked.contains(key);
    echo = !removed && records->is_echo(key, record, clock_.steady_now());
  }
  // Its mirror goes with the same conditions, and is not to be written apart from them.
  if (moved && options_.conditions) conditions_.changed(record.name_space, record.spec.cluster, kMirrorFirst);
  if (stepped && options_.conditions) conditions_.changed(record.name_space, record.spec.cluster);
  queue_.set_urgent(key, open && record.status.stage != Stage::Preparing && record.status.restore_pending &&
                             restore_due_since(record).has_value());
  if (!open) {
    mirror_.forget(record, removed);
    // Its claim is let go; or its closing was the last that its replica did, and it still has its finalizer.
    if (kept || held) {
      const bool ours = kept || is_let_go_here(record);
      const auto now = clock_.steady_now();
      // Once for all that is heard of it.
      const auto at = ours ? now : let_go_at.value_or(now + options_.claim_stale_after + own_share * 10);
      {
        const auto records = records_.lock();
        if (const auto known = records->known.find(key); known != records->known.end()) known->second.let_go_at = at;
      }
      queue_.add(key, at);
    }
    return;
  }
  if (echo) return;  // it comes back by itself
  queue_.add(key, unclaimed ? clock_.steady_now() + kHeadStart + own_share : look_at(others));
}

SteadyTime PreparationController::look_at(bool others) const {
  const auto now = clock_.steady_now();
  return others ? now + milliseconds(options_.claim_stale_after) / kOthersLooks : now;
}

void PreparationController::created_here(const Preparation& record, const ObjectRead& object) {
  const auto key = key_of(record);
  records_.lock()->tracked[key].created = Read{record, false, object};
  queue_.add(key, clock_.steady_now());
}

void PreparationController::object_changed(const std::string& name_space, const std::string& kind,
                                           const std::string& name, const std::string& version) {
  if (options_.conditions && kind == kClusterKind) {
    // Before anybody is told of the change: see forgive_own_writes().
    conditions_.told(name_space, name, version);
    // Once for all writes until then, our own among them.
    conditions_.changed(name_space, name, kObjectSettles);
  }
  const auto object = object_key(name_space, kind, name);
  std::vector<std::pair<std::string, bool>> keys;
  {
    const auto records = records_.lock();
    for (const auto& [key, known] : records->known) {
      if (!known.open || known.object != object) continue;
      records->tracked[key].changed_meanwhile = true;
      keys.emplace_back(key, known.others);
    }
  }
  for (const auto& [key, others] : keys) queue_.add(key, look_at(others));
}

void PreparationController::work(const std::stop_token& stop) {
  for (;;) {
    std::optional<std::string> key;
    if (!attempt(log_, "no record looked at", [&] { key = queue_.take(stop); })) {
      pause_for(kStoreRetry, stop);
      continue;
    }
    if (!key) return;
    std::optional<milliseconds> again;
    try {
      again = reconcile(*key, stop);
    } catch (const std::exception& bug) {
      log_error(log_, "reconcile failed", {{"preparation", *key}, {"error", bug.what()}});
      again = kStoreRetry;
    }
    queue_.done(*key, again ? std::optional(clock_.steady_now() + *again) : std::nullopt);
  }
}

std::optional<PreparationController::Kept> PreparationController::kept_claim(const std::string& key) {
  Kept kept;
  std::string known_state;
  {
    const auto records = records_.lock();
    const auto found = records->tracked.find(key);
    if (found == records->tracked.end() || !found->second.session.runner) return std::nullopt;
    kept.claim = found->second.claim;
    const auto left = found->second.next_look - clock_.steady_now();
    kept.wait = std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(left));
    const auto known = records->known.find(key);
    if (known != records->known.end() && known->second.open) known_state = known->second.state;
  }
  // Not under the lock: the heartbeat may hold the claim for as long as the store takes.
  if (kept.claim && !kept.claim->lost() && known_state == state_text(kept.claim->snapshot())) return kept;
  const auto records = records_.lock();
  if (const auto found = records->tracked.find(key); found != records->tracked.end()) {
    found->second.session.runner.reset();
    found->second.claim.reset();
    found->second.next_look = {};  // to be claimed again, not waited for
  }
  return std::nullopt;
}

std::optional<milliseconds> PreparationController::left_to_others(const std::string& key) const {
  const auto records = records_.lock();
  const auto found = records->known.find(key);
  if (found == records->known.end() || !found->second.others) return std::nullopt;
  const auto& known = found->second;
  const auto tracked = records->tracked.find(key);
  if (tracked != records->tracked.end() && tracked->second.claim) return std::nullopt;
  // Of a closed one its finalizer is left to who closed it: restoring what is left, nobody comes later.
  const auto closed_until = options_.restore_only ? SteadyTime{} : known.let_go_at.value_or(SteadyTime{});
  const auto until = known.open ? known.claim_seen + known.patience : closed_until;
  const auto wait = until - clock_.steady_now();
  return wait > wait.zero() ? std::optional(std::chrono::ceil<milliseconds>(wait)) : std::nullopt;
}

void PreparationController::Records::forgive_own_writes(const std::string& key, const ConditionWriter& conditions) {
  const auto found = tracked.find(key);
  const auto at = known.find(key);
  if (found == tracked.end() || at == known.end() || !found->second.changed_meanwhile) return;
  const auto& version = found->second.object_version;
  if (version.empty() || at->second.object != at->second.cluster) return;  // of a warehouse nothing is written
  if (conditions.only_ours_since(at->second.cluster_key, version)) found->second.changed_meanwhile = false;
}

std::optional<milliseconds> PreparationController::reconcile(const std::string& key, const std::stop_token& stop) {
  if (auto kept = kept_claim(key)) {
    if (kept->wait > milliseconds{0}) return kept->wait;
    return look(kept->claim, key, stop);
  }
  if (const auto wait = left_to_others(key)) return wait;
  {
    // What the watch tells of it was seen already: no reason to read it before its time.
    const auto records = records_.lock();
    const auto known = records->known.find(key);
    const auto found = records->tracked.find(key);
    records->forgive_own_writes(key, conditions_);
    if (known != records->known.end() && found != records->tracked.end() && known->second.open &&
        !found->second.claim) {
      if (const auto wait = found->second.early(known->second.state, clock_.steady_now(), options_.look_distance)) {
        return wait;
      }
    }
    if (known != records->known.end() && !known->second.open && !known->second.held) {
      records->drop_if_idle(key);
      return std::nullopt;
    }
  }
  const auto got = read(key);
  if (!got) {
    if (got.error().code != ErrorCode::NotFound) return kStoreRetry;
    forget(key);
    return std::nullopt;
  }
  const Preparation& record = got->record;
  if (!is_open(record)) {
    // It may have been open when this look became due.
    if (const auto wait = left_to_its_closer(key, record)) return wait;
    forget(key);
    return let_go(record) ? std::nullopt : std::optional(kStoreRetry);
  }
  // The successor restores it; this one is worked on only where there is none.
  if (is_handed_over(record) && has_successor(key)) return options_.reassert_interval;
  // A bypass has nothing to be called off, but a finalizer for which nobody comes later.
  const bool due =
      record.status.stage == Stage::Restoring || record.status.stage == Stage::Closed || record.spec.bypass;
  if (options_.restore_only && !due) {
    forget(key);          // so that no event is taken for an echo
    return std::nullopt;  // comes back as an event once it is due
  }
  {
    const auto records = records_.lock();
    auto& tracked = records->tracked[key];
    records->forgive_own_writes(key, conditions_);
    if (const auto wait = tracked.early(state_text(record), clock_.steady_now(), options_.look_distance)) return wait;
    tracked.changed_meanwhile = false;
  }
  milliseconds look_again{};
  auto claimed = claim(key, *got, look_again);
  if (!claimed) return look_again;
  if (got->object.object) {
    auto& session = records_.lock()->tracked[key].session;
    session.object = got->object.object;
    session.object_counts_until = got->object.counts_until;
  }
  return look(*claimed, key, stop);
}

std::optional<milliseconds> PreparationController::look(const std::shared_ptr<ClaimedRecord>& claim,
                                                        const std::string& key, const std::stop_token& stop) {
  RecordSession session;
  {
    const auto record = claim->snapshot();
    const auto records = records_.lock();
    auto& tracked = records->tracked[key];
    tracked.last_look = clock_.steady_now();
    session = std::move(tracked.session);
    tracked.session = {};
    session.shared = records->has_neighbours(key, record);
  }
  auto again = lifecycle_.advance(claim, session, passes_.get_token(), stop);
  // Before the lock: the heartbeat may hold the claim for as long as the store takes.
  const auto after = claim->snapshot();
  const auto state = state_text(after);
  auto left = is_open(after) ? claim->stored() : std::nullopt;
  if (!again && !claim->lost() && !is_open(after) && !let_go(after)) again = kStoreRetry;
  // Somebody was quicker, and what the look began with is out of date.
  if (claim->lost() && claim->unconfirmed()) again = milliseconds{0};
  const auto records = records_.lock();
  auto& tracked = records->tracked[key];
  tracked.object_version = std::exchange(session.object_version, {});
  session.object.reset();
  tracked.session = std::move(session);
  if (tracked.session.runner) {
    tracked.next_look = clock_.steady_now() + again.value_or(milliseconds{0});
    return again;
  }
  tracked.claim.reset();
  tracked.left = std::move(left);
  if (!again) {
    records->drop_if_idle(key);
    return std::nullopt;
  }
  tracked.last_seen_state = state;
  tracked.next_look = clock_.steady_now() + *again;
  // What changed while this look was under way was perhaps read too early.
  return tracked.changed_meanwhile ? std::min(*again, options_.look_distance) : again;
}

seconds PreparationController::patience_with(Stage stage) const {
  const bool worked_on = stage == Stage::Preparing || stage == Stage::Restoring;
  return worked_on ? options_.claim_stale_after : std::max(options_.claim_stale_after, 3 * options_.reassert_interval);
}

Result<std::shared_ptr<ClaimedRecord>> PreparationController::claim(const std::string& key, const Read& found,
                                                                    milliseconds& look_again) {
  const auto now = clock_.steady_now();
  const Preparation& record = found.record;
  const auto& runner = record.status.runner;
  if (!runner.identity.empty() && runner.identity != options_.identity) {
    const std::string renewal = renewal_text(record);
    const auto records = records_.lock();
    auto& tracked = records->tracked[key];
    // Judged by what is seen to change, not by the other's clock.
    if (tracked.others_claim != renewal) {
      const auto known = records->known.find(key);
      const bool told = known != records->known.end() && known->second.claim == renewal;
      tracked.others_claim = renewal;
      tracked.others_claim_seen = told ? known->second.claim_seen : now;
    }
    const auto stale_at = tracked.others_claim_seen + patience_with(record.status.stage);
    if (now < stale_at) {
      look_again = std::chrono::ceil<milliseconds>(stale_at - now);
      return Error{ErrorCode::Conflict, "claimed by " + runner.identity};
    }
    log_info(log_, "claim taken over", {{"preparation", key}, {"from", runner.identity}});
    ++claims_taken_over_;
  }
  // While it is followed most looks have something to write, which tells as well whether somebody else was here.
  const bool followed = record.status.stage == Stage::Prepared || record.status.stage == Stage::RollingOut;
  if (found.remembered && followed) {
    auto resumed = std::make_shared<ClaimedRecord>(store_, clock_, options_.identity, record, lease(), now);
    resumed->resume();
    records_.lock()->tracked[key].claim = resumed;
    return resumed;
  }
  auto wanted = record;
  wanted.status.runner = {options_.identity, clock_.wall_now()};
  if (RecordLifecycle::begins_with_claim(record)) RecordLifecycle::set_running(wanted.status, clock_.wall_now());
  auto stored = store_.update_status(wanted, store_deadline());
  if (!stored) {
    // Somebody else was quicker, and is done soon; a server in trouble is not asked as often.
    look_again = stored.error().code == ErrorCode::Conflict ? kStoreRetry / 4 : kStoreRetry;
    if (stored.error().code == ErrorCode::Conflict && found.remembered) look_again = {};  // it is read now
    return stored.error();
  }
  auto held =
      std::make_shared<ClaimedRecord>(store_, clock_, options_.identity, std::move(stored).value(), lease(), now);
  const auto records = records_.lock();
  records->tracked[key].claim = held;
  return held;
}

bool PreparationController::Records::has_neighbours(const std::string& key, const Preparation& record) const {
  const auto cluster = object_key(record.name_space, std::string(kClusterKind), record.spec.cluster);
  return std::any_of(known.begin(), known.end(), [&](const auto& entry) {
    return entry.second.open && entry.second.cluster == cluster && entry.first != key;
  });
}

std::optional<milliseconds> PreparationController::Tracked::early(const std::string& state, SteadyTime now,
                                                                  milliseconds distance) const {
  // Our own renewals come back as events; only a record that somebody else moved on is worth an earlier look.
  if (last_seen_state != state) return std::nullopt;
  // The operator writes the object at each change of a pod: looks are not to follow at its pace.
  const auto due = !changed_meanwhile ? next_look : last_look ? *last_look + distance : now;
  return due > now ? std::optional(std::chrono::ceil<milliseconds>(due - now)) : std::nullopt;
}

bool PreparationController::Records::is_echo(const std::string& key, const Preparation& record, SteadyTime now) const {
  const auto found = tracked.find(key);
  if (found == tracked.end()) return false;
  const auto& seen = found->second;
  return !seen.claim && !seen.changed_meanwhile && seen.next_look > now && seen.last_seen_state == state_text(record);
}

bool PreparationController::has_successor(const std::string& key) const {
  const auto records = records_.lock();
  return std::any_of(records->known.begin(), records->known.end(),
                     [&](const auto& entry) { return entry.second.open && entry.second.supersedes == key; });
}

/// Who closed a record tells of it and takes its finalizer off: the others come when it did not. A replica that is
/// there to restore what is left is the last one: nobody comes after it.
bool PreparationController::is_let_go_here(const Preparation& record) const {
  const auto& closer = record.status.runner.identity;
  return options_.restore_only || closer == options_.identity || (closer.empty() && !options_.on_closed);
}

std::optional<milliseconds> PreparationController::left_to_its_closer(const std::string& key,
                                                                      const Preparation& record) const {
  if (!record.held || is_let_go_here(record)) return std::nullopt;
  const auto records = records_.lock();
  const auto known = records->known.find(key);
  // The watch has not told of its end yet: it gives the time.
  if (known == records->known.end() || !known->second.let_go_at) return options_.claim_stale_after;
  const auto wait = *known->second.let_go_at - clock_.steady_now();
  return wait > wait.zero() ? std::optional(std::chrono::ceil<milliseconds>(wait)) : std::nullopt;
}

bool PreparationController::let_go(const Preparation& record) {
  if (record.held) {
    const auto is_first = [&] {
      const auto records = records_.lock();
      return records->told.insert(record.uid).second;
    };
    // Whatever it throws: the finalizer goes.
    if (options_.on_closed && is_first())
      attempt(log_, "closed record not reported", [&] { options_.on_closed(record); });
    if (!store_.let_go(record.name_space, record.name, store_deadline())) return false;
  }
  const auto records = records_.lock();
  records->told.erase(record.uid);
  if (record.held) records->let_go_of.insert(record.uid);
  if (const auto known = records->known.find(key_of(record)); known != records->known.end()) known->second.held = false;
  return true;
}

Result<PreparationController::Read> PreparationController::read(const std::string& key) {
  std::optional<Read> created;
  std::optional<Preparation> left;
  {
    const auto records = records_.lock();
    const auto known = records->known.find(key);
    if (const auto found = records->tracked.find(key); found != records->tracked.end()) {
      created.swap(found->second.created);
      left.swap(found->second.left);
    }
    if (left && (known == records->known.end() || known->second.version != left->resource_version)) left.reset();
    if (created && known != records->known.end() && known->second.others) created.reset();
  }
  if (created) return *std::move(created);
  if (left) return Read{*std::move(left), true, {}};
  const auto [name_space, name] = split_key(key);
  auto record = store_.get(name_space, name, store_deadline());
  if (!record) return record.error();
  return Read{*std::move(record), false, {}};
}

void PreparationController::forget(const std::string& key) {
  const auto records = records_.lock();
  records->drop_if_idle(key);
}

void PreparationController::Records::drop_if_idle(const std::string& key) {
  const auto found = tracked.find(key);
  if (found != tracked.end() && !found->second.claim) tracked.erase(found);
}

void PreparationController::renew_claims() {
  if (store_.backing_off()) return;
  std::vector<std::shared_ptr<ClaimedRecord>> due;
  {
    const auto records = records_.lock();
    const auto now = clock_.steady_now();
    for (auto& [key, tracked] : records->tracked) {
      if (!tracked.claim) continue;
      // Every write of the worker renews, too.
      const bool lapses = tracked.claim->held_until() - now <= lease() - options_.claim_renewal;
      if (lapses || tracked.claim->unsaved_for() > options_.progress_stored_after) due.push_back(tracked.claim);
    }
  }
  const auto renew = [this](ClaimedRecord& claim) {
    attempt(log_, "claim not renewed", [&] {
      const auto renewed = claim.renew(clock_.steady_now() + std::min<milliseconds>(kStoreTimeout, lease()));
      if (renewed) return;
      log_warning(log_, "claim not renewed",
                  {{"preparation", key_of(claim.snapshot())}, {"error", renewed.error().message}});
    });
  };
  // At the same time: one that a slow API server leaves waiting must not cost the others their lease. There are as many
  // as workers at most.
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < due.size(); ++i) {
    try {
      others.emplace_back([&renew, &claim = *due[i]] { renew(claim); });
    } catch (const std::exception&) {  // No thread, or no memory.
      renew(*due[i]);
    }
  }
  if (!due.empty()) renew(*due.front());
}

void PreparationController::flush_mirrors() {
  std::vector<std::shared_ptr<ClaimedRecord>> claims;
  {
    const auto records = records_.lock();
    for (auto& [key, tracked] : records->tracked) {
      if (tracked.claim) claims.push_back(tracked.claim);
    }
  }
  for (const auto& claim : claims) mirror_.want(claim->snapshot());
  mirror_.flush();
  if (!options_.conditions) return;
  // Whoever works on the only open record of a cluster sees to its conditions, too.
  const auto theirs = clusters_of_others();
  conditions_.flush([&](const std::string& cluster) { return theirs.contains(cluster) || mirror_.answering(cluster); });
}

std::set<std::string> PreparationController::clusters_of_others() const {
  std::set<std::string> theirs;
  std::set<std::string> seen;
  const auto records = records_.lock();
  const auto now = clock_.steady_now();
  std::set<std::string> closed;  // by others, a moment ago
  for (const auto& [key, known] : records->known) {
    const bool at_work = known.others && now < known.claim_seen + known.patience;
    if (!known.open) {
      if (known.let_go_at && now < *known.let_go_at) closed.insert(known.cluster_key);
    } else if (!seen.insert(known.cluster_key).second) {
      theirs.erase(known.cluster_key);
    } else if (at_work) {
      theirs.insert(known.cluster_key);
    }
  }
  // Who has closed the last one writes its end, as it takes its finalizer off.
  std::set_difference(closed.begin(), closed.end(), seen.begin(), seen.end(), std::inserter(theirs, theirs.end()));
  return theirs;
}

void PreparationController::tell_turns(const std::stop_token& stop) {
  if (options_.restore_only || store_.backing_off()) return;
  turns_.tell(stop, [this](const std::string& key) {
    const auto records = records_.lock();
    const auto known = records->known.find(key);
    return known == records->known.end() || known->second.unclaimed;
  });
}

void PreparationController::repeat(const std::stop_token& stop, const std::function<void()>& beat) {
  const auto period = std::clamp(options_.claim_renewal / 4, kBeatMin, kBeatMax);
  do {
    try {
      beat();
    } catch (const std::exception& bug) {
      log_error(log_, "heartbeat failed", {{"error", bug.what()}});
    }
  } while (pause_for(period, stop));
}

ControllerStats PreparationController::stats() const {
  ControllerStats out;
  out.queued = queue_.size();
  {
    const auto records = records_.lock();
    const auto now = clock_.wall_now();
    for (const auto& [key, known] : records->known) {
      if (!known.pending) continue;
      ++out.restores_pending;
      out.oldest_unrestored = std::max(out.oldest_unrestored, now - known.began.value_or(now));
      out.longest_overdue = std::max(out.longest_overdue, now - known.due.value_or(now));
    }
  }
  for (std::size_t i = 0; i < kClosingOutcomes.size(); ++i) out.closed[i] = lifecycle_.closed(kClosingOutcomes[i]);
  out.prepared = lifecycle_.counts().prepared;
  out.failed = lifecycle_.counts().failed;
  out.restored = lifecycle_.counts().restored;
  out.reasserted = lifecycle_.counts().reasserted;
  out.bypassed = lifecycle_.counts().bypassed;
  out.abandoned = lifecycle_.counts().abandoned;
  out.claims_taken_over = claims_taken_over_;
  return out;
}

Deadline PreparationController::store_deadline() const { return clock_.steady_now() + kStoreTimeout; }

}  // namespace gate
