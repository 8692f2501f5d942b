#pragma once
// Members of JSON objects that others wrote: of any shape, so absence and wrong types are answers, not exceptions.

#include <cstdint>
#include <initializer_list>
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

/// object[path...], or null.
[[nodiscard]] const nlohmann::json& member_at(const nlohmann::json& object, std::initializer_list<const char*> path);

/// `value` when it is a string, else "".
[[nodiscard]] std::string text_of(const nlohmann::json& value);

/// `value` when it is an integer, else `fallback`.
[[nodiscard]] std::int64_t number_of(const nlohmann::json& value, std::int64_t fallback);

}  // namespace gate
