#pragma once
// What a person sees of UpgradePreparations in a terminal. Pure: JSON of records in, text out. Records are read
// tolerantly, since the cluster's gate may be older or newer than this program; foreign text is printed without control
// characters.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/text/time.hpp"

namespace gate {

struct Screen {
  int width = 80;       ///< Columns; lines are cut to it.
  bool colour = false;  ///< State words in ANSI colours.
};

/// How an upgrade stands, for exit codes.
enum class UpgradeState {
  Going,      ///< Hooks, rollout or restore under way.
  Succeeded,  ///< Closed after a rollout, or let through by a bypass.
  Ended,      ///< Closed otherwise: reverted, superseded, expired.
  Failed,     ///< The preparation failed.
  Paused,     ///< The rollout waits for a person.
};
[[nodiscard]] UpgradeState upgrade_state(const nlohmann::json& record);

/// Newest first; `items` of a List in any order.
[[nodiscard]] std::vector<nlohmann::json> newest_first(const nlohmann::json& list);

/// One line for each cluster: its open record, else its newest.
[[nodiscard]] std::string status_table(const std::vector<nlohmann::json>& records, WallTime now, const Screen& screen);

/// Everything of one record: hooks with a bar, turns, settings, what it waits for.
[[nodiscard]] std::string record_page(const nlohmann::json& record, WallTime now, const Screen& screen);

/// What an upgrade did: who, when, how long, hooks, settings, nodes. For an open record: so far.
[[nodiscard]] std::string report_page(const nlohmann::json& record, WallTime now, const Screen& screen);

/// "45s", "3m12s", "2h05m", "3d4h".
[[nodiscard]] std::string duration_text(std::chrono::seconds duration);

}  // namespace gate
