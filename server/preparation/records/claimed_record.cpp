#include "server/preparation/records/claimed_record.hpp"

#include <algorithm>

namespace gate {
namespace {
/// Each conflict means that somebody else wrote; more in a row than this is a fight to be left to a later try.
constexpr int kConflictRetriesMax = 8;
}  // namespace

ClaimedRecord::ClaimedRecord(PreparationStore& store, const Clock& clock, std::string identity, Preparation record,
                             std::chrono::milliseconds lease, SteadyTime claimed_at)
    : store_(store),
      clock_(clock),
      identity_(std::move(identity)),
      lease_(lease),
      claimed_superseded_(is_handed_over(record)),
      held_until_(lease == kNoLease ? SteadyTime::max() : claimed_at + lease),
      record_({std::move(record), {}}) {}

Preparation ClaimedRecord::snapshot() const { return record_.lock()->record; }

bool ClaimedRecord::lost() const {
  if (clock_.steady_now() >= held_until_.load()) lost_ = true;
  return lost_;
}

void ClaimedRecord::superseded() {
  if (!claimed_superseded_) lost_ = true;
}

SteadyTime ClaimedRecord::held_until() const { return held_until_; }

Status ClaimedRecord::lose(const std::string& why) {
  lost_ = true;
  return Error{ErrorCode::Conflict, why};
}

void ClaimedRecord::held_since(SteadyTime written) {
  if (lease_ != kNoLease) held_until_ = written + lease_;
}

Status ClaimedRecord::update(const std::function<void(PreparationStatus&)>& change, Deadline deadline) {
  const auto held = record_.lock();
  Preparation& record = held->record;
  if (lost()) return lose("the claim was lost before");
  for (int attempt = 0; attempt <= kConflictRetriesMax; ++attempt) {
    Preparation wanted = record;
    change(wanted.status);
    wanted.status.runner = {identity_, clock_.wall_now()};
    const auto sent = clock_.steady_now();
    auto stored = store_.update_status(wanted, deadline);
    if (stored) {
      held_since(sent);
      unconfirmed_ = false;
      record = std::move(stored).value();
      held->later.clear();
      unsaved_since_ = SteadyTime::max();
      return Ok{};
    }
    if (stored.error().code != ErrorCode::Conflict) return stored.error();
    auto current = store_.get(record.name_space, record.name, deadline);
    if (!current) return current.error();
    if (current->status.runner.identity != identity_) {
      return lose("taken over by " + current->status.runner.identity);
    }
    // The change was made for the state that the record had: whoever moved it on makes another one necessary.
    if (current->status.outcome != record.status.outcome || current->status.stage != record.status.stage ||
        current->status.phase != record.status.phase) {
      return lose("moved on meanwhile: " + std::string(to_string(current->status.stage)) + ", " +
                  std::string(to_string(current->status.phase)));
    }
    record = std::move(current).value();
    for (const auto& waiting : held->later) waiting(record.status);
  }
  return Error{ErrorCode::Unavailable, "the record keeps changing"};
}

void ClaimedRecord::update_later(const std::function<void(PreparationStatus&)>& change) {
  const auto held = record_.lock();
  change(held->record.status);
  held->later.push_back(change);
  unsaved_since_ = std::min(unsaved_since_.load(), clock_.steady_now());
}

std::chrono::nanoseconds ClaimedRecord::unsaved_for() const {
  const auto now = clock_.steady_now();
  return now - std::min(unsaved_since_.load(), now);
}

Status ClaimedRecord::renew(Deadline deadline) {
  return update([](PreparationStatus&) {}, deadline);
}

Status ClaimedRecord::confirm(Deadline deadline) { return unconfirmed_ ? renew(deadline) : Status(Ok{}); }

std::optional<Preparation> ClaimedRecord::stored() const {
  if (lost()) return std::nullopt;
  const auto held = record_.lock();
  return held->later.empty() ? std::optional(held->record) : std::nullopt;
}

}  // namespace gate
