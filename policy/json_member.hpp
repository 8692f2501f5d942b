#pragma once
// Members of JSON objects that others wrote: of any shape, so absence and wrong types are answers, not exceptions.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace gate {

/// The member `key`, or null when there is none; a value that is no object has no members.
[[nodiscard]] const nlohmann::json& member(const nlohmann::json& object, std::string_view key);

/// The member `key` when it is a string, else "".
[[nodiscard]] std::string text_member(const nlohmann::json& object, std::string_view key);

}  // namespace gate
