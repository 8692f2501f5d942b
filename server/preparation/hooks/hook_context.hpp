#pragma once
// What an action of a hook has to work with: its record, its peers behind the fence, one session to the FE.

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "policy/hooks/sql.hpp"
#include "policy/record/preparation.hpp"
#include "policy/text/text.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/http_caller.hpp"
#include "server/ports/script_jobs.hpp"
#include "server/preparation/frontends/frontend_fleet.hpp"
#include "server/preparation/hooks/fenced_peers.hpp"
#include "server/preparation/records/claimed_record.hpp"

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
  /// The first three outlive this. `further`: kinds of statements that the gate's owner allows beyond the usual ones.
  HookContext(ClaimedRecord& claim, const HookPeers& peers, const Clock& time, std::vector<SqlKind> further = {});

  ClaimedRecord& record;
  ClusterAccess& clusters;  ///< Only read: what has an effect goes through the fenced peers.
  FencedHttpCaller http;
  FencedScriptJobs scripts;
  const Clock& clock;
  const std::vector<SqlKind> further_sql;

  /// Canonical keys of settings that this process has captured ahead and not set yet: see Settings.
  std::set<std::string> unset;

  /// The hook whose check held at the look before, where two in a row are wanted. Forgotten with a process that dies.
  std::optional<std::string> held_before;

  /// The record's StarRocksCluster, for who has just read it: fleet() does not read it again, unless the first
  /// statement comes later than a read by fleet() itself may be answered.
  void knows_cluster(nlohmann::json object) {
    cluster_ = std::move(object);
    cluster_counts_until_ = store_deadline();
  }
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
  /// The value of a Secret that was read for a hook: no text tells it from now on.
  void keep_secret(const std::string& value);
  /// Without the FE's password and what keep_secret() was told: for each foreign text, before it is cut.
  [[nodiscard]] std::string hide(std::string text) const { return without_secrets(std::move(text), secrets_); }
  [[nodiscard]] Error hide(Error error) const;

 private:
  FencedConnector connector_;
  const PreparationMode mode_;
  nlohmann::json cluster_;  ///< Null: not at hand.
  Deadline cluster_counts_until_{};
  std::optional<FrontendFleet> fleet_;
  std::string run_mode_;
  std::vector<std::string> secrets_;
};

}  // namespace gate
