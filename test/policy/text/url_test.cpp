#include "policy/text/url.hpp"

#include <doctest/doctest.h>

namespace gate {
namespace {

TEST_CASE("a URL is taken apart") {
  struct Row {
    const char* text;
    bool tls;
    const char* host;
    int port;
    const char* path;
    const char* query;
    const char* authority;
  };
  for (const Row& row : {
           Row{"https://a.example", true, "a.example", 443, "/", "", "a.example"},
           Row{"http://a", false, "a", 80, "/", "", "a"},
           Row{"HTTPS://A.Example/Hooks/1?x=%2F..&y=/?", true, "a.example", 443, "/Hooks/1", "?x=%2F..&y=/?",
               "a.example"},
           Row{"https://a:8443/", true, "a", 8443, "/", "", "a:8443"},
           Row{"https://a:443?q", true, "a", 443, "/", "?q", "a"},
           Row{"http://a:443", false, "a", 443, "/", "", "a:443"},
           Row{"https://10.1.2.3/a", true, "10.1.2.3", 443, "/a", "", "10.1.2.3"},
           Row{"https://[2001:DB8::1]:8443/a", true, "2001:db8::1", 8443, "/a", "", "[2001:db8::1]:8443"},
           Row{"https://1st.example/a", true, "1st.example", 443, "/a", "", "1st.example"},
           Row{"https://my_service.ns.svc/a;v=1/b~c/", true, "my_service.ns.svc", 443, "/a;v=1/b~c/", "",
               "my_service.ns.svc"},
           Row{"https://a/%C3%A9...", true, "a", 443, "/%C3%A9...", "", "a"},
       }) {
    INFO(std::string(row.text));
    const auto url = parse_http_url(row.text);
    REQUIRE_MESSAGE(url.ok(), (url.ok() ? "" : url.error().message));
    CHECK(url->tls == row.tls);
    CHECK(url->host == row.host);
    CHECK(url->port == row.port);
    CHECK(url->path == row.path);
    CHECK(url->query == row.query);
    CHECK(url->authority() == row.authority);
  }
}

TEST_CASE("what two readers could understand differently is refused") {
  struct Row {
    const char* name;
    std::string text;
    const char* says;
  };
  for (const Row& row : {
           Row{"nothing", "", "https://"},
           Row{"no scheme", "a.example/hooks", "https://"},
           Row{"another scheme", "ftp://a.example", "https://"},
           Row{"a file", "file:///etc/passwd", "https://"},
           Row{"no host", "https:///a", "no host"},
           Row{"a port alone", "https://:443/a", "no host"},
           Row{"user information", "https://user:hunter2@a.example/", "user information"},
           Row{"a host before an at", "https://allowed.example@evil.example/", "user information"},
           Row{"a backslash", "https://a.example\\@evil.example/", "backslash"},
           Row{"a fragment", "https://a.example/#x", "fragment"},
           Row{"a fragment right after the host", "https://a.example#@evil.example/", "fragment"},
           Row{"a space", "https://a.example/a b", "path"},
           Row{"a line feed", "https://a.example/a\nb", "path"},
           Row{"a line feed in the host", "https://a\n.example/", "valid name"},
           Row{"a NUL", std::string("https://a.example/\0", 19), "path"},
           Row{"an encoded host", "https://a%2eexample/", "valid name"},
           Row{"a host beyond ASCII", "https://\xC3\xA9.example/", "valid name"},
           Row{"a final dot", "https://a.example./", "dots"},
           Row{"two dots", "https://a..example/", "dots"},
           Row{"a hyphen at the edge", "https://-a.example/", "valid name"},
           Row{"a long label", "https://" + std::string(64, 'a') + "/", "valid name"},
           Row{"a short address", "https://127.1/", "four decimal"},
           Row{"an address as one number", "https://2130706433/", "four decimal"},
           Row{"an address in hexadecimal", "https://0x7f000001/", "four decimal"},
           Row{"an address with a hexadecimal end", "https://127.0.0.0x1/", "four decimal"},
           Row{"an address in octal", "https://0177.0.0.1/", "four decimal"},
           Row{"an address out of range", "https://1.2.3.256/", "four decimal"},
           Row{"a zone", "https://[fe80::1%25eth0]/", "IPv6"},
           Row{"no closing bracket", "https://[::1/", "IPv6"},
           Row{"no address in brackets", "https://[a]/", "IPv6"},
           Row{"text after the bracket", "https://[::1]a/", "after its IPv6"},
           Row{"port 0", "https://a:0/", "port"},
           Row{"no port", "https://a:/", "port"},
           Row{"a port too large", "https://a:65536/", "port"},
           Row{"a port with a sign", "https://a:+1/", "port"},
           Row{"two ports", "https://a:1:2/", "port"},
           Row{"a dot segment", "https://a/hooks/../admin", "dot segment"},
           Row{"a dot segment at the end", "https://a/hooks/..", "dot segment"},
           Row{"a single dot", "https://a/./b", "dot segment"},
           Row{"a dot segment with parameters", "https://a/hooks/..;x=1/admin", "dot segment"},
           Row{"an encoded dot segment", "https://a/hooks/%2E%2e/admin", "%2e"},
           Row{"an encoded slash", "https://a/hooks%2F..", "%2f"},
           Row{"an encoded backslash", "https://a/hooks%5c..", "%5c"},
           Row{"encoded twice", "https://a/hooks/%252e%252e/admin", "%25"},
           Row{"an encoded NUL", "https://a/hooks%00", "%00"},
           Row{"half an encoding", "https://a/hooks%2", "path"},
           Row{"no encoding", "https://a/hooks%zz", "path"},
           Row{"an empty segment", "https://a//b", "empty segment"},
           Row{"a space in the query", "https://a/?a b", "query"},
           Row{"too long", "https://a/" + std::string(2000, 'a'), "2000 bytes"},
       }) {
    INFO(row.name);
    const auto url = parse_http_url(row.text);
    REQUIRE_FALSE(url.ok());
    CHECK(url.error().code == ErrorCode::InvalidInput);
    CHECK_MESSAGE(url.error().message.find(row.says) != std::string::npos, url.error().message);
    CHECK(url.error().message.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("a refused URL is shown without its query") {
  const auto url = parse_http_url("https://a/../b?token=hunter2");
  REQUIRE_FALSE(url.ok());
  CHECK(url.error().message.find("https://a/../b") != std::string::npos);
  CHECK(url.error().message.find("hunter2") == std::string::npos);
  CHECK(parse_http_url("https://a/b?token=hunter2")->shown() == "https://a/b");
}

TEST_CASE("a prefix allows what lies under it: by scheme, host, port and whole path segments") {
  struct Row {
    const char* prefix;
    const char* url;
    bool under;
  };
  for (const Row& row : {
           Row{"https://a.example", "https://a.example", true},
           Row{"https://a.example", "https://a.example/", true},
           Row{"https://a.example/", "https://a.example", true},
           Row{"https://a.example", "https://A.EXAMPLE:443/any/thing?x", true},
           Row{"https://a.example", "https://a.example.evil", false},
           Row{"https://a.example", "https://a.example.evil/", false},
           Row{"https://a.example", "https://b.a.example/", false},
           Row{"https://a.example", "https://a.example:8443/", false},
           Row{"https://a.example", "http://a.example/", false},
           Row{"https://a.example", "http://a.example:443/", false},
           Row{"https://a.example:8443", "https://a.example:8443/x", true},
           Row{"https://a.example:8443", "https://a.example:8444/x", false},
           Row{"https://a.example/hooks", "https://a.example/hooks", true},
           Row{"https://a.example/hooks", "https://a.example/hooks?x=1", true},
           Row{"https://a.example/hooks", "https://a.example/hooks/", true},
           Row{"https://a.example/hooks", "https://a.example/hooks/1", true},
           Row{"https://a.example/hooks/", "https://a.example/hooks/1", true},
           Row{"https://a.example/hooks/", "https://a.example/hooks", true},
           Row{"https://a.example/hooks", "https://a.example/hooks-of-others", false},
           Row{"https://a.example/hooks/", "https://a.example/hooks-of-others", false},
           Row{"https://a.example/hooks", "https://a.example/Hooks", false},
           Row{"https://a.example/hooks", "https://a.example/", false},
           Row{"https://a.example/hooks", "https://a.example/x/hooks", false},
           Row{"https://[2001:db8::1]", "https://[2001:DB8::1]/x", true},
           Row{"http://10.0.0.1:8080/a", "http://10.0.0.1:8080/a/b", true},
       }) {
    const std::string name = std::string(row.url) + " under " + row.prefix;
    INFO(name);
    const auto prefix = parse_http_url_prefix(row.prefix);
    const auto url = parse_http_url(row.url);
    REQUIRE(prefix.ok());
    REQUIRE(url.ok());
    CHECK(is_under(*url, *prefix) == row.under);
    CHECK(is_under_any(*url, {*prefix}) == row.under);
  }
  CHECK_FALSE(is_under_any(*parse_http_url("https://a.example"), {}));
}

TEST_CASE("a prefix has no query") {
  CHECK_FALSE(parse_http_url_prefix("https://a.example/?x").ok());
  CHECK_FALSE(parse_http_url_prefix("https://a.example?").ok());
}

}  // namespace
}  // namespace gate
