// Answers one kind of request many times, for valgrind to count the instructions of one answer: from the bytes on the
// stream (without TLS) to the bytes of the answer, metrics included.
// usage: fast_path CASE     prints how many answers gate_counted_answers() gave; see budget_test.sh

#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "server/admission/admission_service.hpp"
#include "server/app/metrics.hpp"
#include "server/http/exchange.hpp"
#include "server/memory/memory_cluster_access.hpp"
#include "server/memory/memory_preparation_store.hpp"
#include "server/memory/memory_script_jobs.hpp"
#include "server/outbound/http_hook_caller.hpp"
#include "server/starrocks/frontend_client.hpp"

using namespace gate;

namespace {

/// Divided by it, what is done once only does not count.
constexpr int kAnswers = 20;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fast_path: %s\n", what);
  std::exit(1);
}

/// What real objects carry, as much of it as makes the review about so long.
std::string cluster(std::size_t settings, const std::string& image, int replicas) {
  std::string fields;
  std::string environment;
  for (std::size_t i = 0; i < settings; ++i) {
    const std::string number = std::to_string(10'000 + i);
    const char* comma = i == 0 ? "" : ",";
    fields += comma + ("\"f:setting_" + number + R"(":{".":{},"f:name":{},"f:value":{}})");
    environment +=
        comma + (R"({"name":"SETTING_)" + number + R"(","value":"jdbc:mysql://fe-0.starrocks.svc:9030/?a=b"})");
  }
  return R"({"apiVersion":"starrocks.com/v1","kind":"StarRocksCluster","metadata":{"name":"sr","namespace":"db",)"
         R"("uid":"11111111-2222-3333-4444-555555555555","generation":7,"managedFields":[{"manager":"kubectl",)"
         R"("operation":"Update","apiVersion":"starrocks.com/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{)" +
         fields + R"(}}}]},"spec":{"starRocksFeSpec":{"image":"starrocks/fe-ubuntu:)" + image +
         R"(","replicas":3,"feEnvVars":[)" + environment +
         R"(]},"starRocksBeSpec":{"image":"starrocks/be-ubuntu:3.3.5","replicas":)" + std::to_string(replicas) + "}}}";
}

std::string review(std::size_t bytes, const std::string& new_image) {
  const auto with = [&](std::size_t settings) {
    return R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{)"
           R"("uid":"705ab4f5-6393-11e8-b7cc-42010a800002",)"
           R"("kind":{"group":"starrocks.com","version":"v1","kind":"StarRocksCluster"},)"
           R"("resource":{"group":"starrocks.com","version":"v1","resource":"starrocksclusters"},)"
           R"("name":"sr","namespace":"db","operation":"UPDATE","userInfo":{"username":"admin",)"
           R"("groups":["system:masters","system:authenticated"]},"object":)" +
           cluster(settings, new_image, 4) + R"(,"oldObject":)" + cluster(settings, "3.3.5", 3) +
           R"(,"dryRun":false,"options":{"kind":"UpdateOptions","apiVersion":"meta.k8s.io/v1"}}})";
  };
  const std::size_t empty = with(0).size();
  const std::size_t each = (with(10).size() - empty) / 10;
  return with(bytes > empty ? (bytes - empty) / each : 0);
}

std::string body_of(std::string_view name) {
  if (name == "update_1k") return review(1'000, "3.3.5");
  if (name == "update_8k") return review(8'192, "3.3.5");
  if (name == "update_60k") return review(61'440, "3.3.5");
  // Of a cluster without hooks: the full parser and the decision, no store.
  if (name == "image_change_8k") return review(8'192, "3.3.6");
  require(false, "unknown case");
  return {};
}

/// The gate but for sockets, TLS and threads.
struct Gate {
  SystemClock clock;
  spdlog::logger log{"fast_path", std::make_shared<spdlog::sinks::null_sink_mt>()};
  MemoryPreparationStore store{clock};
  MemoryClusterAccess clusters{FrontendAccess{}};
  MysqlFrontendConnector connector;
  OutcomeWaiters waiters{store};
  HttpHookCaller http_caller{{}};
  MemoryScriptJobs scripts;
  PreparationController controller{store, {clusters, connector, http_caller, scripts}, clock, log, {}};
  Metrics metrics;
  AdmissionService service{{store, clusters, controller, waiters, clock, log},
                           {.compare_with_stored = false},
                           [this](const ReviewOutcome& outcome) { metrics.count(outcome); }};
  std::vector<HttpRoute> routes{{"POST", std::string(AdmissionService::kGatePath), "application/json"}};
  HttpLimits limits{.body_bytes_max = kReviewBytesMax};
  HttpHandlers handlers{[this](const HttpCall& call) -> std::optional<HttpReply> {
                          auto reply = service.try_fast_path(call.path, call.body);
                          if (!reply) return std::nullopt;
                          return HttpReply{reply->status, std::move(reply->content_type), std::move(reply->body)};
                        },
                        [this](const HttpCall& call) {
                          auto reply = service.review(call.path, call.body);
                          return HttpReply{reply.status, std::move(reply.content_type), std::move(reply.body)};
                        }};
  http::MemoryBudget room{limits.body_bytes_total_max};
  http::RequestReader reader{{routes, limits, handlers, room}};
};

struct Pair {
  Pair() {
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair");
    const int room = 1 << 20;
    ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  }
  ~Pair() {
    for (const int end : ends) ::close(end);
  }
  std::array<int, 2> ends{};
};

void answer(Gate& gate, http::ConnectionStream& stream, const Pair& pair, const std::string& request) {
  require(::send(pair.ends[0], request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()), "send");
  stream.reserve(request.size());
  while (stream.buffered().size() < request.size()) require(stream.receive() == http::Io::Done, "receive");
  const auto outcome =
      gate.reader.serve(stream, gate.clock.steady_now() + std::chrono::minutes(1), [] { return true; });
  const std::string text = http::render(outcome, false);
  std::string_view unsent = text;
  require(stream.send(unsent) == http::Io::Done, "send");
  stream.release();
  std::array<char, 4096> received{};
  const ssize_t got = ::recv(pair.ends[0], received.data(), received.size(), 0);
  require(got > 0, "recv");
  const std::string_view answered(received.data(), static_cast<std::size_t>(got));
  require(answered.starts_with("HTTP/1.1 200 ") && answered.find(R"("allowed":true)") != std::string_view::npos,
          "not allowed");
}

}  // namespace

/// What valgrind counts: --toggle-collect=gate_counted_answers
extern "C" __attribute__((noinline)) void gate_counted_answers(Gate& gate, http::ConnectionStream& stream,
                                                               const Pair& pair, const std::string& request) {
  for (int i = 0; i < kAnswers; ++i) answer(gate, stream, pair, request);
}

int main(int argc, char** argv) {
  require(argc == 2, "usage: fast_path CASE");
  const std::string body = body_of(argv[1]);
  const std::string request =
      "POST /validate?timeout=10s HTTP/1.1\r\nHost: upgrade-gate.starrocks.svc:443\r\nUser-Agent: "
      "kube-apiserver-admission\r\n"
      "Content-Length: " +
      std::to_string(body.size()) +
      "\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n" + body;
  Gate gate;
  const Pair pair;
  http::ConnectionStream stream(pair.ends[1], nullptr);
  for (int i = 0; i < 3; ++i) answer(gate, stream, pair, request);  // Buffers and tables are made once.
  gate_counted_answers(gate, stream, pair, request);
  std::printf("%d\n", kAnswers);
  return 0;
}
