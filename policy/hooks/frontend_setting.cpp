#include "policy/hooks/frontend_setting.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gate {
namespace {

enum class Type { Boolean, Int, Long, Double };

struct Setting {
  std::string_view key;
  Type type;
  std::string_view alias;
};

/// Mutable settings of fe-core's com.starrocks.common.Config (main, 2026): name, Java type, alias. Those of the
/// upgrade procedure, of the tablet scheduler, and of what is commonly stopped meanwhile: loads, statistics.
constexpr std::array kSettings{
    Setting{"tablet_sched_max_scheduling_tablets", Type::Int, "max_scheduling_tablets"},
    Setting{"tablet_sched_max_balancing_tablets", Type::Int, "max_balancing_tablets"},
    Setting{"tablet_sched_disable_balance", Type::Boolean, "disable_balance"},
    Setting{"tablet_sched_disable_colocate_balance", Type::Boolean, "disable_colocate_balance"},
    Setting{"tablet_sched_disable_colocate_overall_balance", Type::Boolean, ""},
    Setting{"tablet_sched_colocate_balance_wait_system_stable_time_s", Type::Long, ""},
    Setting{"tablet_sched_always_force_decommission_replica", Type::Boolean, ""},
    Setting{"tablet_sched_be_down_tolerate_time_s", Type::Long, ""},
    Setting{"tablet_sched_colocate_be_down_tolerate_time_s", Type::Long, ""},
    Setting{"tablet_sched_slot_num_per_path", Type::Int, "schedule_slot_num_per_path"},
    Setting{"tablet_sched_storage_cooldown_second", Type::Long, "storage_cooldown_second"},
    Setting{"tablet_sched_max_not_being_scheduled_interval_ms", Type::Long, ""},
    Setting{"tablet_sched_balance_load_score_threshold", Type::Double, "balance_load_score_threshold"},
    Setting{"tablet_sched_balance_load_disk_safe_threshold", Type::Double, "balance_load_disk_safe_threshold"},
    Setting{"tablet_sched_num_based_balance_threshold_ratio", Type::Double, ""},
    Setting{"tablet_sched_repair_delay_factor_second", Type::Long, "tablet_repair_delay_factor_second"},
    Setting{"tablet_sched_min_clone_task_timeout_sec", Type::Long, "min_clone_task_timeout_sec"},
    Setting{"tablet_sched_max_clone_task_timeout_sec", Type::Long, "max_clone_task_timeout_sec"},
    Setting{"tablet_sched_max_migration_task_sent_once", Type::Int, ""},
    Setting{"tablet_sched_consecutive_full_clone_delay_sec", Type::Long, ""},
    Setting{"tablet_report_drop_tablet_delay_sec", Type::Long, ""},
    Setting{"recover_with_empty_tablet", Type::Boolean, ""},
    Setting{"storage_usage_soft_limit_percent", Type::Int, "storage_high_watermark_usage_percent"},
    Setting{"storage_usage_soft_limit_reserve_bytes", Type::Long, "storage_min_left_capacity_bytes"},
    Setting{"storage_usage_hard_limit_percent", Type::Int, "storage_flood_stage_usage_percent"},
    Setting{"storage_usage_hard_limit_reserve_bytes", Type::Long, "storage_flood_stage_left_capacity_bytes"},
    Setting{"disable_load_job", Type::Boolean, ""},
    Setting{"max_routine_load_task_concurrent_num", Type::Int, ""},
    Setting{"max_routine_load_task_num_per_be", Type::Int, ""},
    Setting{"max_tolerable_backend_down_num", Type::Int, ""},
    Setting{"period_of_auto_resume_min", Type::Int, ""},
    Setting{"history_job_keep_max_second", Type::Int, ""},
    Setting{"max_query_retry_time", Type::Int, ""},
    Setting{"backup_job_default_timeout_ms", Type::Int, ""},
    Setting{"enable_statistic_collect", Type::Boolean, ""},
    Setting{"enable_auto_collect_statistics", Type::Boolean, ""},
    Setting{"enable_statistic_collect_on_first_load", Type::Boolean, ""},
    Setting{"statistic_collect_interval_sec", Type::Long, ""},
    Setting{"qe_slow_log_ms", Type::Long, ""},
};

const Setting* find(std::string_view key) {
  const auto* found = std::find_if(kSettings.begin(), kSettings.end(),
                                   [&](const Setting& row) { return row.key == key || row.alias == key; });
  return found == kSettings.end() ? nullptr : found;
}

/// The FE trims values.
std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

template <class Number>
bool is_number(std::string_view text) {
  // Java takes a plus sign, from_chars does not.
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

bool is_boolean(std::string_view text) {
  constexpr auto same = [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  };
  constexpr std::string_view kTrue = "true";
  constexpr std::string_view kFalse = "false";
  return std::equal(text.begin(), text.end(), kTrue.begin(), kTrue.end(), same) ||
         std::equal(text.begin(), text.end(), kFalse.begin(), kFalse.end(), same);
}

}  // namespace

std::string_view canonical_setting(std::string_view key) {
  const Setting* setting = find(key);
  return setting == nullptr ? key : setting->key;
}

std::string_view accepted_value(std::string_view key, std::string_view value) {
  const Setting* setting = find(key);
  if (setting == nullptr) return {};
  const std::string_view text = trimmed(value);
  switch (setting->type) {
    case Type::Boolean:
      return is_boolean(text) ? "" : "\"true\" or \"false\" (the FE treats anything else as false)";
    case Type::Int:
      return is_number<std::int32_t>(text) ? "" : "a whole number of 32 bits";
    case Type::Long:
      return is_number<std::int64_t>(text) ? "" : "a whole number";
    case Type::Double:
      return is_number<double>(text) ? "" : "a number";
  }
  return {};
}

bool is_login_setting(std::string_view key) {
  std::string lower(key);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  for (const std::string_view part : {"authentication", "auth_check", "password", "passwd", "pwd", "secret", "token",
                                      "credential", "keystore", "truststore", "keytab", "ldap", "oauth", "jwt"}) {
    if (lower.find(part) != std::string::npos) return true;
  }
  // "key" as a word of its own: the items of primary key tables have it, too.
  for (auto at = lower.find("key"); at != std::string::npos; at = lower.find("key", at + 1)) {
    const bool begins = at == 0 || lower[at - 1] == '_';
    const auto end = lower.find('_', at);
    const auto word = lower.substr(at, end == std::string::npos ? end : end - at);
    if (!begins || (word != "key" && word != "keys")) continue;
    const auto before = lower.substr(0, at);
    const bool of_table = before.ends_with("primary_") || before.ends_with("sort_") || before.ends_with("unique_") ||
                          before.ends_with("duplicate_") || before.ends_with("aggregate_");
    if (!of_table) return true;
  }
  return false;
}

namespace {

std::string_view without_brackets(std::string_view text) {
  text = trimmed(text);
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return text;
  return trimmed(text.substr(1, text.size() - 2));
}

/// The items of "[a, b]" or "a,b"; none of "".
std::vector<std::string_view> items_of(std::string_view text) {
  std::vector<std::string_view> out;
  text = without_brackets(text);
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    out.push_back(trimmed(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

template <class Number>
bool same_number(std::string_view left, std::string_view right) {
  const auto one = number_of<Number>(left);
  const auto other = number_of<Number>(right);
  return one && other ? *one == *other : left == right;
}

bool is_true(std::string_view text) { return is_boolean(text) && text.size() == std::string_view("true").size(); }

bool is_array(std::string_view type) { return type.ends_with("[]"); }

}  // namespace

bool same_setting(std::string_view type, std::string_view left, std::string_view right) {
  left = trimmed(left);
  right = trimmed(right);
  if (is_array(type)) {
    const auto element = type.substr(0, type.size() - 2);
    const auto one = items_of(left);
    const auto other = items_of(right);
    return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                      [&](std::string_view a, std::string_view b) { return same_setting(element, a, b); });
  }
  if (type == "boolean") return is_true(left) == is_true(right);
  if (type == "int" || type == "long" || type == "short") return same_number<std::int64_t>(left, right);
  if (type == "float") return same_number<float>(left, right);
  if (type == "double") return same_number<double>(left, right);
  if (type.empty() && is_boolean(left) && is_boolean(right)) return is_true(left) == is_true(right);
  return left == right;
}

std::string settable(std::string_view type, std::string_view shown) {
  if (!is_array(type)) return std::string(shown);
  std::string out;
  for (const auto item : items_of(shown)) out.append(out.empty() ? "" : ",").append(item);
  return out;
}

bool is_masked(std::string_view shown) {
  constexpr std::size_t kStarsMin = 3;
  return shown.size() >= kStarsMin && shown.find_first_not_of('*') == std::string_view::npos;
}

}  // namespace gate
