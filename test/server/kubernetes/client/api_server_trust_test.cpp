// Which API server is talked to, while the authorities of its cluster change.

#include <doctest/doctest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp

#include <filesystem>
#include <fstream>
#include <string>

#include "server/kubernetes/client/kube_client.hpp"
#include "test/server/kubernetes/client/raw_server.hpp"

namespace gate {
namespace {

using test::RawServer;
using test::Send;

class Folder {
 public:
  Folder() {
    std::string made = (std::filesystem::temp_directory_path() / "trust-XXXXXX").string();
    REQUIRE(mkdtemp(made.data()) != nullptr);
    path_ = made;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::filesystem::path file() const { return path_ / "ca.crt"; }
  /// As the kubelet does: at once, or not at all.
  void write(const std::string& text) const {
    std::ofstream(path_ / "fresh") << text;
    std::filesystem::rename(path_ / "fresh", file());
  }

 private:
  std::filesystem::path path_;
};

/// Closes each connection behind its answer, so that the next request makes another.
void answer(const Send& send) { send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"); }

bool talks(KubeClient& client) {
  const auto got =
      client.get(kube::kConfigMaps, "default", "one", std::chrono::steady_clock::now() + std::chrono::seconds(60));
  if (!got) CHECK_MESSAGE(got.error().code == ErrorCode::Unavailable, got.error().message);
  return got.ok();
}

TEST_CASE("authorities are read again for each connection, and what was read last stays where they cannot be") {
  const auto before = make_test_authority("before");
  const auto after = make_test_authority("after");
  const RawServer old_server(&before, answer);
  const RawServer new_server(&after, answer);
  const Folder folder;
  folder.write(before.certificate_pem);
  // Two servers instead of one that gets another certificate.
  const auto client_of = [&](const RawServer& server) {
    auto config = server.config();
    config.ca_pem = before.certificate_pem;
    config.ca_file = folder.file();
    return KubeClient::create(config).value();
  };
  const auto to_old = client_of(old_server);
  const auto to_new = client_of(new_server);
  struct Row {
    const char* name;
    std::string content;
    bool trusts_old;
    bool trusts_new;
  };
  for (const Row& row : {
           Row{"as it was", before.certificate_pem, true, false},
           Row{"both, while they change", after.certificate_pem + before.certificate_pem, true, true},
           Row{"the new one alone", after.certificate_pem, false, true},
           Row{"empty", "", false, true},
           Row{"no certificate", "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n", false, true},
           Row{"and back", before.certificate_pem, true, false},
       }) {
    INFO(std::string(row.name));
    folder.write(row.content);
    CHECK(talks(*to_old) == row.trusts_old);
    CHECK(talks(*to_new) == row.trusts_new);
  }
  std::filesystem::remove(folder.file());
  CHECK(talks(*to_old));
  CHECK_FALSE(talks(*to_new));
}

TEST_CASE("where no authority was configured a file makes none") {
  const auto authority = make_test_authority("a");
  const RawServer server(&authority, answer);
  const Folder folder;
  folder.write(authority.certificate_pem);
  auto config = server.config();
  config.ca_pem.clear();
  config.ca_file = folder.file();
  CHECK_FALSE(talks(*KubeClient::create(config).value()));
}

TEST_CASE("the server is asked for by the name that is verified, and never by an address") {
  const auto authority = make_test_authority("the cluster's");
  struct Row {
    const char* name;
    const char* wanted;
    const char* asked;
  };
  for (const Row& row : {Row{"the host, an address", "", ""}, Row{"another address", "10.0.0.1", ""},
                         Row{"an IPv6 address", "fd00::1", ""},
                         Row{"a name of the kubeconfig", "kubernetes.default", "kubernetes.default"}}) {
    INFO(row.name);
    const RawServer server(&authority, answer);
    auto config = server.config();
    config.tls_server_name = row.wanted;
    config.insecure_skip_verify = true;  // its certificate is for 127.0.0.1
    CHECK(talks(*KubeClient::create(config).value()));
    CHECK(server.name_asked() == row.asked);
  }
}

TEST_CASE("a certificate for another name is refused, and the reason told") {
  const auto authority = make_test_authority("the cluster's");
  const RawServer server(&authority, answer);
  auto config = server.config();
  config.tls_server_name = "kubernetes.default";
  const auto client = KubeClient::create(config).value();
  const auto got =
      client->get(kube::kConfigMaps, "default", "one", std::chrono::steady_clock::now() + std::chrono::seconds(60));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().message.find("TLS failed: its certificate is not trusted") != std::string::npos);
}

TEST_CASE("a server that says nothing in the handshake costs the time of the request and no more") {
  const auto authority = make_test_authority("the cluster's");
  const test::LoopbackPort silent;  // the kernel takes the connection, nobody answers
  auto config = test::plain_config(silent.port());
  config.tls = true;
  config.ca_pem = authority.certificate_pem;
  const auto client = KubeClient::create(config).value();
  const auto got = client->get(kube::kConfigMaps, "default", "one",
                               std::chrono::steady_clock::now() + std::chrono::milliseconds(200));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().code == ErrorCode::DeadlineExceeded);
}

TEST_CASE("a connection over TLS serves many requests, and one that the server has closed is replaced unseen") {
  const auto authority = make_test_authority("the cluster's");
  const auto keep = [](const Send& send) { send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); };
  const RawServer server(&authority, keep, 3);
  const auto client = server.client();
  for (int i = 0; i < 3; ++i) CHECK(talks(*client));
  CHECK(server.connections() == 1);
  for (int i = 0; i < 3; ++i) CHECK(talks(*client));
  CHECK(server.connections() == 2);
}

}  // namespace
}  // namespace gate
