#pragma once
// What is known about the settings of the frontend that matter around an upgrade. Versions differ, so a setting that is
// not known here is not judged.

#include <string>
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

// The FE keeps parsed values and shows them in Java's form: 0.30 as 0.3, +7 as 7, "a,b" as [a, b]. `type` is what its
// column Type says: int, long, short, float, double, boolean, String, or one of them with [] behind.

/// Whether the FE understands both as the same value of `type`. Where the type is empty, surrounding blanks and the
/// case of true and false do not matter, and the rest is text.
[[nodiscard]] bool same_setting(std::string_view type, std::string_view left, std::string_view right);

/// What to set for the FE to show `shown` again: arrays are not accepted in the form in which they are shown.
[[nodiscard]] std::string settable(std::string_view type, std::string_view shown);

/// The FE shows stars instead of the value of a secret.
[[nodiscard]] bool is_masked(std::string_view shown);

}  // namespace gate
