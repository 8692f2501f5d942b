#pragma once
// Records that wait for a worker say so in their status: that they wait, where in the queue, and for what. Otherwise
// one that nobody has begun looks like one that nobody will.

#include <cstddef>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "policy/record/preparation.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/preparation/records/work_queue.hpp"

namespace gate {

/// What each notice begins with.
inline constexpr std::string_view kTurnNotice = "waits for its turn";

/// The record's message is a notice: whoever begins the work takes it off.
[[nodiscard]] bool is_turn_notice(std::string_view message);

/// Of one replica. Not thread safe; a beat of its own.
class TurnNotices {
 public:
  /// All outlive this.
  TurnNotices(PreparationStore& store, const Clock& clock, const WorkQueue& queue)
      : store_(store), clock_(clock), queue_(queue) {}

  /// Writes what is due of what `may_wait`, as far as is known here, until `stop`: for people only, so failures are
  /// left to the next call. At most kPerCall records, each with one read and one write; again once a record's place has
  /// halved, and not before kAgainAfter.
  void tell(const std::stop_token& stop, const std::function<bool(const std::string& key)>& may_wait);

  static constexpr std::size_t kPerCall = 50;
  /// A record that is begun by then has not waited.
  static constexpr std::chrono::milliseconds kAfter{250};
  static constexpr std::chrono::seconds kAgainAfter{10};

 private:
  struct Told {
    std::size_t place = 0;
    bool by_share = false;
    SteadyTime at{};
    std::string text;  ///< The record's message as it was seen last.
  };

  [[nodiscard]] bool is_due(const WorkQueue::Waiting& waiting, SteadyTime now) const;
  void tell_one(const WorkQueue::Waiting& waiting);

  PreparationStore& store_;
  const Clock& clock_;
  const WorkQueue& queue_;
  std::map<std::string, Told> told_;  // by key; of records that wait now
};

}  // namespace gate
