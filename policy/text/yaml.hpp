#pragma once
// YAML and JSON written by people, read into JSON values. Hostile input: size and depth are bounded, and what two
// readers could understand differently is refused instead of guessed.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "policy/text/result.hpp"

namespace gate {

inline constexpr std::size_t kYamlBytesMax = 256u << 10;  ///< The hooks of a cluster are a few kilobytes.
inline constexpr std::size_t kYamlDepthMax = 64;          ///< A Kubernetes object of any use is under 20 deep.

/// The documents of a YAML stream; empty ones are left out. Plain scalars have the types of YAML 1.2's core schema:
/// "true" is a boolean, "yes" is text. Refused: anchors, aliases, tags other than !!str, a key twice, keys that are
/// not scalars, control characters, invalid UTF-8. InvalidInput says "line 3, column 5: ...", and repeats no value.
[[nodiscard]] Result<std::vector<nlohmann::json>> yaml_documents(std::string_view text,
                                                                 std::size_t bytes_max = kYamlBytesMax);

/// One document of a stream of manifests.
struct ManifestDocument {
  std::size_t line = 1;  ///< Where it begins.
  nlohmann::json value;
  std::vector<std::string> faults;   ///< "line 7: the key "a" is there twice": what readers take differently.
  std::vector<std::string> twice{};  ///< Its own keys that are there twice, not those of what it holds.
};

/// The documents of manifests, as kubectl reads them: YAML (plain scalars as 1.1 has them: yes, 010, 1_000) and JSON,
/// also mixed and JSON behind JSON, in UTF-16 too where a byte order mark says so; "---" separates; byte order marks
/// before a document are passed over; anchors, aliases and merge keys are expanded, up to kExpandedBytesMax; of a key
/// twice the last counts, and is a fault of its document, as are tags that change a value. Empty ones are left out.
/// InvalidInput says "line 3, column 5: ...", and repeats no value.
[[nodiscard]] Result<std::vector<ManifestDocument>> manifest_documents(std::string_view text, std::size_t bytes_max);

/// Of all aliases of one document together: a chart's repeated blocks are some kilobytes.
inline constexpr std::size_t kExpandedBytesMax = 1u << 20;

/// One JSON document, under the same limits; a key twice is refused.
[[nodiscard]] Result<nlohmann::json> json_document(std::string_view text, std::size_t bytes_max = kYamlBytesMax);

}  // namespace gate
