#include "server/app/app.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/record/preparation_codec.hpp"
#include "policy/record/preparation_spans.hpp"
#include "policy/text/url.hpp"
#include "server/admission/admission_service.hpp"
#include "server/admission/callers.hpp"
#include "server/app/counting_connector.hpp"
#include "server/app/metrics.hpp"
#include "server/app/tracing.hpp"
#include "server/app/version.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"
#include "server/base/descriptors.hpp"
#include "server/base/file.hpp"
#include "server/base/log.hpp"
#include "server/http/descriptor_budget.hpp"
#include "server/http/ops_server.hpp"
#include "server/http/webhook_server.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/kubernetes/client/kube_config.hpp"
#include "server/kubernetes/client/resource_watch.hpp"
#include "server/kubernetes/installation_watch.hpp"
#include "server/kubernetes/kube_cluster_access.hpp"
#include "server/kubernetes/kube_preparation_store.hpp"
#include "server/kubernetes/kube_script_jobs.hpp"
#include "server/kubernetes/webhook_paths.hpp"
#include "server/memory/memory_cluster_access.hpp"
#include "server/memory/memory_preparation_store.hpp"
#include "server/memory/memory_script_jobs.hpp"
#include "server/outbound/http_hook_caller.hpp"
#include "server/preparation/lifecycle/controller.hpp"
#include "server/preparation/lifecycle/hold_retry.hpp"
#include "server/preparation/lifecycle/release.hpp"
#include "server/preparation/notices/held_notice.hpp"
#include "server/starrocks/frontend_client.hpp"
#include "server/tls/certificate_source.hpp"
#include "server/tls/dev_certificate.hpp"

namespace gate {
namespace {

/// Lifetime of a throw-away certificate.
constexpr std::chrono::hours kDevCertificateLife{24 * 7};
/// Between two tries to learn the gate's own user name.
constexpr std::chrono::seconds kIdentityRetry{5};
/// A webhook that was deleted is called for a moment still, and a call may take as long as its timeoutSeconds.
constexpr std::chrono::seconds kReviewsUnderWay{12};
/// For spans that are not sent when everything else has ended: a collector that is away must not hold up a stop.
constexpr std::chrono::seconds kLastSpans{5};
/// A password or a CA bundle; more is the wrong file.
constexpr std::size_t kSmallFileBytesMax = 1u << 20;

Result<std::string> read_small_file(const std::string& option, const std::string& path) {
  auto text = read_file(path, kSmallFileBytesMax);
  if (!text) return Error{ErrorCode::InvalidInput, option + ": \"" + path + "\" " + text.error().message};
  return text;
}

Result<std::string> read_password(const std::string& path) {
  auto text = read_small_file("--frontend-password-file", path);
  // Editors and `echo` end a file with a line feed that is no part of the password.
  if (text && !text->empty() && text->back() == '\n') text->pop_back();
  return text;
}

}  // namespace

class App::Impl {
 public:
  Impl(const ServeOptions& serve_options, Logger& logger) : options(serve_options), log(logger) {}
  ~Impl() {
    // The store is older than the parts that its watch tells of changes, so the watch ends before they do.
    if (kube_store != nullptr) kube_store->stop();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status start_tracing();
  Status start_certificate();
  void start_http_hooks();
  Status start_backend();
  void make_controller(bool restore_only);
  Status start_controller();
  Status start_servers();
  void start_callers();
  [[nodiscard]] std::optional<HttpReply> refuse_unknown_caller(std::string_view token);
  void learn_own_name(const std::stop_token& stop);
  [[nodiscard]] std::optional<std::string> why_not_ready() const;
  [[nodiscard]] std::string metrics_text();
  [[nodiscard]] std::string preparations_text() const;

  const ServeOptions options;
  Logger& log;
  std::string only_namespace;  // of the records; empty: all
  std::string own_namespace;   // where the gate runs; empty outside of the cluster
  SystemClock clock;
  Metrics metrics{{std::string(kVersion), std::string(kRevision)}};
  std::atomic<bool> draining{false};
  std::unique_ptr<OtlpExporter> spans;  // null: nothing is traced
  std::unique_ptr<CertificateWatcher> certificate;

  std::unique_ptr<KubeClient> kube;
  std::unique_ptr<PreparationStore> store;
  KubePreparationStore* kube_store = nullptr;  // the same as `store` when on Kubernetes
  std::unique_ptr<ClusterAccess> clusters;
  MysqlFrontendConnector connector{{.password_to_unverified = options.frontend_password_to_unverified}};
  CountingConnector frontends{connector};
  std::unique_ptr<HttpCaller> http_caller;
  std::unique_ptr<ScriptJobs> script_jobs;
  std::unique_ptr<OutcomeWaiters> waiters;
  std::unique_ptr<PreparationController> controller;
  std::unique_ptr<HoldRetry> hold_retry;
  std::unique_ptr<AdmissionService> admission;
  std::unique_ptr<ClusterWatch> cluster_watch;
  std::unique_ptr<HeldNotice> held_notice;
  std::unique_ptr<InstallationWatch> installation_watch;
  std::unique_ptr<Callers> callers;  // null: anybody who gets through the handshake
  std::unique_ptr<WebhookPaths> webhook_paths;
  LogLimiter unknown_callers;
  std::unique_ptr<HttpServer> webhooks;
  std::unique_ptr<HttpServer> ops;
  std::jthread own_name;
};

Status App::Impl::start_tracing() {
  auto started = gate::start_tracing(options.identity, log);
  if (!started) return started.error();
  spans = std::move(started).value();
  return Ok{};
}

Status App::Impl::start_certificate() {
  CertificateFiles files{options.tls_cert_file, options.tls_key_file, options.tls_client_ca_file,
                         options.tls_client_names, options.tls_client_names_file};
  if (!options.dev_certificate_directory.empty()) {
    const auto now = clock.wall_now();
    DevCertificateOptions wanted;
    wanted.dns_names = {"localhost"};
    wanted.ip_addresses = {"127.0.0.1", "::1"};
    wanted.not_before = now - std::chrono::minutes(5);  // clients' clocks may be a little behind
    wanted.not_after = now + kDevCertificateLife;
    auto made = make_dev_certificate(wanted);
    if (!made) return made.error();
    std::error_code failed;
    std::filesystem::create_directories(options.dev_certificate_directory, failed);
    if (auto written = write_dev_certificate(*made, options.dev_certificate_directory); !written) return written;
    files.certificate = options.dev_certificate_directory + "/tls.crt";
    files.key = options.dev_certificate_directory + "/tls.key";
  }
  auto started = CertificateWatcher::start(files, clock, kCertificatePoll, &log);
  if (!started) return started.error();
  certificate = std::move(started).value();
  return Ok{};
}

void App::Impl::start_http_hooks() {
  HttpHookCallerOptions caller_options;
  for (const auto& prefix : options.http_hook_prefixes) {
    caller_options.allowed.push_back(parse_http_url_prefix(prefix).value());  // valid, says ServeOptions
  }
  caller_options.addresses.allow_loopback = options.http_hook_allow_loopback;
  caller_options.version = std::string(kVersion);
  http_caller = std::make_unique<HttpHookCaller>(std::move(caller_options));
}

Status App::Impl::start_backend() {
  start_http_hooks();
  std::string ca;
  if (!options.frontend_ca_file.empty()) {
    auto read = read_small_file("--frontend-ca-file", options.frontend_ca_file);
    if (!read) return read.error();
    ca = std::move(read).value();
  }
  if (options.store == StoreKind::Memory) {
    FrontendAccess access;
    access.address = *options.frontend_address;
    access.username = options.frontend_user;
    access.tls = options.frontend_tls;
    access.ca_pem = ca;
    if (!options.frontend_password_file.empty()) {
      auto password = read_password(options.frontend_password_file);
      if (!password) return password.error();
      access.password = std::move(password).value();
    }
    store = std::make_unique<MemoryPreparationStore>(clock);
    clusters = std::make_unique<MemoryClusterAccess>(std::move(access));
    script_jobs = std::make_unique<MemoryScriptJobs>();
    return Ok{};
  }
  auto config = options.kubeconfig.empty() ? in_cluster_kube_config()
                                           : kube_config_from_file(options.kubeconfig, options.context);
  if (!config) return config.error();
  if (options.kubeconfig.empty()) own_namespace = config->name_space;
  KubeClientOptions client_options;
  client_options.version = std::string(kVersion);
  auto client = KubeClient::create(std::move(config).value(), client_options);
  if (!client) return client.error();
  kube = std::move(client).value();
  ResourceWatchOptions watch_options;
  watch_options.name_space = only_namespace;
  auto on_kube = std::make_unique<KubePreparationStore>(*kube, log, watch_options);
  kube_store = on_kube.get();
  store = std::move(on_kube);
  KubeClusterAccessOptions access_options;
  access_options.cluster_domain = options.cluster_domain;
  access_options.frontend_address_override = options.frontend_address;
  access_options.frontend_tls = options.frontend_tls;
  access_options.frontend_ca_pem = ca;
  access_options.identity = options.identity;
  access_options.webhook_configuration = options.webhook_configurations;
  clusters = std::make_unique<KubeClusterAccess>(*kube, clock, log, access_options);
  script_jobs = std::make_unique<KubeScriptJobs>(*kube, *clusters, KubeScriptJobsOptions{options.script_hook_image});
  return Ok{};
}

void App::Impl::make_controller(bool restore_only) {
  ControllerOptions controller_options;
  controller_options.identity = options.identity;
  controller_options.workers = options.workers;
  controller_options.reassert_interval = options.reassert_interval;
  controller_options.admit_within = options.admit_within;
  controller_options.max_hold = options.max_hold;
  controller_options.claim_stale_after = options.claim_stale_after;
  controller_options.claim_renewal = std::chrono::milliseconds(options.claim_stale_after) / 4;
  controller_options.default_hooks = options.default_hooks;
  controller_options.rollout_defaults = options.rollout_defaults;
  controller_options.restore_only = restore_only;
  controller_options.conditions = !restore_only && kube != nullptr;
  controller_options.hooks.preparation_timeout = options.preparation_timeout;
  controller_options.hooks.further_sql = options.allowed_sql;
  if (spans) {
    controller_options.on_closed = [this](const Preparation& record) {
      if (spans->samples(preparation_trace_id(record.uid), {})) spans->take(preparation_spans(record));
    };
  }
  if (restore_only) {
    // `release` is not told what the replicas allow, and what they began is to be undone.
    for (const auto& further : further_sql()) controller_options.hooks.further_sql.push_back(further.kind);
  }
  controller = std::make_unique<PreparationController>(
      *store, HookPeers{*clusters, frontends, *http_caller, *script_jobs}, clock, log, controller_options);
}

Status App::Impl::start_controller() {
  // A default hook that does not exist would refuse every image change: better not to start.
  const nlohmann::json nothing;
  const auto defaults = resolve_hooks({.object = nothing, .default_hooks = options.default_hooks});
  if (!defaults.faults.empty()) return Error{ErrorCode::InvalidInput, describe(defaults.faults)};

  waiters = std::make_unique<OutcomeWaiters>(*store);
  make_controller(false);
  store->observe([this](const Preparation& record, bool removed) {
    waiters->notify(record, removed);
    controller->record_changed(record, removed);
  });
  AdmissionServiceOptions service_options;
  service_options.admission_wait = options.admission_wait;
  service_options.default_hooks = options.default_hooks;
  service_options.rollout_defaults = options.rollout_defaults;
  service_options.version_policy = options.version_policy;
  service_options.failure_backoff = {options.failure_backoff, options.failure_backoff_max};
  service_options.rules.http_prefixes = options.http_hook_prefixes;
  service_options.rules.scripts = script_jobs->unavailable_because().empty();
  service_options.rules.more_sql = options.allowed_sql;
  service_options.compare_with_stored = options.store == StoreKind::Kubernetes;
  admission = std::make_unique<AdmissionService>(
      AdmissionPeers{*store, *clusters, *controller, *waiters, clock, log, spans.get()}, service_options,
      [this](const ReviewOutcome& outcome) {
        metrics.count(outcome);
        // The API server has told somebody which URL did not answer.
        if (outcome.late && webhook_paths) webhook_paths->replace_token();
      });
  controller->start();
  if (kube_store != nullptr) {
    kube_store->start();
    hold_retry = std::make_unique<HoldRetry>(
        *store, *clusters, clock, log,
        HoldRetryOptions{{options.failure_backoff, options.failure_backoff_max},
                         [this](const Preparation& record) { controller->created_here(record); }});
    hold_retry->start();
    cluster_watch = std::make_unique<ClusterWatch>(
        *kube, ResourceWatchOptions{}, log, [this](std::string_view kind, const nlohmann::json& object, bool removed) {
          const auto& metadata = object.at("metadata");
          controller->object_changed(metadata.value("namespace", ""), std::string(kind), metadata.value("name", ""),
                                     removed ? std::string{} : metadata.value("resourceVersion", ""));
        });
    cluster_watch->start();
    held_notice = std::make_unique<HeldNotice>(*store, *clusters, clock, log);
    held_notice->start();
    InstallationWatchOptions installation_options;
    installation_options.name_space = own_namespace;
    installation_options.identity = options.identity;
    installation_options.configuration = options.webhook_configurations;
    installation_watch = std::make_unique<InstallationWatch>(*kube, clock, log, std::move(installation_options),
                                                             [this](std::string_view part, const std::string& fault) {
                                                               if (part == kRolloutWebhookPart)
                                                                 held_notice->webhook_found(fault);
                                                             });
    installation_watch->start();
    own_name = std::jthread([this](const std::stop_token& stop) { learn_own_name(stop); });
  }
  return Ok{};
}

void App::Impl::learn_own_name(const std::stop_token& stop) {
  do {
    bool known = false;
    attempt(log, "own name not learned", [&] {
      const auto name = kube->who_am_i(clock.steady_now() + kIdentityRetry);
      if (name) admission->set_own_username(*name);
      known = name.ok();
    });
    if (known) return;
  } while (pause_for(kIdentityRetry, stop));
}

void App::Impl::start_callers() {
  if (options.callers == CallerPolicy::Any) {
    log_warning(log, "reviews from anyone who reaches the port are acted on; --callers restricts that");
  }
  if (options.callers != CallerPolicy::SecretPath) return;
  callers = std::make_unique<Callers>(clock);
  WebhookPathsOptions paths_options;
  paths_options.configuration = options.webhook_configurations;
  paths_options.secret_namespace =
      options.caller_secret_namespace.empty() ? own_namespace : options.caller_secret_namespace;
  paths_options.secret = options.caller_secret;
  paths_options.token_life = kCallerTokenLife;
  paths_options.replacement_interval = kCallerTokenOverlap;
  paths_options.paths = {{"clusters.gate.starrocks.com", std::string(AdmissionService::kGatePath)},
                         {"warehouses.gate.starrocks.com", std::string(AdmissionService::kGatePath)},
                         {"configuration.gate.starrocks.com", std::string(AdmissionService::kConfigurationPath)},
                         {"configmaps.gate.starrocks.com", std::string(AdmissionService::kConfigurationPath)},
                         {"status.gate.starrocks.com", std::string(AdmissionService::kStatusPath)},
                         {"statefulsets.gate.starrocks.com", std::string(StatefulSetHandler::kPath)}};
  webhook_paths = std::make_unique<WebhookPaths>(
      *kube, clock, log, std::move(paths_options),
      WebhookPaths::Observer{[this](std::string key) { callers->set_key(std::move(key)); },
                             [this](WallTime issued) { callers->announced(issued); }});
  webhook_paths->start();
}

std::optional<HttpReply> App::Impl::refuse_unknown_caller(std::string_view token) {
  if (callers->admits(token)) return std::nullopt;
  webhook_paths->hurry();
  log_limited(unknown_callers, clock.steady_now(), log, LogLevel::Warning, "review of an unknown caller refused");
  // Shown by the API server to its user, should it be the caller.
  return HttpReply{403, "text/plain; charset=utf-8",
                   "the upgrade gate acts only on reviews at the path that it keeps in its own webhook configurations. "
                   "If they were just applied, it corrects them within seconds: repeat the request\n"};
}

Status App::Impl::start_servers() {
  WebhookServerOptions webhook_options;
  OpsServerOptions ops_options;
  const std::size_t descriptors = raise_descriptor_limit();
  const auto reduced = fit_to_descriptors(descriptors, webhook_options.limits, ops_options.limits);
  if (!reduced) return reduced.error();
  if (*reduced) {
    log_warning(log, "few files may be open (RLIMIT_NOFILE): fewer connections are served at once",
                {{"limit", descriptors},
                 {"webhook_connections", webhook_options.limits.connections_max},
                 {"ops_connections", ops_options.limits.connections_max}});
  }
  webhook_options.address = options.listen.host;
  webhook_options.port = options.listen.port;
  webhook_options.paths = {std::string(AdmissionService::kGatePath), std::string(AdmissionService::kConfigurationPath),
                           std::string(AdmissionService::kStatusPath), std::string(StatefulSetHandler::kPath)};
  webhook_options.log = &log;
  const auto to_http = [](ReviewReply reply) {
    return HttpReply{reply.status, std::move(reply.content_type), std::move(reply.body)};
  };
  start_callers();
  HttpHandlers handlers(
      [this, to_http](const HttpCall& call) -> std::optional<HttpReply> {
        auto reply = admission->try_fast_path(call.path, call.body);
        if (!reply) return std::nullopt;
        return to_http(std::move(*reply));
      },
      [this, to_http](const HttpCall& call) {
        const auto waited = std::chrono::ceil<std::chrono::milliseconds>(clock.steady_now() - call.received);
        const auto left = std::max(review_timeout(call.query) - waited, std::chrono::milliseconds(0));
        return to_http(admission->review(call.path, call.body, left, call.traceparent));
      });
  handlers.traceparent = spans != nullptr;
  if (callers) handlers.guard = [this](std::string_view token) { return refuse_unknown_caller(token); };
  auto https = start_webhook_server(webhook_options, certificate->server_context(), handlers);
  if (!https) return https.error();
  webhooks = std::move(https).value();

  ops_options.address = options.ops_listen.host;
  ops_options.port = options.ops_listen.port;
  ops_options.log = &log;
  OpsCallbacks callbacks;
  callbacks.why_not_ready = [this] { return why_not_ready(); };
  callbacks.metrics = [this] { return metrics_text(); };
  // With an API server, it tells them, to those who may read them.
  if (options.store == StoreKind::Memory) callbacks.preparations = [this] { return preparations_text(); };
  auto http = start_ops_server(ops_options, callbacks);
  if (!http) return http.error();
  ops = std::move(http).value();
  return Ok{};
}

std::optional<std::string> App::Impl::why_not_ready() const {
  if (draining) return "stopping";
  if (!certificate->healthy()) return "the serving certificate has expired";
  if (callers && !callers->has_key()) return "the key of the webhooks' paths is not read yet";
  if (!store->synced()) return "the records are not read yet, or the watch is broken";
  return std::nullopt;
}

std::string App::Impl::preparations_text() const {
  auto items = nlohmann::json::array();
  for (const auto& record : store->cached()) items.push_back(to_json(record));
  const nlohmann::json list{{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string App::Impl::metrics_text() {
  MetricsSnapshot snapshot;
  snapshot.controller = controller->stats();
  snapshot.waiting_admissions = waiters->waiting();
  if (kube) snapshot.waiting_api_requests = kube->waiting();
  if (kube_store != nullptr) snapshot.unreadable_records = kube_store->unreadable_records();
  snapshot.http = webhooks->counters();
  snapshot.certificate_not_after_seconds = static_cast<double>(certificate->not_after().time_since_epoch().count());
  snapshot.certificate_load_failures = certificate->counters().failed;
  snapshot.ready = !why_not_ready();
  snapshot.preparations = open_preparations(*store);
  snapshot.now = clock.wall_now();
  snapshot.process = read_process_facts();
  if (installation_watch) snapshot.installation = installation_watch->parts();
  if (held_notice) snapshot.holds_lost = held_notice->lost();
  snapshot.frontend_connects = frontends.counts();
  if (spans) snapshot.spans = spans->counts();
  return metrics.scrape(snapshot);
}

App::App(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
App::~App() = default;

Result<std::unique_ptr<App>> App::start(const ServeOptions& options, Logger& log) {
  auto impl = std::make_unique<Impl>(options, log);
  for (auto step : {&Impl::start_tracing, &Impl::start_certificate, &Impl::start_backend, &Impl::start_controller,
                    &Impl::start_servers}) {
    if (auto done = (impl.get()->*step)(); !done) return done.error();
  }
  return std::unique_ptr<App>(new App(std::move(impl)));
}

Result<bool> App::release(const ServeOptions& options, const ReleaseOptions& release_options, Logger& log,
                          const std::function<void(const std::string&)>& say) {
  Impl impl(options, log);
  impl.only_namespace = release_options.name_space;
  // What is wrong with it must not keep settings from being restored.
  if (auto done = impl.start_tracing(); !done) log_warning(log, "tracing", {{"error", done.error().message}});
  impl.start_http_hooks();
  if (auto done = impl.start_backend(); !done) return done.error();
  ReleaseTimes times;
  times.deadline = impl.clock.steady_now() + release_options.timeout;
  if (const auto& webhooks = release_options.webhook_configuration; !webhooks.empty()) {
    const auto removed = impl.kube->remove(kube::kValidatingWebhooks, {}, webhooks, times.deadline);
    if (!removed && removed.error().code != ErrorCode::NotFound) return removed.error();
    say("ValidatingWebhookConfiguration " + webhooks + ": deleted");
    times.not_before = impl.clock.steady_now() + kReviewsUnderWay;
  }
  impl.make_controller(true);
  impl.store->observe(
      [&](const Preparation& record, bool removed) { impl.controller->record_changed(record, removed); });
  impl.controller->start();
  impl.kube_store->start();
  const auto open = release_records(*impl.store, *impl.clusters, impl.clock, times, say);
  impl.controller->stop();
  if (impl.spans) impl.spans->stop(impl.clock.steady_now() + kLastSpans);
  if (!open) return open.error();
  for (const auto& record : *open) say("still pending, " + record);
  if (open->empty()) say("nothing left to restore");
  return open->empty();
}

Result<std::vector<CheckLine>> App::probe(const ServeOptions& options, const ProbeOptions& probe_options, Logger& log) {
  Impl impl(options, log);
  if (auto done = impl.start_backend(); !done) return done.error();
  const Deadline deadline = impl.clock.steady_now() + probe_options.timeout;
  std::vector<CheckLine> lines;
  if (probe_options.webhook) {
    const auto& name_space = probe_options.name_space.empty() ? impl.own_namespace : probe_options.name_space;
    if (name_space.empty()) return Error{ErrorCode::InvalidInput, "outside of a pod --webhook needs --namespace"};
    lines = probe_webhook(*impl.kube, impl.clock, name_space, deadline);
  }
  if (probe_options.frontends) {
    for (auto& line : probe_frontends(*impl.kube, *impl.clusters, impl.frontends, impl.clock, deadline)) {
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

std::uint16_t App::port() const { return impl_->webhooks->port(); }
std::uint16_t App::ops_port() const { return impl_->ops->port(); }

void App::reload_certificate() { (void)impl_->certificate->reload_now(); }  // Which logs what went wrong.

void App::begin_drain() {
  impl_->draining = true;
  impl_->webhooks->begin_drain();
}

void App::stop() {
  auto& app = *impl_;
  const auto deadline = app.clock.steady_now() + app.options.stop_timeout;
  if (app.kube) app.kube->end_by(deadline);
  app.waiters->stop();
  app.webhooks->stop(app.clock.steady_now() + app.options.stop_timeout);
  app.cluster_watch.reset();
  if (app.webhook_paths) app.webhook_paths->stop();
  if (app.installation_watch) app.installation_watch->stop();
  if (app.held_notice) app.held_notice->stop();
  app.own_name = {};
  app.hold_retry.reset();
  app.controller->stop();
  if (app.spans) app.spans->stop(std::min(deadline, app.clock.steady_now() + kLastSpans));
  app.ops->stop(app.clock.steady_now() + std::chrono::seconds(1));
}

}  // namespace gate
