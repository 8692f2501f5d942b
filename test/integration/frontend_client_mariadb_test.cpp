// The FE session against a real server: what the simulator cannot prove about the client library.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <future>
#include <memory>

#include "server/starrocks/frontend_client.hpp"
#include "test/fakes/certificates.hpp"
#include "test/integration/mariadb_server.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using std::chrono::steady_clock;

constexpr auto kAmple = 30s;
Deadline in(std::chrono::milliseconds duration) { return steady_clock::now() + duration; }

struct World {
  TestCertificate authority = make_test_authority("integration CA");
  TestCertificate other_authority = make_test_authority("another CA");
  TestCertificate certificate = make_test_certificate(authority, {"localhost"});
  MariadbServer server{find_mariadb(), certificate.certificate_pem, certificate.private_key_pem};
  MysqlFrontendConnector connector;

  World() {
    server.start(true);
    const auto root = session("root", "");
    // NOLINTBEGIN(bugprone-suspicious-missing-comma): one statement over two lines
    for (const char* sql :
         {"CREATE USER with_password@'%' IDENTIFIED BY 'secret'", "CREATE USER without_password@'%'",
          "CREATE USER tls_only@'%' IDENTIFIED BY 'secret' REQUIRE SSL", "CREATE DATABASE gate",
          "CREATE PROCEDURE gate.two_results() BEGIN SELECT 1 AS a; SELECT 2 AS b UNION SELECT 3; END",
          "CREATE PROCEDURE gate.late_error() BEGIN SELECT 1 AS a; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='late'; "
          "END"}) {
      // NOLINTEND(bugprone-suspicious-missing-comma)
      const auto done = root->execute(sql, in(kAmple));
      if (!done) throw std::runtime_error(done.error().message);
    }
  }

  [[nodiscard]] FrontendAccess access(const std::string& user, const std::string& password) const {
    FrontendAccess out;
    out.address = {"127.0.0.1", server.port()};
    out.username = user;
    out.password = password;
    return out;
  }
  [[nodiscard]] std::unique_ptr<FrontendSession> session(const std::string& user, const std::string& password) {
    auto out = connector.connect(access(user, password), in(kAmple));
    if (!out) throw std::runtime_error(out.error().message);
    return std::move(out).value();
  }
};

std::unique_ptr<World> world;

TEST_CASE("passwords: right, none, wrong") {
  CHECK(world->connector.connect(world->access("with_password", "secret"), in(kAmple)).ok());
  CHECK(world->connector.connect(world->access("without_password", ""), in(kAmple)).ok());
  for (const char* wrong : {"", "Secret"}) {
    INFO("password: " << wrong);
    const auto refused = world->connector.connect(world->access("with_password", wrong), in(kAmple));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::PermissionDenied);
    CHECK(refused.error().peer_code == 1045);
  }
}

TEST_CASE("TLS modes against a server that offers TLS") {
  struct Row {
    const char* name;
    FrontendTls mode;
    const char* host;
    const std::string* ca;
    bool admitted;
    bool encrypted;
  };
  const std::string none;
  const std::string& good = world->authority.certificate_pem;
  const std::string& bad = world->other_authority.certificate_pem;
  for (const Row& row :
       {Row{"disabled", FrontendTls::Disabled, "127.0.0.1", &none, true, false},
        Row{"preferred", FrontendTls::Preferred, "127.0.0.1", &none, true, true},
        Row{"required", FrontendTls::Required, "127.0.0.1", &none, true, true},
        Row{"verify-ca", FrontendTls::VerifyCa, "127.0.0.1", &good, true, true},
        Row{"verify-ca, other CA", FrontendTls::VerifyCa, "127.0.0.1", &bad, false, false},
        Row{"verify-identity", FrontendTls::VerifyIdentity, "localhost", &good, true, true},
        Row{"verify-identity, other name", FrontendTls::VerifyIdentity, "127.0.0.1", &good, false, false}}) {
    INFO(row.name);
    auto access = world->access("with_password", "secret");
    access.address.host = row.host;
    access.tls = row.mode;
    access.ca_pem = *row.ca;
    auto session = world->connector.connect(access, in(kAmple));
    if (!row.admitted) {
      REQUIRE_FALSE(session.ok());
      CHECK(session.error().code == ErrorCode::PermissionDenied);
      continue;
    }
    REQUIRE_MESSAGE(session.ok(), session.error().message);
    const auto cipher = (*session)->execute("SHOW STATUS LIKE 'Ssl_cipher'", in(kAmple));
    REQUIRE(cipher.ok());
    CHECK(cipher->text(0, "Value").empty() == !row.encrypted);
  }
}

TEST_CASE("an account that requires TLS refuses plain text") {
  auto access = world->access("tls_only", "secret");
  CHECK(world->connector.connect(access, in(kAmple)).ok());
  access.tls = FrontendTls::Disabled;
  const auto refused = world->connector.connect(access, in(kAmple));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::PermissionDenied);
}

TEST_CASE("an address that swallows packets costs the deadline and no more") {
  // A full backlog: the kernel drops further SYNs.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener, 0) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  std::vector<int> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(fillers.back(), reinterpret_cast<sockaddr*>(&address), size);
  }
  auto access = world->access("root", "");
  access.address.port = ntohs(address.sin_port);
  const auto begin = steady_clock::now();
  const auto refused = world->connector.connect(access, in(400ms));
  const auto took = steady_clock::now() - begin;
  for (const int filler : fillers) ::close(filler);
  ::close(listener);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::DeadlineExceeded);
  CHECK(took >= 400ms);
  CHECK(took < 1400ms);
}

TEST_CASE("a slow statement ends at the deadline, over TLS and in plain text, and the session with it") {
  for (const auto mode : {FrontendTls::Disabled, FrontendTls::Required}) {
    auto access = world->access("root", "");
    access.tls = mode;
    auto session = world->connector.connect(access, in(kAmple));
    REQUIRE_MESSAGE(session.ok(), session.error().message);
    const auto begin = steady_clock::now();
    const auto result = (*session)->execute("SELECT SLEEP(60)", in(300ms));
    const auto took = steady_clock::now() - begin;
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::DeadlineExceeded);
    CHECK(took >= 300ms);
    CHECK(took < 1300ms);
    CHECK((*session)->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
  }
}

TEST_CASE("several result sets are drained, an error behind one is not lost, and the session goes on") {
  const auto session = world->session("root", "");
  for (int round = 0; round < 3; ++round) {
    const auto both = session->execute("CALL gate.two_results()", in(kAmple));
    REQUIRE(both.ok());
    CHECK(both->rows.size() == 2);
    CHECK(both->text(1, "b") == "3");
    const auto late = session->execute("CALL gate.late_error()", in(kAmple));
    REQUIRE_FALSE(late.ok());
    CHECK(late.error().code == ErrorCode::Rejected);
    CHECK(late.error().peer_code == 1644);
    CHECK(late.error().message == "ERROR 1644 (45000): late");
  }
}

TEST_CASE("the server is told no multi-statements") {
  const auto session = world->session("root", "");
  const auto two = session->execute("SELECT 1; SELECT 2", in(kAmple));
  REQUIRE_FALSE(two.ok());
  CHECK(two.error().peer_code == 1064);
}

TEST_CASE("a killed connection ends the session, a killed query does not") {
  const auto root = world->session("root", "");
  const auto session = world->session("with_password", "secret");
  const auto id = session->execute("SELECT CONNECTION_ID() AS id", in(kAmple))->text(0, "id");
  auto running = std::async(std::launch::async, [&] { return session->execute("SELECT SLEEP(60)", in(kAmple)); });
  const auto wait_until_asleep = [&] {
    const auto give_up = in(kAmple);
    const std::string asleep =
        "SELECT SLEEP(0.01), COUNT(*) AS n FROM information_schema.processlist WHERE id = " + id +
        " AND info LIKE 'SELECT SLEEP%'";
    while (steady_clock::now() < give_up)
      if (root->execute(asleep, in(kAmple))->text(0, "n") == "1") return;
  };
  wait_until_asleep();
  REQUIRE(root->execute("KILL QUERY " + id, in(kAmple)).ok());
  const auto interrupted = running.get();
  // MariaDB ends SLEEP() with the value 1 rather than with an error.
  CHECK((interrupted.ok() || interrupted.error().code == ErrorCode::Rejected));
  CHECK(session->execute("SELECT 1", in(kAmple)).ok());

  running = std::async(std::launch::async, [&] { return session->execute("SELECT SLEEP(60)", in(kAmple)); });
  wait_until_asleep();
  REQUIRE(root->execute("KILL CONNECTION " + id, in(kAmple)).ok());
  CHECK(running.get().error().code == ErrorCode::Unavailable);
  CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);
}

TEST_CASE("a server that dies under a statement ends the session, which never reconnects by itself") {
  const auto session = world->session("root", "");
  auto running = std::async(std::launch::async, [&] { return session->execute("SELECT SLEEP(60)", in(kAmple)); });
  {
    const auto watcher = world->session("root", "");
    const auto give_up = in(kAmple);
    while (steady_clock::now() < give_up &&
           watcher->execute("SELECT SLEEP(0.01), COUNT(*) AS n FROM information_schema.processlist WHERE info = "
                            "'SELECT SLEEP(60)'",
                            in(kAmple))
                   ->text(0, "n") != "1") {
    }
  }
  world->server.kill();
  CHECK(running.get().error().code == ErrorCode::Unavailable);
  CHECK(world->connector.connect(world->access("root", ""), in(kAmple)).error().code == ErrorCode::Unavailable);

  world->server.start(false);
  CHECK(session->execute("SELECT 1", in(kAmple)).error().code == ErrorCode::Unavailable);

  // The same server, now without TLS.
  for (const auto mode : {FrontendTls::Required, FrontendTls::VerifyCa, FrontendTls::VerifyIdentity}) {
    auto access = world->access("with_password", "secret");
    access.tls = mode;
    access.ca_pem = world->authority.certificate_pem;
    const auto refused = world->connector.connect(access, in(kAmple));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::PermissionDenied);
  }
  CHECK(world->connector.connect(world->access("with_password", "secret"), in(kAmple)).ok());
  world->server.start(true);
}

}  // namespace
}  // namespace gate

int main(int argc, char** argv) {
  if (!gate::find_mariadb().found()) {
    std::puts("skipped: mariadbd and mariadb-install-db are not installed (Debian: mariadb-server)");
    return 77;
  }
  gate::world = std::make_unique<gate::World>();
  doctest::Context context(argc, argv);
  const int result = context.run();
  gate::world.reset();
  return result;
}
