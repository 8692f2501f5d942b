#pragma once
// A small client of the Kubernetes API server: objects as JSON, failures as Error.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "policy/json/json_projection.hpp"
#include "policy/text/result.hpp"
#include "server/kubernetes/client/kube_config.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// A collection of the API. Namespaced unless the namespace given to a call is empty.
struct KubeResource {
  std::string_view group;  ///< "" = core
  std::string_view version;
  std::string_view plural;
};

namespace kube {
inline constexpr KubeResource kPreparations{"gate.starrocks.com", "v1alpha1", "upgradepreparations"};
inline constexpr KubeResource kClusters{"starrocks.com", "v1", "starrocksclusters"};
inline constexpr KubeResource kWarehouses{"starrocks.com", "v1", "starrockswarehouses"};
inline constexpr KubeResource kServices{"", "v1", "services"};
inline constexpr KubeResource kSecrets{"", "v1", "secrets"};
inline constexpr KubeResource kConfigMaps{"", "v1", "configmaps"};
inline constexpr KubeResource kEvents{"", "v1", "events"};
inline constexpr KubeResource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices"};
inline constexpr KubeResource kStatefulSets{"apps", "v1", "statefulsets"};
inline constexpr KubeResource kNamespaces{"", "v1", "namespaces"};
inline constexpr KubeResource kPods{"", "v1", "pods"};
inline constexpr KubeResource kJobs{"batch", "v1", "jobs"};
inline constexpr KubeResource kAccessReviews{"authorization.k8s.io", "v1", "subjectaccessreviews"};
inline constexpr KubeResource kValidatingWebhooks{"admissionregistration.k8s.io", "v1",
                                                  "validatingwebhookconfigurations"};
inline constexpr KubeResource kMutatingWebhooks{"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"};
inline constexpr KubeResource kCrds{"apiextensions.k8s.io", "v1", "customresourcedefinitions"};
}  // namespace kube

struct KubeClientOptions {
  std::string version = "dev";  ///< For User-Agent: upgrade-gate/<version>.
  /// Requests in flight at once; further ones wait for a free connection until their deadline, the one whose deadline
  /// is the nearest being the next. Watches have their own.
  std::size_t connections_max = 8;
  /// A larger answer is refused, and a larger item of a list or event of a watch: etcd refuses objects of more than
  /// 1.5 MiB, the API server of 3 MiB. Lists are read item by item: how large a page is does not matter.
  std::size_t response_bytes_max = 4u << 20;
  /// Asked for per page of a list.
  int list_page_size = 200;
  /// A list that never ends is broken off: more than this are not watched by one gate.
  std::size_t list_items_max = 100'000;
};

struct KubeList {
  std::vector<nlohmann::json> items;
  std::string resource_version;  ///< To watch from.
};

/// An object as it can be changed and written back: all but managedFields, which the API server then leaves alone.
[[nodiscard]] const Projection& whole_object();
/// Its name, namespace, uid, generation and resourceVersion.
[[nodiscard]] const Projection& only_identity();

enum class WatchEventType { Added, Modified, Deleted, Bookmark };

struct WatchRequest {
  KubeResource resource;
  std::string name_space;             ///< Empty = all.
  std::string resource_version;       ///< Start after this one.
  std::chrono::seconds timeout{300};  ///< The server ends the watch after this; asked for by timeoutSeconds.
  bool metadata_only = false;         ///< The API server is to send nothing else.
  const Projection* keep = nullptr;   ///< Of each object; null: whole_object(). Must outlive the watch.
  std::function<void()> on_open;      ///< The server accepted the watch. May be empty.
  /// An object that has more than may be kept of one (ProjectionLimits): it is passed over. May be empty.
  std::function<void(const std::string& why)> on_unreadable;
  std::function<void(WatchEventType, const nlohmann::json& object)> on_event;
};

/// Thread safe. Every call blocks until done or its deadline (plus at most one second). Errors:
/// NotFound (the object; a missing CRD is Unavailable), AlreadyExists, Conflict (stale resourceVersion),
/// PermissionDenied (403), Rejected (other 4xx; what a webhook denies or etcd cannot hold), Unavailable (not reachable;
/// 401, 408, 410; 429 or 5xx after Retry-After), DeadlineExceeded. Messages name the request, never a credential.
/// Reads that meet a dead connection are repeated once; writes are not, since they may have been done.
/// Answers are projected while they are read: `keep` says what is returned of an object.
class KubeClient {
 public:
  /// InvalidInput when certificates or keys of `config` cannot be used. Does not connect.
  [[nodiscard]] static Result<std::unique_ptr<KubeClient>> create(KubeConfig config, KubeClientOptions options = {});
  ~KubeClient();

  /// From now on no call lasts beyond `limit`, those in progress included: for shutting down.
  void end_by(Deadline limit);

  [[nodiscard]] Result<nlohmann::json> get(const KubeResource& resource, const std::string& name_space,
                                           const std::string& name, Deadline deadline,
                                           const Projection& keep = whole_object());
  /// All pages of what has the labels (empty: everything). Items carry no kind and apiVersion, as the API server sends
  /// them.
  [[nodiscard]] Result<KubeList> list(const KubeResource& resource, const std::string& name_space, Deadline deadline,
                                      std::string_view label_selector = {}, const Projection& keep = whole_object());
  struct ListRequest {
    KubeResource resource;
    std::string name_space;  ///< Empty = all.
    std::string label_selector;
    /// Empty: the newest state, in pages. Otherwise one at least as new as this version of an object of `resource`, in
    /// one answer: for lists that are known to be short.
    std::string not_older_than{};
    bool metadata_only = false;                                 ///< As in WatchRequest.
    const Projection* keep = nullptr;                           ///< Null: whole_object().
    std::function<void(nlohmann::json item)> on_item;           ///< On the calling thread, while the list arrives.
    std::function<void(const std::string& why)> on_unreadable;  ///< As in WatchRequest.
    std::stop_token stop;                                       ///< Ends the call early: Unavailable.
  };
  /// Hands each item over as it arrives, so that no more than one is held; returns the version to watch from. Rejected
  /// with peer_code 410 where the pages' snapshot was compacted away meanwhile: begin anew.
  [[nodiscard]] Result<std::string> list_each(const ListRequest& request, Deadline deadline);
  /// The last `lines_max` lines that a pod's only container has written so far, of them the first `bytes_max` bytes.
  [[nodiscard]] Result<std::string> pod_log(const std::string& name_space, const std::string& pod, int lines_max,
                                            std::size_t bytes_max, Deadline deadline);
  /// `dry_run`: admitted or refused as in earnest, and not stored.
  [[nodiscard]] Result<nlohmann::json> create_object(const KubeResource& resource, const std::string& name_space,
                                                     const nlohmann::json& object, Deadline deadline,
                                                     bool dry_run = false);
  /// RFC 7386; null removes a field. `subresource` "" or "status". Returns only_identity() of the object, which may be
  /// anybody's and of any size.
  [[nodiscard]] Result<nlohmann::json> merge_patch(const KubeResource& resource, const std::string& name_space,
                                                   const std::string& name, std::string_view subresource,
                                                   const nlohmann::json& patch, Deadline deadline);
  /// PUT of a whole object that carries metadata.resourceVersion: Conflict when it is stale.
  [[nodiscard]] Result<nlohmann::json> replace(const KubeResource& resource, const std::string& name_space,
                                               const std::string& name, std::string_view subresource,
                                               const nlohmann::json& object, Deadline deadline);
  /// `propagation`: what becomes of the objects that it owns, "Background", "Foreground" or "Orphan"; empty: as is
  /// usual for the kind (Jobs orphan their pods).
  [[nodiscard]] Status remove(const KubeResource& resource, const std::string& name_space, const std::string& name,
                              Deadline deadline, std::string_view propagation = {});

  /// The user name that the API server knows us by (SelfSubjectReview).
  [[nodiscard]] Result<std::string> who_am_i(Deadline deadline);

  /// How many requests wait for a free connection now.
  [[nodiscard]] std::size_t waiting() const;

  /// One watch, on its own connection; blocks until the server ends it in good order (Ok), it breaks (error) or `stop`
  /// is requested (Ok). Rejected with peer_code 410: the version is too old, list again. The callbacks run on the
  /// calling thread.
  [[nodiscard]] Status watch(const WatchRequest& request, const std::stop_token& stop);

 private:
  class Impl;
  explicit KubeClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gate
