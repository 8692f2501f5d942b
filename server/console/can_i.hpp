#pragma once
// `kubectl auth can-i`, whose exit code alone does not tell a "no" from an API server that is out of reach.

#include <string>
#include <vector>

#include "policy/text/result.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// Whether the answer to the question in `arguments` (kubectl auth can-i ...) is yes. An error of run_program() where
/// there was none. Blocks until `deadline`.
[[nodiscard]] Result<bool> run_can_i(const std::vector<std::string>& arguments, Deadline deadline);

}  // namespace gate
