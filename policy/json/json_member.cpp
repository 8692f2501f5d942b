#include "policy/json/json_member.hpp"

#include <nlohmann/json.hpp>

namespace gate {

const nlohmann::json& member(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json absent;
  const auto found = object.find(key);
  return found == object.end() ? absent : *found;
}

std::string text_member(const nlohmann::json& object, std::string_view key) { return text_of(member(object, key)); }

const nlohmann::json& list_member(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json none = nlohmann::json::array();
  const nlohmann::json& value = member(object, key);
  return value.is_array() ? value : none;
}

std::map<std::string, std::string> text_members(const nlohmann::json& object) {
  std::map<std::string, std::string> texts;
  if (!object.is_object()) return texts;
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) texts.emplace(key, value.get<std::string>());
  }
  return texts;
}

const nlohmann::json& member_at(const nlohmann::json& object, std::initializer_list<const char*> path) {
  const nlohmann::json* here = &object;
  for (const char* key : path) here = &member(*here, key);
  return *here;
}

std::string text_of(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::int64_t number_of(const nlohmann::json& value, std::int64_t fallback) {
  return value.is_number_integer() ? value.get<std::int64_t>() : fallback;
}

}  // namespace gate
