// A collector of traces that is away, or takes connections and never answers, is nobody's trouble but its own: records
// are taken over, restored and let go as without it, and the end comes.

#include <doctest/doctest.h>

#include "server/outbound/otlp_exporter.hpp"
#include "test/chaos/mortal_gate.hpp"
#include "test/fakes/dead_port.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

/// Patient beyond any test: whoever waited for it would wait for ever.
OtlpExporterOptions patient_exporter(const std::string& url) {
  OtlpExporterOptions options;
  options.trace.endpoint = parse_http_url(url + "/v1/traces").value();
  options.trace.schedule_delay = 1ms;
  options.trace.timeout = 1h;
  options.trace.export_timeout = 2h;
  options.trace.queue_max = 8;
  options.trace.batch_max = 2;
  options.retry_first = options.retry_max = 1h;
  return options;
}

std::uint64_t lost(const SpanCounts& counts) {
  std::uint64_t all = 0;
  for (const auto dropped : counts.dropped) all += dropped;
  return all;
}

/// Prepared, reverted, restored, closed and let go by whoever is there.
bool goes_its_way(ChaosWorld& chaos, const std::string& name, const std::function<void()>& meanwhile) {
  chaos.world.create(backend_record(name, {patient(no_scheduling())}));
  if (!chaos.until([&] { return chaos.world.get(name).status.stage == Stage::Prepared; })) return false;
  chaos.object_becomes(object_of("be:9"));  // somebody else's image
  const bool over = chaos.until([&] {
    meanwhile();
    return !is_open(chaos.world.get(name)) && !chaos.world.get(name).held && chaos.activity.quiet();
  });
  meanwhile();  // What ended the last gate may have come after the look that saw it at rest.
  chaos.object_becomes(object_of("be:1"));
  return over;
}

}  // namespace

TEST_CASE("a collector that does not answer keeps no finalizer, no restore and nobody's end") {
  for (const bool takes_connections : {false, true}) {
    for (const std::string killed_at :
         {"never", "after write r Closed #1", "before let_go r #1", "after let_go r #1"}) {
      CAPTURE(takes_connections);
      CAPTURE(killed_at);
      const DeadPort collector(takes_connections);
      ChaosWorld chaos;
      OtlpExporter exporter(patient_exporter(collector.url()), chaos.world.log);
      std::atomic<std::uint64_t> taken{0};
      auto options = chaos_options("gate-0");
      options.on_closed = [&](const Preparation& record) {
        auto spans = preparation_spans(record);
        taken += spans.size();
        exporter.take(std::move(spans));
      };
      auto gate = std::make_unique<MortalGate>(chaos, options, Kill{.at = killed_at});
      bool killed = false;
      const auto take_over = [&] {
        if (!gate->line.is_cut()) return;
        killed = true;
        gate.reset();
        options.identity = "gate-1";
        gate = std::make_unique<MortalGate>(chaos, options);
      };
      CHECK(goes_its_way(chaos, "r", take_over));
      CHECK(killed == (killed_at != "never"));
      for (const std::string name : {"s", "t", "u", "v"}) CHECK(goes_its_way(chaos, name, take_over));
      for (const std::size_t fe : {0, 1}) CHECK(chaos.world.config(fe) == kSchedulingDefault);
      CHECK(chaos.broken_rules() == "");
      gate.reset();
      exporter.stop(std::chrono::steady_clock::now());
      // More than the queue holds, and each of them is accounted for.
      CHECK(taken > 10);
      CHECK(exporter.counts().exported == 0);
      CHECK(lost(exporter.counts()) == taken);
    }
  }
}

}  // namespace gate
