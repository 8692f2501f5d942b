#include "policy/text/url.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "policy/text/text.hpp"

namespace gate {
namespace {

/// Longer ones are refused by many servers.
constexpr std::size_t kUrlBytesMax = 2000;
/// RFC 1035: a host name, and one of its labels.
constexpr std::size_t kHostBytesMax = 253;
constexpr std::size_t kLabelBytesMax = 63;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// The next piece up to `separator`, which is taken away with it; nullopt after the last.
std::optional<std::string_view> next_piece(std::optional<std::string_view>& rest, char separator) {
  if (!rest) return std::nullopt;
  const auto end = rest->find(separator);
  const std::string_view piece = rest->substr(0, end);
  rest = end == std::string_view::npos ? std::nullopt : std::optional(rest->substr(end + 1));
  return piece;
}

/// 0 to 255 as people write it: "010" is 8 to some.
bool is_octet(std::string_view text) {
  int value = 256;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= 0 && value <= 255 &&
         std::to_string(value) == text;
}

/// "" when the host is a name or an IPv4 address, else what is wrong with it.
std::string fault_of_name(std::string_view host) {
  if (host.empty()) return "has no host";
  if (host.size() > kHostBytesMax) return "has a host of more than 253 characters";
  std::vector<std::string_view> labels;
  for (std::optional<std::string_view> rest = host; const auto label = next_piece(rest, '.');) labels.push_back(*label);
  for (const std::string_view label : labels) {
    if (label.empty()) return "has a host with an empty part between, before or after its dots";
    const bool edges = label.front() != '-' && label.back() != '-';
    const bool characters =
        std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
    if (label.size() > kLabelBytesMax || !edges || !characters) return "has a host that is no valid name";
  }
  // Whoever sees a number at the end reads an address, some of them from 1.2, 0x7f.1 or 2130706433.
  const std::string last = lower(labels.back());
  const bool number =
      is_digit(last.front()) && (std::all_of(last.begin(), last.end(), is_digit) || last.starts_with("0x"));
  if (number && (labels.size() != 4 || !std::all_of(labels.begin(), labels.end(), is_octet))) {
    return "has an IPv4 address that is not written as four decimal numbers";
  }
  return {};
}

/// The characters of an IPv6 address; whether it is one is found out by whoever connects.
bool may_be_ipv6(std::string_view text) {
  return text.size() >= 2 && text.size() <= 45 && text.find(':') != std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

/// RFC 3986: pchar and '/', with valid percent-encodings.
bool has_only(std::string_view text, std::string_view further) {
  constexpr std::string_view kMarks = "-._~!$&'()*+,;=:@/";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (text.size() - i < 3 || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
      i += 2;
    } else if (!is_alphanumeric(text[i]) && kMarks.find(text[i]) == std::string_view::npos &&
               further.find(text[i]) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

std::string fault_of_path(std::string_view path) {
  if (!has_only(path, {})) return "has a character in its path that must be percent-encoded";
  const std::string folded = lower(path);
  for (const std::string_view encoded : {"%2f", "%5c", "%2e", "%25", "%00"}) {
    if (folded.find(encoded) != std::string::npos) return "has " + std::string(encoded) + " in its path";
  }
  for (std::optional<std::string_view> rest = path.substr(1); auto segment = next_piece(rest, '/');) {
    if (segment->empty() && rest) return "has an empty segment in its path";
    // Some servers cut parameters off before they look at the dots.
    const std::string_view name = segment->substr(0, segment->find(';'));
    if (name == "." || name == "..") return "has a dot segment in its path";
  }
  return {};
}

Error refused(std::string_view text, const std::string& fault) {
  // Neither user information nor a query is shown.
  std::string_view shown = text.substr(0, text.find_first_of("?#"));
  const auto at = shown.rfind('@');
  const std::string safe = at == std::string_view::npos ? std::string(shown) : "..." + std::string(shown.substr(at));
  return {ErrorCode::InvalidInput,
          "URL \"" + clean_text(safe, 200) + "\" " + fault + "; accepted: https://HOST[:PORT][/PATH], or http"};
}

/// Without '/' at the end: "https://a/hooks/" and "https://a/hooks" allow the same.
std::string_view without_last_slash(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

}  // namespace

std::string HttpUrl::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (tls ? 443 : 80)) out += ":" + std::to_string(port);
  return out;
}

std::string HttpUrl::shown() const { return (tls ? "https://" : "http://") + authority() + path; }

Result<HttpUrl> parse_http_url(std::string_view text) {
  if (text.size() > kUrlBytesMax) return refused(text, "has more than 2000 bytes");
  HttpUrl url;
  const auto scheme_end = text.find("://");
  const std::string scheme = lower(text.substr(0, std::min(scheme_end, text.size())));
  if (scheme_end == std::string_view::npos || (scheme != "https" && scheme != "http")) {
    return refused(text, "begins with neither https:// nor http://");
  }
  url.tls = scheme == "https";
  url.port = url.tls ? 443 : 80;
  std::string_view rest = text.substr(scheme_end + 3);
  if (rest.find('#') != std::string_view::npos) return refused(text, "has a fragment");
  if (rest.find('\\') != std::string_view::npos) return refused(text, "has a backslash");
  const auto authority_end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  rest.remove_prefix(authority_end);
  if (authority.find('@') != std::string_view::npos) return refused(text, "has user information");

  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos || !may_be_ipv6(authority.substr(1, end - 1))) {
      return refused(text, "has no IPv6 address between its brackets");
    }
    url.host = lower(authority.substr(1, end - 1));
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority.front() != ':') return refused(text, "has a text after its IPv6 address");
  } else {
    const auto end = std::min(authority.find(':'), authority.size());
    if (auto fault = fault_of_name(authority.substr(0, end)); !fault.empty()) return refused(text, fault);
    url.host = lower(authority.substr(0, end));
    authority.remove_prefix(end);
  }
  if (!authority.empty()) {
    const std::string_view digits = authority.substr(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc{} || end != digits.data() + digits.size() || url.port == 0) {
      return refused(text, "has no port from 1 to 65535 after its colon");
    }
  }

  const auto query = rest.find('?');
  if (query != std::string_view::npos) {
    if (!has_only(rest.substr(query), "?")) return refused(text, "has a character in its query that must be encoded");
    url.query = rest.substr(query);
    rest = rest.substr(0, query);
  }
  if (!rest.empty()) {
    if (auto fault = fault_of_path(rest); !fault.empty()) return refused(text, fault);
    url.path = rest;
  }
  return url;
}

Result<HttpUrl> parse_http_url_prefix(std::string_view text) {
  auto url = parse_http_url(text);
  if (url && !url->query.empty()) return refused(text, "has a query, which a prefix cannot have");
  return url;
}

bool is_under(const HttpUrl& url, const HttpUrl& prefix) {
  if (url.tls != prefix.tls || url.host != prefix.host || url.port != prefix.port) return false;
  const std::string_view allowed = without_last_slash(prefix.path);
  const std::string_view path = url.path;
  return path.starts_with(allowed) && (path.size() == allowed.size() || path[allowed.size()] == '/');
}

bool is_under_any(const HttpUrl& url, const std::vector<HttpUrl>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const HttpUrl& prefix) { return is_under(url, prefix); });
}

}  // namespace gate
