#include "server/preparation/frontends/frontend_fleet.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>

#include "policy/hooks/frontend_setting.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using std::chrono::seconds;

/// One exchange with one FE: login and a few lines out of its memory, a matter of milliseconds. An FE that hangs is met
/// by every look, so it may cost each no more than this.
constexpr seconds kFrontendLook{3};
/// What the session allows an ADMIN SET, in seconds. The FE adds 10 s of its own to it for each FE that it waits for.
constexpr const char* kBoundStatement = "SET query_timeout = 1";

std::string to_text(const FrontendAddress& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

Error at(const FrontendAddress& address, Error error) {
  error.message = "FE " + clean_text(to_text(address), 300) + ": " + error.message;
  return error;
}

bool is_alive(const QueryResult& rows, std::size_t row) {
  return same_setting("boolean", rows.text(row, "Alive"), "true");
}

const char* show_sql(Component component) {
  if (component == Component::Frontend) return "SHOW FRONTENDS";
  return component == Component::Backend ? "SHOW BACKENDS" : "SHOW COMPUTE NODES";
}

std::vector<DatabaseNode> nodes_in(const QueryResult& rows, Component component) {
  const bool frontend = component == Component::Frontend;
  std::vector<DatabaseNode> out;
  for (std::size_t row = 0; row < rows.rows.size(); ++row) {
    DatabaseNode node;
    node.component = component;
    node.name = frontend ? rows.text(row, "Name") : rows.text(row, "IP") + ":" + rows.text(row, "HeartbeatPort");
    node.alive = is_alive(rows, row);
    node.started = rows.text(row, frontend ? "StartTime" : "LastStartTime");
    node.version = rows.text(row, "Version");
    node.warehouse = rows.text(row, "WarehouseName");
    out.push_back(std::move(node));
  }
  return out;
}

}  // namespace

const std::string* SettingReading::leader_value() const {
  const auto leader =
      std::find_if(frontends.begin(), frontends.end(), [](const SettingOnFrontend& fe) { return fe.leader; });
  return leader == frontends.end() ? nullptr : &leader->value;
}

bool SettingReading::has(const SettingOnFrontend& frontend, std::string_view value) const {
  return same_setting(type, frontend.value, value);
}

const SettingOnFrontend* SettingReading::differing(std::string_view wanted) const {
  const auto found = std::find_if(frontends.begin(), frontends.end(),
                                  [&](const SettingOnFrontend& frontend) { return !has(frontend, wanted); });
  return found == frontends.end() ? nullptr : &*found;
}

bool is_leader_role(std::string_view role) { return role == "LEADER" || role == "MASTER"; }  // MASTER until 2.4

Deadline FrontendFleet::soon(Deadline deadline) const {
  return std::min(deadline, clock_.steady_now() + kFrontendLook);
}

Result<QueryResult> FrontendFleet::execute(std::string_view sql, Deadline deadline) {
  return std::move(execute_all({std::string(sql)}, deadline).front());
}

std::vector<Result<QueryResult>> FrontendFleet::execute_all(const std::vector<std::string>& statements,
                                                            Deadline deadline) {
  std::vector<Result<QueryResult>> answers;
  if (statements.empty()) return answers;
  // The first makes the session where there is none.
  if (!session_) {
    auto connected = connector_.connect(access_, deadline);
    if (!connected) return std::vector<Result<QueryResult>>(statements.size(), at(access_.address, connected.error()));
    session_ = std::move(connected).value();
    forwarding_ = bounded_ = false;
  }
  answers = session_->execute_all(statements, deadline);
  for (auto& answer : answers) {
    if (answer) continue;
    if (answer.error().code != ErrorCode::Rejected) session_.reset();
    answer = at(access_.address, answer.error());
  }
  return answers;
}

std::vector<Result<QueryResult>> FrontendFleet::show_nodes(Deadline deadline) {
  if (!shown_.empty()) return shown_;
  std::vector<std::string> statements;
  for (const auto component : kDatabaseComponents) statements.emplace_back(show_sql(component));
  auto answers = execute_all(statements, deadline);
  const bool told = std::all_of(answers.begin(), answers.end(), [](const Result<QueryResult>& answer) {
    return answer || answer.error().code == ErrorCode::Rejected;
  });
  if (told && asked_ == NodesAsked::Once) shown_ = answers;
  return answers;
}

Result<QueryResult> FrontendFleet::show_frontends(Deadline deadline) {
  if (asked_ == NodesAsked::EachTime) return execute(show_sql(Component::Frontend), deadline);
  return show_nodes(deadline).front();
}

Result<QueryResult> FrontendFleet::execute_unbounded(std::string_view sql, Deadline deadline) {
  if (bounded_) session_.reset();
  return execute(sql, deadline);
}

Result<QueryResult> FrontendFleet::execute_set(std::string_view sql, Deadline deadline) {
  if (!session_ || !bounded_) {
    // A version that does not know the variable has no bound to set.
    if (auto told = execute(kBoundStatement, deadline); !told && told.error().code != ErrorCode::Rejected) return told;
    bounded_ = true;
  }
  return execute(sql, deadline);
}

Result<QueryResult> FrontendFleet::execute_on_leader(std::string_view sql, Deadline deadline) {
  if (bounded_) session_.reset();
  if (!session_ || !forwarding_) {
    const auto told = execute("SET forward_to_leader = true", deadline);
    if (!told) return told.error();
    forwarding_ = true;
  }
  return execute(sql, deadline);
}

Result<std::vector<FrontendFleet::Node>> FrontendFleet::alive_frontends(Deadline deadline) {
  const auto rows = show_frontends(soon(deadline));
  if (!rows) return rows.error();
  if (rows->rows.size() > kFrontendsMax) {
    return Error{ErrorCode::InvalidInput, "SHOW FRONTENDS names " + std::to_string(rows->rows.size()) +
                                              " frontends; want at most " + std::to_string(kFrontendsMax)};
  }
  std::vector<Node> nodes;
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    if (!is_alive(*rows, row)) continue;
    Node node;
    node.address.host = rows->text(row, "IP");
    const std::string port = rows->text(row, "QueryPort");
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), node.address.port);
    if (error != std::errc{} || end != port.data() + port.size() || node.address.port == 0) {
      return Error{ErrorCode::Unavailable,
                   "SHOW FRONTENDS gives no QueryPort for " + clean_text(node.address.host, 253)};
    }
    node.identity = clean_text(rows->text(row, "Name") + " started " + rows->text(row, "StartTime"), 300);
    node.leader = is_leader_role(rows->text(row, "Role"));
    nodes.push_back(std::move(node));
  }
  if (nodes.empty()) return Error{ErrorCode::Unavailable, "SHOW FRONTENDS names no alive FE"};
  std::stable_partition(nodes.begin(), nodes.end(), [](const Node& node) { return node.leader; });
  return nodes;
}

Result<std::unique_ptr<FrontendSession>> FrontendFleet::connect_to(const FrontendAddress& frontend, Deadline deadline) {
  auto access = access_;
  access.address = frontend;
  access.named_by = access_.address;
  auto session = connector_.connect(access, deadline);
  if (!session && session_ && session.error().peer_code != 0) {
    // A user that may have one connection has it on this very FE, perhaps.
    session_.reset();
    session = connector_.connect(access, deadline);
  }
  if (!session) return at(frontend, session.error());
  return session;
}

Result<QueryResult> FrontendFleet::execute_set_at(const FrontendAddress& frontend, std::string_view sql,
                                                  Deadline deadline) {
  auto session = connect_to(frontend, deadline);
  if (!session) return session.error();
  if (auto told = (*session)->execute(kBoundStatement, deadline); !told && told.error().code != ErrorCode::Rejected) {
    return at(frontend, told.error());
  }
  auto result = (*session)->execute(sql, deadline);
  if (!result) return at(frontend, result.error());
  return result;
}

template <class Ask>
Status FrontendFleet::read_from(const Node& node, const std::vector<std::string>& keys, FleetReading& out,
                                const Ask& ask) {
  std::vector<std::string> statements;
  for (const auto& key : keys) statements.push_back(show_config_sql(key));
  const auto answers = ask(statements);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& rows = answers[i];
    if (!rows) return rows.error();
    if (rows->rows.empty()) continue;
    auto& setting = out.settings[i];
    setting.canonical_key = rows->text(0, "Key");
    setting.type = rows->text(0, "Type");
    setting.frontends.push_back({node.address, to_text(node.address), node.leader, rows->text(0, "Value")});
  }
  return Ok{};
}

Result<FleetReading> FrontendFleet::read(const std::vector<std::string>& keys, Deadline deadline) {
  const bool kept = session_ != nullptr;
  auto nodes = alive_frontends(deadline);
  // A session that was kept may have ended meanwhile, with the FE that it led to: the next leads to another.
  if (!nodes && kept && nodes.error().code == ErrorCode::Unavailable) nodes = alive_frontends(deadline);
  if (!nodes) return nodes.error();
  FleetReading out;
  out.settings.resize(keys.size());
  auto left = static_cast<int>(nodes->size());
  for (const auto& node : *nodes) {
    if (node.leader) out.leader = node.identity;
    const auto now = clock_.steady_now();
    const auto until = soon(now + (deadline - now) / left--);  // an FE that hangs leaves the others their time
    auto read = [&]() -> Status {
      // With one FE the connection at hand is the FE; with several the Service may have led anywhere.
      if (nodes->size() == 1) {
        return read_from(node, keys, out, [&](const auto& statements) { return execute_all(statements, until); });
      }
      auto session = connect_to(node.address, until);
      if (!session) return session.error();
      return read_from(node, keys, out, [&](const auto& statements) {
        auto answers = (*session)->execute_all(statements, until);
        for (auto& answer : answers) {
          if (!answer) answer = at(node.address, answer.error());
        }
        return answers;
      });
    }();
    if (read) continue;
    // Its own refusal (a privilege that is missing) is everybody's, and no silence.
    if (read.error().code == ErrorCode::Rejected || read.error().code == ErrorCode::PermissionDenied)
      return read.error();
    // What it said before it fell silent would count for it now.
    for (auto& setting : out.settings) {
      std::erase_if(setting.frontends, [&](const SettingOnFrontend& fe) { return fe.address == node.address; });
    }
    out.silent.push_back(read.error());
  }
  return out;
}

Result<std::vector<DatabaseNode>> FrontendFleet::nodes(Deadline deadline) {
  std::vector<DatabaseNode> out;
  const auto answers = show_nodes(deadline);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) return answers[i].error();
    auto some = nodes_in(*answers[i], kDatabaseComponents[i]);
    std::move(some.begin(), some.end(), std::back_inserter(out));
  }
  return out;
}

std::vector<DatabaseNode> FrontendFleet::known_nodes(Deadline deadline) {
  std::vector<DatabaseNode> out;
  const auto answers = show_nodes(deadline);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) continue;
    auto some = nodes_in(*answers[i], kDatabaseComponents[i]);
    std::move(some.begin(), some.end(), std::back_inserter(out));
  }
  return out;
}

}  // namespace gate
