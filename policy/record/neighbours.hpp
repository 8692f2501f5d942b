#pragma once
// Records of one cluster that are open at the same time share its FE settings: a rollout that is under way and the
// newer target that is prepared on top of it, or a cluster and its warehouses. Each record captures the whole truth,
// so the last one to end restores it, whichever that is (ADR 70). Pure; `others` are the cluster's other records,
// newest first.

#include <string>
#include <vector>

#include "policy/record/preparation.hpp"

namespace gate {

/// Whether the record keeps its settings in force: not one that is over, restoring, superseded or bypassed.
[[nodiscard]] bool keeps_settings(const Preparation& record);

/// What `mine.status.captured` is to be: where another record that still has to restore a key has set it, that record
/// knows what was there before, and the value that it set is known as one of the gate's.
[[nodiscard]] std::vector<CapturedSetting> whole_truth(const Preparation& mine, const std::vector<Preparation>& others);

/// What is left to `mine` to restore: a key that another record keeps in force is that record's to restore. Where it
/// keeps another value, that one is restored meanwhile. Call with `mine` already stored as restoring: of two records
/// that end at once one then sees the other, and neither leaves a key to the other.
[[nodiscard]] std::vector<CapturedSetting> left_to_restore(const Preparation& mine,
                                                           const std::vector<Preparation>& others);

/// Keys that a newer record keeps at another value than `mine`: not to be set again by it.
[[nodiscard]] std::vector<std::string> yielded_keys(const Preparation& mine, const std::vector<Preparation>& others);

/// The record of the same object that has been admitted on top of `mine` and keeps all that it keeps, for the same
/// components: what `mine` is there for is done by it. nullptr: none.
[[nodiscard]] const Preparation* admitted_on_top(const Preparation& mine, const std::vector<Preparation>& others);

}  // namespace gate
