#pragma once
// Which of an object's records came later. Creation times have whole seconds, and within one a failed preparation and
// the next target may both begin.

#include <cstddef>
#include <span>
#include <vector>

#include "policy/record/preparation.hpp"

namespace gate {

/// So many records of one object and one second are compared each with each. The gate makes at most kNewRecordsMax in a
/// minute: more are written by a hand, which the cost must not follow.
inline constexpr std::size_t kComparedRecordsMax = 64;

/// Newest first. Records of one second go by what they say of each other: one that takes another's place or begins on
/// top of it is newer, and so are a later attempt at the same target and a change that starts from the image that the
/// other leads to. Of more than kComparedRecordsMax only the first two count. What says nothing of each other, or is
/// another object's, goes by attempt and name: the same for every replica. In n log n.
void sort_newest_first(std::vector<Preparation>& records);

/// By the place of a record: the places of those than which it says that it is newer.
using OlderOnes = std::vector<std::vector<std::size_t>>;

/// What sort_newest_first() goes by within one object's second; of n records at most 2 n entries where they are more
/// than kComparedRecordsMax.
[[nodiscard]] OlderOnes older_ones(std::span<const Preparation> records);

}  // namespace gate
