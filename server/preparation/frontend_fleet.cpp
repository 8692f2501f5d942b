#include "server/preparation/frontend_fleet.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "policy/sql.hpp"

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

bool same_config_value(std::string_view left, std::string_view right) { return normalized(left) == normalized(right); }

Result<QueryResult> FrontendFleet::execute(std::string_view sql, Deadline deadline) {
  if (!session_) {
    auto connected = connector_.connect(access_, deadline);
    if (!connected) return at(access_.address, connected.error());
    session_ = std::move(connected).value();
  }
  auto result = session_->execute(sql, deadline);
  if (!result) {
    if (result.error().code != ErrorCode::Rejected) session_.reset();
    return at(access_.address, result.error());
  }
  return result;
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
    const std::string role = rows->text(row, "Role");
    node.leader = role == "LEADER" || role == "MASTER";  // MASTER until 2.4
    nodes.push_back(std::move(node));
  }
  if (nodes.empty()) return Error{ErrorCode::Unavailable, "SHOW FRONTENDS names no alive FE"};
  return nodes;
}

Result<QueryResult> FrontendFleet::execute_at(const Node& node, std::string_view sql, Deadline deadline) {
  auto access = access_;
  access.address = node.address;
  auto session = connector_.connect(access, deadline);
  if (!session) return at(node.address, session.error());
  auto result = (*session)->execute(sql, deadline);
  if (!result) return at(node.address, result.error());
  return result;
}

Result<SettingReading> FrontendFleet::read(std::string_view key, Deadline deadline) {
  const auto nodes = alive_frontends(deadline);
  if (!nodes) return nodes.error();
  const std::string sql = show_config_sql(key);
  SettingReading reading;
  for (const auto& node : *nodes) {
    // With one FE the connection at hand is the FE; with several the Service may have led anywhere.
    const auto rows = nodes->size() == 1 ? execute(sql, deadline) : execute_at(node, sql, deadline);
    if (!rows) return rows.error();
    if (rows->rows.empty()) {
      return Error{ErrorCode::Rejected,
                   "FE " + to_text(node.address) + " has no configuration item \"" + std::string(key) + "\""};
    }
    reading.canonical_key = rows->text(0, "Key");
    reading.frontends.push_back({to_text(node.address), node.leader, rows->text(0, "Value")});
  }
  return reading;
}

Result<std::vector<DatabaseNode>> FrontendFleet::nodes(Deadline deadline) {
  std::vector<DatabaseNode> out;
  for (const auto& [sql, component] :
       {std::pair{"SHOW FRONTENDS", Component::Frontend}, std::pair{"SHOW BACKENDS", Component::Backend},
        std::pair{"SHOW COMPUTE NODES", Component::ComputeNode}}) {
    const auto rows = execute(sql, deadline);
    if (!rows) return rows.error();
    for (std::size_t row = 0; row < rows->rows.size(); ++row) {
      DatabaseNode node;
      node.component = component;
      const bool frontend = component == Component::Frontend;
      node.name = frontend ? rows->text(row, "Name") : rows->text(row, "IP") + ":" + rows->text(row, "HeartbeatPort");
      node.alive = same_config_value(rows->text(row, "Alive"), "true");
      node.started = rows->text(row, frontend ? "StartTime" : "LastStartTime");
      node.version = rows->text(row, "Version");
      node.warehouse = rows->text(row, "WarehouseName");
      out.push_back(std::move(node));
    }
  }
  return out;
}

}  // namespace gate
