// The simulated frontends as a program, for demonstrations and end-to-end tests: prints "fe-0 127.0.0.1:PORT" for each
// FE once all listen, then every statement received as "fe-0 <sql>", and takes commands on standard input.

#include <CLI/CLI.hpp>
#include <iostream>
#include <mutex>
#include <sstream>

#include "test/fakes/frontend_simulator.hpp"

namespace {

std::mutex output;

void say(const std::string& line) {
  const std::lock_guard lock(output);
  std::cout << line << std::endl;
}

std::runtime_error malformed(const std::string& what) { return std::runtime_error("expected " + what); }

/// "SUBSTRING=SECONDS"
void add_delay(gate::FrontendSimulator& simulator, const std::string& text) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos) throw malformed("SUBSTRING=SECONDS");
  const double seconds = std::stod(text.substr(equals + 1));
  simulator.delay(text.substr(0, equals), std::chrono::milliseconds(static_cast<long>(seconds * 1000)));
}

/// "SUBSTRING=CODE:STATE:TEXT"
void add_failure(gate::FrontendSimulator& simulator, const std::string& text) {
  const auto equals = text.find('=');
  const auto first = text.find(':', equals == std::string::npos ? 0 : equals);
  const auto second = first == std::string::npos ? first : text.find(':', first + 1);
  if (equals == std::string::npos || second == std::string::npos) throw malformed("SUBSTRING=CODE:STATE:TEXT");
  simulator.fail(text.substr(0, equals), {std::stoi(text.substr(equals + 1, first - equals - 1)),
                                          text.substr(first + 1, second - first - 1), text.substr(second + 1)});
}

constexpr const char* kCommands =
    "delay SUBSTRING=SECONDS, fail SUBSTRING=CODE:STATE:TEXT, hang SUBSTRING, drop SUBSTRING, clear, stop N, start N, "
    "restart N, config KEY, set N KEY VALUE, balance PENDING RUNNING, quit";

/// False for "quit".
bool run_command(gate::FrontendSimulator& simulator, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  words >> command >> std::ws;
  std::string rest;
  std::getline(words, rest);
  const auto index = [&] { return static_cast<std::size_t>(std::stoul(rest)); };
  if (command == "quit") return false;
  if (command == "delay") {
    add_delay(simulator, rest);
  } else if (command == "fail") {
    add_failure(simulator, rest);
  } else if (command == "hang") {
    simulator.hang(rest);
  } else if (command == "drop") {
    simulator.drop(rest);
  } else if (command == "clear") {
    simulator.clear_faults();
  } else if (command == "stop") {
    simulator.stop(index());
  } else if (command == "start") {
    simulator.start(index());
  } else if (command == "restart") {
    simulator.restart(index());
  } else if (command == "config") {
    for (std::size_t i = 0; i < simulator.size(); ++i)
      say("config " + simulator.frontend(i).name() + " " + rest + "=" +
          simulator.frontend(i).config(rest).value_or("(unknown)"));
  } else if (command == "set") {
    std::istringstream arguments(rest);
    std::size_t frontend = 0;
    std::string key, value;
    if (!(arguments >> frontend >> key >> value)) throw malformed("set N KEY VALUE");
    simulator.frontend(frontend).set_config(key, value);
  } else if (command == "balance") {
    std::istringstream arguments(rest);
    gate::SimulatedBalance balance;
    if (!(arguments >> balance.pending_tablets >> balance.running_tablets)) throw malformed("balance PENDING RUNNING");
    simulator.set_cluster_balance({balance});
  } else if (!command.empty()) {
    throw malformed(std::string("one of: ") + kCommands);
  }
  if (!command.empty()) say("done " + line);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulated StarRocks frontends on 127.0.0.1. Commands on standard input: " + std::string(kCommands)};
  gate::FrontendSimulatorOptions options;
  std::vector<std::string> delays;
  std::vector<std::string> failures;
  std::size_t backends = options.backends.size();
  std::size_t compute_nodes = 0;
  app.add_option("--frontends", options.frontends, "How many FEs")->capture_default_str()->check(CLI::Range(1, 9));
  app.add_option("--port", options.ports, "Port of an FE, in order; default: chosen by the system");
  app.add_option("--version-string", options.version, "StarRocks version to simulate")->capture_default_str();
  app.add_option("--user", options.username, "The account")->capture_default_str();
  app.add_option("--password", options.password, "Its password; default: none");
  app.add_option("--backends", backends, "How many BEs")->capture_default_str();
  app.add_option("--compute-nodes", compute_nodes, "How many CNs")->capture_default_str();
  app.add_option("--delay", delays, "SUBSTRING=SECONDS: statements containing it wait before they run");
  app.add_option("--fail", failures, "SUBSTRING=CODE:STATE:TEXT: statements containing it fail");
  CLI11_PARSE(app, argc, argv);

  options.backends.clear();
  for (std::size_t i = 0; i < backends; ++i) options.backends.push_back({"be-" + std::to_string(i), true, ""});
  for (std::size_t i = 0; i < compute_nodes; ++i)
    options.compute_nodes.push_back({"cn-" + std::to_string(i), true, ""});
  options.on_statement = [](const gate::ReceivedStatement& statement) {
    std::string line = statement.sql;
    for (char& c : line)
      if (c == '\n' || c == '\r') c = ' ';
    say(statement.frontend + " " + line);
  };

  try {
    gate::FrontendSimulator simulator(options);
    for (const auto& delay : delays) add_delay(simulator, delay);
    for (const auto& failure : failures) add_failure(simulator, failure);
    for (std::size_t i = 0; i < simulator.size(); ++i)
      say(simulator.frontend(i).name() + " 127.0.0.1:" + std::to_string(simulator.frontend(i).port()));
    for (std::string line; std::getline(std::cin, line);) {
      try {
        if (!run_command(simulator, line)) break;
      } catch (const std::exception& error) {
        say("error " + std::string(error.what()));
      }
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
