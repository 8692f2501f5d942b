#pragma once
// Where the API server is and who we are to it: from the pod's service account, or from a kubeconfig file.

#include <cstdint>
#include <filesystem>
#include <string>

#include "policy/text/result.hpp"

namespace gate {

/// Holds credentials: never log it.
struct KubeConfig {
  std::string host;  ///< Name or address, IPv6 without brackets.
  std::uint16_t port = 443;
  bool tls = true;              ///< False only for a loopback proxy that adds credentials itself: then none are sent.
  std::string path_prefix;      ///< "" or "/k8s/clusters/c-1": before every path, for servers behind a proxy.
  std::string tls_server_name;  ///< Name to verify in the certificate; empty = host.
  std::string ca_pem;           ///< Empty = the system's roots.
  /// Where ca_pem came from; empty: from nowhere else. Read again while running: authorities are rotated.
  std::filesystem::path ca_file;
  bool insecure_skip_verify = false;
  std::string token;                 ///< Used when token_file is empty.
  std::filesystem::path token_file;  ///< Read again while running: the kubelet replaces projected tokens.
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string name_space;  ///< Of the service account or the context; may be empty.
};

/// Where the kubelet mounts a pod's service account.
inline constexpr const char* kServiceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

/// From KUBERNETES_SERVICE_HOST and _PORT and the mounted service account. NotFound when not in a pod; InvalidInput
/// names what is wrong.
[[nodiscard]] Result<KubeConfig> in_cluster_kube_config(
    const std::filesystem::path& service_account = kServiceAccountDirectory);

/// From a kubeconfig file; `context` empty = its current-context. Relative paths in it are relative to the file.
/// Exec and auth-provider plugins are refused. InvalidInput names the field, its value (never a credential) and what
/// would be accepted; NotFound when the file is not there.
[[nodiscard]] Result<KubeConfig> kube_config_from_file(const std::filesystem::path& file,
                                                       const std::string& context = {});

/// The same of its text, with the file's name for what is relative to it and for messages.
[[nodiscard]] Result<KubeConfig> kube_config_from_text(const std::string& text, const std::filesystem::path& file,
                                                       const std::string& context = {});

}  // namespace gate
