#pragma once
// The command line and environment of upgrade-gate.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/hooks/led_rollout.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/text/result.hpp"
#include "policy/versions/upgrade_path.hpp"
#include "server/app/probe.hpp"
#include "server/console/console.hpp"
#include "server/plan/plan.hpp"
#include "server/ports/frontend.hpp"

namespace gate {

struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
};

/// "127.0.0.1:9443", "[::1]:9443"; "[::]:9443" and ":9443" are all addresses of both families, "0.0.0.0:9443" those of
/// IPv4. InvalidInput says what is accepted.
[[nodiscard]] Result<ListenAddress> parse_listen_address(const std::string& text);

enum class StoreKind { Kubernetes, Memory };

/// Whose reviews are acted on.
enum class CallerPolicy {
  Any,          ///< Whoever reaches the port: for trying the gate out.
  Certificate,  ///< Who shows a certificate of tls_client_ca_file.
  SecretPath,   ///< Who knows the path that the gate keeps in its webhook configurations.
};

struct ServeOptions {
  ListenAddress listen{"::", 9443};
  ListenAddress ops_listen{"::", 8080};
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_client_ca_file;
  std::vector<std::string> tls_client_names;
  std::string tls_client_names_file;
  std::optional<CallerPolicy> callers;  ///< nullopt until it was parsed: Certificate with a CA file, else Any.
  std::string caller_secret_namespace;  ///< Empty: the pod's own.
  std::string caller_secret = "upgrade-gate-caller";
  std::string webhook_configurations = "upgrade-gate";  ///< Name of both the validating and the mutating one.
  std::string dev_certificate_directory;                ///< Write a throw-away certificate there and serve with it.

  StoreKind store = StoreKind::Kubernetes;
  std::string kubeconfig;  ///< Empty: the pod's service account.
  std::string context;
  std::string cluster_domain{};  ///< Empty: the resolver's search list completes names.

  std::optional<FrontendAddress> frontend_address;  ///< One FE for every cluster.
  std::string frontend_user = "root";               ///< With --store=memory; Kubernetes has it in Secrets.
  std::string frontend_password_file;
  FrontendTls frontend_tls = FrontendTls::Preferred;
  std::string frontend_ca_file;
  bool frontend_password_to_unverified = false;  ///< See FrontendClientOptions.

  std::vector<std::string> default_hooks;
  LedRollout rollout_defaults;                  ///< Of clusters that ask for preparation and say nothing of this.
  std::vector<SqlKind> allowed_sql;             ///< Further kinds of statements for custom hooks.
  std::vector<std::string> http_hook_prefixes;  ///< Valid prefixes of URLs that HTTP hooks may call.
  VersionPolicy version_policy = VersionPolicy::Warn;
  bool http_hook_allow_loopback = false;  ///< For development.
  std::string script_hook_image;          ///< Empty: no script hooks.
  std::chrono::milliseconds admission_wait{5000};
  std::chrono::seconds preparation_timeout{3600};
  std::chrono::seconds admit_within{3600};
  std::chrono::seconds max_hold{6 * 3600};
  std::chrono::seconds reassert_interval{30};
  std::chrono::seconds failure_backoff{30};
  std::chrono::seconds failure_backoff_max{600};
  std::chrono::seconds claim_stale_after{20};
  std::size_t workers = 8;
  std::chrono::seconds drain{10};  ///< Between readiness off and the end of listening: endpoints take time to follow.
  std::chrono::seconds stop_timeout{40};

  std::string identity;  ///< Default: POD_NAME, else the host's name, and what no other process has.
  std::string log_level = "info";
};

/// `upgrade-gate release`, besides the options that it shares with serve.
struct ReleaseOptions {
  std::string name_space;             ///< Empty: all.
  std::string webhook_configuration;  ///< ValidatingWebhookConfiguration to delete first; empty: none.
  std::chrono::seconds timeout{300};
};

/// What the process is to do: serve, release, probe, plan, a command for people, or print `text` and end with
/// `exit_code`.
struct CommandLine {
  bool serve = false;
  bool release = false;
  ServeOptions options;
  ReleaseOptions release_options;
  bool probe = false;
  ProbeOptions probe_options;
  bool plan = false;
  PlanOptions plan_options;
  bool console = false;
  ConsoleOptions console_options;
  std::string text;
  int exit_code = 0;
};

/// Never exits or throws. Faults of the command line come back as text with exit code 2.
[[nodiscard]] CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace gate
