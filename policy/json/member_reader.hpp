#pragma once
// Members of configuration objects that people wrote, of any shape: what is wrong with them is collected, each fault in
// words that tell what would be right.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gate {

/// One thing wrong with a configuration.
struct ConfigurationFault {
  std::string field;     ///< "spec.upgradePreparation.hooks[1].command" or "metadata.annotations[...]".
  std::string value;     ///< As written, cleaned and cut; nothing that is quoted in SQL, no query of a URL.
  std::string accepted;  ///< What would be accepted; names a character of the value that people do not see.
  friend bool operator==(const ConfigurationFault&, const ConfigurationFault&) = default;
};

/// `value` as it is written: cleaned and cut here, and what nobody sees in it is named.
[[nodiscard]] ConfigurationFault fault_of(std::string field, std::string_view value, std::string accepted);

/// Never throws for the shape of an object: a wrong type is a fault.
class MemberReader {
 public:
  std::vector<ConfigurationFault> faults;

  void fault(std::string field, std::string_view value, std::string accepted);

  // `parent[key]` when it is of that type; nothing when it is absent or null; another type is a fault.
  const nlohmann::json* object_member(const nlohmann::json& parent, std::string_view key, const std::string& field);
  std::optional<bool> boolean_member(const nlohmann::json& parent, std::string_view key, const std::string& field);
  std::optional<std::string> text_member(const nlohmann::json& parent, std::string_view key, const std::string& field);
  std::optional<int> integer_member(const nlohmann::json& parent, std::string_view key, const std::string& field,
                                    int least, int most);
  /// A list of words, or a single one.
  std::vector<std::string> words_member(const nlohmann::json& parent, std::string_view key, const std::string& field,
                                        const std::string& accepted);

  /// False, and a fault, if `value` is no object. A member that is not known is a fault, too: it was meant to be
  /// another.
  bool is_object_of(const nlohmann::json& value, const std::string& field, std::string accepted,
                    const std::vector<std::string_view>& known);
  void refuse_unknown_members(const nlohmann::json& object, const std::string& field,
                              const std::vector<std::string_view>& known);
  /// Of an object that has other members, too: a fault for those that two typing errors (one in a name of less than
  /// eight letters), the case, or characters that nobody sees tell from a known one.
  void refuse_near_members(const nlohmann::json& object, const std::string& field,
                           const std::vector<std::string_view>& known);

  /// As a person wrote it, or nearly.
  static std::string shown(const nlohmann::json& value);
  /// `value` should have been a string.
  void text_fault(const std::string& field, const nlohmann::json& value);

 protected:
  /// `parent[key]`; nullptr when it is absent or null, or when `parent` has no members.
  static const nlohmann::json* find_member(const nlohmann::json& parent, std::string_view key);
};

}  // namespace gate
