#include "server/preparation/frontends/frontend_fleet.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <iterator>

#include "policy/hooks/sql.hpp"

namespace gate {
namespace {

std::string normalized(std::string_view value) {
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front())) != 0) value.remove_prefix(1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())) != 0) value.remove_suffix(1);
  std::string lower(value);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower == "true" || lower == "false" ? lower : std::string(value);
}

std::string to_text(const FrontendAddress& address) { return address.host + ":" + std::to_string(address.port); }

Error at(const FrontendAddress& address, Error error) {
  error.message = "FE " + to_text(address) + ": " + error.message;
  return error;
}

}  // namespace

const std::string& SettingReading::leader_value() const {
  const auto leader =
      std::find_if(frontends.begin(), frontends.end(), [](const SettingOnFrontend& fe) { return fe.leader; });
  return leader == frontends.end() ? frontends.front().value : leader->value;
}

std::optional<SettingOnFrontend> SettingReading::differing(std::string_view wanted) const {
  for (const auto& frontend : frontends) {
    if (!same_config_value(frontend.value, wanted)) return frontend;
  }
  return std::nullopt;
}

bool SettingReading::somewhere(std::string_view value) const {
  return std::any_of(frontends.begin(), frontends.end(),
                     [&](const SettingOnFrontend& frontend) { return same_config_value(frontend.value, value); });
}

bool is_leader_role(std::string_view role) { return role == "LEADER" || role == "MASTER"; }  // MASTER until 2.4

bool same_config_value(std::string_view left, std::string_view right) { return normalized(left) == normalized(right); }

Result<QueryResult> FrontendFleet::execute(std::string_view sql, Deadline deadline) {
  if (!session_) {
    auto connected = connector_.connect(access_, deadline);
    if (!connected) return at(access_.address, connected.error());
    session_ = std::move(connected).value();
    forwarding_ = false;
  }
  auto result = session_->execute(sql, deadline);
  if (!result) {
    if (result.error().code != ErrorCode::Rejected) session_.reset();
    return at(access_.address, result.error());
  }
  return result;
}

Result<QueryResult> FrontendFleet::execute_on_leader(std::string_view sql, Deadline deadline) {
  if (!session_ || !forwarding_) {
    const auto told = execute("SET forward_to_leader = true", deadline);
    if (!told) return told.error();
    forwarding_ = true;
  }
  return execute(sql, deadline);
}

Result<std::vector<FrontendFleet::Node>> FrontendFleet::alive_frontends(Deadline deadline) {
  const auto rows = execute("SHOW FRONTENDS", deadline);
  if (!rows) return rows.error();
  std::vector<Node> nodes;
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    if (!same_config_value(rows->text(row, "Alive"), "true")) continue;
    Node node;
    node.address.host = rows->text(row, "IP");
    const std::string port = rows->text(row, "QueryPort");
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), node.address.port);
    if (error != std::errc{} || end != port.data() + port.size()) {
      return Error{ErrorCode::Unavailable, "SHOW FRONTENDS gives no QueryPort for " + node.address.host};
    }
    node.leader = is_leader_role(rows->text(row, "Role"));
    nodes.push_back(std::move(node));
  }
  if (nodes.empty()) return Error{ErrorCode::Unavailable, "SHOW FRONTENDS names no alive FE"};
  return nodes;
}

Result<QueryResult> FrontendFleet::execute_at(const FrontendAddress& frontend, std::string_view sql,
                                              Deadline deadline) {
  auto access = access_;
  access.address = frontend;
  auto session = connector_.connect(access, deadline);
  if (!session) return at(frontend, session.error());
  auto result = (*session)->execute(sql, deadline);
  if (!result) return at(frontend, result.error());
  return result;
}

Result<SettingReading> FrontendFleet::read(std::string_view key, Deadline deadline) {
  const auto nodes = alive_frontends(deadline);
  if (!nodes) return nodes.error();
  const std::string sql = show_config_sql(key);
  SettingReading reading;
  for (const auto& node : *nodes) {
    // With one FE the connection at hand is the FE; with several the Service may have led anywhere.
    const auto rows = nodes->size() == 1 ? execute(sql, deadline) : execute_at(node.address, sql, deadline);
    if (!rows) return rows.error();
    if (rows->rows.empty()) continue;
    reading.canonical_key = rows->text(0, "Key");
    reading.frontends.push_back({node.address, to_text(node.address), node.leader, rows->text(0, "Value")});
  }
  if (reading.frontends.empty()) {
    return Error{ErrorCode::NotFound,
                 "FE " + to_text(nodes->front().address) + " has no configuration item \"" + std::string(key) + "\""};
  }
  return reading;
}

Result<std::vector<DatabaseNode>> FrontendFleet::nodes_of(Component component, Deadline deadline) {
  const bool frontend = component == Component::Frontend;
  const auto rows = execute(frontend                          ? "SHOW FRONTENDS"
                            : component == Component::Backend ? "SHOW BACKENDS"
                                                              : "SHOW COMPUTE NODES",
                            deadline);
  if (!rows) return rows.error();
  std::vector<DatabaseNode> out;
  for (std::size_t row = 0; row < rows->rows.size(); ++row) {
    DatabaseNode node;
    node.component = component;
    node.name = frontend ? rows->text(row, "Name") : rows->text(row, "IP") + ":" + rows->text(row, "HeartbeatPort");
    node.alive = same_config_value(rows->text(row, "Alive"), "true");
    node.started = rows->text(row, frontend ? "StartTime" : "LastStartTime");
    node.version = rows->text(row, "Version");
    node.warehouse = rows->text(row, "WarehouseName");
    out.push_back(std::move(node));
  }
  return out;
}

Result<std::vector<DatabaseNode>> FrontendFleet::nodes(Deadline deadline) {
  std::vector<DatabaseNode> out;
  for (const auto component : kDatabaseComponents) {
    auto some = nodes_of(component, deadline);
    if (!some) return some.error();
    std::move(some->begin(), some->end(), std::back_inserter(out));
  }
  return out;
}

}  // namespace gate
