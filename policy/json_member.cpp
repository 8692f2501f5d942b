#include "policy/json_member.hpp"

#include <nlohmann/json.hpp>

namespace gate {

const nlohmann::json& member(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json absent;
  const auto found = object.find(key);
  return found == object.end() ? absent : *found;
}

std::string text_member(const nlohmann::json& object, std::string_view key) {
  const nlohmann::json& value = member(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

}  // namespace gate
