#pragma once
// Owning handles for OpenSSL objects, and certificates from PEM; for .cpp files.

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "server/net/freer.hpp"

namespace gate::openssl {

inline void free_chain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); }

using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using ChainPtr = std::unique_ptr<STACK_OF(X509), Freer<free_chain>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;

/// The oldest error of this thread's queue, in OpenSSL's words, and empties the queue. Never holds key material.
inline std::string take_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given by OpenSSL";
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

/// The server is asked for by this name. As SSL_set_tlsext_host_name, whose cast is not ours to warn about.
inline void ask_for_name(SSL* ssl, const std::string& name) {
  SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name.c_str()));
}

/// `text` outlives it.
inline BioPtr reader_of(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// The certificates of a PEM text, up to the first part that is none.
inline std::vector<X509Ptr> certificates_of(const std::string& pem) {
  std::vector<X509Ptr> out;
  const auto reader = reader_of(pem);
  while (X509* certificate = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
  ERR_clear_error();  // the end of the text is an error to OpenSSL
  return out;
}

/// What is trusted by those of `pem`; null where it has none.
inline StorePtr roots_of(const std::string& pem) {
  const auto roots = certificates_of(pem);
  StorePtr store(roots.empty() ? nullptr : X509_STORE_new());
  if (store) {
    for (const auto& root : roots) X509_STORE_add_cert(store.get(), root.get());
  }
  return store;
}

}  // namespace gate::openssl
