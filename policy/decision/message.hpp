#pragma once
// What people read: the texts of denials and warnings, in one place.

#include <string>

#include "policy/decision/decision.hpp"

namespace gate {

/// The first line of a denial stands alone within this many characters (Argo CD and Flux show it in one field).
inline constexpr std::size_t kFirstLineMax = 300;

[[nodiscard]] std::string hooks_invalid_message(const AdmissionFacts& facts);
/// `record` is null while no record exists yet.
[[nodiscard]] std::string running_message(const AdmissionFacts& facts, const Preparation* record);
[[nodiscard]] std::string failed_message(const AdmissionFacts& facts, const Preparation& record);
[[nodiscard]] std::string unavailable_message(const AdmissionFacts& facts);
/// The API server refuses what the gate must read or write, and would again.
[[nodiscard]] std::string store_refused_message(const AdmissionFacts& facts);
/// `findings` as judge_path() orders them, the first one forbidden.
[[nodiscard]] std::string path_forbidden_message(const AdmissionFacts& facts, const std::vector<PathFinding>& findings);
[[nodiscard]] std::string object_changed_message(const AdmissionFacts& facts);
[[nodiscard]] std::string record_refused_message(const AdmissionFacts& facts);
[[nodiscard]] std::string too_many_open_message(const AdmissionFacts& facts, std::size_t open);
[[nodiscard]] std::string too_many_new_message(const AdmissionFacts& facts, WallTime next);
[[nodiscard]] std::string bypass_forbidden_message(std::string_view username, const std::string& name_space);
[[nodiscard]] std::string hooks_unread_message(const AdmissionFacts& facts);

/// The last line of every denial: what a bypass must name.
[[nodiscard]] std::string target_line(const std::string& key);

/// Warnings; each fits kWarningMax characters.
[[nodiscard]] std::string dry_run_warning(const std::string& state);
/// Where the real request would be refused.
[[nodiscard]] std::string dry_run_refusal_warning(std::string_view why);
/// The change is admitted, and the StatefulSets stay as they are until `preparation` is completed.
[[nodiscard]] std::string held_warning(const std::string& preparation);
[[nodiscard]] std::string revert_warning();
/// Admitted although the FE, which the change is to cure, could not be asked for its settings.
[[nodiscard]] std::string unread_settings_warning();
[[nodiscard]] std::string path_warning(const PathFinding& finding);
[[nodiscard]] std::string bypass_warning(const Bypass& bypass, bool dry_run);
[[nodiscard]] std::string bypass_ignored_warning(const std::string& why);
[[nodiscard]] std::string failed_hook_warning(const HookStatus& hook);
[[nodiscard]] std::string skipped_hook_warning(const HookStatus& hook);

/// "1/4 hooks".
[[nodiscard]] std::string progress(const Preparation& record);

}  // namespace gate
