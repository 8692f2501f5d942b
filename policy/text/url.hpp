#pragma once
// URLs of HTTP hooks. Read strictly: whatever two readers could understand differently is refused, since one of them
// compares the URL with what the gate's owner allowed and the other serves it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/text/result.hpp"

namespace gate {

struct HttpUrl {
  bool tls = true;
  std::string host;  ///< Lower case; an IPv6 address without brackets.
  std::uint16_t port = 443;
  std::string path = "/";  ///< As written.
  std::string query{};     ///< As written, with its '?'; empty without one.

  /// "host", "host:8443", "[::1]:8443": as in a Host header, the scheme's own port left out.
  [[nodiscard]] std::string authority() const;
  /// Without the query, which may hold what is nobody's business.
  [[nodiscard]] std::string shown() const;
};

/// "https://host[:port][/path][?query]", or http. InvalidInput says what is wrong with it and shows no password: user
/// information, fragments, backslashes, empty and dot segments, encoded slashes, dots, percents and NULs, IPv4
/// addresses in other than four decimal numbers, a final dot of the host, more than 2,000 bytes.
[[nodiscard]] Result<HttpUrl> parse_http_url(std::string_view text);

/// As parse_http_url, without a query: everything under it is allowed.
[[nodiscard]] Result<HttpUrl> parse_http_url_prefix(std::string_view text);

/// Same scheme, host and port, and the prefix's path segments are the first ones of the URL: "https://a/hooks" is a
/// prefix of "https://a/hooks/1", not of "https://a/hooks-of-others" or "https://a.example/hooks".
[[nodiscard]] bool is_under(const HttpUrl& url, const HttpUrl& prefix);
[[nodiscard]] bool is_under_any(const HttpUrl& url, const std::vector<HttpUrl>& prefixes);

}  // namespace gate
