#include "server/kubernetes/frontend_credentials.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/text/characters.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr std::string_view kField = "spec.starRocksFeSpec.feEnvVars";

Error unreadable(const std::string& field, const std::string& what) {
  return {ErrorCode::Misconfigured, field + ": the gate cannot read root's password: " + what +
                                        "; want value, valueFrom.secretKeyRef or valueFrom.configMapKeyRef, or a login "
                                        "in a Secret named by the annotation " +
                                        std::string(annotation::kCredentialsSecret)};
}

/// As the kubelet expands a value: "$$" is "$"; "$(NAME)" would be another variable, whose value nobody here knows.
std::optional<std::string> expanded(const std::string& value) {
  std::string out;
  const std::size_t last_bracket = value.rfind(')');
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char next = i + 1 < value.size() ? value[i + 1] : '\0';
    if (value[i] == '$' && next == '(' && last_bracket != std::string::npos && last_bracket > i) return std::nullopt;
    if (value[i] == '$' && next == '$') ++i;
    out += value[i];
  }
  return out;
}

/// Another name to the kubelet, the same one to whoever reads it.
bool is_nearly_password(const std::string& name) {
  constexpr std::size_t kNameMax = 80;
  if (name.size() > kNameMax) return false;
  std::string look = look_of(name);
  look.erase(std::remove_if(look.begin(), look.end(), [](char c) { return c == ' ' || c == '\t' || c == '\n'; }),
             look.end());
  return look == look_of(kPasswordVariable);
}

/// The one member of valueFrom that names a source; nullptr when there is none, or more than one.
const json* only_member(const json& object, std::string& name) {
  const json* found = nullptr;
  for (const auto& [key, value] : object.items()) {
    if (value.is_null()) continue;
    if (found != nullptr) return nullptr;
    found = &value;
    name = key;
  }
  return found;
}

Result<KeyReference> reference_of(const json& source, const std::string& field) {
  if (!source.is_object()) return unreadable(field + ".valueFrom", "it is not an object");
  std::string name;
  const json* reference = only_member(source, name);
  if (reference == nullptr) {
    return unreadable(field + ".valueFrom", source.empty() ? "it names no source" : "it names no source, or several");
  }
  constexpr std::array kKinds{std::pair{"secretKeyRef", KeyReference::Kind::Secret},
                              std::pair{"configMapKeyRef", KeyReference::Kind::ConfigMap}};
  for (const auto& [member, kind] : kKinds) {
    if (name != member) continue;
    const json& optional = member_at(*reference, {"optional"});
    KeyReference out{kind, text_of(member_at(*reference, {"name"})), text_of(member_at(*reference, {"key"})),
                     optional.is_boolean() && optional.get<bool>()};
    if (out.name.empty() || out.key.empty()) {
      return unreadable(field + ".valueFrom." + name, "it needs a name and a key");
    }
    return out;
  }
  return unreadable(field + ".valueFrom." + clean_text(name, 40), "only the pod itself knows that value");
}

/// Adds what one entry says. True: what stands before it counts no more.
Result<bool> take(const json& variable, const std::string& field, FrontendCredentials& out) {
  const json& value = member_at(variable, {"value"});
  const json& source = member_at(variable, {"valueFrom"});
  for (const auto& entry : variable.items()) {
    if (entry.key() != "name" && entry.key() != "value" && entry.key() != "valueFrom")
      return unreadable(field, "its field " + clean_text(entry.key(), 40) + " is not known");
  }
  if (!source.is_null()) {
    if (!value.is_null() && !(value.is_string() && value.get_ref<const std::string&>().empty()))
      return unreadable(field, "it has both value and valueFrom");
    auto reference = reference_of(source, field);
    if (!reference) return reference.error();
    const bool optional = reference->optional;
    out.references.push_back(std::move(*reference));
    return !optional;
  }
  if (value.is_null()) return true;
  if (!value.is_string()) return unreadable(field + ".value", "it is not a string (put it in quotes)");
  auto password = expanded(value.get<std::string>());
  if (!password) return unreadable(field + ".value", "it refers to another variable by $(NAME)");
  out.literal_password = *std::move(password);
  return true;
}

}  // namespace

Result<FrontendCredentials> frontend_credentials(const json& cluster) {
  using Source = FrontendCredentials::Source;
  FrontendCredentials out;
  const std::string annotation_key(annotation::kCredentialsSecret);
  const json& named = member_at(cluster, {"metadata", "annotations", annotation_key.c_str()});
  if (!named.is_null()) {
    const std::string field = "metadata.annotations[" + annotation_key + "]";
    if (text_of(named).empty()) return Error{ErrorCode::Misconfigured, field + ": want the name of a Secret"};
    out.source = Source::LoginSecret;
    out.login_secret = text_of(named);
    return out;
  }
  const json& variables = member_at(cluster, {"spec", "starRocksFeSpec", "feEnvVars"});
  if (!variables.is_null() && !variables.is_array()) return unreadable(std::string(kField), "it is not a list");
  std::optional<std::size_t> nearly;
  for (std::size_t i = variables.size(); i-- > 0;) {
    const std::string name = text_of(member_at(variables[i], {"name"}));
    if (name != kPasswordVariable && is_nearly_password(name)) nearly = i;
    if (text_of(member_at(variables[i], {"name"})) != kPasswordVariable) continue;
    out.source = Source::Variable;
    const auto final = take(variables[i], std::string(kField) + "[" + std::to_string(i) + "]", out);
    if (!final) return final.error();
    if (*final) break;
  }
  if (nearly && out.source == Source::None) {
    const std::string name = text_of(member_at(variables[*nearly], {"name"}));
    const auto odd = first_odd_character(name);
    return unreadable(std::string(kField) + "[" + std::to_string(*nearly) + "].name",
                      "invalid value \"" + clean_text(name, 40) + "\"" + (odd ? ", which has " + odd->name : "") +
                          ": want " + std::string(kPasswordVariable));
  }
  return out;
}

}  // namespace gate
