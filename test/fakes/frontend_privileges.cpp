#include "test/fakes/frontend_privileges.hpp"

#include <algorithm>

namespace gate::fake_frontend {
namespace {

bool holds(const std::vector<std::string>& roles, const char* role) {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

/// "NONE", "[cluster_admin]".
std::string shown(const std::vector<std::string>& roles) {
  std::string out;
  for (const auto& role : roles) out += (out.empty() ? "" : ", ") + role;
  return out.empty() ? "NONE" : "[" + out + "]";
}

}  // namespace

std::optional<SqlError> denied(Privilege needed, const SimulatedGrants& grants,
                               const std::vector<std::string>& active) {
  const bool operate = grants.operate || holds(active, "root");
  const bool node = holds(active, "root") || holds(active, "cluster_admin");
  const bool may = needed == Privilege::None || (needed == Privilege::Operate && operate) ||
                   (needed == Privilege::Node && node) || (needed == Privilege::OperateOrNode && (operate || node));
  if (may) return std::nullopt;
  const std::string name = needed == Privilege::Operate ? "OPERATE"
                           : needed == Privilege::Node  ? "NODE"
                                                        : "OPERATE OR NODE";
  std::vector<std::string> inactive;
  std::copy_if(grants.roles.begin(), grants.roles.end(), std::back_inserter(inactive),
               [&](const std::string& role) { return !holds(active, role.c_str()); });
  return SqlError{5203, "42000",
                  "Access denied; you need (at least one of) the " + name +
                      " privilege(s) on SYSTEM for this operation. Please ask the admin to grant permission(s) or try "
                      "activating existing roles using <set [default] role>. Current role(s): " +
                      shown(active) + ". Inactivated role(s): " + shown(inactive) + "."};
}

}  // namespace gate::fake_frontend
