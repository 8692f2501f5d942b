#include "server/app/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <deque>
#include <iterator>
#include <sstream>

#include "server/base/guarded.hpp"

namespace gate {
namespace {

/// From the fast path (microseconds) to the longest admission wait.
const prometheus::Histogram::BucketBoundaries kReviewSeconds{0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1,
                                                             0.5,    1,      2.5,   5,     10};

/// What each path may answer, the most frequent first. A decision that is not among them is counted all the same, from
/// its first time on.
const std::vector<std::pair<std::string_view, std::vector<std::string_view>>> kDecisions = {
    {AdmissionService::kGatePath,
     {"allowed-no-image-change", "allowed-not-configured", "allowed-prepared", "denied", "allowed-revert",
      "allowed-dry-run", "allowed-bypass", "allowed-held", "malformed", "error"}},
    {AdmissionService::kStatusPath, {"allowed", "denied", "malformed", "error"}},
    {AdmissionService::kConfigurationPath, {"allowed", "denied", "malformed", "error"}},
    {StatefulSetHandler::kPath,
     {"allowed", "denied", "statefulset-passed", "statefulset-held", "statefulset-steered", "malformed", "error"}},
};
/// Of the webhook port's answers.
constexpr std::array kStatuses = {200, 400, 403, 404, 405, 408, 411, 413, 415, 431, 500, 503};

void set_to(prometheus::Counter& counter, std::uint64_t value) {
  const double more = static_cast<double>(value) - counter.Value();
  if (more > 0) counter.Increment(more);
}

MetricFamilies installation_families(const std::vector<InstallationPart>& parts, std::size_t holds_lost) {
  auto ok = metric_family("upgrade_gate_installation_ok",
                          "1 when this part of the installation was found as it should be, else 0",
                          prometheus::MetricType::Gauge);
  for (const auto& part : parts) {
    // As it is, but not where pods are to be held: a namespace lost its label.
    const bool of_no_use = part.part == kRolloutWebhookPart && holds_lost > 0;
    if (part.good) add_value(ok, *part.good && !of_no_use ? 1 : 0, {{"part", part.part}});
  }
  return {std::move(ok)};
}

/// What a scrape brings up to date, from the counters of those who count.
struct Scraped {
  explicit Scraped(prometheus::Registry& registry_of_all) : registry(registry_of_all) {}

  void bring_up_to_date(const MetricsSnapshot& snapshot);

  prometheus::Registry& registry;

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
  prometheus::Family<prometheus::Counter>& closed = prometheus::BuildCounter()
                                                        .Name("upgrade_gate_preparations_closed_total")
                                                        .Help("Records closed on this replica, by outcome")
                                                        .Register(registry);
  prometheus::Counter& reapplied =
      counter("upgrade_gate_settings_reapplied_total", "Rounds that re-applied settings an FE had lost");
  prometheus::Counter& connects = counter("upgrade_gate_frontend_connects_total", "Logins to an FE that succeeded");
  prometheus::Counter& connect_failures =
      counter("upgrade_gate_frontend_connect_failures_total", "Logins to an FE that failed");
  prometheus::Counter& bypassed =
      counter("upgrade_gate_bypasses_total", "Image changes let through unprepared, recorded by this replica");
  prometheus::Counter& taken_over =
      counter("upgrade_gate_claims_taken_over_total", "Records taken over from a replica that fell silent");
  prometheus::Counter& tls_errors = counter("upgrade_gate_tls_errors_total", "TLS handshakes that failed");
  prometheus::Counter& accepted = counter("upgrade_gate_connections_accepted_total", "Webhook connections accepted");
  prometheus::Counter& refused =
      counter("upgrade_gate_connections_refused_total", "Connections answered 503 or closed at the limit");
  prometheus::Counter& evicted =
      counter("upgrade_gate_connections_evicted_total", "Idle or slow connections closed at the limit for a new one");
  prometheus::Family<prometheus::Counter>& refused_requests =
      prometheus::BuildCounter()
          .Name("upgrade_gate_requests_refused_total")
          .Help("Webhook requests rejected before the handler, by reason")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& answers = prometheus::BuildCounter()
                                                         .Name("upgrade_gate_http_answers_total")
                                                         .Help("Answers on the webhook port by HTTP status")
                                                         .Register(registry);
  prometheus::Counter& spans_exported =
      counter("upgrade_gate_trace_spans_exported_total", "Spans that the collector took");
  prometheus::Family<prometheus::Counter>& spans_dropped = prometheus::BuildCounter()
                                                               .Name("upgrade_gate_trace_spans_dropped_total")
                                                               .Help("Spans that never arrived, by reason")
                                                               .Register(registry);
  prometheus::Gauge& body_bytes =
      gauge("upgrade_gate_large_body_bytes", "Memory that request bodies above 64 KiB take now");
  prometheus::Counter& certificate_failures =
      counter("upgrade_gate_certificate_load_failures_total", "Failed certificate reloads");
  prometheus::Gauge& queued = gauge("upgrade_gate_queued_records", "Records queued or in progress");
  prometheus::Gauge& pending = gauge("upgrade_gate_restores_pending", "Records with settings still to restore");
  prometheus::Gauge& oldest_unrestored =
      gauge("upgrade_gate_oldest_unrestored_seconds", "Age of the oldest captured setting that is not restored");
  prometheus::Gauge& overdue =
      gauge("upgrade_gate_longest_overdue_restore_seconds", "How long the longest due restore has not succeeded");
  prometheus::Gauge& waiting = gauge("upgrade_gate_waiting_admissions", "Admissions held until their preparation ends");
  prometheus::Gauge& waiting_requests =
      gauge("upgrade_gate_waiting_api_requests", "Requests to the API server that wait for a free connection");
  prometheus::Gauge& unreadable =
      gauge("upgrade_gate_unreadable_records", "Records that cannot be read and so are not processed");
  prometheus::Gauge& connections = gauge("upgrade_gate_open_connections", "Open webhook connections");
  prometheus::Gauge& not_after =
      gauge("upgrade_gate_certificate_expiration_timestamp_seconds", "Expiry of the serving certificate, Unix time");
  prometheus::Gauge& ready = gauge("upgrade_gate_ready", "1 when /readyz says so");
};

void Scraped::bring_up_to_date(const MetricsSnapshot& snapshot) {
  set_to(prepared, snapshot.controller.prepared);
  set_to(failed, snapshot.controller.failed);
  for (std::size_t i = 0; i < kClosingOutcomes.size(); ++i) {
    set_to(closed.Add({{"outcome", std::string(to_string(kClosingOutcomes[i]))}}), snapshot.controller.closed[i]);
  }
  set_to(reapplied, snapshot.controller.reasserted);
  set_to(connects, snapshot.frontend_connects.succeeded);
  set_to(connect_failures, snapshot.frontend_connects.failed);
  set_to(bypassed, snapshot.controller.bypassed);
  set_to(taken_over, snapshot.controller.claims_taken_over);
  set_to(tls_errors, snapshot.http.tls_errors);
  set_to(accepted, snapshot.http.connections_accepted);
  set_to(refused, snapshot.http.connections_refused);
  set_to(evicted, snapshot.http.connections_evicted);
  for (const auto& [reason, count] : snapshot.http.refused_by_reason) {
    set_to(refused_requests.Add({{"reason", reason}}), count);
  }
  for (const auto& [status, count] : snapshot.http.answers_by_status) {
    set_to(answers.Add({{"status", std::to_string(status)}}), count);
  }
  set_to(spans_exported, snapshot.spans.exported);
  for (std::size_t i = 0; i < kSpanLossNames.size(); ++i) {
    set_to(spans_dropped.Add({{"reason", std::string(kSpanLossNames.at(i))}}), snapshot.spans.dropped.at(i));
  }
  body_bytes.Set(static_cast<double>(snapshot.http.body_bytes));
  set_to(certificate_failures, snapshot.certificate_load_failures);
  queued.Set(static_cast<double>(snapshot.controller.queued));
  pending.Set(static_cast<double>(snapshot.controller.restores_pending));
  oldest_unrestored.Set(static_cast<double>(snapshot.controller.oldest_unrestored.count()));
  overdue.Set(static_cast<double>(snapshot.controller.longest_overdue.count()));
  waiting.Set(static_cast<double>(snapshot.waiting_admissions));
  waiting_requests.Set(static_cast<double>(snapshot.waiting_api_requests));
  unreadable.Set(static_cast<double>(snapshot.unreadable_records));
  connections.Set(static_cast<double>(snapshot.http.connections_open));
  not_after.Set(snapshot.certificate_not_after_seconds);
  ready.Set(snapshot.ready ? 1 : 0);
}

}  // namespace

class Metrics::Impl {
 public:
  prometheus::Registry registry;

  prometheus::Family<prometheus::Counter>& reviews = prometheus::BuildCounter()
                                                         .Name("upgrade_gate_reviews_total")
                                                         .Help("Answered reviews by webhook path and decision")
                                                         .Register(registry);
  prometheus::Family<prometheus::Histogram>& review_seconds = prometheus::BuildHistogram()
                                                                  .Name("upgrade_gate_review_duration_seconds")
                                                                  .Help("From the request's bytes to the answer's")
                                                                  .Register(registry);

  /// Of one path and decision: a few dozen pairs at most, found without building labels each time.
  struct Series {
    std::string path;
    std::string decision;
    prometheus::Counter& reviews;
    prometheus::Histogram& seconds;
  };
  Guarded<std::deque<Series>> series;  // its members stay where they are

  Series& series_of(const ReviewOutcome& outcome) {
    const auto all = series.lock();
    for (auto& known : *all) {
      if (known.path == outcome.path && known.decision == outcome.decision) return known;
    }
    const std::string path(outcome.path);
    return all->emplace_back(Series{path, outcome.decision,
                                    reviews.Add({{"path", path}, {"decision", outcome.decision}}),
                                    review_seconds.Add({{"path", path}}, kReviewSeconds)});
  }

  Guarded<Scraped> scraped{Scraped(registry)};  // one scrape at a time moves its counters forward
};

Metrics::Metrics(const BuildInfo& build) : impl_(std::make_unique<Impl>()) {
  prometheus::BuildGauge()
      .Name("upgrade_gate_build_info")
      .Help("1, with what this replica was built from")
      .Register(impl_->registry)
      .Add({{"version", build.version}, {"revision", build.revision}})
      .Set(1);
  for (const auto& [path, decisions] : kDecisions) {
    for (const auto decision : decisions) impl_->series_of({path, std::string(decision)});
  }
  for (const int status : kStatuses) impl_->scraped.lock()->answers.Add({{"status", std::to_string(status)}});
}
Metrics::~Metrics() = default;

void Metrics::count(const ReviewOutcome& outcome) {
  auto& series = impl_->series_of(outcome);
  series.reviews.Increment();
  series.seconds.Observe(std::chrono::duration<double>(outcome.took).count());
}

std::string Metrics::scrape(const MetricsSnapshot& snapshot) {
  const auto scraped = impl_->scraped.lock();
  scraped->bring_up_to_date(snapshot);
  auto families = impl_->registry.Collect();
  for (auto made : {preparation_families(snapshot.preparations, snapshot.now), process_families(snapshot.process),
                    installation_families(snapshot.installation, snapshot.holds_lost)}) {
    std::move(made.begin(), made.end(), std::back_inserter(families));
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace gate
