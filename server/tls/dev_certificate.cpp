#include "server/tls/dev_certificate.hpp"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "server/net/openssl_handles.hpp"

namespace gate {
namespace {

void require(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string(what) + ": " + openssl::take_error());
}

void add_extension(X509* subject, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, subject, nullptr, nullptr, 0);
  const openssl::ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  require(extension && X509_add_ext(subject, extension.get(), -1) == 1, "certificate extension");
}

openssl::X509Ptr new_certificate(const std::string& name, EVP_PKEY* key, const DevCertificateOptions& options) {
  openssl::X509Ptr certificate(X509_new());
  require(certificate != nullptr, "new certificate");
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::array<unsigned char, 16> serial{};
  require(RAND_bytes(serial.data(), static_cast<int>(serial.size())) == 1, "random serial");
  serial[0] &= 0x7f;  // A serial number is positive.
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), options.not_before.time_since_epoch().count());
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), options.not_after.time_since_epoch().count());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  require(X509_set_pubkey(certificate.get(), key) == 1, "public key");
  return certificate;
}

template <class Write>
std::string to_pem(Write write) {
  const openssl::BioPtr bio(BIO_new(BIO_s_mem()));
  require(bio && write(bio.get()) == 1, "PEM");
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}

DevCertificate make(const DevCertificateOptions& options, const std::string& names) {
  const openssl::KeyPtr ca_key(EVP_EC_gen("P-256"));
  const openssl::KeyPtr key(EVP_EC_gen("P-256"));
  require(ca_key && key, "P-256 key");

  const auto ca = new_certificate("upgrade-gate throw-away CA", ca_key.get(), options);
  X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get()));
  add_extension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(ca.get(), ca.get(), NID_subject_key_identifier, "hash");
  require(X509_sign(ca.get(), ca_key.get(), EVP_sha256()) > 0, "sign the CA");

  const auto leaf = new_certificate("upgrade-gate", key.get(), options);
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca.get()));
  add_extension(leaf.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(leaf.get(), ca.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(leaf.get(), ca.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(leaf.get(), ca.get(), NID_authority_key_identifier, "keyid");
  add_extension(leaf.get(), ca.get(), NID_subject_alt_name, names);
  require(X509_sign(leaf.get(), ca_key.get(), EVP_sha256()) > 0, "sign the certificate");

  const auto pem_of = [](X509* certificate) {
    return to_pem([certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  };
  return {pem_of(ca.get()), pem_of(leaf.get()), to_pem([&key](BIO* bio) {
            return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

Status write_file(const std::string& path, const std::string& content, mode_t mode) {
  const auto failed = [&path](int error) {
    return Error{ErrorCode::PermissionDenied, "cannot write " + path + ": " + std::strerror(error), 0};
  };
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return failed(errno);
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t written = ::write(fd, content.data() + done, content.size() - done);
    if (written < 0) {
      const int error = errno;
      ::close(fd);
      return failed(error);
    }
    done += static_cast<std::size_t>(written);
  }
  if (::close(fd) != 0) return failed(errno);
  return Ok{};
}

}  // namespace

Result<DevCertificate> make_dev_certificate(const DevCertificateOptions& options) {
  std::string names;
  const auto append = [&names](const char* kind, const std::vector<std::string>& values) {
    for (const auto& value : values) {
      // The list is handed to OpenSSL as a text in which a comma starts the next entry.
      if (value.empty() || value.find_first_of(",\n\r") != std::string::npos) return false;
      names += (names.empty() ? "" : ",") + std::string(kind) + value;
    }
    return true;
  };
  const bool valid = append("DNS:", options.dns_names) && append("IP:", options.ip_addresses);
  if (!valid || names.empty()) {
    return Error{ErrorCode::InvalidInput, "a certificate needs at least one DNS name or IP address, without commas", 0};
  }
  try {
    return make(options, names);
  } catch (const std::exception& failure) {
    return Error{ErrorCode::InvalidInput, std::string("cannot make a certificate: ") + failure.what(), 0};
  }
}

Status write_dev_certificate(const DevCertificate& certificate, const std::string& folder) {
  // The key last: who waits for it finds the rest in place.
  if (auto done = write_file(folder + "/ca.crt", certificate.ca, 0644); !done) return done;
  if (auto done = write_file(folder + "/tls.crt", certificate.certificate, 0644); !done) return done;
  return write_file(folder + "/tls.key", certificate.key, 0600);
}

}  // namespace gate
