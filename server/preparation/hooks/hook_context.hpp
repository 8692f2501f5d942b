#pragma once
// What an action of a hook has to work with: its record, its peers behind the fence, one session to the FE.

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "policy/record/preparation.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/http_caller.hpp"
#include "server/ports/script_jobs.hpp"
#include "server/preparation/frontends/frontend_fleet.hpp"
#include "server/preparation/hooks/fenced_peers.hpp"
#include "server/preparation/lifecycle/claimed_record.hpp"

namespace gate {

/// Whom hooks talk to. They outlive every runner.
struct HookPeers {
  ClusterAccess& clusters;
  FrontendConnector& connector;
  HttpCaller& http;
  ScriptJobs& scripts;
};

/// A step that timed out or met a broken connection says nothing about its hook: it is repeated.
[[nodiscard]] inline bool is_transient(const Error& error) {
  return error.code == ErrorCode::Unavailable || error.code == ErrorCode::DeadlineExceeded;
}

/// Not thread safe: one per thread; any number may share a record.
class HookContext {
 public:
  /// All outlive this.
  HookContext(ClaimedRecord& claim, const HookPeers& peers, const Clock& time);

  ClaimedRecord& record;
  ClusterAccess& clusters;  ///< Only read: what has an effect goes through the fenced peers.
  FencedHttpCaller http;
  FencedScriptJobs scripts;
  const Clock& clock;

  /// The hook whose check held at the look before, where two in a row are wanted. Forgotten with a process that dies.
  std::optional<std::string> held_before;

  /// Of the record's cluster; connected at the first use.
  [[nodiscard]] Result<FrontendFleet*> fleet(Deadline deadline);
  /// "shared_nothing" or "shared_data"; asked once.
  [[nodiscard]] Result<std::string> run_mode(Deadline deadline);
  /// Writes `undo` to the record unless it is there.
  [[nodiscard]] Status record_undo(const PendingUndo& undo);
  [[nodiscard]] bool verifies_only() const { return mode_ == PreparationMode::Verify; }
  /// `deadline`, or `look` from now where that is earlier.
  [[nodiscard]] Deadline within(std::chrono::seconds look, Deadline deadline) const {
    return std::min(deadline, clock.steady_now() + look);
  }
  [[nodiscard]] Deadline store_deadline() const;

 private:
  FencedConnector connector_;
  const PreparationMode mode_;
  std::optional<FrontendFleet> fleet_;
  std::string run_mode_;
};

}  // namespace gate
