#include "test/fakes/frontend_statements.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <utility>

namespace gate::fake_frontend {
namespace {

struct ConfigKey {
  const char* name;
  const char* alias;  ///< Empty: none.
  const char* type;
  const char* value;
  bool is_mutable;
  const char* comment;
};

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

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

const ConfigKey* find_key(std::string_view name) {
  const auto* found = std::find_if(kConfigKeys.begin(), kConfigKeys.end(), [&](const ConfigKey& key) {
    return key.name == name || (key.alias[0] != '\0' && key.alias == name);
  });
  return found == kConfigKeys.end() ? nullptr : found;
}

bool is_whole_number(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

/// 0.3 for "0.30", 1.0 for "1".
std::string java_double(double value) {
  std::array<char, 64> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  std::string out(text.data(), written.ptr);
  return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
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

/// The value as Java's parsers keep it and show it; nullopt when they would throw.
std::optional<std::string> parse_value(const ConfigKey& key, std::string_view raw) {
  const std::string value = trim(raw);
  const std::string_view type = key.type;
  if (type == "boolean") return lower(value) == "true" ? "true" : "false";
  if (type == "int") return java_whole<std::int32_t>(value);
  if (type == "long") return java_whole<std::int64_t>(value);
  if (type == "double") {
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    return value.empty() || *end != '\0' ? std::nullopt : std::optional(java_double(number));
  }
  if (type.ends_with("[]"))
    return value.find('[') == std::string::npos ? std::optional(java_array(value)) : std::nullopt;
  return value;
}

/// SQL LIKE, with case: '%', '_' and backslash escapes.
bool like(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '%') return like(pattern.substr(1), text) || (!text.empty() && like(pattern, text.substr(1)));
  if (text.empty()) return false;
  const bool escaped = pattern[0] == '\\' && pattern.size() > 1;
  const char wanted = escaped ? pattern[1] : pattern[0];
  const bool any = !escaped && wanted == '_';
  if (!any && wanted != text[0]) return false;
  return like(pattern.substr(escaped ? 2 : 1), text.substr(1));
}

struct Token {
  enum class Kind { Word, String, Symbol } kind = Kind::Word;
  std::string text;
};

/// Index behind a quoted region or comment that starts at `at`, or `at` when none does.
std::size_t skip_region(std::string_view sql, std::size_t at) {
  const char c = sql[at];
  if (c == '\'' || c == '"' || c == '`') {
    for (std::size_t i = at + 1; i < sql.size(); ++i) {
      if (sql[i] == '\\' && c != '`') {
        ++i;
      } else if (sql[i] == c) {
        if (i + 1 < sql.size() && sql[i + 1] == c) {
          ++i;
        } else {
          return i + 1;
        }
      }
    }
    return sql.size();
  }
  if (sql.substr(at, 2) == "--") return std::min(sql.find('\n', at), sql.size());
  if (sql.substr(at, 2) == "/*") {
    const auto end = sql.find("*/", at + 2);
    return end == std::string_view::npos ? sql.size() : end + 2;
  }
  return at;
}

/// The content of a quoted region. A backslash before '%' or '_' stays: LIKE needs it.
std::string unquote(std::string_view quoted) {
  std::string out;
  const char quote = quoted.front();
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] == '\\' && quote != '`') {
      const char next = quoted[++i];
      if (next == '%' || next == '_') out += '\\';
      out += next == 'n' ? '\n' : next == 't' ? '\t' : next;
    } else {
      out += quoted[i];
      if (quoted[i] == quote) ++i;  // doubled
    }
  }
  return out;
}

std::vector<Token> tokens_of(std::string_view sql) {
  std::vector<Token> out;
  for (std::size_t i = 0; i < sql.size();) {
    const char c = sql[i];
    if (std::isspace(static_cast<unsigned char>(c))) {
      ++i;
      continue;
    }
    if (const auto end = skip_region(sql, i); end != i) {
      if (c == '\'' || c == '"') out.push_back({Token::Kind::String, unquote(sql.substr(i, end - i))});
      if (c == '`') out.push_back({Token::Kind::Word, unquote(sql.substr(i, end - i))});
      i = end;
      continue;
    }
    const auto is_word = [](char w) {
      return std::isalnum(static_cast<unsigned char>(w)) || w == '_' || w == '@' || w == '.';
    };
    if (is_word(c)) {
      std::size_t end = i;
      while (end < sql.size() && is_word(sql[end])) ++end;
      out.push_back({Token::Kind::Word, std::string(sql.substr(i, end - i))});
      i = end;
      continue;
    }
    out.push_back({Token::Kind::Symbol, std::string(1, c)});
    ++i;
  }
  return out;
}

/// Matches a statement word by word. Words compare without case; "?" takes a string or word, ">" the rest.
class Pattern {
 public:
  explicit Pattern(const std::vector<Token>& tokens) : tokens_(tokens) {}

  [[nodiscard]] bool matches(std::string_view pattern) {
    taken.clear();
    std::size_t next = 0;
    while (!pattern.empty()) {
      const auto space = std::min(pattern.find(' '), pattern.size());
      const std::string_view want = pattern.substr(0, space);
      pattern.remove_prefix(std::min(space + 1, pattern.size()));
      if (want == ">") return true;
      if (next == tokens_.size()) return false;
      const Token& token = tokens_[next++];
      if (want == "?") {
        if (token.kind == Token::Kind::Symbol) return false;
        taken.push_back(token.text);
      } else if (token.kind == Token::Kind::String || lower(token.text) != want) {
        return false;
      }
    }
    return next == tokens_.size();
  }

  std::vector<std::string> taken;

 private:
  const std::vector<Token>& tokens_;
};

SqlError access_denied() {
  return {5203, "42000",
          "Access denied; you need (at least one of) the OPERATE privilege(s) on SYSTEM for this operation. Please ask "
          "the admin to grant permission(s) or try activating existing roles using <set [default] role>."};
}

constexpr const char* kStartTime = "2026-01-02 03:04:05";

/// Each further start is a minute later.
std::string start_time(int starts) {
  const int minute = 4 + starts % 50;
  return std::string("2026-01-02 03:") + (minute < 10 ? "0" : "") + std::to_string(minute) + ":05";
}

/// The columns that SHOW BACKENDS and SHOW COMPUTE NODES have in common.
std::map<std::string, std::string> node_values(const SimulatedNode& node, const std::string& cluster_version) {
  return {{"IP", node.host},
          {"HeartbeatPort", "9050"},
          {"BePort", "9060"},
          {"HttpPort", "8040"},
          {"BrpcPort", "8060"},
          {"LastStartTime", start_time(node.starts)},
          {"LastHeartbeat", node.last_heartbeat},
          {"Alive", node.alive ? "true" : "false"},
          {"SystemDecommissioned", "false"},
          {"ClusterDecommissioned", "false"},
          {"TabletNum", "30"},
          {"ErrMsg", node.alive ? "" : "connection refused"},
          {"Version", (node.version.empty() ? cluster_version : node.version) + "-1f1aa9c"},
          {"CpuCores", "8"},
          {"MemLimit", "13.5GB"},
          {"NumRunningQueries", "0"},
          {"MemUsedPct", "1.00 %"},
          {"CpuUsedPct", "0.5 %"},
          {"DataCacheMetrics", "N/A"},
          {"StatusCode", node.alive ? "OK" : "DISCONNECTED"}};
}

void add_row(SimulatedResult& out, const std::map<std::string, std::string>& values) {
  std::vector<std::optional<std::string>> row;
  for (const auto& column : out.columns) row.emplace_back(values.at(column));
  out.rows.push_back(std::move(row));
}

constexpr std::size_t kFirstDatabaseId = 10005;

/// The database that `path` ends with, by its id; nullptr for none.
const SimulatedDatabase* database_in(const std::vector<SimulatedDatabase>& databases, const std::string& path) {
  const auto id = static_cast<std::size_t>(std::strtoul(path.c_str() + path.rfind('/') + 1, nullptr, 10));
  const bool known = id >= kFirstDatabaseId && id - kFirstDatabaseId < databases.size();
  return known ? &databases[id - kFirstDatabaseId] : nullptr;
}

SimulatedResult list_of(const std::vector<SimulatedDatabase>& databases) {
  SimulatedResult out{{"DbId", "DbName"}, {}};
  for (std::size_t i = 0; i < databases.size(); ++i)
    out.rows.push_back({std::to_string(kFirstDatabaseId + i), databases[i].name});
  return out;
}

SqlError no_such_database(const std::string& path) {
  return {1064, "HY000", "Database[" + path.substr(path.rfind('/') + 1) + "] does not exist."};
}

}  // namespace

Version parse_version(std::string_view text) {
  Version out;
  out.major_part = std::atoi(std::string(text).c_str());
  if (const auto dot = text.find('.'); dot != std::string_view::npos)
    out.minor_part = std::atoi(std::string(text.substr(dot + 1)).c_str());
  return out;
}

std::vector<std::string> split_statements(std::string_view sql) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  const auto cut = [&](std::size_t end) {
    const auto part = sql.substr(begin, end - begin);
    if (!tokens_of(part).empty()) out.push_back(trim(part));
    begin = end + 1;
  };
  for (std::size_t i = 0; i < sql.size();) {
    if (const auto end = skip_region(sql, i); end != i) {
      i = end;
      continue;
    }
    if (sql[i] == ';') cut(i);
    ++i;
  }
  if (begin < sql.size()) cut(sql.size());
  return out;
}

Cluster::Cluster(const FrontendSimulatorOptions& options)
    : backends(options.backends),
      compute_nodes(options.compute_nodes),
      version_(parse_version(options.version)),
      version_text_(options.version),
      operate_privilege_(options.operate_privilege),
      liveness_lag_(options.liveness_lag),
      fe_conf_(options.fe_conf) {
  for (std::size_t i = 0; i < options.frontends; ++i) {
    FrontendState state;
    state.name = "fe-" + std::to_string(i);
    state.version = options.version;
    frontends.push_back(std::move(state));
    reset_config(i);
  }
}

void Cluster::reset_config(std::size_t frontend) {
  frontends[frontend].config_lock.reset();
  auto& config = frontends[frontend].config;
  config.clear();
  for (const ConfigKey& key : kConfigKeys) config[key.name] = key.value;
  for (const auto& [name, value] : fe_conf_) set_config(frontend, name, value);
}

bool Cluster::has_item(std::string_view canonical_name) const {
  if (canonical_name == "run_mode" && !version_.at_least(3, 0)) return false;
  return !dropped_items.contains(std::string(canonical_name));
}

std::optional<std::string> Cluster::config(std::size_t frontend, const std::string& key) const {
  const ConfigKey* found = find_key(key);
  if (found == nullptr) return std::nullopt;
  return frontends[frontend].config.at(found->name);
}

void Cluster::set_config(std::size_t frontend, const std::string& key, const std::string& value) {
  const ConfigKey* found = find_key(key);
  if (found != nullptr) frontends[frontend].config[found->name] = parse_value(*found, value).value_or(value);
}

void Cluster::died(std::size_t frontend) {
  frontends[frontend].alive = false;
  frontends[frontend].listed_until = std::chrono::steady_clock::now() + liveness_lag_;
}

bool Cluster::listed_alive(std::size_t frontend) const {
  const auto& state = frontends[frontend];
  return state.alive || std::chrono::steady_clock::now() < state.listed_until;
}

std::optional<Answer> Cluster::no_leader(std::size_t frontend, ConnectionState& connection) const {
  if (!leader) return SqlError{1064, "HY000", "Cannot open null host."};
  if (*leader == frontend) return std::nullopt;
  if (!frontends[*leader].alive) return SqlError{1064, "HY000", "java.net.ConnectException: Connection refused"};
  if (!frontends[*leader].hung) return std::nullopt;
  if (std::exchange(connection.timed_out, false)) {
    return SqlError{1064, "HY000", "java.net.SocketTimeoutException: Read timed out"};
  }
  return Stalled{};
}

Answer Cluster::execute(std::size_t frontend, ConnectionState& connection, const std::string& sql) {
  if (frontends[frontend].hung) return Stalled{};
  const auto tokens = tokens_of(sql);
  Pattern statement(tokens);
  const auto needs_operate = [&](auto run) -> Answer {
    if (!operate_privilege_) return access_denied();
    return run();
  };
  const auto on_leader = [&](auto run) -> Answer {
    if (auto none = no_leader(frontend, connection)) return *none;
    return run(*leader);
  };

  if (statement.matches("admin set frontend config ( ? = ? )") ||
      statement.matches("admin set frontend config ( ? = ? ) with persistent")) {
    const auto key = statement.taken[0];
    const auto value = statement.taken[1];
    if (tokens.size() > 9)
      return SqlError{1064, "HY000", "set persisted config failed, because current running mode is not persisted"};
    return needs_operate([&]() -> Answer {
      if (!version_.at_least(3, 5)) return set_frontend_config(frontend, connection, key, value);
      return on_leader([&](std::size_t at) { return set_frontend_config(at, connection, key, value); });
    });
  }
  if (statement.matches("admin show frontend config"))
    return needs_operate([&]() -> Answer { return show_frontend_config(frontend, connection, std::nullopt); });
  if (statement.matches("admin show frontend config like ?"))
    return needs_operate([&]() -> Answer { return show_frontend_config(frontend, connection, statement.taken[0]); });
  if (statement.matches("show frontends"))
    return needs_operate([&] { return on_leader([&](std::size_t at) -> Answer { return show_frontends(at); }); });
  if (statement.matches("show backends"))
    return needs_operate([&] { return on_leader([&](std::size_t) -> Answer { return show_backends(); }); });
  if (statement.matches("show compute nodes"))
    return needs_operate([&] { return on_leader([&](std::size_t) -> Answer { return show_compute_nodes(); }); });
  if (statement.matches("show proc ?"))
    return needs_operate([&] { return show_proc(frontend, connection, statement.taken[0]); });
  if (statement.matches("alter system create image"))
    return needs_operate([&] { return on_leader([](std::size_t) -> Answer { return Acknowledgement{}; }); });
  if (statement.matches("admin repair >") || statement.matches("admin cancel repair >"))
    return needs_operate([&] { return on_leader([](std::size_t) -> Answer { return Acknowledgement{}; }); });

  if (statement.matches("select current_version ( )"))
    return SimulatedResult{{"current_version()"}, {{frontends[frontend].version + "-1f1aa9c"}}};
  if (statement.matches("select @@version_comment")) {
    const std::string text = version_.at_least(3, 1) ? frontends[frontend].version + "-1f1aa9c"
                                                     : "StarRocks version " + frontends[frontend].version;
    return SimulatedResult{{"@@version_comment"}, {{text}}};
  }
  if (statement.matches("select count ( * ) as jobs from information_schema.routine_load_jobs >")) {
    if (!version_.at_least(3, 1))
      return SqlError{5502, "42602",
                      "Getting analyzing error. Detail message: Unknown table 'information_schema.routine_load_jobs'."};
    const auto alive = [](const SimulatedNode& node) { return node.alive; };
    if (std::none_of(backends.begin(), backends.end(), alive) &&
        std::none_of(compute_nodes.begin(), compute_nodes.end(), alive)) {
      return SqlError{1064, "HY000", "Backend node not found. Check if any backend node is down.backend: "};
    }
    return SimulatedResult{{"jobs"}, {{std::to_string(routine_loads)}}};
  }
  if (statement.matches("select connection_id ( )"))
    return SimulatedResult{{"connection_id()"}, {{std::to_string(connection.id)}}};
  if (statement.matches("select ?")) {
    const std::string& what = statement.taken[0];
    if (what.starts_with("@@")) {
      auto name = lower(what.substr(2));
      if (name.starts_with("global.")) name.erase(0, 7);
      const auto known = global_variables_.find(name);
      if (known == global_variables_.end()) return SqlError{1193, "HY000", "Unknown system variable '" + name + "'"};
      return SimulatedResult{{what}, {{known->second}}};
    }
    if (is_whole_number(what) || tokens[1].kind == Token::Kind::String) return SimulatedResult{{what}, {{what}}};
  }
  if (statement.matches("set global ? = ?")) {
    return needs_operate([&]() -> Answer {
      global_variables_[lower(statement.taken[0])] = statement.taken[1];
      return Acknowledgement{};
    });
  }
  if (statement.matches("set ? = ?")) {
    if (lower(statement.taken[0]) == "query_timeout")
      connection.query_timeout = std::chrono::seconds(std::atoi(statement.taken[1].c_str()));
    if (lower(statement.taken[0]) == "forward_to_leader")
      connection.forward_to_leader = lower(statement.taken[1]) == "true" || statement.taken[1] == "1";
    return Acknowledgement{};
  }
  if (statement.matches("set names ?") || statement.matches("set names ? >")) return Acknowledgement{};
  if (statement.matches("kill ?") || statement.matches("kill connection ?")) {
    kill_requested = static_cast<std::uint32_t>(std::strtoul(statement.taken[0].c_str(), nullptr, 10));
    return Acknowledgement{};
  }
  return SqlError{1064, "HY000",
                  "Getting syntax error at line 1, column 0. Detail message: Unexpected input '" +
                      (tokens.empty() ? std::string() : tokens.front().text) +
                      "', the most similar input is {'SELECT', 'ADMIN', 'SHOW'}."};
}

Answer Cluster::set_frontend_config(std::size_t frontend, ConnectionState& connection, const std::string& key,
                                    const std::string& value) {
  const std::string prefix = version_.at_least(3, 0) ? "" : "Unexpected exception: ";
  const ConfigKey* found = find_key(key);
  if (found == nullptr || !found->is_mutable || !has_item(found->name))
    return SqlError{1064, "HY000", prefix + "Config '" + key + "' does not exist or is not mutable"};
  const auto parsed = parse_value(*found, value);
  if (!parsed)
    return SqlError{1064, "HY000",
                    prefix + "Failed to set config '" + key + "'. err: For input string: \"" + trim(value) + "\""};
  // One ADMIN SET or SHOW at a time on each FE.
  auto& own = frontends[frontend];
  if (own.config_lock && *own.config_lock != connection.id) return Stalled{};
  own.config_lock = connection.id;
  // Itself first, then the others one after another; what was reached stays changed. Before 3.5 dead FEs count.
  if (!connection.broadcast_next) own.config[found->name] = *parsed;
  auto& failures = connection.broadcast_failures;
  for (std::size_t i = std::exchange(connection.broadcast_next, std::nullopt).value_or(0); i < frontends.size(); ++i) {
    if (i == frontend) continue;
    FrontendState& other = frontends[i];
    const bool modern = version_.at_least(3, 5);
    if (modern && !listed_alive(i)) continue;
    const auto failed = [&](const char* why) {
      failures += "set config for fe[" + (modern ? std::string("127.0.0.1") : other.name) + "] failed: " + why +
                  (modern ? "" : ";");
    };
    if (other.hung && !std::exchange(connection.timed_out, false)) {
      connection.broadcast_next = i;
      return Stalled{};
    }
    if (other.hung) {
      failed("java.net.SocketTimeoutException: Read timed out");
    } else if (!other.alive || other.broadcast_broken) {
      failed("java.net.ConnectException: Connection refused");
    } else {
      other.config[found->name] = *parsed;
    }
    // From 3.5 on the text is doubled with each FE that is gone through from the first failure on.
    if (modern && !failures.empty()) failures += std::string(failures);
  }
  own.config_lock.reset();
  const auto text = std::exchange(failures, {});
  if (text.empty()) return Acknowledgement{};
  if (version_.at_least(3, 5)) return SqlError{5101, "F0000", "Set config failed: " + text};
  return SqlError{5076, "42000", text};
}

Answer Cluster::show_frontend_config(std::size_t frontend, const ConnectionState& connection,
                                     const std::optional<std::string>& wanted) const {
  const auto& lock = frontends[frontend].config_lock;
  if (lock && *lock != connection.id) return Stalled{};
  SimulatedResult out{{"Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"}, {}};
  for (const ConfigKey& key : kConfigKeys) {
    const bool shown = !wanted || like(*wanted, key.name) || (key.alias[0] != '\0' && like(*wanted, key.alias));
    if (!shown || !has_item(key.name)) continue;
    const auto& value = frontends[frontend].config.at(key.name);
    const bool secret = std::string_view(key.name) == "cloud_secret" && !value.empty();
    out.rows.push_back({key.name, "[" + std::string(key.alias) + "]", secret ? "******" : value, key.type,
                        key.is_mutable ? "true" : "false", key.comment});
  }
  return out;
}

SimulatedResult Cluster::show_frontends(std::size_t asked) const {
  SimulatedResult out;
  const bool has_id = version_.at_least(3, 4);
  if (has_id) out.columns.emplace_back("Id");
  for (const char* column :
       {"Name", "IP", "EditLogPort", "HttpPort", "QueryPort", "RpcPort", "Role", "ClusterId", "Join", "Alive",
        "ReplayedJournalId", "LastHeartbeat", "IsHelper", "ErrMsg", "StartTime", "Version"})
    out.columns.emplace_back(column);
  for (std::size_t i = 0; i < frontends.size(); ++i) {
    const FrontendState& fe = frontends[i];
    const bool alive = listed_alive(i) || i == asked;
    std::vector<std::optional<std::string>> row;
    if (has_id) row.emplace_back(std::to_string(i + 1));
    for (const std::string& value :
         {fe.name + "_9010_1700000000000", std::string("127.0.0.1"), std::string("9010"), std::string("8030"),
          std::to_string(fe.port), std::string("9020"), std::string(leader == i ? "LEADER" : "FOLLOWER"),
          std::string("1234567"), std::string("true"), std::string(alive ? "true" : "false"),
          std::to_string(fe.replayed_journal_id), std::string(kStartTime), std::string("true"),
          std::string(alive ? "" : "got exception"), alive ? start_time(fe.starts) : std::string("NULL"),
          fe.version + "-1f1aa9c"})
      row.emplace_back(value);
    out.rows.push_back(std::move(row));
  }
  return out;
}

SimulatedResult Cluster::show_backends() const {
  SimulatedResult out;
  const auto columns = [&](std::initializer_list<const char*> names) {
    out.columns.insert(out.columns.end(), names.begin(), names.end());
  };
  columns({"BackendId",
           "IP",
           "HeartbeatPort",
           "BePort",
           "HttpPort",
           "BrpcPort",
           "LastStartTime",
           "LastHeartbeat",
           "Alive",
           "SystemDecommissioned",
           "ClusterDecommissioned",
           "TabletNum",
           "DataUsedCapacity",
           "AvailCapacity",
           "TotalCapacity",
           "UsedPct",
           "MaxDiskUsedPct",
           "ErrMsg",
           "Version",
           "Status",
           "DataTotalCapacity",
           "DataUsedPct",
           "CpuCores"});
  if (version_.at_least(3, 3)) columns({"MemLimit"});
  columns({"NumRunningQueries", "MemUsedPct", "CpuUsedPct"});
  if (version_.at_least(3, 3)) columns({"DataCacheMetrics", "Location"});
  if (version_.at_least(3, 5)) columns({"StatusCode"});
  for (std::size_t i = 0; i < backends.size(); ++i) {
    auto values = node_values(backends[i], version_text_);
    values.merge(std::map<std::string, std::string>{{"BackendId", std::to_string(10001 + i)},
                                                    {"DataUsedCapacity", "1.000 GB"},
                                                    {"AvailCapacity", "90.000 GB"},
                                                    {"TotalCapacity", "100.000 GB"},
                                                    {"UsedPct", "10.00 %"},
                                                    {"MaxDiskUsedPct", "10.00 %"},
                                                    {"Status", "{}"},
                                                    {"DataTotalCapacity", "91.000 GB"},
                                                    {"DataUsedPct", "1.10 %"},
                                                    {"Location", ""}});
    add_row(out, values);
  }
  return out;
}

SimulatedResult Cluster::show_compute_nodes() const {
  SimulatedResult out;
  const auto columns = [&](std::initializer_list<const char*> names) {
    out.columns.insert(out.columns.end(), names.begin(), names.end());
  };
  columns({"ComputeNodeId", "IP", "HeartbeatPort", "BePort", "HttpPort", "BrpcPort", "LastStartTime", "LastHeartbeat",
           "Alive", "SystemDecommissioned", "ClusterDecommissioned", "ErrMsg", "Version"});
  if (version_.at_least(3, 1)) columns({"CpuCores", "NumRunningQueries", "MemUsedPct", "CpuUsedPct", "HasStoragePath"});
  if (version_.at_least(3, 3))
    columns({"MemLimit", "DataCacheMetrics", "StarletPort", "WorkerId", "WarehouseName", "TabletNum"});
  if (version_.at_least(3, 5)) columns({"StatusCode"});
  for (std::size_t i = 0; i < compute_nodes.size(); ++i) {
    const std::string& warehouse = compute_nodes[i].warehouse;
    auto values = node_values(compute_nodes[i], version_text_);
    values.merge(
        std::map<std::string, std::string>{{"ComputeNodeId", std::to_string(20001 + i)},
                                           {"HasStoragePath", "true"},
                                           {"StarletPort", "9070"},
                                           {"WorkerId", "1"},
                                           {"WarehouseName", warehouse.empty() ? "default_warehouse" : warehouse}});
    add_row(out, values);
  }
  return out;
}

Answer Cluster::show_proc(std::size_t frontend, ConnectionState& connection, const std::string& path) {
  const bool leader_up = leader && frontends[*leader].alive;
  if (path.starts_with("/routine_loads")) {
    if (auto none = no_leader(frontend, connection)) return *none;
    return show_routine_loads(path);
  }
  if (path == "/cluster_balance" || path.starts_with("/transactions")) {
    if (auto none = no_leader(frontend, connection)) return *none;
    return path == "/cluster_balance" ? cluster_balance() : show_transactions(path);
  }
  if (connection.forward_to_leader) {
    if (auto none = no_leader(frontend, connection)) return *none;
  }
  const bool runs_on_leader = leader_up && (connection.forward_to_leader || *leader == frontend);
  if (path.starts_with("/jobs")) return show_jobs(path, runs_on_leader);
  if (path == "/statistic") {
    SimulatedResult out{{"DbId", "DbName", "TableNum", "PartitionNum", "IndexNum", "TabletNum", "ReplicaNum",
                         "UnhealthyTabletNum", "InconsistentTabletNum", "CloningTabletNum", "ErrorStateTabletNum"},
                        {}};
    const auto row = [&](const char* id, const char* name) {
      const auto number = [](int value) { return std::optional(std::to_string(value)); };
      out.rows.push_back({id, name, "3", "3", "3", number(statistic.tablets), number(3 * statistic.tablets),
                          number(statistic.unhealthy), number(statistic.inconsistent),
                          number(runs_on_leader ? statistic.cloning : 0), "0"});
    };
    row("10005", "shop");
    row("Total", "Total");
    return out;
  }
  return SqlError{1064, "HY000",
                  "Getting analyzing error. Detail message: Unknown proc node path: " + path +
                      ". msg: Cannot find path: " + path.substr(0, path.find('/', 1)) + "."};
}

Answer Cluster::show_routine_loads(const std::string& path) const {
  constexpr std::string_view kList = "/routine_loads";
  // Jobs that ended stay in the list, which does not tell their state.
  const auto state = [&](int i) { return i < routine_loads ? "RUNNING" : "STOPPED"; };
  if (path == kList) {
    SimulatedResult out{{"Name", "Id", "DbName", "Statistic", "TaskStatistic"}, {}};
    for (int i = 0; i < routine_loads + stopped_routine_loads; ++i)
      out.rows.push_back({"load_" + std::to_string(i), std::to_string(30001 + i), "shop", "{}", "{}"});
    return out;
  }
  SimulatedResult out{{"Id", "Name", "DbName", "TableName", "State"}, {}};
  for (int i = 0; i < routine_loads + stopped_routine_loads; ++i) {
    const auto name = "load_" + std::to_string(i);
    if (path.substr(kList.size() + 1) == name)
      out.rows.push_back({std::to_string(30001 + i), name, "shop", "orders", state(i)});
  }
  return out;
}

Answer Cluster::show_jobs(const std::string& path, bool runs_on_leader) const {
  if (path == "/jobs") return list_of(databases);
  const SimulatedDatabase* database = database_in(databases, path);
  if (database == nullptr) return no_such_database(path);
  SimulatedResult out{{"JobType", "Pending", "Running", "Finished", "Cancelled", "Total"}, {}};
  const auto row = [&](const char* type, int pending, int running) {
    if (!runs_on_leader) pending = running = 0;
    out.rows.push_back(
        {type, std::to_string(pending), std::to_string(running), "12", "1", std::to_string(pending + running + 13)});
  };
  row("load", database->queued_loads, 0);
  row("rollup", database->pending_rollups, 0);
  row("schema_change", 0, database->schema_changes);
  row("export", 0, 0);
  return out;
}

Answer Cluster::show_transactions(const std::string& path) const {
  if (path == "/transactions") return list_of(databases);
  const SimulatedDatabase* database = database_in(databases, path);
  if (database == nullptr) return no_such_database(path);
  return SimulatedResult{{"State", "Number"},
                         {{"running", std::to_string(database->running_transactions)}, {"finished", "120"}}};
}

SimulatedResult Cluster::cluster_balance() {
  const SimulatedBalance now = balance.front();
  if (balance.size() > 1) balance.erase(balance.begin());
  SimulatedResult out{{"Item", "Number"}, {}};
  const auto row = [&](const char* item, int number) { out.rows.push_back({item, std::to_string(number)}); };
  if (version_.at_least(3, 5)) row("balance_stat", 1);
  row("cluster_load_stat", 1);
  row("working_slots", static_cast<int>(backends.size()));
  row("sched_stat", 1);
  row("priority_repair", 0);
  row("pending_tablets", now.pending_tablets);
  row("running_tablets", now.running_tablets);
  row("history_tablets", 1000);
  row("all_tablets", now.pending_tablets + now.running_tablets);
  return out;
}

}  // namespace gate::fake_frontend
