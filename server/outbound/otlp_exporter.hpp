#pragma once
// SpanSink that sends to a collector by OTLP/HTTP in JSON.

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "policy/trace/trace_options.hpp"
#include "server/base/backoff.hpp"
#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/net/host_resolver.hpp"
#include "server/ports/clock.hpp"
#include "server/ports/span_sink.hpp"

namespace gate {

/// Why spans never arrived.
enum class SpanLoss : std::uint8_t {
  QueueFull,
  Rejected,       ///< The collector refused them for good, or some of a batch.
  Undeliverable,  ///< No try within TraceOptions::export_timeout succeeded.
  Stopping,       ///< What could not be sent while the process ended.
};
inline constexpr std::array<std::string_view, 4> kSpanLossNames{"queue_full", "rejected", "undeliverable", "stopping"};

struct SpanCounts {
  std::uint64_t exported = 0;
  std::array<std::uint64_t, kSpanLossNames.size()> dropped{};  ///< By SpanLoss.
};

struct OtlpExporterOptions {
  TraceOptions trace;
  std::string version = "dev";
  /// Between tries, doubled up to `retry_max`. A Retry-After counts instead, up to five minutes.
  std::chrono::milliseconds retry_first{1'000};
  std::chrono::milliseconds retry_max{30'000};
};

/// Thread safe. One thread sends one batch after the other, each on a connection of its own, so that a collector that
/// is slow or away costs nobody else. The endpoint is the owner's: any address, with no proxy of the environment. The
/// CA file is read for each connection, since it may be rotated. `log` outlives this; headers are never logged.
class OtlpExporter final : public SpanSink {
 public:
  OtlpExporter(OtlpExporterOptions options, Logger& log);
  ~OtlpExporter() override;  ///< stop() without patience.
  OtlpExporter(const OtlpExporter&) = delete;
  OtlpExporter& operator=(const OtlpExporter&) = delete;

  [[nodiscard]] bool samples(const TraceId& trace, const std::optional<TraceContext>& parent) const override;
  [[nodiscard]] SpanTime now() const override { return std::chrono::system_clock::now(); }
  void take(std::vector<Span> spans) override;

  /// Sends what is queued, one try for each batch and none after one that failed; drops the rest. Returns at `deadline`
  /// or within a second of it. Spans that come later are dropped.
  void stop(Deadline deadline);

  [[nodiscard]] SpanCounts counts() const;

 private:
  struct State {
    std::deque<Span> queue;
    Deadline due{};  ///< When what is queued is sent though it is no full batch.
    bool stopping = false;
    Deadline stop_by{};
    bool finished = false;  ///< The thread has nothing more to do.
    SpanCounts counts;
  };
  enum class Sent { Delivered, Refused, Failed };

  void run();
  /// Blocks until there is one, or no more will come. Takes no memory.
  void wait_for_batch();
  [[nodiscard]] std::vector<Span> next_batch();
  void drop_queue();
  void deliver(const std::vector<Span>& batch);
  /// One try. Sets not_before_ after a failure.
  [[nodiscard]] Sent send(const std::string& body, std::size_t spans, Deadline deadline);
  [[nodiscard]] Sent failed(const std::string& why, const std::string& retry_after);
  void lose(SpanLoss loss, std::size_t spans);
  /// False: the process ends, and the wait with it.
  bool wait_until(Deadline time);
  void interrupt();

  const OtlpExporterOptions options_;
  Logger& log_;
  LogLimiter failures_;
  LogLimiter losses_;
  LogLimiter advice_;
  HostResolver resolver_;
  const int interrupted_;  // an eventfd: readable from interrupt() on
  Guarded<State> state_;
  std::condition_variable changed_;  // of state_
  // Of the thread alone:
  Backoff backoff_;
  Deadline not_before_{};  // what the last answer, or back-off, asks for
  bool given_up_ = false;  // while stopping, a try has failed
  std::thread thread_;     // last: uses the rest; joined by stop()
};

}  // namespace gate
