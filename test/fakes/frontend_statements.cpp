#include "test/fakes/frontend_statements.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "test/fakes/frontend_config.hpp"
#include "test/fakes/frontend_variables.hpp"

namespace gate::fake_frontend {
namespace {

constexpr std::uint8_t kTinyInt = 0x01;
constexpr std::uint8_t kBigInt = 0x08;
constexpr const char* kConnectionRefused = "java.net.ConnectException: Connection refused";
constexpr const char* kReadTimedOut = "java.net.SocketTimeoutException: Read timed out";
constexpr const char* kConnectTimedOut = "java.net.SocketTimeoutException: Connect timed out";

std::string variable_name(std::string_view name) {
  auto out = lower(name);
  if (out.starts_with("global.")) out.erase(0, 7);
  if (out.starts_with("session.")) out.erase(0, 8);
  return out;
}

}  // namespace

enum class Route { Asked, Leader, LeaderFrom35 };

struct Cluster::Form {
  std::string_view pattern;
  Privilege needs = Privilege::None;
  Route route = Route::Asked;
  Answer (Cluster::*run)(Request&) = nullptr;
};

const std::vector<Cluster::Form>& Cluster::forms() {
  using P = Privilege;
  static const std::vector<Form> all{
      {"admin set frontend config ( _ = _ )", P::Operate, Route::LeaderFrom35, &Cluster::set_frontend_config},
      {"admin set frontend config ( _ = _ ) with persistent", P::Operate, Route::LeaderFrom35,
       &Cluster::set_persistently},
      {"admin show frontend config", P::Operate, Route::Asked, &Cluster::show_frontend_config},
      {"admin show frontend config like _", P::Operate, Route::Asked, &Cluster::show_frontend_config},
      {"show frontends", P::OperateOrNode, Route::Leader, &Cluster::show_frontends},
      {"show backends", P::OperateOrNode, Route::Leader, &Cluster::show_backends},
      {"show compute nodes", P::OperateOrNode, Route::Leader, &Cluster::show_compute_nodes},
      {"show proc _", P::Operate, Route::Asked, &Cluster::show_proc},
      {"alter system create image", P::Node, Route::Leader, &Cluster::acknowledge},
      {"admin repair >", P::Operate, Route::Leader, &Cluster::acknowledge},
      {"admin cancel repair >", P::Operate, Route::Leader, &Cluster::acknowledge},
      {"grant >", P::None, Route::Leader, &Cluster::grant},
      {"select current_version ( )", P::None, Route::Asked, &Cluster::select_version},
      {"select count ( * ) as jobs from information_schema.routine_load_jobs >", P::None, Route::Asked,
       &Cluster::select_routine_loads},
      {"select connection_id ( )", P::None, Route::Asked, &Cluster::connection_id},
      {"select ?", P::None, Route::Asked, &Cluster::select_value},
      {"set global ? = ?", P::Operate, Route::Leader, &Cluster::set_global_variable},
      {"set names ?", P::None, Route::Asked, &Cluster::acknowledge},
      {"set names ? >", P::None, Route::Asked, &Cluster::acknowledge},
      {"set ? = ?", P::None, Route::Asked, &Cluster::set_variable},
      {"kill N", P::None, Route::Asked, &Cluster::kill},
      {"kill connection N", P::None, Route::Asked, &Cluster::kill},
  };
  return all;
}

std::vector<std::string_view> Cluster::patterns() {
  std::vector<std::string_view> out;
  for (const auto& form : forms()) out.push_back(form.pattern);
  return out;
}

bool ConnectionState::forward_to_leader() const {
  const auto set = variables.find("forward_to_leader");
  return set != variables.end() && (set->second == "true" || set->second == "1" || set->second == "on");
}

Version parse_version(std::string_view text) {
  Version out;
  out.major_part = std::atoi(std::string(text).c_str());
  if (const auto dot = text.find('.'); dot != std::string_view::npos)
    out.minor_part = std::atoi(std::string(text.substr(dot + 1)).c_str());
  return out;
}

Cluster::Cluster(const FrontendSimulatorOptions& options)
    : backends(options.backends),
      compute_nodes(options.compute_nodes),
      grants(options.grants),
      address_(options.address),
      version_(parse_version(options.version)),
      version_text_(options.version),
      mysql_version_(!options.greeting_version.empty() ? options.greeting_version
                     : version_.at_least(3, 4)         ? "8.0.33"
                                                       : "5.1.0"),
      liveness_lag_(options.liveness_lag),
      in_docker_(options.in_docker),
      run_mode_(options.run_mode) {
  for (std::size_t i = 0; i < options.frontends; ++i) {
    FrontendState state;
    state.name = "fe-" + std::to_string(i);
    state.version = options.version;
    state.file = options.fe_conf;
    frontends.push_back(std::move(state));
    reset_config(i);
  }
}

void Cluster::reset_config(std::size_t frontend) {
  frontends[frontend].config_lock.reset();
  auto& config = frontends[frontend].config;
  config.clear();
  for (const ConfigKey& key : config_keys()) config[key.name] = key.value;
  config["run_mode"] = run_mode_;
  for (const auto& [name, value] : frontends[frontend].file) set_config(frontend, name, value);
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

void Cluster::started(std::size_t frontend, bool heard) {
  constexpr std::chrono::seconds kHeartbeat{5};
  reset_config(frontend);
  auto& fe = frontends.at(frontend);
  ++fe.starts;
  fe.alive = true;
  fe.hung = false;
  fe.listed_until.reset();
  fe.heard_after = heard ? now_ : now_ + kHeartbeat;
}

void Cluster::died(std::size_t frontend) {
  auto& fe = frontends.at(frontend);
  if (!fe.alive) return;
  fe.alive = false;
  fe.heard = now_;
  fe.listed_until = now_ + liveness_lag_;
}

void Cluster::froze(std::size_t frontend) {
  constexpr std::chrono::seconds kNoticed{25};
  auto& fe = frontends.at(frontend);
  if (fe.hung) return;
  fe.hung = true;
  fe.led_when_frozen = leader == frontend;
  fe.heard = now_;
  fe.listed_until = now_ + kNoticed;
}

void Cluster::notice_deaths() {
  for (auto& frontend : frontends) {
    if (frontend.listed_until) frontend.listed_until = std::chrono::milliseconds(0);
  }
}

void Cluster::time_passes(std::chrono::milliseconds now) {
  constexpr std::chrono::seconds kElection{2};
  constexpr std::chrono::seconds kFrozenElection{60};
  now_ = now;
  if (!leader) return;
  const auto up = [](const FrontendState& fe) { return fe.alive && !fe.hung; };
  const auto& old = frontends[*leader];
  if (up(old) || now_ < old.heard + (old.alive ? kFrozenElection : kElection)) return;
  const auto voters = static_cast<std::size_t>(std::count_if(frontends.begin(), frontends.end(), up));
  if (2 * voters <= frontends.size()) return;
  leader = static_cast<std::size_t>(std::find_if(frontends.begin(), frontends.end(), up) - frontends.begin());
}

bool Cluster::listed_alive(std::size_t frontend) const {
  const auto& state = frontends[frontend];
  return !state.listed_until || now_ < *state.listed_until;
}

std::optional<SqlError> Cluster::syntax_error_in(const std::string& sql) {
  const auto tokens = tokens_of(sql);
  const auto& all = forms();
  const bool known =
      std::any_of(all.begin(), all.end(), [&](const Form& form) { return match(form.pattern, tokens).whole; });
  if (known) return std::nullopt;
  const bool only_semicolons = !tokens.empty() && std::all_of(tokens.begin(), tokens.end(),
                                                              [](const Token& token) { return token.text == ";"; });
  if (only_semicolons) return std::nullopt;
  return syntax_error(sql, tokens, patterns());
}

Answer Cluster::execute(std::size_t frontend, ConnectionState& connection, const std::string& sql) {
  if (frontends[frontend].hung) return Stalled{};
  if (auto refused = syntax_error_in(sql)) return *refused;
  const auto tokens = tokens_of(sql);
  for (const Form& form : forms()) {
    auto found = match(form.pattern, tokens);
    if (!found.whole) continue;
    Request request{frontend, frontend, connection, std::move(found.taken), sql};
    auto answer = dispatch(form, request);
    if (auto* rows = std::get_if<SimulatedResult>(&answer)) rows->forwarded = request.at != frontend;
    return answer;
  }
  return Acknowledgement{};  // only semicolons
}

Answer Cluster::dispatch(const Form& form, Request& request) {
  if (auto refused = denied(form.needs, grants, request.connection.roles)) return *refused;
  if (form.route == Route::Leader || (form.route == Route::LeaderFrom35 && version_.at_least(3, 5))) {
    if (auto none = forward(request)) return *none;
  }
  return (this->*form.run)(request);
}

std::optional<Answer> Cluster::forward(Request& request) const {
  if (!leader) return SqlError{1064, "HY000", "Cannot open null host."};
  request.at = *leader;
  if (*leader == request.asked) return std::nullopt;
  if (!frontends[*leader].alive) return SqlError{1064, "HY000", kConnectionRefused};
  if (!frontends[*leader].hung) return std::nullopt;
  request.connection.waits_to_connect = false;
  if (std::exchange(request.connection.timed_out, false)) return SqlError{1064, "HY000", kReadTimedOut};
  return Stalled{};
}

Answer Cluster::set_persistently(Request& request) {
  // Before anything else is looked at; and written before the key and the value are.
  if (in_docker_)
    return SqlError{1064, "HY000", "set persisted config failed, because current running mode is not persisted"};
  frontends[request.at].file[request.taken[0]] = request.taken[1];
  auto answer = set_frontend_config(request);
  if (!std::holds_alternative<Acknowledgement>(answer)) return answer;
  for (auto& frontend : frontends) {
    if (frontend.alive) frontend.file[request.taken[0]] = request.taken[1];
  }
  return answer;
}

Answer Cluster::set_frontend_config(Request& request) {
  const auto& key = request.taken[0];
  const auto& value = request.taken[1];
  const std::size_t at = request.at;
  auto& connection = request.connection;
  const std::string prefix = version_.at_least(3, 0) ? "" : "Unexpected exception: ";
  const ConfigKey* found = find_key(key);
  if (found == nullptr || !found->is_mutable || !has_item(found->name))
    return SqlError{1064, "HY000", prefix + "Config '" + key + "' does not exist or is not mutable"};
  const auto parsed = parse_value(*found, value);
  if (!parsed)
    return SqlError{1064, "HY000",
                    prefix + "Failed to set config '" + key + "'. err: For input string: \"" + trim(value) + "\""};
  // One ADMIN SET or SHOW at a time on each FE.
  auto& own = frontends[at];
  if (own.config_lock && *own.config_lock != connection.id) return Stalled{};
  own.config_lock = connection.id;
  // Itself first, then the others one after another; what was reached stays changed. Before 3.5 dead FEs count.
  if (!connection.broadcast_next) own.config[found->name] = *parsed;
  const bool waited = connection.timed_out && !connection.waits_to_connect;
  const bool modern = version_.at_least(3, 5);
  auto& failures = connection.broadcast_failures;
  for (std::size_t i = std::exchange(connection.broadcast_next, std::nullopt).value_or(0); i < frontends.size(); ++i) {
    if (i == at || (modern && !listed_alive(i))) continue;
    if (!broadcast(at, i, connection, found->name, *parsed)) {
      connection.broadcast_next = i;
      return Stalled{};
    }
    // From 3.5 on the text is doubled with each FE that is gone through from the first failure on.
    if (modern && !failures.empty()) failures += std::string(failures);
  }
  own.config_lock.reset();
  const auto text = std::exchange(failures, {});
  // The FE that was asked has waited as long for the leader as the leader for the one that hangs.
  if (waited && at != request.asked) return SqlError{1064, "HY000", kReadTimedOut};
  if (text.empty()) return Acknowledgement{};
  if (modern) return SqlError{5101, "F0000", "Set config failed: " + text};
  return SqlError{5076, "42000", text};
}

/// False while it has to wait for `to`.
bool Cluster::broadcast(std::size_t from, std::size_t to, ConnectionState& connection, const std::string& item,
                        const std::string& value) {
  FrontendState& other = frontends[to];
  const bool modern = version_.at_least(3, 5);
  const auto failed = [&](const char* why) {
    connection.broadcast_failures +=
        "set config for fe[" + (modern ? address_ : other.name) + "] failed: " + why + (modern ? "" : ";");
    return true;
  };
  if (to == from) return true;
  if (other.alive && (other.hung || other.broadcast_cut)) {
    connection.waits_to_connect = other.broadcast_cut;
    if (!std::exchange(connection.timed_out, false)) return false;
    return failed(other.broadcast_cut ? kConnectTimedOut : kReadTimedOut);
  }
  if (!other.alive || other.broadcast_broken) return failed(kConnectionRefused);
  other.config[item] = value;
  return true;
}

Answer Cluster::show_frontend_config(Request& request) {
  const auto& lock = frontends[request.at].config_lock;
  if (lock && *lock != request.connection.id) return Stalled{};
  SimulatedResult out{{"Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"}, {}};
  for (const ConfigKey& key : config_keys()) {
    const bool shown = request.taken.empty() || like(request.taken[0], key.name) ||
                       (key.alias[0] != '\0' && like(request.taken[0], key.alias));
    if (!shown || !has_item(key.name)) continue;
    const auto& value = frontends[request.at].config.at(key.name);
    const bool secret = std::string_view(key.name) == "cloud_secret" && !value.empty();
    out.rows.push_back({key.name, "[" + std::string(key.alias) + "]", secret ? "******" : value, key.type,
                        key.is_mutable ? "true" : "false", key.comment});
  }
  return out;
}

Answer Cluster::show_variable(Request& request) {
  const auto name = variable_name(request.taken[0].substr(2));
  const auto& session = request.connection.variables;
  const auto shown = [&](const std::string& value) { return SimulatedResult{{request.taken[0]}, {{value}}}; };
  if (name == "version") return shown(mysql_version_);
  if (name == "version_comment") {
    const auto& version = frontends[request.at].version;
    return shown(version_.at_least(3, 1) ? version + "-1f1aa9c" : "StarRocks version " + version);
  }
  const bool global = lower(request.taken[0]).starts_with("@@global.");
  if (const auto set = session.find(name); !global && set != session.end()) return shown(set->second);
  if (const auto set = global_variables_.find(name); set != global_variables_.end()) return shown(set->second);
  if (const auto* known = find_variable(name)) return shown(known->value);
  auto unknown = unknown_variable(name);
  unknown.text.insert(0, "Getting analyzing error. Detail message: ");
  return unknown;
}

Answer Cluster::set_variable(Request& request) {
  auto name = lower(request.taken[0]);
  if (name.starts_with("@") && !name.starts_with("@@")) return Acknowledgement{};  // the user's own
  if (name.starts_with("@@")) name.erase(0, 2);
  name = variable_name(name);
  const auto* known = find_variable(name);
  if (known == nullptr) return unknown_variable(request.taken[0]);
  if (auto refused = refused_value(*known, request.taken[1])) return *refused;
  request.connection.variables[name] = lower(request.taken[1]);
  if (name == "query_timeout")
    request.connection.query_timeout = std::chrono::seconds(std::atoi(request.taken[1].c_str()));
  return Acknowledgement{};
}

Answer Cluster::set_global_variable(Request& request) {
  const auto* known = find_variable(request.taken[0]);
  if (known == nullptr) return unknown_variable(request.taken[0]);
  if (auto refused = refused_value(*known, request.taken[1])) return *refused;
  global_variables_[known->name] = request.taken[1];
  return Acknowledgement{};
}

Answer Cluster::select_value(Request& request) {
  const std::string& what = request.taken[0];
  if (what.starts_with("@@")) return show_variable(request);
  if (is_whole_number(what)) return SimulatedResult{{what}, {{what}}, kTinyInt};
  if (request.sql.find(what) != std::string::npos && tokens_of(request.sql)[1].kind == Token::Kind::String)
    return SimulatedResult{{what}, {{what}}};
  return SqlError{1064, "HY000", "Getting analyzing error. Detail message: Column '" + what + "' cannot be resolved."};
}

Answer Cluster::select_version(Request& request) {
  if (auto none = no_backend()) return *none;
  return SimulatedResult{{"current_version()"}, {{frontends[request.at].version + "-1f1aa9c"}}};
}

Answer Cluster::select_routine_loads(Request&) {
  if (!version_.at_least(3, 1))
    return SqlError{5502, "42602",
                    "Getting analyzing error. Detail message: Unknown table 'information_schema.routine_load_jobs'."};
  if (auto none = no_backend()) return *none;
  return SimulatedResult{{"jobs"}, {{std::to_string(routine_loads)}}, kBigInt};
}

Answer Cluster::grant(Request& request) {
  const auto tokens = tokens_of(request.sql);
  if (tokens.size() > 1 && lower(tokens[1].text) == "node")
    return SqlError{
        1064, "HY000",
        "Getting analyzing error. Detail message: Operation not permitted, 'NODE' cannot be granted to user "
        "or role directly, use built-in role instead."};
  return Acknowledgement{};  // one account: what it has is for the test to say
}

Answer Cluster::acknowledge(Request&) { return Acknowledgement{}; }

Answer Cluster::kill(Request& request) {
  kill_requested = static_cast<std::uint32_t>(std::strtoul(request.taken[0].c_str(), nullptr, 10));
  return Acknowledgement{};
}

Answer Cluster::connection_id(Request& request) {
  // The column is called as it was typed.
  const auto begin = request.sql.find_first_not_of(" \t\r\n", std::string_view("select").size());
  return SimulatedResult{
      {trim(std::string_view(request.sql).substr(begin))}, {{std::to_string(request.connection.id)}}, kBigInt};
}

}  // namespace gate::fake_frontend
