#pragma once
// A client that does exactly what a test says, one byte at a time if need be; and a server to point it at.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "server/http/webhook_server.hpp"
#include "server/tls/certificate_source.hpp"
#include "server/tls/dev_certificate.hpp"
#include "test/server/tls/certificates.hpp"

namespace gate::test {

struct Answer {
  int status = 0;
  std::string headers;  ///< Status line included.
  std::string body;
  [[nodiscard]] bool has(std::string_view header) const { return headers.find(header) != std::string::npos; }
};

/// One connection, blocking, each wait bounded by kPatience.
class Client {
 public:
  struct Options {
    bool tls = true;
    int tls_version_max = TLS1_3_VERSION;
    const DevCertificate* identity = nullptr;  ///< Presented when the server asks.
    const DevCertificate* trust = nullptr;     ///< The server must be certified by its CA.
    const char* ciphers = nullptr;             ///< Of TLS 1.2, in OpenSSL's words.
  };

  explicit Client(std::uint16_t port) : Client(port, Options{}) {}
  Client(std::uint16_t port, const Options& options) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{kPatience.count(), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;  // As the API server does; else a request waits for the acknowledgement of the handshake.
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (connected_ && options.tls) handshake(options);
  }
  ~Client() {
    if (ssl_) SSL_free(ssl_);
    if (context_) SSL_CTX_free(context_);
    ::close(socket_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int socket() const { return socket_; }

  /// False once the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ssl_ ? static_cast<ssize_t>(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())))
                             : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  void stop_sending() { ::shutdown(socket_, SHUT_WR); }

  /// nullopt when the server closed before a whole answer.
  std::optional<Answer> receive(bool has_body = true) {
    Answer answer;
    std::size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return std::nullopt;
    }
    answer.headers = received_.substr(0, end + 2);
    received_.erase(0, end + 4);
    answer.status = std::atoi(answer.headers.c_str() + std::string_view("HTTP/1.1 ").size());
    if (const auto at = answer.headers.find("Content-Length: "); has_body && at != std::string::npos) {
      const auto length = static_cast<std::size_t>(std::atol(answer.headers.c_str() + at + 16));
      while (received_.size() < length) {
        if (!read_more()) return std::nullopt;
      }
      answer.body = received_.substr(0, length);
      received_.erase(0, length);
    }
    return answer;
  }

  std::optional<Answer> ask(std::string_view bytes) {
    if (!send(bytes)) return std::nullopt;
    return receive();
  }

  /// As ask(), for a request whose answer has no body.
  std::optional<Answer> ask_head(std::string_view bytes) {
    if (!send(bytes)) return std::nullopt;
    return receive(false);
  }

  /// True when the server closes, without another byte, while we are patient.
  bool sees_close() { return received_.empty() && !read_more() && !timed_out_; }

  [[nodiscard]] int chain_length() const { return sk_X509_num(SSL_get_peer_cert_chain(ssl_)); }

  /// Of the server's certificate: SHA-256, lower-case hex.
  [[nodiscard]] std::string fingerprint() const {
    std::unique_ptr<X509, decltype(&X509_free)> peer(SSL_get1_peer_certificate(ssl_), X509_free);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    X509_digest(peer.get(), EVP_sha256(), digest.data(), &length);
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
      text += "0123456789abcdef"[digest[i] >> 4];
      text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
  }

 private:
  void handshake(const Options& options) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context_, 0);  // So that it is the server that refuses old versions.
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, options.tls_version_max);
    if (options.ciphers != nullptr) SSL_CTX_set_cipher_list(context_, options.ciphers);
    if (options.trust != nullptr) trust(options.trust->ca);
    if (options.identity != nullptr) present(*options.identity);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_);
    connected_ = SSL_connect(ssl_) == 1;
  }

  void trust(const std::string& pem) {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                            BIO_free_all);
    const std::unique_ptr<X509, decltype(&X509_free)> ca(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr),
                                                         X509_free);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), ca.get());
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  }

  void present(const DevCertificate& identity) {
    TemporaryFolder folder;
    if (!write_dev_certificate(identity, folder.path())) throw std::runtime_error("client certificate");
    SSL_CTX_use_certificate_chain_file(context_, (folder.path() + "/tls.crt").c_str());
    SSL_CTX_use_PrivateKey_file(context_, (folder.path() + "/tls.key").c_str(), SSL_FILETYPE_PEM);
  }

  bool read_more() {
    char buffer[16384];
    const auto got =
        ssl_ ? static_cast<ssize_t>(SSL_read(ssl_, buffer, sizeof buffer)) : ::recv(socket_, buffer, sizeof buffer, 0);
    if (got <= 0) {
      timed_out_ =
          ssl_ ? SSL_get_error(ssl_, static_cast<int>(got)) == SSL_ERROR_WANT_READ : got < 0 && errno == EAGAIN;
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int socket_;
  bool connected_ = false;
  bool timed_out_ = false;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  std::string received_;
};

inline std::string post(std::string_view path, std::string_view body, std::string_view more_headers = "") {
  std::string text = "POST " + std::string(path) + " HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\n";
  text += std::string(more_headers) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
  return text;
}

/// A webhook server on a free port with a throw-away certificate.
struct TestServer {
  explicit TestServer(HttpHandlers handler, HttpLimits limits = {.body_bytes_max = 1u << 20}) {
    if (!write_dev_certificate(certificate, folder.path())) throw std::runtime_error("certificate");
    watcher = CertificateWatcher::start({folder.path() + "/tls.crt", folder.path() + "/tls.key", ""}, clock).value();
    server = start_webhook_server({"127.0.0.1", 0, {"/validate", "/mutate"}, limits, {}}, watcher->server_context(),
                                  std::move(handler))
                 .value();
  }
  [[nodiscard]] std::uint16_t port() const { return server->port(); }

  TemporaryFolder folder;
  DevCertificate certificate = certificate_for_tests();
  SystemClock clock;
  std::unique_ptr<CertificateWatcher> watcher;
  std::unique_ptr<HttpServer> server;
};

/// Answers with what it was asked.
inline HttpReply echo(const HttpCall& call) {
  return {200, "application/json", std::string(call.path) + " " + std::string(call.body)};
}

}  // namespace gate::test
