#include "server/preparation/notices/status_mirror.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

/// One exchange with the API server.
constexpr std::chrono::seconds kWriteTimeout{10};
/// After one that failed: the record is the truth, the mirror may lag.
constexpr std::chrono::seconds kRetry{10};

/// From an admission to the look at the object that it lets through, mostly.
constexpr std::chrono::milliseconds kLookFollows{2000};

std::string cluster_of(const Preparation& record) { return record.name_space + "/" + record.spec.cluster; }

/// The objects whose status shows the record: its cluster, as "namespace/name", and its warehouse, with the kind before
/// the name.
std::vector<std::string> shown_on(const Preparation& record) {
  std::vector<std::string> out{cluster_of(record)};
  const auto& own = record.spec.object;
  if (own.kind == kWarehouseKind) out.push_back(record.name_space + "/" + own.kind + "/" + own.name);
  return out;
}

/// What people see of it: a state that looks the same is not written again.
std::string visible_state(const Preparation& record) {
  const auto& status = record.status;
  return std::string(to_string(status.phase)) + "|" + status.reason + "|" + status.message + "|" +
         std::string(to_string(status.stage)) + "|" + std::string(to_string(status.outcome)) + "|" +
         std::to_string(hooks_in(status, HookPhase::Completed).size()) + "|" +
         std::to_string(hooks_in(status, HookPhase::Failed).size());
}

}  // namespace

StatusMirror::AnsweringScope::AnsweringScope(StatusMirror& mirror, std::string cluster)
    : mirror_(mirror), cluster_(std::move(cluster)) {
  mirror_.all_.lock()->answering.insert(cluster_);
}

StatusMirror::AnsweringScope::~AnsweringScope() {
  const auto now = mirror_.clock_.steady_now();
  const auto all = mirror_.all_.lock();
  all->answering.erase(all->answering.find(cluster_));
  std::erase_if(all->admitted, [&](const auto& entry) { return now >= entry.second; });
  if (admitted_) all->admitted[cluster_] = now + kLookFollows;
}

bool StatusMirror::All::is_answering(const std::string& cluster, SteadyTime now) const {
  const auto entry = admitted.find(cluster);
  return answering.contains(cluster) || (entry != admitted.end() && now < entry->second);
}

bool StatusMirror::answering(const std::string& cluster) {
  return all_.lock()->is_answering(cluster, clock_.steady_now());
}

void StatusMirror::saw(const Preparation& record, bool removed) {
  const auto all = all_.lock();
  for (const auto& object : shown_on(record)) all->saw(record, object, removed);
}

void StatusMirror::All::saw(const Preparation& record, const std::string& object, bool removed) {
  const auto key = key_of(record);
  auto& speakers = open[object];
  if (removed || !is_open(record) || !has_a_say(record)) {
    speakers.erase(key);
    if (speakers.empty()) open.erase(object);
    return;
  }
  const bool is_new = speakers.insert_or_assign(key, speaker_of(record)).second;
  if (!is_new) return;
  // What the others said may be overwritten from now on, by whichever replica.
  for (const auto& [other, speaker] : speakers) {
    if (const auto state = states.find({other, object}); state != states.end()) state->second.written.clear();
  }
}

bool StatusMirror::All::speaks(const Preparation& record, const std::string& object) const {
  const auto speakers = open.find(object);
  if (speakers == open.end()) return true;
  const auto key = key_of(record);
  const auto own = speaker_of(record);
  const auto first = object == cluster_of(record) ? is_newer : speaks_first_on_warehouse;
  return std::none_of(speakers->second.begin(), speakers->second.end(), [&](const auto& entry) {
    return entry.first != key && (!is_open(record) || first(entry.second, own));
  });
}

void StatusMirror::want(const Preparation& record) {
  if (!has_a_say(record)) return;
  {
    const auto all = all_.lock();
    for (const auto& object : shown_on(record)) all->want(record, object);
  }
  flush();
}

void StatusMirror::All::want(const Preparation& record, const std::string& object) {
  const auto entry = states.try_emplace({key_of(record), object}).first;
  auto& state = entry->second;
  state.closed = !is_open(record);
  if (!speaks(record, object)) {
    state.written.clear();
    state.to_write.reset();
    drop_if_done(entry);
    return;
  }
  if (state.written != visible_state(record)) state.to_write = std::make_shared<const Preparation>(record);
}

void StatusMirror::flush() {
  std::vector<std::pair<Slot, std::shared_ptr<const Preparation>>> due;
  {
    const auto all = all_.lock();
    const auto now = clock_.steady_now();
    for (auto it = all->states.begin(); it != all->states.end();) {
      const auto entry = it++;
      auto& [slot, state] = *entry;
      if (state.to_write && !all->speaks(*state.to_write, slot.object)) state.to_write.reset();
      if (!state.to_write || state.writing || state.not_before > now) continue;
      // It was wanted once more while it was being written.
      if (state.written == visible_state(*state.to_write)) {
        state.to_write.reset();
        all->drop_if_done(entry);
        continue;
      }
      if (all->is_answering(cluster_of(*state.to_write), now)) continue;
      due.emplace_back(slot, std::exchange(state.to_write, nullptr));
      state.writing = true;
    }
  }
  for (auto& [slot, record] : due) {
    const auto written = write(*record, slot.object);
    const auto all = all_.lock();
    const auto entry = all->states.find(slot);  // there: only an entry that is not being written goes
    auto& state = entry->second;
    state.writing = false;
    if (written) {
      state.written = all->speaks(*record, slot.object) ? visible_state(*record) : std::string{};
    } else if (is_open(*record) || written.error().code == ErrorCode::Unavailable) {
      state.not_before = clock_.steady_now() + kRetry;
      if (!state.to_write && !state.removed) state.to_write = std::move(record);
    }
    all->drop_if_done(entry);
  }
}

Status StatusMirror::write(const Preparation& record, const std::string& object) {
  const auto deadline = clock_.steady_now() + kWriteTimeout;
  if (object != cluster_of(record)) return clusters_.mirror_on_warehouse(record, deadline);
  return conditions_ == nullptr ? clusters_.mirror_status(record, deadline) : conditions_->write_with(record, deadline);
}

void StatusMirror::forget(const Preparation& record, bool removed) {
  const auto all = all_.lock();
  for (const auto& object : shown_on(record)) {
    const auto entry = all->states.find({key_of(record), object});
    if (entry == all->states.end()) continue;
    entry->second.closed = true;
    entry->second.removed = removed;
    if (removed) entry->second.to_write.reset();
    all->drop_if_done(entry);
  }
}

void StatusMirror::All::drop_if_done(std::map<Slot, State>::iterator entry) {
  const auto& state = entry->second;
  if (state.closed && !state.writing && !state.to_write) states.erase(entry);
}

}  // namespace gate
