#include "policy/hooks/sent_sql.hpp"

#include <algorithm>
#include <string>

#include "policy/hooks/frontend_setting.hpp"

namespace gate {
namespace {

Error not_sent(const std::string& why) { return {ErrorCode::InvalidInput, "the record's SQL is not sent: " + why}; }

Status judge(const SqlAction& action, const std::vector<SqlKind>& further) {
  const auto judged = validate_sql(action.sql, further);
  if (!judged) return not_sent(judged.error().message);
  // What is captured, read back and restored would be another one, or none.
  if (judged->setting != action.setting) return not_sent("its setting is not the one of its statement");
  return Ok{};
}

Status judge(const QueryAction& action, const std::vector<SqlKind>& further) {
  const auto judged = validate_sql(action.sql, further);
  if (!judged) return not_sent(judged.error().message);
  const bool reads =
      judged->kind == SqlKind::Select || judged->kind == SqlKind::Show || judged->kind == SqlKind::AdminShow;
  if (!reads) return not_sent("a check is one SELECT, SHOW or ADMIN SHOW statement");
  return Ok{};
}

}  // namespace

Status judge_sent_sql(std::string_view sql, const std::vector<SqlKind>& further) {
  const auto judged = validate_sql(sql, further);
  if (!judged) return not_sent(judged.error().message);
  return Ok{};
}

Status judge_sent_sql(const Hook& hook, const std::vector<SqlKind>& further) {
  Status judged = Ok{};
  if (const auto* sql = std::get_if<SqlAction>(&hook.action)) judged = judge(*sql, further);
  if (const auto* query = std::get_if<QueryAction>(&hook.action)) judged = judge(*query, further);
  if (judged && hook.restore == RestoreMode::Statement) judged = judge_sent_sql(hook.restore_sql, further);
  return judged;
}

bool asks_for_secret(std::string_view sql) {
  const auto tokens = tokenize_sql(sql);
  if (!tokens) return true;  // It was not judged, so nobody knows.
  return std::any_of(tokens->begin(), tokens->end(), [](const SqlToken& token) {
    return token.kind != SqlTokenKind::Number && token.kind != SqlTokenKind::Symbol && is_login_setting(token.text);
  });
}

bool is_name_of_secret(std::string_view cell) {
  return cell.find_first_of(" \t\r\n") == std::string_view::npos && is_login_setting(cell);
}

}  // namespace gate
