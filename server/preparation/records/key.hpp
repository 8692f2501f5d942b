#pragma once
// "namespace/name": how records and clusters are told apart within a replica.

#include <string>
#include <utility>

#include "policy/record/preparation.hpp"

namespace gate {

[[nodiscard]] inline std::string key_of(const Preparation& record) { return record.name_space + "/" + record.name; }

/// Namespace and name.
[[nodiscard]] inline std::pair<std::string, std::string> split_key(const std::string& key) {
  const auto slash = key.find('/');
  return {key.substr(0, slash), key.substr(slash + 1)};
}

}  // namespace gate
