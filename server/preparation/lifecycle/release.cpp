#include "server/preparation/lifecycle/release.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include "server/base/backoff.hpp"

namespace gate {
namespace {

/// Between two looks at what the watch has seen; it is memory, and people read the lines.
constexpr std::chrono::milliseconds kLook{250};
constexpr std::chrono::seconds kStoreTimeout{10};

bool being_restored(const Preparation& record) {
  return record.status.stage == Stage::Restoring || record.status.stage == Stage::Closed;
}

}  // namespace

Result<std::vector<std::string>> release_records(PreparationStore& store, const Clock& clock, const ReleaseTimes& times,
                                                 const std::function<void(const std::string&)>& say) {
  std::map<std::string, std::string> said;
  const auto tell = [&](const std::string& key, const std::string& what) {
    if (auto& last = said[key]; last != what) say(key + ": " + (last = what));
  };
  for (;;) {
    std::vector<std::string> open;
    const bool synced = store.synced();
    for (auto& record : store.cached()) {
      const auto key = record.name_space + "/" + record.name;
      // A bypass has nothing to restore.
      if (!is_open(record) || record.spec.bypass) {
        if (said.contains(key))
          tell(key, "closed, nothing to restore, " + std::string(to_string(record.status.outcome)));
        continue;
      }
      open.push_back(key + ": " + std::string(to_string(record.status.stage)));
      if (being_restored(record)) {
        tell(key, record.status.restore_pending ? "restoring settings" : "closing");
        continue;
      }
      const auto deadline = std::min(times.deadline, clock.steady_now() + kStoreTimeout);
      // The cache may lag, and whoever works on the record may have written: what is stored decides.
      auto current = store.get(record.name_space, record.name, deadline);
      if (!current || being_restored(*current)) continue;
      cancel(current->status, clock.wall_now(), "the upgrade gate is being removed");
      if (store.update_status(*current, deadline)) tell(key, "called off");
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
