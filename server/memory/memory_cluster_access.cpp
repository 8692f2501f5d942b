#include "server/memory/memory_cluster_access.hpp"

#include <nlohmann/json.hpp>
#include <utility>

namespace gate {

MemoryClusterAccess::MemoryClusterAccess(FrontendAccess frontend) : frontend_(std::move(frontend)) {}

Result<FrontendAccess> MemoryClusterAccess::frontend_access(const std::string&, const std::string&, Deadline) {
  return frontend_;
}

Result<nlohmann::json> MemoryClusterAccess::get_object(const std::string& name_space, const ObjectRef& object,
                                                       Deadline) {
  return Error{ErrorCode::NotFound,
               object.kind + " " + name_space + "/" + object.name + ": there is no API server to ask"};
}

Result<std::map<std::string, std::string>> MemoryClusterAccess::config_map(const std::string& name_space,
                                                                           const std::string& name, Deadline) {
  return Error{ErrorCode::NotFound, "ConfigMap " + name_space + "/" + name + ": there is no API server to ask"};
}

Result<std::string> MemoryClusterAccess::secret_value(const std::string& name_space, const std::string& name,
                                                      const std::string&, Deadline) {
  return Error{ErrorCode::Misconfigured, "Secret " + name_space + "/" + name + ": there is no API server to ask"};
}

Result<bool> MemoryClusterAccess::may(const UserInfo&, std::string_view, const std::string&, Deadline) { return false; }

Result<RolloutState> MemoryClusterAccess::rollout_state(const Preparation&, const RolloutGoal&, Deadline) {
  return RolloutState{true, {}, true, true, {}};
}

Result<FrontendLife> MemoryClusterAccess::frontend_life(const std::string&, const std::string&, Deadline) {
  return FrontendLife::Unknown;
}

Status MemoryClusterAccess::mirror_status(const Preparation&, Deadline) { return Ok{}; }

void MemoryClusterAccess::emit_event(const Preparation& record, bool warning, const std::string& reason,
                                     const std::string& message) {
  const auto events = events_.lock();
  if (events->size() == kEventsKept) events->pop_front();
  events->push_back({record.name_space, record.name, warning, reason, message});
}

std::deque<RecordedEvent> MemoryClusterAccess::events() const { return *events_.lock(); }

}  // namespace gate
