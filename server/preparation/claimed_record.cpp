#include "server/preparation/claimed_record.hpp"

namespace gate {
namespace {
/// Each conflict means that somebody else wrote; more in a row than this is a fight to be left to a later try.
constexpr int kConflictRetriesMax = 8;
}  // namespace

Preparation ClaimedRecord::snapshot() const {
  const std::lock_guard lock(mutex_);
  return record_;
}

bool ClaimedRecord::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

Status ClaimedRecord::lose(const std::string& why) {
  lost_ = true;
  return Error{ErrorCode::Conflict, why};
}

Status ClaimedRecord::update(const std::function<void(PreparationStatus&)>& change, Deadline deadline) {
  const std::lock_guard lock(mutex_);
  if (lost_) return lose("the claim was lost before");
  for (int attempt = 0; attempt <= kConflictRetriesMax; ++attempt) {
    Preparation wanted = record_;
    change(wanted.status);
    wanted.status.runner = {identity_, clock_.wall_now()};
    auto stored = store_.update_status(wanted, deadline);
    if (stored) {
      record_ = std::move(stored).value();
      return Ok{};
    }
    if (stored.error().code != ErrorCode::Conflict) return stored.error();
    auto current = store_.get(record_.name_space, record_.name, deadline);
    if (!current) return current.error();
    if (current->status.runner.identity != identity_) {
      return lose("taken over by " + current->status.runner.identity);
    }
    if (current->status.outcome == Outcome::Superseded && record_.status.outcome != Outcome::Superseded) {
      return lose("superseded");
    }
    record_ = std::move(current).value();
  }
  return Error{ErrorCode::Unavailable, "the record keeps changing"};
}

Status ClaimedRecord::renew(Deadline deadline) {
  return update([](PreparationStatus&) {}, deadline);
}

}  // namespace gate
