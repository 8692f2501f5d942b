#pragma once
// A closed record as a trace. All of it comes from the record, so that it is the same whichever replica tells it, after
// however many restarts: one that is told twice has the same identifiers, times and attributes.

#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/trace/trace.hpp"

namespace gate {

/// The trace of the record with this UID.
[[nodiscard]] TraceId preparation_trace_id(std::string_view uid);

/// The span of the preparation first; then its hooks as they ran last, the rollout with its turns, and the restore.
/// Names of hooks, objects and images are in them, and no message, setting, statement or user. Nothing for a record
/// without a UID or any time.
[[nodiscard]] std::vector<Span> preparation_spans(const Preparation& record);

}  // namespace gate
