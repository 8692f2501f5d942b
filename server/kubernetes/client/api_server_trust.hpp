#pragma once
// What proves the API server to the gate, and the gate to it: authorities, a client certificate, the name to verify.

#include <memory>
#include <string>

#include "policy/text/result.hpp"
#include "server/kubernetes/client/kube_config.hpp"
#include "server/net/openssl_handles.hpp"

namespace gate {

/// Thread safe.
class ApiServerTrust {
 public:
  /// InvalidInput: PEM text that cannot be read.
  [[nodiscard]] static Result<std::unique_ptr<ApiServerTrust>> create(const KubeConfig& config);
  ~ApiServerTrust();
  ApiServerTrust(const ApiServerTrust&) = delete;
  ApiServerTrust& operator=(const ApiServerTrust&) = delete;

  /// For connections that verify and are verified, by the authorities that config.ca_file has now: they are rotated
  /// while the gate runs. What was read last stays where the file is away or has none. Not null.
  [[nodiscard]] openssl::ContextPtr context();
  /// The name that the server is asked for; empty where it has an address alone, which is no name (RFC 6066).
  [[nodiscard]] std::string server_name() const;

 private:
  class Impl;
  explicit ApiServerTrust(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gate
