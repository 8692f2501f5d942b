#pragma once
// What an answer of the API server that is not 2xx means to whoever asked.

#include <string>

#include "policy/text/result.hpp"

namespace gate {

/// An answer of `status` with `body`, or an ERROR event of a watch, as an Error that begins with `what` was asked and
/// has the API server's own reason and message. Unavailable: it passes. PermissionDenied, Rejected: it lasts. Thread
/// safe.
[[nodiscard]] Error api_error(const std::string& what, int status, const std::string& body);

}  // namespace gate
