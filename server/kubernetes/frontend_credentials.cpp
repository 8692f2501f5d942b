#include "server/kubernetes/frontend_credentials.hpp"

#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"
#include "server/kubernetes/json_fields.hpp"

namespace gate {

FrontendCredentials frontend_credentials(const nlohmann::json& cluster) {
  using Source = FrontendCredentials::Source;
  const std::string annotation_key(annotation::kCredentialsSecret);
  const auto& named = at(cluster, {"metadata", "annotations", annotation_key.c_str()});
  if (named.is_string()) return {Source::LoginSecret, text(named), "password", {}};
  const auto& variables = at(cluster, {"spec", "starRocksFeSpec", "feEnvVars"});
  for (std::size_t i = 0; variables.is_array() && i < variables.size(); ++i) {
    if (text(at(variables[i], {"name"})) != "MYSQL_PWD") continue;
    const auto& reference = at(variables[i], {"valueFrom", "secretKeyRef"});
    if (!reference.is_object()) return {Source::Literal, {}, {}, text(at(variables[i], {"value"}))};
    return {Source::PasswordSecret, text(at(reference, {"name"})), text(at(reference, {"key"})), {}};
  }
  return {};
}

}  // namespace gate
