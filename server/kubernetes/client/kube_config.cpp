#include "server/kubernetes/client/kube_config.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "policy/json/json_member.hpp"
#include "policy/text/base64.hpp"
#include "policy/text/text.hpp"
#include "policy/text/yaml.hpp"
#include "server/base/file.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// Certificates and kubeconfigs are a few KiB; a larger file is a mistake.
constexpr std::size_t kFileBytesMax = 4u << 20;

Error invalid(const std::string& field, const std::string& value, const std::string& accepted) {
  return {ErrorCode::InvalidInput,
          field + ": " + (value.empty() ? "" : "\"" + clean_text(value) + "\": ") + "expected " + accepted, 0};
}

Result<std::string> read_part(const std::string& field, const std::filesystem::path& path) {
  auto bytes = read_file(path, kFileBytesMax);
  if (!bytes && bytes.error().code == ErrorCode::InvalidInput) {
    return invalid(field, path.string(), "a file of at most 4 MiB");
  }
  if (!bytes || bytes->empty()) return invalid(field, path.string(), "a readable file that is not empty");
  return bytes;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failure != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// "https://host:port/prefix" into `config`.
Status read_server(const std::string& server, KubeConfig& config) {
  constexpr std::string_view kAccepted = "https://<host>[:<port>], IPv6 addresses in brackets";
  const auto fault = [&] { return invalid("clusters[].cluster.server", server, std::string(kAccepted)); };
  std::string_view rest = server;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    config.tls = false;
  } else {
    return fault();
  }
  if (rest.find_first_of("?#@") != std::string_view::npos) return fault();
  const auto slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) config.path_prefix = rest.substr(slash);
  while (config.path_prefix.ends_with('/')) config.path_prefix.pop_back();
  config.port = config.tls ? 443 : 80;

  std::string_view port;
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == std::string_view::npos) return fault();
    config.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else {
    const auto colon = authority.find(':');
    config.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon);
  }
  if (config.host.empty()) return fault();
  if (!port.empty()) {
    const auto parsed = port.front() == ':' ? parse_port(port.substr(1)) : std::nullopt;
    if (!parsed) return fault();
    config.port = *parsed;
  }
  return Ok{};
}

/// What is written there, also where YAML takes it for a number or for true; empty: nothing, or no scalar.
std::string text_of(const json& node, const std::string& key) {
  const json& field = member(node, key);
  if (field.is_string()) return field.get<std::string>();
  return field.is_boolean() || field.is_number() ? field.dump() : std::string();
}

/// The entry of `contexts`, `clusters` or `users` with that name. Of `root`, which outlives it.
Result<const json*> named(const json& root, const char* section, const char* body, const std::string& name) {
  std::string names;
  for (const json& entry : list_member(root, section)) {
    if (!entry.is_object()) continue;
    const auto found = text_of(entry, "name");
    if (found == name) {
      const json& value = member(entry, body);
      if (!value.is_object()) break;
      return &value;
    }
    names += (names.empty() ? "" : ", ") + found;
  }
  return invalid(section, name, names.empty() ? "an entry of that name" : "one of: " + clean_text(names));
}

/// `<key>-data` (base64) or `<key>` (a file beside the kubeconfig, whose name comes into `path`) into `out`; absent
/// leaves both as they are.
Status read_material(const json& node, const std::string& section, const char* key,
                     const std::filesystem::path& directory, std::string& out, std::filesystem::path* path = nullptr) {
  const std::string data_key = std::string(key) + "-data";
  if (const std::string data = text_of(node, data_key); !data.empty()) {
    auto decoded = decode_base64(data);
    if (!decoded) return invalid(section + "." + data_key, "", "base64");
    out = std::move(*decoded);
  } else if (const std::string file = text_of(node, key); !file.empty()) {
    auto bytes = read_part(section + "." + key, directory / file);
    if (!bytes) return bytes.error();
    out = std::move(*bytes);
    if (path != nullptr) *path = directory / file;
  }
  return Ok{};
}

Status read_user(const json& user, const std::filesystem::path& directory, KubeConfig& config) {
  for (const char* plugin : {"exec", "auth-provider"}) {
    if (user.contains(plugin)) {
      return invalid(std::string("users[].user.") + plugin, "",
                     "token, tokenFile or a client certificate: the gate runs no credential plugins");
    }
  }
  config.token = text_of(user, "token");
  if (const std::string file = text_of(user, "tokenFile"); !file.empty()) config.token_file = directory / file;
  if (auto read = read_material(user, "users[].user", "client-certificate", directory, config.client_certificate_pem);
      !read) {
    return read;
  }
  if (auto read = read_material(user, "users[].user", "client-key", directory, config.client_key_pem); !read) {
    return read;
  }
  if (config.client_certificate_pem.empty() != config.client_key_pem.empty()) {
    return invalid("users[].user", "", "client-certificate and client-key together");
  }
  return Ok{};
}

Result<KubeConfig> read_kubeconfig(const json& root, std::string context_name, const std::filesystem::path& directory) {
  if (!root.is_object()) return invalid("kubeconfig", "", "a YAML map");
  if (context_name.empty()) context_name = text_of(root, "current-context");
  if (context_name.empty()) return invalid("current-context", "", "the name of a context");
  const auto context = named(root, "contexts", "context", context_name);
  if (!context) return context.error();
  const auto cluster = named(root, "clusters", "cluster", text_of(**context, "cluster"));
  if (!cluster) return cluster.error();
  const auto user = named(root, "users", "user", text_of(**context, "user"));
  if (!user) return user.error();

  KubeConfig config;
  config.name_space = text_of(**context, "namespace");
  if (auto read = read_server(text_of(**cluster, "server"), config); !read) return read.error();
  config.tls_server_name = text_of(**cluster, "tls-server-name");
  const std::string insecure = text_of(**cluster, "insecure-skip-tls-verify");
  if (!insecure.empty() && insecure != "true" && insecure != "false") {
    return invalid("clusters[].cluster.insecure-skip-tls-verify", insecure, "true or false");
  }
  config.insecure_skip_verify = insecure == "true";
  if (auto read = read_material(**cluster, "clusters[].cluster", "certificate-authority", directory, config.ca_pem,
                                &config.ca_file);
      !read) {
    return read.error();
  }
  if (auto read = read_user(**user, directory, config); !read) return read.error();
  const bool credentials =
      !config.token.empty() || !config.token_file.empty() || !config.client_certificate_pem.empty();
  if (!config.tls && credentials) {
    return invalid("clusters[].cluster.server", text_of(**cluster, "server"),
                   "https:// when the user has credentials, which would be readable on the way");
  }
  return config;
}

}  // namespace

Result<KubeConfig> in_cluster_kube_config(const std::filesystem::path& service_account) {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || *host == '\0' || port == nullptr || *port == '\0') {
    return Error{ErrorCode::NotFound, "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"};
  }
  KubeConfig config;
  config.host = host;
  if (config.host.starts_with('[') && config.host.ends_with(']'))
    config.host = config.host.substr(1, config.host.size() - 2);
  const auto parsed = parse_port(port);
  if (!parsed) return invalid("KUBERNETES_SERVICE_PORT", port, "a port, 1 to 65535");
  config.port = *parsed;
  config.ca_file = service_account / "ca.crt";
  auto ca = read_part("service account", config.ca_file);
  if (!ca) return ca.error();
  config.ca_pem = std::move(*ca);
  config.token_file = service_account / "token";
  if (auto token = read_part("service account", config.token_file); !token) return token.error();
  if (auto name_space = read_part("service account", service_account / "namespace"); name_space) {
    config.name_space = *name_space;
  }
  return config;
}

Result<KubeConfig> kube_config_from_file(const std::filesystem::path& file, const std::string& context) {
  std::error_code failure;
  if (!std::filesystem::exists(file, failure)) {
    return Error{ErrorCode::NotFound, "kubeconfig " + clean_text(file.string()) + " does not exist"};
  }
  const auto bytes = read_part("kubeconfig", file);
  if (!bytes) return bytes.error();
  return kube_config_from_text(*bytes, file, context);
}

Result<KubeConfig> kube_config_from_text(const std::string& text, const std::filesystem::path& file,
                                         const std::string& context) {
  // As kubectl reads it, within limits; what is wrong is told without the line, which may hold a credential.
  const auto documents = manifest_documents(text, kFileBytesMax);
  if (!documents) return invalid("kubeconfig", file.string(), "valid YAML; " + documents.error().message);
  static const json kNothing;
  return read_kubeconfig(documents->empty() ? kNothing : documents->front().value, context, file.parent_path());
}

}  // namespace gate
