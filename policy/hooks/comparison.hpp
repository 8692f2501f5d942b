#pragma once
// How a check compares what it observed with what is wanted.

#include <string_view>

#include "policy/hooks/hook.hpp"

namespace gate {

/// Both sides as numbers when both are numbers ("10" equals "10.0", "9" is less than "10"), as bytes otherwise.
[[nodiscard]] bool satisfies(std::string_view observed, Comparison comparison, std::string_view wanted);

}  // namespace gate
