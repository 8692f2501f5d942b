#pragma once
// Members of JSON objects that others wrote: of any shape, so absence and wrong types are answers, not exceptions.

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace gate {

/// The member `key`, or null when there is none; a value that is no object has no members.
[[nodiscard]] const nlohmann::json& member(const nlohmann::json& object, std::string_view key);

/// The member `key` when it is a string, else "".
[[nodiscard]] std::string text_member(const nlohmann::json& object, std::string_view key);

/// The member `key` when it is an array, else an empty one.
[[nodiscard]] const nlohmann::json& list_member(const nlohmann::json& object, std::string_view key);

/// The members of `object` that are strings: the `data` of a ConfigMap.
[[nodiscard]] std::map<std::string, std::string> text_members(const nlohmann::json& object);

}  // namespace gate
