// upgrade-gate: reads the command line; then serves until SIGTERM or SIGINT, logging JSON lines to standard error, or
// pays what is owed, or plans.

#include <malloc.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "server/app/app.hpp"
#include "server/app/version.hpp"
#include "server/plan/plan.hpp"

namespace {

/// The message as a JSON string: foreign text in it cannot break the line or pretend to be another field.
class JsonMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const auto text = nlohmann::json(std::string(message.payload.data(), message.payload.size()))
                          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return spdlog::details::make_unique<JsonMessage>();
  }
};

std::unique_ptr<spdlog::logger> make_logger(const std::string& level) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<JsonMessage>('*').set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%*})");
  auto logger = std::make_unique<spdlog::logger>("gate", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::move(formatter));
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::debug);
  return logger;
}

int serve(const gate::ServeOptions& options, const sigset_t& signals) {
  auto log = make_logger(options.log_level);
  auto app = gate::App::start(options, *log);
  if (!app) {
    log->error("cannot start: {}", app.error().message);
    return 1;
  }
  log->info("upgrade-gate {} serves identity={} port={} ops_port={}", gate::kVersion, options.identity, (*app)->port(),
            (*app)->ops_port());
  int signal = 0;
  sigwait(&signals, &signal);
  log->info("signal {}: readiness is off, serving on for {} s", signal, options.drain.count());
  (*app)->begin_drain();
  // A second signal ends the drain early.
  const timespec drain{options.drain.count(), 0};
  sigtimedwait(&signals, nullptr, &drain);
  (*app)->stop();
  log->info("stopped");
  return 0;
}

/// May be ended by any signal: another run, or a serving replica, goes on from the records.
int release(const gate::CommandLine& line) {
  auto log = make_logger(line.options.log_level);
  const auto paid = gate::App::release(line.options, line.release_options, *log,
                                       [](const std::string& step) { std::cout << step << std::endl; });
  if (!paid) std::cerr << "upgrade-gate release: " << paid.error().message << '\n';
  return paid && *paid ? 0 : 1;
}

/// Memory that is used and given back in bursts (one arena per thread, heaps that are never trimmed) would stay: this
/// server is small for days, and must be small again after each attack.
void keep_memory_small() {
  mallopt(M_ARENA_MAX, 4);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);  // Large bodies go back to the system at once. Set, it does not grow.
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  keep_memory_small();
  const auto line = gate::parse_command_line(argc, argv);
  try {
    if (line.plan) {
      const auto plan = gate::plan(line.plan_options, std::cin);
      std::cout << plan.output;
      std::cerr << plan.error;
      return plan.exit_code;
    }
    if (!line.serve && !line.release) {
      (line.exit_code == 0 ? std::cout : std::cerr) << line.text;
      return line.exit_code;
    }
    std::signal(SIGPIPE, SIG_IGN);
    if (line.release) return release(line);
    // Blocked before any thread exists, so that sigwait() alone receives them.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return serve(line.options, signals);
  } catch (const std::exception& bug) {
    std::cerr << "upgrade-gate: " << bug.what() << '\n';
    return 1;
  }
}
