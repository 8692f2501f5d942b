#pragma once
// What the open records of one cluster have to do with each other: a newer target that takes over what an unused one
// holds, and records that stand side by side on one FE (policy/record/neighbours.hpp).

#include <atomic>
#include <cstdint>
#include <vector>

#include "server/base/log.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/ports/script_jobs.hpp"
#include "server/preparation/records/claimed_record.hpp"

namespace gate {

/// Thread safe. All calls block for the store's answers at most; every step is durable before the next and may be
/// repeated.
class HandOver {
 public:
  /// All outlive this.
  HandOver(PreparationStore& store, ClusterAccess& clusters, ScriptJobs& scripts, const Clock& clock, Logger& log)
      : store_(store), clusters_(clusters), scripts_(scripts), clock_(clock), log_(log) {}

  /// Freezes the record that the claimed one supersedes, and copies what it captured and has pending; once. One that
  /// was admitted meanwhile is left alone: it protects a rollout, and stands beside this one.
  [[nodiscard]] Status take_over(ClaimedRecord& claim, Deadline deadline);

  /// The other records of the cluster that are open, newest first; live.
  [[nodiscard]] Result<std::vector<Preparation>> open_neighbours(const Preparation& record, Deadline deadline);

  /// As open_neighbours(), and those of other objects that failed and are tried again (tried_again()): the newest of
  /// its object, while that has its images. One GET for each of these.
  [[nodiscard]] Result<std::vector<Preparation>> rolling_neighbours(const Preparation& record, Deadline deadline);

  /// Writes to the claimed record what `others` know of the settings that it sets.
  [[nodiscard]] Status learn(ClaimedRecord& claim, const std::vector<Preparation>& others, Deadline deadline);

  /// How many records take_over() has frozen.
  [[nodiscard]] std::uint64_t superseded() const { return superseded_; }

 private:
  [[nodiscard]] Result<bool> was_admitted(const Preparation& old, Deadline deadline);
  [[nodiscard]] Status settle(ClaimedRecord& claim, Preparation& old, Deadline deadline);

  PreparationStore& store_;
  ClusterAccess& clusters_;
  ScriptJobs& scripts_;
  const Clock& clock_;
  Logger& log_;
  std::atomic<std::uint64_t> superseded_{0};
};

/// Whether the object is the record's, is there to stay, and has all the images that the record leads to.
[[nodiscard]] bool still_wanted(const Preparation& record, const nlohmann::json& object);

/// The images that the record's components have in `object`; what the object has not is left out.
[[nodiscard]] std::vector<ComponentImage> present_images(const Preparation& record, const nlohmann::json& object);

}  // namespace gate
