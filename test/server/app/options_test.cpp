#include "server/app/options.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace std::chrono_literals;

namespace gate {
namespace {

CommandLine parse(const std::vector<std::string>& words) {
  std::vector<const char*> argv{"upgrade-gate"};
  for (const auto& word : words) argv.push_back(word.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

/// A command line that is accepted, with `more` added.
CommandLine serve_with(const std::vector<std::string>& more) {
  std::vector<std::string> words{"serve", "--tls-cert-file=a.crt", "--tls-key-file=a.key"};
  words.insert(words.end(), more.begin(), more.end());
  return parse(words);
}

TEST_CASE("what is not given has the documented default") {
  const auto line = serve_with({});
  REQUIRE_MESSAGE(line.serve, line.text);
  CHECK(line.exit_code == 0);
  CHECK(line.options.listen.port == 9443);
  CHECK(line.options.ops_listen.port == 8080);
  CHECK(line.options.store == StoreKind::Kubernetes);
  CHECK(line.options.admission_wait == 5s);
  CHECK(line.options.preparation_timeout == 1h);
  CHECK(line.options.admit_within == 1h);
  CHECK(line.options.max_hold == 6h);
  CHECK(line.options.frontend_tls == FrontendTls::Preferred);
  CHECK_FALSE(line.options.frontend_address);
  CHECK(line.options.default_hooks.empty());
  CHECK_FALSE(line.options.identity.empty());
}

TEST_CASE("what is given is taken") {
  const auto line =
      parse({"serve", "--dev-certificate=d", "--store=memory", "--frontend-address=[::1]:9031",
             "--frontend-tls=verify-ca", "--frontend-ca-file=ca.pem", "--listen=:0", "--ops-listen=[::]:81",
             "--default-hooks=recommended,create-image", "--admission-wait=300ms", "--admit-within=2h",
             "--max-hold=10m", "--preparation-timeout=90s", "--workers=3", "--identity=me", "--log-level=debug"});
  REQUIRE_MESSAGE(line.serve, line.text);
  CHECK(line.options.store == StoreKind::Memory);
  CHECK(line.options.frontend_address == FrontendAddress{"::1", 9031});
  CHECK(line.options.frontend_tls == FrontendTls::VerifyCa);
  CHECK(line.options.listen.host == "0.0.0.0");
  CHECK(line.options.listen.port == 0);
  CHECK(line.options.ops_listen.host == "::");
  CHECK(line.options.default_hooks == std::vector<std::string>{"recommended", "create-image"});
  CHECK(line.options.admission_wait == 300ms);
  CHECK(line.options.admit_within == 2h);
  CHECK(line.options.max_hold == 10min);
  CHECK(line.options.preparation_timeout == 90s);
  CHECK(line.options.workers == 3);
  CHECK(line.options.identity == "me");
}

TEST_CASE("a refused value: the text names the option, the value and what is accepted") {
  struct Row {
    const char* argument;
    std::vector<std::string> named;
  };
  for (const Row& row : {
           Row{"--listen=nowhere", {"--listen", "\"nowhere\"", "HOST:PORT"}},
           Row{"--listen=host:65536", {"--listen", "\"host:65536\"", "0 to 65535"}},
           Row{"--listen=::1:80", {"--listen", "\"::1:80\"", "[IPV6]:PORT"}},
           Row{"--ops-listen=host:", {"--ops-listen", "\"host:\""}},
           Row{"--store=etcd", {"--store", "etcd", "kubernetes", "memory"}},
           Row{"--frontend-tls=maybe", {"--frontend-tls", "maybe", "verify-identity"}},
           Row{"--frontend-address=:9030", {"--frontend-address", "\":9030\"", "HOST:PORT"}},
           Row{"--frontend-address=fe:0", {"--frontend-address", "\"fe:0\"", "1 to 65535"}},
           Row{"--admission-wait=5", {"--admission-wait", "\"5\"", "ms, s, m or h"}},
           Row{"--admission-wait=26s", {"--admission-wait", "\"26s\"", "0s to 25s"}},
           Row{"--preparation-timeout=0s", {"--preparation-timeout", "\"0s\"", "1s to"}},
           Row{"--admit-within=0s", {"--admit-within", "\"0s\"", "1s to"}},
           Row{"--max-hold=-1h", {"--max-hold", "\"-1h\""}},
           Row{"--drain=999999999999999999999h", {"--drain", "not a duration"}},
           Row{"--workers=0", {"--workers", "0", "1", "256"}},
           Row{"--log-level=loud", {"--log-level", "loud", "debug"}},
           Row{"--no-such=1", {"--no-such"}},
       }) {
    INFO(row.argument);
    const auto line = serve_with({row.argument});
    CHECK_FALSE(line.serve);
    CHECK(line.exit_code == 2);
    for (const auto& part : row.named) {
      INFO(line.text);
      CHECK(line.text.find(part) != std::string::npos);
    }
  }
}

TEST_CASE("what contradicts or lacks is refused all at once") {
  struct Row {
    const char* name;
    std::vector<std::string> words;
    std::vector<std::string> named;
  };
  for (const Row& row : {
           Row{"no certificate", {"serve"}, {"--tls-cert-file is required", "--tls-key-file is required"}},
           Row{"both kinds of certificate",
               {"serve", "--dev-certificate=d", "--tls-cert-file=a"},
               {"--dev-certificate excludes"}},
           Row{"memory and its FE",
               {"serve", "--store=memory", "--kubeconfig=k"},
               {"--tls-cert-file", "--kubeconfig has no meaning", "--frontend-address is required"}},
           Row{"a CA that nobody asks",
               {"serve", "--dev-certificate=d", "--frontend-ca-file=ca.pem"},
               {"--frontend-ca-file needs", "verify-ca"}},
           Row{"no command", {}, {"subcommand"}},
       }) {
    INFO(row.name);
    const auto line = parse(row.words);
    CHECK_FALSE(line.serve);
    CHECK(line.exit_code == 2);
    INFO(line.text);
    for (const auto& part : row.named) CHECK(line.text.find(part) != std::string::npos);
  }
}

TEST_CASE("help and version are answers, not faults") {
  const auto help = parse({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_FALSE(help.serve);
  CHECK(help.text.find("serve") != std::string::npos);
  const auto serve_help = parse({"serve", "--help"});
  CHECK(serve_help.exit_code == 0);
  CHECK(serve_help.text.find("--admission-wait") != std::string::npos);
  CHECK(serve_help.text.find("5s") != std::string::npos);
  const auto version = parse({"--version"});
  CHECK(version.exit_code == 0);
  CHECK_FALSE(version.serve);
  CHECK(version.text.starts_with("upgrade-gate "));
}

TEST_CASE("a duration can come from the environment, and is judged like the argument") {
  REQUIRE(::setenv("UPGRADE_GATE_ADMIT_WITHIN", "7m", 1) == 0);
  CHECK(serve_with({}).options.admit_within == 7min);
  CHECK(serve_with({"--admit-within=8m"}).options.admit_within == 8min);
  REQUIRE(::setenv("UPGRADE_GATE_ADMIT_WITHIN", "soon", 1) == 0);
  CHECK(serve_with({}).exit_code == 2);
  REQUIRE(::unsetenv("UPGRADE_GATE_ADMIT_WITHIN") == 0);
}

}  // namespace
}  // namespace gate
