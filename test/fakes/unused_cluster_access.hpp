#pragma once
// For stand-ins that answer a question or two: whatever else is asked is an error, which a test sees.

#include "server/ports/cluster_access.hpp"

namespace gate::test {

class UnusedClusterAccess : public ClusterAccess {
 public:
  Result<nlohmann::json> get_object(const std::string&, const ObjectRef&, Deadline) override { return unused(); }
  Result<FrontendAccess> frontend_access(const std::string&, const std::string&, Deadline) override { return unused(); }
  Result<std::map<std::string, std::string>> config_map(const std::string&, const std::string&, Deadline) override {
    return unused();
  }
  Result<std::string> secret_value(const std::string&, const std::string&, const std::string&, Deadline) override {
    return unused();
  }
  Result<bool> may(const UserInfo&, std::string_view, const std::string&, Deadline) override { return unused(); }
  Result<RolloutState> rollout_state(const Preparation&, const RolloutGoal&, Deadline) override { return unused(); }
  Result<FrontendLife> frontend_life(const std::string&, const std::string&, Deadline) override { return unused(); }
  Status mirror_status(const Preparation&, Deadline) override { return Ok{}; }
  void emit_event(const Preparation&, bool, const std::string&, const std::string&) override {}

 private:
  static Error unused() { return {ErrorCode::Internal, "not asked for here"}; }
};

}  // namespace gate::test
