#include "policy/decision/bypass.hpp"

#include "policy/text/text.hpp"

namespace gate {
namespace {

/// A key has 10 characters.
constexpr std::size_t kTargetMax = 64;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

Error malformed(const std::string& what) { return {ErrorCode::InvalidInput, what}; }

}  // namespace

Result<Bypass> parse_bypass(std::string_view text) {
  Bypass out;
  for (bool first = true; first || !text.empty(); first = false) {
    const auto end = text.find(';');
    const auto part = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const auto equals = part.find('=');
    const auto name = trimmed(part.substr(0, equals));
    const auto value = equals == std::string_view::npos ? std::string_view{} : trimmed(part.substr(equals + 1));
    if (first) {
      if (part.empty() || equals != std::string_view::npos || part.size() > kTargetMax) {
        return malformed("it must begin with a target key or *");
      }
      out.target = clean_text(part);
    } else if (name == "reason" && out.reason.empty()) {
      out.reason = clean_text(value, kBypassReasonMax);
    } else if (name == "until" && !out.until) {
      out.until = parse_time(value);
      if (!out.until) return malformed("until is not an RFC 3339 timestamp, such as 2026-12-01T12:00:00Z");
    } else if (!part.empty()) {
      return malformed("\"" + clean_text(part, 30) + "\" is neither reason= nor until=");
    }
  }
  if (out.reason.empty()) return malformed("reason= is missing");
  if (!out.until) return malformed("until= is missing");
  return out;
}

std::string bypass_obstacle(const Bypass& bypass, std::string_view key, WallTime now) {
  if (bypass.target != "*" && bypass.target != key) {
    return "it is for target " + clean_text(bypass.target, 20) + ", this is " + std::string(key);
  }
  if (!bypass.until || *bypass.until <= now) return "it has expired";
  if (*bypass.until > now + kBypassAheadMax) return "until is more than 7 days ahead";
  return {};
}

}  // namespace gate
