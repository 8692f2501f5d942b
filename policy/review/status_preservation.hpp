#pragma once
// Keeps what the gate wrote into the status of a StarRocksCluster in place when a typed client that does not know it
// writes that status (ADR 8, ADR 80). The operator does so with a full PUT at every change of its own.

#include <string_view>

#include "policy/review/admission_review.hpp"

namespace gate {

inline constexpr std::string_view kMirrorField = "upgradePreparationStatus";

/// Allows every request; adds a patch that puts `.status.upgradePreparationStatus`, `.observedGeneration` and the
/// gate's
/// `.conditions` (those of others as well, where the whole list goes) back where the update drops them and
/// `own_username` (the gate's own account) is not the one who writes. What the update changes is not touched.
[[nodiscard]] AdmissionAnswer preserve_status(const AdmissionRequest& request, std::string_view own_username);

}  // namespace gate
