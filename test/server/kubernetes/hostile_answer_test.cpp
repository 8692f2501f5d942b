// Answers whose framing is larger than any API server's: they end the request and nothing else.

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "server/kubernetes/bounded_client.hpp"
#include "server/kubernetes/kube_client.hpp"
#include "test/fakes/certificates.hpp"
#include "test/server/kubernetes/plain_config.hpp"

namespace gate {
namespace {

using nlohmann::json;
using Send = std::function<bool(std::string_view text)>;  // false once the client has gone

struct FreeTls {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
template <class T>
using TlsPtr = std::unique_ptr<T, FreeTls>;

const TestCertificate& authority() {
  static const TestCertificate made = make_test_authority("a cluster's authority");
  return made;
}

TlsPtr<SSL_CTX> server_context() {
  const auto certificate = make_test_certificate(authority(), {"127.0.0.1"});
  const TlsPtr<BIO> chain(BIO_new_mem_buf(certificate.certificate_pem.data(), -1));
  const TlsPtr<BIO> secret(BIO_new_mem_buf(certificate.private_key_pem.data(), -1));
  const TlsPtr<X509> leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  const TlsPtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(secret.get(), nullptr, nullptr, nullptr));
  TlsPtr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(context.get(), leaf.get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  return context;
}

/// Answers each request, on each connection, with what its script sends; then closes.
class RawServer {
 public:
  RawServer(bool tls, std::function<void(const Send&)> script)
      : script_(std::move(script)),
        context_(tls ? server_context() : nullptr),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    std::signal(SIGPIPE, SIG_IGN);  // as the gate has it
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 8) != 0 ||
        ::getsockname(listener_, generic, &size) != 0) {
      throw std::runtime_error("listen");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] {
      for (int socket = accept(); socket >= 0; socket = accept()) {
        serve(socket);
        ::close(socket);
      }
    });
  }
  ~RawServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  [[nodiscard]] std::unique_ptr<KubeClient> client() const {
    auto config = test::plain_config(port_);
    config.tls = context_ != nullptr;
    config.ca_pem = config.tls ? authority().certificate_pem : std::string{};
    return KubeClient::create(config).value();
  }

 private:
  int accept() const { return ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC); }

  void serve(int socket) const {
    TlsPtr<SSL> ssl;
    if (context_) {
      ssl.reset(SSL_new(context_.get()));
      SSL_set_fd(ssl.get(), socket);
      if (SSL_accept(ssl.get()) != 1) return;
    }
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos) {
      char byte = 0;
      if ((ssl ? SSL_read(ssl.get(), &byte, 1) : ::recv(socket, &byte, 1, 0)) != 1) return;
      request += byte;
    }
    script_([&](std::string_view text) {
      while (!text.empty()) {
        const auto sent = ssl ? SSL_write(ssl.get(), text.data(), static_cast<int>(text.size()))
                              : ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(sent));
      }
      return true;
    });
    if (ssl) SSL_shutdown(ssl.get());
  }

  const std::function<void(const Send&)> script_;
  const TlsPtr<SSL_CTX> context_;
  const int listener_;
  int port_ = 0;
  std::jthread thread_;
};

Deadline ample() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

const std::string kMegabyte(1u << 20, 'x');
const std::string kOk = "HTTP/1.1 200 OK\r\n";
const std::string kChunked = kOk + "Transfer-Encoding: chunked\r\n\r\n";

std::function<void(const Send&)> once(const std::string& text) {
  return [=](const Send& send) { send(text); };
}
std::function<void(const Send&)> endless(const std::string& first, const std::string& again) {
  return [=](const Send& send) {
    if (!send(first)) return;
    while (send(again)) {
    }
  };
}

struct Row {
  const char* name;
  std::function<void(const Send&)> script;
};

std::vector<Row> hostile() {
  return {
      {"a status line of 1 MB", once("HTTP/1.1 200 " + kMegabyte + "\r\n\r\n")},
      {"an error's status line of 1 MB", once("HTTP/1.1 500 " + kMegabyte + "\r\n\r\n")},
      {"a status of 1 MB", once("HTTP/1.1 " + std::string(1u << 20, '2') + " OK\r\n\r\n")},
      {"a first line just above what is allowed",
       once("HTTP/1.1 200 " + std::string(FramingLimit::kFirstLineBytesMax, 'x') + "\r\n\r\n")},
      {"a long first line after an interim answer",
       once("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 " + kMegabyte + "\r\n\r\n")},
      {"an endless first line", endless("HTTP/1.1 200 ", std::string(1000, 'x'))},
      {"endless interim answers", endless("", "HTTP/1.1 100 Continue\r\n\r\n")},
      {"a header of 1 MB", once(kOk + "X: " + kMegabyte + "\r\n\r\n")},
      {"a header's name of 1 MB", once(kOk + kMegabyte + ": x\r\n\r\n")},
      {"headers of 1 MB in all",
       [](const Send& send) {
         send(kOk);
         for (int i = 0; i < 1024; ++i) send("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
         send("\r\n");
       }},
      {"endless headers", endless(kOk, "X: y\r\n")},
      {"a chunk extension of 1 MB", once(kChunked + "2;" + kMegabyte + "\r\n{}\r\n0\r\n\r\n")},
      {"an endless chunk extension", endless(kChunked + "2;", std::string(1000, 'x'))},
      {"a chunk extension of 1 MB behind a chunk", once(kChunked + "2\r\n{}\r\n0;" + kMegabyte + "\r\n\r\n")},
      {"an endless chunk size", endless(kChunked, std::string(1000, '0'))},
      {"endless trailers", endless(kChunked + "2\r\n{}\r\n0\r\n", std::string(1000, 'x'))},
  };
}

TEST_CASE("an answer whose framing is too large ends the request: get, list and watch, in clear and over TLS") {
  for (const bool tls : {false, true}) {
    for (const Row& row : hostile()) {
      const std::string name = row.name;
      INFO(name);
      INFO(tls);
      const RawServer server(tls, row.script);
      const auto client = server.client();
      const auto got = client->get(kube::kConfigMaps, "default", "one", ample());
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().code == ErrorCode::Unavailable);
      CHECK(got.error().message.size() < 500);

      KubeClient::ListRequest list;
      list.resource = kube::kConfigMaps;
      list.on_item = [](const json&) {};
      const auto listed = client->list_each(list, ample());
      REQUIRE_FALSE(listed.ok());
      CHECK(listed.error().code == ErrorCode::Unavailable);

      WatchRequest watch;
      watch.resource = kube::kConfigMaps;
      watch.on_event = [](WatchEventType, const json&) {};
      const auto watched = client->watch(watch, {});
      REQUIRE_FALSE(watched.ok());
      CHECK(watched.error().code == ErrorCode::Unavailable);
    }
  }
}

TEST_CASE("what is too long is named") {
  const RawServer server(false, once("HTTP/1.1 200 " + kMegabyte + "\r\n\r\n"));
  const auto got = server.client()->get(kube::kConfigMaps, "default", "one", ample());
  REQUIRE_FALSE(got.ok());
  CHECK_MESSAGE(got.error().message.find("has a line, or a head, that is too long") != std::string::npos,
                got.error().message);
}

TEST_CASE("what servers and proxies in front of them send is within the bounds") {
  const std::string body =
      R"({"kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":")" + std::string(300'000, 'x') + R"("}})";
  std::string bytewise;
  for (const char c : std::string(R"({"kind":"ConfigMap"})")) bytewise += std::string("1\r\n") + c + "\r\n";
  const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  for (const Row& row : std::vector<Row>{
           {"a body without a line's end", once(kOk + length + "\r\n" + body)},
           {"a policy of 6 KB",
            once(kOk + "Content-Security-Policy: " + std::string(6000, 'x') + "\r\n" + length + "\r\n" + body)},
           {"a reason of 3 KB", once("HTTP/1.1 200 " + std::string(3000, 'x') + "\r\n" + length + "\r\n" + body)},
           {"no reason", once("HTTP/1.1 200 \r\n" + length + "\r\n" + body)},
           {"an interim answer", once("HTTP/1.1 100 Continue\r\n\r\n" + kOk + length + "\r\n" + body)},
           {"a chunk's extension", once(kChunked + "2;a=b\r\n{}\r\n0\r\n\r\n")},
           {"chunks of one byte", once(kChunked + bytewise + "0\r\n\r\n")},
       }) {
    for (const bool tls : {false, true}) {
      const std::string name = row.name;
      INFO(name);
      INFO(tls);
      const RawServer server(tls, row.script);
      const auto got = server.client()->get(kube::kConfigMaps, "default", "one", ample());
      CHECK_MESSAGE(got.ok(), got.error().message);
    }
  }
}

TEST_CASE("the lines of a head and of framing are counted, a body is not") {
  FramingLimit limit;
  limit.begin();
  CHECK(limit.takes("HTTP/1.1 200 " + std::string(FramingLimit::kFirstLineBytesMax - 13, 'x'), 1000));
  CHECK_FALSE(limit.takes("x", 1));
  CHECK(limit.exceeded());
  limit.begin();
  CHECK_FALSE(limit.exceeded());
  CHECK(limit.takes("HTTP/1.1 200 OK\r\nX: " + std::string(FramingLimit::kLineBytesMax - 4, 'x'), 1000));
  CHECK(limit.takes("\n", 1));
  CHECK(limit.takes("\r\n", 2));
  limit.head_is_over();
  CHECK(limit.takes(std::string(1u << 20, 'x'), 1u << 20));
  for (std::size_t i = 0; i < FramingLimit::kLineBytesMax; ++i) REQUIRE(limit.takes("x", 1));
  CHECK_FALSE(limit.takes("x", 1));
}

}  // namespace
}  // namespace gate
