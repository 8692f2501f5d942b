#pragma once
// PreparationStore on the API server: records are UpgradePreparation objects, labelled with their cluster. A watch
// feeds a cache of what admissions decide by; the bodies of hooks are not in it.

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/base/guarded.hpp"
#include "server/kubernetes/client/kube_client.hpp"
#include "server/kubernetes/client/resource_watch.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

class KubePreparationStore final : public PreparationStore {
 public:
  /// `client` and `log` must outlive this. The live calls work at once; the cache fills after start().
  KubePreparationStore(KubeClient& client, Logger& log, const ResourceWatchOptions& options = {});
  ~KubePreparationStore() override;  ///< Stops the watch.

  /// Once, after the observers are registered.
  void start();
  /// Ends the watch: observers are not called any more. The live calls still work.
  void stop();

  Result<Preparation> create(const Preparation& record, Deadline deadline) override;
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override;
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override;
  Result<std::vector<Preparation>> list_of_cluster_since(const std::string& name_space, const std::string& cluster,
                                                         const std::string& written, Deadline deadline) override;
  /// From memory, own writes included; before the first list is through, live.
  Result<std::vector<Preparation>> known_of_cluster(const std::string& name_space, const std::string& cluster,
                                                    Deadline deadline) override;
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override;
  Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) override;
  Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override;
  std::vector<Preparation> cached() const override;
  void visit_cached(const std::function<void(const Preparation&)>& visit) const override;
  bool synced() const override;
  void observe(Observer observer) override;

  /// Records that the watch told of and that cannot be read: nobody works on them.
  [[nodiscard]] std::size_t unreadable_records() const;

 private:
  using Key = std::pair<std::string, std::string>;  // namespace, and name or cluster
  struct Cache {
    std::map<Key, std::map<std::string, Preparation>> records;  ///< By namespace and cluster, then name.
    std::map<Key, std::string> cluster_of;                      ///< By namespace and name.
    std::set<Key> unreadable;                                   ///< Names, as they are stored now.
    std::set<Key> unlabelled;                                   ///< Names of what an older gate made.
    std::map<Key, std::string> held_alone;  ///< By name: the version of which our finalizer is the only one.
  };

  void on_change(const nlohmann::json& object, bool removed);
  [[nodiscard]] Result<std::vector<Preparation>> list(const std::string& name_space, const std::string& cluster,
                                                      const std::string& not_older_than, Deadline deadline);
  [[nodiscard]] std::size_t known_count(const Key& cluster) const;
  /// What list_of_cluster_since() asks for, where the watch has come so far and no other record is open. nullopt: ask.
  [[nodiscard]] std::optional<std::vector<Preparation>> alone_since(const std::string& name_space,
                                                                    const std::string& cluster,
                                                                    const std::string& written, Deadline deadline);
  /// Unless the cache has a newer one.
  void remember(const Preparation& record, bool held_alone);
  /// The version of a record of which our finalizer is the only one; nullopt: not so, or not known.
  [[nodiscard]] std::optional<std::string> held_alone(const Key& name) const;
  [[nodiscard]] Status take_off(const std::string& name_space, const std::string& name,
                                const std::string& resource_version, nlohmann::json others, Deadline deadline);
  /// `readable`: as it is stored now, or gone.
  void note_readable(const nlohmann::json& object, bool readable);
  [[nodiscard]] std::optional<Preparation> forget(const Key& name);
  [[nodiscard]] Result<Preparation> remembered(Result<nlohmann::json> answer);
  [[nodiscard]] std::optional<Preparation> readable(const nlohmann::json& object);
  [[nodiscard]] std::vector<std::string> unlabelled_of(const Key& cluster) const;

  KubeClient& client_;
  Logger& log_;
  LogLimiter unreadable_;
  Guarded<Cache> cache_;
  std::atomic<bool> listed_{false};  // the watch was synced once
  std::vector<Observer> observers_;  // fixed once start() was called
  ResourceWatch watch_;              // last: its thread uses the rest
};

}  // namespace gate
