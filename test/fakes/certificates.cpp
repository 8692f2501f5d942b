#include "test/fakes/certificates.hpp"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>
#include <stdexcept>

namespace gate {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
constexpr long kDaySeconds = 24L * 60 * 60;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Bio memory_of(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

void add_extension(X509& certificate, X509& issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
  if (!extension || X509_add_ext(&certificate, extension.get(), -1) != 1)
    throw std::runtime_error("cannot add the extension " + value);
}

Certificate begin_certificate(EVP_PKEY& key, const std::string& common_name) {
  Certificate certificate(X509_new(), X509_free);
  std::array<unsigned char, 8> serial{};
  RAND_bytes(serial.data(), static_cast<int>(serial.size()));
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr), BN_free);
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  X509_set_version(certificate.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDaySeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kDaySeconds);
  X509_set_pubkey(certificate.get(), &key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  return certificate;
}

TestCertificate finish(X509& certificate, EVP_PKEY& key, EVP_PKEY& signer) {
  if (X509_sign(&certificate, &signer, EVP_sha256()) == 0) throw std::runtime_error("cannot sign a certificate");
  const Bio certificate_bio(BIO_new(BIO_s_mem()), BIO_free);
  const Bio key_bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(certificate_bio.get(), &certificate);
  PEM_write_bio_PrivateKey(key_bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate_bio.get()), text_of(key_bio.get())};
}

}  // namespace

TestCertificate make_test_authority(const std::string& common_name) {
  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Certificate certificate = begin_certificate(*key, common_name);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  add_extension(*certificate, *certificate, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(*certificate, *certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  return finish(*certificate, *key, *key);
}

TestCertificate make_test_certificate(const TestCertificate& authority, const std::vector<std::string>& names) {
  const Bio issuer_bio = memory_of(authority.certificate_pem);
  const Bio issuer_key_bio = memory_of(authority.private_key_pem);
  const Certificate issuer(PEM_read_bio_X509(issuer_bio.get(), nullptr, nullptr, nullptr), X509_free);
  const Key issuer_key(PEM_read_bio_PrivateKey(issuer_key_bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!issuer || !issuer_key) throw std::runtime_error("the authority is not usable");

  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Certificate certificate = begin_certificate(*key, "server");
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  std::string alternatives;
  for (const auto& name : names) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    const bool is_address =
        inet_pton(AF_INET, name.c_str(), address.data()) == 1 || inet_pton(AF_INET6, name.c_str(), address.data()) == 1;
    alternatives += (alternatives.empty() ? "" : ",") + std::string(is_address ? "IP:" : "DNS:") + name;
  }
  add_extension(*certificate, *issuer, NID_subject_alt_name, alternatives);
  add_extension(*certificate, *issuer, NID_ext_key_usage, "serverAuth");
  return finish(*certificate, *key, *issuer_key);
}

}  // namespace gate
