#pragma once
// Wall-clock instants as Kubernetes writes them (metav1.Time: RFC 3339, UTC, seconds).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace gate {

using WallTime = std::chrono::sys_seconds;

/// "2026-01-02T03:04:05Z".
[[nodiscard]] std::string format_time(WallTime time);

/// Accepts RFC 3339 with 'Z' or a numeric offset and an optional fraction (dropped); nullopt otherwise.
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view text);

}  // namespace gate
