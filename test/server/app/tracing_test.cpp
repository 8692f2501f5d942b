// Goal: a whole gate that is told of a collector by OTEL_* sends it what happened, and one that is not sends nothing.

#include "server/app/tracing.hpp"

#include <doctest/doctest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/app/app.hpp"
#include "server/httplib.hpp"
#include "test/fakes/frontend_simulator.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kCaller = "b7ad6b7169203331";

/// Variables of this process, for as long as it lives.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& variables) {
    for (const auto& [name, value] : variables) {
      names_.push_back(name);
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const auto& name : names_) ::unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::string> names_;
};

bool is_hex(const json& value, std::size_t digits) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() != digits) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.find_first_not_of("0123456789abcdef") == std::string::npos && text != std::string(digits, '0');
}

bool is_decimal(const json& value) {
  return value.is_string() && !value.get_ref<const std::string&>().empty() &&
         value.get_ref<const std::string&>().find_first_not_of("0123456789") == std::string::npos;
}

/// What a strict reader of proto3's JSON, as OTLP changes it, finds wrong with a span; "" when nothing.
std::string fault_of(const json& span) {
  static const std::map<std::string, std::function<bool(const json&)>> kMembers{
      {"traceId", [](const json& value) { return is_hex(value, 32); }},
      {"spanId", [](const json& value) { return is_hex(value, 16); }},
      {"parentSpanId", [](const json& value) { return is_hex(value, 16); }},
      {"name", [](const json& value) { return value.is_string() && !value.empty(); }},
      {"kind", [](const json& value) { return value.is_number_unsigned() && value >= 1 && value <= 5; }},
      {"flags", [](const json& value) { return value.is_number_unsigned() && value <= 0x3ff; }},
      {"startTimeUnixNano", is_decimal},
      {"endTimeUnixNano", is_decimal},
      {"attributes", [](const json& value) { return value.is_array(); }},
      {"events", [](const json& value) { return value.is_array(); }},
      {"links", [](const json& value) { return value.is_array() && is_hex(value.at(0).at("traceId"), 32); }},
      {"status", [](const json& value) { return value.at("code").is_number_unsigned(); }},
  };
  for (const auto& [name, value] : span.items()) {
    const auto known = kMembers.find(name);
    if (known == kMembers.end()) return "unknown member " + name;
    if (!known->second(value)) return name + ": " + value.dump();
  }
  for (const auto* name : {"traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano"}) {
    if (!span.contains(name)) return std::string("no ") + name;
  }
  static const std::set<std::string> kValues{"stringValue", "boolValue", "intValue", "doubleValue", "arrayValue"};
  for (const auto& attribute : span.value("attributes", json::array())) {
    const auto& value = attribute.at("value");
    if (value.size() != 1 || !kValues.contains(value.begin().key())) return "attribute " + attribute.dump();
  }
  return {};
}

/// A collector that refuses what it does not understand.
class StrictCollector {
 public:
  StrictCollector() {
    server_.Post("/v1/traces", [this](const httplib::Request& request, httplib::Response& response) {
      const auto body = json::parse(request.body, nullptr, false);
      const std::lock_guard lock(mutex_);
      for (const auto& resource : body.at("resourceSpans")) {
        resource_ = resource.at("resource");
        for (const auto& scope : resource.at("scopeSpans")) {
          for (const auto& span : scope.at("spans")) {
            if (auto fault = fault_of(span); !fault.empty()) {
              faults_.push_back(fault);
              response.status = 400;
            }
            spans_.push_back(span);
          }
        }
      }
      response.set_content("{}", "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~StrictCollector() {
    server_.stop();
    thread_.join();
  }
  StrictCollector(const StrictCollector&) = delete;
  StrictCollector& operator=(const StrictCollector&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<json> named(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    std::vector<json> out;
    std::copy_if(spans_.begin(), spans_.end(), std::back_inserter(out),
                 [&](const json& span) { return span.at("name") == name; });
    return out;
  }
  [[nodiscard]] std::vector<std::string> faults() const {
    const std::lock_guard lock(mutex_);
    return faults_;
  }
  [[nodiscard]] std::string resource() const {
    const std::lock_guard lock(mutex_);
    return resource_.dump();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<json> spans_;          // guarded by mutex_
  std::vector<std::string> faults_;  // guarded by mutex_
  json resource_;                    // guarded by mutex_
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

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
  REQUIRE(eventually([&] { return !collector.named("review").empty(); }));
  REQUIRE(eventually([&] { return !collector.named("preparation").empty(); }));
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
  CHECK(collector.named("restore").size() == 1);
  CHECK(collector.resource().find("gate-of-a-test") != std::string::npos);
  CHECK(collector.resource().find("tracing-test") != std::string::npos);
}

TEST_CASE("spans that nobody takes are counted, and hold up neither reviews nor the end") {
  FrontendSimulator simulator;
  const Environment environment({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"},
                                 {"OTEL_BSP_SCHEDULE_DELAY", "1"},
                                 {"OTEL_BSP_EXPORT_TIMEOUT", "1"}});
  WholeGate gate(simulator.frontend(0).port());
  REQUIRE_MESSAGE(gate.app, gate.error);
  CHECK(gate.metric(R"(upgrade_gate_trace_spans_dropped_total{reason="undeliverable"})") == "0");
  CHECK(gate.post(review("u-1", "starrocks/fe-ubuntu:3.3.6")) == 200);
  CHECK(eventually(
      [&] { return gate.metric(R"(upgrade_gate_trace_spans_dropped_total{reason="undeliverable"})") != "0"; }));
  CHECK(gate.metric("upgrade_gate_trace_spans_exported_total") == "0");
  gate.app->stop();
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
