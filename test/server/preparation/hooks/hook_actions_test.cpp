// The actions of hooks: what passes, what is waited for, what is said meanwhile, and what is pending afterwards.

#include "policy/record/preparation_codec.hpp"
#include "test/server/preparation/run.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;

Hook query(const std::string& sql, const std::string& column, Comparison comparison, const std::string& value) {
  return hook_of("check", QueryAction{sql, column, comparison, value, 1s});
}

Hook call(int retries = 0) {
  auto hook = hook_of("change-board", HttpAction{"https://board/ask?key=hidden", "", "", "", 1s});
  hook.retries = retries;
  return hook;
}

Result<HttpCallReply> reply(int status, const std::string& body = {}) { return HttpCallReply{status, body}; }
const auto kAllow = reply(200, R"({"verdict":"allow","message":"CHG-7 approved"})");
const auto kWait = reply(200, R"({"verdict":"wait","message":"1 of 2 approvals"})");

Hook script(bool post_upgrade = false) { return hook_of("backup", ScriptAction{"pre_upgrade() { :; }", post_upgrade}); }
constexpr auto kRunning = ScriptJobState::Phase::Running;
constexpr auto kSucceeded = ScriptJobState::Phase::Succeeded;
constexpr auto kFailed = ScriptJobState::Phase::Failed;

// ---- Checks ----

TEST_CASE("while a check does not hold, the record says what is observed; then it completes") {
  World world({.backends = {{"be-0"}, {.host = "be-1", .alive = false}}});
  Run run(world, {hook_of("check-backends-alive", ProbeAction{Probe::BackendsAlive})});
  std::jthread worker([&] { (void)run.prepare(); });
  const std::string observed = "1 of 2 backends alive, wanted all: 10002 (be-1) down since";
  REQUIRE(world.signal.eventually([&] { return has(run.status().message, observed); }));
  CHECK(has(run.hook(0).message, observed));
  CHECK(has(run.status().message, "waits for \"check-backends-alive\""));
  // Looked at many times, written once: what does not change is no news.
  const auto version = world.get("r").resource_version;
  const auto looks = count(world.simulator, "SHOW BACKENDS");
  REQUIRE(world.signal.eventually([&] { return count(world.simulator, "SHOW BACKENDS") > looks + 5; }));
  CHECK(world.get("r").resource_version == version);
  world.simulator.set_backends({{"be-0"}, {"be-1"}});
  worker.join();
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.status().message.empty());
  CHECK(run.hook(0).message == "2 of 2 backends alive");
}

TEST_CASE("a check that never holds fails at the hook's timeout with what was observed and what to do") {
  World world;
  world.simulator.set_statistic({.unhealthy = 3});
  auto hook = hook_of("check-tablets-healthy", ProbeAction{Probe::TabletsHealthy});
  hook.timeout = 1s;
  Run run(world, {hook});
  CHECK(run.prepare() == RunEnd::Finished);
  const auto status = run.status();
  CHECK(status.phase == Phase::Failed);
  CHECK(has(status.message, "critical hook \"check-tablets-healthy\" failed: 3 unhealthy and 0 inconsistent of 30"));
  CHECK(has(status.message, "gave up after 1 s"));
  CHECK(has(status.message, "fix the cluster"));
}

TEST_CASE("a query is compared by value, or row by row in a named column") {
  struct Row {
    const char* name;
    Hook hook;
    SimulatedResult answer;
    bool passes;
    const char* said;
  };
  const SimulatedResult states{{"JobId", "State"}, {{"1", "FINISHED"}, {"2", "PENDING"}, {"3", "RUNNING"}}};
  for (const Row& row : {
           Row{"one value", query("SELECT 1", "", Comparison::Less, "10"), {{"n"}, {{"9"}}}, true, ""},
           Row{"one value, not yet",
               query("SELECT 1", "", Comparison::Less, "10"),
               {{"n"}, {{"10"}}},
               false,
               "n is \"10\", wanted < 10"},
           Row{"several values and no column named", query("SELECT 1", "", Comparison::Equal, "1"), states, false,
               "3 rows and 2 columns: name a column"},
           Row{"every row", query("SHOW ALTER", "state", Comparison::NotEqual, "CANCELLED"), states, true, ""},
           Row{"some rows, not yet", query("SHOW ALTER", "State", Comparison::Equal, "FINISHED"), states, false,
               "State is \"PENDING\" (and 1 more rows), wanted = FINISHED"},
           Row{"no row: nothing disagrees",
               query("SHOW ALTER", "State", Comparison::Equal, "FINISHED"),
               {{"State"}, {}},
               true,
               ""},
           Row{"no such column", query("SHOW ALTER", "Status", Comparison::Equal, "FINISHED"), states, false,
               "no column \"Status\""},
           Row{"NULL is an empty text",
               query("SELECT 1", "", Comparison::Equal, ""),
               {{"n"}, {{std::nullopt}}},
               true,
               ""},
       }) {
    INFO(row.name);
    World world;
    auto hook = row.hook;
    hook.timeout = 1s;
    world.simulator.answer(std::get<QueryAction>(hook.action).sql, row.answer);
    Run run(world, {hook});
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK((run.status().phase == Phase::Completed) == row.passes);
    CHECK_MESSAGE(has(run.status().message, row.said), run.status().message);
  }
}

TEST_CASE("a hook for clusters of the other run mode is skipped, and nothing of it is pending or expected to hold") {
  auto hook = no_scheduling();
  hook.run_mode = "shared_data";
  auto other = statement_hook("warehouses", "ADMIN REPAIR TABLE a");
  other.run_mode = "shared_data";
  other.restore = RestoreMode::Statement;
  other.restore_sql = "ADMIN CANCEL REPAIR TABLE a";
  for (const char* version : {"2.5.22", "3.5.7"}) {
    INFO(version);
    World world({.version = version});
    Run run(world, {hook, other});
    REQUIRE(run.prepare() == RunEnd::Finished);
    CHECK(run.status().phase == Phase::Completed);
    CHECK(run.hook(0).phase == HookPhase::Skipped);
    CHECK(run.hook(0).message == "for shared_data clusters; this one is shared_nothing");
    CHECK_FALSE(run.status().restore_pending);
    CHECK(run.status().undo.empty());
    std::string drifted;
    const auto holds = run.runner->holds(ample(), drifted);
    REQUIRE(holds.ok());
    CHECK(*holds);
    CHECK(count(world.simulator, "ADMIN SET") == 0);
    CHECK(count(world.simulator, "REPAIR") == 0);
  }
  World world({.fe_conf = {{"run_mode", "shared_data"}}});
  Run run(world, {hook});
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(world.config() == "0");
}

// ---- Retries and failures ----

TEST_CASE("an SQL error is repeated as often as the hook says, and no more") {
  for (const std::size_t failures : {2U, 3U}) {
    INFO(failures);
    World world;
    world.simulator.fail("CREATE IMAGE", {1064, "HY000", "not now"}, {}, failures);
    auto hook = statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE");
    hook.retries = 2;
    Run run(world, {hook});
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK((run.status().phase == Phase::Completed) == (failures == 2));
    CHECK(count(world.simulator, "CREATE IMAGE") == 3);
  }
}

TEST_CASE("a connection limit, which StarRocks sends as 1064, is waited for without any retries") {
  for (const char* text : {"Reach cluster-wide connection limit, qe_max_connection=4096, connectionScheduler=4096",
                           "Reach user-level(qualifiedUser: root) connection limit, currentUserConn=1024"}) {
    INFO(text);
    World world;
    world.simulator.fail_login({1064, "HY000", text});
    Run run(world, {no_scheduling()});
    std::jthread worker([&] { (void)run.prepare(); });
    REQUIRE(world.signal.eventually([&] { return world.simulator.logins().size() >= 3; }));
    world.simulator.clear_faults();
    worker.join();
    CHECK(run.status().phase == Phase::Completed);
  }
}

TEST_CASE("a failure names hook, statement, FE, error code and what to do") {
  struct Row {
    const char* name;
    SqlError error;
    const char* what_to_do;
  };
  for (const Row& row :
       {Row{"refused", {1064, "HY000", "Unexpected exception"}, "correct the hook, or fix"},
        Row{"no privilege", {5203, "42000", "Access denied; you need OPERATE"}, "GRANT OPERATE ON SYSTEM"},
        Row{"none of 2.5 either",
            {1227, "42000", "Access denied; you need (at least one of) the OPERATE privilege(s) for this operation"},
            "GRANT OPERATE ON SYSTEM"},
        Row{"on a table",
            {5203, "42000",
             "Access denied; you need (at least one of) the SELECT privilege(s) on TABLE loads for this operation."},
            "give the gate's FE user the privilege that is named there"},
        Row{"on a database",
            {1044, "42000", "Access denied for user 'gate' to database 'information_schema'"},
            "give the gate's FE user the privilege that is named there"},
        Row{"on a table, of 2.5",
            {1142, "42000", "SELECT command denied to user 'gate'@'10.0.3.17' for table 'loads'"},
            "give the gate's FE user the privilege that is named there"}}) {
    INFO(row.name);
    World world;
    world.simulator.fail("CREATE IMAGE", row.error);
    Run run(world, {statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE")});
    CHECK(run.prepare() == RunEnd::Finished);
    const auto message = run.status().message;
    INFO(message);
    for (const std::string& part :
         {std::string("critical hook \"create-image\""), std::string("ALTER SYSTEM CREATE IMAGE"),
          "FE 127.0.0.1:" + std::to_string(world.simulator.frontend(0).port()),
          "ERROR " + std::to_string(row.error.code), std::string(row.what_to_do)}) {
      CHECK(has(message, part));
    }
  }
}

TEST_CASE("a check of somebody's own waits for the nodes that answer it, and not for what would be refused again") {
  struct Row {
    const char* name;
    SqlError error;
    bool waits;
  };
  for (const Row& row :
       {Row{"no BE", {1064, "HY000", "Backend node not found. Check if any backend node is down.backend: "}, true},
        Row{"no CN", {1064, "HY000", "Compute node not found. Check if any compute node is down."}, true},
        Row{"a warehouse without nodes",
            {5905, "42000", "No alive backend or compute node in warehouse default_warehouse."},
            true},
        Row{"too slow", {5024, "HY000", "Query timeout. Increase the query_timeout session variable and retry"}, true},
        Row{"nodes that crashed", {5077, "XX000", "Query cancelled by crash of backends."}, true},
        Row{"a typing error", {1064, "42000", "Getting syntax error at line 1"}, false},
        Row{"no such table", {5502, "42602", "Unknown table 'db.t'"}, false},
        Row{"no privilege", {1142, "42000", "SELECT command denied to user 'gate'"}, false}}) {
    INFO(row.name);
    World world;
    SimulatedResult one;
    one.columns = {"n"};
    one.rows = {{"0"}};
    world.simulator.answer("SELECT n", one);
    world.simulator.fail("SELECT n", row.error, {}, 2);
    Run run(world, {query("SELECT n FROM t", "n", Comparison::Equal, "0")});
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK((run.status().phase == Phase::Completed) == row.waits);
    CHECK(count(world.simulator, "SELECT n") == (row.waits ? 3 : 1));
  }
}

TEST_CASE("a login that is refused is told as one, not as a missing privilege or a faulty hook") {
  World world;
  world.simulator.fail_login({1045, "28000", "Access denied for user 'gate'@'10.0.3.17' (using password: YES)"});
  Run run(world, {no_scheduling()});
  CHECK(run.prepare() == RunEnd::Finished);
  const auto message = run.status().message;
  INFO(message);
  CHECK(has(message, "ERROR 1045 (28000)"));
  CHECK(has(message, "check the user and the password"));
  CHECK_FALSE(has(message, "GRANT"));
  CHECK_FALSE(has(message, "correct the hook"));
}

/// What the record says where the gate finds no way into the FE.
std::string told_without_access(const Error& error) {
  World world;
  world.clusters.no_access = error;
  Run run(world, {no_scheduling()});
  CHECK(run.prepare() == RunEnd::Finished);
  return run.status().message;
}

TEST_CASE("a server that the gate does not log in to is told as that, not as a missing privilege") {
  struct Row {
    const char* name;
    Error error;
  };
  for (const Row& row :
       {Row{"another CA",
            {ErrorCode::PermissionDenied,
             "root@fe:9030: the server was not verified: its certificate is "
             "not accepted: self-signed certificate in certificate chain"}},
        Row{"no TLS", {ErrorCode::PermissionDenied, "root@fe:9030: TLS is required and the server offers none"}},
        Row{"a login plugin", {ErrorCode::PermissionDenied, "root@fe:9030: the server asks for a login plugin", 2059}},
        Row{"TLS is demanded",
            {ErrorCode::PermissionDenied,
             "root@fe:9030: ERROR 5205 (HY000): Connections using insecure transport are prohibited", 5205}},
        Row{"an address that is never called",
            {ErrorCode::PermissionDenied, "sr-fe-service: 127.0.0.1 is a loopback address: never called"}}}) {
    INFO(row.name);
    const auto message = told_without_access(row.error);
    INFO(message);
    CHECK(has(message, row.error.message));
    CHECK(has(message, "check the address that the gate logs in to"));
    CHECK_FALSE(has(message, "GRANT"));
  }
}

TEST_CASE("what is wrong with a Secret is not told as a fault of the hook") {
  const std::string login = "Secret fe-login (annotation starrocks.com/upgrade-credentials-secret)";
  struct Row {
    const char* name;
    Error error;
    const char* what_to_do;
  };
  for (const Row& row :
       {Row{"it is missing", {ErrorCode::Misconfigured, login + ": not found", 404}, "correct what is named there"},
        Row{"a key is missing",
            {ErrorCode::Misconfigured, login + ": want the keys username and password"},
            "correct what is named there"},
        Row{"the Service is none",
            {ErrorCode::Misconfigured, "Service sr-fe-service: invalid type ExternalName"},
            "correct what is named there"},
        Row{"the environment is not read",
            {ErrorCode::Misconfigured, "spec.starRocksFeSpec.feEnvVars[0]: the gate cannot read root's password"},
            "correct what is named there"},
        Row{"a fault of the hook that speaks of one",
            {ErrorCode::InvalidInput, "no such item in Secret or ConfigMap text"},
            "correct the hook"},
        Row{"it may not be read",
            {ErrorCode::Misconfigured, login + ": 403 Forbidden", 403},
            "check that the gate's service account may read it"},
        Row{"the cluster may not be read",
            {ErrorCode::PermissionDenied, "GET starrocksclusters/sr: 403 Forbidden", 403},
            "check that the gate's service account may read it"},
        Row{"another fault", {ErrorCode::InvalidInput, "no such thing"}, "correct the hook"}}) {
    INFO(row.name);
    const auto message = told_without_access(row.error);
    INFO(message);
    CHECK(has(message, row.error.message));
    CHECK(has(message, row.what_to_do));
  }
}

TEST_CASE("the whole preparation has its own time, counted from its start by whoever works on it") {
  World world;
  world.simulator.set_statistic({.unhealthy = 1});
  const auto waiting = hook_of("check-tablets-healthy", ProbeAction{Probe::TabletsHealthy}, false);
  SUBCASE("a hook is cut off, and the next does not begin") {
    Run run(world, {waiting, no_scheduling()});
    run.options.preparation_timeout = 1s;
    run.again();
    CHECK(run.prepare() == RunEnd::Finished);
    const auto status = run.status();
    CHECK(status.phase == Phase::Failed);
    CHECK(status.reason == "PreparationTimedOut");
    CHECK(has(status.message,
              "longer than 1 s (--preparation-timeout); it stopped before hook \"disable-tablet-clone\""));
    CHECK(status.hooks[0].phase == HookPhase::Failed);
    CHECK(status.hooks[1].phase == HookPhase::Pending);
  }
  SUBCASE("another worker had used it up") {
    Run run(world, {no_scheduling()},
            [&](Preparation& record) { record.status.start_time = world.clock.wall_now() - 2h; });
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK(run.status().reason == "PreparationTimedOut");
    CHECK(world.simulator.statements().empty());
  }
  SUBCASE("clocks that differ take nothing away") {
    Run run(world, {no_scheduling()},
            [&](Preparation& record) { record.status.start_time = world.clock.wall_now() + 2h; });
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK(run.status().phase == Phase::Completed);
  }
}

// ---- HTTP ----

TEST_CASE("a service that denies, or is not understood, fails the hook at once; one in trouble is asked again") {
  struct Row {
    const char* name;
    std::deque<Result<HttpCallReply>> answers;
    int retries;
    bool passes;
    std::size_t calls;
    const char* said;
  };
  for (const Row& row : {
           Row{"denied, whatever the retries",
               {reply(200, R"({"verdict":"deny","message":"freeze"})"), kAllow},
               5,
               false,
               1,
               "denied: freeze"},
           Row{"forbidden", {reply(403), kAllow}, 0, false, 1, "HTTP 403"},
           Row{"not understood, with a retry", {reply(200, "<html>"), kAllow}, 1, true, 2, ""},
           Row{"not allowed to be called",
               {Error{ErrorCode::PermissionDenied, "not under an allowed prefix"}, kAllow},
               5,
               false,
               1,
               "not under an allowed prefix"},
           Row{"in trouble",
               {reply(503), reply(429), Error{ErrorCode::Unavailable, "refused"}, kAllow},
               0,
               true,
               4,
               ""},
       }) {
    INFO(row.name);
    World world;
    world.http.answer(row.answers);
    Run run(world, {call(row.retries)});
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK((run.status().phase == Phase::Completed) == row.passes);
    CHECK(world.http.requests().size() == row.calls);
    CHECK_MESSAGE(has(run.status().message, row.said), run.status().message);
    CHECK_FALSE(has(run.status().message, "hidden"));  // the query of the URL
    if (!row.passes) CHECK(has(run.status().message, "https://board/ask"));
  }
}

TEST_CASE("a service that says not yet until the timeout fails the hook with its words") {
  World world;
  world.http.answer({kWait});
  auto hook = call();
  hook.timeout = 1s;
  Run run(world, {hook});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(has(run.status().message, "not yet: 1 of 2 approvals"));
}

TEST_CASE("the token is read from its Secret for each call and is in no record") {
  World world;
  world.clusters.set_secret("board", "token", "s3cret");
  world.http.answer({kAllow});
  Run run(world, {hook_of("change-board", HttpAction{"https://board/", "PEM", "board", "token", 1s})});
  CHECK(run.prepare() == RunEnd::Finished);
  REQUIRE(world.http.requests().size() == 1);
  CHECK(world.http.requests()[0].bearer_token == "s3cret");
  CHECK(world.http.requests()[0].ca_pem == "PEM");
  CHECK_FALSE(has(to_json(world.get("r")).dump(), "s3cret"));

  World without;
  Run missing(without, {hook_of("change-board", HttpAction{"https://board/", "", "board", "token", 1s})});
  CHECK(missing.prepare() == RunEnd::Finished);
  CHECK(has(missing.status().message, "no Secret board"));
  CHECK(without.http.requests().empty());
}

// ---- Scripts ----

TEST_CASE("a script's Job is watched to its end, its words are shown, and it is removed when the record has its end") {
  World world;
  world.scripts.set_state("pre_upgrade", {kRunning, "copying 3 of 9"});
  Run run(world, {script()});
  std::jthread worker([&] { (void)run.prepare(); });
  CHECK(world.signal.eventually([&] { return has(run.status().message, "copying 3 of 9"); }));
  world.scripts.set_state("pre_upgrade", {kSucceeded, "copied 9"});
  worker.join();
  CHECK(run.status().phase == Phase::Completed);
  CHECK(run.hook(0).message == "copied 9");
  CHECK(world.scripts.created() == std::vector<std::string>{"backup/pre_upgrade/1"});
  CHECK(world.scripts.existing().empty());
  CHECK_FALSE(run.status().restore_pending);
}

TEST_CASE("a script that fails fails the hook with its last words, after a Job for each retry") {
  World world;
  world.scripts.set_state("pre_upgrade", {kFailed, "exit 3: disk full"});
  auto hook = script();
  hook.retries = 1;
  Run run(world, {hook});
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Failed);
  CHECK(has(run.status().message, "pre_upgrade(): exit 3: disk full"));
  CHECK(world.scripts.created() == std::vector<std::string>{"backup/pre_upgrade/1", "backup/pre_upgrade/2"});
  CHECK(world.scripts.existing().empty());
}

TEST_CASE("who takes over a script that runs re-attaches to its Job; one that is reopened gets a new Job") {
  for (const auto& row :
       {std::pair{HookPhase::Running, "backup/pre_upgrade/4"}, std::pair{HookPhase::Pending, "backup/pre_upgrade/5"}}) {
    INFO(to_string(row.first));
    World world;
    world.scripts.set_state("pre_upgrade", {kSucceeded, ""});
    Run run(world, {script()}, [phase = row.first](Preparation& record) {
      HookStatus entry;
      entry.name = "backup";
      entry.phase = phase;
      entry.attempts = 4;
      record.status.hooks = {entry};
    });
    CHECK(run.prepare() == RunEnd::Finished);
    CHECK(world.scripts.created() == std::vector<std::string>{row.second});
  }
}

TEST_CASE("who is told to stop leaves the Job to who continues") {
  World world;
  Run run(world, {script()});
  std::optional<RunEnd> end;
  std::jthread worker([&] { end = run.prepare(); });
  REQUIRE(world.signal.eventually([&] { return !world.scripts.created().empty(); }));
  run.stop.request_stop();
  worker.join();
  CHECK(end == RunEnd::Interrupted);
  CHECK(world.scripts.existing().size() == 1);
  CHECK(run.hook(0).phase == HookPhase::Running);
}

TEST_CASE("post_upgrade() is pending before pre_upgrade() runs, whatever becomes of it, until it has succeeded") {
  for (const auto outcome : {kSucceeded, kFailed}) {
    INFO(static_cast<int>(outcome));
    World world;
    Run run(world, {script(true)});
    std::jthread worker([&] { (void)run.prepare(); });
    REQUIRE(world.signal.eventually([&] { return !world.scripts.created().empty(); }));
    CHECK(run.status().restore_pending);
    CHECK(run.status().undo == std::vector<PendingUndo>{{"backup", "", "pre_upgrade() { :; }", kAmple}});
    world.scripts.set_state("pre_upgrade", {outcome, ""});
    worker.join();

    world.scripts.set_state("post_upgrade", {kFailed, "no space"});
    const auto failed = run.runner->restore(kAmple);
    REQUIRE_FALSE(failed.ok());
    CHECK(has(failed.error().message, "undo of hook \"backup\": post_upgrade(): no space"));
    CHECK(run.status().undo.size() == 1);
    world.scripts.set_state("post_upgrade", {kSucceeded, ""});
    CHECK(run.runner->restore(kAmple).ok());
    CHECK(run.status().undo.empty());
    CHECK(world.scripts.existing().empty());
    CHECK(run.runner->restore(kAmple).ok());
    CHECK(world.scripts.created().size() == 3);  // pre, post that failed, post that succeeded
  }
}

// ---- The claim ----

/// Another replica has the record, and this one has come to know.
void lose(Run& run) {
  run.world.write("r", [](PreparationStatus& status) { status.runner.identity = "other"; });
  REQUIRE_FALSE(run.claim->renew(ample()).ok());
}

TEST_CASE("a service is not called once more by who lost the claim between two attempts, and no answer is written") {
  World world;
  world.clusters.set_secret("board", "token", "t");
  world.http.answer({reply(503), kAllow});
  Run run(world, {hook_of("change-board", HttpAction{"https://board/ask", "", "board", "token", 1s})});
  int reads = 0;
  world.clusters.on_secret = [&] {
    // The last moment before the second call.
    if (++reads == 2) lose(run);
  };
  CHECK(run.prepare() == RunEnd::Interrupted);
  CHECK(reads == 2);
  CHECK(world.http.requests().size() == 1);
  CHECK(run.hook(0).phase == HookPhase::Running);
  CHECK(run.status().runner.identity == "other");
}

TEST_CASE("an answer that comes after the claim was lost is not written") {
  World world;
  Run* run = nullptr;
  class Late final : public HttpCaller {
   public:
    explicit Late(std::function<void()> meanwhile) : meanwhile_(std::move(meanwhile)) {}
    Result<HttpCallReply> post(const HttpCallRequest&, Deadline) override {
      meanwhile_();
      return kAllow;
    }
    void interrupt() override {}

   private:
    const std::function<void()> meanwhile_;
  } late([&] { run->world.write("r", [](PreparationStatus& status) { status.runner.identity = "other"; }); });
  Run of(world, {call()});
  run = &of;
  HookRunner runner(*of.claim, {world.clusters, of.connector, late, world.scripts}, world.clock, quick_hooks(), {});
  // Nobody told this replica: the record's version does.
  CHECK(all_passes(runner) == RunEnd::Interrupted);
  CHECK(of.hook(0).phase == HookPhase::Running);
}

TEST_CASE("no Job is made, and none removed, by who lost the claim before it") {
  World world;
  world.scripts.set_state("pre_upgrade", {kFailed, "exit 1"});
  auto hook = script();
  hook.retries = 1;
  Run run(world, {hook});
  int looks = 0;
  SUBCASE("between two attempts") {
    world.scripts.on_question = [&] {
      if (++looks == 2) lose(run);
    };
    CHECK(run.prepare() == RunEnd::Interrupted);
    CHECK(world.scripts.created() == std::vector<std::string>{"backup/pre_upgrade/1"});
  }
  SUBCASE("before the first") {
    world.scripts.on_question = [&] {
      if (++looks == 1) lose(run);
    };
    CHECK(run.prepare() == RunEnd::Interrupted);
    CHECK(world.scripts.created().empty());
  }
  SUBCASE("with a Job that the next holder watches") {
    world.scripts.set_state("pre_upgrade", {kRunning, ""});
    std::jthread worker([&] { CHECK(run.prepare() == RunEnd::Interrupted); });
    REQUIRE(world.signal.eventually([&] { return !world.scripts.created().empty(); }));
    lose(run);
    worker.join();
    HookContext context(*run.claim, {world.clusters, run.connector, world.http, world.scripts}, world.clock);
    clean_up_hook(context, 0);
    CHECK(world.scripts.existing().size() == 1);
  }
}

// ---- Undo ----

TEST_CASE("an undo statement is pending before its hook runs, and is run once, the last first") {
  std::function<void(const ReceivedStatement&)> look = [](const auto&) {};
  World world({.on_statement = [&](const ReceivedStatement& statement) { look(statement); }});
  auto first = statement_hook("first", "ADMIN REPAIR TABLE a");
  first.restore = RestoreMode::Statement;
  first.restore_sql = "ADMIN CANCEL REPAIR TABLE a";
  auto second = statement_hook("second", "ADMIN REPAIR TABLE b");
  second.restore = RestoreMode::Statement;
  second.restore_sql = "ADMIN CANCEL REPAIR TABLE b";
  Run run(world, {first, second});
  std::vector<std::size_t> pending;
  look = [&](const ReceivedStatement& statement) {
    if (statement.sql.starts_with("ADMIN REPAIR")) pending.push_back(world.get("r").status.undo.size());
  };
  REQUIRE(run.prepare() == RunEnd::Finished);
  CHECK(pending == std::vector<std::size_t>{1, 2});
  CHECK(run.status().restore_pending);

  // One that is refused stays pending and does not keep the other from being done.
  world.simulator.fail("CANCEL REPAIR TABLE b", {1064, "HY000", "busy"}, {}, 1);
  CHECK_FALSE(run.runner->restore(kAmple).ok());
  CHECK(run.status().undo == std::vector<PendingUndo>{{"second", second.restore_sql, "", kAmple}});
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(run.status().undo.empty());
  std::vector<std::string> undone;
  for (const auto& statement : world.simulator.statements()) {
    if (statement.sql.starts_with("ADMIN CANCEL")) undone.push_back(statement.sql);
  }
  CHECK(undone == std::vector<std::string>{second.restore_sql, first.restore_sql, second.restore_sql});
}

TEST_CASE("a setting is undone as its hook says: its old value, a statement, or not at all") {
  struct Row {
    const char* name;
    RestoreMode mode;
    std::size_t captured, undo;
    const char* afterwards;
  };
  for (const Row& row :
       {Row{"captured", RestoreMode::Captured, 1, 0, "10000"}, Row{"a statement", RestoreMode::Statement, 0, 1, "2000"},
        Row{"not at all", RestoreMode::None, 0, 0, "0"}}) {
    INFO(row.name);
    auto hook = no_scheduling();
    hook.restore = row.mode;
    if (row.mode == RestoreMode::Statement) hook.restore_sql = set_config_sql(kScheduling, "2000");
    World world;
    Run run(world, {hook});
    REQUIRE(run.prepare() == RunEnd::Finished);
    CHECK(run.status().captured.size() == row.captured);
    CHECK(run.status().undo.size() == row.undo);
    CHECK(run.status().restore_pending == (row.captured + row.undo > 0));
    CHECK(run.runner->restore(kAmple).ok());
    CHECK(world.config() == row.afterwards);

    World as_wanted({.fe_conf = {{kScheduling, "0"}}});
    Run nothing(as_wanted, {hook});
    REQUIRE(nothing.prepare() == RunEnd::Finished);
    CHECK_FALSE(nothing.status().restore_pending);
    CHECK(nothing.status().undo.empty());
  }
}

TEST_CASE("a captured setting that the new version no longer has is given up, and the others are restored") {
  World world;
  Run run(world, {no_scheduling(), setting_hook("disable-balancer", "disable_balance", "true")});
  REQUIRE(run.prepare() == RunEnd::Finished);
  world.simulator.drop_config_item(kScheduling);
  std::string text;
  const auto holds = run.runner->holds(ample(), text);
  REQUIRE(holds.ok());
  CHECK(*holds);
  CHECK(run.runner->reassert(kAmple, text).ok());
  CHECK(run.runner->restore(kAmple).ok());
  CHECK(world.config(0, "disable_balance") == "false");
  CHECK(run.status().captured.size() == 1);
  CHECK(has(run.status().message, "no longer knows tablet_sched_max_scheduling_tablets"));
}

// ---- Verify mode ----

const auto kVerify = [](Preparation& record) { record.spec.mode = PreparationMode::Verify; };

TEST_CASE("in verify mode nothing is changed: settings are waited for, checks run, the rest is skipped") {
  World world({.frontends = 2});
  world.scripts.set_state("pre_upgrade", {kSucceeded, ""});
  world.http.answer({kAllow});
  Run run(world,
          {no_scheduling(), hook_of("check-backends-alive", ProbeAction{Probe::BackendsAlive}),
           statement_hook("look", "SHOW FRONTENDS"), statement_hook("create-image", "ALTER SYSTEM CREATE IMAGE"),
           script(true), call()},
          kVerify);
  std::jthread worker([&] { (void)run.prepare(); });
  world.simulator.frontend(0).set_config(kScheduling, "0");
  REQUIRE(world.signal.eventually([&] {
    return has(run.status().message, "tablet_sched_max_scheduling_tablets is \"10000\" on FE 127.0.0.1:" +
                                         std::to_string(world.simulator.frontend(1).port()));
  }));
  CHECK(run.status().phase == Phase::Running);
  world.simulator.frontend(1).set_config(kScheduling, "0");
  worker.join();
  const auto status = run.status();
  CHECK(status.phase == Phase::Completed);
  CHECK(hooks_in(status, HookPhase::Completed) ==
        std::vector<std::string>{"disable-tablet-clone", "check-backends-alive", "look", "change-board"});
  CHECK(hooks_in(status, HookPhase::Skipped) == std::vector<std::string>{"create-image", "backup"});
  CHECK(status.captured.empty());
  CHECK(status.undo.empty());
  CHECK_FALSE(status.restore_pending);
  CHECK(world.scripts.created().empty());

  // What drifts is reported, not set again.
  world.simulator.restart(1);
  std::string detail;
  const auto held = run.runner->reassert(kAmple, detail);
  REQUIRE_FALSE(held.ok());
  CHECK(has(held.error().message, "\"10000\" on FE"));
  CHECK(world.config(1) == kSchedulingDefault);
  for (const char* changing : {"ADMIN SET", "CREATE IMAGE"}) CHECK(count(world.simulator, changing) == 0);
}

TEST_CASE("in verify mode a setting that does not come into force fails the hook") {
  World world;
  auto hook = no_scheduling();
  hook.timeout = 1s;
  Run run(world, {hook}, kVerify);
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Failed);
  CHECK(has(run.status().message, "is \"10000\" on FE"));
}

nlohmann::json prepared_by_others(const std::string& phase, const std::string& image) {
  auto object = object_with("fe:1");
  object["status"]["upgradePreparationStatus"] = {{"phase", phase}, {"targetImages", {{"fe", image}}}};
  return object;
}

TEST_CASE("where somebody else prepares, verify mode completes on their Completed for this target only") {
  World world({.fe_conf = {{kScheduling, "0"}}});
  world.clusters.set_object(prepared_by_others("Completed", "fe:1"));
  Run run(world, {no_scheduling()}, kVerify);
  std::jthread worker([&] { (void)run.prepare(); });
  REQUIRE(world.signal.eventually([&] { return has(run.status().message, "Completed for another target"); }));
  world.clusters.set_object(prepared_by_others("Completed", "fe:2"));
  worker.join();
  CHECK(run.status().phase == Phase::Completed);
  std::string drifted;
  auto holds = run.runner->holds(ample(), drifted);
  REQUIRE(holds.ok());
  CHECK(*holds);
  world.clusters.set_object(prepared_by_others("Running", "fe:2"));
  holds = run.runner->holds(ample(), drifted);
  REQUIRE(holds.ok());
  CHECK_FALSE(*holds);
}

TEST_CASE("where somebody else prepares and has failed, so has the preparation") {
  World world({.fe_conf = {{kScheduling, "0"}}});
  world.clusters.set_object(prepared_by_others("Failed", "fe:2"));
  Run run(world, {no_scheduling()}, kVerify);
  CHECK(run.prepare() == RunEnd::Finished);
  CHECK(run.status().phase == Phase::Failed);
  CHECK(run.status().reason == "ExternalPreparationNotCompleted");
  CHECK_FALSE(run.status().restore_pending);
}

}  // namespace
}  // namespace gate
