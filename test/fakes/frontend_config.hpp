#pragma once
// The configuration items of a simulated FE, and their values as Java reads, keeps and shows them.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gate::fake_frontend {

struct ConfigKey {
  const char* name;
  const char* alias;  ///< Empty: none.
  const char* type;
  const char* value;
  bool is_mutable;
  const char* comment;
};

[[nodiscard]] std::span<const ConfigKey> config_keys();
/// By name or alias, with case; nullptr for none.
[[nodiscard]] const ConfigKey* find_key(std::string_view name);
/// The value as Java's parsers keep it and show it; nullopt when they would throw.
[[nodiscard]] std::optional<std::string> parse_value(const ConfigKey& key, std::string_view raw);

}  // namespace gate::fake_frontend
