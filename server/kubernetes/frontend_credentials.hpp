#pragma once
// Where a StarRocksCluster says that its FE's login is kept (docs/reference.md, The FE's login).

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "policy/text/result.hpp"

namespace gate {

inline constexpr std::string_view kPasswordVariable = "MYSQL_PWD";

/// One entry of a Secret or of a ConfigMap.
struct KeyReference {
  enum class Kind { Secret, ConfigMap };
  Kind kind = Kind::Secret;
  std::string name;
  std::string key;
  bool optional = false;  ///< Where the entry does not exist, Kubernetes leaves the variable unset.
};

struct FrontendCredentials {
  enum class Source {
    None,         ///< root without a password.
    LoginSecret,  ///< The annotation names a Secret with the keys `username` and `password`.
    Variable,     ///< MYSQL_PWD of the FE's environment: root's password.
  };
  Source source = Source::None;
  std::string login_secret;  ///< Of LoginSecret.
  /// Of Variable: looked up in this order, an optional one that does not exist gives way to the next. When all do,
  /// `literal_password` is what remains.
  std::vector<KeyReference> references;
  std::string literal_password;  ///< Stands in the object itself; never logged. Empty: none.
};

/// The first that is configured, and of several entries for MYSQL_PWD the last, as the kubelet has it. Misconfigured
/// for what cannot be read from here (`fieldRef`, `$(NAME)`, ...), naming the field: never taken for "no password", as
/// little as a name that only looks like MYSQL_PWD. Objects of any shape; never throws for one.
[[nodiscard]] Result<FrontendCredentials> frontend_credentials(const nlohmann::json& cluster);

}  // namespace gate
