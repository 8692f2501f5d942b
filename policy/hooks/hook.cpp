#include "policy/hooks/hook.hpp"

#include "policy/text/names.hpp"

namespace gate {
namespace {

constexpr Names<PreparationMode, 2> kModes{{{PreparationMode::Run, "run"}, {PreparationMode::Verify, "verify"}}};
constexpr Names<Probe, 7> kProbes{{{Probe::FrontendsAlive, "FrontendsAlive"},
                                   {Probe::BackendsAlive, "BackendsAlive"},
                                   {Probe::ComputeNodesAlive, "ComputeNodesAlive"},
                                   {Probe::TabletsHealthy, "TabletsHealthy"},
                                   {Probe::NoSchemaChange, "NoSchemaChange"},
                                   {Probe::NoRunningLoads, "NoRunningLoads"},
                                   {Probe::SchedulerDrained, "SchedulerDrained"}}};
constexpr Names<Comparison, 6> kComparisons{{{Comparison::Equal, "="},
                                             {Comparison::NotEqual, "!="},
                                             {Comparison::Less, "<"},
                                             {Comparison::LessOrEqual, "<="},
                                             {Comparison::Greater, ">"},
                                             {Comparison::GreaterOrEqual, ">="}}};
constexpr Names<RestoreMode, 3> kRestoreModes{
    {{RestoreMode::Captured, "captured"}, {RestoreMode::None, "none"}, {RestoreMode::Statement, "sql"}}};

}  // namespace

std::string_view to_string(PreparationMode mode) { return name_of(kModes, mode); }
std::string_view to_string(Probe probe) { return name_of(kProbes, probe); }
std::string_view to_string(Comparison comparison) { return name_of(kComparisons, comparison); }
std::string_view to_string(RestoreMode mode) { return name_of(kRestoreModes, mode); }

std::optional<PreparationMode> mode_from(std::string_view text) { return value_of(kModes, text); }
std::optional<Probe> probe_from(std::string_view text) { return value_of(kProbes, text); }
std::optional<Comparison> comparison_from(std::string_view text) { return value_of(kComparisons, text); }
std::optional<RestoreMode> restore_mode_from(std::string_view text) { return value_of(kRestoreModes, text); }

}  // namespace gate
