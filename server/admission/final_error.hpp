#pragma once
// Which errors of the API server last.

#include "policy/text/result.hpp"

namespace gate {

/// It has judged the request, and would judge it so again: repeating alone does not help.
[[nodiscard]] inline bool is_final(const Error& error) {
  return error.code == ErrorCode::Rejected || error.code == ErrorCode::PermissionDenied ||
         error.code == ErrorCode::InvalidInput;
}

}  // namespace gate
