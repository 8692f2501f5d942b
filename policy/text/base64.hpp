#pragma once
// Base64 (RFC 4648) as Secrets and kubeconfigs carry it.

#include <optional>
#include <string>
#include <string_view>

namespace gate {

/// White space is skipped, padding may be missing; nullopt for any other foreign character.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view encoded);

}  // namespace gate
