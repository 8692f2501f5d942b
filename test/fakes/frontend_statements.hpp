#pragma once
// What the simulated FEs know and how they answer a statement; no sockets here.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "test/fakes/frontend_simulator.hpp"

namespace gate::fake_frontend {

/// "3.5.7", "4.0.2-rc01"; missing parts are 0.
struct Version {
  int major_part = 0;
  int minor_part = 0;
  [[nodiscard]] bool at_least(int major_wanted, int minor_wanted) const {
    return major_part != major_wanted ? major_part > major_wanted : minor_part >= minor_wanted;
  }
};
[[nodiscard]] Version parse_version(std::string_view text);

/// Cuts a COM_QUERY at ';' outside of quotes and comments; empty statements are dropped.
[[nodiscard]] std::vector<std::string> split_statements(std::string_view sql);

struct Acknowledgement {};
/// Nobody can answer: the statement belongs to the leader and there is none. FEs hang then.
struct NeedsLeader {};
using Answer = std::variant<Acknowledgement, SimulatedResult, SqlError, NeedsLeader>;

struct ConnectionState {
  std::uint32_t id = 0;
  bool forward_to_leader = false;
};

struct FrontendState {
  std::string name;
  std::uint16_t port = 0;
  bool alive = true;  ///< Listening; what the leader's heartbeat would say.
  bool broadcast_broken = false;
  int starts = 0;
  std::string version;
  std::map<std::string, std::string> config;  ///< By canonical name.
};

/// Not thread safe: the simulator's lock guards it.
class Cluster {
 public:
  explicit Cluster(const FrontendSimulatorOptions& options);

  [[nodiscard]] Answer execute(std::size_t frontend, ConnectionState& connection, const std::string& sql);

  void reset_config(std::size_t frontend);  ///< As a restart does.
  [[nodiscard]] std::optional<std::string> config(std::size_t frontend, const std::string& key) const;
  void set_config(std::size_t frontend, const std::string& key, const std::string& value);

  std::vector<FrontendState> frontends;
  std::optional<std::size_t> leader = 0;
  std::vector<SimulatedNode> backends;
  std::vector<SimulatedNode> compute_nodes;
  std::vector<SimulatedBalance> balance = {{}};
  SimulatedStatistic statistic;
  std::optional<std::uint32_t> kill_requested;  ///< Connection id that a KILL named; the simulator cuts it.

 private:
  [[nodiscard]] Answer set_frontend_config(std::size_t frontend, const std::string& key, const std::string& value);
  [[nodiscard]] SimulatedResult show_frontend_config(std::size_t frontend,
                                                     const std::optional<std::string>& like) const;
  [[nodiscard]] SimulatedResult show_frontends(std::size_t asked) const;
  [[nodiscard]] SimulatedResult show_backends() const;
  [[nodiscard]] SimulatedResult show_compute_nodes() const;
  [[nodiscard]] Answer show_proc(std::size_t frontend, const ConnectionState& connection, const std::string& path);
  [[nodiscard]] SimulatedResult cluster_balance();

  Version version_;
  std::string version_text_;
  bool operate_privilege_;
  std::map<std::string, std::string> fe_conf_;
  std::map<std::string, std::string> global_variables_;
};

}  // namespace gate::fake_frontend
