#include "server/console/console.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "policy/decision/bypass.hpp"
#include "policy/json/json_member.hpp"
#include "policy/text/text.hpp"
#include "policy/versions/image_change.hpp"
#include "server/console/can_i.hpp"
#include "server/console/check.hpp"
#include "server/console/json_stream.hpp"
#include "server/console/process.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds kCallTimeout{60};
constexpr const char* kRecords = "upgradepreparations.gate.starrocks.com";
constexpr const char* kClusters = "starrocksclusters.starrocks.com";
constexpr const char* kWarehouses = "starrockswarehouses.starrocks.com";
constexpr const char* kHome = "\x1b[H\x1b[J";

/// The commands share kubectl, the streams and the options.
class Console {
 public:
  Console(const ConsoleOptions& options, const Clock& clock, const ConsoleStreams& streams)
      : options_(options), clock_(clock), streams_(streams) {}

  int status();
  int watch();
  int report();
  int retry();
  int resume();
  int bypass();

 private:
  [[nodiscard]] std::vector<std::string> command(std::vector<std::string> words, bool scoped = true) const;
  [[nodiscard]] Result<std::string> kubectl(std::vector<std::string> words, bool scoped = true) const;
  [[nodiscard]] Result<json> kubectl_json(std::vector<std::string> words) const;
  /// The records in scope, newest first; of one cluster where one is named.
  [[nodiscard]] Result<std::vector<json>> records() const;
  /// An error where the named cluster is not there: nobody waits for a name with a typing error.
  [[nodiscard]] Status named_cluster() const;
  /// What a new value of an annotation is read from.
  struct Object {
    std::string resource;
    std::string name;
    friend bool operator==(const Object&, const Object&) = default;
  };
  /// Those whose records stand so, each once: the cluster, and its warehouses, which have records of their own.
  [[nodiscard]] Result<std::vector<Object>> objects_in(UpgradeState state) const;
  int ask_anew(const std::string& key, UpgradeState state, const std::string& asked, const std::string& nothing);
  int annotate(const Object& object, const std::string& key, const std::string& value);
  int unusable(const Error& error) const;
  static int code_of(UpgradeState state);

  const ConsoleOptions& options_;
  const Clock& clock_;
  const ConsoleStreams& streams_;
};

std::vector<std::string> Console::command(std::vector<std::string> words, bool scoped) const {
  std::vector<std::string> out{options_.kubectl};
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) out.push_back(std::string(flag) + "=" + value);
  };
  add("--context", options_.context);
  add("--kubeconfig", options_.kubeconfig);
  add("--as", options_.as);
  if (scoped && options_.all_namespaces) {
    out.emplace_back("--all-namespaces");
  } else if (scoped) {
    add("--namespace", options_.name_space);
  }
  // kubectl takes its own flags behind the verb as well, but some verbs want theirs first.
  out.insert(out.begin() + 1, words.begin(), words.begin() + 1);
  out.insert(out.end(), words.begin() + 1, words.end());
  return out;
}

Result<std::string> Console::kubectl(std::vector<std::string> words, bool scoped) const {
  return run_program(command(std::move(words), scoped), clock_.steady_now() + kCallTimeout);
}

Result<json> Console::kubectl_json(std::vector<std::string> words) const {
  auto text = kubectl(std::move(words));
  if (!text) return text.error();
  auto parsed = json::parse(*text, nullptr, false);
  if (parsed.is_discarded()) return Error{ErrorCode::Internal, "kubectl answered something that is not JSON"};
  return parsed;
}

Result<std::vector<json>> Console::records() const {
  const auto list = kubectl_json({"get", kRecords, "--output=json"});
  if (!list) return list.error();
  auto out = newest_first(*list);
  if (!options_.cluster.empty()) {
    std::erase_if(out, [&](const json& record) {
      return text_member(member(member(record, "spec"), "clusterRef"), "name") != options_.cluster;
    });
  }
  return out;
}

int Console::unusable(const Error& error) const {
  const bool absent = error.message.find("doesn't have a resource type") != std::string::npos;
  streams_.err << "upgrade-gate: " << printable_text(error.message)
               << (absent ? "; is the gate installed in this cluster (--context)?" : "") << "\n";
  return error.code == ErrorCode::DeadlineExceeded ? console_exit::kTimeout : console_exit::kUnusable;
}

int Console::code_of(UpgradeState state) {
  switch (state) {
    case UpgradeState::Going:
    case UpgradeState::Succeeded:
      return console_exit::kGood;
    case UpgradeState::Ended:
      return console_exit::kEnded;
    case UpgradeState::Failed:
      return console_exit::kFailed;
    case UpgradeState::Paused:
      return console_exit::kPaused;
  }
  return console_exit::kUnusable;
}

/// The record that matters now: an open one, else the newest.
const json* current(const std::vector<json>& records) {
  const auto open = std::find_if(records.begin(), records.end(), [](const json& record) {
    const auto state = upgrade_state(record);
    return state == UpgradeState::Going || state == UpgradeState::Paused;
  });
  if (open != records.end()) return &*open;
  return records.empty() ? nullptr : &records.front();
}

Status Console::named_cluster() const {
  if (options_.cluster.empty() || options_.all_namespaces) return Ok{};
  const auto got = kubectl({"get", kClusters, options_.cluster, "--output=name"});
  if (got || got.error().message.find("(NotFound)") == std::string::npos) return Ok{};  // perhaps one may not read it
  const auto warehouse = kubectl_json({"get", kWarehouses, options_.cluster, "--output=json"});
  const auto owner = warehouse ? text_member(member(*warehouse, "spec"), "starRocksCluster") : std::string{};
  if (!owner.empty()) {
    return Error{ErrorCode::NotFound,
                 options_.cluster + " is a StarRocksWarehouse: ask for its StarRocksCluster, " + owner};
  }
  return Error{ErrorCode::NotFound, got.error().message + "; is it in another namespace (-n)?"};
}

int Console::status() {
  const auto found = records();
  if (!found) return unusable(found.error());
  if (found->empty()) {
    if (const auto there = named_cluster(); !there) return unusable(there.error());
  }
  if (options_.json) {
    streams_.out << json(*found).dump(2, ' ', false, json::error_handler_t::replace) << "\n";
    return console_exit::kGood;
  }
  if (options_.cluster.empty()) {
    streams_.out << status_table(*found, clock_.wall_now(), streams_.screen);
    if (found->empty() && !options_.all_namespaces) {
      streams_.out << "This is " << (options_.name_space.empty() ? "the context's namespace" : "namespace ")
                   << printable_text(options_.name_space) << " alone; -A shows all.\n";
    }
    return console_exit::kGood;
  }
  const json* record = current(*found);
  if (record == nullptr) {
    streams_.out << "No upgrade preparations of cluster " << printable_text(options_.cluster) << " found.\n";
    return console_exit::kGood;
  }
  streams_.out << record_page(*record, clock_.wall_now(), streams_.screen);
  return code_of(upgrade_state(*record));
}

int Console::report() {
  const auto found = records();
  if (!found) return unusable(found.error());
  if (found->empty()) {
    if (const auto there = named_cluster(); !there) return unusable(there.error());
  }
  const auto wanted = std::find_if(found->begin(), found->end(), [&](const json& record) {
    return options_.record.empty() || text_member(member(record, "metadata"), "name") == options_.record;
  });
  if (wanted == found->end()) {
    const auto which = options_.record.empty() ? "no upgrade preparation" : "no upgrade preparation " + options_.record;
    return unusable(
        {ErrorCode::NotFound, which + " of cluster " + options_.cluster + " found; see: kubectl upgrade-gate status"});
  }
  if (options_.json) {
    streams_.out << wanted->dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    streams_.out << report_page(*wanted, clock_.wall_now(), streams_.screen);
  }
  return console_exit::kGood;
}

int Console::watch() {
  const auto began = records();
  if (!began) return unusable(began.error());
  const Deadline deadline = clock_.steady_now() + options_.timeout;
  const json* now = current(*began);
  std::string watched = now == nullptr ? "" : text_member(member(*now, "metadata"), "name");
  std::optional<UpgradeState> last;
  std::string drawn;
  const auto show = [&](const json& record) {
    const auto page = record_page(record, clock_.wall_now(), streams_.screen);
    if (streams_.terminal) {
      streams_.out << kHome << page << std::flush;
    } else if (page != drawn) {
      streams_.out << page << "\n" << std::flush;
    }
    drawn = page;
    last = upgrade_state(record);
    return *last == UpgradeState::Going;
  };
  if (now != nullptr && !show(*now)) return code_of(*last);
  if (now == nullptr) {
    if (const auto there = named_cluster(); !there) return unusable(there.error());
    streams_.out << "Waiting for an upgrade of " << printable_text(options_.cluster) << " ...\n" << std::flush;
  }
  JsonStream documents;
  const auto streamed =
      stream_program(command({"get", kRecords, "--watch", "--output=json", "--output-watch-events=true"}), deadline,
                     [&](std::string_view chunk) {
                       documents.append(chunk);
                       while (auto event = documents.next()) {
                         const json& record = member(*event, "object");
                         if (text_member(member(member(record, "spec"), "clusterRef"), "name") != options_.cluster)
                           continue;
                         const auto name = text_member(member(record, "metadata"), "name");
                         // Nothing was open when we began, or a newer target took over: whatever is open now is
                         // followed.
                         const bool open = upgrade_state(record) == UpgradeState::Going;
                         if (name != watched && !open) continue;
                         watched = name;
                         if (!show(record)) return false;
                       }
                       return true;
                     });
  if (!streamed && streamed.error().code == ErrorCode::DeadlineExceeded) {
    const auto waited = duration_text(options_.timeout);
    return unusable({ErrorCode::DeadlineExceeded, watched.empty()
                                                      ? "no upgrade of " + options_.cluster + " in " + waited
                                                      : "no end within " + waited + "; the upgrade continues"});
  }
  if (!streamed) return unusable(streamed.error());
  if (!last || *last == UpgradeState::Going) return unusable({ErrorCode::Unavailable, "kubectl ended the watch"});
  return code_of(*last);
}

int Console::annotate(const Object& object, const std::string& key, const std::string& value) {
  const auto written = kubectl({"annotate", object.resource, object.name, "--overwrite", key + "=" + value});
  return written ? console_exit::kGood : unusable(written.error());
}

Result<std::vector<Console::Object>> Console::objects_in(UpgradeState state) const {
  const auto found = records();
  if (!found) return found.error();
  std::vector<Object> out;
  std::vector<Object> seen;
  for (const json& record : *found) {
    const json& of = member(member(record, "spec"), "objectRef");
    const bool warehouse = text_member(of, "kind") == kWarehouseKind;
    const Object object{warehouse ? kWarehouses : kClusters, warehouse ? text_member(of, "name") : options_.cluster};
    const bool newest = std::find(seen.begin(), seen.end(), object) == seen.end();
    seen.push_back(object);
    // One that failed before the newest is over; one that is paused goes on beside it.
    const bool counts = upgrade_state(record) == state && (newest || state == UpgradeState::Paused);
    if (counts && std::find(out.begin(), out.end(), object) == out.end()) out.push_back(object);
  }
  return out;
}

int Console::ask_anew(const std::string& key, UpgradeState state, const std::string& asked,
                      const std::string& nothing) {
  const auto read = objects_in(state);
  const bool forbidden = !read && read.error().message.find("(Forbidden)") != std::string::npos;
  if (!read && !forbidden) return unusable(read.error());
  auto objects = read ? *read : std::vector<Object>{};
  const bool found = !objects.empty();
  // A record of another version may not show it, and one that may not be read may be there: it is written all the same.
  if (!found) objects.push_back({kClusters, options_.cluster});
  for (const auto& object : objects) {
    if (const int code = annotate(object, key, format_time(clock_.wall_now())); code != console_exit::kGood)
      return code;
    if (object.resource == kWarehouses) streams_.out << "StarRocksWarehouse " << printable_text(object.name) << ": ";
    streams_.out << (found       ? asked
                     : forbidden ? "Written. Whether anything waits for it stands in records that you may not list."
                                 : nothing)
                 << "\n";
  }
  return console_exit::kGood;
}

int Console::retry() {
  return ask_anew("starrocks.com/retry-upgrade-preparation", UpgradeState::Failed,
                  "A new attempt is requested. Repeat the image change; in hold mode the gate retries automatically.",
                  "Written, but no failed preparation of " + options_.cluster + " was found: nothing waits for it.");
}

int Console::resume() {
  return ask_anew("starrocks.com/upgrade-resume", UpgradeState::Paused, "The paused rollout is asked to resume.",
                  "Written, but no paused rollout of " + options_.cluster + " was found: nothing waits for it.");
}

/// What the gate would not read out of the annotation as it is meant; "" when it does.
std::string bypass_fault(const ConsoleOptions& options) {
  const auto read_with = [&](const std::string& reason) {
    return parse_bypass(options.target + "; reason=" + reason + "; until=2026-01-01T00:00:00Z");
  };
  const auto target = read_with("x");
  if (!target || target->target != options.target) return "--target: want the key in a refusal's last line, or *";
  const auto read = read_with(options.reason);
  if (read && read->reason == options.reason) return "";
  return "--reason: want one line of 1 to " + std::to_string(kBypassReasonMax) +
         " characters, without ';' and blanks around it";
}

int Console::bypass() {
  const auto until = clock_.wall_now() + options_.valid_for;
  const std::string value = options_.target + "; reason=" + options_.reason + "; until=" + format_time(until);
  if (const auto fault = bypass_fault(options_); !fault.empty()) {
    return unusable({ErrorCode::InvalidInput, fault});
  }
  const auto may = run_can_i(command({"auth", "can-i", "bypass", kRecords}), clock_.steady_now() + kCallTimeout);
  if (!may) return unusable(may.error());
  if (!*may) {
    streams_.err << "upgrade-gate: you may not bypass the gate here: "
                 << "ask for a RoleBinding to ClusterRole upgrade-gate-bypass in this namespace\n";
    return console_exit::kFailed;
  }
  streams_.out << "StarRocksCluster " << printable_text(options_.cluster) << ": the next image change (target "
               << printable_text(options_.target) << ") goes through unprepared until " << format_time(until) << ".\n"
               << "It is recorded with your name and reason: " << printable_text(options_.reason) << "\n";
  if (!options_.yes) {
    streams_.out << "Nothing was written. Repeat with --yes to write the annotation "
                    "starrocks.com/upgrade-gate-bypass.\n";
    return console_exit::kGood;
  }
  const int code = annotate({kClusters, options_.cluster}, "starrocks.com/upgrade-gate-bypass", value);
  if (code == console_exit::kGood) streams_.out << "Written. Now repeat the image change.\n";
  return code;
}

}  // namespace

int run_console(const ConsoleOptions& options, const Clock& clock, const ConsoleStreams& streams) {
  Console console(options, clock, streams);
  switch (options.command) {
    case ConsoleCommand::Show:
      return console.status();
    case ConsoleCommand::Watch:
      return console.watch();
    case ConsoleCommand::Report:
      return console.report();
    case ConsoleCommand::Retry:
      return console.retry();
    case ConsoleCommand::Resume:
      return console.resume();
    case ConsoleCommand::Bypass:
      return console.bypass();
    case ConsoleCommand::Check:
      return check_installation(options, clock, streams);
  }
  return console_exit::kUnusable;
}

}  // namespace gate
