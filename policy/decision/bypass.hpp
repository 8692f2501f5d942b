#pragma once
// The break-glass bypass: an annotation that lets one image change through unprepared, for a reason and until a time,
// if the user who makes the change has the right to.

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "policy/record/preparation.hpp"
#include "policy/text/result.hpp"

namespace gate {

namespace annotation {
inline constexpr std::string_view kBypass = "starrocks.com/upgrade-gate-bypass";
inline constexpr std::string_view kRetry = "starrocks.com/retry-upgrade-preparation";
}  // namespace annotation

/// What the user must be allowed on upgradepreparations.gate.starrocks.com in the object's namespace.
inline constexpr std::string_view kBypassVerb = "bypass";
/// A bypass that stays valid is not for emergencies: `until` may be this far ahead at most.
inline constexpr std::chrono::hours kBypassAheadMax{7 * 24};
/// It is shown in warnings, events and the record; a sentence is enough.
inline constexpr std::size_t kBypassReasonMax = 200;

/// "<target key or *>; reason=<text>; until=<RFC 3339>", blanks around the parts do not matter, nor does the order of
/// the last two. InvalidInput says what is wrong, in a few words.
[[nodiscard]] Result<Bypass> parse_bypass(std::string_view text);

/// Why `bypass` does not open for the target `key` now, in a few words; empty when it does.
[[nodiscard]] std::string bypass_obstacle(const Bypass& bypass, std::string_view key, WallTime now);

}  // namespace gate
