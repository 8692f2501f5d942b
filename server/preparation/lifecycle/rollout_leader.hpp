#pragma once
// Takes one claimed record's led rollout a step on: looks at the StatefulSets and the database, stores what follows,
// and tells it. The decision is policy/rollout/turns.hpp; the webhook on StatefulSets answers by the
// record.

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "policy/rollout/turns.hpp"
#include "server/base/log.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/preparation/records/claimed_record.hpp"

namespace gate {

/// Between two looks at a rollout that is under way: as often as a kubelet looks at its pods' readiness by default, so
/// that three good readings in a row cover what an FE takes to notice that a heartbeat failed.
inline constexpr std::chrono::milliseconds kLeadInterval{5000};

struct LeadLook {
  bool led = false;         ///< The record leads, and the object has its images or those that it came from.
  bool finished = false;    ///< Every turn is over.
  std::string waiting_for;  ///< "be: step 2 of 3"; the record's turns tell more.
};

/// Thread safe, as long as each record is with one thread at a time.
class RolloutLeader {
 public:
  /// All outlive this.
  RolloutLeader(ClusterAccess& clusters, FrontendConnector& connector, const Clock& clock, Logger& log)
      : clusters_(clusters), connector_(connector), clock_(clock), log_(log) {}

  /// One look at a record that is being followed. `object` is the live object, `others` are those of
  /// rolls_before(). Blocks until `deadline` at the latest. Error: it could not look, or could not store what it saw;
  /// nothing is lost. `unset`: why the settings are not known to be in force, "" where they are; no step ends without,
  /// but those of the way back.
  [[nodiscard]] Result<LeadLook> look(ClaimedRecord& claim, const nlohmann::json& object,
                                      const std::vector<Preparation>& others, Deadline deadline,
                                      const std::string& unset = {});

 private:
  [[nodiscard]] Status let_go(ClaimedRecord& claim, const Preparation& record, Deadline deadline);
  [[nodiscard]] Result<RolloutObservation> observe_rollout(const Preparation& record, const nlohmann::json& object,
                                                           bool back, FrontendConnector& connector, Deadline deadline);
  /// "" once every FE was asked for an image; else why not.
  [[nodiscard]] std::string push_image(const Preparation& record, FrontendConnector& connector, Deadline deadline);

  ClusterAccess& clusters_;
  FrontendConnector& connector_;
  const Clock& clock_;
  Logger& log_;
};

}  // namespace gate
