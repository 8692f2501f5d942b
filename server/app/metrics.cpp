#include "server/app/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <sstream>

namespace gate {
namespace {

/// From the fast path (microseconds) to the longest admission wait.
const prometheus::Histogram::BucketBoundaries kReviewSeconds{0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1,
                                                             0.5,    1,      2.5,   5,     10};

void set_to(prometheus::Counter& counter, std::uint64_t value) {
  const double more = static_cast<double>(value) - counter.Value();
  if (more > 0) counter.Increment(more);
}

}  // namespace

class Metrics::Impl {
 public:
  prometheus::Registry registry;
  std::mutex scrape_mutex;  // one reader at a time moves the counters below forward

  prometheus::Family<prometheus::Counter>& reviews = prometheus::BuildCounter()
                                                         .Name("upgrade_gate_reviews_total")
                                                         .Help("Answered reviews by webhook path and decision")
                                                         .Register(registry);
  prometheus::Family<prometheus::Histogram>& review_seconds = prometheus::BuildHistogram()
                                                                  .Name("upgrade_gate_review_duration_seconds")
                                                                  .Help("From the request's bytes to the answer's")
                                                                  .Register(registry);

  prometheus::Counter& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
  }
  prometheus::Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
  }

  prometheus::Counter& prepared =
      counter("upgrade_gate_preparations_completed_total", "Preparations that completed on this replica");
  prometheus::Counter& failed =
      counter("upgrade_gate_preparations_failed_total", "Preparations that failed on this replica");
  prometheus::Counter& closed =
      counter("upgrade_gate_preparations_closed_total", "Records closed on this replica, everything put back");
  prometheus::Counter& reasserted =
      counter("upgrade_gate_settings_reasserted_total", "Rounds that had to set again what an FE had lost");
  prometheus::Counter& bypassed =
      counter("upgrade_gate_bypasses_total", "Image changes let through unprepared, recorded by this replica");
  prometheus::Counter& taken_over =
      counter("upgrade_gate_claims_taken_over_total", "Records taken over from a replica that fell silent");
  prometheus::Counter& tls_errors = counter("upgrade_gate_tls_errors_total", "TLS handshakes that failed");
  prometheus::Counter& refused = counter("upgrade_gate_connections_refused_total", "Connections refused at the limit");
  prometheus::Counter& certificate_failures = counter("upgrade_gate_certificate_load_failures_total",
                                                      "Looks at the certificate files that found something unusable");
  prometheus::Gauge& queued = gauge("upgrade_gate_queued_records", "Records waiting for or in work");
  prometheus::Gauge& owed = gauge("upgrade_gate_restores_owed", "Records whose captured settings are not back yet");
  prometheus::Gauge& oldest_debt =
      gauge("upgrade_gate_oldest_debt_seconds", "Age of the oldest captured setting that is not back");
  prometheus::Gauge& overdue = gauge("upgrade_gate_longest_overdue_restore_seconds",
                                     "How long putting back has been due without success, at most");
  prometheus::Gauge& waiting = gauge("upgrade_gate_waiting_admissions", "Admissions held until their preparation ends");
  prometheus::Gauge& connections = gauge("upgrade_gate_open_connections", "Open webhook connections");
  prometheus::Gauge& not_after =
      gauge("upgrade_gate_certificate_not_after_seconds", "Expiry of the serving certificate, Unix time");
  prometheus::Gauge& ready = gauge("upgrade_gate_ready", "1 when /readyz says so");
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::count(const ReviewOutcome& outcome) {
  const std::string path(outcome.path);
  impl_->reviews.Add({{"path", path}, {"decision", outcome.decision}}).Increment();
  impl_->review_seconds.Add({{"path", path}}, kReviewSeconds)
      .Observe(std::chrono::duration<double>(outcome.took).count());
}

std::string Metrics::scrape(const MetricsSnapshot& snapshot) {
  const std::lock_guard lock(impl_->scrape_mutex);
  set_to(impl_->prepared, snapshot.controller.prepared);
  set_to(impl_->failed, snapshot.controller.failed);
  set_to(impl_->closed, snapshot.controller.restored);
  set_to(impl_->reasserted, snapshot.controller.reasserted);
  set_to(impl_->bypassed, snapshot.controller.bypassed);
  set_to(impl_->taken_over, snapshot.controller.claims_taken_over);
  set_to(impl_->tls_errors, snapshot.tls_errors);
  set_to(impl_->refused, snapshot.refused_connections);
  set_to(impl_->certificate_failures, snapshot.certificate_load_failures);
  impl_->queued.Set(static_cast<double>(snapshot.controller.queued));
  impl_->owed.Set(static_cast<double>(snapshot.controller.restores_owed));
  impl_->oldest_debt.Set(static_cast<double>(snapshot.controller.oldest_debt.count()));
  impl_->overdue.Set(static_cast<double>(snapshot.controller.longest_overdue.count()));
  impl_->waiting.Set(static_cast<double>(snapshot.waiting_admissions));
  impl_->connections.Set(static_cast<double>(snapshot.open_connections));
  impl_->not_after.Set(snapshot.certificate_not_after_seconds);
  impl_->ready.Set(snapshot.ready ? 1 : 0);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, impl_->registry.Collect());
  return out.str();
}

}  // namespace gate
