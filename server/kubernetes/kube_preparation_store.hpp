#pragma once
// PreparationStore on the API server: records are UpgradePreparation objects, the cache is fed by a watch.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/kubernetes/kube_client.hpp"
#include "server/kubernetes/resource_watch.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

class KubePreparationStore final : public PreparationStore {
 public:
  /// `client` must outlive this. The live calls work at once; the cache fills after start().
  explicit KubePreparationStore(KubeClient& client, const ResourceWatchOptions& options = {});
  ~KubePreparationStore() override;  ///< Stops the watch.

  /// Once, after the observers are registered.
  void start();
  /// Ends the watch: observers are not called any more. The live calls still work.
  void stop();

  Result<Preparation> create(const Preparation& record, Deadline deadline) override;
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override;
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override;
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override;
  Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override;
  std::vector<Preparation> cached() const override;
  bool synced() const override;
  void observe(Observer observer) override;

 private:
  void on_change(const nlohmann::json& object, bool removed);

  KubeClient& client_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Preparation> cache_;  // by namespace and name; guarded by mutex_
  std::vector<Observer> observers_;                                   // fixed once start() was called
  ResourceWatch watch_;                                               // last: its thread uses the rest
};

}  // namespace gate
