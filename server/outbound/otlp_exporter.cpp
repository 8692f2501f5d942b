#include "server/outbound/otlp_exporter.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "policy/text/text.hpp"
#include "policy/trace/otlp.hpp"
#include "server/base/attempt.hpp"
#include "server/outbound/one_post.hpp"

namespace gate {
namespace {

using std::chrono::seconds;

/// A collector that asks for more is asked again all the same: it may be wrong, or another by then.
constexpr seconds kRetryAfterMax{300};
/// A bundle of authorities; more is the wrong file.
constexpr std::size_t kCaBytesMax = 1u << 20;

Deadline steady_now() { return std::chrono::steady_clock::now(); }

/// The statuses after which OTLP repeats a request.
bool is_retryable(int status) { return status == 429 || status == 502 || status == 503 || status == 504; }

/// In seconds; nothing for dates and nonsense, after which the back-off counts.
std::optional<seconds> retry_after_of(const std::string& header) {
  std::int64_t number = 0;
  const char* const end = header.data() + header.size();
  const auto [at, failure] = std::from_chars(header.data(), end, number);
  if (header.empty() || at != end || failure == std::errc::invalid_argument || number < 0) return std::nullopt;
  if (failure == std::errc::result_out_of_range) return kRetryAfterMax;
  return std::min(seconds(number), kRetryAfterMax);
}

Result<std::string> read_authorities(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string text(kCaBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (text.empty() || text.size() > kCaBytesMax) {
    return Error{ErrorCode::Unavailable, "the CA file \"" + path + "\" cannot be read, is empty or larger than 1 MiB"};
  }
  return text;
}

}  // namespace

OtlpExporter::OtlpExporter(OtlpExporterOptions options, Logger& log)
    : options_(std::move(options)),
      log_(log),
      interrupted_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      backoff_(options_.retry_first, options_.retry_max) {
  if (interrupted_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets that the collector may have closed
  thread_ = std::thread([this] { run(); });
}

OtlpExporter::~OtlpExporter() {
  stop(steady_now());
  ::close(interrupted_);
}

bool OtlpExporter::samples(const TraceId& trace, const std::optional<TraceContext>& parent) const {
  return is_sampled(options_.trace.sampler, trace, parent);
}

void OtlpExporter::take(std::vector<Span> spans) {
  std::size_t lost = 0;
  auto loss = SpanLoss::QueueFull;
  {
    auto state = state_.lock();
    if (state->stopping) loss = SpanLoss::Stopping;
    const auto most = options_.trace.queue_max;
    const auto room = state->stopping || state->queue.size() >= most ? 0 : most - state->queue.size();
    const auto taken = std::min(room, spans.size());
    lost = spans.size() - taken;
    if (state->queue.empty()) state->due = steady_now() + options_.trace.schedule_delay;
    std::move(spans.begin(), spans.begin() + static_cast<std::ptrdiff_t>(taken), std::back_inserter(state->queue));
  }
  changed_.notify_all();
  if (lost > 0) lose(loss, lost);
}

void OtlpExporter::stop(Deadline deadline) {
  {
    auto state = state_.lock();
    if (!state->stopping) {
      state->stopping = true;
      state->stop_by = deadline;
    }
  }
  changed_.notify_all();
  if (!thread_.joinable()) return;
  const bool finished = state_.lock().wait_until(changed_, deadline, [](const State& state) { return state.finished; });
  if (!finished) interrupt();
  thread_.join();
}

SpanCounts OtlpExporter::counts() const { return state_.lock()->counts; }

void OtlpExporter::interrupt() {
  resolver_.interrupt();
  ::eventfd_write(interrupted_, 1);
}

void OtlpExporter::run() {
  for (;;) {
    wait_for_batch();
    std::vector<Span> batch;
    if (!attempt(log_, "sending spans failed", [&] { batch = next_batch(); })) {
      drop_queue();
      continue;
    }
    if (batch.empty()) break;
    if (!attempt(log_, "sending spans failed", [&] { deliver(batch); })) lose(SpanLoss::Undeliverable, batch.size());
  }
  state_.lock()->finished = true;
  changed_.notify_all();
}

void OtlpExporter::wait_for_batch() {
  auto state = state_.lock();
  const auto most = options_.trace.batch_max;
  state.wait(changed_, [](const State& seen) { return seen.stopping || !seen.queue.empty(); });
  if (!state->queue.empty()) {
    (void)state.wait_until(changed_, state->due,
                           [most](const State& seen) { return seen.stopping || seen.queue.size() >= most; });
  }
}

/// Empty: it stops, and all was sent or lost.
std::vector<Span> OtlpExporter::next_batch() {
  const auto state = state_.lock();
  const auto most = options_.trace.batch_max;
  auto& queue = state->queue;
  const auto end = queue.begin() + static_cast<std::ptrdiff_t>(std::min(most, queue.size()));
  std::vector<Span> batch(std::make_move_iterator(queue.begin()), std::make_move_iterator(end));
  queue.erase(queue.begin(), end);
  return batch;
}

void OtlpExporter::deliver(const std::vector<Span>& batch) {
  const auto& trace = options_.trace;
  const auto body = otlp_trace_request(trace.resource, options_.version, batch);
  const auto give_up = steady_now() + trace.export_timeout;
  for (;;) {
    if (not_before_ >= give_up) return lose(SpanLoss::Undeliverable, batch.size());
    const bool stopping = !wait_until(not_before_);
    auto deadline = std::min(steady_now() + trace.timeout, give_up);
    if (stopping) {
      deadline = std::min(deadline, state_.lock()->stop_by);
      if (given_up_ || steady_now() >= deadline) return lose(SpanLoss::Stopping, batch.size());
    }
    switch (send(body, batch.size(), deadline)) {
      case Sent::Delivered:
        return;
      case Sent::Refused:
        return lose(SpanLoss::Rejected, batch.size());
      case Sent::Failed:
        // One that failed because the process ends, or that had the last chance.
        given_up_ = stopping;
        break;
    }
  }
}

OtlpExporter::Sent OtlpExporter::send(const std::string& body, std::size_t spans, Deadline deadline) {
  const auto& endpoint = options_.trace.endpoint;
  const auto authorities = read_authorities(options_.trace.ca_file);
  if (!authorities) return failed(authorities.error().message, "");
  const auto addresses = resolver_.resolve(endpoint.host, deadline);
  if (!addresses) return failed(addresses.error().message, "");
  const Post post{endpoint, body, options_.version, *authorities, options_.trace.headers};
  const auto reply = post_once(*addresses, post, deadline, interrupted_);
  if (!reply) return failed(reply.error().message, "");
  if (is_retryable(reply->status)) return failed("HTTP " + std::to_string(reply->status), reply->retry_after);
  if (reply->status < 200 || reply->status > 299) {
    std::vector<std::string> secrets;
    for (const auto& header : options_.trace.headers) secrets.push_back(header.second);
    log_limited(failures_, steady_now(), log_, LogLevel::Warning, "spans refused by the collector",
                {{"endpoint", endpoint.shown()},
                 {"status", reply->status},
                 {"error", clean_text(without_secrets(reply->body, secrets))}});
    return Sent::Refused;
  }
  backoff_.reset();
  not_before_ = {};
  std::uint64_t rejected = 0;
  if (const auto partial = otlp_partial_success(reply->body)) {
    rejected = std::min<std::uint64_t>(partial->rejected, spans);
    log_limited(advice_, steady_now(), log_, LogLevel::Warning, "the collector did not take all spans, or warns",
                {{"endpoint", endpoint.shown()}, {"rejected", rejected}, {"error", clean_text(partial->message)}});
  }
  auto state = state_.lock();
  state->counts.exported += spans - rejected;
  state->counts.dropped.at(static_cast<std::size_t>(SpanLoss::Rejected)) += rejected;
  return Sent::Delivered;
}

OtlpExporter::Sent OtlpExporter::failed(const std::string& why, const std::string& retry_after) {
  const auto backoff = backoff_.next();
  const auto asked = retry_after_of(retry_after);
  not_before_ = steady_now() + (asked ? std::chrono::milliseconds(*asked) : backoff);
  log_limited(failures_, steady_now(), log_, LogLevel::Warning, "spans not delivered",
              {{"endpoint", options_.trace.endpoint.shown()}, {"error", why}});
  return Sent::Failed;
}

/// There is no memory for a batch of it.
void OtlpExporter::drop_queue() {
  std::size_t lost = 0;
  {
    const auto state = state_.lock();
    lost = state->queue.size();
    state->queue.clear();
  }
  lose(SpanLoss::Undeliverable, lost);
}

void OtlpExporter::lose(SpanLoss loss, std::size_t spans) {
  state_.lock()->counts.dropped.at(static_cast<std::size_t>(loss)) += spans;
  log_limited(losses_, steady_now(), log_, LogLevel::Warning, "spans dropped",
              {{"spans", spans}, {"reason", kSpanLossNames.at(static_cast<std::size_t>(loss))}});
}

bool OtlpExporter::wait_until(Deadline time) {
  return !state_.lock().wait_until(changed_, time, [](const State& state) { return state.stopping; });
}

}  // namespace gate
