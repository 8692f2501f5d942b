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

std::string cluster_of(const Preparation& record) { return record.name_space + "/" + record.spec.cluster; }

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
  const auto all = mirror_.all_.lock();
  all->answering.erase(all->answering.find(cluster_));
}

bool StatusMirror::answering(const std::string& cluster) { return all_.lock()->answering.contains(cluster); }

void StatusMirror::saw(const Preparation& record, bool removed) {
  const auto all = all_.lock();
  const auto cluster = cluster_of(record);
  const auto key = key_of(record);
  auto& speakers = all->open[cluster];
  if (removed || !is_open(record) || !has_a_say(record)) {
    speakers.erase(key);
    if (speakers.empty()) all->open.erase(cluster);
    return;
  }
  const bool is_new = speakers.insert_or_assign(key, speaker_of(record)).second;
  if (!is_new) return;
  // What the others said may be overwritten from now on, by whichever replica.
  for (const auto& [other, speaker] : speakers) {
    if (const auto state = all->states.find(other); state != all->states.end()) state->second.written.clear();
  }
}

bool StatusMirror::All::speaks(const Preparation& record) const {
  const auto speakers = open.find(cluster_of(record));
  if (speakers == open.end()) return true;
  const auto key = key_of(record);
  const auto own = speaker_of(record);
  return std::none_of(speakers->second.begin(), speakers->second.end(), [&](const auto& entry) {
    return entry.first != key && (!is_open(record) || is_newer(entry.second, own));
  });
}

void StatusMirror::want(const Preparation& record) {
  if (!has_a_say(record)) return;
  {
    const auto all = all_.lock();
    const auto entry = all->states.try_emplace(key_of(record)).first;
    auto& state = entry->second;
    state.closed = !is_open(record);
    if (!all->speaks(record)) {
      state.written.clear();
      state.to_write.reset();
      all->drop_if_done(entry);
      return;
    }
    if (state.written != visible_state(record)) state.to_write = std::make_shared<const Preparation>(record);
  }
  flush();
}

void StatusMirror::flush() {
  std::vector<std::pair<std::string, std::shared_ptr<const Preparation>>> due;
  {
    const auto all = all_.lock();
    const auto now = clock_.steady_now();
    for (auto& [key, state] : all->states) {
      if (state.to_write && !all->speaks(*state.to_write)) state.to_write.reset();
      if (!state.to_write || state.writing || state.not_before > now) continue;
      if (all->answering.contains(state.to_write->name_space + "/" + state.to_write->spec.cluster)) continue;
      due.emplace_back(key, std::exchange(state.to_write, nullptr));
      state.writing = true;
    }
  }
  for (auto& [key, record] : due) {
    const auto deadline = clock_.steady_now() + kWriteTimeout;
    const auto written = conditions_ == nullptr ? clusters_.mirror_status(*record, deadline)
                                                : conditions_->write_with(*record, deadline);
    const auto all = all_.lock();
    const auto entry = all->states.find(key);  // there: only an entry that is not being written goes
    auto& state = entry->second;
    state.writing = false;
    if (written) {
      state.written = all->speaks(*record) ? visible_state(*record) : std::string{};
    } else if (is_open(*record) || written.error().code == ErrorCode::Unavailable) {
      state.not_before = clock_.steady_now() + kRetry;
      if (!state.to_write && !state.removed) state.to_write = std::move(record);
    }
    all->drop_if_done(entry);
  }
}

void StatusMirror::forget(const Preparation& record, bool removed) {
  const auto all = all_.lock();
  const auto entry = all->states.find(key_of(record));
  if (entry == all->states.end()) return;
  entry->second.closed = true;
  entry->second.removed = removed;
  if (removed) entry->second.to_write.reset();
  all->drop_if_done(entry);
}

void StatusMirror::All::drop_if_done(std::map<std::string, State>::iterator entry) {
  const auto& state = entry->second;
  if (state.closed && !state.writing && !state.to_write) states.erase(entry);
}

}  // namespace gate
