#include "server/console/views.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace gate;
using nlohmann::json;

namespace {

const WallTime kNow = *parse_time("2026-01-02T03:10:00Z");

json record(const std::string& name, const std::string& created) {
  return {{"metadata", {{"name", name}, {"namespace", "db"}, {"creationTimestamp", created}}},
          {"spec",
           {{"clusterRef", {{"name", "sr"}}},
            {"attempt", 1},
            {"requestedBy", {{"username", "alice"}}},
            {"changes", {{{"component", "be"}, {"from", "starrocks/be:3.5.7"}, {"to", "starrocks/be:3.5.8"}}}},
            {"hooks", {{{"name", "disable-tablet-clone"}}, {{"name", "disable-balancer"}}}}}},
          {"status",
           {{"phase", "Running"},
            {"stage", "Preparing"},
            {"hooks",
             {{{"name", "disable-tablet-clone"},
               {"phase", "Completed"},
               {"startTime", "2026-01-02T03:04:05Z"},
               {"completionTime", "2026-01-02T03:04:07Z"}},
              {{"name", "disable-balancer"}, {"phase", "Running"}, {"message", "FE sr-fe-0: no answer in time"}}}},
            {"captured", {{{"key", "disable_balance"}, {"value", "false"}, {"setTo", "true"}}}}}}};
}

json closed(const std::string& outcome) {
  json out = record("sr-0123456789-1", "2026-01-02T03:04:05Z");
  out["status"].update({{"phase", "Completed"},
                        {"stage", "Closed"},
                        {"outcome", outcome},
                        {"startTime", "2026-01-02T03:04:05Z"},
                        {"completionTime", "2026-01-02T03:04:15Z"},
                        {"admittedTime", "2026-01-02T03:04:20Z"},
                        {"rolledOutTime", "2026-01-02T03:08:20Z"},
                        {"restoredTime", "2026-01-02T03:08:25Z"}});
  out["status"]["hooks"][1] = {{"name", "disable-balancer"}, {"phase", "Completed"}};
  return out;
}

}  // namespace

TEST_CASE("durations are short") {
  CHECK(duration_text(std::chrono::seconds(45)) == "45s");
  CHECK(duration_text(std::chrono::seconds(192)) == "3m12s");
  CHECK(duration_text(std::chrono::seconds(7500)) == "2h05m");
  CHECK(duration_text(std::chrono::seconds(273600)) == "3d4h");
  CHECK(duration_text(std::chrono::seconds(-5)) == "0s");
}

TEST_CASE("one record in full, at 80 columns") {
  CHECK(record_page(record("sr-0123456789-1", "2026-01-02T03:04:05Z"), kNow, {80, false}) ==
        "Cluster:    db/sr\n"
        "Record:     sr-0123456789-1\n"
        "Change:     be 3.5.7 -> 3.5.8\n"
        "State:      Preparing\n"
        "Age:        5m55s\n"
        "Waits for:  disable-balancer: FE sr-fe-0: no answer in time\n"
        "\n"
        "Hooks [##########----------] 1/2\n"
        "  disable-tablet-clone  Completed  2s\n"
        "  disable-balancer      Running        FE sr-fe-0: no answer in time\n"
        "\n"
        "Settings\n"
        "  disable_balance  was false  set to true\n");
}

TEST_CASE("of a rollout that took too long the page says what to do, not what a turn once waited for") {
  auto late = record("sr-0123456789-1", "2026-01-02T03:04:05Z");
  late["status"].merge_patch(json{{"outcome", "Expired"},
                                  {"message", "pods are still held: do this"},
                                  {"turns", {{{"components", {"fe"}}, {"phase", "Paused"}, {"waitingFor", "a pod"}}}}});
  for (const char* stage : {"Restoring", "Closed"}) {
    late["status"]["stage"] = stage;
    const auto page = record_page(late, kNow, {80, false});
    CHECK_MESSAGE(page.find("pods are still held: do this\n") < page.find("\nTurns\n"), page);
  }
}

TEST_CASE("what a record waits for has one label, and a message is not put behind another verb") {
  struct Row {
    const char* name;
    json status;
    const char* shown;
  };
  const json waiting{{"components", {"be"}}, {"phase", "Rolling"}, {"waitingFor", "StatefulSet sr-be: 2 of 3 updated"}};
  for (const Row& row : {
           Row{"a hook",
               {{"hooks", {{{"name", "drain"}, {"phase", "Running"}, {"message", "3 moves"}}}}, {"message", "x"}},
               "Waits for:  drain: 3 moves\n"},
           Row{"a turn",
               {{"stage", "RollingOut"}, {"hooks", json::array()}, {"turns", {waiting}}, {"message", "x"}},
               "Waits for:  StatefulSet sr-be: 2 of 3 updated\n"},
           Row{"the rollout",
               {{"stage", "RollingOut"}, {"hooks", json::array()}, {"message", "waiting for the rollout: be-0"}},
               "Message:  waiting for the rollout: be-0\n"},
           Row{"a way back",
               {{"stage", "RollingOut"}, {"hooks", json::array()}, {"message", "rolling back; waiting for: be-0"}},
               "Message:  rolling back; waiting for: be-0\n"},
           Row{"a place in the queue",
               {{"hooks", json::array()}, {"message", "waits for its turn, number 2"}},
               "Message:  waits for its turn, number 2\n"},
           Row{"nothing", {{"hooks", json::array()}, {"message", nullptr}}, ""},
       }) {
    INFO(row.name);
    auto shown = record("sr-0123456789-1", "2026-01-02T03:04:05Z");
    shown["status"].merge_patch(row.status);
    const auto page = record_page(shown, kNow, {80, false});
    INFO(page);
    CHECK((page.find("Waits for:") != page.npos) == (std::string(row.shown).find("Waits for:") == 0));
    CHECK((page.find("Message:") != page.npos) == (std::string(row.shown).find("Message:") == 0));
    for (const char* doubled : {"Waits for:  waits for", "Waits for:  waiting for", "Waits for:  rolling back"}) {
      CHECK(page.find(doubled) == page.npos);
    }
    std::string squeezed;
    for (const char c : page) {
      if (c != ' ' || !squeezed.ends_with("  ")) squeezed += c;
    }
    CHECK(squeezed.find(row.shown) != squeezed.npos);
  }
}

TEST_CASE("no line is longer than the screen, whatever the record says") {
  json long_one = record("sr-0123456789-1", "2026-01-02T03:04:05Z");
  long_one["status"]["hooks"][1]["message"] = std::string(500, 'x') + "\x1b[2J\xc3\xa4";
  for (const int width : {20, 40, 80, 120}) {
    const auto page = record_page(long_one, kNow, {width, false});
    CHECK(page.find('\x1b') == page.npos);
    std::size_t at = 0;
    while (at < page.size()) {
      const auto end = page.find('\n', at);
      CHECK(end - at <= static_cast<std::size_t>(std::max(width, 40)));
      at = end + 1;
    }
  }
}

TEST_CASE("what an upgrade did") {
  CHECK(report_page(closed("Succeeded"), kNow, {100, false}) ==
        "Upgrade of    db/sr\n"
        "Change        be 3.5.7 -> 3.5.8\n"
        "Outcome       Succeeded\n"
        "Requested by  alice\n"
        "Record        sr-0123456789-1\n"
        "Took          4m20s\n"
        "\n"
        "Times\n"
        "  requested          2026-01-02T03:04:05Z\n"
        "  hooks began        2026-01-02T03:04:05Z  +0s\n"
        "  hooks ended        2026-01-02T03:04:15Z  +10s\n"
        "  admitted           2026-01-02T03:04:20Z  +5s\n"
        "  rolled out         2026-01-02T03:08:20Z  +4m00s\n"
        "  settings restored  2026-01-02T03:08:25Z  +5s\n"
        "\n"
        "Hooks\n"
        "  disable-tablet-clone  Completed  2s\n"
        "  disable-balancer      Completed\n"
        "\n"
        "Settings (restored)\n"
        "  disable_balance  was false  set to true\n");
}

TEST_CASE("one line a cluster: the open record, else the newest; a candidate has its own") {
  const auto older = closed("Reverted");
  auto open = record("sr-0123456789-2", "2026-01-02T03:05:00Z");
  CHECK(status_table(newest_first({{"items", {older, open}}}), kNow, {120, false}) ==
        "NAMESPACE  CLUSTER  STATE      HOOKS  TURN  AGE    CHANGE\n"
        "db         sr       Preparing  1/2          5m00s  be 3.5.7 -> 3.5.8\n");
  CHECK(status_table({older}, kNow, {120, false}).find("Reverted") != std::string::npos);
  CHECK(status_table({}, kNow, {120, false}) == "No upgrade preparations found.\n");
  auto candidate = record("sr-9876543210-1", "2026-01-02T03:06:00Z");
  const auto both = status_table(newest_first({{"items", {open, candidate}}}), kNow, {120, false});
  CHECK(std::count(both.begin(), both.end(), '\n') == 3);
}

TEST_CASE("of two that began within one second, the one that took the other's place is the newest") {
  for (const char* link : {"supersedes", "candidateOf"}) {
    CAPTURE(link);
    const auto older = closed("Superseded");
    auto newer = closed("Failed");
    newer["metadata"]["name"] = "sr-0000000000-1";
    newer["spec"][link] = older["metadata"]["name"];
    CHECK(newest_first({{"items", {older, newer}}}) == std::vector<json>{newer, older});
    CHECK(newest_first({{"items", {newer, older}}}) == std::vector<json>{newer, older});
  }
}

TEST_CASE("the state of an upgrade") {
  const struct {
    const char* name;
    json status;
    UpgradeState state;
  } rows[] = {
      {"new", json::object(), UpgradeState::Going},
      {"running", {{"phase", "Running"}, {"stage", "Preparing"}}, UpgradeState::Going},
      {"rolling out", {{"phase", "Completed"}, {"stage", "RollingOut"}}, UpgradeState::Going},
      {"closed, restore pending",
       {{"phase", "Completed"}, {"stage", "Closed"}, {"outcome", "Succeeded"}, {"restoreOwed", true}},
       UpgradeState::Going},
      {"succeeded", {{"phase", "Completed"}, {"stage", "Closed"}, {"outcome", "Succeeded"}}, UpgradeState::Succeeded},
      {"reverted", {{"phase", "Completed"}, {"stage", "Closed"}, {"outcome", "Reverted"}}, UpgradeState::Ended},
      {"failed, restoring", {{"phase", "Failed"}, {"stage", "Restoring"}, {"outcome", "Failed"}}, UpgradeState::Failed},
      {"failed, closed", {{"phase", "Failed"}, {"stage", "Closed"}, {"outcome", "Failed"}}, UpgradeState::Failed},
      {"paused",
       {{"phase", "Completed"}, {"stage", "RollingOut"}, {"turns", {{{"phase", "Done"}}, {{"phase", "Paused"}}}}},
       UpgradeState::Paused},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    CHECK(upgrade_state({{"status", row.status}}) == row.state);
  }
}

TEST_CASE("records of any shape are shown without an exception") {
  for (const json& odd : {json(), json::array(), json("x"), json{{"status", 5}, {"spec", json::array({1})}},
                          json{{"status", {{"hooks", {1, "a", nullptr}}, {"turns", {5}}, {"captured", "x"}}}}}) {
    CHECK_FALSE(record_page(odd, kNow, {80, true}).empty());
    CHECK_FALSE(report_page(odd, kNow, {80, true}).empty());
    CHECK_FALSE(status_table({odd}, kNow, {80, true}).empty());
  }
}
