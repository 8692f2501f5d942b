#include <algorithm>

#include "policy/hooks/sql.hpp"
#include "server/preparation/hooks/hook_actions.hpp"

namespace gate {
namespace {

/// A statement that changes nothing, so that it may run in verify mode.
bool only_reads(const std::string& sql) {
  const auto tokens = tokenize_sql(sql);
  const auto word = [&](std::size_t index, std::string_view wanted) {
    if (!tokens || tokens->size() <= index || (*tokens)[index].kind != SqlTokenKind::Word) return false;
    const auto& text = (*tokens)[index].text;
    return std::equal(text.begin(), text.end(), wanted.begin(), wanted.end(),
                      [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; });
  };
  return word(0, "SHOW") || word(0, "SELECT") || (word(0, "ADMIN") && word(1, "SHOW"));
}

}  // namespace

Result<Look> look_at_statement(HookContext& context, const SqlAction& action, Deadline deadline) {
  if (context.verifies_only() && !only_reads(action.sql)) {
    return Look{Look::State::Skipped, "verify mode changes nothing on the FE", {}};
  }
  const auto frontends = context.fleet(deadline);
  if (!frontends) return frontends.error();
  // Somebody's own statement may take all of the hook's time.
  const auto result = (*frontends)->execute_unbounded(action.sql, deadline);
  if (!result) return result.error();
  return Look{};
}

}  // namespace gate
