#pragma once
// What the gate tells Prometheus. Names begin with upgrade_gate_; counters end in _total, seconds are seconds.

#include <memory>
#include <string>

#include "server/admission/admission_service.hpp"
#include "server/http/http_server.hpp"

namespace gate {

/// Values that are read at the moment of a scrape.
struct MetricsSnapshot {
  ControllerStats controller;
  std::size_t waiting_admissions = 0;
  HttpCounters http;                         ///< Of the webhooks.
  double certificate_not_after_seconds = 0;  ///< Unix time.
  std::uint64_t certificate_load_failures = 0;
  bool ready = false;
};

/// Thread safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  void count(const ReviewOutcome& outcome);
  /// Prometheus text format.
  [[nodiscard]] std::string scrape(const MetricsSnapshot& snapshot);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gate
