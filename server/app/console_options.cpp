#include "server/app/console_options.hpp"

#include <array>
#include <map>
#include <string>

namespace gate {
namespace {

struct Command {
  const char* name;
  ConsoleCommand command;
  const char* help;
  bool needs_cluster;
};
constexpr std::array kCommands{
    Command{"status", ConsoleCommand::Show, "Show the upgrades of all clusters, or one of them in full", false},
    Command{"watch", ConsoleCommand::Watch, "Follow the upgrade of a cluster until it ends", true},
    Command{"report", ConsoleCommand::Report, "What the last upgrade of a cluster did", true},
    Command{"retry", ConsoleCommand::Retry, "Ask for a new attempt at once after a failed preparation", true},
    Command{"resume", ConsoleCommand::Resume, "Resume a paused rollout", true},
    Command{"bypass", ConsoleCommand::Bypass, "Let one image change through unprepared, in an emergency", true},
    Command{"check", ConsoleCommand::Check, "Check the gate's installation", false}};

CLI::Option* add_seconds(CLI::App& command, const std::string& name, std::chrono::seconds& target,
                         const std::string& help) {
  return command
      .add_option_function<std::uint32_t>(
          name, [&target](std::uint32_t count) { target = std::chrono::seconds(count); }, help)
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, std::uint32_t>{{"s", 1}, {"m", 60}, {"h", 3600}},
                                        CLI::AsNumberWithUnit::UNIT_REQUIRED, "DURATION"));
}

void add_output(CLI::App& command, bool& json) {
  command.add_option("-o,--output", json, "Output format")
      ->transform(CLI::CheckedTransformer(std::map<std::string, bool>{{"text", false}, {"json", true}}))
      ->type_name("text|json")
      ->default_str("text");
}

}  // namespace

void add_console_commands(CLI::App& app, ConsoleOptions& options) {
  for (const auto& entry : kCommands) {
    CLI::App* command = app.add_subcommand(entry.name, entry.help);
    command->callback([&options, &entry] { options.command = entry.command; });
    command->group("Commands for people (they run kubectl)");
    auto* cluster = command->add_option("CLUSTER", options.cluster, "Name of a StarRocksCluster");
    if (entry.needs_cluster) cluster->required();
    command->add_option("-n,--namespace", options.name_space, "Namespace; default: that of the current context");
    command->add_option("--context", options.context, "Context of the kubeconfig; passed to kubectl");
    command->add_option("--kubeconfig", options.kubeconfig, "Passed to kubectl");
    command->add_option("--as", options.as, "User to impersonate; passed to kubectl");
    command->add_option("--kubectl", options.kubectl, "kubectl executable to run")->capture_default_str();
    switch (entry.command) {
      case ConsoleCommand::Show:
        command->add_flag("-A,--all-namespaces", options.all_namespaces, "In all namespaces");
        add_output(*command, options.json);
        command->footer(
            "Exit codes: 0 succeeded or going on, 1 failed, 2 unusable, 3 paused, 5 reverted or superseded.");
        break;
      case ConsoleCommand::Watch:
        add_seconds(*command, "--timeout", options.timeout, "Give up after this, e.g. 30m (1h)");
        command->footer(
            "Exit codes: 0 succeeded, 1 failed, 2 unusable, 3 paused, 4 timeout, 5 reverted or superseded.");
        break;
      case ConsoleCommand::Report:
        command->add_option("--record", options.record, "This UpgradePreparation instead of the newest");
        add_output(*command, options.json);
        break;
      case ConsoleCommand::Retry:
      case ConsoleCommand::Resume:
        break;
      case ConsoleCommand::Bypass:
        command->add_option("--reason", options.reason, "Reason; it is recorded")->required();
        command->add_option("--target", options.target, "The target key in a refusal's last line, or * for any")
            ->capture_default_str();
        add_seconds(*command, "--for", options.valid_for, "How long the bypass waits for the change, e.g. 30m (1h)");
        command->add_flag("--yes", options.yes, "Write the annotation; without this flag it is only shown");
        break;
      case ConsoleCommand::Check:
        command->add_option("--gate-namespace", options.gate_namespace, "Namespace of the gate")->capture_default_str();
        command
            ->add_option("--gate-name", options.gate_name,
                         "Name of its Deployment, ServiceAccount and webhook configurations")
            ->capture_default_str();
        add_output(*command, options.json);
        break;
    }
  }
}

bool console_parsed(const CLI::App& app) {
  for (const auto& entry : kCommands) {
    if (app.get_subcommand(entry.name)->parsed()) return true;
  }
  return false;
}

std::string program_name(std::string_view argv0) {
  const auto slash = argv0.rfind('/');
  const auto name = slash == argv0.npos ? argv0 : argv0.substr(slash + 1);
  return name.substr(0, 8) == "kubectl-" ? "kubectl upgrade-gate" : "upgrade-gate";
}

}  // namespace gate
