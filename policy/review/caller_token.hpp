#pragma once
// What the API server is told and nobody else: the last segment of a webhook's path. It proves by itself that one of
// the gate's replicas made it, and when, so that replicas share nothing but the key.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "policy/text/time.hpp"

namespace gate {

/// Of the key, in bytes of text: 256 bits as hex digits.
inline constexpr std::size_t kCallerKeyBytes = 64;

/// "t<seconds since 1970>-<64 hex digits>": a DNS label list, as the API server wants segments of paths, at most 80
/// characters. HMAC-SHA-256 of the time under `key`.
[[nodiscard]] std::string make_caller_token(std::string_view key, WallTime issued);

/// When `token` was issued; nothing when it was not made with `key`. Takes the same time for every token of one length.
[[nodiscard]] std::optional<WallTime> caller_token_issued(std::string_view key, std::string_view token);

/// Equal, in a time that tells nothing of where they differ.
[[nodiscard]] bool equal_secrets(std::string_view left, std::string_view right);

}  // namespace gate
