// The session against the simulated FEs: what it does when they refuse, fail, hang and lie.

#include "server/starrocks/frontend_client.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "test/fakes/certificates.hpp"
#include "test/fakes/frontend_simulator.hpp"
#include "test/fakes/loopback.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using std::chrono::steady_clock;

Deadline in(std::chrono::milliseconds duration) { return steady_clock::now() + duration; }
constexpr auto kAmple = 20s;  // For what must succeed, on a slow machine too.

FrontendAccess access_to(FrontendSimulator& simulator, std::size_t index = 0) {
  FrontendAccess access;
  access.address = {"127.0.0.1", simulator.frontend(index).port()};
  return access;
}

std::unique_ptr<FrontendSession> session_with(const FrontendAccess& access) {
  static MysqlFrontendConnector connector;
  auto session = connector.connect(access, in(kAmple));
  REQUIRE_MESSAGE(session.ok(), session.error().message);
  return std::move(session).value();
}

Error refusal_of(const FrontendAccess& access, std::chrono::milliseconds patience = kAmple) {
  MysqlFrontendConnector connector;
  auto session = connector.connect(access, in(patience));
  REQUIRE_FALSE(session.ok());
  return session.error();
}

constexpr const char* kDisable = R"(ADMIN SET FRONTEND CONFIG ("disable_balance"="true"))";

TEST_CASE("a statement reaches the FE and its result comes back by column name") {
  FrontendSimulator simulator({.frontends = 2});
  const auto session = session_with(access_to(simulator));
  REQUIRE(session->execute(kDisable, in(kAmple)).ok());
  CHECK(simulator.frontend(0).config("disable_balance") == "true");
  const auto shown = session->execute("ADMIN SHOW FRONTEND CONFIG LIKE 'disable\\_balance'", in(kAmple));
  REQUIRE(shown.ok());
  REQUIRE(shown->rows.size() == 1);
  CHECK(shown->text(0, "key") == "tablet_sched_disable_balance");
  CHECK(shown->text(0, "VALUE") == "true");
  CHECK(shown->text(0, "NoSuchColumn").empty());
  CHECK(shown->text(1, "Value").empty());
}

TEST_CASE("both greetings, with and without a password, with the account's plugin switched to") {
  struct Row {
    const char* name;
    const char* version;
    const char* greeting;
    const char* password;
  };
  for (const Row& row :
       {Row{"2.5, no password", "2.5.22", "5.1.0", ""}, Row{"3.3, password", "3.3.9", "5.1.0", "p'w\"d"},
        Row{"3.5, password", "3.5.7", "8.0.33", "secret"}, Row{"4.0, no password", "4.0.2", "8.0.33", ""}}) {
    INFO(row.name);
    FrontendSimulator simulator({.version = row.version, .greeting_version = row.greeting, .password = row.password});
    auto access = access_to(simulator);
    access.password = row.password;
    const auto session = session_with(access);
    const auto version = session->execute("SELECT current_version()", in(kAmple));
    REQUIRE(version.ok());
    CHECK(version->text(0, "current_version()").starts_with(row.version));
  }
}

TEST_CASE("a wrong password is PermissionDenied, names user and address, never the password") {
  FrontendSimulator simulator({.password = "right"});
  auto access = access_to(simulator);
  for (const char* wrong : {"hunter2", ""}) {
    INFO(wrong);
    access.password = wrong;
    const Error error = refusal_of(access);
    CHECK(error.code == ErrorCode::PermissionDenied);
    CHECK(error.peer_code == 1045);
    CHECK(error.message.find("root@127.0.0.1:") != std::string::npos);
    CHECK(error.message.find("ERROR 1045 (28000): Access denied for user 'root'") != std::string::npos);
    CHECK(error.message.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("errors of the login say whether another try may help") {
  struct Row {
    const char* name;
    SqlError error;
    ErrorCode expected;
  };
  for (const Row& row : {
           Row{"cluster limit",
               {1064, "HY000", "Reach cluster-wide connection limit, qe_max_connection=4096"},
               ErrorCode::Unavailable},
           Row{"user limit",
               {1064, "HY000", "Reach user-level(qualifiedUser: root) connection limit"},
               ErrorCode::Unavailable},
           Row{"too many connections", {1040, "08004", "Too many connections"}, ErrorCode::Unavailable},
           Row{"insecure transport",
               {5205, "HY000", "Connections using insecure transport are prohibited"},
               ErrorCode::PermissionDenied},
           Row{"group", {5206, "HY000", "Group access denied"}, ErrorCode::PermissionDenied},
       }) {
    INFO(row.name);
    FrontendSimulator simulator;
    simulator.fail_login(row.error);
    const Error error = refusal_of(access_to(simulator));
    CHECK(error.code == row.expected);
    CHECK(error.peer_code == row.error.code);
    CHECK(error.message.find(row.error.text) != std::string::npos);
  }
}

TEST_CASE("an FE that does not listen is Unavailable, and reachable once it does") {
  FrontendSimulator simulator;
  simulator.stop(0);
  CHECK(refusal_of(access_to(simulator)).code == ErrorCode::Unavailable);
  simulator.start(0);
  CHECK(session_with(access_to(simulator))->execute("SELECT 1", in(kAmple)).ok());
}

TEST_CASE("input that cannot be a login is refused without a connection") {
  FrontendSimulator simulator;
  auto no_user = access_to(simulator);
  no_user.username.clear();
  auto cut_password = access_to(simulator);
  cut_password.password = std::string("a\0b", 3);
  FrontendAccess no_host;
  for (const FrontendAccess& access : {no_user, cut_password, no_host})
    CHECK(refusal_of(access).code == ErrorCode::InvalidInput);
  CHECK(simulator.logins().empty());
}

TEST_CASE("an SQL error is Rejected with number, state and cleaned text, and the session goes on") {
  FrontendSimulator simulator;
  simulator.fail("disable_balance", {1064, "HY000", "line one\nline two \x1b[31m is immutable"});
  const auto session = session_with(access_to(simulator));
  const auto result = session->execute(kDisable, in(kAmple));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Rejected);
  CHECK(result.error().peer_code == 1064);
  CHECK(result.error().message.starts_with("ERROR 1064 (HY000): line one line two"));
  CHECK(result.error().message.find('\x1b') == std::string::npos);
  CHECK(result.error().message.find("is immutable") == std::string::npos);
  CHECK(session->execute("SELECT 1", in(kAmple)).ok());
}

TEST_CASE("StarRocks' own error numbers stay SQL errors") {
  FrontendSimulator simulator({.grants = {.operate = false, .roles = {}, .default_roles = {}}});
  const auto session = session_with(access_to(simulator));
  const auto denied = session->execute(kDisable, in(kAmple));
  REQUIRE_FALSE(denied.ok());
  CHECK(denied.error().code == ErrorCode::Rejected);
  CHECK(denied.error().peer_code == 5203);
  simulator.fail("SELECT 2", {5101, "F0000", "Set config failed"});
  CHECK(session->execute("SELECT 2", in(kAmple)).error().peer_code == 5101);
  CHECK(session->execute("SELECT 1", in(kAmple)).ok());
}

TEST_CASE("a chain is drained: the last rows are returned, and an error behind an OK is not lost") {
  FrontendSimulator simulator;
  const auto session = session_with(access_to(simulator));
  const auto both = session->execute("SELECT 1; SELECT 2; SET @x = 1", in(kAmple));
  REQUIRE(both.ok());
  CHECK(both->text(0, "2") == "2");
  const auto second_fails = session->execute("SET @x = 1; SET fly = 1; SELECT 3", in(kAmple));
  REQUIRE_FALSE(second_fails.ok());
  CHECK(second_fails.error().code == ErrorCode::Rejected);
  const auto after = session->execute("SELECT 4", in(kAmple));
  REQUIRE(after.ok());
  CHECK(after->text(0, "4") == "4");
  for (const auto& statement : simulator.statements()) CHECK(statement.sql != "SELECT 3");
}

TEST_CASE("several questions are asked in one exchange, and each has its own answer") {
  FrontendSimulator simulator;
  const auto session = session_with(access_to(simulator));
  SUBCASE("all are answered") {
    const auto answers = session->execute_all({"SELECT 1", "SHOW BACKENDS", "SELECT 2"}, in(kAmple));
    REQUIRE(answers.size() == 3);
    for (const auto& answer : answers) REQUIRE(answer.ok());
    CHECK(answers[0]->text(0, "1") == "1");
    CHECK(answers[1]->rows.size() == 3);
    CHECK(answers[2]->text(0, "2") == "2");
    CHECK(simulator.statements().size() == 3);
  }
  SUBCASE("one that fails is the only one without") {
    simulator.fail("SHOW BACKENDS", {5203, "42000", "Access denied"});
    const auto answers = session->execute_all({"SELECT 1", "SHOW BACKENDS", "SELECT 2"}, in(kAmple));
    REQUIRE(answers.size() == 3);
    CHECK(answers[0]->text(0, "1") == "1");
    REQUIRE_FALSE(answers[1].ok());
    CHECK(answers[1].error().peer_code == 5203);
    CHECK(answers[2]->text(0, "2") == "2");
    CHECK(simulator.statements().size() == 3);  // none is asked twice
  }
  SUBCASE("where they are not taken together, they are asked one by one") {
    const auto answers = session->execute_all({"SELECT 1", "NO STATEMENT", "SELECT 2"}, in(kAmple));
    REQUIRE(answers.size() == 3);
    CHECK(answers[0]->text(0, "1") == "1");
    CHECK(answers[1].error().code == ErrorCode::Rejected);
    CHECK(answers[2]->text(0, "2") == "2");
  }
  SUBCASE("what a session does not answer that ends, is not answered") {
    simulator.drop("SHOW BACKENDS");
    const auto answers = session->execute_all({"SELECT 1", "SHOW BACKENDS", "SELECT 2"}, in(kAmple));
    REQUIRE(answers.size() == 3);
    CHECK(answers[1].error().code == ErrorCode::Unavailable);
    CHECK(answers[2].error().code == ErrorCode::Unavailable);
    for (const auto& statement : simulator.statements()) CHECK(statement.sql != "SELECT 2");
  }
}

TEST_CASE("NULL and long values survive") {
  FrontendSimulator simulator;
  const std::string big(300'000, 'x');
  simulator.answer("SELECT big", {{"a", "b"}, {{std::nullopt, big}, {"", "end"}}});
  const auto result = session_with(access_to(simulator))->execute("SELECT big", in(kAmple));
  REQUIRE(result.ok());
  CHECK_FALSE(result->rows.at(0).at(0).has_value());
  CHECK(result->text(0, "b") == big);
  CHECK(result->rows.at(1).at(0) == "");
}

TEST_CASE("an answer beyond the limit ends the session instead of filling the memory") {
  FrontendSimulator simulator;
  SimulatedResult huge{{"a"}, {}};
  for (std::size_t i = 0; i < 2 * kResultBytesMax / 500'000; ++i) huge.rows.push_back({std::string(500'000, 'x')});
  simulator.answer("SELECT huge", huge);
  const auto session = session_with(access_to(simulator));
  const auto result = session->execute("SELECT huge", in(kAmple));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Unavailable);
  CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
}

TEST_CASE("a hanging FE costs the deadline and no more, and the session is not used again") {
  FrontendSimulator simulator;
  simulator.hang("disable_balance");
  const auto session = session_with(access_to(simulator));
  const auto begin = steady_clock::now();
  const auto result = session->execute(kDisable, in(300ms));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::DeadlineExceeded);
  CHECK(steady_clock::now() - begin >= 300ms);
  CHECK(steady_clock::now() - begin < 1300ms);
  CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
  for (const auto& statement : simulator.statements()) CHECK(statement.sql != "SELECT 1");
  CHECK(simulator.frontend(0).config("disable_balance") == "false");
}

TEST_CASE("a server that never greets costs the deadline and no more") {
  const test::LoopbackPort silent;  // the kernel accepts, and nobody says a word
  FrontendAccess access;
  access.address = {"127.0.0.1", silent.port()};
  const auto begin = steady_clock::now();
  CHECK(refusal_of(access, 300ms).code == ErrorCode::DeadlineExceeded);
  CHECK(steady_clock::now() - begin >= 300ms);
  CHECK(steady_clock::now() - begin < 1300ms);
}

TEST_CASE("what befell an FE on the way to its leader is no refusal of the statement, and ends the session") {
  FrontendSimulator simulator({.frontends = 2});
  for (const char* text :
       {"java.net.ConnectException: Connection refused", "Socket is closed by peer.",
        "java.net.SocketTimeoutException: Read timed out", "Cannot open null host.",
        "org.apache.thrift.transport.TTransportException: java.net.ConnectException",
        "Unexpected exception: java.io.IOException: Broken pipe",
        "java.net.UnknownHostException: sr-fe-1.sr-fe-search.db.svc.cluster.local",
        "java.net.NoRouteToHostException: No route to host (Host unreachable)",
        "java.nio.channels.UnresolvedAddressException", "Connection reset", "Call thrift rpc failed",
        "Timeout waiting for idle object", "com.sleepycat.je.rep.UnknownMasterException: (JE 18.3.16) no master",
        "Cannot invoke \"com.starrocks.system.Frontend.getHost()\" because \"frontend\" is null",
        "Execute timeout, the command may be succeed, you'd better retry"}) {
    INFO(text);
    simulator.fail("CREATE IMAGE", {1064, "HY000", text});
    const auto session = session_with(access_to(simulator));
    const auto result = session->execute("ALTER SYSTEM CREATE IMAGE", in(kAmple));
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::Unavailable);
    CHECK(result.error().peer_code == 1064);
    CHECK(result.error().message.find(text) != std::string::npos);
    CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
  }
  simulator.fail("CREATE IMAGE", {5401, "XX000", "forward too many times 31"});
  CHECK(session_with(access_to(simulator))->execute("ALTER SYSTEM CREATE IMAGE", in(kAmple)).error().code ==
        ErrorCode::Unavailable);
  for (const SqlError& own : {SqlError{1064, "HY000", "Config 'java.net.x' does not exist"},
                              SqlError{1064, "HY000", "Unexpected exception: null"},
                              SqlError{1064, "HY000", "java.lang.IllegalArgumentException: no"},
                              SqlError{5203, "42000", "java.net.ConnectException: no"}}) {
    INFO(own.text);
    simulator.fail("CREATE IMAGE", own);
    CHECK(session_with(access_to(simulator))->execute("ALTER SYSTEM CREATE IMAGE", in(kAmple)).error().code ==
          ErrorCode::Rejected);
  }
}

TEST_CASE("an answer with more columns than anything has is cut off as it arrives") {
  FrontendSimulator simulator;
  SimulatedResult wide;
  for (std::size_t i = 0; i < 100'000; ++i) wide.columns.emplace_back("c");
  simulator.answer("SELECT wide", wide);
  SimulatedResult allowed;
  for (std::size_t i = 0; i < kColumnsMax; ++i) allowed.columns.emplace_back("c");
  simulator.answer("SELECT allowed", allowed);
  const auto session = session_with(access_to(simulator));
  CHECK(session->execute("SELECT allowed", in(kAmple)).ok());
  const auto result = session->execute("SELECT wide", in(kAmple));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Unavailable);
  CHECK(result.error().message.find("4096 columns") != std::string::npos);
}

TEST_CASE("a password that begins or ends with white space is hinted at, and not shown") {
  FrontendSimulator simulator({.password = "secret"});
  auto access = access_to(simulator);
  access.password = "secret\n";
  const auto spaced = refusal_of(access);
  CHECK(spaced.message.find("begins or ends with white space") != std::string::npos);
  CHECK(spaced.message.find("secret") == std::string::npos);
  access.password = "wrong";
  access.username = "nobody";
  // StarRocks says of users that it does not know that no password was used.
  CHECK(refusal_of(access).message.find("(using password: NO) (with the configured password") != std::string::npos);
}

TEST_CASE("an address that a database names lies in its cluster, and what is found there is not told") {
  struct Row {
    const char* name;
    const char* configured;
    const char* named;
    const char* said;
  };
  for (const Row& row :
       {Row{"metadata", "sr-fe-service.db.svc.cluster.local", "169.254.169.254", "169.254.169.254"},
        Row{"loopback", "sr-fe-service.db.svc.cluster.local", "127.0.0.1", "loopback"},
        Row{"loopback in IPv6", "sr-fe-service.db.svc.cluster.local", "::ffff:127.0.0.1", "loopback"},
        Row{"another namespace", "sr-fe-service.db.svc.cluster.local", "fe-0.sr-fe-search.other.svc.cluster.local",
            "want an IP address or a name that ends in .db.svc.cluster.local"},
        Row{"elsewhere", "sr-fe-service.db.svc.cluster.local", "example.com", "invalid host example.com"},
        Row{"metadata by a local FE", "127.0.0.1", "169.254.169.254", "169.254.169.254"},
        Row{"a name by a number", "127.0.0.1", "localhost", "want an IP address"}}) {
    INFO(row.name);
    FrontendAccess access;
    access.named_by = FrontendAddress{row.configured, 9030};
    access.address = {row.named, 9030};
    const auto error = refusal_of(access);
    CHECK(error.code == ErrorCode::PermissionDenied);
    CHECK_MESSAGE(error.message.find(row.said) != std::string::npos, error.message);
  }
  FrontendSimulator simulator({.frontends = 2});
  auto access = access_to(simulator, 1);
  access.named_by = access_to(simulator).address;
  CHECK(session_with(access)->execute("SELECT 1", in(kAmple)).ok());
  simulator.stop(1);
  const auto closed = refusal_of(access);
  simulator.start(1);
  simulator.hang_login(1);
  const auto open = refusal_of(access, 300ms);
  CHECK(closed.message == open.message);
  CHECK(closed.code == open.code);
}

TEST_CASE("what a database names is connected to only once its resolved address was judged, names as well as numbers") {
  FrontendSimulator simulator({.frontends = 2});
  auto access = access_to(simulator, 1);
  std::vector<std::string> judged;
  bool own = false;
  access.judge_named = [&](const std::vector<std::string>& addresses, Deadline) -> Status {
    judged.insert(judged.end(), addresses.begin(), addresses.end());
    if (own) return Ok{};
    return Error{ErrorCode::Unavailable, "not one of its pods"};
  };
  // Not named by a database: the gate's own way to it.
  CHECK(session_with(access)->execute("SELECT 1", in(kAmple)).ok());
  access.named_by = access.address;
  CHECK(session_with(access)->execute("SELECT 1", in(kAmple)).ok());
  CHECK(judged.empty());

  access.named_by = access_to(simulator).address;
  CHECK(refusal_of(access).message.find("not one of its pods") != std::string::npos);
  CHECK(judged == std::vector<std::string>{"127.0.0.1"});
  own = true;
  CHECK(session_with(access)->execute("SELECT 1", in(kAmple)).ok());
  own = false;
  judged.clear();
  access.named_by = FrontendAddress{"other.localhost", access.address.port};
  access.address.host = "fe-0.localhost";
  const auto refused = refusal_of(access);
  // By what the name leads to; where names below localhost lead nowhere, it is not reached at all.
  CHECK((judged.empty() || refused.message.find("not one of its pods") != std::string::npos));
}

TEST_CASE("a connection cut in the middle of an answer is Unavailable, whatever the size") {
  FrontendSimulator simulator;
  simulator.drop("SHOW BACKENDS");
  simulator.drop("disable_balance");
  for (const char* sql : {"SHOW BACKENDS", kDisable}) {
    INFO(sql);
    const auto session = session_with(access_to(simulator));
    const auto result = session->execute(sql, in(kAmple));
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::Unavailable);
    CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
  }
}

TEST_CASE("a restarted FE ends the session; it does not reconnect by itself") {
  FrontendSimulator simulator;
  const auto session = session_with(access_to(simulator));
  REQUIRE(session->execute(kDisable, in(kAmple)).ok());
  simulator.restart(0);
  CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
  CHECK(simulator.logins().size() == 1);
  CHECK(simulator.frontend(0).config("disable_balance") == "false");
}

TEST_CASE("a deadline that has passed sends nothing") {
  FrontendSimulator simulator;
  const auto session = session_with(access_to(simulator));
  CHECK(session->execute(kDisable, in(-1s)).error().code == ErrorCode::DeadlineExceeded);
  CHECK(simulator.statements().empty());
  CHECK(refusal_of(access_to(simulator), -1s).code == ErrorCode::DeadlineExceeded);
}

TEST_CASE("a server that asks for a local file gets none") {
  FrontendSimulator simulator({.infile_attack = true});
  const auto session = session_with(access_to(simulator));
  CHECK_FALSE(session->execute("SELECT 1", in(2s)).ok());
  for (const auto& statement : simulator.statements()) CHECK(statement.frontend != "attacker");
}

struct TlsFixture {
  TestCertificate authority = make_test_authority("FE test CA");
  TestCertificate other_authority = make_test_authority("another CA");
  TestCertificate server = make_test_certificate(authority, {"localhost", "fe.example"});
  TestCertificate by_address = make_test_certificate(authority, {"127.0.0.1"});
};

TEST_CASE_FIXTURE(TlsFixture, "every TLS mode against servers with and without TLS") {
  struct Row {
    const char* name;
    FrontendTls mode;
    bool offered;
    const char* host;
    const std::string* ca;
    bool admitted;
  };
  const std::string none;
  const std::string& good = authority.certificate_pem;
  const std::string& bad = other_authority.certificate_pem;
  for (const Row& row : {
           Row{"disabled, offered", FrontendTls::Disabled, true, "127.0.0.1", &none, true},
           Row{"disabled, not offered", FrontendTls::Disabled, false, "127.0.0.1", &none, true},
           Row{"preferred, offered", FrontendTls::Preferred, true, "127.0.0.1", &none, true},
           Row{"preferred, not offered", FrontendTls::Preferred, false, "127.0.0.1", &none, true},
           Row{"required, offered by anyone", FrontendTls::Required, true, "127.0.0.1", &none, true},
           Row{"required, not offered", FrontendTls::Required, false, "127.0.0.1", &none, false},
           Row{"verify-ca, right CA, other host name", FrontendTls::VerifyCa, true, "127.0.0.1", &good, true},
           Row{"verify-ca, wrong CA", FrontendTls::VerifyCa, true, "127.0.0.1", &bad, false},
           Row{"verify-ca, the system's roots", FrontendTls::VerifyCa, true, "127.0.0.1", &none, false},
           Row{"verify-ca, not offered", FrontendTls::VerifyCa, false, "127.0.0.1", &good, false},
           Row{"verify-identity, right CA and name", FrontendTls::VerifyIdentity, true, "localhost", &good, true},
           Row{"verify-identity, other host name", FrontendTls::VerifyIdentity, true, "127.0.0.1", &good, false},
           Row{"verify-identity, wrong CA", FrontendTls::VerifyIdentity, true, "localhost", &bad, false},
           Row{"verify-identity, not offered", FrontendTls::VerifyIdentity, false, "localhost", &good, false},
       }) {
    INFO(row.name);
    FrontendSimulatorOptions options{.password = "secret"};
    if (row.offered) {
      options.certificate_pem = server.certificate_pem;
      options.private_key_pem = server.private_key_pem;
    }
    FrontendSimulator simulator(options);
    auto access = access_to(simulator);
    access.address.host = row.host;
    access.password = "secret";
    access.tls = row.mode;
    access.ca_pem = *row.ca;
    if (row.admitted) {
      const auto session = session_with(access);
      CHECK(session->execute("SELECT 1", in(kAmple)).ok());
      CHECK(session->execute("SHOW BACKENDS", in(kAmple))->rows.size() == 3);
    } else {
      const Error error = refusal_of(access);
      CHECK(error.code == ErrorCode::PermissionDenied);
      INFO(error.message);
      CHECK((error.message.find("TLS is required") != std::string::npos ||
             error.message.find("not verified") != std::string::npos));
      CHECK(simulator.logins().empty());
    }
  }
}

TEST_CASE_FIXTURE(TlsFixture, "verify-identity accepts an address that the certificate names") {
  FrontendSimulator simulator(
      {.certificate_pem = by_address.certificate_pem, .private_key_pem = by_address.private_key_pem});
  auto access = access_to(simulator);
  access.tls = FrontendTls::VerifyIdentity;
  access.ca_pem = authority.certificate_pem;
  CHECK(session_with(access)->execute("SELECT 1", in(kAmple)).ok());
}

TEST_CASE_FIXTURE(TlsFixture, "a forced transport refuses plain text and takes TLS") {
  FrontendSimulator simulator(
      {.certificate_pem = server.certificate_pem, .private_key_pem = server.private_key_pem, .force_tls = true});
  auto access = access_to(simulator);
  CHECK(session_with(access)->execute("SELECT 1", in(kAmple)).ok());
  access.tls = FrontendTls::Disabled;
  const Error error = refusal_of(access);
  CHECK(error.code == ErrorCode::PermissionDenied);
  CHECK(error.peer_code == 5205);
}

TEST_CASE_FIXTURE(TlsFixture, "a password in clear text is sent to a verified server only, or by the owner's word") {
  struct Row {
    const char* name;
    bool offered;
    FrontendTls mode;
    bool owners_word;
    const char* refused;  ///< Empty: admitted.
  };
  for (const Row& row : {Row{"plain", false, FrontendTls::Preferred, false, "the connection is not encrypted"},
                         Row{"plain, by the owner's word", false, FrontendTls::Preferred, true, "not encrypted"},
                         Row{"TLS by default", true, FrontendTls::Preferred, false, "the server was not verified"},
                         Row{"TLS with anyone", true, FrontendTls::Required, false, "want --frontend-tls=verify-ca"},
                         Row{"TLS with anyone, by the owner's word", true, FrontendTls::Required, true, ""},
                         Row{"verified", true, FrontendTls::VerifyCa, false, ""}}) {
    INFO(row.name);
    FrontendSimulatorOptions options{.password = "ldap-secret", .account_plugin = "mysql_clear_password"};
    if (row.offered) {
      options.certificate_pem = server.certificate_pem;
      options.private_key_pem = server.private_key_pem;
    }
    FrontendSimulator simulator(options);
    auto access = access_to(simulator);
    access.password = "ldap-secret";
    access.tls = row.mode;
    access.ca_pem = authority.certificate_pem;
    MysqlFrontendConnector connector({.password_to_unverified = row.owners_word});
    const auto session = connector.connect(access, in(kAmple));
    CHECK(session.ok() == std::string(row.refused).empty());
    if (session.ok()) continue;
    CHECK(session.error().code == ErrorCode::PermissionDenied);
    INFO(session.error().message);
    CHECK(session.error().message.find("mysql_clear_password") != std::string::npos);
    CHECK(session.error().message.find(row.refused) != std::string::npos);
    for (const auto& login : simulator.logins()) CHECK(login.auth_response.find("ldap-secret") == std::string::npos);
  }
}

TEST_CASE("a greeting that would skip the guard ends the login before anything is sent") {
  for (const auto mode : {FrontendTls::Preferred, FrontendTls::Required}) {
    FrontendSimulator simulator({.password = "secret", .fake_plugin_auth_missing = true});
    auto access = access_to(simulator);
    access.password = "secret";
    access.tls = mode;
    CHECK(refusal_of(access).code == ErrorCode::PermissionDenied);
    CHECK(simulator.logins().empty());
  }
}

TEST_CASE("plugins outside the list are refused") {
  FrontendSimulator simulator({.password = "secret", .account_plugin = "authentication_openid_connect_client"});
  auto access = access_to(simulator);
  access.password = "secret";
  const auto error = refusal_of(access);
  CHECK(error.code == ErrorCode::PermissionDenied);
  INFO(error.message);
  CHECK(error.message.find("login plugin authentication_openid_connect_client: want") != std::string::npos);
  for (const auto& login : simulator.logins()) CHECK(login.auth_response.find("secret") == std::string::npos);
}

TEST_CASE_FIXTURE(TlsFixture, "a login that stalls, in the TLS handshake or after it, costs the deadline and no more") {
  for (const auto mode : {FrontendTls::Disabled, FrontendTls::Required}) {
    FrontendSimulator simulator({.certificate_pem = server.certificate_pem, .private_key_pem = server.private_key_pem});
    simulator.hang_login();
    auto access = access_to(simulator);
    access.tls = mode;
    const auto begin = steady_clock::now();
    CHECK(refusal_of(access, 300ms).code == ErrorCode::DeadlineExceeded);
    CHECK(steady_clock::now() - begin >= 300ms);
    CHECK(steady_clock::now() - begin < 1300ms);
  }
}

TEST_CASE_FIXTURE(TlsFixture, "over TLS too: hang, cut and restart end in time and without a signal") {
  FrontendSimulator simulator({.certificate_pem = server.certificate_pem, .private_key_pem = server.private_key_pem});
  simulator.hang("disable_balance");
  simulator.drop("SHOW BACKENDS");
  auto access = access_to(simulator);
  access.tls = FrontendTls::Required;
  const auto begin = steady_clock::now();
  CHECK(session_with(access)->execute(kDisable, in(300ms)).error().code == ErrorCode::DeadlineExceeded);
  CHECK(steady_clock::now() - begin < 5s);
  CHECK(session_with(access)->execute("SHOW BACKENDS", in(kAmple)).error().code == ErrorCode::Unavailable);
  const auto session = session_with(access);
  simulator.restart(0);
  CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
}

TEST_CASE("an interrupted connector ends what hangs, and everything after it") {
  FrontendSimulator simulator;
  MysqlFrontendConnector connector;
  auto session = connector.connect(access_to(simulator), in(kAmple));
  REQUIRE(session.ok());
  auto idle = connector.connect(access_to(simulator), in(kAmple));
  REQUIRE(idle.ok());
  simulator.hang("ADMIN SET");
  std::optional<Result<QueryResult>> answer;
  std::jthread caller([&] { answer = (*session)->execute(kDisable, in(10min)); });
  REQUIRE(simulator.wait_for_statement("ADMIN SET", in(kAmple)));
  const auto began = steady_clock::now();
  connector.interrupt();
  caller.join();
  CHECK(steady_clock::now() - began < kAmple);
  REQUIRE(answer);
  REQUIRE_FALSE(answer->ok());
  CHECK(answer->error().code == ErrorCode::Unavailable);

  const auto later = (*idle)->execute("SHOW FRONTENDS", in(kAmple));
  REQUIRE_FALSE(later.ok());
  CHECK(later.error().code == ErrorCode::Unavailable);
  const auto login = connector.connect(access_to(simulator), in(kAmple));
  REQUIRE_FALSE(login.ok());
  CHECK(login.error().code == ErrorCode::Unavailable);
}

TEST_CASE("a call ends soon after its owner says so, and goes on while he does not") {
  FrontendSimulator simulator;
  simulator.delay("ADMIN SET", 1s);
  std::atomic<bool> ended{false};
  const auto session = session_with(access_to(simulator));
  session->end_when([&] { return ended.load(); });
  CHECK(session->execute(kDisable, in(kAmple)).ok());
  simulator.clear_faults();
  simulator.hang("ADMIN SET");
  simulator.forget_statements();
  std::optional<Result<QueryResult>> answer;
  std::jthread caller([&] { answer = session->execute(kDisable, in(10min)); });
  REQUIRE(simulator.wait_for_statement("ADMIN SET", in(kAmple)));
  const auto began = steady_clock::now();
  ended = true;
  caller.join();
  CHECK(steady_clock::now() - began < kAmple);
  REQUIRE(answer);
  REQUIRE_FALSE(answer->ok());
  CHECK(answer->error().code == ErrorCode::Unavailable);
  ended = false;
  CHECK_FALSE(session->execute("SHOW FRONTENDS", in(kAmple)).ok());  // nobody knows what would be answered to what
}

}  // namespace
}  // namespace gate
