#pragma once
// Which of an object's records came later. Creation times have whole seconds, and within one a failed preparation and
// the next target may both begin.

#include <vector>

#include "policy/record/preparation.hpp"

namespace gate {

/// Newest first. Records of one second go by what they say of each other: one that takes another's place or begins on
/// top of it is newer, and so are a later attempt at the same target and a change that starts from the image that the
/// other leads to. What says nothing of each other, or is another object's, goes by attempt and name: the same for
/// every replica.
void sort_newest_first(std::vector<Preparation>& records);

}  // namespace gate
