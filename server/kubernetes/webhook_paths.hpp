#pragma once
// Tells the API server, and nobody else, where the webhooks are: keeps the paths in the gate's own webhook
// configurations. The manifests name no path, so that nothing that applies them (kubectl, helm, Argo CD, Flux) owns the
// field or sees a difference.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "policy/text/time.hpp"
#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// The path of a webhook before its token.
struct WebhookPath {
  std::string webhook;  ///< "clusters.gate.starrocks.com"
  std::string path;     ///< "/validate"
};

struct WebhookPathsOptions {
  std::string configuration = "upgrade-gate";  ///< Name of both the validating and the mutating configuration.
  std::string secret_namespace;
  std::string secret = "upgrade-gate-caller";  ///< Exists, perhaps empty: the gate fills it in, and creates none.
  std::vector<WebhookPath> paths;
  std::chrono::seconds token_life{};
  /// Between two tokens, however often one is asked for: API servers must have learnt of the one before.
  std::chrono::seconds replacement_interval{10};
  std::chrono::milliseconds look_interval{5000};
  /// Between two looks that were asked for by hurry(): a caller may ask as often as it likes.
  std::chrono::milliseconds hurried_interval{500};
};

class WebhookPaths {
 public:
  /// Called from the thread of this, not from within a call of it.
  struct Observer {
    std::function<void(std::string key)> on_key;
    std::function<void(WallTime issued)> on_announced;
  };

  /// `client`, `clock` and `log` outlive this. One thread.
  WebhookPaths(KubeClient& client, const Clock& clock, Logger& log, WebhookPathsOptions options, Observer observer);
  ~WebhookPaths();  ///< Stops and joins.

  void start();
  void stop();

  /// Somebody called another path: perhaps an API server whose configuration was overwritten. Looks soon. Thread safe.
  void hurry();
  /// The present token may have been shown: replaces it soon. Thread safe.
  void replace_token();

 private:
  void run(const std::stop_token& stop);
  [[nodiscard]] Status look();
  [[nodiscard]] Status read_key(Deadline deadline);
  [[nodiscard]] Status keep(const KubeResource& resource, Deadline deadline);
  [[nodiscard]] std::string path_of(const std::string& webhook, const std::string& present) const;
  /// The token to announce, given the one that a configuration has.
  [[nodiscard]] std::string token_for(std::string_view present);

  KubeClient& client_;
  const Clock& clock_;
  Logger& log_;
  const WebhookPathsOptions options_;
  const Observer observer_;
  // The thread's alone:
  std::string key_;
  std::string token_;      // announced by this replica, or seen
  WallTime issued_{};      // of token_
  WallTime not_before_{};  // older tokens are replaced
  LogLimiter failures_;

  struct Asked {
    bool hurried = false;
    bool replace = true;  ///< What an outage may have shown ends with the start.
  };
  Guarded<Asked> asked_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last
};

}  // namespace gate
