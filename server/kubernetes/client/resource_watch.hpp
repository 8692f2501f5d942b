#pragma once
// Keeps up with one collection of the API server: list, watch from there, resume, list again when the version is too
// old. One thread.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/kubernetes/client/kube_client.hpp"

namespace gate {

/// etcd's revision, which a resourceVersion is; nullopt where a server counts otherwise.
[[nodiscard]] std::optional<std::uint64_t> revision(const std::string& resource_version);

struct ResourceWatchOptions {
  std::string name_space{};                     ///< Empty = all.
  std::chrono::milliseconds backoff_base{500};  ///< After a failure; doubled each time, plus up to half at random.
  std::chrono::milliseconds backoff_max{30000};
  std::chrono::seconds list_timeout{60};
  /// Asked of the server per watch, plus up to half at random, so that replicas do not come back at one moment.
  std::chrono::seconds watch_timeout{300};
  /// A watch that lasts shorter before it breaks does not end the back-off.
  std::chrono::milliseconds steady_after{10000};
  bool metadata_only = false;        ///< The API server is to send nothing else.
  const Projection* keep = nullptr;  ///< Of each object; null: whole_object(). Must outlive the watch.
};

class ResourceWatch {
 public:
  /// Called for each object that is new or changed, and with `removed` for each that went. A removal that was missed
  /// while the watch was broken carries metadata.namespace, .name and .uid only. Runs on the watch's thread, without
  /// locks; must not block for long: the stream waits meanwhile.
  using Observer = std::function<void(const nlohmann::json& object, bool removed)>;

  /// `client` and `log` must outlive this. Nothing runs before start().
  ResourceWatch(KubeClient& client, KubeResource resource, ResourceWatchOptions options, Logger& log,
                Observer observer);
  ~ResourceWatch();  ///< Stops and joins.

  void start();
  /// Joins; the observer is not called any more. Not from within the observer.
  void stop();

  /// True once the first list was passed on and while the stream is not known to be broken.
  [[nodiscard]] bool synced() const { return synced_.load(); }

  /// Whether the observer was told of everything up to `resource_version`, of any object of the collection; waits for
  /// that until `until`. Not from within the observer.
  [[nodiscard]] bool has_reached(const std::string& resource_version, Deadline until);

 private:
  /// What is known of an object, to tell changes from repeats and to find the ones that went.
  struct Seen {
    std::string uid;
    std::string resource_version;
  };
  using Key = std::pair<std::string, std::string>;  // namespace, name

  void run(const std::stop_token& stop);
  [[nodiscard]] Status list_all(const std::stop_token& stop);
  [[nodiscard]] Status watch_once(const std::stop_token& stop);
  void take(const nlohmann::json& object, bool removed);
  void tell(const nlohmann::json& object, bool removed, const Key& key);
  void tell_unreadable(const std::string& why);
  void report_removed(const Key& key, const Seen& seen);
  /// Everything up to there was told; empty: not so, until a list is through.
  void set_version(std::string resource_version);

  KubeClient& client_;
  const KubeResource resource_;
  const ResourceWatchOptions options_;
  Logger& log_;
  const Observer observer_;
  LogLimiter interruptions_;
  LogLimiter recoveries_;
  LogLimiter unreadable_;
  // The thread's alone:
  std::map<Key, Seen> seen_;
  std::set<Key> listed_;            // while a list arrives
  std::string resource_version_;    // empty = must list
  bool opened_ = false;             // the current watch was accepted
  bool interruption_told_ = false;  // one line per outage, not one per attempt
  std::atomic<bool> synced_{false};
  Guarded<std::uint64_t> reached_;  // the revision of resource_version_; 0: none
  std::condition_variable advanced_;
  std::jthread thread_;  // last
};

/// Watches StarRocksClusters and StarRocksWarehouses: tells the lifecycle controller which images an object has.
/// A kind whose CRD is not installed is tried again quietly, with back-off.
class ClusterWatch {
 public:
  /// Called from two threads (one per kind); see ResourceWatch::Observer. `kind` is kClusterKind or kWarehouseKind.
  using Observer = std::function<void(std::string_view kind, const nlohmann::json& object, bool removed)>;

  /// Of the objects the metadata alone is asked for and passed on.
  ClusterWatch(KubeClient& client, ResourceWatchOptions options, Logger& log, const Observer& observer);
  void start();
  /// Of the clusters; warehouses are an optional kind.
  [[nodiscard]] bool synced() const { return clusters_.synced(); }

 private:
  ResourceWatch clusters_;
  ResourceWatch warehouses_;
};

}  // namespace gate
