#include "server/app/options.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <sstream>

#include "policy/text/characters.hpp"
#include "policy/text/text.hpp"
#include "policy/text/url.hpp"
#include "server/app/console_options.hpp"
#include "server/app/option_values.hpp"
#include "server/app/version.hpp"

namespace gate {
namespace {

/// Of a claim's runner, with what follows the name: the CRD takes 253 characters.
constexpr std::size_t kIdentityNameMax = 200;
/// Of a UID, whose digits are random.
constexpr std::size_t kIdentityPart = 8;

std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string own_name() {
  if (auto pod = from_environment("POD_NAME"); !pod.empty()) return pod;
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0 && host.front() != '\0') return host.data();
  return "upgrade-gate";
}

/// No two processes have the same at one time (ADR 108): each would take the other's claims for its own. A container
/// that starts again in its pod keeps it, and what it held. Where no pod is known a process that starts anew cannot
/// know whether its predecessor has ended.
std::string default_identity() {
  auto part = from_environment("POD_UID").substr(0, kIdentityPart);
  if (part.empty()) {
    std::random_device random;
    std::array<char, kIdentityPart + 1> digits{};
    std::snprintf(digits.data(), digits.size(), "%08x", static_cast<unsigned>(random()));
    part = digits.data();
  }
  return own_name().substr(0, kIdentityNameMax) + "_" + part;
}

const std::map<std::string, FrontendTls> kTlsModes{{"disabled", FrontendTls::Disabled},
                                                   {"preferred", FrontendTls::Preferred},
                                                   {"required", FrontendTls::Required},
                                                   {"verify-ca", FrontendTls::VerifyCa},
                                                   {"verify-identity", FrontendTls::VerifyIdentity}};
const std::map<std::string, StoreKind> kStores{{"kubernetes", StoreKind::Kubernetes}, {"memory", StoreKind::Memory}};

const std::map<std::string, CallerPolicy> kCallerPolicies{
    {"any", CallerPolicy::Any}, {"certificate", CallerPolicy::Certificate}, {"secret-path", CallerPolicy::SecretPath}};

const std::map<std::string, AdmissionMode> kAdmissionModes{{"refuse", AdmissionMode::Refuse},
                                                           {"hold", AdmissionMode::Hold}};
const std::map<std::string, RolloutMode> kRolloutModes{
    {"operator", RolloutMode::Operator}, {"ordered", RolloutMode::Ordered}, {"stepwise", RolloutMode::Stepwise}};

const std::map<std::string, VersionPolicy> kVersionPolicies{
    {"off", VersionPolicy::Off}, {"warn", VersionPolicy::Warn}, {"enforce", VersionPolicy::Enforce}};

/// Which may come from the environment, too: UPGRADE_GATE_ADMISSION_WAIT for --admission-wait.
template <class Duration>
void add_setting(CLI::App& app, const std::string& name, Duration& target, const std::string& help,
                 std::chrono::seconds least, std::chrono::seconds most) {
  std::string env = name.substr(1);
  for (char& c : env) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  add_duration(app, name, target, help, least, most)->envname("UPGRADE_GATE" + env);
}

void add_address(CLI::App& app, const std::string& name, ListenAddress& target, const std::string& help) {
  app.add_option_function<std::string>(
         name,
         [&target, name](const std::string& text) {
           auto parsed = parse_listen_address(text);
           if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
           target = std::move(parsed).value();
         },
         help)
      ->type_name("HOST:PORT")
      ->default_str((target.host.find(':') == std::string::npos ? target.host : "[" + target.host + "]") + ":" +
                    std::to_string(target.port));
}

const std::string kImageExpected = "not an image: want [REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]";

/// Whether it looks like one. The kubelet judges the rest, and says so in the pod's status.
bool may_be_image(const std::string& text) {
  constexpr std::size_t kImageBytesMax = 512;
  const auto alphanumeric = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !text.empty() && text.size() <= kImageBytesMax && alphanumeric(text.front()) && alphanumeric(text.back()) &&
         text.find("//") == std::string::npos && std::all_of(text.begin(), text.end(), [&](char c) {
           return alphanumeric(c) || std::string_view("._-/:@").find(c) != std::string_view::npos;
         });
}

std::string further_sql_names() {
  std::string names;
  for (const auto& further : further_sql()) names.append(names.empty() ? "" : "|").append(further.name);
  return names;
}

void add_script_image(CLI::App& app, std::string& target) {
  app.add_option("--script-hook-image", target,
                 "Container image with /bin/sh in which script hooks run as Jobs; default: there are no script hooks")
      ->check([](const std::string& text) { return may_be_image(text) ? std::string() : kImageExpected; })
      ->type_name("IMAGE");
}

/// What serve and plan must agree on, or the one would promise what the other refuses.
template <class Options>
void add_rule_options(CLI::App& app, Options& options) {
  app.add_option("--default-hooks", options.default_hooks,
                 "Hooks for every cluster, in addition to its own; every cluster is then gated")
      ->delimiter(',')
      ->allow_extra_args(false);
  auto& rollout = options.rollout_defaults;
  // By functions: CLI11 would print the values with to_string(), which for these is no std::string.
  app.add_option_function<AdmissionMode>(
         "--upgrade-admission", [&rollout](const AdmissionMode& mode) { rollout.admission = mode; },
         "upgrade-admission of clusters that ask for preparation and do not say; where the namespace has the label for "
         "led rollouts")
      ->transform(one_of(kAdmissionModes))
      ->type_name("refuse|hold")
      ->default_str("refuse");
  app.add_option_function<RolloutMode>(
         "--upgrade-rollout", [&rollout](const RolloutMode& mode) { rollout.mode = mode; }, "upgrade-rollout, likewise")
      ->transform(one_of(kRolloutModes))
      ->type_name("operator|ordered|stepwise")
      ->default_str("operator");
  app.add_option("--version-policy", options.version_policy, "How unsupported upgrade paths are handled")
      ->transform(one_of(kVersionPolicies))
      ->type_name("off|warn|enforce")
      ->default_str("warn");
  std::map<std::string, SqlKind> kinds;
  for (const auto& further : further_sql()) kinds.emplace(further.name, further.kind);
  app.add_option("--allow-sql", options.allowed_sql, "Further kinds of statements that custom hooks may run")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->transform(one_of(kinds))
      ->type_name(further_sql_names());
  app.add_option("--http-hook-prefixes", options.http_hook_prefixes,
                 "URLs that HTTP hooks may call begin with one of these; default: there are no HTTP hooks")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check([](const std::string& text) {
        const auto prefix = parse_http_url_prefix(text);
        return prefix ? std::string() : prefix.error().message;
      })
      ->type_name("URL");
  add_script_image(app, options.script_hook_image);
}

/// How to reach the API server and the FEs, and how records are worked on.
void add_common_options(CLI::App& command, ServeOptions& options) {
  using std::chrono::seconds;
  constexpr seconds kDay{86400};
  command.add_option("--kubeconfig", options.kubeconfig, "Kubeconfig file, instead of the pod's service account");
  command.add_option("--context", options.context, "Context of the kubeconfig; default: its current one");
  command.add_option(
      "--cluster-domain", options.cluster_domain,
      "DNS domain of the cluster, put behind SERVICE.NAMESPACE.svc; default: the resolver's search list");
  command
      .add_option_function<std::string>(
          "--frontend-address",
          [&options](const std::string& text) {
            auto parsed = parse_listen_address(text);
            if (!parsed || text.front() == ':' || parsed->port == 0) {
              throw CLI::ValidationError("--frontend-address",
                                         "\"" + text + "\" is not an address: want HOST:PORT, port 1 to 65535");
            }
            options.frontend_address = FrontendAddress{parsed->host, parsed->port};
          },
          "One FE for every cluster instead of <cluster>-fe-service (where there is no cluster DNS)")
      ->type_name("HOST:PORT");
  command.add_option("--frontend-tls", options.frontend_tls, "TLS towards the FE")
      ->transform(one_of(kTlsModes))
      ->type_name("disabled|preferred|required|verify-ca|verify-identity")
      ->default_str("preferred");
  command.add_option("--frontend-ca-file", options.frontend_ca_file, "PEM CAs for verify-ca and verify-identity");
  command.add_flag("--frontend-password-to-unverified", options.frontend_password_to_unverified,
                   "Dangerous: send passwords in clear (LDAP users) over TLS to FEs that were not verified");
  add_setting(command, "--claim-stale-after", options.claim_stale_after, "Take over a claim not renewed for this long",
              seconds{1}, kDay);
  command.add_option("--workers", options.workers, "Preparations processed at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_option("--identity", options.identity,
                     "Name of this replica, which no other has at the same time; default: of the pod or the host, and "
                     "a part of its own");
  command.add_option("--log-level", options.log_level, "Minimum log level")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
}

void add_release_options(CLI::App& command, ReleaseOptions& options) {
  command.add_option("--namespace", options.name_space, "Only the records of this namespace; default: all");
  command.add_option("--webhook-configuration", options.webhook_configuration,
                     "Delete this ValidatingWebhookConfiguration first, so that nothing new begins");
  add_setting(command, "--timeout", options.timeout, "Give up after this", std::chrono::seconds{1},
              std::chrono::hours{24});
}

void add_caller_options(CLI::App& serve, ServeOptions& options) {
  serve
      .add_option_function<CallerPolicy>(
          "--callers", [&options](const CallerPolicy& policy) { options.callers = policy; },
          "Whose reviews are acted on: anyone's, those of clients with a certificate of --tls-client-ca-file, or those "
          "of "
          "callers who know the path that the gate keeps in its webhook configurations")
      ->transform(one_of(kCallerPolicies))
      ->type_name("any|certificate|secret-path")
      ->default_str("certificate with --tls-client-ca-file, else any");
  serve
      .add_option_function<std::string>(
          "--caller-secret",
          [&options](const std::string& text) {
            const auto slash = text.find('/');
            const bool named = slash != std::string::npos;
            if (text.empty() || slash == 0 || (named && slash + 1 == text.size()) ||
                (named && text.find('/', slash + 1) != std::string::npos)) {
              throw CLI::ValidationError("--caller-secret",
                                         "invalid value \"" + text + "\": want NAME or NAMESPACE/NAME of a Secret");
            }
            options.caller_secret_namespace = named ? text.substr(0, slash) : "";
            options.caller_secret = named ? text.substr(slash + 1) : text;
          },
          "With --callers=secret-path: the Secret that keeps the key of the paths; it exists, perhaps empty; without a "
          "namespace it is in the pod's own")
      ->type_name("[NAMESPACE/]NAME")
      ->default_str(options.caller_secret);
}

void add_serve_times(CLI::App& serve, ServeOptions& options) {
  using std::chrono::seconds;
  constexpr seconds kDay{86400};
  add_setting(serve, "--admission-wait", options.admission_wait, "How long an admission waits for its preparation",
              seconds{0}, seconds{25});
  add_setting(serve, "--preparation-timeout", options.preparation_timeout,
              "All hooks together; a preparation that takes longer fails", seconds{1}, kDay);
  add_setting(serve, "--admit-within", options.admit_within, "Undo a completed preparation not used within this time",
              seconds{1}, 30 * kDay);
  add_setting(serve, "--max-hold", options.max_hold, "Restore the settings when a rollout takes longer than this",
              seconds{1}, 30 * kDay);
  add_setting(serve, "--reassert-interval", options.reassert_interval,
              "Interval between read-backs of settings that must hold", seconds{1}, kDay);
  add_setting(serve, "--failure-backoff", options.failure_backoff,
              "Delay before the second attempt; doubled for each further one", seconds{0}, kDay);
  add_setting(serve, "--failure-backoff-max", options.failure_backoff_max, "Longest back-off", seconds{0}, kDay);
  add_setting(serve, "--drain", options.drain, "Keep serving this long after SIGTERM while endpoints are updated",
              seconds{0}, seconds{300});
  add_setting(serve, "--stop-timeout", options.stop_timeout,
              "Longest wait for requests and hooks in progress after the drain", seconds{1}, seconds{600});
}

void add_serve_options(CLI::App& serve, ServeOptions& options) {
  add_address(serve, "--listen", options.listen, "Webhook listen address (HTTPS)");
  add_address(serve, "--ops-listen", options.ops_listen, "Listen address of /livez, /readyz and /metrics (HTTP)");
  serve.add_option("--tls-cert-file", options.tls_cert_file, "PEM chain, leaf first; read again when it changes");
  serve.add_option("--tls-key-file", options.tls_key_file, "PEM private key of the leaf");
  serve.add_option("--tls-client-ca-file", options.tls_client_ca_file,
                   "Only clients with a certificate of these CAs are served; read again when it changes");
  serve
      .add_option("--tls-client-names", options.tls_client_names,
                  "With --tls-client-ca-file: only certificates with one of these names (CN or DNS)")
      ->delimiter(',')
      ->allow_extra_args(false);
  serve.add_option("--tls-client-names-file", options.tls_client_names_file,
                   "More such names, one a line; read again when it changes");
  add_caller_options(serve, options);
  serve
      .add_option("--webhook-configurations", options.webhook_configurations,
                  "Name of the gate's ValidatingWebhookConfiguration and MutatingWebhookConfiguration")
      ->capture_default_str();
  serve.add_option("--dev-certificate", options.dev_certificate_directory,
                   "Make a throw-away certificate in this folder and serve with it (for trying the gate out)");
  serve.add_option("--store", options.store, "Where preparations are kept")
      ->transform(one_of(kStores))
      ->type_name("kubernetes|memory")
      ->default_str("kubernetes");
  serve.add_option("--frontend-user", options.frontend_user, "FE user with --store=memory")->capture_default_str();
  serve.add_option("--frontend-password-file", options.frontend_password_file,
                   "File with its password; default: no password");
  add_rule_options(serve, options);
  serve.add_flag("--http-hook-allow-loopback", options.http_hook_allow_loopback,
                 "For development: HTTP hooks may call services on the gate's own machine");
  add_serve_times(serve, options);
}

void add_plan_options(CLI::App& plan, PlanOptions& options) {
  plan.add_option(
      "FILE", options.files,
      "Manifests, YAML or JSON, or folders of them; an object that comes twice comes old first; \"-\" is standard "
      "input");
  plan.add_option("--old", options.old_files, "Manifests as they are");
  plan.add_option("--new", options.new_files, "Manifests as they would be");
  plan.add_option("--set-image", options.set_images, "Set an image in the new objects; may be repeated")
      ->type_name("COMPONENT=IMAGE")
      ->allow_extra_args(false);
  plan.add_option("-n,--namespace", options.name_space, "Namespace of manifests that name none")->capture_default_str();
  add_rule_options(plan, options);
  plan.add_flag("-R,--recursive", options.recursive, "Read folders with the folders in them, as kubectl does");
  plan.add_flag("--strict", options.strict,
                "A ConfigMap that is not found in the input is a fault, and so is a cluster that was not judged");
  add_output(plan, options.json);
  plan.footer(
      "Exit codes: 0 the change can go through, 1 a configuration is not valid or an upgrade path is refused, 2 "
      "invalid\n"
      "usage or an unusable file. Versions are judged by the tags; the gate itself asks the FE first.");
}

/// Faults that no single option shows; all at once.
std::string contradictions(const ServeOptions& options, bool release) {
  std::string faults;
  const auto add = [&](const std::string& fault) { faults += (faults.empty() ? "" : "\n") + fault; };
  const bool files = !options.tls_cert_file.empty() || !options.tls_key_file.empty();
  if (release) {
    // serves nothing
  } else if (options.dev_certificate_directory.empty()) {
    if (options.tls_cert_file.empty()) add("--tls-cert-file is required (or --dev-certificate to try the gate out)");
    if (options.tls_key_file.empty()) add("--tls-key-file is required (or --dev-certificate to try the gate out)");
  } else if (files) {
    add("--dev-certificate excludes --tls-cert-file and --tls-key-file");
  }
  if (options.tls_client_ca_file.empty() &&
      (!options.tls_client_names.empty() || !options.tls_client_names_file.empty())) {
    add("--tls-client-names and --tls-client-names-file need --tls-client-ca-file");
  }
  if (options.callers == CallerPolicy::Certificate && options.tls_client_ca_file.empty()) {
    add("--callers=certificate needs --tls-client-ca-file");
  }
  if (options.callers == CallerPolicy::SecretPath && options.store == StoreKind::Memory) {
    add("--callers=secret-path has no meaning with --store=memory");
  }
  if (options.callers == CallerPolicy::SecretPath && !options.kubeconfig.empty() &&
      options.caller_secret_namespace.empty()) {
    add("--caller-secret is required as NAMESPACE/NAME with --kubeconfig: outside of a pod no namespace is the gate's "
        "own");
  }
  if (options.store == StoreKind::Memory) {
    if (!options.kubeconfig.empty()) add("--kubeconfig has no meaning with --store=memory");
    if (!options.frontend_address) add("--frontend-address is required with --store=memory");
    if (!options.script_hook_image.empty()) add("--script-hook-image has no meaning with --store=memory");
    if (options.rollout_defaults.leads()) {
      add("--upgrade-admission=hold and --upgrade-rollout other than operator have no meaning with --store=memory");
    }
  }
  if (options.http_hook_allow_loopback && options.http_hook_prefixes.empty()) {
    add("--http-hook-allow-loopback needs --http-hook-prefixes");
  }
  const bool verify =
      options.frontend_tls == FrontendTls::VerifyCa || options.frontend_tls == FrontendTls::VerifyIdentity;
  if (!options.frontend_ca_file.empty() && !verify) {
    add("--frontend-ca-file needs --frontend-tls=verify-ca or verify-identity");
  }
  return faults;
}

void add_probe_options(CLI::App& command, ProbeOptions& options) {
  command.add_flag("--webhook", options.webhook,
                   "Let the API server ask the gate about two ConfigMaps, as dry runs; needs the right to create them");
  command.add_flag("--frontends", options.frontends,
                   "Log in to the FE of every StarRocksCluster; needs the gate's rights");
  command.add_option("-n,--namespace", options.name_space,
                     "Namespace of the ConfigMaps; default: that of the service account");
  add_output(command, options.json);
  add_setting(command, "--timeout", options.timeout, "Timeout for all of it", std::chrono::seconds{1},
              std::chrono::seconds{600});
  command.footer("Exit codes: 0 nothing failed, 1 something failed, 2 invalid usage or no API server is known.");
}

/// Of serve, release and probe, once they are parsed: what contradicts itself is refused, what is left out follows from
/// the rest.
void judge_and_complete(CommandLine& line) {
  auto faults = contradictions(line.options, line.release || line.probe);
  if (line.probe && !line.probe_options.webhook && !line.probe_options.frontends) {
    faults += "probe: want --webhook, --frontends or both";
  }
  if (!faults.empty()) {
    line.release = line.probe = false;
    line.text = faults + "\nRun with --help for more information.\n";
    line.exit_code = 2;
    return;
  }
  if (!line.options.callers) {
    line.options.callers = line.options.tls_client_ca_file.empty() ? CallerPolicy::Any : CallerPolicy::Certificate;
  }
  if (line.options.identity.empty()) {
    // Never that of a replica: what a replica holds must be waited for, not taken for one's own.
    line.options.identity =
        line.release ? "release-" + default_identity() + "-" + std::to_string(getpid()) : default_identity();
  }
  line.serve = !line.release && !line.probe;
}

/// As in kubectl: of a flag that is given twice the last one counts, so what a manifest says can be overruled behind
/// it.
void let_last_count(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands({})) {
    for (CLI::Option* option : command->get_options()) {
      if (option->nonpositional() && option->get_items_expected_max() == 1)
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
  }
}

const CLI::App* command_named(CLI::App& app, const std::string& name) {
  const auto commands = app.get_subcommands([&](const CLI::App* one) { return one->get_name() == name; });
  return commands.empty() ? nullptr : commands.front();
}

/// The words for CLI11, which would take the word behind "--name=" for its value, and "=x" for that of "-n=x".
std::vector<std::string> words_of(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  const CLI::App* command = words.empty() ? nullptr : command_named(app, words.front());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (command == nullptr || word == "--") {
      out.insert(out.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      break;
    }
    const auto equals = word.find('=');
    const bool empty = word.starts_with("--") && equals + 1 == word.size();
    const bool brief = equals == 2 && word[0] == '-' && word[1] != '-';
    const auto* option = empty || brief ? command->get_option_no_throw(word.substr(0, equals)) : nullptr;
    if (option != nullptr && option->get_items_expected_max() > 0) {
      out.push_back(word.substr(0, equals));
      out.push_back(word.substr(equals + 1));
    } else {
      out.push_back(word);
    }
  }
  return out;
}

/// Why `word` is no command; "" where it is one, or a flag.
std::string unknown_command(CLI::App& app, const std::string& word) {
  if (word.starts_with('-') || command_named(app, word) != nullptr) return "";
  std::string names;
  std::string meant;
  for (const CLI::App* command : app.get_subcommands({})) {
    names += (names.empty() ? "" : ", ") + command->get_name();
    constexpr std::size_t kTypingErrors = 2;
    if (edit_distance(word.substr(0, 16), command->get_name()) <= kTypingErrors) meant = command->get_name();
  }
  return "\"" + clean_text(word, 40) + "\" is not a command" + (meant.empty() ? "" : "; did you mean " + meant + "?") +
         "\nThe commands are " + names + ".\nRun with --help for more information.\n";
}

}  // namespace

Result<ListenAddress> parse_listen_address(const std::string& text) {
  const auto refuse = [&] {
    return Error{ErrorCode::InvalidInput,
                 "\"" + text + "\" is not an address: want HOST:PORT, [IPV6]:PORT or :PORT, port 0 to 65535"};
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return refuse();
  ListenAddress out;
  out.host = text.substr(0, colon);
  if (out.host.size() >= 2 && out.host.front() == '[' && out.host.back() == ']') {
    out.host = out.host.substr(1, out.host.size() - 2);
  } else if (out.host.find(':') != std::string::npos) {
    return refuse();
  }
  if (out.host.empty()) out.host = "::";  // Of both families; IPv4 alone where IPv6 is switched off.
  const auto* begin = text.data() + colon + 1;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, out.port);
  if (begin == end || error != std::errc{} || stop != end) return refuse();
  return out;
}

CommandLine parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  CLI::App app("Holds image changes of StarRocks clusters until the upgrade is prepared on the FE.",
               program_name(argc > 0 ? argv[0] : ""));
  app.set_version_flag("--version", std::string("upgrade-gate ") + std::string(kVersion));
  app.require_subcommand(1);
  CLI::App* serve = app.add_subcommand("serve", "Serve the admission webhooks and run preparations");
  add_common_options(*serve, line.options);
  add_serve_options(*serve, line.options);
  CLI::App* plan = app.add_subcommand("plan", "Show from manifests alone what the gate would do with a change");
  add_plan_options(*plan, line.plan_options);
  CLI::App* release = app.add_subcommand(
      "release", "Restore all captured settings, then exit (0: nothing left to restore); before uninstalling");
  add_common_options(*release, line.options);
  add_script_image(*release, line.options.script_hook_image);  // a post_upgrade() may be pending
  add_release_options(*release, line.release_options);
  CLI::App* probe =
      app.add_subcommand("probe", "Ask from within the cluster: the gate through the API server, every FE");
  add_common_options(*probe, line.options);
  add_probe_options(*probe, line.probe_options);
  add_console_commands(app, line.console_options);
  const CLI::App* version = app.add_subcommand("version", "Print the version of this program");
  let_last_count(app);
  auto words = words_of(app, argc, argv);
  if (!words.empty()) line.text = unknown_command(app, words.front());
  if (!line.text.empty()) {
    line.exit_code = 2;
    return line;
  }
  std::reverse(words.begin(), words.end());  // CLI11 wants the first one last
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& ended) {
    std::ostringstream text;
    const int code = app.exit(ended, text, text);
    line.text = text.str();
    line.exit_code = code == 0 ? 0 : 2;
    return line;
  }
  if (version->parsed()) {
    line.text = "upgrade-gate " + std::string(kVersion) + "\n";
    return line;
  }
  if (plan->parsed()) {
    line.plan = true;
    return line;
  }
  if (console_parsed(app)) {
    line.console = true;
    return line;
  }
  line.release = release->parsed();
  line.probe = probe->parsed();
  judge_and_complete(line);
  return line;
}

}  // namespace gate
