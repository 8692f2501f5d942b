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
  CHECK(line.options.rollout_defaults == LedRollout{});
  CHECK(line.options.version_policy == VersionPolicy::Warn);
  CHECK_FALSE(line.options.identity.empty());
}

TEST_CASE("what is given is taken") {
  const auto line = parse(
      {"serve", "--dev-certificate=d", "--store=memory", "--frontend-address=[::1]:9031", "--frontend-tls=verify-ca",
       "--frontend-ca-file=ca.pem", "--listen=:0", "--ops-listen=[::]:81", "--default-hooks=recommended,create-image",
       "--admission-wait=300ms", "--allow-sql=cancel,alter-system",
       "--http-hook-prefixes=https://a.example/hooks,http://b.svc:8080", "--admit-within=2h", "--max-hold=10m",
       "--preparation-timeout=90s", "--workers=3", "--version-policy=enforce", "--identity=me", "--log-level=debug"});
  REQUIRE_MESSAGE(line.serve, line.text);
  CHECK(line.options.store == StoreKind::Memory);
  CHECK(line.options.frontend_address == FrontendAddress{"::1", 9031});
  CHECK(line.options.frontend_tls == FrontendTls::VerifyCa);
  CHECK(line.options.listen.host == "::");
  CHECK(line.options.listen.port == 0);
  CHECK(line.options.ops_listen.host == "::");
  CHECK(line.options.default_hooks == std::vector<std::string>{"recommended", "create-image"});
  CHECK(line.options.allowed_sql == std::vector<SqlKind>{SqlKind::CancelJob, SqlKind::AlterSystem});
  CHECK(line.options.http_hook_prefixes == std::vector<std::string>{"https://a.example/hooks", "http://b.svc:8080"});
  CHECK(line.options.admission_wait == 300ms);
  CHECK(line.options.admit_within == 2h);
  CHECK(line.options.max_hold == 10min);
  CHECK(line.options.preparation_timeout == 90s);
  CHECK(line.options.workers == 3);
  CHECK(line.options.version_policy == VersionPolicy::Enforce);
  CHECK(line.options.identity == "me");
}

TEST_CASE("the Secret of the paths is in the pod's own namespace where no other is named") {
  const auto own =
      serve_with({"--callers=secret-path", "--caller-secret=sr-caller", "--webhook-configurations=sr-gate"});
  CHECK(own.serve);
  CHECK(own.options.caller_secret_namespace.empty());
  CHECK(own.options.caller_secret == "sr-caller");
  CHECK(own.options.webhook_configurations == "sr-gate");
  const auto other = serve_with({"--callers=secret-path", "--caller-secret=platform/caller", "--kubeconfig=k"});
  CHECK(other.serve);
  CHECK(other.options.caller_secret_namespace == "platform");
  CHECK(other.options.caller_secret == "caller");
  CHECK(other.options.webhook_configurations == "upgrade-gate");
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
           Row{"--store=1", {"--store", "1 not in", "kubernetes", "memory"}},
           Row{"--store=", {"--store", "kubernetes", "memory"}},
           Row{"--frontend-tls=maybe", {"--frontend-tls", "maybe", "verify-identity"}},
           Row{"--frontend-tls=0", {"--frontend-tls", "0 not in", "preferred"}},
           Row{"--frontend-address=:9030", {"--frontend-address", "\":9030\"", "HOST:PORT"}},
           Row{"--frontend-address=fe:0", {"--frontend-address", "\"fe:0\"", "1 to 65535"}},
           Row{"--admission-wait=5", {"--admission-wait", "\"5\"", "ms, s, m or h"}},
           Row{"--admission-wait=26s", {"--admission-wait", "\"26s\"", "0s to 25s"}},
           Row{"--preparation-timeout=0s", {"--preparation-timeout", "\"0s\"", "1s to"}},
           Row{"--admit-within=0s", {"--admit-within", "\"0s\"", "1s to"}},
           Row{"--max-hold=-1h", {"--max-hold", "\"-1h\""}},
           Row{"--drain=999999999999999999999h", {"--drain", "not a duration"}},
           Row{"--allow-sql=drop-table", {"--allow-sql", "drop-table", "alter-system", "backup"}},
           Row{"--allow-sql=cancel,3", {"--allow-sql", "3 not in", "cancel", "alter-system"}},
           Row{"--http-hook-prefixes=ftp://a", {"--http-hook-prefixes", "neither https:// nor http://"}},
           Row{"--http-hook-prefixes=https://a,https://b?c=d", {"--http-hook-prefixes", "has a query"}},
           Row{"--workers=0", {"--workers", "0", "1", "256"}},
           Row{"--version-policy=strict", {"--version-policy", "strict", "off", "warn", "enforce"}},
           Row{"--version-policy=2", {"--version-policy", "2 not in", "off", "warn", "enforce"}},
           Row{"--script-hook-image=an image", {"--script-hook-image", "REGISTRY"}},
           Row{"--script-hook-image=-x", {"--script-hook-image", "REGISTRY"}},
           Row{"--script-hook-image=https://a/b", {"--script-hook-image", "REGISTRY"}},
           Row{"--script-hook-image=image:", {"--script-hook-image", "REGISTRY"}},
           Row{"--caller-secret=a/", {"--caller-secret", "\"a/\"", "NAMESPACE/NAME"}},
           Row{"--caller-secret=/a", {"--caller-secret", "\"/a\"", "NAMESPACE/NAME"}},
           Row{"--caller-secret=a/b/c", {"--caller-secret", "\"a/b/c\"", "NAMESPACE/NAME"}},
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
           Row{"client names without a client CA",
               {"serve", "--tls-cert-file=a", "--tls-key-file=b", "--tls-client-names=x"},
               {"need --tls-client-ca-file"}},
           Row{"secret paths outside of a pod",
               {"serve", "--tls-cert-file=a", "--tls-key-file=b", "--kubeconfig=k", "--callers=secret-path",
                "--caller-secret=c"},
               {"--caller-secret is required as NAMESPACE/NAME with --kubeconfig"}},
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
           Row{"loopback for no HTTP hook",
               {"serve", "--dev-certificate=d", "--http-hook-allow-loopback"},
               {"--http-hook-allow-loopback needs --http-hook-prefixes"}},
           Row{"scripts without a cluster",
               {"serve", "--dev-certificate=d", "--store=memory", "--frontend-address=fe:9030",
                "--script-hook-image=mysql:8.0"},
               {"--script-hook-image has no meaning"}},
           Row{"led rollouts without a cluster",
               {"serve", "--dev-certificate=d", "--store=memory", "--frontend-address=fe:9030",
                "--upgrade-rollout=ordered"},
               {"--upgrade-admission=hold and --upgrade-rollout other than operator have no meaning"}},
           Row{"an admission that there is not",
               {"serve", "--dev-certificate=d", "--upgrade-admission=wait"},
               {"--upgrade-admission", "wait", "refuse"}},
           Row{"a rollout by its number",
               {"serve", "--dev-certificate=d", "--upgrade-rollout=1"},
               {"--upgrade-rollout", "ordered", "stepwise"}},
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

TEST_CASE("hooks that leave the gate are off unless asked for") {
  const auto without = serve_with({});
  REQUIRE_MESSAGE(without.serve, without.text);
  CHECK(without.options.http_hook_prefixes.empty());
  CHECK_FALSE(without.options.http_hook_allow_loopback);
  CHECK(without.options.script_hook_image.empty());
  const auto with =
      serve_with({"--http-hook-prefixes=https://a.example/hooks,http://127.0.0.1:8080", "--http-hook-allow-loopback",
                  "--script-hook-image=registry:5000/tools/sr@sha256:0a1b"});
  REQUIRE_MESSAGE(with.serve, with.text);
  CHECK(with.options.http_hook_prefixes ==
        std::vector<std::string>{"https://a.example/hooks", "http://127.0.0.1:8080"});
  CHECK(with.options.http_hook_allow_loopback);
  CHECK(with.options.script_hook_image == "registry:5000/tools/sr@sha256:0a1b");
}

TEST_CASE("a plan takes what serve takes where both must agree, and needs no certificate") {
  const std::vector<std::string> rules{
      "--default-hooks=recommended,create-image", "--version-policy=enforce", "--allow-sql=alter-system,backup",
      "--http-hook-prefixes=https://a.example/",  "--upgrade-admission=hold", "--upgrade-rollout=Stepwise"};
  std::vector<std::string> words{"plan", "a.yaml", "b.yaml", "--set-image=fe=fe:1.2.3", "--set-image=be=be:1.2.3"};
  words.insert(words.end(), rules.begin(), rules.end());
  const auto line = parse(words);
  REQUIRE_MESSAGE(line.plan, line.text);
  CHECK_FALSE(line.serve);
  const auto served = serve_with(rules);
  REQUIRE(served.serve);
  CHECK_FALSE(served.plan);
  const auto& plan = line.plan_options;
  CHECK(plan.files == std::vector<std::string>{"a.yaml", "b.yaml"});
  CHECK(plan.set_images == std::vector<std::string>{"fe=fe:1.2.3", "be=be:1.2.3"});
  CHECK_FALSE(plan.strict);
  CHECK_FALSE(plan.json);
  CHECK(plan.default_hooks == served.options.default_hooks);
  CHECK(plan.rollout_defaults == served.options.rollout_defaults);
  CHECK(plan.rollout_defaults.admission == AdmissionMode::Hold);
  CHECK(plan.rollout_defaults.mode == RolloutMode::Stepwise);
  CHECK(plan.version_policy == VersionPolicy::Enforce);
  CHECK(served.options.version_policy == VersionPolicy::Enforce);
  CHECK(plan.allowed_sql == served.options.allowed_sql);
  CHECK(plan.allowed_sql.size() == 2);
  CHECK(plan.http_hook_prefixes == served.options.http_hook_prefixes);
}

TEST_CASE("no two processes go by one name, and a container that starts again keeps its pod's") {
  const auto identity_of = [](const char* pod, const char* uid) {
    if (pod != nullptr) REQUIRE(::setenv("POD_NAME", pod, 1) == 0);
    if (uid != nullptr) REQUIRE(::setenv("POD_UID", uid, 1) == 0);
    const auto identity = parse({"serve", "--tls-cert-file=c", "--tls-key-file=k"}).options.identity;
    REQUIRE(::unsetenv("POD_NAME") == 0);
    REQUIRE(::unsetenv("POD_UID") == 0);
    return identity;
  };
  constexpr const char* kUid = "0f3a9c21-6d0e-4c52-9f7e-3c1d2b4a5968";
  CHECK(identity_of("upgrade-gate-0", kUid) == "upgrade-gate-0_0f3a9c21");
  CHECK(identity_of("upgrade-gate-0", "1f3a9c21-6d0e-4c52-9f7e-3c1d2b4a5968") == "upgrade-gate-0_1f3a9c21");
  CHECK(identity_of("upgrade-gate-0", nullptr) != identity_of("upgrade-gate-0", nullptr));
  CHECK(identity_of(nullptr, nullptr) != identity_of(nullptr, nullptr));
  CHECK(identity_of(std::string(253, 'x').c_str(), kUid).size() <= 253);
}

TEST_CASE("release needs no certificate, and never goes by the name of a serving replica") {
  REQUIRE(::setenv("POD_NAME", "upgrade-gate-0", 1) == 0);
  const auto line = parse(
      {"release", "--namespace=db", "--timeout=90s", "--webhook-configuration=upgrade-gate", "--claim-stale-after=5s"});
  REQUIRE(::unsetenv("POD_NAME") == 0);
  REQUIRE_MESSAGE(line.release, line.text);
  CHECK_FALSE(line.serve);
  CHECK(line.release_options.name_space == "db");
  CHECK(line.release_options.timeout == 90s);
  CHECK(line.release_options.webhook_configuration == "upgrade-gate");
  CHECK(line.options.claim_stale_after == 5s);
  CHECK(line.options.identity.starts_with("release-upgrade-gate-0_"));
  CHECK(parse({"release"}).release_options.timeout == 5min);
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"release", "--timeout=0s"}, {"release", "--listen=:1"}, {"release", "--frontend-ca-file=ca.pem"}}) {
    const auto refused = parse(words);
    CHECK_FALSE(refused.release);
    CHECK(refused.exit_code == 2);
  }
}

TEST_CASE("of a flag that is given twice the last one counts, as in kubectl") {
  // The chart's extraArgs come behind the flags that the manifests give.
  const auto served =
      serve_with({"--admission-wait=5s", "--log-level=info", "--upgrade-rollout=ordered", "--frontend-address=a:1",
                  "--admission-wait=7s", "--log-level=debug", "--upgrade-rollout=stepwise", "--frontend-address=b:2",
                  "--workers=3", "--workers=4"});
  REQUIRE_MESSAGE(served.serve, served.text);
  CHECK(served.options.admission_wait == 7s);
  CHECK(served.options.log_level == "debug");
  CHECK(served.options.rollout_defaults.mode == RolloutMode::Stepwise);
  CHECK(served.options.frontend_address->host == "b");
  CHECK(served.options.workers == 4);
  const auto shown = parse({"status", "-n", "a", "-o", "json", "sr", "--namespace=b", "-o", "text"});
  REQUIRE_MESSAGE(shown.console, shown.text);
  CHECK(shown.console_options.name_space == "b");
  CHECK_FALSE(shown.console_options.json);
  CHECK(shown.console_options.cluster == "sr");
  // Lists add up.
  CHECK(parse({"plan", "a", "--default-hooks=create-image", "--default-hooks=disable-balancer"})
            .plan_options.default_hooks == std::vector<std::string>{"create-image", "disable-balancer"});
}

TEST_CASE("a flag never takes the word behind it that is another one's") {
  struct Row {
    const char* name;
    std::vector<std::string> words;
    std::string cluster;
    std::string name_space;
    std::string context;
    std::string as;
    bool all = false;
  };
  for (const Row& row : {
           Row{"an empty value before the name", {"status", "--namespace=", "sr"}, "sr", "", "", ""},
           Row{"an empty value before a flag", {"status", "--namespace=", "-A"}, "", "", "", "", true},
           Row{"two empty ones", {"retry", "sr", "--context=", "--as="}, "sr", "", "", ""},
           Row{"an empty one before another one's", {"retry", "sr", "--context=", "--as=bob"}, "sr", "", "", "bob"},
           Row{"an empty word", {"status", "-n", "", "sr"}, "sr", "", "", ""},
           Row{"one letter and a value", {"status", "-n=db", "sr"}, "sr", "db", "", ""},
           Row{"one letter and nothing", {"status", "-n=", "sr"}, "sr", "", "", ""},
           Row{"one letter with its value", {"status", "-ndb", "sr"}, "sr", "db", "", ""},
           Row{"behind the end of flags", {"status", "--", "sr"}, "sr", "", "", ""},
       }) {
    INFO(row.name);
    const auto line = parse(row.words);
    REQUIRE_MESSAGE(line.console, line.text);
    CHECK(line.console_options.cluster == row.cluster);
    CHECK(line.console_options.name_space == row.name_space);
    CHECK(line.console_options.context == row.context);
    CHECK(line.console_options.as == row.as);
    CHECK(line.console_options.all_namespaces == row.all);
  }
  const auto plan = parse({"plan", "--default-hooks", "recommended", "a.yaml", "--allow-sql", "cancel", "b.yaml",
                           "--http-hook-prefixes", "https://a.example/", "c.yaml"});
  REQUIRE_MESSAGE(plan.plan, plan.text);
  CHECK(plan.plan_options.files == std::vector<std::string>{"a.yaml", "b.yaml", "c.yaml"});
  CHECK(plan.plan_options.default_hooks == std::vector<std::string>{"recommended"});
}

TEST_CASE("what a command for people cannot take is refused with what it wants") {
  struct Row {
    const char* name;
    std::vector<std::string> words;
    std::vector<std::string> said;
  };
  for (const Row& row : {
           Row{"a command with a typing error",
               {"stat"},
               {"\"stat\" is not a command", "did you mean status?", "plan"}},
           Row{"no command at all", {"frobnicate"}, {"\"frobnicate\" is not a command", "The commands are serve, "}},
           Row{"a kind before the name", {"status", "starrockscluster/sr"}, {"CLUSTER", "want sr, without"}},
           Row{"an empty name", {"retry", ""}, {"CLUSTER", "\"\" is not the name of a StarRocksCluster"}},
           Row{"capital letters", {"watch", "SR"}, {"CLUSTER", "\"SR\"", "lower case letters"}},
           Row{"two names", {"status", "sr", "other"}, {"other"}},
           Row{"a form that there is not", {"status", "-o", "yaml"}, {"--output", "yaml not in {json,text}"}},
           Row{"a form by its number", {"report", "sr", "-o", "1"}, {"--output", "1 not in {json,text}"}},
           Row{"seconds without a unit", {"watch", "sr", "--timeout=30"}, {"--timeout", "\"30\"", "ms, s, m or h"}},
           Row{"a negative duration", {"watch", "sr", "--timeout=-5m"}, {"--timeout", "\"-5m\"", "ms, s, m or h"}},
           Row{"no duration", {"watch", "sr", "--timeout="}, {"--timeout", "\"\" is not a duration"}},
           Row{"no time at all",
               {"watch", "sr", "--timeout=0s"},
               {"--timeout", "\"0s\" is out of range", "1s to 168h"}},
           Row{"longer than a bypass may wait", {"bypass", "sr", "--reason=x", "--for=169h"}, {"--for", "1s to 168h"}},
           Row{"a cluster for the installation", {"check", "sr"}, {"not expected: sr"}},
       }) {
    INFO(row.name);
    const auto line = parse(row.words);
    INFO(line.text);
    CHECK_FALSE(line.console);
    CHECK(line.exit_code == 2);
    for (const auto& part : row.said) CHECK(line.text.find(part) != std::string::npos);
  }
  CHECK(parse({"check", "-n", "gates"}).console_options.gate_namespace == "gates");
  CHECK(parse({"bypass", "sr", "--reason=x", "--for=90m"}).console_options.valid_for == 90min);
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
  CHECK(parse({"version"}).text == version.text);
  CHECK(parse({"version"}).exit_code == 0);
  CHECK(parse({"help"}).text == help.text);
  CHECK(parse({"help", "serve"}).text == serve_help.text);
  // "DURATION=6h" or, with CLI11 2.4, "DURATION [6h]".
  const auto hold = serve_help.text.find("--max-hold DURATION");
  REQUIRE(hold != std::string::npos);
  CHECK(serve_help.text.substr(hold, serve_help.text.find('\n', hold) - hold).find("6h") != std::string::npos);
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
TEST_CASE("probe wants to be told what to ask, and serves nothing") {
  const auto line = parse({"probe", "--webhook", "--frontends", "-n", "gates", "-o", "json", "--timeout=10s"});
  REQUIRE_MESSAGE(line.probe, line.text);
  CHECK_FALSE(line.serve);
  CHECK_FALSE(line.release);
  CHECK(line.probe_options.webhook);
  CHECK(line.probe_options.frontends);
  CHECK(line.probe_options.json);
  CHECK(line.probe_options.name_space == "gates");
  CHECK(line.probe_options.timeout == 10s);
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } rows[] = {
      {{"probe"}, "want --webhook, --frontends or both"},
      {{"probe", "--webhook", "--timeout=0s"}, "out of range"},
      {{"probe", "--webhook", "--listen=:1"}, "--listen"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    const auto refused = parse(row.arguments);
    CHECK_FALSE(refused.probe);
    CHECK_FALSE(refused.serve);
    CHECK(refused.exit_code == 2);
    CHECK(refused.text.find(row.says) != std::string::npos);
  }
}

}  // namespace gate
