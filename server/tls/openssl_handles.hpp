#pragma once
// Owning handles for OpenSSL objects; for .cpp files of this folder.

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <memory>
#include <string>

#include "server/net/freer.hpp"

namespace gate::openssl {

inline void free_chain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); }

using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using ChainPtr = std::unique_ptr<STACK_OF(X509), Freer<free_chain>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
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

}  // namespace gate::openssl
