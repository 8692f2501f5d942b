#include "server/app/console_options.hpp"

#include <array>
#include <string>

#include "policy/text/object_name.hpp"
#include "policy/text/text.hpp"
#include "server/app/option_values.hpp"

namespace gate {
namespace {

enum class Takes { Nothing, Maybe, Cluster };

struct Command {
  const char* name;
  ConsoleCommand command;
  const char* help;
  Takes takes;
};
constexpr std::array kCommands{
    Command{"status", ConsoleCommand::Show, "Show the upgrades of all clusters, or one of them in full", Takes::Maybe},
    Command{"watch", ConsoleCommand::Watch, "Follow the upgrade of a cluster until it ends", Takes::Cluster},
    Command{"report", ConsoleCommand::Report, "What the last upgrade of a cluster did", Takes::Cluster},
    Command{"retry", ConsoleCommand::Retry, "Ask for a new attempt at once after a failed preparation", Takes::Cluster},
    Command{"resume", ConsoleCommand::Resume, "Resume a paused rollout", Takes::Cluster},
    Command{"bypass", ConsoleCommand::Bypass, "Let one image change through unprepared, in an emergency",
            Takes::Cluster},
    Command{"check", ConsoleCommand::Check, "Check the gate's installation", Takes::Nothing}};

constexpr std::chrono::hours kWeek{7 * 24};

/// What kubectl would not find, or would take for something else: a kind before the name, an empty variable of a
/// script.
std::string cluster_fault(const std::string& text) {
  if (is_object_name(text)) return "";
  const auto slash = text.find('/');
  const bool named = slash != std::string::npos && is_object_name(text.substr(slash + 1));
  return "\"" + clean_text(text, 80) + "\" is not the name of a StarRocksCluster: want " +
         (named ? text.substr(slash + 1) + ", without what is before the slash"
                : std::string("lower case letters, digits, '-' and '.'"));
}

void add_cluster(CLI::App& command, Takes takes, ConsoleOptions& options) {
  if (takes == Takes::Nothing) return;
  auto* cluster = command.add_option("CLUSTER", options.cluster, "Name of a StarRocksCluster")->check(cluster_fault);
  if (takes == Takes::Cluster) cluster->required();
}

}  // namespace

void add_console_commands(CLI::App& app, ConsoleOptions& options) {
  for (const auto& entry : kCommands) {
    CLI::App* command = app.add_subcommand(entry.name, entry.help);
    command->callback([&options, &entry] { options.command = entry.command; });
    command->group("Commands for people (they run kubectl)");
    add_cluster(*command, entry.takes, options);
    if (entry.command != ConsoleCommand::Check) {
      command->add_option("-n,--namespace", options.name_space, "Namespace; default: that of the current context");
    }
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
        add_duration(*command, "--timeout", options.timeout, "Give up after this", std::chrono::seconds{1}, kWeek);
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
        add_duration(*command, "--for", options.valid_for, "How long the bypass waits for the change",
                     std::chrono::seconds{1}, kWeek);
        command->add_flag("--yes", options.yes, "Write the annotation; without this flag it is only shown");
        break;
      case ConsoleCommand::Check:
        command->add_option("-n,--namespace,--gate-namespace", options.gate_namespace, "Namespace of the gate")
            ->capture_default_str();
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
