#pragma once
// Keeps `.status.upgradePreparationStatus` in place when a typed client that does not know the field writes the status
// of a StarRocksCluster (ADR 8). The operator does so with a full PUT at every change of its own.

#include <string_view>

#include "policy/review/admission_review.hpp"

namespace gate {

inline constexpr std::string_view kMirrorField = "upgradePreparationStatus";

/// Allows every request; adds a patch that puts the field back where the update drops it and `own_username` (the
/// gate's own account) is not the one who writes.
[[nodiscard]] AdmissionAnswer preserve_status(const AdmissionRequest& request, std::string_view own_username);

}  // namespace gate
