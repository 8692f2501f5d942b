#include "server/console/views.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/record/preparation_codec.hpp"
#include "policy/record/record_order.hpp"
#include "policy/text/text.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr std::size_t kBarWidth = 20;
/// Values in tables; the whole text stands in `kubectl describe`.
constexpr std::size_t kCellMax = 60;

const json& status_of(const json& record) { return member(record, "status"); }
const json& spec_of(const json& record) { return member(record, "spec"); }
std::string name_of(const json& record) { return printable_text(text_member(member(record, "metadata"), "name")); }
std::string namespace_of(const json& record) {
  return printable_text(text_member(member(record, "metadata"), "namespace"));
}
std::string cluster_of(const json& record) {
  return printable_text(text_member(member(spec_of(record), "clusterRef"), "name"));
}
bool flag(const json& object, std::string_view key) {
  const json& value = member(object, key);
  return value.is_boolean() && value.get<bool>();
}
std::optional<WallTime> time_of(const json& object, std::string_view key) {
  return parse_time(text_member(object, key));
}

/// Characters, not bytes: a column holds one of either.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string cut(const std::string& text, std::size_t width) {
  if (width_of(text) <= width) return text;
  std::string out;
  std::size_t taken = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (begins && ++taken > width - std::min<std::size_t>(width, 3)) break;
    out += c;
  }
  return out + std::string("...").substr(0, width);
}

/// Red, yellow or green by what the word means; the text itself without colours.
std::string painted(const std::string& word, const Screen& screen) {
  if (!screen.colour) return word;
  static constexpr std::array<std::pair<std::string_view, int>, 14> kColours{{{"Failed", 31},
                                                                              {"Expired", 31},
                                                                              {"Paused", 31},
                                                                              {"Pending", 33},
                                                                              {"Running", 33},
                                                                              {"Held", 33},
                                                                              {"Rolling", 33},
                                                                              {"RollingOut", 33},
                                                                              {"Restoring", 33},
                                                                              {"Bypassed", 33},
                                                                              {"Completed", 32},
                                                                              {"Prepared", 32},
                                                                              {"Done", 32},
                                                                              {"Succeeded", 32}}};
  for (const auto& [known, colour] : kColours) {
    if (word.substr(0, word.find(' ')) == known) return "\x1b[" + std::to_string(colour) + "m" + word + "\x1b[0m";
  }
  return word;
}

std::string changes_text(const json& record) {
  std::string out;
  for (const json& change : list_member(spec_of(record), "changes")) {
    if (!out.empty()) out += ", ";
    out += printable_text(text_member(change, "component")) + " " +
           printable_text(image_version(text_member(change, "from"))) + " -> " +
           printable_text(image_version(text_member(change, "to")));
  }
  return out;
}

bool is_closed(const json& record) {
  return text_member(status_of(record), "stage") == "Closed" && !flag(status_of(record), "restoreOwed");
}

/// "Preparing", "Closed: Succeeded", "Failed: Restoring".
std::string stage_text(const json& record) {
  const json& status = status_of(record);
  const auto stage = text_member(status, "stage");
  const auto outcome = text_member(status, "outcome");
  if (stage.empty()) return "Pending";
  if (stage == "Closed" && !outcome.empty()) return printable_text(outcome);
  return printable_text(stage);
}

std::pair<std::size_t, std::size_t> hooks_done(const json& record) {
  std::size_t done = 0;
  for (const json& hook : list_member(status_of(record), "hooks")) {
    const auto phase = text_member(hook, "phase");
    if (phase == "Completed" || phase == "Skipped") ++done;
  }
  return {done, list_member(spec_of(record), "hooks").size()};
}

std::string fraction(const std::pair<std::size_t, std::size_t>& of) {
  return std::to_string(of.first) + "/" + std::to_string(of.second);
}

std::string bar(const std::pair<std::size_t, std::size_t>& of) {
  const std::size_t full = of.second == 0 ? kBarWidth : kBarWidth * std::min(of.first, of.second) / of.second;
  return "[" + std::string(full, '#') + std::string(kBarWidth - full, '-') + "]";
}

std::string turn_text(const json& record) {
  for (const json& turn : list_member(status_of(record), "turns")) {
    const auto phase = text_member(turn, "phase");
    if (phase == "Done") continue;
    std::string components;
    for (const json& component : list_member(turn, "components")) {
      if (component.is_string()) components += (components.empty() ? "" : "+") + component.get<std::string>();
    }
    std::string out = printable_text(components + " " + phase);
    const json& step = member(turn, "step");
    const json& of = member(turn, "of");
    if (step.is_number() && of.is_number()) out += " " + step.dump() + "/" + of.dump();
    return out;
  }
  return {};
}

/// What its turn or its hook waits for; "" where neither does. When the record is over or expired that is past, and its
/// message says what there is to do.
std::string waits_for(const json& record) {
  if (is_closed(record) || text_member(status_of(record), "outcome") == "Expired") return {};
  for (const json& turn : list_member(status_of(record), "turns")) {
    const auto waiting = text_member(turn, "waitingFor");
    if (text_member(turn, "phase") != "Done" && !waiting.empty()) return printable_text(waiting);
  }
  for (const json& hook : list_member(status_of(record), "hooks")) {
    if (text_member(hook, "phase") != "Running") continue;
    const auto message = text_member(hook, "message");
    return printable_text(text_member(hook, "name") + (message.empty() ? "" : ": " + message));
  }
  return {};
}

using Row = std::vector<std::string>;

/// Columns as wide as their widest cell; the last takes what is left of the line.
std::string table(const std::vector<Row>& rows, const Screen& screen, const std::string& indent = "") {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = indent;
    std::size_t at = indent.size();
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t left = static_cast<std::size_t>(screen.width) > at ? screen.width - at : 0;
      const bool last = i + 1 == row.size();
      const std::string shown = cut(row[i], left);
      line += painted(shown, screen);
      if (!last) line += std::string(std::min(left - width_of(shown), widths[i] - width_of(row[i]) + 2), ' ');
      at += std::min(left, widths[i] + 2);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string took_text(const json& entry) {
  const auto began = time_of(entry, "startTime");
  const auto ended = time_of(entry, "completionTime");
  return began && ended ? duration_text(*ended - *began) : "";
}

std::vector<Row> hook_rows(const json& record) {
  std::vector<Row> rows;
  const json& states = list_member(status_of(record), "hooks");
  for (const json& hook : list_member(spec_of(record), "hooks")) {
    const auto name = text_member(hook, "name");
    const auto found = std::find_if(states.begin(), states.end(),
                                    [&](const json& state) { return text_member(state, "name") == name; });
    const json none;
    const json& state = found == states.end() ? none : *found;
    const auto phase = text_member(state, "phase");
    rows.push_back({printable_text(name), phase.empty() ? "Pending" : printable_text(phase), took_text(state),
                    printable_text(text_member(state, "message"))});
  }
  return rows;
}

std::vector<Row> turn_rows(const json& record) {
  std::vector<Row> rows;
  for (const json& turn : list_member(status_of(record), "turns")) {
    std::string components;
    for (const json& component : list_member(turn, "components")) {
      if (component.is_string()) components += (components.empty() ? "" : ", ") + component.get<std::string>();
    }
    const json& step = member(turn, "step");
    const json& of = member(turn, "of");
    rows.push_back({printable_text(components), printable_text(text_member(turn, "phase")),
                    step.is_number() && of.is_number() ? "step " + step.dump() + " of " + of.dump() : "",
                    printable_text(text_member(turn, "waitingFor"))});
  }
  return rows;
}

std::vector<Row> setting_rows(const json& record) {
  std::vector<Row> rows;
  for (const json& captured : list_member(status_of(record), "captured")) {
    rows.push_back({cut(printable_text(text_member(captured, "key")), kCellMax),
                    "was " + cut(printable_text(text_member(captured, "value")), kCellMax),
                    "set to " + cut(printable_text(text_member(captured, "setTo")), kCellMax)});
  }
  return rows;
}

void section(std::string& out, const std::string& title, const std::vector<Row>& rows, const Screen& screen) {
  if (rows.empty()) return;
  out += "\n" + title + "\n" + table(rows, screen, "  ");
}

}  // namespace

std::string duration_text(seconds duration) {
  const long long total = std::max<long long>(0, duration.count());
  std::array<char, 48> out{};
  if (total < 60) {
    std::snprintf(out.data(), out.size(), "%llds", total);
  } else if (total < 3600) {
    std::snprintf(out.data(), out.size(), "%lldm%02llds", total / 60, total % 60);
  } else if (total < 86400) {
    std::snprintf(out.data(), out.size(), "%lldh%02lldm", total / 3600, total % 3600 / 60);
  } else {
    std::snprintf(out.data(), out.size(), "%lldd%lldh", total / 86400, total % 86400 / 3600);
  }
  return out.data();
}

UpgradeState upgrade_state(const json& record) {
  const json& status = status_of(record);
  const auto outcome = text_member(status, "outcome");
  if (is_closed(record)) {
    if (outcome == "Succeeded" || outcome == "Bypassed") return UpgradeState::Succeeded;
    return outcome == "Failed" || text_member(status, "phase") == "Failed" ? UpgradeState::Failed : UpgradeState::Ended;
  }
  for (const json& turn : list_member(status, "turns")) {
    if (text_member(turn, "phase") == "Paused") return UpgradeState::Paused;
  }
  return text_member(status, "phase") == "Failed" ? UpgradeState::Failed : UpgradeState::Going;
}

std::vector<json> newest_first(const json& list) {
  std::map<std::pair<std::string, std::string>, const json*> items;
  std::vector<Preparation> order;
  for (const json& item : list_member(list, "items")) {
    auto record = preparation_from_json(item);
    if (!record) {  // of another version: shown all the same
      const json& metadata = member(item, "metadata");
      const json& attempt = member(spec_of(item), "attempt");
      record = Preparation{};
      record->name_space = text_member(metadata, "namespace");
      record->name = text_member(metadata, "name");
      record->creation_time = parse_time(text_member(metadata, "creationTimestamp"));
      record->spec.attempt = attempt.is_number_integer() ? attempt.get<int>() : 0;
      record->spec.supersedes = text_member(spec_of(item), "supersedes");
      record->spec.candidate_of = text_member(spec_of(item), "candidateOf");
    }
    if (items.emplace(std::pair(record->name_space, record->name), &item).second) order.push_back(*std::move(record));
  }
  sort_newest_first(order);
  std::vector<json> out;
  for (const auto& record : order) out.push_back(*items.at({record.name_space, record.name}));
  return out;
}

std::string status_table(const std::vector<json>& records, WallTime now, const Screen& screen) {
  std::vector<const json*> shown;
  std::set<std::string> clusters;
  for (const bool closed : {false, true}) {
    for (const json& record : records) {
      if (is_closed(record) != closed) continue;
      const auto cluster = namespace_of(record) + "/" + cluster_of(record);
      // A candidate beside the record that rolls out is a line of its own; of the closed ones the newest counts.
      if (!clusters.insert(cluster).second && closed) continue;
      shown.push_back(&record);
    }
  }
  if (shown.empty()) return "No upgrade preparations found.\n";
  std::vector<Row> rows{{"NAMESPACE", "CLUSTER", "STATE", "HOOKS", "TURN", "AGE", "CHANGE"}};
  for (const json* record : shown) {
    const auto created = time_of(member(*record, "metadata"), "creationTimestamp");
    rows.push_back({namespace_of(*record), cluster_of(*record), stage_text(*record), fraction(hooks_done(*record)),
                    turn_text(*record), created ? duration_text(now - *created) : "", changes_text(*record)});
  }
  return table(rows, screen);
}

std::string record_page(const json& record, WallTime now, const Screen& screen) {
  const json& status = status_of(record);
  const auto created = time_of(member(record, "metadata"), "creationTimestamp");
  std::vector<Row> head{{"Cluster:", namespace_of(record) + "/" + cluster_of(record)},
                        {"Record:", name_of(record)},
                        {"Change:", changes_text(record)},
                        {"State:", stage_text(record) + (flag(status, "restoreOwed") ? " (restore pending)" : "")}};
  if (created) head.push_back({"Age:", duration_text(now - *created)});
  const auto turn = turn_text(record);
  if (!turn.empty()) head.push_back({"Turn:", turn});
  // A message is a sentence of its own ("waiting for the rollout: ...").
  const auto waiting = waits_for(record);
  const auto message = printable_text(text_member(status, "message"));
  if (!waiting.empty()) {
    head.push_back({"Waits for:", waiting});
  } else if (!message.empty()) {
    head.push_back({"Message:", message});
  }
  std::string out = table(head, screen);
  const auto done = hooks_done(record);
  section(out, "Hooks " + bar(done) + " " + fraction(done), hook_rows(record), screen);
  section(out, "Turns", turn_rows(record), screen);
  section(out, is_closed(record) ? "Settings (restored)" : "Settings", setting_rows(record), screen);
  return out;
}

std::string report_page(const json& record, WallTime now, const Screen& screen) {
  const json& status = status_of(record);
  const json& spec = spec_of(record);
  const auto created = time_of(member(record, "metadata"), "creationTimestamp");
  const auto restored = time_of(status, "restoredTime");
  std::vector<Row> head{{"Upgrade of", namespace_of(record) + "/" + cluster_of(record)},
                        {"Change", changes_text(record)},
                        {"Outcome", stage_text(record)},
                        {"Requested by", printable_text(text_member(member(spec, "requestedBy"), "username"))},
                        {"Record", name_of(record)}};
  if (created) head.push_back({"Took", duration_text(restored.value_or(now) - *created)});
  const auto message = text_member(status, "message");
  if (!message.empty()) head.push_back({"Message", printable_text(message)});
  std::string out = table(head, screen);

  std::vector<Row> times;
  const auto add_time = [&](const std::string& what, std::optional<WallTime> time, std::optional<WallTime> before) {
    if (time) times.push_back({what, format_time(*time), before ? "+" + duration_text(*time - *before) : ""});
  };
  const auto prepared = time_of(status, "completionTime");
  const auto admitted = time_of(status, "admittedTime");
  const auto rolled_out = time_of(status, "rolledOutTime");
  add_time("requested", created, std::nullopt);
  add_time("hooks began", time_of(status, "startTime"), created);
  add_time("hooks ended", prepared, time_of(status, "startTime"));
  add_time("admitted", admitted, prepared);
  add_time("rolled out", rolled_out, admitted);
  add_time("settings restored", restored, rolled_out ? rolled_out : time_of(status, "restoringTime"));
  section(out, "Times", times, screen);
  section(out, "Hooks", hook_rows(record), screen);
  section(out, "Turns", turn_rows(record), screen);
  section(out, flag(status, "restoreOwed") ? "Settings (restore pending)" : "Settings (restored)", setting_rows(record),
          screen);
  std::vector<Row> nodes;
  for (const json& node : list_member(status, "nodesBefore")) {
    nodes.push_back({printable_text(text_member(node, "component")), printable_text(text_member(node, "name")),
                     "was " + printable_text(text_member(node, "version"))});
  }
  section(out, "Nodes", nodes, screen);
  return out;
}

}  // namespace gate
