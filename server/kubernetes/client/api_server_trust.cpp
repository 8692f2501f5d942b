#include "server/kubernetes/client/api_server_trust.hpp"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstddef>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "server/base/file.hpp"
#include "server/base/guarded.hpp"
#include "server/net/address.hpp"
#include "server/net/openssl_handles.hpp"

namespace gate {
namespace {

/// Of a file of authorities: the limit of a ConfigMap, in which clusters keep them.
constexpr std::size_t kAuthoritiesBytesMax = 1u << 20;

}  // namespace

class ApiServerTrust::Impl {
 public:
  explicit Impl(const KubeConfig& config)
      : insecure_(config.insecure_skip_verify),
        name_(config.tls_server_name.empty() ? config.host : config.tls_server_name),
        is_address_(is_ip_address(name_)),
        ca_file_(config.ca_pem.empty() ? std::filesystem::path{} : config.ca_file) {}

  Status parse(const KubeConfig& config) {
    if (!config.ca_pem.empty()) {
      const auto trusted = trusted_.lock();
      trusted->pem = config.ca_pem;
      trusted->roots = openssl::roots_of(config.ca_pem);
      if (!trusted->roots) {
        return Error{ErrorCode::InvalidInput, "certificate authority of the API server: expected PEM certificates"};
      }
    }
    if (!config.client_certificate_pem.empty()) {
      chain_ = openssl::certificates_of(config.client_certificate_pem);
      const auto reader = openssl::reader_of(config.client_key_pem);
      key_.reset(PEM_read_bio_PrivateKey(reader.get(), nullptr, nullptr, nullptr));
      if (chain_.empty() || !key_ || X509_check_private_key(chain_.front().get(), key_.get()) != 1) {
        return Error{ErrorCode::InvalidInput, "client certificate: expected a PEM certificate and its PEM key"};
      }
    }
    return Ok{};
  }

  openssl::ContextPtr context() {
    openssl::ContextPtr context(SSL_CTX_new(TLS_client_method()));
    if (!context) throw std::bad_alloc();
    prepare(context.get());
    return context;
  }

  [[nodiscard]] std::string server_name() const { return is_address_ ? std::string() : name_; }

 private:
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
    if (is_address_) {
      X509_VERIFY_PARAM_set1_ip_asc(parameters, name_.c_str());
    } else {
      X509_VERIFY_PARAM_set1_host(parameters, name_.data(), name_.size());
    }
  }

  void trust(SSL_CTX* context) {
    const auto trusted = trusted_.lock();
    if (auto pem = read_file(ca_file_, kAuthoritiesBytesMax); pem && !pem->empty() && *pem != trusted->pem) {
      if (auto fresh = openssl::roots_of(*pem)) trusted->roots = std::move(fresh);
      trusted->pem = *std::move(pem);
    }
    if (trusted->roots) {
      SSL_CTX_set1_cert_store(context, trusted->roots.get());
    } else {
      SSL_CTX_set_default_verify_paths(context);
    }
  }

  const bool insecure_;
  const std::string name_;
  const bool is_address_;
  const std::filesystem::path ca_file_;
  std::vector<openssl::X509Ptr> chain_;  // fixed once parsed, like key_
  openssl::KeyPtr key_;

  struct Trusted {
    std::string pem;          ///< What was read last, good or not.
    openssl::StorePtr roots;  ///< Null: the system's.
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

openssl::ContextPtr ApiServerTrust::context() { return impl_->context(); }

std::string ApiServerTrust::server_name() const { return impl_->server_name(); }

}  // namespace gate
