#pragma once
// Fields of objects of any shape, for .cpp files of this folder: absent and ill-typed ones read as nothing.

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

namespace gate {

/// object[path...], or null.
[[nodiscard]] inline const nlohmann::json& at(const nlohmann::json& object, std::initializer_list<const char*> path) {
  static const nlohmann::json kNull;
  const nlohmann::json* here = &object;
  for (const char* key : path) {
    if (!here->is_object()) return kNull;
    const auto field = here->find(key);
    if (field == here->end()) return kNull;
    here = &*field;
  }
  return *here;
}

[[nodiscard]] inline std::string text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

[[nodiscard]] inline std::int64_t number(const nlohmann::json& value, std::int64_t fallback) {
  return value.is_number_integer() ? value.get<std::int64_t>() : fallback;
}

}  // namespace gate
