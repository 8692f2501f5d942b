// The simulated frontends as a program, for demonstrations and end-to-end tests: prints "fe-0 127.0.0.1:PORT" for each
// FE once all listen, then every statement received as "fe-0 <sql>", and takes commands on standard input.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "test/fakes/frontend_simulator.hpp"

namespace {

using gate::FrontendSimulator;

std::mutex output;

void say(const std::string& line) {
  const std::lock_guard lock(output);
  std::cout << line << std::endl;
}

/// What was typed makes no sense.
struct Malformed : std::runtime_error {
  explicit Malformed(const std::string& expected) : std::runtime_error("expected " + expected) {}
};

double seconds_from(const std::string& text) {
  std::size_t end = 0;
  double seconds = -1;
  try {
    seconds = std::stod(text, &end);
  } catch (const std::exception&) {
  }
  constexpr double kDay = 86'400;
  if (text.empty() || end != text.size() || !(seconds >= 0 && seconds <= kDay)) throw Malformed("a number of seconds");
  return seconds;
}

/// "SUBSTRING=SECONDS"
void add_delay(FrontendSimulator& simulator, const std::string& text) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos) throw Malformed("SUBSTRING=SECONDS");
  const double seconds = seconds_from(text.substr(equals + 1));
  simulator.delay(text.substr(0, equals), std::chrono::milliseconds(static_cast<long>(seconds * 1000)));
}

/// "CODE:STATE:TEXT"
gate::SqlError error_from(const std::string& text) {
  const auto first = text.find(':');
  const auto second = first == std::string::npos ? first : text.find(':', first + 1);
  int code = 0;
  try {
    code = std::stoi(text);
  } catch (const std::exception&) {
  }
  if (second == std::string::npos || code <= 0 || code > 0xFFFF) throw Malformed("CODE:STATE:TEXT");
  return {code, text.substr(first + 1, second - first - 1), text.substr(second + 1)};
}

/// "SUBSTRING=CODE:STATE:TEXT"
void add_failure(FrontendSimulator& simulator, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) throw Malformed("SUBSTRING=CODE:STATE:TEXT");
  simulator.fail(text.substr(0, equals), error_from(text.substr(equals + 1)));
}

std::string rest_of(std::istringstream& words) {
  std::string rest;
  std::getline(words >> std::ws, rest);
  return rest;
}

std::string next_word(std::istringstream& words) {
  std::string word;
  words >> word;
  return word;
}

/// An FE's number.
std::size_t frontend_from(FrontendSimulator& simulator, const std::string& word) {
  // --frontends is at most 9.
  const auto number = static_cast<std::size_t>(word.size() == 1 ? word.front() - '0' : simulator.size());
  if (number >= simulator.size()) throw Malformed("an FE's number, 0 to " + std::to_string(simulator.size() - 1));
  return number;
}

void print_config(FrontendSimulator& simulator, const std::string& key) {
  for (std::size_t i = 0; i < simulator.size(); ++i) {
    const auto frontend = simulator.frontend(i);
    say("config " + frontend.name() + " " + key + "=" + frontend.config(key).value_or("(unknown)"));
  }
}

void set_config(FrontendSimulator& simulator, std::istringstream& words) {
  const std::size_t frontend = frontend_from(simulator, next_word(words));
  std::string key, value;
  if (!(words >> key >> value)) throw Malformed("N KEY VALUE");
  simulator.frontend(frontend).set_config(key, value);
}

void set_leader(FrontendSimulator& simulator, const std::string& word) {
  simulator.set_leader(word == "none" ? std::nullopt : std::optional(frontend_from(simulator, word)));
}

void set_version(FrontendSimulator& simulator, std::istringstream& words) {
  const std::size_t frontend = frontend_from(simulator, next_word(words));
  const std::string version = rest_of(words);
  if (version.empty()) throw Malformed("N VERSION");
  simulator.set_frontend_version(frontend, version);
}

/// "up", "down" or "gone".
gate::NodeMove move_from(const std::string& word) {
  if (word == "up") return gate::NodeMove::Up;
  if (word == "down") return gate::NodeMove::Down;
  if (word == "gone") return gate::NodeMove::Gone;
  throw Malformed("HOST up|down|gone");
}

void move_backend(FrontendSimulator& simulator, std::istringstream& words) {
  const std::string host = next_word(words);
  const auto move = move_from(next_word(words));
  simulator.move_backend(host, move, next_word(words));
}

void move_compute_node(FrontendSimulator& simulator, std::istringstream& words) {
  const std::string host = next_word(words);
  const auto move = move_from(next_word(words));
  const std::string version = next_word(words);
  simulator.move_compute_node(host, move, version, next_word(words));
}

void pass_time(FrontendSimulator& simulator, const std::string& seconds) {
  simulator.pass_time(std::chrono::milliseconds(static_cast<long>(seconds_from(seconds) * 1000)));
}

void set_balance(FrontendSimulator& simulator, std::istringstream& words) {
  gate::SimulatedBalance balance;
  if (!(words >> balance.pending_tablets >> balance.running_tablets)) throw Malformed("PENDING RUNNING");
  simulator.set_cluster_balance({balance});
}

struct Command {
  const char* name;
  const char* arguments;
  const char* what;
  void (*run)(FrontendSimulator& simulator, std::istringstream& words);
};

constexpr const char* kQuit = "quit";
constexpr std::array kCommands{
    Command{"delay", "SUBSTRING=SECONDS", "statements that contain it wait before they run",
            [](auto& simulator, auto& words) { add_delay(simulator, rest_of(words)); }},
    Command{"fail", "SUBSTRING=CODE:STATE:TEXT", "they fail",
            [](auto& simulator, auto& words) { add_failure(simulator, rest_of(words)); }},
    Command{"hang", "SUBSTRING", "they neither run nor are answered",
            [](auto& simulator, auto& words) { simulator.hang(rest_of(words)); }},
    Command{"drop", "SUBSTRING", "they run, and the connection breaks in the middle of the answer",
            [](auto& simulator, auto& words) { simulator.drop(rest_of(words)); }},
    Command{"fail-login", "CODE:STATE:TEXT", "logins fail",
            [](auto& simulator, auto& words) { simulator.fail_login(error_from(rest_of(words))); }},
    Command{"hang-login", "", "logins are not answered", [](auto& simulator, auto&) { simulator.hang_login(); }},
    Command{"clear", "", "ends all of the above", [](auto& simulator, auto&) { simulator.clear_faults(); }},
    Command{"stop", "N", "FE N goes away: connections are cut, new ones refused",
            [](auto& simulator, auto& words) { simulator.stop(frontend_from(simulator, next_word(words))); }},
    Command{"start", "N", "it is back, with the configuration of its file",
            [](auto& simulator, auto& words) { simulator.start(frontend_from(simulator, next_word(words))); }},
    Command{"restart", "N", "it has started again: connections are cut, its configuration is lost",
            [](auto& simulator, auto& words) { simulator.restart(frontend_from(simulator, next_word(words))); }},
    Command{"pass", "SECONDS", "heartbeats and elections go on as if so much time went by",
            [](auto& simulator, auto& words) { pass_time(simulator, next_word(words)); }},
    Command{"freeze", "N", "it answers nothing, and is alive for the others for 25 s",
            [](auto& simulator, auto& words) { simulator.hang_frontend(frontend_from(simulator, next_word(words))); }},
    Command{"thaw", "N", "it goes on",
            [](auto& simulator, auto& words) {
              simulator.hang_frontend(frontend_from(simulator, next_word(words)), false);
            }},
    Command{
        "isolate", "N", "what other FEs are told to set reaches it no more",
        [](auto& simulator, auto& words) { simulator.break_broadcast_to(frontend_from(simulator, next_word(words))); }},
    Command{"rejoin", "N", "it does again",
            [](auto& simulator, auto& words) {
              simulator.break_broadcast_to(frontend_from(simulator, next_word(words)), false);
            }},
    Command{"leader", "N|none", "FE N is the leader, or nobody is: then what must go to it is refused",
            [](auto& simulator, auto& words) { set_leader(simulator, next_word(words)); }},
    Command{"version", "N VERSION", "FE N says that it is of this version", set_version},
    Command{"rollout", "[VERSION]", "every FE, BE and CN has started again, with this version",
            [](auto& simulator, auto& words) { simulator.roll_out(rest_of(words)); }},
    Command{"be", "HOST up|down|gone [VERSION]", "a BE joins or starts again, dies, or is dropped", move_backend},
    Command{"cn", "HOST up|down|gone [VERSION [WAREHOUSE]]", "the same of a CN", move_compute_node},
    Command{"config", "KEY", "prints its value on every FE",
            [](auto& simulator, auto& words) { print_config(simulator, rest_of(words)); }},
    Command{"set", "N KEY VALUE", "as if set on FE N alone, without a statement", set_config},
    Command{"balance", "PENDING RUNNING", "tablets that the balancer has to move, and moves", set_balance},
    Command{kQuit, "", "ends, as the end of the input does", nullptr},
};

std::string usage() {
  std::string text = "Commands on standard input; each is answered by \"done COMMAND\" or \"error WHY\":\n";
  for (const Command& command : kCommands) {
    std::string left = std::string("  ") + command.name + " " + command.arguments;
    left.resize(std::max<std::size_t>(left.size() + 1, 34), ' ');
    text += left + command.what + "\n";
  }
  return text;
}

std::string names() {
  std::string text;
  for (const Command& command : kCommands) text.append(text.empty() ? "" : ", ").append(command.name);
  return text;
}

/// False for "quit".
bool run_command(FrontendSimulator& simulator, const std::string& line) {
  std::istringstream words(line);
  std::string name;
  if (!(words >> name)) return true;
  const auto* const command =
      std::find_if(kCommands.begin(), kCommands.end(), [&](const Command& row) { return name == row.name; });
  if (command == kCommands.end()) throw Malformed("one of: " + names());
  if (command->run == nullptr) return false;
  try {
    command->run(simulator, words);
  } catch (const Malformed& error) {
    throw std::runtime_error(std::string(error.what()) + ": " + command->name + " " + command->arguments);
  }
  say("done " + line);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulated StarRocks frontends on 127.0.0.1, which print the statements that reach them."};
  app.footer(usage());
  gate::FrontendSimulatorOptions options;
  std::vector<std::string> delays;
  std::vector<std::string> failures;
  std::size_t backends = options.backends.size();
  std::size_t compute_nodes = 0;
  options.time_runs = true;
  std::int64_t lag = std::chrono::duration_cast<std::chrono::seconds>(options.liveness_lag).count();
  app.add_option("--frontends", options.frontends, "How many FEs")->capture_default_str()->check(CLI::Range(1, 9));
  app.add_option("--port", options.ports, "Port of an FE, in order; default: chosen by the system");
  app.add_option("--version-string", options.version, "StarRocks version to simulate")->capture_default_str();
  app.add_option("--user", options.username, "The account")->capture_default_str();
  app.add_option("--password", options.password, "Its password; default: none");
  app.add_option("--liveness-lag", lag, "Seconds for which an FE that died is still called alive")
      ->capture_default_str()
      ->check(CLI::Range(0, 3600));
  app.add_option("--run-mode", options.run_mode, "shared_nothing or shared_data")->capture_default_str();
  app.add_option("--backends", backends, "How many BEs")->capture_default_str();
  app.add_option("--compute-nodes", compute_nodes, "How many CNs")->capture_default_str();
  app.add_option("--delay", delays, "SUBSTRING=SECONDS: statements containing it wait before they run");
  app.add_option("--fail", failures, "SUBSTRING=CODE:STATE:TEXT: statements containing it fail");
  CLI11_PARSE(app, argc, argv);

  options.liveness_lag = std::chrono::seconds(lag);
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
