#include "server/app/metrics.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "server/memory/memory_preparation_store.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

constexpr WallTime kNow{std::chrono::sys_days{std::chrono::year{2026} / 5 / 1}};

OpenPreparation open_record(const std::string& name_space, const std::string& name) {
  OpenPreparation out;
  out.name_space = name_space;
  out.cluster = "sr";
  out.name = name;
  return out;
}

std::string scraped(MetricsSnapshot snapshot) {
  snapshot.now = kNow;
  return Metrics({"1.2.3", "abc"}).scrape(snapshot);
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

std::size_t lines_with(const std::string& text, const std::string& beginning) {
  std::istringstream lines(text);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) count += line.starts_with(beginning) ? 1 : 0;
  return count;
}

TEST_CASE("what a rate may be asked of is there from the first scrape on") {
  const auto text = scraped({});
  for (const std::string line : {
           R"(upgrade_gate_build_info{revision="abc",version="1.2.3"} 1)",
           R"(upgrade_gate_reviews_total{decision="denied",path="/validate"} 0)",
           R"(upgrade_gate_reviews_total{decision="allowed-bypass",path="/validate"} 0)",
           R"(upgrade_gate_reviews_total{decision="allowed",path="/mutate"} 0)",
           R"(upgrade_gate_review_duration_seconds_count{path="/validate"} 0)",
           R"(upgrade_gate_preparations_closed_total{outcome="Succeeded"} 0)",
           R"(upgrade_gate_preparations_closed_total{outcome="Bypassed"} 0)",
           R"(upgrade_gate_http_answers_total{status="503"} 0)",
           "upgrade_gate_frontend_connects_total 0",
           "upgrade_gate_frontend_connect_failures_total 0",
           "upgrade_gate_settings_reapplied_total 0",
           "upgrade_gate_preparations_failed_total 0",
           "upgrade_gate_bypasses_total 0",
           "upgrade_gate_certificate_load_failures_total 0",
           "upgrade_gate_open_preparations 0",
           "upgrade_gate_unlisted_preparations 0",
       }) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  CHECK_FALSE(lines_with(text, "upgrade_gate_preparation_info{"));
}

TEST_CASE("counters show what the snapshot counted, each outcome under its name") {
  MetricsSnapshot snapshot;
  for (std::size_t i = 0; i < kClosingOutcomes.size(); ++i) snapshot.controller.closed[i] = i + 1;
  snapshot.frontend_connects = {7, 3};
  snapshot.controller.reasserted = 4;
  snapshot.certificate_not_after_seconds = 1777000000;
  const auto text = scraped(snapshot);
  for (std::size_t i = 0; i < kClosingOutcomes.size(); ++i) {
    const auto line = "upgrade_gate_preparations_closed_total{outcome=\"" +
                      std::string(to_string(kClosingOutcomes[i])) + "\"} " + std::to_string(i + 1);
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  CHECK(has_line(text, "upgrade_gate_frontend_connects_total 7"));
  CHECK(has_line(text, "upgrade_gate_frontend_connect_failures_total 3"));
  CHECK(has_line(text, "upgrade_gate_settings_reapplied_total 4"));
  CHECK(has_line(text, "upgrade_gate_certificate_expiration_timestamp_seconds 1777000000"));
}

TEST_CASE("the webhook of led rollouts is not as it should be where it holds nothing that is to be held") {
  struct Row {
    const char* name;
    std::optional<bool> good;
    std::size_t lost;
    const char* value;
  };
  for (const Row& row : {Row{"there", true, 0, "1"}, Row{"there, but a namespace lost its label", true, 2, "0"},
                         Row{"gone", false, 0, "0"}, Row{"gone, and pods were held", false, 1, "0"}}) {
    CAPTURE(row.name);
    MetricsSnapshot snapshot;
    snapshot.installation = {{"mutating_webhooks", true, {}}, {kRolloutWebhookPart, row.good, {}}};
    snapshot.holds_lost = row.lost;
    const auto text = scraped(snapshot);
    CHECK(has_line(text, "upgrade_gate_installation_ok{part=\"rollout_webhook\"} " + std::string(row.value)));
    CHECK(has_line(text, "upgrade_gate_installation_ok{part=\"mutating_webhooks\"} 1"));
  }
  MetricsSnapshot unread;
  unread.installation = {{kRolloutWebhookPart, std::nullopt, {}}};
  unread.holds_lost = 1;
  CHECK(lines_with(scraped(unread), "upgrade_gate_installation_ok{") == 0);
}

TEST_CASE("an open record has its series, and none of what does not hold of it") {
  MetricsSnapshot snapshot;
  auto paused = open_record("db", "sr-1");
  paused.phase = Phase::Completed;
  paused.stage = Stage::RollingOut;
  paused.turn = TurnPhase::Paused;
  paused.hooks = 4;
  paused.hooks_completed = 3;
  paused.settings_held_since = kNow - 90s;
  auto overdue = open_record("db", "sr-2");
  overdue.stage = Stage::Restoring;
  overdue.settings_held_since = kNow - 2h;
  overdue.restore_due_since = kNow + 5s;  // by the clock of another replica
  snapshot.preparations = {paused, overdue, open_record("db", "quote\"d")};
  const auto text = scraped(snapshot);
  const std::string first = R"({namespace="db",cluster="sr",preparation="sr-1")";
  CHECK(has_line(
      text, "upgrade_gate_preparation_info" + first + R"(,phase="Completed",stage="RollingOut",turn="Paused"} 1)"));
  CHECK(has_line(text, "upgrade_gate_preparation_hooks" + first + "} 4"));
  CHECK(has_line(text, "upgrade_gate_preparation_hooks_completed" + first + "} 3"));
  CHECK(has_line(text, "upgrade_gate_preparation_settings_held_seconds" + first + "} 90"));
  CHECK(lines_with(text, "upgrade_gate_preparation_restore_overdue_seconds" + first) == 0);
  const std::string second = R"({namespace="db",cluster="sr",preparation="sr-2")";
  CHECK(has_line(text, "upgrade_gate_preparation_settings_held_seconds" + second + "} 7200"));
  CHECK(has_line(text, "upgrade_gate_preparation_restore_overdue_seconds" + second + "} 0"));
  CHECK(has_line(text, R"(upgrade_gate_preparation_info{namespace="db",cluster="sr",preparation="quote\"d",)"
                       R"(phase="Pending",stage="Preparing",turn=""} 1)"));
  CHECK(has_line(text, "upgrade_gate_open_preparations 3"));
}

TEST_CASE("a record that is closed leaves no series behind") {
  Metrics metrics;
  MetricsSnapshot snapshot;
  snapshot.now = kNow;
  snapshot.preparations = {open_record("db", "sr-1")};
  CHECK(lines_with(metrics.scrape(snapshot), "upgrade_gate_preparation_info{") == 1);
  snapshot.preparations.clear();
  CHECK(lines_with(metrics.scrape(snapshot), "upgrade_gate_preparation_info{") == 0);
}

TEST_CASE("beyond the bound the most urgent are listed, and no namespace displaces another") {
  MetricsSnapshot snapshot;
  for (std::size_t i = 0; i < 10 * kListedPreparationsMax; ++i) {
    auto record = open_record("crowd", "c-" + std::to_string(i));
    record.settings_held_since = kNow - 5h;
    record.restore_due_since = kNow - 4h;
    snapshot.preparations.push_back(record);
  }
  auto recent = open_record("alone", "overdue");
  recent.restore_due_since = kNow - 1min;
  snapshot.preparations.push_back(recent);
  auto held = open_record("alone", "held");
  held.settings_held_since = kNow - 9h;
  snapshot.preparations.push_back(held);
  const auto text = scraped(snapshot);
  for (const std::string family : {"info", "hooks", "hooks_completed"}) {
    CAPTURE(family);
    CHECK(lines_with(text, "upgrade_gate_preparation_" + family + "{") == kListedPreparationsMax);
  }
  CHECK(lines_with(text, "upgrade_gate_preparation_restore_overdue_seconds{") == kListedPreparationsMax);
  CHECK(lines_with(text, R"(upgrade_gate_preparation_info{namespace="alone",cluster="sr",preparation="overdue")") == 1);
  CHECK(lines_with(text, R"(upgrade_gate_preparation_info{namespace="alone",cluster="sr",preparation="held")") == 0);
  CHECK(has_line(text, "upgrade_gate_open_preparations " + std::to_string(10 * kListedPreparationsMax + 2)));
  CHECK(has_line(text, "upgrade_gate_unlisted_preparations " + std::to_string(9 * kListedPreparationsMax + 2)));
  // docs/reference.md promises it.
  CHECK(lines_with(text, "upgrade_gate_preparation_") <= 5000);
  CHECK(lines_with(scraped({}), "upgrade_gate_") < 150);
}

TEST_CASE("the most urgent are paused rollouts where no restore is overdue, then the longest held") {
  auto idle = open_record("a", "idle");
  auto held = open_record("a", "held");
  held.settings_held_since = kNow - 1h;
  auto longer = open_record("a", "longer");
  longer.settings_held_since = kNow - 2h;
  auto paused = open_record("a", "paused");
  paused.turn = TurnPhase::Paused;
  const auto listed = [&](std::size_t max) {
    std::string names;
    for (const auto& family : preparation_families({idle, held, longer, paused}, kNow, max)) {
      if (family.name != "upgrade_gate_preparation_info") continue;
      for (const auto& metric : family.metric) names += metric.label.at(2).value + " ";
    }
    return names;
  };
  CHECK(listed(1) == "paused ");
  CHECK(listed(2) == "paused longer ");
  CHECK(listed(3) == "paused longer held ");
  CHECK(listed(4) == "paused longer held idle ");
}

/// Records in a store, as a replica finds them.
struct Records {
  SystemClock clock;
  MemoryPreparationStore store{clock};

  void add(const std::string& name, const std::string& supersedes, const PreparationStatus& status) {
    Preparation record;
    record.name_space = "db";
    record.name = name;
    record.spec.cluster = "sr";
    record.spec.object = {"StarRocksCluster", "sr", "uid"};
    record.spec.supersedes = supersedes;
    record.spec.hooks.resize(4);
    auto created = store.create(record, Deadline::max());
    REQUIRE(created);
    created->status = status;
    REQUIRE(store.update_status(*created, Deadline::max()));
  }
  [[nodiscard]] OpenPreparation only() const {
    const auto open = open_preparations(store);
    REQUIRE(open.size() == 1);
    return open.front();
  }
};

PreparationStatus holding(WallTime since) {
  PreparationStatus status;
  status.phase = Phase::Completed;
  status.stage = Stage::Prepared;
  status.restore_pending = true;
  status.start_time = since;
  return status;
}

TEST_CASE("open records are those that are not closed or have something to restore") {
  Records records;
  PreparationStatus closed;
  closed.stage = Stage::Closed;
  records.add("closed", "", closed);
  CHECK(open_preparations(records.store).empty());
  auto status = holding(kNow);
  status.hooks.resize(4);
  status.hooks[0].phase = HookPhase::Completed;
  status.hooks[1].phase = HookPhase::Skipped;
  status.hooks[2].phase = HookPhase::Failed;
  status.stage = Stage::Closed;
  status.restoring_time = kNow + 1min;
  records.add("unrestored", "", status);
  const auto unrestored = records.only();
  CHECK(unrestored.name == "unrestored");
  CHECK(unrestored.hooks == 4);
  CHECK(unrestored.hooks_completed == 2);
  CHECK((unrestored.settings_held_since == kNow));
  CHECK((unrestored.restore_due_since == kNow + 1min));
}

TEST_CASE("settings are not held, nor overdue, where nothing has to be restored") {
  Records records;
  auto status = holding(kNow);
  status.stage = Stage::Restoring;
  status.restoring_time = kNow;
  status.restore_pending = false;
  records.add("r", "", status);
  CHECK_FALSE(records.only().settings_held_since);
  CHECK_FALSE(records.only().restore_due_since);
}

TEST_CASE("a turn is that under way") {
  const auto turns = [](const std::vector<TurnPhase>& phases) {
    PreparationStatus status;
    status.stage = Stage::RollingOut;
    for (const auto phase : phases) {
      Turn turn;
      turn.phase = phase;
      status.rollout.turns.push_back(turn);
    }
    return status;
  };
  struct Row {
    const char* name;
    std::vector<TurnPhase> turns;
    std::optional<TurnPhase> expected;
  };
  for (const auto& row : {Row{"none is led", {}, std::nullopt},
                          Row{"the first waits", {TurnPhase::Held, TurnPhase::Held}, TurnPhase::Held},
                          Row{"the second is paused", {TurnPhase::Done, TurnPhase::Paused}, TurnPhase::Paused},
                          Row{"all are done", {TurnPhase::Done, TurnPhase::Done}, std::nullopt}}) {
    CAPTURE(row.name);
    Records records;
    records.add("r", "", turns(row.turns));
    CHECK((records.only().turn == row.expected));
  }
}

TEST_CASE("settings are held since the first record that set them, however often they were taken over") {
  const auto superseded = [](WallTime since) {
    auto status = holding(since);
    status.restore_pending = false;
    status.stage = Stage::Closed;
    status.outcome = Outcome::Superseded;
    return status;
  };
  Records records;
  records.add("first", "", superseded(kNow - 3h));
  records.add("second", "first", superseded(kNow - 2h));
  auto third = holding(kNow - 1h);
  third.taken_over = true;
  records.add("third", "second", third);
  CHECK((records.only().settings_held_since == kNow - 3h));
  SUBCASE("one that names itself ends nothing but the search") {
    records.add("loop", "loop", superseded(kNow));
    auto heir = holding(kNow);
    heir.taken_over = true;
    records.add("heir", "loop", heir);
    CHECK(open_preparations(records.store).size() == 2);
  }
}

TEST_CASE("the process is described from the kernel's texts") {
  const std::string self =
      "42 (a) b(c) S 1 42 42 0 -1 4194560 5000 0 10 0 250 150 0 0 20 0 30 0 12345 987654321 2000 184467 1 1\n";
  const auto facts = process_facts(self, "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n", {100, 4096});
  REQUIRE(facts.cpu_seconds);
  REQUIRE(facts.start_time);
  REQUIRE(facts.virtual_bytes);
  REQUIRE(facts.resident_bytes);
  CHECK(*facts.cpu_seconds == doctest::Approx(4.0));
  CHECK(*facts.start_time == doctest::Approx(1700000123.45));
  CHECK(*facts.virtual_bytes == doctest::Approx(987654321));
  CHECK(*facts.resident_bytes == doctest::Approx(2000 * 4096));
  SUBCASE("what is cut says nothing") {
    for (const auto& cut : {std::string(), std::string("42 (a"), std::string("42 (a) S 1 2"), std::string("42 (a)")}) {
      CAPTURE(cut);
      const auto nothing = process_facts(cut, "", {100, 4096});
      CHECK_FALSE(nothing.cpu_seconds);
      CHECK_FALSE(nothing.start_time);
      CHECK_FALSE(nothing.resident_bytes);
      CHECK(process_families(nothing).empty());
    }
  }
}

TEST_CASE("this process has all of its metrics") {
  const auto facts = read_process_facts();
  REQUIRE(facts.resident_bytes);
  REQUIRE(facts.open_fds);
  REQUIRE(facts.max_fds);
  REQUIRE(facts.start_time);
  CHECK(*facts.resident_bytes > 100'000);
  CHECK(*facts.open_fds >= 3);
  CHECK(*facts.max_fds >= *facts.open_fds);
  const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  CHECK(*facts.start_time <= now + 60);  // the kernel rounds the time of its start
  CHECK(process_families(facts).size() == 6);
}

/// A FE that is there or not.
class Switch final : public FrontendConnector {
 public:
  bool reachable = true;
  bool interrupted = false;
  Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess&, Deadline) override {
    if (!reachable) return Error{ErrorCode::Unavailable, "refused", 0};
    return std::unique_ptr<FrontendSession>();
  }
  void interrupt() override { interrupted = true; }
};

TEST_CASE("logins are counted by how they end, and passed on") {
  Switch frontend;
  CountingConnector counting(frontend);
  (void)counting.connect({}, Deadline::max());
  (void)counting.connect({}, Deadline::max());
  frontend.reachable = false;
  const auto refused = counting.connect({}, Deadline::max());
  CHECK_FALSE(refused);
  CHECK(refused.error().message == "refused");
  CHECK(counting.counts().succeeded == 2);
  CHECK(counting.counts().failed == 1);
  counting.interrupt();
  CHECK(frontend.interrupted);
}

}  // namespace
}  // namespace gate
