#include "server/kubernetes/client/kube_config.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "policy/text/base64.hpp"

namespace gate {
namespace {

/// A directory that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "upgrade-gate-config-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name) << content;
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
         "contexts:\n- {name: here, context: {cluster: c, user: u, namespace: ns}}\n"
         "- {name: there, context: {cluster: c2, user: u}}\n"
         "clusters:\n- {name: c, cluster: " +
         cluster + "}\n- {name: c2, cluster: {server: 'https://there:1'}}\nusers:\n- {name: u, user: " + user + "}\n";
}

}  // namespace

TEST_CASE("base64 is read as Secrets carry it") {
  struct Row {
    const char* name;
    const char* encoded;
    std::optional<std::string> decoded;
  };
  const Row rows[] = {
      {"empty", "", ""},
      {"two pads", "YQ==", "a"},
      {"one pad", "YWI=", "ab"},
      {"no pad", "YWJj", "abc"},
      {"padding left out", "YWI", "ab"},
      {"all bits", "//79/A==", "\xff\xfe\xfd\xfc"},
      {"line breaks", "YW\nJj\r\n", "abc"},
      {"foreign character", "YW*j", std::nullopt},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(decode_base64(row.encoded) == row.decoded);
  }
}

TEST_CASE("the server of a kubeconfig is taken apart") {
  struct Row {
    const char* server;
    const char* host;
    int port;
    const char* prefix;
  };
  const Row rows[] = {
      {"https://10.0.0.1:6443", "10.0.0.1", 6443, ""},
      {"https://api.example.com", "api.example.com", 443, ""},
      {"https://api.example.com/", "api.example.com", 443, ""},
      {"https://[fd00::1]:6443", "fd00::1", 6443, ""},
      {"https://[fd00::1]", "fd00::1", 443, ""},
      {"https://rancher.example.com/k8s/clusters/c-1", "rancher.example.com", 443, "/k8s/clusters/c-1"},
      {"http://127.0.0.1:8001", "127.0.0.1", 8001, ""},
  };
  const Folder folder;
  for (const Row& row : rows) {
    INFO(row.server);
    const auto config =
        kube_config_from_file(folder.write("config", kubeconfig("{server: '" + std::string(row.server) + "'}", "{}")));
    REQUIRE_MESSAGE(config.ok(), (config.ok() ? "" : config.error().message));
    CHECK(config->host == row.host);
    CHECK(config->port == row.port);
    CHECK(config->path_prefix == row.prefix);
    CHECK(config->tls == std::string(row.server).starts_with("https"));
    CHECK(config->name_space == "ns");
  }
}

TEST_CASE("material comes from data or from files beside the kubeconfig, the context from its name") {
  const Folder folder;
  folder.write("ca.crt", "CA FROM FILE");
  const auto file = folder.write(
      "config", kubeconfig("{server: 'https://h:1', certificate-authority: ca.crt, tls-server-name: other}",
                           "{client-certificate-data: Q0VSVA==, client-key-data: S0VZ, tokenFile: token}"));
  const auto config = kube_config_from_file(file);
  REQUIRE_MESSAGE(config.ok(), (config.ok() ? "" : config.error().message));
  CHECK(config->ca_pem == "CA FROM FILE");
  CHECK(config->ca_file == folder.path() / "ca.crt");
  CHECK(config->tls_server_name == "other");
  CHECK(config->client_certificate_pem == "CERT");
  CHECK(config->client_key_pem == "KEY");
  CHECK(config->token_file == folder.path() / "token");
  CHECK_FALSE(config->insecure_skip_verify);
  const auto there = kube_config_from_file(file, "there");
  REQUIRE(there.ok());
  CHECK(there->host == "there");
}

TEST_CASE("a kubeconfig that cannot be used is refused with field and remedy, never with a credential") {
  struct Row {
    const char* name;
    std::string content;
    const char* context;
    const char* complaint;
  };
  const std::string good = "{server: 'https://h:1'}";
  const Row rows[] = {
      {"exec plugin", kubeconfig(good, "{exec: {command: aws}}"), "", "users[].user.exec"},
      {"auth provider", kubeconfig(good, "{auth-provider: {name: gcp}}"), "", "users[].user.auth-provider"},
      {"unknown context", kubeconfig(good, "{}"), "nowhere", "one of: here, there"},
      {"no current context", "{contexts: []}", "", "current-context"},
      {"no scheme", kubeconfig("{server: 'h:1'}", "{}"), "", "clusters[].cluster.server: \"h:1\""},
      {"bad port", kubeconfig("{server: 'https://h:99999'}", "{}"), "", "clusters[].cluster.server"},
      {"open bracket", kubeconfig("{server: 'https://[fd00::1'}", "{}"), "", "clusters[].cluster.server"},
      {"user info in the address", kubeconfig("{server: 'https://a@h:1'}", "{}"), "", "clusters[].cluster.server"},
      {"a token over plain HTTP", kubeconfig("{server: 'http://h:1'}", "{token: s3cr3t}"), "", "expected https://"},
      {"half a client certificate", kubeconfig(good, "{client-key-data: S0VZ}"), "", "together"},
      {"data that is not base64", kubeconfig("{server: 'https://h:1', certificate-authority-data: '*'}", "{}"), "",
       "certificate-authority-data"},
      {"a file that is not there", kubeconfig("{server: 'https://h:1', certificate-authority: gone.crt}", "{}"), "",
       "gone.crt"},
      {"insecure, misspelt", kubeconfig("{server: 'https://h:1', insecure-skip-tls-verify: sure}", "{}"), "",
       "true or false"},
      {"not YAML", "users: [{name: u, user: {token: s3cr3t}", "", "valid YAML; line "},
      {"deeper than any reader should follow", "users: " + std::string(1u << 20, '['), "", "valid YAML"},
      {"braces of the same kind", "users: " + std::string(1u << 20, '{'), "", "valid YAML"},
      {"not UTF-8", kubeconfig(good, "{token: s3cr3t\xff}"), "", "invalid UTF-8"},
      {"not a map", "just text", "", "a YAML map"},
      {"empty", "", "", "not empty"},
  };
  const Folder folder;
  for (const Row& row : rows) {
    INFO(row.name);
    const auto config = kube_config_from_file(folder.write("config", row.content), row.context);
    REQUIRE_FALSE(config.ok());
    CHECK(config.error().code == ErrorCode::InvalidInput);
    CHECK_MESSAGE(config.error().message.find(row.complaint) != std::string::npos, config.error().message);
    CHECK(config.error().message.find("s3cr3t") == std::string::npos);
  }
  const auto absent = kube_config_from_file(folder.path() / "absent");
  REQUIRE_FALSE(absent.ok());
  CHECK(absent.error().code == ErrorCode::NotFound);
}

TEST_CASE("a kubeconfig is read as kubectl does, in JSON and with what YAML takes for other than text") {
  const Folder folder;
  const auto host_of = [&](const std::string& content) {
    const auto config = kube_config_from_file(folder.write("config", content));
    return config ? config->host : config.error().message;
  };
  const std::string users = R"("users":[{"name":"u","user":{}}],)";
  CHECK(host_of(R"({"current-context":"here","contexts":[{"name":"here","context":{"cluster":"c","user":"u"}}],)" +
                users + R"("clusters":[{"name":"c","cluster":{"server":"https://json:1"}}]})") == "json");
  CHECK(host_of("current-context: 7\ncontexts: [{name: 7, context: {cluster: 8, user: u}}]\n"
                "users: [{name: u, user: {}}]\n"
                "clusters: [{name: 8, cluster: {server: 'https://numbers:1', insecure-skip-tls-verify: true}}]\n") ==
        "numbers");
  CHECK(host_of("current-context: a\ncontexts: [{name: a, context: &c {cluster: a, user: a}}]\n"
                "users: [{name: a, user: {}}]\nclusters: [{name: a, cluster: {server: 'https://first:1'}}]\n"
                "---\ncurrent-context: other\n") == "first");
}

TEST_CASE("in a pod the service account is used") {
  const Folder folder;
  unsetenv("KUBERNETES_SERVICE_HOST");
  const auto outside = in_cluster_kube_config(folder.path());
  REQUIRE_FALSE(outside.ok());
  CHECK(outside.error().code == ErrorCode::NotFound);

  setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  const auto no_token = in_cluster_kube_config(folder.path());
  REQUIRE_FALSE(no_token.ok());
  CHECK(no_token.error().code == ErrorCode::InvalidInput);

  folder.write("ca.crt", "CA");
  folder.write("token", "t");
  folder.write("namespace", "gate");
  const auto inside = in_cluster_kube_config(folder.path());
  REQUIRE_MESSAGE(inside.ok(), (inside.ok() ? "" : inside.error().message));
  CHECK(inside->host == "fd00::1");
  CHECK(inside->port == 443);
  CHECK(inside->ca_pem == "CA");
  CHECK(inside->ca_file == folder.path() / "ca.crt");
  CHECK(inside->token_file == folder.path() / "token");
  CHECK(inside->name_space == "gate");
  unsetenv("KUBERNETES_SERVICE_HOST");
  unsetenv("KUBERNETES_SERVICE_PORT");
}

}  // namespace gate
