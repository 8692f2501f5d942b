#pragma once
// Whether a review tells of an object that exists: what was sent, compared with what the API server stores.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "policy/review/admission_review.hpp"

namespace gate {

/// Annotations that the gate decides by begin with this; a change of others does not concern it.
inline constexpr std::string_view kAnnotationPrefix = "starrocks.com/";

/// Why the review of an UPDATE does not tell of `stored`, in a few words that hold no value of either side; empty when
/// it does. Both versions in the review must have the stored UID; the old one must have the stored generation, the
/// stored images of the gated components, the stored cluster (of a warehouse) and the stored annotations that the gate
/// decides by. Labels, other annotations and the status may differ: others write them between the API server's read
/// and ours. An object that is being deleted is a difference, too.
[[nodiscard]] std::string difference_from_stored(const AdmissionRequest& request, const nlohmann::json& stored);

}  // namespace gate
