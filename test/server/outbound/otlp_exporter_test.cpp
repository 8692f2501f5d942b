// Goal: spans arrive, or are counted as lost, whatever the collector does; and nobody waits for it.

#include "server/outbound/otlp_exporter.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "server/httplib.hpp"
#include "server/ports/http_caller.hpp"
#include "test/fakes/certificates.hpp"
#include "test/fakes/loopback.hpp"
#include "test/server/outbound/service.hpp"
#include "test/server/outbound/tls_server.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using nlohmann::json;
using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

/// Waits for what another thread does; longer than any machine needs.
bool eventually(const std::function<bool()>& holds) {
  const auto end = in(60s);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

/// Keeps what is logged.
class Lines {
 public:
  void add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    text_ += line + '\n';
  }
  [[nodiscard]] std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

/// A collector, and what it was sent.
class Collector : public test::Service {
 public:
  explicit Collector(Handler handler, std::unique_ptr<httplib::Server> server = std::make_unique<httplib::Server>())
      : Service(std::move(server), std::move(handler)) {}

  [[nodiscard]] std::string url(const std::string& origin = "http://127.0.0.1") const {
    return at(origin) + "/v1/traces";
  }
};

/// Takes connections into its backlog and never says a word; or, shut down, refuses them.
class Silent {
 public:
  /// Blocks until somebody has connected.
  [[nodiscard]] bool has_caller() const {
    pollfd waiting{port_.socket(), POLLIN, 0};
    return ::poll(&waiting, 1, 60'000) == 1;
  }
  void close() { port_.close(); }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_.port()) + "/v1/traces"; }

 private:
  test::LoopbackPort port_;
};

void accept_all(const httplib::Request&, httplib::Response& response) {
  response.set_content("{}", "application/json");
}

/// Answers the first requests with `status`, then takes everything.
Handler failing_first(int times, int status, const std::string& retry_after = {}) {
  auto left = std::make_shared<std::atomic<int>>(times);
  return [=](const httplib::Request& request, httplib::Response& response) {
    if (left->fetch_sub(1) <= 0) return accept_all(request, response);
    response.status = status;
    if (!retry_after.empty()) response.set_header("Retry-After", retry_after);
  };
}

struct Bench {
  explicit Bench(const std::string& url) {
    options.trace.endpoint = parse_http_url(url).value();
    options.trace.schedule_delay = 1ms;
    options.trace.resource = {{"service.name", std::string("gate")}};
    options.version = "0.1";
    options.retry_first = 1ms;
    options.retry_max = 5ms;
  }

  OtlpExporter& exporter() {
    if (!exporter_) exporter_ = std::make_unique<OtlpExporter>(options, *log);
    return *exporter_;
  }
  std::uint64_t lost(SpanLoss loss) { return exporter().counts().dropped.at(static_cast<std::size_t>(loss)); }

  OtlpExporterOptions options;
  std::shared_ptr<Lines> lines = std::make_shared<Lines>();
  std::shared_ptr<Logger> log = make_json_logger("debug", [to = lines](const std::string& line) { to->add(line); });

 private:
  std::unique_ptr<OtlpExporter> exporter_;
};

std::vector<Span> spans(std::size_t count, const std::string& name = "review") {
  std::vector<Span> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i].context = {derived_trace_id({name}), derived_span_id({name, std::to_string(i)}), true};
    out[i].name = name;
  }
  return out;
}

json spans_of(const httplib::Request& request) {
  const auto body = json::parse(request.body);
  return body.at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans");
}

}  // namespace

TEST_CASE("spans are sent together, as OTLP wants it, with the owner's headers") {
  const Collector collector(accept_all);
  Bench bench(collector.url());
  bench.options.trace.headers = {{"x-scope-orgid", "tenant"}, {"authorization", "Bearer swordfish"}};
  bench.options.trace.schedule_delay = 1h;
  bench.options.trace.batch_max = 3;
  bench.exporter().take(spans(2));
  bench.exporter().take(spans(1, "preparation"));  // the batch is full: nobody waits an hour
  REQUIRE(eventually([&] { return bench.exporter().counts().exported == 3; }));
  const auto requests = collector.requests();
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].path == "/v1/traces");
  CHECK(requests[0].get_header_value("Content-Type") == "application/json");
  CHECK(requests[0].get_header_value("x-scope-orgid") == "tenant");
  CHECK(requests[0].get_header_value("Authorization") == "Bearer swordfish");
  CHECK(requests[0].get_header_value("User-Agent") == "upgrade-gate/0.1");
  const auto sent = spans_of(requests[0]);
  REQUIRE(sent.size() == 3);
  CHECK(sent[2]["name"] == "preparation");
  CHECK(bench.lines->text() == "");
}

TEST_CASE("what a collector answers decides: again, never again, or in part") {
  struct Row {
    std::string name;
    Handler handler;
    std::uint64_t exported;
    std::uint64_t rejected;
    std::size_t requests;
  };
  const auto answer = [](int status, const std::string& body) {
    return [=](const httplib::Request&, httplib::Response& response) {
      response.status = status;
      response.set_content(body, "application/json");
    };
  };
  for (const auto& row : std::vector<Row>{
           {"429", failing_first(2, 429), 4, 0, 3},
           {"429 with Retry-After", failing_first(1, 429, "0"), 4, 0, 2},
           {"429 with a date", failing_first(1, 429, "Fri, 31 Dec 1999 23:59:59 GMT"), 4, 0, 2},
           {"502", failing_first(1, 502), 4, 0, 2},
           {"503", failing_first(3, 503), 4, 0, 4},
           {"504", failing_first(1, 504), 4, 0, 2},
           {"400", answer(400, "no"), 0, 4, 1},
           {"401", answer(401, "no"), 0, 4, 1},
           {"404", answer(404, "no"), 0, 4, 1},
           {"500", answer(500, "no"), 0, 4, 1},
           {"a redirect", answer(302, ""), 0, 4, 1},
           {"in part", answer(200, R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"old"}})"), 1, 3, 1},
           {"more than there were", answer(200, R"({"partialSuccess":{"rejectedSpans":"9"}})"), 0, 4, 1},
           {"nonsense", answer(200, "OK"), 4, 0, 1},
           {"accepted", answer(202, ""), 4, 0, 1},
       }) {
    CAPTURE(row.name);
    const Collector collector(row.handler);
    Bench bench(collector.url());
    bench.exporter().take(spans(4));
    REQUIRE(eventually([&] {
      const auto counts = bench.exporter().counts();
      return counts.exported + counts.dropped[0] + counts.dropped[1] + counts.dropped[2] + counts.dropped[3] == 4;
    }));
    CHECK(bench.exporter().counts().exported == row.exported);
    CHECK(bench.lost(SpanLoss::Rejected) == row.rejected);
    CHECK(collector.requests().size() == row.requests);
    for (const auto& request : collector.requests()) CHECK(request.body == collector.requests()[0].body);
  }
}

TEST_CASE("a collector that asks for time gets it, and the next batch waits as well") {
  const Collector collector(failing_first(1, 429, "3600"));
  Bench bench(collector.url());
  bench.options.trace.export_timeout = 1h;
  bench.options.trace.batch_max = 2;
  bench.exporter().take(spans(2));
  REQUIRE(eventually([&] { return bench.lines->text().find("HTTP 429") != std::string::npos; }));
  bench.exporter().take(spans(2));
  // The five minutes are not over: nothing but the end of the process has it tried once more, for each batch.
  CHECK(collector.requests().size() == 1);
  bench.exporter().stop(in(60s));
  CHECK(collector.requests().size() == 3);
  CHECK(bench.exporter().counts().exported == 4);
}

TEST_CASE("a wait that is longer than the batch may take loses it at once") {
  const Collector collector(failing_first(1, 503, "99999999999999999999"));
  Bench bench(collector.url());
  bench.options.trace.export_timeout = 60s;
  bench.exporter().take(spans(2));
  CHECK(eventually([&] { return bench.lost(SpanLoss::Undeliverable) == 2; }));
}

TEST_CASE("a collector that is away, silent, or hangs up is tried until the batch's time is over") {
  SUBCASE("refuses connections, and comes back") {
    Silent silent;
    const auto url = silent.url();
    silent.close();
    Bench bench(url);
    bench.options.trace.export_timeout = 100ms;
    bench.exporter().take(spans(2));
    CHECK(eventually([&] { return bench.lost(SpanLoss::Undeliverable) == 2; }));
    CHECK(eventually([&] { return bench.lines->text().find("spans not delivered") != std::string::npos; }));
    CHECK(eventually([&] { return bench.lines->text().find("spans dropped") != std::string::npos; }));
  }
  SUBCASE("never answers") {
    const Silent silent;
    Bench bench(silent.url());
    bench.options.trace.timeout = 20ms;
    bench.options.trace.export_timeout = 100ms;
    bench.exporter().take(spans(2));
    CHECK(eventually([&] { return bench.lost(SpanLoss::Undeliverable) == 2; }));
  }
  SUBCASE("answers what is no HTTP") {
    const Collector collector([](const httplib::Request&, httplib::Response& response) {
      response.status = 200;
      response.set_content(std::string(kHttpReplyBytesMax + 1, 'x'), "text/plain");
    });
    Bench bench(collector.url());
    bench.options.trace.export_timeout = 100ms;
    bench.exporter().take(spans(2));
    CHECK(eventually([&] { return bench.lost(SpanLoss::Undeliverable) == 2; }));
  }
}

TEST_CASE("the queue is bounded: what comes beyond is dropped and counted, and nobody waits") {
  const Silent silent;
  Bench bench(silent.url());
  bench.options.trace.queue_max = 10;
  bench.options.trace.batch_max = 4;
  bench.options.trace.schedule_delay = 1h;
  bench.options.trace.timeout = 1h;
  bench.options.trace.export_timeout = 2h;
  bench.exporter().take(spans(4));
  REQUIRE(silent.has_caller());  // the batch is out, with a collector that does not answer
  bench.exporter().take(spans(7));
  CHECK(bench.lost(SpanLoss::QueueFull) == 0);
  bench.exporter().take(spans(100));
  CHECK(bench.lost(SpanLoss::QueueFull) == 97);

  // A stop ends the call that is under way, and loses no count.
  bench.exporter().stop(in(50ms));
  CHECK(bench.lost(SpanLoss::Stopping) == 14);
  CHECK(bench.exporter().counts().exported == 0);
  bench.exporter().take(spans(2));
  CHECK(bench.lost(SpanLoss::Stopping) == 16);
}

TEST_CASE("a stop sends what is queued, and tries once") {
  SUBCASE("to a collector that is there") {
    const Collector collector(accept_all);
    Bench bench(collector.url());
    bench.options.trace.schedule_delay = 1h;
    bench.options.trace.batch_max = 3;
    bench.options.trace.queue_max = 8;
    bench.exporter().take(spans(8));
    bench.exporter().stop(in(60s));
    CHECK(bench.exporter().counts().exported == 8);
    bench.exporter().stop(in(60s));  // again
  }
  SUBCASE("not for each batch where the first one fails") {
    const Collector collector(failing_first(1000, 503));
    Bench bench(collector.url());
    bench.options.trace.batch_max = 10;
    bench.options.trace.export_timeout = 2h;
    bench.options.retry_first = bench.options.retry_max = 1h;
    bench.exporter().take(spans(95));
    REQUIRE(eventually([&] { return !collector.requests().empty(); }));
    bench.exporter().stop(in(60s));
    CHECK(collector.requests().size() == 2);
    CHECK(bench.lost(SpanLoss::Stopping) == 95);
  }
  SUBCASE("without patience") {
    const Silent silent;
    Bench bench(silent.url());
    bench.exporter().take(spans(1));
    bench.exporter().stop(std::chrono::steady_clock::now());
    CHECK(bench.lost(SpanLoss::Stopping) == 1);
  }
}

TEST_CASE("https is verified with the CA of the file, which may come later") {
  const auto authority = make_test_authority("collector authority");
  const auto certificate = make_test_certificate(authority, {"localhost"});
  const std::string path = "/tmp/otlp-exporter-test-" + std::to_string(::getpid()) + ".crt";
  const Collector collector(accept_all, make_tls_server(certificate));
  Bench bench(collector.url("https://localhost"));
  bench.options.trace.ca_file = path;
  bench.exporter().take(spans(1));
  REQUIRE(eventually([&] { return bench.lines->text().find("cannot be read") != std::string::npos; }));
  CHECK(collector.requests().empty());
  std::ofstream(path + ".new") << authority.certificate_pem;
  REQUIRE(std::rename((path + ".new").c_str(), path.c_str()) == 0);
  CHECK(eventually([&] { return bench.exporter().counts().exported == 1; }));
  std::remove(path.c_str());

  Bench stranger(collector.url("https://localhost"));
  stranger.exporter().take(spans(1));
  CHECK(eventually([&] { return stranger.lines->text().find("certificate is not valid") != std::string::npos; }));
  stranger.exporter().stop(std::chrono::steady_clock::now());
  CHECK(stranger.exporter().counts().exported == 0);
}

TEST_CASE("no credential is logged, even where the collector repeats it") {
  const Collector collector([](const httplib::Request& request, httplib::Response& response) {
    response.status = 403;
    response.set_content("who is " + request.get_header_value("authorization") + "?", "text/plain");
  });
  Bench bench(collector.url() + "?key=sesame");
  bench.options.trace.headers = {{"authorization", "Bearer swordfish"}};
  bench.exporter().take(spans(1));
  REQUIRE(eventually([&] { return bench.lost(SpanLoss::Rejected) == 1; }));
  CHECK(bench.lines->text().find("who is (hidden)?") != std::string::npos);
  CHECK(bench.lines->text().find("sesame") == std::string::npos);
  CHECK(collector.requests()[0].target.ends_with("?key=sesame"));
}

}  // namespace gate
