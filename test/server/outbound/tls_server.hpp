#pragma once
// An HTTPS server of a test.

#include <memory>

#include "server/httplib.hpp"
#include "server/net/openssl_handles.hpp"
#include "test/fakes/certificates.hpp"

namespace gate {

inline std::unique_ptr<httplib::Server> make_tls_server(const TestCertificate& certificate) {
  const auto leaf = openssl::certificates_of(certificate.certificate_pem);
  const openssl::KeyPtr key(
      PEM_read_bio_PrivateKey(openssl::reader_of(certificate.private_key_pem).get(), nullptr, nullptr, nullptr));
  return std::make_unique<httplib::SSLServer>(leaf.at(0).get(), key.get());
}

}  // namespace gate
