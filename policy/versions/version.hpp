#pragma once
// StarRocks versions as numbers: read from image references and from what the nodes report, never compared as text.

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace gate {

struct Version {
  int major = 0;
  int minor = 0;
  std::optional<int> patch;  ///< Absent in "3.5" and "3.5-latest": some patch of that minor.
  std::string prerelease;    ///< "rc01" in "4.0.2-rc01", lower case; comes before the release. Empty: the release.
  friend bool operator==(const Version&, const Version&) = default;
};

/// Unordered when both are of one minor and the patch of either is not known.
[[nodiscard]] std::partial_ordering operator<=>(const Version& left, const Version& right);
/// "3.5.7", "4.0.2-rc01", "3.5".
[[nodiscard]] std::string to_string(const Version& version);

/// "3.5.7", "v3.5.7", "3.5-latest", "4.0.2-rc01", "4.0.2-1f1aa9c" (as nodes report it), "3.3.1-ubuntu". A suffix that
/// is neither rc, alpha, beta nor preview says nothing about the order. Nothing for "latest", "main-20240101", "3", and
/// for dates: "2024.01.15", "3.5.2024", "24.10" (a number of four digits, one with a leading zero, a major above 19).
[[nodiscard]] std::optional<Version> parse_version(std::string_view text);

/// The version that the tag of an image reference names. Understands registries with a port. A reference with only a
/// digest, or without a tag, has no known version; of "image:3.5.7@sha256:..." the tag is believed.
[[nodiscard]] std::optional<Version> version_of_image(std::string_view image);

enum class VersionChange {
  Major,
  Minor,
  Patch,      ///< Upwards within one minor, a pre-release to its release included.
  Downgrade,  ///< To any lower version.
  Same,       ///< Another build of the same version.
  Unknown,    ///< One of the two versions, or their order, is not known.
};
/// "major", "minor", "patch", "downgrade", "same", "unknown".
[[nodiscard]] std::string_view to_string(VersionChange change);
[[nodiscard]] VersionChange version_change(std::string_view from_image, std::string_view to_image);

}  // namespace gate
