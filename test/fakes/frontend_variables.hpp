#pragma once
// The system variables of a simulated FE: those that StarRocks has and a client or a hook may name.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "test/fakes/frontend_simulator.hpp"

namespace gate::fake_frontend {

struct SystemVariable {
  const char* name;
  const char* type;  ///< "boolean", "int", "double" or "String".
  const char* value;
};

/// Without case; nullptr for none.
[[nodiscard]] const SystemVariable* find_variable(std::string_view name);
/// 1193, with the three that are most like it.
[[nodiscard]] SqlError unknown_variable(std::string_view name);
/// As the variable keeps it; the error where it cannot.
[[nodiscard]] std::optional<SqlError> refused_value(const SystemVariable& variable, std::string_view value);

}  // namespace gate::fake_frontend
