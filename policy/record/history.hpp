#pragma once
// What the records of a cluster tell together: where the pods of a component come from, and which record speaks for
// them. Pure; `records` are those of one cluster, newest first, and may lack all but names, keys, changes and status.

#include <optional>
#include <string>
#include <vector>

#include "policy/record/preparation.hpp"

namespace gate {

/// Every pod and node of the record's components was found to run one image each: the record has nothing more to say
/// about where they come from.
[[nodiscard]] bool story_ended(const Preparation& record);

/// The image that the pods of a component last ran completely, where it is another story than that of `present`, the
/// image that the object has now: a rollout was begun since, and has not ended. nullopt: no story is unfinished, and
/// that image is `present` itself.
/// What decides is the newest record about the component that was admitted (or bypassed, or whose image the object has,
/// however it got there): attempts that were never admitted change nothing, whatever became of them. They remember what
/// was so when they began, which counts only where the deciding record is no longer there.
[[nodiscard]] std::optional<std::string> origin_of(const std::vector<Preparation>& records,
                                                   const std::string& object_uid, const ComponentImage& present);

/// The record whose pods may be moving: it was admitted and is not over, or the object has one of its images already
/// although nobody has noted that yet (the others may have been taken back meanwhile).
[[nodiscard]] bool moves_pods(const Preparation& record, const std::vector<ComponentImage>& present);

/// Records that must outlive their closing: without them a component's origin could not be known, or an open record
/// refers to them. Names, of records whose object has the UID of the newest record of its name.
[[nodiscard]] std::vector<std::string> records_to_keep(const std::vector<Preparation>& records);

}  // namespace gate
