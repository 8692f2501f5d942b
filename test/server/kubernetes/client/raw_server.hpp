#pragma once
// An API server that says what it likes, byte by byte, in clear or over TLS.

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "server/kubernetes/client/kube_client.hpp"
#include "test/fakes/certificates.hpp"
#include "test/server/kubernetes/plain_config.hpp"

namespace gate::test {

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

inline TlsPtr<SSL_CTX> server_context(const TestCertificate& authority) {
  const auto certificate = make_test_certificate(authority, {"127.0.0.1"});
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
  /// `authority` signs its certificate; nullptr: in clear.
  RawServer(const TestCertificate* authority, std::function<void(const Send&)> script)
      : script_(std::move(script)),
        authority_pem_(authority == nullptr ? std::string{} : authority->certificate_pem),
        context_(authority == nullptr ? nullptr : server_context(*authority)),
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

  [[nodiscard]] KubeConfig config() const {
    auto config = plain_config(port_);
    config.tls = context_ != nullptr;
    config.ca_pem = authority_pem_;
    return config;
  }
  [[nodiscard]] std::unique_ptr<KubeClient> client() const { return KubeClient::create(config()).value(); }

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
  const std::string authority_pem_;
  const TlsPtr<SSL_CTX> context_;
  const int listener_;
  int port_ = 0;
  std::jthread thread_;
};

}  // namespace gate::test
