#pragma once
// Where a StarRocksCluster says that its FE's login is kept (design 2.7).

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace gate {

struct FrontendCredentials {
  enum class Source {
    None,            ///< root without a password.
    LoginSecret,     ///< The annotation names a Secret with the keys `username` and `password`.
    PasswordSecret,  ///< MYSQL_PWD of the FE's environment comes from a Secret: root's password.
    Literal,         ///< MYSQL_PWD stands in the object itself: root's password.
  };
  Source source = Source::None;
  std::string secret;            ///< Name of the Secret.
  std::string password_key;      ///< Its key with the password.
  std::string literal_password;  ///< Never logged.
};

/// The first that is configured. Objects of any shape; never throws for one.
[[nodiscard]] FrontendCredentials frontend_credentials(const nlohmann::json& cluster);

}  // namespace gate
