#pragma once
// Plays the Job controller, which no test has.

#include <nlohmann/json.hpp>
#include <string>

namespace gate::test {

/// The status that it writes about a Job when its pod is done. `criteria`: the conditions that Kubernetes wants before
/// the last one since 1.31, and refuses before.
inline nlohmann::json ended_job_status(bool good, bool criteria = true) {
  using nlohmann::json;
  const std::string now = "2026-01-01T00:00:00Z";
  const auto condition = [&](const char* type) {
    return json{{"type", type},
                {"status", "True"},
                {"reason", good ? "CompletionsReached" : "BackoffLimitExceeded"},
                {"message", good ? "" : "Job has reached the specified backoff limit"},
                {"lastProbeTime", now},
                {"lastTransitionTime", now}};
  };
  json status{{"startTime", now}};
  status["conditions"] = json::array({condition(good ? "Complete" : "Failed")});
  if (criteria) status["conditions"].push_back(condition(good ? "SuccessCriteriaMet" : "FailureTarget"));
  status[good ? "succeeded" : "failed"] = 1;
  if (good) status["completionTime"] = now;
  return status;
}

}  // namespace gate::test
