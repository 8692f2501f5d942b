#pragma once
// What admissions work with, and how.

#include <chrono>
#include <string>
#include <vector>

#include "policy/hooks/hook_definition.hpp"
#include "policy/record/preparation.hpp"
#include "policy/versions/upgrade_path.hpp"
#include "server/admission/outcome_waiters.hpp"
#include "server/base/log.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/ports/span_sink.hpp"
#include "server/preparation/lifecycle/controller.hpp"

namespace gate {

/// All of them outlive what they are given to.
struct AdmissionPeers {
  PreparationStore& store;
  ClusterAccess& clusters;
  PreparationController& controller;
  OutcomeWaiters& waiters;
  const Clock& clock;
  Logger& log;
  SpanSink* spans = nullptr;  ///< Null: nothing is traced.
};

struct AdmissionServiceOptions {
  /// How long a request may be held for its preparation to finish; less where the review's own deadline is nearer.
  std::chrono::milliseconds admission_wait{5000};
  std::vector<std::string> default_hooks{};
  FailureBackoff failure_backoff{};
  HookRules rules{};
  VersionPolicy version_policy = VersionPolicy::Warn;
  /// What a review says of an object is compared with the stored object before any effect. False where there is no API
  /// server that stores one.
  bool compare_with_stored = true;
  LedRollout rollout_defaults{};  ///< As in HookSources.
};

}  // namespace gate
