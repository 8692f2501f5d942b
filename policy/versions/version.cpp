#include "policy/versions/version.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace gate {
namespace {

/// Names of pre-releases; they sort by name, as "alpha" < "beta" < "preview" < "rc" happen to.
constexpr std::array<std::string_view, 4> kPrereleases{"alpha", "beta", "preview", "rc"};
/// StarRocks is at 4 after six years; a larger first number is a year, a distribution's release or a build.
constexpr int kMajorMax = 19;
/// Of a minor or a patch: what has four digits is a year, a date or a hash.
constexpr int kNumberMax = 999;

/// Digits at the beginning of `text`. A number of four digits, or one with a leading zero, is a part of a date.
std::optional<int> take_number(std::string_view& text, int most) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || (digits > 1 && text.front() == '0')) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (error != std::errc{} || number > most) return std::nullopt;
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

/// "rc01" of "rc01-ubuntu"; empty when the suffix names no pre-release.
std::string prerelease_of(std::string_view suffix) {
  const std::string text = lower(suffix);
  for (const std::string_view name : kPrereleases) {
    if (!text.starts_with(name)) continue;
    const std::size_t end = std::min(text.find_first_not_of("0123456789", name.size()), text.size());
    return text.substr(0, end);
  }
  return {};
}

/// ("rc", 1) of "rc01". A release sorts after every pre-release.
std::pair<std::string_view, int> prerelease_order(const std::string& prerelease) {
  constexpr std::string_view kAfterAll = "~";
  if (prerelease.empty()) return {kAfterAll, 0};
  const std::size_t digits = std::min(prerelease.find_first_of("0123456789"), prerelease.size());
  const std::string_view rest = std::string_view(prerelease).substr(digits);
  int number = 0;  // "rc01" is candidate 1
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error == std::errc::result_out_of_range) number = std::numeric_limits<int>::max();
  return {std::string_view(prerelease).substr(0, digits), number};
}

}  // namespace

std::partial_ordering operator<=>(const Version& left, const Version& right) {
  if (const auto order = left.major <=> right.major; std::is_neq(order)) return order;
  if (const auto order = left.minor <=> right.minor; std::is_neq(order)) return order;
  if (!left.patch || !right.patch) return std::partial_ordering::unordered;
  if (const auto order = *left.patch <=> *right.patch; std::is_neq(order)) return order;
  return prerelease_order(left.prerelease) <=> prerelease_order(right.prerelease);
}

std::string to_string(const Version& version) {
  std::string text = std::to_string(version.major) + "." + std::to_string(version.minor);
  if (version.patch) text += "." + std::to_string(*version.patch);
  if (!version.prerelease.empty()) text += "-" + version.prerelease;
  return text;
}

std::optional<Version> parse_version(std::string_view text) {
  if (!take(text, 'v')) take(text, 'V');
  if (text.empty()) return std::nullopt;
  Version version;
  const auto major = take_number(text, kMajorMax);
  if (!major || !take(text, '.') || text.empty()) return std::nullopt;
  const auto minor = take_number(text, kNumberMax);
  if (!minor) return std::nullopt;
  version.major = *major;
  version.minor = *minor;
  if (text.size() >= 2 && text[0] == '.' && text[1] >= '0' && text[1] <= '9') {
    text.remove_prefix(1);
    version.patch = take_number(text, kNumberMax);
    if (!version.patch) return std::nullopt;
  }
  const bool separated = take(text, '-') || take(text, '_') || take(text, '.') || take(text, '+');
  version.prerelease = prerelease_of(text);
  if (!separated && !text.empty() && version.prerelease.empty()) return std::nullopt;
  return version;
}

std::optional<Version> version_of_image(std::string_view image) {
  // A colon before the last slash belongs to the registry's port, one after '@' to the digest.
  std::string_view last = image.substr(image.rfind('/') + 1);
  last = last.substr(0, last.find('@'));
  const std::size_t colon = last.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  return parse_version(last.substr(colon + 1));
}

std::string_view to_string(VersionChange change) {
  switch (change) {
    case VersionChange::Major:
      return "major";
    case VersionChange::Minor:
      return "minor";
    case VersionChange::Patch:
      return "patch";
    case VersionChange::Downgrade:
      return "downgrade";
    case VersionChange::Same:
      return "same";
    case VersionChange::Unknown:
      return "unknown";
  }
  return "";
}

VersionChange version_change(std::string_view from_image, std::string_view to_image) {
  const auto from = version_of_image(from_image);
  const auto to = version_of_image(to_image);
  if (!from || !to) return VersionChange::Unknown;
  const std::partial_ordering order = *from <=> *to;
  if (order == std::partial_ordering::unordered) return VersionChange::Unknown;
  if (std::is_eq(order)) return VersionChange::Same;
  if (std::is_gt(order)) return VersionChange::Downgrade;
  if (from->major != to->major) return VersionChange::Major;
  if (from->minor != to->minor) return VersionChange::Minor;
  return VersionChange::Patch;
}

}  // namespace gate
