// Certificates seen from outside: through real handshakes.

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "test/server/http/client.hpp"

using namespace gate;
using namespace gate::test;

TEST_CASE("a renewed certificate is served to the next connection; open ones go on with the old") {
  TestServer server(echo);
  Client old(server.port());
  const auto renewed = certificate_for_tests();
  REQUIRE(write_dev_certificate(renewed, server.folder.path()));
  REQUIRE(server.watcher->reload_now());
  Client fresh(server.port(), {.trust = &renewed});
  REQUIRE(fresh.connected());
  CHECK(fresh.fingerprint() == server.watcher->current().fingerprint);
  CHECK(fresh.fingerprint() != old.fingerprint());
  CHECK(old.ask(post("/validate", "x")));
}

TEST_CASE("the chain is sent with the leaf") {
  const auto certificate = certificate_for_tests();
  TestServer server(echo);
  auto with_chain = certificate;
  with_chain.certificate += certificate.ca;
  REQUIRE(write_dev_certificate(with_chain, server.folder.path()));
  REQUIRE(server.watcher->reload_now());
  Client client(server.port());
  CHECK(client.chain_length() == 2);
}

TEST_CASE("swapping certificates under load fails no request") {
  constexpr int kClients = 4;
  constexpr int kSwaps = 100;
  TestServer server(echo);
  std::atomic<bool> done = false;
  std::atomic<int> failed = 0;
  std::atomic<int> answered = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] {
      while (!done) {
        Client client(server.port());
        for (int request = 0; request < 3; ++request) {
          const auto answer = client.ask(post("/validate", "x"));
          ++(answer && answer->status == 200 ? answered : failed);
        }
      }
    });
  }
  for (int swap = 0; swap < kSwaps; ++swap) {
    REQUIRE(write_dev_certificate(certificate_for_tests(), server.folder.path()));
    REQUIRE(server.watcher->reload_now());
    const int before = answered;
    REQUIRE(eventually([&] { return answered > before || failed > 0; }));
  }
  done = true;
  clients.clear();
  CHECK(failed == 0);
  CHECK(server.watcher->counters().loaded == kSwaps + 1);
}

TEST_CASE("with a client CA, only its clients are served") {
  const auto ours = certificate_for_tests();
  const auto stranger = certificate_for_tests();
  TemporaryFolder folder;
  REQUIRE(write_dev_certificate(ours, folder.path()));
  SystemClock clock;
  const auto watcher = CertificateWatcher::start(
                           {folder.path() + "/tls.crt", folder.path() + "/tls.key", folder.path() + "/ca.crt"}, clock)
                           .value();
  const auto server = start_webhook_server({"127.0.0.1"}, watcher->server_context(), echo).value();
  CHECK(Client(server->port(), {.identity = &ours}).ask(post("/validate", "x")));
  CHECK_FALSE(Client(server->port(), {.identity = &stranger}).ask(post("/validate", "x")));
  CHECK_FALSE(Client(server->port()).ask(post("/validate", "x")));
  CHECK(eventually([&] { return server->counters().tls_errors == 2; }));
}

TEST_CASE("of the client CA's clients, only those with an allowed name are served; both follow their files") {
  const auto api_server = certificate_for_tests(std::chrono::hours(1), {"kube-apiserver"});
  const auto other = certificate_for_tests(std::chrono::hours(1), {"prometheus"});
  const auto serving = certificate_for_tests();
  TemporaryFolder folder;
  REQUIRE(write_dev_certificate(serving, folder.path()));
  const std::string ca_file = folder.path() + "/clients.crt";
  const std::string names_file = folder.path() + "/names";
  write_file(ca_file, api_server.ca + other.ca);
  write_file(names_file, "# who may call\n kube-apiserver # the API server\n\n");
  SystemClock clock;
  const auto watcher =
      CertificateWatcher::start(
          {folder.path() + "/tls.crt", folder.path() + "/tls.key", ca_file, {"somebody-else"}, names_file}, clock)
          .value();
  const auto server = start_webhook_server({"127.0.0.1"}, watcher->server_context(), echo).value();
  const auto is_served = [&](const DevCertificate& client) {
    return Client(server->port(), {.identity = &client}).ask(post("/validate", "x")).has_value();
  };
  CHECK(is_served(api_server));
  CHECK_FALSE(is_served(other));

  write_file(names_file, "prometheus\n");
  REQUIRE(watcher->reload_now());
  CHECK_FALSE(is_served(api_server));
  CHECK(is_served(other));

  write_file(names_file, "# nobody\n");
  CHECK_FALSE(watcher->reload_now());
  CHECK(is_served(other));  // The last good list stays.

  write_file(names_file, "prometheus\nkube-apiserver\n");
  write_file(ca_file, api_server.ca);
  REQUIRE(watcher->reload_now());
  CHECK(is_served(api_server));
  CHECK_FALSE(is_served(other));
}

TEST_CASE("failed handshakes are counted each, and told of at a bounded rate") {
  std::atomic<int> reports = 0;
  TestServer plain(echo);
  const auto log = make_json_logger("info", [&reports](const std::string& line) {
    CHECK(line.find("TLS handshake failed") != std::string::npos);
    CHECK(line.find("\"error\":\"") != std::string::npos);
    ++reports;
  });
  WebhookServerOptions options{"127.0.0.1"};
  options.log = log.get();
  const auto server = start_webhook_server(options, plain.watcher->server_context(), echo).value();
  for (int i = 0; i < 20; ++i) CHECK_FALSE(Client(server->port(), {.tls = false}).ask("no TLS at all\r\n\r\n"));
  CHECK(eventually([&] { return server->counters().tls_errors == 20; }));
  CHECK(reports == 1);
}
