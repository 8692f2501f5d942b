#include "policy/json/member_reader.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/text/characters.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr std::size_t kFaultValueMax = 80;

/// What to add to "want 60" where the value is the text "60".
std::string unquoted(const json& value) { return value.is_string() ? ", without quotes" : ""; }

}  // namespace

ConfigurationFault fault_of(std::string field, std::string_view value, std::string accepted) {
  constexpr std::string_view kWhite = " \t\r\n";
  // Prose and SQL may have letters of any script, a single word is a name.
  const bool word = value.find_first_of(kWhite) == std::string_view::npos;
  const auto odd = word ? first_odd_character(value) : first_confusing_character(value);
  if (odd) accepted += " (the value has " + odd->name + ")";
  const auto first = value.find_first_not_of(kWhite);
  const bool blank_ends =
      first != std::string_view::npos && (first != 0 || value.find_last_not_of(kWhite) + 1 != value.size());
  if (blank_ends) accepted += " (the value begins or ends with white space)";
  return {std::move(field), clean_text(value, kFaultValueMax), std::move(accepted)};
}

const json* MemberReader::find_member(const json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string MemberReader::shown(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void MemberReader::fault(std::string field, std::string_view value, std::string accepted) {
  faults.push_back(fault_of(std::move(field), value, std::move(accepted)));
}

void MemberReader::text_fault(const std::string& field, const json& value) {
  fault(
      field, shown(value),
      value.is_structured() ? "a string" : "a string, in quotes: \"" + clean_text(shown(value), kFaultValueMax) + "\"");
}

const json* MemberReader::object_member(const json& parent, std::string_view key, const std::string& field) {
  const json* value = find_member(parent, key);
  if (value == nullptr || value->is_object()) return value;
  fault(field, shown(*value), "an object");
  return nullptr;
}

std::optional<bool> MemberReader::boolean_member(const json& parent, std::string_view key, const std::string& field) {
  const json* value = find_member(parent, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  fault(field, shown(*value), "true or false" + unquoted(*value));
  return std::nullopt;
}

std::optional<std::string> MemberReader::text_member(const json& parent, std::string_view key,
                                                     const std::string& field) {
  const json* value = find_member(parent, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  text_fault(field, *value);
  return std::nullopt;
}

std::optional<int> MemberReader::integer_member(const json& parent, std::string_view key, const std::string& field,
                                                int least, int most) {
  const json* value = find_member(parent, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_integer()) {
    const auto number = value->is_number_unsigned() && value->get<std::uint64_t>() > std::numeric_limits<int>::max()
                            ? std::numeric_limits<std::int64_t>::max()
                            : value->get<std::int64_t>();
    if (number >= least && number <= most) return static_cast<int>(number);
  }
  fault(field, shown(*value),
        "a whole number from " + std::to_string(least) + " to " + std::to_string(most) + unquoted(*value));
  return std::nullopt;
}

std::vector<std::string> MemberReader::words_member(const json& parent, std::string_view key, const std::string& field,
                                                    const std::string& accepted) {
  const json* value = find_member(parent, key);
  std::vector<std::string> words;
  if (value == nullptr) return words;
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array() || value->empty()) {
    fault(field, shown(*value), accepted);
    return words;
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    if ((*value)[i].is_string()) {
      words.push_back((*value)[i].get<std::string>());
    } else {
      fault(field + "[" + std::to_string(i) + "]", shown((*value)[i]), accepted);
    }
  }
  return words;
}

void MemberReader::refuse_unknown_members(const json& object, const std::string& field,
                                          const std::vector<std::string_view>& known) {
  std::string names;
  for (const std::string_view name : known) names.append(names.empty() ? "" : ", ").append(name);
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) fault(field, key, "the fields " + names);
  }
}

void MemberReader::refuse_near_members(const json& object, const std::string& field,
                                       const std::vector<std::string_view>& known) {
  constexpr std::size_t kTypingErrors = 2;
  constexpr std::size_t kLettersPerError = 4;  // or "spec" would be near to whatever has a letter of it
  constexpr std::size_t kNameMax = 160;        // longer ones are none of ours, with invisible characters in between
  if (!object.is_object()) return;
  for (const auto& member : object.items()) {
    const std::string& key = member.key();
    if (key.size() > kNameMax || std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string look = look_of(key);
    const auto near = std::find_if(known.begin(), known.end(), [&](std::string_view name) {
      const auto errors = std::min(kTypingErrors, name.size() / kLettersPerError);
      // Each letter more or less is an error, and most members are of quite another length.
      const auto [shorter, longer] = std::minmax({look.size(), name.size()});
      return longer - shorter <= errors && edit_distance(look, look_of(name)) <= errors;
    });
    if (near != known.end()) fault(field, key, std::string(*near));
  }
}

bool MemberReader::is_object_of(const json& value, const std::string& field, std::string accepted,
                                const std::vector<std::string_view>& known) {
  if (!value.is_object()) {
    fault(field, shown(value), std::move(accepted));
    return false;
  }
  refuse_unknown_members(value, field, known);
  return true;
}

}  // namespace gate
