#pragma once
// Names of objects, and keys of what ConfigMaps and Secrets hold, by the API server's own rules.

#include <cstddef>
#include <string_view>

namespace gate {

/// A DNS-1123 subdomain: what most kinds take for a name, ConfigMaps and Secrets among them.
[[nodiscard]] inline bool is_object_name(std::string_view name) {
  constexpr std::size_t kNameMax = 253;
  const auto letter_or_digit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.size() > kNameMax) return false;
  bool begins = true;  // a part, which ends as it begins: with a letter or a digit
  char last = '.';
  for (const char c : name) {
    if (!letter_or_digit(c) && (begins || (c != '-' && c != '.'))) return false;
    if (c == '.' && !letter_or_digit(last)) return false;
    begins = c == '.';
    last = c;
  }
  return letter_or_digit(last);
}

/// A key under `data`.
[[nodiscard]] inline bool is_data_key(std::string_view key) {
  constexpr std::size_t kKeyMax = 253;
  return !key.empty() && key.size() <= kKeyMax && key != "." && key.substr(0, 2) != ".." &&
         key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == key.npos;
}

}  // namespace gate
