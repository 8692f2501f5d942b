#include "server/kubernetes/api_server_trust.hpp"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstddef>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "server/base/guarded.hpp"

namespace gate {
namespace {

/// Of a file of authorities: the limit of a ConfigMap, in which clusters keep them.
constexpr std::size_t kAuthoritiesBytesMax = 1u << 20;

struct FreeX509 {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(X509_STORE* x) const { X509_STORE_free(x); }
  void operator()(EVP_PKEY* x) const { EVP_PKEY_free(x); }
  void operator()(BIO* x) const { BIO_free(x); }
};
template <class T>
using Handle = std::unique_ptr<T, FreeX509>;

std::vector<Handle<X509>> certificates_of(const std::string& pem) {
  std::vector<Handle<X509>> out;
  const Handle<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
  return out;
}

/// Null where the text has none.
Handle<X509_STORE> roots_of(const std::string& pem) {
  const auto roots = certificates_of(pem);
  if (roots.empty()) return nullptr;
  Handle<X509_STORE> store(X509_STORE_new());
  for (const auto& root : roots) X509_STORE_add_cert(store.get(), root.get());
  return store;
}

std::string read_authorities(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (file.empty() || !in) return {};
  std::string pem;
  for (char byte = 0; pem.size() < kAuthoritiesBytesMax && in.get(byte);) pem += byte;
  return pem;
}

}  // namespace

class ApiServerTrust::Impl {
 public:
  explicit Impl(const KubeConfig& config)
      : insecure_(config.insecure_skip_verify),
        name_(config.tls_server_name.empty() ? config.host : config.tls_server_name),
        ca_file_(config.ca_pem.empty() ? std::filesystem::path{} : config.ca_file) {}

  Status parse(const KubeConfig& config) {
    if (!config.ca_pem.empty()) {
      const auto trusted = trusted_.lock();
      trusted->pem = config.ca_pem;
      trusted->roots = roots_of(config.ca_pem);
      if (!trusted->roots) {
        return Error{ErrorCode::InvalidInput, "certificate authority of the API server: expected PEM certificates"};
      }
    }
    if (!config.client_certificate_pem.empty()) {
      chain_ = certificates_of(config.client_certificate_pem);
      const Handle<BIO> bio(
          BIO_new_mem_buf(config.client_key_pem.data(), static_cast<int>(config.client_key_pem.size())));
      key_.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
      if (chain_.empty() || !key_ || X509_check_private_key(chain_.front().get(), key_.get()) != 1) {
        return Error{ErrorCode::InvalidInput, "client certificate: expected a PEM certificate and its PEM key"};
      }
    }
    return Ok{};
  }

  void prepare(SSL_CTX* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    trust(context);
    if (key_) {
      SSL_CTX_use_certificate(context, chain_.front().get());
      for (std::size_t i = 1; i < chain_.size(); ++i) SSL_CTX_add1_chain_cert(context, chain_[i].get());
      SSL_CTX_use_PrivateKey(context, key_.get());
    }
    if (insecure_) {
      SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
      return;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    X509_VERIFY_PARAM* parameters = SSL_CTX_get0_param(context);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, name_.c_str()) != 1) {
      X509_VERIFY_PARAM_set1_host(parameters, name_.data(), name_.size());
    }
  }

 private:
  void trust(SSL_CTX* context) {
    const auto trusted = trusted_.lock();
    if (auto pem = read_authorities(ca_file_); !pem.empty() && pem != trusted->pem) {
      if (auto fresh = roots_of(pem)) trusted->roots = std::move(fresh);
      trusted->pem = std::move(pem);
    }
    if (trusted->roots) {
      SSL_CTX_set1_cert_store(context, trusted->roots.get());
    } else {
      SSL_CTX_set_default_verify_paths(context);
    }
  }

  const bool insecure_;
  const std::string name_;
  const std::filesystem::path ca_file_;
  std::vector<Handle<X509>> chain_;  // fixed once parsed, like key_
  Handle<EVP_PKEY> key_;

  struct Trusted {
    std::string pem;           ///< What was read last, good or not.
    Handle<X509_STORE> roots;  ///< Null: the system's.
  };
  Guarded<Trusted> trusted_;
};

ApiServerTrust::ApiServerTrust(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ApiServerTrust::~ApiServerTrust() = default;

Result<std::unique_ptr<ApiServerTrust>> ApiServerTrust::create(const KubeConfig& config) {
  auto impl = std::make_unique<Impl>(config);
  if (auto parsed = impl->parse(config); !parsed) return parsed.error();
  return std::unique_ptr<ApiServerTrust>(new ApiServerTrust(std::move(impl)));
}

void ApiServerTrust::prepare(SSL_CTX& context) { impl_->prepare(&context); }

}  // namespace gate
