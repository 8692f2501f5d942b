#include <algorithm>

#include "policy/hooks/comparison.hpp"
#include "policy/hooks/sent_sql.hpp"
#include "policy/text/text.hpp"
#include "server/preparation/hooks/hook_actions.hpp"

namespace gate {
namespace {

struct Compared {
  bool holds = false;
  std::string text;
};

bool tells_a_secret(const std::vector<std::optional<std::string>>& row, const QueryAction& action) {
  return asks_for_secret(action.sql) ||
         std::any_of(row.begin(), row.end(), [](const auto& cell) { return cell && is_name_of_secret(*cell); });
}

/// "PENDING, wanted = FINISHED" of the rows that do not satisfy the check.
Result<Compared> compare_rows(const HookContext& context, const QueryResult& rows, const QueryAction& action) {
  const std::string wanted = "wanted " + std::string(to_string(action.comparison)) + " " + action.value;
  if (action.column.empty() && (rows.columns.size() != 1 || rows.rows.size() != 1)) {
    return Error{ErrorCode::InvalidInput, "the check compares one value, but the answer has " +
                                              std::to_string(rows.rows.size()) + " rows and " +
                                              std::to_string(rows.columns.size()) + " columns: name a column"};
  }
  if (!action.column.empty() && !rows.column(action.column)) {
    return Error{ErrorCode::InvalidInput, "the answer has no column \"" + action.column + "\""};
  }
  const std::string column = action.column.empty() ? rows.columns.front() : action.column;
  std::size_t missed = 0;
  std::string first;
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    const std::string value = rows.text(row, column);
    if (satisfies(value, action.comparison, action.value)) continue;
    if (missed++ == 0) first = tells_a_secret(rows.rows[row], action) ? "(not shown)" : context.hide(value);
  }
  if (missed == 0) return Compared{true, {}};
  std::string text = clean_text(column, 60) + " is \"" + clean_text(first, 100) + "\"";
  if (missed > 1) text += " (and " + std::to_string(missed - 1) + " more rows)";
  return Compared{false, text + ", " + clean_text(wanted, 100)};
}

}  // namespace

Result<Look> look_at_query(HookContext& context, const QueryAction& action, Deadline deadline) {
  const auto frontends = context.fleet(deadline);
  if (!frontends) return frontends.error();
  // Somebody's own SELECT may take all of the hook's time.
  const auto rows = (*frontends)->execute_on_leader(action.sql, deadline);
  if (!rows) return rows.error();
  const auto compared = compare_rows(context, *rows, action);
  if (!compared) return compared.error();
  if (!compared->holds) return Look{Look::State::NotYet, compared->text, action.poll};
  return Look{Look::State::Done, compared->text, {}};
}

}  // namespace gate
