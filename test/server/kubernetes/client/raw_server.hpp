#pragma once
// An API server that says what it likes, byte by byte, in clear or over TLS.

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "server/base/guarded.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/net/openssl_handles.hpp"
#include "test/fakes/certificates.hpp"
#include "test/fakes/loopback.hpp"
#include "test/server/kubernetes/plain_config.hpp"

namespace gate::test {

using Send = std::function<bool(std::string_view text)>;  // false once the client has gone

inline openssl::ContextPtr server_context(const TestCertificate& authority) {
  const auto certificate = make_test_certificate(authority, {"127.0.0.1"});
  const auto leaf = openssl::certificates_of(certificate.certificate_pem);
  const openssl::KeyPtr key(
      PEM_read_bio_PrivateKey(openssl::reader_of(certificate.private_key_pem).get(), nullptr, nullptr, nullptr));
  openssl::ContextPtr context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(context.get(), leaf.at(0).get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  return context;
}

/// Answers requests with what its script sends, `answers_each` of them on each connection; then closes it.
class RawServer {
 public:
  /// `authority` signs its certificate; nullptr: in clear.
  RawServer(const TestCertificate* authority, std::function<void(const Send&)> script, int answers_each = 1)
      : script_(std::move(script)),
        answers_each_(answers_each),
        authority_pem_(authority == nullptr ? std::string{} : authority->certificate_pem),
        context_(authority == nullptr ? nullptr : server_context(*authority)) {
    std::signal(SIGPIPE, SIG_IGN);  // as the gate has it
    thread_ = std::jthread([this] {
      for (int socket = port_.accept(); socket >= 0; socket = port_.accept()) {
        ++connections_;
        serve(socket);
        ::close(socket);
      }
    });
  }
  ~RawServer() {
    port_.shut_down();
    thread_.join();
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  [[nodiscard]] KubeConfig config() const {
    auto config = plain_config(port_.port());
    config.tls = context_ != nullptr;
    config.ca_pem = authority_pem_;
    return config;
  }
  [[nodiscard]] int connections() const { return connections_; }
  /// The name that the last client asked for in its handshake.
  [[nodiscard]] std::string name_asked() const { return *name_asked_.lock(); }
  [[nodiscard]] std::unique_ptr<KubeClient> client() const { return KubeClient::create(config()).value(); }

 private:
  void serve(int socket) {
    openssl::SslPtr ssl;
    if (context_) {
      ssl.reset(SSL_new(context_.get()));
      SSL_set_fd(ssl.get(), socket);
      if (SSL_accept(ssl.get()) != 1) return;
      const char* name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name);
      *name_asked_.lock() = name == nullptr ? "" : name;
    }
    for (int i = 0; i < answers_each_; ++i) {
      std::string request;
      while (request.find("\r\n\r\n") == std::string::npos) {
        char byte = 0;
        if ((ssl ? SSL_read(ssl.get(), &byte, 1) : ::recv(socket, &byte, 1, 0)) != 1) return;
        request += byte;
      }
      script_([&](std::string_view text) { return send_all(socket, ssl.get(), text); });
    }
    if (ssl) SSL_shutdown(ssl.get());
  }
  static bool send_all(int socket, SSL* ssl, std::string_view text) {
    while (!text.empty()) {
      const auto sent = ssl != nullptr ? SSL_write(ssl, text.data(), static_cast<int>(text.size()))
                                       : ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  const std::function<void(const Send&)> script_;
  const int answers_each_;
  const std::string authority_pem_;
  const openssl::ContextPtr context_;
  std::atomic<int> connections_ = 0;
  Guarded<std::string> name_asked_;
  const LoopbackPort port_;
  std::jthread thread_;
};

}  // namespace gate::test
