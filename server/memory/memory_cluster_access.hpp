#pragma once
// ClusterAccess from flags: one FE for every cluster, no Kubernetes behind it.

#include <cstddef>
#include <deque>
#include <string>

#include "server/base/guarded.hpp"
#include "server/ports/cluster_access.hpp"

namespace gate {

/// An event as it would have become a Kubernetes Event.
struct RecordedEvent {
  std::string name_space;
  std::string preparation;
  bool warning = false;
  std::string reason;
  std::string message;
};

class MemoryClusterAccess final : public ClusterAccess {
 public:
  /// The newest events are kept, to be looked at; older ones go.
  static constexpr std::size_t kEventsKept = 256;

  /// `frontend` is given out for every cluster.
  explicit MemoryClusterAccess(FrontendAccess frontend);

  Result<FrontendAccess> frontend_access(const std::string& name_space, const std::string& cluster,
                                         Deadline deadline) override;
  /// Always NotFound: there is no API server to ask.
  Result<nlohmann::json> get_object(const std::string& name_space, const ObjectRef& object, Deadline deadline) override;
  /// Always NotFound, like every object.
  Result<std::map<std::string, std::string>> config_map(const std::string& name_space, const std::string& name,
                                                        Deadline deadline) override;
  Result<std::string> secret_value(const std::string& name_space, const std::string& name, const std::string& key,
                                   Deadline deadline) override;
  /// Always false: nobody is there to give rights.
  Result<bool> may(const UserInfo& user, std::string_view verb, const std::string& name_space,
                   Deadline deadline) override;
  /// Always finished: nothing here rolls out.
  Result<RolloutState> rollout_state(const Preparation& record, const RolloutGoal& goal, Deadline deadline) override;
  /// Always Unknown.
  Result<FrontendLife> frontend_life(const std::string& name_space, const std::string& cluster,
                                     Deadline deadline) override;
  Status mirror_status(const Preparation& record, Deadline deadline) override;
  void emit_event(const Preparation& record, bool warning, const std::string& reason,
                  const std::string& message) override;

  /// Oldest first.
  [[nodiscard]] std::deque<RecordedEvent> events() const;

 private:
  const FrontendAccess frontend_;
  Guarded<std::deque<RecordedEvent>> events_;
};

}  // namespace gate
