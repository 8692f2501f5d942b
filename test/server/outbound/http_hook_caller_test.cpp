#include "server/outbound/http_hook_caller.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "server/httplib.hpp"
#include "test/fakes/certificates.hpp"
#include "test/fakes/loopback.hpp"
#include "test/server/outbound/service.hpp"
#include "test/server/outbound/tls_server.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using test::Service;

/// Longer than any machine needs.
Deadline patience() { return std::chrono::steady_clock::now() + 30s; }

void allow(const httplib::Request&, httplib::Response& response) {
  response.set_content(R"({"verdict":"allow"})", "application/json");
}

/// A peer without manners: reads a request's first bytes, writes what it is told to, and holds the connection.
class RawPeer {
 public:
  explicit RawPeer(std::function<void(int socket)> script) {
    thread_ = std::jthread([this, script = std::move(script)] {
      const int socket = port_.accept();
      if (socket < 0) return;
      char byte = 0;
      if (::recv(socket, &byte, 1, 0) == 1) script(socket);
      while (::recv(socket, &byte, 1, 0) == 1) {
      }
      ::close(socket);
    });
  }
  ~RawPeer() {
    port_.shut_down();
    thread_.join();
  }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_.port()) + "/hook"; }

 private:
  test::LoopbackPort port_;
  std::jthread thread_;
};

/// False once the other side has gone.
bool send_text(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::unique_ptr<HttpHookCaller> make_caller(const std::vector<std::string>& prefixes, bool allow_loopback = true) {
  HttpHookCallerOptions options;
  for (const auto& prefix : prefixes) options.allowed.push_back(parse_http_url_prefix(prefix).value());
  options.addresses.allow_loopback = allow_loopback;
  return std::make_unique<HttpHookCaller>(options);
}

/// Allowed to call the machine itself, by whatever port.
Result<HttpCallReply> call(const std::string& url, const std::string& ca_pem = {}, const std::string& token = {},
                           Deadline deadline = patience()) {
  return make_caller({parse_http_url(url)->shown()})->post({url, R"({"cluster":"sr"})", token, ca_pem}, deadline);
}

std::string why(const Result<HttpCallReply>& reply) { return reply.ok() ? "" : reply.error().message; }

const TestCertificate& authority() {
  static const TestCertificate made = make_test_authority("hooks authority");
  return made;
}

TEST_CASE("a service with a certificate of the given CA is asked, by its name and with the token") {
  const Service service(make_tls_server(make_test_certificate(authority(), {"localhost"})), allow);
  const auto reply =
      call(service.at("https://localhost") + "/hooks/a%20b?x=%2F1", authority().certificate_pem, "s3cret");
  REQUIRE_MESSAGE(reply.ok(), why(reply));
  CHECK(reply->status == 200);
  CHECK(reply->body == R"({"verdict":"allow"})");
  const auto asked = service.requests();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].method == "POST");
  CHECK(asked[0].target == "/hooks/a%20b?x=%2F1");
  CHECK(asked[0].body == R"({"cluster":"sr"})");
  CHECK("https://" + asked[0].get_header_value("Host") == service.at("https://localhost"));
  CHECK(asked[0].get_header_value("Content-Type") == "application/json");
  CHECK(asked[0].get_header_value("Authorization") == "Bearer s3cret");
  CHECK(asked[0].get_header_value("User-Agent") == "upgrade-gate/dev");
}

TEST_CASE("a certificate that does not prove the name is not talked to") {
  const Service named(make_tls_server(make_test_certificate(authority(), {"localhost", "127.0.0.1"})), allow);
  const Service other(make_tls_server(make_test_certificate(authority(), {"elsewhere.example"})), allow);
  struct Row {
    const char* name;
    std::string url;
    std::string ca;
    ErrorCode code;
    const char* says;
  };
  for (const Row& row : {
           Row{"the system's roots", named.at("https://localhost"), {}, ErrorCode::Unavailable, "certificate is not"},
           Row{"another CA", named.at("https://localhost"), make_test_authority("another").certificate_pem,
               ErrorCode::Unavailable, "certificate is not valid"},
           Row{"another name", other.at("https://localhost"), authority().certificate_pem, ErrorCode::Unavailable,
               "hostname mismatch"},
           Row{"an address instead of the name", other.at("https://127.0.0.1"), authority().certificate_pem,
               ErrorCode::Unavailable, "IP address mismatch"},
           Row{"no CA at all", named.at("https://localhost"), "not PEM", ErrorCode::InvalidInput, "PEM"},
       }) {
    INFO(row.name);
    const auto reply = call(row.url, row.ca, "s3cret");
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().code == row.code);
    CHECK_MESSAGE(why(reply).find(row.says) != std::string::npos, why(reply));
    CHECK(why(reply).find("s3cret") == std::string::npos);
  }
  CHECK(named.requests().empty());
  CHECK(other.requests().empty());
  CHECK(call(named.at("https://127.0.0.1"), authority().certificate_pem).ok());
}

TEST_CASE("a service that speaks no TLS is Unavailable") {
  const Service plain(std::make_unique<httplib::Server>(), allow);
  const auto reply = call(plain.at("https://127.0.0.1"));
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.error().code == ErrorCode::Unavailable);
  CHECK(why(reply).find("no TLS connection") != std::string::npos);
}

TEST_CASE("every status is an answer, and a redirect is not followed") {
  const Service elsewhere(std::make_unique<httplib::Server>(), allow);
  for (const int status : {200, 204, 302, 307, 308, 400, 503}) {
    INFO(status);
    const Service service(std::make_unique<httplib::Server>(), [&](const auto&, auto& response) {
      response.status = status;
      response.set_header("Location", elsewhere.at("http://127.0.0.1") + "/there");
    });
    const auto reply = call(service.at("http://127.0.0.1"));
    REQUIRE_MESSAGE(reply.ok(), why(reply));
    CHECK(reply->status == status);
    CHECK(service.requests().size() == 1);
  }
  CHECK(elsewhere.requests().empty());
}

TEST_CASE("only what lies under an allowed prefix is called") {
  const Service service(std::make_unique<httplib::Server>(), allow);
  const std::string origin = service.at("http://127.0.0.1");
  const auto caller = make_caller({origin + "/hooks"});
  CHECK(caller->post({origin + "/hooks/1", "{}", {}, {}}, patience()).ok());
  for (const std::string& url : {origin + "/hooks-of-others", origin + "/", std::string("https://127.0.0.1/hooks/1"),
                                 service.at("http://localhost") + "/hooks/1"}) {
    INFO(url);
    const auto reply = caller->post({url, "{}", {}, {}}, patience());
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().code == ErrorCode::PermissionDenied);
    CHECK(why(reply).find("not under a prefix") != std::string::npos);
  }
  const auto dots = caller->post({origin + "/hooks/../admin", "{}", {}, {}}, patience());
  REQUIRE_FALSE(dots.ok());
  CHECK(dots.error().code == ErrorCode::InvalidInput);
  CHECK_FALSE(make_caller({})->post({origin + "/hooks/1", "{}", {}, {}}, patience()).ok());
  CHECK(service.requests().size() == 1);
}

TEST_CASE("the machine itself and its neighbours on the link are not called, whatever the name") {
  const Service service(std::make_unique<httplib::Server>(), allow);
  struct Row {
    std::string url;
    bool allow_loopback;
    const char* says;
  };
  for (const Row& row : {
           Row{service.at("http://127.0.0.1"), false, "a loopback address"},
           Row{service.at("http://localhost"), false, "a loopback address"},
           Row{service.at("http://[::1]"), false, "a loopback address"},
           Row{service.at("http://[::ffff:127.0.0.1]"), false, "a loopback address"},
           Row{service.at("http://0.0.0.0"), true, "an unspecified address"},
           Row{"http://169.254.169.254/latest/meta-data", true, "a link-local address"},
           Row{"http://[fe80::1]/", true, "a link-local address"},
           Row{"http://[::ffff:169.254.169.254]/", true, "a link-local address"},
       }) {
    INFO(row.url);
    const auto caller = make_caller({row.url}, row.allow_loopback);
    const auto reply = caller->post({row.url, "{}", {}, {}}, patience());
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().code == ErrorCode::PermissionDenied);
    CHECK_MESSAGE(why(reply).find(row.says) != std::string::npos, why(reply));
  }
  CHECK(service.requests().empty());
}

TEST_CASE("an answer of 64 KiB is read, a larger one is not") {
  for (const bool chunked : {false, true}) {
    INFO(chunked);
    std::size_t size = kHttpReplyBytesMax;
    const Service service(std::make_unique<httplib::Server>(), [&](const auto&, auto& response) {
      const std::string text(size, 'x');
      if (!chunked) {
        response.set_content(text, "text/plain");
      } else {
        response.set_chunked_content_provider("text/plain", [text](std::size_t, httplib::DataSink& sink) {
          sink.write(text.data(), text.size());
          sink.done();
          return true;
        });
      }
    });
    const auto whole = call(service.at("http://127.0.0.1"));
    REQUIRE_MESSAGE(whole.ok(), why(whole));
    CHECK(whole->body.size() == kHttpReplyBytesMax);
    ++size;
    const auto larger = call(service.at("http://127.0.0.1"));
    REQUIRE_FALSE(larger.ok());
    CHECK(larger.error().code == ErrorCode::Unavailable);
    CHECK(why(larger).find("larger than 64 KiB") != std::string::npos);
  }
}

TEST_CASE("an answer that never ends, or is no HTTP, ends the call") {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::string megabyte(1u << 20, 'x');
  struct Row {
    const char* name;
    std::function<void(int)> script;
  };
  const auto endless = [](const std::string& first, const std::string& again) {
    return [=](int socket) {
      if (!send_text(socket, first)) return;
      while (send_text(socket, again)) {
      }
    };
  };
  const auto once = [](const std::string& text) {
    return [=](int socket) {
      send_text(socket, text);
      ::shutdown(socket, SHUT_WR);
    };
  };
  for (const Row& row : {
           Row{"an endless first line", endless("HTTP/1.1 200 ", std::string(1000, 'x'))},
           Row{"an endless header", endless(head + "X: ", std::string(1000, 'x'))},
           Row{"endless headers", endless(head, "X: y\r\n")},
           Row{"endless interim answers", endless("", "HTTP/1.1 100 Continue\r\n\r\n")},
           Row{"an endless body", endless(head + "\r\n", std::string(1000, 'x'))},
           Row{"an endless chunk size", endless(head + "Transfer-Encoding: chunked\r\n\r\n", std::string(1000, '0'))},
           Row{"no HTTP", once("what?\r\n\r\n")},
           Row{"nothing", once("")},
           Row{"half a head", once(head + "X: ")},
           Row{"half a body", once(head + "Content-Length: 10\r\n\r\nhalf")},
           Row{"a first line of 1 MB", once("HTTP/1.1 200 " + megabyte + "\r\n\r\n")},
           Row{"an error's first line of 1 MB", once("HTTP/1.1 500 " + megabyte + "\r\n\r\n")},
           Row{"a status of 1 MB", once("HTTP/1.1 " + std::string(1u << 20, '2') + " OK\r\n\r\n")},
           Row{"a first line of 1 MB after an interim answer",
               once("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 " + megabyte + "\r\n\r\n")},
           Row{"a header of 1 MB", once(head + "X: " + megabyte + "\r\n\r\n")},
           Row{"a chunk extension of 1 MB",
               once(head + "Transfer-Encoding: chunked\r\n\r\n2;" + megabyte + "\r\n{}\r\n0\r\n\r\n")},
           Row{"a first line as long as allowed", once("HTTP/1.1 200 " + std::string(4000, 'x'))},
       }) {
    INFO(row.name);
    const RawPeer peer(row.script);
    const auto reply = call(peer.url());
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().code == ErrorCode::Unavailable);
  }
}

TEST_CASE("the deadline covers everything, also bytes that come one by one") {
  struct Row {
    const char* name;
    std::function<void(int)> script;
    const char* scheme;
  };
  for (const Row& row : {
           Row{"no answer", [](int) {}, "http"},
           Row{"no TLS handshake", [](int) {}, "https"},
           Row{"drop by drop",
               [](int socket) {
                 send_text(socket, "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
                 while (send_text(socket, "x")) std::this_thread::sleep_for(5ms);  // sleeps: the pace of the drops
               },
               "http"},
       }) {
    INFO(row.name);
    const RawPeer peer(row.script);
    const std::string url = row.scheme + peer.url().substr(4);
    const auto begin = std::chrono::steady_clock::now();
    const auto reply = call(url, {}, {}, begin + 300ms);
    CHECK(std::chrono::steady_clock::now() - begin < 3s);
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().code == ErrorCode::DeadlineExceeded);
  }
}

TEST_CASE("a call ends within a second when the process stops, and none begins") {
  std::promise<void> asked;
  const RawPeer peer([&](int) { asked.set_value(); });
  const auto caller = make_caller({peer.url()});
  auto reply = std::async(std::launch::async, [&] { return caller->post({peer.url(), "{}", {}, {}}, patience()); });
  asked.get_future().wait();
  const auto begin = std::chrono::steady_clock::now();
  caller->interrupt();
  const auto ended = reply.get();
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
  REQUIRE_FALSE(ended.ok());
  CHECK(ended.error().code == ErrorCode::Unavailable);
  const auto later = caller->post({peer.url(), "{}", {}, {}}, patience());
  REQUIRE_FALSE(later.ok());
  CHECK(later.error().code == ErrorCode::Unavailable);
}

TEST_CASE("a port where nobody listens is Unavailable, and is named without query and token") {
  int port = 0;
  {
    const Service gone(std::make_unique<httplib::Server>(), allow);
    port = std::stoi(gone.at("").substr(1));
  }
  const std::string origin = "https://127.0.0.1:" + std::to_string(port);
  const auto reply = call(origin + "/hook?key=hunter2", {}, "s3cret");
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.error().code == ErrorCode::Unavailable);
  CHECK(why(reply).find(origin + "/hook") != std::string::npos);
  CHECK(why(reply).find("refused") != std::string::npos);
  CHECK(why(reply).find("hunter2") == std::string::npos);
  CHECK(why(reply).find("s3cret") == std::string::npos);
}

TEST_CASE("a token that could not be sent safely is refused unseen") {
  const Service service(std::make_unique<httplib::Server>(), allow);
  struct Row {
    std::string url;
    std::string token;
    ErrorCode code;
  };
  const auto tls = service.at("https://127.0.0.1");
  for (const Row& row :
       {Row{service.at("http://127.0.0.1"), "s3cret", ErrorCode::InvalidInput},
        Row{tls, "s3cret\r\nX-Other: header", ErrorCode::Misconfigured},
        Row{tls, "s3cret two", ErrorCode::Misconfigured}, Row{tls, "s3cret\xC3\xA9", ErrorCode::Misconfigured}}) {
    INFO(row.token);
    const auto reply = call(row.url, {}, row.token);
    REQUIRE_FALSE(reply.ok());
    CHECK(reply.error().code == row.code);
    CHECK(why(reply).find("s3cret") == std::string::npos);
  }
  CHECK(service.requests().empty());
}

TEST_CASE("proxies of the environment are not used") {
  const Service service(std::make_unique<httplib::Server>(), allow);
  const Service proxy(std::make_unique<httplib::Server>(), allow);
  const std::string address = proxy.at("http://127.0.0.1");
  for (const char* name : {"http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"}) ::setenv(name, address.c_str(), 1);
  const auto reply = call(service.at("http://127.0.0.1"));
  for (const char* name : {"http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"}) ::unsetenv(name);
  REQUIRE_MESSAGE(reply.ok(), why(reply));
  CHECK(service.requests().size() == 1);
  CHECK(proxy.requests().empty());
}

}  // namespace
}  // namespace gate
