// upgrade-gate: reads the command line; then serves until SIGTERM or SIGINT, logging JSON lines to standard error, or
// restores before an uninstall, or plans.

#include <malloc.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#include "server/app/app.hpp"
#include "server/app/version.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"
#include "server/base/line_writer.hpp"
#include "server/base/log.hpp"
#include "server/base/memory_trimmer.hpp"
#include "server/console/console.hpp"
#include "server/plan/plan.hpp"

namespace {

/// JSON lines to standard error, which may be a pipe that nobody empties.
struct Log {
  explicit Log(const std::string& level)
      : writer(
            STDERR_FILENO,
            [](std::uint64_t lost) {
              return gate::json_log_line(gate::LogLevel::Warning, "log lines lost: nobody read them", {{"lost", lost}});
            }),
        logger(gate::make_json_logger(level, [this](std::string line) { writer.write(std::move(line)); })) {}

  gate::LineWriter writer;
  std::shared_ptr<gate::Logger> logger;
};

/// The signals that mean something to a serving gate. All of them are blocked before any thread exists, so that
/// sigwait() alone receives them; others that would end a process without a reason are ignored.
struct Signals {
  Signals() {
    sigemptyset(&ends);
    for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGXCPU, SIGPWR}) sigaddset(&ends, signal);
    all = ends;
    sigaddset(&all, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    // SIGXFSZ: a log file that has become too large costs its further lines.
    for (const int signal : {SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGSTKFLT, SIGXFSZ}) {
      std::signal(signal, SIG_IGN);
    }
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) std::signal(signal, SIG_IGN);
  }
  sigset_t all{};
  sigset_t ends{};
};

/// Beyond --stop-timeout, for what has no deadline of its own.
constexpr std::chrono::seconds kStopMargin{2};
/// For the last line to be written.
constexpr std::chrono::milliseconds kLastLine{200};

/// Ends the process if it is not destroyed in time: a replica that hangs is worse than one that is killed, since
/// another one takes its claims over only after it fell silent.
std::jthread make_watchdog(gate::Logger& log, std::chrono::seconds stop_timeout) {
  return std::jthread([&log, stop_timeout](const std::stop_token& done) {
    if (!gate::pause_for(stop_timeout + kStopMargin, done)) return;
    gate::log_error(log, "shutdown takes too long: exiting without it", {{"seconds", stop_timeout.count()}});
    gate::pause_for(kLastLine, done);
    std::_Exit(1);
  });
}

gate::Result<std::unique_ptr<gate::App>> start(const gate::ServeOptions& options, gate::Logger& log) {
  try {
    return gate::App::start(options, log);
  } catch (const std::system_error& error) {
    return gate::Error{gate::ErrorCode::Unavailable,
                       std::string("no further thread can be started: ") + error.what() +
                           " (the limit of processes, RLIMIT_NPROC, RLIMIT_DATA and RLIMIT_AS count threads)"};
  } catch (const std::bad_alloc&) {
    return gate::Error{gate::ErrorCode::Unavailable, "out of memory"};
  }
}

int serve(const gate::ServeOptions& options, const Signals& signals) {
  const Log log(options.log_level);
  const gate::MemoryTrimmer trimmer;
  auto app = start(options, *log.logger);
  if (!app) {
    gate::log_error(*log.logger, "cannot start", {{"error", app.error().message}});
    return 1;
  }
  const auto port = (*app)->port();
  const auto ops_port = (*app)->ops_port();
  // The ports are members, too; in the message they are for whoever starts the gate by hand on free ports.
  gate::log_info(*log.logger, "started port=" + std::to_string(port) + " ops_port=" + std::to_string(ops_port),
                 {{"version", gate::kVersion}, {"identity", options.identity}, {"port", port}, {"ops_port", ops_port}});
  int signal = 0;
  while (sigwait(&signals.all, &signal) == 0 && signal == SIGHUP) {
    gate::log_info(*log.logger, "SIGHUP: reading the certificate files");
    gate::attempt(*log.logger, "certificate not reloaded: the one in use stays", [&] { (*app)->reload_certificate(); });
  }
  gate::log_info(*log.logger, "draining", {{"signal", signal}, {"seconds", options.drain.count()}});
  (*app)->begin_drain();
  // A second signal ends the drain early.
  const timespec drain{options.drain.count(), 0};
  sigtimedwait(&signals.ends, nullptr, &drain);
  {
    const auto watchdog = make_watchdog(*log.logger, options.stop_timeout);
    (*app)->stop();
    app->reset();
  }
  gate::log_info(*log.logger, "stopped");
  return 0;
}

/// May be ended by any signal: another run, or a serving replica, goes on from the records.
int release(const gate::CommandLine& line) {
  const Log log(line.options.log_level);
  const auto released = gate::App::release(line.options, line.release_options, *log.logger,
                                           [](const std::string& step) { std::cout << step << std::endl; });
  if (!released) std::cerr << "upgrade-gate release: " << released.error().message << '\n';
  return released && *released ? 0 : 1;
}

/// What was found goes to standard output alone: whoever started it inside of a pod reads that.
int probe(const gate::CommandLine& line) {
  const Log log("error");
  const auto lines = gate::App::probe(line.options, line.probe_options, *log.logger);
  if (!lines) {
    std::cerr << "upgrade-gate probe: " << lines.error().message << '\n';
    return gate::console_exit::kUnusable;
  }
  return gate::print_lines(*lines, line.probe_options.json, std::cout) ? gate::console_exit::kGood
                                                                       : gate::console_exit::kFailed;
}

/// What could not be written was not done: a pipeline would go on with half a plan.
int written(int code) {
  std::cout.flush();
  if (std::cout) return code;
  std::cerr << "upgrade-gate: standard output cannot be written\n";
  return gate::console_exit::kUnusable;
}

/// Colours and the width of the terminal, where there is one (https://no-color.org).
int console(const gate::ConsoleOptions& options) {
  gate::ConsoleStreams streams{std::cout, std::cerr, {}, isatty(STDOUT_FILENO) == 1};
  winsize size{};
  if (streams.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    streams.screen.width = size.ws_col;
  } else if (!streams.terminal) {
    streams.screen.width = 1000;  // a pipe is read by a program: nothing is cut
  }
  streams.screen.colour = streams.terminal && std::getenv("NO_COLOR") == nullptr;
  const gate::SystemClock clock;
  return gate::run_console(options, clock, streams);
}

/// Memory that is used and given back in bursts (one arena per thread, heaps that are never trimmed) would stay: this
/// server is small for days, and must be small again after each attack.
void keep_memory_small() {
  mallopt(M_ARENA_MAX, 4);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);  // Large bodies go back to the system at once. Set, it does not grow.
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

/// The threads' default is what `ulimit -s` says: below a megabyte and a half a library's recursion (std::regex on the
/// first line of an HTTP answer, as long as is allowed) would end the process, and what is more than enough counts
/// against RLIMIT_DATA and RLIMIT_AS, forty times.
constexpr std::size_t kStackBytes = 4u << 20;

void fix_stack_size() {
  pthread_attr_t attributes;
  if (pthread_getattr_default_np(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, kStackBytes) == 0) pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

/// Not on the main thread, whose stack is the system's: the first requests to the API server are made by the caller.
int on_fixed_stack(const std::function<int()>& work) {
  int code = 1;
  std::thread([&] {
    try {
      code = work();
    } catch (const std::exception& bug) {
      std::cerr << "upgrade-gate: " << bug.what() << '\n';
    }
  }).join();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  keep_memory_small();
  fix_stack_size();
  const auto line = gate::parse_command_line(argc, argv);
  try {
    if (line.plan) {
      const auto plan = gate::plan(line.plan_options, std::cin);
      std::cout << plan.output;
      std::cerr << plan.error;
      return written(plan.exit_code);
    }
    if (line.console) return written(console(line.console_options));
    if (!line.serve && !line.release && !line.probe) {
      (line.exit_code == 0 ? std::cout : std::cerr) << line.text;
      return written(line.exit_code);
    }
    std::signal(SIGPIPE, SIG_IGN);
    if (line.release) return on_fixed_stack([&] { return release(line); });
    if (line.probe) return on_fixed_stack([&] { return written(probe(line)); });
    const Signals signals;
    return on_fixed_stack([&] { return serve(line.options, signals); });
  } catch (const std::exception& bug) {
    std::cerr << "upgrade-gate: " << bug.what() << '\n';
    return 1;
  }
}
