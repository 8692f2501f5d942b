#include "test/fakes/frontend_config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "test/fakes/frontend_sql.hpp"

namespace gate::fake_frontend {
namespace {

constexpr std::array kConfigKeys{
    ConfigKey{"tablet_sched_max_scheduling_tablets", "max_scheduling_tablets", "int", "10000", true, ""},
    ConfigKey{"tablet_sched_max_balancing_tablets", "max_balancing_tablets", "int", "500", true, ""},
    ConfigKey{"tablet_sched_disable_balance", "disable_balance", "boolean", "false", true, ""},
    ConfigKey{"tablet_sched_disable_colocate_balance", "disable_colocate_balance", "boolean", "false", true, ""},
    ConfigKey{"tablet_sched_disable_colocate_overall_balance", "", "boolean", "true", true, ""},
    ConfigKey{"tablet_sched_max_clone_task_timeout_sec", "max_clone_task_timeout_sec", "long", "7200", true, ""},
    ConfigKey{"tablet_sched_balance_load_score_threshold", "balance_load_score_threshold", "double", "0.1", true, ""},
    ConfigKey{"tablet_sched_slot_num_per_path", "schedule_slot_num_per_path", "int", "8", true, ""},
    ConfigKey{"statistic_auto_analyze_start_time", "", "String", "00:00:00", true, ""},
    ConfigKey{"lake_background_tables", "", "long[]", "[]", true, ""},
    ConfigKey{"cloud_secret", "", "String", "", true, ""},
    ConfigKey{"history_job_keep_max_second", "", "int", "604800", true, ""},
    ConfigKey{"qe_max_connection", "", "int", "4096", false, ""},
    ConfigKey{"query_port", "", "int", "9030", false, "FE MySQL server port"},
    ConfigKey{"run_mode", "", "String", "shared_nothing", false, ""},
    ConfigKey{"sys_log_verbose_modules", "", "String[]", "[]", false, ""},
};

/// As Double.toString: 0.3 for "0.30", 1.0 for "1", 1.0E-5 for "0.00001".
std::string java_double(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  constexpr double kPlainFrom = 1e-3;
  constexpr double kPlainBelow = 1e7;
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= kPlainFrom && size < kPlainBelow);
  std::array<char, 64> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value,
                                     plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(text.data(), written.ptr);
  if (plain) return out.find('.') == std::string::npos ? out + ".0" : out;
  const auto e = out.find('e');
  std::string digits = out.substr(0, e);
  if (digits.find('.') == std::string::npos) digits += ".0";
  return digits + "E" + std::to_string(std::atoi(out.c_str() + e + 1));
}

/// As Double.parseDouble, which knows no "inf" and allows a "d" or "f" at the end.
std::optional<std::string> java_double_of(std::string text) {
  if (text == "NaN") return text;
  const bool suffixed = text.size() > 1 && std::string_view("dDfF").find(text.back()) != std::string_view::npos;
  if (suffixed) text.pop_back();
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return *end == '\0' ? std::optional(java_double(number)) : std::nullopt;
}

/// "[a, b]" for "a,b".
std::string java_array(std::string_view value) {
  std::string out;
  while (!value.empty()) {
    const auto comma = std::min(value.find(','), value.size());
    out += (out.empty() ? "" : ", ") + trim(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return "[" + out + "]";
}

template <class Number>
std::optional<std::string> java_whole(std::string_view text) {
  if (!is_whole_number(text)) return std::nullopt;
  if (text.front() == '+') text.remove_prefix(1);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(std::to_string(number))
                                                                  : std::nullopt;
}

}  // namespace

std::span<const ConfigKey> config_keys() { return kConfigKeys; }

const ConfigKey* find_key(std::string_view name) {
  const auto* const found = std::find_if(kConfigKeys.begin(), kConfigKeys.end(), [&](const ConfigKey& key) {
    return key.name == name || (key.alias[0] != '\0' && key.alias == name);
  });
  return found == kConfigKeys.end() ? nullptr : found;
}

/// The value as Java's parsers keep it and show it; nullopt when they would throw.
std::optional<std::string> parse_value(const ConfigKey& key, std::string_view raw) {
  const std::string value = trim(raw);
  const std::string_view type = key.type;
  if (type == "boolean") return lower(value) == "true" ? "true" : "false";
  if (type == "int") return java_whole<std::int32_t>(value);
  if (type == "long") return java_whole<std::int64_t>(value);
  if (type == "double") return java_double_of(value);
  if (type.ends_with("[]"))
    return value.find('[') == std::string::npos ? std::optional(java_array(value)) : std::nullopt;
  return value;
}

}  // namespace gate::fake_frontend
