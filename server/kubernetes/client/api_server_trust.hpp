#pragma once
// What proves the API server to the gate, and the gate to it: authorities, a client certificate, the name to verify.

#include <openssl/ossl_typ.h>

#include <memory>

#include "policy/text/result.hpp"
#include "server/kubernetes/client/kube_config.hpp"

namespace gate {

/// Thread safe.
class ApiServerTrust {
 public:
  /// InvalidInput: PEM text that cannot be read.
  [[nodiscard]] static Result<std::unique_ptr<ApiServerTrust>> create(const KubeConfig& config);
  ~ApiServerTrust();
  ApiServerTrust(const ApiServerTrust&) = delete;
  ApiServerTrust& operator=(const ApiServerTrust&) = delete;

  /// Makes connections of `context` verify and be verified, by the authorities that config.ca_file has now: they are
  /// rotated while the gate runs. What was read last stays where the file is away or has none.
  void prepare(SSL_CTX& context);

 private:
  class Impl;
  explicit ApiServerTrust(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gate
