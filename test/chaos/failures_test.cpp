// Twenty failures that users of comparable systems reported; each has a test that would fail if the gate had it.
// `grep -rn "failure NN:" test` finds all of them. Where several tests bear on one:
//
//   failure 2: every phase here; a kill at every step in kill_matrix_test.cpp
//   failure 9: with the gate's store away here; through kubectl, with the gate away, in test/e2e/gate_test.cpp
//   failure 10: here; kubectl's server-side dry run and diff in test/e2e/gate_test.cpp

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "policy/versions/version.hpp"
#include "server/admission/admission_service.hpp"
#include "test/chaos/mortal_gate.hpp"
#include "test/fakes/forwarding_store.hpp"
#include "test/server/admission/review_of.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

const std::string kSetNone = set_config_sql(kScheduling, "0");

/// The records are unreachable on demand.
class BreakableStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  bool synced() const override { return !broken; }

  std::atomic<bool> broken{false};

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    if (broken) return Error{ErrorCode::Unavailable, "connection refused"};
    return ForwardingStore::around(call, make);
  }
};

struct Answer {
  bool allowed = false;
  std::string reason;
  std::string message;
  std::vector<std::string> warnings;
};

/// One cluster "sr" with its FEs and the whole of one gate but for its sockets towards clients.
class Site {
 public:
  explicit Site(FrontendSimulatorOptions frontends = {.frontends = 2}, std::chrono::milliseconds wait = kAmple,
                const ControllerOptions& options = quick_options("gate-0"))
      : world(std::move(frontends)),
        replica(
            (world.store.observe([this](const Preparation& record, bool removed) { waiters.notify(record, removed); }),
             world),
            options),
        service({store, world.clusters, replica.controller, waiters, world.clock, world.log}, {wait, {}, {}},
                [](const ReviewOutcome&) {}) {
    world.clusters.set_object(object("fe:1"));
  }

  json object(const std::string& image) const {
    auto out = object_with(image);
    out["metadata"]["annotations"] = annotations;
    if (!preparation.is_null()) out["spec"]["upgradePreparation"] = preparation;
    return out;
  }
  /// A second hook, which is no setting and may fail.
  void create_image_too() {
    preparation = {
        {"enabled", true},
        {"hooks",
         json::array({{{"name", "no-clone"}, {"command", kSetNone}},
                      {{"name", "make-image"}, {"command", "ALTER SYSTEM CREATE IMAGE"}, {"critical", false}}})}};
    annotations = json::object();
  }
  /// As the API server sends it: the old object is the one that is stored.
  Answer ask(const json& review) {
    if (const auto& old_object = review.at("request").at("oldObject"); !old_object.is_null()) {
      world.clusters.set_object(old_object);
    }
    const auto reply = service.review(AdmissionService::kGatePath, review.dump());
    const auto response = json::parse(reply.body).at("response");
    Answer out;
    out.allowed = response.at("allowed");
    out.reason = response.value("status", json::object()).value("reason", "");
    out.message = response.value("status", json::object()).value("message", "");
    out.warnings = response.value("warnings", std::vector<std::string>{});
    return out;
  }
  /// A change of the image, as a client asks for it; written to the object when it is allowed.
  Answer change(const std::string& from, const std::string& to) {
    const auto answer = ask(review_of(object(from), object(to)));
    if (answer.allowed) world.object_becomes(object(to));
    return answer;
  }
  Answer dry_run(const std::string& from, const std::string& to) {
    return ask(review_of(object(from), object(to), true));
  }
  [[nodiscard]] bool eventually_allowed(const std::string& from, const std::string& to) {
    return world.signal.eventually([&] { return change(from, to).allowed; });
  }
  [[nodiscard]] std::vector<Preparation> records() {
    return world.store.list_of_cluster("db", "sr", ample()).value();  // newest first
  }
  [[nodiscard]] bool newest_reaches(Stage stage) {
    return world.signal.eventually([&] {
      const auto all = records();
      return !all.empty() && all.front().status.stage == stage;
    });
  }
  [[nodiscard]] std::size_t received(const std::string& part) const {
    const auto all = world.simulator.statements();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const ReceivedStatement& one) { return one.sql.find(part) != std::string::npos; }));
  }
  [[nodiscard]] bool has_event(const std::string& reason) const {
    const auto all = world.clusters.events();
    return std::find(all.begin(), all.end(), reason) != all.end();
  }

  json annotations = {{"starrocks.com/upgrade-hooks", "disable-tablet-clone"}};
  json preparation;
  World world;
  BreakableStore store{world.store};
  OutcomeWaiters waiters{store};
  Replica replica;
  AdmissionService service;
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("failure 1: a stale success is not reused (A to B, revert, then A to C, or B again, is prepared again)") {
  for (const char* next : {"fe:3", "fe:2"}) {
    INFO(next);
    Site site;
    REQUIRE(site.change("fe:1", "fe:2").allowed);
    REQUIRE(site.newest_reaches(Stage::RollingOut));
    REQUIRE(site.change("fe:2", "fe:1").allowed);
    REQUIRE(site.newest_reaches(Stage::Closed));
    CHECK(site.world.config() == kSchedulingDefault);
    site.world.simulator.forget_statements();
    REQUIRE(site.change("fe:1", next).allowed);
    CHECK(site.received(kSetNone) == 1);
    CHECK(site.world.config() == "0");
    CHECK(site.records().size() == 2);
  }
}

TEST_CASE("failure 2: an upgrade that is abandoned leaves no protection off, in whatever phase that happens") {
  struct Row {
    std::string name;
    std::function<void(Site&)> abandon;
    Outcome outcome;
  };
  for (const Row& row : {
           Row{"prepared, and nobody comes back", [](Site& site) { site.world.clock.move(2h); }, Outcome::Expired},
           Row{"admitted, then reverted",
               [](Site& site) {
                 site.world.object_becomes(site.object("fe:2"));
                 REQUIRE(site.newest_reaches(Stage::RollingOut));
                 REQUIRE(site.change("fe:2", "fe:1").allowed);
               },
               Outcome::Reverted},
           Row{"a rollout that never ends",
               [](Site& site) {
                 site.world.object_becomes(site.object("fe:2"));
                 REQUIRE(site.newest_reaches(Stage::RollingOut));
                 site.world.clock.move(7h);
               },
               Outcome::Expired},
           Row{"the hooks are taken off the cluster",
               [](Site& site) {
                 site.annotations = json::object();
                 site.world.object_becomes(site.object("fe:1"));
                 site.world.clock.move(2h);
               },
               Outcome::Expired},
           Row{"the cluster is deleted and its FE lives on",
               [](Site& site) {
                 site.world.clusters.set_frontend_life(FrontendLife::MayLive);
                 site.world.object_becomes({});
               },
               Outcome::Expired},
       }) {
    INFO(row.name);
    Site site;
    REQUIRE(site.ask(review_of(site.object("fe:1"), site.object("fe:2"))).allowed);
    CHECK(site.world.config() == "0");
    row.abandon(site);
    REQUIRE(site.newest_reaches(Stage::Closed));
    CHECK(site.records().front().status.outcome == row.outcome);
    CHECK_FALSE(site.records().front().status.restore_pending);
    for (const std::size_t fe : {0, 1}) CHECK(site.world.config(fe) == kSchedulingDefault);
  }
}

TEST_CASE("failure 3: nothing is undone too early: an FE that restarts while others roll gets the settings again") {
  Site site;
  REQUIRE(site.change("fe:1", "fe:2").allowed);
  REQUIRE(site.newest_reaches(Stage::RollingOut));
  for (const std::size_t restarted : {1, 0}) {
    site.world.simulator.restart(restarted);
    REQUIRE(site.world.signal.eventually([&] { return site.world.config(restarted) == "0"; }));
  }
  CHECK(site.received(set_config_sql(kScheduling, kSchedulingDefault)) == 0);
  CHECK(site.records().front().status.restore_pending);
  const auto captured = site.records().front().status.captured;
  REQUIRE(captured.size() == 1);
  CHECK(captured.front().key == kScheduling);
  CHECK(captured.front().value == kSchedulingDefault);
  CHECK(captured.front().set_to == "0");
}

TEST_CASE("failure 4: a status that says prepared is not believed when the database says otherwise") {
  // The controller does not look by itself: it is the admission that must notice.
  auto options = quick_options("gate-0");
  options.reassert_interval = 1h;
  Site site({.frontends = 2}, kAmple, options);
  REQUIRE(site.ask(review_of(site.object("fe:1"), site.object("fe:2"))).allowed);
  REQUIRE(site.newest_reaches(Stage::Prepared));
  site.world.simulator.frontend(1).set_config(kScheduling, "10");
  REQUIRE(site.change("fe:1", "fe:2").allowed);
  CHECK(site.world.config(1) == "0");
  CHECK(site.received(kSetNone) == 2);
}

TEST_CASE("failure 4: Completed is not written while a setting that an early hook made is gone again") {
  struct Row {
    std::string name;
    bool killed;
  };
  for (const Row& row : {Row{"lost while a later hook ran", false}, Row{"lost while no gate was there", true}}) {
    INFO(row.name);
    ChaosWorld chaos;
    chaos.world.simulator.hang("CREATE IMAGE");
    auto gate = std::make_unique<MortalGate>(chaos, chaos_options("gate-0"));
    chaos.world.create(
        backend_record("r", {patient(no_scheduling()), patient(statement_hook("image", "ALTER SYSTEM CREATE IMAGE"))}));
    REQUIRE(chaos.until([&] { return chaos.received("ALTER SYSTEM CREATE IMAGE") == 1; }));
    if (row.killed) gate.reset();
    chaos.world.simulator.restart(1);
    chaos.world.simulator.clear_faults();
    if (row.killed) gate = std::make_unique<MortalGate>(chaos, chaos_options("gate-1"));
    REQUIRE(chaos.until([&] { return chaos.world.get("r").status.phase == Phase::Completed; }));
    CHECK(chaos.broken_rules() == "");
    for (const std::size_t fe : {0, 1}) CHECK(chaos.world.config(fe) == "0");
  }
}

TEST_CASE("failure 5: what comes back is what was there, never a constant, and never over a later decision") {
  struct Row {
    std::string name;
    std::map<std::string, std::string> fe_conf;
    std::string left;
  };
  for (const Row& row :
       {Row{"the default", {}, kSchedulingDefault}, Row{"a value of the user's", {{kScheduling, "777"}}, "777"},
        Row{"it was off before", {{kScheduling, "0"}}, "0"}}) {
    INFO(row.name);
    Site site({.frontends = 2, .fe_conf = row.fe_conf});
    REQUIRE(site.change("fe:1", "fe:2").allowed);
    REQUIRE(site.newest_reaches(Stage::RollingOut));
    REQUIRE(site.change("fe:2", "fe:1").allowed);
    REQUIRE(site.newest_reaches(Stage::Closed));
    for (const std::size_t fe : {0, 1}) CHECK(site.world.config(fe) == row.left);
  }
  INFO("a person decides anew while the rollout runs");
  ChaosWorld chaos;
  const MortalGate gate(chaos, chaos_options("gate-0"));
  chaos.world.create(backend_record("r", {patient(no_scheduling())}));
  chaos.object_becomes(object_of("be:2"));
  REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::RollingOut; }));
  REQUIRE(chaos.until([&] { return chaos.activity.quiet(); }, 0ms));
  for (const std::size_t fe : {0, 1}) chaos.world.simulator.frontend(fe).set_config(kScheduling, "42");
  chaos.object_becomes(object_of("be:1"));
  REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Closed; }, 0ms));
  for (const std::size_t fe : {0, 1}) CHECK(chaos.world.config(fe) == "42");
}

TEST_CASE("failure 6: the way back from a bad image is open, at once, with the database down") {
  Site site({.frontends = 1}, 5s);
  REQUIRE(site.change("fe:1", "fe:2").allowed);
  REQUIRE(site.newest_reaches(Stage::RollingOut));
  site.world.simulator.stop(0);
  const auto began = std::chrono::steady_clock::now();
  CHECK(site.change("fe:2", "fe:1").allowed);
  CHECK(std::chrono::steady_clock::now() - began < 2s);
  REQUIRE(site.newest_reaches(Stage::Restoring));
  // And what is pending is restored when the FE is back with it.
  site.world.simulator.start(0);
  site.world.simulator.frontend(0).set_config(kScheduling, "0");
  REQUIRE(site.newest_reaches(Stage::Closed));
  CHECK(site.world.config() == kSchedulingDefault);
}

TEST_CASE("failure 7: Failed is not the end: the FE is down for ten minutes, then up, and the upgrade goes through") {
  Site site({.frontends = 1}, 200ms);
  site.annotations["starrocks.com/upgrade-timeout-seconds"] = "1";
  site.world.simulator.stop(0);
  CHECK_FALSE(site.change("fe:1", "fe:2").allowed);
  REQUIRE(site.newest_reaches(Stage::Closed));
  const auto failed = site.change("fe:1", "fe:2");
  CHECK(failed.reason == "UpgradePreparationFailed");
  site.world.clock.move(10min);
  CHECK_FALSE(site.change("fe:1", "fe:2").allowed);  // attempt 2, still down
  REQUIRE(site.world.signal.eventually(
      [&] { return site.records().size() == 2 && site.records().front().status.phase == Phase::Failed; }));
  site.world.simulator.start(0);
  site.world.clock.move(10min);
  CHECK(site.eventually_allowed("fe:1", "fe:2"));
  CHECK(site.records().size() == 3);
  CHECK(site.world.config() == "0");
}

TEST_CASE("failure 8: an image that cannot be pulled is not fenced in by health checks") {
  Site site({.frontends = 2, .backends = {{"be-0"}, {"be-1"}}});
  REQUIRE(site.change("fe:1", "fe:2").allowed);
  REQUIRE(site.newest_reaches(Stage::RollingOut));
  site.world.simulator.set_backends({{"be-0"}, {"be-1", false}});  // its pod: ImagePullBackOff
  CHECK(site.change("fe:2", "fe:1").allowed);
  REQUIRE(site.newest_reaches(Stage::Closed));
  CHECK(site.records().front().status.outcome == Outcome::Reverted);
  CHECK(site.world.config() == kSchedulingDefault);
}

TEST_CASE("failure 9: ordinary life goes on while the gate has trouble: only an image change needs it") {
  Site site({.frontends = 1}, 200ms);
  site.store.broken = true;
  site.world.simulator.stop(0);
  const auto before = site.object("fe:1");
  auto scaled = before;
  scaled["spec"]["starRocksFeSpec"]["replicas"] = 5;
  auto labelled = before;
  labelled["metadata"]["labels"] = {{"team", "a"}};
  auto finalized = before;
  finalized["metadata"]["finalizers"] = json::array({"starrocks.com/x"});
  auto with_status = before;
  with_status["status"] = {{"phase", "running"}};
  auto leaving = site.object("fe:2");
  leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  auto plain = object_with("fe:1");
  for (const auto& row : std::map<std::string, json>{
           {"scale", review_of(before, scaled)},
           {"label", review_of(before, labelled)},
           {"finalizer", review_of(before, finalized)},
           {"status", review_of(before, with_status, false, "UPDATE", "status")},
           {"being deleted", review_of(before, leaving)},
           {"delete", review_of(before, json(nullptr), false, "DELETE")},
           {"create", review_of(json(nullptr), before, false, "CREATE")},
           {"not configured", review_of(plain, object_with("fe:2"))},
       }) {
    INFO(row.first);
    CHECK(site.ask(row.second).allowed);
  }
  const auto refused = site.change("fe:1", "fe:2");
  CHECK_FALSE(refused.allowed);
  CHECK(refused.reason == "UpgradeGateUnavailable");
}

TEST_CASE("failure 10: clients that repeat get through: a dry run has no effect, the same apply succeeds later") {
  Site site({.frontends = 2}, 100ms);
  site.world.simulator.hang("ADMIN SET");
  CHECK(site.dry_run("fe:1", "fe:2").allowed);
  CHECK(site.records().empty());
  CHECK(site.world.simulator.logins().empty());
  for (int i = 0; i < 3; ++i) {
    const auto held = site.change("fe:1", "fe:2");
    CHECK_FALSE(held.allowed);
    CHECK(held.reason == "UpgradePreparationRunning");
    CHECK(site.dry_run("fe:1", "fe:2").allowed);
  }
  site.world.simulator.clear_faults();
  CHECK(site.eventually_allowed("fe:1", "fe:2"));
  CHECK(site.records().size() == 1);
  CHECK(site.received(kSetNone) == 1);
}

TEST_CASE("failure 11: a target that changes midway is prepared itself, and the first values stay the captured ones") {
  struct Row {
    std::string name;
    bool running;  // else rolling out
  };
  for (const Row& row : {Row{"while the hooks run", true}, Row{"while it rolls out", false}}) {
    INFO(row.name);
    Site site({.frontends = 2}, 1s);
    site.create_image_too();
    if (row.running) site.world.simulator.hang("CREATE IMAGE");
    const bool allowed = site.change("fe:1", "fe:2").allowed;
    REQUIRE(allowed != row.running);
    REQUIRE(site.world.config() == "0");
    if (!row.running) REQUIRE(site.newest_reaches(Stage::RollingOut));
    const std::string now = row.running ? "fe:1" : "fe:2";
    CHECK(site.change(now, "fe:3").allowed != row.running);
    site.world.simulator.clear_faults();
    REQUIRE(site.eventually_allowed(now, "fe:3"));
    site.world.clusters.set_rolled_out();
    REQUIRE(site.world.signal.eventually([&] {
      const auto all = site.records();
      return std::none_of(all.begin(), all.end(), is_open);
    }));
    REQUIRE(site.records().size() == 2);
    for (const auto& record : site.records()) {
      const bool first = record.spec.changes.front().to == "fe:2";
      CHECK(record.status.outcome == (first ? Outcome::Superseded : Outcome::Succeeded));
      for (const auto& captured : record.status.captured) CHECK(captured.value == kSchedulingDefault);
    }
    for (const std::size_t fe : {0, 1}) CHECK(site.world.config(fe) == kSchedulingDefault);
  }
}

TEST_CASE("failure 12: every refusal names what stands in the way and what was seen") {
  struct Row {
    std::string name;
    std::function<void(Site&)> arrange;
    std::string reason;
    std::vector<std::string> named;
  };
  for (const Row& row : {
           Row{"running",
               [](Site& site) { site.world.simulator.hang("ADMIN SET"); },
               "UpgradePreparationRunning",
               {"db/sr", "0/1 hooks", "Re-apply in a few minutes", "kubectl get upgradepreparations"}},
           Row{"failed",
               [](Site& site) {
                 site.world.simulator.fail("ADMIN SET", {5203, "42000", "you need OPERATE"});
               },
               "UpgradePreparationFailed",
               {"disable-tablet-clone", "5203", "you need OPERATE"}},
           Row{"wrong configuration",
               [](Site& site) { site.annotations["starrocks.com/upgrade-hooks"] = "disable-balancr"; },
               "UpgradeHooksInvalid",
               {"starrocks.com/upgrade-hooks", "disable-balancr"}},
           Row{"the gate's own trouble",
               [](Site& site) { site.store.broken = true; },
               "UpgradeGateUnavailable",
               {"connection refused"}},
       }) {
    INFO(row.name);
    Site site({.frontends = 1}, 2s);
    row.arrange(site);
    const auto refused = site.change("fe:1", "fe:2");
    CHECK_FALSE(refused.allowed);
    CHECK(refused.reason == row.reason);
    INFO(refused.message);
    for (const auto& part : row.named) {
      INFO(part);
      CHECK(contains(refused.message, part));
    }
    CHECK(contains(refused.message, "Nothing of this request was applied"));
  }
}

TEST_CASE("failure 13: versions are numbers, and an image is its whole reference") {
  struct Row {
    std::string from, to;
    VersionChange change;
  };
  for (const Row& row : {
           Row{"sr/fe:3.9.1", "sr/fe:3.10.0", VersionChange::Minor},  // as text it would be a way back
           Row{"sr/fe:3.10.0", "sr/fe:3.9.1", VersionChange::Downgrade},
           Row{"sr/fe:3.3.9", "sr/fe:3.3.10", VersionChange::Patch},
           Row{"registry:5000/fe:3.3.1", "registry:5000/fe:4.0.0", VersionChange::Major},
           Row{"sr/fe:3.3.1", "sr/fe@sha256:" + std::string(64, 'a'), VersionChange::Unknown},
           Row{"sr/fe:3.3.1", "sr/fe:latest", VersionChange::Unknown},
       }) {
    INFO(row.from << " to " << row.to);
    CHECK(version_change(row.from, row.to) == row.change);
    // Known or not, older or newer: every change is prepared, and each as a target of its own.
    Site site;
    REQUIRE(site.change(row.from, row.to).allowed);
    CHECK(site.received(kSetNone) == 1);
    REQUIRE(site.records().size() == 1);
    CHECK(site.records().front().spec.changes == std::vector<ImageChange>{{Component::Frontend, row.from, row.to}});
    CHECK(site.change(row.to, row.to + "-custom").allowed);
    CHECK(site.records().size() == 2);
  }
}

TEST_CASE("failure 14: a hook is run once, however many ask for it, and a SET that half worked is undone") {
  SUBCASE("twenty requests at once") {
    Site site;
    site.create_image_too();
    std::vector<std::jthread> clients;
    std::atomic<int> allowed{0};
    for (int i = 0; i < 20; ++i) {
      // Without the change itself: who comes after it would be told that the object is another one by now.
      clients.emplace_back(
          [&] { allowed += site.ask(review_of(site.object("fe:1"), site.object("fe:2"))).allowed ? 1 : 0; });
    }
    clients.clear();
    CHECK(allowed.load() == 20);
    CHECK(site.records().size() == 1);
    CHECK(site.received("CREATE IMAGE") == 1);
    CHECK(site.received(kSetNone) == 1);
  }
  SUBCASE("an error after the leader had taken the value") {
    Site site;
    site.world.simulator.break_broadcast_to(1);
    CHECK_FALSE(site.change("fe:1", "fe:2").allowed);
    // It is tried again until the hook's time is over.
    site.world.clock.pass(2h);
    REQUIRE(site.world.signal.eventually([&] {
      // Time that is moved by hand wakes nobody: an event does.
      site.world.object_becomes(site.object("fe:1"));
      return site.records().front().status.phase == Phase::Failed;
    }));
    site.world.simulator.break_broadcast_to(1, false);
    REQUIRE(site.newest_reaches(Stage::Closed));
    CHECK(site.records().front().status.outcome == Outcome::Failed);
    for (const std::size_t fe : {0, 1}) CHECK(site.world.config(fe) == kSchedulingDefault);
  }
}

TEST_CASE("failure 15: a break-glass for one target does not open another, and does not stay open") {
  Site site({.frontends = 1}, 100ms);
  site.world.clusters.set_bypasser("alice");
  site.world.simulator.stop(0);
  const auto bypass = [&](const std::string& target) {
    site.annotations["starrocks.com/upgrade-gate-bypass"] =
        target + "; reason=disk full; until=" + format_time(site.world.clock.wall_now() + 2h);
  };
  bypass("0000000000");
  const auto refused = site.change("fe:1", "fe:2");
  CHECK_FALSE(refused.allowed);
  // The key that opens it is in the name of the record.
  REQUIRE(site.records().size() == 1);
  bypass(preparation_key(site.records().front().spec));
  CHECK_FALSE(site.change("fe:1", "fe:3").allowed);
  CHECK(site.ask(review_of(site.object("fe:1"), site.object("fe:2"))).allowed);
  CHECK(site.world.signal.eventually([&] { return site.has_event("UpgradeGateBypassed"); }));
  // Left on the object, it is of no use once its time is over.
  site.world.clock.move(3h);
  CHECK_FALSE(site.ask(review_of(site.object("fe:1"), site.object("fe:2"))).allowed);
}

TEST_CASE("failure 16: what went wrong quietly is seen: a hook that failed, a rollout that turned back or stalled") {
  SUBCASE("a hook that may fail") {
    Site site;
    site.create_image_too();
    site.world.simulator.fail("CREATE IMAGE", {1064, "HY000", "no image today"});
    const auto answer = site.change("fe:1", "fe:2");
    INFO(answer.message);
    CHECK(answer.allowed);
    CHECK(std::any_of(answer.warnings.begin(), answer.warnings.end(),
                      [](const std::string& warning) { return contains(warning, "make-image"); }));
    CHECK(hooks_in(site.records().front().status, HookPhase::Failed) == std::vector<std::string>{"make-image"});
  }
  SUBCASE("rolled back by somebody else") {
    Site site;
    REQUIRE(site.change("fe:1", "fe:2").allowed);
    REQUIRE(site.newest_reaches(Stage::RollingOut));
    site.world.object_becomes(site.object("fe:1"));
    REQUIRE(site.newest_reaches(Stage::Closed));
    CHECK(site.records().front().status.outcome == Outcome::Reverted);
  }
  SUBCASE("stalled") {
    Site site;
    REQUIRE(site.change("fe:1", "fe:2").allowed);
    REQUIRE(site.newest_reaches(Stage::RollingOut));
    site.world.clock.move(7h);
    REQUIRE(site.newest_reaches(Stage::Closed));
    CHECK(site.records().front().status.outcome != Outcome::Succeeded);
    // Told once its settings are back, by the same look.
    CHECK(site.world.signal.eventually([&] { return site.has_event("UpgradePreparationExpired"); }));
  }
}

TEST_CASE("failure 17: two safeguards that wait for each other come apart by themselves") {
  // The operator rolls on when the tablets are repaired; they are not while the gate holds the scheduler still.
  Site site;
  REQUIRE(site.change("fe:1", "fe:2").allowed);
  REQUIRE(site.newest_reaches(Stage::RollingOut));
  CHECK(site.world.config() == "0");
  site.world.clock.move(7h);  // --max-hold: 6 h
  REQUIRE(site.world.signal.eventually([&] { return site.world.config() == kSchedulingDefault; }));
  site.world.clusters.set_rolled_out();
  REQUIRE(site.newest_reaches(Stage::Closed));
  CHECK(site.world.config() == kSchedulingDefault);
}

TEST_CASE("failure 18: a gate that comes back mid-roll looks before it acts") {
  ChaosWorld chaos;
  auto gate = std::make_unique<MortalGate>(chaos, chaos_options("gate-0"), Kill{.at = "after write r RollingOut #1"});
  chaos.world.create(backend_record("r", {patient(no_scheduling())}));
  REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Prepared; }));
  chaos.object_becomes(object_of("be:2"));
  REQUIRE(chaos.until([&] { return gate->line.is_cut(); }));
  gate.reset();
  // Meanwhile: one FE has restarted, and the upgrade was taken back.
  chaos.world.simulator.restart(1);
  chaos.object_becomes(object_of("be:1"));
  chaos.world.simulator.forget_statements();
  gate = std::make_unique<MortalGate>(chaos, chaos_options("gate-0"));
  REQUIRE(chaos.until([&] { return chaos.world.get("r").status.stage == Stage::Closed; }));
  CHECK(chaos.world.get("r").status.outcome == Outcome::Reverted);
  CHECK(chaos.received(kSetNone) == 0);
  for (const std::size_t fe : {0, 1}) CHECK(chaos.world.config(fe) == kSchedulingDefault);
  CHECK(chaos.broken_rules() == "");
}

TEST_CASE("failure 19: ready pods and living nodes are not the new ones unless they have started since") {
  Site site;
  REQUIRE(site.change("fe:1", "fe:2").allowed);
  REQUIRE(site.newest_reaches(Stage::RollingOut));
  // Every StatefulSet says it has rolled out, every FE is alive; but they are the old processes, or one of them is.
  site.world.clusters.set_pods_rolled_out();
  const auto looked_at_twice = [&] {
    site.world.simulator.forget_statements();
    for (int look = 0; look < 2; ++look) {
      REQUIRE(site.world.signal.eventually(
          [&] { return site.received("SHOW BACKENDS") > static_cast<std::size_t>(look); }));
    }
  };
  looked_at_twice();
  CHECK(site.records().front().status.stage == Stage::RollingOut);
  site.world.simulator.restart(1);
  looked_at_twice();
  CHECK(site.records().front().status.stage == Stage::RollingOut);
  CHECK(site.records().front().status.restore_pending);
  site.world.simulator.restart(0);
  REQUIRE(site.newest_reaches(Stage::Closed));
  CHECK(site.records().front().status.outcome == Outcome::Succeeded);
}

TEST_CASE("failure 20: looking has no side effects: nothing is changed before the intent is on record") {
  SUBCASE("asked only") {
    Site site;
    CHECK(site.dry_run("fe:1", "fe:2").allowed);
    site.annotations["starrocks.com/upgrade-hooks"] = "no-such-hook";
    CHECK_FALSE(site.change("fe:1", "fe:2").allowed);
    CHECK(site.records().empty());
    CHECK(site.world.simulator.logins().empty());
  }
  SUBCASE("the first hook fails, so no later one has touched anything") {
    Site site;
    site.world.simulator.fail("CREATE IMAGE", {1064, "42000", "no"});
    site.world.create(record_of("r", {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE"), no_scheduling()}));
    REQUIRE(site.world.reaches("r", Stage::Closed));
    CHECK(site.received("ADMIN SET") == 0);
    CHECK(site.world.get("r").status.captured.empty());
    CHECK_FALSE(site.world.get("r").status.restored_time);
  }
}

}  // namespace
}  // namespace gate
