#pragma once
// Who may do what on a simulated FE, and what it says to others.

#include <optional>
#include <string>
#include <vector>

#include "test/fakes/frontend_simulator.hpp"

namespace gate::fake_frontend {

enum class Privilege { None, Operate, OperateOrNode, Node };

/// 5203 where an account with `grants`, whose session has the `active` roles, lacks `needed`; nullopt where it does
/// not.
[[nodiscard]] std::optional<SqlError> denied(Privilege needed, const SimulatedGrants& grants,
                                             const std::vector<std::string>& active);

}  // namespace gate::fake_frontend
