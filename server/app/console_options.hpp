#pragma once
// The command line of the commands for people (server/console).

#include <CLI/CLI.hpp>

#include "server/console/console.hpp"

namespace gate {

/// Adds `status`, `watch`, `report`, `retry`, `resume`, `bypass` and `check`. After parsing, `options` has the command
/// that was named. `options` outlives `app`.
void add_console_commands(CLI::App& app, ConsoleOptions& options);

/// Whether one of them was named.
[[nodiscard]] bool console_parsed(const CLI::App& app);

/// "kubectl upgrade-gate" when kubectl started the program as its plugin `kubectl-upgrade_gate`, else "upgrade-gate".
[[nodiscard]] std::string program_name(std::string_view argv0);

}  // namespace gate
