#include "policy/trace/trace_options.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace std::chrono_literals;

namespace gate {
namespace {

using Environment = std::map<std::string, std::string>;

Result<TraceSettings> settings(const Environment& environment, std::vector<SpanAttribute> resource = {}) {
  return read_trace_settings(
      [&environment](const std::string& name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
      },
      std::move(resource));
}

/// With an endpoint.
TraceSettings on(Environment environment) {
  environment.emplace("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
  auto read = settings(environment);
  REQUIRE(read.ok());
  REQUIRE(read->options.has_value());
  return std::move(read).value();
}

TraceOptions quiet(const Environment& environment) {
  auto read = on(environment);
  for (const auto& warning : read.warnings) MESSAGE(warning);
  CHECK(read.warnings.empty());
  return *std::move(read.options);
}

}  // namespace

TEST_CASE("tracing is off unless somebody says where to") {
  for (const Environment& environment : std::vector<Environment>{
           {},
           {{"OTEL_EXPORTER_OTLP_ENDPOINT", ""}},
           {{"OTEL_EXPORTER_OTLP_ENDPOINT", "  "}},
           {{"OTEL_SERVICE_NAME", "x"}, {"OTEL_TRACES_SAMPLER", "always_on"}},
           {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}, {"OTEL_SDK_DISABLED", "TRUE"}},
           {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}, {"OTEL_TRACES_EXPORTER", "none"}},
           {{"OTEL_EXPORTER_OTLP_ENDPOINT", "not a URL"}, {"OTEL_SDK_DISABLED", "true"}},
       }) {
    const auto read = settings(environment);
    REQUIRE(read.ok());
    CHECK_FALSE(read->options.has_value());
    CHECK(read->warnings.empty());
  }
}

TEST_CASE("the endpoint is a base, or that of traces as it is") {
  struct Row {
    Environment environment;
    std::string shown;
  };
  for (const auto& row : std::vector<Row>{
           {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}}, "http://c:4318/v1/traces"},
           {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"}}, "http://c:4318/v1/traces"},
           {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp"}}, "https://c/otlp/v1/traces"},
           {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp/"}}, "https://c/otlp/v1/traces"},
           {{{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/api/spans"}}, "https://c/api/spans"},
           {{{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c"}}, "https://c/"},
           {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "bad"}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/x"}},
            "https://c/x"},
       }) {
    const auto read = settings(row.environment);
    REQUIRE(read.ok());
    REQUIRE(read->options.has_value());
    CHECK(read->options->endpoint.shown() == row.shown);
  }
}

TEST_CASE("an endpoint that is no URL is an error that names the variable and shows no password") {
  for (const std::string value :
       {"collector:4318", "grpc://c:4317", "http://", "http://u:secret@c:4318", "http://c:x"}) {
    CAPTURE(value);
    const auto read = settings({{"OTEL_EXPORTER_OTLP_ENDPOINT", value}});
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().code == ErrorCode::InvalidInput);
    CHECK(read.error().message.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "));
    CHECK(read.error().message.find("secret") == std::string::npos);
  }
}

TEST_CASE("what the variables say is taken") {
  const auto options = quiet({{"OTEL_EXPORTER_OTLP_TIMEOUT", "2500"},
                              {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/otlp/ca.crt"},
                              {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
                              {"OTEL_EXPORTER_OTLP_COMPRESSION", "none"},
                              {"OTEL_TRACES_EXPORTER", "otlp"},
                              {"OTEL_SDK_DISABLED", "false"},
                              {"OTEL_BSP_SCHEDULE_DELAY", "100"},
                              {"OTEL_BSP_EXPORT_TIMEOUT", "30000"},
                              {"OTEL_BSP_MAX_QUEUE_SIZE", "64"},
                              {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "128"}});
  CHECK(options.timeout == 2500ms);
  CHECK(options.ca_file == "/etc/otlp/ca.crt");
  CHECK(options.schedule_delay == 100ms);
  CHECK(options.export_timeout == 30s);
  CHECK(options.queue_max == 64);
  CHECK(options.batch_max == 64);  // never more than the queue has

  const auto defaults = quiet({});
  CHECK(defaults.timeout == 10s);
  CHECK(defaults.schedule_delay == 5s);
  CHECK(defaults.queue_max == 2048);
  CHECK(defaults.batch_max == 512);
  CHECK(defaults.headers.empty());

  const auto of_traces =
      quiet({{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1"}, {"OTEL_EXPORTER_OTLP_TIMEOUT", "nonsense"}});
  CHECK(of_traces.timeout == 1ms);
}

TEST_CASE("samplers by their names") {
  struct Row {
    std::string name;
    std::string argument;
    bool parent_based;
    double ratio;
  };
  for (const auto& row : std::vector<Row>{{"", "", true, 1},
                                          {"always_on", "", false, 1},
                                          {"always_off", "0.5", false, 0},
                                          {"traceidratio", "0.25", false, 0.25},
                                          {"traceidratio", "", false, 1},
                                          {"parentbased_always_on", "", true, 1},
                                          {"parentbased_always_off", "", true, 0},
                                          {"PARENTBASED_TRACEIDRATIO", "0.1", true, 0.1},
                                          {"parentbased_traceidratio", "0", true, 0}}) {
    CAPTURE(row.name);
    const auto options = quiet({{"OTEL_TRACES_SAMPLER", row.name}, {"OTEL_TRACES_SAMPLER_ARG", row.argument}});
    CHECK(options.sampler.parent_based == row.parent_based);
    CHECK(options.sampler.ratio == row.ratio);
  }
}

TEST_CASE("a value that is not understood is told with its variable, and the default counts") {
  struct Row {
    std::string name;
    std::string value;
  };
  for (const auto& row : std::vector<Row>{{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
                                          {"OTEL_EXPORTER_OTLP_TIMEOUT", "-1"},
                                          {"OTEL_EXPORTER_OTLP_TIMEOUT", "0"},
                                          {"OTEL_EXPORTER_OTLP_TIMEOUT", "99999999999999999999"},
                                          {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
                                          {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"},
                                          {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"},
                                          {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k"},
                                          {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/c"},
                                          {"OTEL_TRACES_EXPORTER", "zipkin"},
                                          {"OTEL_SDK_DISABLED", "yes"},
                                          {"OTEL_TRACES_SAMPLER", "sometimes"},
                                          {"OTEL_TRACES_SAMPLER", "parentbased_"},
                                          {"OTEL_BSP_SCHEDULE_DELAY", "fast"},
                                          {"OTEL_BSP_EXPORT_TIMEOUT", "1.5"},
                                          {"OTEL_BSP_MAX_QUEUE_SIZE", "1000000"},
                                          {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"},
                                          {"OTEL_RESOURCE_ATTRIBUTES", "a"}}) {
    CAPTURE(row.name);
    CAPTURE(row.value);
    const auto read = on({{row.name, row.value}});
    REQUIRE(read.warnings.size() == 1);
    CHECK(read.warnings.front().starts_with(row.name + ": "));
    CHECK(read.options->timeout == 10s);
    CHECK(read.options->queue_max == 2048);
    CHECK(read.options->batch_max == 512);
    CHECK(read.options->schedule_delay == 5s);
    CHECK(read.options->export_timeout == 300s);
    CHECK(read.options->sampler.parent_based);
    CHECK(read.options->sampler.ratio == 1);
  }
  for (const std::string argument : {"2", "-0.1", "half", "nan", "0.5 "}) {
    CAPTURE(argument);
    const auto read = on({{"OTEL_TRACES_SAMPLER", "traceidratio"}, {"OTEL_TRACES_SAMPLER_ARG", argument}});
    CHECK(read.options->sampler.ratio == (argument == "0.5 " ? 0.5 : 1.0));
    CHECK(read.warnings.size() == (argument == "0.5 " ? 0 : 1));
  }
}

TEST_CASE("headers are decoded, and those that would break or forge a request are left out without being shown") {
  const auto good = on({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318"},
                        {"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc%3D, x-scope-orgid = tenant-1 ,,"}});
  CHECK(good.warnings.empty());
  using Headers = std::vector<std::pair<std::string, std::string>>;
  CHECK(good.options->headers == Headers{{"authorization", "Bearer abc="}, {"x-scope-orgid", "tenant-1"}});

  const auto in_clear = on({{"OTEL_EXPORTER_OTLP_HEADERS", "authorization=swordfish"}});
  REQUIRE(in_clear.warnings.size() == 1);
  CHECK(in_clear.warnings.front() == "OTEL_EXPORTER_OTLP_HEADERS: sent in clear, since the endpoint is not https");

  for (const std::string wrong :
       {"swordfish", "=swordfish", "a b=swordfish", "x=swordfish%0d%0aHost:%20evil", "x=swordfish%", "x=swordfish%2",
        "x=swordfish%zz", "Host=swordfish", "content-length=swordfish", "Transfer-Encoding=swordfish",
        "x=swordfish%c3%a9", "x:y=swordfish"}) {
    CAPTURE(wrong);
    const auto read =
        on({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318"}, {"OTEL_EXPORTER_OTLP_HEADERS", "a=1," + wrong}});
    CHECK(read.options->headers == Headers{{"a", "1"}});
    REQUIRE(read.warnings.size() == 1);
    CHECK(read.warnings.front().find("member 2 is left out") != std::string::npos);
    CHECK(read.warnings.front().find("swordfish") == std::string::npos);
  }

  std::string many;
  for (int i = 0; i < 1000; ++i) many += "h" + std::to_string(i) + "=1,";
  CHECK(on({{"OTEL_EXPORTER_OTLP_HEADERS", many}}).options->headers.size() == 64);
}

TEST_CASE("the resource says who tells: what the variables name wins") {
  const auto read = settings({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"},
                              {"OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod%20eu,service.version=9"},
                              {"OTEL_SERVICE_NAME", "gate"}},
                             {{"service.version", std::string("0.1")}, {"service.instance.id", std::string("pod-1")}});
  REQUIRE(read.ok());
  CHECK(read->options->resource == std::vector<SpanAttribute>{{"service.name", std::string("gate")},
                                                              {"service.version", std::string("9")},
                                                              {"service.instance.id", std::string("pod-1")},
                                                              {"deployment.environment", std::string("prod eu")}});
  CHECK(quiet({}).resource.front() == SpanAttribute{"service.name", std::string("upgrade-gate")});
  CHECK(quiet({{"OTEL_RESOURCE_ATTRIBUTES", "service.name=other"}}).resource.front() ==
        SpanAttribute{"service.name", std::string("other")});
}

}  // namespace gate
