#pragma once
// Tables of enumerators and their names in the API: one table serves both directions.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace gate {

template <class Enum, std::size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

/// "" for a value that the table does not have.
template <class Enum, std::size_t N>
[[nodiscard]] std::string_view name_of(const Names<Enum, N>& names, Enum value) {
  const auto* found = std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == value; });
  return found == names.end() ? std::string_view{} : found->second;
}

/// Exact, case included.
template <class Enum, std::size_t N>
[[nodiscard]] std::optional<Enum> value_of(const Names<Enum, N>& names, std::string_view name) {
  const auto* found = std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.second == name; });
  return found == names.end() ? std::nullopt : std::optional<Enum>(found->first);
}

}  // namespace gate
