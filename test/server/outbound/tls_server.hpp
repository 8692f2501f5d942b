#pragma once
// An HTTPS server of a test.

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>

#include "server/httplib.hpp"
#include "test/fakes/certificates.hpp"

namespace gate {

struct FreePem {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, FreePem>;
using X509Ptr = std::unique_ptr<X509, FreePem>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreePem>;

inline std::unique_ptr<httplib::Server> make_tls_server(const TestCertificate& certificate) {
  const BioPtr chain(BIO_new_mem_buf(certificate.certificate_pem.data(), -1));
  const BioPtr secret(BIO_new_mem_buf(certificate.private_key_pem.data(), -1));
  const X509Ptr leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  const KeyPtr key(PEM_read_bio_PrivateKey(secret.get(), nullptr, nullptr, nullptr));
  return std::make_unique<httplib::SSLServer>(leaf.get(), key.get());
}

}  // namespace gate
