#pragma once
// What is known about the settings of the frontend that matter around an upgrade. Versions differ, so a setting that is
// not known here is not judged.

#include <string_view>

namespace gate {

/// The name that ADMIN SHOW FRONTEND CONFIG reports for a name or an alias; a name that is not known stays as it is.
[[nodiscard]] std::string_view canonical_setting(std::string_view key);

/// Empty when the FE can take `value` for `key`, or `key` is not known; otherwise what it would take. The FE itself
/// refuses a bad number only when the statement runs, and reads every boolean other than "true" as false.
[[nodiscard]] std::string_view accepted_value(std::string_view key, std::string_view value);

/// Whether the item decides who may log in, or holds a secret: authentication_*, *auth_check*, and names with password,
/// pwd, secret, token, credential or key in them (but for those of tables: primary_key, sort_key, unique_key). Hooks
/// do not set these, and their values are shown to nobody. Whatever its case.
[[nodiscard]] bool is_login_setting(std::string_view key);

}  // namespace gate
