#include "server/ports/frontend.hpp"

#include <strings.h>

namespace gate {

std::optional<std::size_t> QueryResult::column(std::string_view name) const {
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i].size() == name.size() && ::strncasecmp(columns[i].data(), name.data(), name.size()) == 0) return i;
  return std::nullopt;
}

std::string QueryResult::text(std::size_t row, std::string_view name) const {
  const auto index = column(name);
  if (!index || row >= rows.size() || *index >= rows[row].size()) return {};
  return rows[row][*index].value_or("");
}

std::vector<Result<QueryResult>> FrontendSession::execute_all(const std::vector<std::string>& statements,
                                                              Deadline deadline) {
  std::vector<Result<QueryResult>> out;
  for (const auto& sql : statements) {
    const bool over = !out.empty() && !out.back() && out.back().error().code != ErrorCode::Rejected;
    out.push_back(over ? out.back() : execute(sql, deadline));
  }
  return out;
}

}  // namespace gate
