#include "server/kubernetes/webhook_paths.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/review/caller_token.hpp"
#include "policy/text/base64.hpp"
#include "policy/text/hex.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// For one look: three reads and two writes.
constexpr std::chrono::seconds kLookTimeout{10};
constexpr const char* kKeyEntry = "key";

Result<std::string> random_key() {
  std::array<unsigned char, kCallerKeyBytes / 2> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return Error{ErrorCode::Internal, "no random numbers"};
  }
  return hex_of(bytes);
}

/// The clientConfig's path: of its Service, or of its URL where the gate runs outside of the cluster.
std::string path_in(const json& client_config) {
  if (client_config.contains("service")) return text_member(client_config["service"], "path");
  const std::string url = text_member(client_config, "url");
  const auto host = url.find("://");
  const auto path = host == std::string::npos ? host : url.find('/', host + 3);
  return path == std::string::npos ? std::string() : url.substr(path);
}

void set_path(json& client_config, const std::string& path) {
  if (client_config.contains("service")) {
    client_config["service"]["path"] = path;
    return;
  }
  const std::string url = text_member(client_config, "url");
  client_config["url"] = url.substr(0, url.size() - path_in(client_config).size()) + path;
}

}  // namespace

WebhookPaths::WebhookPaths(KubeClient& client, const Clock& clock, Logger& log, WebhookPathsOptions options,
                           Observer observer)
    : client_(client), clock_(clock), log_(log), options_(std::move(options)), observer_(std::move(observer)) {}

WebhookPaths::~WebhookPaths() { stop(); }

void WebhookPaths::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void WebhookPaths::stop() { thread_ = {}; }

void WebhookPaths::hurry() {
  if (std::exchange(asked_.lock()->hurried, true)) return;
  wake_.notify_all();
}

void WebhookPaths::replace_token() {
  asked_.lock()->replace = true;
  hurry();
}

void WebhookPaths::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      const auto asked = asked_.lock();
      asked->hurried = false;
      if (asked->replace && clock_.wall_now() >= issued_ + options_.replacement_interval) {
        not_before_ = clock_.wall_now();
        asked->replace = false;
      }
    }
    attempt(log_, "webhook paths not kept", [this] {
      const auto looked = look();
      if (looked) return;
      log_limited(failures_, clock_.steady_now(), log_, LogLevel::Warning, "webhook paths not kept",
                  {{"configuration", options_.configuration}, {"error", looked.error().message}});
    });
    pause_for(options_.hurried_interval, stop);
    const auto next_look = std::chrono::steady_clock::now() + options_.look_interval;
    asked_.lock().wait_until(wake_, stop, next_look, [](const Asked& asked) { return asked.hurried; });
  }
}

Status WebhookPaths::look() {
  const Deadline deadline = clock_.steady_now() + kLookTimeout;
  if (auto read = read_key(deadline); !read) return read;
  for (const auto& resource : {kube::kValidatingWebhooks, kube::kMutatingWebhooks}) {
    if (auto kept = keep(resource, deadline); !kept && kept.error().code != ErrorCode::NotFound) return kept;
  }
  return Ok{};
}

Status WebhookPaths::read_key(Deadline deadline) {
  auto secret = client_.get(kube::kSecrets, options_.secret_namespace, options_.secret, deadline);
  if (!secret) return secret.error();
  auto key = decode_base64(text_member(member(*secret, "data"), kKeyEntry)).value_or("");
  if (key.size() != kCallerKeyBytes) {
    // Somebody emptied it: what the API server has been told stays good.
    auto made = key_.empty() ? random_key() : Result<std::string>(key_);
    if (!made) return made.error();
    json filled = *secret;
    filled["stringData"] = {{kKeyEntry, *made}};
    // Conflict: another replica was faster, and the next look finds its key.
    auto written = client_.replace(kube::kSecrets, options_.secret_namespace, options_.secret, {}, filled, deadline);
    if (!written) return written.error();
    key = *made;
  }
  if (key == key_) return Ok{};
  key_ = key;
  token_.clear();
  observer_.on_key(std::move(key));
  return Ok{};
}

/// By the webhook's name; of one that we do not know by what its path begins with.
std::string WebhookPaths::path_of(const std::string& webhook, const std::string& present) const {
  for (const auto& entry : options_.paths) {
    if (entry.webhook == webhook) return entry.path;
  }
  for (const auto& entry : options_.paths) {
    if (present == entry.path || present.starts_with(entry.path + "/")) return entry.path;
  }
  return {};
}

std::string WebhookPaths::token_for(std::string_view present) {
  const auto now = clock_.wall_now();
  const auto issued = caller_token_issued(key_, present);
  // Another replica's newer one is taken over.
  if (issued && *issued >= issued_ && *issued <= now + std::chrono::seconds(60)) {
    token_ = std::string(present);
    issued_ = *issued;
  }
  if (token_.empty() || issued_ < not_before_ || issued_ + options_.token_life <= now) {
    issued_ = std::max(now, issued_ + std::chrono::seconds(1));
    not_before_ = std::min(not_before_, issued_);
    token_ = make_caller_token(key_, issued_);
  }
  return token_;
}

Status WebhookPaths::keep(const KubeResource& resource, Deadline deadline) {
  auto configuration = client_.get(resource, {}, options_.configuration, deadline);
  if (!configuration) return configuration.error();
  bool changed = false;
  const auto webhooks = configuration->find("webhooks");
  if (webhooks == configuration->end() || !webhooks->is_array()) return Ok{};
  for (json& webhook : *webhooks) {
    const auto name = text_member(webhook, "name");
    const auto client_config = webhook.find("clientConfig");
    if (client_config == webhook.end()) continue;
    const auto present = path_in(*client_config);
    const auto path = path_of(name, present);
    if (path.empty()) continue;
    const auto token = present.starts_with(path + "/") ? present.substr(path.size() + 1) : std::string();
    const auto wanted = path + "/" + token_for(token);
    if (present == wanted) continue;
    set_path(*client_config, wanted);
    changed = true;
  }
  if (changed) {
    // Conflict: cainjector, GitOps or another replica wrote a moment ago; the next look finds it.
    auto written = client_.replace(resource, {}, options_.configuration, {}, *configuration, deadline);
    if (!written) {
      if (written.error().code != ErrorCode::Conflict) return written.error();
      hurry();
      return Ok{};
    }
    log_info(log_, "webhook paths written", {{"configuration", options_.configuration}, {"kind", resource.plural}});
  }
  if (!token_.empty()) observer_.on_announced(issued_);
  return Ok{};
}

}  // namespace gate
