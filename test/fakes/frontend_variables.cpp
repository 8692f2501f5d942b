#include "test/fakes/frontend_variables.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "test/fakes/frontend_sql.hpp"

namespace gate::fake_frontend {
namespace {

constexpr std::array kVariables{
    SystemVariable{"auto_increment_increment", "int", "1"},
    SystemVariable{"autocommit", "boolean", "true"},
    SystemVariable{"batch_size", "int", "1024"},
    SystemVariable{"broadcast_row_limit", "int", "15000000"},
    SystemVariable{"cbo_enable_low_cardinality_optimize", "boolean", "true"},
    SystemVariable{"character_set_client", "String", "utf8"},
    SystemVariable{"character_set_connection", "String", "utf8"},
    SystemVariable{"character_set_results", "String", "utf8"},
    SystemVariable{"character_set_server", "String", "utf8"},
    SystemVariable{"collation_connection", "String", "utf8_general_ci"},
    SystemVariable{"collation_database", "String", "utf8_general_ci"},
    SystemVariable{"collation_server", "String", "utf8_general_ci"},
    SystemVariable{"disable_colocate_join", "boolean", "false"},
    SystemVariable{"enable_insert_strict", "boolean", "true"},
    SystemVariable{"enable_profile", "boolean", "false"},
    SystemVariable{"enable_query_queue_load", "boolean", "false"},
    SystemVariable{"enable_query_queue_select", "boolean", "false"},
    SystemVariable{"enable_query_queue_statistic", "boolean", "false"},
    SystemVariable{"enable_rewrite_sum_by_associative_rule", "boolean", "true"},
    SystemVariable{"enable_spill", "boolean", "false"},
    SystemVariable{"event_scheduler", "String", "OFF"},
    SystemVariable{"exec_mem_limit", "int", "2147483648"},
    SystemVariable{"forward_to_leader", "boolean", "false"},
    SystemVariable{"init_connect", "String", ""},
    SystemVariable{"insert_timeout", "int", "14400"},
    SystemVariable{"interactive_timeout", "int", "3600"},
    SystemVariable{"license", "String", "Apache License 2.0"},
    SystemVariable{"load_mem_limit", "int", "0"},
    SystemVariable{"lower_case_table_names", "int", "0"},
    SystemVariable{"max_allowed_packet", "int", "33554432"},
    SystemVariable{"net_buffer_length", "int", "16384"},
    SystemVariable{"net_read_timeout", "int", "60"},
    SystemVariable{"net_write_timeout", "int", "60"},
    SystemVariable{"parallel_fragment_exec_instance_num", "int", "1"},
    SystemVariable{"performance_schema", "boolean", "false"},
    SystemVariable{"pipeline_dop", "int", "0"},
    SystemVariable{"query_mem_limit", "int", "0"},
    SystemVariable{"query_queue_concurrency_limit", "int", "0"},
    SystemVariable{"query_queue_mem_used_pct_limit", "double", "0"},
    SystemVariable{"query_timeout", "int", "300"},
    SystemVariable{"resource_group", "String", ""},
    SystemVariable{"sql_mode", "String", "ONLY_FULL_GROUP_BY"},
    SystemVariable{"sql_safe_updates", "int", "0"},
    SystemVariable{"sql_select_limit", "int", "9223372036854775807"},
    SystemVariable{"storage_engine", "String", "olap"},
    SystemVariable{"streaming_preaggregation_mode", "String", "auto"},
    SystemVariable{"system_time_zone", "String", "UTC"},
    SystemVariable{"time_zone", "String", "UTC"},
    SystemVariable{"transaction_isolation", "String", "REPEATABLE-READ"},
    SystemVariable{"tx_isolation", "String", "REPEATABLE-READ"},
    SystemVariable{"version", "String", "8.0.33"},
    SystemVariable{"version_comment", "String", ""},
    SystemVariable{"wait_timeout", "int", "28800"},
};

/// Changes of one letter that make one of the other.
std::size_t distance(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= one.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= other.size(); ++j) {
      const std::size_t changed = diagonal + (one[i - 1] == other[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

}  // namespace

const SystemVariable* find_variable(std::string_view name) {
  const auto wanted = lower(name);
  const auto* const found = std::find_if(kVariables.begin(), kVariables.end(),
                                         [&](const SystemVariable& variable) { return variable.name == wanted; });
  return found == kVariables.end() ? nullptr : found;
}

SqlError unknown_variable(std::string_view name) {
  const auto wanted = lower(name);
  std::vector<std::string> names;
  for (const auto& variable : kVariables) names.emplace_back(variable.name);
  std::stable_sort(names.begin(), names.end(), [&](const std::string& one, const std::string& other) {
    return distance(one, wanted) < distance(other, wanted);
  });
  return {1193, "HY000",
          "Unknown system variable '" + std::string(name) + "', the most similar variables are {'" + names[0] + "', '" +
              names[1] + "', '" + names[2] + "'}"};
}

std::optional<SqlError> refused_value(const SystemVariable& variable, std::string_view value) {
  const std::string_view type = variable.type;
  const auto text = lower(value);
  if (type == "boolean") {
    for (const char* known : {"true", "false", "1", "0", "on", "off", "default"}) {
      if (text == known) return std::nullopt;
    }
    return SqlError{
        1231, "42000",
        "Variable '" + std::string(variable.name) + "' can't be set to the value of '" + std::string(value) + "'"};
  }
  if (type == "int" && !is_whole_number(value) && text != "default")
    return SqlError{1232, "42000", "Incorrect argument type to variable '" + std::string(variable.name) + "'"};
  return std::nullopt;
}

}  // namespace gate::fake_frontend
