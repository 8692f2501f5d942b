#pragma once
// What /metrics says of each open record. Closed ones have no series.

#include <optional>
#include <string>
#include <vector>

#include "policy/record/preparation.hpp"
#include "server/app/metric_families.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

/// So many open records at most have series of their own: an object's author must not be able to fill the memory of
/// the cluster's Prometheus. Up to five series each, and a record is open for hours.
inline constexpr std::size_t kListedPreparationsMax = 1000;
/// A record that takes over what another captured may follow one that did so itself; a chain that is longer is cut.
inline constexpr int kSupersededStepsMax = 100;

struct OpenPreparation {
  std::string name_space;
  std::string cluster;
  std::string name;
  Phase phase = Phase::Pending;
  Stage stage = Stage::Preparing;
  std::optional<TurnPhase> turn;  ///< Of the turn that is under way; absent where no rollout is led, or all is done.
  std::size_t hooks = 0;
  std::size_t hooks_completed = 0;              ///< Or skipped, since there was nothing to do.
  std::optional<WallTime> settings_held_since;  ///< Of what this record has to restore, by whichever record it was set.
  std::optional<WallTime> restore_due_since;
};

/// All that are open, in no order. As fast for ten thousand records as looking at each once: only open ones are copied.
[[nodiscard]] std::vector<OpenPreparation> open_preparations(const PreparationStore& store);

/// `max` of them at most have series: those whose restore is overdue first, then the paused ones, then those that hold
/// settings; among equals each namespace has its turn, and the longest comes first. How many are left out is a metric.
[[nodiscard]] MetricFamilies preparation_families(std::vector<OpenPreparation> open, WallTime now,
                                                  std::size_t max = kListedPreparationsMax);

}  // namespace gate
