// Goal: a whole gate that is told of a collector by OTEL_* sends it what happened, and one that is not sends nothing.

#include "server/app/tracing.hpp"

#include <doctest/doctest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "server/app/app.hpp"
#include "server/httplib.hpp"
#include "test/fakes/dead_port.hpp"
#include "test/fakes/frontend_simulator.hpp"
#include "test/fakes/trace_collector.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;
namespace fs = std::filesystem;

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kCaller = "b7ad6b7169203331";

bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

json cluster(const std::string& image) {
  return {{"apiVersion", "starrocks.com/v1"},
          {"kind", "StarRocksCluster"},
          {"metadata",
           {{"name", "sr"},
            {"namespace", "db"},
            {"uid", "11111111-2222-3333-4444-555555555555"},
            {"annotations", {{"starrocks.com/upgrade-hooks", "disable-tablet-clone"}}}}},
          {"spec", {{"starRocksFeSpec", {{"image", image}}}}}};
}

std::string review(const std::string& uid, const std::string& image) {
  return json{{"apiVersion", "admission.k8s.io/v1"},
              {"kind", "AdmissionReview"},
              {"request",
               {{"uid", uid},
                {"kind", {{"group", "starrocks.com"}, {"version", "v1"}, {"kind", "StarRocksCluster"}}},
                {"resource", {{"group", "starrocks.com"}, {"version", "v1"}, {"resource", "starrocksclusters"}}},
                {"name", "sr"},
                {"namespace", "db"},
                {"operation", "UPDATE"},
                {"userInfo", {{"username", "alice"}}},
                {"object", cluster(image)},
                {"oldObject", cluster("starrocks/fe-ubuntu:3.3.5")},
                {"dryRun", false}}}}
      .dump();
}

/// A whole gate with its records in memory.
struct WholeGate {
  explicit WholeGate(std::uint16_t frontend) {
    const auto directory = fs::temp_directory_path() / ("tracing_test." + std::to_string(::getpid()));
    ServeOptions options;
    options.listen = {"127.0.0.1", 0};
    options.ops_listen = {"127.0.0.1", 0};
    options.dev_certificate_directory = directory.string();
    options.store = StoreKind::Memory;
    options.callers = CallerPolicy::Any;
    options.identity = "tracing-test";
    options.frontend_address = FrontendAddress{"127.0.0.1", frontend};
    options.admission_wait = 20s;
    options.admit_within = 1s;  // nobody rolls anything here: the record is undone and closed
    options.reassert_interval = 1s;
    options.stop_timeout = 20s;
    auto started = App::start(options, log);
    fs::remove_all(directory);
    if (started) {
      app = std::move(started).value();
    } else {
      error = started.error().message;
    }
  }
  int post(const std::string& body, const httplib::Headers& headers = {}) const {
    httplib::SSLClient client("127.0.0.1", app->port());
    client.enable_server_certificate_verification(false);
    client.set_read_timeout(60, 0);
    const auto answer = client.Post("/validate?timeout=30s", headers, body, "application/json");
    return answer ? answer->status : -1;
  }
  [[nodiscard]] std::string metric(const std::string& series) const {
    httplib::Client client("127.0.0.1", app->ops_port());
    const auto answer = client.Get("/metrics");
    if (!answer) return "no answer";
    const auto at = answer->body.find("\n" + series + " ");
    if (at == std::string::npos) return "no series";
    const auto begin = at + series.size() + 2;
    return answer->body.substr(begin, answer->body.find('\n', begin) - begin);
  }

  spdlog::logger log{"quiet", std::make_shared<spdlog::sinks::null_sink_mt>()};
  std::unique_ptr<App> app;
  std::string error;
};

}  // namespace

TEST_CASE("the review and the preparation of an upgrade reach the collector, each once") {
  FrontendSimulator simulator;
  const StrictCollector collector;
  const Environment environment({{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()},
                                 {"OTEL_BSP_SCHEDULE_DELAY", "1"},
                                 {"OTEL_SERVICE_NAME", "gate-of-a-test"}});
  WholeGate gate(simulator.frontend(0).port());
  REQUIRE_MESSAGE(gate.app, gate.error);
  CHECK(gate.post(review("u-0", "starrocks/fe-ubuntu:3.3.5"),
                  {{"traceparent", "00-" + kTrace + "-" + kCaller + "-01"}}) == 200);  // no image changes: not traced
  CHECK(gate.post(review("u-1", "starrocks/fe-ubuntu:3.3.6"),
                  {{"traceparent", "00-" + kTrace + "-" + kCaller + "-01"}}) == 200);
  REQUIRE(collector.gets("review"));
  REQUIRE(collector.gets("preparation"));
  gate.app->begin_drain();
  gate.app->stop();

  for (const auto& fault : collector.faults()) FAIL_CHECK(fault);
  REQUIRE(collector.named("review").size() == 1);
  const auto asked = collector.named("review").front();
  CHECK(asked.at("traceId") == kTrace);
  CHECK(asked.at("parentSpanId") == kCaller);
  REQUIRE(collector.named("preparation").size() == 1);
  const auto root = collector.named("preparation").front();
  CHECK_FALSE(root.contains("parentSpanId"));
  CHECK(root.at("traceId") != kTrace);
  CHECK(root.at("links").at(0).at("traceId") == kTrace);
  CHECK(root.at("links").at(0).at("spanId") == asked.at("spanId"));
  REQUIRE(collector.named("hook disable-tablet-clone").size() == 1);
  CHECK(collector.named("hook disable-tablet-clone").front().at("parentSpanId") == root.at("spanId"));
  REQUIRE(collector.named("restore").size() == 1);
  CHECK(collector.named("restore").front().at("parentSpanId") == root.at("spanId"));
  CHECK_FALSE(collector.named("restore").front().contains("status"));
  CHECK(collector.of_trace(root.at("traceId")).size() == 3);
  CHECK(attribute_of(root, "upgrade_gate.preparation.name") == attribute_of(asked, "upgrade_gate.preparation.name"));
  CHECK(collector.resource().find("gate-of-a-test") != std::string::npos);
  CHECK(collector.resource().find("tracing-test") != std::string::npos);
}

TEST_CASE("no user, statement, setting or value is in what the collector gets") {
  FrontendSimulator simulator;
  const StrictCollector collector;
  const Environment environment({{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()},
                                 {"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20swordfish"},
                                 {"OTEL_BSP_SCHEDULE_DELAY", "1"}});
  WholeGate gate(simulator.frontend(0).port());
  REQUIRE_MESSAGE(gate.app, gate.error);
  CHECK(gate.post(review("u-1", "starrocks/fe-ubuntu:3.3.6")) == 200);
  REQUIRE(collector.gets("preparation"));
  gate.app->stop();
  for (const std::string word : {"alice", "swordfish", "ADMIN", "tablet_sched"}) {
    CAPTURE(word);
    CHECK(collector.bodies().find(word) == std::string::npos);
  }
}

TEST_CASE("spans that nobody takes are counted, and hold up neither reviews nor the end") {
  for (const bool takes_connections : {false, true}) {
    CAPTURE(takes_connections);
    FrontendSimulator simulator;
    const DeadPort collector(takes_connections);
    // Patient beyond any test: whoever waited for the collector would wait for hours.
    const Environment environment({{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()},
                                   {"OTEL_EXPORTER_OTLP_TIMEOUT", "86400000"},
                                   {"OTEL_BSP_EXPORT_TIMEOUT", "86400000"},
                                   {"OTEL_BSP_SCHEDULE_DELAY", "1"},
                                   {"OTEL_BSP_MAX_QUEUE_SIZE", "1"}});
    WholeGate gate(simulator.frontend(0).port());
    REQUIRE_MESSAGE(gate.app, gate.error);
    const std::string full = R"(upgrade_gate_trace_spans_dropped_total{reason="queue_full"})";
    CHECK(gate.metric(full) == "0");
    CHECK(gate.post(review("u-1", "starrocks/fe-ubuntu:3.3.6")) == 200);
    // The preparation was closed, and has more spans than the queue takes.
    CHECK(eventually([&] { return gate.metric(full) != "0"; }));
    CHECK(gate.post(review("u-2", "starrocks/fe-ubuntu:3.3.7")) == 200);
    CHECK(gate.metric("upgrade_gate_trace_spans_exported_total") == "0");
    gate.app->stop();
  }
}

TEST_CASE("without an endpoint nothing is sent, and one that is no URL keeps the gate from starting") {
  spdlog::logger log("quiet", std::make_shared<spdlog::sinks::null_sink_mt>());
  const auto off = start_tracing("id", log);
  REQUIRE(off.ok());
  CHECK(*off == nullptr);
  const std::map<std::string, std::string> wrong{{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"}};
  const Environment environment(wrong);
  const WholeGate gate(9);
  CHECK(gate.app == nullptr);
  CHECK(gate.error.find("OTEL_EXPORTER_OTLP_ENDPOINT: ") == 0);
}

}  // namespace gate
