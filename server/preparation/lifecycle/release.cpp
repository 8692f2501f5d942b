#include "server/preparation/lifecycle/release.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "policy/json/json_member.hpp"
#include "policy/record/record_order.hpp"
#include "server/base/backoff.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

/// Between two looks at what the watch has seen; it is memory, and people read the lines.
constexpr std::chrono::milliseconds kLook{250};
constexpr std::chrono::seconds kStoreTimeout{10};

/// Between two looks at an object whose pods are held.
constexpr std::chrono::seconds kHoldLook{2};

/// Whether records may keep pods from the images of the object, should it have them.
bool may_hold(const Preparation& record) {
  const auto& rollout = record.spec.rollout;
  if (!rollout.leads() || record.spec.bypass) return false;
  const bool held = rollout.admission == AdmissionMode::Hold && record.status.phase != Phase::Completed;
  // Closed, the gate tries a held one again after a failure, and after anything else nobody does.
  if (!is_open(record)) return held && record.status.phase == Phase::Failed;
  if (record.status.stage == Stage::Restoring || record.status.stage == Stage::Closed) return false;
  return held || rollout.mode != RolloutMode::Operator;
}

/// Which of them do.
class Holds {
 public:
  Holds(ClusterAccess& clusters, const Clock& clock) : clusters_(clusters), clock_(clock) {}

  /// Where it cannot be known it may be so.
  bool held(const Preparation& record, Deadline deadline) {
    if (!may_hold(record)) return false;
    auto& seen = seen_[key_of(record)];
    if (const auto now = clock_.steady_now(); !seen || now >= seen->until) {
      seen = Seen{look(record, deadline), now + kHoldLook};
    }
    return seen->held;
  }

 private:
  struct Seen {
    bool held = false;
    SteadyTime until{};
  };

  bool look(const Preparation& record, Deadline deadline) {
    const auto object = clusters_.get_object(record.name_space, record.spec.object, deadline);
    if (!object) return object.error().code != ErrorCode::NotFound;
    if (text_member(member(*object, "metadata"), "uid") != record.spec.object.uid) return false;
    const auto& changes = record.spec.changes;
    return std::any_of(changes.begin(), changes.end(), [&](const ImageChange& change) {
      return component_image(*object, change.component) == change.to;
    });
  }

  ClusterAccess& clusters_;
  const Clock& clock_;
  std::map<std::string, std::optional<Seen>> seen_;
};

bool being_restored(const Preparation& record) {
  return record.status.stage == Stage::Restoring || record.status.stage == Stage::Closed;
}

}  // namespace

Result<std::vector<std::string>> release_records(PreparationStore& store, ClusterAccess& clusters, const Clock& clock,
                                                 const ReleaseTimes& times,
                                                 const std::function<void(const std::string&)>& say) {
  Holds holds(clusters, clock);
  std::map<std::string, std::string> said;
  const auto tell = [&](const std::string& key, const std::string& what) {
    if (auto& last = said[key]; last != what) say(key + ": " + (last = what));
  };
  for (;;) {
    std::vector<std::string> open;
    const bool synced = store.synced();
    std::set<std::string> objects;  // whose newest record was seen
    auto records = store.cached();
    sort_newest_first(records);
    for (auto& record : records) {
      const auto key = key_of(record);
      const bool newest = objects.insert(record.spec.object.uid).second;
      if ((newest || is_open(record)) && holds.held(record, clock.steady_now() + kStoreTimeout)) {
        const auto text = turn_column(record.status.rollout.turns);
        tell(key, "holds pods" + (text.empty() ? "" : ", " + text) + ": waiting for the end of its rollout");
        open.push_back(key + ": holds pods of " + record.spec.object.kind + " " + record.spec.object.name +
                       "; let its rollout end, or apply the previous images");
        continue;
      }
      if (!is_open(record)) {
        if (said.contains(key))
          tell(key, "closed, nothing to restore, " + std::string(to_string(record.status.outcome)));
        // Once nobody is left to take it off, its namespace could not be deleted.
        if (record.held && !is_open(record)) open.push_back(key + ": closed, its finalizer is to be removed");
        continue;
      }
      open.push_back(key + ": " + std::string(to_string(record.status.stage)));
      if (record.spec.bypass) {  // Has nothing to restore, and ends as what it is.
        tell(key, "closing the record of a bypass");
        continue;
      }
      if (being_restored(record)) {
        tell(key, record.status.restore_pending ? "restoring settings" : "closing");
        continue;
      }
      const auto deadline = std::min(times.deadline, clock.steady_now() + kStoreTimeout);
      // The cache may lag, and whoever works on the record may have written: what is stored decides.
      auto current = store.get(record.name_space, record.name, deadline);
      if (!current || being_restored(*current)) continue;
      cancel(current->status, clock.wall_now(), "the upgrade gate is being removed");
      if (store.update_status(*current, deadline)) tell(key, "cancelled");
    }
    const auto now = clock.steady_now();
    if (synced && open.empty() && now >= times.not_before) return open;
    if (now >= times.deadline) {
      if (!synced) return Error{ErrorCode::Unavailable, "the records could not be read, or the watch is broken"};
      return open;
    }
    pause_for(kLook, {});
  }
}

}  // namespace gate
