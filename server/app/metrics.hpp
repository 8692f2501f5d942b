#pragma once
// What the gate tells Prometheus. Names begin with upgrade_gate_; counters end in _total, seconds are seconds.

#include <memory>
#include <string>
#include <vector>

#include "server/admission/admission_service.hpp"
#include "server/app/counting_connector.hpp"
#include "server/app/preparation_metrics.hpp"
#include "server/app/process_metrics.hpp"
#include "server/http/http_server.hpp"
#include "server/kubernetes/installation_watch.hpp"
#include "server/outbound/otlp_exporter.hpp"

namespace gate {

/// Values that are read at the moment of a scrape.
struct MetricsSnapshot {
  ControllerStats controller;
  std::size_t waiting_admissions = 0;
  std::size_t waiting_api_requests = 0;
  std::size_t unreadable_records = 0;
  HttpCounters http;                         ///< Of the webhooks.
  double certificate_not_after_seconds = 0;  ///< Unix time.
  std::uint64_t certificate_load_failures = 0;
  bool ready = false;
  std::vector<OpenPreparation> preparations;  ///< All that are open; Metrics keeps the series within their bound.
  WallTime now{};                             ///< The ages of the preparations count to it.
  ConnectCounts frontend_connects;
  ProcessFacts process;
  SpanCounts spans;
  std::vector<InstallationPart> installation;  ///< Those that could be looked at get a series.
  std::size_t holds_lost = 0;                  ///< Makes the webhook of led rollouts one that does not do its work.
};

/// What this process was built from.
struct BuildInfo {
  std::string version;
  std::string revision;
};

/// Thread safe. Every series that a rate() may be asked of is there from the first scrape on: the first refusal after a
/// start is an increase, not a beginning.
class Metrics {
 public:
  explicit Metrics(const BuildInfo& build = {});
  ~Metrics();
  void count(const ReviewOutcome& outcome);
  /// Prometheus text format.
  [[nodiscard]] std::string scrape(const MetricsSnapshot& snapshot);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gate
